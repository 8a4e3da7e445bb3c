"""What cells share without a name: the working directory, environment variables, what libraries were told.

Each part is seen as what differs from a new kernel, so that it can be kept and brought to another one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from casa_recompute.notebook.simulate import DIRECTORY, ENVIRONMENT, PANDAS, PLOTTING, PRINTING, SEARCH_PATH

_NUMPY_PRINTS = {
    "precision": 8, "threshold": 1000, "edgeitems": 3, "linewidth": 75, "suppress": False, "nanstr": "nan",
    "infstr": "inf", "sign": "-", "floatmode": "maxprec", "formatter": None, "legacy": False,
}  # fmt: skip
_SETTERS = {
    DIRECTORY: ("chdir", "%cd", "pushd", "popd"),
    ENVIRONMENT: ("env",),
    SEARCH_PATH: ("sys.path",),
    PRINTING: ("printoptions",),
    PLOTTING: ("rcParams", ".rc(", "rcdefaults", "style.use", ".rc_file"),
    PANDAS: ("option",),
}
"""Words of cells that set a part."""
_NOT_OF_PLOTS = {"backend", "backend_fallback", "interactive", "savefig.directory"}


class Process:
    """The parts of this process, seen from how it was when this was made."""

    def __init__(self) -> None:
        self._home = os.getcwd()
        self._environment = dict(os.environ)
        self._path = list(sys.path)

    def now(self) -> dict[str, Any]:
        """Part -> what differs from a new kernel; parts that do not are left out."""
        found: dict[str, Any] = {
            DIRECTORY: self._directory(),
            ENVIRONMENT: _differences(os.environ, self._environment),
            SEARCH_PATH: [self._shorter(entry) for entry in sys.path] if sys.path != self._path else None,
            PRINTING: self._printing(),
            PLOTTING: self._plotting(),
            PANDAS: _pandas_options(),
        }
        return {part: value for part, value in found.items() if value}

    def get_used_to(self, part: str) -> None:
        """The present state of a part is that of a new kernel: it was not the user who changed it."""
        if part == ENVIRONMENT:
            self._environment = dict(os.environ)
        elif part == SEARCH_PATH:
            self._path = list(sys.path)

    def put(self, part: str, value: Any) -> None:
        """Bring a part to a state that :meth:`now` gave; None: to that of a new kernel.

        Raises:
            OSError: the working directory is not there.
        """
        if part == DIRECTORY:
            os.chdir(self.whole(value or self._home))
        elif part == ENVIRONMENT:
            _apply(os.environ, self._environment, value or {})
        elif part == SEARCH_PATH:
            entries = value if value is not None else self._path
            sys.path[:] = [self.whole(entry) for entry in entries]
        elif part == PRINTING and (value is not None or "numpy" in sys.modules):
            __import__("numpy").set_printoptions(**{**_NUMPY_PRINTS, **(value or {})})
        elif part == PLOTTING and (value is not None or "matplotlib" in sys.modules):
            matplotlib: Any = __import__("matplotlib")
            for name in _plot_differences(matplotlib).keys() - (value or {}).keys():
                matplotlib.rcParams[name] = matplotlib.rcParamsOrig[name]
            matplotlib.rcParams.update(value or {})
        elif part == PANDAS and (value is not None or "pandas" in sys.modules):
            pandas: Any = __import__("pandas")
            for name in _pandas_options().keys() - (value or {}).keys():
                pandas.reset_option(name)
            for name, option in (value or {}).items():
                pandas.set_option(name, option)

    def _directory(self) -> str:
        try:
            return self._shorter(os.getcwd()) if os.getcwd() != self._home else ""
        except FileNotFoundError:
            return "(removed)"

    def _shorter(self, path: str) -> str:
        """Paths below the place where the kernel started move with it."""
        return "./" + os.path.relpath(path, self._home) if path.startswith(self._home + os.sep) else path

    def whole(self, path: str) -> str:
        """A path that :meth:`now` gave, in full."""
        return os.path.join(self._home, path.removeprefix("./")) if path.startswith("./") else path

    def _printing(self) -> dict[str, Any]:
        numpy: Any = sys.modules.get("numpy")
        options = getattr(numpy, "get_printoptions", None)  # not there while numpy is being imported
        return _differences(options(), _NUMPY_PRINTS, _NUMPY_PRINTS) if options is not None else {}

    def _plotting(self) -> dict[str, Any]:
        matplotlib = sys.modules.get("matplotlib")
        return _plot_differences(matplotlib) if hasattr(matplotlib, "rcParamsOrig") else {}


def senses(
    chains: Collection[str],
    source: str,
    namespace: Mapping[str, Any],
    outputs: Iterable[Mapping[str, Any]],
    files: bool,
    programs: bool,
) -> set[str]:
    """The parts on whose state a cell may depend.

    Args:
        chains: names and attribute chains that it loads, also in functions that it may have called.
        source: its text.
        namespace: where the names are looked up.
        outputs: what it showed.
        files: whether it has used any.
        programs: whether it has started any.
    """
    said = "( ".join((source, *chains, ""))
    # Who sets a part to what it was already depends on it, too: so its run stands only where that was so.
    found = {part for part, words in _SETTERS.items() if any(word in said for word in words)}
    if files or programs or any(chain.endswith(("cwd", "abspath", "realpath", "resolve")) for chain in chains):
        found.add(DIRECTORY)
    if programs or any("expand" in chain for chain in chains):
        found.add(ENVIRONMENT)
    if "import" in source:
        found.add(SEARCH_PATH)
    shown = [output.get("data", ()) for output in outputs]
    if shown or files:  # also what is written to a file may have been printed
        found |= {PRINTING, PANDAS}
    images = any(kind.startswith("image/") for data in shown for kind in data)
    roots = (namespace.get(chain.partition(".")[0]) for chain in chains)
    if images or any(getattr(type(root), "__name__", "") == "module" and _plots(root) for root in roots):
        found.add(PLOTTING)
    return found


def _plots(module: Any) -> bool:
    return str(vars(module).get("__name__", "")).partition(".")[0] in ("matplotlib", "seaborn", "pylab", "aplpy")


def _differences(
    now: Mapping[str, Any], then: Mapping[str, Any], names: Collection[str] | None = None
) -> dict[str, Any]:
    """What is other than it was; None stands for what is gone. ``names``: those that count; default: all."""
    names = names if names is not None else now.keys() | then.keys()
    return {name: now.get(name) for name in sorted(names) if now.get(name) != then.get(name)}


def _apply(target: Any, base: Mapping[str, Any], differences: Mapping[str, Any]) -> None:
    wanted = {name: value for name, value in {**base, **differences}.items() if value is not None}
    for name in target.keys() - wanted.keys():
        del target[name]
    for name, value in wanted.items():
        if target.get(name) != value:
            target[name] = value


def _plot_differences(matplotlib: Any) -> dict[str, Any]:
    now, then = matplotlib.rcParams, matplotlib.rcParamsOrig
    get = dict.__getitem__  # without its warnings, and without choosing a backend
    names = now.keys() - _NOT_OF_PLOTS
    return {name: get(now, name) for name in sorted(names) if get(now, name) != dict.get(then, name)}


def _pandas_options() -> dict[str, Any]:
    config = sys.modules.get("pandas._config.config")
    found = {}
    for name, option in getattr(config, "_registered_options", {}).items():
        value: Any = config._global_config  # type: ignore[union-attr]
        for part in name.split("."):
            value = value[part]
        if value != option.defval:
            found[name] = value
    return found
