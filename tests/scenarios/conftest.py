"""One reduction of real VLA data in one workspace, run once, in a kernel that a Jupyter server has started; the command
that makes it fresh after each edit; and the server, which says the same of it as the command, before and after."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jupyterlab_casa.tutorial import DATA, write_tutorial
from tests.kernels.conftest import installed

from .server import OURS, Kernel, Server

NOTEBOOK = "reduction.ipynb"

CELLS = {
    "parameters": "solint = 'inf'\nniter = 50",
    "import": f"importuvfits(fitsfile='{DATA}', vis='all.ms')",
    "list": "listobs(vis='all.ms', listfile='all.txt', overwrite=True)",
    "flag": "flagdata(vis='all.ms', mode='quack', quackmode='beg', quackinterval=30)",
    "flux": "setjy(vis='all.ms', field='1331*', standard='Perley-Butler 2017', usescratch=True)",
    "gain": (
        "solved = gaincal(vis='all.ms', caltable='gains', field='1331*', spw='0:6~56', refant='15', solint=solint)"
    ),
    "apply": "applycal(vis='all.ms', field='1331*', gaintable=['gains'])",
    "split": "split(vis='all.ms', outputvis='flux.ms', field='1331*', spw='0:20~40', width=21)",
    "clean": (
        "cleaned = tclean(vis='flux.ms', imagename='image', imsize=64, cell='15arcsec', niter=niter)\n"
        "print(cleaned['iterdone'], 'iterations')"
    ),
    "measure": (
        "ia.open('image.residual')\nrms = float(ia.statistics()['rms'][0])\nia.close()\nprint(f'rms {rms:.9g} Jy')"
    ),
    "plot": (
        "plotms(vis='flux.ms', xaxis='uvdist', yaxis='amp', plotfile='amp.png', width=400, height=300,\n"
        "       showgui=False, overwrite=True)"
    ),
    "distance": "distance = 21.0\nprint(f'{distance} Mpc')",
}
"""The reduction: 3C 286 of the NGC 5921 observation, from the archive's file to a small image and a plot."""

AFTER_FLAG = ["flag", "flux", "gain", "apply", "split", "clean", "measure", "plot"]
"""Cells that something depends on which ``flag`` did, itself included."""


@dataclass
class Run:
    """What a plan announced, and what the run after it did."""

    plan: dict[str, Any]
    report: dict[str, Any]
    outputs: dict[str, list[Any]]  # cell -> what it shows now

    @property
    def executed(self) -> list[str]:
        """The cells that were executed, in order."""
        return [cell["id"] for cell in self.report["cells"] if cell["action"] in ("executed", "failed")]

    @property
    def restored(self) -> list[str]:
        """The cells whose outputs were brought back."""
        return [cell["id"] for cell in self.report["cells"] if cell["action"] == "restored"]

    def calls(self, action: str) -> list[str]:
        """The tasks that "ran" or were "restored", in order."""
        return [c["task"] for cell in self.report["cells"] for c in cell["calls"] if c["action"] == action]

    @property
    def states(self) -> dict[str, str]:
        """Cell -> what the plan said of it."""
        return {cell["id"]: cell["state"] for cell in self.plan["cells"]}

    def reasons(self, cell: str) -> list[tuple[str, str, str | None]]:
        """Why the plan wanted a cell to run: kind, message, because of which cell."""
        (planned,) = [one for one in self.plan["cells"] if one["id"] == cell]
        return [(reason["kind"], reason["message"], reason["because_of"]) for reason in planned["reasons"]]

    def text(self, cell: str) -> str:
        """What a cell printed."""
        return "".join(output["text"] for output in self.outputs[cell] if output["output_type"] == "stream")


@dataclass
class Bench:
    """A workspace with the notebook."""

    directory: Path
    environment: Mapping[str, str]
    server: Server
    kernel: Kernel | None = None
    base: Run = field(init=False)
    files: dict[str, str] = field(init=False)

    @property
    def notebook(self) -> Path:
        return self.directory / NOTEBOOK

    def command(self, *arguments: str) -> dict[str, Any]:
        """Run ``jupyter casa`` with these arguments; the JSON object that it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "jupyterlab_casa.cli", *arguments, "--json"],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        value: dict[str, Any] = json.loads(done.stdout)
        return value

    def write(self, cells: Mapping[str, str]) -> None:
        """Edit the notebook as a person does: a cell that stays shows what it showed, a new one nothing."""
        shown = {}
        if self.notebook.exists():
            shown = {cell.id: cell.outputs for cell in nbformat.read(self.notebook, as_version=4).cells}
        made = [nbformat.v4.new_code_cell(text, id=name, outputs=shown.get(name, [])) for name, text in cells.items()]
        self.notebook.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=made)))

    def clear(self, *cells: str) -> None:
        """Clear what these cells show."""
        notebook = nbformat.read(self.notebook, as_version=4)
        for cell in notebook.cells:
            if cell.id in cells:
                cell.outputs = []
        self.notebook.write_text(nbformat.writes(notebook))

    def outputs(self) -> dict[str, list[Any]]:
        """What each cell shows."""
        return {cell.id: cell.outputs for cell in nbformat.read(self.notebook, as_version=4).cells}

    def edited(self, cells: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What an editor posts: these cells, which nobody has saved yet, with what they show; None: as it is saved."""
        known = nbformat.read(self.notebook, as_version=4).cells if self.notebook.exists() else []
        shown = {cell.id: cell.outputs for cell in known}
        texts = {cell.id: cell.source for cell in known} if cells is None else cells
        rows = enumerate(texts.items())
        return {"cells": [{"id": i, "index": n, "source": s, "outputs": shown.get(i, [])} for n, (i, s) in rows]}

    def copy(self, directory: Path) -> Bench:
        """The workspace in another place."""
        shutil.copytree(self.directory, directory, symlinks=True)
        return Bench(directory, self.environment, self.server)

    def run(self, cells: Mapping[str, str], *options: str) -> Run:
        """Give the notebook these cells, plan, run, and see that both agree."""
        unsaved = self.server.casa("plan", of=self.notebook, body=self.edited(cells))
        self.write(cells)
        run = self.again(*options)
        assert unsaved == run.plan, "the server needs no saved notebook"
        return run

    def again(self, *options: str) -> Run:
        """Plan and run the notebook as it is, and see that both agree."""
        plan = self.plan()
        run = Run(plan, self.command("run", NOTEBOOK, *options), self.outputs())
        if "--all" not in options:
            agree(run)
        after = self.plan() if run.executed else self.server.casa("plan", of=self.notebook, body=self.edited())
        assert after["fresh"], "after a run all is fresh"
        return run

    def plan(self) -> dict[str, Any]:
        """What the command says of the notebook as it is; and the server says the same, of each cell as of all."""
        plan = self.command("plan", NOTEBOOK)
        assert self.server.casa("plan", of=self.notebook, body=self.edited()) == plan
        for cell in plan["cells"]:
            if cell["state"] != "fresh":
                assert self.server.casa("cells", cell["id"], of=self.notebook)["plan"] == cell
        if not plan["fresh"]:
            graph = self.server.casa("graph", of=self.notebook, body=self.edited())
            assert graph == self.command("graph", NOTEBOOK)
        return plan

    # -- as in JupyterLab ------------------------------------------------------------------------------------------

    def request(self, cell: str) -> tuple[str, dict[str, Any]]:
        """What Shift+Enter asks for: the cell's text, and what our extension adds to it."""
        texts = {one["id"]: one["source"] for one in self.edited()["cells"]}
        return texts[cell], {"cellId": cell, "casa": {"notebook": NOTEBOOK, "cells": [*texts]}}

    def press(self, cell: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Shift+Enter: the kernel's reply, and how the server tells the cell's run. The notebook is saved."""
        assert self.kernel is not None
        reply, outputs = self.kernel.run(*self.request(cell))
        self.show(cell, reply["execution_count"], outputs)
        made = self.server.casa("cells", cell, of=self.notebook)["runs"][0]
        return reply, {"id": cell, "action": "executed", "calls": made["calls"]}

    def show(self, cell: str, count: int, outputs: list[Any]) -> None:
        """Write into the notebook what a cell shows."""
        notebook = nbformat.read(self.notebook, as_version=4)
        (one,) = [one for one in notebook.cells if one.id == cell]
        one.outputs, one.execution_count = nbformat.from_dict(outputs), count
        self.notebook.write_text(nbformat.writes(notebook))

    def stop(self, how: str) -> None:
        """Stop what the kernel runs: "interrupt", or "kill-call"."""
        assert self.kernel is not None
        self.server.ask(OURS, "kernels", self.kernel.id, how, body={})

    def shift_enter(self, cells: Mapping[str, str]) -> Run:
        """Give the notebook these cells; Shift+Enter in each that the plan, made anew each time, calls stale."""
        plan = self.server.casa("plan", of=self.notebook, body=self.edited(cells))
        self.write(cells)
        done = []
        for cell in cells:
            now = self.server.casa("plan", of=self.notebook, body=self.edited())
            if next(one["state"] for one in now["cells"] if one["id"] == cell) == "stale":
                reply, run = self.press(cell)
                assert reply["status"] == "ok", reply
                done.append(run)
        return Run(plan, {"cells": done}, self.outputs())

    def contents(self) -> dict[str, str]:
        """Digests of all files beside the notebook, but those that tell nothing: CASA's locks."""
        found = {}
        for path in sorted(self.directory.rglob("*")):
            name = path.relative_to(self.directory)
            hidden = name.parts[0].startswith(".") or name.name in (NOTEBOOK, "table.lock")
            if path.is_file() and not hidden:
                found[str(name)] = hashlib.file_digest(path.open("rb"), "blake2b").hexdigest()
        return found


def agree(run: Run) -> None:
    """What ran was announced; what was called stale ran; what was called fresh or restorable did not."""
    states, executed = run.states, set(run.executed)
    assert executed <= {cell for cell, state in states.items() if state in ("stale", "maybe")}, states
    assert {cell for cell, state in states.items() if state == "stale"} <= executed, states
    done = {cell["id"]: {call["key"]: call["action"] for call in cell["calls"]} for cell in run.report["cells"]}
    for cell in run.plan["cells"]:
        for call in cell["calls"]:
            if cell["id"] in executed and call["key"] is not None:
                wanted = {"run": "ran", "restore": "restored"}[call["action"]]
                assert done[cell["id"]].get(call["key"]) == wanted, call


def changed(cells: Mapping[str, str], **edits: str | tuple[str, str]) -> dict[str, str]:
    """The cells with some edited: the new text, or what is to be replaced in the old one and by what."""
    edited = dict(cells)
    for name, edit in edits.items():
        if isinstance(edit, tuple):
            assert edit[0] in edited[name]
            edit = edited[name].replace(*edit)
        edited[name] = edit
    return edited


def ordered(names: Iterable[str]) -> dict[str, str]:
    """These cells of the reduction, in this order."""
    return {name: CELLS[name] for name in names}


@pytest.fixture(scope="session")
def reduction(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The reduction, run once from the raw data, with Shift+Enter in one cell after the other."""
    home = tmp_path_factory.mktemp("reduction")
    config = home / "config.toml"
    config.write_text("threads = 1\n")
    directory = home / "work"
    write_tutorial(directory).unlink()
    environment = {**os.environ, "JUPYTERLAB_CASA_CONFIG": str(config), "IPYTHONDIR": str(home / "ipython")}
    environment |= installed(home) | {"JUPYTER_CONFIG_DIR": str(home / "etc")}
    server = Server(tmp_path_factory.getbasetemp(), environment)
    try:
        bench = Bench(directory, environment, server)
        bench.write(CELLS)
        bench.kernel = Kernel(server, bench.notebook)
        bench.base = bench.shift_enter(CELLS)
        assert bench.base.executed == list(CELLS) and bench.plan()["fresh"]
        bench.files = bench.contents()
        yield bench
    finally:
        server.close()
    shutil.rmtree(home)


@pytest.fixture
def bench(reduction: Bench) -> Bench:
    """The reduction as it was when it was run first: to go back to it, no cell is executed."""
    back = reduction.run(CELLS)
    assert back.executed == [] and back.report["kernel_s"] == 0
    assert set(back.states.values()) <= {"fresh", "restorable"}
    assert reduction.contents() == reduction.files, "every file is as the first run left it"
    assert back.outputs == reduction.base.outputs, "every cell shows what it showed first"
    return reduction
