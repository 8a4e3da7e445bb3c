"""``jupyter casa plan`` and ``jupyter casa graph``: read only, without a kernel or a server."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from casa_recompute.ledger import LedgerError
from casa_recompute.notebook.graph import Edge, Graph, as_dot, as_json, build, price, summary, title
from casa_recompute.notebook.model import CellPlan, CellSource, Plan
from casa_recompute.notebook.picture import as_svg
from casa_recompute.notebook.plan import plan_notebook, trace_notebook
from casa_recompute.settings import SettingsError
from casa_recompute.store import StoreError
from casa_recompute.tasks import CasaNotFound
from casa_recompute.workspace import WorkspaceBusy, WorkspaceError
from jupyterlab_casa.cli import notebook as files
from jupyterlab_casa.cli.text import CommandError, emit

CANNOT_PLAN = (LedgerError, SettingsError, StoreError, WorkspaceError, WorkspaceBusy, CasaNotFound)
"""What is raised where nothing can be said of a notebook; each says what to do."""
_REASONS = 3  # at most, in people's words
_WIDTH = 48  # characters of a cell's first line


def plan(arguments: argparse.Namespace) -> int:
    """Say of each cell whether what it shows is still true."""
    path, cells = _cells(arguments.notebook)
    try:
        found = plan_notebook(path.parent, path.name, cells)
    except CANNOT_PLAN as error:
        raise CommandError(str(error)) from error
    if arguments.json:
        emit(found.as_json())
        return 0
    for line in plan_lines(found, cells):
        print(line)
    print(f"\n{summary(found)}")
    return 0


def graph(arguments: argparse.Namespace) -> int:
    """Say, or draw, what depends on what."""
    path, cells = _cells(arguments.notebook)
    try:
        found, runs, took = trace_notebook(path.parent, path.name, cells)
    except CANNOT_PLAN as error:
        raise CommandError(str(error)) from error
    made = build(found, runs, cells, took)
    if arguments.form == "json":
        emit(as_json(made))
    elif arguments.form == "dot":
        print(as_dot(made), end="")
    elif arguments.form == "svg":
        print(as_svg(made), end="")
    else:
        for line in graph_lines(made):
            print(line)
    return 0


def _cells(given: Path) -> tuple[Path, list[CellSource]]:
    notebook = files.read(given)
    return given.resolve(), files.code_cells(notebook, files.cell_ids(notebook))


# -- in words ------------------------------------------------------------------------------------------------


def plan_lines(found: Plan, cells: Sequence[CellSource]) -> Iterator[str]:
    """One line for each cell: state, number, price, first line, why."""
    digits = len(str(len(cells)))
    for number, (planned, cell) in enumerate(zip(found.cells, cells, strict=True), 1):
        why = "; ".join([*_reasons(planned), *_marks(planned)])
        first = title(cell.source, _WIDTH)
        yield f"{planned.state:<10} {number:>{digits}}  {price(planned):>12}  {first:<{_WIDTH}}  {why}".rstrip()


def _reasons(planned: CellPlan) -> list[str]:
    """The most important ones; a cell that waits says for whom first, the rest is like it."""
    told = planned.reasons[: 1 if planned.state == "maybe" else _REASONS]
    more = len(planned.reasons) - len(told)
    return [reason.message for reason in told] + [f"and {more} more"] * bool(more)


def _marks(planned: CellPlan) -> list[str]:
    """What makes a cell one that cannot be relied upon, or taken back."""
    marks = [f"[impure: {', '.join(planned.impure)}]"] * bool(planned.impure)
    return marks + [f"[writes outside: {', '.join(planned.outside)}]"] * bool(planned.outside)


def graph_lines(made: Graph) -> Iterator[str]:
    """Each cell with what it calls, reads and leaves."""
    labels = {resource.id: resource.label for resource in made.resources}
    numbers = {node.id: node.number for node in made.cells}
    finals = {resource.id for resource in made.resources if resource.role == "final" and resource.kind == "product"}

    def told(edge: Edge) -> str:
        where = ""
        if edge.kind == "reads":
            where = f" (cell {numbers[edge.origin]})" if edge.origin is not None else " (outside)"
        elif edge.resource in finals:
            where = " (left at the end)"
        return labels[edge.resource] + where

    for node in made.cells:
        marks = " ".join(_marks(node.plan))
        yield f"{node.number:>3}  {node.plan.state:<10}  {title(node.title, 72)}  {marks}".rstrip()
        rows = {"calls": [call.task for call in node.calls]}
        rows |= {kind: [told(edge) for edge in made.of(node.id, kind)] for kind in _KINDS}
        for kind, things in rows.items():
            if things:
                yield f"{'':5}{kind:<10}  {', '.join(things)}"
    yield ""
    yield made.summary


_KINDS = ("reads", "writes", "modifies", "deletes")
