"""Versions of values: equal for equal values in any process, and changed by any change."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casa_recompute.values import Budget, digest, digest_together, groups, opaque, pack, unpack
from tests.values import zoo
from tests.values.conftest import Cell

atoms = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary(), st.dates()
)  # fmt: skip
keys = st.one_of(st.booleans(), st.integers(), st.text(), st.tuples(st.integers(), st.text()))
plain = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner) | st.sets(keys) | st.frozensets(keys)
    ),
    max_leaves=20,
)


def version(value: object) -> str:
    return digest(value, {}).version


@given(plain)
def test_copies_are_equal_and_nothing_is_changed(value: Any) -> None:
    before = version(value)
    again = pickle.loads(pickle.dumps(value))
    assert before and before == version(again) == version(value)


@given(plain, plain)
def test_equal_versions_mean_equal_values(one: Any, other: Any) -> None:
    # repr tells apart what == does not: types, signs of zero, the order of keys; sets are compared as such.
    if version(one) == version(other):
        assert type(one) is type(other)
        assert one == other or repr(one) == repr(other)


@given(st.lists(st.integers() | st.floats(), min_size=60, max_size=70), st.data())
def test_one_element_of_a_long_list_counts(values: list[Any], data: st.DataObject) -> None:
    before = version(values)
    index = data.draw(st.integers(0, len(values) - 1))
    values[index] = data.draw(st.text())
    assert version(values) != before


@pytest.mark.parametrize(
    "values",
    [
        (0, False, 0.0, -0.0, 0j, "", b"", None, (), frozenset(), ...),
        (1, True, 1.0, "1", b"1", (1,), np.int64(1), np.int32(1), np.float64(1)),
        ([1.0] * 64, [1] * 64, [True] * 64, ["1"] * 64, (1.0,) * 64, [1.0] * 65),
        (["ab", "c"] * 32, ["a", "bc"] * 32),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ("é", "e\u0301", "\ud800"),
        (np.zeros(2), np.zeros(2, "f4"), np.zeros((2, 1)), np.zeros(2, ">f8"), [0.0, 0.0]),
        (np.array([0.0]), np.array([-0.0]), np.array([np.nan])),
        (pd.Series([1]), pd.Series([1.0]), pd.Series([1], name="x"), pd.Series([1], index=[1])),
        (range(2), range(0, 2, 2), slice(2), slice(0, 2)),
        ({1}, frozenset([1]), [1], (1,)),
    ],
)
def test_what_differs_has_different_versions(values: tuple[Any, ...]) -> None:
    assert len({version(value) for value in values}) == len(values)


def test_sharing_counts_where_it_can_be_seen() -> None:
    inner: list[int] = []
    assert version([inner, inner]) != version([inner, []])
    assert version([inner, inner]) == version([x := [], x])  # type: ignore[name-defined,used-before-def]
    text = "".join(["a", "b"])
    assert version([text, text]) == version([text, "".join(["a", "b"])])
    frozen = (1, "x")
    assert version([frozen, frozen]) == version([frozen, tuple(iter((1, "x")))])


def test_cycles_end() -> None:
    def loop(value: int) -> list[Any]:
        made: list[Any] = [value]
        made.append({"back": (made,)})
        return made

    assert version(loop(1)) == version(loop(1)) != version(loop(2))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("loop", lambda v: v[2].append(2)),
        ("set", lambda v: v.add("new")),
        ("collections", lambda v: v[0]["a"].append(2)),
        ("collections", lambda v: v[3].append(3)),
        ("collections", lambda v: v[4].append(3)),
        ("collections", lambda v: v[5].append(3)),
        ("random", lambda v: v[0].random()),
        ("random", lambda v: v[1].normal()),
        ("array", lambda v: v.__setitem__((1, 1), -1)),
        ("stepped", lambda v: v.__setitem__((0, 0), -1)),
        ("objects", lambda v: v[2].append(1)),
        ("records", lambda v: v["b"].__setitem__(0, 5)),
        ("masked", lambda v: v.mask.__setitem__(0, True)),
        ("long double", lambda v: v.__setitem__(0, np.nextafter(v[0], np.longdouble(2)))),
        ("frame", lambda v: v.__setitem__("new", 1)),
        ("frame", lambda v: v.loc.__setitem__((0, "x"), 7)),
        ("frame", lambda v: v.o[0].append(1)),
        ("frame", lambda v: setattr(v.index, "name", "n")),
        ("series", lambda v: v.__setitem__("a", 9)),
        ("quantity", lambda v: v[0].__setitem__(0, 9 * v[0].unit)),
        ("table", lambda v: v["a"].__setitem__(0, 5)),
        ("table", lambda v: v.meta.update(k=2)),
        ("qtable", lambda v: v["a"].__setitem__(0, v["a"][1])),
        ("header", lambda v: v.__setitem__("A", 2)),
        ("wcs", lambda v: setattr(v.wcs, "crval", [1, 1])),
        ("dataclass", lambda v: v[1].b.append(1)),
        ("dataclass", lambda v: setattr(v[0], "new", 1)),
        ("named tuples", lambda v: v[0].b.append(1)),
        ("function", lambda v: v.__kwdefaults__["k"].append(1)),
        ("function", lambda v: setattr(v, "note", 1)),
        ("counter", lambda v: v[0]()),
        ("functions", lambda v: v[1].keywords.update(k=3)),
        ("instances", lambda v: v[0].x.append(1)),
        ("instances", lambda v: type(v[0]).all.append(1)),
        ("instances", lambda v: setattr(v[3], "q", 1)),
        ("classes", lambda v: setattr(v[0], "n", 2)),
        ("classes", lambda v: setattr(v[0], "m", lambda self: None)),
        ("classes", lambda v: v[3].register(str)),
    ],
)
def test_a_change_in_place_changes_the_version(monkeypatch: pytest.MonkeyPatch, name: str, change: Any) -> None:
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # put back afterwards
    names = zoo.make()
    value = names["zoo"][name]
    before = digest(value, names)
    assert before.version.startswith("d-") and before.complete
    change(value)
    after = digest(value, names)
    assert after.version not in ("", before.version)


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("frame", lambda v: (v["x"], v.index.is_unique, repr(v), v.values, v.dtypes)),
        ("series", lambda v: (v["a"], v.index.is_unique, repr(v))),
        ("table", lambda v: (v["a"], repr(v), v["a"].info)),
        ("quantity", lambda v: (repr(v), v[0].to("mJy"), v[0].value)),
        ("time", lambda v: (v.isot, v.mjd, v.tai)),
        ("sky", lambda v: (repr(v), v.galactic, v.cartesian)),
        ("header", lambda v: (repr(v), v["A"])),
        ("wcs", lambda v: (repr(v), v.wcs_pix2world([[1, 2]], 0))),
        ("masked", lambda v: (repr(v), v.fill_value, v.mean())),
        ("dataclass", lambda v: (repr(v), copy.copy(v[1]))),
        ("classes", lambda v: (v[0]().m(), v[3].__subclasses__(), issubclass(int, v[3]))),
        ("instances", lambda v: copy.deepcopy(v[0])),
    ],
)
def test_looking_is_no_change(monkeypatch: pytest.MonkeyPatch, name: str, look: Any) -> None:
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    names = zoo.make()
    value = names["zoo"][name]
    before = digest(value, names)
    look(value)
    assert digest(value, names) == before


def test_the_zoo_in_another_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Made there and loaded there, values have the versions that they have here."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    names = zoo.make()
    here = {name: digest(value, names).version for name, value in names["zoo"].items()}
    packs = {name: pack({"value": value}, names, 1 << 20) for name, value in names["zoo"].items()}
    assert {name: digest(value, names).version for name, value in names["zoo"].items()} == here
    packed, found = tmp_path / "packed", tmp_path / "found"
    packed.write_bytes(pickle.dumps(packs))
    subprocess.run([sys.executable, zoo.__file__, packed, found], check=True, timeout=120)
    loaded, made = pickle.loads(found.read_bytes())
    assert made == here
    assert loaded == here
    assert "" not in here.values()
    for name, data in packs.items():
        assert digest(unpack(data, names)["value"], names).version == here[name], name


def test_what_cannot_change_has_no_parts(namespace: dict[str, Any], cell: Cell) -> None:
    cell("def f(x): return x + y")
    import decimal

    for value in (1, "a", (1, ("x",)), frozenset([(1, 2)]), np, np.sin, len, dict, decimal.Decimal(1), cell("")["f"]):
        found = digest(value, namespace)
        assert found.version.startswith("i-") and not found.parts and found.complete


def test_parts_tell_who_shares(namespace: dict[str, Any]) -> None:
    x = np.arange(5)
    inner = [1]
    values = {"x": x, "view": x[1:], "own": x.copy(), "a": [inner], "b": {"k": (inner,)}, "c": [[1]], "n": 3}
    parts = {name: digest(value, namespace).parts for name, value in values.items()}
    assert sorted(map(sorted, groups(parts))) == [["a", "b"], ["view", "x"]]


def test_packages_own_objects_make_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    names = zoo.make()
    parts = {name: digest(names["zoo"][name], names).parts for name in ("sky", "fk5", "quantity", "time", "dataclass")}
    parts["slotted"] = digest(names["zoo"]["slotted dataclass"], names).parts
    assert groups(parts) == []


def test_objects_made_for_pickling_are_no_parts(cell: Cell) -> None:
    names = cell(
        "class A:\n"
        "    def __init__(self): self.x = [1]\n"
        "    def __getstate__(self): return {'y': [list(self.x)], 'z': ({},)}\n"
        "a = A()"
    )
    found = digest(names["a"], names)
    junk = [[] for _ in range(100)]
    assert digest(names["a"], names) == found and junk
    assert found.parts == {id(names["a"])} | digest(names["A"], names).parts


def test_groups_are_connected() -> None:
    parts = {"a": {1}, "b": {1, 2}, "c": {2}, "d": {3}, "e": {3}, "f": {4}, "g": set()}
    found = groups({name: frozenset(mine) for name, mine in parts.items()})
    assert set(found) == {frozenset("abc"), frozenset("de")}


def test_together_tells_what_is_shared(namespace: dict[str, Any]) -> None:
    inner = [1]
    shared = digest_together({"a": [inner], "b": [inner]}, namespace)
    assert shared == digest_together({"b": [inner], "a": [inner]}, namespace)
    assert shared != digest_together({"a": [[1]], "b": [[1]]}, namespace)
    x, y = np.arange(6), np.arange(6)
    views = {digest_together({"x": x, "v": v}, namespace) for v in (x[:3], y[:3])}
    views |= {digest_together({"x": z, "v": z[1:4] - 1}, namespace) for z in (x,)}
    assert len(views) == 2  # a view, and two equal copies
    assert digest_together({"x": x, "v": x[:3]}, namespace) == digest_together({"x": y, "v": y[:3]}, namespace)
    assert digest_together({"a": (i for i in ())}, namespace) == ""


@pytest.mark.parametrize(
    "make",
    [
        lambda: (i for i in ()),
        lambda: iter([1]),
        lambda: map(str, [1]),
        lambda: zip([1], [2], strict=True),
        threading.Lock,
        threading.Thread,
        lambda: memoryview(b"").cast("B").__class__ and open(__file__, "rb"),  # noqa: SIM115
        lambda: __import__("socket").socket(),
        lambda: __import__("weakref").ref(Budget),
        lambda: __import__("ctypes").c_int(3),
        lambda: __import__("matplotlib.figure").figure.Figure(),
        lambda: {}.keys(),
        lambda: __import__("sqlite3").connect(":memory:"),
        lambda: sys._getframe(),
    ],
)
def test_state_that_cannot_be_read_has_no_version(make: Callable[[], Any]) -> None:
    value = make()
    for one in (value, [value], {"k": (value,)}):
        found = digest(one, {})
        assert found.version == "" and not found.complete and id(value) in found.parts
    assert opaque(value) and not opaque([value])
    if hasattr(value, "close"):
        value.close()


def test_files_mapped_into_memory_are_no_values(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(80))
    mapped = np.memmap(tmp_path / "x", dtype="f8", mode="r")
    assert digest(mapped, {}).version == digest(np.asarray(mapped), {}).version == ""


def test_errors_of_the_value_stay_inside(cell: Cell) -> None:
    names = cell("class Bad:\n    def __reduce_ex__(self, protocol): raise RuntimeError('no')\nbad = [Bad(), [1]]")
    found = digest(names["bad"], names)
    assert found.version == "" and not found.complete
    assert id(names["bad"]) in found.parts


def test_budget() -> None:
    big = np.zeros(1 << 16)
    assert digest(big, {}, Budget(bytes=1 << 16)).version == ""
    nested = [[i] for i in range(100)]
    assert digest(nested, {}, Budget(nodes=100)).version == ""
    assert digest(nested, {}, Budget(nodes=300)).complete
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]
    assert digest(deep, {}).complete


def test_functions_mean_what_they_do(cell: Cell) -> None:
    def of(source: str) -> Any:
        names = cell(source)
        return digest(names["f"], names)

    first = of("def f(x, y=1):\n    return x + z")
    assert first == of("\n\n# elsewhere\ndef f(x, y=1):\n\n    return x + z  # more")
    others = {
        of(source).version
        for source in (
            "def f(x, y=2): return x + z",
            "def f(x, y=1): return x + 1",
            "def f(x, y=1): return x + w",
            "def f(x, *, y=1): return x + z",
            "def f(x, y=1): return [x + z for _ in ()]",
            "f = lambda x, y=1: x + z",
            "def g(): return (lambda x: x + 1)\nf = g",
            "def g(): return (lambda x: x + 2)\nf = g",
            "def f(x, y=1): return x in {'a', 'b', 'c'}",
        )
    }
    assert len(others) == 9 and first.version not in others and "" not in others


def test_uses(cell: Cell) -> None:
    names = cell(
        "def f():\n    global out, gone\n    out = one\n"
        "    def g():\n        class C:\n            k = two\n        return [three for _ in ()]\n"
        "    del gone\n"
        "class K:\n    def m(self): return four(five.six)\n    @property\n    def p(self): return seven\n"
        "values = [f, K().m, {'k': lambda: eight}]"
    )
    assert digest(names["values"], names).uses - {"__name__"} == {
        "out", "one", "two", "three", "gone", "four", "five", "seven", "eight",
    }  # fmt: skip
    assert digest(copy.deepcopy, names).uses == frozenset()


def test_the_notebook_itself_is_not_walked(namespace: dict[str, Any]) -> None:
    assert digest({"all": namespace}, namespace).version == ""


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a module of the user's and imports it, anew if need be."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(name: str, text: str) -> Any:
        import importlib

        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    return write


def test_modules_of_the_user_count_by_content(local: Any) -> None:
    text = "from helper_b import twice\nlevel = {'a': 1}\ndef f(): return twice(2)\nclass C: pass\n"
    local("helper_b", "def twice(x): return 2 * x\n")
    module = local("helper_a", text)
    first = {name: digest(value, {}) for name, value in (("m", module), ("f", module.f), ("c", module.C()))}
    assert first["m"].version.startswith("d-") and first["f"].version.startswith("i-")
    module.level["a"] = 2
    assert digest(module, {}).version != first["m"].version
    assert digest(module.f, {}) == first["f"]
    local("helper_b", "def twice(x): return x + x\n")
    again = local("helper_a", text)
    for name, value in (("m", again), ("f", again.f), ("c", again.C())):
        assert digest(value, {}).version != first[name].version
    local("helper_b", "def twice(x): return 2 * x\n")
    back = local("helper_a", text)
    assert digest(back, {}).version == first["m"].version


def test_never_imports_numpy() -> None:
    code = (
        "import sys; from casa_recompute.values import digest, pack; digest([1, object, {}], {});"
        "print(sorted({'numpy', 'pandas', 'IPython'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_no_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    names = zoo.make()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for value in names["zoo"].values():
            assert digest(value, names).complete
