"""Stand-ins for CASA's tools, made on first use: importing casatools takes half a second."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

_UNMADE = object()


class Lazy:
    """Behaves as the object that ``make`` returns; ``make`` runs when the object is first needed.

    ``isinstance``, attributes, ``dir``, ``?`` and subclassing reach the real one. ``home``: the module and the name
    there by which this stand-in is found again, for pickling.
    """

    # Dunder names, so that no attribute of the real object is hidden.
    __slots__ = ("__casa_home__", "__casa_make__", "__casa_object__", "__weakref__")

    def __init__(self, make: Callable[[], Any], home: tuple[str, str] | None = None) -> None:
        object.__setattr__(self, "__casa_home__", home)
        object.__setattr__(self, "__casa_make__", make)
        object.__setattr__(self, "__casa_object__", _UNMADE)

    def __getattr__(self, name: str) -> Any:
        return getattr(resolve(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(resolve(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(resolve(self), name)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        home = object.__getattribute__(self, "__casa_home__")
        if home is None:
            raise TypeError("a tool of CASA cannot be pickled")
        return _find, home

    def __dir__(self) -> list[str]:
        return dir(resolve(self))

    def __repr__(self) -> str:
        return repr(resolve(self))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return resolve(self)(*args, **kwargs)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, resolve(self))

    def __subclasscheck__(self, subclass: type) -> bool:
        return issubclass(subclass, resolve(self))

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (resolve(self),)

    def __eq__(self, other: object) -> bool:
        return bool(resolve(self) == (resolve(other) if is_lazy(other) else other))

    def __hash__(self) -> int:
        return hash(resolve(self))

    @property
    def __class__(self) -> Any:
        return type(resolve(self))

    @__class__.setter
    def __class__(self, value: type) -> None:
        resolve(self).__class__ = value

    @property
    def __doc__(self) -> Any:  # type: ignore[override]
        return resolve(self).__doc__


def _find(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def is_lazy(thing: object) -> bool:
    """Is ``thing`` a stand-in? Never makes the real object, as ``isinstance`` would."""
    return issubclass(type(thing), Lazy)


def resolve(lazy: Any) -> Any:
    """The real object behind ``lazy``."""
    real = object.__getattribute__(lazy, "__casa_object__")
    if real is _UNMADE:
        made = object.__getattribute__(lazy, "__casa_make__")()
        # Making it may import casatools, which resolves all stand-ins, this one too: that object counts.
        real = object.__getattribute__(lazy, "__casa_object__")
        if real is _UNMADE:
            object.__setattr__(lazy, "__casa_object__", made)
            real = made
    return real
