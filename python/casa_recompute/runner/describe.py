"""What is in a MeasurementSet, read by a process of its own: CASA is never loaded into the one that asks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from casa_recompute.runner.process import CasaNotLoaded
from casa_recompute.runner.siteconfig import site_config
from casa_recompute.settings import Settings

_SCRIPT = Path(__file__).parent / "worker" / "describe.py"


class Unreadable(Exception):
    """It is no MeasurementSet, or it cannot be read now; the message is casacore's, or ours."""


def describe(ms: Path, root: Path, settings: Settings, patience: float) -> dict[str, Any]:
    """Fields, spectral windows, antennas, intents, correlations and scans of a MeasurementSet (or calibration table).

    Args:
        ms: real path.
        root: real path of a directory; sub-tables that lie outside of it are not read.
        settings: in whose interpreter it is done.
        patience: seconds. When only the scans are not known by then, they are null.

    Raises:
        Unreadable: there is nothing to tell, or it took too long.
        CasaNotLoaded: there is no CASA.
    """
    with tempfile.TemporaryDirectory(prefix="casa-describe-") as scratch:
        config = Path(scratch) / "casasiteconfig.py"
        config.write_text(site_config(Path(scratch) / "casa.log"))
        environment = {"CASASITECONFIG": str(config), **os.environ, **settings.environment, "OMP_NUM_THREADS": "1"}
        life_out, life_in = os.pipe()  # its input stays open as long as this process lives: so it learns of our end
        try:
            process = subprocess.Popen(
                [settings.python, str(_SCRIPT), str(ms), str(root)],
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
    if "fields" not in found:
        if process.returncode != -signal.SIGKILL:
            said = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it says nothing"]
            raise CasaNotLoaded(f"CASA cannot be loaded with {settings.python}: {said[0]}")
        raise Unreadable(f"it could not be read within {patience:g} s")
    return {"scans": None, **found}
