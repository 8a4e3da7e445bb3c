"""What happens in workspaces and notebooks, told as it happens on the server's own event stream."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from traitlets import Any as AnyTrait
from traitlets import Float, Integer, default

from casa_recompute import live
from casa_recompute.notebook.model import CellPlan, Plan
from casa_recompute.workspace import HOME
from jupyterlab_casa.managers.base import BadRequest, Manager, Refusal
from jupyterlab_casa.stream import IDS, Stream

SCHEMAS = Path(__file__).parents[1] / "events"
"""Where the schemas of the events are."""
_CELLS = 100
"""Cells that one event tells; more would keep the event loop for too long."""
_SECOND = 1.01
"""Seconds in which so many messages with lines of logs are sent at most; a little more than one, as clocks differ."""
_OUT = 5000
"""Events that may wait to be sent; who misses one asks for what has changed."""
_SHARE = 50
"""A notebook's files are looked at again after this many times the seconds that it took."""
_PAUSE = 5.0
"""Seconds after a fault."""
_TEXT = 4000
"""Characters of a text that another process wrote."""
_RECORDED = {"cell-ended", "product-captured", "product-restored", "product-changed-outside"}
"""What may make cells fresh or stale."""


@dataclass
class _Session:
    """A kernel or script that is followed."""

    kernel: str
    """Jupyter's id of its kernel; empty: it is none of this server's."""
    last: int
    """Number of its newest event that was told."""
    alive: bool = True
    past: bool = False
    """Whether its log had begun before anybody looked: what it says so far is no news."""
    missed: int = 0
    """Events that were not told."""
    size: int = 0
    """Bytes of its log when its lines were told last."""
    asked: int = -1
    """Bytes of its log when nobody could tell what is new in it; it may be read for the first time."""
    tries: int = 0
    """How often that was."""
    patience: float = 0.0
    """When to ask again, if it has not grown (time.monotonic)."""
    lines: int = 0
    """Lines of its log that were told."""
    logged: float = 0.0
    """When that was."""


@dataclass
class _Workspace:
    """A directory that is looked at."""

    path: str
    """Relative to the root."""
    sessions: dict[str, _Session] = field(default_factory=dict)
    looked: float = 0.0
    """When (time.monotonic); 0: not yet."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of the logs of sessions."""
    asked_store: float = 0.0


@dataclass
class _Notebook:
    """An open notebook."""

    path: str
    """Relative to the root."""
    cells: dict[str, CellPlan] = field(default_factory=dict)
    fresh: bool | None = None
    planned: float = 0.0
    """When its plan was made last (time.monotonic)."""
    took: float = 0.0
    """Seconds that it took."""
    because: str = ""
    """Why it is to be planned again; empty: it need not."""


class Events(Manager):
    """Follows the files in which kernels tell what they do (``live.py``), logs, and the files of open notebooks.

    Looked at are the workspaces in which kernels of this server work, and those of open notebooks; there also kernels
    and scripts that are none of this server's. A notebook is open for ``open_for`` seconds after its plan was asked
    for, and as long as a kernel works beside it.
    """

    period = Float(0.2, min=0.05, help="Seconds between looks at what kernels do. Default: 0.2.").tag(config=True)
    idle_period = Float(
        2.0, min=0.05, help="The same, where no kernel of this server works, only a notebook is open. Default: 2."
    ).tag(config=True)
    plan_period = Float(
        0.5, min=0.0, help="Seconds between plans of a notebook while a kernel works. Default: 0.5."
    ).tag(config=True)
    files_period = Float(
        10.0,
        min=0.05,
        help="Seconds after which the files of an open notebook are looked at again (later, if that takes more than a "
        "50th of the time). Default: 10.",
    ).tag(config=True)
    open_for = Float(
        3600.0, min=0.0, help="Seconds for which a notebook is open after its plan was asked for. Default: 3600."
    ).tag(config=True)
    store_period = Float(
        60.0, min=0.05, help="Seconds between looks at how full a workspace's disk and store are. Default: 60."
    ).tag(config=True)
    log_messages = Integer(
        10, min=1, max=10, help="Messages a second with lines of logs, of all kernels together. Default: 10."
    ).tag(config=True)
    log_lines = Integer(200, min=1, help="Lines in such a message; the rest is counted. Default: 200.").tag(config=True)
    burst = Integer(
        500, min=1, help="What a kernel did between two looks: the newest that is told of it. Default: 500."
    ).tag(config=True)
    kept = Integer(4, min=1, help="MB (10^6 bytes) of events that are held for who was away. Default: 4.").tag(
        config=True
    )

    event_logger = AnyTrait(help="Who sends events. Default: that of the server.")
    kernels = AnyTrait(help="Who knows the kernels. Default: that of the extension.")
    plans = AnyTrait(help="Who plans notebooks. Default: that of the extension.")
    logs = AnyTrait(help="Who reads logs; None: nobody. Default: that of the extension.")
    store = AnyTrait(help="Who looks after stores. Default: that of the extension.")

    @default("event_logger")
    def _default_event_logger(self) -> Any:
        extension: Any = self.parent
        return extension.serverapp.event_logger

    @default("kernels")
    def _default_kernels(self) -> Any:
        return self._of_extension("kernels")

    @default("plans")
    def _default_plans(self) -> Any:
        return self._of_extension("plans")

    @default("logs")
    def _default_logs(self) -> Any:
        return self._of_extension("logs")

    @default("store")
    def _default_store(self) -> Any:
        return self._of_extension("store")

    def _of_extension(self, name: str) -> Any:
        extension: Any = self.parent
        return extension.managers.get(name)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stream = Stream(self.kept * 10**6)
        self._workspaces: dict[Path, _Workspace] = {}
        self._notebooks: OrderedDict[tuple[Path, str], _Notebook] = OrderedDict()
        self._out: deque[tuple[str, dict[str, Any]]] = deque(maxlen=_OUT)
        self._to_send = asyncio.Event()
        self._sent: deque[float] = deque(maxlen=self.log_messages)
        self._log_turn = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    async def changes(self, since: str | None) -> bytes:
        """What has happened since a revision, or what is so now; see :meth:`Stream.changes`.

        Raises:
            BadRequest: ``since`` is no revision.
        """
        try:
            return self.stream.changes(since)
        except ValueError as error:
            raise BadRequest(str(error)) from error

    def register(self) -> None:
        """Make the schemas known; before anybody listens."""
        for path in sorted(SCHEMAS.glob("*.yaml")):
            self.event_logger.register_event_schema(path)

    async def start(self) -> None:
        """Follow, from now on until :meth:`stop`."""
        self.plans.heard.append(self._heard)
        rounds = ((self._look_around, self.period), (self._plan_again, self.period), (self._look_at_stores, 1.0))
        self._tasks = [asyncio.ensure_future(self._again_and_again(*one)) for one in (*rounds, (self._tell_logs, 0.1))]
        self._tasks.append(asyncio.ensure_future(self._send()))

    async def stop(self) -> None:
        """The server ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await super().stop()

    # -- sending ---------------------------------------------------------------------------------------------------

    def _tell(self, kind: str, workspace: str, session: str = "", kernel: str = "", **about: Any) -> None:
        who = {"workspace": workspace, "kernel": kernel, "session": session}
        self._out.append((kind, self.stream.add(kind, who | about)))
        self._to_send.set()

    async def _send(self) -> None:
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            while self._out:
                kind, event = self._out.popleft()
                try:
                    self.event_logger.emit(schema_id=IDS[kind], data=event)
                except Exception:  # one of a site's own listeners, say; who misses it asks for what has changed
                    self.log.exception("an event could not be sent")
                await asyncio.sleep(0)  # others have their turn

    async def _again_and_again(self, job: Callable[[], Awaitable[None]], period: float) -> None:
        while True:
            try:
                await job()
            except Refusal as error:
                self.log.debug("not followed this time: %s", error)
            except Exception:  # what follows is told all the same
                self.log.exception("what happens could not be followed")
                await asyncio.sleep(_PAUSE)
            await asyncio.sleep(period)

    # -- workspaces ------------------------------------------------------------------------------------------------

    def _opened(self, kernels: Iterable[Path]) -> set[tuple[Path, str]]:
        """The notebooks that are open."""
        busy, since = set(kernels), time.monotonic() - self.open_for
        return {key for key, posted in self.plans.opened().items() if posted >= since or key[0] in busy}

    async def _look_around(self) -> None:
        kernels = set(self.kernels.places().values())
        opened = self._opened(kernels)
        for key in [key for key in self._notebooks if key not in opened]:
            self._close(key)
        wanted = kernels | {directory for directory, _ in opened}
        for directory in [one for one in self._workspaces if one not in wanted]:
            self._leave(directory)
        now = time.monotonic()
        for directory in wanted:
            one = self._workspaces.get(directory)
            if one is None:
                one = self._workspaces[directory] = _Workspace(os.path.relpath(directory, self.root.directory))
            lives = any(session.alive for session in one.sessions.values())
            if now - one.looked >= (self.period / 2 if lives or directory in kernels else self.idle_period):
                await self._look(directory, one)

    def _leave(self, directory: Path) -> None:
        one = self._workspaces.pop(directory)
        for session in [name for name, known in one.sessions.items() if known.alive]:
            self._ended(one, session)

    async def _look(self, directory: Path, one: _Workspace) -> None:
        """See what sessions have done in a workspace."""
        first = one.looked == 0
        since = None if first else {name: known.last for name, known in one.sessions.items()}
        states, events, one.sizes = await self.work(lambda: _read(directory, since))
        one.looked = time.monotonic()
        present, ours = self.stream.present.kernels, self.kernels.places()
        for state in states:
            if state.session not in one.sessions:
                copied = state.session in present  # with its whole workspace
                alive = not copied and (state.alive or not first)
                last = state.revision if first or copied else 0
                past = first and one.sizes.get(state.session, 0) > 0
                one.sessions[state.session] = _Session(state.kernel if state.kernel in ours else "", last, alive, past)
                if alive:
                    self._tell_kernel(one, state, "started", _doing(state) if first else _NOTHING)
        recorded = self._tell_news(one, events)
        for state in states:
            known = one.sessions[state.session]
            if not known.alive:
                continue
            if not state.alive:
                if await self._tell_log(directory, one, state.session):  # else, it is told with the next look
                    self._ended(one, state.session)
            elif state.revision == known.last:
                told = present[state.session]
                if known.missed or _differs(told, state):
                    self._tell_kernel(one, state, "changed", _doing(state), known.missed)
                    known.missed = 0
        here = {state.session for state in states}
        for name in [name for name in one.sessions if name not in here]:
            if one.sessions[name].alive:
                self._ended(one, name)
            del one.sessions[name]
        if recorded:
            for (place, _), notebook in self._notebooks.items():
                if place == directory:
                    notebook.because = "recorded"

    def _ended(self, one: _Workspace, session: str) -> None:
        known, told = one.sessions[session], self.stream.present.kernels.get(session)
        known.alive = False
        if told is not None:
            about = {**_NOTHING, **{name: told[name] for name in ("notebook", "log", "started", "display")}}
            self._tell("kernel", one.path, session, known.kernel, action="ended", missed=0, **about)

    def _tell_kernel(
        self, one: _Workspace, state: live.Live, action: str, doing: Mapping[str, Any], missed: int = 0
    ) -> None:
        about = {"notebook": state.notebook, "display": state.display is not None, "log": state.log}
        about |= {"started": state.started, "missed": missed, **doing}
        self._tell("kernel", one.path, state.session, one.sessions[state.session].kernel, action=action, **about)

    def _tell_news(self, one: _Workspace, events: Iterable[Mapping[str, Any]]) -> bool:
        """Tell what sessions did; whether that may have made cells fresh or stale."""
        by_session: dict[str, list[Mapping[str, Any]]] = {}
        for event in events:
            by_session.setdefault(event["session"], []).append(event)
        tell: list[Mapping[str, Any]] = []
        for name, news in by_session.items():
            known = one.sessions.get(name)
            if known is not None and known.alive:
                newest = news[-self.burst :]
                known.missed += newest[0]["n"] - known.last - 1
                known.last = newest[-1]["n"]
                tell += newest
        for event in sorted(tell, key=lambda event: event["time"]):
            for kind, about in _told(event, self.stream.present.kernels[event["session"]]):
                self._tell(kind, one.path, event["session"], one.sessions[event["session"]].kernel, **about)
        missed = any(known.missed for known in one.sessions.values())
        return missed or any(event["kind"] in _RECORDED for event in tell)

    # -- logs ------------------------------------------------------------------------------------------------------

    async def _tell_logs(self) -> None:
        """New lines, of that log first which has waited longest."""
        now = time.monotonic()
        waiting = [
            (known.logged, directory, name)
            for directory, one in self._workspaces.items()
            for name, known in one.sessions.items()
            if known.alive and (size := one.sizes.get(name, known.size)) != known.size
            if size != known.asked or now >= known.patience
        ]
        for _, directory, name in sorted(waiting):
            one = self._workspaces.get(directory)
            if one is not None and not await self._tell_log(directory, one, name):
                break

    async def _tell_log(self, directory: Path, one: _Workspace, session: str) -> bool:
        """Tell new lines of a log; False: not now, too many have been told."""
        if self.logs is None:
            return True
        async with self._log_turn:
            known, size = one.sessions[session], one.sizes.get(session, 0)
            if size == known.size or not known.alive:
                return True
            if len(self._sent) == self.log_messages and time.monotonic() - self._sent[0] < _SECOND:
                return False
            news = (await self.logs.news(directory, {session: known.lines})).get(session)
            known.logged = now = time.monotonic()
            if news is None or news["total"] == known.lines or not known.alive:
                known.tries = known.tries + 1 if known.asked == size else 0
                known.asked, known.patience = size, now + min(60.0, 0.5 * 2**known.tries)
                return True
            beginning, known.size = known.lines == 0, size
            lines = [] if beginning and known.past else list(news["lines"])[-self.log_lines :]
            about = {"first": news["total"] - len(lines) + 1, "lines": lines, "total": news["total"]}
            skipped, known.lines = max(0, news["total"] - known.lines - len(lines)), news["total"]
            self._tell("log", one.path, session, known.kernel, skipped=skipped, **about)
            self._sent.append(time.monotonic())  # not before its own time, from which others count
            return True

    # -- notebooks -------------------------------------------------------------------------------------------------

    def _heard(self, directory: Path, name: str, plan: Plan, because: str) -> None:
        """A plan was made: tell what is not as it was told last."""
        key = (directory, name)
        known = self._notebooks.get(key)
        if known is None:
            path = os.path.relpath(directory / name, self.root.directory)
            known = self._notebooks[key] = _Notebook(path)
        known.planned = time.monotonic()
        now = {cell.id: cell for cell in plan.cells}
        changed = [cell for cell in plan.cells if _unlike(known.cells.get(cell.id), cell)]
        gone = [cell for cell in known.cells if cell not in now]
        if changed or gone or known.fresh != plan.fresh:
            about: dict[str, Any] = {"path": known.path, "fresh": plan.fresh, "estimate_s": round(plan.estimate_s, 3)}
            workspace = os.path.relpath(directory, self.root.directory)
            for start in range(0, max(1, len(changed)), _CELLS):
                cells = [_cell(cell) for cell in changed[start : start + _CELLS]]
                self._tell("cells", workspace, because=because, closed=False, cells=cells, gone=gone, **about)
                gone = []
        known.cells, known.fresh = now, plan.fresh

    def _close(self, key: tuple[Path, str]) -> None:
        known = self._notebooks.pop(key)
        about: dict[str, Any] = {"path": known.path, "fresh": False, "estimate_s": 0.0, "cells": [], "gone": []}
        self._tell("cells", os.path.relpath(key[0], self.root.directory), because="asked", closed=True, **about)

    async def _plan_again(self) -> None:
        """Plan notebooks of which something else may be true now, one at a time."""
        for (directory, name), known in list(self._notebooks.items()):
            since = time.monotonic() - known.planned
            if not known.because and since >= max(self.files_period, _SHARE * known.took):
                known.because = "disk"
            if known.because and since >= max(self.plan_period, known.took):
                because, known.because, began = known.because, "", time.monotonic()
                try:
                    await self.plans.again(directory, name, because)
                except Refusal as error:
                    self.log.debug("%s is not planned again: %s", known.path, error)
                known.planned = time.monotonic()
                known.took = known.planned - began
                await asyncio.sleep(2 * known.took)  # who asks for plans comes first

    # -- stores ----------------------------------------------------------------------------------------------------

    async def _look_at_stores(self) -> None:
        for one in list(self._workspaces.values()):
            now = time.monotonic()
            if one.looked and (not one.asked_store or now - one.asked_store >= self.store_period):
                one.asked_store = now
                try:
                    near = await self.store.near(one.path)
                except Refusal as error:
                    self.log.debug("the store of %s is not looked at: %s", one.path, error)
                    continue
                told = self.stream.present.stores.get(one.path, {"near": []})["near"]
                if {row["what"] for row in near} != {row["what"] for row in told}:
                    self._tell("store", one.path, near=near)


_NOTHING: Mapping[str, Any] = {"cell": None, "call": None}


def _read(
    directory: Path, since: Mapping[str, int] | None
) -> tuple[list[live.Live], list[dict[str, Any]], dict[str, int]]:
    """What sessions tell in a workspace: states, events since then (None: none), sizes of their logs."""
    home = directory / HOME
    if Path(os.path.realpath(directory)) != directory:  # somebody has put a link in its place
        return [], [], {}
    states = [state for state in map(_sound, live.read(home)) if state is not None]
    sizes = {}
    for state in states:
        with contextlib.suppress(OSError, ValueError):
            sizes[state.session] = os.stat(directory / state.log).st_size
    news = since is not None and any(state.revision != since.get(state.session) for state in states)
    return states, live.tail(home, since or {}) if news else [], sizes


def _sound(state: live.Live) -> live.Live | None:
    """A state, if it is what it should be: others may have written it."""
    texts = (state.session, state.kernel, state.log, state.notebook, state.cell or "")
    call = state.call
    if not all(isinstance(text, str) and len(text) < _TEXT for text in texts) or not isinstance(state.revision, int):
        return None
    if not _is_number(state.started) or not (call is None or isinstance(call, Mapping)):
        return None
    return state


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18


def _text(value: object) -> str:
    return value[:_TEXT] if isinstance(value, str) else ""


def _maybe(value: object) -> str | None:
    return value[:_TEXT] if isinstance(value, str) else None


def _number(value: Any) -> float:
    return float(value) if _is_number(value) else 0.0


def _maybe_number(value: Any) -> float | None:
    return float(value) if _is_number(value) else None


def _call(call: Mapping[str, Any], began: Any, elapsed: float) -> dict[str, Any]:
    return {
        "task": _text(call.get("task")),
        "reason": _text(call.get("reason")),
        "began": _number(began),
        "expected_s": _maybe_number(call.get("expected_s")),
        "stage": _text(call.get("stage")),
        "elapsed_s": round(elapsed, 3),
        "waiting_for": _maybe(call.get("waiting_for")),
    }


def _doing(state: live.Live) -> dict[str, Any]:
    """What a session does now."""
    if state.call is None:
        return {"cell": state.cell, "call": None}
    began = _number(state.call.get("began"))
    return {"cell": state.cell, "call": _call(state.call, began, max(0.0, time.time() - began))}


def _differs(told: Mapping[str, Any], state: live.Live) -> bool:
    """Whether what was told of a session is not so."""
    doing = _doing(state)
    now, then = doing["call"], told["call"]
    same = (told["cell"], told["display"]) == (doing["cell"], state.display is not None)
    if not same or (now is None) != (then is None):
        return True
    return now is not None and any(now[name] != then[name] for name in ("task", "waiting_for"))


def _told(event: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """An event of a session as events of the stream; ``told``: what is told of the session."""
    kind, action = str(event.get("kind", "")).partition("-")[::2]
    notebook, cell = told["notebook"], _maybe(event.get("cell")) or None
    if kind == "cell" and action in ("started", "ended"):
        outcome = {"outcome": _maybe(event.get("outcome")), "run": int(_number(event.get("run")))}
        notebook = _maybe(event.get("notebook")) or notebook
        yield "cell", {"action": action, "notebook": notebook, "cell": cell, **outcome}
    elif kind == "call" and action == "started":
        yield "call", {"action": action, "notebook": notebook, "cell": cell, **_call(event, event["time"], 0.0)}
    elif kind == "call" and action == "progressed":
        call = _call(event, event.get("began"), _number(event.get("elapsed_s")))
        yield "call", {"action": action, "notebook": notebook, "cell": cell, **call}
    elif kind == "call" and action == "ended":
        yield "call", _call_ended(event, told) | {"action": action, "notebook": notebook, "cell": cell}
    elif kind == "product" and action in ("captured", "restored", "changed-outside"):
        yield "product", {"action": action, "path": _text(event.get("path")), "version": _text(event.get("version"))}


def _call_ended(event: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    seconds, products, result = _number(event.get("seconds")), event.get("products"), event.get("action")
    before = told["call"] or {}
    call = _call(event, before.get("began", _number(event["time"]) - seconds), seconds)
    memory = _maybe_number(event.get("memory_bytes"))
    ended = {
        "action": result if result in ("ran", "restored", "watched", "failed") else "watched",
        "seconds": seconds,
        "saved_s": _number(event.get("saved_s")),
        "cpu_s": _maybe_number(event.get("cpu_s")),
        "memory_bytes": int(memory) if memory is not None else None,
        "products": [_text(one) for one in products[:100]] if isinstance(products, list) else [],
        "error": _maybe(event.get("error")),
    }
    return call | {"expected_s": before.get("expected_s"), "waiting_for": None, "result": ended}


def _unlike(before: CellPlan | None, now: CellPlan) -> bool:
    if before is now:
        return False
    return before is None or (before.state, before.reasons, before.index) != (now.state, now.reasons, now.index)


def _cell(cell: CellPlan) -> dict[str, Any]:
    told = cell.as_json()
    return {name: told[name] for name in ("id", "index", "state", "estimate_s", "reasons")}
