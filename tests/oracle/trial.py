"""One sequence: a notebook, edits, re-runs of what is stale, each compared with a run from top to bottom."""

from __future__ import annotations

import ast
import contextlib
import os
import random
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.oracle import plain
from tests.oracle.generator import Step, raw_files
from tests.oracle.minimal import Known, Situation
from tests.oracle.normalform import Form, snapshot
from tests.oracle.plain import Reference, Shown

Cells = list[tuple[str, str]]
_GRANULE = 0.008  # seconds: a person's changes are further apart than the clock of files can tell
_DRAWS = {
    r"(?<![.\w])random\.randint\(": r"(?<![.\w])random\.seed\(",
    r"np\.random\.randint\(": r"np\.random\.seed\(",
}


class Difference(AssertionError):
    """A re-run and a run from top to bottom differ; ``kind``: in what."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


@dataclass
class Rerun:
    """What a re-run of the stale cells did."""

    executed: list[str]
    failed: str | None = None


@dataclass
class Disturbance:
    """What happens to a walk at the ``at``-th cell that it executes."""

    at: int
    kind: str  # "edit", "interrupt", "leave" (the browser is closed), "restart" or "die" (the kernel), "stop", "meddle"
    meanwhile: Callable[[], None] = lambda: None


class Kernel(Protocol):
    """The software under test, as a person uses it."""

    def run(self, cells: Cells, identity: str, ready: Callable[[], None]) -> bool:
        """Shift+Enter on one cell, telling ``ready`` when its code is about to run; whether it went well."""

    def rerun(self, cells: Cells) -> Rerun:
        """Re-run what is stale."""

    def browse(
        self,
        cells: Cells,
        to: str | None = None,
        everything: bool = False,
        disturbance: Disturbance | None = None,
        ready: Callable[[str], None] = lambda identity: None,
    ) -> Rerun:
        """Re-run what is stale in the kernel that lives, which is then left as after the last cell, or after ``to``."""

    def held(self) -> tuple[dict[str, Any], frozenset[str]]:
        """After that: the names that the kernel has, and those that could not be had."""

    def console(self, text: str, silent: bool) -> None:
        """Execute something that is no cell; ``silent``: it is not even seen, like a widget's callback."""

    def unfinished(self, cells: Cells) -> Mapping[str, str]:
        """Right after a re-run: what a second one would do, cell -> what; nothing where all is well."""

    def shown(self, identity: str) -> Shown:
        """What stands below a cell."""

    def names(self, cells: Cells) -> tuple[dict[str, Any], frozenset[str]]:
        """The names as after the last cell, and those that could not be had."""

    def restart(self, killed: bool) -> None:
        """A new kernel, the old one shut down or killed."""

    def close(self) -> None:
        """The end."""

    notebook: str
    directory: Path
    namespace: dict[str, Any]


@dataclass
class Tally:
    """Counts over many sequences."""

    sequences: int = 0
    reruns: int = 0
    failures: int = 0  # re-runs that ended at a cell which fails from top to bottom, too
    executed: int = 0
    least: int = 0
    ratios: list[float] = field(default_factory=list)
    twice: int = 0
    fewer: int = 0  # cells that were not executed although nothing like them had been
    seconds: float = 0.0

    def count(self, executed: Sequence[str], must: set[str]) -> None:
        """Count a re-run."""
        self.reruns += 1
        self.executed += len(executed)
        self.least += len(must)
        self.ratios.append((len(executed) + 1) / (len(must) + 1))
        self.twice += len(executed) - len(set(executed))
        self.fewer += len(must - set(executed))

    @property
    def ratio(self) -> float:
        """Mean over re-runs of executed / least possible; one is added to both, so that nothing / nothing is 1."""
        return sum(self.ratios) / max(1, len(self.ratios))

    def __str__(self) -> str:
        return (
            f"{self.sequences} sequences, {self.reruns} re-runs ({self.failures} of them to a cell that fails), "
            f"executed cells {self.executed}, least possible {self.least}, "
            f"ratio {self.executed / max(1, self.least):.2f}, "
            f"mean of (executed + 1)/(least + 1) per re-run {self.ratio:.2f}, "
            f"cells executed twice in one plan: {self.twice}, fewer than possible: {self.fewer}; {self.seconds:.0f} s"
        )


class Trial:
    """Applies steps to a notebook; compares at each re-run."""

    def __init__(
        self, top: Path, cells: Cells, open_kernel: Callable[[Path, Mapping[str, bytes]], Kernel], tally: Tally
    ) -> None:
        self.top = top
        self.cells = list(cells)
        self.done: list[Step] = []
        self.raw = raw_files()
        self._raws = set(self.raw.values())
        self._tally = tally
        self._known = Known()
        self._history: list[Cells] = []
        self._made: list[str] = []
        self._unlucky = False  # something that was remembered has been lost
        self._strange: set[str] = set()  # names that something which is no cell may have bound
        work = top / "work"
        work.mkdir(parents=True)
        for name, data in self.raw.items():
            (work / name).write_bytes(data)
        self._outer = plain.machine(work)
        self._outer.__enter__()
        self.kernel = open_kernel(work, self.raw)

    def close(self) -> None:
        """Remove everything."""
        try:
            self.kernel.close()
        finally:
            self._outer.__exit__(None, None, None)
            shutil.rmtree(self.top, ignore_errors=True)

    def made(self) -> list[str]:
        """Files that the notebook made, while it is as after a re-run."""
        return self._made

    def run(self, steps: Iterable[Step]) -> None:
        """Apply steps.

        Raises:
            Difference: with all that is known of it.
        """
        for step in steps:
            self.done.append(step)
            self.apply(step)

    def apply(self, step: Step) -> None:
        """Apply one step; one that makes no sense for the notebook as it is, does nothing."""
        kind, *rest = step
        if kind == "rerun":
            self._rerun(*rest)
            return
        if kind == "spoil":
            self._spoil(*rest)
            return
        if kind not in ("touch", "restart", "console"):
            self._made = []
        getattr(self, "_" + kind.replace(" ", "_"))(*rest)

    # -- edits -------------------------------------------------------------------------------------------------------

    def _place(self, identity: str) -> int | None:
        return next((n for n, (cell, _) in enumerate(self.cells) if cell == identity), None)

    def _remember(self) -> None:
        self._history.append(list(self.cells))

    def _set(self, identity: str, text: str) -> None:
        if (place := self._place(identity)) is not None:
            self._remember()
            self.cells[place] = (identity, text)

    def _insert(self, place: int, identity: str, text: str) -> None:
        if self._place(identity) is None:
            self._remember()
            self.cells.insert(place, (identity, text))

    def _delete(self, identity: str) -> None:
        if (place := self._place(identity)) is not None:
            self._remember()
            del self.cells[place]

    def _move(self, identity: str, to: int) -> None:
        if (place := self._place(identity)) is not None:
            self._remember()
            self.cells.insert(to, self.cells.pop(place))

    def _undo(self, count: int) -> None:
        for _ in range(min(count, len(self._history))):
            self.cells[:] = self._history.pop()

    # -- kernel and surroundings -------------------------------------------------------------------------------------

    def _run(self, identity: str) -> None:
        if (place := self._place(identity)) is None:
            return
        source = self.cells[place][1]
        found: list[Situation] = []

        def ready() -> None:
            found.append(Situation.now(source, self.kernel.namespace, self.kernel.directory))

        if self.kernel.run(self.cells, identity, ready):
            self._known.by_hand += found

    def _console(self, text: str, silent: bool) -> None:
        self._strange |= {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        self.kernel.console(text, silent)

    def _to(self, identity: str) -> None:
        """Run to here."""
        if (place := self._place(identity)) is None:
            return
        self._without_unseeded_draws()
        if (place := self._place(identity)) is not None:
            reference = plain.run(self.cells[: place + 1], self.raw, self.top / "fresh")
            self._compare(reference, lambda cells: self.kernel.browse(cells, identity), to=True)

    def _disturbed(self, at: int, kind: str, *edit: Any) -> None:
        """A walk that does not go on as it began."""
        self._without_unseeded_draws()
        found: dict[str, Situation] = {}

        def ready(identity: str) -> None:
            source = dict(self.cells)[identity]
            found[identity] = Situation.now(source, self.kernel.namespace, self.kernel.directory)

        def change() -> None:
            self.apply(tuple(edit))
            self._without_unseeded_draws()

        try:
            done = self.kernel.browse(self.cells, disturbance=Disturbance(at, kind, change), ready=ready)
        except Exception as error:
            raise Difference("trouble", f"{type(error).__name__}: {error}") from error
        self._known.by_hand += [found[cell] for cell in done.executed if cell in found and cell != done.failed]

    def _restart(self, how: str) -> None:
        self.kernel.restart(how == "killed")

    def _touch(self, name: str) -> None:
        time.sleep(_GRANULE)
        if (self.kernel.directory / name).exists():
            os.utime(self.kernel.directory / name)

    def _raw(self, name: str, number: int) -> None:
        time.sleep(_GRANULE)
        self.raw[name] = raw_files(number)[name]
        self._raws.add(self.raw[name])
        (self.kernel.directory / name).write_bytes(self.raw[name])

    def _spoil(self, name: str, text: str | None) -> None:
        if name not in self._made and name + "/" not in self._made:
            return
        time.sleep(_GRANULE)
        path = self.kernel.directory / name
        if text is None and path.is_dir():
            shutil.rmtree(path)
        elif text is None:
            path.unlink()
        elif not path.is_dir():
            path.write_text(text)

    def _rename(self) -> None:
        self.kernel.notebook = f"nb{len(self.done)}.ipynb"

    def _move_workspace(self) -> None:
        target = self.top / f"work{len(self.done)}"
        self.kernel.restart(False)
        self.kernel.close()
        os.rename(self.kernel.directory, target)
        self._outer.__exit__(None, None, None)
        self._outer = plain.machine(target)
        self._outer.__enter__()
        self.kernel.directory = target

    def _lose_ledger(self) -> None:
        self.kernel.close()
        for path in (self.kernel.directory / plain.HOME).glob("ledger.sqlite*"):
            path.unlink()
        self._known = Known()

    def _lose_values(self, number: int) -> None:
        """Half of the kept values cannot be read any more."""
        self._unlucky = True
        chance = random.Random(number)
        path = self.kernel.directory / plain.HOME / "ledger.sqlite"
        if path.exists():
            self.kernel.restart(False)
            with contextlib.closing(sqlite3.connect(path)) as ledger, ledger:
                kept = ledger.execute("SELECT version FROM value WHERE data IS NOT NULL ORDER BY version").fetchall()
                lost = [row for row in kept if chance.random() < 0.5]
                ledger.executemany("UPDATE value SET data = substr(data, 1, length(data) - 1) WHERE version = ?", lost)

    def _lose_versions(self, number: int) -> None:
        """Half of the store is gone, but for what nobody could make again."""
        self._unlucky = True
        chance = random.Random(number)
        for path in sorted((self.kernel.directory / plain.HOME).glob("store/objects/*/*")):
            if chance.random() < 0.5 and path.read_bytes() not in self._raws:
                path.unlink()

    # -- comparing ---------------------------------------------------------------------------------------------------

    def _rerun(self, how: str) -> None:
        if how == "new":
            self.kernel.restart(False)
        ways: dict[str, Callable[[Cells], Rerun]] = {
            "browser": self.kernel.browse,
            "everything": lambda cells: self.kernel.browse(cells, everything=True),
        }
        rerun = ways.get(how, self.kernel.rerun)
        self._without_unseeded_draws()
        reference = self._reference()
        if reference.failed is not None:
            self._compare(reference, rerun, everything=how == "everything")
            self._tally.failures += 1
            while reference.failed is not None:  # the person mends the notebook
                self._delete(reference.failed)
                self._without_unseeded_draws()
                reference = self._reference()
        self._compare(reference, rerun, everything=how == "everything")
        self._made = [name for name in reference.files if name not in self.raw]

    def _reference(self) -> Reference:
        return plain.run(self.cells, self.raw, self.top / "fresh")

    def _without_unseeded_draws(self) -> None:
        """Random numbers that nothing determines are no matter of comparison."""
        for draw, seed in _DRAWS.items():
            seeded = False
            for identity, text in list(self.cells):
                drawn, sown = re.search(draw, text), re.search(seed, text)
                if drawn and not seeded and (sown is None or sown.start() > drawn.start()):
                    self._delete(identity)
                seeded = seeded or sown is not None

    def _compare(
        self, reference: Reference, rerun: Callable[[Cells], Rerun], to: bool = False, everything: bool = False
    ) -> None:
        must = self._known.must_run(reference)
        living = rerun != self.kernel.rerun
        try:
            done = rerun(self.cells)
        except Exception as error:
            raise Difference("trouble", f"{type(error).__name__}: {error}") from error
        if not self._unlucky and not everything:  # else what was lost had to be made again
            self._tally.count(done.executed, must)
        self._known.executed(reference, [cell for cell in done.executed if cell in reference.inputs])
        if len(set(done.executed)) < len(done.executed) and not self._unlucky:
            raise Difference("executed twice", f"in one plan: {done.executed}")
        for identity, expected in reference.shown.items():
            self._equal("shown", identity, self.kernel.shown(identity), expected, done)
        self._equal("failed", "", done.failed, reference.failed, done)
        if done.failed is not None and not living:
            return
        left = plain.contents(self.kernel.directory)
        names = reference.files.keys() if to else left.keys() | reference.files.keys()
        if done.failed is not None and any(task in dict(self.cells)[done.failed] for task in plain.TASKS):
            names = set()  # CASA leaves half of what a call that fails makes; here there is nothing of it
        for name in sorted(names):
            self._equal("file", name, left.get(name), reference.files.get(name), done)
        self._compare_names(reference, done, living)
        if done.failed is None and not to:
            self._equal("a second re-run", "", self.kernel.unfinished(self.cells), {}, done)

    def _compare_names(self, reference: Reference, done: Rerun, living: bool) -> None:
        expected = reference.values()
        names, lost = self.kernel.held() if living else self.kernel.names(self.cells)
        got = snapshot(names, plain.user_names(names))
        strange = (got.tokens.keys() & self._strange) - expected.tokens.keys() if living else set()
        compared = (expected.tokens.keys() | got.tokens.keys()) - lost - strange
        for name in sorted(compared):
            self._equal("name", name, *_shorter(got.joint([name]), expected.joint([name])), done)
        self._equal("sharing", "of names", *_shorter(got.joint(compared), expected.joint(compared)), done)

    def _equal(self, kind: str, what: str, got: object, expected: object, done: Rerun) -> None:
        if got != expected:
            message = f"{what} is {got!r}, from top to bottom {expected!r}; executed: {done.executed}"
            raise Difference(kind, message)


def _shorter(one: Form, other: Form) -> tuple[Form, Form]:
    """Two values without what is the same at their beginnings."""
    if one == other:
        return (), ()
    same = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, same - 4)
    return one[start : same + 12], other[start : same + 12]


# -- sequences as plain data -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Story:
    """A sequence that can be replayed."""

    cells: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        cells = "".join(f"            ({identity!r}, {text!r}),\n" for identity, text in self.cells)
        steps = "".join(f"            {step!r},\n" for step in self.steps)
        return f"    Story(\n        cells=(\n{cells}        ),\n        steps=(\n{steps}        ),\n    ),"


def smaller(story: Story, fails: Callable[[Story], bool], tries: int = 400) -> Story:
    """A story that fails, too, with as few steps, cells and statements as can be found by leaving some out."""
    left = [tries]

    def still(candidate: Story) -> bool:
        left[0] -= 1
        return left[0] >= 0 and fails(candidate)

    while left[0] > 0:
        before = story
        for make in (_fewer_steps, _fewer_cells, _fewer_statements):
            story = _reduce(story, make, still)
        if story == before:
            break
    return story


def _reduce(story: Story, make: Callable[[Story, int], Iterator[Story]], still: Callable[[Story], bool]) -> Story:
    size = 8
    while size:
        candidate = next((one for one in make(story, size) if still(one)), None)
        if candidate is None:
            size //= 2
        else:
            story = candidate
    return story


def _fewer_steps(story: Story, size: int) -> Iterator[Story]:
    for start in reversed(range(0, len(story.steps), size)):
        yield Story(story.cells, story.steps[:start] + story.steps[start + size :])


def _fewer_cells(story: Story, size: int) -> Iterator[Story]:
    for start in reversed(range(0, len(story.cells), size)):
        yield Story(story.cells[:start] + story.cells[start + size :], story.steps)


def _fewer_statements(story: Story, size: int) -> Iterator[Story]:
    if size > 1:
        return
    texts = [text for _, text in story.cells] + [
        part for step in story.steps for part in step if isinstance(part, str) and "\n" in part
    ]
    for text in dict.fromkeys(texts):
        for shorter in _without_one_statement(text):
            yield Story(
                tuple((identity, shorter if old == text else old) for identity, old in story.cells),
                tuple(tuple(shorter if part == text else part for part in step) for step in story.steps),
            )


def _without_one_statement(text: str) -> Iterator[str]:
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return
    for number in range(len(body) if len(body) > 1 else 0):
        yield "\n".join(ast.unparse(node) for n, node in enumerate(body) if n != number)
