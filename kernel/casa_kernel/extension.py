"""CASA in one IPython shell: its namespace, its cells, its session."""

from __future__ import annotations

import ast
import asyncio
import atexit
import importlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from IPython.core.error import InputRejected
from IPython.core.interactiveshell import InteractiveShell

from casa_recompute.notebook.model import ABSENT
from casa_recompute.runner.worker.ports import close_registry
from casa_recompute.session import Cell, Session
from casa_recompute.workspace import HOME

from .cells import identify, is_cell, settling
from .lazy import is_lazy, resolve
from .output import NotebookWatcher
from .shellnames import shell_names
from .shims import CasaFinder
from .shown import Shown
from .tools import OPEN_TOOLS, TOOLS, lazy_casatools
from .tracebacks import shorten_traceback
from .verbs import Verbs
from .wrappers import wrap_all

# Of the worker's environment, what CASA needs in the kernel too; plots and threads are the user's own.
_ENVIRONMENT = ("CASASITECONFIG", "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION")


class _Gate(ast.NodeTransformer):
    """Keeps a cell from running, which IPython's other callbacks have no means to do.

    ``refusal``: why the cell must not run.
    """

    def __init__(self) -> None:
        self.refusal: Exception | KeyboardInterrupt | None = None

    def visit(self, node: ast.AST) -> Any:
        """Let a cell pass.

        Raises:
            InputRejected: under the name and with the message of the refusal.
        """
        if self.refusal is None:
            return node
        kind, message = type(self.refusal).__name__, str(self.refusal)
        rejected: Exception = type(kind, (InputRejected,), {})(message)
        rejected._render_traceback_ = lambda: [f"{kind}: {message}"]  # type: ignore[attr-defined]
        raise rejected


class Extension:
    """What ``%load_ext casa_kernel`` adds to a shell; ``session``: the core's, made when None."""

    def __init__(self, shell: InteractiveShell, session: Session | None = None) -> None:
        self._shell = shell
        self._console = False  # a terminal shows plain text and cannot replace it
        self._thread = threading.get_ident()
        self._running: list[Any] = []  # what IPython runs now: the cell, and cells that it runs itself (%%capture)
        self._in_cell = False
        self._attached = False
        self._displays: dict[str, dict[str, tuple[int, list[int]]]] = {}  # by id: cell -> its run, which outputs
        home = Path.cwd() / HOME
        self._watcher = NotebookWatcher(self._publish, lambda: not self._console)
        self.session = session if session is not None else Session()
        self.session.watcher = self._watcher
        self._watcher.where = os.path.relpath(self.session.log)
        environment = self.session.environment()
        os.environ.update({name: environment[name] for name in _ENVIRONMENT})
        self.session.workspace.on_replace.append(self._release)
        self._tasks = self.session.catalogue
        self._namespace: dict[str, Any] = shell.user_ns
        self._verbs = Verbs(
            self._tasks, self._namespace, self._go, home / "last", self.session.reading, self.session.impure
        )
        self._names = self._build_names()
        self._finder = self._build_finder()
        self._finder.install()
        self._names["casatasks"] = importlib.import_module("casatasks")  # the stand-in
        shell.push(self._names, interactive=False)  # type: ignore[no-untyped-call]
        # Jedi, where IPython uses it, does not know the parameters of tasks; casashell does without it, too.
        self._jedi = shell.Completer.use_jedi
        shell.Completer.use_jedi = False
        self._shown = Shown(shell)
        OPEN_TOOLS.on_use.append(self.session.using)
        self._gate = _Gate()
        shell.ast_transformers.insert(0, self._gate)
        self._others = 0  # pieces of code that ran since the last cell and were none
        shell.events.register("pre_execute", self._before_anything)
        shell.events.register("pre_run_cell", self._before_cell)
        shell.events.register("post_execute", self._after_anything)
        shell.events.register("post_run_cell", self._after_cell)
        atexit.register(self.session.close)
        self._join_running_cell()

    def close(self) -> None:
        """Take everything out again and stop CASA."""
        self._shell.Completer.use_jedi = self._jedi
        self._shell.events.unregister("pre_execute", self._before_anything)
        self._shell.events.unregister("pre_run_cell", self._before_cell)
        self._shell.events.unregister("post_execute", self._after_anything)
        self._shell.events.unregister("post_run_cell", self._after_cell)
        self._shell.ast_transformers.remove(self._gate)
        OPEN_TOOLS.on_use.remove(self.session.using)
        self._shown.close()
        self._shell.drop_by_id(self._names)  # type: ignore[no-untyped-call]
        self._finder.remove()
        atexit.unregister(self.session.close)
        self.session.close()

    def _publish(self, *args: Any, **options: Any) -> None:
        self._shell.display_pub.publish(*args, **options)  # looked up each time: %%capture replaces it

    # -- names ----------------------------------------------------------------------------------------------

    def _build_names(self) -> dict[str, Any]:
        self._tools = lazy_casatools()
        return {
            **shell_names(self._tasks, self._namespace),
            **self._tools,
            **wrap_all(self._tasks, self._call_as_casashell),
            **self._verbs.names(),
        }

    def _before_casatools(self) -> None:
        """casatools opens its log file when it is imported, by default in the user's directory.

        Its libraries import numpy while they are loaded, which lets other threads run; one of them that looks something
        up in a library then waits for ever, and all with it. A numpy that is there already takes no time.
        """
        importlib.import_module("numpy")
        config: Any = importlib.import_module("casaconfig.config")
        config.logfile = str(self.session.log.with_name("casa-kernels.log"))

    def _casatools_loaded(self, casatools: ModuleType) -> None:
        """From here on tools are real and tracked, and log into the workspace's file."""
        close_registry(casatools)
        OPEN_TOOLS.watch(casatools)
        for name, lazy in self._tools.items():
            real = resolve(lazy)
            if self._namespace.get(name) is lazy:
                self._names[name] = self._namespace[name] = self._shell.user_ns_hidden[name] = real
                self.session.hide({name: real})

    def _build_finder(self) -> CasaFinder:
        wrappers = wrap_all(self._tasks, self._call)
        packages: dict[str, dict[str, Any]] = {}
        for name, task in self._tasks.items():
            packages.setdefault(task.package, {})[name] = wrappers[name]
        version = self._tasks.version
        packages["casatasks"] |= {
            "casalog": self._names["casalog"],
            "config": self._names["config"],
            "version": lambda: [int(part) for part in version.split(".")],
            "version_string": lambda: version,
        }
        return CasaFinder(packages, self._before_casatools, self._casatools_loaded)

    # -- calls ----------------------------------------------------------------------------------------------

    def _call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a task as casatasks does."""
        __tracebackhide__ = True
        try:
            self._verbs.remember(name, self._tasks[name].bind(args, kwargs))
            OPEN_TOOLS.unlock()
            self._watcher.expect(name)
            return self.session.call(name, *args, **kwargs).value
        except BaseException as error:
            shorten_traceback(error, self._shell)
            raise

    def _call_as_casashell(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a task as casashell does: no arguments mean the global variables, as with ``go``; otherwise a
        sub-parameter that is not given has the default that goes with its parent's value."""
        __tracebackhide__ = True
        task = self._tasks[name]
        if not args and not kwargs:
            return self._call(name, (), self._verbs.values(task))
        try:
            completed = task.completed(args, kwargs)
        except TypeError:
            return self._call(name, args, kwargs)  # which raises it in Python's own words
        return self._call(name, (), completed)

    def _go(self, name: str, values: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        return self._call(name, (), values)

    def _release(self, path: str) -> None:
        """Close the tools that hold a product which is about to be replaced."""
        for tool, held in OPEN_TOOLS.close_under(path):
            name = next((n for n, value in self._namespace.items() if value is tool), type(tool).__name__)
            shown = os.path.relpath(held)
            self._watcher.note(f"{name} was closed: it had {shown} open, which is put into another state")

    # -- cells ----------------------------------------------------------------------------------------------

    def _parent(self) -> Mapping[str, Any]:
        """The request that is being served; empty where there is no kernel."""
        kernel = getattr(self._shell, "kernel", None)
        parent: Mapping[str, Any] = kernel.get_parent("shell") if kernel is not None else {}
        return parent

    def _attach(self) -> None:
        if not self._attached:  # late, because files that IPython runs at its start bind names, too
            self._attached = True
            hidden = self._shell.user_ns_hidden
            ours = {name: value for name, value in self._namespace.items() if hidden.get(name, self) is value}
            self.session.attach(self._namespace, ours)

    def _begin(self, source: str, cell_id: str | None) -> None:
        cell = identify(source, self._parent(), cell_id)
        self._console = cell is None
        self._in_cell = True
        self._attach()
        if self._others > 1:  # more than this cell
            self.session.stirred()
        self._others = 0
        self._shown.begin()
        OPEN_TOOLS.forget()
        try:
            self._close_tools_for(cell)
            self.session.expose(self._busy_tools())
            self.session.begin_cell(cell, source)
        except (Exception, KeyboardInterrupt) as error:
            if (cell is None or cell.state is None) and not isinstance(error, KeyboardInterrupt):
                self._in_cell = False
                raise
            self._gate.refusal = error  # from another state it would give something else; or nobody wants it any more

    def _before_anything(self) -> None:
        """Cells, and what a front end or a widget runs between them."""
        if threading.get_ident() != self._thread or self._running:
            return
        self._others += 1
        wanted = settling(self._parent())
        if wanted is not None:
            self._settle(**wanted)

    def _after_anything(self) -> None:
        if threading.get_ident() == self._thread and not self._running:
            self._gate.refusal = None

    def _settle(self, names: dict[str, str], products: dict[str, str]) -> None:
        """The end of a walk: everything as after the last cell; what goes wrong is the answer to the request."""
        self._attach()
        if self._others > 1:
            self.session.stirred()
        self._others = 0
        try:
            for name in self._busy_tools():
                if name not in names:
                    OPEN_TOOLS.close(self._namespace[name])
            self.session.expose(self._busy_tools())
            self.session.settle(names, products)
        except (Exception, KeyboardInterrupt) as error:
            self._gate.refusal = error

    def _before_cell(self, info: Any) -> None:
        if threading.get_ident() != self._thread:
            return  # a subshell, whose cells run beside those of the notebook
        self._running.append(info)
        if len(self._running) == 1 and is_cell(info.store_history, info.silent):
            # What other extensions show after a cell belongs to it.
            self._shell.events.unregister("post_run_cell", self._after_cell)
            self._shell.events.register("post_run_cell", self._after_cell)
            self._begin(info.raw_cell, info.cell_id)

    def _after_cell(self, result: Any) -> None:
        if threading.get_ident() != self._thread or not self._ended(result) or not self._in_cell:
            return
        self._in_cell = False
        with _undisturbed():
            if self._gate.refusal is None:
                self._end(result)
            self._gate.refusal = None
            self._shown.end()

    def _ended(self, result: Any) -> bool:
        """Whether the cell itself has ended, not only one that it runs."""
        if result is None:  # an asynchronous cell was interrupted
            self._running.clear()
            return True
        info = result.info
        if not any(info is one for one in self._running):
            if info.raw_cell and not info.raw_cell.isspace():  # for others there was no beginning
                del self._running[-1:]
        else:  # cells that it had begun by run_cell_async have not told their end
            while self._running.pop() is not info:
                pass
        return not self._running

    def _end(self, result: Any) -> None:
        error = None if result is None else result.error_before_exec or result.error_in_exec
        ok = result is not None and result.success
        ok = ok and not getattr(self._shell, "_last_traceback_during_displayhook", False)
        OPEN_TOOLS.unlock()  # what they hold back is to be on disk
        self.session.expose(self._busy_tools())
        notes = self.session.end_cell(
            ok,
            error=_one_line(error) if error is not None else "",
            interrupted=result is None or isinstance(error, KeyboardInterrupt | asyncio.CancelledError),
            show=self._show,
        )
        for note in notes:
            self._watcher.note(note)

    def _show(self, notes: Sequence[str]) -> list[dict[str, Any]] | None:
        for note in notes:
            self._watcher.note(note)
        outputs = self._shown.end()
        run, cell = self.session.run, self.session.cell
        for places in self._displays.values():
            places.pop(cell, None)
        for identity, bundle in self._shown.elsewhere.items():
            for other, positions in self._displays.get(identity, {}).values():
                self.session.reshow(other, dict.fromkeys(positions, bundle))
        for identity, positions in self._shown.displays.items():
            self._displays.setdefault(identity, {})[cell] = run, positions
        return None if self._shown.too_large else outputs

    def _busy_tools(self) -> list[str]:
        """The names of casashell's tools that hold data or settings: the cells after this one can tell."""
        return [
            name
            for name in TOOLS
            if (tool := self._namespace.get(name)) is self._names[name] and not is_lazy(tool) and OPEN_TOOLS.busy(tool)
        ]

    def _close_tools_for(self, cell: Cell | None) -> None:
        """Tools that are as new at the place of a cell."""
        if cell is not None and cell.state is not None:
            for name in self._busy_tools():
                if ABSENT in (cell.state["names"].get(name), cell.state["aside"].get(name)):
                    OPEN_TOOLS.close(self._namespace[name])

    def _join_running_cell(self) -> None:
        """The cell that says ``%load_ext casa_kernel`` may go on to call tasks."""
        parent = self._parent()
        content = parent.get("content", {})
        if "code" in content and is_cell(content.get("store_history", True), content.get("silent", False)):
            self._running.append(None)
            self._begin(content["code"], None)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """What a cell has done is remembered also if an interrupt comes only now: it has nothing left to end."""
    if threading.current_thread() is not threading.main_thread():  # interrupts come there only
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _one_line(error: BaseException) -> str:
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


_extensions: dict[int, Extension] = {}  # by the id of the shell


def load(shell: InteractiveShell) -> Extension:
    """The extension of ``shell``, set up when it is not there yet; CASA's libraries are not loaded yet."""
    if id(shell) not in _extensions:
        _extensions[id(shell)] = Extension(shell)
    return _extensions[id(shell)]


def unload(shell: InteractiveShell) -> None:
    """Undo :func:`load`."""
    extension = _extensions.pop(id(shell), None)
    if extension is not None:
        extension.close()
