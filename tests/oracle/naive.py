"""Kernels that know the truth, or do not: what the oracle itself is tested with."""

from __future__ import annotations

import builtins
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.oracle import plain
from tests.oracle.plain import Shown
from tests.oracle.trial import Cells, Disturbance, Rerun


class NaiveKernel:
    """Re-runs everything in an empty directory: always right, and never minimal."""

    def __init__(self, directory: Path, raw: Mapping[str, bytes]) -> None:
        self.directory = directory
        self.notebook = "nb.ipynb"
        self._raw = raw
        self._shown: dict[str, Shown] = {}
        self.restart(False)

    def run(self, cells: Cells, identity: str, ready: Callable[[], None]) -> bool:
        """See trial.Kernel."""
        ready()
        return self._execute(identity, dict(cells)[identity])

    def _execute(self, identity: str, source: str) -> bool:
        self._shown[identity] = plain.execute(source, self.namespace, self.directory)
        return self._shown[identity].ok

    def rerun(self, cells: Cells) -> Rerun:
        """See trial.Kernel."""
        self.restart(False)
        for path in self.directory.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name, data in self._raw.items():
            (self.directory / name).write_bytes(data)
        executed: list[str] = []
        for identity, source in cells:
            if self.skips(identity, source):
                continue
            executed.append(identity)
            if not self._execute(identity, source):
                return Rerun(executed, identity)
        return Rerun(executed)

    def browse(
        self,
        cells: Cells,
        to: str | None = None,
        everything: bool = False,
        disturbance: Disturbance | None = None,
        ready: Callable[[str], None] = lambda identity: None,
    ) -> Rerun:
        """See trial.Kernel."""
        return self.rerun(cells[: 1 + next((n for n, (cell, _) in enumerate(cells) if cell == to), len(cells))])

    def held(self) -> tuple[dict[str, Any], frozenset[str]]:
        """See trial.Kernel."""
        return self.namespace, frozenset()

    def console(self, text: str, silent: bool) -> None:
        """See trial.Kernel."""
        plain.execute(text, self.namespace, self.directory)

    def skips(self, identity: str, source: str) -> bool:
        """Whether to keep what a cell shows, for better or worse."""
        return False

    def unfinished(self, cells: Cells) -> Mapping[str, str]:
        """See trial.Kernel."""
        return {}

    def shown(self, identity: str) -> Shown:
        """See trial.Kernel."""
        return self._shown.get(identity, Shown(True, ""))

    def names(self, cells: Cells) -> tuple[dict[str, Any], frozenset[str]]:
        """See trial.Kernel."""
        return self.namespace, frozenset()

    def restart(self, killed: bool) -> None:
        """See trial.Kernel."""
        plain.forget_modules()
        plain.begin_process(self.directory)
        self.namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
        self.namespace |= {name: plain.task_function(name) for name in plain.TASKS}

    def close(self) -> None:
        """See trial.Kernel."""


class SourceKernel(NaiveKernel):
    """Believes that a cell whose text it has seen need not print again."""

    def __init__(self, directory: Path, raw: Mapping[str, bytes]) -> None:
        self._seen: dict[str, str] = {}
        super().__init__(directory, raw)

    def _execute(self, identity: str, source: str) -> bool:
        kept = self._shown.get(identity)
        ok = super()._execute(identity, source)
        if kept is not None and kept.ok and self._seen.get(identity) == source:
            self._shown[identity] = kept
        self._seen[identity] = source
        return ok
