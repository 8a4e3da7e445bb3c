"""The CASA logs of sessions: windows, filters and search, also in logs that do not fit into memory."""

from __future__ import annotations

import builtins
import json
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from traitlets import Float, Integer

from casa_recompute import live
from casa_recompute.casalog.index import Found, Line, LogIndex, Marker, Part, Replaced, Wanted
from casa_recompute.workspace import HOME
from jupyterlab_casa.managers.base import BadRequest, Conflict, Manager, NotThere

SCHEMA = 1
"""Version of the JSON objects."""
_PIECE_S = 0.02
"""Seconds of a search after which others that wait for a thread have their turn."""
_MARK_S = 0.1
"""Seconds for which it is looked where in lines something is; in those that remain then, nothing is marked."""
_LISTED = 1000
"""Logs of a workspace that are listed."""
_TRIES = 5
_CHUNK = 1 << 18
"""Bytes of a log that are sent at a time."""
_CALLS = 1000
"""Calls of a log that are told at once."""
KERNELS = "kernels"
"""Stands for a session in the name of the log into which the tools of all kernels of a workspace write."""
_LOG = re.compile(r"casa-([0-9a-f]{1,32}|kernels)\.log")


class Logs(Manager):
    """CASA logs, each with an index in memory (50 bytes for 1,000 lines). A log is read on when somebody asks."""

    open_logs = Integer(64, min=1, help="Logs whose index is held in memory. Default: 64.").tag(config=True)
    search_time = Float(
        0.5,
        min=0.0,
        help="Seconds that a request may search, or read a log for the first time; it then answers how far it has "
        "come, so that one can ask for the rest. Default: 0.5.",
    ).tag(config=True)
    lines_limit = Integer(1000, min=1, help="Lines that one answer holds at most. Default: 1000.").tag(config=True)
    width = Integer(4000, min=100, help="Characters of a message that are told. Default: 4000.").tag(config=True)
    news_limit = Integer(
        200, min=1, help="New lines that an event tells at most, the newest; others are counted. Default: 200."
    ).tag(config=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open: OrderedDict[Path, LogIndex] = OrderedDict()
        self._lock = threading.Lock()

    async def list(self, path: str) -> dict[str, Any]:
        """The logs of a workspace, the one that changed last first: ``{"schema": 1, "logs": [...]}``.

        Each has ``session``, ``kernel`` (Jupyter's id; None: not known, or the session has ended), ``notebook`` (name,
        or None), ``alive``, ``size`` (bytes), ``changed`` (Unix s), and ``lines`` and ``counts`` (priority -> lines),
        which are None where the log has not been read yet.

        Raises:
            NotThere: there is no such workspace.
            Overloaded: too much is waiting already.
        """
        directory = self.root.workspace(path)
        return await self.once(("list", directory), lambda: self._list(directory))

    async def get(
        self,
        path: str,
        session: str,
        first: int = -100,
        count: int = 100,
        until: int | None = None,
        mark: str = "",
        **wanted: Any,
    ) -> bytes:
        """A window of a log, or what a search finds; JSON, see ``LogWindow`` in openapi.yaml.

        Args:
            path: of a workspace or a notebook in it, relative to the server's root.
            session: whose log.
            first: number of the first line to look at; below 0: so many lines from the end, or from ``until``.
            count: how many lines, when ``first`` is not below 0.
            until: number of the first line not to look at any more.
            mark: a regular expression: it is told where in the lines it matches.
            wanted: see :class:`~casa_recompute.casalog.index.Wanted`.

        Raises:
            BadRequest: an argument cannot be used; the message says why.
            NotThere: there is no such log.
            Conflict: it is being replaced all the time.
            Overloaded: too much is waiting already.
        """
        directory = self.root.workspace(path)
        count = min(-first if first < 0 else count, self.lines_limit)
        pieces = self._pieces(directory, session, wanted, mark, first, until, count)
        while (answer := await self.work(lambda: next(pieces))) is None:
            pass  # others that wait for a thread have their turn
        return answer

    async def calls(self, path: str, session: str, first: int = -_CALLS, count: int = _CALLS) -> bytes:
        """Which lines of a log belong to which call; JSON, see ``LogCalls`` in openapi.yaml.

        Args:
            path: of a workspace or a notebook in it, relative to the server's root.
            session: whose log.
            first: number of the first call; below 0: the last so many.
            count: how many, when ``first`` is not below 0.

        Raises:
            BadRequest: an argument cannot be used; the message says why.
            NotThere: there is no such log.
            Conflict: it is being replaced all the time.
            Overloaded: too much is waiting already.
        """
        directory = self.root.workspace(path)
        if first == 0:
            raise BadRequest("calls are counted from 1, or from -1 backwards")
        pieces = self._tries(
            directory,
            session,
            lambda index, alive: self._calls(index, session, alive, first, count),
            lambda index: _told_calls(session, index, True, True, [], False),
        )
        while (answer := await self.work(lambda: next(pieces))) is None:
            pass  # others that wait for a thread have their turn
        return answer

    async def whole(self, path: str, session: str) -> AsyncIterator[bytes]:
        """The log of a session as it is now, piece by piece; there is at least one, which may be empty.

        Args:
            path: of a workspace or a notebook in it, relative to the server's root.
            session: whose log.

        Raises:
            NotThere: there is no such log.
            Overloaded: too much is waiting already.
        """
        directory = self.root.workspace(path)
        try:
            number = await self.work(lambda: self._index(directory, session).open())
        except OSError as error:
            raise _none(session) from error
        try:
            place, size = 0, os.fstat(number).st_size
            while data := await self.work(partial(os.pread, number, min(_CHUNK, size - place), place)):
                place += len(data)
                yield data
            if not place:
                yield b""
        finally:
            os.close(number)

    async def news(self, directory: Path, since: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        """New lines of the logs of a workspace.

        Args:
            directory: the workspace.
            since: session -> number of the last line that is known. If empty: all sessions that live, none known.

        Returns:
            session -> ``first`` (number of the first line that is told), ``lines`` (see :class:`Line`), ``total`` (how
            many there are now: what to give as ``since``), ``skipped`` (lines after ``since`` that are not told, as
            there are more than ``news_limit``). Only sessions with new lines, whose log has been read to its end.

        Raises:
            Overloaded: too much is waiting already.
        """
        key = ("news", directory, tuple(sorted(since.items())))
        return await self.once(key, lambda: self._news(directory, since))

    # -- one log ----------------------------------------------------------------------------------------------------

    def _index(self, directory: Path, session: str) -> LogIndex:
        """The index of a session's log.

        Raises:
            FileNotFoundError: no session is called so.
        """
        path = directory / HOME / "log" / f"casa-{session}.log"
        if not _LOG.fullmatch(path.name):
            raise FileNotFoundError(session)
        with self._lock:
            index = self._open.get(path)
            if index is None:
                index = self._open[path] = LogIndex(path, self.root.directory, self.width)
            self._open.move_to_end(path)
            while len(self._open) > self.open_logs:
                self._open.popitem(last=False)
        return index

    def _pieces(
        self, directory: Path, session: str, given: dict[str, Any], mark: str, first: int, until: int | None, count: int
    ) -> Iterator[bytes | None]:
        """The answer, after each piece of work without one: None; see :meth:`get`."""
        if first == 0:
            raise BadRequest("lines are counted from 1, or from -1 backwards")
        try:
            wanted = Wanted(**given)
            marker = Marker(mark) if mark else None
        except ValueError as error:
            raise BadRequest(str(error)) from error
        nothing = Found([], 1, 1, 0)
        yield from self._tries(
            directory,
            session,
            lambda index, alive: self._search(index, session, alive, wanted, marker, first, until, count),
            lambda index: _answer(session, index, True, True, nothing),
        )

    def _tries(
        self,
        directory: Path,
        session: str,
        ask: Callable[[LogIndex, bool], Iterator[bytes | None]],
        nothing: Callable[[LogIndex], bytes],
    ) -> Iterator[bytes | None]:
        """What is answered of a log and whether its session lives, or if that lives and CASA has said nothing yet."""
        alive = any(one.alive and session in (one.session, KERNELS) for one in live.read(directory / HOME))
        for _ in range(_TRIES):
            try:
                yield from ask(self._index(directory, session), alive)
                return
            except Replaced:
                continue
            except OSError as error:
                if alive and isinstance(error, FileNotFoundError):
                    yield nothing(LogIndex(Path(os.devnull)))
                raise _none(session) from error
        raise Conflict("the log is being replaced again and again")

    def _calls(self, index: LogIndex, session: str, alive: bool, first: int, count: int) -> Iterator[bytes | None]:
        complete = yield from _read_on(index, alive, time.monotonic() + self.search_time)
        parts, more = index.calls(max(first, -_CALLS), min(count, _CALLS))
        yield _told_calls(session, index, alive, complete, parts, more)

    def _search(
        self,
        index: LogIndex,
        session: str,
        alive: bool,
        wanted: Wanted,
        marker: Marker | None,
        first: int,
        until: int | None,
        count: int,
    ) -> Iterator[bytes | None]:
        end = time.monotonic() + self.search_time
        backwards = first < 0
        complete = yield from _read_on(index, alive, end)
        if backwards and until is None and not complete:
            yield _answer(session, index, alive, False, Found([], index.lines + 1, index.lines + 1, index.lines))
            return
        low, high = max(1, first), until
        parts: builtins.list[Found] = []
        while True:
            brief = time.monotonic() + _PIECE_S
            part = index.find(wanted, low, high, count, backwards=backwards, until=brief)
            parts.append(part)
            count -= len(part.lines)
            if backwards:
                high, more = part.low, part.low > 1
            else:
                low, more = part.high, part.high <= part.total and (until is None or part.high < until)
            if not (more and count and time.monotonic() <= end):
                break
            yield None
        parts = parts[::-1] if backwards else parts
        lines = [line for part in parts for line in part.lines]
        yield _answer(session, index, alive, complete, Found(lines, parts[0].low, parts[-1].high, index.lines), marker)

    # -- all logs of a workspace ----------------------------------------------------------------------------------

    def _list(self, directory: Path) -> dict[str, Any]:
        home = directory / HOME
        states = {one.session: one for one in live.read(home) if one.alive}
        logs: builtins.list[dict[str, Any]] = []
        for session in {*states, *_sessions(home, self.root.directory)}:
            state = states.get(session)
            row: dict[str, Any] = {"session": session, "kernel": None, "notebook": None, "alive": state is not None}
            row |= {"size": 0, "changed": state.started if state else 0.0, "lines": None, "counts": None}
            if state is not None:
                row |= {"kernel": state.kernel or None, "notebook": state.notebook or None}
            elif session == KERNELS:
                row["alive"] = bool(states)
            try:
                info = (home / "log" / f"casa-{session}.log").lstat()
                row |= {"size": info.st_size, "changed": info.st_mtime}
            except OSError:
                row |= {"lines": 0, "counts": {}}
            logs.append(row)
        logs.sort(key=lambda row: row["changed"], reverse=True)
        end = time.monotonic() + self.search_time
        for row in logs[: self.open_logs]:
            if row["size"] and time.monotonic() <= end:
                self._read(directory, row, end)
        return {"schema": SCHEMA, "logs": logs[:_LISTED]}

    def _read(self, directory: Path, row: dict[str, Any], end: float) -> None:
        index = self._index(directory, row["session"])
        try:
            if index.update(end, ended=not row["alive"]):
                last = index.last_call()
                row |= {"lines": index.lines, "counts": index.counts, "size": index.size}
                row["notebook"] = row["notebook"] or (last["notebook"] or None if last else None)
        except OSError as error:
            self.log.debug("the log of session %s cannot be read: %s", row["session"], error)

    def _news(self, directory: Path, since: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        found = {}
        for session in since or [one.session for one in live.read(directory / HOME) if one.alive]:
            try:
                index = self._index(directory, session)
                if not index.update(time.monotonic() + _PIECE_S):
                    continue  # it is being read for the first time
                known = since.get(session, 0) if since.get(session, 0) <= index.lines else 0
                if index.lines == known:
                    continue
                first = max(known + 1, index.lines - self.news_limit + 1)
                part = index.find(_EVERYTHING, first, count=self.news_limit)
            except (OSError, Replaced):
                continue  # there is none yet, or it has just been replaced: the next time tells
            if part.lines:
                told = [vars(line) for line in part.lines]
                skipped = part.high - 1 - known - len(told)
                found[session] = {"first": told[0]["number"], "lines": told, "total": part.high - 1, "skipped": skipped}
        return found


_EVERYTHING = Wanted()


def _none(session: str) -> NotThere:
    return NotThere(f"there is no log of a session {session[:40]!r} that could be read")


def _read_on(index: LogIndex, alive: bool, end: float) -> Generator[None, None, bool]:
    """Take in what a log has got since, in pieces; in the end, whether all is known."""
    while not (complete := index.update(time.monotonic() + _PIECE_S, ended=not alive)) and time.monotonic() <= end:
        yield None
    return complete


def _sessions(home: Path, root: Path) -> list[str]:
    """Sessions of which there is a log within the server's root."""
    try:
        if not Path(os.path.realpath(home / "log")).is_relative_to(root):
            return []
        entries = [entry for entry in os.scandir(home / "log") if entry.is_file(follow_symlinks=False)]
    except OSError:
        return []
    return [match[1] for entry in entries if (match := _LOG.fullmatch(entry.name))]


def _of_log(session: str, index: LogIndex, alive: bool, complete: bool) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "session": session,
        "generation": index.generation,
        "alive": alive,
        "size": index.size,
        "indexed": index.indexed,
        "complete": complete,
    }


def _marked(lines: builtins.list[Line], marker: Marker) -> Iterator[dict[str, Any]]:
    end = time.monotonic() + _MARK_S
    for line in lines:
        yield vars(line) | {"marks": marker.places(line) if time.monotonic() <= end else []}


def _answer(
    session: str, index: LogIndex, alive: bool, complete: bool, found: Found, marker: Marker | None = None
) -> bytes:
    calls = sorted({line.call for line in found.lines if line.call is not None})
    told = _of_log(session, index, alive, complete) | {
        "total": found.total,
        "lines": [*_marked(found.lines, marker)] if marker else [vars(line) for line in found.lines],
        "calls": [about for about in map(index.about, calls) if about is not None],
        "previous": found.low if found.low > 1 else None,
        "next": found.high if found.high <= found.total or not complete else None,
    }
    return json.dumps(told).encode()


def _told_calls(
    session: str, index: LogIndex, alive: bool, complete: bool, parts: builtins.list[Part], more: bool
) -> bytes:
    calls = [about | vars(part) for part in parts if (about := index.about(part.call)) is not None]
    told = _of_log(session, index, alive, complete) | {
        "total": index.lines,
        "calls": calls,
        "previous": parts[0].call if parts and parts[0].call > 1 else None,
        "next": parts[-1].call + 1 if parts and more else None,
    }
    return json.dumps(told).encode()
