"""What the record of a cell costs here and in ipyflow, and which changes each of them notices, on the same cells.

``python benchmarks/beside_ipyflow.py PYTHON``: that of a venv in which ipyflow and numpy are installed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import same_cells
from cell_rows import NOTEBOOK, SHOWN, Notebook, notebook
from disks import directory

from casa_recompute.notebook.model import CellSource
from casa_recompute.notebook.plan import plan_notebook

_WORDS = {
    "bind": "200 lists bound, an edited cell",
    "change": "200 lists changed in place, an edited cell",
    "chain": "a cell of a chain of 1,000",
    "chain end": "one of its last 50",
    "large": "a cell that binds a 1 GB array",
    "beside large": "a small cell beside it, more than without it",
}


def theirs(python: str, kind: str) -> dict[str, Any]:
    """What in_ipyflow.py found."""
    with directory() as scratch:
        command = [python, str(Path(__file__).with_name("in_ipyflow.py").resolve()), kind]
        environment = {**os.environ, "IPYTHONDIR": str(scratch / "ipython")}
        done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise RuntimeError(f"{python}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def ours() -> dict[str, Any]:
    """The same here; times besides those of the cells themselves."""
    told: dict[str, Any] = {"notices": {what: notices(cells) for what, cells in same_cells.STALE.items()}}
    texts = {f"c{number}": source for number, source in enumerate(same_cells.chain())}
    with notebook("bind", "change", "small", "large", *texts) as here:

        def median(cell: str, sources: list[str]) -> float:
            return statistics.median(sum(here.run(cell, source)) for source in sources)

        told["bind"] = median("bind", [same_cells.bind(go) for go in range(3)])
        told["change"] = median("change", [same_cells.change(go) for go in range(3)])
        took = [sum(here.run(cell, source)) for cell, source in texts.items()]
        told["chain"], told["chain end"] = statistics.median(took), statistics.median(took[-50:])
        small = [f"y = {go}\nz = [y] * 10" for go in range(20)]
        without = median("small", small)
        told["large"] = sum(here.run("large", same_cells.LARGE))
        told["beside large"] = median("small", small) - without
    return told


def notices(cells: list[str]) -> bool:
    """Whether the second cell is stale after the third has run below it and then stands above it."""
    order = ["first", "third", "second"]
    with notebook(*order) as here:
        place = os.getcwd()
        os.chdir(here.session.workspace.directory)
        try:
            for cell, source in zip(("first", "second", "third"), cells, strict=True):
                run_quietly(here, cell, source)
        finally:
            os.chdir(place)
        texts = dict(zip(("first", "second", "third"), cells, strict=True))
        listed = [CellSource(cell, number, texts[cell], SHOWN) for number, cell in enumerate(order)]
        plan = plan_notebook(Path(here.session.workspace.directory), NOTEBOOK, listed, here.session.settings)
        return {cell.id: cell.state for cell in plan.cells}["second"] != "fresh"


def run_quietly(here: Notebook, cell: str, source: str) -> None:
    """Run a cell without showing what it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        here.run(cell, source)


def main() -> None:
    """Print both side by side."""
    plain, flow, here = theirs(sys.argv[1], "plain"), theirs(sys.argv[1], "ipyflow"), ours()
    print(f"{'ms besides the cell itself':<52}{'here':>10}{'ipyflow':>10}")
    for key, words in _WORDS.items():
        print(f"{words:<52}{here[key]:>10.2f}{flow[key] - plain[key]:>10.2f}")
    print(f"\n{'notices':<52}{'here':>10}{'ipyflow':>10}")
    for what, noticed in flow["notices"].items():
        print(f"{what:<52}{'yes' if here['notices'][what] else 'NO':>10}{'yes' if noticed else 'no':>10}")


if __name__ == "__main__":
    main()
