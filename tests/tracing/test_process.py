"""What cells share without a name comes to another process as it was."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest

from casa_recompute.notebook.simulate import DIRECTORY, ENVIRONMENT, PANDAS, PLOTTING, PRINTING, SEARCH_PATH
from casa_recompute.tracing.process import Process, senses


@pytest.fixture(autouse=True)
def as_it_was(tmp_path: Path) -> Iterator[None]:
    where, environment, path, printing = os.getcwd(), dict(os.environ), list(sys.path), np.get_printoptions()
    os.chdir(tmp_path)
    with matplotlib.rc_context(), pd.option_context("display.max_rows", pd.get_option("display.max_rows")):
        yield
    os.chdir(where)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = path
    np.set_printoptions(**printing)


def change() -> None:
    os.mkdir("sub")
    os.chdir("sub")
    os.environ["CASA_TEST_NEW"] = "1"
    del os.environ["PATH"]
    sys.path.append(os.path.abspath("lib"))
    np.set_printoptions(precision=3)
    matplotlib.rcParams["figure.dpi"] = 33.0
    pd.set_option("display.max_rows", 7)


def test_a_new_kernel_differs_in_nothing() -> None:
    assert Process().now() == {}


def test_what_was_changed_is_undone_and_brought_back(tmp_path: Path) -> None:
    process = Process()
    before = dict(os.environ), list(sys.path)
    change()
    changed = process.now()
    assert changed[DIRECTORY] == "./sub"
    assert changed[ENVIRONMENT] == {"CASA_TEST_NEW": "1", "PATH": None}
    assert changed[SEARCH_PATH][-1] == "./sub/lib"
    assert changed[PRINTING] == {"precision": 3}
    assert changed[PLOTTING] == {"figure.dpi": 33.0}
    assert changed[PANDAS] == {"display.max_rows": 7}
    for part in changed:
        process.put(part, None)
    assert process.now() == {}
    assert (dict(os.environ), list(sys.path)) == before
    assert os.getcwd() == str(tmp_path)
    for part, value in changed.items():
        process.put(part, value)
    assert process.now() == changed
    assert os.getcwd() == str(tmp_path / "sub")
    assert "PATH" not in os.environ
    assert sys.path[-1] == str(tmp_path / "sub" / "lib")
    assert np.get_printoptions()["precision"] == 3


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        Process().put(DIRECTORY, "./gone")
    assert os.getcwd() == str(tmp_path)


def test_what_a_library_did_is_no_change() -> None:
    process = Process()
    os.environ["CASA_TEST_NEW"] = "1"
    process.get_used_to(ENVIRONMENT)
    assert process.now() == {}


@pytest.mark.parametrize(
    ("source", "chains", "told", "parts"),
    [
        ("x = 1", set(), {}, set()),
        ("p = os.getcwd()", {"os.getcwd"}, {}, {DIRECTORY}),
        ("open('x')", {"open"}, {"files": True}, {DIRECTORY, PRINTING, PANDAS}),
        ("!ls", set(), {"programs": True}, {DIRECTORY, ENVIRONMENT}),
        ("x = os.getenv('A')", {"os.getenv"}, {}, {ENVIRONMENT}),
        ("import thing", set(), {}, {SEARCH_PATH}),
        ("a", {"a"}, {"outputs": [{"data": {"text/plain": "1"}}]}, {PRINTING, PANDAS}),
        ("fig", {"fig"}, {"outputs": [{"data": {"image/png": ""}}]}, {PRINTING, PANDAS, PLOTTING}),
        ("fig = mpl.figure()", {"mpl.figure"}, {}, {PLOTTING}),
    ],
)
def test_which_parts_a_cell_may_depend_on(
    source: str, chains: set[str], told: dict[str, Any], parts: set[str]
) -> None:
    how: dict[str, Any] = {"outputs": [], "files": False, "programs": False} | told
    assert senses(chains, source, {"mpl": matplotlib}, **how) == parts
