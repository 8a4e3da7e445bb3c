"""What a store needs of ZFS for one dataset: the ``zfs`` command, and libzfs_core where it is to be had.

The command is the base: it is called with lists of arguments, never through a shell. OpenZFS' own Python binding only
saves starting it. Two dialects are understood, found out by asking: OpenZFS, and the older one of zfs-fuse.
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import IO, Any

PERMISSIONS = "snapshot,destroy,mount,hold,release,userprop,send"
"""What an ordinary user must be allowed to do with a dataset (``mount``: destroying a snapshot wants it)."""
KEY = "jupyterlab-casa:key"
"""The user property of a snapshot: key of the call that it was taken for."""

_SYSTEM_MODULES = Path("/usr/lib/python3/dist-packages")
"""Where Debian's package python3-pyzfs lies, which a virtual environment does not see."""
_ERRORS = (
    (r"permission denied|insufficient privileges|[Cc]onnect: Permission", errno.EPERM),
    (r"out of space", errno.ENOSPC),
    (r"quota exceeded", errno.EDQUOT),
    (r"busy|being held|has dependent clones", errno.EBUSY),
    (r"does not exist|could not find any snapshots", errno.ENOENT),
    (r"already exists", errno.EEXIST),
)


class ZfsError(OSError):
    """ZFS did not do what it was asked; ``errno`` says what kind of reason it had, the message is its own."""


@dataclass(frozen=True)
class Dataset:
    """A ZFS file system that is mounted as a whole."""

    name: str
    mountpoint: Path


def dataset_of(path: Path) -> Dataset | None:
    """The dataset that a directory lies in; None when that is no ZFS, or only a part of a dataset is visible."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    real = os.path.realpath(path)
    for line in reversed(Path("/proc/self/mountinfo").read_bytes().splitlines()):
        fields = os.fsdecode(line).split(" ")
        kind, source = fields[fields.index("-", 6) + 1 :][:2]
        if fields[2] != wanted or fields[3] != "/" or kind not in ("zfs", "fuse.zfs"):
            continue
        place = re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), fields[4])
        if real == place or real.startswith(place.rstrip("/") + "/"):
            return Dataset(re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), source), Path(place))
    return None


class Zfs:
    """ZFS' commands for one dataset; its snapshots are named without the dataset."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    @cached_property
    def _program(self) -> str:
        system = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
        program = shutil.which("zfs", path=system)
        if program is None:
            raise ZfsError(errno.ENOENT, "there is no command zfs (Debian: zfsutils-linux)")
        return program

    @cached_property
    def modern(self) -> bool:
        """Whether the command speaks OpenZFS; else zfs-fuse's older dialect."""
        return not self._start("version").returncode

    @cached_property
    def binding(self) -> tuple[ModuleType | None, str]:
        """OpenZFS' libzfs_core if it can be used; and in words why, or why not."""
        return find_libzfs_core(self.dataset.name)

    def run(self, *arguments: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None) -> str:
        """Run ``zfs``; what it printed, unless that went to ``stdout``.

        Raises:
            ZfsError: it failed, or there is no such command.
        """
        done = self._start(*arguments, stdin=stdin, stdout=stdout)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().split("\nusage:")[0]
            kind = next((number for pattern, number in _ERRORS if re.search(pattern, said)), errno.EIO)
            raise ZfsError(kind, f"zfs {arguments[0]}: {said or f'exit code {done.returncode}'}")
        return (done.stdout or b"").decode(errors="replace")

    def _start(
        self, *arguments: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [self._program, *arguments],
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )

    def full(self, snapshot: str) -> str:
        """A snapshot's name as ZFS has it."""
        return f"{self.dataset.name}@{snapshot}"

    def snapshots(self) -> list[str]:
        """All snapshots of the dataset, oldest first."""
        how = ["-s", "createtxg", "-d", "1"] if self.modern else ["-r"]  # zfs-fuse lists them in this order anyway
        listed = self.run("list", "-H", "-o", "name", "-t", "snapshot", *how, self.dataset.name)
        prefix = self.full("")
        return [line.removeprefix(prefix) for line in listed.splitlines() if line.startswith(prefix)]

    def keys(self) -> dict[str, str]:
        """Snapshot -> key, of those that carry one."""
        how = ["-t", "snapshot", "-d", "1"] if self.modern else ["-r"]
        told = self.run("get", "-H", "-p", *how, "-s", "local", "-o", "name,value", KEY, self.dataset.name)
        pairs = (line.split("\t", 1) for line in told.splitlines())
        return {name.removeprefix(self.full("")): value for name, value in pairs if name.startswith(self.full(""))}

    def snapshot(self, name: str, key: str) -> None:
        """Take a snapshot; ``key`` becomes its user property.

        Raises:
            ZfsError: not allowed, no room, the name is taken.
        """
        core = self.binding[0]
        if core is None:
            self.run("snapshot", "-o", f"{KEY}={key}", self.full(name))
        else:
            _call(core, core.lzc_snapshot, [self.full(name).encode()], {KEY.encode(): key.encode()})

    def destroy(self, names: Collection[str]) -> None:
        """Destroy snapshots; those that are not there are no error.

        Raises:
            ZfsError: one is held, has clones, or it is not allowed.
        """
        core = self.binding[0]
        if core is not None:
            _call(core, core.lzc_destroy_snaps, [self.full(name).encode() for name in names], False)
            return
        for some in [",".join(names)] if self.modern and names else names:
            try:
                self.run("destroy", self.full(some))
            except ZfsError as error:
                if error.errno != errno.ENOENT:
                    raise

    def reclaims(self, names: Collection[str]) -> int | None:
        """Bytes that destroying these snapshots together would give back; None if ZFS does not tell (zfs-fuse)."""
        if not self.modern:
            return None
        told = self.run("destroy", "-n", "-v", "-p", self.full(",".join(names))) if names else ""
        return sum(int(line.split("\t")[1]) for line in told.splitlines() if line.startswith("reclaim\t"))

    def hold(self, tag: str, names: Collection[str]) -> None:
        """Let nobody destroy these snapshots until they are released.

        Raises:
            ZfsError: one is not there, or it is not allowed.
        """
        core = self.binding[0]
        if core is None:
            self.run("hold", tag, *map(self.full, names))
        elif _call(core, core.lzc_hold, {self.full(name).encode(): tag.encode() for name in names}):
            raise ZfsError(errno.ENOENT, "a snapshot that should be held is not there")

    def release(self, tag: str, names: Iterable[str]) -> None:
        """Release holds; those that are not there are no error.

        Raises:
            ZfsError: it is not allowed.
        """
        core = self.binding[0]
        if core is not None:
            _call(core, core.lzc_release, {self.full(name).encode(): [tag.encode()] for name in names})
            return
        for name in names:  # one by one: the command stops at the first that is not there
            try:
                self.run("release", tag, self.full(name))
            except ZfsError as error:
                if not re.search("does not exist|no such tag", str(error)):
                    raise

    @property
    def user(self) -> str:
        """Who we are, as ZFS wants to be told."""
        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:  # as in many containers
            return str(os.getuid())

    def allow_line(self, permissions: str = PERMISSIONS) -> str:
        """The command with which an administrator lets this user keep versions in this dataset."""
        return f"sudo zfs allow {self.user} {permissions} {self.dataset.name}"


def _call(core: ModuleType, function: Any, *arguments: Any) -> Any:
    """Call libzfs_core; what it raises is said as the command would."""
    try:
        return function(*arguments)
    except core.exceptions.ZFSError as error:
        first = next(iter(getattr(error, "errors", None) or ()), error)
        number = first.errno or errno.EIO
        what = function.__name__.removeprefix("lzc_").replace("_", " ")
        raise ZfsError(number, f"zfs {what}: {first or os.strerror(number)}") from error


def find_libzfs_core(dataset: str) -> tuple[ModuleType | None, str]:
    """OpenZFS' own Python binding, if it is to be had and answers rightly; and in words why, or why not.

    The package of the same name on PyPI (pyzfs 0.2.3, of 2016) is imported without an error, then calls today's C
    library with the wrong arguments, which aborts the process. It is known by what it lacks, before anything is called.
    """
    try:
        core = _import_libzfs_core()
    except ImportError as error:
        return None, f"libzfs_core is not used: {error} (Debian: python3-pyzfs); the command zfs does all it does"
    if not all(hasattr(core, name) for name in ("lzc_sync", "lzc_rollback_to", "lzc_channel_program")):
        return None, (
            f"libzfs_core in {os.path.dirname(core.__file__ or '')} is not used: it is PyPI's pyzfs of 2016, which "
            "would abort the process (pip uninstall pyzfs; OpenZFS' own is Debian's python3-pyzfs)"
        )
    try:
        right = core.lzc_exists(dataset.encode()) and not core.lzc_exists(f"{dataset}/{secrets.token_hex(8)}".encode())
    except (OSError, RuntimeError, core.exceptions.ZFSError) as error:  # no C library, or it cannot reach ZFS
        return None, f"libzfs_core is not used: {error}"
    if not right:
        return None, f"libzfs_core is not used: it does not find {dataset}"
    return core, f"libzfs_core of {os.path.dirname(core.__file__ or '')} saves starting the command zfs"


def _import_libzfs_core() -> ModuleType:
    """
    Raises:
        ImportError: it is not there.
    """
    found = importlib.util.find_spec("libzfs_core")
    place = _SYSTEM_MODULES / "libzfs_core"
    if found is None and (place / "__init__.py").exists():
        found = importlib.util.spec_from_file_location(
            "libzfs_core", place / "__init__.py", submodule_search_locations=[str(place)]
        )
    if found is None or found.loader is None:
        raise ImportError("it is not installed")
    if "libzfs_core" not in sys.modules:
        module = importlib.util.module_from_spec(found)
        sys.modules["libzfs_core"] = module
        try:
            found.loader.exec_module(module)
        except BaseException:
            del sys.modules["libzfs_core"]
            raise
    importlib.import_module("libzfs_core.exceptions")
    return sys.modules["libzfs_core"]
