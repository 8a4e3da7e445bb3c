"""The store that keeps versions as snapshots of a ZFS dataset.

A capture copies nothing: it is one snapshot of the dataset that the workspace lies in, and its objects are files in
there, named ``@<snapshot>/<path in the dataset>``. What lies elsewhere, or in the workspace's own scratch (pictures),
is kept as a file beside. For each snapshot a small list (``snapshots/<snapshot>``) says which of its files are wanted;
when none is left, the snapshot is destroyed.

OpenZFS shows snapshots under ``.zfs/snapshot``, from where ``copy_file_range`` brings files back sharing their blocks,
without a mount and without root. zfs-fuse has no such directory: there a snapshot is read through a clone.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from casa_recompute.products.signature import is_lock
from casa_recompute.store.base import Capture, CowStore, StoreError, Usage
from casa_recompute.store.files import ReflinkStore, copy, sync_directory, write_new
from casa_recompute.store.zfs_command import Dataset, Zfs, ZfsError, dataset_of

_WRITE_AND_WAIT = 1 | 2 | 4  # SYNC_FILE_RANGE_WAIT_BEFORE | _WRITE | _WAIT_AFTER
_VIEWS = 8
"""Clones kept at a time where snapshots are read through clones."""
_LISTED_S = 1.0
"""For how many seconds one believes that the snapshots are still those that were listed."""
_sync_file_range = ctypes.CDLL(None, use_errno=True).sync_file_range


class ZfsStore(CowStore):
    """Snapshots of the workspace's dataset; see the module.

    Where no more snapshots can be taken, as when a permission was withdrawn, those that there are can still be read;
    ``instead`` is then the store that keeps what is new.
    """

    def __init__(self, root: Path, zfs: Zfs, *, instead: CowStore | None = None, readonly: bool = False) -> None:
        self.root = root
        self.zfs = zfs
        self.reason = instead.reason if instead is not None else ""
        self.name = instead.name if instead is not None else "zfs"
        self.holds = self.checked = instead is None
        self.shares = instead is not None and instead.shares
        self._instead = instead
        self._files = instead or ReflinkStore(root, readonly=readonly)
        self._wanted = root / "snapshots"
        self._begun = root / "snapshots-begun"
        self._holders = root / "holders"
        self._mountpoint = str(zfs.dataset.mountpoint).rstrip("/") + "/"
        self._own = os.path.join(os.path.realpath(root.parent), "")
        self._snapdir = f"{self._mountpoint}.zfs/snapshot/"
        self._direct = os.path.isdir(self._snapdir)
        self._lists: dict[str, tuple[tuple[int, int], dict[str, tuple[int, int]]]] = {}
        self._there: tuple[float, set[str]] = (0.0, set())
        self._views: list[str] = []
        self._holder: tuple[int, str] | None = None
        self._held: set[str] = set()
        if not readonly:
            for directory in (self._wanted, self._begun, self._holders):
                directory.mkdir(parents=True, exist_ok=True)

    # -- keeping -----------------------------------------------------------------------------------------------

    def capture(self, label: str = "") -> Capture:
        files = self._files.capture(label)
        return files if self._instead is not None else _ZfsCapture(self, files, label)

    def inside(self, directory: str) -> str | None:
        """A directory's path in the dataset, with a slash; None when it is not part of it, or is the store's own."""
        real = os.path.join(os.path.realpath(directory), "")
        device = os.stat(real).st_dev
        if not real.startswith(self._mountpoint) or real.startswith(self._own) or device != os.stat(self.root).st_dev:
            return None
        return real[len(self._mountpoint) :]

    def take(self, snapshot: str, label: str, files: dict[str, tuple[os.stat_result, int]]) -> None:
        """Keep files (path in the dataset -> as they were added, and the time they are to have) in a new snapshot.

        Raises:
            StoreError: a file was changed since it was added; the snapshot is destroyed.
            ZfsError: there is no room, or it is not allowed.
        """
        begun = self._begun / snapshot
        begun.write_text(json.dumps({name: (info.st_size, mtime) for name, (info, mtime) in files.items()}))
        self.zfs.snapshot(snapshot, label)
        for name, (info, _) in files.items():
            if not is_lock(name) and not _same(info, self._mountpoint + name):
                raise StoreError(f"{self._mountpoint}{name} was changed by another program while it was being kept")

    def keep(self, snapshot: str) -> None:
        """What :meth:`take` took is from now on in the store."""
        (self._begun / snapshot).rename(self._wanted / snapshot)
        sync_directory(self._wanted)  # the snapshot itself is on the disk as soon as it is taken
        self._there[1].add(snapshot)

    def forget(self, snapshot: str) -> None:
        """Undo :meth:`take`."""
        if (self._begun / snapshot).exists():
            self.zfs.destroy([snapshot])
            (self._begun / snapshot).unlink()

    def settle(self) -> None:
        self._files.settle()

    def settled(self, names: Iterable[str]) -> bool:
        return self._files.settled(name for name in names if not name.startswith("@"))

    # -- giving back -------------------------------------------------------------------------------------------

    def place(self, name: str, destination: str, mode: int, mtime_ns: int) -> None:
        if not name.startswith("@"):
            self._files.place(name, destination, mode, mtime_ns)
            return
        snapshot, relative = _split(name)
        if relative not in self._list(snapshot):  # destroyed; or imported as a file
            self._files.place(name, destination, mode, mtime_ns)
            return
        try:
            source = os.open(self._view(snapshot) + relative, os.O_RDONLY)
        except OSError as error:  # the snapshot was destroyed, or cannot be mounted here
            raise StoreError(f"object {name} cannot be read: {error}") from error
        try:
            write_new(copy, source, destination, mode, mtime_ns)
        finally:
            os.close(source)

    def intact(self, name: str, size: int, mtime_ns: int) -> bool:
        if not name.startswith("@"):
            return self._files.intact(name, size, mtime_ns)
        snapshot, relative = _split(name)
        known = self._list(snapshot).get(relative)
        if known is None:
            return self._files.intact(name, size, mtime_ns)
        return known == (size, mtime_ns) and self._exists(snapshot)

    def path(self, name: str) -> Path:
        if not name.startswith("@"):
            return self._files.path(name)
        snapshot, relative = _split(name)
        if relative not in self._list(snapshot) or not self._exists(snapshot):
            return self._files.path(name)
        return Path(self._view(snapshot) + relative)

    def in_snapshots(self) -> Iterator[tuple[str, int]]:
        """Every object that is in a snapshot, and its time."""
        for path in sorted(self._wanted.iterdir()):
            for relative, (_, mtime_ns) in self._list(path.name).items():
                yield f"@{path.name}/{relative}", mtime_ns

    def objects(self) -> set[str]:
        return {name for name, _ in self.in_snapshots()} | self._files.objects()

    def freed(self, names: Iterable[str]) -> int | None:
        """Bytes that the pool would get back if these objects were removed; None if ZFS does not tell (zfs-fuse)."""
        gone: dict[str, set[str]] = {}
        for name in names:
            snapshot, relative = _split(name)
            gone.setdefault(snapshot, set()).add(relative)
        going = [s for s, relatives in gone.items() if (wanted := self._list(s)) and wanted.keys() <= relatives]
        return self.zfs.reclaims(going)

    def _list(self, snapshot: str) -> dict[str, tuple[int, int]]:
        """The files of a snapshot that are in the store: path -> size and time; others may have changed it."""
        path = self._wanted / snapshot
        try:
            info = os.stat(path)
            seen = (info.st_mtime_ns, info.st_ino)
            known = self._lists.get(snapshot)
            if known is None or known[0] != seen:
                rows = json.loads(path.read_bytes())
                known = self._lists[snapshot] = seen, {name: (row[0], row[1]) for name, row in rows.items()}
            return known[1]
        except (OSError, ValueError):  # not there; or damaged, then it counts as lost
            return {}

    def _exists(self, snapshot: str) -> bool:
        """Whether a snapshot is there; listed, because of a single one the kernel remembers that it was there once."""
        when, there = self._there
        if time.monotonic() - when > _LISTED_S:
            try:
                there = set(os.listdir(self._snapdir) if self._direct else self.zfs.snapshots())
            except OSError:
                there = set()
            self._there = time.monotonic(), there
        return snapshot in there

    def _view(self, snapshot: str) -> str:
        """The directory in which a snapshot is to be read, with a slash at its end."""
        if self._direct:
            return f"{self._snapdir}{snapshot}/"
        view = self.root / "views" / snapshot
        if not os.path.ismount(view):
            while len(self._views) >= _VIEWS:
                self._close_view(self._views.pop(0))
            view.mkdir(parents=True, exist_ok=True)
            clone = f"{self.zfs.dataset.name}/{snapshot}"
            try:
                self.zfs.run("clone", "-o", "readonly=on", "-o", f"mountpoint={view}", self.zfs.full(snapshot), clone)
            except ZfsError as error:
                if error.errno != errno.EEXIST:
                    raise
                self.zfs.run("mount", clone)
            self._views.append(snapshot)
        return f"{view}/"

    def _close_view(self, snapshot: str) -> None:
        """Give back the clone in which a snapshot is read; one that stays busy is left for the next sweep."""
        view = self.root / "views" / snapshot
        if not view.exists():
            return
        for attempt in range(20):  # zfs-fuse says "busy" for a while after somebody read there
            try:
                self.zfs.run("destroy", f"{self.zfs.dataset.name}/{snapshot}")
                break
            except ZfsError as error:
                if error.errno == errno.ENOENT:
                    break
                if error.errno != errno.EBUSY:
                    raise
                if attempt == 19:
                    return
                time.sleep(0.1)
        view.rmdir()

    # -- holding -----------------------------------------------------------------------------------------------

    def hold(self, captures: Iterable[str]) -> None:
        wanted = {name[1:] for name in captures if name.startswith("@")}
        new, old = wanted - self._held, self._held - wanted
        if not new and not old:
            return
        if self._holder is None:
            self._holder = self._become_holder()
        handle, tag = self._holder
        listed = "".join(f"{snapshot}\n" for snapshot in sorted(wanted | old)).encode()
        os.pwrite(handle, listed, 0)
        os.ftruncate(handle, len(listed))
        there = {snapshot for snapshot in new if self._exists(snapshot)}
        if there:
            self.zfs.hold(tag, sorted(there))
        if old:
            self.zfs.release(tag, sorted(old))
        self._held = there | (wanted & self._held)

    def _become_holder(self) -> tuple[int, str]:
        """A file that tells what we hold, locked as long as we live, and the tag of our holds, which is its name."""
        while True:
            tag = f"casa-{uuid.uuid4().hex}"
            handle = os.open(self._holders / tag, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:
                return handle, tag
            os.close(handle)  # before it was locked, somebody took it for a dead one's

    def close(self) -> None:
        for snapshot in self._views:
            self._close_view(snapshot)
        self._views.clear()
        if self._holder is not None:
            handle, tag = self._holder
            self._holder = None
            self._release(tag, self._held)
            os.close(handle)
            self._held = set()

    def _release(self, tag: str, snapshots: Iterable[str]) -> None:
        self.zfs.release(tag, sorted(snapshots))
        (self._holders / tag).unlink(missing_ok=True)

    def release_dead(self) -> None:
        """Release what processes hold that are no more: nobody has their file locked."""
        for path in self._holders.iterdir():
            # Locked by one who lives, gone just now, or another user's.
            with contextlib.suppress(BlockingIOError, FileNotFoundError, PermissionError), path.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._release(path.name, stream.read().decode().split())

    # -- forgetting --------------------------------------------------------------------------------------------

    def remove(self, names: Iterable[str]) -> None:
        files: list[str] = []
        gone: dict[str, set[str]] = {}
        for name in names:
            snapshot, relative = _split(name)
            if name.startswith("@") and relative in self._list(snapshot):
                gone.setdefault(snapshot, set()).add(relative)
            else:
                files.append(name)
        self._files.remove(files)
        unwanted = []
        for snapshot, relatives in gone.items():
            wanted = self._list(snapshot)
            left = {relative: wanted[relative] for relative in wanted.keys() - relatives}
            if len(left) < len(wanted):
                self._write(snapshot, left)
            if wanted and not left:
                unwanted.append(snapshot)
        self._destroy(unwanted)

    def _write(self, snapshot: str, wanted: dict[str, tuple[int, int]]) -> None:
        temporary = self._begun / f".{uuid.uuid4().hex}"
        temporary.write_text(json.dumps(wanted))
        temporary.replace(self._wanted / snapshot)

    def _destroy(self, snapshots: list[str]) -> None:
        """Destroy snapshots of which nothing is wanted; one that somebody holds, or that is not ours, stays."""
        for snapshot in snapshots:
            if not self._direct:
                self._close_view(snapshot)
                self._views = [view for view in self._views if view != snapshot]
            for last in (False, True):
                try:
                    self.zfs.destroy([snapshot])
                except ZfsError as error:
                    if error.errno not in (errno.EBUSY, errno.EPERM):
                        raise
                    if not last and error.errno == errno.EBUSY:
                        self.release_dead()
                    continue
                (self._wanted / snapshot).unlink(missing_ok=True)
                self._there[1].discard(snapshot)
                break

    def sweep(self) -> None:
        self._files.sweep()
        for path in self._begun.iterdir():
            if path.name.startswith("."):
                path.unlink()
            else:
                self.forget(path.name)
        self.release_dead()
        if (self.root / "views").exists():
            for view in (self.root / "views").iterdir():
                self._close_view(view.name)
            self._views.clear()
        self._destroy([path.name for path in self._wanted.iterdir() if path.read_bytes() == b"{}"])

    def usage(self) -> Usage:
        files = self._files.usage()
        sizes = [size for path in self._wanted.glob("*") for size, _ in self._list(path.name).values()]
        free, taken = shutil.disk_usage(self.root).free, None
        with contextlib.suppress(ZfsError):  # of all snapshots, also of those that are not ours
            taken = int(self.zfs.run("get", "-H", "-p", "-o", "value", "usedbysnapshots", self.zfs.dataset.name))
        return Usage(files.objects + len(sizes), files.bytes + sum(sizes), free, taken)


class _ZfsCapture(Capture):
    def __init__(self, store: ZfsStore, files: Capture, label: str) -> None:
        self._store = store
        self._files = files
        self._label = label
        called = re.sub(r"[^A-Za-z0-9]", "", label)[:40] or "kept"
        self._snapshot = f"casa_{called}_{uuid.uuid4().hex[:12]}"
        self._taken: dict[str, tuple[os.stat_result, int]] = {}
        self._directories: dict[str, str | None] = {}

    def add(self, source: str, mtime_ns: int) -> str:
        directory, base = os.path.split(source)
        if directory not in self._directories:
            self._directories[directory] = self._store.inside(directory)
        inside = self._directories[directory]
        if inside is None:
            return self._files.add(source, mtime_ns)
        handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            # What was written through a memory map is not yet known to ZFS: without this the snapshot would miss it.
            if _sync_file_range(handle, ctypes.c_int64(0), ctypes.c_int64(0), _WRITE_AND_WAIT):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), source)
            info = os.fstat(handle)
        finally:
            os.close(handle)
        _wait_until_changes_show(info)
        self._taken[inside + base] = info, mtime_ns
        return f"@{self._snapshot}/{inside}{base}"

    def commit(self) -> None:
        if self._taken:
            self._store.take(self._snapshot, self._label or "kept", self._taken)
        self._files.commit()
        if self._taken:
            self._store.keep(self._snapshot)
            self._taken = {}

    def abort(self) -> None:
        self._files.abort()
        if self._taken:
            self._store.forget(self._snapshot)


def _split(name: str) -> tuple[str, str]:
    snapshot, _, relative = name[1:].partition("/")
    return snapshot, relative


def _same(before: os.stat_result, path: str) -> bool:
    try:
        now = os.lstat(path)
    except OSError:
        return False
    return (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns) == (
        before.st_ino,
        before.st_size,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )


def _wait_until_changes_show(info: os.stat_result) -> None:
    """Wait until a change of this file would be seen in its times, which advance in steps (zfs-fuse: whole seconds)."""
    step = 20_000_000 if info.st_ctime_ns % 10**9 else 10**9
    left = info.st_ctime_ns + step - time.time_ns()
    if 0 < left <= step:
        time.sleep(left / 1e9)


# -- detection -------------------------------------------------------------------------------------------------------


class ZfsUnusable(StoreError):
    """Snapshots cannot be had here; ``cure`` is what to type to have them, "" if that is not known."""

    def __init__(self, why: str, cure: str = "") -> None:
        super().__init__(f"{why}; {cure}" if cure else why)
        self.why = why
        self.cure = cure


def open_zfs(root: Path, *, insist: bool = False) -> ZfsStore:
    """Open the store in ``root`` on ZFS.

    Whether it works is tried once in a workspace (and again after a boot, or by another user); then that is remembered.

    Args:
        root: the directory of the store, in the workspace's own.
        insist: also where the workspace is only a part of a dataset, so that snapshots keep all else in it, too.

    Raises:
        ZfsUnusable: it does not work here.
    """
    workspace = Path(os.path.realpath(root.parents[1]))
    dataset = dataset_of(workspace)
    if dataset is None:
        raise ZfsUnusable(f"{workspace} is not in a ZFS dataset")
    zfs = Zfs(dataset)
    if not insist and workspace != dataset.mountpoint:
        new = Zfs(Dataset(f"{dataset.name}/NAME", dataset.mountpoint / "NAME"))
        raise ZfsUnusable(
            f"{workspace} is no ZFS dataset of its own, but a part of {dataset.name}: snapshots would keep all of it",
            f"for a new workspace: sudo zfs create {new.dataset.name} && "
            f"sudo chown {new.user} {new.dataset.mountpoint} && {new.allow_line()}",
        )
    try:
        store = ZfsStore(root, zfs)
        _remembered_trial(store, zfs)
        store.release_dead()
    except OSError as error:
        why = f"ZFS does not do in {dataset.name} what keeping versions as snapshots needs ({error.strerror})"
        raise ZfsUnusable(why, zfs.allow_line() if error.errno == errno.EPERM else "") from error
    how = "" if store._direct else ", read through clones (zfs-fuse)"
    store.reason = f"{dataset.name} is a ZFS dataset: a version is a snapshot{how}"
    return store


def earlier_zfs(root: Path, instead: CowStore | None = None) -> ZfsStore | None:
    """A store that gives back what was kept in ``root`` as snapshots earlier; None if nothing was.

    Args:
        root: the directory of the store.
        instead: keeps what is new; None: only to look at, nothing is written.
    """
    dataset = dataset_of(root) if (root / "snapshots").is_dir() and any((root / "snapshots").iterdir()) else None
    return ZfsStore(root, Zfs(dataset), instead=instead, readonly=instead is None) if dataset is not None else None


def _remembered_trial(store: ZfsStore, zfs: Zfs) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    place = store.root / "zfs-tried"
    state = f"{zfs.dataset.name} {zfs.dataset.mountpoint} {os.getuid()} {boot}"
    if not place.exists() or place.read_text() != state:
        try_zfs(store, zfs)
        place.write_text(state)


def try_zfs(store: ZfsStore, zfs: Zfs) -> None:
    """Take a snapshot, read it, hold it, release it, destroy it.

    Raises:
        ZfsError: one of these is not possible.
    """
    trial = f"casa_trial_{os.getuid()}"  # always the same: what may be made but not destroyed is left over only once
    with (store.root / "trial").open("wb+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.write(b"before")
        stream.flush()
        zfs.destroy([trial])
        zfs.snapshot(trial, "trial")
        try:
            stream.seek(0)
            stream.write(b"after!")
            stream.flush()
            own = os.path.relpath(stream.name, zfs.dataset.mountpoint)
            seen = Path(store._view(trial) + own).read_bytes()
            if seen != b"before":
                raise ZfsError(errno.EIO, f"{zfs.full(trial)} shows {seen!r} instead of what was there")
            zfs.hold("casa-trial", [trial])
            zfs.release("casa-trial", [trial])
        finally:
            store.close()
            zfs.destroy([trial])
    with contextlib.suppress(FileNotFoundError):
        os.unlink(store.root / "trial")
