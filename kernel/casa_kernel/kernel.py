"""The kernel ``casa``: IPython's kernel with CASA in its namespace."""

from __future__ import annotations

import importlib.metadata
import logging
import signal
import threading
from typing import Any

from ipykernel.ipkernel import IPythonKernel

from .extension import Extension, load

_WARM_AFTER = 0.2  # seconds; the kernel answers first, then CASA's libraries are loaded
_DOCS = "https://casadocs.readthedocs.io/en/stable/"


def _version() -> str:
    try:
        return importlib.metadata.version("jupyterlab-casa")
    except importlib.metadata.PackageNotFoundError:  # used from a source tree
        return "0+source"


class CasaKernel(IPythonKernel):
    """A Python kernel that has CASA; everything else is the extension's work."""

    implementation = "casa"
    implementation_version = _version()
    help_links = [
        {"text": "CASA documentation", "url": _DOCS},
        {"text": "CASA tasks", "url": _DOCS + "api/casatasks.html"},
        {"text": "CASA tools", "url": _DOCS + "api/casatools.html"},
    ]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self._open: list[bool] = []  # of requests, one within the other: whether they can be interrupted now
        self._handlers: list[Any] = []  # what an interrupt did before each of them
        self._interrupted = False  # one came before the cell had begun
        self._casa: Extension | None = None
        assert self.shell is not None
        try:
            self._casa = load(self.shell)
        except Exception as error:
            # A kernel that dies at its start tells the user nothing; one that runs can say what is wrong.
            logging.getLogger(__name__).exception("CASA is not available")
            self._problem = f"CASA is not available in this kernel. {type(error).__name__}: {error}"
            self.shell.events.register("pre_run_cell", self._complain)
        else:
            self.shell.extension_manager.loaded.add("casa_kernel")

    def _complain(self, _info: object) -> None:
        print(self._problem)

    @property
    def banner(self) -> str:  # type: ignore[override]
        """What a console shows when it connects."""
        casa = f"CASA {self._casa.session.catalogue.version}" if self._casa else self._problem
        return f"{casa}\n{super().banner}"

    def pre_handler_hook(self) -> None:
        """Interrupts end the user's code, never the answer to the request: a frontend would wait for it for ever."""
        parent: Any = self.get_parent("shell")  # type: ignore[no-untyped-call]
        self._open.append(parent["header"]["msg_type"] != "execute_request")
        self._interrupted = False
        self._handlers.append(signal.signal(signal.SIGINT, self._interrupt))

    def post_handler_hook(self) -> None:
        """The request is answered."""
        signal.signal(signal.SIGINT, self._handlers.pop())
        self._open.pop()

    def _interrupt(self, *_: object) -> None:
        if self._open[-1]:
            raise KeyboardInterrupt
        self._interrupted = True

    async def do_execute(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Run code; also if it is interrupted at whatever moment there is something to answer."""
        if threading.current_thread() is not threading.main_thread() or not self._open:  # a subshell: has no interrupts
            return await super().do_execute(*args, **kwargs)  # type: ignore[no-any-return, no-untyped-call]
        reply: dict[str, Any] | None = None
        try:
            try:
                self._open[-1] = True
                if self._interrupted:
                    raise KeyboardInterrupt
                reply = await super().do_execute(*args, **kwargs)  # type: ignore[no-untyped-call]
            finally:
                self._open[-1] = False
        except KeyboardInterrupt as error:
            self._open[-1] = False
            if reply is None:
                reply = self._told(error)
        return reply

    def _told(self, error: KeyboardInterrupt) -> dict[str, Any]:
        """Show that a cell was interrupted outside of its code; the answer to its request."""
        assert self.shell is not None
        self.shell.showtraceback((KeyboardInterrupt, error, None))
        answer = {"status": "error", "ename": "KeyboardInterrupt", "evalue": "", "user_expressions": {}, "payload": []}
        return answer | {"traceback": self.shell._last_traceback or [], "execution_count": self.shell.execution_count}

    def start(self) -> None:
        """Start serving, then load CASA's libraries in the background."""
        super().start()  # type: ignore[no-untyped-call]
        if self._casa is not None:
            self.io_loop.call_later(_WARM_AFTER, self._casa.session.warm)
