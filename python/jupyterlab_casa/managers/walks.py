"""Re-running what is stale from a browser: which cell next, in the kernel that the user has open.

The browser executes; here is only the place in the notebook, which a restart of the server loses, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import fastjsonschema
from traitlets import Float, Integer

from casa_recompute import live
from casa_recompute.installation import Installation
from casa_recompute.notebook.model import CellSource
from casa_recompute.notebook.rerun import Edited, NotRecorded
from casa_recompute.notebook.walk import Misuse, Walk
from casa_recompute.settings import Settings
from casa_recompute.workspace import HOME, WorkspaceBusy
from jupyterlab_casa.managers.base import BadRequest, Conflict, Manager, NotThere, Overloaded
from jupyterlab_casa.managers.plans import CELLS, posted, sources
from jupyterlab_casa.managers.products import told

SCHEMA = 1
_ID = {"type": ["string", "null"], "pattern": "^[!-~]{1,256}$"}
WALK = {
    "type": "object",
    "required": ["cells"],
    "properties": {
        **CELLS["properties"],
        "kernel": _ID,
        "to": _ID,
        "everything": {"type": "boolean"},
    },
}
"""What is posted to begin with; as in openapi.yaml."""
STEP = {
    "type": "object",
    "properties": {**CELLS["properties"], "ok": {"type": ["boolean", "null"]}, "stop": {"type": "boolean"}},
}
"""What is posted with each step; as in openapi.yaml."""
_valid_walk, _valid_step = fastjsonschema.compile(WALK), fastjsonschema.compile(STEP)
T = TypeVar("T")


@dataclass
class _Open:
    """A walk that is not over."""

    id: str
    directory: Path
    notebook: str
    kernel: str | None
    walk: Walk | None = None  # None: it is being planned
    cells: list[CellSource] = field(default_factory=list)
    began: float = field(default_factory=time.time)
    used: float = field(default_factory=time.monotonic)
    stopping: bool = False
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def session(self) -> live.Live | None:
        """What its kernel does in this workspace; a kernel that another provisioner has started knows no id."""
        alive = [session for session in live.read(self.directory / HOME) if session.alive]
        named = [session for session in alive if session.kernel == self.kernel]
        unnamed = [session for session in alive if not session.kernel]
        return named[0] if named else unnamed[0] if len(unnamed) == 1 and self.kernel else None


class Walks(Manager):
    """Walks through notebooks, one at a time in each workspace. No cell is executed here."""

    idle_after = Float(
        900.0,
        min=0.1,
        help="Seconds after which a walk is given up if nobody asks for its next step and its kernel executes nothing. "
        "Default: 900.",
    ).tag(config=True)
    patience = Float(
        5.0, min=0.0, help="Seconds for which one waits for a kernel that is at work in a workspace. Default: 5."
    ).tag(config=True)
    outputs_limit = Integer(
        32,
        min=1,
        help="MB (10^6 bytes) of outputs that are brought back after which an answer ends; one cell's may be more. "
        "Default: 32.",
    ).tag(config=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open: dict[str, _Open] = {}
        self._casa: tuple[Settings, Installation] | None = None

    async def begin(self, path: str, sent: bytes) -> bytes:
        """Begin a walk, and tell the plan and the first steps.

        Args:
            path: of the notebook, relative to the server's root.
            sent: its cells, and how to go, as JSON; see ``WALK``.

        Raises:
            BadRequest: that is no JSON, or not as it should be; two cells have the same id; there is no cell ``to``.
            NotThere: it is no notebook within the root.
            Conflict: a notebook in this directory is being re-run; the kernel does not work there; or nothing can be
                said of it.
            Overloaded: too much is waiting already.
        """
        directory, name = self.root.notebook(path)
        other = next((one for one in self._open.values() if one.directory == directory), None)
        if other is not None:
            since = datetime.fromtimestamp(other.began).strftime("%H:%M:%S")
            kernel = f", in the kernel {other.kernel}" if other.kernel else ""
            raise Conflict(f"{other.notebook} is being re-run in this directory (since {since}{kernel})")
        one = _Open(uuid.uuid4().hex, directory, name, None)
        self._open[one.id] = one

        def work() -> bytes:
            asked = posted(sent, _valid_walk)
            one.cells, to = sources(asked["cells"], ()), asked.get("to")
            if to is not None and all(cell.id != to for cell in one.cells):
                raise BadRequest("there is no cell to which the notebook could be run")
            one.kernel = asked.get("kernel")
            if one.kernel is not None and one.session() is None:
                raise Conflict("the kernel does not work in the notebook's directory: restart it")
            settings, casa = self._casa_now()
            walk = one.walk = Walk(
                directory,
                name,
                one.cells,
                settings,
                everything=asked.get("everything", False),
                to=to,
                held=lambda: _held(one),
                casa=casa,
                patience=self.patience,
                outputs_limit=self.outputs_limit * 10**6,
            )
            plan = walk.plan().as_json()
            return _said({**self._head(one), "plan": plan, **walk.go_on()})

        try:
            answer = await self._in_turn(one, lambda: told(directory, work))
        except BaseException:
            await self._give_up(one)
            raise
        asyncio.get_running_loop().call_later(self.idle_after, self._look_after, one)
        return answer

    async def step(self, walk: str, sent: bytes) -> bytes:
        """Hear how the last step went, and tell the next ones; see :meth:`Walk.go_on`.

        Args:
            walk: its id.
            sent: how it went, as JSON; see ``STEP``.

        Raises:
            BadRequest: it does not fit what was asked for; the walk goes on.
            NotThere: there is no such walk, or it is over.
            Conflict: it cannot go on, and is over.
            Overloaded: a kernel is at work in the workspace, or too much is waiting: ask the same again.
        """
        one = self._known(walk)

        def work() -> tuple[bytes, bool]:
            asked = posted(sent, _valid_step)
            if one.walk is None:
                raise BadRequest("the walk has not begun yet")
            cells = sources(asked["cells"], one.cells) if "cells" in asked else None
            if cells is not None:
                one.cells = cells
            try:
                answer = one.walk.go_on(asked.get("ok"), cells, asked.get("stop", False) or one.stopping)
            except Misuse as error:
                raise BadRequest(str(error)) from error
            except WorkspaceBusy as error:
                raise Overloaded(f"{error}: try again") from error
            except (NotRecorded, Edited) as error:
                raise Conflict(str(error)) from error
            return _said({**self._head(one), "plan": None, **answer}), answer["done"] is not None

        try:
            answer, over = await self._in_turn(one, lambda: told(one.directory, work))
        except (BadRequest, Overloaded):
            raise
        except BaseException:
            await self._give_up(one)
            raise
        if over:
            await self._give_up(one)
        return answer

    async def halt(self, walk: str) -> dict[str, Any]:
        """Stop a walk: the task that runs is run to its end, the cell is interrupted then, and no other begins.

        Raises:
            NotThere: there is no such walk, or it is over.
            Conflict: the kernel cannot be told.
        """
        one = self._known(walk)
        one.stopping = True

        def work() -> dict[str, Any]:
            session = one.session()
            if session is not None:
                live.ask_to_stop(one.directory / HOME, session.session)
            return {**self._head(one), "running": session.cell if session is not None else None}

        return await self.work(lambda: told(one.directory, work))

    async def end(self, walk: str) -> dict[str, Any]:
        """Give up a walk, wherever it is; nothing is brought back. ``ended``: whether there was one."""
        one = self._open.get(walk)
        if one is not None:
            await self._give_up(one)
        return {"schema": SCHEMA, "id": walk, "ended": one is not None}

    async def stop(self) -> None:
        """The server ends."""
        for one in list(self._open.values()):
            await self._give_up(one)
        await super().stop()

    # -- one walk --------------------------------------------------------------------------------------------------

    def _head(self, one: _Open) -> dict[str, Any]:
        return {"schema": SCHEMA, "id": one.id, "notebook": one.notebook}

    def _known(self, walk: str) -> _Open:
        one = self._open.get(walk)
        if one is None:
            raise NotThere("there is no such walk, or it is over")
        return one

    async def _in_turn(self, one: _Open, job: Callable[[], T]) -> T:
        async with one.turn:
            one.used = time.monotonic()
            try:
                return await self.work(job)
            finally:
                one.used = time.monotonic()

    async def _give_up(self, one: _Open) -> None:
        if self._open.pop(one.id, None) is not None:
            async with one.turn:
                walk, one.walk = one.walk, None
                if walk is not None:
                    await asyncio.get_running_loop().run_in_executor(self._pool, walk.close)

    def _look_after(self, one: _Open) -> None:
        """Give a walk up if nobody asks any more."""
        if one.id not in self._open:
            return

        async def look() -> None:
            left = one.used + self.idle_after - time.monotonic()
            if left <= 0 and not one.turn.locked():
                session = await self.work(one.session)
                if session is None or session.cell is None:
                    self.log.warning("the walk through %s is given up: nobody asks for its next step", one.notebook)
                    await self._give_up(one)
                    return
                left = self.idle_after
            asyncio.get_running_loop().call_later(max(left, 0.1), self._look_after, one)

        self._looking = asyncio.ensure_future(look())

    def _casa_now(self) -> tuple[Settings, Installation]:
        settings, known = self.settings, self._casa
        if known is None or known[0] != settings:
            known = self._casa = settings, Installation(settings)
        return known


def _held(one: _Open) -> Mapping[str, str]:
    session = one.session() if one.kernel is not None else None
    return session.holds if session is not None else {}


def _said(answer: Mapping[str, Any]) -> bytes:
    return json.dumps(answer).encode()
