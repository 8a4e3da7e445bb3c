"""Stores that keep each captured file as a file: sharing blocks (reflink) or copying."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from casa_recompute.store.base import Capture, CowStore, StoreError, Usage

FICLONE = 0x40049409  # linux/fs.h
_CHUNK = 1 << 30
_UNSHARED = (errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EOPNOTSUPP, errno.EAGAIN, errno.EPERM, errno.ETXTBSY)
"""What FICLONE answers for two files that cannot share blocks."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_OTHER_BOOT_S = 86400.0
# Looked up now: a thread that does it while another one loads a library, whose start runs Python, waits for ever.
_syncfs = ctypes.CDLL(None, use_errno=True).syncfs


def clone(source: int, destination: int) -> None:
    """Let ``destination`` share all blocks of ``source`` (file descriptors).

    Raises:
        OSError: the file system does not share blocks between these two.
    """
    fcntl.ioctl(destination, FICLONE, source)


def copy(source: int, destination: int) -> None:
    """Copy a file's content in the kernel, sharing blocks where the file system does so by itself; holes stay holes."""
    info = os.fstat(source)
    end = 0
    for start, end in _data(source, info):
        os.lseek(source, start, os.SEEK_SET)
        os.lseek(destination, start, os.SEEK_SET)
        while start < end:
            done = _copy_some(source, destination, end - start)
            if not done:
                raise OSError(errno.EIO, "file became shorter while it was copied")
            start += done
    if end < info.st_size:
        os.ftruncate(destination, info.st_size)
    if info.st_blocks * 512 < info.st_size:
        # After a power cut the size must not say that all is there: holes could be data that were not written yet.
        os.fsync(destination)


def _data(source: int, info: os.stat_result) -> Iterator[tuple[int, int]]:
    """Where a file has data: (start, end) of each piece between its holes."""
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


def boot_id() -> str:
    """Another one each time the machine is started."""
    return _BOOT.read_text().strip()


def readable(path: Path) -> bool:
    """Whether the disk can read all of a file; also when there is none."""
    try:
        with path.open("rb", buffering=0) as stream:
            while stream.read(1 << 22):
                pass
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


def sync_filesystem(path: Path) -> None:
    """Write all that the file system at ``path`` has not written yet.

    Raises:
        OSError: it could not.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        if _syncfs(handle):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(handle)


def sync_directory(path: Path) -> None:
    """Make renames in a directory survive a power cut.

    Raises:
        OSError: the disk does not do it.
    """
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _FileStore(CowStore):
    """``objects/<capture>/<n>``: one directory per capture, one file per captured file.

    A capture that the disk may not have yet lies in ``young/<boot>/<capture>`` instead. After a power cut the machine
    has another boot id, so what may be incomplete is not found any more, without a byte having been read or waited for.
    """

    transfer: Callable[[int, int], None]

    def __init__(self, root: Path, reason: str = "", *, readonly: bool = False) -> None:
        self.root = root
        self.reason = reason
        self._objects = root / "objects"
        self._incoming = root / "incoming"
        self._young = root / "young" / boot_id()
        self._places = f"{self._objects}{os.sep}", f"{self._young}{os.sep}"
        if not readonly:
            for directory in (self._objects, self._incoming, self._young):
                directory.mkdir(parents=True, exist_ok=True)

    def capture(self, label: str = "") -> Capture:
        return _FileCapture(self._incoming, self._young, type(self).transfer, self.root.parents[1])

    def settle(self) -> None:
        young = os.listdir(self._young)
        if young:
            sync_filesystem(self.root)  # also if that was done just now: these are the names of a moment ago
        for name in young:
            with contextlib.suppress(FileNotFoundError):  # somebody else was quicker
                os.rename(self._young / name, self._objects / name)
        sync_directory(self._objects)  # what somebody else has moved may not be on the disk yet

    def settled(self, names: Iterable[str]) -> bool:
        captures = {name.split("/")[0] for name in names}
        if not captures:
            return True
        if not captures.isdisjoint(os.listdir(self._young)):
            return False
        sync_directory(self._objects)
        return True

    def place(self, name: str, destination: str, mode: int, mtime_ns: int) -> None:
        source = self._open(name)
        try:
            write_new(type(self).transfer, source, destination, mode, mtime_ns)
        except OSError as error:
            if error.errno == errno.EIO and not readable(self.path(name)):
                raise StoreError(f"the disk cannot read object {name}") from error
            raise
        finally:
            os.close(source)

    def intact(self, name: str, size: int, mtime_ns: int) -> bool:
        old, young = self._places
        for place in (old, young, old):  # it may move from one to the other meanwhile
            try:
                info = os.stat(place + name)  # a plain string: this is asked of every file of a version
            except OSError:
                continue
            return info.st_size == size and info.st_mtime_ns == mtime_ns
        return False

    def _open(self, name: str) -> int:
        old, young = self._places
        for place in (old, young, old):
            with contextlib.suppress(FileNotFoundError):
                handle = os.open(place + name, os.O_RDONLY | os.O_NOFOLLOW)
                if not os.path.islink(os.path.dirname(place + name)):
                    return handle
                os.close(handle)
        raise StoreError(f"the store has lost object {name}")

    def path(self, name: str) -> Path:
        young = self._young / name
        return young if young.exists() else self._objects / name

    def remove(self, names: Iterable[str]) -> None:
        directories = set()
        for name in names:
            place = self.path(name)
            place.unlink(missing_ok=True)
            directories.add(place.parent)
        for directory in directories:
            with contextlib.suppress(FileNotFoundError):
                if not any(directory.iterdir()):
                    directory.rmdir()

    def sweep(self) -> None:
        for left in self._incoming.iterdir():
            shutil.rmtree(left, ignore_errors=True)  # what the disk cannot remove takes room, no more
        for boot in self._young.parent.iterdir():
            # On a network file system another machine may be at work.
            if boot != self._young and time.time() - boot.stat().st_mtime > _OTHER_BOOT_S:
                shutil.rmtree(boot, ignore_errors=True)

    def objects(self) -> set[str]:
        places = (self._objects, self._young)
        tops = ((os.path.relpath(top, place), names) for place in places for top, _, names in os.walk(place))
        return {f"{top}/{name}" for top, names in tops for name in names}

    def usage(self) -> Usage:
        places = (self._objects, self._young)
        found = (os.path.join(top, name) for place in places for top, _, names in os.walk(place) for name in names)
        sizes = [os.stat(path).st_size for path in found]
        return Usage(len(sizes), sum(sizes), shutil.disk_usage(self.root).free)


class _FileCapture(Capture):
    def __init__(self, incoming: Path, young: Path, transfer: Callable[[int, int], None], workspace: Path) -> None:
        self._name = uuid.uuid4().hex
        self._incoming = incoming / self._name
        self._final = young / self._name
        self._transfer = transfer
        self._count = 0
        # Whose directories let others in as far as the store does: nobody comes to a version who cannot come to these.
        self._reach = dict.fromkeys(("/", str(workspace), str(incoming.parents[1])), 0o444)

    def _who(self, directory: str) -> int:
        """Who can come into a directory: bits of a file's mode."""
        known = self._reach.get(directory)
        if known is None:
            known = self._who(os.path.dirname(directory)) & (os.stat(directory).st_mode & 0o111) << 2
            self._reach[directory] = known
        return known

    def add(self, source: str, mtime_ns: int) -> str:
        if not self._count:
            self._incoming.mkdir()
        handle = os.open(source, os.O_RDONLY)
        try:
            # Who may read the product may read the version.
            mode = 0o400 | os.fstat(handle).st_mode & self._who(os.path.dirname(source))
            write_new(self._transfer, handle, f"{self._incoming}{os.sep}{self._count}", mode, mtime_ns)
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


def write_new(transfer: Callable[[int, int], None], source: int, destination: str, mode: int, mtime_ns: int) -> None:
    """Make a file at ``destination``, where there must be nothing, with what ``transfer`` brings from ``source``."""
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
    shares = True
    transfer = staticmethod(clone_or_copy)


class CopyStore(_FileStore):
    """Copies: works anywhere, takes space and time for every file that a task changes."""

    name = "copy"
    transfer = staticmethod(copy)
