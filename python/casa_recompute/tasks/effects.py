"""Which data a call of a task reads, changes and creates: the table `effects.toml` and its arguments."""

from __future__ import annotations

import copy
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from . import rules
from .model import Task

Mode = Literal["read", "modify", "write", "prefix", "annotate"]


@dataclass(frozen=True)
class Access:
    """One path that a call touches.

    `path` is as in the argument, or derived from it: absolute, or relative to the working directory. When
    `pattern` is set it is a glob of the same form, and `path` only says where it came from.
    `mode`: "read", an input that stays as it is; "modify", an input that is changed (it may be absent before,
    or gone after); "write", an output that is made anew, what was there before is no input; "prefix", like
    "modify", for one of the products a task keeps under a common name: an input where it exists, and it may
    be changed or created. `role` is the stable name of the use: "vis", "vis.flagversions", "gaintable.1"
    (second of several).
    """

    path: str
    mode: Mode
    role: str
    pattern: str | None = None


@dataclass(frozen=True)
class Effects:
    """Everything a call touches. `optional`: roles of outputs that may legitimately not appear."""

    accesses: tuple[Access, ...]
    trusted: bool  # False: the call is watched (trees compared) and never cached
    cacheable: bool  # False: trusted about files, but the result is of the network: always run
    optional: frozenset[str]
    absolute: bool = False  # True: the results hold absolute paths, so they belong to the place where they were made
    exact: bool = False  # True: the result tells of histories and dates, so data that are merely equal do not do
    reason: str = ""  # one sentence: why not trusted, or not cacheable


@dataclass(frozen=True)
class Entry:
    """One task's entry of the table: rules by access, and what is known about it."""

    reads: tuple[str, ...] = ()
    modifies: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()  # promised: their absence after the call is an error
    may_write: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    annotates: tuple[str, ...] = ()  # images that get an entry in their history
    trusted: bool = False
    untrusted: tuple[str, ...] = ()  # conditions under which the entry is not to be trusted
    absolute: tuple[str, ...] = ()  # conditions under which a product holds the absolute path of another
    exact: bool = False
    network: tuple[str, ...] = ()  # conditions under which the call asks the network ("True": always)
    noninteractive: Mapping[str, Any] | None = None
    evidence: str = "reading only"
    notes: str = ""


_UNKNOWN = Entry(notes="The effects table does not know this task.")
_MODES: tuple[tuple[str, Mode], ...] = (
    ("prefix", "prefix"),
    ("annotates", "annotate"),
    ("modifies", "modify"),
    ("writes", "write"),
    ("may_write", "write"),
    ("reads", "read"),
)


@cache
def table() -> Mapping[str, Entry]:
    """The entries by task name. Raises RuleError when a rule does not follow the grammar."""
    entries = {}
    for name, fields in _document().items():
        if name != "sets":
            arguments: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
            entry = Entry(**arguments)
            for attribute, _ in _MODES:
                for text in getattr(entry, attribute):
                    rules.names(rules.parse(text))
            for text in (*entry.untrusted, *entry.absolute, *entry.network):
                rules.condition_names(rules.parse_condition(text))
            entries[name] = entry
    return entries


@cache
def _document() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("effects.toml").read_text("utf-8"))


@cache
def _sets() -> Mapping[str, tuple[str, ...]]:
    return {name: tuple(members) for name, members in _document()["sets"].items()}


def read_text(path: str) -> str | None:
    """The text of a small file (a calibration library, a list of flag commands), None when there is none to
    read.
    """
    file = Path(path)
    if not file.is_file() or file.stat().st_size > 10_000_000:
        return None
    return file.read_text("utf-8", errors="replace")


def resolve(
    task: Task,
    bound: Mapping[str, Any],
    exists: Callable[[str], bool] = os.path.exists,
    read_text: Callable[[str], str | None] = read_text,
) -> Effects:
    """What a call of `task` with the arguments `bound` (from `Task.bind`) touches, in the order of the table.

    `exists` tells whether a path (relative to the working directory of the call) is there, `read_text` gives
    the text of one that names further tables. Values that name no existing path are no reads: an expression,
    'J2000', or a file of casadata, which its version covers. An unknown task, or a combination without
    evidence, is not `trusted`.
    """
    entry = table().get(task.name, _UNKNOWN)
    call = rules.Call(task.normalise(bound), _sets(), exists, read_text)
    found: dict[tuple[str, str | None], Access] = {}
    optional = set()
    for attribute, mode in _MODES:
        for rule in map(rules.parse, getattr(entry, attribute)):
            for item in rule.paths(call) if rule.holds(call) else ():
                if mode == "read" and item.pattern is None and not exists(item.path):
                    continue
                place = (os.path.normpath(item.path), item.pattern)
                before = found.get(place)
                if before is None:
                    found[place] = Access(item.path, mode, item.role, item.pattern)
                    if attribute == "may_write":
                        optional.add(item.role)
                elif mode == "read" and before.mode == "write":  # written onto its own input
                    found[place] = Access(before.path, "modify", before.role, before.pattern)
    reason = _distrust(entry, call)
    asks = next((c for c in entry.network if _true(c, call)), None)
    return Effects(
        accesses=tuple(found.values()),
        trusted=not reason,
        cacheable=asks is None,
        optional=frozenset(optional),
        exact=entry.exact,
        absolute=any(_true(condition, call) for condition in entry.absolute),
        reason=reason or (f"{task.name} asks the network, whose answer may change." if asks else ""),
    )


def _distrust(entry: Entry, call: rules.Call) -> str:
    if not entry.trusted:
        return entry.notes or "What this task does to files has not been checked by running it."
    doubt = next((c for c in entry.untrusted if _true(c, call)), None)
    return f"With {doubt} it may touch files that its parameters do not name." if doubt else ""


def _true(condition: str, call: rules.Call) -> bool:
    return rules.Rule(condition, "", rules.parse_condition(condition)).holds(call)


def noninteractive(task: Task, bound: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The arguments with everything that would open a window or wait for a person replaced, and, by name, a note
    for each.

    In the table a parameter has its one non-interactive value, or a list of them of which the first is the
    fall-back, or, as a table, a replacement for each interactive value.
    """
    answer = copy.deepcopy(dict(bound))
    notes = {}
    for name, wanted in (table().get(task.name, _UNKNOWN).noninteractive or {}).items():
        given = bound[name]
        if isinstance(wanted, dict):
            fallback = wanted.get(given, given) if isinstance(given, str) else given
        else:
            accepted = wanted if isinstance(wanted, list) else [wanted]
            fallback = given if any(given == a for a in accepted) else accepted[0]
        if fallback != given:
            answer[name] = fallback
            notes[name] = f"{name}={given!r} is not available in a notebook; ran with {name}={fallback!r}."
    return answer, notes
