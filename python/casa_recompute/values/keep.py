"""Values as bytes, to be kept and made again, in this process or another.

What is written is signed with a secret of the user's, and nothing is read that does not bear that signature:
unpickling runs code. cloudpickle writes classes and functions that no module holds; functions of the notebook
are written here, because they must come back with the notebook's names as their globals, not with a copy.
"""

from __future__ import annotations

import abc
import enum
import functools
import hashlib
import hmac
import importlib
import io
import os
import pickle
import secrets
import stat
import sys
import types
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

import platformdirs
from cloudpickle import cloudpickle as cp

from casa_recompute.values.digest import (
    NOT_STATE,
    OURS,
    SIMPLE,
    Budget,
    Walk,
    by_reference,
    constants,
    holds_bytes,
    known_by_name,
    layout,
    opaque_type,
    owner_of,
    registered_in,
)

_FORMAT = b"casa-v1\n"
_SIGNATURE = 32  # bytes


class Unkeepable(Exception):
    """The values cannot be kept; the message says which type and why."""


class Foreign(Exception):
    """The bytes do not bear this user's signature, or are damaged."""


class Unloadable(Exception):
    """The bytes are this user's and whole, but the values cannot be made again here: a module is missing ..."""


# ---- the secret ----


def secret() -> bytes:
    """The user's own 32 random bytes, made when first needed.

    Raises PermissionError when the file is not the user's alone, and ValueError when it is damaged.
    """
    return _read_secret(Path(platformdirs.user_data_dir("jupyterlab-casa")) / "secret")


def _read_secret(path: Path) -> bytes:
    if not path.exists():
        _make_secret(path)
    with path.open("rb") as file:
        info = os.fstat(file.fileno())
        if info.st_uid != os.geteuid() or info.st_mode & 0o077 or not stat.S_ISREG(info.st_mode):
            raise PermissionError(
                f"{path} must be a file that is yours and that nobody else can read or write: it signs the values "
                f"that are kept. Remove it (what was kept so far will be computed again), or chmod 600 it."
            )
        key = file.read(33)
    if len(key) != 32:
        raise ValueError(f"{path} is damaged: it should hold 32 bytes. Remove it; a new one is made.")
    return key


def _make_secret(path: Path) -> None:
    """Whole or not at all, and once: of two processes, the second finds the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"secret.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(handle, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()


@functools.cache
def _signer() -> hashlib.blake2b:
    return hashlib.blake2b(key=secret(), digest_size=_SIGNATURE, person=_FORMAT)


def forget_secret() -> None:
    """Read the secret again when it is next needed: for tests."""
    _signer.cache_clear()


def _sign(payload: bytes) -> bytes:
    signature = _signer().copy()
    signature.update(payload)
    return signature.digest()


# ---- writing ----


def pack(values: Mapping[str, object], namespace: dict[str, Any], limit: int) -> bytes:
    """``values`` by name as signed bytes; what they share they will share again.

    ``namespace`` holds the names of the notebook. Raises Unkeepable, also when it takes more than ``limit`` bytes.
    """
    if all(_is_plain(value) or _is_plain_array(value, limit) for value in values.values()):
        payload = pickle.dumps(dict(values), 5)
        if len(payload) > limit:
            raise Unkeepable(f"takes more than {limit} bytes")
        return _FORMAT + _sign(payload) + payload
    sink = _Sink(limit)
    try:
        _dump(values, namespace, sink)
    except Unkeepable:
        raise
    except Exception as error:
        if sink.full:
            raise Unkeepable(sink.full) from None
        raise Unkeepable(f"{_names(values)}: {error}") from error
    payload = b"".join(sink.chunks)
    return _FORMAT + _sign(payload) + payload


_PLAIN = {int, float, complex, str, bytes, bool, type(None)}
_MANY = 1000  # items: longer containers are measured while they are written


def _is_plain(value: Any, depth: int = 3) -> bool:
    """Is it nothing but numbers and texts, in a few small containers? Pickle itself writes these, and quickly."""
    kind: Any = type(value)
    if kind in _PLAIN:
        return True
    if kind is dict:
        items: Any = [*value, *value.values()]
    elif kind in (list, tuple, set, frozenset):
        items = value
    else:
        return False
    if len(items) > _MANY or not depth:
        return False
    return _PLAIN.issuperset(map(type, items)) or all(_is_plain(item, depth - 1) for item in items)


def _is_plain_array(value: Any, limit: int) -> bool:
    """Is it an array of numbers with memory of its own, and not too large to be written before it is measured?"""
    numpy = sys.modules.get("numpy")
    return (
        numpy is not None
        and type(value) is numpy.ndarray
        and value.base is None
        and value.dtype.char in SIMPLE
        and value.nbytes <= limit
    )


def _names(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} ({type(value).__name__})" for name, value in values.items())


def _dump(values: Mapping[str, object], namespace: dict[str, Any], sink: _Sink) -> None:
    if any(value is namespace for value in values.values()):
        raise Unkeepable("the names of the notebook cannot be kept as a value")
    try:
        _Pickler(sink, namespace, None).dump(dict(values))
    except _Views:
        # Some array looks into another's memory: find out which share theirs, and write that memory once.
        walk = Walk(namespace, Budget(5_000_000, sys.maxsize))
        for value in values.values():
            walk.run(value)
        shared = {id(one): some for some in walk.arrays.values() if len(set(map(id, some))) > 1 for one in some}
        sink.clear()
        _Pickler(sink, namespace, shared).dump(dict(values))


class _Views(Exception):
    """An array without memory of its own was met before it was known who shares memory."""


class _Sink:
    """Collects what is pickled, up to a limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.full = ""
        self.clear()

    def clear(self) -> None:
        self.chunks: list[bytes] = []
        self.size = 0

    def write(self, chunk: Any) -> int:
        size = len(chunk)
        self.size += size
        if self.size > self.limit:
            self.full = f"takes more than {self.limit} bytes"
            raise Unkeepable(self.full)
        self.chunks.append(chunk if type(chunk) is bytes else bytes(chunk))
        return size


class _Pickler(cp.Pickler):  # type: ignore[misc]
    """cloudpickle's, with functions and classes of the notebook written our way, and nothing written in part."""

    def __init__(self, sink: _Sink, namespace: dict[str, Any], shared: dict[int, list[Any]] | None) -> None:
        super().__init__(sink, protocol=5)
        self.namespace = namespace
        self.limit = sink.limit
        self.shared = shared  # id of an array -> all arrays that use the same memory; None: not known yet
        self.memory: dict[int, tuple[int, Any]] = {}  # id of the owner of memory -> its address, its bytes
        self.cells: dict[int, _Cell] = {}
        self.globals: dict[int, dict[str, Any]] = {}

    def reducer_override(self, obj: Any) -> Any:
        kind: Any = type(obj)
        if issubclass(kind, type):
            if obj in cp._BUILTIN_TYPE_NAMES or obj in _SINGLETONS:
                return cp._class_reduce(obj)
            if by_reference(obj):
                return NotImplemented
            return cp._dynamic_class_reduce(obj) if issubclass(obj, enum.Enum) else self._class(obj)
        if kind is types.FunctionType:
            return self._function(obj)
        numpy = sys.modules.get("numpy")
        if numpy is not None and issubclass(kind, numpy.ndarray):
            return self._array(obj, kind, numpy)
        if issubclass(kind, types.ModuleType):  # packages have modules of their own types
            return _module(obj)
        reducer = _REDUCERS.get(kind)
        if reducer is not None:
            return reducer(self, obj)
        words = _words(kind)
        if words:
            raise Unkeepable(f"{words} cannot be kept")
        if known_by_name(kind):
            name = constants(kind).get(id(obj))
            if name is not None:
                return _constant, (kind.__module__, name)
        return NotImplemented

    def _function(self, function: types.FunctionType) -> Any:
        globals_ = function.__globals__
        home = globals_.get("__name__")
        if globals_ is not self.namespace:
            if type(home) is str and home.partition(".")[0] in OURS and not by_reference(function):
                if self.namespace.get(function.__name__) is not function:
                    raise Unkeepable(f"the function {function.__qualname__} cannot be kept")
                return _ours, (function.__name__,)
            if by_reference(function):
                return NotImplemented
        code = function.__code__
        used: dict[str, Any] = {}
        if globals_ is self.namespace:
            where: str | dict[str, Any] | None = None
        elif type(home) is str and getattr(sys.modules.get(home), "__dict__", None) is globals_:
            where = home
        else:  # made by exec or eval, as by namedtuple: what it uses goes along
            names = ["__name__", *cp._extract_code_globals(code)]
            used = {name: globals_[name] for name in names if name in globals_}
            where = self.globals.setdefault(id(globals_), {})
        cells = function.__closure__ or ()
        fresh = [cell for cell in cells if id(cell) not in self.cells]
        closure = tuple([self.cells.setdefault(id(cell), _Cell(cell)) for cell in cells])
        contents = []
        for cell in fresh:
            try:
                contents.append((self.cells[id(cell)], cell.cell_contents))
            except ValueError:  # empty, as it will be
                continue
        attributes = {name: getattr(function, name) for name in _FUNCTION_ATTRIBUTES}
        state = (attributes, function.__dict__, used, contents)
        return _make_function, (code, where, closure), state, None, None, _fill_function

    def _class(self, cls: Any) -> Any:
        own = type.__dict__["__dict__"].__get__(cls)
        fixed = {name: own[name] for name in _AT_BIRTH if name in own}
        state = {name: own[name] for name in own if _is_state(name, own[name])}
        state["__qualname__"] = cls.__qualname__
        registered = registered_in(cls) if issubclass(type(cls), abc.ABCMeta) else None
        bases = cp._get_bases(cls) if type(cls).__module__ == "typing" else cls.__bases__
        args = (type(cls), cls.__name__, bases, fixed, None, None)  # who shares a class is kept with it
        return cp._make_skeleton_class, args, (state, registered), None, None, _fill_class

    def _array(self, array: Any, kind: Any, numpy: Any) -> Any:
        words = _words(kind)
        if words:
            raise Unkeepable(f"{words} cannot be kept")
        if array.nbytes > self.limit:  # before it is copied
            raise Unkeepable(f"takes more than {self.limit} bytes")
        if self.shared is None:
            if array.base is not None:
                raise _Views
            return self._alone(array, kind, numpy)
        sharing = self.shared.get(id(array))
        if sharing is None:
            return self._alone(array, kind, numpy)
        address, memory = self._bytes_of(sharing, numpy)
        offset = array.__array_interface__["data"][0] - address
        args = (memory, kind, array.dtype, array.shape, offset, array.strides, array.flags.writeable)
        return _view, args, getattr(array, "__dict__", None) or None, None, None, _fill_dict

    def _alone(self, array: Any, kind: Any, numpy: Any) -> Any:
        """An array whose memory nothing else looks into, in as little memory as has the same layout (see there)."""
        flags = array.flags
        dense_and_open = (flags.c_contiguous or flags.f_contiguous) and flags.writeable
        if kind is not numpy.ndarray or dense_and_open or not holds_bytes(array.dtype):
            return NotImplemented
        strides, offset, dense = [0] * array.ndim, 0, array.itemsize
        for axis in layout(array):
            if axis.sign:
                stride = dense + array.itemsize * axis.gap
                strides[axis.number] = axis.sign * stride
                offset += stride * (array.shape[axis.number] - 1) if axis.sign < 0 else 0
                dense = stride * array.shape[axis.number]
        memory = numpy.zeros(dense, numpy.uint8)
        where = numpy.ndarray(array.shape, array.dtype, memory, offset, strides)
        where[...] = array
        return _view, (memory, kind, array.dtype, array.shape, offset, strides, flags.writeable)

    def _bytes_of(self, sharing: list[Any], numpy: Any) -> tuple[int, Any]:
        """The address and the contents of the memory that these arrays look into."""
        owner: Any = owner_of(sharing[0]) if hasattr(sharing[0], "base") else None
        known = self.memory.get(id(owner))
        if known is None:
            if any(not issubclass(type(one), numpy.ndarray) or one.dtype.hasobject for one in sharing):
                raise Unkeepable("an array that shares its memory with something that is no plain array cannot be kept")
            is_array = issubclass(type(owner), numpy.ndarray)
            flat = owner.view(numpy.ndarray).ravel("K") if is_array else numpy.frombuffer(owner, numpy.uint8)
            if is_array and not numpy.may_share_memory(flat, owner):
                raise Unkeepable("an array with gaps that shares its memory cannot be kept")
            flat = flat.view(numpy.uint8)
            known = self.memory[id(owner)] = flat.__array_interface__["data"][0], flat.copy()
        return known


_SINGLETONS = {type(None), type(...), type(NotImplemented)}
_FUNCTION_ATTRIBUTES = (
    "__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__", "__annotations__",
)  # fmt: skip


_AT_BIRTH = ("__module__", "__slots__", "__orig_bases__")
"""Attributes that a class must have when it is made."""


class _Cell:
    """Stands for a cell in a pickle: two functions that share a variable share it again."""

    def __init__(self, cell: types.CellType) -> None:
        self.cell = cell

    def __reduce__(self) -> Any:
        return types.CellType, ()


def _is_state(name: str, value: object) -> bool:
    if name == "__abstractmethods__":
        return True
    return name not in NOT_STATE and type(value) not in (types.MemberDescriptorType, types.GetSetDescriptorType)


def _refuse_memoryview(_: _Pickler, view: memoryview) -> Any:
    raise Unkeepable("a memoryview cannot be kept")


def _module(module: types.ModuleType) -> Any:
    if sys.modules.get(module.__name__) is not module:
        raise Unkeepable(f"the module {module.__name__} cannot be kept: it cannot be imported again")
    return importlib.import_module, (module.__name__,)


def _cached_property(_: _Pickler, value: Any) -> Any:
    state = {"func": value.func, "attrname": value.attrname, "__doc__": value.__doc__}
    return _make_cached_property, (), state, None, None, _fill_dict


def _lru_cache(_: _Pickler, value: Any) -> Any:
    if by_reference(value):
        return value.__qualname__
    state = {name: one for name, one in value.__dict__.items() if name != "__wrapped__"}
    return _make_lru_cache, (value.__wrapped__, value.cache_parameters()), state, None, None, _fill_dict


_REDUCERS: dict[type, Callable[[_Pickler, Any], Any]] = {
    memoryview: _refuse_memoryview,
    functools.cached_property: _cached_property,
    functools._lru_cache_wrapper: _lru_cache,
}


@functools.lru_cache(1000)
def _words(kind: Hashable) -> str:  # of a type: "a generator"
    return opaque_type(kind)


# ---- reading ----


def unpack(data: bytes, namespace: dict[str, Any]) -> dict[str, object]:
    """The values that ``pack`` was given; their functions use the names of ``namespace``.

    Raises Foreign, before anything is read, when they are not signed by this user; Unloadable when they are
    but cannot be made again.
    """
    return _load(_Unpickler(io.BytesIO(_payload(data)), namespace))


def unpack_plain(data: bytes) -> dict[str, object]:
    """The values that ``pack`` was given, when they are nothing but plain data: no code runs, and no class that is
    alive in this process is set to what it was.

    Raises Foreign as ``unpack`` does; Unloadable when there is more than plain data.
    """
    return _load(_PlainUnpickler(io.BytesIO(_payload(data))))


def _payload(data: bytes) -> bytes:
    start = len(_FORMAT) + _SIGNATURE
    payload = data[start:]
    if not data.startswith(_FORMAT) or not hmac.compare_digest(data[len(_FORMAT) : start], _sign(payload)):
        raise Foreign("this was not written by you, or it is damaged")
    return payload


def _load(unpickler: pickle.Unpickler) -> dict[str, object]:
    try:
        values = unpickler.load()
    except Exception as error:
        raise Unloadable(str(error) or type(error).__name__) from error
    return values  # type: ignore[no-any-return]


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "complex"):
            return complex
        raise pickle.UnpicklingError(f"{module}.{name} is more than plain data")


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, namespace: dict[str, Any]) -> None:
        super().__init__(file)
        self.namespace = namespace

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if found is _make_function or found is _ours:
            return functools.partial(found, namespace=self.namespace)
        return found


def _make_function(
    code: types.CodeType,
    where: str | dict[str, Any] | None,
    closure: tuple[types.CellType, ...],
    *,
    namespace: dict[str, Any],
) -> types.FunctionType:
    if where is None:
        where = namespace
    elif isinstance(where, str):
        where = importlib.import_module(where).__dict__
    return types.FunctionType(code, where, None, None, closure or None)


def _fill_function(function: types.FunctionType, state: Any) -> None:
    attributes, own, used, contents = state
    for name, value in attributes.items():
        setattr(function, name, value)
    function.__dict__.update(own)
    function.__globals__.update(used)
    for cell, content in contents:
        cell.cell_contents = content


def _ours(name: str, *, namespace: dict[str, Any]) -> Any:
    function = namespace.get(name)
    home = getattr(function, "__globals__", {}).get("__name__")
    if type(home) is not str or home.partition(".")[0] not in OURS:
        raise LookupError(f"{name} is not the task here")
    return function


def _fill_class(cls: Any, state: Any) -> None:
    """Set what the class had; a class that is here already loses what it had not."""
    attributes, registered = state
    own = type.__dict__["__dict__"].__get__(cls)
    for name in [name for name in own if name not in attributes and _is_state(name, own[name])]:
        type.__delattr__(cls, name)
    for name, value in attributes.items():
        type.__setattr__(cls, name, value)
    for one in registered or ():
        cls.register(one)


def _view(memory: Any, kind: Any, dtype: Any, shape: Any, offset: int, strides: Any, writeable: bool) -> Any:
    numpy = importlib.import_module("numpy")
    array = numpy.ndarray(shape, dtype, memory, offset, strides)
    array.flags.writeable = writeable
    return array if kind is numpy.ndarray else array.view(kind)


def _fill_dict(value: Any, state: dict[str, Any]) -> None:
    value.__dict__.update(state)


def _constant(module: str, name: str) -> Any:
    return vars(importlib.import_module(module))[name]


def _make_cached_property() -> functools.cached_property[Any]:
    return functools.cached_property(_no_function)


def _no_function(_: object) -> None:
    """Stands in for the function of a cached property until that is read."""


def _make_lru_cache(function: Any, parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)
