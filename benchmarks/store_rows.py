"""What keeping and bringing back versions costs, and how much disk they take."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from blake3 import blake3
from disks import Unmeasurable, copy_seconds, directory, loop_directory, median, stat_seconds
from table import Row
from tutorial_rows import run

from casa_recompute.products import ABSENT, digest_files, scan, signature
from casa_recompute.store.extents import Blocks, all_extents
from casa_recompute.workspace import Workspace
from jupyterlab_casa.tutorial import write_tutorial

KINDS = ("btrfs", "xfs")
FILES = 77
"""As many as a MeasurementSet has."""
_PIECE = 1 << 24


def tree_of(root: Path, files: int, size: int) -> None:
    """A product of random data."""
    root.mkdir()
    rng = np.random.default_rng(1)
    for number in range(files):
        with (root / f"table.f{number}").open("wb") as stream:
            for start in range(0, size // files, _PIECE):
                stream.write(rng.bytes(min(_PIECE, size // files - start)))
    os.sync()


@contextmanager
def workspace(place: Path) -> Iterator[Workspace]:
    """A workspace in a directory, which is made if need be, with its lock."""
    place.mkdir(exist_ok=True)
    space = Workspace(place)
    try:
        with space.lock():
            yield space
    finally:
        space.close()


def there_and_back(space: Workspace, number: int) -> float:
    """Time to keep a product anew and to bring it back after it was deleted, in seconds. Deleting is not counted."""
    tree = scan(space.directory / "p")
    space.ledger.forget_presence("p")  # nothing is known of it: every file is captured
    began = time.perf_counter()
    space.capture({"p": (f"k-{number}", tree)}, f"key{number}")
    kept = time.perf_counter() - began
    space.restore({"p": ABSENT})
    began = time.perf_counter()
    space.restore({"p": f"k-{number}"})
    return kept + time.perf_counter() - began


def sizes(quick: bool) -> Iterator[Row]:
    """A hundred times the bytes in as many files must cost the same: what a user waits for, with the journal's fsync.

    The two take turns, so that what else the machine does meets both. The first turn does not count: files that were
    just written leave the page cache when they are deleted. ``cp`` of the same two, which has no journal, is told, too.
    """
    for kind in KINDS:
        with loop_directory(kind) as mounted:
            yield _sizes([mounted / "small", mounted / "large"], f"{kind} (loop)", quick)


def zfs_sizes(dataset: str | None, quick: bool) -> Iterator[Row]:
    """The same on ZFS, in two datasets that are made in one, and destroyed.

    Raises:
        Unmeasurable: no dataset is given.
    """
    if dataset is None:
        raise Unmeasurable("give a dataset with --zfs, or `make bench-zfs` (in a virtual machine)")
    names = [f"{dataset}/casa-bench-{size}" for size in ("small", "large")]
    try:
        places = []
        for name in names:
            subprocess.run(["zfs", "create", name], check=True)
            told = subprocess.run(["zfs", "get", "-Ho", "value", "mountpoint", name], capture_output=True, check=True)
            places.append(Path(told.stdout.decode().strip()))
        yield _sizes(places, "ZFS", quick)
    finally:
        for name in names:
            subprocess.run(["zfs", "destroy", "-r", name], check=False)


def _sizes(places: list[Path], where: str, quick: bool) -> Row:
    large = 58 * 10**7 if quick else 58 * 10**8
    with ExitStack() as stack:
        spaces = []
        for place, size in zip(places, (large // 100, large), strict=True):
            spaces.append(stack.enter_context(workspace(place)))
            tree_of(place / "p", FILES, size)
        turns = [[there_and_back(space, number) for space in spaces] for number in range(6 if quick else 16)]
        times = [statistics.median(column) for column in zip(*turns[1:], strict=True)]
        copies = [copy_seconds([space.directory / "p"], "auto" if where == "ZFS" else "always") for space in spaces]
        stores = {space.store.name for space in spaces}
    detail = " and ".join(f"{1e3 * took:.1f}" for took in times) + " ms; cp "
    detail += " and ".join(f"{1e3 * took:.1f}" for took in copies) + f" ms; {', '.join(stores)}"
    return Row("store-size", f"{large / 1e9:.1f} GB against a hundredth, {where}", 1.3, times[1] / times[0], detail)


def capture(quick: bool) -> Iterator[Row]:
    """1 GB in 400 files, against cp."""
    for kind in KINDS:
        with loop_directory(kind) as mounted, workspace(mounted / "w") as space:
            product = space.directory / "p"
            tree_of(product, 400, 10**8 if quick else 10**9)
            times, copies = [], []
            for number in range(15):  # they take turns, so that what else the machine does meets both
                copies.append(copy_seconds([product], "always", 1))
                space.ledger.forget_presence("p")
                tree = scan(product)
                began = time.perf_counter()
                space.capture({"p": (f"k-{number}", tree)}, f"key{number}")
                times.append(time.perf_counter() - began)
        took, copy = statistics.median(times), statistics.median(copies)
        detail = f"{1e3 * took:.1f} ms; {1e3 * copy:.1f} ms cp"
        yield Row("store-capture", f"capture of 400 files, {kind} (loop)", 1.5, took / copy, detail)


def look(quick: bool) -> Iterator[Row]:
    """The signature of a product with very many files."""
    count = 10_000 if quick else 100_000
    with directory() as scratch:
        for number in range(count):
            if number % 1000 == 0:
                (scratch / "p" / str(number)).mkdir(parents=True)
                place = scratch / "p" / str(number)
            (place / str(number)).touch()
        # They take turns, so that what else the machine does meets both.
        turns = [(stat_seconds(scratch / "p", 1), median(lambda: signature(scan(scratch / "p")), 1)) for _ in range(15)]
        bare, took = (statistics.median(column) for column in zip(*turns, strict=True))
    detail = f"{1e3 * took:.0f} ms; {1e3 * bare:.0f} ms scandir and stat"
    yield Row("store-look", f"signature of {count} files", 1.2, took / bare, detail)


def digest(quick: bool) -> Iterator[Row]:
    """Hashing raw data, against b3sum (where it is not installed: BLAKE3 itself on the same files, mapped)."""
    with directory() as scratch:
        files = []
        for number in range(8):
            files.append(scratch / str(number))
            files[-1].write_bytes(os.urandom(1 << 20) * (10 if quick else 100))
        ours = median(lambda: digest_files(files), 3)
        tool = shutil.which("b3sum")

        def theirs() -> None:
            if tool:
                subprocess.run([tool, *files], check=True, capture_output=True)
                return
            for path in files:
                blake3(max_threads=blake3.AUTO).update_mmap(path).digest()

        other = median(theirs, 3)
    size = sum((10 if quick else 100) << 20 for _ in files)
    detail = f"{size / ours / 1e9:.2f} GB/s; {'b3sum' if tool else 'BLAKE3 itself'} {size / other / 1e9:.2f} GB/s"
    yield Row("store-digest", "speed of the content digest", 0.8, other / ours, detail, floor=True)


def disk_of(space: Workspace) -> tuple[int, int]:
    """Bytes that stored files and the products in place take, pieces that they share once; and distinct blocks of 4 KiB
    among them, times 4096, which is the least that they could take.
    """
    paths = {name: space.store.path(name) for name in space.store.objects()}
    for product in space.ledger.known_paths():
        root = space.absolute(product)
        files = (root / name for name, stamp in scan(root).items() if stamp.kind == "f")
        paths |= {str(path): path for path in files}
    distinct: set[bytes] = set()
    for path in paths.values():
        with path.open("rb") as stream:
            while data := stream.read(_PIECE):
                distinct.update(blake3(data[start : start + 4096]).digest(16) for start in range(0, len(data), 4096))
    os.sync()
    return Blocks(all_extents(paths)).taken(paths), len(distinct) * 4096


def _bytes(space: Workspace, versions: Iterable[str]) -> int:
    """Bytes of full copies of versions."""
    found = (space.ledger.version(version) for version in versions)
    return sum(version.manifest.size for version in found if version is not None)


def variations(quick: bool) -> Iterator[Row]:
    """Twenty variations of a product, each rewriting whole files of which a part differs, against the limit.

    The limit is the distinct blocks of 4 KiB among all versions.
    """
    count, size = (5 if quick else 20), (40 if quick else 400) * 10**6
    for kind in KINDS:
        with loop_directory(kind) as mounted, workspace(mounted / "w") as space:
            product = space.directory / "p"
            tree_of(product, 40, size)
            for number in range(count):
                for path in sorted(product.iterdir())[: 40 // 4]:  # a quarter of the files is written anew
                    data = bytearray(path.read_bytes())
                    start = number * len(data) // count
                    data[start : start + len(data) // count] = os.urandom(len(data) // count)
                    path.write_bytes(data)
                space.capture({"p": (f"k-{number}", scan(product))}, f"key{number}")
            space.settle_soon(0)
            while space._chores:
                time.sleep(0.1)
            assert space._settler is not None
            space._settler.join()
            physical, limit = disk_of(space)
            logical = _bytes(space, {f"k-{number}" for number in range(count)})
        detail = f"{physical / 1e6:.0f} MB; the limit is {limit / 1e6:.0f} MB, full copies {logical / 1e6:.0f} MB"
        yield Row("store-variations", f"disk of {count} variations, {kind} (loop)", 1.10, physical / limit, detail)
        yield Row(
            "store-variations", f"full copies against it, {kind} (loop)", 5.0, logical / physical, detail, floor=True
        )


SETTINGS = [
    {"solint": solint, "robust": robust, "niter": niter}
    for solint in ("inf", "60s", "120s", "30s")
    for robust, niter in ((0.5, 5000), (0.5, 500), (0.0, 500), (-1.0, 500), (2.0, 500))
]
"""Of the tutorial: four ways to calibrate it, and with each five images."""


def tutorial_variations(quick: bool) -> Iterator[Row]:
    """The tutorial run with 20 settings in one workspace, by ``jupyter casa run`` with real CASA, every version kept.

    Physical is what all stored files and the products in place take, pieces of the disk that they share once. The limit
    is the distinct blocks of 4 KiB in the same files, the last block of each in full. What it is compared with is kept
    by copy: of each of the 20 runs one full copy of every version that its calls read, modified or made, as if no
    run knew of another. For information: one copy of what each run leaves in the end, no version in between.
    """
    settings = SETTINGS[:11:5] if quick else SETTINGS
    with loop_directory("btrfs") as mounted:
        place = mounted / "w"
        write_tutorial(place)
        copies = left = 0
        for chosen in settings:
            run(place, chosen)
            with workspace(place) as space:
                touches = space.ledger.touches()  # of each cell, as it ran last: in this run
                copies += _bytes(space, {version for touch in touches for version in (touch.before, touch.after)})
                left += _bytes(space, {space.look(path) for path in space.ledger.known_paths()})
        with workspace(place) as space:
            physical, limit = disk_of(space)
    what = f"{len(settings)} tutorials, btrfs (loop)"
    detail = f"{physical / 1e6:.0f} MB; the limit is {limit / 1e6:.0f} MB"
    yield Row("store-tutorial", f"disk of {what}", 1.10, physical / limit, detail)
    detail = f"{copies / 1e6:.0f} MB: a full copy of each version of each run"
    yield Row("store-tutorial", f"full copies against {what}", 5.0, copies / physical, detail, floor=True)
    detail = f"{left / 1e6:.0f} MB: a copy of what each run leaves, versions in between lost"
    yield Row("store-tutorial", f"directories against {what}", None, left / physical, detail)


def store(quick: bool) -> Iterator[Row]:
    """All of these."""
    for group in (sizes, capture, look, digest, variations):
        yield from group(quick)
