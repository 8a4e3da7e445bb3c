"""What the record of cells costs while one works, besides the cells themselves, and what a plan costs; in ms."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
from disks import directory
from table import Row

from casa_recompute.notebook.facts import text_hash
from casa_recompute.notebook.model import CellSource
from casa_recompute.notebook.outputs import digest as outputs_digest
from casa_recompute.notebook.plan import plan_notebook
from casa_recompute.session import Cell, Session
from casa_recompute.settings import Settings
from casa_recompute.values.digest import Budget, digest

CELLS, RUNS, NAMES = 1000, 5000, 200
NOTEBOOK = "bench.ipynb"
SHOWN = outputs_digest([])


class Notebook:
    """A session whose cells run here."""

    def __init__(self, workspace: Path, order: Sequence[str]) -> None:
        self.order = tuple(order)
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self.session = Session(workspace, Settings(store="copy"))
        self.session.attach(self.namespace)

    def run(self, cell: str, source: str) -> tuple[float, float]:
        """Run a cell as the kernel does; ms that its record took, before and after it."""
        code = compile(source, cell, "exec")
        began = time.perf_counter()
        self.session.begin_cell(Cell(cell, self.order, NOTEBOOK, source))
        begun = time.perf_counter()
        exec(code, self.namespace)
        ran = time.perf_counter()
        self.session.end_cell()
        return 1e3 * (begun - began), 1e3 * (time.perf_counter() - ran)


@contextmanager
def notebook(*order: str) -> Iterator[Notebook]:
    """One in a new workspace."""
    with directory() as scratch:
        here = Notebook(scratch, order)
        try:
            yield here
        finally:
            here.session.close()
            here.session.workspace.close()


def chain(count: int) -> dict[str, str]:
    """Cells of which each uses what the one above it made."""
    return {
        f"c{i}": f"v{i} = v{i - 1} + 1\nw{i} = [v{i}] * 3" if i else "v0 = 0\nw0 = [v0] * 3" for i in range(count)
    }


def with_history(here: Notebook, cells: dict[str, str]) -> None:
    """Run the cells, and record runs of what they said before."""
    for cell, text in cells.items():
        here.run(cell, text)
    ledger = here.session.workspace.ledger
    runs = [run for cell in cells if (run := ledger.last_cell_run(cell)) is not None]
    with ledger.transaction():
        for old in range(RUNS // CELLS - 1):
            for run in runs:
                number = ledger.last_run_number() + 1
                before = replace(run, id=number, meaning=text_hash(f"{old}{run.cell}"))
                ledger.add_cell_run(before, text_hash(f"{run.source}  # {old}"), [])
        for run in runs:
            number = ledger.last_run_number() + 1
            ledger.add_cell_run(replace(run, id=number), text_hash(run.source), [])
            ledger._db.execute("DELETE FROM cell_run WHERE id = ?", (run.id,))


def plan(count: int) -> list[Row]:
    """A plan of 1,000 cells when 5,000 runs are recorded, four fifths of them of what the cells said before."""
    cells = chain(CELLS)
    with notebook(*cells) as here:
        with_history(here, cells)
        edited = dict(cells)
        middle = f"c{CELLS // 2}"
        edited[middle] += "\nnew = 1"
        rows = []
        for what, texts, fresh in (("all fresh", cells, CELLS), ("one in the middle edited", edited, CELLS // 2)):
            sources = [CellSource(cell, i, text, SHOWN) for i, (cell, text) in enumerate(texts.items())]

            def once(sources: list[CellSource] = sources, fresh: int = fresh) -> None:
                made = plan_notebook(Path(here.session.workspace.directory), NOTEBOOK, sources, here.session.settings)
                states = [cell.state for cell in made.cells]
                assert states[:fresh] == ["fresh"] * fresh, "nothing above an edited cell has to run"
                assert fresh == CELLS or states[fresh] == "stale"

            took = times(once, count)
            rows.append(Row("plan", f"{CELLS} cells, {RUNS} runs, {what}", 50.0, *told(took)))
    return rows


def times(action: Callable[[], object], count: int, warm: bool = True) -> list[float]:
    """Milliseconds of each of ``count`` goes, after one that is not counted, unless it is the only one."""
    found = []
    for _ in range(count + 1):
        gc.collect()  # what was left by others is not to be paid here
        began = time.perf_counter()
        action()
        found.append(1e3 * (time.perf_counter() - began))
    return found[1:] if warm else found


def told(took: Sequence[float], extra: str = "") -> tuple[float, str]:
    """The median, and in words what else there is to say."""
    return statistics.median(took), f"ms, median of {len(took)}; least {min(took):.2f}{extra}"


def names(count: int) -> Iterator[Row]:
    """The record of cells that touch 200 names."""
    kinds: dict[str, Callable[[int, int], str]] = {
        "whole numbers": lambda i, go: f"{i + go}",
        "texts": lambda i, go: f"'text {i} {go}'",
        "lists": lambda i, go: f"[{i}, {go}, 3]",
        "dicts": lambda i, go: f"{{'a': {i}, 'b': {go}}}",
    }
    changes = {"lists": "n{i}.append({go})", "dicts": "n{i}['c'] = {go}"}
    for kind, value in kinds.items():
        with notebook("bind", "use") as here:
            binding = [here.run("bind", bind(value, go)) for go in range(count)]
            yield row(f"{NAMES} {kind} bound, an edited cell", binding[1:])
            again = [here.run("bind", bind(value, 0)) for _ in range(count)]
            yield row(f"{NAMES} {kind} bound, the same cell again", again[1:])
            using = []
            for go in range(count):
                here.run("bind", bind(value, go))
                form = changes.get(kind, "n{i} += n{i}")
                text = "\n".join(form.format(i=i, go=go) for i in range(NAMES))
                using.append(here.run("use", f"{text}\nlast = {go}"))
            yield row(f"{NAMES} {kind} read and changed, an edited cell", using[1:])
    with notebook("loop") as here:
        using = []
        for go in range(count):
            here.namespace.update({f"n{i}": [i, go] for i in range(NAMES)})
            listed = ", ".join(f"n{i}" for i in range(NAMES))
            using.append(here.run("loop", f"for n in ({listed}):\n    n.append({go})"))
        yield row(f"{NAMES} lists changed in a loop (bound outside)", using[1:])


def bind(value: Callable[[int, int], str], go: int) -> str:
    """The text of a cell that binds 200 names."""
    return "\n".join(f"n{i} = {value(i, go)}" for i in range(NAMES))


def row(what: str, parts: Sequence[tuple[float, float]]) -> Row:
    """The cost of the record of a cell."""
    before, after = (statistics.median(column) for column in zip(*parts, strict=True))
    whole = [sum(pair) for pair in parts]
    return Row("record", what, 5.0, *told(whole, f"; {before:.1f} before the cell, {after:.1f} after it"))


def large(count: int) -> Iterator[Row]:
    """What 1 GB in one name costs."""
    with notebook("import", "big", "small") as here:
        here.run("import", "import numpy as np\nx = 0")

        def small() -> list[float]:
            return [sum(here.run("small", f"y = x + {i}\nz = [y] * 10")) for i in range(-1, count)][1:]

        without = small()
        binding = sum(here.run("big", "big = np.ones(1 << 27)"))
        beside = small()
        here.run("big", "big = None")
        again = small()
    base = statistics.median(without + again)
    more = statistics.median(beside) - base
    yield Row("large", "1 GB array bound, cells that do not use it, more", 1.0, more, f"ms; {base:.2f} ms without it")
    yield Row("large", "1 GB array, the cell that binds it", None, binding, "ms besides the cell itself")
    for megabytes in (16, 64, 256):
        value = numpy.random.default_rng(0).random(megabytes << 17)
        took = statistics.median(times(lambda value=value: digest(value, {}, Budget(bytes=1 << 31)), 5))  # type: ignore[misc]
        rate = megabytes / took * 1e3 / 1024
        yield Row("large", f"digest of an array of {megabytes} MiB", None, took, f"ms; {rate:.2f} GiB/s")
    for what, value in (
        ("a list of 100,000 numbers", list(range(100_000))),
        ("a dict of 100,000 texts", {f"k{i}": f"v{i}" for i in range(100_000)}),
    ):
        took = statistics.median(times(lambda value=value: digest(value, {}, Budget(bytes=1 << 31)), 5))  # type: ignore[misc]
        yield Row("large", f"digest of {what}", None, took, "ms")


def cells(count: int) -> Iterator[Row]:
    """The record of cells."""
    yield from names(count)
    yield from large(count)
