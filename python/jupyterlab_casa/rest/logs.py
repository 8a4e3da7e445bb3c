"""CASA logs of sessions."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Coroutine
from typing import Any

import tornado.web
from jupyter_server.auth.decorator import authorized
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

from jupyterlab_casa.rest.base import CasaHandler

_INTEGER = re.compile(r"-?\d{1,15}", re.ASCII)
_PRIORITIES = re.compile(r"[A-Z][A-Z0-9]*(,[A-Z][A-Z0-9]*)*", re.ASCII)
_TEXTS = ("origin", "cell", "after", "before", "text", "regex", "mark")


class LogsHandler(CasaHandler):
    """All logs of a workspace."""

    auth_resource = "casa-logs"

    @tornado.web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer which there are."""
        await self.reply(self.managers["logs"].list(self.argument("path")))


class _OfLogHandler(CasaHandler):
    """What takes a while to find in a log."""

    auth_resource = "casa-logs"
    _answer: asyncio.Future[Any] | None = None

    async def _tell(self, answer: Coroutine[Any, Any, bytes]) -> None:
        self._answer = asyncio.ensure_future(answer)
        with contextlib.suppress(asyncio.CancelledError):  # nobody is there to hear
            await self.reply(self._answer)

    def on_connection_close(self) -> None:
        """Who asked has gone: nothing is searched any more."""
        super().on_connection_close()
        if self._answer is not None:
            self._answer.cancel()

    def _integer(self, name: str) -> int | None:
        text = self.optional(name)
        if text is None:
            return None
        if not _INTEGER.fullmatch(text):
            raise HTTPError(400, f"{name} is a whole number")
        return int(text)


class LogHandler(_OfLogHandler):
    """One log."""

    @tornado.web.authenticated
    @authorized
    async def get(self, session: str) -> None:
        """Answer a window of it, or what is found in it."""
        path = self.argument("path")
        numbers = {"first": "from", "count": "count", "until": "until", "call": "call"}
        given: dict[str, Any] = {key: self._integer(name) for key, name in numbers.items()}
        given |= {name: self.optional(name) for name in _TEXTS}
        priorities = self.optional("priority")
        if priorities:
            if not _PRIORITIES.fullmatch(priorities):
                raise HTTPError(400, "priority is one, or several with commas between them, as WARN,SEVERE")
            given["priorities"] = frozenset(priorities.split(","))
        asked = {name: value for name, value in given.items() if value not in (None, "")}
        await self._tell(self.managers["logs"].get(path, session, **asked))


class LogFileHandler(CasaHandler):
    """One log as a file."""

    auth_resource = "casa-logs"

    @tornado.web.authenticated
    @authorized
    async def get(self, session: str) -> None:
        """Send all of it, however long it is, a piece after the other has gone."""
        pieces = self.managers["logs"].whole(self.argument("path"), session)
        first = await self.answered(anext(pieces))
        kind = "text/plain; charset=UTF-8"
        self.set_header("Content-Type", kind)
        self.set_header("Content-Disposition", f'attachment; filename="casa-{session}.log"')
        self.set_header("Cache-Control", "no-store")
        with contextlib.suppress(StreamClosedError):  # nobody is there to take it
            async with contextlib.aclosing(pieces):
                self.write(first)
                async for piece in pieces:
                    await self.flush()
                    self.write(piece)
                await self.finish(set_content_type=kind)


class LogCallsHandler(_OfLogHandler):
    """Which lines of a log belong to which call."""

    @tornado.web.authenticated
    @authorized
    async def get(self, session: str) -> None:
        """Answer calls with their lines."""
        path = self.argument("path")
        given = {"first": self._integer("from"), "count": self._integer("count")}
        asked = {name: value for name, value in given.items() if value is not None}
        await self._tell(self.managers["logs"].calls(path, session, **asked))
