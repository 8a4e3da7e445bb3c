"""The walk of ``jupyter casa run`` through a notebook, with steps and a kernel that are told what to do."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest

from casa_recompute.ledger import NewerLedger
from casa_recompute.notebook.model import CellSource, Reason
from casa_recompute.notebook.rerun import NotRecorded, Step
from jupyterlab_casa.cli import main
from jupyterlab_casa.cli import run as module

from .conftest import actions, write_notebook

CELLS = {"a": "a = 1", "b": "b = 2", "empty": " ", "c": "c = 3", "d": "d = 4"}
OUTPUT = {"output_type": "execute_result", "data": {"text/plain": "7"}, "metadata": {}, "execution_count": 99}


class Kernel:
    """Executes a cell by writing its text as its result; ``fails`` and ``stops``: at these texts."""

    fails = ""
    stops = ""

    def __init__(self, notebook: Any, directory: Path, timeout: int | None) -> None:
        self.notebook = notebook
        self.start_s = 0.0
        self.requests: list[dict[str, Any]] = []
        self.killed: list[bool] = []
        kernels.append(self)

    async def start(self) -> None:
        self.start_s = 1.0

    async def execute(self, index: int, metadata: dict[str, Any], count: int) -> tuple[str, str] | None:
        self.requests.append(metadata)
        cell = self.notebook.cells[index]
        cell.outputs = nbformat.from_dict([{**OUTPUT, "data": {"text/plain": cell.source}}])
        if cell.source == self.stops:
            signal.raise_signal(signal.SIGINT)
            return "KeyboardInterrupt", ""
        return ("ValueError", "no") if cell.source == self.fails else None

    async def stop(self, kill: bool) -> None:
        self.killed.append(kill)

    async def end(self, now: bool) -> None:
        pass

    def save_widgets(self) -> None:
        pass


kernels: list[Kernel] = []


@pytest.fixture
def walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, list[CellSource]]]:
    """Run ``nb.ipynb`` with these steps: (cell, action), or something to raise or to do.

    Returns the exit code, and the cells that were given.
    """
    write_notebook(tmp_path / "nb.ipynb", CELLS)
    kernels.clear()

    def command(
        *plan: tuple[str, str] | BaseException | Callable[[], None],
        options: Sequence[str] = ("--json",),
        changed: Sequence[str] = (),
        end: BaseException | None = None,
    ) -> tuple[int, list[CellSource]]:
        given: list[CellSource] = []

        class Rerun:
            def __init__(self, directory: Path, name: str, cells: Sequence[CellSource], everything: bool) -> None:
                assert (directory, name) == (tmp_path, "nb.ipynb")
                assert everything == ("--all" in options)
                given.extend(cells)
                self.saved_s = 0.0

            def steps(self) -> Iterator[Step]:
                for one in plan:
                    if isinstance(one, BaseException):
                        raise one
                    if callable(one):
                        one()
                        continue
                    cell = next(cell for cell in given if cell.id == one[0])
                    self.saved_s += 0.0 if one[1] == "execute" else 2.5
                    reasons = () if one[1] == "keep" else (Reason("edited", "x", "because"),)
                    step = Step(cell, one[1], reasons, 1.0, {"of": cell.id}, [OUTPUT] if one[1] == "restore" else [])
                    yield step
                    assert (step.ok is None) == (one[1] != "execute")
                    if step.ok is False:
                        return

            def finish(self) -> list[str]:
                if end is not None:
                    raise end
                return list(changed)

            def close(self) -> None:
                pass

        monkeypatch.setattr(module, "Rerun", Rerun)
        monkeypatch.setattr(module, "Kernel", Kernel)
        return main(["run", str(tmp_path / "nb.ipynb"), *options]), given

    return command


KEEP = [("a", "keep"), ("b", "keep"), ("c", "keep"), ("d", "keep")]


def shown(path: Path) -> dict[str, tuple[int | None, list[Any]]]:
    """Cell -> execution count and the outputs' own counts or texts."""
    notebook = nbformat.read(path, as_version=4)
    return {
        cell.id: (
            cell.execution_count,
            [(output.get("execution_count"), output.get("data", {}).get("text/plain")) for output in cell.outputs],
        )
        for cell in notebook.cells
        if cell.cell_type == "code"
    }


def test_each_step_is_taken_and_counted_as_in_a_run_from_the_top(
    walk: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, given = walk(("a", "keep"), ("b", "restore"), ("c", "execute"), ("d", "keep"), changed=["a.ms"])
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert code == 0 and report["ok"]
    assert [(cell.id, cell.index, cell.source) for cell in given] == [
        ("a", 1, "a = 1"),
        ("b", 2, "b = 2"),
        ("c", 4, "c = 3"),
        ("d", 5, "d = 4"),
    ]
    assert actions(report) == {
        "a": "skipped", "b": "restored", "empty": "skipped", "c": "executed", "d": "skipped"
    }  # fmt: skip
    assert [cell["reasons"] for cell in report["cells"] if cell["action"] == "skipped"] == [[], [], []]
    assert report["cells"][1]["reasons"][0]["message"] == "because"
    assert (report["saved_s"], report["changed"]) == (7.5, ["a.ms"])
    assert shown(tmp_path / "nb.ipynb") == {
        "a": (1, []),
        "b": (2, [(2, "7")]),
        "empty": (None, []),
        "c": (3, [(3, "c = 3")]),
        "d": (4, []),
    }
    (request,) = kernels[0].requests
    assert request == {
        "cellId": "c",
        "casa": {"notebook": "nb.ipynb", "cells": ["a", "b", "c", "d"], "state": {"of": "c"}},
    }
    lines = [" ".join(line.split()) for line in err.splitlines()]
    assert lines[0] == "[1/4] a = 1 fresh"
    assert lines[1] == "[2/4] b = 2 restored, 2.5 s saved"
    assert "1 cell executed, 1 restored, 2 fresh already, 7.5 s saved" in err
    assert "Brought to their last states: a.ms" in err


def test_nothing_to_do_leaves_the_file_alone(walk: Callable[..., Any], tmp_path: Path) -> None:
    walk(*KEEP)
    path = tmp_path / "nb.ipynb"
    before = path.stat().st_mtime_ns, path.stat().st_ino
    assert walk(*KEEP)[0] == 0
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert walk(*KEEP, options=["-o", str(tmp_path / "out.ipynb")])[0] == 0
    assert (tmp_path / "out.ipynb").read_bytes() == path.read_bytes()


def test_a_cell_that_was_passed_may_run_after_all(walk: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    walk(("a", "keep"), ("b", "keep"), ("a", "execute"), ("c", "execute"), ("d", "keep"))
    report = json.loads(capsys.readouterr().out)
    assert [cell["action"] for cell in report["cells"]] == ["executed", "skipped", "skipped", "executed", "skipped"]
    assert report["saved_s"] == 5.0, "what it would have saved is spent now"


def test_the_first_failure_ends_it(
    walk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Kernel, "fails", "b = 2")
    code, _ = walk(("a", "keep"), ("b", "execute"), ("c", "execute"), changed=["not reached"])
    report = json.loads(capsys.readouterr().out)
    assert code == 1 and not report["ok"] and report["changed"] == []
    assert actions(report) == {"a": "skipped", "b": "failed", "empty": "skipped", "c": "skipped", "d": "skipped"}
    assert report["cells"][1]["error"] == {"name": "ValueError", "message": "no"}
    told = [[reason["because_of"] for reason in cell["reasons"]] for cell in report["cells"]]
    assert told == [[], [None], [], ["b"], ["b"]]


def test_ctrl_c_while_a_cell_runs_interrupts_it(
    walk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Kernel, "stops", "b = 2")
    before = signal.getsignal(signal.SIGINT)
    code, _ = walk(("a", "keep"), ("b", "execute"), ("c", "execute"))
    assert code == 130
    assert kernels[0].killed == [False], "interrupted, not killed"
    assert signal.getsignal(signal.SIGINT) is before
    assert actions(json.loads(capsys.readouterr().out))["b"] == "failed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_between_cells_ends_it_at_once(
    walk: Callable[..., Any], capsys: pytest.CaptureFixture[str], number: int
) -> None:
    code, _ = walk(("a", "restore"), lambda: signal.raise_signal(number), ("b", "keep"))
    report = json.loads(capsys.readouterr().out)
    assert code == 128 + number
    assert [cell["action"] for cell in report["cells"]] == ["restored"] + ["skipped"] * 4
    assert report["cells"][1]["reasons"][0]["message"] == "cell a above was the last before the interrupt"


@pytest.mark.parametrize(
    ("plan", "end"),
    [([("a", "keep"), NotRecorded("the disk is full")], None), (KEEP, OSError(28, "the disk is full"))],
)
def test_trouble_in_the_ledger_is_told_in_one_line(
    walk: Callable[..., Any], capsys: pytest.CaptureFixture[str], plan: Any, end: Any
) -> None:
    code, _ = walk(*plan, end=end)
    out, err = capsys.readouterr()
    assert code == 1 and not json.loads(out)["ok"]
    assert [line for line in err.splitlines() if "the disk is full" in line and line.startswith("jupyter casa: ")]
    assert "Traceback" not in err


def test_a_newer_ledger_is_refused_before_anything_is_touched(
    walk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise NewerLedger("made by a newer version")

    walk(*KEEP)
    before = (tmp_path / "nb.ipynb").read_bytes()
    capsys.readouterr()
    monkeypatch.setattr(module, "Rerun", refuse)
    assert main(["run", str(tmp_path / "nb.ipynb"), "--json"]) == 2
    assert capsys.readouterr() == ("", "jupyter casa: made by a newer version\n")
    assert (tmp_path / "nb.ipynb").read_bytes() == before


def test_all_is_passed_on(walk: Callable[..., Any]) -> None:
    assert walk(*[(cell, "execute") for cell in "abcd"], options=["--all"])[0] == 0
    assert len(kernels[0].requests) == 4
