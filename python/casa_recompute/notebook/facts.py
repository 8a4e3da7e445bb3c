"""What the ledger and the workspace know: lookups for simulate.py and plan.py. Nothing is changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from casa_recompute.ledger import CallRecord
from casa_recompute.notebook import source
from casa_recompute.notebook.model import ABSENT, THREADS, WORKSPACE, CellRun, CellSource
from casa_recompute.notebook.simulate import State, existence, own, shared
from casa_recompute.values.shelf import ValueStore
from casa_recompute.workspace import HOME, Workspace

IGNORED = frozenset({HOME, "__pycache__", ".ipynb_checkpoints"})
"""Entries of a directory that are no part of the story."""


def text_hash(text: str) -> str:
    """Identity of a source as it is written."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class Lookups:
    """Facts (see simulate.Facts) about one notebook in one workspace."""

    def __init__(
        self, space: Workspace, notebook: str, cells: Sequence[CellSource], environment: dict[str, str]
    ) -> None:
        self.space = space
        self._ledger = space.ledger
        self._environment = environment
        self.cells = cells
        self.held: frozenset[str] = frozenset()
        """Versions of names that a kernel has, whether they are kept or not."""
        ids = [cell.id for cell in cells]
        self._notebook = notebook
        self._found = self._ledger.inherited(notebook, ids)
        self._made: set[str] = set()
        self._story: set[str] = set()
        self._products: frozenset[str] = frozenset()
        self._note_products()
        self._meanings: dict[str, str] = {}
        self._read(cells)
        self._values = ValueStore(space)
        self._asked: set[str] = set()  # meanings of which `_newest` tells
        self._newest: dict[str, tuple[CellRun, int]] = {}
        self._last: dict[str, CellRun] | None = None
        self._kept: dict[str, tuple[tuple[str, ...], bool]] = {}
        self._truths: dict[str, str] = {}
        self._present: dict[str, str] = {}
        self._existences: dict[str, str] = {}
        self._entries: dict[str, frozenset[str]] = {}
        self._restorable: dict[tuple[str, str], bool] = {}

    def now_say(self, cells: Sequence[CellSource]) -> None:
        """The same cells in the same order say something else."""
        said = {cell.source for cell in self.cells}
        self._read([cell for cell in cells if cell.source not in said])
        self.cells = cells

    def _read(self, cells: Sequence[CellSource]) -> None:
        texts = {cell.source: text_hash(cell.source) for cell in cells}
        if texts:
            known = self._ledger.meanings([*texts.values()])
            self._meanings |= {source: known[text] for source, text in texts.items() if text in known}

    # -- the past ----------------------------------------------------------------------------------------------------

    def meaning(self, text: str) -> str:
        """See source.meaning; sources that ran before are not parsed again."""
        known = self._meanings.get(text)
        if known is None:
            known = self._meanings[text] = source.meaning(text)
        return known

    def runs(self, meaning: str) -> Iterator[CellRun]:
        """Recorded runs of cells that said this and ended well, newest first."""
        if meaning not in self._asked:  # one question for all cells, and for each that was edited
            wanted = {meaning} if self._asked else {meaning, *self._meanings.values()}
            self._newest |= self._ledger.newest_cell_runs(wanted)
            self._asked |= wanted
        newest, count = self._newest.get(meaning, (None, 0))
        if newest is not None:
            yield newest  # mostly the one that is wanted
        if count > 1:
            yield from islice(self._ledger.cell_runs(meaning), 1, None)

    def last_run(self, cell: str) -> CellRun | None:
        """How a cell of the notebook ran last, whatever came of it."""
        if self._last is None:
            known = {run.id: run for run, _ in self._newest.values()}
            self._last = self._ledger.last_cell_runs([one.id for one in self.cells], known)
        return self._last.get(cell)

    def stood(self, cell: str) -> CellRun | None:
        """A run of what a cell said when it was fresh last, by running or by being brought back."""
        return next(iter(self._ledger.cell_runs(self._ledger.source_of(cell))), None)

    def call(self, key: str) -> CallRecord | None:
        """A memoised call."""
        return self._ledger.call(key)

    def kept(self, version: str) -> bool:
        """Whether the value of a name can be brought back, or is there."""
        return version in self.held or self._value(shared(version) or version)[1]

    def uses(self, version: str) -> tuple[str, ...]:
        """Names that functions in a value use when they are called."""
        return self._value(own(version))[0]

    def _value(self, version: str) -> tuple[tuple[str, ...], bool]:
        known = self._kept.get(version)
        if known is None:
            known = self._kept[version] = self._ledger.value_state(version) or ((), False)
        return known

    def plain_values(self, names: Iterable[str], state: State) -> dict[str, object]:
        """Values of names at a place that are kept and are plain data, which parameters of tasks are."""
        found = {}
        for name in names:
            version = state[f"n:{name}"]
            if version[:2] not in ("i-", "d-"):
                continue
            try:
                found[name] = self._values.plain(version, name)
            except (KeyError, ValueError):
                continue
        return found

    def threads(self) -> str:
        """OpenMP threads of a task, as the workspace remembers."""
        return self._ledger.meta("threads") or str(len(os.sched_getaffinity(0)))

    def expected(self, task: str) -> float:
        """Seconds that a call of a task is likely to take."""
        records = self._ledger.calls_of_task(task)
        return max((record.seconds for record in records), default=0.0)

    # -- the present -------------------------------------------------------------------------------------------------

    def environment(self, name: str) -> str:
        """Version of a package now; of ``WORKSPACE``, where it is; of ``THREADS``, how many."""
        if name == WORKSPACE:
            return str(self.space.directory)
        return self._environment.get(name) or (self.threads() if name == THREADS else "")

    def present(self, path: str) -> str:
        """The version that lies at a path now."""
        known = self._present.get(path)
        if known is None:
            known = self._present[path] = self.space.look(path)
        return known

    def look_again(self) -> bool:
        """Look again at all on disk that was asked for; whether it is as it was. If not, all of that is forgotten."""
        same = (
            all(self.space.look(path) == known for path, known in self._present.items())
            and all(existence(self.space.absolute(path)) == known for path, known in self._existences.items())
            and all(self._list(directory) == known for directory, known in self._entries.items())
            and all(self.space.restorable({p: v}) == known for (p, v), known in self._restorable.items())
        )
        if not same:
            self._forget_disk()
        return same

    def _forget_disk(self) -> None:
        for asked in (self._present, self._truths, self._existences, self._entries, self._restorable):
            asked.clear()

    def refresh(self) -> None:
        """A cell ran: look again at what lies where."""
        self._forget_disk()
        self._asked.clear()
        self._newest.clear()
        self._last = None
        self._kept.clear()
        self._found |= self._ledger.found(self._notebook)
        self._note_products()

    def _note_products(self) -> None:
        here = {cell.id for cell in self.cells}
        touches = [touch for touch in self._ledger.touches() if touch.before != touch.after]
        self._made |= {touch.path for touch in touches if touch.cell in here}
        self._story |= {touch.path for touch in touches}
        self._products = frozenset(self._found) | self._story

    def foreign(self, path: str, version: str) -> bool:
        """Whether a state of a product was made by something that is no cell."""
        return (
            version != ABSENT and not self._ledger.written(path, version) and not self._ledger.made_in_cell(version)
        )

    def restorable(self, path: str, version: str) -> bool:
        """Whether a version lies at its path or can be brought there."""
        if self.present(path) == version:
            return True
        known = self._restorable.get((path, version))
        if known is None:
            known = self._restorable[path, version] = self.space.restorable({path: version})
        return known

    def found(self, path: str) -> str:
        """The version of a product that the notebook finds before any of its cells runs."""
        known = self._truths.get(path)
        if known is None:
            known = self._truths[path] = self._find(path)
        return known

    def _find(self, path: str) -> str:
        present = self.present(path)
        known = self._found.get(path)
        if known is None or known == present:
            return present
        if not self.foreign(path, present):
            if path not in self._story:
                return present  # only ever read: what is there counts, or that nothing is
            return known
        if known == ABSENT and path in self._made:
            return known  # made by a cell, changed by hand: it will be made, or brought back, as it was
        return present

    def news(self) -> dict[str, str]:
        """Products of which the notebook now finds another version than it once did."""
        return {path: now for path, known in self._found.items() if (now := self.found(path)) != known}

    def existence(self, path: str) -> str:
        """Whether something is at a path that no cell of the walk has touched; see simulate.existence."""
        if path in self._found:
            return "no" if self.found(path) == ABSENT else "yes"
        known = self._existences.get(path)
        if known is None:
            known = self._existences[path] = existence(self.space.absolute(path))
        return known

    def entries(self, directory: str) -> frozenset[str]:
        """Names in a directory before any cell ran."""
        known = self._entries.get(directory)
        if known is None:
            known = self._entries[directory] = self._list(directory)
        names = set(known)
        for path in self._found:
            if os.path.dirname(path) == directory:
                (names.discard if self.found(path) == ABSENT else names.add)(os.path.basename(path))
        return frozenset(names)

    def _list(self, directory: str) -> frozenset[str]:
        try:
            return frozenset(os.listdir(self.space.absolute(directory))) - IGNORED
        except OSError:
            return frozenset()

    def left_over(self, products: Iterable[str]) -> dict[str, str]:
        """Products that cells made or changed which are no longer in the notebook: path -> version as it was found."""
        there = set(products)
        return {
            path: self.found(path)
            for path in sorted(self._found)
            if path not in there
            and self.present(path) != self.found(path)
            and not self.foreign(path, self.present(path))
        }

    def known_products(self) -> frozenset[str]:
        """Every product that the notebook's cells ever touched."""
        return self._products

    def close(self) -> None:
        """Close what was opened."""
        self.space.close()
