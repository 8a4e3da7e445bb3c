"""What is a Python value worth? A version that any process gives to equal values, and the objects behind it.

A value is walked once, and what is found is written into one stream of tokens that is hashed at the end. Objects
that can be changed in place are numbered in the order of the first visit, and met again they are written as that
number: sharing and cycles are part of the value. Objects that cannot change have no identity here.
Nothing of a process goes into the stream: no ``id``, no ``hash``, no order of a set.

numpy and pandas are looked at only when the value at hand is theirs; this module imports neither.
"""

from __future__ import annotations

import abc
import copyreg
import ctypes
import datetime
import decimal
import dis
import enum
import fractions
import functools
import gc
import hashlib
import io
import mmap
import pathlib
import pickle
import re
import site
import struct
import sys
import sysconfig
import types
import typing
import uuid
import weakref
from array import array
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from blake3 import blake3


@dataclass(frozen=True)
class Budget:
    """How much of one value is looked at before it is given up.

    ``nodes``: numbers, strings and containers count one each, an instance 40; long lists of nothing but floats, ints
    or strings count one. ``bytes``: of arrays and of long strings.
    The defaults were measured on two cores of an AMD EPYC, CPython 3.11, with ``time.perf_counter`` around one call:
    65 000 lists of a number and a string take 0.13 s, 4900 instances with a list each 0.14 s, one array of 256 MiB
    0.05 to 0.1 s.
    """

    nodes: int = 200_000
    bytes: int = 256 << 20


class Digest(NamedTuple):
    """What ``digest`` found.

    ``version``: ``i-<32 hex>`` for a value that cannot be changed in place, ``d-<32 hex>`` for one that can, empty
    when there is no digest. ``parts``: ``id`` of every object reached that can be changed in place; for an array
    the owner of its memory. ``complete``: False when the walk was cut short, or met something that it cannot look
    into: then ``parts`` and ``uses`` may lack something. ``uses``: the global names in the code of the functions
    and methods reached whose globals are the namespace, whether they are bound there or not. ``chains`` and
    ``bare_calls``: in that code; see Code.
    """

    version: str
    parts: frozenset[int]
    complete: bool
    uses: frozenset[str]
    chains: frozenset[str] = frozenset()
    bare_calls: frozenset[str] = frozenset()


_BUDGET = Budget()
_NONE: frozenset[Any] = frozenset()
_INSTANCE = 40  # as many numbers take as long as what one instance says for pickling


def digest(value: object, namespace: dict[str, Any], budget: Budget = _BUDGET) -> Digest:
    """The version of ``value`` and what it is made of; see ``Digest``.

    ``namespace`` holds the names of the notebook. Calls nothing of the value but ``__reduce_ex__`` and what that
    needs; an exception there means that the value has no digest.
    """
    kind: Any = type(value)
    leaf = _LEAVES.get(kind)
    if leaf is not None and (kind not in _SIZED or len(value) < _LARGE):  # type: ignore[arg-type]
        return Digest("i-" + hashlib.blake2b(leaf(value), digest_size=16).hexdigest(), _NONE, True, _NONE)
    if kind in _CONTAINERS and value is not namespace and budget.nodes > 2 * _LONG:
        stream = _short(value, kind)
        if stream is not None:
            version = hashlib.blake2b(stream, digest_size=16).hexdigest()
            if kind is tuple:
                return Digest("i-" + version, _NONE, True, _NONE)
            return Digest("d-" + version, frozenset((id(value),)), True, _NONE)
    walk = Walk(namespace, budget)
    walk.run(value)
    form = "d-" if walk.mutable else "i-"
    return Digest(
        form + walk.hexdigest() if walk.complete else "",
        frozenset(walk.parts),
        walk.complete,
        frozenset(walk.uses),
        frozenset(walk.chains),
        frozenset(walk.bare_calls),
    )


def digest_together(values: Mapping[str, object], namespace: dict[str, Any], budget: Budget = _BUDGET) -> str:
    """A hash (32 hex digits) of the values by name, including which objects they share; empty when impossible.

    The budget is that of all the values together.
    """
    walk = Walk(namespace, budget)
    for name in sorted(values):
        walk.out.append(_str(name))
        walk.run(values[name])
    return walk.hexdigest() if walk.complete else ""


def groups(parts: Mapping[str, frozenset[int]]) -> list[frozenset[str]]:
    """Names that share parts, directly or through other names; names that share nothing are left out."""
    leader = {name: name for name in parts}

    def find(name: str) -> str:
        while leader[name] != name:
            leader[name] = name = leader[leader[name]]
        return name

    owner: dict[int, str] = {}
    for name, mine in parts.items():
        for part in mine:
            leader[find(name)] = find(owner.setdefault(part, name))
    found: dict[str, set[str]] = {}
    for name in parts:
        found.setdefault(find(name), set()).add(name)
    return [frozenset(names) for names in found.values() if len(names) > 1]


def opaque(value: object) -> str:
    """What ``value`` is, in words, when its state cannot be read (a generator, an open file ...); else empty."""
    return opaque_type(type(value))


# ---- leaves: values without parts and without identity ----


def _str(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"s%x;%b" % (len(data), data)


_pack_float = struct.Struct("<cd").pack


def _float(value: float) -> bytes:
    return _pack_float(b"f", value)


_LEAVES: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"N",
    type(...): lambda _: b"E",
    type(NotImplemented): lambda _: b"I",
    bool: lambda value: b"T" if value else b"F",
    int: b"i%x;".__mod__,  # hexadecimal: no limit to its length, and linear
    float: _float,
    complex: lambda value: struct.pack("<cdd", b"c", value.real, value.imag),
    str: _str,
    bytes: lambda value: b"b%x;%b" % (len(value), value),
    range: lambda value: b"R%x;%x;%x;" % (value.start, value.stop, value.step),
}
_SIZED = {str, bytes}
_LARGE = 1 << 20  # bytes; from here on data are hashed by themselves, on all cores
_CONTAINERS = {list, tuple, dict}
_LONG = 64  # items; from here on it is worth while to look whether they are all of one kind


def _short(value: Any, kind: type) -> bytes | None:
    """What a walk writes of a short container of leaves, in a fifth of the time; None: a walk is needed."""
    if kind is dict:
        names, values = _leaves([*value]), _leaves([*value.values()])
        return b"d%b%b" % (names, values) if names is not None and values is not None else None
    items = _leaves(value)
    return None if items is None else (b"l" if kind is list else b"t") + items


def _leaves(values: list[Any] | tuple[Any, ...]) -> bytes | None:
    if len(values) >= _LONG:
        return None
    out = [b"%x;" % len(values)]
    for value in values:
        kind = type(value)
        leaf = _LEAVES.get(kind)
        if leaf is None or (kind in _SIZED and len(value) >= _LARGE):
            return None
        out.append(leaf(value))
    return b"".join(out)


# ---- what belongs to whom ----

OURS = ("casa_recompute", "casa_kernel", "jupyterlab_casa")
_OPAQUE_PACKAGES = (
    "matplotlib", "casatools", "casa_kernel", "IPython", "ipykernel", "traitlets", "ipywidgets", "asyncio",
    "socket", "subprocess", "threading", "multiprocessing", "concurrent", "weakref", "tempfile", "zipfile", "tarfile",
)  # fmt: skip


@functools.cache
def _library_directories() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    found = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    found.update(site.getsitepackages())
    if site.ENABLE_USER_SITE is not None:
        found.add(site.getusersitepackages())
    return tuple(path.rstrip("/") + "/" for path in found)


@functools.lru_cache(10_000)
def _is_library(name: str, file: str | None) -> bool:
    """Is a module installed, rather than a file of the user's?"""
    if file is None or name.partition(".")[0] in OURS or name in sys.stdlib_module_names:
        return True
    return "/site-packages/" in file or "/dist-packages/" in file or file.startswith(_library_directories())


def local_module(name: object) -> types.ModuleType | None:
    """The module ``name`` when it is a file of the user's; None for installed ones and for the notebook."""
    if type(name) is not str or name == "__main__":
        return None
    module = sys.modules.get(name)
    if type(module) is not types.ModuleType:
        return None
    file = module.__dict__.get("__file__")
    return None if _is_library(name, file if type(file) is str else None) else module


_contents: dict[int, tuple[Any, bytes]] = {}  # id of a module's spec -> the spec, digest of the file


def content_at_import(module: types.ModuleType) -> bytes:
    """Digest of the file behind a local module, as it was when the module was first looked at since its import.

    What counts is the code that is loaded: an edited file counts from the next import or reload on.
    """
    spec = module.__dict__.get("__spec__")
    known = _contents.get(id(spec))
    if known is None or spec is None:
        try:
            content = pathlib.Path(str(module.__file__)).read_bytes()
        except OSError:
            content = b""
        known = _contents[id(spec)] = spec, hashlib.blake2b(content, digest_size=16).digest()
    return known[1]


def _family(module: types.ModuleType) -> bytes:
    """Token of a local module: its name, its file, and those of all local modules that it imported from."""
    family: dict[str, bytes] = {}
    todo = [module]
    while todo:
        one = todo.pop()
        name = one.__name__
        if name in family:
            continue
        family[name] = content_at_import(one)
        for value in list(one.__dict__.values()):
            kind = type(value)
            if kind is types.ModuleType:
                other = local_module(value.__name__)
            elif kind is types.FunctionType or issubclass(kind, type):
                other = local_module(getattr(value, "__module__", None))
            else:
                other = None
            if other is not None:
                todo.append(other)
    own = _str(module.__name__)
    return own + b"".join(b"p%b%b" % (_str(name), data) for name, data in sorted(family.items()))


def by_reference(thing: Any) -> bool:
    """Can the function or class be found again by its name, in a module that is not the notebook?"""
    if issubclass(type(thing), type) and not thing.__flags__ & _HEAP_TYPE:
        return True  # of the interpreter or of an extension module, under whatever name
    module = getattr(thing, "__module__", None)
    found: Any = sys.modules.get(module) if type(module) is str and module != "__main__" else None
    if found is None:
        return False
    for name in thing.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is thing


_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement, or like that
_named: dict[type, bytes] = {}


# ---- code ----

_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"}


class Code(NamedTuple):
    """What ``code_of`` found in code and in the code inside it."""

    digest: bytes  # of what it does, wherever it stands
    names: frozenset[str]  # global ones
    chains: frozenset[str]  # dotted, as ``random.seed``; what the code itself imports has its own name
    bare_calls: frozenset[str]  # names and chains that are called without an argument


_codes: dict[int, tuple[types.CodeType, Code]] = {}


def code_of(code: types.CodeType) -> Code:
    """What code does and names."""
    known = _codes.get(id(code))
    if known is not None:
        return known[1]
    uses, chains, bare_calls = _named_in(code)
    inner: list[Code] = []
    constants = [_constant(constant, inner) for constant in code.co_consts]
    for one in inner:
        uses |= one.names
        chains |= one.chains
        bare_calls |= one.bare_calls
    stream = [
        _str(code.co_name), _str(code.co_qualname),
        b"i%x;%x;%x;%x;" % (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags),
        _LEAVES[bytes](code.co_code), _LEAVES[bytes](code.co_exceptiontable), b"".join(constants),
    ]  # fmt: skip
    for names in (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars):
        stream += [b"t%x;" % len(names), *map(_str, names)]
    result = hashlib.blake2b(b"".join(stream), digest_size=16).digest()
    if len(_codes) > 10_000:
        _codes.clear()
    found = Code(result, frozenset(uses), frozenset(chains), frozenset(bare_calls))
    _codes[id(code)] = code, found  # the code itself is kept, so that its id stays its own
    return found


def _named_in(code: types.CodeType) -> tuple[set[str], set[str], set[str]]:
    """Global names, chains and bare calls of code, without the code inside it."""
    names: set[str] = set()
    chains: set[str] = set()
    bare_calls: set[str] = set()
    imported: dict[str, str] = {}  # local name -> chain
    chain = module = found = ""
    for step in dis.get_instructions(code):
        if step.opname in _GLOBAL:
            names.add(step.argval)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FAST"):
            chain = imported.get(step.argval, step.argval)
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD") and chain:
            chain += "." + step.argval
            chains.add(chain)
        elif step.opname == "CALL" and step.arg == 0 and chain:
            bare_calls.add(chain)
            chain = ""
        elif step.opname == "IMPORT_NAME":
            module = found = step.argval
        elif step.opname == "IMPORT_FROM":
            found = f"{module}.{step.argval}"
            chains.add(found)
        elif step.opname == "STORE_FAST" and found:
            first = found.partition(".")[0]
            imported[step.argval] = first if step.argval == first else found
            chain = found = ""
        elif step.opname not in ("PRECALL", "PUSH_NULL", "EXTENDED_ARG"):
            chain = ""
    return names, chains, bare_calls


def _constant(value: Any, inner: list[Code]) -> bytes:
    kind = type(value)
    if kind is types.CodeType:
        inner.append(code_of(value))
        return b"C" + inner[-1].digest
    if kind is tuple:
        return b"t%x;" % len(value) + b"".join([_constant(item, inner) for item in value])
    if kind is frozenset:
        return b"z%x;" % len(value) + b"".join(sorted(_constant(item, inner) for item in value))
    return _LEAVES[kind](value)


# ---- the walk ----


class _Cut(Exception):
    """The budget is spent."""


class Walk:
    """One walk over one or several values. Each handler writes its tokens and stacks what is still to be written."""

    def __init__(self, namespace: dict[str, Any], budget: Budget) -> None:
        self.namespace = namespace
        self.nodes = budget.nodes
        self.bytes = budget.bytes
        self.out: list[bytes] = []  # the stream
        self.stack: list[Any] = []
        self.memo: dict[int, int] = {}  # id of an object -> its number
        self.parts: set[int] = set()
        self.uses: set[str] = set()
        self.chains: set[str] = set()
        self.bare_calls: set[str] = set()
        self.complete = True
        self.arrays: dict[int, list[Any]] = {}  # id of an owner of memory -> the arrays that look into it
        self.kept: list[Any] = []  # what ``__reduce_ex__`` returned: alive, so that no id is used twice
        self.made: set[int] = set()  # ids of what it made for the occasion: no parts of the value
        self.attributes: set[int] = set()  # ids of dictionaries of attributes, which have no order
        self.families: dict[str, bytes] = {}
        self.owned: set[int] = set()  # ids of what the classes of installed modules hold: no parts either
        self.in_class = False
        self.handlers: dict[Any, _Handler] = {}  # of classes of the notebook and of local modules, which may change
        self.mutable = False

    def hexdigest(self) -> str:
        return hashlib.blake2b(b"".join(self.out), digest_size=16).hexdigest()

    def run(self, value: object) -> None:
        """Walk ``value``. Whatever its own code raises makes the walk incomplete."""
        stack, out, memo, parts, made = self.stack, self.out, self.memo, self.parts, self.made
        leaves, handlers, own = _LEAVES.get, _HANDLERS.get, self.handlers.get
        stack.append(value)
        try:
            while stack:
                value = stack.pop()
                kind: Any = type(value)
                self.nodes -= 1
                if self.nodes < 0:
                    raise _Cut
                leaf = leaves(kind)
                if leaf is not None:
                    if (kind is str or kind is bytes) and len(value) >= _LARGE:  # type: ignore[arg-type]
                        self.large(value if kind is bytes else _str(value))  # type: ignore[arg-type]
                    else:
                        out.append(leaf(value))
                elif kind is list:
                    here = id(value)
                    number = memo.get(here)
                    if number is None:
                        memo[here] = len(memo)
                        if here not in made:
                            parts.add(here)
                        out.append(b"l")
                        self.items(value)  # type: ignore[arg-type]
                    else:
                        out.append(b"r%x;" % number)
                else:
                    (handlers(kind) or own(kind) or self.handler(kind))(self, value)
        except _Cut:
            self.complete = False
        except Exception:  # of the value's own __reduce_ex__, or too deep a recursion in it
            self.complete = False
        stack.clear()
        self.mutable |= bool(parts)
        parts -= self.owned

    def handler(self, kind: Any) -> _Handler:
        """How to write instances of ``kind``."""
        handler = _choose(kind)
        (_HANDLERS if known_by_name(kind) else self.handlers)[kind] = handler
        return handler

    def first(self, value: object) -> bool:
        """Number an object that can change. When it was met before, write its number and say False."""
        here = id(value)
        number = self.memo.get(here)
        if number is not None:
            self.out.append(b"r%x;" % number)
            return False
        self.memo[here] = len(self.memo)
        if here not in self.made:
            self.parts.add(here)
        return True

    def items(self, values: list[Any] | tuple[Any, ...]) -> None:
        """Write ``values``: the leaves here and now, a mark for each other one, which is stacked."""
        out, leaves = self.out, _LEAVES.get
        count = len(values)
        out.append(b"%x;" % count)
        if count >= _LONG:
            packed = _packed(values)
            if packed is not None:
                out.append(b"=")
                self.large(packed)
                return
        if self.nodes < count:
            raise _Cut
        later = []
        for value in values:
            kind = type(value)
            leaf = leaves(kind)
            if leaf is None or (kind in _SIZED and len(value) >= _LARGE):
                out.append(b"*")
                later.append(value)
            else:
                out.append(leaf(value))
        self.nodes -= count - len(later)
        if later:
            later.reverse()
            self.stack += later

    def large(self, data: Any) -> None:
        """Write a buffer of bytes, as its digest when it is not small."""
        size = len(data)
        self.bytes -= size
        if self.bytes < 0:
            raise _Cut
        if size < 1 << 16:
            self.out.append(b"b%x;%b" % (size, data))
        else:
            threads = blake3.AUTO if size >= _LARGE else 1
            self.out.append(b"B%x;%b" % (size, blake3(data, max_threads=threads).digest()))

    def push(self, *values: Any) -> None:
        self.stack += reversed(values)

    def named(self, module: object, name: object) -> None:
        """Write something that its module and name stand for."""
        self.out.append(b"g%b%b" % (_str(str(module)), _str(str(name))))
        local = local_module(module)
        if local is not None:
            self.family(local)

    def family(self, module: types.ModuleType) -> None:
        known = self.families.get(module.__name__)
        if known is None:
            known = self.families[module.__name__] = _family(module)
        self.out.append(known)

    def reduced(self, value: Any, kind: Any) -> None:
        """Write what ``value`` says of itself for pickling."""
        reduce = copyreg.dispatch_table.get(kind)
        told: Any = reduce(value) if reduce is not None else kind.__reduce_ex__(value, 4)
        if type(told) is str:
            if not _is_global(value, told):
                raise ValueError("not found under its name")
            self.parts.discard(id(value))
            self.named(kind.__module__, told)
            return
        self.nodes -= _INSTANCE
        ordinary = len(told) > 2 and len(told[1]) == 1 and type(told[2]) is dict
        if sys.getrefcount(told) == 2 and not (ordinary and _keeps_its_state(kind)):
            self.mark(told)
        self.kept.append(told)
        known = kind in _HANDLERS
        if known and not self.in_class:
            self.owned |= _owned_by(kind)
        func, args, state, items, pairs, setter = (tuple(told) + (None,) * 4)[:6]
        if type(state) is dict:
            if "cache" in state and kind.__module__.startswith("astropy."):
                state = {name: one for name, one in state.items() if name != "cache"}
                self.made.add(id(state))
                self.kept.append(state)
            self.attributes.add(id(state))
        for one in args:
            if type(one) is dict and id(one) in self.made:
                self.attributes.add(id(one))
        for one in state if type(state) is tuple and kind is not functools.partial else ():
            if type(one) is dict and (id(one) in self.made or one is getattr(value, "__dict__", None)):
                self.attributes.add(id(one))
        own = None if known else kind  # a class of the notebook or of a local module is part of it
        self.out.append(b"o")
        if items is None and pairs is None:
            self.items((own, func, args, state, setter))
            return
        filled = [items if items is None else list(items), pairs if pairs is None else list(pairs)]
        self.kept.append(filled)
        self.mark(filled)
        self.items((own, func, args, state, setter, *(None if one is None else tuple(one) for one in filled)))

    def mark(self, made: Any) -> None:
        """Note the objects inside ``made`` that nothing else refers to: they were made for the occasion."""
        for item in gc.get_referents(made):
            # One reference is that of ``made``, one the list's, one this loop's, one the argument's.
            if sys.getrefcount(item) <= 4 and type(item) not in _LEAVES:
                self.made.add(id(item))
                self.mark(item)


def _keeps_its_state(kind: Any) -> bool:
    """Is the state told for pickling the instance's own dictionary, and nothing made for the occasion?"""
    return (
        kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__reduce__ is object.__reduce__
        and kind.__getstate__ is object.__getstate__
    )


def _packed(values: Iterable[Any]) -> bytes | None:
    """Long sequences of one kind of number, or of strings, as one buffer: twenty times faster than one by one."""
    kinds = set(map(type, values))
    if len(kinds) != 1:
        return None
    kind = kinds.pop()
    if kind is float:
        return b"f" + array("d", values).tobytes()
    if kind is int:
        try:
            return b"i" + array("q", values).tobytes()
        except OverflowError:
            return None
    if kind is bool:
        return b"?" + bytes(values)
    if kind is str:
        text = "".join(values).encode("utf-8", "surrogatepass")
        return b"s" + array("q", map(len, values)).tobytes() + text
    return None


def _is_global(value: object, name: str) -> bool:
    kind = type(value)
    modules: list[Any] = [getattr(value, "__module__", None), kind.__module__]
    modules.append(pickle.whichmodule(value, name))  # type: ignore[attr-defined]
    for module in modules:
        found: Any = sys.modules.get(module) if type(module) is str and module != "__main__" else None
        for step in name.split("."):
            found = getattr(found, step, None)
        if found is value:
            return True
    return False


def known_by_name(kind: Any) -> bool:
    """Is the class one of an installed module?"""
    return kind in _named or (by_reference(kind) and local_module(kind.__module__) is None)


# ---- handlers: builtin containers ----


def _tuple(walk: Walk, value: tuple[Any, ...]) -> None:
    walk.out.append(b"t")
    walk.items(value)


def _dict(walk: Walk, value: dict[Any, Any]) -> None:
    if value is walk.namespace:
        walk.out.append(b"Z")
        walk.complete = False
    elif walk.first(value):
        walk.out.append(b"d")
        if id(value) in walk.attributes:
            value = {name: value[name] for name in sorted(value, key=str)}
        walk.items([*value])
        walk.items([*value.values()])


def _set(walk: Walk, value: set[Any]) -> None:
    if walk.first(value):
        walk.out.append(b"S")
        _frozenset(walk, value)


def _frozenset(walk: Walk, value: Iterable[Any]) -> None:
    """The elements in the order of their own digests, each taken alone."""
    alone = []
    for item in value:
        leaf = _LEAVES.get(type(item))
        if leaf is not None:
            alone.append((leaf(item), item))
        else:
            inner = Walk(walk.namespace, Budget(walk.nodes, walk.bytes))
            inner.run(item)
            walk.nodes, walk.bytes = inner.nodes, inner.bytes
            walk.complete &= inner.complete
            alone.append((b"".join(inner.out), item))
    walk.out.append(b"z")
    walk.items([item for _, item in sorted(alone, key=itemgetter(0))])


def _slice(walk: Walk, value: slice) -> None:
    walk.out.append(b":")
    walk.push(value.start, value.stop, value.step)


def _bytearray(walk: Walk, value: bytearray) -> None:
    if walk.first(value):
        walk.out.append(b"y")
        walk.arrays.setdefault(id(value), []).append(value)
        walk.large(value)


def _memoryview(walk: Walk, value: memoryview) -> None:
    if walk.first(value):
        owner = value.obj
        if type(owner) is mmap.mmap:
            return _opaque(walk, value)
        owner = owner_of(owner) if hasattr(type(owner), "__array_interface__") else owner
        walk.parts.add(id(owner))
        walk.out.append(b"w%b" % _str(f"{value.format} {value.shape} {value.readonly}"))
        walk.large(value.tobytes())


def _mappingproxy(walk: Walk, value: Mapping[Any, Any]) -> None:
    walk.out.append(b"P")
    walk.items([*value])
    walk.items([*value.values()])


# ---- handlers: code ----


def _function(walk: Walk, value: types.FunctionType) -> None:
    globals_ = value.__globals__
    home = globals_.get("__name__")
    ours = type(home) is str and home.partition(".")[0] in OURS  # the tasks
    if globals_ is not walk.namespace and (ours or by_reference(value)):
        return walk.named(value.__module__, value.__qualname__)
    state, cells = value.__dict__, value.__closure__
    if (state or cells) and not walk.first(value):
        return
    code = code_of(value.__code__)
    if globals_ is walk.namespace:
        walk.uses |= code.names
        walk.chains |= code.chains
        walk.bare_calls |= code.bare_calls
    walk.out.append(b"L%b%b%b" % (_str(value.__name__), _str(value.__qualname__), code.digest))
    local = local_module(home)
    if local is not None:
        walk.family(local)
    annotations, keywords = value.__annotations__, value.__kwdefaults__
    walk.items(
        (
            value.__module__,
            value.__doc__,
            value.__defaults__,
            keywords and tuple(keywords.items()),
            tuple(annotations.items()) if annotations else None,
            cells or None,
            state or None,
        )
    )


def _cell(walk: Walk, value: types.CellType) -> None:
    if walk.first(value):
        walk.out.append(b"x")
        try:
            walk.push(value.cell_contents)
        except ValueError:
            walk.out.append(b"-")


def _code(walk: Walk, value: types.CodeType) -> None:
    walk.out.append(b"C" + code_of(value)[0])


def _builtin(walk: Walk, value: types.BuiltinFunctionType) -> None:
    bound = value.__self__
    if bound is None or type(bound) is types.ModuleType:
        walk.named(value.__module__, value.__qualname__)
    else:
        walk.out.append(b"m" + _str(value.__name__))
        walk.push(bound)


def _method(walk: Walk, value: types.MethodType) -> None:
    walk.out.append(b"M")
    walk.push(value.__func__, value.__self__)


def _wrapping(walk: Walk, value: Any) -> None:
    """classmethod and staticmethod."""
    if walk.first(value):
        walk.out.append(b"W" + _str(type(value).__name__))
        walk.push(value.__func__)


def _property(walk: Walk, value: property) -> None:
    walk.out.append(b"Q")
    walk.push(value.fget, value.fset, value.fdel, value.__doc__)


def _typevar(walk: Walk, value: typing.TypeVar) -> None:
    walk.out.append(b"V" + _str(repr(value)))
    walk.push(value.__constraints__, value.__bound__)


def _cached_property(walk: Walk, value: functools.cached_property[Any]) -> None:
    if walk.first(value):
        walk.out.append(b"q")
        walk.push(value.func, value.attrname, value.__doc__)


def _lru_cache(walk: Walk, value: Any) -> None:
    """The function and its settings; what it remembers is the same with and without."""
    if by_reference(value):
        walk.named(value.__module__, value.__qualname__)
    elif walk.first(value):
        walk.out.append(b"j")
        state = {name: one for name, one in value.__dict__.items() if name != "__wrapped__"}
        walk.push(value.__wrapped__, tuple(value.cache_parameters().values()), tuple(state.items()))


def _module(walk: Walk, value: types.ModuleType) -> None:
    name = value.__dict__.get("__name__")
    if sys.modules.get(str(name)) is not value:
        return _opaque(walk, value)
    walk.out.append(b"h" + _str(str(name)))
    local = local_module(name)
    if local is not None and walk.first(value):
        walk.family(local)
        data = {
            key: one
            for key, one in value.__dict__.items()
            if not key.startswith("_") and not issubclass(type(one), (types.ModuleType, types.FunctionType, type))
        }
        walk.items([*data])
        walk.items([*data.values()])


NOT_STATE = {
    "__dict__", "__weakref__", "__module__", "__abstractmethods__", "_abc_impl", "__firstlineno__",
    "__static_attributes__", "__slots__", "__slotnames__",
}  # fmt: skip
_ENUM_INTERNALS = {
    "_generate_next_value_", "_member_names_", "_member_map_", "_member_type_", "_value2member_map_",
    "_unhashable_values_", "_use_args_", "_value_repr_", "_new_member_", "_flag_mask_", "_singles_mask_",
    "_all_bits_", "_inverted_", "_boundary_", "__new__", "__new_member__",
    "_hashable_values_", "_unhashable_values_map_",
}  # fmt: skip


def _class(walk: Walk, value: Any) -> None:
    known = _named.get(value)
    if known is not None:
        walk.out.append(known)
        return
    if by_reference(value):
        walk.named(value.__module__, value.__qualname__)
        if local_module(value.__module__) is None:
            _named[value] = walk.out[-1]
        return
    if not walk.first(value):
        return
    state = {
        name: one
        for name, one in sorted(type.__dict__["__dict__"].__get__(value).items())
        if name not in NOT_STATE and type(one) not in (types.MemberDescriptorType, types.GetSetDescriptorType)
    }
    if issubclass(value, enum.Enum):
        members = [(name, one._value_) for name, one in value.__members__.items()]
        state = {k: one for k, one in state.items() if k not in _ENUM_INTERNALS and k not in value.__members__}
        state["__members__"] = tuple(members)
    slots = value.__dict__.get("__slots__", ())
    slots = (slots,) if type(slots) is str else tuple(sorted(slots))
    registered: frozenset[Any] = frozenset()
    if issubclass(type(value), abc.ABCMeta):
        registered = frozenset(registered_in(value))
    walk.out.append(b"K%b%b" % (_str(value.__name__), _str(value.__qualname__)))
    walk.items((type(value), value.__bases__, slots, registered))
    walk.items([*state])
    walk.items([*state.values()])


def registered_in(cls: Any) -> list[Any]:
    """The classes registered with an abstract base class."""
    dump: Any = abc._get_dump  # type: ignore[attr-defined]
    return [one for one in (ref() for ref in dump(cls)[0]) if one is not None]


def _enum(walk: Walk, value: enum.Enum) -> None:
    walk.out.append(b"e")
    walk.push(value._name_, value._value_, type(value))


# ---- handlers: instances ----


def _instance(walk: Walk, value: Any) -> None:
    kind: Any = type(value)
    name = constants(kind).get(id(value)) if kind in _HANDLERS else None
    if name is not None:
        walk.named(kind.__module__, name)
    elif walk.first(value):
        walk.reduced(value, kind)


@functools.lru_cache(1000)
def constants(cls: Hashable) -> dict[int, str]:
    """Instances that a module keeps of its own class, as ``dataclasses.MISSING``: they are known by their name."""
    kind: Any = cls
    module = sys.modules.get(str(kind.__module__))
    if module is None or module.__name__ in ("random", "numpy.random.mtrand"):
        return {}  # the module's own generator is no constant
    return {id(one): name for name, one in list(vars(module).items()) if type(one) is kind}


@functools.lru_cache(1000)
def _owned_by(cls: Hashable) -> set[int]:
    """What can be changed among the attributes of an installed class: defaults that all its instances have in common.

    Two values are not taken together because of them.
    """
    kind: Any = cls
    walk = Walk({}, Budget(20_000, 1 << 20))
    walk.in_class = True
    for base in kind.__mro__:
        for one in vars(base).values():
            walk.run(one)
    _alive.append(walk)
    return walk.parts


_alive: list[Any] = []
"""Walks whose numbers stay in use: what they met must live as long."""


def _header(walk: Walk, value: Any) -> None:
    """The cards of a FITS header as they are read; how they are written is worked out later, and remembered."""
    if walk.first(value):
        walk.out.append(b"h")
        walk.items([(card.keyword, card.value, card.comment) for card in value.cards])


def _frozen(walk: Walk, value: Any) -> None:
    walk.reduced(value, type(value))


def _opaque(walk: Walk, value: object) -> None:
    walk.out.append(b"?")
    walk.parts.add(id(value))
    walk.complete = False


# ---- handlers: numpy ----


def owner_of(value: Any) -> Any:
    """The object that owns the memory of an array."""
    ndarray = sys.modules["numpy"].ndarray
    base = value.base
    while base is not None:
        value = base
        if issubclass(type(value), ndarray):
            base = value.base
        elif type(value) is memoryview:
            base = value.obj
        else:
            base = None
    return value


def _memory(walk: Walk, value: Any) -> bool:
    """Note whose memory an array uses, and write how it lies relative to the first array of the same owner."""
    owner = value if value.base is None else owner_of(value)
    if type(owner) is mmap.mmap:
        _opaque(walk, value)
        return False
    here = id(owner)
    if here not in walk.made:
        walk.parts.add(here)
    sharing = walk.arrays.setdefault(here, [])
    sharing.append(value)
    if len(sharing) > 1:
        before = sharing[0]
        number = list(walk.arrays).index(here)
        if hasattr(before, "strides") and hasattr(before, "__array_interface__"):
            offset = value.__array_interface__["data"][0] - before.__array_interface__["data"][0]
            walk.out.append(b"v%x;%x;%b" % (number, offset, _str(f"{before.strides}{value.strides}")))
        else:
            walk.out.append(b"v%x;" % number)
    return True


def _ndarray(walk: Walk, value: Any) -> None:
    here = id(value)
    number = walk.memo.get(here)
    if number is not None:
        walk.out.append(b"r%x;" % number)
        return
    walk.memo[here] = len(walk.memo)
    if _memory(walk, value):
        walk.out.append(b"a")
        if holds_bytes(value.dtype):
            if not value.flags.writeable:
                walk.out.append(b"w")
            if not value.flags.c_contiguous:
                walk.out.append(b"s%b" % _str(str(layout(value))))
        _contents_of(walk, value)


def holds_bytes(dtype: Any) -> bool:
    """Whether the memory of an array holds its elements themselves, not where they are."""
    return not dtype.hasobject and dtype.kind != "T"


class Axis(NamedTuple):
    """How one axis of an array lies in memory."""

    number: int
    sign: int  # of its stride; 0: the same element over and over
    gap: bool  # whether there is room between what neighbours on it hold


def layout(array: Any) -> list[Axis]:
    """How an array lies in memory: its axes (those of length 1 left out), the one with the smallest stride first.

    That decides whether `ravel` and `reshape` give a view of it or a copy, and so what is shared with what.
    """
    axes = [number for number, length in enumerate(array.shape) if length != 1]
    lies, dense = [], array.itemsize
    for number in sorted(axes, key=lambda number: (abs(array.strides[number]), -number)):
        stride = array.strides[number]
        lies.append(Axis(number, (stride > 0) - (stride < 0), stride != 0 and abs(stride) != dense))
        dense = abs(stride) * array.shape[number] if stride else dense
    return lies


def _contents_of(walk: Walk, value: Any) -> None:
    """Write type, shape and elements of an array, in the order of its indices."""
    dtype = value.dtype
    simple = dtype.char in SIMPLE
    walk.out.append(b"%b%b" % (dtype.str.encode() if simple else _str(repr(dtype)), repr(value.shape).encode()))
    if simple:
        if value.nbytes < 1 << 16:
            walk.out.append(value.tobytes())
        else:
            _buffer(walk, value)
    elif dtype.hasobject or dtype.kind == "T":
        walk.items(value.ravel().tolist())
    elif dtype.names is not None:  # field by field: there may be gaps, with anything in them
        for name in dtype.names:
            _contents_of(walk, value[name])
    elif dtype.kind in "fc":  # long double: 10 of its 16 bytes mean something
        numpy = sys.modules["numpy"]
        size = 10 if numpy.finfo(numpy.longdouble).nmant == 63 else numpy.dtype(numpy.longdouble).itemsize
        raw = numpy.ascontiguousarray(value).reshape(-1).view(numpy.uint8)
        _buffer(walk, raw.reshape(-1, numpy.dtype(numpy.longdouble).itemsize)[:, :size])
    else:
        _buffer(walk, value)


SIMPLE = "?bBhHiIlLqQefdFDSUMm"


def _buffer(walk: Walk, value: Any) -> None:
    numpy = sys.modules["numpy"]
    if value.nbytes > walk.bytes:
        raise _Cut
    if value.nbytes < 1 << 16:
        walk.large(value.tobytes())
    else:
        walk.large(numpy.ascontiguousarray(value).reshape(-1).view(numpy.uint8))


def _subarray(walk: Walk, value: Any) -> None:
    """Quantities, columns, masked arrays ...: the memory that they share, and what they say of themselves."""
    if not walk.first(value) or not _memory(walk, value):
        return
    if value.nbytes > walk.bytes:
        raise _Cut
    mask: Any = getattr(value, "_mask", None)
    if issubclass(type(mask), sys.modules["numpy"].ndarray) and mask.ndim:
        walk.parts.add(id(owner_of(mask)))
    walk.reduced(value, type(value))


def _scalar(walk: Walk, value: Any) -> None:
    walk.out.append(b"n%b%b" % (_str(value.dtype.str), value.tobytes()))


def _masked(walk: Walk, value: Any) -> None:
    """Its fill value is the default one until somebody asks."""
    if not walk.first(value) or not _memory(walk, value):
        return
    ma = sys.modules["numpy.ma"]
    walk.out.append(b"k" if value._hardmask else b"-")
    _contents_of(walk, value._data)
    mask = ma.getmaskarray(value)
    walk.parts.add(id(owner_of(mask)))
    _contents_of(walk, mask)
    fill = value._fill_value
    numpy = sys.modules["numpy"]
    _contents_of(walk, numpy.asarray(ma.default_fill_value(value) if fill is None else fill, dtype=value.dtype))


def _wide_scalar(walk: Walk, value: Any) -> None:
    """long doubles and records, as arrays without dimensions; a record looks into its array."""
    numpy = sys.modules["numpy"]
    if type(value) is numpy.void or issubclass(type(value), numpy.void):
        if not walk.first(value):
            return
        walk.parts.add(id(owner_of(value)) if value.base is not None else id(value))
    walk.out.append(b"n" + _str(type(value).__name__))
    _contents_of(walk, numpy.asarray(value))


def _dtype(walk: Walk, value: Any) -> None:
    walk.out.append(b"D" + _str(repr(value) + value.str))


def _unit(walk: Walk, value: Any) -> None:
    """A unit of astropy: its name and what it stands for. Its own state has caches that refer to themselves."""
    walk.out.append(b"U" + _str(value.to_string()))
    if not hasattr(value, "function_unit"):
        plain = value.decompose()
        walk.push(plain.scale, tuple((base.name, power) for base, power in zip(plain.bases, plain.powers, strict=True)))
    else:
        walk.push(type(value), value.physical_unit, value.function_unit)


# ---- handlers: pandas. What it remembers by the way (item caches, hashes of an index) is not looked at ----


def _frame(walk: Walk, value: Any) -> None:
    if not walk.first(value):
        return
    columns = range(value.shape[1])
    get = getattr(value, "_get_column_array", None)  # a view without a Series around it; pandas' own iteration uses it
    _labelled(walk, value, [value.columns, value.index])
    for column in columns:
        _pandas_array(walk, get(column) if get is not None else value.iloc[:, column].array, True)


def _series(walk: Walk, value: Any) -> None:
    if walk.first(value):
        _labelled(walk, value, [value.index])
        walk.push(value.name)
        _pandas_array(walk, value.array, True)


def _labelled(walk: Walk, value: Any, indices: list[Any]) -> None:
    walk.out.append(b"H" + (b"1" if value.flags.allows_duplicate_labels else b"0"))
    walk.push(type(value), value.attrs or None)
    for index in indices:
        _labels(walk, index)


def _index(walk: Walk, value: Any) -> None:
    if walk.first(value):  # its name can be changed in place
        _labels(walk, value)


def _labels(walk: Walk, value: Any) -> None:
    """An index; inside a frame it is no part, as most frames made from one another share theirs."""
    pandas = sys.modules["pandas"]
    walk.out.append(b"X")
    walk.push(type(value), tuple(value.names))
    if issubclass(type(value), pandas.RangeIndex):
        walk.out.append(_LEAVES[range](range(value.start, value.stop, value.step)))
    elif issubclass(type(value), pandas.MultiIndex):
        for level, codes in zip(value.levels, value.codes, strict=True):
            _labels(walk, level)
            _contents_of(walk, codes)
    else:
        _pandas_array(walk, value.array, False)


def _pandas_array(walk: Walk, value: Any, part: bool) -> None:
    numpy, pandas = sys.modules["numpy"], sys.modules["pandas"]
    kind = type(value)
    inner: Any = value if kind is numpy.ndarray else getattr(value, "_ndarray", None)
    mask: Any = getattr(value, "_mask", None)
    walk.out.append(b"A" + _str(f"{value.dtype} {getattr(value, 'freq', None)}"))
    if type(inner) is not numpy.ndarray:
        inner = getattr(value, "_data", None)
        if type(mask) is numpy.ndarray and type(inner) is numpy.ndarray:
            _contents_of(walk, mask)
            plain = inner.copy()
            plain[mask] = 0  # what lies under the mask has no meaning
            _contents_of(walk, plain)
        else:
            inner = None
            _contents_of(walk, numpy.asarray(value, dtype=object))
    else:
        _contents_of(walk, inner)
    if kind is pandas.Categorical:
        walk.out.append(b"o" if value.ordered else b"u")
        _labels(walk, value.categories)
    if part and inner is not None:
        owner = owner_of(inner)
        walk.parts.add(id(owner))
        walk.arrays.setdefault(id(owner), []).append(_SHARED_BY_PANDAS)


_SHARED_BY_PANDAS = object()
"""Stands for all the arrays of pandas in a list of arrays: what they share among them is copied on write."""


def _extension(walk: Walk, value: Any) -> None:
    if walk.first(value):
        walk.push(type(value))
        _pandas_array(walk, value, True)


# ---- which handler ----

_Handler = Callable[[Walk, Any], None]

_HANDLERS: dict[type, _Handler] = {
    tuple: _tuple,
    dict: _dict,
    set: _set,
    frozenset: _frozenset,
    slice: _slice,
    bytearray: _bytearray,
    memoryview: _memoryview,
    types.MappingProxyType: _mappingproxy,
    types.FunctionType: _function,
    types.BuiltinFunctionType: _builtin,
    types.MethodType: _method,
    types.CodeType: _code,
    types.CellType: _cell,
    types.ModuleType: _module,
    type: _class,
    property: _property,
    classmethod: _wrapping,
    staticmethod: _wrapping,
    functools.cached_property: _cached_property,
    functools._lru_cache_wrapper: _lru_cache,
    typing.TypeVar: _typevar,
}

_FROZEN_TYPES: tuple[type, ...] = (
    datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo, decimal.Decimal, fractions.Fraction,
    pathlib.PurePath, re.Pattern, uuid.UUID, types.GenericAlias, types.UnionType, types.WrapperDescriptorType,
    types.MethodWrapperType, types.MethodDescriptorType, types.ClassMethodDescriptorType, types.GetSetDescriptorType,
    types.MemberDescriptorType,
)  # fmt: skip
_FROZEN_NAMES = {
    "numpy.ufunc",
    "pandas.core.dtypes.base.ExtensionDtype", "pandas._libs.tslibs.offsets.BaseOffset", "logging.Logger",
    "pandas.Interval", "pandas._libs.interval.Interval", "pandas._libs.missing.NAType",
    "pandas._libs.tslibs.nattype.NaTType", "pandas._libs.tslibs.period._Period",
}  # fmt: skip
_VALUES = (tuple, str, int, float, complex, bytes, frozenset)

_OPAQUE_TYPES: tuple[tuple[Any, str], ...] = (
    (types.GeneratorType, "a generator"),
    (types.CoroutineType, "a coroutine"),
    (types.AsyncGeneratorType, "an asynchronous generator"),
    (types.FrameType, "a stack frame"),
    (types.TracebackType, "a traceback"),
    (weakref.ReferenceType, "a weak reference"),
    (weakref.ProxyTypes, "a weak reference"),
    ((type({}.keys()), type({}.values()), type({}.items())), "a view of a dictionary"),
    (mmap.mmap, "a memory-mapped file"),
    (ctypes._SimpleCData.__mro__[1], "a ctypes object"),
)
_OPAQUE_MODULES = {
    "_thread": "a lock", "_socket": "a socket", "socket": "a socket", "sqlite3": "an open database",
    "select": "an open file", "itertools": "an iterator", "_contextvars": "a context variable",
}  # fmt: skip


def opaque_type(kind: Any) -> str:
    if issubclass(kind, (type, BaseException, enum.Enum, io.BytesIO, io.StringIO)):
        return ""
    for types_, words in _OPAQUE_TYPES:
        if issubclass(kind, types_):
            return words
    if issubclass(kind, io.IOBase):
        return "an open file"
    for base in kind.__mro__:
        module = base.__module__
        if type(module) is not str or (module, base.__qualname__) in _READABLE:
            continue
        if module in _OPAQUE_MODULES:
            return _OPAQUE_MODULES[module]
        if module == "builtins" and hasattr(base, "__next__"):
            return "an iterator"
        package = module.partition(".")[0]
        if package in ("casatools", "casa_kernel") and "__reduce__" in vars(base):
            return ""  # the kernel says of its tools how they are made again (casa_kernel.tools)
        if package in _OPAQUE_PACKAGES and module != "matplotlib.colors":
            return f"a {base.__qualname__} of {package}"
        if f"{module}.{base.__qualname__}" == "numpy.memmap":
            return "a memory-mapped file"
    return ""


_READABLE = {("subprocess", "CompletedProcess")}


def _choose(kind: Any) -> _Handler:
    if issubclass(kind, type):
        return _class
    if opaque_type(kind):
        return _opaque
    if issubclass(kind, enum.Enum):
        return _enum
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None and hasattr(numpy, "ndarray"):
        if kind is numpy.ndarray:
            return _ndarray
        if f"{kind.__module__}.{kind.__qualname__}" in ("numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"):
            return _masked
        if issubclass(kind, numpy.ndarray):
            return _subarray
        if issubclass(kind, numpy.generic):
            if issubclass(kind, (numpy.void, numpy.longdouble, numpy.clongdouble)):
                return _wide_scalar
            if kind.__module__ == "numpy":
                return _scalar
        if issubclass(kind, numpy.dtype):
            return _dtype
    if pandas is not None and hasattr(pandas, "Index"):
        if issubclass(kind, pandas.DataFrame):
            return _frame
        if issubclass(kind, pandas.Series):
            return _series
        if issubclass(kind, pandas.Index):
            return _index
        if issubclass(kind, pandas.api.extensions.ExtensionArray):
            return _extension
    if issubclass(kind, types.ModuleType):
        return _module
    if known_by_name(kind):
        names = {f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__}
        if names & {"astropy.units.core.UnitBase", "astropy.units.function.core.FunctionUnitBase"}:
            return _unit
        if "astropy.io.fits.header.Header" in names:
            return _header
        plain = issubclass(kind, _VALUES) and not kind.__dictoffset__
        if plain or issubclass(kind, _FROZEN_TYPES) or kind.__module__ == "typing" or names & _FROZEN_NAMES:
            return _frozen
    return _instance
