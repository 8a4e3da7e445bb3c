"""``POST /jupyterlab-casa/api/tutorial``."""

from __future__ import annotations

import fastjsonschema
import tornado.web
from jupyter_server.auth.decorator import authorized

from jupyterlab_casa.rest.base import CasaHandler

BEGIN = {"type": "object", "properties": {"beside": {"type": "boolean"}}, "additionalProperties": False}
"""What is posted; as in openapi.yaml."""
_valid = fastjsonschema.compile(BEGIN)


class TutorialHandler(CasaHandler):
    """The tutorial."""

    auth_resource = "casa-tutorial"

    @tornado.web.authenticated
    @authorized
    async def post(self) -> None:
        """Write it, and answer where its notebook is."""
        beside = bool(self.body(_valid).get("beside"))
        await self.reply(self.managers["tutorials"].write(self.argument("path"), beside))
