"""What a call costs besides its task: a new one, one that is restored, one whose products are in place."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import casadata
from disks import copy_seconds, directory, reflink_directory, stamps, stat_seconds, written
from table import Row

from casa_recompute.session import Cell, Session
from casa_recompute.settings import Settings

RAW = Path(casadata.datapath) / "demo" / "NGC5921.fits"
MS = "ngc5921.ms"
ORDER = ("import", "flag", "model", "gain", "list")
Step = tuple[str, dict[str, Any]]

IMPORT: Step = ("importuvfits", {"fitsfile": "NGC5921.fits", "vis": MS})


def new_steps(count: int) -> list[tuple[str, dict[str, Any], list[str]]]:
    """New calls, each doing as much as the one before of the same task, and what they modify and write: in
    place, in place in a large column, a small product, a large product."""
    steps: list[tuple[str, dict[str, Any], list[str]]] = []
    for number in range(count + 1):  # the first of each warms the page cache and adds columns
        manual = {"vis": MS, "field": "0", "standard": "manual", "usescratch": True}
        flagged = [MS, MS + ".flagversions"]
        large = f"split{number}.ms"
        steps += [
            ("flagdata", {"vis": MS, "mode": "manual", "antenna": f"{number}&&{number}"}, flagged),
            ("setjy", {**manual, "fluxdensity": [10.0 + number, 0, 0, 0]}, [MS]),
            ("gaincal", {"vis": MS, "caltable": f"g{number}", "field": "0", "refant": "15"}, [f"g{number}"]),
            ("split", {"vis": MS, "outputvis": large, "field": "2", "datacolumn": "data"}, [large]),
        ]
    return steps


@contextmanager
def session_in(scratch: Path, store: str) -> Iterator[Session]:
    """A session in a new workspace that holds the raw data; the test's process works there."""
    workspace = scratch / "workspace"
    workspace.mkdir()
    shutil.copy(RAW, workspace)
    os.chdir(workspace)
    session = Session(workspace, Settings(store=store))
    try:
        session.worker.request("check", {"package": ""})  # CASA is loaded before anything is timed
        yield session
    finally:
        session.close()
        session.workspace.close()


def overhead(
    row: str, label: str, scratch: Path, store: str, reflink: str, allowed: float, count: int
) -> list[Row]:
    """New calls against the bare tasks, and against one copy of what they modify and write."""
    steps = new_steps(count)
    results: dict[str, list[tuple[float, float, float]]] = {}
    with session_in(scratch, store) as session:
        bare = bare_seconds(session, scratch / "bare", [(*IMPORT, [MS]), *steps], reflink)[1:]
        session.call(IMPORT[0], **IMPORT[1])
        for (task, arguments, _), (alone, copy) in zip(steps, bare, strict=True):
            began = time.perf_counter()
            outcome = session.call(task, **arguments)
            took = time.perf_counter() - began
            assert outcome.action == "ran", f"{task} should be new"
            results.setdefault(task, []).append((took - outcome.seconds, took - alone, copy))
    rows = []
    for task, values in results.items():
        own, against_bare, copy = (statistics.median(column) for column in zip(*values[1:], strict=True))
        own_ms, bare_ms, copy_ms = 1e3 * own, 1e3 * against_bare, 1e3 * copy
        detail = f"{own_ms:.1f} ms besides the task, {bare_ms:+.1f} ms against bare; {copy_ms:.1f} ms cp"
        rows.append(Row(row, f"overhead of a new {task}, {label}", allowed, own / copy, detail))
    return rows


def bare_seconds(
    session: Session, where: Path, steps: Sequence[Any], reflink: str
) -> list[tuple[float, float]]:
    """How long the tasks, and copies of what they change, take in one plain process in its own directory."""
    where.mkdir()
    shutil.copy(RAW, where)
    command = [sys.executable, str(Path(__file__).with_name("bare.py")), json.dumps(steps), reflink]
    environment = {**os.environ, **session.environment()}
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the bare tasks failed: {done.stderr[-2000:]}")
    seconds: list[tuple[float, float]] = json.loads(done.stdout.splitlines()[-1])
    shutil.rmtree(where)
    return seconds


def overhead_reflink(given: Path | None, count: int) -> list[Row]:
    """On a file system that shares blocks."""
    with reflink_directory(given) as (name, scratch):
        return overhead("overhead-reflink", name, scratch, "reflink", "always", 2.0, count)


def overhead_copy(count: int) -> list[Row]:
    """On a plain file system."""
    with directory() as scratch:
        return overhead("overhead-copy", "copy store", scratch, "copy", "never", 1.2, count)


def in_cell(session: Session, cell: str, step: Step) -> tuple[str, float]:
    """Make a call in its cell; what happened, and how long the call took."""
    session.begin_cell(Cell(cell, ORDER, "bench.ipynb", ""))
    try:
        began = time.perf_counter()
        outcome = session.call(step[0], **step[1])
        return outcome.action, time.perf_counter() - began
    finally:
        session.end_cell()


def restore(given: Path | None, count: int) -> list[Row]:
    """An MS brought from one state to another, against a copy of the files that differ."""
    one: Step = (
        "setjy",
        {"vis": MS, "field": "0", "standard": "manual", "fluxdensity": [1.0, 0, 0, 0], "usescratch": True},
    )
    two: Step = ("setjy", {**one[1], "fluxdensity": [2.0, 0, 0, 0]})
    with reflink_directory(given) as (name, scratch), session_in(scratch, "reflink") as session:
        in_cell(session, "import", IMPORT)
        for step in (one, two):
            in_cell(session, "model", step)
        before = stamps([Path(MS)])
        states = []
        for step in (one, two):
            in_cell(session, "model", step)
            states.append(session.workspace.look(MS))
        files = [path.absolute() for path in written(before, [Path(MS)])]
        copy = copy_seconds(files, "always")
        restores, hits = [], []
        for number in range(count):
            with session.workspace.lock():
                began = time.perf_counter()
                changed = session.workspace.restore({MS: states[number % 2]})
                restores.append(time.perf_counter() - began)
                assert changed == [MS], "there was something to restore"
        for number in range(count):
            action, took = in_cell(session, "model", (one, two)[number % 2])
            assert action == "restored"
            hits.append(took)
        detail = f"{len(files)} files, {1e3 * copy:.1f} ms cp"
    only, whole = statistics.median(restores), statistics.median(hits[1:])
    return [
        Row("restore", f"restore of the MS, {name}", 1.5, only / copy, f"{1e3 * only:.1f} ms; {detail}"),
        Row(
            "restore",
            f"whole call that restores it, {name}",
            None,
            whole / copy,
            f"{1e3 * whole:.1f} ms; {detail}",
        ),
    ]


def hit(count: int) -> list[Row]:
    """Calls whose products are in place, against one stat of the tree."""
    steps: dict[str, Step] = {
        "import": IMPORT,
        "flag": ("flagdata", {"vis": MS, "mode": "manual", "autocorr": True}),
        "list": ("listobs", {"vis": MS}),
    }
    times: dict[str, list[float]] = {cell: [] for cell in steps}
    with directory() as scratch, session_in(scratch, "auto") as session:
        in_cell(session, "import", IMPORT)
        imports = [in_cell(session, "import", IMPORT) for _ in range(count)]
        for cell in ("flag", "list"):
            in_cell(session, cell, steps[cell])
        for cell in ("flag", "list"):
            results = [in_cell(session, cell, steps[cell]) for _ in range(count)]
            assert {action for action, _ in results} == {"restored"}
            times[cell] = [took for _, took in results]
        assert {action for action, _ in imports} == {"restored"}
        times["import"] = [took for _, took in imports]
        stat = stat_seconds(Path(MS))
        files = sum(1 for path in Path(MS).rglob("*") if path.is_file())
    return [
        Row(
            "hit",
            f"{steps[cell][0]} in place, {files}-file MS",
            20.0,
            statistics.median(values) / stat,
            f"{1e3 * statistics.median(values):.2f} ms; one stat of the tree {1e3 * stat:.2f} ms",
        )
        for cell, values in times.items()
    ]
