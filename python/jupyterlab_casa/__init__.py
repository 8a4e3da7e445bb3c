"""JupyterLab-CASA: the server extension, and the command ``jupyter casa``."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyterlab_casa.app import CasaApp

try:
    __version__ = version("jupyterlab-casa")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0+unknown"


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "jupyterlab-casa"}]


def _jupyter_server_extension_points() -> list[dict[str, str | type[CasaApp]]]:
    from jupyterlab_casa.app import CasaApp  # here, so that the command line need not import the server

    return [{"module": "jupyterlab_casa.app", "app": CasaApp}]
