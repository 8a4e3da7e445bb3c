"""A cell runs at its place in the story: which version of a product does that place imply?

For each cell the ledger knows what its last run did to each product (``Touch``: version before, version after).
From these and the order of the cells follows the state in which a cell above left a product, and, where no cell
above touched it, the state in which the notebook found it.
"""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from casa_recompute.ledger import Ledger, Touch
from casa_recompute.products import ABSENT

OUTSIDE = " (outside)"
"""Appended to a cell's id: a change by something that is no cell, made after that cell had run."""
SAME_STORY = 0.5
"""How alike the cells of two batch runs must be for them to be runs of one notebook (difflib ratio)."""

STATE = ("names", "anew", "aside", "bound", "products", "makers")
"""The parts of a cell's ``state``."""


@dataclass(frozen=True)
class Cell:
    """The cell that is being executed.

    ``id`` is "" in a batch run whose client names no cells (nbclient, papermill, nbconvert); ``order`` holds the ids
    of all code cells from top to bottom, None when it is not known. ``state``, from notebook/rerun.py, says from which
    versions the cell is to run: ``names`` (name -> version), ``anew`` (the same of names that it binds whatever they
    were), ``aside`` (of names that it may bind but does not read), ``bound`` (of all names there), ``products`` (path
    -> version), and ``makers`` (resource -> cell that had made it); without it products are as the cells above last
    left them, and names as they are.
    """

    id: str
    order: tuple[str, ...] | None = None
    notebook: str | None = None
    source: str = ""
    state: Mapping[str, Mapping[str, str]] | None = None


@dataclass
class Place:
    """A cell's place in its notebook, with what its present run did so far."""

    cell: str
    above: tuple[str, ...]
    below: tuple[str, ...]
    notebook: str
    run: int
    ordered: bool = True
    touched: dict[str, Touch] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)  # product -> version in which this run met it

    def touch(self, path: str, before: str, after: str) -> Touch:
        """Note what was done to a product; later steps of the same run add to earlier ones."""
        self.first.setdefault(path, before)
        first = self.touched.get(path)
        touch = Touch(self.cell, path, self.notebook, first.before if first else before, after)
        self.touched[path] = touch
        return touch


def implied(path: str, place: Place, touches: Sequence[Touch], present: str, foreign: bool) -> str:
    """The version of ``path`` that a cell's place implies.

    Args:
        path: the product.
        place: the cell, and what its run did so far.
        touches: what all cells, as they last ran, did.
        present: the version that lies at ``path`` now.
        foreign: whether that is a version which no cell made.

    Returns:
        The version; ``present`` where the story says nothing of the product, or does not know what lies there: then
        what is there is what the user means.
    """
    if path in place.touched:
        return place.touched[path].after
    changes = {touch.cell: touch for touch in touches if touch.path == path and touch.before != touch.after}
    if foreign and not any(present in (touch.before, touch.after) for touch in changes.values()):
        return present
    if not place.ordered:
        own = changes.get(place.cell)
        return own.before if own is not None and (present == own.after or own.before == ABSENT) else present
    for cell in reversed(place.above):
        if cell in changes:
            outside = changes.get(cell + OUTSIDE)
            valid = outside is not None and outside.before == changes[cell].after
            return outside.after if outside is not None and valid else changes[cell].after
    for cell in (place.cell, *place.below, *_gone(place, changes)):
        if cell in changes:
            # What somebody changed by hand is not taken away because its maker runs again: CASA's rule decides.
            found = found_version(changes[cell].before, [t for t in changes.values() if t.notebook == place.notebook])
            by_hand = found == ABSENT and any(
                touch.after == present for other, touch in changes.items() if other.endswith(OUTSIDE)
            )
            return present if by_hand else found
    return present


def found_version(version: str, changes: Sequence[Touch]) -> str:
    """The version in which a notebook found a product: from one of its states back to the first of the chain."""
    makers = {change.after: change.before for change in changes if change.before != change.after}
    seen = set[str]()
    while version in makers and version not in seen:
        seen.add(version)
        version = makers[version]
    return version


def _gone(place: Place, changes: Mapping[str, Touch]) -> list[str]:
    """Cells that were deleted from this notebook: in a run from the top they would write nothing."""
    there = {*place.above, place.cell, *place.below}
    return [
        cell
        for cell, touch in changes.items()
        if touch.notebook == place.notebook and cell.removesuffix(OUTSIDE) not in there
    ]


def behind(path: str, place: Place, touches: Sequence[Touch]) -> str | None:
    """The nearest cell above that changed ``path`` but has not run since a cell above itself changed it anew."""
    changes = {touch.cell: touch for touch in touches if touch.path == path and touch.before != touch.after}
    chain = [changes[cell] for cell in place.above if cell in changes]
    for earlier, later in zip(chain, chain[1:], strict=False):
        if later.before != earlier.after:
            return later.cell
    return None


def outside_change(touches: Sequence[Touch], path: str, version: str) -> Touch | None:
    """What the story is to say once ``path`` was found changed by something that is no cell.

    Returns:
        For a product that the notebook made: a touch that follows its last maker. None for one that the notebook
        found: it is new raw data, and nothing that was done to the old applies.
    """
    changes = [t for t in touches if t.path == path and t.before != t.after and not t.cell.endswith(OUTSIDE)]
    if not any(touch.before == ABSENT for touch in changes):
        return None
    taken_up = {touch.before for touch in changes}
    last = next((touch for touch in changes if touch.after not in taken_up), changes[-1])
    return Touch(last.cell + OUTSIDE, path, last.notebook, last.after, version)


class BatchStory:
    """Gives the cells of a batch run that names none their identity: the run's resemblance to earlier ones.

    A client such as nbclient executes cells in order in a fresh kernel, so a cell is its ordinal in the story, and
    the story is the earlier one whose cells up to here are most alike. Which one that is, is settled when the first
    product is touched.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._earlier = dict(ledger.stories())
        self._sources: list[str] = []
        self._id: str | None = None

    def place(self, source: str, run: int) -> Place:
        """The place of the next cell."""
        self._sources.append(source.strip())
        story = self._id or self._resembling()
        count = max(len(self._sources), len(self._earlier.get(story, [])))
        ids = tuple(f"batch-{story}-{number}" for number in range(count))
        here = len(self._sources) - 1
        return Place(ids[here], ids[:here], ids[here + 1 :], f"batch-{story}", run)

    def settle(self, place: Place) -> None:
        """The cell at ``place`` touched a product: from now on the story is the one it belongs to."""
        self._id = place.notebook.removeprefix("batch-")
        rest = self._earlier.get(self._id, [])[len(self._sources) :]
        self._ledger.set_story(self._id, self._sources + rest)

    def _resembling(self) -> str:
        text = "\n".join(self._sources)
        best, best_ratio = "", SAME_STORY
        for story, sources in self._earlier.items():
            other = "\n".join(sources[: len(self._sources)])
            ratio = difflib.SequenceMatcher(None, text, other, autojunk=False).ratio()
            if ratio > best_ratio:
                best, best_ratio = story, ratio
        return best or uuid.uuid4().hex[:12]
