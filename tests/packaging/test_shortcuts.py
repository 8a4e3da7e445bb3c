"""The keyboard shortcuts of the front end take none of JupyterLab's own."""

import json
from collections.abc import Iterator
from pathlib import Path

from jupyterlab.commands import get_app_dir

OURS = Path(__file__).parents[2] / "labextension" / "schema"


def shortcuts(directory: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    """The keys of each shortcut, and where in the page it holds."""
    for schema in directory.rglob("*.json"):
        for shortcut in json.loads(schema.read_text()).get("jupyter.lab.shortcuts", []):
            yield tuple(shortcut["keys"]), shortcut["selector"]


def test_they_are_not_jupyterlabs() -> None:
    theirs = set(shortcuts(Path(get_app_dir()) / "schemas" / "@jupyterlab"))
    ours = set(shortcuts(OURS))
    assert len(theirs) > 50 and ours
    assert not ours & theirs
