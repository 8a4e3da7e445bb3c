"""A stand-in for the core's session, an IPython shell that records what it shows, and real kernels."""

from __future__ import annotations

import builtins
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client import KernelManager
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec

from casa_kernel.extension import Extension
from casa_recompute.session import Cell, Outcome, Show
from casa_recompute.tasks import Catalogue, load_catalogue

ARGV = [sys.executable, "-m", "casa_kernel", "-f", "{connection_file}"]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="session")
def uvfits() -> str:
    """A small real observation that casadata ships."""
    spec = importlib.util.find_spec("casadata")
    assert spec is not None and spec.submodule_search_locations
    return str(Path(spec.submodule_search_locations[0], "__data__", "demo", "3C273XC1.fits"))


class FakeSession:
    """Records what the kernel asks of the core; ``script`` decides what a call does."""

    def __init__(self, catalogue: Catalogue, home: Path) -> None:
        self.catalogue = catalogue
        self.log = home / "casa.log"
        self.workspace = SimpleNamespace(on_replace=[])
        self.watcher: Any = None
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.cells: list[Cell | None] = []
        self.ends: list[bool] = []
        self.errors: list[str] = []
        self.sources: list[str] = []
        self.notes: tuple[str, ...] = ()
        self.late_notes: tuple[str, ...] = ()
        self.run, self.cell = 1, ""
        self.outputs: Any = None
        self.refusal: Exception | None = None
        self.hidden: dict[str, Any] = {}
        self.exposed: list[str] = []
        self.used: list[tuple[str, str]] = []
        self.read: set[str] = set()
        self.impurities: list[str] = []
        self.warmed = False
        self.stirs = 0
        self.settled: list[tuple[dict[str, str], dict[str, str]]] = []
        self.script: Callable[[str, dict[str, Any]], Outcome] = self.answer

    def environment(self) -> dict[str, str]:
        return {"CASASITECONFIG": "/nowhere/config.py", "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}

    def answer(self, task: str, bound: dict[str, Any], **changes: Any) -> Outcome:
        fields: dict[str, Any] = {
            "task": task, "key": "k", "action": "ran", "reason": "new", "value": {"n": 1},
            "seconds": 27.1, "saved_s": 0.0, "log": "", "stdout": "",
        }  # fmt: skip
        outcome = Outcome(**{**fields, **changes})
        self.watcher.finished(outcome)
        return outcome

    def call(self, task: str, *args: Any, **kwargs: Any) -> Outcome:
        bound = self.catalogue[task].bind(args, kwargs)
        self.calls.append((task, bound))
        return self.script(task, bound)

    def attach(self, namespace: dict[str, Any], hidden: dict[str, Any]) -> None:
        self.hidden = hidden

    def hide(self, names: dict[str, Any]) -> None:
        self.hidden |= names

    def expose(self, names: list[str]) -> None:
        self.exposed = list(names)

    def using(self, path: str, how: str) -> None:
        self.used.append((path, how))

    def reading(self, names: list[str]) -> None:
        self.read |= set(names)

    def impure(self, what: str) -> None:
        self.impurities.append(what)

    def begin_cell(self, cell: Cell | None, source: str) -> None:
        self.cells.append(cell)
        self.sources.append(source)
        if self.refusal is not None:
            raise self.refusal

    def end_cell(self, ok: bool, error: str, interrupted: bool, show: Show) -> tuple[str, ...]:
        self.ends.append(ok)
        self.errors.append("interrupted" if interrupted else error)
        self.outputs = show(self.notes)
        return self.late_notes

    def stirred(self) -> None:
        self.stirs += 1

    def settle(self, names: dict[str, str], products: dict[str, str]) -> list[str]:
        self.settled.append((names, products))
        if self.refusal is not None:
            raise self.refusal
        return []

    def warm(self) -> None:
        self.warmed = True

    def close(self) -> None:
        self.warmed = False


class Bench:
    """A shell with the extension, and what both did."""

    def __init__(self, shell: InteractiveShell, session: FakeSession) -> None:
        self.shell = shell
        self.session = session
        self.shown: list[dict[str, Any]] = []
        shell.display_pub.publish = self._publish  # type: ignore[method-assign]
        self.extension = Extension(shell, session)  # type: ignore[arg-type]

    def _publish(self, data: dict[str, Any], metadata: Any = None, **options: Any) -> None:
        self.shown.append({"data": data, "metadata": metadata, **options})

    def run(self, code: str, **options: Any) -> Any:
        """Run a cell; its result, or the exception it raised."""
        done = self.shell.run_cell(code, **{"store_history": True, **options})
        return done.error_before_exec or done.error_in_exec or done.result


@pytest.fixture
def bench(catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.chdir(tmp_path)
    for name in ("CASASITECONFIG", "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"):
        monkeypatch.setenv(name, "")
    before = dict(sys.modules)
    made = Bench(InteractiveShell(ipython_dir=str(tmp_path / "ipython")), FakeSession(catalogue, tmp_path))
    yield made
    made.extension.close()
    made.shell.history_manager.end_session()
    vars(builtins).pop("__IPYTHON__", None)  # packages go by it, and would ask a shell that is no more
    for name in set(sys.modules) - set(before):
        if name.partition(".")[0] in ("casatasks", "casaplotms", "casaviewer", "casatablebrowser"):
            del sys.modules[name]


class Kernel:
    """A running kernel and a client."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client

    def run(self, code: str, timeout: float = 120, **options: Any) -> tuple[Any, list[dict[str, Any]]]:
        """The reply, and the outputs as messages."""
        outputs: list[dict[str, Any]] = []
        reply = self.client.execute_interactive(code, timeout=timeout, output_hook=outputs.append, **options)
        kinds = ("stream", "display_data", "update_display_data", "execute_result", "error")
        shown = [{"type": m["msg_type"], **m["content"]} for m in outputs if m["msg_type"] in kinds]
        return reply["content"], shown

    def value(self, code: str) -> Any:
        """What an expression is, as JSON data."""
        _, outputs = self.run(f"import json as _json; print(_json.dumps({code}))")
        texts = [output["text"] for output in outputs if output["type"] == "stream"]
        assert texts, outputs
        return json.loads(texts[-1])


def start_kernel(directory: Path, argv: list[str] = ARGV) -> Kernel:
    manager = KernelManager()
    manager._kernel_spec = KernelSpec(argv=argv, display_name="CASA", language="python")
    manager.start_kernel(cwd=str(directory))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    return Kernel(manager, client)


@pytest.fixture
def new_kernel() -> Iterator[Callable[..., Kernel]]:
    kernels: list[Kernel] = []

    def start(directory: Path, argv: list[str] = ARGV) -> Kernel:
        kernels.append(start_kernel(directory, argv))
        return kernels[-1]

    yield start
    for kernel in kernels:
        kernel.client.stop_channels()
        kernel.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="session")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One kernel for the tests that do not care what ran before them."""
    started = start_kernel(tmp_path_factory.mktemp("kernel"))
    yield started
    started.client.stop_channels()
    started.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernelspec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an installed kernel that is ours, whatever is installed on this machine."""
    place = tmp_path / "jupyter" / "kernels" / "casa-test"
    place.mkdir(parents=True)
    spec = {"argv": ARGV, "display_name": "CASA", "language": "python"}
    (place / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    return "casa-test"
