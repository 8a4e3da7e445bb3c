"""What it takes to make a notebook fresh: the state of each cell, why, and the price."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from casa_recompute.calls import Foresight, foresee, strings
from casa_recompute.installation import Installation
from casa_recompute.ledger import CallRecord
from casa_recompute.notebook import source
from casa_recompute.notebook.evaluate import Unknown, evaluate
from casa_recompute.notebook.facts import Lookups
from casa_recompute.notebook.model import (
    ABSENT,
    THREADS,
    WORKSPACE,
    CellPlan,
    CellRun,
    CellSource,
    Plan,
    PlannedCall,
    Reason,
)
from casa_recompute.notebook.simulate import DIRECTORY, PROCESS, UNKNOWN, Facts, State, Verdict, judge, ordinal, shared
from casa_recompute.settings import Settings, load_settings
from casa_recompute.workspace import Workspace

_SHORT = 60  # characters of a value in a sentence
_PROCESS = frozenset(f"n:{name}" for name in PROCESS)


class PlanFacts(Facts, Protocol):
    """What a plan needs to know beyond what going through the notebook does."""

    def kept(self, version: str) -> bool:
        """Whether the value of a name can be brought back."""

    def uses(self, version: str) -> tuple[str, ...]:
        """Names that functions in a value use when they are called."""

    def call(self, key: str) -> CallRecord | None:
        """A memoised call."""

    def stood(self, cell: str) -> CellRun | None:
        """A run of what a cell said when it was fresh last, by running or by being brought back."""

    def present(self, path: str) -> str:
        """The version that lies at a path now."""

    def foreign(self, path: str, version: str) -> bool:
        """Whether a state of a product was made by something that is no cell."""

    def restorable(self, path: str, version: str) -> bool:
        """Whether a version lies at its path or can be brought there."""

    def left_over(self, products: Iterable[str]) -> dict[str, str]:
        """Products that cells made or changed which are no longer in the notebook: path -> version as it was found."""

    def known_products(self) -> frozenset[str]:
        """Every product that the notebook's cells ever touched."""


class Predictor(Protocol):
    """Tells the calls that a cell's text is going to make; see :class:`CallPredictor`."""

    def calls(self, text: str, state: State) -> list[Foresight]:
        """The calls, as far as they can be told from the text and the values of names at its place."""


@dataclass(slots=True)
class Judged:
    """One cell on the way through the notebook."""

    verdict: Verdict
    makers: Mapping[str, str] = field(default_factory=dict)  # what it reads -> cell that had made it
    needs: Mapping[str, str] = field(default_factory=dict)  # what of that cannot be brought back -> the same
    calls: Sequence[Foresight] = ()
    reasons: Sequence[Reason] = ()  # to run, or perhaps to run
    writing: Sequence[str] = ()  # what it may make anew, if it has to run


def may_write(judged: Judged, reached: Collection[str], state: State, facts: PlanFacts) -> set[str]:
    """Resources that a cell which has to run may make anew, as far as can be told beforehand.

    Args:
        judged: the cell.
        reached: names that it may read, as resources.
        state: above it.
        facts: what is known.
    """
    cell, likely, differing = judged.verdict.cell, judged.verdict.likely, judged.verdict.differing
    uses, last = source.uses(cell.source), facts.last_run(cell.id)
    written = {*uses.binding, *(last.writes if last else ())}
    for run in (likely, differing[0][1] if differing else None):
        if run is not None and run is not last:
            written.update(run.writes)
    versions = state.versions  # what is reached was asked for
    for resource in reached:
        version = versions.get(resource, ABSENT)
        if version[:2] in ("d-", "k-") and (resource not in uses.reading or resource[2:] in uses.mutates):
            written.add(resource)
            if group := shared(version):
                written |= state.sharing(group)
    if uses.shell:
        written |= {f"p:{path}" for path in facts.known_products() | state.products().keys()}
    elif uses.texts:
        told = {word for call in judged.calls if call.arguments for word in strings(call.arguments)}
        written |= {f"p:{path}" for path in _named(judged, state, facts, told)}
    for call in judged.calls:
        written |= {f"p:{path}" for path in call.changing}
    return written


def _named(judged: Judged, state: State, facts: PlanFacts, told: Collection[str] = ()) -> set[str]:
    """Products that a cell's text names, other than by the words ``told``."""
    texts = source.uses(judged.verdict.cell.source).texts
    words = {os.path.normpath(text) for text in texts if text and text not in told}
    if not words:
        return set()
    paths = {word[:end] for word in words for end in (len(word), *[at for at, c in enumerate(word) if c == "/"])}
    return {path for path in paths if path in facts.known_products() or state.wrote(path)}


def reach(uses: source.Uses, state: State, facts: PlanFacts, later: bool = False) -> set[str]:
    """Names that a cell may read, as resources: those it says, those that functions in them use.

    Args:
        uses: of the cell.
        state: at its place.
        facts: what is known.
        later: with those that functions use which the cell defines: some other function may call them.
    """
    if uses.everything:
        return {f"n:{name}" for name in state.names()}
    found: set[str] = set()
    todo = [*uses.reading, *(f"n:{name}" for name in uses.later if later)]
    while todo:
        resource = todo.pop()
        if resource not in found:
            found.add(resource)
            version = state.versions.get(resource, ABSENT)
            if version not in (ABSENT, UNKNOWN):
                todo += [f"n:{name}" for name in facts.uses(version)]
    state.asked |= found
    return found


def needed(judged: Judged, reached: Collection[str], state: State, facts: PlanFacts) -> dict[str, str]:
    """What a cell that has to run needs of the cells above and cannot be brought back: resource -> its maker.

    Args:
        judged: the cell.
        reached: names that it may read, now or later, as resources.
        state: above it.
        facts: what is known.
    """
    resources = {*_PROCESS, *reached, *[f"p:{path}" for path in _named(judged, state, facts)]}
    likely, last = judged.verdict.likely, facts.last_run(judged.verdict.cell.id)
    for run in (likely, last if last is not likely else None):
        if run is not None:
            resources.update(run.reads)
    state.asked |= resources
    known = state.makers  # of names and products; nothing else can be lost
    makers = {resource: maker for resource in resources if (maker := known.get(resource))}
    return _lost(state.versions, makers, facts)


def _lost(versions: Mapping[str, str], makers: Mapping[str, str], facts: PlanFacts) -> dict[str, str]:
    """Of resources that a cell needs: those that cannot be brought back, and the cell that had made them."""
    lost = {}
    for resource, maker in makers.items():
        version = versions[resource]
        if version in (ABSENT, UNKNOWN) or not maker:
            continue
        kind = resource[0]
        if (kind == "n" and not facts.kept(version)) or (kind == "p" and not facts.restorable(resource[2:], version)):
            lost[resource] = maker
    return lost


@dataclass(slots=True)
class Survey:
    """A notebook gone through from the top."""

    judged: list[Judged]
    after: State
    must: dict[str, list[Reason]]  # cells that run only for the sake of others
    restores: dict[str, str]  # product -> version to bring back in the end, that no cell which runs will make


def survey(
    cells: Sequence[CellSource],
    facts: PlanFacts,
    predictor: Predictor,
    everything: Collection[str] = (),
    done: Mapping[str, CellRun] | None = None,
) -> Survey:
    """Go through the notebook.

    Args:
        cells: its code cells, from the top.
        facts: what is known.
        predictor: of calls.
        everything: ids of cells that are to run whether or not a recorded run stands behind them.
        done: runs of cells that were made just now and stand, whatever else is recorded.
    """
    state = State(facts)
    places = {cell.id: number for number, cell in enumerate(cells)}
    judged: list[Judged] = []
    for cell in cells:
        if done and cell.id in done:
            verdict = Verdict(cell, run=done[cell.id])
        else:
            verdict = judge(cell, state, facts)
            if cell.id in everything and cell.source.strip():
                verdict = Verdict(cell, meaning=verdict.meaning)
        judged.append(look_at(verdict, state, places, facts, predictor))
        pass_by(judged[-1], state)
    return conclude(places, judged, state, facts, done or {})


def look_at(
    verdict: Verdict, state: State, places: Mapping[str, int], facts: PlanFacts, predictor: Predictor
) -> Judged:
    """What else there is to know of a cell; ``state``: above it; ``places``: the numbers of cells, from 0."""
    cell = verdict.cell
    if verdict.run is not None:
        return Judged(verdict, {resource: state.maker(resource) for resource in verdict.run.reads})
    one = Judged(verdict, calls=tuple(predictor.calls(cell.source, state)))
    uses = source.uses(cell.source)
    reached = reach(uses, state, facts)
    one.needs = needed(one, reach(uses, state, facts, later=True) if uses.later else reached, state, facts)
    one.reasons = tuple(why(one, state, places, facts))
    one.writing = tuple(sorted(may_write(one, reached, state, facts)))  # a directory's maker: of the last product in it
    return one


def pass_by(one: Judged, state: State) -> None:
    """Take into the state what a cell does."""
    if one.verdict.run is not None:
        state.apply(one.verdict.run, one.verdict.cell.id)
    else:
        state.forget(one.writing, one.verdict.cell.id, one.verdict.meaning)


def conclude(
    places: Mapping[str, int], judged: list[Judged], state: State, facts: PlanFacts, done: Mapping[str, CellRun]
) -> Survey:
    """What the whole notebook needs, once all cells were gone through; ``state``: below the last one."""
    running = [one for one in judged if one.verdict.run is None]
    must = _for_others(places, judged, running, facts, done)
    restores = {}
    for path, version in state.products().items():
        if version not in (UNKNOWN, facts.present(path)):
            maker = state.maker(f"p:{path}")
            if facts.restorable(path, version):
                restores[path] = version
            elif maker not in must:
                must[maker] = [Reason("lost", path, f"`{path}` is not there and no longer in the store")]
    restores.update(facts.left_over(state.products()))
    return Survey(judged, state, must, restores)


def _for_others(
    places: Mapping[str, int],
    judged: Sequence[Judged],
    running: Sequence[Judged],
    facts: PlanFacts,
    done: Mapping[str, CellRun],
) -> dict[str, list[Reason]]:
    """Cells that have to run because what they made could not be kept and a cell that runs needs it."""
    by_id = {one.verdict.cell.id: one for one in judged}
    must: dict[str, list[Reason]] = {}
    todo = [(one.verdict.cell.id, one.needs) for one in running]
    while todo:
        for_cell, needs = todo.pop()
        for resource, maker in needs.items():
            one = by_id.get(maker)
            if one is None or one.verdict.run is None or maker in done:
                continue
            what = resource[2:]
            message = f"`{what}` could not be kept, and {ordinal(places, for_cell)} needs it"
            if maker not in must:
                must[maker] = []
                todo.append((maker, _lost(one.verdict.run.reads, one.makers, facts)))
            must[maker].append(Reason("needed", what, message, because_of=for_cell))
    return must


# -- in words --------------------------------------------------------------------------------------------------------


def make_plan(found: Survey, facts: PlanFacts, notebook: str, revision: int) -> Plan:
    """Put a survey into words and prices."""
    return put_together([plan_cell(one, found, facts) for one in found.judged], found, notebook, revision)


def put_together(planned: Sequence[CellPlan], found: Survey, notebook: str, revision: int) -> Plan:
    """A plan of its cells."""
    estimate = sum(cell.estimate_s for cell in planned)
    fresh = not found.restores and all(cell.state == "fresh" for cell in planned)
    return Plan(notebook, revision, fresh, estimate, tuple(planned), tuple(sorted(found.restores)))


def plan_cell(one: Judged, found: Survey, facts: PlanFacts) -> CellPlan:
    """Put what was found of one cell into words and prices."""
    verdict = one.verdict
    cell, run = verdict.cell, verdict.run
    last = run or verdict.likely or facts.last_run(cell.id)
    price = 0.0
    reasons: Sequence[Reason]
    if run is not None and cell.id not in found.must:
        reasons = _restorable(one, run, found, facts)
        state = "restorable" if reasons else "fresh"
        calls = tuple([PlannedCall(call.task, call.key, "none", 0.0) for call in run.calls])
    else:
        reasons = found.must[cell.id] if run is not None else one.reasons
        state = "stale" if verdict.likely is None else "maybe"
        calls = tuple([_planned(call, facts) for call in one.calls]) or (_as_before(last, facts) if last else ())
        price = (_python_seconds(last) if last else 0.0) + sum([call.estimate_s for call in calls])
    return CellPlan(
        cell.id,
        cell.index,
        state,
        tuple(reasons),
        last.reads_shown if last else (),
        last.writes_shown if last else (),
        calls,
        price,
        last.impure if last else (),
        last.outside if last else (),
    )


def _planned(call: Foresight, facts: PlanFacts) -> PlannedCall:
    if call.key is not None and facts.call(call.key) is not None:
        return PlannedCall(call.task, call.key, "restore", 0.0)
    return PlannedCall(call.task, call.key, "run", call.expected_s)


def _as_before(run: CellRun, facts: PlanFacts) -> tuple[PlannedCall, ...]:
    """The calls of a cell's last run: the best guess when its text does not tell."""
    planned = []
    for call in run.calls:
        record = facts.call(call.key) if call.key is not None else None
        planned.append(PlannedCall(call.task, None, "run", record.seconds if record else call.seconds))
    return tuple(planned)


def _python_seconds(run: CellRun) -> float:
    return max(0.0, run.seconds - sum([call.seconds for call in run.calls]))


def _restorable(one: Judged, run: CellRun, found: Survey, facts: PlanFacts) -> list[Reason]:
    """Why a cell that need not run is not simply fresh."""
    cell, reasons = one.verdict.cell, []
    for path in found.restores:
        if found.after.maker(f"p:{path}") == cell.id:
            reasons.append(_displaced(path, facts.present(path), facts))
    if cell.shown not in (None, run.shown):
        reasons.append(Reason("output", "", "what it shows is not what its run had shown: that is brought back"))
    return reasons


def _displaced(path: str, present: str, facts: PlanFacts) -> Reason:
    if present == ABSENT:
        return Reason("missing", path, f"`{path}` is missing: it is brought back")
    if facts.foreign(path, present):
        return Reason("file", path, f"`{path}` was changed outside the notebook: the cell's own is brought back")
    return Reason("overwritten", path, f"`{path}` was left in another state by a later run: it is brought back")


def why(one: Judged, state: State, places: Mapping[str, int], facts: PlanFacts) -> list[Reason]:
    """Why a cell has to run, or may have to; ``state``: above it."""
    verdict = one.verdict
    cell = verdict.cell
    if verdict.likely is not None:
        return _waiting(verdict, state, places)
    last = facts.last_run(cell.id)
    error = source.uses(cell.source).error
    if error:
        return [Reason("edited" if last else "never-run", "", f"it is no valid Python: {error}")]
    if last is not None and last.outcome != "ok" and last.meaning == verdict.meaning and not verdict.differing:
        how = f" ({last.error})" if last.error else ""
        return [Reason("failed", "", f"it {'failed' if last.outcome == 'error' else 'was interrupted'} last time{how}")]
    reasons: list[Reason] = []
    if last is not None and last.meaning != verdict.meaning:
        stood = facts.stood(cell.id) or last
        reasons += _edited(one, stood, facts) if stood.meaning != verdict.meaning else []
    for resource, run in verdict.differing:
        reasons.append(_differs(resource, run, cell, state, places))
    if verdict.environment and not reasons:
        names = ", ".join(verdict.environment)
        message = f"{names} is another version than when it ran"
        if names == THREADS:
            message = "tasks are to use another number of threads than when it ran"
        if names == WORKSPACE:
            message = "what it made holds absolute paths, and the workspace was moved or copied"
        reasons.append(Reason("environment", names, message))
    if not reasons:
        if last is None:
            return [Reason("never-run", "", "it has never run")]
        return [Reason("input", "", "it is to run again")]
    return reasons


def _waiting(verdict: Verdict, state: State, places: Mapping[str, int]) -> list[Reason]:
    reasons, seen = [], set()
    for resource in verdict.pending:
        maker = state.maker(resource)
        if maker in seen:
            continue
        seen.add(maker)
        above = ordinal(places, maker)
        message = f"{above} will run first and may change {_call_it(resource)}; this one may turn out unchanged"
        reasons.append(Reason("upstream", resource[2:], message, because_of=maker))
    return reasons


def _call_it(resource: str) -> str:
    kind, what = resource[:2], resource[2:]
    if kind == "d:":
        return f"the directory `{what or '.'}`"
    if kind in ("b:", "h:"):
        return "which names there are" if kind == "b:" else "what `Out` and `_` hold"
    if what in PROCESS:
        return PROCESS[what]
    return f"`{what}`"


def _differs(resource: str, run: CellRun, cell: CellSource, state: State, places: Mapping[str, int]) -> Reason:
    """Why what a cell reads is not what it was when it ran."""
    what, it = resource[2:], _call_it(resource)
    now, maker, former = state[resource], state.maker(resource), run.origins.get(resource, "")
    if now == UNKNOWN:
        message = f"{ordinal(places, maker)} will run first and may change {it}"
        return Reason("upstream", what, message, because_of=maker)
    if resource in ("b:", "h:"):
        return Reason("input", what, f"{it} is not what it was")
    here = places[cell.id]
    if former and places.get(former, -1) > here:
        message = f"when it ran, {it} was as {ordinal(places, former)} below had left it"
        return Reason("overwritten", what, message, because_of=former)
    if maker and former and former != maker and former in places:
        now_from, came_from = ordinal(places, maker), ordinal(places, former)
        message = f"{it} now comes from {now_from}, it came from {came_from}: the order changed"
        return Reason("order", what, message, because_of=maker)
    if maker:
        return Reason("input", what, f"{it} was changed by {ordinal(places, maker)}", because_of=maker)
    if former and former in places and places[former] != here:
        message = f"{it} came from {ordinal(places, former)}, which now stands below: the order changed"
        return Reason("order", what, message, because_of=former)
    if former:
        return Reason("input", what, f"{it} came from a cell that is no longer there")
    if now in (ABSENT, "no"):
        return Reason("missing", what, f"{it} is missing")
    if resource.startswith("n:"):
        return Reason("input", what, f"{it} is not what it was")
    return Reason("file", what, f"{it} was changed outside the notebook")


def _edited(one: Judged, last: CellRun, facts: PlanFacts) -> list[Reason]:
    """What is different: the parameters of calls where they can be told, else only that it is."""
    reasons: list[Reason] = []
    former = [facts.call(call.key) for call in last.calls if call.key is not None]
    for number, call in enumerate(one.calls):
        same_task = [record for record in former if record is not None and record.task == call.task]
        before = [c for c in one.calls[:number] if c.task == call.task]
        if len(before) >= len(same_task):
            continue
        old = same_task[len(before)].arguments
        for name, value in call.arguments.items():
            if name in old and old[name] != value:
                message = f"`{name}` of {call.task} was {_short(old[name])}, is now {_short(value)}"
                reasons.append(Reason("edited", f"{call.task}.{name}", message))
    return reasons or [Reason("edited", "", "it was edited since it ran")]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"


# -- on a workspace --------------------------------------------------------------------------------------------------


class CallPredictor:
    """Foretells calls from a cell's text and the values of names that are kept."""

    def __init__(self, lookups: Lookups, casa: Installation, threads: int) -> None:
        self._lookups = lookups
        self._casa = casa
        self._threads = str(threads or lookups.threads())

    def calls(self, text: str, state: State) -> list[Foresight]:
        """See :class:`Predictor`."""
        uses = source.uses(text)
        if not uses.calls:
            return []
        catalogue = self._casa.catalogue
        wanted = [call for call in uses.calls if call.name in catalogue and state[f"n:{call.name}"] == ABSENT]
        if not wanted:
            return []
        names = self._lookups.plain_values({*uses.reads, DIRECTORY}, state)
        directory = str(names.pop(DIRECTORY, "."))
        found = []
        for call in wanted:
            task = catalogue[call.name]
            try:
                if call.starred or not call.arguments:  # no arguments mean global names, as with `go`
                    raise Unknown(call.name)
                args = [evaluate(value, names) for name, value in call.arguments if name is None]
                kwargs = {name: evaluate(value, names) for name, value in call.arguments if name is not None}
                bound = task.bind((), task.completed(args, kwargs))
                found.append(
                    foresee(
                        self._lookups.space,
                        task,
                        bound,
                        self._casa.key_environment(task.package, self._threads),
                        lambda path: state[f"p:{path}"],
                        self._lookups.space.directory / directory,
                    )
                )
            except (Unknown, TypeError, ValueError, OSError):
                expected = self._lookups.expected(call.name)
                found.append(Foresight(call.name, None, {}, frozenset(), expected))
        return found


class Desk:
    """A notebook in its workspace, opened for planning: ``with Desk(...) as desk: desk.plan()``."""

    def __init__(
        self,
        directory: Path,
        notebook: str,
        cells: Sequence[CellSource],
        settings: Settings | None = None,
        space: Workspace | None = None,
        casa: Installation | None = None,
    ) -> None:
        """
        Raises:
            LedgerError: the workspace's memory cannot be read, or belongs to a newer version of this software.
        """
        self.settings = settings if settings is not None else load_settings()
        self.notebook = notebook
        self.cells = list(cells)
        self.casa = casa if casa is not None else Installation(self.settings)
        space = space if space is not None else Workspace.view(directory)
        threads = {THREADS: str(self.settings.threads)} if self.settings.threads else {}
        self.lookups = Lookups(space, notebook, self.cells, environment(self.casa) | threads)
        self.predictor = CallPredictor(self.lookups, self.casa, self.settings.threads)

    def survey(self, everything: Collection[str] = (), done: Mapping[str, CellRun] | None = None) -> Survey:
        """Go through the notebook."""
        return survey(self.cells, self.lookups, self.predictor, everything, done)

    def plan(self, found: Survey | None = None) -> Plan:
        """The plan, of a survey if it is at hand."""
        found = found if found is not None else self.survey()
        revision = self.lookups.space.ledger.last_run_number()
        return make_plan(found, self.lookups, self.notebook, revision)


def behind(judged: Iterable[Judged], facts: PlanFacts) -> list[CellRun | None]:
    """For each cell the recorded run that stands behind it, else its last one."""
    return [one.verdict.run or one.verdict.likely or facts.last_run(one.verdict.cell.id) for one in judged]


def environment(casa: Installation) -> dict[str, str]:
    """Versions that decide whether a recorded run counts."""
    try:
        versions = casa.versions
    except RuntimeError:  # a plan can be made where CASA is not installed
        versions = {}
    return {**versions, "python": f"{sys.version_info.major}.{sys.version_info.minor}"}


def plan_notebook(
    directory: Path, notebook: str, cells: Sequence[CellSource], settings: Settings | None = None
) -> Plan:
    """The plan of a notebook; runs nothing, writes nothing.

    Args:
        directory: its workspace.
        notebook: its name.
        cells: its code cells, from the top.
        settings: default: those of the user.

    Raises:
        LedgerError: the workspace's memory cannot be read, or belongs to a newer version of this software.
    """
    return trace_notebook(directory, notebook, cells, settings)[0]


def trace_notebook(
    directory: Path, notebook: str, cells: Sequence[CellSource], settings: Settings | None = None
) -> tuple[Plan, list[CellRun | None]]:
    """The plan, and for each cell the recorded run that stands behind it, else its last one.

    Raises:
        LedgerError: the workspace's memory cannot be read, or belongs to a newer version of this software.
    """
    desk = Desk(directory, notebook, cells, settings)
    try:
        found = desk.survey()
        return desk.plan(found), behind(found.judged, desk.lookups)
    finally:
        desk.lookups.close()
