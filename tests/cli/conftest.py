"""A workspace with a notebook, and the command as a process of its own, on CASA's stand-in (tests/core/fakecasa)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

FAKE = Path(__file__).parents[1] / "core" / "fakecasa"
COMMAND = [sys.executable, "-m", "jupyterlab_casa.cli"]
CELLS = {
    "parameters": "niter = 3\nfield = '0'",
    "import": "importuvfits(fitsfile='raw.fits', vis='a.ms')",
    "flag": "flagdata(vis='a.ms', field=field)",
    "gain": "gaincal(vis='a.ms', caltable='a.gcal', solint='inf')\napplycal(vis='a.ms', gaintable=['a.gcal'])",
    "split": "split(vis='a.ms', outputvis='b.ms')",
    "clean": "done = tclean(vis='b.ms', imagename='img', niter=niter)\nprint(done['iterdone'])",
}


@dataclass
class Done:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be one JSON object."""
        assert self.out, self.err
        value: dict[str, Any] = json.loads(self.out)
        return value


def write_notebook(path: Path, cells: dict[str, str] = CELLS, minor: int = 5) -> Path:
    """A notebook whose cells have these ids and sources; the one named "parameters" is tagged so."""
    notebook = nbformat.v4.new_notebook(nbformat_minor=minor)
    notebook.cells.append(nbformat.v4.new_markdown_cell("# Reduction", id="title"))
    for name, source in cells.items():
        tags = {"tags": ["parameters"]} if name == "parameters" else {}
        notebook.cells.append(nbformat.v4.new_code_cell(source, id=name, metadata=tags))
    if minor < 5:
        for cell in notebook.cells:
            del cell["id"]
    path.write_text(nbformat.writes(notebook))
    return path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Environment in which the kernel's worker imports the stand-in."""
    config = tmp_path / "config.toml"
    config.write_text(f"threads = 1\n[environment]\nPYTHONPATH = {str(FAKE)!r}\n")
    return {**os.environ, "JUPYTERLAB_CASA_CONFIG": str(config), "IPYTHONDIR": str(tmp_path / "ipython")}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A directory with raw data and ``nb.ipynb``."""
    directory = tmp_path / "work"
    directory.mkdir()
    (directory / "raw.fits").write_bytes(b"raw data" * 1000)
    write_notebook(directory / "nb.ipynb")
    return directory


@pytest.fixture
def casa(workspace: Path, environment: dict[str, str]) -> Callable[..., Done]:
    """Run ``jupyter casa`` with these arguments in the workspace."""

    def command(*arguments: str, cwd: Path = workspace) -> Done:
        done = subprocess.run(
            [*COMMAND, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return command


def actions(report: dict[str, Any]) -> dict[str, str]:
    """Cell id -> what became of it."""
    return {cell["id"]: cell["action"] for cell in report["cells"]}


def ran(report: dict[str, Any]) -> list[str]:
    """Tasks that ran, in order."""
    return [call["task"] for cell in report["cells"] for call in cell["calls"] if call["action"] == "ran"]


def contents(directory: Path, names: Sequence[str]) -> dict[str, bytes]:
    """All data of some products; what CASA stamps with the time is left out."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for name in names
        for path in sorted((directory / name).rglob("*"))
        if path.is_file() and path.name != "HISTORY"
    }
