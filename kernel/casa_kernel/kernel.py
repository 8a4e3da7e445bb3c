"""The kernel ``casa``: IPython's kernel with CASA in its namespace."""

from __future__ import annotations

import importlib.metadata
import logging
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

    def start(self) -> None:
        """Start serving, then load CASA's libraries in the background."""
        super().start()  # type: ignore[no-untyped-call]
        if self._casa is not None:
            self.io_loop.call_later(_WARM_AFTER, self._casa.session.warm)
