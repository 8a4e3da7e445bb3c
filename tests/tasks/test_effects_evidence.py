"""The effects table against reality: each case is run by CASA, and what changed on disk is what the table said.

One CASA process runs all cases (`evidence_driver.py`), each in a directory of its own on small data; here every case
is one test that applies the table to what was recorded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from evidence_cases import CASES, Case
from xvfbwrapper import Xvfb

from casa_recompute.tasks import Catalogue, effects
from casa_recompute.tasks.effects import Access, Effects

Tree = dict[str, list[Any]]  # relative path -> digest, mtime
TESTED = "6.7.0.31"  # the casatasks whose evidence the table holds


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, casa_environment: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What the driver recorded, by the name of the case."""
    place = tmp_path_factory.mktemp("evidence")
    driver = Path(__file__).with_name("evidence_driver.py")
    with Xvfb(width=1600, height=1200, colordepth=24) as display:
        environment = casa_environment | {"DISPLAY": f":{display.new_display}", "OMP_NUM_THREADS": "2"}
        with (place / "output.txt").open("w") as output:
            done = subprocess.run(
                [sys.executable, str(driver), str(place)],
                cwd=place,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=1500,  # two minutes on an idle machine
            )
    assert done.returncode == 0, (place / "output.txt").read_text()[-3000:]
    return {r["name"]: r for r in map(json.loads, (place / "results.jsonl").read_text().splitlines())}


def changes(before: Tree, after: Tree) -> tuple[set[str], set[str]]:
    """The paths that were changed, created or removed, and those of which only the time changed."""
    changed = {p for p in before.keys() | after.keys() if (before.get(p) or [0])[0] != (after.get(p) or [0])[0]}
    return changed, {p for p in before.keys() & after.keys() if before[p][1] != after[p][1]} - changed


def lies_in(path: str, access: Access) -> bool:
    """Whether `path` is what the access names, or below it."""
    upwards = [path, *(str(p) for p in PurePosixPath(path).parents)]
    if access.pattern is not None:
        return any(fnmatchcase(p, access.pattern) for p in upwards)
    return os.path.normpath(access.path) in upwards


def effects_of(case: Case, catalogue: Catalogue, before: Tree) -> Effects:
    """What the table says about the case, given the files that were there before it."""

    def exists(path: str) -> bool:
        return os.path.normpath(path) in before or (os.path.isabs(path) and os.path.exists(path))

    task = catalogue[case.task]
    bound = task.bind((), case.arguments)
    return effects.resolve(task, bound, exists, case.texts.get)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_changed_is_what_the_table_says(
    case: Case,
    catalogue: Catalogue,
    recorded: dict[str, dict[str, Any]],
    record_property: Callable[[str, object], None],
) -> None:
    record = recorded[case.name]
    assert record["error"] == ""
    before, after = record["before"], record["after"]
    changed, touched = changes(before, after)
    found = effects_of(case, catalogue, before)
    outputs = [a for a in found.accesses if a.mode != "read"]
    if found.trusted:
        assert {p for p in changed if not any(lies_in(p, a) for a in outputs)} == set(), "not in the table"
    promised = [a for a in outputs if a.mode == "write" and a.role not in found.optional]
    assert [a.path for a in promised if os.path.normpath(a.path) not in after] == [], "promised, but not made"
    inputs = [a for a in found.accesses if a.mode == "read"]
    assert {p for p in changed if any(lies_in(p, a) for a in inputs)} == set(), "said to stay as it is"
    record_property("touched", sorted(p for p in touched if any(lies_in(p, a) for a in inputs)))
    named = {p for p in before if "/" not in p and before[p][0]}
    assert {p for p in named if _is_used(p, case) and not any(lies_in(p, a) for a in found.accesses)} == set()


def _is_used(name: str, case: Case) -> bool:
    """Whether an argument of the call is this input's very name: then the table has to say something about it."""
    values = [v for value in case.arguments.values() for v in (value if isinstance(value, list) else [value])]
    return name in values


def test_the_evidence_in_the_table_is_what_was_run(catalogue: Catalogue) -> None:
    """Each entry's `evidence` names the modes of its cases; the rest says honestly that it was only read."""
    if catalogue.version != TESTED:
        pytest.fail(f"the evidence is for casatasks {TESTED}, this is {catalogue.version}: run it, and say so there")
    modes: dict[str, list[str]] = {}
    for case in CASES:
        modes.setdefault(case.task, []).append(case.mode)
    for name, entry in effects.table().items():
        ran = f"tree-diff {TESTED}: {', '.join(modes[name])}" if name in modes else "reading only"
        assert entry.evidence == ran, name


def test_most_tasks_are_evidenced() -> None:
    assert len({case.task for case in CASES}) >= 100
