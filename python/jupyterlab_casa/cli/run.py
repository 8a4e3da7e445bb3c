"""``jupyter casa run``: execute the cells of a notebook that have to be, and say what was done, and why."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import nbformat
from nbformat import NotebookNode

from casa_recompute.ledger import LedgerError
from casa_recompute.ledger.reader import LedgerReader, Run
from casa_recompute.notebook.graph import title
from casa_recompute.notebook.model import CellSource, Reason
from casa_recompute.notebook.outputs import renumber
from casa_recompute.notebook.rerun import NotRecorded, Rerun, Step
from casa_recompute.words import duration
from casa_recompute.workspace import HOME, VersionLost
from jupyterlab_casa.cli import notebook as files
from jupyterlab_casa.cli.kernel import Kernel
from jupyterlab_casa.cli.plan import CANNOT_PLAN
from jupyterlab_casa.cli.text import FAILED, CommandError, emit, plural, say

SCHEMA = 2
"""Version of the JSON object; raised when a consumer of the old one could fail."""
_T = TypeVar("_T")
_TROUBLE = (*CANNOT_PLAN, NotRecorded, VersionLost, OSError)


@dataclass
class CallResult:
    """What a call did: "ran", "restored" or "failed"."""

    task: str
    key: str | None
    action: str
    seconds: float
    saved_s: float


@dataclass
class CellResult:
    """What became of a code cell: "executed", "restored", "failed" or "skipped"."""

    id: str
    index: int
    action: str = "skipped"
    reasons: list[Reason] = field(default_factory=list)
    seconds: float = 0.0
    saved_s: float = 0.0
    calls: list[CallResult] = field(default_factory=list)
    error: dict[str, str] | None = None


@dataclass
class Report:
    """The object that ``run --json`` prints."""

    schema: int
    notebook: str
    output: str
    ok: bool
    seconds: float
    kernel_s: float
    saved_s: float
    cells: list[CellResult]
    changed: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)


def run(arguments: argparse.Namespace) -> int:
    """Make a notebook fresh; the command's exit code."""
    path: Path = arguments.notebook
    notebook = files.read(path)
    files.set_parameters(notebook, arguments.parameter)
    ids = files.cell_ids(notebook)
    saver = files.Saver(arguments.output or path)
    runner = Runner(notebook, ids, path.resolve(), saver, arguments.timeout, arguments.all)
    report = runner.run()
    code = runner.code
    if arguments.pictures is not None:
        try:
            pictures = files.write_pictures(notebook, ids, arguments.pictures.resolve())
            report.pictures = [str(picture) for picture in pictures]
        except OSError as error:
            say(f"jupyter casa: the pictures were not written to {arguments.pictures}: {error.strerror}")
            code = code or FAILED
    _tell(report, runner.fresh, arguments.pictures)
    if arguments.json:
        emit(asdict(report))
    return code


def _tell(report: Report, fresh: int, pictures: Path | None) -> None:
    """The closing words."""
    count = Counter(cell.action for cell in report.cells)
    done = [f"{plural(count['executed'], 'cell')} executed"]
    done += [f"{count['restored']} restored"] * bool(count["restored"])
    done += [f"{fresh} fresh already"] * bool(fresh)
    done += [f"{duration(report.saved_s)} saved"] * (report.saved_s >= 0.05)
    say()
    say(f"{', '.join(done)}; {duration(report.seconds)} in all")
    if report.changed:
        say(f"Brought to their last states: {', '.join(report.changed)}")
    failed = next((cell for cell in report.cells if cell.action == "failed"), None)
    if failed is not None and failed.error is not None:
        left = sum(cell.action == "skipped" and bool(cell.reasons) for cell in report.cells)
        say(f"FAILED: cell {failed.id}: {failed.error['name']}: {failed.error['message']}")
        below = f"{plural(left, 'cell')} below not run; " if left else ""
        say(f"{below}the traceback is in the notebook")
    say(f"Executed notebook: {report.output}")
    if pictures is not None:
        say(f"Its pictures: {plural(len(report.pictures), 'file')} in {pictures.resolve()}")


class Runner:
    """One walk through a notebook from its first cell to its last."""

    def __init__(
        self,
        notebook: NotebookNode,
        ids: list[str],
        path: Path,
        saver: files.Saver,
        timeout: int | None,
        everything: bool,
    ) -> None:
        self.code = 0
        self._notebook = notebook
        self._path = path
        self._saver = saver
        self._everything = everything
        self._cells = files.code_cells(notebook, ids)
        self._order = [cell.id for cell in self._cells]
        self._results = {
            id: CellResult(id, index)
            for index, (id, cell) in enumerate(zip(ids, notebook.cells, strict=True))
            if cell.cell_type == "code"
        }
        self._visited: list[str] = []
        self._kernel = Kernel(notebook, path.parent, timeout)
        self._ledger = _Calls(path.parent / HOME / "ledger.sqlite")
        self._lines = _Lines(len(self._cells))
        self._loop = asyncio.Runner()
        self._awaiting = False
        self._signal = 0

    @property
    def fresh(self) -> int:
        """The number of cells that were left as they are."""
        return sum(self._results[cell].action == "skipped" for cell in set(self._visited))

    def run(self) -> Report:
        """Take all steps.

        Raises:
            CommandError: there is nothing to report: the ledger cannot be used, or the kernel does not start.
        """
        began = time.monotonic()
        try:
            rerun = Rerun(self._path.parent, self._path.name, self._cells, everything=self._everything)
        except CANNOT_PLAN as error:
            raise CommandError(str(error)) from error
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        changed: list[str] = []
        try:
            try:
                changed = self._walk(rerun)
            finally:
                self._await(self._kernel.end(now=bool(self._signal)))
                self._ledger.close()
                rerun.close()
                self._loop.close()
            self._kernel.save_widgets()
            self._save()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        cells = list(self._results.values())
        return Report(
            schema=SCHEMA,
            notebook=str(self._path),
            output=str(self._saver.path),
            ok=not self.code,
            seconds=time.monotonic() - began,
            kernel_s=self._kernel.start_s,
            saved_s=sum(cell.saved_s + sum(call.saved_s for call in cell.calls) for cell in cells),
            cells=cells,
            changed=changed,
        )

    def _walk(self, rerun: Rerun) -> list[str]:
        """Take the steps until one fails; products that were brought to their last state."""
        saved = 0.0
        try:
            for step in rerun.steps():
                self._take(step, rerun.saved_s - saved)
                saved = rerun.saved_s
                if self.code:
                    break
            else:
                return rerun.finish()
        except KeyboardInterrupt:
            self.code = 128 + self._signal
        except _TROUBLE as error:
            say(f"jupyter casa: {error}")
            self.code = FAILED
        self._explain_skipped()
        return []

    # -- one cell --------------------------------------------------------------------------------------------

    def _take(self, step: Step, saved_s: float) -> None:
        cell, result = self._notebook.cells[step.cell.index], self._results[step.cell.id]
        number = self._order.index(step.cell.id) + 1
        result.reasons = list(step.reasons)
        self._visited.append(step.cell.id)
        self._lines.begin(number, cell.source)
        if step.action == "execute":
            self._execute(step, result, number)
        elif step.action == "restore":
            result.action, result.saved_s = "restored", saved_s
            cell.outputs = nbformat.from_dict(step.outputs)  # type: ignore[no-untyped-call]
        else:
            result.saved_s = saved_s
        cell.execution_count = number
        cell.outputs = nbformat.from_dict(renumber(cell.outputs, number))  # type: ignore[no-untyped-call]
        self._lines.end(result)
        if step.action != "keep":
            self._save()

    def _execute(self, step: Step, result: CellResult, number: int) -> None:
        self._await(self._kernel.start())
        mark = self._ledger.mark()
        notebook_cell = self._notebook.cells[step.cell.index]
        former = notebook_cell.outputs
        began = time.monotonic()
        place = {"notebook": self._path.name, "cells": self._order, "state": step.state}
        metadata = {"cellId": step.cell.id, "casa": place}
        result.saved_s = 0.0
        error = self._await(self._watched(step.cell, metadata, number))
        result.seconds = time.monotonic() - began
        step.done(error is None)
        if step.refused:
            notebook_cell.outputs = former
            return
        result.action = "executed" if error is None else "failed"
        if error is not None:
            result.error = {"name": error[0], "message": error[1]}
            self.code = FAILED
        if self._signal:
            self.code = 128 + self._signal
        for made in self._ledger.since(mark, result.id):
            action = "ran" if made.action == "watched" else made.action
            result.calls.append(CallResult(made.task, made.key, action, made.seconds, made.saved_s))
            result.reasons.append(Reason("call", made.task, made.reason))

    async def _watched(self, cell: CellSource, metadata: dict[str, Any], number: int) -> tuple[str, str] | None:
        ticking = asyncio.ensure_future(self._lines.tick())
        try:
            return await self._kernel.execute(cell.index, metadata, number)
        finally:
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticking

    def _save(self) -> None:
        try:
            self._saver.save(self._notebook)
        except OSError as error:
            raise CommandError(f"{self._saver.path} cannot be written: {error.strerror}", FAILED) from error

    def _explain_skipped(self) -> None:
        last = self._visited[-1] if self._visited else None
        if last is None:
            message = "the run ended before any cell"
        elif self._results[last].action == "failed":
            message = f"cell {last} above failed"
        else:
            message = f"cell {last} above was the last before the {'interrupt' if self._signal else 'end'}"
        for cell in self._order:
            if cell not in self._visited:
                self._results[cell].reasons.append(Reason("upstream", last or "", message, because_of=last))

    # -- signals ---------------------------------------------------------------------------------------------

    def _await(self, what: Coroutine[Any, Any, _T]) -> _T:
        self._awaiting = True
        try:
            return self._loop.run(what)
        except CommandError as error:
            if self._signal:
                error.code = 128 + self._signal
            raise
        finally:
            self._awaiting = False

    def _stop(self, number: int, _: FrameType | None) -> None:
        """Ctrl-C: interrupt the cell; once more: kill the kernel. Where there is no kernel to wait for: stop."""
        again, self._signal = bool(self._signal), number
        if not self._awaiting:
            raise KeyboardInterrupt
        loop = self._loop.get_loop()
        loop.call_soon_threadsafe(lambda: loop.create_task(self._kernel.stop(kill=again)))


class _Calls:
    """Reads from the ledger what calls were made; it appears when the kernel starts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: LedgerReader | None = None
        self._inode = 0

    def _open(self) -> LedgerReader | None:
        """The ledger as it is now: a damaged one is replaced by the kernel."""
        try:
            inode = self._path.stat().st_ino
            if self._reader is None or inode != self._inode:
                self.close()
                self._reader, self._inode = LedgerReader(self._path), inode
        except (FileNotFoundError, LedgerError):
            self.close()
        return self._reader

    def mark(self) -> tuple[int, int]:
        """The present end of the list of calls."""
        reader = self._open()
        return (self._inode, reader.last_run()) if reader is not None else (0, 0)

    def since(self, mark: tuple[int, int], cell: str) -> list[Run]:
        """The calls that ``cell`` made since then; with ``state = "present"`` calls know no cell."""
        reader = self._open()
        if reader is None:
            return []
        last = mark[1] if mark[0] == self._inode else 0
        return [run for run in reader.runs_after(last) if run.cell in (cell, "")]

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class _Lines:
    """One line per cell on standard error; on a terminal it lives while the cell runs."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._live = sys.stderr.isatty()
        self._head = ""
        self._began = 0.0

    def begin(self, number: int, source: str) -> None:
        self._head = f"[{number:{len(str(self._total))}}/{self._total}] {title(source):<48}"
        self._began = time.monotonic()
        self._show()

    def _show(self) -> None:
        if self._live:
            elapsed = time.monotonic() - self._began
            print(f"\r\x1b[K{self._head} {elapsed:10.0f} s", end="", file=sys.stderr, flush=True)

    async def tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._show()

    def end(self, result: CellResult) -> None:
        actions = Counter(call.action for call in result.calls)
        words = [f"{actions[action]} {action}" for action in ("ran", "restored") if actions[action]]
        saved = sum(call.saved_s for call in result.calls)
        if result.action == "restored":
            words, saved = ["restored"], result.saved_s
        elif result.action == "skipped":
            words, saved = ["fresh"], 0.0
        if saved >= 0.05:
            words.append(f"{duration(saved)} saved")
        if result.action == "failed":
            words.append("FAILED")
        took = duration(result.seconds) if result.action in ("executed", "failed") else ""
        start = "\r\x1b[K" if self._live else ""
        say(f"{start}{self._head} {took:>12}  {', '.join(words)}".rstrip())
