"""Which cell of which notebook is about to run? From what the front end says with an execution request."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from casa_recompute.session import Cell
from casa_recompute.story import STATE


def is_cell(store_history: bool, silent: bool) -> bool:
    """Requests that a front end makes for itself (completion, widgets ...) are no cells."""
    return store_history and not silent


def identify(source: str, parent: Mapping[str, Any], cell_id: str | None = None) -> Cell | None:
    """The cell that a request runs, or None where there are no cells (a console, a terminal).

    ``parent`` is the request (empty without a kernel), ``cell_id`` what IPython was told. Our own clients say under
    ``casa`` in the metadata which ``notebook`` and ``cells`` there are, and from which ``state`` the cell is to run.
    Batch runners such as nbclient send no ids and cannot answer questions: their cells have the id ``""``.
    """
    metadata = parent.get("metadata", {})
    cell_id = cell_id or metadata.get("cellId")
    told = metadata.get("casa", {})
    if cell_id:
        if told.get("cells"):
            return Cell(cell_id, tuple(told["cells"]), told.get("notebook"), source, _state(told.get("state")))
        notebook = os.environ.get("JPY_SESSION_NAME", "")
        order = _order_in(notebook)
        return Cell(cell_id, order, notebook, source) if cell_id in order else Cell(cell_id, None, None, source)
    if parent and not parent.get("content", {}).get("allow_stdin", True):
        return Cell("", None, None, source)
    return None


def settling(parent: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Where a request is the end of a walk through a notebook: the arguments of ``Session.settle``; else None.

    Such a request is no cell: ``metadata.casa.state`` says what its code, whatever that is, finds.
    """
    metadata = parent.get("metadata", {})
    state = metadata.get("casa", {}).get("state") if not metadata.get("cellId") else None
    told = state.get("settle") if isinstance(state, Mapping) else None
    return {part: dict(told.get(part) or {}) for part in ("names", "products")} if isinstance(told, Mapping) else None


def _state(told: Any) -> dict[str, dict[str, str]] | None:
    """From which state the cell is to run; see :class:`casa_recompute.story.Cell`."""
    if not isinstance(told, Mapping):
        return None
    return {part: dict(told.get(part) or {}) for part in STATE}


def _order_in(notebook: str) -> tuple[str, ...]:
    """The ids of the cells of a saved notebook; none when it cannot be read, as while it is being written."""
    path = Path(notebook)
    try:
        status = path.stat()
        return _read_order(path, status.st_mtime_ns, status.st_size) if path.suffix == ".ipynb" else ()
    except (OSError, ValueError):
        return ()


@lru_cache(maxsize=1)
def _read_order(path: Path, _mtime_ns: int, _size: int) -> tuple[str, ...]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = notebook.get("cells", []) if isinstance(notebook, dict) else []
    return tuple(cell["id"] for cell in cells if isinstance(cell, dict) and isinstance(cell.get("id"), str))
