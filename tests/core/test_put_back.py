"""A cell that does not get to its end leaves what it has not changed as it was: also what was brought to another
version for it, and what its former run had made, which was set aside to begin again."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from casa_recompute.notebook.model import CellSource
from casa_recompute.notebook.plan import plan_notebook
from casa_recompute.notebook.rerun import Rerun
from casa_recompute.session import Cell, Session
from tests.core.standin import contents, fake_settings

TEXTS = {
    "import": "importuvfits(fitsfile='raw.fits', vis='a.ms')",
    "clean": "tclean(vis='a.ms', imagename='img', niter=3)",
    "flag": "flagdata(vis='a.ms', field='1')",
    "map": "tclean(vis='a.ms', imagename='map', niter=1)",
}
ORDER = tuple(TEXTS)


def execute(session: Session, cell: str, text: str | None = None, state: Any = None) -> None:
    """Shift+Enter on a cell; with ``state``, in a walk."""
    names: dict[str, Any] = {task: task_of(session, task) for task in session.catalogue}
    session.begin_cell(Cell(cell, ORDER, "nb.ipynb", TEXTS[cell] if text is None else text, state))
    try:
        exec(TEXTS[cell] if text is None else text, names)
    except BaseException as error:
        session.end_cell(False, repr(error), interrupted=isinstance(error, KeyboardInterrupt))
        raise
    session.end_cell()


def task_of(session: Session, task: str) -> Callable[..., Any]:
    return lambda **arguments: session.call(task, **arguments).value


@pytest.fixture
def session(open_session: Callable[..., Session], tmp_path: Path) -> Iterator[Session]:
    """Its notebook has run."""
    session = open_session()
    for cell in ORDER:
        execute(session, cell)
    yield session


def states(directory: Path, **edited: str) -> dict[str, str]:
    texts = TEXTS | edited
    cells = [CellSource(cell, number, text, None) for number, (cell, text) in enumerate(texts.items())]
    return {cell.id: cell.state for cell in plan_notebook(directory, "nb.ipynb", cells, fake_settings()).cells}


@contextlib.contextmanager
def struck(session: Session, calls: int, strike: Callable[[], None]) -> Iterator[None]:
    """Within, something happens when so many calls have run: the task of the last one has written all, and nothing of
    it is remembered yet."""
    ran = 0
    request = session.worker.request

    def struck(operation: str, *args: Any) -> Any:
        nonlocal ran
        reply = request(operation, *args)
        ran += operation == "call"
        if ran == calls:
            strike()
        return reply

    session.worker.request = struck  # type: ignore[method-assign]
    try:
        yield
    finally:
        session.worker.request = request  # type: ignore[method-assign]


def interrupt() -> None:
    raise KeyboardInterrupt


MADE_IN_VAIN = [
    ("clean", "tclean(vis='a.ms', imagename='img', niter=30)", 1),
    ("clean", TEXTS["clean"] + "\ntclean(vis='a.ms', imagename='other', niter=2)", 1),
    ("clean", "import os\nassert not os.path.exists('img.image')\nraise KeyboardInterrupt", 0),
    ("clean", "tclean(vis='a.ms', imagename='img', niter=9)\nraise KeyboardInterrupt", 1),
    ("flag", "flagdata(vis='a.ms', field='2')", 1),
    ("map", "tclean(vis='a.ms', imagename='map', niter=5)", 1),
    ("import", "importuvfits(fitsfile='raw.fits', vis='a.ms', antnamescheme='new')", 1),
    ("import", "flagdata(vis='a.ms', mode='summary')", 0),
]


@pytest.mark.parametrize(("cell", "text", "calls"), MADE_IN_VAIN)
def test_a_cell_that_is_interrupted_leaves_all_as_before_it(
    session: Session, tmp_path: Path, cell: str, text: str, calls: int
) -> None:
    before = contents(tmp_path)
    with struck(session, calls, interrupt), pytest.raises((KeyboardInterrupt, AssertionError)):
        execute(session, cell, text)
    assert contents(tmp_path) == before
    assert set(states(tmp_path).values()) == {"fresh"}, "as soon as the edit is taken back"
    now = states(tmp_path, **{cell: text})
    assert now[cell] == "stale" and all(now[one] == "fresh" for one in ORDER[: ORDER.index(cell)])
    execute(session, "map")
    assert contents(tmp_path) == before, "cells below find what the last run that got to its end had left"


@pytest.mark.parametrize(("cell", "text", "calls"), [one for one in MADE_IN_VAIN if one[2]])
def test_a_kernel_that_is_killed_in_a_call_leaves_all_as_before_the_cell(
    open_session: Callable[..., Session], session: Session, tmp_path: Path, cell: str, text: str, calls: int
) -> None:
    before = contents(tmp_path)
    session.close()
    pid = os.fork()
    if not pid:
        dying = Session(tmp_path, fake_settings())
        with struck(dying, calls, lambda: os._exit(1)):
            execute(dying, cell, text)
        os._exit(0)
    os.waitpid(pid, 0)
    other = open_session()
    with other.workspace.lock():
        assert contents(tmp_path) == before
    assert set(states(tmp_path).values()) == {"fresh"}


def test_a_walk_that_is_interrupted_leaves_what_is_to_be_made_anew(session: Session, tmp_path: Path) -> None:
    before = contents(tmp_path)
    texts = TEXTS | {"flag": "flagdata(vis='a.ms', field='2')", "clean": "tclean(vis='a.ms', imagename='img', niter=4)"}
    cells = [CellSource(cell, number, text, None) for number, (cell, text) in enumerate(texts.items())]
    walk = Rerun(tmp_path, "nb.ipynb", cells, fake_settings())
    executed = []
    for step in walk.steps():
        if step.action == "execute":
            executed.append(step.cell.id)
            interrupted = step.cell.id == "flag"
            with pytest.raises(KeyboardInterrupt) if interrupted else contextlib.nullcontext():
                text = step.cell.source + "\nraise KeyboardInterrupt" * interrupted
                execute(session, step.cell.id, text, step.state)
            step.done(not interrupted)
    assert executed == ["clean", "flag"]
    session.settle({}, walk.final()["products"])
    assert walk.finish() == []
    walk.close()
    left = contents(tmp_path)
    changed = {name.split(".")[0] for name in before.keys() | left.keys() if before.get(name) != left.get(name)}
    assert changed == {"img", "a"}, "the image is made anew, the data are flagged anew; the map is that from before"


def test_what_a_walk_saves_is_what_the_cells_took_and_what_their_restored_calls_had_taken(
    session: Session, tmp_path: Path
) -> None:
    failed = "try:\n    split(vis='none.ms', outputvis='x.ms')\nexcept Exception:\n    pass"
    text = f"{failed}\n{TEXTS['import']}\nflagdata(vis='a.ms', field='7')"
    execute(session, "import", text)
    run = session.workspace.ledger.last_cell_run("import")
    assert run is not None and [call.action for call in run.calls] == ["failed", "restored", "ran"]
    assert run.calls[1].key is not None
    record = session.workspace.ledger.call(run.calls[1].key)
    walk = Rerun(tmp_path, "nb.ipynb", [CellSource("import", 0, text, None)], fake_settings())
    assert [step.action for step in walk.steps()] == ["restore"]
    walk.close()
    assert record is not None and record.seconds > 0 and walk.saved_s == run.seconds + record.seconds


def test_what_calls_have_made_before_stays(session: Session, tmp_path: Path) -> None:
    before = contents(tmp_path)
    text = "flagdata(vis='a.ms', field='2')\ntclean(vis='a.ms', imagename='map', niter=8)"
    with struck(session, 2, interrupt), pytest.raises(KeyboardInterrupt):
        execute(session, "flag", text)
    left = contents(tmp_path)
    changed = {name.split("/")[0] for name in before.keys() | left.keys() if before.get(name) != left.get(name)}
    assert changed == {"a.ms"}, "the map, which a cell below has made, is there again"
    states_now = states(tmp_path, flag=text)
    assert states_now["clean"] == "fresh" and states_now["flag"] == "stale"


def test_who_catches_it_goes_on_from_the_cells_place(session: Session, tmp_path: Path) -> None:
    text = "try:\n    tclean(vis='a.ms', imagename='img', niter=30)\nexcept KeyboardInterrupt:\n    pass\n"
    with struck(session, 1, interrupt):
        execute(session, "clean", text + "import os\nassert not os.path.exists('img.image')")
    assert not (tmp_path / "img.image").exists(), "it does not make it any more"
    assert (tmp_path / "map.image").exists()


PYTHON = {
    "make": """
import os
open('old.txt', 'w').write('old')
open('z.txt', 'w').write('first')
open('a.txt', 'w').write('a')
""",
    "write": """
with open('notes.txt', 'r+') as s:
    point()
    s.write('N')
    s.flush()
    point()
    s.write('ew')
point()
with open('z.txt', 'a') as s:
    s.write(' and second')
    s.flush()
    point()
os.makedirs('d/e', exist_ok=True)
point()
with open('d/e/f.txt', 'w') as s:
    s.write('half')
    s.flush()
    point()
    s.write(' and whole')
point()
os.remove('old.txt')
point()
os.rename('a.txt', 'd/b.txt')
point()
""",
    "read": "print(open('notes.txt').read(), open('d/e/f.txt').read(), os.listdir('d'))",
}


def dying(last: int) -> Callable[[], None]:
    """To be called where the process may die: it does the ``last`` time."""
    passed = itertools.count(1)

    def point() -> None:
        if next(passed) == last:
            os._exit(1)

    return point


def test_a_kernel_that_is_killed_while_python_code_writes(open_session: Callable[..., Session], tmp_path: Path) -> None:
    """At every point: the cell is not fresh, unless all is as it had left it; it need not run again, as what it had
    left can be brought back; and if it does, it begins anew."""
    (tmp_path / "notes.txt").write_text("some notes\n")
    order = tuple(PYTHON)
    cells = [CellSource(cell, number, text, None) for number, (cell, text) in enumerate(PYTHON.items())]

    def run(session: Session, cell: str, point: Callable[[], None] = lambda: None) -> None:
        session.begin_cell(Cell(cell, order, "nb.ipynb", PYTHON[cell]))
        exec(PYTHON[cell], {"os": os, "point": point, "print": lambda *_: None})
        session.end_cell()

    def states() -> dict[str, str]:
        plan = plan_notebook(tmp_path, "nb.ipynb", cells, fake_settings())
        return {cell.id: cell.state for cell in plan.cells}

    session = open_session()
    for cell in order:
        run(session, cell)
    left = contents(tmp_path)
    assert set(states().values()) == {"fresh"} and left["notes.txt"] == b"Newe notes\n"
    points = PYTHON["write"].count("point()")
    for last in range(points + 1):
        pid = os.fork()
        if not pid:
            run(Session(tmp_path, fake_settings()), "write", dying(last))
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == (1 if last else 0)
        broken = contents(tmp_path)
        with contextlib.closing(Session(tmp_path, fake_settings())) as other:
            for _ in range(2):  # before anybody has noticed, and afterwards
                seen = states()
                assert seen["make"] != "stale" and seen["write"] in ("fresh", "restorable"), (last, seen)
                assert (set(seen.values()) == {"fresh"}) == (broken == left), (last, seen)
                with other.workspace.lock():
                    assert contents(tmp_path) == broken and not other.workspace.ledger.unfinished()
            if last % 2:
                for cell in order[1:]:
                    run(other, cell)
            else:
                walk = Rerun(tmp_path, "nb.ipynb", cells, fake_settings())
                assert "execute" not in [step.action for step in walk.steps()]
                walk.finish()
                walk.close()
        assert contents(tmp_path) == left and set(states().values()) == {"fresh"}, last


def test_what_another_kernel_is_writing(open_session: Callable[..., Session], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("some notes\n")
    one, other = open_session(), open_session()
    one.begin_cell(Cell("a", ("a", "b"), "nb.ipynb", "open('notes.txt', 'w').write('x')"))
    Path("notes.txt").write_text("half of it")
    with other.workspace.lock():
        assert (tmp_path / "notes.txt").read_text() == "half of it"
    other.begin_cell(Cell("b", ("a", "b"), "nb.ipynb", "1"))
    assert other.end_cell() == ()
    one.end_cell()
    with other.workspace.lock():
        assert (tmp_path / "notes.txt").read_text() == "half of it" and not one.workspace.ledger.unfinished()
