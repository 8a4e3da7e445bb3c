"""Which cell runs, from what a front end says; begin_cell and end_cell."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from casa_kernel.cells import identify
from casa_recompute.session import Cell

from .conftest import Bench


def request(allow_stdin: bool = True, **metadata: Any) -> dict[str, Any]:
    return {"metadata": metadata, "content": {"allow_stdin": allow_stdin, "code": "x"}}


def test_our_front_end_tells_notebook_and_order() -> None:
    parent = request(cellId="b", casa={"notebook": "n.ipynb", "cells": ["a", "b", "c"]})
    assert identify("x", parent) == Cell("b", ("a", "b", "c"), "n.ipynb", "x")


def test_the_saved_notebook_tells_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps({"cells": [{"id": "a"}, {"id": "b"}, {"cell_type": "code"}]}))
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    assert identify("x", request(cellId="b")) == Cell("b", ("a", "b"), str(path), "x")
    assert identify("x", request(cellId="new")) == Cell("new", None, None, "x")
    path.write_text(json.dumps({"cells": [{"id": "new"}, {"id": "b"}]}))
    os.utime(path, (1, 1))
    assert identify("x", request(cellId="new")) == Cell("new", ("new", "b"), str(path), "x")


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"cells": [1]}', '{"cells"'])
def test_a_broken_notebook_is_no_obstacle(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text(content)
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    assert identify("x", request(cellId="b")) == Cell("b", None, None, "x")


def test_batch_runners_have_cells_without_ids() -> None:
    assert identify("x", request(allow_stdin=False)) == Cell("", None, None, "x")


def test_consoles_and_terminals_have_no_cells() -> None:
    assert identify("x", request()) is None
    assert identify("x", {}) is None


def test_each_cell_begins_and_ends(bench: Bench) -> None:
    bench.run("1 + 1", cell_id="a")
    bench.run("1 / 0", cell_id="b")
    bench.run("this is no python", cell_id="c")
    assert [cell.id for cell in bench.session.cells if cell] == ["a", "b", "c"]
    assert [cell.source for cell in bench.session.cells if cell][0] == "1 + 1"
    assert bench.session.ends == [True, False, False]


def test_requests_of_the_front_end_itself_are_no_cells(bench: Bench) -> None:
    bench.run("1 + 1", store_history=False)
    bench.run("1 + 1", silent=True)
    assert bench.session.cells == [] and bench.session.ends == []


def test_notes_of_a_cell_are_shown(bench: Bench) -> None:
    bench.session.notes = ("a.ms was <changed> outside the notebook",)
    bench.run("1 + 1")
    assert bench.shown[-1]["data"]["text/plain"] == "Note: a.ms was <changed> outside the notebook"
    assert "&lt;changed&gt;" in bench.shown[-1]["data"]["text/html"]
