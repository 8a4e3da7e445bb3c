"""The store of a workspace."""

from __future__ import annotations

import fastjsonschema
import tornado.web
from jupyter_server.auth.decorator import authorized
from tornado.web import HTTPError

from jupyterlab_casa.rest.base import CasaHandler

COLLECT = {
    "type": "object",
    "properties": {"budget": {"type": "integer", "minimum": 0, "maximum": 999999}},
    "additionalProperties": False,
}
"""What is posted; as in openapi.yaml."""
_valid = fastjsonschema.compile(COLLECT)


class StoreHandler(CasaHandler):
    """What it holds."""

    auth_resource = "casa-store"

    @tornado.web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer what ``jupyter casa cache info --json`` prints."""
        await self.reply(self.managers["store"].status(self.argument("path")))


class SharesHandler(CasaHandler):
    """What of it belongs to what."""

    auth_resource = "casa-store"

    @tornado.web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer the stored bytes of each product, and of each version alone."""
        await self.reply(self.managers["store"].shares(self.argument("path")))


class CollectionHandler(CasaHandler):
    """What may go."""

    auth_resource = "casa-store"

    @tornado.web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer what ``jupyter casa cache gc --dry-run --json`` prints."""
        budget = self.optional("budget")
        if budget is not None and not (budget.isascii() and budget.isdigit() and len(budget) <= 6):
            raise HTTPError(400, "budget is a whole number of GB, below 1000000")
        number = int(budget) if budget is not None else None
        await self.reply(self.managers["store"].collection(self.argument("path"), number, dry_run=True))

    @tornado.web.authenticated
    @authorized
    async def post(self) -> None:
        """Let it go, and answer what ``jupyter casa cache gc --json`` prints."""
        budget = self.body(_valid).get("budget")
        await self.reply(self.managers["store"].collection(self.argument("path"), budget, dry_run=False))
