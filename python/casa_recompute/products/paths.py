"""How a data product is named: relative to its workspace, absolute when it lies outside."""

from __future__ import annotations

import fnmatch
import glob
import os
from pathlib import Path


def product_path(path: str | os.PathLike[str], cwd: Path, workspace: Path) -> str:
    """The one name of the product at ``path``: symlinks resolved, relative to ``workspace`` when it lies inside.

    Args:
        path: as a task was given it, relative to ``cwd`` or absolute.
        cwd: the directory in which the call is made.
        workspace: an absolute path without symlinks.
    """
    real = os.path.realpath(os.path.join(cwd, os.path.expanduser(path)))
    root = str(workspace)
    if real.startswith(root + os.sep):
        return os.path.relpath(real, root)
    return real


def around(path: str) -> list[str]:
    """The directories in which a path lies, the outermost first. Each may be a product, of which it is a part then."""
    return [path[:at] for at, letter in enumerate(path) if letter == "/" and at]


def is_directory(path: str) -> bool:
    """Whether a product is a directory without what is in it, which are products of their own: ``images/``."""
    return path.endswith("/")


def matches(pattern: str, cwd: Path) -> list[str]:
    """Existing paths that match a glob ``pattern``, relative to ``cwd`` as the pattern is, sorted."""
    return sorted(glob.glob(pattern, root_dir=cwd, include_hidden=True))


def fits(path: str, pattern: str) -> bool:
    """Whether a path (existing or not) is one that ``pattern`` names; ``*`` does not cross directories."""
    names, wanted = path.split("/"), pattern.split("/")
    return len(names) == len(wanted) and all(fnmatch.fnmatchcase(a, b) for a, b in zip(names, wanted, strict=True))
