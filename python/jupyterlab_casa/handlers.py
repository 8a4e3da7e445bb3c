"""What the server extension answers."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import tornado.web
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler

from jupyterlab_casa import __version__


def installed(distribution: str) -> str | None:
    """The version of an installed distribution, without importing it; None when it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


class StatusHandler(APIHandler):
    """``GET /casa/status``: which versions are installed where the server runs."""

    auth_resource = "casa"

    @tornado.web.authenticated
    @authorized
    def get(self) -> None:
        """Answer ``{"version": str, "casatasks": str | null}``."""
        self.finish({"version": __version__, "casatasks": installed("casatasks")})
