"""The configuration with which CASA is loaded: it asks no network, opens no window, and logs where it is told."""

from __future__ import annotations

from pathlib import Path

_TEXT = """\
import importlib.util
spec = importlib.util.find_spec("casadata")
if spec is not None and spec.submodule_search_locations:
    measurespath = spec.submodule_search_locations[0] + "/__data__"
    datapath = [measurespath]
measures_auto_update = False
data_auto_update = False
nogui = True
log2term = False
logfile = {log!r}
"""


def site_config(log: Path) -> str:
    """The text of a file for ``CASASITECONFIG``."""
    return _TEXT.format(log=str(log))
