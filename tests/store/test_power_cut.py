"""The power is cut while calls are made: what the disk has at that moment is a workspace that works.

The workspace lies in a file system in an image, the image on btrfs. A clone of the image, which btrfs makes in one
moment, is what a machine would find that lost its power then; it is mounted as after a new start of the machine.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from casa_recompute import workspace
from casa_recompute.ledger import CallRecord
from casa_recompute.products import scan, signature
from casa_recompute.store import files
from casa_recompute.store.files import clone
from casa_recompute.workspace import Workspace
from tests.store.conftest import Grounds
from tests.store.test_faults import State, read, write
from tests.store.tiers import run

CUTS = int(os.environ.get("STORE_CUTS", "8"))


def state(number: int) -> State:
    """What call ``number`` makes of p."""
    rng = random.Random(number)
    return {"big": rng.randbytes(300_000), "same": b"s" * 50_000, f"file{number % 3}": rng.randbytes(10_000)}


def raw(number: int) -> State:
    """What the user makes of the raw data before call ``number``, by hand."""
    return {"raw": random.Random(-number).randbytes(100_000)}


def work(directory: Path, store: str, tell: Connection) -> None:
    """Calls in place, on p that they made and on q that nobody can make again; and restores of both."""
    space = Workspace(directory, store)
    rng = random.Random(7)
    previous, number = "", 0
    parent = os.getppid()
    while os.getppid() == parent:
        number += 1
        seconds = rng.choice([0.1, 5.0])
        with space.lock():
            write(directory / "q", raw(number))
            space.keep("q")
            before = {"q": space.look("q")} | ({"p": previous} if previous else {})
            step = space.begin("call", "task", before, ["p"] if not previous else [])
            write(directory / "p", state(number))
            write(directory / "q", {"raw": b"changed by the task"})
            made = {"p": (f"k-{number}", scan(directory / "p"))}
            with space.ledger.transaction():
                space.capture(made, f"key{number}")
                outputs = {"p": f"k-{number}"}
                record = CallRecord(f"key{number}", "", "task", {}, {}, outputs, None, "", "", [], seconds, time.time())
                space.remember(record)
                space.ledger.end(step)
            space.settle_soon(seconds)
            if seconds > 1:
                tell.send(number)
            space.restore({"q": before["q"]})
            if number > 3 and rng.random() < 0.5:
                space.restore({"p": f"k-{number - rng.randrange(1, 3)}"})
                space.restore({"p": f"k-{number}"})
            previous = f"k-{number}"


@contextmanager
def mounted(image: Path, place: Path, kind: str) -> Iterator[Path]:
    place.mkdir(exist_ok=True)
    run("mount", "-o", "loop,nouuid" if kind == "xfs" else "loop", image, place)
    try:
        yield place
    finally:
        for _ in range(50):
            if not subprocess.run(["umount", place], capture_output=True).returncode:
                break
            time.sleep(0.1)


@pytest.mark.parametrize(("kind", "store"), [("ext4", "copy"), ("btrfs", "reflink"), ("xfs", "reflink")])
def test_the_power_is_cut(grounds: Grounds, kind: str, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = grounds["btrfs"].make()
    image = directory / "image"
    with image.open("wb") as stream:
        stream.truncate(2 << 30)
    run(f"mkfs.{kind}", "-q", image)
    cuts: list[tuple[Path, int]] = []
    with mounted(image, directory / "m", kind) as place:
        listen, tell = multiprocessing.Pipe(duplex=False)
        # Not forked: the threads with which large files are hashed would be missing.
        worker = multiprocessing.get_context("spawn").Process(target=work, args=(place, store, tell), daemon=True)
        worker.start()
        try:
            rng, told = random.Random(3), 0
            while told < 3 or len(cuts) < CUTS:
                time.sleep(rng.random() * 0.2)
                while listen.poll():
                    told = listen.recv()
                if told >= 3:
                    cuts.append((directory / f"cut{len(cuts)}", told))
                    with image.open("rb") as source, cuts[-1][0].open("wb") as target:
                        clone(source.fileno(), target.fileno())
                assert worker.is_alive(), "the worker ended"
        finally:
            worker.kill()
            worker.join()
    for number, (cut, told) in enumerate(cuts):
        boot = directory / "boot"
        boot.write_text(f"boot {number}")
        monkeypatch.setattr(files, "_BOOT", boot)
        with mounted(cut, directory / "m", kind) as place:
            check(place, store, told)
        cut.unlink()
    grounds["btrfs"].drop(directory)


def check(directory: Path, store: str, told: int) -> None:
    """``told``: the last call of which it was said that it is remembered."""
    space = Workspace(directory, store)
    try:
        with space.lock():
            p, q = read(directory / "p"), read(directory / "q")
            assert space.ledger.pending() == []
            recent = range(told - 3, told + 200)
            assert not p or any(p == state(number) for number in recent if number > 0), "p is half of something"
            assert q == {"raw": b"changed by the task"} or any(q == raw(number) for number in recent), "q is broken"
            numbers = [n for n in range(1, told + 200) if space.ledger.call(f"key{n}") is not None]
            assert told in numbers, "a call is forgotten that was remembered"
            for number in numbers[-8:]:
                version = f"k-{number}"
                if space.restorable({"p": version}):
                    space.restore({"p": version})
                    assert read(directory / "p") == state(number), f"{version} is wrong"
                elif number <= told:  # the next one may be remembered, and its data on their way to the disk
                    assert space.ledger.call(f"key{number}").seconds < 1, f"{version} is lost"  # type: ignore[union-attr]
    finally:
        space.close()


def test_what_is_written_while_the_disk_is_busy_is_not_taken_for_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """p is made again just while its former state goes to the disk; then a product of its own is made."""
    asked, go = threading.Event(), threading.Event()

    def slow(directory: Path) -> None:
        asked.set()
        assert go.wait(60)

    space = Workspace(tmp_path, "copy")
    make(space, "p", 1)
    monkeypatch.setattr(workspace, "_SETTLE_S", 0.0)
    monkeypatch.setattr(workspace, "sync_filesystem", slow)
    space.settle_soon(0.1)
    assert asked.wait(60)
    make(space, "p", 2)
    go.set()
    settling_is_over()
    make(space, "q", 3)
    (tmp_path / "p" / "big").write_bytes(b"half of it")  # what the disk has when the power is cut now
    space.close()
    assert after_a_power_cut(tmp_path, monkeypatch) in ({}, state(2)), "p is half of something"


def test_what_another_has_moved_is_not_taken_for_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call's results were found to be on the disk by the background thread, which says so to the disk only now."""
    go, synced = threading.Event(), []

    def slow(place: Path) -> None:
        synced.append(threading.current_thread())
        if len(synced) == 1:
            assert go.wait(60)

    space = Workspace(tmp_path, "copy")
    make(space, "p", 1)
    monkeypatch.setattr(workspace, "_SETTLE_S", 0.0)
    monkeypatch.setattr(files, "sync_directory", slow)
    space.settle_soon(0.1)
    while not synced:
        time.sleep(0.01)
    with space.lock():
        space.settle()
    assert threading.current_thread() in synced
    go.set()
    settling_is_over()
    space.close()


@pytest.mark.parametrize("settled", [False, True])
def test_what_looks_whole_after_a_power_cut_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settled: bool
) -> None:
    """File systems may write a file's size and times before what it holds."""
    space = Workspace(tmp_path, "copy")
    make(space, "p", 1)
    if settled:
        space.settle()
        with space.lock():
            (tmp_path / "p" / "big").write_bytes(b"something else")
            space.restore({"p": "p-1"})
    zeros = bytes(len(state(1)["big"]))
    (tmp_path / "p" / "big").write_bytes(zeros)
    tree = scan(tmp_path / "p")
    with space.lock(), space.ledger.transaction():
        space.ledger.set_presence("p", "p-1", signature(tree), tree)
    space.close()
    assert after_a_power_cut(tmp_path, monkeypatch) == (state(1) if settled else {})


def test_what_is_on_the_disk_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "_SETTLE_S", 0.0)
    space = Workspace(tmp_path, "copy")
    make(space, "p", 1)
    space.settle_soon(0.1)
    settling_is_over()
    space.close()

    def read_again(self: Workspace, path: str) -> str:
        raise AssertionError(f"{path} is read")

    monkeypatch.setattr(Workspace, "look", read_again)
    assert after_a_power_cut(tmp_path, monkeypatch) == state(1)


def make(space: Workspace, product: str, number: int) -> None:
    """A call makes a product."""
    with space.lock():
        step = space.begin("call", "task", {}, [])
        write(space.directory / product, state(number))
        with space.ledger.transaction():
            space.capture({product: (f"{product}-{number}", scan(space.directory / product))}, f"key{number}")
            space.ledger.end(step)


def settling_is_over() -> None:
    while any(thread.name == "settle" for thread in threading.enumerate()):
        time.sleep(0.01)


def after_a_power_cut(directory: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    """What p is for the first who uses the workspace then."""
    boot = directory.with_name("boot")
    boot.write_text("another")
    monkeypatch.setattr(files, "_BOOT", boot)
    space = Workspace(directory, "copy")
    with space.lock():
        found = read(directory / "p")
    space.close()
    return found
