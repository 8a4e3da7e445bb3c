"""Further names that casashell puts into the namespace, besides tasks, tools and verbs."""

from __future__ import annotations

import functools
import importlib
import os
import platform
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from casa_recompute.tasks import Task

from .lazy import Lazy
from .tools import TOOLS

_DOCS = "https://casadocs.readthedocs.io/en/stable/"


def shell_names(tasks: Mapping[str, Task], namespace: dict[str, Any]) -> dict[str, Any]:
    """The names and their values; scripts for casashell use ``os`` and ``sys`` without importing them."""

    def execfile(filename: str, globals: dict[str, Any] | None = None, locals: object = None) -> None:
        """Run a Python file in the notebook's namespace."""
        with open(filename, encoding="utf-8") as file:
            code = compile(file.read(), filename, "exec")
        exec(code, namespace if globals is None else globals)

    def taskhelp() -> None:
        """List the tasks by category."""
        categories = sorted({category for task in tasks.values() for category in task.categories})
        for category in categories:
            print(category)
            for name, task in sorted(tasks.items()):
                if category in task.categories:
                    print(f"  {name:<18} {' '.join(task.summary.split())}")

    def doc(topic: str = "") -> None:
        """Print the address of CASA's documentation of a task or a tool."""
        name = getattr(topic, "__name__", topic)
        if name in tasks and tasks[name].package == "casatasks":
            print(f"{_DOCS}api/tt/casatasks.{tasks[name].categories[0]}.{name}.html")
        elif name in TOOLS or name in TOOLS.values():
            print(f"{_DOCS}api/tt/casatools.{TOOLS.get(name, name)}.html")
        else:
            print(f"{_DOCS}api/casatasks.html")

    config = functools.partial(importlib.import_module, "casaconfig.config")
    functions: tuple[Callable[..., Any], ...] = (execfile, taskhelp, toolhelp, doc, checkgeodetic)
    return {function.__name__: function for function in functions} | {
        "argv": sys.argv[:1],
        "casa_config_master": Lazy(config),
        "casaconfig": Lazy(functools.partial(importlib.import_module, "casaconfig")),
        "config": Lazy(config),
        "os": os,
        "platform": platform,
        "re": re,
        "sys": sys,
    }


def toolhelp() -> None:
    """List the tools, with the names of the objects that are ready for use."""
    casatools = importlib.import_module("casatools")
    ready = {kind: name for name, kind in TOOLS.items()}
    for kind, tool in sorted(vars(casatools).items()):
        if isinstance(tool, type) and hasattr(tool, "_info_desc_"):
            print(f"{kind:<22} {ready.get(kind, ''):<5} {' '.join(tool._info_desc_.split())}")


def checkgeodetic() -> bool:
    """Are the tables that CASA needs for measures there and filled? Prints what it finds."""
    casatools = importlib.import_module("casatools")
    complete = True
    for name in ("IERSeop2000", "IERSeop97", "IERSpredict", "TAI_UTC"):
        path = casatools.ctsys.resolve(f"geodetic/{name}")
        rows = 0
        if os.path.isdir(path):
            table = casatools.table(path)
            rows = table.nrows()
            table.close()
        complete = complete and rows > 0
        print(f"{name:<12} {rows} rows" if rows else f"{name:<12} missing or empty")
    return complete
