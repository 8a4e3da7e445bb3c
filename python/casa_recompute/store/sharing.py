"""Sharing again what a task rewrote without changing it, on file systems that can (btrfs, XFS)."""

from __future__ import annotations

import array
import fcntl
import os
import struct
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

FIDEDUPERANGE = 0xC0189436  # linux/fs.h
_BLOCK = 4096
_CHUNK = 1 << 20
_REQUEST = 16 * _CHUNK
"""Bytes that one may ask the kernel to share at once."""
_HEAD = struct.Struct("=QQHHI")  # src_offset, src_length, dest_count, reserved
_ONE = struct.Struct("=qQQiI")  # dest_fd, dest_offset, bytes_deduped, status, reserved


UNIT = 1 << 16
"""Bytes that may be shared with any other place: less would make files of very many pieces, which are slow to clone."""
_UNITS = 1 << 18
"""So many units are remembered (16 GiB), some 40 MB of memory."""
_NOTE = struct.Struct("=16s16sII")  # digest, capture, number of the file in it, number of the unit in that


class Units:
    """Where pieces of stored files lie, by content: for copies between products, and for constant columns."""

    def __init__(self, notes: Path) -> None:
        """``notes``: the file that remembers them, for kernels to come."""
        self._notes = notes
        self._known: dict[bytes, tuple[str, int]] | None = None

    @property
    def _places(self) -> dict[bytes, tuple[str, int]]:
        if self._known is None:
            self._known = self._read()
        return self._known

    def _read(self) -> dict[bytes, tuple[str, int]]:
        try:
            data = self._notes.read_bytes()
        except FileNotFoundError:
            return {}
        newest = data[: len(data) // _NOTE.size * _NOTE.size][-_UNITS * _NOTE.size :]
        if len(data) > 2 * len(newest):
            temporary = self._notes.with_name(f"pieces-{uuid.uuid4().hex}")
            temporary.write_bytes(newest)
            temporary.replace(self._notes)
        rows = _NOTE.iter_unpack(newest)
        return {digest: (f"{capture.hex()}/{file}", unit * UNIT) for digest, capture, file, unit in rows}

    def add(self, name: str, digests: Iterable[bytes]) -> list[tuple[str, int, int, int]]:
        """One more file, unit by unit. What of it is equal to what is known: (file, offset there, here, length).

        Raises:
            OSError: the disk is full, or fails.
        """
        found: list[tuple[str, int, int, int]] = []
        notes: list[bytes] = []
        capture, _, file = name.partition("/")
        if len(self._places) > _UNITS:
            self._places.clear()
        for number, digest in enumerate(digests):
            here = number * UNIT
            other, there = self._places.setdefault(digest, (name, here))
            if (other, there) == (name, here):
                notes.append(_NOTE.pack(digest, bytes.fromhex(capture), int(file), number))
                continue
            last = found[-1] if found else ("", 0, 0, 0)
            follows = (other, there, here) == (last[0], last[1] + last[3], last[2] + last[3])
            if follows and (other != name or there < last[2]):  # a range is not shared with a part of itself
                found[-1] = (*last[:3], last[3] + UNIT)
            else:
                found.append((other, there, here, UNIT))
        if notes:
            with self._notes.open("ab", buffering=0) as stream:
                stream.write(b"".join(notes))
        return found


def share(source: int, targets: list[int]) -> None:
    """Let ``targets`` share with ``source`` all whole blocks in which the first of them is equal to it.

    Descriptors of files. The kernel compares again before it shares, each target by itself, so nothing is lost if
    somebody writes meanwhile.

    Raises:
        OSError: the file system cannot do it.
    """
    for start, length in _equal(source, targets[0]):
        share_range(source, targets, start, start, length)


def share_range(source: int, targets: list[int], there: int, here: int, length: int) -> None:
    """Let ``targets`` at ``here`` share with ``source`` at ``there``, as far as they are equal; multiples of a block.

    Raises:
        OSError: the file system cannot do it.
    """
    for target in targets:
        done = 0
        while done < length:
            # What differs by now is passed over.
            count = min(length - done, _REQUEST)
            done += _share(source, target, there + done, here + done, count) or _REQUEST


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


def _share(source: int, target: int, there: int, here: int, length: int) -> int:
    """Share one range; bytes done, 0 when the contents differ by now."""
    request = array.array("B", _HEAD.pack(there, length, 1, 0, 0) + _ONE.pack(target, here, 0, 0, 0))
    fcntl.ioctl(source, FIDEDUPERANGE, request, True)
    _, _, done, status, _ = _ONE.unpack_from(request, _HEAD.size)
    if status < 0:
        raise OSError(-status, os.strerror(-status))
    return int(done) if status == 0 else 0
