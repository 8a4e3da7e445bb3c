"""How the data of two versions of a product differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from casa_recompute.runner.reading import Unreadable, read_data
from casa_recompute.settings import Settings

__all__ = ["Unreadable", "compare"]


def compare(before: Path, after: Path, settings: Settings, patience: float) -> dict[str, Any]:
    """Flags by field, antenna and so on; or statistics and pictures of images; or pictures; or texts.

    Args:
        before: where the data are.
        after: the same of those that they are compared with.
        settings: in whose interpreter it is done.
        patience: seconds.

    Returns:
        ``kind`` ("flags", "image", "picture", "text"; "other": nothing can be said), and ``flags``, ``image`` or
        ``files`` that belong to it, the others being None; see ``DataDifference`` in openapi.yaml.

    Raises:
        Unreadable: they cannot be read, or it took too long.
        CasaNotLoaded: there is no CASA.
    """
    return read_data("compare.py", [str(before), str(after)], "kind", settings, patience)
