"""The tasks of the CASA that kernels use, for a palette and for help."""

from __future__ import annotations

import inspect
import json
import math
import re
import statistics
from contextlib import closing
from pathlib import Path
from typing import Any

from casa_recompute.installation import Installation
from casa_recompute.runner import CasaNotLoaded
from casa_recompute.settings import Settings, SettingsError
from casa_recompute.tasks import CasaNotFound, Catalogue, effects, rules
from casa_recompute.tasks.model import Condition, Parameter, Task
from jupyterlab_casa.managers.base import Conflict, Manager, NotThere, reading
from jupyterlab_casa.managers.products import told

SCHEMA = 1
"""Version of the JSON objects."""
_ACCESSES = {
    "reads": "read",
    "modifies": "modify",
    "writes": "write",
    "may_write": "may write",
    "prefix": "continue",
    "annotates": "annotate",
}
"""Rules of the effects table, and what they say of the data that parameters name."""
_LAST = 50
"""Runs of a task that tell how long it usually takes."""
_LAYOUT = re.compile(r"\S {2,}\S|\t|^\s*([-*#>]|\w+\s*(=|--|:\s))", re.MULTILINE)
"""What says that lines are to stay as they are: columns, lists, assignments."""


class Tasks(Manager):
    """Lists and describes tasks. CASA itself is not loaded."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._known: tuple[Settings, Catalogue] | None = None
        self._told: dict[str, bytes] = {}

    async def list(self) -> dict[str, Any]:
        """All tasks: name, summary, categories, names of parameters.

        Raises:
            Conflict: there is no CASA.
        """
        return await self.once("list", self._list)

    async def get(self, name: str, path: str | None = None) -> dict[str, Any] | bytes:
        """One task with its parameters, conditions, docs and effects, as JSON.

        Args:
            name: of the task.
            path: of a workspace, or of a notebook in it: then also how long the task took there.

        Raises:
            NotThere: there is no such task, or no such place.
            Conflict: there is no CASA, or the workspace's memory cannot be read.
        """
        if path is None:
            return await self.once(name, lambda: self._get(name))
        directory = self.root.workspace(path)

        def found() -> dict[str, Any]:
            return {**json.loads(self._get(name)), "here": told(directory, lambda: durations(directory, name))}

        return await self.once((name, directory), found)

    def _list(self) -> dict[str, Any]:
        catalogue = self._catalogue()
        tasks = [
            {
                "name": task.name,
                "summary": task.summary,
                "categories": [*task.categories],
                "package": task.package,
                "parameters": [parameter.name for parameter in task.parameters],
            }
            for task in map(catalogue.__getitem__, sorted(catalogue))
        ]
        return {"schema": SCHEMA, "version": catalogue.version, "tasks": tasks}

    def _get(self, name: str) -> bytes:
        catalogue = self._catalogue()
        if name not in catalogue:
            raise NotThere(f"there is no task {name[:100]!r}")
        if name not in self._told:
            answer = {"schema": SCHEMA, "version": catalogue.version, **described(catalogue[name])}
            self._told[name] = json.dumps(answer).encode()
        return self._told[name]

    def _catalogue(self) -> Catalogue:
        try:
            settings = self.settings
            if self._known is None or self._known[0] != settings:
                self._known = settings, Installation(settings).catalogue
                self._told.clear()
        except (CasaNotFound, CasaNotLoaded, SettingsError) as error:
            raise Conflict(str(error)) from error
        return self._known[1]


def described(task: Task) -> dict[str, Any]:
    """A task as JSON. Texts are plain text, never markup: ``<`` is a character in them."""
    return {
        "name": task.name,
        "package": task.package,
        "summary": task.summary,
        "categories": [*task.categories],
        "parameters": [_parameter(parameter) for parameter in task.parameters],
        "conditions": [_condition(condition) for condition in task.conditions],
        "docs": blocks(task.description),
        "example": blocks(task.example),
        "effects": _effects(task.name),
    }


def durations(directory: Path, task: str) -> dict[str, Any]:
    """How often a task ran in a workspace, and how long its last runs took, in seconds."""
    try:
        with closing(reading(directory)) as ledger:
            count, seconds = ledger.durations(task, _LAST)
    except NotThere:
        count, seconds = 0, []
    ends = {"shortest_s": min(seconds, default=None), "longest_s": max(seconds, default=None)}
    return {"runs": count, "typical_s": statistics.median(seconds) if seconds else None, **ends}


def _effects(name: str) -> dict[str, Any]:
    entry = effects.table().get(name, effects.Entry())
    uses = [
        {"access": access, "rule": text, "parameters": sorted(rules.target_names(rules.parse(text).target))}
        for field, access in _ACCESSES.items()
        for text in getattr(entry, field)
    ]
    return {"trusted": entry.trusted, "network": bool(entry.network), "notes": entry.notes, "uses": uses}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "type": parameter.type,
        "kind": parameter.kind,
        "default": _plain(parameter.default),
        "allowed": _plain(parameter.allowed),
        "units": parameter.units,
        "summary": parameter.shortdescription,
        "docs": blocks(parameter.description),
        "subparameter": parameter.subparameter,
        "hidden": parameter.hidden,
        "must_exist": parameter.must_exist,
        "keyword_only": parameter.keyword_only,
    }


def _condition(condition: Condition) -> dict[str, Any]:
    return {
        "parameter": condition.parameter,
        "equals": condition.equals,
        "value": _plain(condition.value),
        "defaults": {name: _plain(value) for name, value in condition.defaults},
    }


def _plain(value: Any) -> Any:
    """A value as JSON has it, which knows no infinity."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def blocks(text: str) -> list[dict[str, str]]:
    """A text of CASA's as what a help panel shows: paragraphs, whose lines may flow, and what is laid out in lines."""
    found: list[dict[str, str]] = []
    for part in re.split(r"\n[ \t]*\n", inspect.cleandoc(text.expandtabs())):
        lines = part.strip("\n").rstrip().split("\n")
        if not any(line.strip() for line in lines):
            continue
        indents = {len(line) - len(line.lstrip()) for line in lines[1:]}
        if len(indents) > 1 or any(_LAYOUT.search(line.strip()) for line in lines):
            kind, said = "preformatted", "\n".join(lines)
        else:
            kind, said = "paragraph", " ".join(line.strip() for line in lines)
        if kind == "preformatted" and found and found[-1]["kind"] == kind:
            found[-1]["text"] += f"\n\n{said}"
        else:
            found.append({"kind": kind, "text": said})
    return found
