"""File systems to measure on, and what plain copying costs there."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from casa_recompute.store.detect import can_reflink

SIZE = 16 << 30  # bytes of a loop-mounted file system; the file is sparse


class Unmeasurable(RuntimeError):
    """This machine cannot do what a row measures; the message says what it lacks."""


@contextmanager
def directory(parent: Path | None = None) -> Iterator[Path]:
    """A scratch directory, gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="casa-bench-", dir=parent)).resolve()
    try:
        yield path
    finally:
        os.chdir("/")
        shutil.rmtree(path)


@contextmanager
def reflink_directory(given: Path | None = None) -> Iterator[tuple[str, Path]]:
    """The file system's name and a scratch directory on one that shares blocks between files.

    Raises:
        Unmeasurable: none is given, none is here, and none can be mounted.
    """
    for place in (given, Path(tempfile.gettempdir())):
        if place is not None and not can_reflink(place):
            with directory(place) as scratch:
                yield filesystem(scratch), scratch
            return
    kind = next((name for name in ("btrfs", "xfs") if shutil.which(f"mkfs.{name}")), None)
    if kind is None:
        raise Unmeasurable("no file system with reflinks here: install btrfs-progs or xfsprogs, or use --reflink-dir")
    with loop_directory(kind) as mounted:
        yield f"{kind} (loop)", mounted


@contextmanager
def loop_directory(kind: str) -> Iterator[Path]:
    """A new file system in a sparse image.

    Raises:
        Unmeasurable: it cannot be made or mounted here.
    """
    if os.geteuid() or not shutil.which(f"mkfs.{kind}"):
        raise Unmeasurable(f"be root with mkfs.{kind}, to mount an image")
    with directory() as scratch:
        image, mounted = scratch / "image", scratch / "mounted"
        mounted.mkdir()
        with image.open("wb") as stream:
            stream.truncate(SIZE)
        subprocess.run([f"mkfs.{kind}", "-q", image], check=True, capture_output=True)
        try:
            subprocess.run(
                ["mount", "-o", "loop", image, mounted], check=True, capture_output=True, text=True
            )
        except subprocess.CalledProcessError as error:
            raise Unmeasurable(f"{kind} cannot be mounted here: {error.stderr.strip()}") from error
        try:
            yield mounted
        finally:
            os.chdir("/")
            subprocess.run(["umount", mounted], check=True)


def filesystem(path: Path) -> str:
    """The name of the file system at ``path``."""
    done = subprocess.run(["findmnt", "-no", "FSTYPE", "-T", path], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def copy_seconds(sources: Sequence[Path], reflink: str, repetitions: int = 9) -> float:
    """Median time of one ``cp -a --reflink=...`` of files and trees on the same file system."""
    # --parents, because files of one name in several trees must not meet.
    root = Path(os.path.commonpath([source.parent for source in sources]))
    names = [source.relative_to(root) for source in sources]

    def once() -> float:
        target = root / f".copy-{uuid.uuid4().hex}"
        target.mkdir()
        began = time.perf_counter()
        subprocess.run(
            ["cp", "-a", "--parents", f"--reflink={reflink}", *names, target], cwd=root, check=True
        )
        took = time.perf_counter() - began
        shutil.rmtree(target)
        return took

    return statistics.median(once() for _ in range(repetitions))


def stat_seconds(tree: Path, repetitions: int = 101) -> float:
    """Median time of one walk of a tree that stats every entry."""

    def walk(path: str) -> None:
        with os.scandir(path) as entries:
            for entry in entries:
                entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    walk(entry.path)

    return median(lambda: walk(str(tree)), repetitions)


def median(action: Callable[[], object], repetitions: int) -> float:
    """Median of the time that ``action`` takes, in seconds."""
    times = []
    for _ in range(repetitions):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def stamps(roots: Iterable[Path]) -> dict[Path, tuple[int, int, int]]:
    """What tells whether a file was written: inode, size and time of every file of some trees."""
    found = {}
    for root in roots:
        for path in [root, *root.rglob("*")] if root.exists() else []:
            if path.is_file():
                info = path.stat()
                found[path] = (info.st_ino, info.st_size, info.st_mtime_ns)
    return found


def written(before: dict[Path, tuple[int, int, int]], roots: Iterable[Path]) -> list[Path]:
    """The files that were written since ``before`` was taken."""
    return [path for path, stamp in stamps(roots).items() if before.get(path) != stamp]
