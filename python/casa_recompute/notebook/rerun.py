"""Make a notebook fresh: which cell next, from which state, until everything is what a run from the top would give.

Knows no kernel. Whoever has one takes the steps in order, executes the cells that are to be executed, and says so;
what a cell did, its kernel writes into the ledger, and the next step follows from that.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from casa_recompute.installation import Installation
from casa_recompute.ledger import Touch
from casa_recompute.notebook import source
from casa_recompute.notebook.model import ABSENT, CellRun, CellSource, Plan, Reason
from casa_recompute.notebook.plan import Desk, Judged, needed, reach, survey, why
from casa_recompute.notebook.simulate import PROCESS, State, Verdict, judge, ordinal, own, shared
from casa_recompute.settings import Settings, load_settings
from casa_recompute.workspace import VersionLost, Workspace


class NotRecorded(RuntimeError):
    """A cell was executed but what it did is not in the ledger, so nothing can be said of the cells below."""


class Edited(RuntimeError):
    """Another text was executed than the one that the cell had when the walk began."""


@dataclass
class Step:
    """What is to be done about one cell."""

    cell: CellSource
    action: str  # "execute", "restore" (show `outputs`), "keep"
    reasons: tuple[Reason, ...] = ()
    estimate_s: float = 0.0
    state: dict[str, Any] = field(default_factory=dict)  # for the kernel: see session.Cell
    outputs: list[dict[str, Any]] = field(default_factory=list)
    ok: bool | None = None
    refused: bool = False
    """It could not begin, as something it needs turned out to be lost: more steps will follow, and its outputs are to
    be what they were."""
    _is_refused: Callable[[], bool] = field(default=lambda: False, repr=False)

    def done(self, ok: bool) -> None:
        """The cell was executed, to its end or not."""
        self.ok = ok
        self.refused = not ok and self._is_refused()


class Rerun:
    """One walk through a notebook from the top."""

    def __init__(
        self,
        directory: Path,
        notebook: str,
        cells: Sequence[CellSource],
        settings: Settings | None = None,
        everything: bool | Collection[str] = False,
        to: str | None = None,
        held: Mapping[str, str] | None = None,
        casa: Installation | None = None,
        patience: float | None = None,
    ) -> None:
        """
        Args:
            directory: the workspace.
            notebook: the notebook's name.
            cells: its code cells, from the top.
            settings: default: those of the user.
            everything: execute every cell, or those with these ids; calls that are known are restored nevertheless.
            to: the last cell that is to be made fresh; default: all are.
            held: names that the kernel has and nobody could bring back: name -> version. It may have lost them by now.
            casa: the installation that the settings name, if it is at hand.
            patience: seconds to wait for the workspace; default: as long as it takes.

        Raises:
            WorkspaceError, LedgerError, StoreError, SettingsError: each says what to do.
            WorkspaceBusy: patience was at its end.
            KeyError: there is no cell ``to``.
        """
        settings = settings if settings is not None else load_settings()
        self._places = {cell.id: number for number, cell in enumerate(cells)}
        self._cells = list(cells)
        self._whole = to is None
        walked = self._cells if to is None else self._cells[: self._places[to] + 1]
        self._space = Workspace(Path(directory), settings.store)
        with contextlib.ExitStack() as failing:
            failing.callback(self._space.close)
            with self._space.lock(patience=patience):
                self._desk = Desk(Path(directory), notebook, cells, settings, self._space, casa)
            failing.pop_all()
        self._desk.cells = walked
        self._notebook = notebook
        self._everything = {cell.id for cell in cells} if everything is True else set(everything or ())
        self._facts = self._desk.lookups
        self._facts.held = frozenset((held or {}).values())
        self._state = State(self._facts)
        self._done: dict[str, CellRun] = {}
        self._behind: list[tuple[str, CellRun, dict[str, str]]] = []  # cell, its run, versions before of what it wrote
        self._memory: dict[str, str] = dict(held or {})  # what the kernel holds
        self._refusals: Counter[str] = Counter()
        self._failed = self._interrupted = False
        self._left_by_failure: dict[str, str] = {}
        self._names_of_failure: dict[str, str] = {}
        self.saved_s = 0.0

    def plan(self) -> Plan:
        """The plan as things are now."""
        with self._space.lock():
            self._look_again()
            return self._desk.plan(self._desk.survey(self._everything, self._done))

    def steps(self) -> Generator[Step, None, None]:
        """One for each code cell, from the top; each is planned when the one before is done.

        Raises:
            NotRecorded: see there.
        """
        with self._space.lock():
            found = self._desk.survey(self._everything)
            plan = self._desk.plan(found)
            self._space.inherit_found(self._notebook, list(self._places))
            self._space.set_found(self._notebook, self._facts.news())  # once modified in place, nobody could tell
        must, planned = found.must, {cell.id: cell for cell in plan.cells}
        for cell in self._desk.cells:
            if not cell.source.strip():
                yield Step(cell, "keep")
                continue
            if cell.id in self._done:  # had to run earlier, for another's sake
                self._state.apply(self._done[cell.id], cell.id)
                continue
            with self._space.lock():
                verdict = judge(cell, self._state, self._facts)
            run = verdict.run
            if run is not None and cell.id not in must and cell.id not in self._everything:
                yield self._without_running(cell, run)
                self._pass(cell, run)
                continue
            one = Judged(verdict)
            foreseen = planned[cell.id]
            with self._space.lock():
                why_run = why(one, self._state, self._places, self._facts)
                reasons = foreseen.reasons if foreseen.state == "stale" else tuple(why_run)
            ran = set[str]()  # for this cell's sake
            while cell.id not in ran:
                late = next((maker for maker in self._late(one) if maker.id not in ran), cell)
                why_now = reasons if late is cell else (_needed(cell, self._places),)
                done = yield from self._execute(late, why_now, planned[late.id].estimate_s, one)
                if self._failed:
                    return
                if done:
                    ran.add(late.id)
                else:  # what they had made may be lost, too
                    ran.clear()

    def _without_running(self, cell: CellSource, run: CellRun) -> Step:
        self.saved_s += self._price(run)
        if run.shown == cell.shown:
            return Step(cell, "keep")
        outputs = self._space.ledger.outputs(run.shown) if run.shown else None
        reason = Reason("output", "", "nothing that it depends on has changed since it ran")
        return Step(cell, "restore", (reason,), outputs=outputs or [])

    def _price(self, run: CellRun) -> float:
        """Seconds that it would take to run a cell again."""
        restored = [call.key for call in run.calls if call.key is not None and not call.seconds]
        return run.seconds + sum(record.seconds for key in restored if (record := self._facts.call(key)) is not None)

    def _late(self, one: Judged) -> list[CellSource]:
        """Cells above that did not run and have to, because this one needs what could not be kept.

        The plan has foreseen them where it could; a cell that only turned out to need running may have more needs.
        """
        position = self._places
        todo, late = [(one, self._state)], set[str]()
        while todo:
            wanting, before = todo.pop()
            with self._space.lock():
                uses = source.uses(wanting.verdict.cell.source)
                lost = needed(wanting, reach(uses, before, self._facts, later=True), before, self._facts)
            for resource, maker in lost.items():
                held = self._memory.get(resource[2:], "") if resource.startswith("n:") else ""
                # One that has it in common with others, has it alone when these are bound anew.
                if before[resource] in (held, own(held)) or maker in late or maker not in position:
                    continue
                late.add(maker)
                run = next(run for cell, run, _ in self._behind if cell == maker)
                verdict = Verdict(self._cells[position[maker]], likely=run)
                todo.append((Judged(verdict), self._at(maker)))
        return [self._cells[number] for number in sorted(position[cell] for cell in late)]

    def _at(self, cell: str) -> State:
        """The state before a cell that was passed already."""
        state = State(self._facts)
        for passed, run, _ in self._behind:
            if passed == cell:
                break
            state.apply(run, passed)
        return state

    def _execute(
        self, cell: CellSource, reasons: tuple[Reason, ...], estimate_s: float, one: Judged
    ) -> Generator[Step, None, bool]:
        """Have a cell executed, for ``one``'s sake; False: it was refused, and another has to run first."""
        late = any(passed == cell.id for passed, _, _ in self._behind)
        before = self._at(cell.id) if late else self._state
        uses = source.uses(cell.source)
        names = {resource[2:] for resource in reach(uses, before, self._facts, later=True)}
        perhaps = {name: before[f"n:{name}"] for name in uses.binds - uses.surely - names}
        names |= {name for name, version in perhaps.items() if shared(version)}
        versions = {name: before[f"n:{name}"] for name in names}
        versions |= {name: before[f"n:{name}"] for name in PROCESS}
        # Names that share an object come together. Who leaves two or more others behind is to be seen leaving.
        bound = before.names()
        size = Counter(shared(version) for version in bound.values())
        groups = {group for version in versions.values() if (group := shared(version))}
        crowded = {name for name in uses.binds if (g := shared(bound.get(name, ""))) and size[g] > 2}
        groups |= {shared(bound[name]) for name in crowded if self._can_have(name, bound[name])}
        versions |= {name: version for name, version in bound.items() if shared(version) in groups}
        paths = self._facts.known_products() | before.products().keys()
        products = _outermost({path: before[f"p:{path}"] for path in sorted(paths)}, before.products())
        mark = self._space.ledger.last_run_number()
        makers = {r: m for r, m in before.makers.items() if r in products or r[2:] in versions or r.startswith("p:")}
        # What the cell surely binds anew need not be brought; what is left over from another place must not be there.
        anew = {name: before[f"n:{name}"] for name in (uses.binds & uses.surely) - versions.keys()}
        aside = {name: version for name, version in perhaps.items() if name not in versions}
        place = {"names": versions | dict.fromkeys(anew, ABSENT), "anew": anew, "aside": aside, "bound": bound}
        place |= {"products": products, "makers": makers}
        kept = [version for version in versions.values() if version != ABSENT and self._facts.kept(version)]

        def is_refused() -> bool:
            last = self._space.ledger.last_cell_run(cell.id)
            if last is not None and last.id > mark and VersionLost.__name__ not in last.error:
                return False
            self._look_again()
            self._memory.clear()  # part of the names may have been brought, and others taken away
            self._facts.held = frozenset()
            self._refusals[one.verdict.cell.id] += 1
            is_new = any(not self._facts.kept(version) for version in kept) or self._late(one)
            return bool(is_new) and self._refusals[one.verdict.cell.id] <= len(self._cells)

        step = Step(cell, "execute", reasons, estimate_s, place, _is_refused=is_refused)
        yield step
        self._look_again()
        if step.refused:
            return False
        if step.ok is None:
            raise NotRecorded(f"nobody said how cell {cell.id} ended")
        run = self._space.ledger.last_cell_run(cell.id)
        if not step.ok:
            self._failed = True
            self._interrupted = run is None or run.id <= mark or run.outcome == "interrupted"  # else it was killed
            later = {path: before[f"p:{path}"] for path in self._facts.known_products()}
            done = run.writes if run is not None and run.id > mark else {}
            self._left_by_failure = later | {r[2:]: v for r, v in done.items() if r.startswith("p:")}
            bound = before.names() | {r[2:]: v for r, v in done.items() if r.startswith("n:")}
            # It did not get as far as to bind these anew.
            bound |= {name: version for name, version in anew.items() if bound.get(name, ABSENT) == ABSENT}
            self._names_of_failure = {name: version for name, version in bound.items() if version != ABSENT}
            return True
        if run is None or run.id <= mark:
            raise NotRecorded(f"what cell {cell.id} did could not be recorded (is the disk full?): run it again")
        if run.meaning != self._facts.meaning(cell.source):
            raise Edited(f"cell {cell.id} was edited before it ran: begin again")
        self._done[cell.id] = run
        self._memory.update(versions)
        self._memory.update({r[2:]: v for r, v in run.writes.items() if r.startswith("n:")})
        if late:
            self._replace(cell.id, run)
        else:
            self._pass(cell, run)
        return True

    def _can_have(self, name: str, version: str) -> bool:
        return self._memory.get(name) == version or self._facts.kept(version)

    def _replace(self, cell: str, run: CellRun) -> None:
        """A cell that was passed ran after all: what of it stands until here is what it made now."""
        number = next(number for number, (passed, _, _) in enumerate(self._behind) if passed == cell)
        _, former, before = self._behind[number]
        self._behind[number] = cell, run, before
        standing = {r: v for r, v in run.writes.items() if self._state[r] == former.writes.get(r)}
        for resource, version in standing.items():
            if self._state[resource] != version:
                self._state.set(resource, version, cell)

    def _pass(self, cell: CellSource, run: CellRun) -> None:
        before = {r[2:]: self._state[r] for r in run.writes if r.startswith("p:")}
        self._behind.append((cell.id, run, before))
        self._state.apply(run, cell.id)

    def _look_again(self) -> None:
        self._space.ledger.refresh()
        self._facts.refresh()

    def stop(self) -> None:
        """No more steps are taken: the last one that was is the last cell."""
        self._whole = False

    def final_names(self) -> dict[str, str]:
        """Names that are bound after the last cell, or after the one that failed, and their versions."""
        return self._names_of_failure if self._failed else self._state.names()

    def final(self) -> dict[str, dict[str, str]]:
        """For a kernel that lives on, when all steps are done: the arguments of ``Session.settle``."""
        with self._space.lock():
            return {"names": self.final_names(), "products": self._displaced()[0]}

    def finish(self) -> list[str]:
        """Bring products to what they are after the last cell, or after the one that failed.

        After one that was interrupted what is to be made anew stays as it is: the user will go on.
        Where only part of the notebook was to be made fresh, what only cells below have made stays where it is.

        Returns:
            Paths that were changed.

        Raises:
            VersionLost: a product can no longer be had. After a cell that failed such a product stays what it is,
                and the next plan says so.
            OSError: the disk is full.
        """
        with self._space.lock():
            wrong, lost = self._displaced()
            if lost and not self._failed:
                path, version = lost.popitem()
                raise VersionLost(version, path)
            changed = self._space.restore(wrong)
            self._tell_story()
        return changed

    def _displaced(self) -> tuple[dict[str, str], dict[str, str]]:
        """Products that are not at their last versions: those that can be brought back, and those that cannot."""
        self._look_again()
        if self._interrupted:  # what is to be made anew stays as it is
            found = survey(self._cells, self._facts, self._desk.predictor, (), self._done)
            return {path: v for path, v in found.restores.items() if self._facts.restorable(path, v)}, {}
        targets = self._state.products()
        if self._failed:
            targets |= self._left_by_failure
        left_over = self._facts.left_over(targets)
        if not self._whole:  # what only cells below have made, or such as are no longer there, stays
            passed = {cell for cell, _, _ in self._behind}
            others = {t.path for t in self._space.ledger.touches() if t.before != t.after and t.cell not in passed}
            left_over = {path: v for path, v in left_over.items() if v != ABSENT or path not in others}
        targets |= left_over
        wrong = {path: version for path, version in targets.items() if self._facts.present(path) != version}
        lost = {path: version for path, version in wrong.items() if not self._space.restorable({path: version})}
        return {path: wrong[path] for path in wrong.keys() - lost.keys()}, lost

    def _tell_story(self) -> None:
        """What cells that did not run did, as if they had: Shift+Enter goes by that."""
        ledger = self._space.ledger
        with ledger.transaction():
            for cell, run, before in self._behind:
                ledger.drop_touches(cell=cell, not_run=run.id)
                ledger.drop_touches(cell=cell + " (outside)")
                ledger.swap_source(cell, run.meaning)
                for path, version in before.items():
                    after = run.writes.get(f"p:{path}", version)
                    ledger.set_touch(Touch(cell, path, self._notebook, version, after), run.id)
                for resource, version in run.reads.items():
                    if resource.startswith("p:") and resource not in run.writes:
                        ledger.set_touch(Touch(cell, resource[2:], self._notebook, version, version), run.id)
            known = ledger.found(self._notebook)
            news = {path: self._facts.found(path) for path in self._facts.known_products() if path not in known}
            self._space.set_found(self._notebook, news)

    def at_work(self, patience: float | None) -> contextlib.AbstractContextManager[None]:
        """The workspace's lock, which every method here takes as well.

        Raises:
            WorkspaceBusy: on entering; somebody else had it for longer than ``patience`` seconds.
        """
        return self._space.lock(patience=patience)

    def close(self) -> None:
        """Close the workspace."""
        self._space.close()


def _outermost(products: Mapping[str, str], written: Collection[str]) -> dict[str, str]:
    """Without what no cell has made but as part of another product that is there: a cell may have asked for it when
    there was no such."""
    there = {path for path, version in products.items() if version != ABSENT}
    return {
        path: version
        for path, version in products.items()
        if path in written or version == ABSENT or there.isdisjoint(map(str, Path(path).parents))
    }


def _needed(cell: CellSource, places: dict[str, int]) -> Reason:
    message = f"what it made could not be kept, and {ordinal(places, cell.id)} needs it"
    return Reason("needed", "", message, because_of=cell.id)
