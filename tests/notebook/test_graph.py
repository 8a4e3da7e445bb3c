"""The graph of a notebook, and its pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest

from casa_recompute.notebook.graph import Graph, about, as_dot, as_json, build, passed_on, summary, title
from casa_recompute.notebook.model import ABSENT, CallUse, CellPlan, CellRun, CellSource, Plan, Reason
from casa_recompute.notebook.picture import as_svg

SVG = "{http://www.w3.org/2000/svg}"


class Cell:
    """A cell and the run behind it; ``new``: what it makes anew, ``changes``: what it modifies in place."""

    def __init__(
        self,
        source: str,
        reads: str = "",
        new: str = "",
        changes: str = "",
        state: str = "fresh",
        gone: str = "",
        **plan: object,
    ) -> None:
        self.source, self.state, self.plan = source, state, plan
        self.reads = dict.fromkeys(reads.split(), "d-1")
        self.writes = dict.fromkeys((new + " " + changes).split(), "d-2") | dict.fromkeys(gone.split(), ABSENT)
        self.new = frozenset(new.split())
        self.origins: dict[str, str] = {}
        self.calls: tuple[CallUse, ...] = ()


def graph(*cells: Cell, run: Sequence[bool] = ()) -> Graph:
    """Cells have the ids a, b, c ...; ``run``: which of them ever ran."""
    ids = [f"{chr(97 + n % 26)}{n // 26 or ''}" for n in range(len(cells))]
    plans = [CellPlan(i, n, c.state, **c.plan) for n, (i, c) in enumerate(zip(ids, cells, strict=True))]  # type: ignore[arg-type]
    runs = [
        CellRun(
            n, i, "nb", c.source, c.source, 0.0, 1.0, "ok",
            reads=c.reads, writes=c.writes, rebound=c.new, origins=c.origins, calls=c.calls,
        )
        for n, (i, c) in enumerate(zip(ids, cells, strict=True))
    ]  # fmt: skip
    behind = [one if not run or run[n] else None for n, one in enumerate(runs)]
    sources = [CellSource(i, n, c.source, "") for n, (i, c) in enumerate(zip(ids, cells, strict=True))]
    return build(Plan("nb.ipynb", 3, False, 0.0, tuple(plans)), behind, sources)


def edges(found: Graph) -> list[tuple[str, str, str, str | None]]:
    return [(edge.cell, edge.kind, edge.resource, edge.origin) for edge in found.edges]


REDUCTION = (
    Cell("field = 0", new="n:field"),
    Cell("importuvfits()", reads="p:raw.fits", new="p:a.ms"),
    Cell("flagdata()", reads="p:a.ms n:field", changes="p:a.ms"),
    Cell("split()", reads="p:a.ms", new="p:b.ms"),
)


def test_a_read_comes_from_the_nearest_cell_above_that_changed_it() -> None:
    assert edges(graph(*REDUCTION)) == [
        ("a", "writes", "n:field", None),
        ("b", "reads", "p:raw.fits", None),
        ("b", "writes", "p:a.ms", None),
        ("c", "reads", "p:a.ms", "b"),
        ("c", "reads", "n:field", "a"),
        ("c", "modifies", "p:a.ms", None),
        ("d", "reads", "p:a.ms", "c"),
        ("d", "writes", "p:b.ms", None),
    ]


def test_roles_of_products() -> None:
    cells = (*REDUCTION, Cell("rm", gone="p:old.ms"))
    roles = {resource.id: resource.role for resource in graph(*cells).resources if resource.kind == "product"}
    assert roles == {"p:raw.fits": "input", "p:a.ms": "intermediate", "p:b.ms": "final", "p:old.ms": "intermediate"}


def test_what_was_read_from_a_cell_below_is_told() -> None:
    above = Cell("use(x)", reads="n:x")
    above.origins = {"n:x": "b", "n:gone": "deleted"}
    found = graph(above, Cell("x = 1", new="n:x"))
    assert edges(found)[0] == ("a", "reads", "n:x", "b")
    assert "made by a cell below" in as_svg(graph(_reading("p:x", "b"), Cell("make", new="p:x")))


def _reading(resource: str, origin: str) -> Cell:
    cell = Cell("use", reads=resource)
    cell.origins = {resource: origin}
    return cell


def test_an_origin_that_is_no_longer_there_is_outside() -> None:
    assert edges(graph(_reading("n:x", "deleted"))) == [("a", "reads", "n:x", None)]


def test_what_is_not_there_matters_only_when_a_cell_took_it_away() -> None:
    absent = Cell("look")
    absent.reads = {"n:x": ABSENT, "e:a.ms": "no", "e:b.ms": "no"}
    assert edges(graph(Cell("rm", gone="p:a.ms"), absent)) == [
        ("a", "deletes", "p:a.ms", None),
        ("b", "reads", "p:a.ms", "a"),
    ]


def test_looking_whether_a_product_is_there_is_a_use_of_it_and_a_listing_is_one_of_the_directory() -> None:
    found = graph(Cell("make", new="p:out/a"), Cell("look", reads="e:out/a d:out"))
    assert edges(found)[1:] == [("b", "reads", "p:out/a", "a"), ("b", "reads", "d:out", None)]
    assert [r.label for r in found.resources] == ["out/a", "out/"]


def test_a_picture_shows_what_passes_between_cells_what_comes_in_and_what_is_left() -> None:
    cells = (*REDUCTION, Cell("own = 1; del tmp", new="n:own", reads="n:builtin", gone="p:tmp"))
    assert passed_on(graph(*cells)) == {"n:field", "p:raw.fits", "p:a.ms", "p:b.ms"}


def test_cells_that_never_ran_have_no_edges() -> None:
    found = graph(*REDUCTION, run=(True, False, True, False))
    assert {edge.cell for edge in found.edges} == {"a", "c"}
    assert as_svg(graph(*REDUCTION, run=(False,) * 4)).count("must run") == 1


def test_json_leaves_nothing_out() -> None:
    cell = Cell("tclean()", reads="n:field", new="n:own", state="stale", impure=("the clock",), outside=("/x",))
    cell.calls = (CallUse("tclean", "9f", "ran", 2.5),)
    found = json.loads(json.dumps(as_json(graph(REDUCTION[0], cell))))
    assert found == {
        "schema": 1,
        "notebook": "nb.ipynb",
        "revision": 3,
        "cells": [
            {
                "id": "a", "index": 0, "title": "field = 0", "state": "fresh",
                "seconds": 1.0, "impure": [], "outside": [], "calls": [],
            },
            {
                "id": "b", "index": 1, "title": "tclean()", "state": "stale",
                "seconds": 1.0, "impure": ["the clock"], "outside": ["/x"],
                "calls": [{"task": "tclean", "key": "9f", "action": "ran", "seconds": 2.5, "took_s": 2.5}],
            },
        ],
        "products": [],
        "names": [{"id": "n:field", "name": "field"}, {"id": "n:own", "name": "own"}],
        "edges": [
            {"cell": "a", "resource": "n:field", "kind": "writes", "version": "d-2", "origin": None},
            {"cell": "b", "resource": "n:field", "kind": "reads", "version": "d-1", "origin": "a"},
            {"cell": "b", "resource": "n:own", "kind": "writes", "version": "d-2", "origin": None},
        ],
    }  # fmt: skip


def test_dot_is_escaped_and_points_the_right_way() -> None:
    cell = Cell('print("a\\n")', reads='p:we"ird', new="p:out", outside=("/tmp/x",), impure=("the clock",))
    text = as_dot(graph(cell))
    assert '"p:we\\"ird" -> "c:a" [style=solid' in text and '"c:a" -> "p:out"' in text
    assert 'label="1  fresh\\nprint(\\"a\\\\n\\")\\nthe clock\\nwrites /tmp/x"' in text
    assert text.count("{") == text.count("}") == 1


def texts(svg: str) -> list[str]:
    """All text of a picture; it must be well-formed."""
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_the_picture_says_all_in_words_and_escapes_them() -> None:
    reason = Reason("edited", "x", "`x` was '<1>', is now '&2'")
    cells = (
        *REDUCTION,
        Cell("a < b & c", state="stale", estimate_s=12.3, reasons=(reason,), impure=("random numbers",)),
        Cell("1", state="maybe", outside=("/tmp/<x>",)),
        Cell("2", state="restorable"),
    )
    svg = as_svg(graph(*cells))
    said = texts(svg)
    for words in (
        "a < b & c", "stale  12 s", "maybe", "restorable", "fresh", "`x` was '<1>', is now '&2'",
        "impure: random numbers", "writes outside the workspace: /tmp/<x>", "raw.fits", "field",
    ):  # fmt: skip
        assert words in said, words
    titles = [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}title")]
    assert "reads and modifies\na.ms" in titles
    assert "reads, from outside the notebook\nraw.fits" in titles
    assert "writes, left at the end\nb.ms" in titles


def test_products_that_are_used_alike_share_one_label() -> None:
    made = Cell("tclean()", new="p:img.image p:img.psf p:img.model p:one p:two")
    said = texts(as_svg(graph(made)))
    assert "img.image +4" in said
    said = texts(as_svg(graph(made, Cell("ex()", reads="p:one p:two"))))
    assert "img.* (3)" in said and said.count("one +1") == 2


def test_lanes_do_not_overlap() -> None:
    cells = [Cell(f"s{n}", reads=f"p:x{n - 1} p:x{n // 2} n:y{n // 3}", new=f"p:x{n} n:y{n}") for n in range(60)]
    root = ElementTree.fromstring(as_svg(graph(*cells)))
    taken: dict[str, list[tuple[float, float]]] = {}
    for group in root.iter(f"{SVG}g"):
        circles = [c.attrib for c in group.iter(f"{SVG}circle")]
        if group.get("class") == "lane" and circles:
            (across,) = {circle["cx"] for circle in circles}
            heights = [float(circle["cy"]) for circle in circles]
            taken.setdefault(across, []).append((min(heights), max(heights)))
    assert len(taken) > 3
    for spans in taken.values():
        for (_, end), (start, _) in zip(sorted(spans), sorted(spans)[1:], strict=False):
            assert end < start


@pytest.mark.parametrize("count", [0, 1, 5, 60])
def test_everything_lies_within_the_picture(count: int) -> None:
    long = "a_very_long_name_of_a_task(" + "x" * 300 + ")"
    cells = [Cell(long, reads=f"p:{'d/' * 40}x{n - 1}", new=f"p:{'d/' * 40}x{n} n:{'n' * 90}{n}") for n in range(count)]
    root = ElementTree.fromstring(as_svg(graph(*cells)))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert width <= 1200
    for rect in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.get(name, 0)) for name in ("x", "y", "width", "height"))
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
    for path in root.iter(f"{SVG}path"):
        for x in re.findall(r"[MLH]([\d.-]+)", path.attrib["d"]):
            assert 0 <= float(x) <= width


def plan(*cells: tuple[str, float, str], total: float = 0.0, restores: tuple[str, ...] = ()) -> Plan:
    planned = tuple(
        CellPlan(str(n), n, state, (Reason(kind, "", ""),) * bool(kind), estimate_s=price)
        for n, (state, price, kind) in enumerate(cells)
    )
    return Plan("nb", 1, all(cell[0] == "fresh" for cell in cells) and not restores, total, planned, restores)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (plan(), "no cell to run"),
        (plan(("fresh", 0, "")), "all of 1 cell fresh"),
        (
            plan(*[("fresh", 0, "")] * 2, ("stale", 40, ""), ("maybe", 1, ""), ("restorable", 0, ""), total=41.2),
            "1 of 5 cells will run, 1 waits for them, about 41 s; 2 fresh; 1 restored without running",
        ),
        (plan(("stale", 0, "never-run")), "1 of 1 cell will run (1 never ran: their price is not known)"),
        (plan(("fresh", 0, ""), restores=("a.ms",)), "no cell of 1 needs to run; put back: a.ms"),
    ],
)
def test_the_plan_in_one_sentence(found: Plan, said: str) -> None:
    assert summary(found) == said


def test_words() -> None:
    assert [about(s) for s in (0.04, 9.94, 41.4, 192)] == ["0.0 s", "9.9 s", "41 s", "3 min 12 s"]
    assert title("\n  # a\nb") == "# a" and title("x" * 60, 5) == "xxxx…" and title("") == ""


def test_what_a_cell_takes_does_not_become_less_when_its_calls_are_restored() -> None:
    calls = (CallUse("tclean", "k1", "restored", 0.0), CallUse("imstat", "k2", "ran", 2.0))
    run = CellRun(1, "a", "nb", "s", "s", 0.0, 3.0, "ok", calls=calls)
    plan = Plan("nb.ipynb", 1, True, 0.0, (CellPlan("a", 0, "fresh"), CellPlan("b", 1, "stale")))
    cells = [CellSource("a", 0, "s", ""), CellSource("b", 1, "t", "")]
    ran, never = as_json(build(plan, [run, None], cells, {"k1": 27.0}))["cells"]
    assert ran["seconds"] == 30.0
    assert [(call["seconds"], call["took_s"]) for call in ran["calls"]] == [(0.0, 27.0), (2.0, 2.0)]
    assert never["seconds"] == 0.0
