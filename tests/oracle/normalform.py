"""What the names of a notebook hold, in a form in which two namespaces can be compared: values, and what shares what.

Independent of casa_recompute.values, which it checks.
"""

from __future__ import annotations

import types
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

ATOMS = (int, float, complex, str, bytes, bool, type(None), range, type(...), np.dtype)
LOCAL_MODULES = frozenset({"helper"})  # modules that lie in the workspace: their contents count, not only their name
_NO_STATE = frozenset(
    {"__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__slotnames__", "__static_attributes__"}
    | {"__firstlineno__"}
)
_codes: dict[types.CodeType, str] = {}


class Node(NamedTuple):
    """An object that can be changed in place, by its number in the snapshot."""

    number: int


class Array(NamedTuple):
    """A numpy array: ``owner`` numbers the memory that it looks at."""

    owner: int
    pointer: int
    strides: tuple[int, ...]
    rest: tuple[Any, ...]


Token = str | bytes | Node | Array
Form = tuple[Any, ...]


@dataclass(frozen=True)
class Snapshot:
    """The values of names at one moment; each name's tokens stand for themselves, numbers are common to all."""

    tokens: Mapping[str, tuple[Token, ...]]

    def joint(self, names: Collection[str]) -> Form:
        """The values of some names taken together: equal where no code that uses only these can tell a difference."""
        chosen = [(name, self.tokens.get(name, ("absent",))) for name in sorted(names)]
        owners: dict[int, list[Array]] = {}
        for _, tokens in chosen:
            for token in tokens:
                if type(token) is Array:
                    owners.setdefault(token.owner, []).append(token)
        numbers: dict[int, int] = {}
        form: list[Any] = []
        for name, tokens in chosen:
            form.append(name)
            for token in tokens:
                if type(token) is Node:
                    form.append(numbers.setdefault(token.number, len(numbers)))
                elif type(token) is Array:
                    form.append(numbers.setdefault(token.owner, len(numbers)))
                    shared = owners[token.owner]
                    if any(other[1:] != token[1:] for other in shared):  # views that overlap in some way
                        form.append((token.pointer - shared[0].pointer, token.strides))
                    form.append(token.rest)
                else:
                    form.append(token)
        return tuple(form)


def snapshot(namespace: Mapping[str, Any], names: Collection[str] | None = None) -> Snapshot:
    """The present values of ``names`` (default: all)."""
    walker = _Walker(namespace)
    tokens = {}
    for name in sorted(namespace.keys() if names is None else names):
        walker.begin()
        walker.walk(dict.__getitem__(namespace, name))  # type: ignore[arg-type]
        tokens[name] = tuple(walker.out)
    return Snapshot(tokens)


class _Walker:
    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self._globals = namespace
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []  # what was numbered must not make way for another object at the same address
        self.begin()

    def begin(self) -> None:
        self.out: list[Token] = []
        self._open: set[int] = set()

    def _number(self, value: Any) -> int:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._numbers)
            self._alive.append(value)
        return number

    def _enter(self, kind: str, value: Any) -> bool:
        """Note an object that can change; whether its contents are still to be walked."""
        number = self._number(value)
        self.out += [kind, Node(number)]
        if number in self._open:
            return False
        self._open.add(number)
        return True

    def walk(self, value: Any) -> None:
        kind = type(value)
        out = self.out
        if kind in ATOMS or isinstance(value, np.generic):
            out.append(f"{kind.__name__} {value!r}")
        elif kind is tuple:
            self._items("tuple", value)
        elif kind is list:
            if self._enter("list", value):
                self._items("", value)
        elif kind is dict:
            if self._enter("dict", value):
                self._pairs(value)
        elif kind in (set, frozenset):
            if kind is frozenset or self._enter("set", value):
                self._items("set", sorted(value, key=repr))
        elif kind is np.ndarray:
            self._array(value)
        elif kind is types.FunctionType:
            self._function(value)
        elif kind is types.MethodType:
            self._items("method", (value.__self__, value.__func__))
        elif kind is types.CellType:
            if self._enter("cell", value):
                try:
                    self.walk(value.cell_contents)
                except ValueError:
                    out.append("empty")
        elif kind in (staticmethod, classmethod):
            self._items(kind.__name__, (value.__func__,))
        elif kind is property:
            self._items("property", (value.fget, value.fset, value.fdel))
        elif kind is types.ModuleType:
            out.append(f"module {value.__name__}")
            if value.__name__ in LOCAL_MODULES and self._enter("contents", value):
                self._pairs({name: item for name, item in vars(value).items() if not name.startswith("__")})
        elif kind is types.BuiltinFunctionType and not hasattr(value.__self__, "__dict__"):
            self._items("builtin method", (value.__self__, value.__name__))
        elif kind is types.BuiltinFunctionType:
            out.append(f"builtin {value.__module__}.{value.__qualname__}")
        elif isinstance(value, type):
            self._class(value)
        elif kind is types.GeneratorType:
            if self._enter("generator", value):
                frame = value.gi_frame
                out.append("ended" if frame is None else str(frame.f_lasti))
                self._code(value.gi_code)
                self._pairs(dict(frame.f_locals) if frame is not None else {})
        elif kind.__module__ == "__main__":
            if self._enter("instance", value):
                self._class(kind)
                self._pairs(vars(value))
        elif self._enter(f"{kind.__module__}.{kind.__qualname__}", value):
            self._reduced(value)

    def _items(self, kind: str, items: Any) -> None:
        self.out.append(f"{kind}[")
        for item in items:
            self.walk(item)
        self.out.append("]")

    def _pairs(self, pairs: Mapping[Any, Any]) -> None:
        self.out.append("{")
        for key, item in pairs.items():
            self.walk(key)
            self.walk(item)
        self.out.append("}")

    def _array(self, value: np.ndarray[Any, Any]) -> None:
        owner: Any = value
        while getattr(owner, "base", None) is not None:
            owner = owner.base
        pointer = value.__array_interface__["data"][0]
        data: Any = value.tolist() if value.dtype.hasobject else value.tobytes()
        rest = (str(value.dtype), value.shape, repr(data) if value.dtype.hasobject else data, value.flags.writeable)
        self.out.append(Array(self._number(owner), pointer, value.strides, rest))

    def _function(self, value: types.FunctionType) -> None:
        if not self._enter("function", value):
            return
        own = value.__globals__ is self._globals
        self.out.append("of the notebook" if own else f"of {value.__globals__.get('__name__')}")
        self._code(value.__code__)
        self._items("defaults", value.__defaults__ or ())
        self._pairs(value.__kwdefaults__ or {})
        self._items("closure", value.__closure__ or ())
        self._pairs(vars(value))

    def _code(self, code: types.CodeType) -> None:
        self.out.append(_code_text(code))

    def _class(self, value: type) -> None:
        if value.__module__ != "__main__":
            self.out.append(f"class {value.__module__}.{value.__qualname__}")
        elif self._enter(f"class {value.__qualname__}", value):
            self._items("bases", value.__bases__)
            self._pairs({name: item for name, item in sorted(vars(value).items()) if name not in _NO_STATE})

    def _reduced(self, value: Any) -> None:
        """Anything else: what pickle would make of it."""
        try:
            reduced = value.__reduce_ex__(4)
        except TypeError:
            self.out.append("opaque")
            return
        if isinstance(reduced, str):
            self.out.append(reduced)
            return
        self._alive.append(reduced)
        for part in reduced[:3]:  # a constructor, its arguments, a state; then iterators over items and pairs
            self.walk(part)
        for items in reduced[3:5]:
            self._items("items", items or ())


def _code_text(code: types.CodeType) -> str:
    """What a function's code does, wherever in a file it stands."""
    text = _codes.get(code)
    if text is None:
        constants = [_code_text(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
        text = repr(
            (code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_flags)
            + (code.co_argcount, code.co_kwonlyargcount, code.co_name, constants)
        )
        if len(_codes) > 5000:
            _codes.clear()
        _codes[code] = text
    return text
