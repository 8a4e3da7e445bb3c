"""The kernels ``casa`` of this server."""

from __future__ import annotations

import tornado.web
from jupyter_server.auth.decorator import authorized

from jupyterlab_casa.rest.base import CasaHandler


class KernelsHandler(CasaHandler):
    """All of them."""

    auth_resource = "casa-kernels"

    @tornado.web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer what each does."""
        await self.reply(self.managers["kernels"].list())


class KernelHandler(CasaHandler):
    """One."""

    auth_resource = "casa-kernels"

    @tornado.web.authenticated
    @authorized
    async def get(self, kernel: str) -> None:
        """Answer what it does."""
        await self.reply(self.managers["kernels"].get(kernel))


class InterruptHandler(CasaHandler):
    """The stop button."""

    auth_resource = "casa-kernels"

    @tornado.web.authenticated
    @authorized
    async def post(self, kernel: str) -> None:
        """Interrupt it, and answer what it does just after."""
        await self.reply(self.managers["kernels"].interrupt(kernel))


class KillCallHandler(CasaHandler):
    """The end of a call that does not listen."""

    auth_resource = "casa-kernels"

    @tornado.web.authenticated
    @authorized
    async def post(self, kernel: str) -> None:
        """End the process of its call, and answer which task that was."""
        await self.reply(self.managers["kernels"].kill_call(kernel))
