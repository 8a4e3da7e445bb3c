"""The small language of the effects table: which paths a parameter names, and when.

A rule is `<target>` or `<target> if <condition>`. A target is

* a parameter name: every string in its value (a list, a nested list, the values of a dict);
* a template such as `{vis}.flagversions`, expanded for every string of the parameter. `{figfile:root}` is the
value
  without its extension, `:ext` the extension with its dot, `:base` the last component, `:image` what stands
  before a colon (`image:mask`). `*`, `?` and `[...]` outside the braces make it a glob;
* `./name`: that very file, where a task has a default name of its own;
* `<set>` inside a template: one path for each member of that named set of suffixes;
* `lel(parameter)`: the existing paths in an image expression, a region or a mask;
* `named(parameter)`: the existing paths that quoted strings name, in the value or in the text file it names;
* `file(parameter)`: the parameter's string, or the string under `file` when it is a dict;
* `glob(parameter)`: the parameter's strings are globs.

A condition is a Python expression over the task's parameters, made only of literals, comparisons, `and`,
`or`, `not`, and the functions `exists('<target>')`, `count(x)` (strings and numbers in a value), `lower(x)`
and `has(text, part)`. It is checked and evaluated on its syntax tree, never by `eval`.
"""

from __future__ import annotations

import ast
import glob
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

Exists = Callable[[str], bool]
ReadText = Callable[[str], str | None]


class RuleError(ValueError):
    """A rule of the table that does not follow the grammar or names no parameter of its task."""


@dataclass(frozen=True)
class Found:
    """One path that a target stands for: `pattern` is set when it is a glob, `role` names the use."""

    path: str
    role: str
    pattern: str | None = None


@dataclass(frozen=True)
class Call:
    """What a rule is evaluated against: normalised arguments, the suffix sets, and the file system."""

    values: Mapping[str, Any]
    sets: Mapping[str, tuple[str, ...]]
    exists: Exists
    read_text: ReadText


@dataclass(frozen=True)
class Rule:
    """A parsed rule. `text` is how the table spells it."""

    text: str
    target: str
    condition: ast.expr | None

    def holds(self, call: Call) -> bool:
        """Whether the condition is met."""
        return self.condition is None or bool(_evaluate(self.condition, call))

    def paths(self, call: Call) -> list[Found]:
        """The paths that the target stands for in this call, existing or not, without empty ones."""
        return expand(self.target, call)


@cache
def parse(text: str) -> Rule:
    """Parse one rule. Raises RuleError when it is not of the grammar."""
    target, _, condition = (part.strip() for part in text.partition(" if "))
    return Rule(text, target, parse_condition(condition) if condition else None)


@cache
def parse_condition(text: str) -> ast.expr:
    """Parse a condition. Raises RuleError for anything but the small subset of Python that is allowed."""
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise RuleError(f"{text!r} is no expression: {error}") from None
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise RuleError(f"{type(node).__name__} is not allowed in the condition {text!r}")
        if isinstance(node, ast.Call) and not (
            isinstance(node.func, ast.Name) and node.func.id in _ARITY and len(node.args) == _ARITY[node.func.id]
        ):
            raise RuleError(f"unknown function, or wrong number of arguments, in the condition {text!r}")
    return tree


def names(rule: Rule) -> set[str]:
    """The parameters that a rule mentions."""
    return target_names(rule.target) | (condition_names(rule.condition) if rule.condition else set())


def condition_names(condition: ast.expr) -> set[str]:
    """The parameters that a condition mentions, also inside `exists`."""
    found: set[str] = set()
    for node in ast.walk(condition):
        if isinstance(node, ast.Name) and node.id not in _ARITY:
            found.add(node.id)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "exists":
            argument = node.args[0]
            if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                raise RuleError("exists() takes a quoted target")
            found |= target_names(argument.value)
    return found


def target_names(target: str) -> set[str]:
    """The parameters that a target mentions. Raises RuleError when it mentions none."""
    if match := _FUNCTION.fullmatch(target):
        return {match["argument"]}
    if target.isidentifier():
        return {target}
    if target.startswith("./"):
        return set()
    found = {m["name"] for m in _FIELD.finditer(target)}
    if not found:
        raise RuleError(f"the target {target!r} names no parameter of the task")
    return found


def expand(target: str, call: Call) -> list[Found]:
    """The paths that `target` stands for; the role is the target's own text, numbered when a parameter names
    several.
    """
    if match := _FUNCTION.fullmatch(target):
        argument = match["argument"]
        texts = [s for s in strings(call.values[argument]) if s]
        match match["function"]:
            case "file":
                value = call.values[argument]
                path = value.get("file", "") if isinstance(value, Mapping) else value
                return [Found(p, argument) for p in _paths(path)]
            case "glob":
                return [Found(t, r, t) for t, r in _roles(argument, texts)]
            case "lel":
                paths = [p for t in texts for p in _expression_paths(t, call.exists)]
            case _:
                paths = [p for t in texts for p in _quoted_paths(t, call)]
        return [Found(p, r) for p, r in _roles(argument, list(dict.fromkeys(paths)))]
    if target.isidentifier():
        return [Found(p, r) for p, r in _roles(target, _paths(call.values[target]))]
    if target.startswith("./"):
        return [Found(target.removeprefix("./"), target.removeprefix("./"))]
    found = []
    for template in _members(target, call.sets):
        fields = list(_FIELD.finditer(template))
        first = fields[0]["name"]
        role = template.replace("{", "").replace("}", "")
        is_glob = any(c in _FIELD.sub("", template) for c in "*?[")
        for value, name in _roles(role, _paths(call.values[first])):
            chosen = {f["name"]: (_paths(call.values[f["name"]]) or [""])[0] for f in fields} | {first: value}
            if all(chosen.values()):
                path, pattern = (
                    _FIELD.sub(lambda m: quote(_part(chosen[m["name"]], m["part"])), template)  # noqa: B023
                    for quote in (str, glob.escape)
                )
                found.append(Found(path, name, pattern if is_glob else None))
    return found


def strings(value: Any) -> Iterator[str]:
    """Every string in a normalised value, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


_ALLOWED = (
    ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.Compare, ast.Eq, ast.NotEq, ast.Lt,
    ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.List,
    ast.Call,
)  # fmt: skip
_ARITY = {"exists": 1, "count": 1, "lower": 1, "has": 2}
_FUNCTION = re.compile(r"(?P<function>lel|named|file|glob)\((?P<argument>\w+)\)")
_FIELD = re.compile(r"\{(?P<name>\w+)(?::(?P<part>root|ext|base|image))?\}")
_SET = re.compile(r"<(\w+)>")
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


def _evaluate(node: ast.expr, call: Call) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return call.values[name]
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return [_evaluate(i, call) for i in items]
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_evaluate(p, call) for p in parts)
        case ast.BoolOp(values=parts):
            return any(_evaluate(p, call) for p in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _evaluate(operand, call)
        case ast.UnaryOp(operand=operand):
            return -_evaluate(operand, call)
        case ast.Compare(left=left, ops=operators, comparators=others):
            values = [_evaluate(v, call) for v in (left, *others)]
            return all(_COMPARE[type(o)](a, b) for o, a, b in zip(operators, values, values[1:], strict=False))
        case ast.Call(func=ast.Name(id=function), args=arguments):
            return _apply(function, [_evaluate(a, call) for a in arguments], call)
    raise RuleError(f"{type(node).__name__} is not allowed in a condition")  # as parse_condition says too


def _apply(function: str, arguments: list[Any], call: Call) -> Any:
    match function:
        case "exists":
            return any(call.exists(f.path) for f in expand(arguments[0], call))
        case "count":
            value = arguments[0]
            return len(value) if isinstance(value, list) else int(value not in ("", None, {}))
        case "lower":
            return str(arguments[0]).lower()
        case _:
            return arguments[1] in str(arguments[0])


def _paths(value: Any) -> list[str]:
    """The strings of a value as paths: no empty ones, no closing slash, `~` expanded."""
    found = (os.path.expanduser(s) if s.startswith("~") else s for s in strings(value))
    return [s.rstrip("/") or "/" for s in found if s.strip()]


def _roles(role: str, items: list[str]) -> list[tuple[str, str]]:
    return [(item, role if len(items) == 1 else f"{role}.{n}") for n, item in enumerate(items)]


def _members(template: str, sets: Mapping[str, tuple[str, ...]]) -> list[str]:
    match = _SET.search(template)
    return [template] if match is None else [template.replace(match[0], member) for member in sets[match[1]]]


def _part(value: str, part: str | None) -> str:
    root, ext = os.path.splitext(value)
    match part:
        case "root":
            return root
        case "ext":
            return ext
        case "base":
            return os.path.basename(value)
        case "image":
            return value.partition(":")[0]
        case _:
            return value


def _quoted_paths(text: str, call: Call) -> Iterator[str]:
    if call.exists(text):
        yield text
        text = call.read_text(text) or ""
    for quoted in re.findall(r"'([^'\n]+)'|\"([^\"\n]+)\"", text):
        candidate = quoted[0] or quoted[1]
        if call.exists(candidate):
            yield candidate


def _expression_paths(text: str, exists: Exists) -> Iterator[str]:
    """Image names in an expression may be quoted or bare, and bare ones may hold operators (`a-b.im`)."""
    if exists(text):
        yield text
        return
    for run in re.findall(r"'[^']+'|\"[^\"]+\"|[^\s()\[\],;'\"]+", text):
        pieces = re.split(r"([+\-*/^<>=!&|:])", run.strip("'\""))
        for start in range(len(pieces)):
            for stop in range(len(pieces), start, -1):
                candidate = "".join(pieces[start:stop])
                if candidate.strip("./") and exists(candidate):
                    yield candidate
                    break
