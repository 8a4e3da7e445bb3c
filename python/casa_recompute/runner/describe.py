"""What is in a MeasurementSet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from casa_recompute.runner.reading import Unreadable, read_data
from casa_recompute.settings import Settings

__all__ = ["Unreadable", "describe"]


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
    return {"scans": None, **read_data("describe.py", [str(ms), str(root)], "fields", settings, patience)}
