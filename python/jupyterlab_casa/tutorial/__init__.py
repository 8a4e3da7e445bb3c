"""The tutorial: the NGC 5921 notebook of this directory, with the VLA observations that casadata carries."""

from __future__ import annotations

import filecmp
import json
from pathlib import Path
from typing import Any

from casa_recompute.store.files import clone_or_copy

NOTEBOOK = "NGC5921.ipynb"
DATA = "NGC5921.fits"
SOURCE = Path(__file__).with_name(NOTEBOOK)

__all__ = ["DATA", "NOTEBOOK", "TutorialChanged", "TutorialError", "write_tutorial"]


class TutorialError(RuntimeError):
    """The tutorial cannot be written; the message says why and what to do."""


class TutorialChanged(TutorialError):
    """A file of it is there already, and is another one."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} differs from the tutorial's own, and is left as it is. "
            "Rename or remove it, or name another directory: jupyter casa tutorial DIR"
        )
        self.path = path


def write_tutorial(directory: Path) -> Path:
    """Write the notebook and its data into ``directory``, which is made if need be.

    What is there already and is still the tutorial's own (outputs do not count) is left as it is.

    Args:
        directory: where to; the notebook's workspace.

    Returns:
        The path of the notebook.

    Raises:
        TutorialChanged: the notebook or data there are others.
        TutorialError: casadata lacks the observations.
        OSError: the directory cannot be written.
    """
    data = _observations()
    notebook = directory / NOTEBOOK
    if notebook.exists() and _story(notebook) != _story(SOURCE):
        raise TutorialChanged(notebook)
    if (directory / DATA).exists() and not filecmp.cmp(data, directory / DATA, shallow=False):
        raise TutorialChanged(directory / DATA)
    directory.mkdir(parents=True, exist_ok=True)
    for source, target in ((data, directory / DATA), (SOURCE, notebook)):
        if not target.exists():
            _copy(source, target)
    return notebook


def _observations() -> Path:
    try:
        import casadata  # a package of data: it says where its files are, and loads nothing
    except ImportError as error:
        raise TutorialError(
            "The tutorial's observations come with the package casadata, which is not installed in this "
            "Python. Install it: pip install casadata"
        ) from error
    data = Path(casadata.datapath) / "demo" / DATA
    if not data.is_file():
        raise TutorialError(
            f"This casadata does not hold the tutorial's observations ({data} is missing). "
            "Install it anew: pip install --force-reinstall --no-deps casadata"
        )
    return data


def _story(notebook: Path) -> list[tuple[str, str, str]] | None:
    """A notebook's cells without their outputs; None when it is no notebook."""
    try:
        cells: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        return [(cell["id"], cell["cell_type"], "".join(cell["source"])) for cell in cells]
    except (ValueError, KeyError, TypeError):
        return None


def _copy(source: Path, target: Path) -> None:
    """Copy a file's content so that ``target`` is never seen half written."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        with source.open("rb") as original, partial.open("wb") as copy:
            clone_or_copy(original.fileno(), copy.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
