"""``GET /jupyterlab-casa/api/ms``."""

from __future__ import annotations

import tornado.web
from jupyter_server.auth.decorator import authorized

from jupyterlab_casa.rest.base import CasaHandler


class MeasurementSetHandler(CasaHandler):
    """One MeasurementSet."""

    auth_resource = "casa-products"

    @tornado.web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer its fields, spectral windows, antennas, scans and times."""
        await self.reply(self.managers["measurements"].get(self.argument("path"), self.argument("ms")))
