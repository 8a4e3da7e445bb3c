"""Calls by which a cell gets something that no top-to-bottom run would give again: the clock, random numbers."""

from __future__ import annotations

import random
import sys
import types
from collections.abc import Iterable, Mapping
from typing import Any

from casa_recompute.notebook.simulate import NUMPY_RANDOM, RANDOM

_CLOCK, _CHANCE, _MACHINE = "the clock", "random numbers", "this machine"
_IMPURE = {
    ("time", "time"): _CLOCK,
    ("time", "time_ns"): _CLOCK,
    ("time", "monotonic"): _CLOCK,
    ("time", "perf_counter"): _CLOCK,
    ("time", "process_time"): _CLOCK,
    ("time", "localtime"): _CLOCK,
    ("time", "gmtime"): _CLOCK,
    ("time", "ctime"): _CLOCK,
    ("time", "asctime"): _CLOCK,
    ("time", "strftime"): _CLOCK,
    ("datetime", "now"): _CLOCK,
    ("datetime", "utcnow"): _CLOCK,
    ("datetime", "today"): _CLOCK,
    ("date", "today"): _CLOCK,
    ("Timestamp", "now"): _CLOCK,
    ("Timestamp", "today"): _CLOCK,
    ("Time", "now"): _CLOCK,
    ("timeit", "timeit"): _CLOCK,
    ("timeit", "default_timer"): _CLOCK,
    ("posix", "urandom"): _CHANCE,
    ("uuid", "uuid1"): _CHANCE,
    ("uuid", "uuid4"): _CHANCE,
    ("random", "SystemRandom"): _CHANCE,
    ("secrets", "token_bytes"): _CHANCE,
    ("secrets", "token_hex"): _CHANCE,
    ("secrets", "token_urlsafe"): _CHANCE,
    ("secrets", "randbelow"): _CHANCE,
    ("secrets", "choice"): _CHANCE,
    ("posix", "getpid"): _MACHINE,
    ("socket", "gethostname"): _MACHINE,
    ("_socket", "gethostname"): _MACHINE,
    ("platform", "node"): _MACHINE,
    ("posix", "getloadavg"): _MACHINE,
}
_FUNCTIONS = {"function", "builtin_function_or_method", "method", "cython_function_or_method"}
_SETTING = {"seed", "setstate", "set_state"}
_PLACES = (type, types.ModuleType)
_SEEDABLE = {"default_rng", "RandomState", "Random", "SeedSequence"}


def impure_chains(chains: Iterable[str], unseeded: Iterable[str], namespace: Mapping[str, Any]) -> list[str]:
    """In words, what is impure among the functions that a cell names.

    Args:
        chains: attribute chains and names that the text loads, as ``time.time``.
        unseeded: those of them that are called without arguments (``default_rng()``).
        namespace: where their first names are looked up.
    """
    found: list[str] = []
    for chain in chains:
        thing = _resolve(chain, namespace)
        if not issubclass(type(thing), type) and type(thing).__name__ not in _FUNCTIONS:
            continue
        owner = getattr(thing, "__self__", None)
        place = owner.__name__ if isinstance(owner, type | types.ModuleType) else getattr(thing, "__module__", "")
        what = _IMPURE.get((str(place), getattr(thing, "__name__", "")))
        if what is not None and what not in found:
            found.append(what)
    for chain in unseeded:
        if chain.rpartition(".")[2] in _SEEDABLE and _resolve(chain, namespace) is not None and _CHANCE not in found:
            found.append(_CHANCE)
    return found


def generators(chains: Iterable[str], namespace: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """The global generators of random numbers whose state functions among these set, and those that they use."""
    numpy = sys.modules.get("numpy.random")
    owners = {id(getattr(random.seed, "__self__", None)): RANDOM}
    if numpy is not None:
        owners[id(getattr(numpy.seed, "__self__", None))] = NUMPY_RANDOM
    sets, uses = set[str](), set[str]()
    for chain in chains:
        thing = _resolve(chain, namespace)
        name = owners.get(id(getattr(thing, "__self__", None))) if type(thing).__name__ in _FUNCTIONS else None
        if name is not None:
            (sets if thing.__name__ in _SETTING else uses).add(name)
    return sets, uses


def _resolve(chain: str, namespace: Mapping[str, Any]) -> Any:
    """What a chain names; only modules and classes are looked into, which runs nobody's code."""
    first, dot, rest = chain.partition(".")
    thing = namespace.get(first)
    if not dot:
        return thing
    if not issubclass(type(thing), _PLACES):
        thing = sys.modules.get(first)  # `from time import time` gives the chain `time.time`
    for name in rest.split(".") if thing is not None else ():
        if not issubclass(type(thing), _PLACES):
            return None
        thing = getattr(thing, name, None)
    return thing
