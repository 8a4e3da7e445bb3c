"""The oracle, tested: a kernel that is right passes, wrong ones are caught, and it sees what cells depend on."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.oracle import plain
from tests.oracle.generator import Author, raw_files
from tests.oracle.naive import NaiveKernel, SourceKernel
from tests.oracle.trial import Difference, Kernel, Story, Tally, Trial, smaller

Opened = Callable[[Path, Mapping[str, bytes]], Kernel]


def trial(top: Path, number: int, kernel: Opened, tally: Tally) -> None:
    author = Author(random.Random(number))
    one = Trial(top, author.notebook(), kernel, tally)
    try:
        one.run(author.steps(one.cells, one.made))
    finally:
        one.close()


def test_watching_a_cell_changes_nothing(tmp_path: Path) -> None:
    for number in range(40):
        cells = Author(random.Random(number)).notebook()
        watched = plain.run(cells, raw_files(), tmp_path / "fresh")
        unwatched = plain.run(cells, raw_files(), tmp_path / "fresh", watched=False)
        assert watched.shown == unwatched.shown
        assert watched.files == unwatched.files
        one, other = watched.values(), unwatched.values()
        assert one.joint(one.tokens) == other.joint(other.tokens)


def test_most_notebooks_run_to_their_end(tmp_path: Path) -> None:
    runs = [plain.run(Author(random.Random(n)).notebook(), raw_files(), tmp_path / "fresh") for n in range(60)]
    assert sum(run.failed is None for run in runs) > 45


def test_a_kernel_that_runs_everything_passes(tmp_path: Path) -> None:
    tally = Tally()
    for number in range(15):
        trial(tmp_path / "trial", number, NaiveKernel, tally)
    assert tally.reruns > 30
    assert tally.fewer == 0
    assert tally.ratio > 2


def test_a_kernel_that_looks_at_texts_only_is_caught(tmp_path: Path) -> None:
    caught = 0
    for number in range(15):
        try:
            trial(tmp_path / "trial", number, SourceKernel, Tally())
        except Difference:
            caught += 1
    assert caught > 5


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        ("b = a", {"a"}),
        ("a = 1\nb = a", set()),
        ("def f(x):\n    return x + a", set()),
        ("def f(x):\n    return x + a\nb = f(1)", {"a"}),
        ("print([a for _ in range(2)])", {"a"}),
        ("items.append(1)", {"items", "alias"}),
        ("class K:\n    tally = a", {"a"}),
        ("try:\n    print(missing)\nexcept NameError:\n    pass", {"missing"}),
        ("def f():\n    global a\n    a = 5\n    return a\nf()", set()),
    ],
)
def test_names_that_a_cell_depends_on(tmp_path: Path, cells: str, read: set[str]) -> None:
    first = ("first", "a = 3\nitems = []\nalias = (items,)\nother = [1]")
    reference = plain.run([first, ("second", cells)], raw_files(), tmp_path / "fresh")
    assert reference.inputs["second"].names == read


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("with open('notes.txt') as s:\n    s.read()", {"notes.txt"}),
        ("with open('x.txt', 'w') as s:\n    s.write('1')\nwith open('x.txt') as s:\n    s.read()", set()),
        ("with open('x.txt', 'a') as s:\n    s.write('1')", {"x.txt"}),
        ("import os\nos.path.exists('x.txt')", {"exists x.txt"}),
        ("from pathlib import Path\nPath('x.txt').exists()", {"exists x.txt"}),
        ("import os\nos.listdir('.')", {"list ."}),
        ("import helper", {"helper.py"}),
        ("import json, math", set()),
        ("import subprocess\nsubprocess.run(['cp', 'notes.txt', 'x.txt'])", {"notes.txt"}),
        ("importuvfits('raw.fits', 'b.ms')", {"raw.fits", "exists b.ms"}),
        ("flagdata('a.ms', field='1')", {"a.ms", "a.ms.flagversions"}),
        ("flagdata('a.ms', mode='summary')", {"a.ms"}),
    ],
)
def test_files_that_a_cell_depends_on(tmp_path: Path, source: str, read: set[str]) -> None:
    cells = [("first", "importuvfits('raw.fits', 'a.ms')"), ("second", source)]
    reference = plain.run(cells, raw_files(), tmp_path / "fresh")
    assert reference.shown["second"].ok
    assert {name for name, _ in reference.inputs["second"].files} == read


def test_a_story_is_made_smaller() -> None:
    story = Story(
        tuple((f"c{n}", f"a = {n}\nb = 2\nc = 3") for n in range(12)), tuple(("run", f"c{n}") for n in range(20))
    )

    def fails(one: Story) -> bool:
        return ("run", "c7") in one.steps and any("a = 4" in text for _, text in one.cells)

    assert smaller(story, fails) == Story((("c4", "a = 4"),), (("run", "c7"),))
