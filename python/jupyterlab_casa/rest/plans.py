"""Plans and graphs of notebooks, posted as they are in the editor; and runs of their cells."""

from __future__ import annotations

import tornado.web
from jupyter_server.auth.decorator import authorized
from tornado.web import HTTPError

from jupyterlab_casa.rest.base import CasaHandler


class NotebookHandler(CasaHandler):
    """To which a notebook is posted."""

    auth_resource = "casa-plans"
    _held = 0
    _crowded = False

    @property
    def limit(self) -> int:
        """Outputs may be large."""
        return int(self.managers["plans"].body_limit) * 10**6

    def data_received(self, chunk: bytes) -> None:
        """Part of the body. What all who post hold together is bounded, too; what is beyond is refused at the end."""
        plans = self.managers["plans"]
        self._crowded = self._crowded or plans.held + len(chunk) > plans.bodies_limit * 10**6
        if self._crowded:
            self._release()
            return
        self._held += len(chunk)
        plans.held += len(chunk)
        super().data_received(chunk)

    def sent(self) -> bytes:
        """The whole body.

        Raises:
            HTTPError: 413, too large; 429, there was no room for it.
        """
        if self._crowded:
            raise HTTPError(429, "too many notebooks are posted at once: try again in a moment")
        return super().sent()

    def on_finish(self) -> None:
        """It is answered."""
        super().on_finish()
        self._release()

    def on_connection_close(self) -> None:
        """Who posted has gone."""
        super().on_connection_close()
        self._release()

    def _release(self) -> None:
        self.managers["plans"].held -= self._held
        self._held = 0
        self._pieces.clear()


class PlanHandler(NotebookHandler):
    """The plan of a notebook: it is asked for, so who may read may post."""

    @tornado.web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def post(self) -> None:
        """Answer what ``jupyter casa plan --json`` prints."""
        await self.reply(self.managers["plans"].plan(self.argument("path"), self.sent()))


class GraphHandler(NotebookHandler):
    """The graph of a notebook."""

    @tornado.web.authenticated
    @authorized("read")  # type: ignore[untyped-decorator]
    async def post(self) -> None:
        """Answer what ``jupyter casa graph --json`` prints."""
        await self.reply(self.managers["plans"].graph(self.argument("path"), self.sent()))


class OutputsHandler(NotebookHandler):
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
