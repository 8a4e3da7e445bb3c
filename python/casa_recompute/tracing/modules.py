"""Modules that are files of the user's: they are inputs of the cells that import them."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import types
from collections.abc import Iterable
from pathlib import Path

from casa_recompute.values.digest import content_at_import, local_module


def local_files(imports: Iterable[str]) -> dict[str, str]:
    """The user's modules behind these imports, also those that they import: name -> absolute path of the file."""
    found: dict[str, str] = {}
    todo = [name for dotted in imports for name in _prefixes(dotted)]
    inside = tuple(dotted + "." for dotted in imports)
    if inside:
        todo += [name for name in list(sys.modules) if name.startswith(inside)]
    while todo:
        name = todo.pop()
        module = local_module(name)
        if module is None or name in found or not getattr(module, "__file__", None):
            continue
        found[name] = os.path.realpath(str(module.__file__))
        for value in list(vars(module).values()):
            other = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
            if isinstance(other, str):
                todo.append(other)
    return found


def _prefixes(dotted: str) -> list[str]:
    names = dotted.split(".")
    return [".".join(names[:count]) for count in range(1, len(names) + 1)]


def note(files: dict[str, str]) -> None:
    """Remember the content of modules that were imported just now."""
    for name in files:
        content_at_import(sys.modules[name])


def forget_changed(imports: Iterable[str], others: Iterable[object] = ()) -> list[str]:
    """Take modules out of ``sys.modules`` whose files have changed, or that would now be found elsewhere, as in another
    working directory, so that they are imported anew; their names.

    Args:
        imports: what a cell imports.
        others: values that it finds, from which it shows that a cell above has imported a module already: that one is
            not looked for again.
    """
    files = local_files(imports)
    changed = [name for name, path in files.items() if _content(path) != content_at_import(sys.modules[name])]
    elsewhere = [name for name, path in files.items() if _found_at(name) not in (None, path)]
    if elsewhere:
        modules = types.ModuleType
        there = {one.__name__ if isinstance(one, modules) else getattr(one, "__module__", "") for one in others}
        changed += [name for name in elsewhere if name not in there]
    if not changed:
        return []
    importlib.invalidate_caches()
    for name, path in files.items():  # also those that hold on to what a changed one had defined
        sys.modules.pop(name, None)
        cached = Path(importlib.util.cache_from_source(path))
        cached.unlink(missing_ok=True)  # it goes by whole seconds, and may not notice
    return changed


def _found_at(name: str) -> str | None:
    """The file that an import of a module would load, "" if there is none; None for parts of packages."""
    if "." in name:
        return None
    specs = (finder.find_spec(name, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))
    spec = next((spec for spec in specs if spec is not None), None)
    return os.path.realpath(spec.origin) if spec is not None and spec.origin else ""


def _content(path: str) -> bytes:
    try:
        return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).digest()
    except OSError:
        return b"absent"
