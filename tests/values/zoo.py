"""A notebook full of values. Run as a script: digests them, or those of a file of packs, in a process of its own."""

from __future__ import annotations

import pickle
import sys
import types
from typing import Any

SOURCE = r"""
import abc, array, collections, dataclasses, datetime, decimal, enum, fractions, functools, pathlib, random, re
import typing, uuid
import astropy.units as u
import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.time import Time
from astropy.wcs import WCS

zoo = {}
zoo["leaves"] = (1, True, 1.0, None, "s\ud800", b"b", 2**5000, -0.0, float("nan"), 1 + 2j, ..., range(3), slice(1, 2))
loop = [1]
loop.append(loop)
zoo["loop"] = [loop, loop, [1]]
zoo["set"] = {"a", "b", 3, (1, 2), frozenset([1, "x"]), None, 2.5}
zoo["collections"] = [
    collections.defaultdict(list, a=[1]), collections.OrderedDict(b=1), collections.Counter("abca"),
    collections.deque([1, 2], maxlen=5), bytearray(b"abc"), array.array("d", [1, 2]),
]
zoo["long"] = [list(range(100)), [1.5] * 70, ["\u00e9"] * 70, [True] * 64, [2**70] * 64]
zoo["plain data"] = [
    datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc), datetime.timedelta(1), decimal.Decimal("1.5"),
    fractions.Fraction(1, 3), pathlib.Path("a/b"), re.compile("x+"), uuid.UUID(int=5), ValueError("x", [1]),
]
zoo["random"] = [random.Random(2), np.random.default_rng(1)]
zoo["array"] = np.arange(12.0).reshape(3, 4)
zoo["fortran"] = np.asfortranarray(zoo["array"])
zoo["stepped"] = np.arange(12.0).reshape(3, 4)[::2, 1:]
zoo["backwards"] = np.arange(12.0).reshape(3, 4)[::-1, ::-2]
zoo["axes moved"] = np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2)
zoo["broadcast"] = np.broadcast_to(np.arange(3.0), (2, 3))
zoo["read only"] = np.frombuffer(b"abcdefgh", np.int16)
zoo["objects"] = np.array([1, "a", [2]], dtype=object)
zoo["records"] = np.array([(1, 2.0, "x")], dtype=np.dtype([("a", "i1"), ("b", "f8"), ("c", "U3")], align=True))
zoo["masked"] = np.ma.masked_array([1, 2, 3], mask=[0, 1, 0])
zoo["long double"] = np.array([1.1, 2], dtype=np.longdouble)
zoo["numpy"] = [
    np.float64(1), np.int8(2), np.datetime64("2020-01-01"), np.bool_(True), np.str_("x"), np.longdouble(3),
    zoo["records"].dtype, np.array(3), np.array([]), np.array(["2020"], "M8[D]"), np.add, np.random.default_rng,
]
zoo["frame"] = pd.DataFrame({
    "x": [1, 2], "y": ["a", None], "z": pd.Categorical(["u", "v"]), "t": pd.to_datetime(["2020", "2021"]),
    "i": pd.array([1, None], dtype="Int64"), "p": pd.period_range("2020", periods=2), "o": [[1], {"a": 2}],
})
zoo["series"] = pd.Series([1, 2.5], name="q", index=["a", "b"])
zoo["index"] = [pd.MultiIndex.from_product([[1, 2], ["a", "b"]]), pd.RangeIndex(3), pd.Index([1.5], name="n")]
zoo["pandas"] = [pd.Timestamp("2020"), pd.Timedelta("1s"), pd.NaT, pd.NA, pd.Interval(1, 2)]
zoo["quantity"] = [np.arange(3) * u.Jy, 3 * u.km / u.s, u.Jy / u.beam, 3 * u.mag]
zoo["table"] = Table({"a": [1, 2], "b": ["x", "y"]}, meta={"k": 1})
zoo["qtable"] = QTable({"a": [1, 2] * u.m})
zoo["time"] = Time("2020-01-01T00:00:00")
zoo["sky"] = SkyCoord(1 * u.deg, 2 * u.deg)
zoo["fk5"] = SkyCoord(1 * u.deg, 2 * u.deg, frame="fk5")
zoo["header"] = fits.Header([("A", 1, "c")])
zoo["wcs"] = WCS(naxis=2)
zoo["wcs"].wcs.crpix = [1, 2]

@dataclasses.dataclass
class Data:
    a: int
    b: list = dataclasses.field(default_factory=list)
    def total(self): return self.a + elsewhere
zoo["dataclass"] = [Data, Data(1, [2])]

@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    a: int = 3
zoo["slotted dataclass"] = Slotted()
Pair = collections.namedtuple("Pair", "a b")
class Typed(typing.NamedTuple):
    a: int
    b: str = "x"
zoo["named tuples"] = [Pair(1, [2]), Typed(1)]
class Colour(enum.Enum):
    RED = 1
    BLUE = "x"
    def hello(self): return self.name
class Bits(enum.IntFlag):
    A = 1
    B = 2
zoo["enums"] = [Colour.RED, Colour, Bits.A | Bits.B]

def function(x, y=2, *, k=[1]): return x + y + elsewhere
def counter():
    n = 0
    def increase():
        nonlocal n
        n += 1
        return n
    def get(): return n
    return increase, get
def decorate(inner):
    @functools.wraps(inner)
    def wrapper(*a): return inner(*a)
    return wrapper
@decorate
def decorated(x):
    "documented"
    return x
def recursive():
    def factorial(n): return 1 if n < 2 else n * factorial(n - 1)
    return factorial
@functools.lru_cache(10)
def cached(x): return x
zoo["function"] = function
zoo["counter"] = counter()
zoo["functions"] = [decorated, functools.partial(function, 1, k=2), lambda: other, recursive(), cached]
zoo["vectorized"] = np.vectorize(function)

class A:
    n = 1
    all = []
    def __init__(self): self.x = [1]
    def m(self): return __class__, super().__repr__
    @property
    def p(self): return self.x
    @classmethod
    def c(cls): return cls.n
    @staticmethod
    def s(): return third
    @functools.cached_property
    def later(self): return 3
class B(A):
    __slots__ = ("k",)
    n = 1
    def m(self): return super().m()
class Slots:
    __slots__ = ("p", "q")
class Abstract(abc.ABC):
    @abc.abstractmethod
    def z(self): ...
Abstract.register(int)
T = typing.TypeVar("T")
class Generic(typing.Generic[T]):
    pass
zoo["classes"] = [A, B, Slots, Abstract, Generic, Generic[int]]
a, s = A(), Slots()
s.p = [1]
zoo["instances"] = [a, B(), a.m, s]
zoo["by name"] = [
    np, np.sin, len, dict, str.upper, [1].append, "a".join, collections.abc.Mapping, typing.Optional[int], list[int],
    int | None, os_path_join if "os_path_join" in globals() else pathlib.Path.exists,
]
x = np.arange(6)
zoo["views"] = [x, x[2:], x[::-1], x.reshape(2, 3).T]
q = np.arange(6) * u.m
zoo["quantity views"] = [q, q[2:]]
"""


def make() -> dict[str, Any]:
    """The names of a new notebook that has run ``SOURCE``."""
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    exec(SOURCE, main.__dict__)
    return main.__dict__


if __name__ == "__main__":
    from casa_recompute.values import digest, unpack

    with open(sys.argv[1], "rb") as file:
        packs = pickle.load(file)
    empty = types.ModuleType("__main__").__dict__
    loaded = {name: digest(unpack(data, empty)["value"], empty).version for name, data in packs.items()}
    names = make()
    made = {name: digest(value, names).version for name, value in names["zoo"].items()}
    with open(sys.argv[2], "wb") as file:
        pickle.dump((loaded, made), file)
