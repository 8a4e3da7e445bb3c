"""A disk that fails (EIO) at any operation of the file system itself, once or from then on, until it is replaced.

Who works on it is a process of its own, which may hang or die; the tests look at what is on the disk from behind.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import sqlite3
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from casa_recompute import housekeeping
from casa_recompute.ledger import LedgerError
from casa_recompute.store import StoreError
from casa_recompute.workspace import HOME, VersionLost, Workspace, WorkspaceError
from tests.store import test_faults
from tests.store.conftest import Grounds
from tests.store.faulty_disk import ALL, Fault, FaultyGround
from tests.store.test_faults import SCENES, Capture, Commit, Restore, RestoreOverAnEdit, Scene, Undo, afterwards

FAULTS = int(os.environ.get("STORE_FAULTS", "8"))
"""At how many operations of each scene the disk fails; the scenes have up to a thousand."""
_PATIENCE_S = 60
_TOLD = (OSError, sqlite3.Error, WorkspaceError, StoreError, LedgerError, VersionLost)
"""What may be raised on a disk that fails."""
_WRONG = "wrong:"


def work(orders: Connection) -> None:
    """Do with a scene what one is told; answers are None, or why it failed."""
    Workspace.settle_soon = lambda *_: None  # type: ignore[method-assign,assignment]
    housekeeping.allowance = lambda *_: 0
    scene: Scene
    while True:
        name, *given = orders.recv()
        try:
            if name == "take":
                scene = Scene.__new__(getattr(test_faults, given[0]))
                vars(scene).update(given[1])
            elif name == "open":
                scene.space = scene.open()
            elif name == "operate":
                scene.operate(scene.space)
            elif name == "check":
                afterwards(scene, scene.space, *given)
            elif name == "look":
                with scene.space.lock():
                    scene.check(scene.space, False)
            elif name == "close":
                scene.space.close()
            answer = None
        except _TOLD as error:
            answer = f"{type(error).__name__}: {error}" if name != "check" else traceback.format_exc()
        except BaseException:
            answer = f"{_WRONG} {traceback.format_exc()}"
        orders.send(answer)


class Worker:
    """The process that works on the disk."""

    def __init__(self) -> None:
        self._orders, theirs = multiprocessing.Pipe()
        # Not forked: the threads with which large files are hashed would be missing.
        self._process = multiprocessing.get_context("spawn").Process(target=work, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def do(self, *order: object) -> str | None:
        """None when it was done, else what was raised.

        Raises:
            EOFError: the process died, as of a page of a mapped file that cannot be read (SIGBUS).
        """
        self._orders.send(order)
        if not self._orders.poll(_PATIENCE_S):
            pytest.fail(f"{order[0]} hangs")
        answer: str | None = self._orders.recv()
        return answer

    def end(self) -> None:
        self._process.kill()
        self._process.join()


class Play:
    """Scenes on the faulty disk."""

    def __init__(self, ground: FaultyGround) -> None:
        assert ground.disk is not None
        self.ground, self.disk = ground, ground.disk
        self.worker = Worker()
        self.messages: set[str] = set()
        self.deaths = 0

    def end(self) -> None:
        self.worker.end()

    def take(self, scene: Scene) -> None:
        """Let the worker take a scene, as it lies on the faulty disk."""
        there = {name: value for name, value in vars(scene).items() if name != "space"}
        elsewhere = Scene.__new__(type(scene))
        vars(elsewhere).update(there)
        elsewhere.move(self.disk.mounted / scene.directory.name)
        self.worker.do("take", type(scene).__name__, vars(elsewhere))

    def act(self, make: type[Scene], fault: Fault, opening: bool, stays: bool) -> int:
        """One scene with one fault; the number of operations that were counted.

        Args:
            make: the scene.
            fault: what happens.
            opening: whether the fault can happen while the workspace is opened, too.
            stays: whether who met the fault goes on when the disk works again; else another one comes.
        """
        place = self.ground.make()
        scene = make(place, self.ground.store)
        scene.prepare()
        scene.space.close()
        self.take(scene)
        told: str | None = ""
        try:
            if opening:
                self.disk.arm(fault)
                told = self.worker.do("open")
            else:
                told = self.worker.do("open")
                assert told is None
                self.disk.arm(fault)
            if told is None:
                opened = True
                told = self.worker.do("operate")
            else:
                opened = False
        except EOFError:
            told, opened = "it died", False
            self.deaths += 1
            self.worker.end()
            self.worker = Worker()
        count, failed = self.disk.disarm()
        where = f"{failed[:3]}"
        if told is not None:
            assert failed and not told.startswith(_WRONG), f"{told} after {where}"
            self.messages.add(told)
        if opened and stays:
            problem = self.worker.do("check", told is None, where)
            assert problem is None, f"{problem} after {where}"
        if opened:
            problem = self.worker.do("close")
            assert problem is None, f"{problem} after {where}"
        damaged = list((place / HOME).glob("*.damaged-*"))
        assert not damaged, f"the ledger was given up after {where}"
        # As a disk that was put into another machine: nothing of this is remembered by anybody.
        space = scene.open()
        try:
            if opened and stays:
                with space.lock():
                    scene.serves_only_what_is_right(space)
            else:
                afterwards(scene, space, told is None, where)
        finally:
            space.close()
        self.ground.drop(place)
        return count


@pytest.fixture(scope="module")
def play(grounds: Grounds) -> Iterator[Play]:
    ground = grounds["faulty"]
    assert isinstance(ground, FaultyGround)
    play = Play(ground)
    yield play
    play.end()


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workspace, "settle_soon", lambda *_: None)
    monkeypatch.setattr("casa_recompute.housekeeping.allowance", lambda *_: 0)


KINDS = {
    "once": Fault(),
    "lasting": Fault(count=ALL),
    "full": Fault(count=ALL, error="ENOSPC", operations=("write", "create", "mkdir", "link", "symlink", "rename")),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opening", [False, True], ids=["later", "opening"])
@pytest.mark.parametrize("make", SCENES)
def test_the_disk_fails(play: Play, make: type[Scene], opening: bool, kind: str) -> None:
    for number, rng in places(play.act(make, replace(KINDS[kind], first=ALL), opening, False)):
        play.act(make, replace(KINDS[kind], first=number), opening, stays=rng.random() < 0.5)


def test_a_ledger_that_cannot_be_looked_at_for_a_moment_is_not_damaged(play: Play) -> None:
    """Whatever SQLite takes it for."""
    look = Fault(operations=("getattr",), names="*/ledger.sqlite")
    for number in range(play.act(Commit, replace(look, first=ALL), True, False)):
        play.act(Commit, replace(look, first=number), True, False)


def places(count: int) -> Iterator[tuple[int, random.Random]]:
    """At which of so many operations the disk is to fail."""
    assert count > 1
    rng = random.Random(count)
    for number in range(count) if count <= FAULTS else sorted(rng.sample(range(count), FAULTS)):
        yield number, rng


@pytest.mark.parametrize("make", SCENES)
def test_the_disk_is_pulled_out_and_put_in_again(play: Play, make: type[Scene]) -> None:
    for number, _ in places(play.act(make, Fault(ALL), False, False)):
        place = play.ground.make()
        scene = make(place, play.ground.store)
        scene.prepare()
        scene.space.close()
        play.take(scene)
        assert play.worker.do("open") is None
        play.disk.arm(Fault(number, error="gone"))
        told = None
        with contextlib.suppress(EOFError):
            told = play.worker.do("operate")
        assert told is None or not told.startswith(_WRONG), told
        play.worker.end()
        play.worker = Worker()
        play.disk.unmount()
        play.disk.mount()
        play.take(scene)
        assert play.worker.do("open") is None
        problem = play.worker.do("check", False, str(number))
        assert problem is None, f"{problem} after {number} ({told})"
        assert play.worker.do("close") is None
        play.ground.drop(place)


def has_bad_blocks(play: Play, make: type[Scene], what: Callable[[Scene], Iterable[Path]]) -> list[str]:
    """What was told by a scene on a disk that cannot read some files any more, and which nobody replaces."""
    place = play.ground.make()
    scene = make(place, play.ground.store)
    scene.prepare()
    scene.space.close()
    bad = tuple(path.stat().st_ino for path in what(scene))
    play.take(scene)
    told = [play.worker.do("open")]
    try:
        play.disk.arm(Fault(0, ALL, operations=("read",), inodes=bad))
        told += [play.worker.do("operate"), play.worker.do("look"), play.worker.do("look"), play.worker.do("close")]
        told += [play.worker.do("open"), play.worker.do("look"), play.worker.do("close")]
    finally:
        failed = play.disk.disarm()[1]
    assert failed
    play.ground.drop(place)
    return [message or "" for message in told]


@pytest.mark.parametrize("make", [Restore, RestoreOverAnEdit])
def test_an_object_that_cannot_be_read_is_lost_and_nothing_is_changed(play: Play, make: type[Scene]) -> None:
    def objects(scene: Scene) -> Iterator[Path]:
        ledger = Workspace.view(scene.directory).ledger
        with contextlib.closing(ledger):
            version = ledger.version(scene.a)
            assert version is not None
            yield from (scene.space.store.path(entry.object) for entry in version.manifest.values() if entry.object)

    told = has_bad_blocks(play, make, objects)
    assert told[1].startswith("VersionLost") and not any(told[:1] + told[2:])


@pytest.mark.parametrize("make", [Capture, Commit, Restore, Undo])
def test_a_ledger_that_cannot_be_read_is_made_again(play: Play, make: type[Scene]) -> None:
    told = has_bad_blocks(play, make, lambda scene: (scene.directory / HOME).glob("ledger.sqlite*"))
    assert not any(told[:1] + told[2:])
