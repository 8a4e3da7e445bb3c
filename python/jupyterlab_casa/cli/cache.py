"""``jupyter casa cache``: what a workspace remembers, and the upkeep of its store.

``info`` and ``list`` only read, so they answer while a kernel is busy; the others wait for it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from casa_recompute import housekeeping
from casa_recompute.ledger import LedgerError
from casa_recompute.ledger.reader import LedgerReader
from casa_recompute.settings import Settings, SettingsError, load_settings
from casa_recompute.store import StoreError
from casa_recompute.store.archive import Moved, export_workspace, import_workspace
from casa_recompute.words import duration
from casa_recompute.workspace import HOME, Workspace, WorkspaceBusy, WorkspaceError
from jupyterlab_casa import reports
from jupyterlab_casa.cli.text import FAILED, CommandError, emit, plural, say, size, table

_PATIENCE_S = 10.0


@contextmanager
def _ledger(workspace: Path) -> Iterator[LedgerReader]:
    """The ledger of a workspace.

    Raises:
        CommandError: nothing is remembered there, or it cannot be read.
    """
    path = workspace / HOME / "ledger.sqlite"
    if not path.exists():
        message = f"{workspace} is no workspace: nothing has been run there with the kernel casa"
        raise CommandError(message, FAILED)
    try:
        reader = LedgerReader(path)
        try:
            yield reader
        finally:
            reader.close()
    except LedgerError as error:
        message = f"{error}. The next kernel in {workspace} makes it anew from the store."
        raise CommandError(message, FAILED) from error


def info(arguments: argparse.Namespace) -> int:
    """Store, sizes, time saved."""
    workspace: Path = arguments.workspace.resolve()
    try:
        with _ledger(workspace) as ledger:
            found = reports.status(workspace, ledger, load_settings())
    except (SettingsError, StoreError) as error:
        raise CommandError(str(error), FAILED) from error
    if arguments.json:
        emit(found)
        return 0
    count, store = found["bytes"], found["store"]
    print(f"workspace   {workspace}")
    print(f"store       {store['kind']}: {store['reason']}")
    print(f"remembers   {found['calls']} calls, {found['versions']} versions of data products")
    print(f"saved       {duration(found['saved_s'])} in {found['restored']} restored calls")
    full = size(count["versions"])
    print(
        f"holds       {found['objects']} files, {size(count['objects'])}; full copies of all versions would be {full}"
    )
    shared = " (shared blocks once; some of them belong to the products, too)" if store["kind"] == "reflink" else ""
    print(f"on disk     {size(count['on_disk'])}{shared}; {size(count['free'])} free")
    print(f"budget      {size(count['budget'])} of disk for versions")
    print(f"ledger      {size(count['ledger'])}; logs {size(count['logs'])}")
    print(f"threads     {found['threads'] or 'not decided yet'}")
    return 0


@contextmanager
def _workspace(directory: Path) -> Iterator[tuple[Workspace, Settings]]:
    """The workspace and its lock.

    Raises:
        CommandError: nothing is remembered there, or a kernel is at work.
    """
    if not (directory / HOME / "ledger.sqlite").exists():
        message = f"{directory} is no workspace: nothing has been run there with the kernel casa"
        raise CommandError(message, FAILED)
    try:
        settings = load_settings()
        space = Workspace(directory, settings.store)
        try:
            with space.lock(patience=_PATIENCE_S):
                yield space, settings
        finally:
            space.close()
    except (SettingsError, StoreError, WorkspaceError, WorkspaceBusy, LedgerError) as error:
        raise CommandError(str(error), FAILED) from error


def verify_files(arguments: argparse.Namespace) -> int:
    """Read every stored file; exit code 1 when one was damaged or missing."""
    workspace: Path = arguments.workspace.resolve()
    told = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal told
        if time.monotonic() - told > 2:
            told = time.monotonic()
            say(f"{size(done)} of {size(total)}")

    with _workspace(workspace) as (space, _):
        found = housekeeping.verify(space, progress)
    bad = len(found.damaged) + len(found.missing)
    if arguments.json:
        lost = [{"path": path, "version": version} for path, version in found.lost]
        emit({"schema": reports.SCHEMA, "workspace": str(workspace), "ok": not bad, **asdict(found), "lost": lost})
        return FAILED if bad else 0
    print(f"{plural(found.files, 'file')}, {size(found.bytes)} read; {found.sealed} had no digest yet and got one")
    if bad:
        print(f"{len(found.damaged)} damaged, {len(found.missing)} missing. What needs them is computed again:")
        for path, version in found.lost:
            print(f"  {path} ({version[:14]})")
    else:
        print("Every file is as it was kept")
    return FAILED if bad else 0


def collect_garbage(arguments: argparse.Namespace) -> int:
    """Let versions go until the budget is kept."""
    workspace: Path = arguments.workspace.resolve()
    with _workspace(workspace) as (space, settings):
        budget = settings.budget if arguments.budget is None else arguments.budget
        found = housekeeping.plan_collection(space, budget, occupied=not space.alone())
        if not arguments.dry_run:
            housekeeping.collect(space, found)
    if arguments.json:
        emit(reports.collection(workspace, found, arguments.dry_run))
        return 0
    print(
        f"Versions take {size(found.physical)} of disk ({size(found.logical)} if each were a full copy); "
        f"they may take {size(found.goal)}"
    )
    lines = [
        (
            "goes" if not c.keep else "stays",
            c.task or "-",
            ", ".join(c.paths[:2]) + (f" and {len(c.paths) - 2} more" if len(c.paths) > 2 else ""),
            size(c.frees),
            duration(c.seconds) + (f" in {c.calls} calls" if c.calls > 1 else "") if c.task else "-",
            duration(c.age_s) if c.task else "-",
            c.keep or f"{c.score * 1e9:.3g} s per GB freed",
        )
        for c in found.candidates
    ]
    if lines:
        print(
            "The cheapest go first: least time to compute again (and what that needs and is gone), halved for each week"
        )
        print(
            "unused, for each byte freed. What an open notebook needs, what lies at its path or nobody can make, stays."
        )
        print(table(("", "made by", "products", "frees", "to compute", "unused for", "why"), lines, right=(3, 4, 5)))
    verb = "would be freed" if arguments.dry_run else "freed"
    print(f"{plural(len(found.going), 'call')}: {size(found.freed)} {verb}", end="")
    print(f"; {plural(len(found.orphans), 'file')} that nothing refers to" if found.orphans else "")
    if found.excess:
        print(f"{size(found.excess)} above the budget remain, because all else is needed")
    return 0


def list_versions(arguments: argparse.Namespace) -> int:
    """Every version of every data product."""
    workspace: Path = arguments.workspace.resolve()
    with _ledger(workspace) as ledger:
        versions = ledger.versions()
    if arguments.json:
        emit(reports.versions(workspace, versions))
        return 0
    print(
        table(
            ("product", "version", "made by", "when", "size", "kept", "now"),
            [
                (
                    v.path,
                    v.id[:14],
                    v.task or "-",
                    datetime.fromtimestamp(v.created).strftime("%Y-%m-%d %H:%M:%S"),
                    size(v.bytes),
                    "yes" if v.kept else "no",
                    "*" if v.present else "",
                )
                for v in versions
            ],
            right=(4,),
        )
    )
    return 0


def export(arguments: argparse.Namespace) -> int:
    """A workspace with its history into a file."""
    directory: Path = arguments.workspace.resolve()
    with _failing(), _workspace(directory) as (space, _):
        moved = export_workspace(space, arguments.file, portable=arguments.portable)
    return _tell(arguments, directory, moved)


def import_(arguments: argparse.Namespace) -> int:
    """A workspace with its history out of a file."""
    if not arguments.file.is_file():
        raise CommandError(f"{arguments.file} is no file")
    directory: Path = arguments.workspace.resolve()
    with _failing():
        moved = import_workspace(arguments.file, directory)
    return _tell(arguments, directory, moved)


@contextmanager
def _failing() -> Iterator[None]:
    """
    Raises:
        CommandError: what went wrong, in words.
    """
    try:
        yield
    except StoreError as error:
        raise CommandError(str(error), FAILED) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise CommandError(f"{where}{error.strerror or error}", FAILED) from error


def _tell(arguments: argparse.Namespace, workspace: Path, moved: Moved) -> int:
    if arguments.json:
        emit({"schema": reports.SCHEMA, "workspace": str(workspace), "file": str(arguments.file), **asdict(moved)})
    else:
        kind = "a ZFS stream" if moved.kind == "zfs" else "a tar archive"
        print(f"{workspace}\n{arguments.file}: {kind}, {size(moved.bytes)}")
    if moved.todo:
        say(f"An administrator has to mount it yet, which Linux lets nobody else do:\n  {moved.todo}")
    return 0
