"""What a task is: its parameters, when they apply, and how a call is bound and brought into normal form."""

from __future__ import annotations

import copy
import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .coerce import normal_form


@dataclass(frozen=True)
class Parameter:
    """One task parameter.

    `type` is CASA's: string, int, double, bool, path, record, variant (anything), their vectors (stringVec
    ...), or several joined by '|'. `units` is the unit of a plain number. `keyword_only`: accepted, but only
    by name and not shown in the signature (sdcal's `intent`).
    """

    name: str
    type: str
    default: Any
    description: str
    shortdescription: str
    allowed: tuple[Any, ...]
    subparameter: bool
    hidden: bool
    units: str
    kind: str
    must_exist: bool
    keyword_only: bool = False


@dataclass(frozen=True)
class Condition:
    """Sub-parameters, with defaults, that apply when `parameter` has `value` (`equals` False: has not)."""

    parameter: str
    equals: bool
    value: Any
    defaults: tuple[tuple[str, Any], ...]

    def holds(self, value: Any) -> bool:
        """Whether the sub-parameters apply when the parameter has this value."""
        return bool((value == self.value) == self.equals)


@dataclass(frozen=True)
class Task:
    """A CASA task as CASA itself describes it."""

    name: str
    module: str
    package: str
    categories: tuple[str, ...]
    summary: str
    description: str
    example: str
    parameters: tuple[Parameter, ...]
    conditions: tuple[Condition, ...]
    docstring: str

    @cached_property
    def signature(self) -> inspect.Signature:
        """The signature of CASA's own object: the same names, order and defaults."""
        shown = [
            inspect.Parameter(p.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=p.default)
            for p in self.parameters
            if not p.keyword_only
        ]
        if any(p.keyword_only for p in self.parameters):
            shown.append(inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD))
        return inspect.Signature(shown)

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The default of each parameter in a direct call (`inp` and `go`: see `conditional_defaults`)."""
        return {p.name: p.default for p in self.parameters}

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters with the value this call gives them, in the task's order; defaults are filled with
        copies.

        Raises TypeError, worded as Python words it for a function, when the arguments do not fit the
        signature.
        """
        for name in kwargs:
            if name not in self.defaults:
                near = difflib.get_close_matches(name, self.defaults, 1)
                hint = f". Did you mean '{near[0]}'?" if near else ""
                raise TypeError(f"{self.name}() got an unexpected keyword argument '{name}'{hint}")
        try:
            given = self.signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{self.name}() {error}") from None
        given.update(given.pop("kwargs", {}))
        return {n: given[n] if n in given else copy.deepcopy(d) for n, d in self.defaults.items()}

    def normalise(self, bound: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as plain JSON-able data, the same for every spelling of the same call: what a key is
        made of.

        See `casa_recompute.tasks.coerce.normal_form`. Raises TypeError naming the parameter that holds no
        plain data.
        """
        types = {p.name: p.type for p in self.parameters}
        normal = {}
        for name in sorted(bound):
            try:
                normal[name] = normal_form(bound[name], types[name])
            except TypeError as error:
                raise TypeError(f"{self.name}: parameter '{name}': {error}") from None
        return normal

    def conditional_defaults(self, bound: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults that `inp` and `go` use for sub-parameters, given the values in `bound` (it may be
        partial).

        Only sub-parameters whose condition holds are named. A parameter absent from `bound` counts with its
        own conditional default, else with the default of the signature.
        """
        found: dict[str, Any] = {}

        def value_of(name: str) -> Any:
            if name in bound:
                return bound[name]
            default_of(name)
            return found.get(name, self.defaults.get(name))

        def default_of(name: str) -> None:
            for condition in self._conditions_for.get(name, ()):
                if name not in found and condition.holds(value_of(condition.parameter)):
                    found[name] = copy.deepcopy(dict(condition.defaults)[name])

        for parameter in self.parameters:
            default_of(parameter.name)
        return found

    def completed(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call as casashell makes it: with the defaults that go with the ones that are given.

        Raises:
            TypeError: wrong arguments, as Python's own.
        """
        given = self.signature.bind_partial(*args, **kwargs).arguments
        given = {**given, **given.pop("kwargs", {})}
        return {**self.conditional_defaults(given), **given}

    def applicable(self, bound: Mapping[str, Any]) -> tuple[str, ...]:
        """The parameters that `inp` shows for the values in `bound`: a sub-parameter only while its parent
        applies.
        """
        active = self.conditional_defaults(bound)
        values = {**self.defaults, **active, **bound}

        def applies(name: str) -> bool:
            conditions = self._conditions_for.get(name)
            return conditions is None or any(
                c.holds(values[c.parameter]) and applies(c.parameter) for c in conditions if c.parameter in values
            )

        return tuple(p.name for p in self.parameters if not p.hidden and applies(p.name))

    @cached_property
    def _conditions_for(self) -> dict[str, list[Condition]]:
        by_name: dict[str, list[Condition]] = {}
        for condition in self.conditions:
            for name, _ in condition.defaults:
                if name != condition.parameter:
                    by_name.setdefault(name, []).append(condition)
        return by_name
