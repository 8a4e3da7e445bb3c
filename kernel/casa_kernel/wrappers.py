"""One ordinary Python function per CASA task.

CASA's own task objects are instances without ``__name__``; these are functions with the task's signature and
documentation, so that ``help``, ``?``, Shift+Tab and completion work as for any function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from casa_recompute.tasks import Task

#: Runs one call: task name, positional arguments, keyword arguments -> the task's return value.
Call = Callable[[str, tuple[Any, ...], dict[str, Any]], Any]

_MARK = "__casa_task__"


def wrap(task: Task, call: Call) -> Callable[..., Any]:
    """A function that looks like ``task`` and runs through ``call``."""
    name = task.name

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True  # the traceback should show the user's line and CASA's message
        return call(name, args, kwargs)

    wrapper.__name__ = wrapper.__qualname__ = name
    wrapper.__module__ = task.module
    wrapper.__doc__ = task.docstring
    wrapper.__signature__ = task.signature  # type: ignore[attr-defined]
    setattr(wrapper, _MARK, name)
    return wrapper


def wrap_all(tasks: Mapping[str, Task], call: Call) -> dict[str, Callable[..., Any]]:
    """The wrappers of all ``tasks`` by name."""
    return {name: wrap(task, call) for name, task in tasks.items()}


def task_name(thing: object) -> str | None:
    """The name of the task that ``thing`` wraps, or None when it is no wrapper."""
    name = getattr(thing, _MARK, None)
    return name if isinstance(name, str) else None
