"""The differential oracle: whatever was edited, moved, deleted, run and changed before, re-running what is stale
leaves every output, name and file as a run from top to bottom in a new kernel and directory does; and not much more is
executed than must be.

``ORACLE_SEED`` and ``ORACLE_EXAMPLES`` in the environment choose other and more sequences (`make test-oracle`);
``ORACLE_WALKS`` how many of them are in one kernel that lives on.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.oracle.generator import Author
from tests.oracle.regressions import REGRESSIONS
from tests.oracle.shell import ShellKernel
from tests.oracle.summary import EXAMPLES, SEED, TALLY, WALKED, WALKS
from tests.oracle.trial import Difference, Story, Tally, Trial, smaller

MINIMAL = 1.10
KINDS = {"new kernels": TALLY, "a kernel that lives on": WALKED}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A directory for a sequence: in memory where there is such a thing, because nothing is to outlive the test."""
    memory = Path("/dev/shm")
    place = (memory if os.access(memory, os.W_OK) else tmp_path) / f"oracle-{os.getpid()}"
    shutil.rmtree(place, ignore_errors=True)
    return place


def replay(top: Path, story: Story) -> None:
    """Run a story."""
    trial = Trial(top, list(story.cells), ShellKernel, Tally())
    try:
        trial.run(story.steps)
    finally:
        trial.close()


def failure(top: Path, story: Story) -> Difference | None:
    """How a story fails."""
    try:
        replay(top, story)
    except Difference as difference:
        return difference
    return None


def told(top: Path, story: Story, error: Difference) -> str:
    """A failure, with the smallest story that has one of its kind."""

    def fails(one: Story) -> bool:
        found = failure(top, one)
        return found is not None and found.kind == error.kind

    least = smaller(story, fails)
    return f"{failure(top, least)}\nFor tests/oracle/regressions.py:\n{least}"


@pytest.mark.parametrize("name", REGRESSIONS)
def test_what_once_differed(top: Path, name: str) -> None:
    replay(top, REGRESSIONS[name])


@pytest.mark.parametrize("number", range(EXAMPLES))
def test_any_history_then_a_rerun_equals_a_run_from_top_to_bottom(top: Path, number: int) -> None:
    """Sequence ``number`` of a seed is the same wherever it runs; what hypothesis draws depends on what is imported."""
    tried(top, number, Author(random.Random(f"{SEED} {number}")), TALLY)


@pytest.mark.parametrize("number", range(WALKS))
def test_a_walk_in_a_kernel_that_has_seen_anything_equals_a_run_from_top_to_bottom(top: Path, number: int) -> None:
    """The same in one kernel that lives on, as from a browser: whatever was left in it, by cells in any order, by
    consoles and widgets, by walks that were interrupted; and then its names and products are as after the last cell."""
    tried(top, number, Author(random.Random(f"walk {SEED} {number}"), living=True), WALKED)


def tried(top: Path, number: int, author: Author, tally: Tally) -> None:
    """Try what an author does."""
    cells = author.notebook()
    trial = Trial(top, cells, ShellKernel, tally)
    began = time.monotonic()
    try:
        trial.run(author.steps(trial.cells, trial.made))
    except Difference as error:
        trial.close()
        raise AssertionError(
            f"sequence {number}: {told(top, Story(tuple(cells), tuple(trial.done)), error)}"
        ) from error
    finally:
        trial.close()
    tally.sequences += 1
    tally.seconds += time.monotonic() - began


@pytest.mark.parametrize(("kind", "tally"), KINDS.items(), ids=KINDS)
def test_not_much_more_is_executed_than_must_be(
    kind: str, tally: Tally, record_property: Callable[[str, object], None]
) -> None:
    """Of the sequences above."""
    record_property("oracle", f"oracle, {kind}: seed {SEED}, {tally}")
    assert tally.reruns > 0
    assert tally.twice == 0
    assert tally.ratio <= MINIMAL
