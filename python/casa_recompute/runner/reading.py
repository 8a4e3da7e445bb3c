"""Asking CASA something small about data, read by a process of its own: who asks never loads CASA."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from casa_recompute.runner.process import CasaNotLoaded
from casa_recompute.runner.siteconfig import site_config
from casa_recompute.settings import Settings

_SCRIPTS = Path(__file__).parent / "worker"


class Unreadable(Exception):
    """It is not what is asked about, or it cannot be read now; the message is casacore's, or ours."""


def read_data(
    script: str, arguments: Sequence[str], needed: str, settings: Settings, patience: float
) -> dict[str, Any]:
    """What a script in ``worker/`` prints: JSON objects, one a line, taken together.

    Args:
        script: its file's name. It ends when its standard input is closed, and says what is wrong as ``error``.
        arguments: for it.
        needed: a member without which the answer is none.
        settings: in whose interpreter it runs.
        patience: seconds. What was printed by then counts.

    Raises:
        Unreadable: there is nothing to tell, or it took too long.
        CasaNotLoaded: there is no CASA.
    """
    with tempfile.TemporaryDirectory(prefix="casa-reading-") as scratch:
        config = Path(scratch) / "casasiteconfig.py"
        config.write_text(site_config(Path(scratch) / "casa.log"))
        environment = {"CASASITECONFIG": str(config), **os.environ, **settings.environment, "OMP_NUM_THREADS": "1"}
        life_out, life_in = os.pipe()  # its input stays open as long as this process lives: so it learns of our end
        try:
            process = subprocess.Popen(
                [settings.python, str(_SCRIPTS / script), *arguments],
                stdin=life_out,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=scratch,
                env=environment,
                start_new_session=True,
            )
            try:
                output, errors = process.communicate(timeout=patience)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                output, errors = process.communicate()
        except OSError as error:
            raise CasaNotLoaded(f"the interpreter {settings.python} cannot be started: {error}") from error
        finally:
            os.close(life_out)
            os.close(life_in)
    lines = [json.loads(line) for line in output.splitlines(keepends=True) if line.endswith(b"\n")]
    found: dict[str, Any] = {key: value for line in lines for key, value in line.items()}
    if "error" in found:
        raise Unreadable(found["error"])
    if needed not in found:
        if process.returncode != -signal.SIGKILL:
            said = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it says nothing"]
            raise CasaNotLoaded(f"CASA cannot be loaded with {settings.python}: {said[0]}")
        raise Unreadable(f"it could not be read within {patience:g} s")
    return found
