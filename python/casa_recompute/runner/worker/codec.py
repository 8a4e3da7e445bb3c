"""Plain data over a pipe: JSON with tags for what JSON lacks. No pickle, so neither side can make the other run code.

Runs inside the worker's interpreter too: standard library only (numpy is used when it is already there).
"""

from __future__ import annotations

import base64
import json
import math
import sys
from typing import Any

TAG = "~"


class Unencodable(TypeError):
    """A value is no plain data and cannot cross the pipe."""


def dumps(value: Any) -> str:
    """Encode to one line of text.

    Raises:
        Unencodable: ``value`` holds something that is no plain data (an open tool, a function).
    """
    return json.dumps(encode(value), separators=(",", ":"), allow_nan=False)


def loads(text: str | bytes) -> Any:
    """The inverse of :func:`dumps`."""
    return decode(json.loads(text))


def encode(value: Any) -> Any:
    """Plain data as JSON-able data; tuples, complex numbers, bytes, arrays, odd keys and NaN survive."""
    if value is None or isinstance(value, (bool, str)):
        return str(value) if isinstance(value, str) else value
    if type(value) is int:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {TAG: "float", "v": repr(value)}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [encode(item) for item in value]
        name = next((kind.__name__ for kind in (tuple, set, frozenset) if isinstance(value, kind)), None)
        return {TAG: name, "v": items} if name else items
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value) and TAG not in value:
            return {key: encode(item) for key, item in value.items()}
        return {TAG: "dict", "v": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, complex):
        return {TAG: "complex", "v": [encode(value.real), encode(value.imag)]}
    if isinstance(value, (bytes, bytearray)):
        return {TAG: "bytes", "v": base64.b64encode(value).decode("ascii")}
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if isinstance(value, numpy.generic) and value.dtype.kind in "biufcSU":
            return {TAG: "scalar", "t": value.dtype.str, "v": encode(value.item())}
        if isinstance(value, numpy.ndarray):
            if value.dtype.kind in "biufcSU":
                data = numpy.ascontiguousarray(value).tobytes()
                text = base64.b64encode(data).decode("ascii")
                return {TAG: "array", "t": value.dtype.str, "s": list(value.shape), "v": text}
            if value.dtype.kind == "O":
                return {TAG: "objects", "s": list(value.shape), "v": [encode(item) for item in value.ravel()]}
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return encode(kind(value))
    raise Unencodable(f"{type(value).__module__}.{type(value).__qualname__} is no plain data")


def decode(value: Any) -> Any:
    """The inverse of :func:`encode`."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if TAG not in value:
        return {key: decode(item) for key, item in value.items()}
    kind, body = value[TAG], value["v"]
    if kind == "dict":
        return {decode(key): decode(item) for key, item in body}
    if kind == "float":
        return float(body)
    if kind == "complex":
        return complex(decode(body[0]), decode(body[1]))
    if kind == "bytes":
        return base64.b64decode(body)
    if kind in ("tuple", "set", "frozenset"):
        return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](decode(item) for item in body)
    import numpy

    if kind == "scalar":
        return numpy.dtype(value["t"]).type(decode(body))
    if kind == "array":
        flat = numpy.frombuffer(base64.b64decode(body), dtype=numpy.dtype(value["t"]))
        return flat.reshape(value["s"]).copy()
    if kind == "objects":
        array = numpy.empty(len(body), dtype=object)
        array[:] = [decode(item) for item in body]
        return array.reshape(value["s"])
    raise ValueError(f"unknown tag {kind!r}")
