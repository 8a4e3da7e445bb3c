"""The command ``jupyter casa``."""

from __future__ import annotations

from jupyterlab_casa.cli.main import main

__all__ = ["main"]
