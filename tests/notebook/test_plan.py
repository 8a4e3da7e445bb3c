"""Plans, from cells and recorded runs that are made up: no kernel, no ledger, no files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from casa_recompute.calls import Foresight
from casa_recompute.ledger import CallRecord
from casa_recompute.notebook import source
from casa_recompute.notebook.model import ABSENT, CellPlan, CellRun, CellSource, Plan
from casa_recompute.notebook.plan import make_plan, survey
from casa_recompute.notebook.simulate import State, listing


@dataclass
class World:
    """What is recorded, and what is there now."""

    recorded: list[CellRun] = field(default_factory=list)
    raw: dict[str, str] = field(default_factory=dict)
    there: dict[str, str] = field(default_factory=dict)
    unkept: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    packages: dict[str, str] = field(default_factory=lambda: {"casatasks": "6.7"})

    def meaning(self, text: str) -> str:
        return source.meaning(text)

    def runs(self, meaning: str) -> Iterable[CellRun]:
        return [run for run in reversed(self.recorded) if run.meaning == meaning and run.outcome == "ok"]

    def last_run(self, cell: str) -> CellRun | None:
        return next((run for run in reversed(self.recorded) if run.cell == cell), None)

    def stood(self, cell: str) -> CellRun | None:
        return self.last_run(cell)

    def found(self, path: str) -> str:
        return self.raw.get(path, ABSENT)

    def entries(self, directory: str) -> frozenset[str]:
        return frozenset(self.raw)

    def existence(self, path: str) -> str:
        return "yes" if path in self.raw else "no"

    def environment(self, name: str) -> str:
        return self.packages.get(name, "")

    def kept(self, version: str) -> bool:
        return version not in self.unkept

    def uses(self, version: str) -> tuple[str, ...]:
        return ("x",) if version == "i-f" else ()

    def call(self, key: str) -> CallRecord | None:
        return None

    def present(self, path: str) -> str:
        return self.there.get(path, self.raw.get(path, ABSENT))

    def foreign(self, path: str, version: str) -> bool:
        return version.startswith("foreign")

    def restorable(self, path: str, version: str) -> bool:
        return version not in self.lost

    def left_over(self, products: Iterable[str]) -> dict[str, str]:
        return dict.fromkeys(sorted(set(self.there) - set(products) - set(self.raw)), ABSENT)

    def known_products(self) -> frozenset[str]:
        return frozenset(r[2:] for run in self.recorded for r in (*run.reads, *run.writes) if r.startswith("p:"))

    def calls(self, text: str, state: State) -> list[Foresight]:
        return []

    # -- to make histories with

    def ran(self, cell: str, text: str, reads: dict[str, str], writes: dict[str, str], **rest: object) -> CellRun:
        fresh = frozenset(r for r in writes if r not in reads)
        run = CellRun(
            len(self.recorded) + 1, cell, "nb", source.meaning(text), text, 0.0, 1.0, "ok",
            reads=reads, writes=writes, rebound=fresh, **rest,  # type: ignore[arg-type]
        )  # fmt: skip
        self.recorded.append(run)
        self.there |= {r[2:]: version for r, version in writes.items() if r.startswith("p:")}
        return run

    def plan(self, *cells: tuple[str, str]) -> Plan:
        listed = [CellSource(cell, number, text, "") for number, (cell, text) in enumerate(cells)]
        return make_plan(survey(listed, self, self), self, "nb", len(self.recorded))


def states(plan: Plan) -> list[str]:
    return [cell.state for cell in plan.cells]


def kinds(cell: CellPlan) -> list[str]:
    return [reason.kind for reason in cell.reasons]


CHAIN = (("a", "x = 1"), ("b", "y = x + 1"), ("c", "z = 5"), ("d", "print(y, z)"))


def chain() -> World:
    world = World()
    world.ran("a", "x = 1", {}, {"n:x": "i-1"})
    world.ran("b", "y = x + 1", {"n:x": "i-1"}, {"n:y": "i-2"}, origins={"n:x": "a"})
    world.ran("c", "z = 5", {}, {"n:z": "i-5"})
    world.ran("d", "print(y, z)", {"n:y": "i-2", "n:z": "i-5"}, {}, origins={"n:y": "b", "n:z": "c"})
    return world


def edited(cells: Sequence[tuple[str, str]], number: int, text: str) -> list[tuple[str, str]]:
    return [*cells[:number], (cells[number][0], text), *cells[number + 1 :]]


def test_what_ran_is_fresh_and_what_never_ran_is_not() -> None:
    plan = chain().plan(*CHAIN)
    assert plan.fresh and states(plan) == ["fresh"] * 4
    plan = World().plan(*CHAIN)
    assert states(plan) == ["stale"] * 4
    assert all(kinds(cell) == ["never-run"] for cell in plan.cells)


def test_an_edit_makes_stale_what_was_edited_and_maybe_what_reads_it() -> None:
    plan = chain().plan(*edited(CHAIN, 0, "x = 2"))
    assert states(plan) == ["stale", "maybe", "fresh", "maybe"]
    assert kinds(plan.cells[0]) == ["edited"]
    assert [reason.because_of for reason in plan.cells[1].reasons] == ["a"]
    assert "cell 1" in plan.cells[1].reasons[0].message
    assert plan.estimate_s > 0


def test_comments_and_layout_do_not_count() -> None:
    assert chain().plan(*edited(CHAIN, 1, "y = (x   +\n 1)  # next")).fresh


def test_an_equal_result_stops_the_wave() -> None:
    world = chain()
    world.ran("a", "x = 2 - 1", {}, {"n:x": "i-1"})
    assert chain().plan(*edited(CHAIN, 0, "x = 2 - 1")).cells[0].state == "stale"
    assert world.plan(*edited(CHAIN, 0, "x = 2 - 1")).fresh


def test_set_back_is_restorable_and_needs_no_run() -> None:
    world = chain()
    world.ran("a", "x = 2", {}, {"n:x": "i-2"})
    world.ran("b", "y = x + 1", {"n:x": "i-2"}, {"n:y": "i-3"}, shown="three")
    plan = world.plan(*CHAIN)
    assert "stale" not in states(plan) and "maybe" not in states(plan)


def test_other_outputs_than_the_run_showed_are_brought_back() -> None:
    world = World()
    world.ran("a", "print(1)", {}, {}, shown="digest")
    plan = world.plan(("a", "print(1)"))
    assert states(plan) == ["restorable"] and kinds(plan.cells[0]) == ["output"]


def test_moved_cells_that_change_no_input_stay_fresh() -> None:
    a, b, c, d = CHAIN
    assert chain().plan(c, a, b, d).fresh


def test_a_move_that_changes_an_input_says_so() -> None:
    world = World()
    world.ran("a", "x = 1", {}, {"n:x": "i-1"})
    world.ran("b", "x = 2", {}, {"n:x": "i-2"})
    world.ran("c", "print(x)", {"n:x": "i-2"}, {}, origins={"n:x": "b"})
    plan = world.plan(("b", "x = 2"), ("a", "x = 1"), ("c", "print(x)"))
    assert states(plan) == ["fresh", "fresh", "stale"]
    assert kinds(plan.cells[2]) == ["order"] and "order" in plan.cells[2].reasons[0].message


def test_a_cell_that_ran_after_a_later_one_had_overwritten_its_input() -> None:
    world = World()
    world.ran("a", "x = 1", {}, {"n:x": "i-1"})
    world.ran("c", "x = 2", {}, {"n:x": "i-2"})
    world.ran("b", "print(x)", {"n:x": "i-2"}, {}, origins={"n:x": "c"})
    plan = world.plan(("a", "x = 1"), ("b", "print(x)"), ("c", "x = 2"))
    assert states(plan) == ["fresh", "stale", "fresh"]
    assert kinds(plan.cells[1]) == ["overwritten"] and plan.cells[1].reasons[0].because_of == "c"


def test_a_deleted_cell_is_missed() -> None:
    plan = chain().plan(CHAIN[1], CHAIN[2], CHAIN[3])
    assert states(plan) == ["stale", "fresh", "maybe"]
    assert kinds(plan.cells[0]) == ["input"] and "no longer there" in plan.cells[0].reasons[0].message


def test_copies_of_a_cell_need_no_run() -> None:
    plan = chain().plan(*CHAIN, ("e", "print(y, z)"))
    assert states(plan)[4] == "fresh"


def test_renamed_ids_need_no_run() -> None:
    assert chain().plan(*((f"new-{cell}", text) for cell, text in CHAIN)).fresh


def test_files_changed_outside_are_told_from_products_changed_by_cells() -> None:
    world = World(raw={"raw": "c-1"})
    world.ran("a", "read('raw')", {"p:raw": "c-1"}, {"p:a.ms": "k-1"})
    world.ran("b", "look('a.ms')", {"p:a.ms": "k-1"}, {}, origins={"p:a.ms": "a"})
    cells = (("a", "read('raw')"), ("b", "look('a.ms')"))
    assert world.plan(*cells).fresh
    world.raw["raw"] = "c-2"
    plan = world.plan(*cells)
    assert states(plan) == ["stale", "maybe"] and kinds(plan.cells[0]) == ["file"]
    world.raw["raw"] = ABSENT
    assert kinds(world.plan(*cells).cells[0]) == ["missing"]


def test_a_product_that_is_not_as_its_cell_left_it_is_brought_back() -> None:
    for there, kind in ((ABSENT, "missing"), ("foreign", "file"), ("k-0", "overwritten")):
        world = World()
        world.ran("a", "make('a.ms')", {}, {"p:a.ms": "k-1"})
        world.there["a.ms"] = there
        plan = world.plan(("a", "make('a.ms')"))
        assert states(plan) == ["restorable"] and kinds(plan.cells[0]) == [kind]
        assert plan.restores == ("a.ms",) and not plan.fresh


def test_a_product_that_the_store_lost_is_made_again() -> None:
    world = World(lost={"k-1"})
    world.ran("a", "make('a.ms')", {}, {"p:a.ms": "k-1"})
    world.there["a.ms"] = ABSENT
    plan = world.plan(("a", "make('a.ms')"))
    assert states(plan) == ["stale"] and kinds(plan.cells[0]) == ["lost"]


def test_what_could_not_be_kept_is_computed_again_for_who_needs_it() -> None:
    world = World(unkept={"k-gen"})
    world.ran("a", "g = make()", {}, {"n:g": "k-gen"})
    world.ran("b", "n = 3", {}, {"n:n": "i-3"})
    world.ran("c", "print(g, n)", {"n:g": "k-gen", "n:n": "i-3"}, {}, origins={"n:g": "a", "n:n": "b"})
    cells = [("a", "g = make()"), ("b", "n = 3"), ("c", "print(g, n)")]
    assert world.plan(*cells).fresh
    plan = world.plan(*edited(cells, 2, "print(n, g)"))
    assert states(plan) == ["stale", "fresh", "stale"]
    assert kinds(plan.cells[0]) == ["needed"] and plan.cells[0].reasons[0].because_of == "c"


def test_names_that_share_an_object_change_together() -> None:
    world = World()
    world.ran("a", "a = [1]", {}, {"n:a": "d-1"})
    world.ran("b", "b = a", {"n:a": "d-1"}, {"n:a": "d-1+s1", "n:b": "d-1+s1"})
    world.ran("c", "b.append(2)", {"n:a": "d-1+s1", "n:b": "d-1+s1"}, {"n:a": "d-12+s2", "n:b": "d-12+s2"})
    world.ran("d", "a = 0", {}, {"n:a": "i-0"})
    world.ran("e", "print(b)", {"n:b": "d-12"}, {})
    cells = [("a", "a = [1]"), ("b", "b = a"), ("c", "b.append(2)"), ("d", "a = 0"), ("e", "print(b)")]
    assert world.plan(*cells).fresh
    assert states(world.plan(*cells[:3], cells[4])) == ["fresh", "fresh", "fresh", "stale"]


def test_an_edited_cell_may_change_what_it_mentions() -> None:
    world = World()
    world.ran("a", "a = []", {}, {"n:a": "d-0"})
    world.ran("b", "pass", {}, {})
    world.ran("c", "print(a)", {"n:a": "d-0"}, {})
    cells = [("a", "a = []"), ("b", "pass"), ("c", "print(a)")]
    assert states(world.plan(*edited(cells, 1, "a.append(1)"))) == ["fresh", "stale", "maybe"]
    assert states(world.plan(*edited(cells, 1, "print(a, 1)"))) == ["fresh", "stale", "fresh"]


def test_failed_and_interrupted_cells_run_again() -> None:
    for outcome, word in (("error", "failed"), ("interrupted", "interrupted")):
        world = World()
        run = world.ran("a", "work()", {}, {})
        world.recorded[-1] = replace(run, outcome=outcome, error="OSError: no")
        plan = world.plan(("a", "work()"))
        assert states(plan) == ["stale"] and kinds(plan.cells[0]) == ["failed"]
        assert word in plan.cells[0].reasons[0].message


def test_another_casa_is_another_environment() -> None:
    world = World()
    world.ran("a", "work()", {}, {}, environment={"casatasks": "6.6"})
    plan = world.plan(("a", "work()"))
    assert states(plan) == ["stale"] and kinds(plan.cells[0]) == ["environment"]
    assert "casatasks" in plan.cells[0].reasons[0].message


def test_a_syntax_error_is_told() -> None:
    plan = World().plan(("a", "x = = 1"), ("b", "y = 1"))
    assert states(plan) == ["stale", "stale"] and "no valid Python" in plan.cells[0].reasons[0].message


def test_functions_bring_the_names_that_they_use() -> None:
    world = World(unkept={"i-x"})
    world.ran("a", "x = 1", {}, {"n:x": "i-x"})
    world.ran("b", "def f(): return x", {}, {"n:f": "i-f"})
    plan = world.plan(("a", "x = 1"), ("b", "def f(): return x"), ("c", "print(f())"))
    assert states(plan) == ["stale", "fresh", "stale"] and kinds(plan.cells[0]) == ["needed"]


def test_a_cell_that_looks_at_all_names_is_stale_when_there_are_others() -> None:
    world = World()
    world.ran("a", "x = 1", {}, {"n:x": "i-1"})
    world.ran("b", "dir()", {"b:": listing(["x"])}, {})
    assert world.plan(("a", "x = 1"), ("b", "dir()")).fresh
    world.ran("n", "y = 2", {}, {"n:y": "i-2"})
    plan = world.plan(("a", "x = 1"), ("n", "y = 2"), ("b", "dir()"))
    assert states(plan) == ["fresh", "fresh", "stale"]
    assert plan.cells[2].reasons[0].message == "which names there are is not what it was"
    plan = world.plan(("a", "x = 1"), ("m", "z = x"), ("b", "dir()"))
    assert states(plan) == ["fresh", "stale", "maybe"]
    assert plan.cells[2].reasons[0].because_of == "m"
