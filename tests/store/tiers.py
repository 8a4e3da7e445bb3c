"""Where the contract of a store is tested: one tier for each store and file system.

A tier that this machine cannot have is named, with the reason, at the end of the test report; where the environment
says CI, its tests fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

IMAGE = 32 << 30
"""Bytes of a loop-mounted file system; its image is sparse."""
_ROOM = 8 << 30


class TierMissing(RuntimeError):
    """This machine cannot have the tier; the message says why, and what would cure it."""


@dataclass(frozen=True)
class Ground:
    """A place in which a store works."""

    store: str
    """What to ask ``open_store`` for."""
    make: Callable[[], Path]
    """A new, empty directory for a workspace."""
    drop: Callable[[Path], None]
    """Take such a directory away again, with all that is in it."""
    scale: int = 1
    """By how much tests have to be smaller here, because the tier is slow."""


def plain(directory: Path, store: str) -> Ground:
    """Workspaces that are simply directories."""

    def make() -> Path:
        place = directory / uuid.uuid4().hex
        place.mkdir()
        return place

    return Ground(store, make, shutil.rmtree)


def run(*command: str | Path) -> str:
    """Run a program that must succeed; what it printed.

    Raises:
        TierMissing: it failed.
    """
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise TierMissing(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.returncode}")
    return done.stdout


@contextmanager
def loop_mount(kind: str, directory: Path, size: int = IMAGE) -> Iterator[Path]:
    """A new file system in a sparse image file.

    Raises:
        TierMissing: it cannot be made or mounted here.
    """
    if os.geteuid():
        raise TierMissing("only root can mount a file system image: run the tests as root")
    if shutil.which(f"mkfs.{kind}", path=os.environ["PATH"] + ":/sbin:/usr/sbin") is None:
        raise TierMissing(f"there is no mkfs.{kind}: scripts/system-packages.sh stores")
    mounted = directory / "mounted"
    mounted.mkdir()
    in_memory = Path("/dev/shm")  # quicker, where there is room for what the tests write
    roomy = in_memory.is_dir() and shutil.disk_usage(in_memory).free > _ROOM
    image = (in_memory if roomy else directory) / f"{kind}-{uuid.uuid4().hex}.image"
    with image.open("wb") as stream:
        stream.truncate(size)
    try:
        run(f"mkfs.{kind}", "-q", image)
        run("mount", "-o", "loop", image, mounted)
        try:
            yield mounted
        finally:
            subprocess.run(["umount", "--lazy", mounted], check=True)
    finally:
        image.unlink()


@contextmanager
def copy(directory: Path) -> Iterator[Ground]:
    """The store that copies, on whatever file system the tests' temporary directory is."""
    yield plain(directory, "copy")


@contextmanager
def btrfs(directory: Path) -> Iterator[Ground]:
    """Shared blocks on btrfs."""
    with loop_mount("btrfs", directory) as mounted:
        yield plain(mounted, "reflink")


@contextmanager
def xfs(directory: Path) -> Iterator[Ground]:
    """Shared blocks on XFS."""
    with loop_mount("xfs", directory) as mounted:
        yield plain(mounted, "reflink")


@contextmanager
def zfs(directory: Path) -> Iterator[Ground]:
    """Snapshots, on whatever ZFS this machine has (OpenZFS itself: `make test-zfs`)."""
    from tests.store.zfs import zfs as tier

    with tier(directory) as ground:
        yield ground


TIERS: dict[str, Callable[[Path], AbstractContextManager[Ground]]] = {
    "copy": copy,
    "btrfs": btrfs,
    "xfs": xfs,
    "zfs": zfs,
}
"""All tiers, by name. ``STORE_TIERS=name,name`` in the environment selects."""


def selected() -> list[str]:
    """Names of the tiers to be tested in this run."""
    asked = os.environ.get("STORE_TIERS")
    return asked.split(",") if asked else list(TIERS)


def in_ci() -> bool:
    """Whether a missing tier is a failure."""
    return os.environ.get("JLCASA_CI", os.environ.get("CI", "")).lower() not in ("", "0", "false")
