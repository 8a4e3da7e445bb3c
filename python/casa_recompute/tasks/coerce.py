"""Bring an argument into the one plain form that stands for all its spellings, as CASA's own coercion would.

The form is JSON-able data, equal for calls that CASA cannot tell apart, and different for values that it can:
`[1, 2]`, `(1, 2)` and `numpy.array([1, 2])` agree; `True`, `1` and `1.0` agree only where CASA's declared
type makes them so. Applying it twice changes nothing.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any


def normal_form(value: Any, kind: str) -> Any:
    """`value` of a parameter declared as `kind` (types of the catalogue, several joined by '|').

    Not-a-number and infinities become `{"$float": "nan"}` and the like, complex numbers `{"$complex": [re,
    im]}`, and a dict with keys that are not strings `{"$dict": [[key, value], ...]}`.
    Raises TypeError for a value that is no plain data (a casatools object, a function ...).
    """
    plain = _plain(value)
    if kind.endswith("Vec") and "|" not in kind:
        items = plain if isinstance(plain, list) else [plain] if _is_scalar(plain) else plain
        element = kind.removesuffix("Vec")
        return [_typed(i, element) for i in items] if isinstance(items, list) else items
    kinds = kind.split("|")
    if "path" in kinds or "pathVec" in kinds:
        return [_typed(i, "path") for i in plain] if isinstance(plain, list) else _typed(plain, "path")
    return _typed(plain, kind)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int | float) or (isinstance(value, dict) and set(value) == {"$float"})


def _typed(value: Any, kind: str) -> Any:
    if kind in ("double", "float") and isinstance(value, int) and abs(value) < 2**1023:
        return _plain(float(value))  # as CASA's to_float, booleans included
    if kind == "path" and isinstance(value, str) and not value.startswith(("/", "./", "../")):
        return os.path.expanduser(value)
    return value


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return str(value) if isinstance(value, str) else value  # str(): numpy.str_ is a str
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):  # numpy.float64 too
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, complex):
        return {"$complex": [_plain(value.real), _plain(value.imag)]}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        pairs = [[_plain(k), _plain(v)] for k, v in value.items()]
        if all(isinstance(k, str) for k, _ in pairs):
            return dict(sorted(((k, v) for k, v in pairs), key=lambda pair: pair[0]))
        return {"$dict": sorted(pairs, key=lambda pair: json.dumps(pair, sort_keys=True))}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # numpy scalars and arrays, without importing numpy
        return _plain(value.tolist())
    raise TypeError(f"a value of type {type(value).__name__} is not plain data")
