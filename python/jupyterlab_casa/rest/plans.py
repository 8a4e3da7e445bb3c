"""Plans and graphs of notebooks, posted as they are in the editor; and runs of their cells."""

from __future__ import annotations

import tornado.web
from jupyter_server.auth.decorator import authorized
from tornado.web import HTTPError

from jupyterlab_casa.rest.base import CasaHandler


class _Notebook(CasaHandler):
    auth_resource = "casa-plans"

    @property
    def limit(self) -> int:
        """Outputs may be large."""
        return int(self.managers["plans"].body_limit) * 10**6


class PlanHandler(_Notebook):
    """The plan of a notebook: it is asked for, so who may read may post."""

    @tornado.web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def post(self) -> None:
        """Answer what ``jupyter casa plan --json`` prints."""
        await self.reply(self.managers["plans"].plan(self.argument("path"), self.sent()))


class GraphHandler(_Notebook):
    """The graph of a notebook."""

    @tornado.web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def post(self) -> None:
        """Answer what ``jupyter casa graph --json`` prints."""
        await self.reply(self.managers["plans"].graph(self.argument("path"), self.sent()))


class OutputsHandler(_Notebook):
    """What cells show."""

    @tornado.web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def post(self) -> None:
        """Answer the identities of outputs."""
        await self.reply(self.managers["plans"].shown(self.sent()))


class CellHandler(CasaHandler):
    """A cell."""

    auth_resource = "casa-plans"

    @tornado.web.authenticated
    @authorized
    async def get(self, cell: str) -> None:
        """Answer why it is stale, and its runs."""
        await self.reply(self.managers["plans"].runs(self.argument("path"), cell))


class RunHandler(CasaHandler):
    """A run of a cell."""

    auth_resource = "casa-plans"

    @tornado.web.authenticated
    @authorized
    async def get(self, number: str) -> None:
        """Answer what it read, wrote and called."""
        if not (number.isascii() and number.isdigit() and len(number) <= 18):
            raise HTTPError(404, "a run is named by its number")
        await self.reply(self.managers["plans"].run(self.argument("path"), int(number)))
