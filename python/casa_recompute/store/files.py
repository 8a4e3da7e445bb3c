"""Stores that keep each captured file as a file: sharing blocks (reflink) or copying."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from casa_recompute.store.base import Capture, CowStore, StoreError, Usage

FICLONE = 0x40049409  # linux/fs.h
_CHUNK = 1 << 30
_UNSHARED = (errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EOPNOTSUPP, errno.EAGAIN, errno.EPERM, errno.ETXTBSY)
"""What FICLONE answers for two files that cannot share blocks."""


def clone(source: int, destination: int) -> None:
    """Let ``destination`` share all blocks of ``source`` (file descriptors).

    Raises:
        OSError: the file system does not share blocks between these two.
    """
    fcntl.ioctl(destination, FICLONE, source)


def copy(source: int, destination: int) -> None:
    """Copy a file's content in the kernel, sharing blocks where the file system does so by itself; holes stay holes."""
    size = os.fstat(source).st_size
    for start, end in _data(source):
        os.lseek(source, start, os.SEEK_SET)
        os.lseek(destination, start, os.SEEK_SET)
        while start < end:
            done = _copy_some(source, destination, end - start)
            if not done:
                raise OSError(errno.EIO, "file became shorter while it was copied")
            start += done
    os.ftruncate(destination, size)


def _data(source: int) -> Iterator[tuple[int, int]]:
    """Where a file has data: (start, end) of each piece between its holes."""
    info = os.fstat(source)
    if info.st_blocks * 512 >= info.st_size:
        yield 0, info.st_size
        return
    end = 0
    while end < info.st_size:
        try:
            start = os.lseek(source, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            if error.errno != errno.EINVAL:  # a file system that does not tell
                raise
            start, end = end, info.st_size
        else:
            end = os.lseek(source, start, os.SEEK_HOLE)
        yield start, min(end, info.st_size)


def _copy_some(source: int, destination: int, count: int) -> int:
    try:
        return os.copy_file_range(source, destination, min(count, _CHUNK))
    except OSError as error:  # some pairs of file systems (FUSE, overlay, network) have no in-kernel copy
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    return os.sendfile(destination, source, None, min(count, _CHUNK))


def clone_or_copy(source: int, destination: int) -> None:
    """Share blocks, or copy when the two files lie on different or unwilling file systems.

    The copy shares blocks, too, where two datasets of one OpenZFS pool are concerned.
    """
    try:
        try:
            clone(source, destination)
        except BlockingIOError:  # OpenZFS does not share what it has not written yet
            os.fsync(source)
            clone(source, destination)
    except OSError as error:
        if error.errno not in _UNSHARED:
            raise
        copy(source, destination)


class _FileStore(CowStore):
    """``objects/<capture>/<n>``: one directory per capture, one file per captured file."""

    transfer: Callable[[int, int], None]

    def __init__(self, root: Path, reason: str = "", *, readonly: bool = False) -> None:
        self.root = root
        self.reason = reason
        self._objects = root / "objects"
        self._incoming = root / "incoming"
        self._prefix = f"{self._objects}{os.sep}"
        if not readonly:
            self._objects.mkdir(parents=True, exist_ok=True)
            self._incoming.mkdir(exist_ok=True)

    def capture(self, label: str = "") -> Capture:
        return _FileCapture(self._incoming, self._objects, type(self).transfer)

    def place(self, name: str, destination: str, mode: int, mtime_ns: int) -> None:
        try:
            source = os.open(self._prefix + name, os.O_RDONLY)
        except FileNotFoundError as error:
            raise StoreError(f"the store has lost object {name}") from error
        try:
            _transfer(type(self).transfer, source, destination, mode, mtime_ns)
        finally:
            os.close(source)

    def intact(self, name: str, size: int, mtime_ns: int) -> bool:
        try:
            info = os.stat(self._prefix + name)  # a plain string: this is asked of every file of a version
        except OSError:
            return False
        return info.st_size == size and info.st_mtime_ns == mtime_ns

    def path(self, name: str) -> Path:
        return self._objects / name

    def remove(self, names: Iterable[str]) -> None:
        directories = set()
        for name in names:
            self.path(name).unlink(missing_ok=True)
            directories.add(self.path(name).parent)
        for directory in directories:
            if directory.is_dir() and not any(directory.iterdir()):
                directory.rmdir()

    def sweep(self) -> None:
        for left in self._incoming.iterdir():
            shutil.rmtree(left)

    def usage(self) -> Usage:
        sizes = [entry.stat().st_size for entry in self._objects.glob("*/*")]
        return Usage(len(sizes), sum(sizes), shutil.disk_usage(self.root).free)


class _FileCapture(Capture):
    def __init__(self, incoming: Path, objects: Path, transfer: Callable[[int, int], None]) -> None:
        self._name = uuid.uuid4().hex
        self._incoming = incoming / self._name
        self._final = objects / self._name
        self._transfer = transfer
        self._count = 0

    def add(self, source: str, mtime_ns: int) -> str:
        if not self._count:
            self._incoming.mkdir()
        handle = os.open(source, os.O_RDONLY)
        try:
            _transfer(self._transfer, handle, f"{self._incoming}{os.sep}{self._count}", 0o400, mtime_ns)
        finally:
            os.close(handle)
        self._count += 1
        return f"{self._name}/{self._count - 1}"

    def commit(self) -> None:
        if self._incoming.exists():
            self._incoming.rename(self._final)

    def abort(self) -> None:
        if self._incoming.exists():
            shutil.rmtree(self._incoming)


def _transfer(transfer: Callable[[int, int], None], source: int, destination: str, mode: int, mtime_ns: int) -> None:
    target = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        transfer(source, target)
        os.fchmod(target, mode)
        os.utime(target, ns=(mtime_ns, mtime_ns))
    except BaseException:
        os.unlink(destination)
        raise
    finally:
        os.close(target)


class ReflinkStore(_FileStore):
    """Shares blocks with the products (FICLONE: btrfs, XFS, OpenZFS >= 2.2); copies what lies elsewhere."""

    name = "reflink"
    transfer = staticmethod(clone_or_copy)


class CopyStore(_FileStore):
    """Copies: works anywhere, takes space and time for every file that a task changes."""

    name = "copy"
    transfer = staticmethod(copy)
