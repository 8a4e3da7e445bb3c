"""Words of this room: a cell as it stands, a cell run as it was recorded, a plan as it is told.

A *resource* is what cells exchange. It is written ``n:<name>`` (a Python name), ``p:<path>`` (a data product),
``e:<path>`` (whether something is at a path), ``d:<directory>`` (which names a directory holds), ``b:`` (which
names are bound), ``h:`` (``Out``, ``_`` and the like).
A *version* of a resource is a text: two equal versions mean that no cell can tell the difference.

Versions of names: ``absent``; ``i-<hash>`` a value that cannot be changed in place; ``d-<hash>`` one that can;
``k-<hash>`` a value that could not be digested, named after the run that made it (its source and all that it read).
Names that share an object which can be changed in place have ``+<hash of their values taken together>`` appended,
the same text for all of them: changing one changes all, and they are kept and brought back together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

from casa_recompute.products import ABSENT as ABSENT

SCHEMA = 1
"""Version of the JSON objects of ``plan`` and ``graph``."""
THREADS = "threads"
"""In a cell run's environment: of its tasks, whose results may depend on their number."""
WORKSPACE = "workspace"
"""In a cell run's environment: it made something that holds absolute paths (a virtual model), which hold only there."""


@dataclass(frozen=True, slots=True)
class CellSource:
    """A code cell as it stands in the notebook, and the digest of the outputs that it shows (outputs.py).

    ``shown`` None: nobody has looked; it is taken to show what its run had shown.
    """

    id: str
    index: int  # position among all cells of the notebook, as in the .ipynb
    source: str
    shown: str | None


@dataclass(frozen=True)
class CallUse:
    """A task call that a cell run made."""

    task: str
    key: str | None  # None: it was watched, or failed
    action: str  # "ran", "restored", "watched", "failed"
    seconds: float  # of computation, when it ran; 0 when it was restored
    cpu_s: float | None = None  # with that of its programs; None: it did not run, or nobody knows
    memory_bytes: int | None = None  # its most, and that of each of its programs, added; None: as of cpu_s


@dataclass(frozen=True)
class CellRun:
    """The record of one execution of a cell."""

    id: int
    cell: str
    notebook: str
    meaning: str  # source.meaning(source)
    source: str
    started: float  # Unix seconds
    seconds: float
    outcome: str  # "ok", "error", "interrupted"
    error: str = ""
    reads: Mapping[str, str] = field(default_factory=dict)  # resource -> version as it was before the cell
    writes: Mapping[str, str] = field(default_factory=dict)  # resource (n:, p:) -> version after the cell
    rebound: frozenset[str] = frozenset()  # resources of `writes` made anew, not changed in place
    origins: Mapping[str, str] = field(default_factory=dict)  # resource read -> cell that had made that version
    impure: tuple[str, ...] = ()  # in words: "random numbers", "the clock", "the network", "the keyboard" ...
    outside: tuple[str, ...] = ()  # paths outside the workspace that were written: cannot be taken back
    unkept: tuple[str, ...] = ()  # names whose values could not be kept
    calls: tuple[CallUse, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)  # package -> version; WORKSPACE -> where it was
    shown: str = ""  # digest of its outputs

    @cached_property
    def reads_shown(self) -> tuple[str, ...]:
        """Names and products that it read, as people read them; what was not there is left out."""
        return _shown(self.reads)

    @cached_property
    def writes_shown(self) -> tuple[str, ...]:
        """The same of what it wrote."""
        return _shown(self.writes)


def _shown(resources: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted([r[2:] for r, v in resources.items() if v != ABSENT and r[0] in "np"]))


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a cell is not fresh; ``because_of`` is the id of another cell."""

    kind: str  # see KINDS
    subject: str
    message: str
    because_of: str | None = None


KINDS = {
    "edited": "the cell says something else than when it ran",
    "never-run": "the cell has never run",
    "input": "a cell above made another value or product",
    "file": "a file was changed outside the notebook",
    "missing": "a product is not there",
    "order": "what the cell reads now comes from another cell",
    "environment": "CASA or Python is another version, or absolute paths that it made lead elsewhere",
    "overwritten": "when it ran, it read what a cell below had made",
    "failed": "it failed, or was interrupted, when it last ran",
    "upstream": "a cell above will run first",
    "needed": "a value of this cell could not be kept, and another cell needs it",
    "output": "what it shows is not what its run had shown",
    "lost": "what is needed is no longer in the store",
}


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call that the plan expects a cell to make."""

    task: str
    key: str | None
    action: str  # "run", "restore", "none"
    estimate_s: float


@dataclass(frozen=True, slots=True)
class CellPlan:
    """One cell's part of a plan; see DESIGN: fresh, stale, restorable, maybe."""

    id: str
    index: int
    state: str
    reasons: tuple[Reason, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    calls: tuple[PlannedCall, ...] = ()
    estimate_s: float = 0.0
    impure: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Its part of the object that ``plan --json`` prints."""
        return {
            "id": self.id,
            "index": self.index,
            "state": self.state,
            "reasons": [
                {"kind": r.kind, "subject": r.subject, "message": r.message, "because_of": r.because_of}
                for r in self.reasons
            ],
            "reads": list(self.reads),
            "writes": list(self.writes),
            "calls": [
                {"task": c.task, "key": c.key, "action": c.action, "estimate_s": c.estimate_s} for c in self.calls
            ],
            "estimate_s": round(self.estimate_s, 3),
            "impure": list(self.impure),
            "outside": list(self.outside),
        }

    def as_text(self) -> str:
        """The same as JSON text, put together in a third of the time that ``json.dumps`` takes."""
        reasons = [
            f'{{"kind": {_quoted(r.kind)}, "subject": {_quoted(r.subject)}, "message": {_quoted(r.message)}, '
            f'"because_of": {_quoted(r.because_of) if r.because_of is not None else "null"}}}'
            for r in self.reasons
        ]
        calls = json.dumps(self.as_json()["calls"]) if self.calls else "[]"
        return (
            f'{{"id": {_quoted(self.id)}, "index": {self.index}, "state": {_quoted(self.state)}, '
            f'"reasons": [{", ".join(reasons)}], "reads": {_listed(self.reads)}, "writes": {_listed(self.writes)}, '
            f'"calls": {calls}, "estimate_s": {round(self.estimate_s, 3)!r}, '
            f'"impure": {_listed(self.impure)}, "outside": {_listed(self.outside)}}}'
        )


def _listed(texts: tuple[str, ...]) -> str:
    return f"[{', '.join([_quoted(text) for text in texts])}]" if texts else "[]"


@dataclass(frozen=True)
class Plan:
    """What it takes to make a notebook fresh."""

    notebook: str
    revision: int  # number of the newest cell run in the ledger
    fresh: bool
    estimate_s: float
    cells: tuple[CellPlan, ...]
    restores: tuple[str, ...] = ()  # products that are to be brought back to their last version

    def as_json(self) -> dict[str, Any]:
        """The object that ``plan --json`` prints."""
        return {
            "schema": SCHEMA,
            "notebook": self.notebook,
            "revision": self.revision,
            "fresh": self.fresh,
            "estimate_s": round(self.estimate_s, 3),
            "restores": list(self.restores),
            "cells": [cell.as_json() for cell in self.cells],
        }
