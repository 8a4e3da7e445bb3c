"""A kernel that executes cells of a notebook; it is started when the first of them comes."""

from __future__ import annotations

import logging
import re
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from jupyterlab_casa.cli.text import FAILED, CommandError

_START = 120  # seconds that a kernel may take to answer
_WIDGETS = "application/vnd.jupyter.widget-state+json"
_VIEW = "application/vnd.jupyter.widget-view+json"


class _OurKernel(KernelSpecManager):
    """The kernel of this very installation, whatever is registered under its name."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        # A source tree that nobody has installed has no entry points.
        registered = entry_points(group="jupyter_client.kernel_provisioners", name="casa-provisioner")
        return KernelSpec(
            metadata={"kernel_provisioner": {"provisioner_name": "casa-provisioner"}} if registered else {},
            argv=[sys.executable, "-m", "casa_kernel", "-f", "{connection_file}"],
            display_name="CASA",
            language="python",
            interrupt_mode="signal",
        )


class Kernel:
    """Executes cells of one notebook. Its methods belong to one event loop."""

    def __init__(self, notebook: NotebookNode, directory: Path, timeout: int | None) -> None:
        """
        Args:
            notebook: outputs are written into its cells.
            directory: in which to run.
            timeout: seconds after which a cell is interrupted.
        """
        self.start_s = 0.0
        """How long it took to start; 0 when it was not needed."""
        self._notebook = notebook
        self._directory = directory
        self._manager = AsyncKernelManager(kernel_name="casa", kernel_spec_manager=_OurKernel())
        self._client = NotebookClient(
            notebook, km=self._manager, timeout=timeout, interrupt_on_timeout=True, record_timing=False
        )
        self._client.log = _silent()  # what goes wrong is raised, and told once
        self._metadata: dict[str, Any] = {}  # of the request that is made
        self._executing = False
        self._killed = False

    @property
    def started(self) -> bool:
        """Whether a cell was ever executed."""
        return self._client.kc is not None

    async def start(self) -> None:
        """Start it, unless it runs.

        Raises:
            CommandError: it does not start.
        """
        if self.started:
            return
        began = time.monotonic()
        with tempfile.TemporaryFile() as printed:
            try:
                # Its own output goes nowhere near ours: what cells print comes as messages.
                await self._manager.start_kernel(cwd=str(self._directory), stdout=printed, stderr=printed)
                client = self._manager.client()
                client.start_channels()
                self._client.kc = client
                await client.wait_for_ready(timeout=_START)
            except RuntimeError as error:
                if self._killed:
                    raise CommandError("interrupted") from error
                raise CommandError(_last_words(error, printed), FAILED) from error
        client.allow_stdin = False
        send: Callable[..., dict[str, Any]] = client.session.msg

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

        client.session.msg = msg
        self._client.reset_execution_trackers()
        self.start_s = time.monotonic() - began

    async def execute(self, index: int, metadata: dict[str, Any], count: int) -> tuple[str, str] | None:
        """Execute the cell at ``index``.

        Args:
            index: among all cells of the notebook.
            metadata: of the request.
            count: the execution count that the cell shall have.

        Returns:
            Name and message of the error by which it failed; None when it did not.
        """
        cell = self._notebook.cells[index]
        cell.metadata.pop("execution", None)  # times of an earlier execution
        self._metadata, self._executing = metadata, True
        try:
            await self._client.async_execute_cell(cell, index, execution_count=count)
        except CellExecutionError as error:
            return error.ename, error.evalue
        except (CellControlSignal, DeadKernelError) as error:
            return type(error).__name__, str(error)
        finally:
            self._executing = False
        return None

    async def stop(self, kill: bool) -> None:
        """Interrupt the cell, or kill the kernel, which is done as well while no cell is being executed."""
        if not self._manager.has_kernel:
            return
        if self._executing and not kill:
            await self._manager.interrupt_kernel()
        else:
            self._killed = True
            await self._manager.shutdown_kernel(now=True)

    async def end(self, now: bool) -> None:
        """Shut it down; ``now``: without letting it finish anything."""
        if self._client.kc is not None:
            self._client.kc.stop_channels()
        if self._manager.has_kernel:
            await self._manager.shutdown_kernel(now=now or not await self._manager.is_alive())
        await self._manager.cleanup_resources()

    def save_widgets(self) -> None:
        """Write the state of widgets into the notebook: all of this kernel's, and of older ones what is shown."""
        if not self.started:
            return
        before = self._notebook.metadata.pop("widgets", {}).get(_WIDGETS, {}).get("state", {})
        self._client.set_widgets_metadata()
        shown = [
            output["data"][_VIEW].get("model_id")
            for cell in self._notebook.cells
            for output in cell.get("outputs", [])
            if isinstance(output.get("data", {}).get(_VIEW), dict)
        ]
        kept: dict[str, Any] = {}
        while shown:
            model = shown.pop()
            if model in before and model not in kept:
                kept[model] = before[model]
                shown += re.findall(r"IPY_MODEL_(\w+)", str(before[model]))  # other widgets that it is made of
        if kept:
            bundle = {"state": {}, "version_major": 2, "version_minor": 0}
            written = self._notebook.metadata.setdefault("widgets", {}).setdefault(_WIDGETS, bundle)
            written["state"] = {**kept, **written["state"]}


def _last_words(error: RuntimeError, printed: IO[bytes]) -> str:
    printed.seek(0)
    said = printed.read().decode("utf-8", "replace").strip()
    return f"the kernel casa did not start: {error}\n{said[-2000:]}\nSee `jupyter casa doctor`."


def _silent() -> logging.Logger:
    logger = logging.getLogger("jupyterlab_casa.run")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
