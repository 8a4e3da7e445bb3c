"""Going through a notebook from the top without running it: which recorded run stands behind each cell?

A cell is deterministic: the same text on the same inputs gives the same. So a recorded run stands for a cell when it
said the same and everything it read is, at the cell's place, what it was then. What it wrote is then what the cells
below find. (Build systems call such records constructive traces: Mokhov, Mitchell and Peyton Jones, "Build systems
a la carte", ICFP 2018.)
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from casa_recompute.notebook.model import ABSENT, CellRun, CellSource

UNKNOWN = "?"
"""The version of what a cell that has to run will have made."""
HISTORY, PRODUCTS, ALL = "h:", "p", "*"
"""As something that is asked for: what the cells above say; all products that a cell wrote; whatever there is."""
RANDOM = "<random>"
NUMPY_RANDOM = "<numpy.random>"
GENERATORS = (RANDOM, NUMPY_RANDOM)
"""The states of the global random number generators, treated like names: ``absent`` means that nobody seeded them."""
DIRECTORY, ENVIRONMENT, SEARCH_PATH = "<directory>", "<environment>", "<search path>"
PRINTING, PLOTTING, PANDAS = "<printing>", "<plotting>", "<pandas>"
PROCESS = {
    RANDOM: "the state of `random`",
    NUMPY_RANDOM: "the state of `numpy.random`",
    DIRECTORY: "the working directory",
    ENVIRONMENT: "the environment variables",
    SEARCH_PATH: "the search path of modules",
    PRINTING: "how numpy prints",
    PLOTTING: "the settings of matplotlib",
    PANDAS: "the options of pandas",
}
"""All that cells share without a name and that is treated like one, in words: ``absent`` means as in a new kernel."""


class Facts(Protocol):
    """What is known of the past and the present; lookups only."""

    def meaning(self, source: str) -> str:
        """See source.meaning."""

    def runs(self, meaning: str) -> Iterable[CellRun]:
        """Recorded runs of cells that said this and ended well, newest first."""

    def last_run(self, cell: str) -> CellRun | None:
        """How a cell ran last, whatever came of it."""

    def found(self, path: str) -> str:
        """The version of a product that the notebook finds before any of its cells runs."""

    def entries(self, directory: str) -> frozenset[str]:
        """Names in a directory as it is now, and below which no cell made anything."""

    def existence(self, path: str) -> str:
        """See :func:`existence`; of a path that no cell of the walk has touched."""

    def environment(self, name: str) -> str:
        """Version of a package now."""


class State:
    """Versions of all resources at one place in the notebook, and which cell made each."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.versions: dict[str, str] = {}
        self.makers: dict[str, str] = {}
        self._products: dict[str, str] = {}  # path -> version: those of `versions`
        self.passed: list[str] = []  # meanings of the cells above
        self.asked: set[str] = set()
        """What was asked for since somebody emptied it: resources, and ``PRODUCTS``, ``HISTORY``, ``ALL``."""
        self.mark = 0
        """Of all products that a cell wrote, their versions, makers and sequence: equal marks mean equal products."""
        self._groups: dict[str, set[str]] = {}  # shared part of a version -> names that have it

    def __getitem__(self, resource: str) -> str:
        self.asked.add(resource)
        known = self.versions.get(resource)
        if known is not None:
            return known
        kind, path = resource[:2], resource[2:]
        if kind == "p:":
            return self._facts.found(path)
        if kind == "e:":
            return self._existence(path)
        if kind == "d:":
            return self._listing(path)
        if kind == "b:":
            bound = self.names()
            return UNKNOWN if UNKNOWN in bound.values() else listing(bound.keys() - PROCESS.keys())
        if kind == HISTORY:
            return history(self.passed)
        return ABSENT

    def copy(self) -> State:
        """The same place, to go on from once more."""
        other = State(self._facts)
        other.versions, other.makers = dict(self.versions), dict(self.makers)
        other._products, other.passed, other.mark = dict(self._products), list(self.passed), self.mark
        other._groups = {group: set(names) for group, names in self._groups.items()}
        return other

    def same(self, other: State) -> bool:
        """Whether no cell from here on can tell the difference, unless it looks at what the cells above say."""
        return (
            self.versions == other.versions
            and self.makers == other.makers
            and list(self._products) == list(other._products)
            and self._groups == other._groups
        )

    def maker(self, resource: str) -> str:
        """The cell that made a resource's present version; "" when no cell did."""
        self.asked.add(resource)
        known = self.makers.get(resource, "")
        if resource == "b:":
            self.asked.add(ALL)
            unknown = (r for r, version in self.versions.items() if version == UNKNOWN and r.startswith("n:"))
            return self.makers[first] if (first := next(unknown, None)) else ""
        if not known and resource[0] in "ed":
            self.asked.add(PRODUCTS)
            below = [path for path in self._products if _within(path, resource[2:])]
            return self.makers[f"p:{below[-1]}"] if below else ""
        return known

    def names(self) -> dict[str, str]:
        """Names that are bound, and their versions."""
        self.asked.add(ALL)
        return {r[2:]: v for r, v in self.versions.items() if r.startswith("n:") and v != ABSENT}

    def products(self) -> dict[str, str]:
        """Products that a cell wrote, and their versions, ``absent`` included."""
        self.asked.add(PRODUCTS)
        return dict(self._products)

    def wrote(self, path: str) -> bool:
        """Whether a cell wrote this product."""
        self.asked.add(f"p:{path}")
        return path in self._products

    def sharing(self, group: str) -> set[str]:
        """Names of which the version has this common part."""
        self.asked.add(ALL)
        return {resource for resource, version in self.versions.items() if shared(version) == group}

    def set(self, resource: str, version: str, maker: str) -> None:
        """A cell made ``version`` of a resource."""
        kind = resource[:2]
        if kind == "p:":
            path = resource[2:]
            if path in self._products:
                self.mark ^= _mark(path, self._products[path], self.makers[resource])
            else:
                self.mark ^= _mark(path, str(len(self._products)))
            self.mark ^= _mark(path, version, maker)
            self._products[path] = version
        elif kind == "n:":
            known = self.versions.get(resource, "")
            if "+" in known:
                self._leave_group(resource, shared(known))
            if "+" in version:
                self._groups.setdefault(shared(version), set()).add(resource)
        self.versions[resource] = version
        self.makers[resource] = maker

    def _leave_group(self, resource: str, group: str) -> None:
        if group not in self._groups:
            return
        left = self._groups[group]
        left.discard(resource)
        if len(left) == 1:  # it shares with nobody any more; larger groups are written anew by the run that saw it
            (alone,) = left
            self.versions[alone] = own(self.versions[alone])
            del self._groups[group]

    def apply(self, run: CellRun, cell: str) -> None:
        """What the cells below find after a cell for which ``run`` stands."""
        self.passed.append(run.meaning)
        for resource in run.rebound:
            known = self.versions.pop(resource, "")
            if "+" in known:
                self._leave_group(resource, shared(known))
        for resource, version in run.writes.items():
            self.set(resource, version, cell)

    def forget(self, resources: Iterable[str], cell: str, meaning: str) -> None:
        """A cell that has to run, and says this, may make these anew."""
        self.passed.append(meaning)
        for resource in resources:
            self.set(resource, UNKNOWN, cell)

    def _existence(self, path: str) -> str:
        self.asked.add(PRODUCTS)
        tracked = [version for product, version in self._products.items() if _within(product, path)]
        if any(v not in (ABSENT, UNKNOWN) for v in tracked):
            return "yes"
        if UNKNOWN in tracked:
            return UNKNOWN
        if path in self._products:
            return "no"
        return self._facts.existence(path)

    def _listing(self, directory: str) -> str:
        self.asked.add(PRODUCTS)
        names = set(self._facts.entries(directory))
        for path, version in self._products.items():
            if _within(path, directory):
                below = path[len(directory) + 1 :] if directory else path
                name, _, deeper = below.partition("/")
                if not name:
                    continue
                if version == UNKNOWN:
                    return UNKNOWN
                if version != ABSENT:
                    names.add(name)
                elif not deeper:
                    names.discard(name)
        return listing(names)


def own(version: str) -> str:
    """A name's version without what it shares with others."""
    return version.partition("+")[0]


def shared(version: str) -> str:
    """The part of a name's version that it has in common with names that share an object with it; or ""."""
    return version.partition("+")[2]


def listing(names: Iterable[str]) -> str:
    """The version of which names there are: of a directory's entries, or of what is bound."""
    text = "\0".join(sorted(names)).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def existence(place: Path, known: bool = False) -> str:
    """The version of whether something is at a path; of a link that is no ``known`` product, where it leads, too."""
    if not known and place.is_symlink():
        return f"-> {os.readlink(place)}"
    return "yes" if os.path.lexists(place) else "no"


def history(meanings: Iterable[str]) -> str:
    """The version of what a cell finds in ``Out``, ``_`` and the like: what the cells above say."""
    return hashlib.blake2b("\0".join(meanings).encode(), digest_size=16).hexdigest()


def _mark(*words: str) -> int:
    text = "\0".join(words).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())


def _within(path: str, directory: str) -> bool:
    return not directory or path == directory or path.startswith(directory + "/")


@dataclass(slots=True)
class Verdict:
    """What going through the notebook says of one cell."""

    cell: CellSource
    run: CellRun | None = None  # the recorded run that stands behind it
    likely: CellRun | None = None  # the one that may, when cells above turn out unchanged
    differing: tuple[tuple[str, CellRun], ...] = ()  # resources that are not as in the nearest run, and that run
    pending: tuple[str, ...] = ()  # resources read that a cell above has yet to make
    environment: tuple[str, ...] = ()  # packages that are another version now
    meaning: str = ""


def judge(cell: CellSource, state: State, facts: Facts) -> Verdict:
    """Find the run that stands behind a cell at its place."""
    verdict = Verdict(cell, meaning=facts.meaning(cell.source))
    nearest: tuple[int, list[str], CellRun] | None = None
    fitting: CellRun | None = None
    for run in facts.runs(verdict.meaning):
        wrong_packages = [name for name, version in run.environment.items() if facts.environment(name) != version]
        if wrong_packages:
            verdict.environment = verdict.environment or tuple(wrong_packages)
            continue
        differing: list[str] = []
        pending: list[str] = []
        for resource, version in run.reads.items():
            now = state[resource]
            if now != version:
                (pending if now == UNKNOWN else differing).append(resource)
        if not differing and not pending:
            if fitting is None:
                fitting = run
            if cell.shown in (None, run.shown):  # of runs that all fit, the one that is shown needs nothing
                fitting = run
                break
            continue
        if not differing and verdict.likely is None:
            verdict.likely, verdict.pending = run, tuple(pending)
        if differing and (nearest is None or len(differing) < nearest[0]):
            nearest = len(differing), differing, run
    if fitting is not None:
        verdict.run, verdict.likely, verdict.pending = fitting, None, ()
    elif verdict.likely is None and nearest is not None:
        last = facts.last_run(cell.id)
        if last is not None and last.meaning == verdict.meaning and last.outcome == "ok":
            differing = [r for r, v in last.reads.items() if state[r] not in (v, UNKNOWN)]
            nearest = (len(differing), differing, last) if differing else nearest
        verdict.differing = tuple((resource, nearest[2]) for resource in nearest[1])
    return verdict


def ordinal(places: Mapping[str, int], cell: str) -> str:
    """How people call a cell: by its number among the code cells. ``places``: the numbers of cells, from 0."""
    return f"cell {places[cell] + 1}" if cell in places else "a cell that is no longer there"
