"""What a cell's text tells holds when the cell is run; and the common cases are told exactly."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casa_recompute.notebook.evaluate import LARGEST, Unknown, evaluate
from casa_recompute.notebook.source import Uses, meaning, uses

BUILTINS = {"print", "range", "len", "sum", "list", "sorted", "open", "exec", "eval", "next", "str", "int"}


def reads(source: str) -> str:
    """The names read, without Python's own, as one text."""
    found = uses(source)
    assert not found.error
    return " ".join(sorted(found.reads - BUILTINS))


def binds(source: str) -> str:
    return " ".join(sorted(uses(source).binds))


def mutates(source: str) -> str:
    return " ".join(sorted(uses(source).mutates))


# -- meaning


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x  =  1   # why\n\n"),
        ("f(a, b)", "f(\n    a,\n    b,\n)"),
        ("x = 'a'", 'x = "a"'),
        ("f();", "f() ; # quiet"),
        ("x = 1;", "x = 1"),  # nothing is shown with or without
        ("%matplotlib inline\nx = 1", "%matplotlib inline   \nx  =  1  # why\n"),
        ("!ls", "!ls\n\n"),
        ("x = (1", "  x = (1\n"),
    ],
)
def test_layout_means_nothing(one: str, other: str) -> None:
    assert meaning(one) == meaning(other)
    assert len(meaning(one)) == 32


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("f()", "f();"),
        ("(f())", "(f());"),
        ("%time f()", "%time f();"),
        ("!ls a", "!ls  a"),
        ("%%bash\nls", "%%bash\nls # all"),
        ("def f():\n    'says'\n    return 1", "def f():\n    'means'\n    return 1"),
        ("x = None", "x = ''"),
        ("f(None)", "f()"),
        ("f(*[])", "f([])"),
        ("x = (1", "x = (2"),
    ],
)
def test_another_text_means_another_thing(one: str, other: str) -> None:
    assert meaning(one) != meaning(other)


def test_a_text_that_is_no_python_has_a_meaning_too() -> None:
    assert meaning("x = '\ud800'") and meaning("\0") and meaning("(" * 10_000) and meaning("-" * 100_000 + "1")


# -- names


@pytest.mark.parametrize(
    ("source", "read", "bound"),
    [
        ("x = 1\ny = x + z", "z", "x y"),
        ("x = x + 1", "x", "x"),
        ("x += 1", "x", "x"),
        ("x: int = y", "y", "x"),
        ("x: int", "", ""),
        ("from __future__ import annotations\nx: T = 1", "", "annotations x"),
        ("a, (b, *c) = d", "d", "a b c"),
        ("a[i].b = c", "a c i", ""),
        ("del a", "a", "a"),
        ("a = 1\ndel a\na", "", "a"),
        ("del a[0], b.c", "a b", ""),
        ("import a.b, c.d as e", "", "a e"),
        ("from a import b, c as d", "", "b d"),
        ("f'{x!r:{w}.{p}} {y=}'", "p w x y", ""),
        ("print(y := x, y)", "x", "y"),
        ("a and (b := 1)\nb", "a b", "b"),
        ("(b := a) and b", "a", "b"),
        ("a < (b := 1) < (c := 2)\nb, c", "a c", "b c"),
        ("x if (y := z) else w\ny", "w x z", "y"),
        ("[i for i in x if i]", "x", ""),
        ("[j for i in x for j in i if k]\n{i: j for i, j in y}", "k x y", ""),
        ("[i for i in i]", "i", ""),
        ("[(y := i) for i in x]\ny", "x y", "y"),
        ("sum(i * a for i in x)", "a x", ""),
        ("assert (x := y)\nx", "x y", "x"),
        ("_x, __y = 1, 2", "", "__y _x"),
        ("global a\na = 1", "", "a"),
        ("await f(x)\nasync with g() as h: h", "f g x", "h"),
        ("async for i in f(): pass\n[j async for j in g()]", "f g", "i"),
    ],
)
def test_straight(source: str, read: str, bound: str) -> None:
    assert (reads(source).replace("int", "").split(), binds(source)) == (read.split(), bound)


@pytest.mark.parametrize(
    ("source", "read", "bound"),
    [
        ("if a:\n  x = 1\nelse:\n  x = 2\nx", "a", "x"),
        ("if a:\n  x = 1\nx", "a x", "x"),
        ("if a:\n  x = 1\nelse:\n  raise b\nx", "a b", "x"),
        ("if a:\n  x = 1\nelif b:\n  pass\nelse:\n  x = 2\nx", "a b x", "x"),
        ("for i in a:\n  b = i\nb, i", "a b i", "b i"),
        ("for i in a:\n  c = b\n  b = i", "a b", "b c i"),
        ("for i in a:\n  b = i\n  c = b", "a", "b c i"),
        ("for i in a:\n  x = 1\n  break\nelse:\n  x = 2\nx", "a", "i x"),
        ("while a:\n  a = 0", "a", "a"),
        ("while True:\n  x = 1\n  if x: break\nx", "", "x"),
        ("while True:\n  if a: break\n  x = 1\nx", "a x", "x"),
        ("while x := f():\n  pass\nx", "f", "x"),
        ("try:\n  x = 1\nexcept E as e:\n  x\nx", "E x", "e x"),
        ("try:\n  x = 1\nexcept E:\n  raise\nx", "E", "x"),
        ("try:\n  x = f()\nexcept E:\n  x = 0\nx", "E f", "x"),
        ("try:\n  a\nfinally:\n  x = 1\nx", "a", "x"),
        ("try:\n  x = 1\nfinally:\n  x", "x", "x"),
        ("with a as b, c(b) as d:\n  x = 1\nb, d", "a c d", "b d x"),
        ("with suppress(E):\n  x = 1\nx", "E suppress x", "x"),
        ("with open(p) as f:\n  x = 1\nx", "p", "f x"),
        ("open = p\nwith open() as f:\n  x = 1\nx", "p x", "f open x"),
        ("match a:\n  case [x, *y]: pass\n  case {'k': x, **y}: pass\n  case _: x = y = 1\nx, y", "a", "x y"),
        ("match a:\n  case C(u=x) | D(x): x\nx", "C D a x", "x"),
        ("match a:\n  case x if x > b: y = 1\n  case q.r: y = 2\ny", "a b q y", "x y"),
        ("match a:\n  case x: pass\nx", "a", "x"),
    ],
)
def test_branches(source: str, read: str, bound: str) -> None:
    assert (reads(source), binds(source)) == (read, bound)


@pytest.mark.parametrize(
    ("source", "read", "bound"),
    [
        ("def f(x):\n  return x + a", "", "f"),
        ("def f(x):\n  return x + a\nf(1)", "a", "f"),
        ("def f(x):\n  return x + a\na = 1\nf(1)", "", "a f"),
        ("def f(x):\n  return x + a\ng = f\na = 1", "a", "a f g"),
        ("def f(x=b, *, y: c = d) -> e:\n  return a", "b c d e", "f"),
        ("@deco\ndef f():\n  return a", "a deco", "f"),
        ("@property\ndef f():\n  return a", "property", "f"),
        ("import functools\n@functools.lru_cache(maxsize=None)\ndef f():\n  return a", "", "f functools"),
        ("def f():\n  global x, y\n  x = 1\n  return x, y\nf()\nx", "x y", "f x"),
        ("def f():\n  global x\n  x = 1", "", "f"),
        ("def f():\n  g()\ndef g():\n  return a", "", "f g"),
        ("def f():\n  g()\ndef g():\n  return a\nf()", "a", "f g"),
        ("def f():\n  g()\nh = f\ndef g():\n  return a\nh()", "a g", "f g h"),
        ("def f(n):\n  return f(n - 1) + a\nf(2)", "a", "f"),
        ("for i in b:\n  f()\n  def f():\n    return a", "a b f", "f i"),
        ("def f():\n  return a\nif c:\n  a = 1\n  f()\nelse:\n  f()", "a c", "a f"),
        ("def f():\n  return a\nif c:\n  a = 1\n  f()", "c", "a f"),
        ("f = lambda x, y=b: x + a", "b", "f"),
        ("f = lambda x: x + a\nf(1)", "a", "f"),
        ("map(lambda x: x + a, b)", "a b map", ""),
        ("def f():\n  x = 1\n  def g():\n    nonlocal x\n    x = y\n  return g\nf()", "y", "f"),
        ("def f():\n  x = x0\n  return [x + y for y in z]\nf()", "x0 z", "f"),
        ("def f():\n  if c:\n    def f(): f()\nf()", "c", "f"),
        ("class A(B):\n  x = a\n  def f(self): return b", "B a b", "A"),
        ("class A:\n  x = a\n  y = x\n  def f(self, d=x): return b", "a", "A"),
        ("class A:\n  x = a\n  def f(self): return x\nA()", "a x", "A"),
        ("class A:\n  if a: x = 1\n  y = x", "a x", "A"),
        ("class A:\n  x = 1\n  del x\n  y = x", "x", "A"),
        ("class A:\n  def f(): return a\n  x = f()", "a", "A"),
        ("class A:\n  def f(self): return __x\nA()", "_A__x", "A"),
        ("class A:\n  class B:\n    def f(self): return a\nA.B", "a", "A"),
        ("def f():\n  x = 1\n  class A:\n    y = x\n    x = y\nf()", "x", "f"),
    ],
)
def test_functions_and_classes(source: str, read: str, bound: str) -> None:
    assert (reads(source), binds(source)) == (read, bound)


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("x + 1; x == y; x and y; not x; print(x, y); len(x); f'{x}'; x.shape", ""),
        ("z = x + 1; z = -x", ""),
        ("x.append(1)", "x"),
        ("x[0] = 1; y.a = 2", "x y"),
        ("x += 1", "x"),
        ("y = x", "x y"),
        ("y = [x]\nz = {'a': w}", "w x y z"),
        ("f(x, k=y)", "f x y"),
        ("for i in x: pass", "x"),
        ("[i for i in x]", "x"),
        ("z = x + y", ""),
        ("z = x + y\nz[0].append(1)", "x y z"),
        ("x = y = []", "x y"),
        ("y = (x := [])", "x y"),
        ("y = (x := 1) + 1", ""),
        ("def f(a): return x\nf(1)", "f x"),
        ("def f(a): return x", ""),
        ("1 in x", "x"),
        ("1 in (x, y)", ""),
        ("'{}'.format(x); '%s %s' % (x, y)", ""),
        ("','.join(x)", "x"),
        ("print(*x, file=y)", "x y"),
        ("match x:\n  case y: pass", "x"),
        ("x = 1\nif x: raise y", "y"),
    ],
)
def test_changes_in_place(source: str, changed: str) -> None:
    assert mutates(source) == changed


# -- what else there is in a text


@pytest.mark.parametrize(
    "source",
    [
        "globals()['x']",
        "locals()",
        "dir()",
        "f = eval",
        "exec(text)",
        "import __main__",
        "from x import *",
        "import sys\nsys.modules[__name__].x",
        "sys.modules['__main__']",
        "get_ipython().user_ns['x']",
        "import builtins as b\nb.exec(s)",
        "f.__globals__['x']",
        "df.query(text)",
        "%run x.py",
        "%store -r",
        "%reset -f",
        "%who",
        "who",
        "run x.py",
        "%unheard_of x",
        "%%unheard_of\nx",
        "execfile('x.py')",
        "inp(tclean)",
        "[eval(i) for i in x]",
    ],
)
def test_names_out_of_sight(source: str) -> None:
    assert uses(source).everything


@pytest.mark.parametrize(
    "source",
    [
        "vars(x), dir(x)",
        "def f(): return locals()\nf()",
        "if __name__ == '__main__': x",
        "df.query('a > @b')",
        "eval('a + b')",
        "sys.modules['numpy']",
        "model.eval()",
        "%matplotlib inline",
        "%cd data",
        "cd data",
        "%%writefile a.py\nglobals()",
        "def f(): exec(x)",
        "exec = 1\nexec",
        "time = 3",
        "store(x)",
    ],
)
def test_names_in_sight(source: str) -> None:
    assert not uses(source).everything


def test_texts_that_are_run_or_evaluated_are_read() -> None:
    assert reads("exec('x = y')\nx") == "x y" and binds("exec('x = y')") == "x"
    assert reads("eval('a + b')") == "a b"
    assert reads("df.query('col > @limit and not c')") == "c col df limit"
    assert reads("ne.evaluate('a * b')") == "a b ne"
    assert reads("def f():\n  return eval('a')\nf()") == "a"


def test_imports() -> None:
    source = "import a.b as c\nfrom d.e import f\nimport importlib\nimportlib.import_module('g.h')\n__import__('i')"
    assert uses(source).imports == {"a.b", "d.e", "d.e.f", "importlib", "g.h", "i"}
    assert uses("def f(): import a").imports == set()


def test_chains() -> None:
    assert uses("np.random.rand(3).x + datetime.now().year").chains == {"np.random", "np.random.rand", "datetime.now"}
    assert "time.time" in uses("from time import time as now\nnow()").chains
    assert "numpy.random.rand" in uses("import numpy as n\nn.random.rand()").chains
    assert "time.time" not in uses("from time import time").chains
    assert uses("def f(): time.time()").chains == set()


def test_texts() -> None:
    assert uses("f('a.ms', f'{x}.cal', b'b')").texts >= {"a.ms", ".cal", "b"}
    assert uses("!cp -r a.ms 'b.ms'").texts >= {"a.ms", "b.ms"}
    assert uses("%%bash\ncat a.txt > b.txt; rm c").texts >= {"a.txt", "b.txt", "c"}
    assert uses("%cd data").texts >= {"data"}
    assert "d.ms" in uses("%time listobs('d.ms')").texts


@pytest.mark.parametrize(
    ("source", "history"),
    [("_ + 1", True), ("Out[3]", True), ("_12", True), ("_i", True), ("%history", True)]
    + [("for _ in x: pass", False), ("_, a = b", False), ("_ = 1\n_", False), ("_x", False)],
)
def test_history(source: str, history: bool) -> None:
    assert uses(source).history is history


@pytest.mark.parametrize(
    ("source", "read", "bound", "shell"),
    [
        ("!ls {path}/$name $$HOME", "name path", "", True),
        ("x = !ls {y[0:2]}", "y", "x", True),
        ("for i in a:\n    !ls $i", "a", "i", True),
        ("!awk '{print $1}' x", "", "", True),
        ("%pip install x", "", "", True),
        ("pip install x", "", "", True),
        ("%%bash --out o {p}\nls $x", "p", "o", True),
        ("%%writefile {name}\nx = y", "name", "", False),
        ("%time x = f(y)\nx", "f y", "x", False),
        ("%timeit -n 10 -r3 f(y)", "f y", "", False),
        ("%%time\nx = f(y)\nx", "f y", "x", False),
        ("%%time\n!ls $y", "y", "", True),
        ("%%timeit z = 1\nf(z)", "f z", "z", False),
        ("%%capture out --no-stderr\nx = y", "y", "out x", False),
        ("obj.part?", "obj", "", False),
        ("?", "", "", False),
        ("x = %time y", "y", "x", False),
        (">>> x = y", "y", "x", False),
    ],
)
def test_ipython(source: str, read: str, bound: str, shell: bool) -> None:
    found = uses(source)
    assert (reads(source), binds(source), found.shell) == (read, bound, shell)
    assert not found.everything


@pytest.mark.parametrize("source", ["x = (1", "return x", "x = y z", "\0", "def f():", "nonlocal x", "!x\ny = ="])
def test_a_syntax_error_reads_and_binds_nothing(source: str) -> None:
    found = uses(source)
    assert found.error and "\n" not in found.error
    assert found == Uses(error=found.error)


def test_a_text_too_deep_to_tell_may_do_anything() -> None:
    assert uses("x = " + "-" * 5000 + "1").everything or uses("x = " + "-" * 5000 + "1").error
    long = "x = " + " + ".join(["y"] * 3000)
    assert uses(long).everything or uses(long).reads == {"y"}


# -- calls


def told(source: str, **names: object) -> list[tuple[str, list[object]]]:
    """The calls, with the values of their arguments; "?" for one that the text does not tell."""

    def value(expression: ast.expr) -> object:
        try:
            return evaluate(expression, names)
        except Unknown:
            return "?"

    return [(call.name, [(key, value(arg)) for key, arg in call.arguments]) for call in uses(source).calls]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("f(1, b=g(vis))", [("f", [(None, 1), ("b", "?")]), ("g", [(None, "a.ms")])]),
        ("n = 3\nf(n * 2)\nn += 1\nf(n)", [("f", [(None, 6)]), ("f", [(None, 4)])]),
        ("vis = vis + '.cal'\nf(vis)", [("f", [(None, "a.ms.cal")])]),
        ("if x:\n  n = 1\nelse:\n  n = 2\nf(n)", [("f", [(None, "?")])]),
        ("if x:\n  f(vis)\n  n = 1\nf(vis)", [("f", [(None, "a.ms")]), ("f", [(None, "a.ms")])]),
        ("for i in x:\n  f(i, vis)", [("f", [(None, "?"), (None, "a.ms")])]),
        ("n = 1\nfor i in x:\n  f(n)\n  n = 2", [("f", [(None, "?")])]),
        ("n = 1\nwhile x:\n  n = 2\nf(n)", [("f", [(None, "?")])]),
        ("def g(vis): f(vis, spw)\ng(1)", [("f", [(None, "?"), (None, "0")]), ("g", [(None, 1)])]),
        ("def g(): f(n)\nn = 1\ng()\nn = 2", [("f", [(None, "?")]), ("g", [])]),
        ("def g():\n  global n\n  n = 2\nn = 1\nh = g\nh()\nf(n)", [("h", []), ("f", [(None, "?")])]),
        ("n = []\nn.append(1)\nf(n)", [("f", [(None, "?")])]),
        ("f(items)", [("f", [(None, [1])])]),
        ("items.append(1)\nf(items, vis.upper())", [("f", [(None, "?"), (None, "A.MS")])]),
        ("try:\n  n = 1\nexcept E:\n  f(n)", [("f", [(None, "?")])]),
        ("with w():\n  n = 1\nf(n)", [("w", []), ("f", [(None, "?")])]),
        ("f((n := 2), n)", [("f", [(None, "?"), (None, "?")])]),
        ("[f(vis) for vis in x]", [("f", [(None, "?")])]),
        ("%time f(vis)\nf(spw)", [("f", [(None, "a.ms")]), ("f", [(None, "0")])]),
        ("def g(): f(1)", []),
    ],
)
def test_calls(source: str, expected: object) -> None:
    assert told(source, vis="a.ms", spw="0", items=[1]) == expected


def test_calls_with_stars() -> None:
    one, other = uses("f(1, *a, k=2, **b)\ng()").calls
    assert (one.starred, other.starred) == (True, False)
    assert [key for key, _ in one.arguments] == [None, "k"]


# -- values


@pytest.mark.parametrize(
    "text",
    [
        "1 + 2 * 3 - 4 / 5 // 6 % 7 ** 2",
        "-x + abs(-3)",
        "not s and x or 3",
        "'a' < s <= 'z' and x in [1, 2, x] and x not in ()",
        "f'{s}_{x:03d}_{x!r}_{s!s:>5}_{1.5:.{2}f}'",
        "'%s.%d' % (s, x)",
        "s[0], s[1:], s[::-1], items[-1], d['k'], range(5)[2]",
        "'{}-{k}'.format(s, k=x).replace('-', '_').upper().split('_')",
        "','.join([s, 'b']).strip().lower().startswith('a')",
        "[x] * 3 + [None, True, *items]",
        "{'a': 1, **d}, (1, 2)",
        "s if x else 0",
        "str(x), int('3'), float('2.5'), len(items), list(range(3)), dict(a=1)",
        "tuple(items), sorted(items, reverse=True)",
        "None is None",
    ],
)
def test_values_are_as_in_python(text: str) -> None:
    names = {"x": 7, "s": "ab", "items": [3, 1, 2], "d": {"k": "v"}}
    assert evaluate(ast.parse(text, mode="eval").body, names) == eval(text, dict(names))


class Mine(int):
    """A number of the user's own, whose arithmetic must not be run."""

    def __add__(self, other: object) -> int:
        raise AssertionError("was run")

    __radd__ = __mul__ = __add__


@pytest.mark.parametrize(
    "text",
    [
        "unheard",
        "f(1)",
        "x.real",
        "mine + 1",
        "[mine]",
        "lambda: 1",
        "[i for i in items]",
        "{1, 2}",
        "1 / 0",
        "items[9]",
    ]
    + ["'a' * 10 ** 9", "items * 10 ** 9", "10 ** 10 ** 10", "2 ** 0.5 ** -1e308 ** 2", "list(range(10 ** 9))"]
    + ["f'{x:999999999}'", "'{:>999999999}'.format(x)", "'{:{}}'.format(x, 99999999)", "'%99999999d' % x"]
    + ["'%*d' % (99999999, x)", "('a' * 9999).replace('a', 'b' * 9999)", "('b' * 9999).join(['a'] * 9999)"]
    + ["int('9' * 9000)", "shadowed(items)", "'a' + 1", "x is x", "items.append(1)", "cyclic", "str(cyclic)"]
    + ["sum(items)", "sorted(items, key=len)", "__import__('os')", "''.__class__", "-'a'", "await x", "{**x}"],
)
def test_other_values_are_unknown(text: str) -> None:
    cyclic: list[object] = []
    cyclic.append(cyclic)
    names = {"x": 7, "mine": Mine(3), "items": [1], "cyclic": cyclic, "list": 3, "shadowed": 1}
    if "list(" in text:
        del names["list"]
    with pytest.raises(Unknown):
        evaluate(ast.parse(text, mode="eval").body, names)
    assert names["items"] == [1]


def test_a_name_that_hides_a_function_hides_it() -> None:
    with pytest.raises(Unknown):
        evaluate(ast.parse("str(1)", mode="eval").body, {"str": "x"})


@given(st.recursive(st.integers() | st.text() | st.none(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)))
def test_what_is_written_is_what_is_meant(value: object) -> None:
    assert evaluate(ast.parse(repr(value), mode="eval").body, {}) == value


def test_large_values_are_refused_wherever_they_come_from() -> None:
    with pytest.raises(Unknown):
        evaluate(ast.parse("x", mode="eval").body, {"x": "a" * (LARGEST + 1)})


# -- the law: nothing that happens is left out

NAMES = "abcde"
NAME = st.sampled_from(NAMES)


def indented(blocks: list[str]) -> str:
    return "\n".join("  " + line for line in "\n".join(blocks).splitlines())


EXPRESSION = st.recursive(
    NAME | st.just("1"),
    lambda inner: st.one_of(
        st.builds("({} + {})".format, inner, inner),
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("{}({})".format, NAME, inner),
        st.builds("f'{{{}}}'".format, NAME),
        st.builds("[{} for {} in {}]".format, inner, NAME, inner),
        st.builds("({} := {})".format, NAME, inner),
        st.builds("(lambda {}: tick() and {})".format, NAME, inner),
        st.builds("({} < {} < {})".format, inner, inner, inner),
    ),
    max_leaves=4,
)
STRAIGHT = st.one_of(
    st.builds("{} = {}".format, NAME, EXPRESSION),
    st.builds("{} += {}".format, NAME, EXPRESSION),
    st.builds("{}, {} = {}, {}".format, NAME, NAME, EXPRESSION, EXPRESSION),
    st.builds("del {}".format, NAME),
    EXPRESSION,
)


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    block = st.lists(inner, min_size=1, max_size=3).map(indented)
    declared = st.builds(lambda names, body: f"  global {', '.join(names)}\n{body}", st.sets(NAME, min_size=1), block)
    free = block | declared
    return st.one_of(
        st.builds("if {}:\n{}\nelse:\n{}".format, EXPRESSION, block, block),
        st.builds("for {} in {}:\n{}\n  if {}: break\nelse:\n{}".format, NAME, EXPRESSION, block, NAME, block),
        st.builds("while {}:\n  tick()\n{}\n  if {}: continue\n  break".format, EXPRESSION, block, NAME),
        st.builds("try:\n{}\nexcept Exception as {}:\n{}\nfinally:\n{}".format, block, NAME, block, block),
        st.builds("try:\n{}\nexcept Exception:\n{}\nelse:\n{}".format, block, block, block),
        st.builds("with suppress(Exception) as {}:\n{}".format, NAME, block),
        st.builds(
            "match {}:\n  case 1 if ({} := {}): pass\n  case [{}, *{}]: pass\n  case {}: pass".format,
            EXPRESSION,
            NAME,
            NAME,
            NAME,
            st.just("x"),
            NAME,
        ),  # fmt: skip
        st.builds("def {}({}=1):\n  tick()\n{}\n  return {}".format, NAME, NAME, free, EXPRESSION),
        st.builds("def {}(x=1):\n  tick()\n{}\n  return {}".format, NAME, free, EXPRESSION),
        st.builds("@deco\ndef {}(x=1):\n  tick()\n{}".format, NAME, free),
        st.builds("class {}:\n{}".format, NAME, free),
        st.builds(
            "class {}:\n  def __new__(cls, x=1):\n    tick()\n{}".format, NAME, free.map(lambda text: indented([text]))
        ),
        st.builds("{} = lambda x=1: tick() and {}".format, NAME, EXPRESSION),
        st.builds("exec({!r})".format, inner),
    )


PROGRAM = st.lists(st.recursive(STRAIGHT, compound, max_leaves=8), min_size=1, max_size=7).map("\n".join)


class Enough(BaseException):
    """The program ran long enough."""


class Thing:
    """A value with which nearly everything can be done; true at one time, false at another."""

    def __init__(self, ticks: Iterator[int]) -> None:
        self.ticks = ticks

    def __call__(self, *args: object) -> Thing:
        return Thing(self.ticks)

    __add__ = __radd__ = __lt__ = __gt__ = __call__

    def __bool__(self) -> bool:
        return next(self.ticks) % 3 != 0

    def __iter__(self) -> Iterator[Thing]:
        return iter([Thing(self.ticks)] * (next(self.ticks) % 3))


class Namespace(dict[str, object]):
    """The globals of a program, which note what is done to the names that it did not make itself."""

    def __init__(self, ticks: Iterator[int]) -> None:
        self.first = {name: Thing(ticks) for name in NAMES}
        super().__init__(self.first, suppress=suppress, deco=self.deco, tick=self.tick, __name__="cell")
        self.read: set[str] = set()
        self.bound: set[str] = set()
        self.fuel = 200

    @staticmethod
    def deco(function: object) -> object:
        with suppress(Exception):
            function()  # type: ignore[operator]
        return function

    def tick(self) -> bool:
        """Is called in all that might go on for ever."""
        self.fuel -= 1
        if self.fuel < 0:
            raise Enough
        return True

    def __getitem__(self, name: str) -> object:
        self.looked_up(name)
        return super().__getitem__(name)

    def looked_up(self, name: str) -> None:
        # STORE_GLOBAL goes past __setitem__: then the value is another
        if name in self.first and name not in self.bound and self.get(name) is self.first[name]:
            self.read.add(name)

    def __setitem__(self, name: str, value: object) -> None:
        self.bound.add(name)
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        self.looked_up(name)
        self.bound.add(name)
        super().__delitem__(name)


def executed(source: str, start: int = 0) -> Namespace | None:
    """Run a program; None when it is no program at all (a name that is global and a parameter, say)."""
    try:
        code = compile(source, "<cell>", "exec")
    except SyntaxError:
        return None
    names = Namespace(itertools.count(start))
    with suppress(Exception, Enough):
        exec(code, names)
    names.bound |= {name for name, value in names.first.items() if names.get(name) is not value}
    return names


@settings(max_examples=150, deadline=None)
@given(PROGRAM, st.integers(0, 2))
def test_whatever_a_program_does_was_told(source: str, start: int) -> None:
    ran = executed(source, start)
    found = uses(source)
    assert (ran is None) == bool(found.error)
    if ran is not None:
        assert ran.read <= found.reads
        assert ran.bound & set(NAMES) <= found.binds


SIMPLE = st.one_of(
    st.builds("{} = {} + {}".format, NAME, NAME, NAME),
    st.builds("{} = f'{{{}}}'".format, NAME, NAME),
    st.builds("{} = [{} for {} in [1, 2]]".format, NAME, NAME, NAME),
    st.builds("({} := 3, {})".format, NAME, NAME),
    st.builds("def {}(x=1): return x\n".format, NAME),
    st.builds("class {}: pass\n".format, NAME),
    st.builds("import os as {}".format, NAME),
)


@given(st.lists(SIMPLE, min_size=1, max_size=8).map("\n".join))
def test_of_a_straight_program_nothing_is_told_that_does_not_happen(source: str) -> None:
    names = Namespace(itertools.count())
    code = compile(source, "<cell>", "exec")
    try:
        exec(code, names)
    except Exception:
        return  # what comes after an error does not happen: nothing to compare
    found = uses(source)
    assert found.reads == names.read
    assert found.binds == names.bound


@pytest.mark.parametrize(
    ("text", "later"),
    [
        ("def f():\n    return x", {"x"}),
        ("def f():\n    return x\nf()", set()),  # it reads x now
        ("x = 1\ndef f():\n    return x", set()),
        ("class A:\n    def f(self):\n        return [x for _ in range(y)]", {"x", "y", "range"}),
        ("f = lambda: x", {"x"}),
        ("x", set()),
    ],
)
def test_what_functions_use_that_nothing_here_runs(text: str, later: set[str]) -> None:
    assert uses(text).later == later


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("import random\nrandom.seed(1)\nx = 2", {"random.seed"}),
        ("import numpy as np\nnp.random.seed(0)\nprint(1)\nf(x)", {"np.random.seed", "print"}),
        ("x = random.random()\nrandom.seed(1)", set()),
        ("random.seed(f())", set()),
        ("if x:\n    random.seed(1)", set()),
    ],
)
def test_calls_that_come_before_anything_else(text: str, first: set[str]) -> None:
    assert uses(text).first_calls == first
