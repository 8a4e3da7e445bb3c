"""What a workspace holds, as JSON: what ``jupyter casa cache --json`` prints and the server answers."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from casa_recompute.housekeeping import Collection, allowance
from casa_recompute.ledger.reader import LedgerReader, VersionInfo
from casa_recompute.settings import Settings
from casa_recompute.store import CowStore, open_store
from casa_recompute.store.extents import Blocks, all_extents
from casa_recompute.workspace import HOME

SCHEMA = 1
"""Version of the JSON objects."""


def status(workspace: Path, ledger: LedgerReader, settings: Settings) -> dict[str, Any]:
    """Store, sizes, time saved.

    Raises:
        LedgerError: the ledger cannot be read.
        StoreError: the store that the settings ask for does not work there.
    """
    totals, threads = ledger.totals(), ledger.meta("threads")
    store = open_store(workspace / HOME / "store", settings.store)
    usage = store.usage()
    on_disk = usage.on_disk if usage.on_disk is not None else _physical(store)
    database = [workspace / HOME / f"ledger.sqlite{suffix}" for suffix in ("", "-wal", "-shm")]
    return {
        "schema": SCHEMA,
        "workspace": str(workspace),
        "store": {"kind": store.name, "reason": store.reason},
        "objects": usage.objects,
        "bytes": {
            "versions": totals.logical_bytes,
            "objects": usage.bytes,
            "on_disk": on_disk,
            "budget": allowance(workspace / HOME, store.name, settings.budget, on_disk),
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


def _physical(store: CowStore) -> int:
    """Bytes of disk that stored files take, blocks that they share counted once."""
    names = store.objects()
    return Blocks(all_extents({name: store.path(name) for name in names})).taken(names)


def versions(workspace: Path, found: Iterable[VersionInfo]) -> dict[str, Any]:
    """Versions of data products."""
    rows = [{**asdict(version), "created": time_of(version.created)} for version in found]
    return {"schema": SCHEMA, "workspace": str(workspace), "versions": rows}


def collection(workspace: Path, found: Collection, dry_run: bool) -> dict[str, Any]:
    """What went, or would go, to keep the budget, and why the rest stays."""
    # JSON has no infinity: nothing is freed
    rows = [{**asdict(c), "score": c.score if c.frees else None} for c in found.candidates]
    report = {"dry_run": dry_run, "physical": found.physical, "logical": found.logical}
    report |= {"goal": found.goal, "freed": found.freed, "excess": found.excess, "orphans": len(found.orphans)}
    return {"schema": SCHEMA, "workspace": str(workspace), **report, "candidates": rows}


def time_of(seconds: float) -> str:
    """ISO 8601 in UTC, of Unix seconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()
