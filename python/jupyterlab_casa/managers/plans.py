"""Which cells of a notebook are stale, why, what it costs, and what depends on what; from ledger and disk alone."""

from __future__ import annotations

import asyncio
import json
import math
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import fastjsonschema
from traitlets import Float, Integer

from casa_recompute.installation import Installation
from casa_recompute.ledger import LedgerError
from casa_recompute.notebook.graph import as_json, build
from casa_recompute.notebook.model import CellRun, CellSource, Plan
from casa_recompute.notebook.outputs import digest
from casa_recompute.notebook.plan import environment
from casa_recompute.notebook.replan import Planner
from casa_recompute.settings import Settings
from casa_recompute.workspace import Workspace
from jupyterlab_casa.cli import notebook as files
from jupyterlab_casa.cli.plan import CANNOT_PLAN
from jupyterlab_casa.cli.text import CommandError
from jupyterlab_casa.managers.base import BadRequest, Conflict, Manager, NotThere, Overloaded, understanding

SCHEMA = 1
"""Version of the JSON objects of cell runs; plan and graph have their own."""
_REREAD_S = 60.0
"""Seconds after which the CASA in use is looked at again: somebody may have installed another."""
_KEPT = 1 << 20
"""Bytes of a posted notebook up to which it is held, to be recognised."""
_SLICE_S = 0.01
"""Seconds for which is prepared at once."""
_TELL_AFTER = 0.01
"""Seconds after a plan until it is told: who has asked for it is answered first."""
_RUNS = 64
"""Runs of a cell that are told."""
T = TypeVar("T")
Heard = Callable[[Path, str, Plan, str], None]
"""What is told of a plan: workspace, name of the notebook, plan, and why it was made: "asked", "recorded", "disk"."""


CELLS: dict[str, Any] = {
    "type": "object",
    "required": ["cells"],
    "properties": {
        "cells": {
            "type": "array",
            "maxItems": 10000,
            "items": {
                "type": "object",
                "required": ["id", "source"],
                "properties": {
                    "id": {"type": "string", "pattern": "^[!-~]{1,256}$"},
                    "index": {"type": "integer", "minimum": 0, "maximum": 1000000},
                    "source": {"type": "string"},
                    "outputs": {"type": "array", "items": {"type": "object", "required": ["output_type"]}},
                    "shown": {"type": "string", "pattern": "^([0-9a-f]{64})?$"},
                },
            },
        }
    },
}
"""What is posted; as in openapi.yaml."""
OUTPUTS = {
    "type": "object",
    "required": ["cells"],
    "properties": {
        "cells": {
            "type": "array",
            "maxItems": 10000,
            "items": {
                "type": "object",
                "required": ["id", "outputs"],
                "properties": {
                    name: CELLS["properties"]["cells"]["items"]["properties"][name] for name in ("id", "outputs")
                },
            },
        }
    },
}
"""What is posted to have outputs identified; as in openapi.yaml."""
_valid = fastjsonschema.compile(CELLS)
_valid_outputs = fastjsonschema.compile(OUTPUTS)


class _Open:
    """A notebook that is planned again and again."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.turn = asyncio.Lock()
        self.asked = 0.0
        """When somebody asked last, by the clock of the event loop."""
        self.prepared = False
        """For the plan after an edit, as far as that can be done."""
        self.posted = -math.inf
        """When somebody last asked for its plan; as time.monotonic has it."""
        self._sent = b""
        self._cells: list[CellSource] = []

    def read(self, sent: bytes) -> list[CellSource]:
        """The cells that were posted.

        Raises:
            BadRequest: they are none.
        """
        if sent != self._sent or not sent:
            self._cells = sources(posted(sent, _valid)["cells"], self._cells)
            self._sent = sent if len(sent) < _KEPT else b""
        return self._cells


class Plans(Manager):
    """Plans and graphs of notebooks, and what their cells did. Nothing is run, nothing is written."""

    notebooks = Integer(
        100,
        min=1,
        help="Notebooks of which the newest plan is held in memory. Default: 100 (1 MB each, if they have 200 cells).",
    ).tag(config=True)
    idle_limit = Float(
        900.0,
        min=0.0,
        help="Seconds without a question after which a notebook's plan is forgotten and its memory closed, until "
        "somebody asks again. 0: never. Default: 900 (15 minutes).",
    ).tag(config=True)
    prepare_after = Float(
        0.5,
        min=0.0,
        help="Seconds without a question after which is worked out what the plan after an edit is going to need; that "
        "takes some milliseconds of each 20 for a second or less. Default: 0.5.",
    ).tag(config=True)
    look_after = Float(
        2.0,
        min=0.0,
        help="Seconds for which a plan takes the files of a workspace to be as they were seen last, unless a kernel "
        "has recorded something since. 0: they are looked at for each plan. Default: 2.",
    ).tag(config=True)
    read_limit = Integer(
        256,
        min=0,
        help="MB (10^6 bytes) of a data product that no kernel has read yet up to which it is read for a plan, to be "
        "recognised. A larger one counts as changed until a kernel has read it. Default: 256.",
    ).tag(config=True)
    body_limit = Integer(
        32, min=1, help="MB (10^6 bytes) that a notebook may have when it is posted, outputs included. Default: 32."
    ).tag(config=True)
    bodies_limit = Integer(
        1000,
        min=1,
        help="MB (10^6 bytes) that all notebooks that are being posted, or wait, may have together; more are told to "
        "come again (429). Default: 1000.",
    ).tag(config=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.held = 0  # bytes of those
        self._open: OrderedDict[tuple[Path, str], _Open] = OrderedDict()
        self._casa: tuple[Settings, Installation, float] | None = None
        self._chores: asyncio.Task[None] | None = None
        self.heard: list[Heard] = []
        """Who is told each new plan, in the event loop."""

    async def plan(self, path: str, sent: bytes) -> bytes:
        """The plan of a notebook, as ``jupyter casa plan --json`` gives it.

        Args:
            path: of the notebook, relative to the server's root; it need not have been saved.
            sent: its cells as JSON, see ``CELLS``.

        Raises:
            BadRequest: that is no JSON, or not as it should be; two cells have the same id.
            NotThere: it is no notebook within the root.
            Conflict: nothing can be said of it; the message says why.
            Overloaded: too much is waiting already.
        """
        loop = asyncio.get_running_loop()

        def plan(planner: Planner, said: list[CellSource]) -> str:
            text = planner.text(said, *self._casa_now())
            if (key := (planner.directory, planner.notebook)) in self._open:
                self._open[key].posted = time.monotonic()
            if planner.newest is not None:
                self._tell_soon(loop, *key, planner.newest, "asked")
            return text

        return await self._asked("plan", path, sent, plan)

    def opened(self) -> dict[tuple[Path, str], float]:
        """The notebooks for whose plans somebody has asked: workspace, name, and when that was (time.monotonic)."""
        return {key: one.posted for key, one in self._open.items() if one.posted > -math.inf}

    async def again(self, directory: Path, name: str, because: str) -> None:
        """Plan an open notebook again, as it was posted last; who has asked to hear of plans does.

        Raises:
            NotThere: it is not open any more.
            Conflict: nothing can be said of it now; the message says why.
            Overloaded: too much is waiting already.
        """
        one = self._open.get((directory, name))
        if one is None:
            raise NotThere(f"{name} is not open")
        loop = asyncio.get_running_loop()

        def plan(one: _Open) -> None:
            found = one.planner.plan(one.planner.cells, *self._casa_now())
            self._tell_soon(loop, directory, name, found, because)

        await self._in_turn(one, directory, name, "again", plan)

    def _tell_soon(
        self, loop: asyncio.AbstractEventLoop, directory: Path, name: str, plan: Plan, because: str
    ) -> None:
        loop.call_soon_threadsafe(loop.call_later, _TELL_AFTER, self._tell, directory, name, plan, because)

    def _tell(self, directory: Path, name: str, plan: Plan, because: str) -> None:
        for heard in self.heard:
            heard(directory, name, plan, because)

    async def graph(self, path: str, sent: bytes) -> bytes:
        """The graph of a notebook, as ``jupyter casa graph --json`` gives it; arguments and errors as of ``plan``."""

        def graph(planner: Planner, said: list[CellSource]) -> str:
            plan, runs = planner.trace(said, *self._casa_now())
            return json.dumps(as_json(build(plan, runs, said)))

        return await self._asked("graph", path, sent, graph)

    async def shown(self, sent: bytes) -> dict[str, Any]:
        """The identities of outputs, which a plan takes instead of them: ``{"schema": 1, "shown": {cell: identity}}``.

        Raises:
            BadRequest: what was sent is no JSON, or not as it should be.
            Overloaded: too much is waiting already.
        """
        cells = await self.work(lambda: {cell["id"]: _shown(cell) for cell in posted(sent, _valid_outputs)["cells"]})
        return {"schema": SCHEMA, "shown": cells}

    async def runs(self, path: str, cell: str) -> dict[str, Any]:
        """What is known of a cell: its part of the plan, and its runs, newest first.

        The plan is of the notebook as it was posted last; if it was not, as it is saved.

        Raises:
            NotThere: it is no notebook within the root.
            Conflict: the workspace's memory cannot be read.
            Overloaded: too much is waiting already.
        """
        directory, name = self.root.notebook(path)

        def runs(one: _Open) -> dict[str, Any]:
            with _viewing(directory) as space:
                found = space.ledger.runs_of_cell(cell, _RUNS)
            planned = self._of_cell(one.planner, cell)
            return {"schema": SCHEMA, "cell": cell, "plan": planned, "runs": [_summary(run) for run in found]}

        return await self._with(directory, name, ("runs", cell), runs)

    async def run(self, path: str, number: int) -> dict[str, Any]:
        """One run of a cell: what it read and wrote, its calls, and what the plan says of the cell now.

        Raises:
            NotThere: there is no such notebook, or no such run.
            Conflict: the workspace's memory cannot be read.
            Overloaded: too much is waiting already.
        """
        directory, name = self.root.notebook(path)

        def run(one: _Open) -> dict[str, Any]:
            with _viewing(directory) as space:
                found = space.ledger.cell_run(number)
            if found is None:
                raise NotThere(f"no cell run has the number {number}")
            return {"schema": SCHEMA, **_detail(found), "plan": self._of_cell(one.planner, found.cell)}

        return await self._with(directory, name, ("run", number), run)

    async def stop(self) -> None:
        """The server ends."""
        if self._chores is not None:
            self._chores.cancel()
        await super().stop()
        for one in self._open.values():
            one.planner.close()

    # -- one notebook ----------------------------------------------------------------------------------------------

    async def _asked(
        self, what: str, path: str, sent: bytes, make: Callable[[Planner, list[CellSource]], str]
    ) -> bytes:
        directory, name = self.root.notebook(path)
        return await self._with(directory, name, (what, sent), lambda one: make(one.planner, one.read(sent)).encode())

    async def _with(self, directory: Path, name: str, what: Hashable, job: Callable[[_Open], T]) -> T:
        """Do something with a notebook, when nobody else does."""
        return await self._in_turn(self._take(directory, name), directory, name, what, job)

    async def _in_turn(self, one: _Open, directory: Path, name: str, what: Hashable, job: Callable[[_Open], T]) -> T:
        def work() -> T:
            try:
                with understanding(directory):
                    return job(one)
            except CANNOT_PLAN as error:
                raise Conflict(str(error)) from error
            except sqlite3.Error as error:
                raise Conflict(f"the memory of {directory.name} cannot be read ({error})") from error
            except OSError as error:
                raise Conflict(f"{error.filename or directory.name} cannot be read: {error.strerror}") from error

        return await self.once((directory, name, what), work, one.turn)

    def _take(self, directory: Path, name: str) -> _Open:
        one = self._open.get((directory, name))
        if one is None:
            one = _Open(Planner(directory, name, self.look_after, self.read_limit * 10**6))
            self._open[directory, name] = one
        self._open.move_to_end((directory, name))
        one.asked, one.prepared = asyncio.get_running_loop().time(), False
        if self._chores is None or self._chores.done():
            self._chores = asyncio.create_task(self._do_chores())
        for key, other in list(self._open.items())[: max(0, len(self._open) - self.notebooks)]:
            if not other.turn.locked():
                del self._open[key]
                other.planner.close()
        return one

    async def _do_chores(self) -> None:
        """As long as notebooks are open: prepare for the next edit, and close those of which nobody asks any more."""
        clock = asyncio.get_running_loop().time
        while self._open:
            await asyncio.sleep(min(self.prepare_after, self.idle_limit or self.prepare_after) or 0.01)
            for key, one in list(self._open.items()):
                idle = clock() - one.asked
                if one.turn.locked():
                    continue
                if self.idle_limit and idle >= self.idle_limit:
                    del self._open[key]
                    one.planner.close()
                elif idle >= self.prepare_after and not one.prepared:
                    await self._prepare(one)

    async def _prepare(self, one: _Open) -> None:
        """Until it is done, or somebody asks; others have their turns in between."""
        asked = one.asked
        while one.asked == asked and not one.prepared:
            async with one.turn:
                try:
                    one.prepared = not await self.work(lambda: one.planner.prepare(_SLICE_S))
                except (Overloaded, LedgerError, sqlite3.Error, OSError):  # who asks next is told
                    one.prepared = True
            await asyncio.sleep(_SLICE_S)

    def _casa_now(self) -> tuple[Settings, Installation]:
        settings, now = self.settings, time.monotonic()
        known = self._casa
        if known is None or known[0] != settings:
            known = self._casa = settings, Installation(settings), now
        elif now - known[2] > _REREAD_S:
            fresh = Installation(settings)
            same = environment(fresh) == environment(known[1])
            known = self._casa = settings, known[1] if same else fresh, now
        return known[:2]

    def _of_cell(self, planner: Planner, cell: str) -> dict[str, Any] | None:
        cells = planner.cells or _saved(planner.directory / planner.notebook)
        if not any(one.id == cell for one in cells):
            return None
        plan = planner.plan(cells, *self._casa_now())
        return next(planned.as_json() for planned in plan.cells if planned.id == cell)


def posted(sent: bytes, valid: Callable[[Any], Any]) -> dict[str, Any]:
    """What was posted. ``valid``: its schema, compiled by fastjsonschema.

    Raises:
        BadRequest: it is no JSON, or not as the schema says.
    """
    try:
        value: dict[str, Any] = valid(json.loads(sent or b"{}"))
    except fastjsonschema.JsonSchemaValueException as error:
        raise BadRequest(error.message[:300].replace("data", "the body", 1)) from error
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is no JSON") from error
    return value


def sources(cells: Sequence[Mapping[str, Any]], before: Sequence[CellSource]) -> list[CellSource]:
    """The cells that a run from top to bottom executes, which empty ones are not. ``before``: most are as they were.

    Raises:
        BadRequest: two cells have the same id; the outputs of one are none.
    """
    known = {cell.id: cell for cell in before}
    found = []
    for place, cell in enumerate(cells):
        if cell["source"].strip():
            shown = _shown(cell) if "outputs" in cell else cell.get("shown")
            index, old = cell.get("index", place), known.get(cell["id"])
            same = old is not None and (old.source, old.index, old.shown) == (cell["source"], index, shown)
            found.append(old if same and old else CellSource(cell["id"], index, cell["source"], shown))
    if len({cell.id for cell in found}) < len(found):
        raise BadRequest("two cells have the same id")
    return found


def _shown(cell: Mapping[str, Any]) -> str:
    """
    Raises:
        BadRequest: its outputs are none.
    """
    try:
        return digest(cell["outputs"])
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise BadRequest(f"the outputs of cell {cell['id']} are none") from error


def _saved(path: Path) -> list[CellSource]:
    try:
        notebook = files.read(path)
    except CommandError:
        return []
    return files.code_cells(notebook, files.cell_ids(notebook))


@contextmanager
def _viewing(directory: Path) -> Iterator[Workspace]:
    space = Workspace.view(directory)
    with closing(space.ledger):
        yield space


def _summary(run: CellRun) -> dict[str, Any]:
    return {
        "number": run.id,
        "cell": run.cell,
        "notebook": run.notebook,
        "started": datetime.fromtimestamp(run.started, UTC).isoformat(),
        "seconds": run.seconds,
        "outcome": run.outcome,
        "error": run.error or None,
        "calls": [vars(call) for call in run.calls],
    }


def _detail(run: CellRun) -> dict[str, Any]:
    reads = [{"resource": r, "version": v, "origin": run.origins.get(r) or None} for r, v in run.reads.items()]
    writes = [{"resource": r, "version": v, "anew": r in run.rebound} for r, v in run.writes.items()]
    return {
        "run": _summary(run),
        "source": run.source,
        "reads": reads,
        "writes": writes,
        "impure": [*run.impure],
        "outside": [*run.outside],
        "unkept": [*run.unkept],
        "environment": dict(run.environment),
    }
