"""A disk that fails when it is told to: a file system of our own (FUSE) that passes everything on to a directory.

``FaultyDisk`` starts it in a process of its own and commands it; run as a program, this module is that process.
"""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tests.store.tiers import Ground, TierMissing, plain

_PATIENCE_S = 30
ALL = 1 << 40
"""More operations than there are."""


@dataclass(frozen=True)
class Fault:
    """Which operations fail: those from the ``first`` on, ``count`` of them, among those that are meant."""

    first: int = 0
    count: int = 1
    error: str = "EIO"
    """What they answer; "gone": the whole disk is, until it is mounted again."""
    operations: tuple[str, ...] = ()
    """Names as libfuse has them; (): all."""
    names: str = "*"
    """Which files: a pattern of paths, where ``*`` crosses directories. What SQLite maps (``-shm``) is spared."""
    inodes: tuple[int, ...] = ()
    """Which of their reads and writes: those of these files, whatever they are called by then; (): of all."""


class FaultyDisk:
    """Mounted at ``mounted``; what it holds lies in ``backing``, where it can be seen as on a disk that works."""

    def __init__(self, directory: Path) -> None:
        """Mount it in ``directory``.

        Raises:
            TierMissing: FUSE does not work here.
        """
        self.backing, self.mounted = directory / "backing", directory / "faulty"
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            raise TierMissing("there is no /dev/fuse that one may use: load the kernel's module fuse")
        for place in (self.backing, self.mounted):
            place.mkdir(exist_ok=True)
        self.mount()

    def mount(self) -> None:
        """Mount it, in good health: also after it was unmounted, as when a disk is replaced."""
        command = [sys.executable, "-m", "tests.store.faulty_disk", str(self.backing), str(self.mounted)]
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self._server = subprocess.Popen(command, cwd=Path(__file__).parents[2], text=True, **streams)
        if self._answer() != "mounted":
            self.unmount()
            said = self._server.stderr.read().strip().splitlines()  # type: ignore[union-attr]
            raise TierMissing(f"{said[-1] if said else 'FUSE cannot mount here'}: scripts/system-packages.sh stores")

    def unmount(self) -> None:
        """End it, whoever still uses it: from then on that one's operations fail."""
        self._server.kill()
        self._server.wait()
        if shutil.which("fusermount3"):
            subprocess.run(["fusermount3", "-uz", self.mounted], capture_output=True, timeout=_PATIENCE_S)

    def arm(self, fault: Fault) -> None:
        """From now on operations are counted, and ``fault`` happens."""
        self._command(vars(fault))

    def disarm(self) -> tuple[int, list[str]]:
        """It works again; how many operations were counted, and those that failed."""
        count, failed = self._command(None)
        return count, failed

    def _command(self, what: object) -> Any:
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(what) + "\n")
        self._server.stdin.flush()
        return json.loads(self._answer())

    def _answer(self) -> str:
        assert self._server.stdout is not None
        if not select.select([self._server.stdout], [], [], _PATIENCE_S)[0]:
            self._server.kill()
            raise TimeoutError("the faulty disk hangs")
        return self._server.stdout.readline().strip()


@dataclass(frozen=True)
class FaultyGround(Ground):
    """Workspaces on a faulty disk; :attr:`make` gives places in its ``backing``."""

    disk: FaultyDisk | None = None


@contextmanager
def faulty(directory: Path) -> Iterator[Ground]:
    """The store that copies, on a disk that fails."""
    disk = FaultyDisk(directory)
    try:
        ground = plain(disk.backing, "copy")
        yield FaultyGround("copy", ground.make, ground.drop, disk=disk)
    finally:
        disk.unmount()


def _serve(backing: str, mounted: str) -> None:
    os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")
    import mfusepy

    class Disk(mfusepy.Operations):  # type: ignore[misc]
        """Passes everything on, unless it is to fail."""

        use_ns = True

        def __init__(self) -> None:
            self.fault: Fault | None = None
            self.count, self.failed = 0, list[str]()
            self.guard = threading.Lock()

        def place(self, path: str) -> str:
            return backing + path

        def step(self, name: str, *paths: str, handle: int = -1) -> None:
            with self.guard:
                fault = self.fault
                if fault is None or not (not fault.operations or name in fault.operations):
                    return
                if not any(fnmatchcase(path, fault.names) for path in paths) or paths[0].endswith("-shm"):
                    return
                if fault.inodes and (handle < 0 or os.fstat(handle).st_ino not in fault.inodes):
                    return
                self.count += 1
                if fault.first < self.count <= fault.first + fault.count:
                    if fault.error == "gone":
                        os._exit(1)
                    self.failed.append(f"{name} {paths[0]}")
                    raise mfusepy.FuseOSError(getattr(errno, fault.error))

        def init(self, path: str) -> None:
            print("mounted", flush=True)

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            self.step("getattr", path)
            info = os.lstat(self.place(path))
            names = ("mode", "ino", "nlink", "uid", "gid", "size", "blocks")
            found = {f"st_{name}": getattr(info, f"st_{name}") for name in names}
            return found | {f"st_{name}": getattr(info, f"st_{name}_ns") for name in ("atime", "mtime", "ctime")}

        def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
            self.step("readdir", path)
            with os.scandir(self.place(path)) as entries:
                return [(entry.name, {"st_ino": entry.inode()}, 0) for entry in entries]

        def readlink(self, path: str) -> str:
            self.step("readlink", path)
            return os.readlink(self.place(path))

        def statfs(self, path: str) -> dict[str, int]:
            self.step("statfs", path)
            info = os.statvfs(self.place(path))
            return {name: getattr(info, name) for name in dir(info) if name.startswith("f_")}

        def open(self, path: str, flags: int) -> int:
            self.step("open", path)
            return os.open(self.place(path), flags)

        def create(self, path: str, mode: int, flags: int) -> int:
            self.step("create", path)
            return os.open(self.place(path), flags | os.O_CREAT, mode)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            self.step("read", path, handle=fh)
            return os.pread(fh, size, offset)

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            self.step("write", path, handle=fh)
            return os.pwrite(fh, data, offset)

        def truncate(self, path: str, length: int, fh: int | None = None) -> None:
            self.step("truncate", path)
            os.truncate(self.place(path) if fh is None else fh, length)

        def flush(self, path: str, fh: int) -> None:
            self.step("flush", path)

        def fsync(self, path: str, datasync: int, fh: int) -> None:
            self.step("fsync", path)

        def fsyncdir(self, path: str, datasync: int, fh: int) -> None:
            self.step("fsync", path)

        def release(self, path: str, fh: int) -> None:
            os.close(fh)

        def link(self, target: str, source: str) -> None:
            self.step("link", target, source)
            os.link(self.place(source), self.place(target))

        def symlink(self, target: str, source: str) -> None:
            self.step("symlink", target)
            os.symlink(source, self.place(target))

        def rename(self, old: str, new: str) -> None:
            self.step("rename", old, new)
            os.rename(self.place(old), self.place(new))

        def utimens(self, path: str, times: tuple[int, int] | None = None) -> None:
            self.step("utimens", path)
            os.utime(self.place(path), ns=times, follow_symlinks=False)

    def one(name: str, action: Callable[..., object]) -> Callable[..., None]:
        def operation(disk: Disk, path: str, *arguments: int) -> None:
            disk.step(name, path)
            action(disk.place(path), *arguments)

        return operation

    for name in ("unlink", "mkdir", "rmdir", "chmod", "chown"):
        setattr(Disk, name, one(name, getattr(os, name)))
    disk = Disk()

    def obey() -> None:
        for line in sys.stdin:
            order = json.loads(line)
            with disk.guard:
                if order is not None:
                    disk.count, disk.failed = 0, []
                disk.fault = Fault(**order) if order is not None else None
                answer = [disk.count, disk.failed]
            print(json.dumps(answer), flush=True)
        subprocess.run(["fusermount3", "-uz", mounted])  # who commands it is gone
        os._exit(0)

    threading.Thread(target=obey, daemon=True).start()
    # Nothing is remembered by the kernel: each look at a file is an operation, which can fail.
    never = {"entry_timeout": 0, "attr_timeout": 0, "negative_timeout": 0}
    mfusepy.FUSE(disk, mounted, foreground=True, nothreads=True, use_ino=True, **never)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
