"""CASA's tools in the kernel process: made on first use, and tracked while they hold a table open.

Tasks run in another process. A tool that stays open here would keep showing the old data after a product is
brought back to an earlier state, and its locks could stop a task, so open tools are known by what they hold.
"""

from __future__ import annotations

import functools
import importlib
import os
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from .lazy import Lazy

#: Name in the namespace -> class in casatools, as casashell has them; `<name>tool` is the class itself.
TOOLS = {
    "af": "agentflagger",
    "at": "atmosphere",
    "ca": "calanalysis",
    "cb": "calibrater",
    "cl": "componentlist",
    "cs": "coordsys",
    "fn": "functional",
    "ia": "image",
    "im": "imager",
    "imd": "imagemetadata",
    "lm": "linearmosaic",
    "me": "measures",
    "ms": "ms",
    "msmd": "msmetadata",
    "mt": "mstransformer",
    "po": "imagepol",
    "qa": "quanta",
    "rg": "regionmanager",
    "sdms": "singledishms",
    "sl": "spectralline",
    "sm": "simulator",
    "tb": "table",
    "vf": "vlafiller",
    "vp": "vpmanager",
}

_OPENERS = ("open", "openfromms", "fromfits", "fromfitsidi", "create")
_CLOSERS = ("close", "done")


class OpenTools:
    """Every casatools object of this process and the path each one holds."""

    def __init__(self) -> None:
        self._instances: weakref.WeakSet[Any] = weakref.WeakSet()
        self._paths: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._watched: set[type] = set()
        self._unlocker: Any = None

    def watch(self, casatools: ModuleType) -> None:
        """Track all objects of all classes of ``casatools`` from now on."""
        for tool in vars(casatools).values():
            if isinstance(tool, type) and hasattr(tool, "_info_group_") and tool not in self._watched:
                self._watched.add(tool)
                # table and image are opened by their constructors and by many methods, and can be asked.
                # The others are opened by few methods; asking a closed one would log an error.
                if tool.__name__ in ("table", "image"):
                    self._patch(tool, "__init__", self._created)
                else:
                    for name in _OPENERS:
                        self._patch(tool, name, self._opened)
                    for name in _CLOSERS:
                        self._patch(tool, name, self._closed)
        self._unlocker = casatools.table()

    @staticmethod
    def _patch(tool: type, name: str, then: Callable[..., None]) -> None:
        original = vars(tool).get(name)
        if original is None:
            return

        @functools.wraps(original)
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            then(self, *args, *kwargs.values())
            return result

        setattr(tool, name, method)

    def _created(self, tool: Any, *_: object) -> None:
        self._instances.add(tool)

    def _opened(self, tool: Any, *values: object) -> None:
        paths = [value for value in values if isinstance(value, str) and value]
        if paths:
            self._paths[tool] = os.path.realpath(paths[0])

    def _closed(self, tool: Any, *_: object) -> None:
        self._paths.pop(tool, None)

    def held(self) -> Iterator[tuple[Any, str]]:
        """The open tools, each with the absolute path it holds."""
        yield from list(self._paths.items())
        for tool in list(self._instances):
            # name() of a tool that holds nothing would be logged; these say so quietly.
            if (tool.isopen if hasattr(tool, "isopen") else tool.ok)():
                name = tool.name()
                if name and name != "none":
                    yield tool, os.path.realpath(name)

    def unlock(self) -> None:
        """Write what open tables hold back and give up their locks, so that another process can use the data.

        Even a table that was only read, or an msmd that was left open, would keep a task waiting for ever.
        A tool's next access takes the lock again and sees what the task has changed.
        """
        if self._unlocker is not None:
            self._unlocker.clearlocks()  # of all tables that any tool of this process has open

    def close_under(self, path: str) -> list[tuple[Any, str]]:
        """Close the tools that hold ``path`` or a table inside it; returns them with what they held.

        Raises:
            RuntimeError: a tool could not be closed; the message names it and the table.
        """
        root = os.path.realpath(path)
        closed = []
        for tool, held in self.held():
            if held == root or held.startswith(root + os.sep):
                close = getattr(tool, "close", None) or getattr(tool, "done", None)
                try:
                    if close is not None:
                        close()
                except RuntimeError as error:
                    kind = type(tool).__name__
                    raise RuntimeError(f"a {kind} tool holds {held} and does not close: {error}") from error
                closed.append((tool, held))
        return closed


#: Patches classes of casatools, so there is one for the process.
OPEN_TOOLS = OpenTools()


def _attribute(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _logsink() -> Any:
    """The casalog of this process, with its file inside the workspace (named by CASASITECONFIG)."""
    casatools = importlib.import_module("casatools")
    sink = casatools.logsink(importlib.import_module("casaconfig.config").logfile)
    sink.setglobal(True)
    return sink


def lazy_casatools() -> dict[str, Lazy]:
    """casashell's tools, tool classes and casatools objects as stand-ins; `casalog` comes first."""

    def tool(kind: str) -> Any:
        return _attribute("casatools", kind)()

    names = {"casalog": Lazy(_logsink)}
    for name, kind in TOOLS.items():
        names[name] = Lazy(functools.partial(tool, kind))
        # casashell has the class of `vf` only under its own name
        names["vlafiller" if name == "vf" else f"{name}tool"] = Lazy(functools.partial(_attribute, "casatools", kind))
    names["ctsys"] = Lazy(functools.partial(_attribute, "casatools", "ctsys"))
    names["casatools"] = Lazy(functools.partial(importlib.import_module, "casatools"))
    return names
