"""A notebook without a kernel: a ``__main__`` module of its own, whose names are the namespace."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from casa_recompute.values import keep

Cell = Callable[[str], dict[str, Any]]


@pytest.fixture
def namespace(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    return main.__dict__


@pytest.fixture
def cell(namespace: dict[str, Any]) -> Cell:
    """Runs source as a cell and gives the namespace."""

    def run(source: str) -> dict[str, Any]:
        exec(compile(source, "<cell>", "exec"), namespace)
        return namespace

    return run


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's data directory."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    keep.forget_secret()
    yield tmp_path / "data"
    keep.forget_secret()
