"""CASA for this room's tests: configured to stay offline, run in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

WORKER = Path(__file__).parents[2] / "python" / "casa_recompute" / "runner" / "worker"


@pytest.fixture(scope="session")
def run_casa(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], str]:
    """Runs Python with CASA in a fresh process and directory; what it prints."""
    home = tmp_path_factory.mktemp("casa")
    config = home / "config.py"
    config.write_text(
        "import casadata\ndatapath=[casadata.datapath]\nmeasurespath=casadata.datapath\n"
        "measures_auto_update=False\ndata_auto_update=False\nnogui=True\n"
        f"log2term=False\nlogfile={str(home / 'casa.log')!r}\n"
    )

    def run(code: str, cwd: Path) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=cwd,
            env={**os.environ, "CASASITECONFIG": str(config), "MPLBACKEND": "Agg", "PYTHONPATH": str(WORKER)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run
