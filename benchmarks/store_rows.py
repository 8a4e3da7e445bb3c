"""What keeping and bringing back versions costs, and how much disk they take."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from blake3 import blake3
from disks import copy_seconds, directory, loop_directory, median, stat_seconds
from table import Row

from casa_recompute.products import ABSENT, digest_files, scan, signature
from casa_recompute.store.extents import Blocks, all_extents
from casa_recompute.workspace import Workspace

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
    """A workspace in a new directory, with its lock."""
    place.mkdir()
    space = Workspace(place)
    try:
        with space.lock():
            yield space
    finally:
        space.close()


def there_and_back(space: Workspace, repetitions: int) -> float:
    """Median time to keep a product anew and to bring it back after it was deleted, in seconds."""

    def once(number: int) -> float:
        tree = scan(space.directory / "p")
        space.ledger.forget_presence("p")  # nothing is known of it: every file is captured
        began = time.perf_counter()
        space.capture({"p": (f"k-{number}", tree)}, f"key{number}")
        kept = time.perf_counter() - began
        space.restore({"p": ABSENT})
        began = time.perf_counter()
        space.restore({"p": f"k-{number}"})
        return kept + time.perf_counter() - began

    return statistics.median([once(number) for number in range(repetitions)][1:])


def sizes(quick: bool) -> Iterator[Row]:
    """A hundred times the bytes in as many files must cost the same."""
    large = 58 * 10**7 if quick else 58 * 10**8
    for kind in KINDS:
        times = []
        with loop_directory(kind) as mounted:
            for number, size in enumerate((large // 100, large)):
                with workspace(mounted / str(number)) as space:
                    tree_of(space.directory / "p", FILES, size)
                    times.append(there_and_back(space, 4 if quick else 10))
        detail = f"{1e3 * times[0]:.1f} and {1e3 * times[1]:.1f} ms"
        yield Row(
            "store-size", f"{large / 1e9:.1f} GB against a hundredth, {kind} (loop)", 1.3, times[1] / times[0], detail
        )


def capture(quick: bool) -> Iterator[Row]:
    """1 GB in 400 files, against cp."""
    for kind in KINDS:
        with loop_directory(kind) as mounted, workspace(mounted / "w") as space:
            product = space.directory / "p"
            tree_of(product, 400, 10**8 if quick else 10**9)
            copy = copy_seconds([product], "always")
            times = []
            for number in range(9):
                space.ledger.forget_presence("p")
                tree = scan(product)
                began = time.perf_counter()
                space.capture({"p": (f"k-{number}", tree)}, f"key{number}")
                times.append(time.perf_counter() - began)
        took = statistics.median(times)
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
        bare = stat_seconds(scratch / "p", 5)
        took = median(lambda: signature(scan(scratch / "p")), 5)
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


def variations(quick: bool) -> Iterator[Row]:
    """Twenty variations of a product, each rewriting whole files of which a part differs, against the limit.

    The limit is the distinct blocks of 4 KiB among all versions.
    """
    count, size = (5 if quick else 20), (40 if quick else 400) * 10**6
    for kind in KINDS:
        with loop_directory(kind) as mounted, workspace(mounted / "w") as space:
            product = space.directory / "p"
            tree_of(product, 40, size)
            distinct: set[bytes] = set()
            logical = 0
            for number in range(count):
                for path in sorted(product.iterdir())[: 40 // 4]:  # a quarter of the files is written anew
                    data = bytearray(path.read_bytes())
                    start = number * len(data) // count
                    data[start : start + len(data) // count] = os.urandom(len(data) // count)
                    path.write_bytes(data)
                space.capture({"p": (f"k-{number}", scan(product))}, f"key{number}")
                for path in product.iterdir():
                    data = path.read_bytes()
                    logical += len(data)
                    for offset in range(0, len(data), 4096):
                        distinct.add(blake3(data[offset : offset + 4096]).digest(16))
            space.settle_soon(0)
            assert space._settler is not None
            while space._chores:
                time.sleep(0.1)
            space._settler.join()
            names = space.store.objects()
            paths = {name: space.store.path(name) for name in names} | {str(p): p for p in product.iterdir()}
            physical = Blocks(all_extents(paths)).taken(paths)
        limit = len(distinct) * 4096
        detail = f"{physical / 1e6:.0f} MB; the limit is {limit / 1e6:.0f} MB, full copies {logical / 1e6:.0f} MB"
        yield Row("store-variations", f"disk of {count} variations, {kind} (loop)", 1.10, physical / limit, detail)
        yield Row(
            "store-variations", f"full copies against it, {kind} (loop)", 5.0, logical / physical, detail, floor=True
        )


def store(quick: bool) -> Iterator[Row]:
    """All of these."""
    for group in (sizes, capture, look, digest, variations):
        yield from group(quick)
