"""Re-running what is stale, cell by cell, in the kernel of whoever asks."""

from __future__ import annotations

import tornado.web
from jupyter_server.auth.decorator import authorized

from jupyterlab_casa.rest.base import CasaHandler
from jupyterlab_casa.rest.plans import NotebookHandler


class WalksHandler(NotebookHandler):
    """A new walk."""

    auth_resource = "casa-walks"

    @tornado.web.authenticated
    @authorized
    async def post(self) -> None:
        """Begin it, and answer the plan and the first steps."""
        await self.reply(self.managers["walks"].begin(self.argument("path"), self.sent()))


class WalkHandler(CasaHandler):
    """A walk."""

    auth_resource = "casa-walks"

    @tornado.web.authenticated
    @authorized
    async def delete(self, walk: str) -> None:
        """Give it up."""
        await self.reply(self.managers["walks"].end(walk))


class StepHandler(NotebookHandler):
    """The next step of a walk; with the notebook, if it was edited."""

    auth_resource = "casa-walks"

    @tornado.web.authenticated
    @authorized
    async def post(self, walk: str) -> None:
        """Hear how the last one went, and answer the next."""
        await self.reply(self.managers["walks"].step(walk, self.sent()))


class StopHandler(CasaHandler):
    """The end of a walk, as soon as nothing is lost by it."""

    auth_resource = "casa-walks"

    @tornado.web.authenticated
    @authorized
    async def post(self, walk: str) -> None:
        """Let the task that runs be the last one."""
        await self.reply(self.managers["walks"].halt(walk))
