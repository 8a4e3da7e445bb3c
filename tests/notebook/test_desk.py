"""Plans of a workspace in which cells have run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from casa_recompute.notebook import outputs
from casa_recompute.notebook.model import CellSource
from casa_recompute.notebook.plan import plan_notebook
from casa_recompute.session import Cell, Session
from tests.core.standin import fake_settings

SETTINGS = fake_settings(store="copy")


def run(directory: Path, text: str, **arguments: object) -> list[CellSource]:
    """A cell with one call is run; the notebook."""
    session = Session(directory, SETTINGS)
    session.attach({})
    session.begin_cell(Cell("a", ("a",), "nb.ipynb", text))
    session.call(text.partition("(")[0], **arguments)
    session.end_cell()
    session.close()
    return [CellSource("a", 0, text, outputs.digest([]))]


def test_another_number_of_threads_is_another_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks' results may depend on it, so their calls have other keys."""
    monkeypatch.chdir(tmp_path)
    Path("raw.fits").write_text("raw")
    cells = run(tmp_path, "importuvfits(fitsfile='raw.fits', vis='a.ms')", fitsfile="raw.fits", vis="a.ms")
    assert plan_notebook(tmp_path, "nb.ipynb", cells, SETTINGS).fresh
    (cell,) = plan_notebook(tmp_path, "nb.ipynb", cells, replace(SETTINGS, threads=2)).cells
    assert [reason.kind for reason in cell.reasons] == ["environment"]
    assert "threads" in cell.reasons[0].message
    assert [call.action for call in cell.calls] == ["run"]
