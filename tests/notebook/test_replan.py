"""Plans that are made again and again are those that are made from nothing."""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casa_recompute.installation import Installation
from casa_recompute.notebook import replan
from casa_recompute.notebook.model import CellSource
from casa_recompute.notebook.outputs import digest
from casa_recompute.notebook.plan import trace_notebook
from casa_recompute.notebook.replan import Planner
from casa_recompute.session import Cell, Session
from tests.core.standin import fake_settings

NAME = "nb.ipynb"
SETTINGS = fake_settings(store="copy")
CASA = Installation(SETTINGS)
TEXTS = [
    "x = 1",
    "x = 2",
    "x = 1  # the same",
    "y = x + 1",
    "z = [x]",
    "w = z",
    "z.append(y)",
    "def f():\n    return x",
    "v = f()",
    "g = (i for i in [1])",
    "print(g)",
    "open('t.txt', 'w').write(str(x))",
    "t = open('t.txt').read()",
    "import os; names = os.listdir('.')",
    "import os; there = os.path.exists('t.txt')",
    "import random; r = random.random()",
    "last = _",
    "1 / 0",
    "this is no Python",
    "importuvfits(fitsfile='raw.fits', vis='a.ms')",
    "flagdata(vis='a.ms', field=str(x))",
    "split(vis='a.ms', outputvis='b.ms')",
    "tclean(vis='b.ms', imagename='img', niter=3)",
    "import os; os.rename('a.ms', 'd') if os.path.exists('a.ms') else None",
    "import glob; found = glob.glob('*.ms')",
    "flagdata(vis=v, field='1')",
    "v = 'a.ms'",
    "print('a.ms', 'b.ms/x')",
    "def h():\n    return f() + y",
    "u = h()",
    "del y",
    "q = [z, z]; q[0].append(len(z))",
    "x = x + 1",
    "for i in range(3): exec(f'e{i} = i')",
    "os.chdir('.')",
]


class Story:
    """A notebook that is edited and run, and two ways to plan it."""

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self.directory, self.chance = directory, chance
        self.patient = chance.random() < 0.5  # then nobody changes anything but cells that run
        self.planner = Planner(directory, NAME, look_after=1e9 if self.patient else 0)
        self.cells = [[f"c{number}", chance.choice(TEXTS), ""] for number in range(chance.randint(1, 9))]
        self.next = len(self.cells)
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self.session = self.start()

    def start(self) -> Session:
        session = Session(self.directory, SETTINGS)
        session.attach(self.namespace)
        tasks = {name: self.task(session, name) for name in ("importuvfits", "flagdata", "split", "tclean")}
        self.namespace["__builtins__"] = vars(builtins) | tasks
        return session

    @staticmethod
    def task(session: Session, name: str) -> Callable[..., object]:
        return lambda **arguments: session.call(name, **arguments).value

    def run(self, number: int) -> None:
        cell, text, _ = self.cells[number]
        self.session.begin_cell(Cell(cell, tuple(one for one, _, _ in self.cells), NAME, text))
        error = None
        try:
            exec(compile(text, cell, "exec"), self.namespace)
        except Exception as raised:
            error = raised
        self.session.end_cell(error is None, repr(error))

    def step(self) -> None:
        chance, here = self.chance, self.chance.randrange(len(self.cells) or 1)
        kinds = ("edit", "run", "run", "all", "insert", "remove", "move", "show", "disk", "prepare", "type", "type")
        kind = chance.choice(kinds)
        if kind == "insert" or not self.cells:
            self.cells.insert(here, [f"c{self.next}", chance.choice(TEXTS), ""])
            self.next += 1
        elif kind == "edit":
            self.cells[here][1] = chance.choice(TEXTS)
        elif kind == "run":
            self.run(here)
        elif kind == "all":
            for number in range(len(self.cells)):
                self.run(number)
        elif kind == "remove":
            del self.cells[here]
        elif kind == "move":
            self.cells.insert(chance.randrange(len(self.cells)), self.cells.pop(here))
        elif kind == "show":
            self.cells[here][2] = chance.choice(
                [None, "", digest([{"output_type": "stream", "name": "a", "text": "b"}])]
            )
        elif kind == "type":  # with all that was run known, and nothing else happening
            for number in range(len(self.cells)):
                self.run(number)
            said = [cell[1] for cell in self.cells]
            for _ in range(chance.randint(2, 8)):
                here = chance.randrange(len(self.cells))
                new = f"x = {chance.random()}"
                self.cells[here][1] = chance.choice([said[here], chance.choice(TEXTS), new])
                if chance.random() < 0.2:
                    self.planner.prepare(0.001)
                self.check()
        elif kind == "prepare":
            while self.planner.prepare(0.0) and chance.random() < 0.9:
                pass
        elif not self.patient:
            place = self.directory / chance.choice(["t.txt", "raw.fits", "new.txt"])
            if chance.random() < 0.5:
                place.write_text(str(chance.random()))
            else:
                place.unlink(missing_ok=True)

    def check(self) -> None:
        cells = [CellSource(cell, number, text, shown) for number, (cell, text, shown) in enumerate(self.cells)]
        expected = trace_notebook(self.directory, NAME, cells, SETTINGS)
        assert self.planner.trace(cells, SETTINGS, CASA) == expected
        assert self.planner.text(cells, SETTINGS, CASA) == json.dumps(expected[0].as_json())


@pytest.fixture
def here(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Path]]:
    before = os.getcwd()

    def make() -> Path:
        directory = tmp_path_factory.mktemp("work")
        (directory / "raw.fits").write_bytes(b"raw data" * 1000)
        os.chdir(directory)
        return directory

    yield make
    os.chdir(before)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_after_any_edits_and_runs_the_plan_is_that_from_nothing(here, chance: random.Random) -> None:
    story = Story(here(), chance)
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        stack.callback(lambda: (story.planner.close(), story.session.close(), story.session.workspace.close()))
        patch.setattr(replan, "_STRIDE", chance.choice([1, 2, 40]))
        story.check()
        for _ in range(chance.randint(1, 12)):
            story.step()
            story.check()


def test_a_ledger_that_was_put_in_anothers_place_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    planner = Planner(tmp_path, NAME, look_after=1e9)
    cells = [CellSource("a", 0, "x = 1", "")]
    assert [cell.state for cell in planner.plan(cells, SETTINGS, CASA).cells] == ["stale"], "there is none yet"
    session = Session(tmp_path, SETTINGS)
    session.attach({})
    session.begin_cell(Cell("a", ("a",), NAME, "x = 1"))
    session.end_cell()
    session.close()
    session.workspace.close()
    assert planner.plan(cells, SETTINGS, CASA).fresh
    for path in (tmp_path / ".casa-recompute").glob("ledger.sqlite*"):
        path.unlink()
    assert [cell.state for cell in planner.plan(cells, SETTINGS, CASA).cells] == ["stale"]
    planner.close()


def test_large_data_that_nobody_has_read_are_not_read_for_a_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw.fits").write_bytes(b"raw data" * 1000)
    cells = [CellSource("a", 0, "importuvfits(fitsfile='raw.fits', vis='a.ms')", "")]
    read = []
    monkeypatch.setattr("casa_recompute.workspace.digest_files", lambda paths: read.append(paths) or ["0" * 32])
    for limit, times in ((7999, 0), (8000, 1)):
        planner = Planner(tmp_path, NAME, read_limit=limit)
        for _ in range(3):
            (planned,) = planner.plan(cells, SETTINGS, CASA).cells
            assert [(call.task, call.action) for call in planned.calls] == [("importuvfits", "run")]
        planner.close()
        assert len(read) == times, "and what was read once is not read again"
