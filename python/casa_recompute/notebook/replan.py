"""Plans of one notebook, again and again while it is edited: what has not changed is not gone through again.

A plan depends on the cells, the ledger, the settings, what the kernel holds, and the disk. Of the cells, those above
the first edited one keep their verdicts; so do those from where the state is as it was before the edit, and those for
which all that they asked of the state is as it was one of the last times that they were looked at. When the ledger,
the settings, or the sequence of cells changes, everything is gone through. The disk is looked at again after a while
(``look_after``); what a call is going to do depends on it in more ways than are written down, so then cells that are
to make calls, and those below, are gone through again, too. The result is always that of
:func:`casa_recompute.notebook.plan.plan_notebook`.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from casa_recompute.installation import Installation
from casa_recompute.notebook.model import CellPlan, CellRun, CellSource, Plan
from casa_recompute.notebook.plan import (
    Desk,
    Judged,
    Survey,
    behind,
    conclude,
    look_at,
    pass_by,
    plan_cell,
    put_together,
    took,
)
from casa_recompute.notebook.simulate import ALL, HISTORY, PRODUCTS, UNKNOWN, State, judge, shared
from casa_recompute.notebook.source import uses
from casa_recompute.settings import Settings
from casa_recompute.workspace import HOME, Workspace

_STRIDE = 100
"""Cells after which the state is kept, to go on from."""
_TIMES = 3
"""Of so many of the last times that a cell was looked at, what was found is kept."""


class Planner:
    """One notebook in its workspace, which is only read. For one thread at a time."""

    def __init__(self, directory: Path, notebook: str, look_after: float = 0.0, read_limit: int | None = None) -> None:
        """
        Args:
            directory: the workspace.
            notebook: its name.
            look_after: seconds for which what was seen on disk counts, while the ledger is as it was.
            read_limit: see :meth:`Workspace.view`.
        """
        self.directory = directory
        self.notebook = notebook
        self.held: frozenset[str] = frozenset()
        """Versions of names that the notebook's kernel has and nobody could bring back."""
        self._look_after = look_after
        self._read_limit = read_limit
        self._space: Workspace | None = None
        self._inode: tuple[int, int, int] | None = None
        self._desk: Desk | None = None
        self._known: tuple[object, ...] = ()  # what must be the same, so that anything that was found before counts
        self._looked = 0.0
        self._cells: list[CellSource] = []
        self._looks: list[_Look] = []  # at each cell
        self._places: dict[str, int] = {}
        self._states: dict[int, State] = {}  # before some of the cells, by their numbers
        self._after: State | None = None
        self._former: dict[str, list[_Look]] = {}  # by cell: the last looks that may hold again, the newest first
        self._plan: Plan | None = None
        self._survey: Survey | None = None
        self._ahead: Iterator[None] | None = None  # what `prepare` has yet to do

    @property
    def cells(self) -> Sequence[CellSource]:
        """Of which the newest plan is."""
        return self._cells

    @property
    def newest(self) -> Plan | None:
        """The newest plan; None: none was made yet."""
        return self._plan

    def plan(self, cells: Sequence[CellSource], settings: Settings, casa: Installation) -> Plan:
        """The plan.

        Args:
            cells: the code cells, from the top.
            settings: those of the user.
            casa: the installation that they name.

        Raises:
            LedgerError: the workspace's memory cannot be read, or belongs to a newer version of this software.
            sqlite3.Error: the same.
        """
        with self._reading() as space:
            self._take(list(cells), space, settings, casa)
        assert self._plan is not None
        return self._plan

    def trace(
        self, cells: Sequence[CellSource], settings: Settings, casa: Installation
    ) -> tuple[Plan, list[CellRun | None], dict[str, float]]:
        """The plan; for each cell the recorded run that stands behind it, else its last one; what restored calls took.

        Raises:
            LedgerError: the workspace's memory cannot be read, or belongs to a newer version of this software.
            sqlite3.Error: the same.
        """
        with self._reading() as space:
            self._take(list(cells), space, settings, casa)
            assert self._plan is not None and self._desk is not None
            runs = behind([look.judged for look in self._looks], self._desk.lookups)
            return self._plan, runs, took(runs, self._desk.lookups)

    def text(self, cells: Sequence[CellSource], settings: Settings, casa: Installation) -> str:
        """The plan as JSON, see :meth:`Plan.as_json`.

        Raises:
            LedgerError: the workspace's memory cannot be read, or belongs to a newer version of this software.
            sqlite3.Error: the same.
        """
        plan = self.plan(cells, settings, casa)
        head = json.dumps(Plan(plan.notebook, plan.revision, plan.fresh, plan.estimate_s, (), plan.restores).as_json())
        pairs = zip(self._looks, plan.cells, strict=True)
        parts = [look.text if look.plan is planned else planned.as_text() for look, planned in pairs]
        return f"{head.removesuffix(']}')}{', '.join(parts)}]}}"

    def prepare(self, seconds: float) -> bool:
        """While nobody asks for a plan: do part of what the first one after an edit will need.

        Args:
            seconds: about so long.

        Returns:
            Whether more can be done.

        Raises:
            LedgerError: the workspace's memory cannot be read, or belongs to a newer version of this software.
            sqlite3.Error: the same.
        """
        if self._ahead is None:
            return False
        end = time.monotonic() + seconds
        with self._reading() as space:
            while self._desk is not None and self._ahead is not None and space.ledger.generation == self._known[0]:
                try:
                    next(self._ahead)
                except StopIteration:
                    self._ahead = None
                if time.monotonic() >= end:
                    break
            else:
                return False
        return True

    def close(self) -> None:
        """Close what is open; it is opened again when need be."""
        if self._space is not None:
            self._space.ledger.close()
        self._space = self._desk = self._ahead = None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Workspace]:
        """The workspace; within, what kernels write meanwhile is not seen."""
        inode = self._stamp()
        if self._space is None or inode != self._inode:
            self.close()
            self._space, self._inode = Workspace.view(self.directory, self._read_limit), inode
        try:
            with self._space.ledger.snapshot():
                yield self._space
        except BaseException:
            self.close()
            raise

    def _stamp(self) -> tuple[int, int, int] | None:
        """Which file is the ledger; where nobody can write, SQLite does not notice that it changed."""
        try:
            info = (self.directory / HOME / "ledger.sqlite").stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        fixed = self._space is not None and self._space.ledger.fixed
        return info.st_dev, info.st_ino, info.st_mtime_ns if fixed else 0

    def _take(self, cells: list[CellSource], space: Workspace, settings: Settings, casa: Installation) -> None:
        known = (space.ledger.generation, settings, casa, self.held, [(cell.id, cell.index) for cell in cells])
        if self._desk is None or known != self._known:
            self._desk = Desk(self.directory, self.notebook, cells, settings, space, casa)
            self._desk.lookups.held = self.held
            self._known, self._looked = known, time.monotonic()
            self._places = {cell.id: number for number, cell in enumerate(cells)}
            self._cells, self._looks, self._states, self._former = [], [], {}, {}
            self._go_through(self._desk, cells, 0, len(cells))
            self._ahead = self._look_ahead(self._desk, self._looks)
            return
        edited = []
        for number, (new, old) in enumerate(zip(cells, self._cells, strict=True)):
            if new is not old:
                if new != old:
                    edited.append(number)
                else:
                    cells[number] = old  # the next comparison takes less
        first, last = (edited[0], edited[-1]) if edited else (len(cells), 0)
        if time.monotonic() - self._looked >= self._look_after:
            if self._desk.lookups.look_again():
                # Where a call goes also depends on links and on files that it lists, which nobody has noted.
                calling = [number for number, look in enumerate(self._looks) if look.judged.calls]
                first, last = min([first, *calling]), max([last, *calling])
            else:
                first, last = 0, len(cells)
                self._former.clear()
            self._looked = time.monotonic()
        if first < len(cells):
            self._desk.lookups.now_say(cells)
            self._go_through(self._desk, cells, first, last)

    def _go_through(self, desk: Desk, cells: list[CellSource], first: int, last: int) -> None:
        """Go through the cells from number ``first`` at the latest to ``last`` at the earliest: they may be others."""
        old, old_states = self._looks, self._states
        start = max((at for at in old_states if at <= first), default=0)
        state = old_states[start].copy() if old_states else State(desk.lookups)
        looks = old[:start]
        state.passed = [look.judged.verdict.meaning for look in looks]
        # Mostly the same cell is edited next: it is gone on from there, and rejoined behind it.
        wanted = {*range(0, len(cells), _STRIDE), first, last + 1}
        states = {at: known for at, known in old_states.items() if at < start and at in wanted}
        for number in range(start, len(cells)):
            known = old_states.get(number)
            if known and number > last and not any(look.looks_back for look in old[number:]) and state.same(known):
                looks += old[number:]
                states |= {at: known for at, known in old_states.items() if at >= number and at in wanted}
                break
            if number in wanted:
                states[number] = state.copy()
            look = self._look(desk, cells[number], state)
            pass_by(look.judged, state)
            looks.append(look)
        else:
            self._after = state
        self._cells, self._looks, self._states = cells, looks, states
        self._conclude(desk)

    def _look(self, desk: Desk, cell: CellSource, state: State) -> _Look:
        """Look at a cell, unless all that it would ask is as it was one of the last times."""
        former = self._former.setdefault(cell.id, [])
        for look in former:
            if look.holds(cell, state):
                return look
        state.asked = set()
        verdict = judge(cell, state, desk.lookups)
        look = _Look(look_at(verdict, state, self._places, desk.lookups, desk.predictor), state)
        if not (look.judged.calls or look.looks_back or ALL in look.asked):  # what a call does depends on the disk
            former.insert(0, look)
            del former[_TIMES:]
        return look

    def _look_ahead(self, desk: Desk, looks: Sequence[_Look]) -> Iterator[None]:
        """Look at each cell that need not run as if the nearest of those above that it uses had to run."""
        state = State(desk.lookups)
        for look in looks:
            cell, run = look.judged.verdict.cell, look.judged.verdict.run
            uses(cell.source)  # it is remembered there
            makers = {maker for resource in run.reads if (maker := state.makers.get(resource))} if run else set()
            if nearest := max(makers, key=self._places.__getitem__, default=None):
                above = looks[self._places[nearest]].judged.verdict.run
                names = [r for r in (above.writes if above else ()) if r[:2] == "n:" and state.makers.get(r) == nearest]
                before = {name: v for name in names if (v := state.versions.get(name)) and not shared(v)}
                state.versions.update(dict.fromkeys(before, UNKNOWN))
                ahead = self._look(desk, cell, state)
                state.versions.update(before)
                if ahead.judged.verdict.run is None and ahead.plan is None and self._survey is not None:
                    ahead.plan = plan_cell(ahead.judged, self._survey, desk.lookups)
                    assert ahead.text
            pass_by(look.judged, state)
            yield

    def _conclude(self, desk: Desk) -> None:
        """Words and prices, anew where something is not as it was."""
        facts = desk.lookups
        assert self._after is not None
        found = self._survey = conclude(self._places, [look.judged for look in self._looks], self._after, facts, {})
        touched = {*found.must, *_makers(found)}
        parts = []
        for look in self._looks:
            part = look.plan
            if part is None or look.judged.verdict.cell.id in touched:
                part = plan_cell(look.judged, found, facts)
                if look.judged.verdict.cell.id not in touched:
                    look.plan = part
            parts.append(part)
        self._plan = put_together(parts, found, self.notebook, facts.space.ledger.last_run_number())


class _Look:
    """What was found of a cell at its place, and all that was asked for it."""

    __slots__ = ("judged", "asked", "looks_back", "plan", "_text", "_mark", "_versions", "_makers")

    def __init__(self, judged: Judged, above: State) -> None:
        self.judged = judged
        self.asked = tuple(above.asked)
        self.looks_back = HISTORY in above.asked
        """Whether it asks what the cells above say."""
        self._mark = above.mark if PRODUCTS in above.asked else None
        self._versions = tuple(map(above.versions.get, self.asked))
        self._makers = tuple(map(above.makers.get, self.asked))
        self.plan: CellPlan | None = None
        """Its part, if that says nothing of what other cells need, nor of what is to be brought back in the end."""
        self._text = ""

    def holds(self, cell: CellSource, above: State) -> bool:
        """Whether the same would be found of the cell below this."""
        return (
            (cell is self.judged.verdict.cell or cell == self.judged.verdict.cell)
            and tuple(map(above.versions.get, self.asked)) == self._versions
            and tuple(map(above.makers.get, self.asked)) == self._makers
            and self._mark in (None, above.mark)
        )

    @property
    def text(self) -> str:
        """``plan`` as JSON."""
        if not self._text and self.plan is not None:
            self._text = self.plan.as_text()
        return self._text


def _makers(found: Survey) -> set[str]:
    """Cells of which a product is to be brought back in the end."""
    return {found.after.maker(f"p:{path}") for path in found.restores}
