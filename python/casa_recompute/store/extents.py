"""Which pieces of a disk a file uses (FIEMAP), so that shared ones are counted once."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
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


def all_extents(paths: Mapping[str, Path]) -> dict[str, Pieces]:
    """The pieces of disk that files use; of those that vanish meanwhile, nothing.

    Where the file system does not tell, each file has its size in pieces that no other has.
    """
    found: dict[str, Pieces] = {}
    free = 1 << 62  # beyond all disks
    for name, path in paths.items():
        try:
            pieces = extents(path)
            if pieces is None:
                size = path.stat().st_blocks * 512
                pieces, free = [(free, free + size)] if size else [], free + size
        except FileNotFoundError:
            continue
        found[name] = pieces
    return found


class Blocks:
    """Which files use which pieces of the disk: what is freed when some of them go."""

    def __init__(self, pieces: Mapping[str, Pieces]) -> None:
        edges = sorted({edge for some in pieces.values() for piece in some for edge in piece})
        index = {edge: number for number, edge in enumerate(edges)}
        self._sizes = [end - start for start, end in pairwise(edges)]
        self._numbers = {
            name: [number for start, end in some for number in range(index[start], index[end])]
            for name, some in pieces.items()
        }
        self._users = Counter(number for numbers in self._numbers.values() for number in numbers)

    def taken(self, names: Iterable[str]) -> int:
        """Bytes that these use, each piece once."""
        return sum(self._sizes[n] for n in {n for name in names for n in self._numbers.get(name, ())})

    def freed(self, names: Iterable[str]) -> int:
        """Bytes that nobody else uses."""
        counts = Counter(number for name in names for number in self._numbers.get(name, ()))
        return sum(self._sizes[number] for number, count in counts.items() if count == self._users[number])

    def remove(self, names: Iterable[str]) -> None:
        """These go."""
        for name in names:
            self._users.subtract(self._numbers.pop(name, ()))
