"""``GET /jupyterlab-casa/api/status``."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import tornado.web
from jupyter_server.auth.decorator import authorized

from jupyterlab_casa import __version__
from jupyterlab_casa.rest.base import CasaHandler


def installed(distribution: str) -> str | None:
    """The version of an installed distribution, without importing it; None when it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


class StatusHandler(CasaHandler):
    """Which versions are installed where the server runs."""

    auth_resource = "casa-status"

    @tornado.web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer ``{"version": str, "casatasks": str | null}``."""
        await self.finish({"version": __version__, "casatasks": installed("casatasks")})
