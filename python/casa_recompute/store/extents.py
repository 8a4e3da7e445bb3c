"""Which pieces of a disk a file uses (FIEMAP), so that shared ones are counted once."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import struct
from pathlib import Path

FIEMAP = 0xC020660B  # linux/fs.h
_HEAD = struct.Struct("=QQIIII")  # start, length, flags, mapped, count, reserved
_ONE = struct.Struct("=QQQQQIIII")  # logical, physical, length, 2 reserved, flags, 3 reserved
_SYNC, _LAST, _INLINE = 1, 1, 0x200
_COUNT = 512

Pieces = list[tuple[int, int]]
"""Start and end on the disk, in bytes."""


def extents(path: Path) -> Pieces | None:
    """The pieces of disk that a file uses; None where the file system does not tell.

    Raises:
        OSError: the file cannot be opened, or the disk fails.
    """
    found: Pieces = []
    start = 0
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        while True:
            request = array.array("B", _HEAD.pack(start, 2**64 - 1 - start, _SYNC, 0, _COUNT, 0))
            request.frombytes(bytes(_ONE.size * _COUNT))
            fcntl.ioctl(handle, FIEMAP, request, True)
            mapped = _HEAD.unpack_from(request)[3]
            flags = _LAST
            for number in range(mapped):
                row = _ONE.unpack_from(request, _HEAD.size + number * _ONE.size)
                logical, physical, length, flags = row[0], row[1], row[2], row[5]
                if not flags & _INLINE:  # in the file's metadata: less than a block
                    found.append((physical, physical + length))
                start = logical + length
            if flags & _LAST or not mapped:
                return found
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS):
            return None
        raise
    finally:
        os.close(handle)
