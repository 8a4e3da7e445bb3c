"""All tasks of one CASA installation, read without importing CASA and remembered between sessions."""

from __future__ import annotations

import importlib.util
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from .model import Condition, Parameter, Task

_LOADER = 1  # raise when what the loader makes of the same installation changes
# task -> (package, module file, inp/go module): see `generated` for why these are not read from XML
_GUI = {
    "plotms": ("casaplotms", "plotms.py", "gotasks/plotms.py"),
    "imview": ("casaviewer", "imview.py", "gotasks/imview.py"),
    "msview": ("casaviewer", "msview.py", "gotasks/msview.py"),
    "browsetable": ("casatablebrowser", "__casatablebrowser.py", None),
}


class CasaNotFound(ImportError):
    """casatasks is not installed where it was looked for."""


class Catalogue(Mapping[str, Task]):
    """The tasks by name.

    `version` is that of casatasks ('' when the installation does not say), `site` the directory it was found
    in.
    """

    def __init__(self, records: Mapping[str, str], version: str, site: Path) -> None:
        self._records = records  # one JSON text per task, parsed when the task is first asked for
        self._tasks: dict[str, Task] = {}
        self.version = version
        self.site = site

    def __getitem__(self, name: str) -> Task:
        if name not in self._tasks:
            self._tasks[name] = _task(json.loads(self._records[name]))
        return self._tasks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)


def load_catalogue(site: Path | None = None) -> Catalogue:
    """The tasks of the CASA in `site` (a directory that holds the package casatasks), or of this
    interpreter's.

    CASA is not imported. What was read is kept in the user's cache directory and used while the installation
    is unchanged; a cache that cannot be written or is damaged only costs time (0.5 s or so).
    Raises CasaNotFound, which says what to do, when there is no casatasks.
    """
    casatasks = _package("casatasks", site)
    if casatasks is None or not (casatasks / "__xml__").is_dir():
        place = f"in {site}" if site else "for this Python"
        raise CasaNotFound(
            f"No casatasks found {place}. Install it (pip install casatasks casadata), "
            "or name the site-packages directory of an existing CASA."
        )
    files = {e.name.removesuffix(".xml"): e for e in sorted(os.scandir(casatasks / "__xml__"), key=lambda e: e.name)}
    gui = {t: (p / f, p / go if go else None) for t, (n, f, go) in _GUI.items() if (p := _package(n, site))}
    gui = {t: (f, go) for t, (f, go) in gui.items() if f.is_file()}
    stamps = [e.stat().st_mtime_ns for e in files.values()] + [f.stat().st_mtime_ns for f, _ in gui.values()]
    version = _version(casatasks)
    key = json.dumps([_LOADER, version, str(casatasks), sorted(map(str, gui.values())), len(stamps), max(stamps)])
    cache = user_cache_path("casa-recompute") / f"catalogue-{zlib.crc32(str(casatasks).encode()):08x}.jsonl"
    records = _read_cache(cache, key)
    if records is None:
        records = {name: json.dumps(_casatask(casatasks, name)) for name in files}
        records |= {name: json.dumps(_guitask(*paths)) for name, paths in gui.items()}
        _write_cache(cache, key, records)
    return Catalogue(records, version, casatasks.parent)


def _package(name: str, site: Path | None) -> Path | None:
    if site is not None:
        return site / name if (site / name).is_dir() else None
    spec = importlib.util.find_spec(name)  # finds a top-level package without running it
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None


def _version(package: Path) -> str:
    # the directory name says it; importlib.metadata takes longer to import than the whole catalogue to load
    found = sorted(package.parent.glob(f"{package.name}-*.dist-info"))
    return found[-1].name.removeprefix(f"{package.name}-").removesuffix(".dist-info") if found else ""


# What only reading an installation needs is imported where it is used: with a warm cache a kernel starts
# without it.


def _casatask(casatasks: Path, name: str) -> dict[str, Any]:
    from . import casaxml, generated

    return {
        **casaxml.read_task(casatasks / "__xml__" / f"{name}.xml"),
        "module": f"casatasks.{name}",
        "package": "casatasks",
        "docstring": generated.docstring(casatasks / f"{name}.py"),
    }


def _guitask(path: Path, go: Path | None) -> dict[str, Any]:
    from . import generated

    return {
        **generated.read_task(path, go),
        "module": f"{path.parent.name}.{path.stem}",
        "package": path.parent.name,
        "docstring": generated.docstring(path),
    }


def _task(fields: dict[str, Any]) -> Task:
    parameters = tuple(Parameter(**{**p, "allowed": tuple(p["allowed"])}) for p in fields.pop("parameters"))
    conditions = tuple(
        Condition(c["parameter"], c["equals"], c["value"], tuple((n, v) for n, v in c["defaults"]))
        for c in fields.pop("conditions")
    )
    categories = tuple(fields.pop("categories"))
    return Task(categories=categories, parameters=parameters, conditions=conditions, **fields)


def _read_cache(path: Path, key: str) -> dict[str, str] | None:
    """The records kept under `key`, or None when there are none or a single byte of them is wrong."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
    except OSError:  # not there yet, or no readable home: the installation itself is read instead
        return None
    if head != f"{zlib.crc32(body):08x} {key}".encode():
        return None
    lines = body.decode().split("\n")
    return dict(zip(lines[::2], lines[1::2], strict=True))


def _write_cache(path: Path, key: str, records: Mapping[str, str]) -> None:
    import tempfile

    body = "\n".join(line for record in records.items() for line in record).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(f"{zlib.crc32(body):08x} {key}\n".encode() + body)
        os.replace(file.name, path)
    except OSError:  # a read-only or full home: the next session reads the installation again
        return
