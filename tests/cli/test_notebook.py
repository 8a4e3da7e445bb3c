"""Notebooks as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from casa_recompute.words import duration
from jupyterlab_casa.cli.notebook import Saver, cell_ids, read, set_parameters, value
from jupyterlab_casa.cli.text import CommandError, size, table

from .conftest import write_notebook


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", 5),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
        ("True", True),
        ("false", False),
        ("None", None),
        ("[1, 'a']", [1, "a"]),
        ('{"a": true}', {"a": True}),
        ("'5'", "5"),
        ("60s", "60s"),
        ("0:6~56", "0:6~56"),
        ("1,2", "1,2"),
        ("[15h", "[15h"),
        ("inf", "inf"),
        ("", ""),
    ],
)
def test_values_are_what_papermill_takes_them_for(text: str, expected: object) -> None:
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


def injected(source: str, *given: tuple[str, str]) -> dict[str, Any]:
    """What the injected cell sets in a notebook whose parameters cell has this source."""
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell("1"),
        ]
    )
    set_parameters(notebook, given)
    names: dict[str, Any] = {}
    exec(notebook.cells[1].source, names)
    del names["__builtins__"]
    return names


def test_a_value_is_text_where_the_notebook_has_text() -> None:
    given = (("field", "2"), ("solint", "'inf'"), ("niter", "5"))
    assert injected("field = '0'\nsolint: str = '60s'\nniter = 1", *given) == {
        "field": "2",
        "solint": "inf",
        "niter": 5,
    }


def test_an_unknown_parameter_is_set_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert injected("niter = 1", ("nitre", "5")) == {"nitre": 5}
    assert "do not include nitre" in capsys.readouterr().err
    assert injected("%magic\nniter = 1", ("nitre", "5")) == {"nitre": 5}, "what the cell sets cannot be told"
    assert not capsys.readouterr().err


def test_without_a_parameters_cell_values_are_set_at_the_top(capsys: pytest.CaptureFixture[str]) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    set_parameters(notebook, [("a", "1")])
    assert notebook.cells[0].source == "# Parameters\na = 1"
    assert "no cell is tagged" in capsys.readouterr().err


def test_ids_are_stable_and_unique(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "nb.ipynb", {"a": "1", "b": "1", "c": "2"}, minor=4)
    ids = cell_ids(read(path))
    assert ids == cell_ids(read(path)) and len(set(ids)) == 4
    named = read(write_notebook(tmp_path / "new.ipynb", {"a": "1", "b": "1"}))
    named.cells[2]["id"] = "a"
    assert cell_ids(named)[:2] == ["title", "a"] and len(set(cell_ids(named))) == 3
    nbformat.validate(named)


def test_an_old_major_format_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.ipynb"
    cell = {"cell_type": "code", "input": "1", "language": "python", "outputs": [], "collapsed": False}
    sheets = [{"cells": [cell | {"metadata": {}}]}]
    path.write_text(json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": sheets}))
    notebook = read(path)
    assert notebook.cells[0].source == "1"
    assert cell_ids(notebook) == cell_ids(read(path))


def test_a_notebook_is_saved_whole_and_keeps_link_and_mode(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "nb.ipynb")
    path.chmod(0o640)
    link = tmp_path / "link.ipynb"
    link.symlink_to(path)
    notebook = read(link)
    saver = Saver(link)
    for source in ("7", "8"):
        notebook.cells[1].source = source
        saver.save(notebook)
        assert read(path).cells[1].source == source
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.ipynb", "nb.ipynb"]


def test_what_somebody_else_saved_meanwhile_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_notebook(tmp_path / "nb.ipynb")
    saver, notebook = Saver(path), read(path)
    path.write_text("somebody else's")
    for _ in range(2):
        saver.save(notebook)
    assert path.read_text() == "somebody else's"
    assert read(tmp_path / "nb-run.ipynb").cells == notebook.cells
    assert capsys.readouterr().err.count("was changed meanwhile") == 1


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "nb.ipynb"):
        with pytest.raises(CommandError, match="cannot be written"):
            Saver(path)


def test_words() -> None:
    assert [duration(s) for s in (0, 99.94, 192, 7500)] == ["0.0 s", "99.9 s", "3 min 12 s", "2 h 05 min"]
    assert [size(n) for n in (0, 999, 1000, 123456, 5e9, 3e12)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "123 kB",
        "5.0 GB",
        "3.0 TB",
    ]
    assert table(("a", "n"), [("long", "1"), ("b", "22")], right=(1,)) == "a      n\nlong   1\nb     22"
