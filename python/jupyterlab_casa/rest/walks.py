"""Re-running what is stale, cell by cell, in the kernel of whoever asks."""

from __future__ import annotations

import tornado.web
from jupyter_server.auth.decorator import authorized

from jupyterlab_casa.rest.base import CasaHandler


class _Walks(CasaHandler):
    auth_resource = "casa-walks"

    @property
    def limit(self) -> int:
        """The notebook comes along."""
        return int(self.managers["walks"].body_limit) * 10**6


class WalksHandler(_Walks):
    """A new walk."""

    @tornado.web.authenticated
    @authorized
    async def post(self) -> None:
        """Begin it, and answer the plan and the first steps."""
        await self.reply(self.managers["walks"].begin(self.argument("path"), self.sent()))


class WalkHandler(_Walks):
    """A walk."""

    @tornado.web.authenticated
    @authorized
    async def delete(self, walk: str) -> None:
        """Give it up."""
        await self.reply(self.managers["walks"].end(walk))


class StepHandler(_Walks):
    """The next step of a walk."""

    @tornado.web.authenticated
    @authorized
    async def post(self, walk: str) -> None:
        """Hear how the last one went, and answer the next."""
        await self.reply(self.managers["walks"].step(walk, self.sent()))


class StopHandler(_Walks):
    """The end of a walk, as soon as nothing is lost by it."""

    @tornado.web.authenticated
    @authorized
    async def post(self, walk: str) -> None:
        """Let the task that runs be the last one."""
        await self.reply(self.managers["walks"].halt(walk))
