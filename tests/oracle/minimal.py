"""How few cells could a correct re-run execute?

A cell must be executed when no earlier successful execution in this workspace had the same meaning and the same true
inputs (see plain.py). Whoever executes fewer serves stale results; whoever executes more does too much.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.oracle.normalform import Snapshot, snapshot
from tests.oracle.plain import Inputs, Reference, contents, hidden_state, meaning, tree_digest, user_names


@dataclass(frozen=True)
class Situation:
    """All that a cell found when it was executed by hand, whatever it looked at."""

    meaning: str
    names: Snapshot
    files: Mapping[str, str | None]
    present: frozenset[str]
    hidden: Mapping[str, Any]

    @classmethod
    def now(cls, source: str, namespace: Mapping[str, Any], directory: Path) -> Situation:
        """What a cell finds that is about to be executed, in the present directory."""
        held = contents(directory)
        names = {name.rstrip("/") for name in held}
        digests = {name: tree_digest(str(directory / name)) for name in names}
        values = snapshot(namespace, user_names(namespace))
        return cls(meaning(source), values, digests, frozenset(names), hidden_state(source, namespace))

    def covers(self, inputs: Inputs) -> bool:
        """Whether an execution with these true inputs would have done here what it does there."""
        return (
            self.meaning == inputs.meaning
            and self.names.joint(inputs.names) == inputs.values
            and all(self._holds(name) == value for name, value in inputs.files)
        )

    def _holds(self, name: str) -> Any:
        if name in self.hidden:
            return self.hidden[name]
        kind, _, path = name.partition(" ")
        if kind == "exists":
            return path in self.present
        if kind == "list":
            prefix = "" if path == "." else path + "/"
            return tuple(
                sorted(
                    name.removeprefix(prefix)
                    for name in self.present
                    if name.startswith(prefix) and name.endswith(".txt") and "/" not in name.removeprefix(prefix)
                )
            )
        return self.files.get(name)


@dataclass
class Known:
    """What was executed successfully in a workspace."""

    exact: set[Inputs] = field(default_factory=set)
    by_hand: list[Situation] = field(default_factory=list)

    def must_run(self, reference: Reference) -> set[str]:
        """The cells that cannot but be executed, up to the one that fails; of equal ones the first."""
        must: set[str] = set()
        known = set(self.exact)
        for cell, inputs in reference.inputs.items():
            if inputs in known or any(one.covers(inputs) for one in self.by_hand):
                continue
            must.add(cell)
            if reference.shown[cell].ok:
                known.add(inputs)
        return must

    def executed(self, reference: Reference, cells: Iterable[str]) -> None:
        """Cells were executed in a state of names and files like the reference's."""
        self.exact |= {reference.inputs[cell] for cell in cells if reference.shown[cell].ok}
