"""Whatever stops capture, commit, restore or eviction, at whatever step: nothing wrong is served, nothing is lost.

After each fault the workspace is in one of the two states it may be in, and the next use repairs it by itself.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from casa_recompute.housekeeping import collect, plan_collection
from casa_recompute.ledger import CallRecord
from casa_recompute.products import ABSENT, scan
from casa_recompute.workspace import Workspace
from tests.store.conftest import Grounds
from tests.store.faults import Fault, Steps, Stopped, broken, full, kill, stop
from tests.store.tiers import Ground, plain

State = dict[str, bytes]
"""Relative name -> content of a product; empty: it is not there."""

A, B, C, D = (
    {"same": b"same" * 2000, "data": text * 3000, "empty": b"", f"only{text.decode()}": text}
    for text in (b"A", b"B", b"C", b"D")
)
Q, R = {"q": b"q" * 5000}, {"r": b"r" * 5000, "s": b"s"}


def write(product: Path, state: State) -> None:
    """Change a product where it lies, as a task would."""
    product.mkdir(exist_ok=True)
    for name in os.listdir(product):
        if name not in state:
            (product / name).unlink()
    for name, data in state.items():
        if not (product / name).exists() or (product / name).read_bytes() != data:
            (product / name).write_bytes(data)


def read(product: Path) -> State:
    return {path.name: path.read_bytes() for path in product.iterdir()} if product.exists() else {}


class Scene:
    """A workspace in which p was A and is B, and q is Q; one operation on it; what may be the case after a fault."""

    def __init__(self, directory: Path, store: str) -> None:
        self.store = store
        self.states: dict[str, State] = {ABSENT: {}}
        self.move(directory)
        space = self.open()
        with space.lock():
            for state in (A, B):
                write(self.p, state)
                space.keep(["p"])
                self.states[space.look("p")] = state
            write(self.q, Q)
            space.keep(["q"])
            self.states[space.look("q")] = Q
            _, self.a, self.b, self.q_version = self.states
        space.settle()
        self.space = space

    def open(self) -> Workspace:
        return Workspace(self.directory, self.store)

    def move(self, directory: Path) -> None:
        """The same workspace is found in another place now."""
        self.directory = directory
        self.p, self.q, self.r = (directory / name for name in "pqr")

    def prepare(self) -> None:
        """What happens before the operation, undisturbed."""

    def operate(self, space: Workspace) -> None:
        raise NotImplementedError

    def check(self, space: Workspace, done: bool) -> None:
        """Fail unless products are as they may be; ``done``: the operation ended without an error."""
        raise NotImplementedError

    def products(self) -> tuple[State, State, State]:
        return read(self.p), read(self.q), read(self.r)

    def serves_only_what_is_right(self, space: Workspace, lost: tuple[str, ...] = ()) -> None:
        """Every version that can be had is what it was, and all but ``lost`` can be had."""
        for path in "pqr":
            for version in space.ledger.versions_at(path):
                state = self.states.get(version)
                if space.restorable({path: version}):
                    space.restore({path: version})
                    assert state is None or read(self.directory / path) == state, f"{version} is wrong"
                    assert state is not None or read(self.directory / path) in (C, D, R)
                else:
                    assert state is None or version in lost, f"{version} of {path} is lost"


class Capture(Scene):
    """What the user made is kept."""

    def prepare(self) -> None:
        write(self.p, C)

    def operate(self, space: Workspace) -> None:
        space.keep(["p"])

    def check(self, space: Workspace, done: bool) -> None:
        assert self.products() == (C, Q, {})
        space.keep(["p"])
        version = space.look("p")
        space.restore({"p": self.a})
        assert read(self.p) == A
        space.restore({"p": version})
        assert read(self.p) == C


class Commit(Scene):
    """A call changes p from B to D and makes r."""

    record: CallRecord

    def operate(self, space: Workspace) -> None:
        with space.lock():
            step = space.begin("call", "task", {"p": self.b, "r": ABSENT, "q": self.q_version}, [])
            write(self.p, D)
            write(self.r, R)
            made = {name: (f"k-{name}", scan(self.directory / name)) for name in "pr"}
            outputs = {name: version for name, (version, _) in made.items()}
            with space.ledger.transaction():
                space.capture(made, "key")
                space.remember(
                    CallRecord("key", "", "task", {}, {"p": self.b}, outputs, None, "", "", [], 1.0, time.time())
                )
                space.ledger.end(step)
            space.settle()

    def check(self, space: Workspace, done: bool) -> None:
        record = space.ledger.call("key")
        assert record is not None or not done
        if record is None:
            assert self.products() == (B, Q, {})
        else:
            assert self.products() == (D, Q, R)
            self.states |= {"k-p": D, "k-r": R}


class Restore(Scene):
    """p goes back from B to A, and q goes."""

    def operate(self, space: Workspace) -> None:
        with space.lock():
            space.restore({"p": self.a, "q": ABSENT})

    def check(self, space: Workspace, done: bool) -> None:
        assert self.products() in [(A, {}, {})] + [(B, Q, {})] * (not done)


class RestoreOverAnEdit(Restore):
    """The same, but somebody has changed p meanwhile."""

    def prepare(self) -> None:
        write(self.p, C)

    def check(self, space: Workspace, done: bool) -> None:
        assert self.products() in [(A, {}, {})] + [(C, Q, {})] * (not done)
        if read(self.p) == A:
            edits = [v for v in space.ledger.versions_at("p") if v not in self.states]
            space.restore({"p": edits[0]})
            assert read(self.p) == C


class Undo(Scene):
    """A call fails after it has changed p and begun to write r."""

    def operate(self, space: Workspace) -> None:
        with space.lock():
            step = space.begin("call", "task", {"p": self.b, "r": ABSENT}, ["r*"])
            write(self.p, D)
            write(self.r, R)
            space.undo(step, {"p": self.b, "r": ABSENT}, ["r*"])

    def check(self, space: Workspace, done: bool) -> None:
        assert self.products() == (B, Q, {})


class Evict(Scene):
    """A is what a call had made of p, and is evicted."""

    def prepare(self) -> None:
        with self.space.lock():
            version = self.space.ledger.version(self.a)
            assert version is not None
            self.space.ledger._db.execute("UPDATE version SET call = 'key' WHERE id = ?", (self.a,))
            self.space.ledger._versions.clear()
            self.space.remember(
                CallRecord("key", "", "task", {}, {}, {"p": self.a}, None, "", "", [], 1.0, time.time())
            )

    def operate(self, space: Workspace) -> None:
        with space.lock():
            collection = plan_collection(space, 0, False)
            assert [c.versions for c in collection.going] == [(self.a,)]
            collect(space, collection)

    def check(self, space: Workspace, done: bool) -> None:
        assert self.products() == (B, Q, {})
        assert not (done and space.restorable({"p": self.a}))
        if not done:
            with pytest.MonkeyPatch.context() as patch:  # what was begun is ended by the next collection
                patch.setattr("casa_recompute.housekeeping.allowance", lambda *_: 1 << 60)
                collect(space, plan_collection(space, 0, False))
        known = {e.object for v in space.ledger.version_ids() for e in space.ledger.version(v).manifest.values()}  # type: ignore[union-attr]
        assert space.store.objects() == known - {None}

    def serves_only_what_is_right(self, space: Workspace, lost: tuple[str, ...] = ()) -> None:
        super().serves_only_what_is_right(space, (self.a,))


SCENES = [Capture, Commit, Restore, RestoreOverAnEdit, Undo, Evict]


@pytest.fixture(params=["copy", "btrfs"])
def some_ground(request: pytest.FixtureRequest, grounds: Grounds) -> Iterator[Ground]:
    """Where nothing has to wait for a disk that other programs use, too: there are thousands of faults."""
    if request.param == "btrfs":
        yield grounds["btrfs"]
        return
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="casa-faults-", dir=memory if memory.is_dir() else None) as directory:
        yield plain(Path(directory), "copy")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written in the background: steps would be counted that are another thread's."""
    monkeypatch.setattr(Workspace, "settle_soon", lambda *_: None)
    monkeypatch.setattr("casa_recompute.housekeeping.allowance", lambda *_: 0)


def afterwards(scene: Scene, space: Workspace, done: bool, where: str) -> None:
    try:
        with space.lock():
            assert space.ledger.pending() == []
            scene.check(space, done)
            scene.serves_only_what_is_right(space)
            assert not list((space.home / "store" / "incoming").iterdir()) or done is False
    except BaseException as error:
        error.add_note(f"after the fault at {where}")
        raise


@pytest.mark.parametrize("make", SCENES)
@pytest.mark.parametrize("fault", [stop, full, broken])
def test_an_error_at_every_step(some_ground: Ground, make: type[Scene], fault: Fault) -> None:
    number, done = 0, False
    while not done:
        directory = some_ground.make()
        scene = make(directory, some_ground.store)
        scene.prepare()
        steps = Steps(number, fault)
        with suppress(Stopped, OSError, sqlite3.Error), steps.watched():
            scene.operate(scene.space)
            done = not steps.failed
        # The kernel lives on; what it does next repairs. Or it is closed, and another one comes.
        space = scene.space if number % 2 else scene.open()
        afterwards(scene, space, done, f"step {number}, {steps.failed}")
        scene.space.close()
        if space is not scene.space:
            space.close()
        some_ground.drop(directory)
        number = max(steps.count, number + 1)
    assert number > 5


@pytest.mark.parametrize("make", SCENES)
def test_a_kill_at_every_step(some_ground: Ground, make: type[Scene]) -> None:
    number, killed = 0, True
    while killed:
        directory = some_ground.make()
        scene = make(directory, some_ground.store)
        scene.prepare()
        scene.space.close()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                space = scene.open()
                with Steps(number, kill).watched():
                    scene.operate(space)
                code = 0
            finally:
                os._exit(code)
        status = os.waitpid(pid, 0)[1]
        killed = os.WIFSIGNALED(status)
        assert killed or os.WEXITSTATUS(status) == 0
        space = scene.open()
        afterwards(scene, space, not killed, f"step {number}")
        space.close()
        some_ground.drop(directory)
        number += 1
    assert number > 5
