"""Which store works here? Found by trial, never by the file system's name."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from casa_recompute.store.base import CowStore, StoreError
from casa_recompute.store.files import CopyStore, ReflinkStore, clone
from casa_recompute.store.zfs import ZfsUnusable, earlier_zfs, open_zfs
from casa_recompute.store.zfs_command import dataset_of


def can_reflink(directory: Path) -> str:
    """Try to share blocks between two files in ``directory``; "" when it works, else why not."""
    with tempfile.TemporaryFile(dir=directory) as source, tempfile.TemporaryFile(dir=directory) as target:
        source.write(os.urandom(1 << 16))
        source.flush()
        os.fsync(source.fileno())
        try:
            clone(source.fileno(), target.fileno())
        except OSError as error:
            return error.strerror or str(error)
        return "" if os.fstat(target.fileno()).st_size == 1 << 16 else "the clone is incomplete"


def open_store(root: Path, choice: str = "auto") -> CowStore:
    """Open the store in ``root``, made if need be.

    Args:
        root: the directory of the store.
        choice: "auto", or the store to insist on: "zfs", "reflink", "copy".

    Raises:
        StoreError: the store that was asked for does not work here.
    """
    root.mkdir(parents=True, exist_ok=True)
    why, cure = "", ""
    if choice in ("auto", "zfs"):
        try:
            return open_zfs(root, insist=choice == "zfs")
        except ZfsUnusable as error:
            if choice == "zfs":
                raise
            if dataset_of(root) is not None:
                why, cure = f"; {error.why}", error.cure
    files = _open_files(root, choice)
    store = earlier_zfs(root, files) or files
    store.reason += why
    store.advice = cure
    return store


def _open_files(root: Path, choice: str) -> CowStore:
    if choice == "copy":
        return CopyStore(root, "asked for by the settings")
    obstacle = can_reflink(root)
    if not obstacle:
        return ReflinkStore(root, "this file system shares blocks between files")
    if choice == "reflink":
        raise StoreError(
            f"store = 'reflink' does not work in {root} ({obstacle}): use a workspace on btrfs, XFS or OpenZFS >= 2.2, "
            "or store = 'auto'"
        )
    return CopyStore(
        root,
        f"this file system does not share blocks ({obstacle}): every changed file is copied; "
        "a workspace on btrfs, XFS or OpenZFS >= 2.2 would cost nothing",
    )


def view_store(root: Path) -> CowStore:
    """The store in ``root`` to look at only: nothing is tried and nothing written."""
    return earlier_zfs(root) or CopyStore(root, readonly=True)
