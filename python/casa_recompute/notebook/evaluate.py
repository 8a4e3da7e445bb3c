"""The values of arguments of calls, as far as the text of a cell and the values of names tell them."""

from __future__ import annotations

import ast
import operator
import re
import types
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from casa_recompute.notebook.source import SAME


class Unknown(ValueError):
    """The text alone does not tell the value of an expression."""


LARGEST = 100_000
"""Values that take more than about so many bytes or items are not worked out."""
_IMMUTABLE = (int, float, complex, bool, str, bytes, types.NoneType, types.EllipsisType, range, slice)
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, values: item in values,
    ast.NotIn: lambda item, values: item not in values,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (str, int, float, bool, len, range, list, dict, tuple, sorted, abs, min, max, round)
}
_METHODS = {
    *("format", "replace", "join", "upper", "lower", "strip", "lstrip", "rstrip", "split", "startswith", "endswith")
}


def evaluate(expression: ast.expr, names: Mapping[str, object]) -> object:
    """The value of an argument of a call, as far as it is told without running code of the user.

    Operands are values of Python's own types only (numbers, texts, None, lists, tuples, dicts, ranges). Works out
    arithmetic, comparisons, ``and``/``or``/``not``, conditional expressions, f-strings, indexing and slicing, methods
    of texts, and a few of Python's functions. A list or dict may be the very object in ``names``: do not change it.

    Raises:
        Unknown: anything else, an error in the expression, or a value that is absurdly large.
    """
    try:
        return _checked(_evaluate(expression, names))
    except Unknown:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Unknown(str(error)) from error


def _size(value: object) -> int:
    """Bytes and items of a value, counted until there are too many.

    Raises:
        Unknown: there are too many, or it holds something else than Python's own plain types.
    """
    total, rest = 0, [value]
    while rest:
        item = rest.pop()
        total += 1
        if type(item) in (list, tuple):
            assert isinstance(item, list | tuple)
            rest.extend(item[: LARGEST + 1])
        elif type(item) is dict:
            rest.extend([*islice(item.keys(), LARGEST + 1), *islice(item.values(), LARGEST + 1)])
        elif type(item) in (str, bytes):
            assert isinstance(item, str | bytes)
            total += len(item)
        elif type(item) is int:
            total += item.bit_length() // 8
        elif type(item) not in _IMMUTABLE:
            raise Unknown(f"a value of type {type(item).__name__}")
        if total > LARGEST:
            raise Unknown("a very large value")
    return total


def _checked(value: object) -> object:
    _size(value)
    return value


def _evaluate(node: ast.expr | None, names: Mapping[str, object]) -> Any:
    """See evaluate. Every value that comes out is small and plain, so that the next step is cheap and harmless."""
    match node:
        case None:
            return None
        case ast.Constant():
            return _checked(node.value)
        case ast.Name(id=name):
            if name not in names:
                raise Unknown(f"{name} is not known")
            return _checked(names[name])
        case ast.List() | ast.Tuple():
            items: list[Any] = []
            for item in node.elts:
                value = _evaluate(item.value if isinstance(item, ast.Starred) else item, names)
                items += _short(value) if isinstance(item, ast.Starred) else [value]
            return _checked(items if isinstance(node, ast.List) else tuple(items))
        case ast.Dict():
            result: dict[Any, Any] = {}
            for key, item in zip(node.keys, node.values, strict=True):
                value = _evaluate(item, names)
                result.update(value if key is None else {_evaluate(key, names): value})
            return _checked(result)
        case ast.BinOp():
            return _binary(node.op, _evaluate(node.left, names), _evaluate(node.right, names))
        case ast.UnaryOp():
            return _UNARY[type(node.op)](_evaluate(node.operand, names))
        case ast.BoolOp():
            value = None
            for part in node.values:
                value = _evaluate(part, names)
                if bool(value) is isinstance(node.op, ast.Or):
                    break
            return value
        case ast.Compare():
            left = _evaluate(node.left, names)
            for relation, part in zip(node.ops, node.comparators, strict=True):
                right = _evaluate(part, names)
                if isinstance(relation, ast.Is | ast.IsNot) and left is not None and right is not None:
                    raise Unknown("whether two values are one object")
                if not _COMPARE[type(relation)](left, right):
                    return False
                left = right
            return True
        case ast.IfExp():
            return _evaluate(node.body if _evaluate(node.test, names) else node.orelse, names)
        case ast.JoinedStr():
            return _checked("".join(str(_evaluate(part, names)) for part in node.values))
        case ast.FormattedValue():
            value = _evaluate(node.value, names)
            shown = {-1: value, 115: value, 114: repr(value), 97: ascii(value)}[node.conversion]
            spec = _evaluate(node.format_spec, names) if node.format_spec is not None else ""
            return _checked(format(str(shown) if node.conversion == 115 else shown, _tame(spec)))
        case ast.Slice():
            return slice(*(_evaluate(part, names) for part in (node.lower, node.upper, node.step)))
        case ast.Subscript():
            return _checked(_evaluate(node.value, names)[_evaluate(node.slice, names)])
        case ast.Call(func=ast.Name(id=name)) if name == SAME:
            value = _evaluate(node.args[0], names)
            if not _is_fixed(value):
                raise Unknown("a value that the cell may change")
            return value
        case ast.Call():
            args = [_evaluate(arg, names) for arg in node.args]
            options = {item.arg: _evaluate(item.value, names) for item in node.keywords if item.arg is not None}
            if len(options) == len(node.keywords):
                return _checked(_called(node.func, args, options, names))
    raise Unknown(f"{type(node).__name__} is not worked out")


def _is_fixed(value: object) -> bool:
    return all(map(_is_fixed, value)) if isinstance(value, tuple) else not isinstance(value, list | dict)


def _short(value: Any) -> Any:
    """An iterable that is not too long to be gone through."""
    if len(value) > LARGEST:
        raise Unknown("a very large value")
    return value


def _tame(spec: str) -> str:
    """A format that does not ask for a very long text."""
    if re.search(r"\d{5}", spec):
        raise Unknown("a very wide format")
    return spec


def _binary(kind: ast.operator, left: Any, right: Any) -> Any:
    if type(kind) not in _BINARY:
        raise Unknown(f"{type(kind).__name__} is not worked out")
    if isinstance(kind, ast.Mult):
        for sequence, count in ((left, right), (right, left)):
            if isinstance(sequence, str | bytes | list | tuple) and _size(sequence) * int(count) > LARGEST:
                raise Unknown("a very large value")
    if isinstance(kind, ast.Pow) and isinstance(left, int) and left.bit_length() * abs(right) > LARGEST:
        raise Unknown("a very large value")
    if isinstance(kind, ast.Mod) and isinstance(left, str | bytes):
        _tame(left if isinstance(left, str) else left.decode("latin-1"))
        if "*" in str(left):
            raise Unknown("a format whose width is computed")
    return _checked(_BINARY[type(kind)](left, right))


def _called(func: ast.expr, args: list[Any], options: dict[str, Any], names: Mapping[str, object]) -> Any:
    if isinstance(func, ast.Name):
        if func.id in names or func.id not in _FUNCTIONS:
            raise Unknown(f"what {func.id} returns")
        if func.id != "range":
            for value in args:
                if isinstance(value, range):
                    _short(value)
        return _FUNCTIONS[func.id](*args, **options)
    if not isinstance(func, ast.Attribute) or func.attr not in _METHODS:
        raise Unknown("what a function returns")
    text = _evaluate(func.value, names)
    if not isinstance(text, str):
        raise Unknown(f"what {func.attr} of a {type(text).__name__} returns")
    if func.attr == "format":
        given = (*args, *options.values())
        if "}" in re.sub(r"\{[^{}]*\}", "", text) or sum(map(_size, given)) * (text.count("{") + 1) > LARGEST:
            raise Unknown("a format within a format")
        _tame(text)
    if func.attr == "replace" and (len(text) + 1) * (len(args[1]) + 1) > LARGEST:
        raise Unknown("a very large value")
    if func.attr == "join" and (len(text) + 1) * (len(_short(args[0])) + 1) > LARGEST:
        raise Unknown("a very large value")
    return getattr(text, func.attr)(*args, **options)
