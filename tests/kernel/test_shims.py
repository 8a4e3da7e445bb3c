"""Stand-ins for CASA's packages, on packages made for the purpose."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from casa_kernel.lazy import Lazy, is_lazy, resolve
from casa_kernel.shims import CasaFinder, ShimPackage

NAME = "shimmed_package"


def task() -> str:
    return "ours"


@pytest.fixture
def finder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CasaFinder]:
    """Serves a stand-in of a package that has a task, a helper and a submodule named like the task."""
    package = tmp_path / NAME
    (package / "private").mkdir(parents=True)
    (package / "__init__.py").write_text("LOADED = True\nfrom .task import task\ndef helper(): return 'real'\n")
    (package / "task.py").write_text("def task(): return 'real'\n")
    (package / "private" / "__init__.py").write_text("")
    (package / "private" / "tool.py").write_text(f"from {NAME} import task\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    made = CasaFinder({NAME: {"task": task}, "absent_package": {"task": task}}, lambda: None, lambda _: None)
    yield made
    if made in sys.meta_path:
        made.remove()
    for name in [name for name in sys.modules if name.partition(".")[0] in (NAME, "absent_package")]:
        del sys.modules[name]


def real(module: ModuleType) -> ModuleType | None:
    found: ModuleType | None = vars(module)["_casa_real"]
    return found


def test_tasks_are_ours_and_the_package_is_not_loaded(finder: CasaFinder) -> None:
    finder.install()
    namespace: dict[str, object] = {}
    exec(f"from {NAME} import task\nfrom {NAME} import *\nimport {NAME} as p", namespace)
    module = importlib.import_module(NAME)
    assert namespace["task"] is task and module.task is task
    assert isinstance(module, ShimPackage) and real(module) is None


def test_submodules_are_the_real_files_and_do_not_hide_tasks(finder: CasaFinder) -> None:
    finder.install()
    tool = importlib.import_module(f"{NAME}.private.tool")
    assert tool.task is task
    module = importlib.import_module(f"{NAME}.task")
    assert module.task() == "real"
    package = importlib.import_module(NAME)
    assert package.task is task and package.private.tool is tool
    assert real(package) is None


def test_anything_else_comes_from_the_real_package(finder: CasaFinder) -> None:
    finder.install()
    package = importlib.import_module(NAME)
    assert package.helper() == "real" and package.LOADED
    assert package.task is task
    assert {"task", "helper"} <= set(dir(package))
    with pytest.raises(AttributeError):
        _ = package.nosuch


def test_a_package_imported_before_is_replaced_and_given_back(finder: CasaFinder) -> None:
    before = importlib.import_module(NAME)
    finder.install()
    assert importlib.import_module(NAME).task is task
    assert importlib.import_module(NAME).helper is before.helper
    finder.remove()
    assert importlib.import_module(NAME) is before


def test_tasks_of_another_interpreters_casa_can_be_imported(finder: CasaFinder) -> None:
    finder.install()
    package = importlib.import_module("absent_package")
    assert package.task is task
    with pytest.raises(ImportError):
        _ = package.version


def test_a_lazy_object_is_made_once_and_only_when_needed() -> None:
    made: list[list[int]] = []

    def make() -> list[int]:
        made.append([1, 2])
        return made[-1]

    lazy = Lazy(make)
    assert is_lazy(lazy) and made == []
    assert isinstance(lazy, list) and lazy == [1, 2] and lazy.index(2) == 1
    lazy.append(3)
    assert repr(lazy) == "[1, 2, 3]" and "append" in dir(lazy)
    assert resolve(lazy) is made[0] and len(made) == 1


def test_a_lazy_class_is_called_subclassed_and_checked() -> None:
    lazy = Lazy(lambda: dict)
    assert lazy(a=1) == {"a": 1} and isinstance({}, lazy) and issubclass(dict, lazy)
    derived = type("Derived", (dict,), {})
    assert issubclass(derived, lazy)
    namespace: dict[str, object] = {"lazy": lazy}
    exec("class Mine(lazy): pass", namespace)
    assert issubclass(namespace["Mine"], dict)  # type: ignore[arg-type]


def test_attributes_are_set_on_the_real_object() -> None:
    class Real:
        """What it is."""

    real = Real()
    lazy = Lazy(lambda: real)
    lazy.value = 3
    assert real.value == 3 and lazy.__doc__ == "What it is."  # type: ignore[attr-defined]
    del lazy.value
    assert not hasattr(real, "value")


def test_what_is_resolved_while_it_is_made_counts() -> None:
    """Importing casatools resolves all stand-ins, the one that caused the import too."""
    nested: list[str] = []

    def make() -> str:
        if nested:
            return "inner"
        nested.append("yes")
        resolve(lazy)
        return "outer"

    lazy = Lazy(make)
    assert resolve(lazy) == "inner" == resolve(lazy)
