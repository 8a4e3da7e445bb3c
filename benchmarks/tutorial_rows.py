"""The whole tutorial: again with nothing changed, with one thing changed, and equal to a fresh run by plain CASA."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astropy.io import fits
from disks import directory
from table import Row

from casa_recompute.display import Display
from casa_recompute.session import Session
from casa_recompute.workspace import HOME
from jupyterlab_casa.tutorial import DATA, NOTEBOOK, write_tutorial

Report = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """What a user does before running again, and the cell from which on every call must run (None: none)."""

    name: str
    what: str
    first: str | None
    parameters: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[Path], None] = lambda workspace: None


def add_comment(workspace: Path) -> None:
    """A comment in an early cell."""
    edit(
        workspace / NOTEBOOK, "flag-autocorrelations", lambda source: "# antennas with themselves\n" + source
    )


def edit(notebook: Path, cell_id: str, change: Callable[[str], str]) -> None:
    """Change the source of a cell."""
    content = json.loads(notebook.read_text())
    [cell] = [cell for cell in content["cells"] if cell["id"] == cell_id]
    cell["source"] = change("".join(cell["source"]))
    notebook.write_text(json.dumps(content))


def replace_raw(workspace: Path) -> None:
    """Another observation under the same name: all visibilities are a little stronger."""
    with fits.open(workspace / DATA, mode="update") as units:
        units[0].data["DATA"][..., :2] *= 1.01


CHANGES = (
    Change("niter", "tclean niter 5000 -> 300", "image-cube", {"niter": 300}),
    Change("solint", "gaincal solint 'inf' -> '60s'", "solve-gains", {"solint": "60s"}),
    Change("back", "both set back", None),
    Change("comment", "a comment in an early cell", None, prepare=add_comment),
    Change("touched", "raw file touched", None, prepare=lambda workspace: os.utime(workspace / DATA)),
    Change("replaced", "raw file replaced", "import-data", prepare=replace_raw),
)


def run(workspace: Path, parameters: dict[str, Any] | None = None) -> Report:
    """Run the tutorial in a new kernel, by the command that users have."""
    command = [sys.executable, "-m", "jupyterlab_casa.cli", "run", NOTEBOOK, "-o", "executed.ipynb", "--json"]
    for name, value in (parameters or {}).items():
        command += ["-p", name, str(value)]
    done = subprocess.run(command, cwd=workspace, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the tutorial failed: {done.stderr}")
    report: Report = json.loads(done.stdout)
    return report


def bare(workspace: Path, where: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    """Run the tutorial's cells in a plain process, in a new directory that stays."""
    where.mkdir()
    for name in (DATA, NOTEBOOK):
        shutil.copy(workspace / name, where)
    session, display = Session(workspace), Display()
    display.start()
    environment = {**os.environ, **session.environment(), **display.env()}
    command = [
        sys.executable,
        str(Path(__file__).with_name("bare_notebook.py")),
        NOTEBOOK,
        json.dumps(parameters),
    ]
    try:
        done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True)
    finally:
        display.stop()
        session.close()
        session.workspace.close()
    if done.returncode:
        raise RuntimeError(f"the bare tutorial failed: {done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def calls(report: Report, action: str | None = None) -> list[dict[str, Any]]:
    """The calls of a run, or those with one action."""
    found = [call for cell in report["cells"] for call in cell["calls"]]
    return [call for call in found if action is None or call["action"] == action]


def again(first: Report, second: Report) -> list[Row]:
    """Nothing changed, new kernel."""
    before = sum(call["seconds"] for call in calls(first))
    after = sum(call["seconds"] for call in calls(second))
    ran = len(calls(second, "ran"))
    times = f"{len(calls(first))} calls {before:.1f} s, then {after:.2f} s ({ran} ran)"
    detail = f"{times}; kernel start {second['kernel_s']:.1f} s"
    ratio = before / after if after else 0.0
    return [Row("again", "whole tutorial again, calls only", 40.0, ratio, detail, floor=True)]


def changed(change: Change, report: Report, alone: dict[str, Any] | None) -> list[Row]:
    """Which calls ran after a change, and for how long."""
    cells = [cell["id"] for cell in report["cells"]]
    start = cells.index(change.first) if change.first is not None else len(cells)
    wanted = [call["task"] for cell in report["cells"][start:] for call in cell["calls"]]
    ran = [call["task"] for call in calls(report, "ran")]
    wrong = len(
        [cell for cell in report["cells"][:start] if any(c["action"] == "ran" for c in cell["calls"])]
    )
    wrong += sum(call["action"] != "ran" for cell in report["cells"][start:] for call in cell["calls"])
    detail = f"ran {len(ran)} of {len(calls(report))} calls, should {len(wanted)}"
    rows = [Row(change.name, f"{change.what}: wrongly run or not run", 0.0, float(wrong), detail)]
    if alone is not None:
        again = [cell for cell in report["cells"] if any(call["action"] == "ran" for call in cell["calls"])]
        took = sum(cell["seconds"] for cell in again)
        inside = sum(call["seconds"] for call in calls(report, "ran"))
        # A new kernel's first call that runs may wait until CASA is loaded, and a plain process does.
        plain = sum(alone["cells"][cell["id"]] for cell in again) + alone["load"]
        detail = f"cells that ran {took:.1f} s ({inside:.1f} s inside tasks), in a plain process {plain:.1f} s"
        rows.append(Row(change.name, f"{change.what}: wall time / bare", 1.05, took / plain, detail))
    return rows


def equal(workspace: Path, fresh: Path) -> list[Row]:
    """Everything is taken away, restored, and compared with what plain CASA made in another directory."""
    names = sorted(path.name for path in fresh.iterdir() if is_product(path))
    for path in workspace.iterdir():
        if path.name not in (DATA, NOTEBOOK, HOME):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    report = run(workspace)
    command = [
        sys.executable,
        str(Path(__file__).with_name("equality.py")),
        str(workspace),
        str(fresh),
        *names,
    ]
    session = Session(workspace)
    environment = {**os.environ, **session.environment()}
    session.close()
    done = subprocess.run(command, cwd=workspace.parent, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the comparison failed: {done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    restored = (
        f"{len(calls(report, 'restored'))} of {len(calls(report))} calls restored, {len(names)} products"
    )
    different, unlike = found["different"], found["unlike"]
    arrays = (
        f"{found['arrays']} arrays, {found['bytes'] / 1e6:.0f} MB, {restored}. {'; '.join(different[:4])}"
    )
    digests = f"{found['digests']} digests. {'; '.join(unlike[:4])}"
    return [
        Row("equal", "arrays that differ from a fresh run", 0.0, float(len(different)), arrays),
        Row("equal", "canonical digests that differ", 0.0, float(len(unlike)), digests),
    ]


def is_product(path: Path) -> bool:
    """CASA tables and FITS images that the tutorial made; plots and listings name times and paths."""
    return path.name != DATA and (path.suffix == ".fits" or (path / "table.dat").exists())


def tutorial() -> Iterator[Row]:
    """All rows."""
    with directory() as scratch:
        workspace = scratch / "workspace"
        write_tutorial(workspace)
        first = run(workspace)
        yield from again(first, run(workspace))
        bare(workspace, scratch / "bare", {})
        yield from equal(workspace, scratch / "bare")
        for change in CHANGES:
            change.prepare(workspace)
            alone = None
            if change.first is not None:
                alone = bare(workspace, scratch / f"bare-{change.name}", change.parameters)
                shutil.rmtree(scratch / f"bare-{change.name}")
            yield from changed(change, run(workspace, change.parameters), alone)
