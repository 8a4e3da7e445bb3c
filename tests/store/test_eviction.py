"""What goes first, for any history of calls: laws, on a ledger alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casa_recompute import housekeeping
from casa_recompute.housekeeping import Candidate, Collection, plan_collection
from casa_recompute.ledger import CallRecord, Version
from casa_recompute.products import Manifest, ManifestEntry, Tree
from casa_recompute.store.extents import Blocks
from casa_recompute.workspace import Workspace

NOW = 1e9


@dataclass(frozen=True)
class Made:
    """A call, or (``seconds`` None) raw data; what it made is one version."""

    seconds: float | None
    reads: tuple[int, ...]
    where: str
    """"kept" in the store, "path": lies at its path only, "both", "gone"."""
    pieces: tuple[int, ...]
    """Blocks of the disk that it takes when it is kept; several versions may share one."""
    age_s: float = 0.0


@st.composite
def histories(draw: st.DrawFn) -> list[Made]:
    made: list[Made] = []
    for number in range(draw(st.integers(1, 9))):
        raw = number == 0 or draw(st.integers(0, 4)) == 0
        reads = () if raw else tuple(draw(st.sets(st.integers(0, number - 1), min_size=1, max_size=3)))
        where = draw(st.sampled_from(["kept", "kept", "kept", "both", "path", "gone"]))
        pieces = tuple(draw(st.sets(st.integers(0, 12), min_size=1, max_size=4)))
        seconds = None if raw else float(draw(st.integers(1, 50)))
        made.append(Made(seconds, reads, where, pieces, draw(st.sampled_from([0.0, 1e6]))))
    return made


class RolledBack(Exception):
    """The example is over."""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    space = Workspace(tmp_path_factory.mktemp("eviction"), "copy")
    yield space
    space.close()


def write(space: Workspace, history: list[Made]) -> dict[str, list[tuple[int, int]]]:
    """Let the ledger tell of a history; the pieces of disk of its objects."""
    pieces = {}
    for number, one in enumerate(history):
        key, entry = f"key{number}", ManifestEntry("f", 4096 * len(one.pieces), 0o644, 0, None, None)
        if one.where in ("kept", "both"):
            entry = ManifestEntry("f", 4096 * len(one.pieces), 0o644, 0, f"o{number}/0", None)
            pieces[f"o{number}/0"] = [(4096 * piece, 4096 * (piece + 1)) for piece in one.pieces]
        space.ledger.add_version(
            Version(f"v{number}", f"p{number}", None if one.seconds is None else key, Manifest({"": entry}))
        )
        if one.where in ("path", "both"):
            space.ledger.set_presence(f"p{number}", f"v{number}", b"", Tree({"": (0o100600, 1, 0, 0, number)}))
        if one.seconds is not None:
            inputs = {f"p{other}": f"v{other}" for other in one.reads}
            outputs = {f"p{number}": f"v{number}"}
            when = NOW - one.age_s
            space.ledger.add_call(CallRecord(key, "", "task", {}, inputs, outputs, None, "", "", [], one.seconds, when))
    return pieces


def planned(space: Workspace, history: list[Made], goals: list[int]) -> list[Collection]:
    """What would go, for each goal."""
    found: list[Collection] = []
    try:
        with pytest.MonkeyPatch.context() as patch, space.ledger.transaction():
            pieces = write(space, history)
            patch.setattr(housekeeping, "_blocks", lambda *_: Blocks(pieces))
            for goal in goals:
                patch.setattr(housekeeping, "allowance", lambda *_, goal=goal: goal)
                found.append(plan_collection(space, 0, False, NOW))
            raise RolledBack
    except RolledBack:
        return found


def cost(history: list[Made], number: int, available: set[int], seen: set[int]) -> float:
    """Seconds to make one again, by hand."""
    seen.add(number)
    own = history[number].seconds
    if own is None:
        return math.inf
    return own + sum(cost(history, o, available, seen) for o in history[number].reads if o not in available | seen)


def numbers(candidates: list[Candidate]) -> list[int]:
    return [int(version[1:]) for candidate in candidates for version in candidate.versions]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories())
def test_the_laws_of_eviction(space: Workspace, history: list[Made]) -> None:
    goals = [1 << 40, 8 * 4096, 4 * 4096, 4096, 0]
    plans = planned(space, history, goals)
    at_path = {number for number, one in enumerate(history) if one.where in ("path", "both")}
    kept = {number for number, one in enumerate(history) if one.where in ("kept", "both")}
    before: list[int] = []
    for plan, goal in zip(plans, goals, strict=True):
        going = numbers(plan.going)
        assert going[: len(before)] == before, "with less room the same go, and more"
        before = going
        assert not at_path & set(going) and all(history[number].seconds is not None for number in going)
        taken = len({piece for number in kept for piece in history[number].pieces})
        left = len({piece for number in kept - set(going) for piece in history[number].pieces})
        assert plan.physical == 4096 * taken and plan.freed == 4096 * (taken - left)
        assert plan.excess == max(0, plan.physical - plan.freed - goal)
        assert not (plan.excess and any(c.keep == "there is room for it" for c in plan.candidates))
        if going:
            assert plan.physical - plan.freed + plan.going[-1].frees > goal, "one too many goes"
        available = kept | at_path
        for number, candidate in zip(going, plan.going, strict=True):
            seen: set[int] = set()
            assert candidate.seconds == cost(history, number, available, seen) < math.inf
            assert candidate.calls == len(seen)
            available.discard(number)
        assert sorted(numbers(plan.candidates)) == sorted(kept)
        for candidate in plan.candidates:
            (number,) = numbers([candidate])
            lost = math.isinf(cost(history, number, (kept | at_path) - {number}, set()))
            assert candidate.keep.startswith("nobody could") == (lost and number not in at_path), candidate


def test_what_a_kept_version_is_needed_for_makes_it_stay(space: Workspace) -> None:
    """B is made from A in a second, A in an hour: when A has to go, B is worth an hour, and the other way round."""
    raw, dear = Made(None, (), "path", (0,)), Made(3600.0, (0,), "gone", (1,))
    quick, alone = Made(1.0, (1,), "kept", (2,)), Made(60.0, (0,), "kept", (3,))
    (plan,) = planned(space, [raw, dear, quick, alone], [4096])
    assert numbers(plan.going) == [3], "to compute B again takes an hour, as A is gone"
    (plan,) = planned(space, [raw, Made(3600.0, (0,), "kept", (1,)), quick, alone], [2 * 4096])
    assert numbers(plan.going) == [2], "while A is there, it takes a second"
    (plan,) = planned(space, [raw, Made(30.0, (0,), "kept", (1,)), Made(40.0, (1,), "kept", (2,)), alone], [4096])
    assert numbers(plan.going) == [1, 3], "when A went for 30 s, B takes 70 s, so the other one goes for 60 s"


def test_a_long_history_is_planned_in_bounded_work(space: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call in place on what the one before left, in which all have to go."""
    count = 2000
    evaluated = 0
    real = housekeeping.Recomputing.cost

    def counting(self: housekeeping.Recomputing, call: CallRecord) -> tuple[float, int]:
        nonlocal evaluated
        seconds, calls = real(self, call)
        evaluated += calls
        return seconds, calls

    monkeypatch.setattr(housekeeping.Recomputing, "cost", counting)
    history = [Made(None, (), "path", (0,))]
    history += [Made(float(1 + number % 7), (number,), "kept", (number + 1,)) for number in range(count)]
    (plan,) = planned(space, history, [0])
    assert len(plan.going) == count and evaluated < 60 * count
