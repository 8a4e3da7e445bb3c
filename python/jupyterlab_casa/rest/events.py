"""What has happened while one was away; see ``stream.py``."""

from __future__ import annotations

import tornado.web
from jupyter_server.auth.decorator import authorized

from jupyterlab_casa.rest.base import CasaHandler


class ChangesHandler(CasaHandler):
    """What has changed."""

    auth_resource = "casa-events"

    @tornado.web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer the events since a revision, or what is so now."""
        self.set_header("Cache-Control", "no-store")
        await self.reply(self.managers["events"].changes(self.optional("since")))
