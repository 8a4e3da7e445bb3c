"""Laws of the normal form: idempotent, one form for all spellings of a call, different forms for different
values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casa_recompute.tasks import Catalogue
from casa_recompute.tasks.coerce import normal_form

KINDS = (
    "string", "int", "double", "bool", "path", "record", "variant", "stringVec", "intVec", "doubleVec",
    "boolVec", "pathVec", "path|pathVec", "string|stringVec", "int|intVec",
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text()
keys = st.text(alphabet="abcxyz~/._", max_size=4) | st.integers() | st.booleans()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)

unhurried = settings(deadline=None)  # how long an example takes is no law


def same(a: Any, b: Any) -> bool:
    """Equal as a person means it: 1, 1.0 and True differ, nan equals nan, the order of dict keys is
    irrelevant.
    """
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        typed = [{(type(k), k): v for k, v in d.items()} for d in (a, b)]
        return typed[0].keys() == typed[1].keys() and all(same(v, typed[1][k]) for k, v in typed[0].items())
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    return bool(a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b)))


def respell(value: Any, draw: Callable[[Any], Any]) -> Any:
    """Another spelling of the same value: tuples, arrays, numpy scalars, other key order."""
    if isinstance(value, list):
        items = [respell(v, draw) for v in value]
        if value and all(type(v) is type(value[0]) and type(v) in (float, bool) for v in value) and draw(st.booleans()):
            return np.array(value)
        return tuple(items) if draw(st.booleans()) else items
    if isinstance(value, dict):
        return {k: respell(value[k], draw) for k in draw(st.permutations(list(value)))}
    if draw(st.booleans()):
        if isinstance(value, bool):
            return np.bool_(value)
        if isinstance(value, int) and abs(value) < 2**62:
            return np.int64(value)
        if isinstance(value, float):
            return np.float64(value)
        if isinstance(value, str) and "\x00" not in value:
            return np.str_(value)
    return value


@unhurried
@given(values, st.sampled_from(KINDS))
def test_idempotent_and_json(value: Any, kind: str) -> None:
    once = normal_form(value, kind)
    assert json.dumps(normal_form(once, kind)) == json.dumps(once)
    assert json.loads(json.dumps(once, allow_nan=False)) == once


@unhurried
@given(values, st.sampled_from(KINDS), st.data())
def test_one_form_for_every_spelling(value: Any, kind: str, data: st.DataObject) -> None:
    assert json.dumps(normal_form(respell(value, data.draw), kind)) == json.dumps(normal_form(value, kind))


@unhurried
@given(values, values)
def test_different_values_differ(one: Any, other: Any) -> None:
    agree = json.dumps(normal_form(one, "variant")) == json.dumps(normal_form(other, "variant"))
    assert agree == same(one, other) or (one == other == 0)  # 0.0 and -0.0 are equal but print differently


@pytest.mark.parametrize(
    ("kind", "value", "form"),
    [
        ("double", 60, 60.0),
        ("double", True, 1.0),
        ("int", True, True),
        ("variant", 60, 60),
        ("stringVec", "a.G", ["a.G"]),
        ("stringVec", ("a", "b"), ["a", "b"]),
        ("string", "a.G", "a.G"),
        ("doubleVec", 3, [3.0]),
        ("doubleVec", np.array([1, 2]), [1.0, 2.0]),
        ("intVec", np.int32(4), [4]),
        ("double", math.inf, {"$float": "inf"}),
        ("doubleVec", [math.nan], [{"$float": "nan"}]),
        ("string", Path("a/b"), "a/b"),
        ("path", "./~x", "./~x"),
        ("record", {"b": 1, "a": (2,)}, {"a": [2], "b": 1}),
    ],
)
def test_as_casa_coerces(kind: str, value: Any, form: Any) -> None:
    assert same(normal_form(value, kind), form)


def test_paths_expand_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert normal_form("~/a.ms", "path") == "/home/me/a.ms"
    assert normal_form(["~/a.ms", "b"], "path|pathVec") == ["/home/me/a.ms", "b"]
    assert normal_form("~/a.ms", "string") == "~/a.ms"  # CASA expands only parameters declared as paths


def test_of_a_whole_call(catalogue: Catalogue) -> None:
    gaincal = catalogue["gaincal"]
    one = gaincal.normalise(gaincal.bind((), {"vis": "a.ms", "caltable": "g", "gaintable": "b", "minsnr": 3}))
    other = gaincal.normalise(gaincal.bind(("a.ms", "g"), {"minsnr": np.float32(3), "gaintable": ["b"]}))
    assert json.dumps(one) == json.dumps(other)
    with pytest.raises(TypeError, match="gaincal: parameter 'solint': a value of type object"):
        gaincal.normalise({"solint": object()})
