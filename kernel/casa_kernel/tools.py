"""CASA's tools in the kernel process: made on first use, and tracked while they hold a table open.

Tasks run in another process. A tool that stays open here would keep showing the old data after a product is
brought back to an earlier state, and its locks could stop a task, so open tools are known by what they hold.
No audit hook sees what tools open, so every method that may open or change data says so before it does.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
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


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OPENERS = _words("open openfromms fromfits fromfitsidi create")  # the first parameter is the path
_CLOSERS = _words("close done")
#: Methods that neither read nor change data.
_QUIET = _CLOSERS | _words("name ok isopen isopened iswritable haslock unlock clearlocks listlocks")
#: Tools that answer questions: only these methods leave them in another state. What is not here, is no tool of data.
_STATEFUL = {
    "__utils": _words("removetable"),
    "logsink": _words(""),
    "measures": _words("doframe framenow"),
    "quanta": _words("define setformat"),
    "regionmanager": _words("setcoordinates fromtextfile fromfiletorecord tofile fromtabletorecord"),
}
#: Tools that change the data they hold without being asked to open them for writing.
_WRITERS = _words("agentflagger calibrater imager simulator")
#: Methods that change data which were not opened for reading only, where a tool cannot say how it has opened them.
_CHANGES = {
    "image": _words(
        "addnoise calc calcmask insert maskhandler modify putchunk putregion remove rename replacemaskedpixels"
        " rotatebeam set setbrightnessunit setcoordsys sethistory setmiscinfo setrestoringbeam"
    ),
    "imagemetadata": _words("add remove set"),
    "componentlist": _words("add addcomponent asciitocomponentlist close concatenate purge"),
}
#: Parameters that name what a method writes, and where that goes by the method.
_OUTPUTS = _words(
    "bloutput destmsfile listfile newmsname newtablename outcont outfile outimage outline outmaskname output"
    " outputTableName outputimage outputms outputvis outputweight outsigma outtable psfile smoothout tableout"
)
_MADE_BY = {
    "calibrater.createcaltable": {"caltable"},
    "calibrater.setsolve": {"table"},
    "calibrater.setsolvebandpoly": {"table"},
    "calibrater.setsolvegainspline": {"table"},
    "componentlist.rename": {"filename"},
    "image.rename": {"name"},
    "ms.fromfits": {"msfile"},
    "ms.fromfitsidi": {"msfile"},
    "ms.tofits": {"fitsfile"},
    "ms.virtconcatenate": {"auxfilename"},
    "regionmanager.tofile": {"filename"},
    "simulator.open": {"ms"},
    "spectralline.splattotable": {"table"},
    "table.create": {"tablename"},
    "table.fromASDM": {"tablename"},
    "table.fromascii": {"tablename"},
    "table.fromfits": {"tablename"},
    "table.toasciifmt": {"asciifile", "headerfile"},
    "vpmanager.saveastable": {"tablename"},
}
_REMOVED_BY = {"image.removefile": "file", "__utils.removetable": "tablenames"}

_FEW, _SHORT = 100, 1 << 14  # lists of more strings, and longer strings, are data, not names of files
_WORD = re.compile(r"[^\s'\"()\[\]<>=*+,;&|!]+")
_lstat = os.lstat  # not what stands in for it while a cell is watched

Use = Callable[[str, str], None]
"""Told before a tool uses a file: path, and how, as :class:`casa_recompute.tracing.files.FileClient` has it."""


class OpenTools:
    """Every casatools object of this process and the path each one holds."""

    def __init__(self) -> None:
        self.on_use: list[Use] = []
        self._maybe_open: weakref.WeakSet[Any] = weakref.WeakSet()  # tables and images
        self._paths: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._busy: weakref.WeakSet[Any] = weakref.WeakSet()
        self._told: set[tuple[Any, ...]] = set()
        self._watched: set[type] = set()
        self._unlocker: Any = None

    def watch(self, casatools: ModuleType) -> None:
        """Track all objects of all classes of ``casatools`` from now on."""
        for tool in vars(casatools).values():
            if isinstance(tool, type) and hasattr(tool, "_info_group_") and tool not in self._watched:
                self._watched.add(tool)
                kind = tool.__name__
                if kind not in ("logsink", "__utils"):
                    type.__setattr__(tool, "__reduce__", lambda one: self._as_new(one))
                wanted = _STATEFUL.get(kind)
                for name, method in list(vars(tool).items()):
                    # table and image are opened by their constructors and by many methods, and can be asked.
                    # The others are opened by few methods; asking a closed one would log an error.
                    constructs = name == "__init__" and kind in ("table", "image")
                    if constructs or (not name.startswith("_") and (wanted is None or name in wanted | _CLOSERS)):
                        setattr(tool, name, self._watching(kind, name, method))
        self._unlocker = casatools.table()

    def _watching(self, kind: str, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        code = original.__code__
        parameters = code.co_varnames[1 : code.co_argcount]

        @functools.wraps(original)
        def method(tool: Any, *args: Any, **kwargs: Any) -> Any:
            values = dict(zip(parameters, args, strict=False)) | kwargs
            opened = values.get(parameters[0]) if parameters else None
            if self.on_use and (name not in _QUIET or name in _CHANGES.get(kind, ())):
                plain = tuple(value for value in values.values() if type(value) is str)
                key = (id(tool), name, plain)
                if key not in self._told or any(isinstance(value, list | tuple | dict) for value in values.values()):
                    self._tell(tool, kind, name, opened, values)
                    self._told.add(key)
            result = original(tool, *args, **kwargs)
            if name != "__init__" or args or kwargs:  # a new one that holds nothing need not be asked
                self._follow(tool, kind, name, opened)
            return result

        return method

    def _as_new(self, tool: Any) -> tuple[type, tuple[()]]:
        """For pickling: a tool in no state is as good as a new one.

        Raises:
            TypeError: it holds data, or settings.
        """
        if self.busy(tool):
            raise TypeError(f"a {type(tool).__name__} tool that is in use cannot be kept")
        return type(tool), ()

    def _follow(self, tool: Any, kind: str, name: str, opened: object) -> None:
        """A method has returned."""
        asked = kind in ("table", "image")
        if name in _CLOSERS:
            self._paths.pop(tool, None)
            self._busy.discard(tool)
            self._maybe_open.discard(tool)
            self.forget()
        elif asked:
            self._maybe_open.add(tool)
        else:
            self._busy.add(tool)
        if name == "__init__":
            self.forget()  # what is known by its id may be another tool
        if name in _OPENERS or (kind, name) == ("imager", "selectvis"):
            self.forget()
            if not asked and isinstance(opened, str) and opened:
                self._paths[tool] = os.path.realpath(opened)

    def forget(self) -> None:
        """Tell again what was told: another cell runs, or data have changed."""
        self._told.clear()

    def _tell(self, tool: Any, kind: str, name: str, opened: object, values: dict[str, Any]) -> None:
        """Say what a method is about to use."""
        uses = [] if name == "__init__" else self._of_held(tool, kind, name)
        for value in [value for value in values.values() if isinstance(value, dict)]:
            values |= value  # some methods take their parameters as one dictionary
        made = _MADE_BY.get(f"{kind}.{name}", ())
        for parameter, value in values.items():
            for text in _texts(value):
                if parameter in _OUTPUTS or parameter in made:
                    uses += [(text, "exists"), (text, "write")]  # most refuse to write over what is there
                elif parameter == _REMOVED_BY.get(f"{kind}.{name}"):
                    uses.append((text, "remove"))
                elif value is opened and (name in _OPENERS or name == "__init__"):
                    uses.append((text, "modify" if kind in _WRITERS or not values.get("nomodify", True) else "read"))
                else:  # a name or an expression (TaQL, LEL) that names data
                    uses += [(word, "read") for word in {text, *_WORD.findall(text)} if _there(word)]
        for path, how in uses:
            for tell in self.on_use:
                tell(os.path.expanduser(path), how)

    def _of_held(self, tool: Any, kind: str, name: str) -> list[tuple[str, str]]:
        """The data that a tool holds, and how a method uses them."""
        path = self._path(tool, kind)
        if path is None or not _there(path):  # selections are tables, too, but not on disk
            return []
        asked = tool.iswritable() if kind in ("table", "ms") else name in _CHANGES.get(kind, ())
        return [(path, "modify" if asked or kind in _WRITERS else "read")]

    def _path(self, tool: Any, kind: str) -> str | None:
        if kind not in ("table", "image"):
            return self._paths.get(tool)
        if not self._is_open(tool):
            return None
        name: str = tool.name()
        return name if name and name != "none" else None

    def _is_open(self, tool: Any) -> bool:
        if tool in self._maybe_open:  # a closed table that is asked writes into CASA's log
            if (tool.isopen if hasattr(tool, "isopen") else tool.ok)():
                return True
            self._maybe_open.discard(tool)
        return False

    def busy(self, tool: Any) -> bool:
        """Whether a tool is in a state that some code has put it into: it holds data, or settings."""
        return tool in self._busy or self._is_open(tool)

    def held(self) -> Iterator[tuple[Any, str]]:
        """The open tools, each with the absolute path it holds."""
        yield from list(self._paths.items())
        for tool in list(self._maybe_open):
            name = self._path(tool, "table")
            if name is not None:
                yield tool, os.path.realpath(name)

    def unlock(self) -> None:
        """Write what open tables hold back and give up their locks, so that another process can use the data.

        Even a table that was only read, or an msmd that was left open, would keep a task waiting for ever.
        A tool's next access takes the lock again and sees what the task has changed.
        """
        self.forget()
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
                try:
                    self.close(tool)
                except RuntimeError as error:
                    kind = type(tool).__name__
                    raise RuntimeError(f"a {kind} tool holds {held} and does not close: {error}") from error
                closed.append((tool, held))
        return closed

    @staticmethod
    def close(tool: Any) -> None:
        """Put a tool into the state of a new one.

        Raises:
            RuntimeError: it refuses.
        """
        close = getattr(tool, "close", None) or getattr(tool, "done", None)
        if close is not None:
            close()


def _texts(value: object) -> list[str]:
    """The strings in an argument that may name files."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple) or len(value) > _FEW:
        return []
    return [text for text in value if isinstance(text, str) and 0 < len(text) < _SHORT]


def _there(path: str) -> bool:
    try:
        _lstat(os.path.expanduser(path))
    except (OSError, ValueError):
        return False
    return True


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

    names = {"casalog": Lazy(_logsink, ("casatasks", "casalog"))}
    for name, kind in TOOLS.items():
        names[name] = Lazy(functools.partial(tool, kind))
        # casashell has the class of `vf` only under its own name
        names["vlafiller" if name == "vf" else f"{name}tool"] = Lazy(functools.partial(_attribute, "casatools", kind))
    names["ctsys"] = Lazy(functools.partial(_attribute, "casatools", "ctsys"))
    names["casatools"] = Lazy(functools.partial(importlib.import_module, "casatools"))
    return names
