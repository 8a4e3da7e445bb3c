"""``jupyter casa run``: execute a notebook, and say what ran, what was restored, and why."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from casa_recompute.ledger import LedgerError
from casa_recompute.ledger.reader import LedgerReader, Run
from casa_recompute.words import duration
from casa_recompute.workspace import HOME
from jupyterlab_casa.cli import notebook as files
from jupyterlab_casa.cli.text import FAILED, CommandError, emit, plural, say

SCHEMA = 1
"""Version of the JSON object; raised when a consumer of the old one could fail."""
_START = 120  # seconds that a kernel may take to answer


@dataclass
class Reason:
    """Why something happened: ``kind`` is "call" or "upstream", ``because_of`` the id of a cell above."""

    kind: str
    subject: str
    message: str
    because_of: str | None = None


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
    pictures: list[str] = field(default_factory=list)


def run(arguments: argparse.Namespace) -> int:
    """Execute a notebook; the command's exit code."""
    path: Path = arguments.notebook
    notebook = files.read(path)
    files.set_parameters(notebook, arguments.parameter)
    saver = files.Saver(arguments.output or path)
    runner = Runner(notebook, path.resolve(), saver, arguments.timeout)
    report = asyncio.run(runner.run())
    code = runner.code
    if arguments.pictures is not None:
        try:
            pictures = files.write_pictures(notebook, runner.ids, arguments.pictures.resolve())
            report.pictures = [str(picture) for picture in pictures]
        except OSError as error:
            say(f"jupyter casa: the pictures were not written to {arguments.pictures}: {error.strerror}")
            code = code or FAILED
    _tell(report, arguments.pictures)
    if arguments.json:
        emit(asdict(report))
    return code


def _tell(report: Report, pictures: Path | None) -> None:
    """The closing words."""
    done = [cell for cell in report.cells if cell.action in ("executed", "restored")]
    restored = sum(cell.action == "restored" for cell in done)
    say()
    saved = f", {duration(report.saved_s)} saved" if report.saved_s else ""
    executed = plural(len(done) - restored, "cell")
    say(f"{executed} executed, {restored} restored{saved}; {duration(report.seconds)} in all")
    failed = next((cell for cell in report.cells if cell.action == "failed"), None)
    if failed is not None and failed.error is not None:
        left = sum(cell.action == "skipped" and bool(cell.reasons) for cell in report.cells)
        say(f"FAILED: cell {failed.id}: {failed.error['name']}: {failed.error['message']}")
        say(f"{plural(left, 'cell')} below not run; the traceback is in the notebook")
    say(f"Executed notebook: {report.output}")
    if pictures is not None:
        say(f"Its pictures: {plural(len(report.pictures), 'file')} in {pictures.resolve()}")


class _OurKernel(KernelSpecManager):
    """The kernel of this very installation, whatever is registered under its name."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(
            argv=[sys.executable, "-m", "casa_kernel", "-f", "{connection_file}"],
            display_name="CASA",
            language="python",
            interrupt_mode="signal",
        )


class Runner:
    """One execution of a notebook, from a new kernel to its end."""

    def __init__(self, notebook: NotebookNode, path: Path, saver: files.Saver, timeout: int | None) -> None:
        self.ids = files.cell_ids(notebook)
        self.code = 0
        self._notebook = notebook
        self._path = path
        self._saver = saver
        self._km = AsyncKernelManager(kernel_name="casa", kernel_spec_manager=_OurKernel())
        self._client = NotebookClient(notebook, km=self._km, timeout=timeout, interrupt_on_timeout=True)
        self._client.log = _silent()  # what goes wrong is raised, and told once
        self._ledger = _Calls(path.parent / HOME / "ledger.sqlite")
        self._lines = _Lines(sum(cell.cell_type == "code" for cell in notebook.cells))
        self._metadata: dict[str, Any] = {}  # of requests; none before the first cell
        self._signal = 0

    # -- the kernel ------------------------------------------------------------------------------------------

    async def run(self) -> Report:
        """Execute all cells.

        Raises:
            CommandError: the kernel does not start.
        """
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        with tempfile.TemporaryFile() as printed:
            try:
                await self._start(printed)
                kernel_s = time.monotonic() - began
                cells = await self._run_cells()
            finally:
                await self._end()
        report = Report(
            schema=SCHEMA,
            notebook=str(self._path),
            output=str(self._saver.path),
            ok=not self.code,
            seconds=time.monotonic() - began,
            kernel_s=kernel_s,
            saved_s=sum(call.saved_s for cell in cells for call in cell.calls),
            cells=cells,
        )
        return report

    async def _start(self, printed: IO[bytes]) -> None:
        try:
            # Its own output goes nowhere near ours: what cells print comes as messages.
            await self._km.start_kernel(cwd=str(self._path.parent), stdout=printed, stderr=printed)
            kc = self._km.client()
            kc.start_channels()
            self._client.kc = kc
            await kc.wait_for_ready(timeout=_START)
        except RuntimeError as error:
            if self._signal:
                raise CommandError("interrupted", 128 + self._signal) from error
            printed.seek(0)
            said = printed.read().decode("utf-8", "replace").strip()
            raise CommandError(
                f"the kernel casa did not start: {error}\n{said[-2000:]}\nSee `jupyter casa doctor`.", FAILED
            ) from error
        kc.allow_stdin = False
        send: Callable[..., dict[str, Any]] = kc.session.msg

        def msg(
            msg_type: str,
            content: dict[str, Any] | None = None,
            parent: dict[str, Any] | None = None,
            header: dict[str, Any] | None = None,
            metadata: dict[str, Any] | None = None,
        ) -> dict[str, Any]:
            """nbclient cannot say which cell a request is for: its messages get that on their way out."""
            if msg_type == "execute_request":
                metadata = {**(metadata or {}), **self._metadata}
            return send(msg_type, content, parent, header, metadata)

        kc.session.msg = msg
        self._client.reset_execution_trackers()

    async def _end(self) -> None:
        if self._client.kc is not None:
            self._client.kc.stop_channels()
        if self._km.has_kernel:
            await self._km.shutdown_kernel(now=bool(self._signal) or not await self._km.is_alive())
        await self._km.cleanup_resources()
        self._ledger.close()

    def _stop(self, number: int) -> None:
        """Ctrl-C: interrupt the cell; once more: kill the kernel."""
        again, self._signal = bool(self._signal), number
        self.code = 128 + number
        if self._km.has_kernel:
            interruptible = self._metadata and not again
            step = self._km.interrupt_kernel() if interruptible else self._km.shutdown_kernel(now=True)
            self._stopping = asyncio.ensure_future(step)

    # -- the cells -------------------------------------------------------------------------------------------

    async def _run_cells(self) -> list[CellResult]:
        code = [n for n, cell in enumerate(self._notebook.cells) if cell.cell_type == "code"]
        order = [self.ids[index] for index in code]
        results = [CellResult(self.ids[index], index) for index in code]
        for result in results:
            cell = self._notebook.cells[result.index]
            if not cell.source.strip():
                continue
            self._metadata = {"cellId": result.id, "casa": {"notebook": self._path.name, "cells": order}}
            await self._run_cell(result, cell, order.index(result.id) + 1)
            try:
                self._saver.save(self._notebook)
            except OSError as error:
                message = f"{self._saver.path} cannot be written: {error.strerror}"
                raise CommandError(message, FAILED) from error
            if result.action == "failed" or self._signal:
                self.code = self.code or FAILED
                self._explain_skipped(results, result)
                break
        else:
            self._client.set_widgets_metadata()
            self._saver.save(self._notebook)
        return results

    async def _run_cell(self, result: CellResult, cell: NotebookNode, number: int) -> None:
        mark = self._ledger.mark()
        began = time.monotonic()
        self._lines.begin(number, cell.source)
        ticking = asyncio.ensure_future(self._lines.tick())
        try:
            count = self._client.code_cells_executed + 1
            await self._client.async_execute_cell(cell, result.index, execution_count=count)
            result.action = "executed"
        except CellExecutionError as error:
            result.action = "failed"
            result.error = {"name": error.ename, "message": error.evalue}
        except (CellControlSignal, DeadKernelError) as error:
            result.action = "failed"
            result.error = {"name": type(error).__name__, "message": str(error)}
        finally:
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticking
        result.seconds = time.monotonic() - began
        for made in self._ledger.since(mark, result.id):
            action = "ran" if made.action == "watched" else made.action
            result.calls.append(CallResult(made.task, made.key, action, made.seconds, made.saved_s))
            result.reasons.append(Reason("call", made.task, made.reason))
        if result.action == "executed" and result.calls and all(c.action == "restored" for c in result.calls):
            result.action = "restored"
        self._lines.end(result)

    def _explain_skipped(self, results: list[CellResult], last: CellResult) -> None:
        words = "failed" if last.action == "failed" else "was the last before the interrupt"
        for result in results[results.index(last) + 1 :]:
            message = f"cell {last.id} above {words}"
            result.reasons.append(Reason("upstream", last.id, message, because_of=last.id))


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
        first = next(line for line in source.splitlines() if line.strip()).strip()
        shown = first if len(first) <= 48 else first[:47] + "…"
        self._head = f"[{number:{len(str(self._total))}}/{self._total}] {shown:<48}"
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
        if saved >= 0.05:
            words.append(f"{duration(saved)} saved")
        if result.action == "failed":
            words.append("FAILED")
        start = "\r\x1b[K" if self._live else ""
        say(f"{start}{self._head} {duration(result.seconds):>12}  {', '.join(words)}".rstrip())


def _silent() -> logging.Logger:
    logger = logging.getLogger("jupyterlab_casa.run")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
