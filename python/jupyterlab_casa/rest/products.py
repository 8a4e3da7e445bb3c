"""Versions of data products."""

from __future__ import annotations

import fastjsonschema
import tornado.web
from jupyter_server.auth.decorator import authorized

from jupyterlab_casa.rest.base import CasaHandler

RESTORE = {
    "type": "object",
    "properties": {"to": {"type": "string", "minLength": 1, "maxLength": 4096}},
    "additionalProperties": False,
}
"""What is posted; as in openapi.yaml."""
_valid = fastjsonschema.compile(RESTORE)


class VersionsHandler(CasaHandler):
    """All versions, or those of a product."""

    auth_resource = "casa-products"

    @tornado.web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer what ``jupyter casa cache list --json`` prints."""
        await self.reply(self.managers["products"].list(self.argument("path"), self.optional("product")))


class VersionHandler(CasaHandler):
    """One version."""

    auth_resource = "casa-products"

    @tornado.web.authenticated
    @authorized
    async def get(self, version: str) -> None:
        """Answer its size and the call that made it."""
        await self.reply(self.managers["products"].get(self.argument("path"), version))


class RestoreHandler(CasaHandler):
    """Bringing a version back."""

    auth_resource = "casa-products"

    @tornado.web.authenticated
    @authorized
    async def post(self, version: str) -> None:
        """Do it, and answer where it is."""
        to = self.body(_valid).get("to")
        await self.reply(self.managers["products"].restore(self.argument("path"), version, to))


class CompareHandler(CasaHandler):
    """Two versions."""

    auth_resource = "casa-products"

    @tornado.web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer which files differ."""
        versions = self.argument("before"), self.argument("after")
        await self.reply(self.managers["products"].compare(self.argument("path"), *versions))


class CompareDataHandler(CasaHandler):
    """The data of two versions."""

    auth_resource = "casa-products"

    @tornado.web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer what differs in flags, pixels, pictures or texts."""
        versions = self.argument("before"), self.argument("after")
        await self.reply(self.managers["comparisons"].get(self.argument("path"), *versions))
