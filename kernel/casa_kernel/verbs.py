"""casashell's verbs: inp, go, default, tget, tput, saveinputs, with parameters set as global variables."""

from __future__ import annotations

import builtins
import os
import textwrap
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from pathlib import Path
from types import ModuleType
from typing import Any

from IPython.core.error import UsageError

from casa_recompute.tasks import Parameter, Task

from . import saved
from .lazy import is_lazy
from .wrappers import task_name

_RESET, _BOLD, _GREEN, _BLUE, _RED = "\x1b[0m", "\x1b[1m", "\x1b[32m", "\x1b[34m", "\x1b[31m"
_WIDTH = 100  # characters of a line that inp prints

_ACTIVE = "_active_task"
"""The global variable with the name of the active task: like any other it is kept, and comes back after a restart."""

_SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "path": (str, os.PathLike),
    "bool": (bool,),
    "int": (int,),
    "double": (int, float, Mapping),  # {"value": 0.1, "unit": "GHz"}
    "record": (Mapping,),
}


def problem(parameter: Parameter, value: Any) -> str | None:
    """Why CASA will refuse ``value``, in a few words; None when nothing is seen (CASA has the last word)."""
    kinds = parameter.type.split("|")
    scalars = [kind.removesuffix("Vec") for kind in kinds]
    if all(kind in _SCALARS for kind in scalars):
        accepted = tuple(t for kind in scalars for t in _SCALARS[kind])
        vector = any(kind.endswith("Vec") for kind in kinds)
        plain = value.tolist() if hasattr(value, "tolist") else value
        items = list(plain) if vector and isinstance(plain, list | tuple) else [plain]
        if items != [""] and not all(_fits(item, accepted) for item in items):
            return f"must be {' or '.join(kinds)}"
        if parameter.allowed and not set(map(repr, items)) <= set(map(repr, parameter.allowed)):
            return "must be one of " + ", ".join(map(repr, parameter.allowed))
    if parameter.must_exist and isinstance(value, str) and not os.path.exists(os.path.expanduser(value)):
        return f"{value!r} does not exist" if value else "must be a path that exists"
    return None


def _fits(item: Any, accepted: tuple[type, ...]) -> bool:
    return isinstance(item, accepted) and (bool in accepted or not isinstance(item, bool))


class Verbs:
    """The verbs of one kernel.

    ``run(task, kwargs)`` runs a call; ``last_directory`` keeps the parameters of each task's last call, so
    that the user's directory is not littered. ``reading`` is told global variables before they are read, ``impure``
    in words what else decides what a verb does.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        namespace: MutableMapping[str, Any],
        run: Callable[[str, dict[str, Any]], Any],
        last_directory: Path,
        reading: Callable[[Iterable[str]], None] = lambda _names: None,
        impure: Callable[[str], None] = lambda _what: None,
    ) -> None:
        self._tasks = tasks
        self._namespace = namespace
        self._run = run
        self._last_directory = last_directory
        self._reading = reading
        self._impure = impure

    def names(self) -> dict[str, Callable[..., Any]]:
        """The verbs by the names that casashell gives them."""
        verbs = (self.inp, self.go, self.default, self.tget, self.tput)
        return {verb.__name__: verb for verb in verbs} | {"saveinputs": self.tput}

    # -- values ---------------------------------------------------------------------------------------------

    def values(self, task: Task) -> dict[str, Any]:
        """The parameters as global variables give them, else their (conditional) defaults."""
        self._reading([parameter.name for parameter in task.parameters if not parameter.hidden])
        given = {
            parameter.name: self._namespace[parameter.name]
            for parameter in task.parameters
            if not parameter.hidden and self._is_value(parameter.name)
        }
        return {**task.defaults, **task.conditional_defaults(given), **given}

    def _is_value(self, name: str) -> bool:
        """Did the user set this variable as a parameter? Tools, tasks and modules do not count."""
        if name not in self._namespace:
            return False
        value = self._namespace[name]
        return not (is_lazy(value) or isinstance(value, ModuleType) or callable(value))

    def _is_function(self, name: str) -> bool:
        """Does this name mean something to Python already?"""
        return hasattr(builtins, name) or (name in self._namespace and not self._is_value(name))

    def _select(self, verb: str, thing: object) -> Task:
        """The task meant, which becomes the active one."""
        if thing is None:
            self._reading([_ACTIVE])
            thing = self._namespace.get(_ACTIVE)
        name = thing if thing is None or isinstance(thing, str) else task_name(thing)
        if name is None and thing is None:
            raise UsageError(f"{verb}: no task is active yet; name one, as in {verb}(listobs)")
        if name is None or name not in self._tasks:
            raise UsageError(f"{verb}: {thing!r} is not a CASA task")
        self._namespace[_ACTIVE] = name
        return self._tasks[name]

    # -- verbs ----------------------------------------------------------------------------------------------

    def inp(self, task: object = None) -> None:
        """Show the parameters of a task as global variables set them; without a task, of the active one."""
        chosen = self._select("inp", task)
        values = self.values(chosen)
        shown = chosen.applicable(values)
        defaults = {**chosen.defaults, **chosen.conditional_defaults(values)}
        parents = {condition.parameter for condition in chosen.conditions}
        width = max((len(name) for name in shown), default=0) + 3
        lines = [f"# {chosen.name} -- {chosen.summary}"]
        for parameter in chosen.parameters:
            if parameter.name in shown:
                value, default = values[parameter.name], defaults[parameter.name]
                lines += _row(parameter, value, default, parameter.name in parents, width)
        print("\n".join(lines))

    def go(self, task: object = None) -> Any:
        """Run a task with the parameters that global variables set; without a task, the active one."""
        chosen = self._select("go", task)
        return self._run(chosen.name, self.values(chosen))

    def default(self, task: object = None) -> None:
        """Remove the global variables that are parameters of a task, so that its defaults hold."""
        chosen = self._select("default", task)
        for parameter in chosen.parameters:
            if self._is_value(parameter.name):
                del self._namespace[parameter.name]

    def tget(self, task: object = None, savefile: str | None = None) -> None:
        """Set global variables from the parameters of a task's last call, or from a file of parameters."""
        chosen = self._select("tget", task)
        path = Path(savefile) if savefile is not None else self._newest(chosen.name)
        if path is None or not path.is_file():
            where = f" in {path}" if path else ""
            print(f"tget: no saved parameters of {chosen.name}{where}; its defaults are set")
            self.default(chosen.name)
            return
        try:
            values, refused = saved.loads(path.read_text(encoding="utf-8", errors="replace"))
        except SyntaxError as error:
            raise UsageError(f"tget: {path} is not a file of saved parameters: {error}") from error
        known = [parameter.name for parameter in chosen.parameters]
        self.default(chosen.name)
        defaults = self.values(chosen)
        for name in known:
            # flagdata has a parameter `display`: a default is no reason to hide a function from the user.
            if name in values and not (self._is_function(name) and _same(values[name], defaults[name])):
                self._namespace[name] = values[name]
        print(f"tget: parameters of {chosen.name} restored from {path}")
        ignored = [name for name in refused if name in known]
        if ignored:
            print(f"tget: not restored, because only plain values are read: {', '.join(ignored)}")

    def _newest(self, name: str) -> Path | None:
        """What ``tget`` reads by itself: the newer ``.last`` (ours, casashell's), else ``.saved``."""
        self._impure("the parameters of an earlier call")
        last = [path for path in (self._last_file(name), Path(f"{name}.last")) if path.is_file()]
        if last:
            return max(last, key=lambda path: path.stat().st_mtime_ns)
        return path if (path := Path(f"{name}.saved")).is_file() else None

    def tput(self, task: object = None, outfile: str | None = None) -> bool:
        """Save the parameters of a task as global variables set them, for ``tget``; True when saved."""
        chosen = self._select("tput", task)
        path = Path(outfile) if outfile is not None else self._last_file(chosen.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(saved.dumps(chosen.name, self.values(chosen)), encoding="utf-8")
        return True

    def _last_file(self, name: str) -> Path:
        return self._last_directory / f"{name}.last"

    def remember(self, name: str, bound: Mapping[str, Any]) -> None:
        """Keep the parameters of a call that is about to run, for ``tget``."""
        path = self._last_file(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(saved.dumps(name, bound), encoding="utf-8")
        except OSError as error:  # a full disk must not stop the task
            print(f"The parameters of {name} were not kept for tget: {error}")


def _row(parameter: Parameter, value: Any, default: Any, parent: bool, width: int) -> list[str]:
    """One parameter as ``inp`` prints it: name, value, what it means or what is wrong with it."""
    wrong = problem(parameter, value)
    colour = _RED if wrong else "" if _same(value, default) else _BLUE
    indent = "   " if parameter.subparameter else ""
    name_colour = _BOLD if parent else _GREEN if parameter.subparameter else ""
    name = f"{name_colour}{indent + parameter.name:<{width}}{_RESET if name_colour else ''}"
    text = repr(saved.literal(value)) if saved.literal(value) is not None else repr(value)
    shown = f"{colour}{text:<22}{_RESET if colour else ''}"
    margin = width + 3 + max(22, len(text)) + 3
    meaning = " ".join((parameter.shortdescription or parameter.description).replace("\\'", "'").split())
    if wrong:
        meaning = f"{wrong}. {meaning}" if meaning else wrong
    words = textwrap.wrap(meaning, max(_WIDTH - margin, 30)) or [""]
    first = f"{name} = {shown} # {words[0]}".rstrip(" #")
    return [first, *(" " * (width + 3 + 22 + 1) + f"# {more}" for more in words[1:])]


def _same(value: Any, default: Any) -> bool:
    return bool(saved.literal(value) == saved.literal(default))
