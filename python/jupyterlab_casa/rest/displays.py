"""The windows of graphical tasks."""

from __future__ import annotations

import tornado.web
from jupyter_server.auth.decorator import authorized
from tornado.web import HTTPError

from jupyterlab_casa.rest.base import CasaHandler

SCREEN = "screen"
"""Instead of a window's number: all that the display shows."""


class WindowsHandler(CasaHandler):
    """All windows of a kernel."""

    auth_resource = "casa-displays"

    @tornado.web.authenticated
    @authorized
    async def get(self, kernel: str) -> None:
        """Answer their numbers, titles and places."""
        await self.reply(self.managers["displays"].windows(kernel))


class WindowHandler(CasaHandler):
    """What a window shows."""

    auth_resource = "casa-displays"

    @tornado.web.authenticated
    @authorized
    async def get(self, kernel: str, window: str) -> None:
        """Answer a picture."""
        number = None
        if window != SCREEN:
            if not (window.isascii() and window.isdigit() and len(window) <= 10 and int(window) < 1 << 32):
                raise HTTPError(404, f"a window is named by its number, or {SCREEN}")
            number = int(window)
        self.set_header("Cache-Control", "no-store")
        await self.reply(self.managers["displays"].picture(kernel, number), "image/png")
