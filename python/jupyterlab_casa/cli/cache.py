"""``jupyter casa cache``: what a workspace remembers. Reads only, so it answers while a kernel is busy."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from casa_recompute.ledger import LedgerError
from casa_recompute.ledger.reader import LedgerReader
from casa_recompute.settings import SettingsError, load_settings
from casa_recompute.store import StoreError, open_store
from casa_recompute.words import duration
from casa_recompute.workspace import HOME
from jupyterlab_casa.cli.text import FAILED, CommandError, emit, size, table

SCHEMA = 1
"""Version of both JSON objects."""


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
    with _ledger(workspace) as ledger:
        totals = ledger.totals()
        threads = ledger.meta("threads")
    try:
        settings = load_settings()
        store = open_store(workspace / HOME / "store", settings.store)
    except (SettingsError, StoreError) as error:
        raise CommandError(str(error), FAILED) from error
    usage = store.usage()
    database = [workspace / HOME / f"ledger.sqlite{suffix}" for suffix in ("", "-wal", "-shm")]
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "workspace": str(workspace),
        "store": {"kind": store.name, "reason": store.reason},
        "objects": usage.objects,
        "bytes": {
            "versions": totals.logical_bytes,
            "objects": usage.bytes,
            "on_disk": _blocks(workspace / HOME / "store"),
            "free": shutil.disk_usage(workspace).free,
            "ledger": sum(path.stat().st_size for path in database if path.exists()),
            "logs": sum(path.stat().st_size for path in (workspace / HOME / "log").glob("*.log")),
        },
        "calls": totals.calls,
        "versions": totals.versions,
        "restored": totals.restored,
        "saved_s": totals.saved_s,
        "threads": settings.threads or (int(threads) if threads else None),
    }
    if arguments.json:
        emit(found)
        return 0
    count = found["bytes"]
    print(f"workspace   {workspace}")
    print(f"store       {store.name}: {store.reason}")
    print(f"remembers   {totals.calls} calls, {totals.versions} versions of data products")
    print(f"saved       {duration(totals.saved_s)} in {totals.restored} restored calls")
    full = size(count["versions"])
    print(
        f"holds       {usage.objects} files, {size(usage.bytes)}; full copies of all versions would be {full}"
    )
    shared = " (blocks shared with the products included)" if store.name != "copy" else ""
    print(f"on disk     {size(count['on_disk'])}{shared}; {size(count['free'])} free")
    print(f"ledger      {size(count['ledger'])}; logs {size(count['logs'])}")
    print(f"threads     {found['threads'] or 'not decided yet'}")
    return 0


def _blocks(root: Path) -> int:
    """Bytes of disk that a tree takes; blocks that several files share are counted for each of them."""
    total = 0
    for directory, _, names in os.walk(root):
        for name in names:
            try:
                total += os.lstat(os.path.join(directory, name)).st_blocks * 512
            except FileNotFoundError:  # taken away meanwhile by a kernel
                continue
    return total


def list_versions(arguments: argparse.Namespace) -> int:
    """Every version of every data product."""
    workspace: Path = arguments.workspace.resolve()
    with _ledger(workspace) as ledger:
        versions = ledger.versions()
    if arguments.json:
        rows = [
            {**asdict(v), "created": datetime.fromtimestamp(v.created, UTC).isoformat()} for v in versions
        ]
        emit({"schema": SCHEMA, "workspace": str(workspace), "versions": rows})
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
