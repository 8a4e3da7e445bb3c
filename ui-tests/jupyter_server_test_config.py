"""Server configuration for the user-interface tests only: the server asks for no token."""

import os

from jupyterlab.galata import configure_jupyter_server

configure_jupyter_server(c)  # noqa: F821
c.ServerApp.port = int(os.environ.get("UI_TESTS_PORT", "8899"))  # noqa: F821
c.ServerApp.allow_root = True  # noqa: F821
c.Application.log_level = "ERROR"  # noqa: F821
