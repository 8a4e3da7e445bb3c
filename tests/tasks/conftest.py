"""What the tests of the tasks room share: a real CASA, described by a process that imports it once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from casa_recompute.tasks import Catalogue, load_catalogue

sys.path.append(str(Path(__file__).parent))  # the cases are shared with the process that runs CASA

CONFIG = """
import casadata
datapath = [casadata.datapath]
measurespath = casadata.datapath
measures_auto_update = False
data_auto_update = False
nogui = True
log2term = False
logfile = {log!r}
"""

DESCRIBE = """
import inspect, json
import casatasks, casaplotms, casaviewer, casatablebrowser
objects = {n: getattr(casatasks, n) for n in casatasks.__all__}
objects = {n: o for n, o in objects.items() if type(o).__name__ == "_" + n}
objects |= {"plotms": casaplotms.plotms, "imview": casaviewer.imview, "msview": casaviewer.msview}
described = {n: (type(o), o) for n, o in objects.items()}
described["browsetable"] = (casatablebrowser.browsetable, casatablebrowser.browsetable)
print(json.dumps({
    n: {
        "docstring": where.__doc__,
        "module": where.__module__,
        "parameters": [
            [p.name, repr(p.default) if p.default is not p.empty else None, p.kind.name]
            for p in inspect.signature(o).parameters.values()
        ],
    }
    for n, (where, o) in described.items()
}))
"""


@pytest.fixture(scope="session")
def casa_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables with which a subprocess can import CASA, quietly and offline."""
    place = tmp_path_factory.mktemp("casa")
    config = place / "config.py"
    config.write_text(CONFIG.format(log=str(place / "casa.log")))
    return {
        **os.environ,
        "CASASITECONFIG": str(config),
        "MPLBACKEND": "Agg",
        "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python",
    }


@pytest.fixture(scope="session")
def real_tasks(casa_environment: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Docstring, module and signature of each of CASA's own task objects."""
    command = [sys.executable, "-c", textwrap.dedent(DESCRIBE)]
    done = subprocess.run(command, env=casa_environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    described: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return described


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """The installed CASA's tasks, read afresh."""
    previous = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    try:
        return load_catalogue()
    finally:
        if previous is None:
            del os.environ["XDG_CACHE_HOME"]
        else:
            os.environ["XDG_CACHE_HOME"] = previous


@pytest.fixture
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache directory of the user, for one test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "casa-recompute"
