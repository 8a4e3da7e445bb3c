"""Values that are kept: they come back as they were, to this user only."""

from __future__ import annotations

import os
import pickle
import stat
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casa_recompute.values import (
    Foreign,
    Unkeepable,
    Unloadable,
    digest,
    digest_together,
    groups,
    keep,
    pack,
    secret,
    unpack,
)  # fmt: skip
from tests.values.conftest import Cell
from tests.values.test_digest import plain

LIMIT = 1 << 24
within_test = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@within_test
@given(st.dictionaries(st.text(min_size=1), plain, max_size=4))
def test_values_come_back_with_their_versions(values: dict[str, Any]) -> None:
    back = unpack(pack(values, {}, LIMIT), {})
    assert list(back) == list(values)
    for name, value in values.items():
        assert digest(back[name], {}).version == digest(value, {}).version
    assert digest_together(back, {}) == digest_together(values, {})


@within_test
@given(st.data())
def test_any_damage_is_foreign(data: st.DataObject) -> None:
    packed = bytearray(pack({"x": [1, "two"], "y": np.arange(3)}, {}, LIMIT))
    index = data.draw(st.integers(0, len(packed) - 1))
    packed[index] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Foreign):
        unpack(bytes(packed), {})


class Trap:
    """Leaves a trace when it is unpickled."""

    sprung: list[str] = []

    def __reduce__(self) -> Any:
        return Trap.sprung.append, ("sprung",)


def test_nothing_foreign_is_unpickled(home: Path) -> None:
    data = pack({"x": [1]}, {}, LIMIT)
    payload = pickle.dumps({"x": Trap()})
    for forged in (payload, data[:-1], data + b"x", data[:40] + payload, b"", data[:20]):
        with pytest.raises(Foreign):
            unpack(forged, {})
    (home / "jupyterlab-casa" / "secret").unlink()
    keep.forget_secret()
    with pytest.raises(Foreign):
        unpack(data, {})
    assert Trap.sprung == []


def test_the_secret_is_made_once_and_is_private(home: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: secret(), range(40)))
    assert len(found) == 1 and len(found.pop()) == 32
    path = home / "jupyterlab-casa" / "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["secret"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_secret_that_others_can_read_or_write_is_refused(home: Path, mode: int) -> None:
    secret()
    path = home / "jupyterlab-casa" / "secret"
    path.chmod(mode)
    with pytest.raises(PermissionError, match="chmod 600"):
        secret()
    with pytest.raises(PermissionError):
        pack({"x": 1}, {}, LIMIT)


def test_a_damaged_secret_is_told(home: Path) -> None:
    secret()
    (home / "jupyterlab-casa" / "secret").write_bytes(b"short")
    with pytest.raises(ValueError, match="damaged"):
        secret()


def test_functions_use_the_names_of_the_notebook(cell: Cell, namespace: dict[str, Any]) -> None:
    cell(
        "import functools\n"
        "def f(x): return x + level\n"
        "def g(x): return f(x) if x < 5 else g(x - 1)\n"
        "def decorate(fn):\n"
        "    @functools.wraps(fn)\n"
        "    def inner(*a): return fn(*a)\n"
        "    return inner\n"
        "@decorate\n"
        "def h(x): return level * x\n"
        "k = functools.partial(f, 2)\n"
        "lam = lambda: level\n"
        "def outer():\n"
        "    def rec(n): return level if n == 0 else rec(n - 1)\n"
        "    return rec\n"
        "rec = outer()"
    )
    data = pack({name: namespace[name] for name in ("f", "g", "h", "k", "lam", "rec")}, namespace, LIMIT)
    new: dict[str, Any] = {"level": 10, "__name__": "__main__"}
    back = unpack(data, new)
    f: Any = back["f"]
    assert f.__globals__ is new
    new.update(back)
    assert [eval(call, new) for call in ("f(1)", "g(7)", "h(3)", "k()", "lam()", "rec(3)")] == [11, 14, 30, 12, 10, 10]
    assert set(new) == {"level", "__name__", "__builtins__", *back}


def test_closures_share_their_variable_again(cell: Cell) -> None:
    names = cell(
        "def counter():\n"
        "    n = 0\n"
        "    def up():\n"
        "        nonlocal n\n"
        "        n += 1\n"
        "    return up, lambda: n\n"
        "up, get = counter()\n"
        "up()"
    )
    back: dict[str, Any] = unpack(pack({"up": names["up"], "get": names["get"]}, names, LIMIT), names)
    back["up"]()
    assert back["get"]() == 2 and names["get"]() == 1


def test_classes_and_their_instances(cell: Cell) -> None:
    names = cell(
        "import functools, dataclasses\n"
        "class Base:\n"
        "    made = []\n"
        "    def __init__(self): self.made.append(1); self.x = level\n"
        "    def who(self): return ['base', __class__.__name__]\n"
        "class Sub(Base):\n"
        "    __slots__ = ('k',)\n"
        "    def who(self): return ['sub', *super().who()]\n"
        "    @functools.cached_property\n"
        "    def later(self): return self.x + 1\n"
        "class Slots:\n"
        "    __slots__ = ('a',)\n"
        "@dataclasses.dataclass\n"
        "class Data:\n"
        "    a: int\n"
        "    b: list = dataclasses.field(default_factory=list)\n"
        "level = 1\n"
        "s = Sub(); s.k = s; t = Slots(); d = Data(1)"
    )
    kept = {name: names[name] for name in ("Base", "Sub", "Slots", "Data", "s", "t", "d")}
    code = (
        "import sys, types; from casa_recompute.values import unpack\n"
        "main = sys.modules['__main__'] = types.ModuleType('__main__'); ns = main.__dict__\n"
        "ns.update(unpack(open(sys.argv[1], 'rb').read(), ns), level=5)\n"
        "exec('''import dataclasses\n"
        "assert s.who() == ['sub', 'base', 'Base'] and s.k is s and type(s) is Sub and s.later == 2\n"
        "assert Sub().x == 5 and Base.made == [1, 1]\n"
        "assert Data(3) == Data(3, []) and d == Data(1)\n"
        "assert dataclasses.fields(Data)[0].default is dataclasses.MISSING\n"
        "class More(Data):\n    c: int = 3\n"
        "try: t.new = 1\n"
        "except AttributeError: print('ok')''', ns)"
    )
    path = Path(os.environ["XDG_DATA_HOME"]).parent / "kept"
    path.write_bytes(pack(kept, names, LIMIT))
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "ok", done.stderr


def test_a_class_that_is_here_is_not_the_one_that_comes_back(cell: Cell) -> None:
    """Names that share a class come back together; another class that says the same is another."""
    names = cell("class A:\n    n = 1\n    all = []\na = A()")
    before = digest(names["A"], names).version
    data = pack({"A": names["A"], "a": names["a"]}, names, LIMIT)
    cell("A.n = 2; A.all.append(1); A.new = 3")
    assert digest(names["A"], names).version != before
    changed = digest(names["A"], names).version
    back = unpack(data, names)
    assert type(back["a"]) is back["A"] is not names["A"]
    assert digest(back["A"], names).version == before
    assert digest(names["A"], names).version == changed


def test_plain_data_is_read_without_running_code(cell: Cell) -> None:
    values: dict[str, Any] = {"a": [1, 2.5, 1j, "x", None, {"k": (True, b"y")}, {3}, frozenset({4})]}
    assert keep.unpack_plain(pack(values, {}, LIMIT)) == values
    names = cell("class A:\n    n = 1\n    def f(self):\n        return self.n\na = [A()]")
    data = pack({"A": names["A"], "a": names["a"]}, names, LIMIT)
    cell("A.n = 2")
    with pytest.raises(Unloadable):
        keep.unpack_plain(data)
    assert names["A"].n == 2 and names["A"].f.__globals__ is names


def test_sharing_is_kept(namespace: dict[str, Any]) -> None:
    inner = [1]
    back: dict[str, Any] = unpack(pack({"a": [inner], "b": {"k": inner}}, namespace, LIMIT), namespace)
    assert back["a"][0] is back["b"]["k"]


@pytest.mark.parametrize("dtype", ["f8", "c16", "M8[s]", "U3", [("a", "i4"), ("b", "f8")]])
def test_views_look_into_the_same_memory_again(dtype: Any) -> None:
    x = np.zeros(12, dtype).reshape(3, 4)
    values = {"v": x[1:, ::-2], "t": x.T, "x": x, "row": x[2]}
    back: dict[str, Any] = unpack(pack(values, {}, LIMIT), {})
    parts = {name: digest(value, {}).parts for name, value in back.items()}
    assert len(groups(parts)[0]) == 4
    assert digest_together(back, {}) == digest_together(values, {})
    back["row"].view("u1")[:] = 7
    x[2].view("u1")[:] = 7
    for name, value in values.items():
        assert back[name].tobytes() == value.tobytes()


def test_a_small_view_does_not_bring_its_owner() -> None:
    owner = np.zeros(100_000)
    assert len(pack({"x": owner[:10]}, {}, LIMIT)) < 2000


def test_memory_shared_with_other_kinds_of_objects_is_not_kept() -> None:
    raw = bytearray(16)
    frame = pd.DataFrame({"a": [1.0, 2.0]})
    objects = np.array([[1], [2]], dtype=object)
    for values in (
        {"raw": raw, "x": np.frombuffer(raw)},
        {"frame": frame, "x": frame["a"].to_numpy()},
        {"x": objects, "y": objects[1:]},
    ):
        with pytest.raises(Unkeepable, match="shares"):
            pack(values, {}, LIMIT)


@pytest.mark.parametrize(
    "source",
    [
        "(i for i in ())",
        "open('/dev/null')",
        "open('/dev/null', 'rb')",
        "__import__('threading').Lock()",
        "memoryview(b'x')",
        "iter([1])",
        "{}.keys()",
        "__import__('types').ModuleType('made')",
        "globals()",
        "__import__('matplotlib.figure').figure.Figure()",
        "__import__('weakref').ref(Exception)",
        "__import__('ctypes').c_int(3)",
    ],
)
def test_what_cannot_be_kept_is_told(cell: Cell, source: str) -> None:
    names = cell(f"value = {source}")
    for value in (names["value"], [names["value"]]):
        if source != "globals()" or value is names["value"]:
            with pytest.raises(Unkeepable) as raised:
                pack({"value": value}, names, LIMIT)
            assert str(raised.value)


def test_limit_is_kept_while_writing() -> None:
    for value in (bytes(2000), np.zeros(2000), [[i] for i in range(2000)], "x" * 2000):
        with pytest.raises(Unkeepable, match="1000 bytes"):
            pack({"x": value}, {}, 1000)
    assert pack({"x": bytes(500)}, {}, 1000)


def test_a_module_of_its_own_type_is_imported_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(types.ModuleType):
        """As packages have it that load their parts when these are used."""

    package = Lazy("lazy_k")
    with pytest.raises(Unkeepable, match="cannot be imported again"):
        pack({"lk": package}, {}, LIMIT)
    monkeypatch.setitem(sys.modules, "lazy_k", package)
    assert unpack(pack({"lk": package}, {}, LIMIT), {})["lk"] is package


def test_the_users_modules_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_k.py").write_text("class C: pass\ndef f(): return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import mine_k  # type: ignore[import-not-found]

    data = pack({"c": mine_k.C(), "f": mine_k.f, "m": mine_k}, {}, LIMIT)
    back: dict[str, Any] = unpack(data, {})
    assert back["f"] is mine_k.f and type(back["c"]) is mine_k.C and back["m"] is mine_k
    monkeypatch.delitem(sys.modules, "mine_k")
    (tmp_path / "mine_k.py").unlink()
    with pytest.raises(Unloadable, match="mine_k"):
        unpack(data, {})


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3).flatmap(
        lambda shape: st.tuples(
            st.just(shape),
            st.permutations(range(len(shape))),
            st.lists(st.sampled_from([1, 2, -1, -3]), min_size=len(shape), max_size=len(shape)),
            st.booleans(),
        )
    )
)
def test_arrays_come_back_with_their_layout(drawn: tuple[list[int], list[int], list[int], bool]) -> None:
    """So that what shares memory with them after `ravel` and `reshape` is the same."""
    shape, order, steps, writeable = drawn
    whole = np.arange(np.prod([length * abs(step) for length, step in zip(shape, steps, strict=True)]))
    whole = whole.reshape([length * abs(step) for length, step in zip(shape, steps, strict=True)])
    array = whole[tuple(slice(None, None, step) for step in steps)].transpose(order)
    array.flags.writeable = writeable
    back: Any = unpack(pack({"a": array}, {}, 1 << 20), {})["a"]
    assert digest(back, {}).version == digest(array, {}).version
    assert np.array_equal(back, array)
    assert back.flags.writeable == writeable
    for way in ("C", "F", "A"):
        assert np.shares_memory(back, back.ravel(way)) == np.shares_memory(array, array.ravel(way))
    for shape_ in ((-1,), (array.shape[0], -1), (-1, array.shape[-1])):
        shares = np.shares_memory(array, array.reshape(shape_))
        assert np.shares_memory(back, back.reshape(shape_)) == shares
