"""Names around a cell, in a process of ours: what is recorded where no text alone could tell."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from casa_recompute.notebook.model import ABSENT
from casa_recompute.notebook.simulate import own, shared
from casa_recompute.notebook.source import uses
from casa_recompute.tracing.impure import impure_chains
from casa_recompute.tracing.names import NameChanges, NameTracker
from casa_recompute.values.digest import Budget
from casa_recompute.values.shelf import ValueStore
from casa_recompute.workspace import Workspace


class Notebook:
    """A namespace and its tracker."""

    def __init__(self, directory: Path) -> None:
        self.space = Workspace(directory, "copy")
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.tracker = NameTracker(self.names, {"__name__": "__main__"}, ValueStore(self.space), Budget(), 1 << 20)

    def run(self, text: str) -> NameChanges:
        """Run a cell."""
        said = uses(text)
        self.tracker.begin(said)
        exec(text, self.names)
        return self.tracker.end(text)

    def impure(self, text: str) -> list[str]:
        """What is impure in a cell that has run."""
        said = uses(text)
        self.tracker.begin(said)
        found = impure_chains(self.tracker.chains(said), self.tracker.bare_calls(said), self.names)
        self.tracker.end(text)
        return found


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    states = random.getstate(), np.random.get_state()
    made = Notebook(tmp_path)
    yield made
    made.space.close()
    random.setstate(states[0])
    np.random.set_state(states[1])


@pytest.mark.parametrize("restore", [False, True])
def test_what_shared_is_there_when_its_partner_is_bound_anew(notebook: Notebook, restore: bool) -> None:
    made = notebook.run("a = [1, 2]\nb = [a, a]")
    alone = own(made.writes["a"])
    assert shared(made.writes["a"]) == shared(made.writes["b"]) != ""
    assert not made.unkept
    if restore:
        notebook.names.pop("a"), notebook.names.pop("b")
    notebook.tracker.bring({"a": alone, "b": ABSENT}, {"a": alone})
    assert notebook.names["a"] == [1, 2]
    assert "b" not in notebook.names
    assert notebook.tracker.versions["a"] == alone


def test_a_seed_is_a_write_even_if_it_changes_nothing(notebook: Notebook) -> None:
    first = notebook.run("import random\nrandom.seed(3)")
    again = notebook.run("import random\nrandom.seed(3)")
    assert first.writes["<random>"] == again.writes["<random>"]
    assert "<random>" in again.rebound
    assert "<random>" not in again.reads
    drawn = notebook.run("x = random.random()")
    assert drawn.reads["<random>"] == first.writes["<random>"]
    assert not drawn.unseeded


def test_a_seed_that_may_not_run_depends_on_what_was_there(notebook: Notebook) -> None:
    notebook.run("import random\nrandom.seed(1)\nagain = False")
    before = notebook.tracker.versions["<random>"]
    changes = notebook.run("if again:\n    random.seed(2)\nx = random.random()")
    assert changes.reads["<random>"] == before


def test_a_seed_inside_a_function_counts_where_the_function_is_called(notebook: Notebook) -> None:
    notebook.run("import numpy as np\ndef begin():\n    np.random.seed(5)")
    assert "<numpy.random>" not in notebook.tracker.versions
    changes = notebook.run("begin()")
    assert not changes.unseeded
    assert changes.writes["<numpy.random>"]
    assert not notebook.run("x = np.random.rand()").unseeded


def test_drawing_without_a_seed_is_noticed(notebook: Notebook) -> None:
    notebook.run("import random")
    assert notebook.run("x = random.random()").unseeded


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("import time\n    return time.time()", "the clock"),
        ("from datetime import datetime as when\n    return when.now()", "the clock"),
        ("return uuid.uuid4()", "random numbers"),
        ("return np.random.default_rng()", "random numbers"),
        ("return [uuid.uuid4() for _ in range(3)]", "random numbers"),
    ],
)
def test_impure_functions_make_the_cells_that_use_them_impure(notebook: Notebook, body: str, what: str) -> None:
    definition = f"import uuid, datetime\nimport numpy as np\ndef f():\n    {body}\ndef g():\n    return f()"
    notebook.run(definition)
    assert notebook.impure("import uuid, datetime") == []
    assert notebook.impure("x = g()") == [what]


def test_a_seeded_generator_is_not_impure(notebook: Notebook) -> None:
    notebook.run("import numpy as np\ndef f():\n    return np.random.default_rng(7).random()")
    assert notebook.impure("x = f()") == []


def test_a_name_put_aside_and_not_bound_is_untouched(notebook: Notebook) -> None:
    notebook.run("s = iter('abc')")  # cannot be digested
    version = notebook.tracker.versions["s"]
    notebook.tracker.set_aside({"s": version})
    changes = notebook.run("try:\n    s = open('/no such file')\nexcept OSError:\n    d = 1")
    assert "s" not in changes.writes
    assert "s" not in changes.reads
    assert notebook.tracker.versions["s"] == version
    assert next(notebook.names["s"]) == "a"


@pytest.mark.parametrize("turn", [lambda a: a[::-1], lambda a: a[::2], lambda a: a.reshape(2, 4).T])
def test_how_an_array_lies_in_memory_is_part_of_its_value(
    notebook: Notebook, turn: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]
) -> None:
    """`ravel` gives a view of one and a copy of the other."""
    notebook.names["turn"] = turn
    made = notebook.run("import numpy as np\na = turn(np.ones(8))\nb = np.ascontiguousarray(a)")
    assert made.writes["a"] != made.writes["b"]


def test_a_walk_leaves_names_as_after_the_last_cell_and_what_no_cell_has_bound(notebook: Notebook) -> None:
    written = notebook.run("items = [1, 2]\nn = 1").writes
    notebook.run("over = 5")
    notebook.tracker.begin(uses(""))
    exec("mine = [7]\nn = 8", notebook.names)  # a console
    notebook.tracker.end("console", of_cell=False)
    notebook.names["items"].append(3)  # a widget
    notebook.tracker.stir()
    assert notebook.tracker.settle({name: written[name] for name in ("items", "n")}) == []
    assert {name: value for name, value in notebook.names.items() if not name.startswith("_")} == {
        "items": [1, 2],
        "n": 1,
        "mine": [7],
    }


def test_what_makes_room_for_a_cell_comes_back_at_the_end(notebook: Notebook) -> None:
    notebook.names["mine"] = 7
    notebook.tracker.begin(uses(""))
    notebook.tracker.end("console", of_cell=False)
    notebook.tracker.bring({"mine": ABSENT}, {})
    assert "mine" not in notebook.names
    notebook.tracker.settle({})
    assert notebook.names["mine"] == 7
    notebook.tracker.bring({"mine": ABSENT}, {})
    notebook.run("mine = 8")
    notebook.tracker.readmit()
    assert notebook.names["mine"] == 8


def test_what_cannot_be_had_is_not_bound_to_something_else(notebook: Notebook) -> None:
    version = notebook.run("one = (n for n in range(3))").writes["one"]
    assert notebook.tracker.holds() == {"one": version}
    assert notebook.tracker.settle({"one": version}) == []
    notebook.run("one = 5")
    assert notebook.tracker.holds() == {}
    assert notebook.tracker.settle({"one": version}) == ["one"]
    assert "one" not in notebook.names


def test_a_generator_that_was_drawn_from_between_cells_is_seeded_again(notebook: Notebook) -> None:
    version = notebook.run("import random\nrandom.seed(3)").writes["<random>"]
    first = random.random()
    notebook.tracker.bring({"<random>": version}, {})
    assert random.random() == first
