"""``from casatasks import tclean`` in a user's code gives the memoised task.

A finder serves stand-ins for CASA's task packages. Their task attributes are our functions; everything else
comes from the real package, which is imported only when something else is asked for (casatasks takes two
seconds). Submodules (``casatasks.private.simutil``) are the real files.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


class ShimPackage(ModuleType):
    """A stand-in for one package; see the module's text."""

    def __init__(self, name: str, known: Mapping[str, Any], real: ModuleType | None = None) -> None:
        super().__init__(name)
        vars(self)["_casa_known"] = known
        vars(self)["_casa_real"] = real

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_"):
            known = vars(self)["_casa_known"]
            if name in known:
                return known[name]
        return super().__getattribute__(name)

    def __getattr__(self, name: str) -> Any:
        real = vars(self)["_casa_real"]
        if real is None:
            if name.startswith("_"):  # asked for by the import system and by tools that look at modules
                raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self)
            real = self._load()
        return getattr(real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # Importing a submodule binds it in its package; casatasks.tclean must stay the task.
        if not (isinstance(value, ModuleType) and name in vars(self)["_casa_known"]):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *vars(self)["_casa_known"], *vars(vars(self)["_casa_real"] or self)})

    def _load(self) -> ModuleType:
        """Run the package's own ``__init__``; its submodules are found through this stand-in."""
        spec = PathFinder.find_spec(self.__name__)
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError(f"No module named {self.__name__!r}", name=self.__name__)
        real = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(real)
        vars(self)["_casa_real"] = real
        return real


class _ShimLoader(Loader):
    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = known

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return ShimPackage(spec.name, self._known)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__all__"] = sorted(self._known)


class _WatchingLoader(Loader):
    """Loads a module as usual; calls ``before`` before that and ``loaded`` with the module after it."""

    def __init__(self, loader: Loader, before: Callable[[], None], loaded: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._before = before
        self._loaded = loaded

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._before()
        self._loader.exec_module(module)
        self._loaded(module)


class CasaFinder(MetaPathFinder):
    """Serves ``packages`` (name -> what goes before the real thing) and tells when casatools is loaded."""

    def __init__(
        self,
        packages: Mapping[str, Mapping[str, Any]],
        before_casatools: Callable[[], None],
        casatools_loaded: Callable[[ModuleType], None],
    ) -> None:
        self._packages = packages
        self._before_casatools = before_casatools
        self._casatools_loaded = casatools_loaded

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The stand-in's spec, or None for any other module (the usual finders go on)."""
        if fullname in self._packages:
            loader = _ShimLoader(self._packages[fullname])
            spec = importlib.machinery.ModuleSpec(fullname, loader, is_package=True)
            real = PathFinder.find_spec(fullname)
            if real is not None:  # else CASA is in the worker's interpreter only, and there are just its tasks
                spec.origin = real.origin
                spec.submodule_search_locations = real.submodule_search_locations
                spec.has_location = True
            return spec
        if fullname == "casatools":
            real = PathFinder.find_spec(fullname)
            if real is not None and real.loader is not None:
                real.loader = _WatchingLoader(real.loader, self._before_casatools, self._casatools_loaded)
            return real
        return None

    def install(self) -> None:
        """Serve from now on, also in place of packages that were imported before."""
        sys.meta_path.insert(0, self)
        for name, known in self._packages.items():
            real = sys.modules.get(name)
            if real is not None:
                shim = ShimPackage(name, known, real)
                vars(shim).update({key: value for key, value in vars(real).items() if key.startswith("__")})
                sys.modules[name] = shim
        if "casatools" in sys.modules:
            self._casatools_loaded(sys.modules["casatools"])

    def remove(self) -> None:
        """Stop; the next import of a package gives the real one."""
        sys.meta_path.remove(self)
        for name in self._packages:
            shim = sys.modules.get(name)
            if isinstance(shim, ShimPackage):
                real = vars(shim)["_casa_real"]
                if real is None:
                    del sys.modules[name]
                else:
                    sys.modules[name] = real
