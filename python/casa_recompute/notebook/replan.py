"""Plans of one notebook, again and again while it is edited: what has not changed is not gone through again.

A plan depends on the cells, the ledger, the settings and the disk. Of the cells, those above the first edited one keep
their verdicts; so do those from where the state is as it was before the edit. When the ledger, the settings, or the
sequence of cells changes, everything is gone through. The disk is looked at again after a while (``look_after``); what
a call is going to do depends on it in more ways than are written down, so then cells that are to make calls, and those
below, are gone through again, too. The result is always that of :func:`casa_recompute.notebook.plan.plan_notebook`.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Hashable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from casa_recompute.installation import Installation
from casa_recompute.notebook.model import CellPlan, CellRun, CellSource, Plan
from casa_recompute.notebook.plan import Desk, Judged, Survey, behind, conclude, pass_by, plan_cell, put_together
from casa_recompute.notebook.simulate import State, judge
from casa_recompute.settings import Settings
from casa_recompute.workspace import HOME, Workspace

_STRIDE = 100
"""Cells after which the state is kept, to go on from."""


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
        self._look_after = look_after
        self._read_limit = read_limit
        self._space: Workspace | None = None
        self._inode: tuple[int, int, int] | None = None
        self._desk: Desk | None = None
        self._known: tuple[object, ...] = ()  # what must be the same, so that anything that was found before counts
        self._looked = 0.0
        self._cells: list[CellSource] = []
        self._judged: list[Judged] = []
        self._places: dict[str, int] = {}
        self._states: dict[int, State] = {}  # before some of the cells, by their numbers
        self._looks_back: list[bool] = []  # for each cell: whether it asks what the cells above say
        self._after: State | None = None
        self._survey: Survey | None = None
        self._parts: list[_Part] = []
        self._told: dict[Hashable, _Part] = {}  # all that follow from the same facts
        self._plan: Plan | None = None

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
    ) -> tuple[Plan, list[CellRun | None]]:
        """The plan, and for each cell the recorded run that stands behind it, else its last one.

        Raises:
            LedgerError: the workspace's memory cannot be read, or belongs to a newer version of this software.
            sqlite3.Error: the same.
        """
        with self._reading() as space:
            self._take(list(cells), space, settings, casa)
            assert self._plan is not None and self._desk is not None
            return self._plan, behind(self._judged, self._desk.lookups)

    def text(self, cells: Sequence[CellSource], settings: Settings, casa: Installation) -> str:
        """The plan as JSON, see :meth:`Plan.as_json`.

        Raises:
            LedgerError: the workspace's memory cannot be read, or belongs to a newer version of this software.
            sqlite3.Error: the same.
        """
        plan = self.plan(cells, settings, casa)
        head = json.dumps(Plan(plan.notebook, plan.revision, plan.fresh, plan.estimate_s, (), plan.restores).as_json())
        return f"{head.removesuffix(']}')}{', '.join([part.text for part in self._parts])}]}}"

    def close(self) -> None:
        """Close what is open; it is opened again when need be."""
        if self._space is not None:
            self._space.ledger.close()
        self._space = self._desk = None

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
        known = (space.ledger.generation, settings, casa, [(cell.id, cell.index) for cell in cells])
        if self._desk is None or known != self._known:
            self._desk = Desk(self.directory, self.notebook, cells, settings, space, casa)
            self._known, self._looked = known, time.monotonic()
            self._places = {cell.id: number for number, cell in enumerate(cells)}
            self._judged, self._states, self._looks_back = [], {}, []
            self._parts, self._told, self._survey, self._cells = [], {}, None, []
            self._go_through(self._desk, cells, 0, len(cells))
            return
        pairs = zip(cells, self._cells, strict=True)
        edited = [number for number, (new, old) in enumerate(pairs) if new is not old and new != old]
        first, last = (edited[0], edited[-1]) if edited else (len(cells), 0)
        if time.monotonic() - self._looked >= self._look_after:
            if self._desk.lookups.look_again():
                # Where a call goes also depends on links and on files that it lists, which nobody has noted.
                calling = [number for number, one in enumerate(self._judged) if one.calls]
                first, last = min([first, *calling]), max([last, *calling])
            else:
                first, last = 0, len(cells)
            self._looked = time.monotonic()
        if first < len(cells):
            self._desk.lookups.now_say(cells)
            self._go_through(self._desk, cells, first, last)

    def _go_through(self, desk: Desk, cells: list[CellSource], first: int, last: int) -> None:
        """Go through the cells from number ``first`` at the latest to ``last`` at the earliest: they may be others."""
        facts = desk.lookups
        old_judged, old_states = self._judged, self._states
        start = max((at for at in old_states if at <= first), default=0)
        state = old_states[start].copy() if old_states else State(facts)
        judged, looks_back = old_judged[:start], self._looks_back[:start]
        state.passed = [one.verdict.meaning for one in judged]
        # Mostly the same cell is edited next: it is gone on from there, and rejoined behind it.
        wanted = {*range(0, len(cells), _STRIDE), first, last + 1}
        states = {at: known for at, known in old_states.items() if at < start and at in wanted}
        for number in range(start, len(cells)):
            known = old_states.get(number)
            if known and number > last and not any(self._looks_back[number:]) and state.same(known):
                judged += old_judged[number:]
                looks_back += self._looks_back[number:]
                states |= {at: known for at, known in old_states.items() if at >= number and at in wanted}
                break
            if number in wanted:
                states[number] = state.copy()
            state.looked_back = False
            verdict = judge(cells[number], state, facts)
            judged.append(pass_by(verdict, state, self._places, facts, desk.predictor))
            looks_back.append(state.looked_back)
        else:
            self._after = state
        self._cells, self._judged, self._states, self._looks_back = cells, judged, states, looks_back
        self._conclude(desk, judged, old_judged)

    def _conclude(self, desk: Desk, judged: list[Judged], old_judged: Sequence[Judged]) -> None:
        """Words and prices, anew where something is not as it was."""
        facts, before, old_parts = desk.lookups, self._survey, self._parts
        assert self._after is not None
        found = self._survey = conclude(self._places, judged, self._after, facts, {})
        parts = []
        touched = {*found.must, *_makers(found)} | ({*before.must, *_makers(before)} if before is not None else set())
        for number, one in enumerate(judged):
            special = one.verdict.cell.id in touched
            if old_parts and one is old_judged[number] and not special:
                parts.append(old_parts[number])
            elif special or one.calls:
                parts.append(_Part(plan_cell(one, found, facts)))
            else:  # often it is now as it was before the last edit
                key = (one.verdict.cell, _number(one.verdict.run), _number(one.verdict.likely), *one.reasons)
                part = self._told.get(key)
                if part is None:
                    part = self._told[key] = _Part(plan_cell(one, found, facts))
                parts.append(part)
        if len(self._told) > 4 * len(judged):
            self._told.clear()
        self._parts = parts
        revision = facts.space.ledger.last_run_number()
        self._plan = put_together([part.plan for part in parts], found, self.notebook, revision)


class _Part:
    """A cell's part of a plan, and its JSON, once somebody needed it."""

    def __init__(self, plan: CellPlan) -> None:
        self.plan = plan

    @cached_property
    def text(self) -> str:
        return json.dumps(self.plan.as_json())


def _number(run: CellRun | None) -> int:
    return run.id if run is not None else 0


def _makers(found: Survey) -> set[str]:
    """Cells of which a product is to be brought back in the end."""
    return {found.after.maker(f"p:{path}") for path in found.restores}
