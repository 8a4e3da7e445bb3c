"""Random notebooks and what a person does to them.

:class:`Author` writes cells that mostly succeed: it keeps account of which names of which kind, and which files, there
are at each place. What it does to a notebook is told in *steps*, which are plain data (see trial.py), so that a
sequence can be replayed, made smaller, and kept.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.plain import DIRECTORY, VARIABLE

Step = tuple[Any, ...]
NAMES = "abcdefgh"
FUNCTIONS = ("fa", "fb", "fc", "fd")
TEXTS = ("x.txt", "y.txt", "z.txt", "out/w.txt")
RAW_TEXT = "notes.txt"
MEASUREMENTS = ("a.ms", "b.ms", "c.ms")
TABLES = ("a.gcal", "b.gcal")
IMAGES = ("img", "map")
MUTABLE = ("list", "dict", "nest", "arr", "inst", "holder")
SHOWN = ("num", "str", "list", "dict", "nest", "tup", "holder")
FLAVOURS = ("names", "files", "tasks", "all")


@dataclass(frozen=True)
class Statement:
    """One statement (or a few that belong together) and what it does to names and files."""

    text: str
    binds: Mapping[str, str] = field(default_factory=dict)  # name -> kind
    gone: frozenset[str] = frozenset()
    makes: frozenset[str] = frozenset()
    removes: frozenset[str] = frozenset()


@dataclass
class State:
    """What there is at one place in the notebook."""

    names: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=lambda: {RAW_TEXT, "raw.fits", "helper.py"})

    def after(self, statement: Statement) -> None:
        """Take account of a statement."""
        self.names.update(statement.binds)
        for name in statement.gone:
            self.names.pop(name, None)
        self.files |= statement.makes
        self.files -= statement.removes


def raw_files(number: int = 0) -> dict[str, bytes]:
    """The raw data of each notebook, in one of many versions."""
    return {
        "raw.fits": b"raw %d\n" % number * 10,
        RAW_TEXT: b"note %d\nsecond line\n" % number,
        "helper.py": b"value = %d\n\n\ndef twice(x):\n    return %d * x\n" % (number + 4, 2 + number % 2),
    }


class Writer:
    """Writes statements that suit a state."""

    def __init__(self, chance: random.Random, flavour: str, living: bool = False) -> None:
        self.chance = chance
        self._flavour = flavour
        self.state = State()
        python = [
            (8, self._number), (3, self._augmented), (5, self._list), (2, self._dict), (7, self._mutate_list),
            (3, self._mutate_dict), (5, self._alias), (3, self._nest), (3, self._mutate_nest), (5, self._function),
            (5, self._call), (3, self._closure), (2, self._pair), (3, self._class), (3, self._instance),
            (4, self._method), (2, self._class_attribute), (3, self._loop), (2, self._branch), (2, self._attempt),
            (1, self._delete), (2, self._helper), (2, self._math), (4, self._array), (5, self._mutate_array),
            (3, self._view), (10, self._print), (1, self._seed), (2, self._draw), (2, self._generator), (1, self._rng),
            (1, self._unpack), (1, self._iterator), (1, self._set), (0.5, self._set_variable), (0.5, self._variable),
            (0.5, self._precision), (0.5, self._print_third),
        ]  # fmt: skip
        if living:
            python += [(1, self._look_at_names), (2, self._delete), (1, self._generator), (2, self._seed)]
        files = [
            (8, self._write), (5, self._append), (7, self._read), (4, self._modify), (1, self._remove),
            (3, self._exists), (3, self._listing), (3, self._json), (3, self._load_json), (3, self._path),
            (0.4, self._copy), (1, self._rename), (2, self._guarded), (1, self._save_array), (1, self._load_array),
            (1, self._raw), (0.5, self._modify_raw), (1, self._make_directory), (1, self._count_raw),
            (0.3, self._enter), (0.3, self._leave),
        ]  # fmt: skip
        tasks = [
            (4, self._import_data), (8, self._flag), (3, self._summary), (4, self._setjy), (5, self._gaincal),
            (5, self._applycal), (4, self._split), (6, self._tclean), (2, self._immoments), (1, self._rmtables),
            (3, self._parameter), (2, self._stem), (2, self._by_hand), (2, self._peek),
        ]  # fmt: skip
        weights = {"names": (1, 0, 0), "files": (0.4, 2, 0), "tasks": (0.25, 0.2, 2), "all": (1, 1, 1)}[flavour]
        table: list[tuple[float, Callable[[], Statement | None]]] = []
        for weight, makers in zip(weights, (python, files, tasks), strict=True):
            table += [(weight * own, maker) for own, maker in makers if weight]
        self._makers = [maker for _, maker in table]
        self._weights = [weight for weight, _ in table]

    def statement(self) -> Statement:
        """A statement that suits the state, which is then as after it."""
        while True:
            maker = self.chance.choices(self._makers, self._weights)[0]
            statement = maker()
            if statement is not None:
                self.state.after(statement)
                return statement

    # -- small things --------------------------------------------------------------------------------------------------

    def _one(self, *kinds: str) -> str | None:
        """A name of one of these kinds."""
        names = [name for name, kind in self.state.names.items() if kind in kinds]
        return self.chance.choice(names) if names else None

    def _new(self) -> str:
        """A name to bind: rather one that is free, so that values live long enough to be shared and changed."""
        free = [name for name in NAMES if name not in self.state.names]
        return self.chance.choice(free if free and self.chance.random() < 0.7 else NAMES)

    def _digit(self) -> str:
        return str(self.chance.randint(0, 9))

    def _module(self, statement: str, binds: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """A line that imports, unless the name is there."""
        name = statement.rsplit(maxsplit=1)[-1]
        if self.state.names.get(name) == "mod":
            return "", dict(binds)
        return statement + "\n", {name: "mod", **binds}

    def _use(self, statement: str, text: str, **binds: str) -> Statement:
        """A statement that needs a module."""
        line, all_binds = self._module(statement, binds)
        return Statement(line + text, all_binds)

    def _value(self) -> str:
        """An expression that gives a number."""
        number, items = self._one("num"), self._one("list")
        choices = [self._digit()] * 3
        if number:
            choices += [number] * 2 + [f"{number} + {self._digit()}", f"{number} * 2 % 97"]
        if items:
            choices += [f"len({items})", f"sum({items})"]
        if mapping := self._one("dict"):
            choices += [f"{mapping}.get('k', {self._digit()})", f"len({mapping})"]
        if function := self._one("func"):
            choices += [f"{function}({number or self._digit()})"] * 2
        if counter := self._one("counter"):
            choices.append(f"{counter}()")
        if instance := self._one("inst"):
            choices += [f"{instance}.v", f"{instance}.tally"]
        if kind := self._one("cls"):
            choices.append(f"{kind}.tally")
        if array := self._one("arr"):
            choices.append(f"int({array}.sum())")
        if nest := self._one("nest"):
            choices.append(f"len({nest}[0])")
        return self.chance.choice(choices)

    # -- names -------------------------------------------------------------------------------------------------------

    def _number(self) -> Statement:
        name = self._new()
        return Statement(f"{name} = {self._value()}", {name: "num"})

    def _augmented(self) -> Statement | None:
        name = self._one("num")
        return Statement(f"{name} += {self._value()}", {name: "num"}) if name else None

    def _list(self) -> Statement:
        name, other = self._new(), self._one("list")
        text = f"[{self._value()}, {self._digit()}]"
        if other:
            forms = (f"[x * 2 % 97 for x in {other}]", f"{other} + [{self._value()}]", f"{other}[:]", f"{other}[1:]")
            forms += (f"sorted({other})", f"[x for x in {other} if x > {self._digit()}]", text)
            text = self.chance.choice(forms)
        return Statement(f"{name} = {text}", {name: "list"})

    def _dict(self) -> Statement:
        name, items = self._new(), self._one("list")
        text = f"{{'k': {self._value()}, 'm': {self._digit()}}}"
        if items and self.chance.random() < 0.3:
            text = f"{{str(x): x for x in {items}}}"
        return Statement(f"{name} = {text}", {name: "dict"})

    def _mutate_list(self) -> Statement | None:
        name = self._one("list")
        if name is None:
            return None
        value = self._value()
        forms = (f"{name}.append({value})", f"{name}.append({value})", f"{name} += [{value}]")
        forms += (
            f"{name}[:1] = [{value}]",
            f"{name}.extend([{value}, {self._digit()}])",
            f"{name}.insert(0, {value})",
            f"{name}.sort()",
        )
        forms += (f"{name}.reverse()", f"del {name}[2:]", f"{name}[:] = {name}[:3]", f"{name}[-1:] = []")
        return Statement(self.chance.choice(forms))

    def _mutate_dict(self) -> Statement | None:
        name = self._one("dict")
        if name is None:
            return None
        value = self._value()
        forms = (f"{name}['k'] = {value}", f"{name}.update(m={value})", f"{name}.pop('m', None)")
        forms += (f"{name}.setdefault('n', {value})", f"{name} |= {{'p': {value}}}")
        return Statement(self.chance.choice(forms))

    def _alias(self) -> Statement | None:
        other, name = self._one(*MUTABLE), self._new()
        if other is None or other == name:
            return None
        kind = self.state.names[other]
        form = self.chance.random()
        if form < 0.5:
            return Statement(f"{name} = {other}", {name: kind})
        if form < 0.7:
            return Statement(f"{name} = ({other},)", {name: "tup"})
        return Statement(f"{name} = {{'in': {other}}}", {name: "holder"})

    def _nest(self) -> Statement | None:
        one, other, name = self._one("list"), self._one("list"), self._new()
        if one is None:
            return None
        text = self.chance.choice((f"[{one}, {other}]", f"[{one}, [{self._digit()}]]", f"[list({one}), {other}]"))
        return Statement(f"{name} = {text}", {name: "nest"})

    def _mutate_nest(self) -> Statement | None:
        nest = self._one("nest")
        if nest is None:
            return None
        name, value = self._new(), self._value()
        forms = (f"{nest}[0].append({value})", f"{nest}[-1].append({value})", f"{nest}[0] = [{value}]")
        if self.chance.random() < 0.3 and name != nest:
            return Statement(f"{name} = {nest}[0]", {name: "list"})
        return Statement(self.chance.choice((*forms, f"{nest}.append([{value}])")))

    def _set(self) -> Statement:
        name, other = self._new(), self._one("set")
        if other:
            return Statement(f"{other}.add({self._value()})\nprint(sorted({other}))")
        return Statement(f"{name} = {{{self._digit()}, {self._value()}}}", {name: "set"})

    def _unpack(self) -> Statement:
        one, other = self.chance.sample(NAMES, 2)
        if self.chance.random() < 0.5:
            return Statement(f"{one}, {other} = {self._value()}, {self._value()}", {one: "num", other: "num"})
        return Statement(f"{one}, *{other} = [{self._value()}, {self._digit()}]", {one: "num", other: "list"})

    def _delete(self) -> Statement | None:
        name = self._one("num", "list", "dict", "str", "nest", "tup")
        return Statement(f"del {name}", gone=frozenset({name})) if name else None

    def _look_at_names(self) -> Statement:
        """Any name that is left over from elsewhere shows."""
        return Statement("print(sorted(n for n in globals() if n in 'abcdefgh' or n[0] == 'f'))")

    def _print(self) -> Statement:
        names = {name for name in (self._one(*SHOWN), self._one(*SHOWN), self._one("num")) if name}
        if not names:
            return Statement(f"print({self._value()})")
        return Statement(f"print({', '.join(sorted(names))})")

    # -- functions and classes ---------------------------------------------------------------------------------------

    def _function(self) -> Statement:
        name = self.chance.choice(FUNCTIONS)
        number, items, mapping = self._one("num"), self._one("list"), self._one("dict")
        other = self._one("func")
        forms = [(f"def {name}(x):\n    return x + {self._digit()}", "func")]
        forms.append((f"{name} = lambda x: x * 2 % 97 + {number or self._digit()}", "func"))
        forms.append((f"def {name}(items):\n    items.append({self._digit()})\n    return len(items)", "mutf"))
        forms.append((f"def {name}(x, seen=[]):\n    seen.append(x)\n    return sum(seen)", "func"))
        forms.append((f"def {name}():\n    print('called', {number or self._digit()})", "proc"))
        if number:
            forms += [(f"def {name}(x):\n    return x + {number}", "func")] * 2
            forms.append((f"def {name}():\n    global {number}\n    {number} = {number} + {self._digit()}", "proc"))
        if items:
            forms.append((f"def {name}():\n    {items}.append({self._digit()})", "proc"))
            forms.append((f"def {name}(x):\n    return len({items}) + x", "func"))
        if mapping:
            forms.append((f"def {name}():\n    {mapping}['k'] = {mapping}.get('k', 0) + 1", "proc"))
        if other and other != name:
            forms += [(f"def {name}(x):\n    return {other}(x) + 1", "func")] * 2
        text, kind = self.chance.choice(forms)
        return Statement(text, {name: kind})

    def _call(self) -> Statement | None:
        function = self._one("func", "mutf", "proc", "counter", "put", "get")
        if function is None:
            return None
        kind, name = self.state.names[function], self._new()
        if kind in ("proc", "put"):
            return Statement(f"{function}({self._digit() if kind == 'put' else ''})")
        if kind == "get":
            return Statement(f"{name} = {function}()", {name: "list"})
        if kind == "counter":
            return Statement(f"{name} = {function}()", {name: "num"})
        if kind == "mutf":
            items = self._one("list")
            return Statement(f"{name} = {function}({items})", {name: "num"}) if items and items != name else None
        return Statement(f"{name} = {function}({self._value()})", {name: "num"})

    def _closure(self) -> Statement:
        name = self.chance.choice(FUNCTIONS)
        return Statement(
            "def make(count):\n    def step():\n        nonlocal count\n        count += 1\n        return count\n"
            f"    return step\n{name} = make({self._value()})",
            {"make": "maker", name: "counter"},
        )

    def _pair(self) -> Statement:
        put, get = self.chance.sample(FUNCTIONS, 2)
        inner = "items" if self.chance.random() < 0.5 else "list(items)"
        return Statement(
            "def pair():\n    items = []\n    def put(x):\n        items.append(x)\n    def get():\n"
            f"        return {inner}\n    return put, get\n{put}, {get} = pair()",
            {"pair": "maker", put: "put", get: "get"},
        )

    def _class(self) -> Statement:
        name, base = self.chance.choice("KL"), ""
        if self.state.names.get("K") == "cls" and name == "L" and self.chance.random() < 0.5:
            return Statement("class L(K):\n    extra = " + self._digit(), {"L": "cls"})
        return Statement(
            f"class {name}{base}:\n    tally = {self._digit()}\n    def __init__(self, v):\n        self.v = v\n"
            f"    def __repr__(self):\n        return f'{name}({{self.v}}, {{self.tally}})'\n"
            f"    def add(self, x):\n        self.v += x\n        {name}.tally += {self._digit()}\n"
            "        return self.v",
            {name: "cls"},
        )

    def _instance(self) -> Statement | None:
        kind, name = self._one("cls"), self._new()
        return Statement(f"{name} = {kind}({self._value()})", {name: "inst"}) if kind else None

    def _method(self) -> Statement | None:
        instance, name, kind = self._one("inst"), self._new(), self._one("cls")
        if instance is None:
            return None
        forms = [f"{instance}.v = {self._value()}", f"{instance}.add({self._digit()})", f"print({instance})"]
        forms.append(f"{instance}.w = [{self._value()}]")
        if kind:
            forms.append(f"print(isinstance({instance}, {kind}))")
        if self.chance.random() < 0.3 and name != instance:
            return Statement(f"{name} = {instance}.add({self._value()})", {name: "num"})
        return Statement(self.chance.choice(forms))

    def _class_attribute(self) -> Statement | None:
        kind = self._one("cls")
        return Statement(f"{kind}.tally {self.chance.choice(('=', '+='))} {self._value()}") if kind else None

    # -- control -----------------------------------------------------------------------------------------------------

    def _loop(self) -> Statement:
        items, name = self._one("list"), self._new()
        if items and items != name:
            if self.chance.random() < 0.5:
                text = f"for x in range({self.chance.randint(1, 3)}):\n    {items}.append(x)"
                return Statement(text, {"x": "num"})
            return Statement(f"{name} = 0\nfor x in {items}:\n    {name} += x", {name: "num"})
        # It ends whatever digit is changed into 0.
        text = f"{name} = {self._digit()}\nwhile {name} < 20:\n    {name} += max(True, {self._digit()})"
        return Statement(text, {name: "num"})

    def _branch(self) -> Statement:
        name, items = self._new(), self._one("list")
        otherwise = f"{items}.append({self._digit()})" if items and items != name else "pass"
        text = f"{name} = 4\nif {self._value()} > {self._digit()}:\n    {name} += 1\nelse:\n    {otherwise}"
        return Statement(text, {name: "num"})

    def _attempt(self) -> Statement:
        name, items = self._new(), self._one("list")
        if items and items != name and self.chance.random() < 0.4:
            text = f"try:\n    {name} = {items}[{self._digit()}]\nexcept IndexError:\n    {name} = -1"
            return Statement(text, {name: "num"})
        return Statement(f"try:\n    print({name})\nexcept NameError:\n    print('no {name}')")

    # -- modules -----------------------------------------------------------------------------------------------------

    def _math(self) -> Statement:
        name = self._new()
        return self._use("import math", f"{name} = math.floor({self._value()} / 2)", **{name: "num"})

    def _helper(self) -> Statement:
        name = self._new()
        if self.chance.random() < 0.3:
            text = f"from helper import twice\n{name} = twice({self._value()})"
            return Statement(text, {name: "num", "twice": "func"})
        return self._use("import helper", f"{name} = helper.value + helper.twice({self._value()})", **{name: "num"})

    def _seed(self) -> Statement:
        module = self.chance.choice(("import random", "import numpy as np"))
        name = "random" if module == "import random" else "np.random"
        statement = self._use(module, f"{name}.seed({self._digit()})")
        return Statement(statement.text, {**statement.binds, name + " seeded": "state"})

    def _draw(self) -> Statement | None:
        name = self._new()
        if "random seeded" in self.state.names:
            return self._use("import random", f"{name} = random.randint(0, 99)", **{name: "num"})
        if "np.random seeded" in self.state.names:
            return self._use("import numpy as np", f"{name} = int(np.random.randint(0, 99))", **{name: "num"})
        return None

    def _rng(self) -> Statement:
        return self._use("import random", f"rng = random.Random({self._digit()})", rng="rng")

    def _generator(self) -> Statement | None:
        rng, name = self._one("rng"), self._new()
        return Statement(f"{name} = {rng}.randint(0, 99)", {name: "num"}) if rng else None

    def _iterator(self) -> Statement | None:
        one, name = self._one("iter"), self._new()
        if one and one != name:
            return Statement(f"{name} = next({one}, 0)", {name: "num"})
        text = "iter([1, 2, 3, 4])" if self.chance.random() < 0.7 else f"(x * {self._digit()} for x in range(5))"
        return Statement(f"{name} = {text}", {name: "iter"})

    # -- arrays ------------------------------------------------------------------------------------------------------

    def _array(self) -> Statement:
        name, other = self._new(), self._one("arr")
        forms = [f"np.arange({self.chance.randint(4, 6)})", f"np.zeros(5) + {self._value()}"]
        if other:
            forms += [f"{other} * 2 % 97", f"{other} + {self._digit()}", f"{other}.copy()"]
        return self._use("import numpy as np", f"{name} = {self.chance.choice(forms)}", **{name: "arr"})

    def _view(self) -> Statement | None:
        other, name = self._one("arr"), self._new()
        if other is None or name == other:
            return None
        form = self.chance.choice(("[1:]", "[:]", "[::-1]", ".T", ".view()"))
        return Statement(f"{name} = {other}{form}", {name: "arr"})

    def _mutate_array(self) -> Statement | None:
        name = self._one("arr")
        if name is None:
            return None
        value = self.chance.choice((self._digit(), f"{self._value()} % 97"))
        forms = (f"{name} += {value}", f"{name}[0] = {value}", f"{name}[:] = {value}", f"{name}.sort()")
        forms += (f"{name}[1:] *= 2", f"{name}.fill({value})", f"print({name}.tolist())", f"print({name}.sum())")
        if self.chance.random() < 0.2:
            return self._use("import numpy as np", f"np.add({name}, {value}, out={name})")
        return Statement(self.chance.choice(forms))

    def _save_array(self) -> Statement | None:
        name = self._one("arr")
        if name is None:
            return None
        statement = self._use("import numpy as np", f"np.save('arr.npy', {name})")
        return Statement(statement.text, statement.binds, makes=frozenset({"arr.npy"}))

    def _load_array(self) -> Statement | None:
        name = self._new()
        if "arr.npy" not in self.state.files:
            return None
        return self._use("import numpy as np", f"{name} = np.load('arr.npy')", **{name: "arr"})

    # -- files -------------------------------------------------------------------------------------------------------

    def _text(self, raw: float = 0.2) -> str | None:
        """A text file that is there."""
        there = [name for name in TEXTS if name in self.state.files]
        if RAW_TEXT in self.state.files and self.chance.random() < raw:
            return RAW_TEXT
        return self.chance.choice(there) if there else None

    def _new_text(self) -> str:
        return self.chance.choice([name for name in TEXTS if "/" not in name or "out" in self.state.files])

    def _writable(self) -> str:
        return f"{{{self._value()}}} {self._digit()}"

    def _write(self) -> Statement:
        name = self._new_text()
        text = f"with open('{name}', 'w') as s:\n    s.write(f\"{self._writable()}\\n\")"
        return Statement(text, {"s": "closed"}, makes=frozenset({name}))

    def _append(self) -> Statement:
        name = self._text(raw=0.05) or self._new_text()
        text = f"with open('{name}', 'a') as s:\n    s.write(f\"{self._writable()}\\n\")"
        return Statement(text, {"s": "closed"}, makes=frozenset({name}))

    def _read(self) -> Statement | None:
        file, name = self._text(), self._new()
        if file is None:
            return None
        if self.chance.random() < 0.3:
            return Statement(f"with open('{file}') as s:\n    {name} = len(s.read())", {"s": "closed", name: "num"})
        if self.chance.random() < 0.4:
            return Statement(f"with open('{file}') as s:\n    print(s.read()[-30:])", {"s": "closed"})
        return Statement(f"with open('{file}') as s:\n    {name} = s.readline()[:20]", {"s": "closed", name: "str"})

    def _modify(self) -> Statement | None:
        file = self._text(raw=0.05)
        if file is None:
            return None
        place = self.chance.randint(0, 2)
        text = f"with open('{file}', 'r+') as s:\n    s.seek({place})\n    s.write('{self._digit()}')"
        return Statement(text, {"s": "closed"})

    def _modify_raw(self) -> Statement | None:
        if RAW_TEXT not in self.state.files:
            return None
        if self.chance.random() < 0.2:
            return self._removal(RAW_TEXT)
        text = f"with open('{RAW_TEXT}', '{self.chance.choice('aw')}') as s:\n    s.write(f\"{self._writable()}\")"
        return Statement(text, {"s": "closed"})

    def _removal(self, file: str) -> Statement:
        statement = self._use("import os", f"os.remove('{file}')")
        return Statement(statement.text, statement.binds, removes=frozenset({file}))

    def _remove(self) -> Statement | None:
        file = self._text(raw=0)
        return self._removal(file) if file else None

    def _exists(self) -> Statement:
        file = self.chance.choice(("x.txt", "y.txt", "z.txt", RAW_TEXT, "a.ms", "img.image"))
        if self.chance.random() < 0.3:
            return self._use("from pathlib import Path", f"print(Path('{file}').exists())")
        return self._use("import os", f"print('{file}', os.path.exists('{file}'))")

    def _guarded(self) -> Statement:
        name, file = self._new(), self.chance.choice(("x.txt", "y.txt", "z.txt"))
        if self.chance.random() < 0.5:
            text = f"try:\n    with open('{file}') as s:\n        {name} = s.read(9)\n"
            return Statement(text + f"except FileNotFoundError:\n    {name} = ''", {name: "str"})
        text = f"if os.path.exists('{file}'):\n    os.remove('{file}')"
        statement = self._use("import os", text)
        return Statement(statement.text, statement.binds, removes=frozenset({file}))

    def _listing(self) -> Statement:
        name = self._new()
        expression = "sorted(n for n in os.listdir('.') if n.endswith('.txt'))"
        if self.chance.random() < 0.4:
            return self._use("import os", f"{name} = len({expression})", **{name: "num"})
        return self._use("import os", f"print({expression})")

    def _json(self) -> Statement | None:
        name = self._one("dict", "list")
        if name is None:
            return None
        statement = self._use("import json", f"with open('data.json', 'w') as s:\n    json.dump({name}, s)", s="closed")
        return Statement(statement.text, statement.binds, makes=frozenset({"data.json"}))

    def _load_json(self) -> Statement | None:
        name = self._new()
        if "data.json" not in self.state.files:
            return None
        return self._use(
            "import json", f"with open('data.json') as s:\n    {name} = len(json.load(s))", s="closed", **{name: "num"}
        )

    def _path(self) -> Statement:
        file, name = self._new_text(), self._new()
        there = self._text(raw=0)
        if there and self.chance.random() < 0.5:
            return self._use("from pathlib import Path", f"{name} = Path('{there}').read_text()[:9]", **{name: "str"})
        statement = self._use("from pathlib import Path", f"code = Path('{file}').write_text(f\"{self._writable()}\")")
        return Statement(statement.text, {**statement.binds, "code": "num"}, makes=frozenset({file}))

    def _copy(self) -> Statement | None:
        file, target = self._text(), self._new_text()
        if file is None or file == target:
            return None
        statement = self._use("import subprocess", f"code = subprocess.run(['cp', '{file}', '{target}']).returncode")
        return Statement(statement.text, {**statement.binds, "code": "num"}, makes=frozenset({target}))

    def _rename(self) -> Statement | None:
        file, target = self._text(raw=0), self._new_text()
        if file is None or file == target:
            return None
        statement = self._use("import os", f"os.rename('{file}', '{target}')")
        return Statement(statement.text, statement.binds, makes=frozenset({target}), removes=frozenset({file}))

    def _make_directory(self) -> Statement:
        statement = self._use("import os", "os.makedirs('out', exist_ok=True)")
        return Statement(statement.text, statement.binds, makes=frozenset({"out"}))

    def _enter(self) -> Statement:
        name = repr(DIRECTORY)
        return self._use("import os", f"os.makedirs({name}, exist_ok=True)\nos.chdir({name})")

    def _leave(self) -> Statement:
        return self._use("import os", f"if os.path.basename(os.getcwd()) == {DIRECTORY!r}:\n    os.chdir('..')")

    def _set_variable(self) -> Statement:
        return self._use("import os", f"os.environ[{VARIABLE!r}] = '{self._digit()}'")

    def _variable(self) -> Statement:
        if self.chance.random() < 0.5:
            return self._use("import os", f"print(os.environ.get({VARIABLE!r}))")
        name = self._new()
        return self._use("import os", f"{name} = len(os.getenv({VARIABLE!r}, ''))", **{name: "num"})

    def _precision(self) -> Statement:
        return self._use("import numpy as np", f"np.set_printoptions(precision={self._digit()})")

    def _print_third(self) -> Statement:
        return self._use("import numpy as np", "print(np.array([1 / 3]))")

    def _raw(self) -> Statement:
        return Statement(f"with open('{RAW_TEXT}') as s:\n    print(s.readline()[:-1])", {"s": "closed"})

    def _count_raw(self) -> Statement:
        name = self._new()
        return Statement(f"with open('raw.fits', 'rb') as s:\n    {name} = len(s.read())", {name: "num", "s": "closed"})

    # -- tasks -------------------------------------------------------------------------------------------------------

    def _there(self, candidates: Sequence[str]) -> str | None:
        there = [name for name in candidates if name in self.state.files]
        return self.chance.choice(there) if there else None

    def _missing(self, candidates: Sequence[str]) -> str | None:
        missing = [name for name in candidates if name not in self.state.files]
        if missing and self.chance.random() < 0.97:
            return self.chance.choice(missing)
        return self.chance.choice(candidates) if self.chance.random() < 0.1 else None  # which then fails

    def _written(self, path: str) -> str:
        """A path as an argument: a literal, or made of a name."""
        stem = self._one("stem " + path.split(".")[0])
        if stem and "." in path and self.chance.random() < 0.7:
            return f"f'{{{stem}}}.{path.split('.', 1)[1]}'"
        return repr(path)

    def _small(self) -> str:
        parameter = self._one("par")
        if parameter and self.chance.random() < 0.6:
            return parameter
        number = self._one("num")
        if number and self.chance.random() < 0.3:
            return f"abs({number}) % 4"
        return str(self.chance.randint(0, 3))

    def _parameter(self) -> Statement:
        name = self.chance.choice(("par", "niter"))
        return Statement(f"{name} = {self.chance.randint(0, 3)}", {name: "par"})

    def _stem(self) -> Statement:
        stem = self.chance.choice("ab")
        return Statement(f"stem = '{stem}'", {"stem": f"stem {stem}"})

    def _import_data(self) -> Statement | None:
        vis = self._missing(MEASUREMENTS[:2])
        if vis is None:
            return None
        text = f"importuvfits(fitsfile='raw.fits', vis={self._written(vis)})"
        return Statement(text, makes=frozenset({vis}))

    def _flag(self) -> Statement | None:
        vis = self._there(MEASUREMENTS)
        if vis is None:
            return None
        if self.chance.random() < 0.3:
            return Statement(f"flagdata({self._written(vis)}, field=str({self._small()}), flagbackup=False)")
        text = f"flagdata(vis={self._written(vis)}, field=str({self._small()}))"
        return Statement(text, makes=frozenset({vis + ".flagversions"}))

    def _summary(self) -> Statement | None:
        vis, name = self._there(MEASUREMENTS), self._new()
        if vis is None:
            return None
        call = f"flagdata(vis={self._written(vis)}, mode='summary')"
        if self.chance.random() < 0.5:
            return Statement(f"{name} = {call}", {name: "dict"})
        return Statement(f"print({call}['flags'][:8])")

    def _setjy(self) -> Statement | None:
        vis = self._there(MEASUREMENTS)
        if vis is None:
            return None
        return Statement(f"flux = setjy(vis={self._written(vis)}, fluxdensity=[{self._small()} * 1.5, 0.0, 0.0, 0.0])")

    def _gaincal(self) -> Statement | None:
        vis, table = self._there(MEASUREMENTS), self._missing(TABLES)
        if vis is None or table is None:
            return None
        text = f"gaincal(vis={self._written(vis)}, caltable='{table}', solint=f'{{{self._small()}}}s')"
        if self.chance.random() < 0.4:
            return Statement(f"g = {text}", {"g": "dict"}, makes=frozenset({table}))
        return Statement(text, makes=frozenset({table}))

    def _applycal(self) -> Statement | None:
        vis, table = self._there(MEASUREMENTS), self._there(TABLES)
        if vis is None or table is None:
            return None
        text = f"applycal(vis={self._written(vis)}, gaintable=['{table}'])"
        return Statement(text, makes=frozenset({vis + ".flagversions"}))

    def _split(self) -> Statement | None:
        vis, target = self._there(MEASUREMENTS), self._missing(MEASUREMENTS[1:])
        if vis is None or target is None or vis == target:
            return None
        return Statement(f"split(vis={self._written(vis)}, outputvis={target!r})", makes=frozenset({target}))

    def _tclean(self) -> Statement | None:
        vis, image = self._there(MEASUREMENTS), self.chance.choice(IMAGES)
        if vis is None:
            return None
        call = f"tclean(vis={self._written(vis)}, imagename='{image}', niter={self._small()})"
        made = frozenset({f"{image}.image", f"{image}.model"})
        if self.chance.random() < 0.3:
            return Statement(f"print({call})", makes=made)
        return Statement(call, makes=made)

    def _immoments(self) -> Statement | None:
        image, target = self._there(["img.image", "map.image"]), self._missing(["mom", "img.mom"])
        if image is None or target is None:
            return None
        return Statement(f"immoments(imagename='{image}', outfile='{target}')", makes=frozenset({target}))

    def _rmtables(self) -> Statement | None:
        table = self._there([*TABLES, "mom", "img.mom"])
        return Statement(f"rmtables('{table}')", removes=frozenset({table})) if table else None

    def _by_hand(self) -> Statement | None:
        vis = self._there(MEASUREMENTS)
        if vis is None:
            return None
        text = f"with open('{vis}/DATA', '{self.chance.choice('wa')}') as s:\n    s.write('by hand {self._digit()}')"
        return Statement(text, {"s": "closed"})

    def _peek(self) -> Statement | None:
        product, name = self._there([*MEASUREMENTS, *TABLES, "img.image"]), self._new()
        if product is None:
            return None
        file = "DATA" if product.endswith(".ms") else "GAIN" if product.endswith(".gcal") else "PIXELS"
        return Statement(f"with open('{product}/{file}') as s:\n    {name} = s.read(8)", {"s": "closed", name: "str"})


class Author:
    """A person who writes a notebook and works on it; all by chance."""

    def __init__(self, chance: random.Random, living: bool = False) -> None:
        """``living``: works in a browser, with one kernel."""
        self.chance = chance
        self._living = living
        self._flavour = chance.choices(FLAVOURS, (4, 3, 3, 4))[0]
        self._known: dict[str, list[Statement]] = {}  # by a cell's text
        self._count = 0
        self._raw = 0

    def notebook(self) -> list[tuple[str, str]]:
        """A new notebook: (id, source) of 5 to 30 cells."""
        writer = Writer(self.chance, self._flavour, self._living)
        number = min(30, 5 + int(self.chance.expovariate(1 / 6)))
        return [(self._new_id(), self._cell(writer)) for _ in range(number)]

    def steps(self, cells: Sequence[tuple[str, str]], made: Callable[[], Sequence[str]]) -> Iterator[Step]:
        """What the person does.

        Args:
            cells: the notebook, as it is whenever the next step is asked for.
            made: gives the files that the notebook has made, when it is as after a re-run; else none.
        """
        if self.chance.random() < 0.3:
            for identity, _ in list(cells):
                yield ("run", identity)
        if self._living:
            yield from self._mess(cells)
        yield self._rerun()
        for _ in range(self.chance.randint(2, 5)):
            for _ in range(self.chance.choice((1, 1, 1, 2, 2, 3, 4))):
                yield from self._edit(cells, made)
            if self._living:
                yield from self._mess(cells)
            yield self._rerun()

    def _rerun(self) -> Step:
        if self._living:
            return ("rerun", self.chance.choices(("browser", "everything", "new"), (9, 0.5, 1))[0])
        return ("rerun", "new" if self.chance.random() < 0.3 else "living")

    def _edit(self, cells: Sequence[tuple[str, str]], made: Callable[[], Sequence[str]]) -> Iterator[Step]:
        kinds = {
            self._change_digit: 5, self._change_statement: 4, self._rewrite: 1, self._comment: 3, self._insert: 4,
            self._delete: 2.5, self._move: 3, self._duplicate: 1, self._split: 1, self._merge: 1, self._undo: 2,
            self._restart: 1, self._outside: 3, self._run: 3, self._spoil: 2, self._rare: 0.7,
        }  # fmt: skip
        kind = self.chance.choices(list(kinds), list(kinds.values()))[0]
        if kind == self._spoil:
            yield from self._spoil(made)
        else:
            yield from kind(cells)  # type: ignore[operator]

    def _mess(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        """What a kernel goes through between two re-runs."""
        for _ in range(self.chance.choice((0, 0, 1, 1, 2, 3))):
            kinds = (self._run, self._undone, self._console, self._disturb, self._to)
            yield from self.chance.choices(kinds, (3, 2, 4, 2, 1))[0](cells)

    def _undone(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        """An edit that is run, and taken back."""
        before = len(cells)
        yield from self.chance.choice((self._change_digit, self._change_statement, self._rewrite))(cells)
        if before:
            yield from self._run(cells)
        yield ("undo", 1)

    def _console(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        """Something runs that is no cell; names and the process, not files."""
        name, other = self.chance.sample(NAMES, 2)
        texts = [
            f"{name} = {self.chance.randint(0, 9)}", f"{name} = [{self.chance.randint(0, 9)}, 7]",
            f"{name} = {other}", f"{name}.append(3)", f"{name}['k'] = 8", f"{name}[0] = 5", f"del {name}",
            f"fa = lambda x=1: {name}", "import random\nrandom.seed(5)", "import random\nrandom.random()",
            "import numpy as np\nnp.set_printoptions(precision=3)", f"import os\nos.environ['{VARIABLE}'] = 'c'",
            f"niter = {self.chance.randint(0, 3)}", "stem = 'b'", f"zz = {name}", f"zz = [{name}, {other}]",
            f"{name}.v = 4", f"{name} = ({other},)", f"{name}, {other} = {other}, {name}",
        ]  # fmt: skip
        yield ("console", self.chance.choice(texts), self.chance.random() < 0.4)

    def _disturb(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        kind = self.chance.choice(("edit", "edit", "interrupt", "leave", "restart", "stop", "leave", "meddle"))
        step: Step = ("disturbed", self.chance.choice((1, 1, 2, 3)), kind)
        if kind == "meddle" and cells:
            step = (*step, "run", cells[self._pick(cells)][0])
        if kind != "edit":
            yield step
            return
        makers = (self._change_digit, self._change_statement, self._insert, self._delete, self._move, self._comment)
        yield from ((*step, *edit) for edit in list(self.chance.choice(makers)(cells))[:1])

    def _to(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        if cells:
            yield ("to", cells[self._pick(cells)][0])

    # -- texts -------------------------------------------------------------------------------------------------------

    def _new_id(self) -> str:
        self._count += 1
        return f"c{self._count}"

    def _cell(self, writer: Writer, number: int | None = None) -> str:
        number = number or self.chance.choices((1, 2, 3, 4), (5, 4, 2, 1))[0]
        return self._say([writer.statement() for _ in range(number)])

    def _say(self, statements: list[Statement]) -> str:
        text = "\n".join(statement.text for statement in statements)
        self._known[text] = statements
        return text

    def _statements(self, text: str) -> list[Statement]:
        """The statements of a cell; those that a merge put together are not known as such."""
        known = self._known.get(text)
        if known is not None:
            return list(known)
        return [Statement(ast.unparse(node)) for node in ast.parse(text).body]

    def _at(self, cells: Sequence[tuple[str, str]], place: int) -> Writer:
        """A writer who knows what there is before the cell at ``place``."""
        writer = Writer(self.chance, self._flavour, self._living)
        for _, text in cells[:place]:
            for statement in self._statements(text):
                writer.state.after(statement)
        return writer

    # -- edits -------------------------------------------------------------------------------------------------------

    def _pick(self, cells: Sequence[tuple[str, str]]) -> int:
        return self.chance.randrange(len(cells))

    def _set(self, identity: str, statements: list[Statement]) -> Iterator[Step]:
        yield ("set", identity, self._say(statements))
        if self.chance.random() < 0.25:
            yield ("run", identity)

    def _change_digit(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        """Change a parameter."""
        if not cells:
            return
        place = self._pick(cells)
        statements = self._statements(cells[place][1])
        candidates = [n for n, statement in enumerate(statements) if re.search(r"\d", statement.text)]
        if not candidates:
            return
        number = self.chance.choice(candidates)
        old = statements[number]
        digit = self.chance.choice(list(re.finditer(r"\d", old.text)))
        least = 1 if old.text[digit.end() : digit.end() + 1].isdigit() else 0  # Python knows no 07
        text = old.text[: digit.start()] + str(self.chance.randint(least, 5)) + old.text[digit.end() :]
        statements[number] = Statement(text, old.binds, old.gone, old.makes, old.removes)
        yield from self._set(cells[place][0], statements)

    def _change_statement(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        if not cells:
            return
        place = self._pick(cells)
        writer = self._at(cells, place)
        statements = self._statements(cells[place][1])
        number = self.chance.randrange(len(statements) + 1)
        for statement in statements[:number]:
            writer.state.after(statement)
        statements[number : number + self.chance.choice((0, 1, 1))] = [writer.statement()]
        yield from self._set(cells[place][0], statements)

    def _rewrite(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        if cells:
            place = self._pick(cells)
            yield ("set", cells[place][0], self._cell(self._at(cells, place)))

    def _comment(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        """Change what does not count."""
        if not cells:
            return
        identity, text = self.chance.choice(list(cells))
        forms = (f"# note {self.chance.random()}\n{text}", f"\n\n{text}\n", text + f"  # note {self._count}")
        new = self.chance.choice((*forms, ast.unparse(ast.parse(text)), text.replace("    ", "  "), text + ";"))
        try:
            same = ast.dump(ast.parse(new)) == ast.dump(ast.parse(text))
        except SyntaxError:
            same = False
        if same:
            self._known[new] = self._statements(text)
            yield ("set", identity, new)

    def _insert(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        if len(cells) >= 30:
            return
        place = self.chance.choice((len(cells), self.chance.randint(0, len(cells))))
        identity = self._new_id()
        yield ("insert", place, identity, self._cell(self._at(cells, place)))
        if self.chance.random() < 0.3:
            yield ("run", identity)

    def _delete(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        if len(cells) > 3:
            yield ("delete", cells[self._pick(cells)][0])

    def _move(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        if len(cells) > 1:
            place = self._pick(cells)
            to = self.chance.choice((place - 1, place + 1, place + 2, self._pick(cells)))
            yield ("move", cells[place][0], max(0, to))

    def _duplicate(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        if cells and len(cells) < 30:
            place = self._pick(cells)
            yield ("insert", place + 1, self._new_id(), cells[place][1])

    def _split(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        places = [n for n, (_, text) in enumerate(cells) if len(self._statements(text)) > 1]
        if places and len(cells) < 30:
            place = self.chance.choice(places)
            statements = self._statements(cells[place][1])
            cut = self.chance.randrange(1, len(statements))
            yield ("set", cells[place][0], self._say(statements[:cut]))
            yield ("insert", place + 1, self._new_id(), self._say(statements[cut:]))

    def _merge(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        if len(cells) > 3:
            place = self.chance.randrange(len(cells) - 1)
            (one, first), (other, second) = cells[place : place + 2]
            yield ("set", one, self._say(self._statements(first) + self._statements(second)))
            yield ("delete", other)

    def _undo(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        yield ("undo", self.chance.choice((1, 1, 2, 3)))

    def _restart(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        yield ("restart", self.chance.choice(("orderly", "killed")))

    def _run(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        """Shift+Enter, out of order."""
        for _ in range(self.chance.randint(1, 3)):
            if cells:
                yield ("run", cells[self._pick(cells)][0])

    def _outside(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        """Change raw data, or only their times."""
        path = self.chance.choice(sorted(raw_files()))
        if self.chance.random() < 0.3:
            yield ("touch", path)
        else:
            self._raw = self._raw + 1 if self.chance.random() < 0.7 else self.chance.randint(0, self._raw)
            yield ("raw", path, self._raw)

    def _spoil(self, made: Callable[[], Sequence[str]]) -> Iterator[Step]:
        """Overwrite or delete outside what the notebook made."""
        files = [name for name in made() if not name.endswith("/")]
        if files:
            path = self.chance.choice(files)
            if "/" in path and self.chance.random() < 0.5:
                path = path.split("/")[0]
            text = None if self.chance.random() < 0.6 else f"spoilt {self.chance.random()}"
            yield ("spoil", path, text)
            yield self._rerun()

    def _rare(self, cells: Sequence[tuple[str, str]]) -> Iterator[Step]:
        number = self.chance.randrange(1000)
        rare: tuple[Step, ...] = ("rename",), ("move workspace",), ("lose ledger",), ("lose values", number)
        yield self.chance.choice((*rare, ("lose versions", number)))
