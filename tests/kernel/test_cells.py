"""Which cell runs, from what a front end says; begin_cell and end_cell."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from casa_kernel.cells import identify
from casa_recompute.session import Cell
from casa_recompute.values.shelf import ValueLost

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


STATE: dict[str, Any] = {
    "names": {"x": "i-1"}, "anew": {}, "aside": {}, "bound": {}, "products": {"a.ms": "k-2"}, "makers": {},
}  # fmt: skip


def test_only_our_clients_say_from_which_state_a_cell_runs() -> None:
    told = {"notebook": "n.ipynb", "cells": ["a", "b"], "state": STATE}
    assert identify("x", request(cellId="b", casa=told)) == Cell("b", ("a", "b"), "n.ipynb", "x", STATE)
    assert identify("x", request(cellId="b", state=STATE)) == Cell("b", None, None, "x")
    broken = identify("x", request(cellId="b", casa={**told, "state": {"names": None}}))
    assert broken is not None and broken.state == dict.fromkeys(STATE, {})


def test_cells_within_a_cell_are_part_of_it(bench: Bench) -> None:
    bench.run("get_ipython().run_cell('1 / 0', silent=False)\nget_ipython().run_cell('')\nx = 5", cell_id="a")
    assert [cell.id for cell in bench.session.cells if cell] == ["a"]
    assert bench.session.ends == [True]


def test_a_cell_that_was_begun_and_never_ended_is_no_obstacle(bench: Bench) -> None:
    bench.run("coroutine = get_ipython().run_cell_async('2', transformed_cell='2')\nawait coroutine", cell_id="a")
    bench.run("1 + 1", cell_id="b")
    assert bench.session.ends == [True, True]


def test_how_a_cell_ended_is_told_in_one_line(bench: Bench) -> None:
    bench.run("raise ValueError('a\\n  b')")
    bench.run("raise KeyboardInterrupt")
    bench.run("raise TypeError")
    bench.run("1")
    assert bench.session.errors == ["ValueError: a b", "interrupted", "TypeError", ""]


@pytest.mark.parametrize("state", [STATE, {}])
def test_a_cell_that_is_refused_does_not_run(bench: Bench, state: dict[str, Any]) -> None:
    bench.session.refusal = ValueLost("`x` cannot be brought back")
    told = {"cells": ["a"], "state": state}
    bench.extension._parent = lambda: request(cellId="a", casa=told)  # type: ignore[method-assign]
    error = bench.run("ran = 1")
    assert type(error).__name__ == "ValueLost" and str(error) == "`x` cannot be brought back"
    assert "ran" not in bench.shell.user_ns and bench.session.ends == []
    bench.session.refusal = None
    bench.run("ran = 1")
    assert bench.shell.user_ns["ran"] == 1 and bench.session.ends == [True]


def test_notes_that_come_late_are_shown_all_the_same(bench: Bench) -> None:
    bench.session.late_notes = ("WARNING: it could not be noted",)
    bench.run("1 + 1")
    assert bench.shown[-1]["data"]["text/plain"] == "Note: WARNING: it could not be noted"


def test_what_other_extensions_show_after_a_cell_comes_before_its_end(bench: Bench) -> None:
    ends: list[int] = []
    bench.shell.events.register("post_run_cell", lambda _result: ends.append(len(bench.session.ends)))
    bench.run("1")
    assert ends == [0] and bench.session.ends == [True]


def test_names_that_were_there_before_are_the_users(bench: Bench) -> None:
    bench.shell.user_ns["mine"] = 1
    bench.run("2")
    assert "mine" not in bench.session.hidden
    assert {"tclean", "tb", "inp", "os", "get_ipython"} <= bench.session.hidden.keys()


def test_verbs_say_which_variables_they_read(bench: Bench) -> None:
    bench.run("inp('listobs')")
    assert {"vis", "listfile"} <= bench.session.read and "_active_task" not in bench.session.read
    bench.run("inp()")
    assert "_active_task" in bench.session.read
    bench.run("tget('listobs')")
    assert bench.session.impurities == ["the parameters of an earlier call"]


def test_the_end_of_a_walk_is_no_cell(bench: Bench) -> None:
    end = {"settle": {"names": {"x": "i-1"}, "products": {"a.ms": "k-2"}}}
    bench.extension._parent = lambda: request(casa={"state": end})  # type: ignore[method-assign]
    assert bench.run("pass", silent=True, store_history=False) is None
    assert bench.session.settled == [({"x": "i-1"}, {"a.ms": "k-2"})]
    assert bench.session.cells == []
    bench.session.refusal = ValueLost("the disk is full")
    assert str(bench.run("ran = 1", silent=True, store_history=False)) == "the disk is full"
    assert "ran" not in bench.shell.user_ns
    bench.extension._parent = lambda: request(cellId="a", casa={"cells": ["a"]})  # type: ignore[method-assign]
    bench.session.refusal = None
    bench.run("ran = 1", cell_id="a")
    assert bench.shell.user_ns["ran"] == 1 and len(bench.session.settled) == 2


def test_what_runs_between_cells_is_told(bench: Bench) -> None:
    bench.run("1")
    bench.run("2")
    assert bench.session.stirs == 0
    bench.run("3", silent=True)
    bench.run("4")
    assert bench.session.stirs == 1
    bench.shell.events.trigger("pre_execute")  # as a widget's message does
    bench.shell.events.trigger("post_execute")
    bench.run("get_ipython().run_cell('5', silent=True)")
    bench.run("6")
    assert bench.session.stirs == 2
