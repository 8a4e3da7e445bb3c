"""What depends on what in a notebook: its cells, their calls, and the products and names that pass between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from casa_recompute.notebook.model import ABSENT, SCHEMA, CallUse, CellPlan, CellRun, CellSource, Plan
from casa_recompute.words import duration

_COLOURS = {"fresh": "#dfe7e2", "restorable": "#d3e4f7", "maybe": "#fbe8bd", "stale": "#f9d0bf"}
_LITTLE = 0.05  # seconds that are not worth a word


@dataclass(frozen=True)
class CellNode:
    """A cell, as the plan sees it, and the calls of the run that stands behind it."""

    id: str
    number: int  # among the cells of the graph, from 1
    title: str
    plan: CellPlan
    calls: tuple[CallUse, ...]


@dataclass(frozen=True)
class Resource:
    """A product or a name; its id is that of the model (``p:a.ms``, ``n:niter``, ``d:data`` a listing)."""

    id: str
    kind: str  # "product", "name"
    label: str
    role: str  # "input": from outside; "final": no cell reads it after its last change; "intermediate"


@dataclass(frozen=True)
class Edge:
    """What a cell does to a resource: "reads", "writes" (makes anew), "modifies" (in place), "deletes".

    A cell that modifies may have an edge "reads" of the same resource: that is the state which it found.
    """

    cell: str
    resource: str
    kind: str
    version: str
    origin: str | None = None  # of "reads": the cell that makes what is read; None: it is from outside


@dataclass(frozen=True)
class Graph:
    """Cells from top to bottom; resources by their first use; edges by cell."""

    notebook: str
    revision: int
    summary: str
    cells: tuple[CellNode, ...]
    resources: tuple[Resource, ...]
    edges: tuple[Edge, ...]
    _by_cell: Mapping[str, tuple[Edge, ...]] = field(default_factory=dict, repr=False, compare=False)

    def of(self, cell: str, kind: str | None = None) -> tuple[Edge, ...]:
        """The edges of a cell, of one kind if it is given."""
        return tuple(edge for edge in self._by_cell.get(cell, ()) if kind in (None, edge.kind))


def title(source: str, width: int = 48) -> str:
    """The first line of a cell that says something, cut to ``width`` characters."""
    first = next((line.strip() for line in source.splitlines() if line.strip()), "")
    return first if len(first) <= width else first[: width - 1] + "…"


def summary(plan: Plan) -> str:
    """The plan in one sentence: ``3 of 12 cells will run, 2 wait for them, about 41 s; 7 fresh``."""
    count = Counter(cell.state for cell in plan.cells)
    total = f"{len(plan.cells)} cell{'' if len(plan.cells) == 1 else 's'}"
    parts = []
    if count["stale"] or count["maybe"]:
        will = f"{count['stale']} of {total} will run"
        waits = "waits" if count["maybe"] == 1 else "wait"
        waiting = f", {count['maybe']} {waits} for them" if count["maybe"] else ""
        unknown = sum(
            cell.estimate_s < _LITTLE and any(reason.kind == "never-run" for reason in cell.reasons)
            for cell in plan.cells
        )
        price = f", about {about(plan.estimate_s)}" if plan.estimate_s >= _LITTLE else ""
        price += f" ({unknown} never ran: their price is not known)" if unknown else ""
        parts.append(will + waiting + price)
        if count["fresh"]:
            parts.append(f"{count['fresh']} fresh")
    elif plan.fresh:
        parts.append(f"all of {total} fresh" if plan.cells else "no cell to run")
    else:
        parts.append(f"no cell of {len(plan.cells)} needs to run")
    if count["restorable"]:
        parts.append(f"{count['restorable']} restored without running")
    if plan.restores:
        paths = ", ".join(plan.restores[:3]) + (", …" if len(plan.restores) > 3 else "")
        parts.append(f"put back: {paths}")
    return "; ".join(parts)


def about(seconds: float) -> str:
    """``3.2 s``, ``41 s``, ``3 min 12 s``: no more digits than an estimate has."""
    return f"{seconds:.0f} s" if 9.95 <= seconds < 99.5 else duration(seconds)


def price(cell: CellPlan) -> str:
    """What a cell should take if it has to run, in words; "" when there is nothing to say."""
    runs = cell.state in ("stale", "maybe") and cell.estimate_s >= _LITTLE
    return about(cell.estimate_s) if runs else ""


def build(plan: Plan, runs: Sequence[CellRun | None], cells: Sequence[CellSource]) -> Graph:
    """The graph of a notebook.

    Args:
        plan: its plan.
        runs: for each cell of the plan, the run that stands behind it; None where there is none.
        cells: the cells of the plan.
    """
    there = {cell.id for cell in plan.cells}
    makers: dict[str, str] = {}  # resource -> the last cell so far that left it as it is
    edges: list[Edge] = []
    nodes: list[CellNode] = []
    for number, (planned, run, cell) in enumerate(zip(plan.cells, runs, cells, strict=True), 1):
        nodes.append(CellNode(planned.id, number, title(cell.source, 120), planned, run.calls if run else ()))
        if run is None:
            continue
        read: dict[str, Edge] = {}
        for resource, version in run.reads.items():
            if resource in ("b:", "h:"):
                continue  # what all cells above have to do with
            node = _node(resource)
            own = run.origins.get(resource)
            origin = makers.get(node) or (own if own in there and own != planned.id else None)
            # That something is not there (no file, no such name) matters if a cell made it so.
            if (version not in (ABSENT, "no") or origin is not None) and (node not in read or resource == node):
                read[node] = Edge(planned.id, node, "reads", version, origin)
        edges += read.values()
        for resource, version in run.writes.items():
            anew = resource in run.rebound or run.reads.get(resource, ABSENT) == ABSENT
            kind = "deletes" if version == ABSENT else "writes" if anew else "modifies"
            edges.append(Edge(planned.id, resource, kind, version))
            makers[resource] = planned.id
    by_cell: dict[str, list[Edge]] = {}
    for edge in edges:
        by_cell.setdefault(edge.cell, []).append(edge)
    known = {cell: tuple(found) for cell, found in by_cell.items()}
    resources = tuple(_resources(edges))
    return Graph(plan.notebook, plan.revision, summary(plan), tuple(nodes), resources, tuple(edges), known)


def _node(resource: str) -> str:
    """Whether something is at a path (``e:``) is shown as a use of the product."""
    return "p:" + resource[2:] if resource.startswith("e:") else resource


def _resources(edges: Sequence[Edge]) -> Iterator[Resource]:
    uses: dict[str, list[Edge]] = {}
    for edge in edges:
        uses.setdefault(edge.resource, []).append(edge)
    for resource, found in uses.items():
        last = next((edge for edge in reversed(found) if edge.kind != "reads"), None)
        if last is None:
            role = "input"
        else:
            after = found[found.index(last) + 1 :]
            role = "intermediate" if after or last.kind == "deletes" else "final"
        kind = "name" if resource.startswith("n:") else "product"
        label = resource[2:] + ("/" if resource.startswith("d:") else "")
        yield Resource(resource, kind, label, role)


def passed_on(graph: Graph) -> set[str]:
    """The resources that a picture shows: what passes between cells, and products from outside or left at the end."""
    between = {edge.resource for edge in graph.edges if edge.kind == "reads" and edge.origin is not None}
    return {
        resource.id
        for resource in graph.resources
        if resource.id in between or (resource.kind == "product" and resource.role != "intermediate")
    }


# -- for programs --------------------------------------------------------------------------------------------


def as_json(graph: Graph) -> dict[str, Any]:
    """The object that ``graph --json`` prints; nothing is left out."""
    products = [r for r in graph.resources if r.kind == "product"]
    return {
        "schema": SCHEMA,
        "notebook": graph.notebook,
        "revision": graph.revision,
        "cells": [
            {
                "id": node.id,
                "index": node.plan.index,
                "title": node.title,
                "state": node.plan.state,
                "impure": list(node.plan.impure),
                "outside": list(node.plan.outside),
                "calls": [{"task": c.task, "key": c.key, "action": c.action, "seconds": c.seconds} for c in node.calls],
            }
            for node in graph.cells
        ],
        "products": [{"id": r.id, "path": r.label, "role": r.role} for r in products],
        "names": [{"id": r.id, "name": r.label} for r in graph.resources if r.kind == "name"],
        "edges": [vars(edge) for edge in graph.edges],
    }


def as_dot(graph: Graph) -> str:
    """The graph in the language of Graphviz: what a picture shows."""
    shown = passed_on(graph)
    lines = [
        "digraph notebook {",
        '  graph [rankdir=TB, bgcolor="white", fontname="Helvetica"];',
        '  node [fontname="Helvetica", fontsize=11]; edge [color="#6b7280", arrowsize=0.7];',
    ]
    for node in graph.cells:
        marks = [*node.plan.impure, *(f"writes {path}" for path in node.plan.outside)]
        calls = [" · ".join(call.task for call in node.calls)] if node.calls else []
        text = "\n".join([f"{node.number}  {node.plan.state}", title(node.title), *calls, *marks])
        style = "rounded,filled,bold" if node.plan.state == "stale" else "rounded,filled"
        colour = _COLOURS.get(node.plan.state, "white")
        lines.append(
            f'  {_quoted("c:" + node.id)} [shape=box, style="{style}", fillcolor="{colour}", label={_quoted(text)}];'
        )
    for resource in graph.resources:
        if resource.id in shown:
            shape = "shape=cylinder" if resource.kind == "product" else "shape=plaintext, fontsize=9"
            lines.append(f"  {_quoted(resource.id)} [{shape}, label={_quoted(resource.label)}];")
    for above, below in zip(graph.cells, graph.cells[1:], strict=False):
        lines.append(f"  {_quoted('c:' + above.id)} -> {_quoted('c:' + below.id)} [style=invis, weight=10];")
    for edge in graph.edges:
        if edge.resource in shown:
            source, target = _quoted("c:" + edge.cell), _quoted(edge.resource)
            if edge.kind == "reads":
                source, target = target, source
            style = {"modifies": "style=bold", "deletes": "style=dashed"}.get(edge.kind, "style=solid")
            lines.append(f"  {source} -> {target} [{style}, tooltip={_quoted(edge.kind)}];")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
