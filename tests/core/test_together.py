"""Several kernels, and several people, with one memory."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from casa_recompute.housekeeping import collect, plan_collection
from casa_recompute.session import Session
from casa_recompute.workspace import HOME
from tests.core.crowd import lost
from tests.core.standin import chain, contents, fake_settings, in_cell, steps

Open = Callable[..., Session]
ROOT = Path(__file__).parents[2]


def stamps(directory: Path) -> dict[str, tuple[int, int, int]]:
    """What would tell of anything that was written there."""
    return {
        str(path): (info.st_ino, info.st_mtime_ns, info.st_size)
        for path in directory.rglob("*")
        # Where SQLite may, it counts its readers beside the file.
        if not path.name.startswith("ledger.sqlite-") and path.name != HOME and (info := path.lstat())
    }


def test_who_asks_for_what_another_kernel_is_computing_waits_and_gets_it(open_session: Open, tmp_path: Path) -> None:
    open_session()
    code = [sys.executable, "-m", "tests.core.crowd", str(tmp_path), "8"]
    done = subprocess.run(code, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert [kernel["error"] for kernel in found] == [""] * 8
    assert not [note for kernel in found for note in kernel["notes"] if "WARNING" in note]
    for call in ("common.ms", "common.ms flagged"):
        assert sorted(kernel["actions"][call] for kernel in found) == ["ran", *["restored"] * 7]
    made = contents(tmp_path)
    assert lost(tmp_path, 8) == []
    assert contents(tmp_path) == made


def test_what_the_group_has_computed_is_taken_over(open_session: Open, tmp_path: Path) -> None:
    group, own = tmp_path / "group", tmp_path / "own"
    theirs = open_session(group)
    chain(theirs)
    theirs.close()
    theirs.workspace.close()
    before = stamps(group)
    mine = open_session(own, shared=str(group))
    assert chain(mine) == ["restored"] * 7
    assert contents(own) == contents(group)
    assert stamps(group) == before
    assert reasons(mine) == [f"it has run on the same data in {group}"] * 7
    os.chdir(tmp_path)
    group.rename(tmp_path / "gone")
    assert chain(open_session(own), niter=3).count("ran") == 1
    assert chain(open_session(own)) == ["restored"] * 7


def reasons(session: Session) -> list[str]:
    return [row[0] for row in session.workspace.ledger._db.execute("SELECT reason FROM run ORDER BY id")]


def computed(directory: Path) -> Path:
    """A workspace in which a colleague has run the notebook; nobody works there now."""
    directory.mkdir()
    (directory / "raw.fits").write_bytes(b"raw data" * 1000)
    os.chdir(directory)
    session = Session(directory, fake_settings())
    chain(session)
    session.workspace._chores.do(lambda: False)
    session.close()
    session.workspace.close()
    return directory


def test_who_may_only_read_takes_over_too(tmp_path: Path) -> None:
    """In a process without any privilege, from a directory in which nobody may write."""
    group = computed(tmp_path / "group")
    for path in [*group.rglob("*"), group]:
        path.chmod(path.stat().st_mode & ~0o222)
    code = f"""
import os, sys
from pathlib import Path
from casa_recompute.session import Session
from tests.core.standin import chain, fake_settings
own, group = Path({str(tmp_path / "own")!r}), {str(group)!r}
try:
    open(group + "/x", "w")
except PermissionError:
    own.mkdir()
    (own / "raw.fits").write_bytes(b"raw data" * 1000)
    os.chdir(own)
    session = Session(own, fake_settings(shared=group))
    print(chain(session))
    os._exit(0)
"""
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    done = subprocess.run([*bare, sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    for path in [group, *group.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    assert done.stdout.strip() == str(["restored"] * 7), done.stderr
    assert contents(tmp_path / "own") == contents(group)


def test_a_colleague_at_work_is_not_waited_for(open_session: Open, tmp_path: Path) -> None:
    theirs = open_session(tmp_path / "group")
    chain(theirs)
    mine = open_session(tmp_path / "own", shared=str(tmp_path / "group"))
    with theirs.workspace.lock():
        assert chain(mine) == ["restored"] * 7


def test_only_what_is_the_same_is_taken_over(open_session: Open, tmp_path: Path) -> None:
    group = computed(tmp_path / "group")
    mine = open_session(tmp_path / "own", shared=f"{group}:{tmp_path / 'own'}")
    assert chain(mine, solint="60s") == ["restored"] * 3 + ["ran"] * 4
    (tmp_path / "own" / "raw.fits").write_bytes(b"other raw data")
    assert chain(mine) == ["ran"] * 7


def test_what_the_group_let_go_is_computed(open_session: Open, tmp_path: Path) -> None:
    group = computed(tmp_path / "group")
    theirs = open_session(group)
    with theirs.workspace.lock():
        for path in theirs.workspace.ledger.known_paths():
            theirs.workspace.ledger.forget_presence(path)
        everything = plan_collection(theirs.workspace, 1, occupied=False)
        going = [replace(candidate, keep="") for candidate in everything.candidates if candidate.task == "split"]
        assert going
        collect(theirs.workspace, replace(everything, candidates=going))
    mine = open_session(tmp_path / "own", shared=str(group))
    assert chain(mine) == ["restored"] * 5 + ["ran", "restored"]


def test_what_both_have_is_kept_once(open_session: Open, tmp_path: Path) -> None:
    group = computed(tmp_path / "group")
    count = Session(group, fake_settings()).workspace.store.usage().objects
    mine = open_session(tmp_path / "own", shared=str(group), store="copy")
    chain(mine)
    assert mine.workspace.store.usage().objects <= count


@pytest.mark.parametrize("kind", ["none", "newer", "damaged"])
def test_a_group_that_cannot_be_read_is_told_once_and_nothing_else_changes(
    open_session: Open, tmp_path: Path, kind: str
) -> None:
    group = tmp_path / "group"
    if kind != "none":
        computed(group)
        ledger = group / HOME / "ledger.sqlite"
        if kind == "damaged":
            ledger.write_bytes(b"no ledger at all" * 1000)
        else:
            with sqlite3.connect(ledger) as db:
                db.execute("UPDATE meta SET value = '999' WHERE name = 'schema'")
    mine = open_session(tmp_path / "own", shared=str(group))
    outcomes = [in_cell(mine, cell, task, **arguments) for cell, task, arguments in steps()]
    assert [outcome.action for outcome in outcomes] == ["ran"] * 7
    assert [note for outcome in outcomes for note in outcome.notes if str(group) in note] == list(outcomes[0].notes)
    assert len(outcomes[0].notes) == 1


def test_a_damaged_file_of_the_group_is_not_taken_over(open_session: Open, tmp_path: Path) -> None:
    group = computed(tmp_path / "group")
    for path in (group / HOME / "store").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(b"garbage")
    mine = open_session(tmp_path / "own", shared=str(group))
    assert chain(mine) == ["ran"] * 7
    assert contents(tmp_path / "own") == contents(group)
