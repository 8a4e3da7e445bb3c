"""The server extension."""

from __future__ import annotations

from jupyter_server.extension.application import ExtensionApp

from jupyterlab_casa import __version__
from jupyterlab_casa.handlers import StatusHandler


class CasaApp(ExtensionApp):
    """Answers for JupyterLab-CASA in a Jupyter server, also while kernels are busy."""

    name = "jupyterlab_casa"
    app_name = "JupyterLab-CASA"
    description = __doc__ or ""
    version = __version__
    extension_url = "/casa"
    load_other_extensions = True

    def initialize_handlers(self) -> None:
        """Add our addresses to the server's."""
        self.handlers.append((r"/casa/status", StatusHandler))
