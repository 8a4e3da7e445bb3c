"""A re-run in a kernel that lives on, for a client elsewhere: it has the kernel, and hears here what to execute next.

What goes to and fro is plain data. Between two answers nothing is held but the place in the notebook: not the
workspace's lock, and nothing that a kernel waits for.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from casa_recompute.installation import Installation
from casa_recompute.notebook.model import CellSource, Plan
from casa_recompute.notebook.rerun import Edited, Rerun, Step
from casa_recompute.settings import Settings, load_settings

Answer = dict[str, Any]
"""``steps``: what to do, in this order; only the last one is waited for (see :meth:`Walk.go_on`). ``refused``: the cell
that was reported could not begin and shows what it did before. ``done``: None, or what came of the walk."""


class Misuse(ValueError):
    """What is reported does not fit what was asked for; the message says why."""


class Walk:
    """One walk through a notebook. For one thread at a time."""

    def __init__(
        self,
        directory: Path,
        notebook: str,
        cells: Sequence[CellSource],
        settings: Settings | None = None,
        *,
        everything: bool = False,
        to: str | None = None,
        held: Callable[[], Mapping[str, str]] = dict,
        casa: Installation | None = None,
        patience: float | None = None,
        outputs_limit: int = 32 << 20,
    ) -> None:
        """
        Args:
            directory, notebook, cells, settings, everything, to, casa, patience: see :class:`Rerun`.
            held: tells the names that the kernel has and nobody could bring back, and their versions.
            outputs_limit: bytes of outputs after which an answer ends; one cell's may be more.

        Raises:
            As :class:`Rerun`.
        """
        self.notebook = notebook
        self.cell: str | None = None
        """The cell that is waited for."""
        self._directory, self._settings, self._casa = directory, settings or load_settings(), casa
        self._to, self._held, self._patience, self._outputs_limit = to, held, patience, outputs_limit
        self._todo = {cell.id for cell in cells} if everything else set[str]()
        self._saved_s = 0.0
        self._awaited: Step | None = None
        self._refused = False
        self._failed: str | None = None
        self._final: dict[str, dict[str, str]] | None = None
        self._rerun = self._begin(cells)
        self._steps = self._rerun.steps()

    def _begin(self, cells: Sequence[CellSource]) -> Rerun:
        return Rerun(
            self._directory,
            self.notebook,
            cells,
            self._settings,
            everything=self._todo,
            to=self._to,
            held=self._held(),
            casa=self._casa,
            patience=self._patience,
        )

    def plan(self) -> Plan:
        """The plan as things are now.

        Raises:
            WorkspaceBusy: somebody else is at work; ask again.
        """
        with self._rerun.at_work(self._patience):
            return self._rerun.plan()

    def go_on(self, ok: bool | None = None, cells: Sequence[CellSource] | None = None, stop: bool = False) -> Answer:
        """Report how the last step went, and hear the next ones.

        A step has ``cell``, ``index``, ``action``, ``reasons``, ``estimate_s``, ``state`` and ``outputs``. Actions:
        "keep" (nothing), "restore" (show ``outputs``), "execute" (with ``state`` as ``metadata.casa.state`` of the
        request), and at the end "settle" (a silent request of any code that is no cell, with ``state``).

        Args:
            ok: whether the cell, or the end, was executed without an error; None where nothing was to be executed.
            cells: the notebook's cells, if they are others by now: the walk goes through them from the top, and what
                was executed stands.
            stop: do not go on with other cells; everything is left as after those that were passed.

        Raises:
            Misuse: see there. The walk goes on.
            WorkspaceBusy: somebody else is at work; nothing has been done: ask again.
            NotRecorded, Edited, VersionLost, OSError: the walk is over.
        """
        if ok is None and (self._awaited is not None or self._final is not None):
            raise Misuse("how did what was to be executed end? `ok` is missing")
        if cells is not None and self._to is not None and all(cell.id != self._to for cell in cells):
            raise Misuse("the cell to which the notebook was to be run is no longer there")
        with self._rerun.at_work(self._patience):
            if self._final is not None:
                return self._end()
            reported, self._awaited, self.cell = self._awaited, None, None
            ahead: list[Step] = []
            if reported is not None and ok is not None:
                reported.done(ok)
                with contextlib.suppress(Edited) if cells is not None else contextlib.nullcontext():
                    ahead += [step for step in [next(self._steps, None)] if step is not None]
                self._todo -= {reported.cell.id} if ok else set()
                self._failed = None if ok or reported.refused else reported.cell.id
                self._refused = reported.refused
            if cells is None or self._failed is not None:
                return self._next(ahead, stop)
        new = self._begin(cells)
        self._saved_s += self._rerun.saved_s
        self.close()
        self._rerun, self._steps = new, new.steps()
        with new.at_work(self._patience):
            return self._next([], stop)

    def _next(self, ahead: list[Step], stop: bool) -> Answer:
        refused, self._refused = self._refused, False
        told: list[dict[str, Any]] = []
        size = 0
        if stop:
            self._steps.close()
            self._rerun.stop()
        while not stop and (step := ahead.pop() if ahead else next(self._steps, None)) is not None:
            told.append(_as_json(step))
            if step.action == "execute":
                self._awaited, self.cell = step, step.cell.id
                return {"steps": told, "refused": refused, "done": None}
            size += len(json.dumps(step.outputs)) if step.outputs else 0
            if size > self._outputs_limit:
                return {"steps": told, "refused": refused, "done": None}
        self._final = self._rerun.final()
        told.append({**_NOTHING, "action": "settle", "state": {"settle": self._final}})
        return {"steps": told, "refused": refused, "done": None}

    def _end(self) -> Answer:
        assert self._final is not None
        changed = sorted({*self._final["products"], *self._rerun.finish()})
        saved_s = self._saved_s + self._rerun.saved_s
        done = {"failed": self._failed, "changed": changed, "saved_s": round(saved_s, 3)}
        return {"steps": [], "refused": False, "done": done}

    def close(self) -> None:
        """Give up what is open; harmless when done already."""
        self._steps.close()
        self._rerun.close()


_NOTHING: Mapping[str, Any] = {
    "cell": None,
    "index": None,
    "action": "",
    "reasons": [],
    "estimate_s": 0.0,
    "state": None,
    "outputs": None,
}


def _as_json(step: Step) -> dict[str, Any]:
    return {
        "cell": step.cell.id,
        "index": step.cell.index,
        "action": step.action,
        "reasons": [asdict(reason) for reason in step.reasons],
        "estimate_s": round(step.estimate_s, 3),
        "state": step.state if step.action == "execute" else None,
        "outputs": step.outputs if step.action == "restore" else None,
    }
