"""A workspace with its history as one file, and back.

Two kinds: a ``tar`` archive of the directory and of what the store holds, which any store can take over; and where
versions are snapshots, a ``zfs send`` stream, which needs ZFS on the other side and keeps everything that ZFS shares.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from casa_recompute.store.base import StoreError
from casa_recompute.store.zfs import ZfsStore
from casa_recompute.store.zfs_command import KEY, PERMISSIONS, Dataset, Zfs, ZfsError, dataset_of
from casa_recompute.workspace import HOME, Workspace

_MAGIC = b"jupyterlab-casa zfs 1\n"
_HEAD = 4096
"""Bytes before the streams: the magic, then JSON."""
_NOT_MOVED = ("lock", "reserve", "settled", "tmp", "ledger.sqlite-shm")
"""What of a workspace's own directory belongs to the machine that it is on."""
_NOT_MOVED_OF_STORE = (
    "incoming", "snapshots", "snapshots-begun", "holders", "views", "zfs-tried", "trial", "chores", "pieces",
)


@dataclass(frozen=True)
class Moved:
    """What came of it."""

    kind: str  # "tar", "zfs"
    bytes: int  # of the archive
    todo: str = ""  # the command that an administrator has to give yet


def export_workspace(space: Workspace, target: Path, *, portable: bool = False) -> Moved:
    """Write a workspace with its history to a file.

    Args:
        space: the workspace; it is locked meanwhile.
        target: the file; must not lie in the workspace.
        portable: a tar archive, also where there is ZFS.

    Raises:
        StoreError: the file would be part of itself.
        OSError: it cannot be written, or ZFS refuses.
    """
    if Path(os.path.realpath(target)).is_relative_to(space.directory):
        raise StoreError(f"{target} lies in the workspace that it is to hold: choose another place")
    partial = target.with_name(f"{target.name}.{secrets.token_hex(4)}.partial")
    stream = isinstance(space.store, ZfsStore) and space.store.name == "zfs" and not portable
    try:
        with space.lock():
            space.settle()
            (_write_streams if stream else _write_tar)(space, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return Moved("zfs" if stream else "tar", target.stat().st_size)


def import_workspace(archive: Path, directory: Path) -> Moved:
    """Make a workspace, with its history, from what :func:`export_workspace` wrote.

    Args:
        archive: the file.
        directory: the workspace to be; must be new, or empty.

    Raises:
        StoreError: the directory is not empty, the file is something else, or it needs ZFS and there is none.
        OSError: the disk is full, or ZFS refuses.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise StoreError(f"{directory} is not empty: choose a new directory")
    with archive.open("rb") as stream:
        zfs = stream.read(len(_MAGIC)) == _MAGIC
    todo = ""
    if zfs:
        todo = _receive(archive, directory)
    else:
        _read_tar(archive, directory)
    return Moved("zfs" if zfs else "tar", archive.stat().st_size, todo)


# -- tar ---------------------------------------------------------------------------------------------------------------


def _write_tar(space: Workspace, target: Path) -> None:
    with tarfile.open(target, "x", format=tarfile.PAX_FORMAT) as tar:
        for path, name, mtime_ns in _members(space):
            member = tar.gettarinfo(path, name)
            if member is None:  # a socket
                continue
            # To the nanosecond, which a float would not hold: the store knows its objects by it.
            member.pax_headers = {"mtime": f"{mtime_ns // 10**9}.{mtime_ns % 10**9:09d}"}
            if member.isreg():
                with open(path, "rb") as stream:
                    tar.addfile(member, stream)
            else:
                tar.addfile(member)


def _members(space: Workspace) -> Iterator[tuple[str, str, int]]:
    """Path, name in the archive and time of all that belongs to a workspace."""
    own, store = str(space.home), str(space.home / "store")
    for directory, directories, files in os.walk(space.directory):
        left_out = {own: _NOT_MOVED, store: _NOT_MOVED_OF_STORE}.get(directory, ())
        directories[:] = sorted(name for name in directories if name not in left_out)
        for name in (*directories, *sorted(name for name in files if name not in left_out)):
            path = os.path.join(directory, name)
            yield path, os.path.relpath(path, space.directory), os.lstat(path).st_mtime_ns
    if isinstance(space.store, ZfsStore):
        for name, mtime_ns in space.store.in_snapshots():
            yield str(space.store.path(name)), f"{HOME}/store/objects/{name}", mtime_ns


def _read_tar(archive: Path, directory: Path) -> None:
    try:
        with tarfile.open(archive) as tar:
            directory.mkdir(parents=True, exist_ok=True)
            times = []
            for member in tar:
                safe = tarfile.tar_filter(member, str(directory))  # raises if it would be written somewhere else
                tar.extract(safe, directory, filter="fully_trusted")
                seconds, _, fraction = member.pax_headers.get("mtime", str(member.mtime)).partition(".")
                times.append((directory / safe.name, int(seconds) * 10**9 + int(f"{fraction:0<9}"[:9])))
            for path, mtime_ns in reversed(times):  # directories after what is in them
                os.utime(path, ns=(mtime_ns, mtime_ns), follow_symlinks=False)
    except (tarfile.TarError, ValueError) as error:
        raise StoreError(f"{archive} is no exported workspace: {error}") from error
    if not (directory / HOME).is_dir():
        raise StoreError(f"{archive} is an archive of something else: there is no {HOME} in it")


# -- ZFS ---------------------------------------------------------------------------------------------------------------


def _write_streams(space: Workspace, target: Path) -> None:
    store = space.store
    assert isinstance(store, ZfsStore)
    zfs, last = store.zfs, f"casa_export_{secrets.token_hex(6)}"
    zfs.snapshot(last, "export")
    try:
        history, keys = zfs.snapshots(), zfs.keys()
        lengths: list[int] = []
        with target.open("xb") as stream:
            stream.seek(_HEAD)
            for extent in [[zfs.full(history[0])], ["-I", zfs.full(history[0]), zfs.full(last)]][: len(history)]:
                zfs.run("send", *extent, stdout=stream)
                lengths.append(os.fstat(stream.fileno()).st_size - _HEAD - sum(lengths))
                stream.seek(0, os.SEEK_END)
            head = {"lengths": lengths, "last": last, "place": str(space.directory)}
            stream.seek(0)
            stream.write((_MAGIC + json.dumps(head).encode()).ljust(_HEAD))
            stream.seek(0, os.SEEK_END)
            stream.write(json.dumps(keys).encode())
    finally:
        zfs.destroy([last])


def _receive(archive: Path, directory: Path) -> str:
    """Receive the streams as a new dataset; the command that is left to an administrator, "" if there is none."""
    parent = dataset_of(directory.parent)
    if parent is None or parent.mountpoint != Path(os.path.realpath(directory.parent)):
        raise StoreError(
            f"{archive} holds snapshots of ZFS, so {directory.parent} must be a ZFS dataset, in which {directory.name} "
            "becomes another; or export it with --portable"
        )
    if directory.exists():
        directory.rmdir()
    name = f"{parent.name}/{directory.name}"
    zfs = Zfs(Dataset(name, directory))
    try:
        with archive.open("rb") as stream:
            head = json.loads(stream.read(_HEAD)[len(_MAGIC) :])
            position = _HEAD
            for length in head["lengths"]:
                os.lseek(stream.fileno(), position, os.SEEK_SET)
                zfs.run("receive", "-u", name, stdin=stream)
                position += length
            stream.seek(position)
            keys = json.loads(stream.read())
    except ZfsError as error:
        if error.errno != errno.EPERM:
            raise
        cure = Zfs(parent).allow_line(f"create,receive,{PERMISSIONS}")
        raise ZfsError(error.errno, f"{error.strerror}; to have it allowed: {cure}") from error
    for snapshot, key in keys.items():
        zfs.run("set", f"{KEY}={key}", zfs.full(snapshot))
    zfs.destroy([head["last"]])
    try:
        zfs.run("mount", name)
    except ZfsError:
        if os.geteuid() == 0:
            raise
        return f"sudo zfs mount {name}"  # Linux lets nobody else mount
    return ""
