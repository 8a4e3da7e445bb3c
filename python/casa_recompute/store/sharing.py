"""Sharing again what a task rewrote without changing it, on file systems that can (btrfs, XFS)."""

from __future__ import annotations

import array
import fcntl
import os
import struct
from collections.abc import Iterator

FIDEDUPERANGE = 0xC0189436  # linux/fs.h
_BLOCK = 4096
_CHUNK = 1 << 20
_REQUEST = 16 * _CHUNK
"""Bytes that one may ask the kernel to share at once."""
_HEAD = struct.Struct("=QQHHI")  # src_offset, src_length, dest_count, reserved
_ONE = struct.Struct("=qQQiI")  # dest_fd, dest_offset, bytes_deduped, status, reserved


def share(source: int, targets: list[int]) -> None:
    """Let ``targets`` share with ``source`` all whole blocks in which the first of them is equal to it.

    Descriptors of files. The kernel compares again before it shares, each target by itself, so nothing is lost if
    somebody writes meanwhile.

    Raises:
        OSError: the file system cannot do it.
    """
    for start, length in _equal(source, targets[0]):
        for target in targets:
            done = 0
            while done < length:
                # What differs by now is passed over.
                done += _share(source, target, start + done, min(length - done, _REQUEST)) or _REQUEST


def _equal(one: int, other: int) -> Iterator[tuple[int, int]]:
    """Offset and length of whole blocks that are equal in two files."""
    size = min(os.fstat(one).st_size, os.fstat(other).st_size) // _BLOCK * _BLOCK
    start = end = 0
    for offset in range(0, size, _CHUNK):
        count = min(_CHUNK, size - offset)
        first, second = os.pread(one, count, offset), os.pread(other, count, offset)
        if len(first) != count or len(second) != count:
            break  # it became shorter meanwhile
        if first == second:
            pieces = [(offset, count)]
        else:
            blocks = range(0, count, _BLOCK)
            same = [block for block in blocks if first[block : block + _BLOCK] == second[block : block + _BLOCK]]
            pieces = [(offset + block, _BLOCK) for block in same]
        for where, length in pieces:
            if where != end:
                if end > start:
                    yield start, end - start
                start = where
            end = where + length
    if end > start:
        yield start, end - start


def _share(source: int, target: int, offset: int, length: int) -> int:
    """Share one range; bytes done, 0 when the contents differ by now."""
    request = array.array("B", _HEAD.pack(offset, length, 1, 0, 0) + _ONE.pack(target, offset, 0, 0, 0))
    fcntl.ioctl(source, FIDEDUPERANGE, request, True)
    _, _, done, status, _ = _ONE.unpack_from(request, _HEAD.size)
    if status < 0:
        raise OSError(-status, os.strerror(-status))
    return int(done) if status == 0 else 0
