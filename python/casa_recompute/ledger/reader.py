"""Reading a ledger from outside: while kernels work, without waiting for them, without ever writing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from casa_recompute.ledger.ledger import SCHEMA_VERSION, LedgerError, connect_readonly, refuse_foreign
from casa_recompute.products import ABSENT, Manifest


@dataclass(frozen=True)
class Run:
    """One use of a call; times in seconds."""

    id: int
    key: str | None
    task: str
    cell: str
    action: str  # "ran", "restored", "watched", "failed"
    reason: str
    seconds: float
    saved_s: float


@dataclass(frozen=True)
class VersionInfo:
    """One version of a product, without its manifest."""

    id: str
    path: str
    task: str | None  # that made it; None: identified by content
    key: str | None
    bytes: int  # of all its files, shared or not
    kept: bool  # whether the store holds it
    present: bool  # whether it was at its path when somebody last looked
    also: list[str]  # other paths at which it was then
    created: float  # Unix seconds


@dataclass(frozen=True)
class Totals:
    """Counts and sums of a workspace."""

    calls: int
    versions: int
    logical_bytes: int  # if every kept version were a full copy
    restored: int  # uses of a call that were served from memory
    saved_s: float


class LedgerReader:
    """A ledger that exists, read only. May be used while kernels write to it."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            LedgerError: there is none, or it cannot be read.
        """
        if not path.is_file():
            raise LedgerError(f"{path}: there is none")
        self._path = path
        with self._reading():
            self._db = connect_readonly(path)[0]
        try:
            with self._reading():
                row = self._db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
            if row is None or row[0] != SCHEMA_VERSION:
                raise LedgerError(f"{path}: made by another version of this software")
            with self._reading():
                refuse_foreign(self._db, path)
        except LedgerError:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file; harmless when closed already."""
        self._db.close()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise LedgerError(f"{self._path}: cannot be read ({error})") from error

    def last_run(self) -> int:
        """The number of the newest use of a call, 0 when there is none."""
        with self._reading():
            return int(self._db.execute("SELECT coalesce(max(id), 0) FROM run").fetchone()[0])

    def runs_after(self, number: int) -> list[Run]:
        """Uses of calls that are newer than ``number``, oldest first."""
        columns = "id, key, task, cell, action, reason, seconds, saved"
        with self._reading():
            rows = self._db.execute(f"SELECT {columns} FROM run WHERE id > ? ORDER BY id", (number,))
            return [Run(*row) for row in rows]

    def durations(self, task: str, count: int) -> tuple[int, list[float]]:
        """How often a task ran, restored calls not counted, and the seconds that the last ``count`` runs took."""
        ran = "FROM run WHERE task = ? AND action IN ('ran', 'watched')"
        with self._reading():
            total = self._db.execute(f"SELECT count(*) {ran}", (task,)).fetchone()[0]
            rows = self._db.execute(f"SELECT seconds {ran} ORDER BY id DESC LIMIT ?", (task, count)).fetchall()
        return total, [seconds for (seconds,) in rows]

    def meta(self, name: str) -> str | None:
        """A remembered fact of the workspace."""
        with self._reading():
            row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def versions(self, path: str | None = None) -> list[VersionInfo]:
        """Every version, or those of the product at a path, by path and age."""
        query = (
            "SELECT version.id, version.path, call.task, version.call, version.bytes, version.kept, "
            "version.created FROM version LEFT JOIN call ON call.key = version.call "
            "WHERE version.id != ? AND version.path = coalesce(?, version.path) ORDER BY version.path, version.created"
        )
        with self._reading():
            rows = self._db.execute(query, (ABSENT, path)).fetchall()
            places: dict[str, list[str]] = {}
            for place, version in self._db.execute("SELECT path, version FROM presence ORDER BY path"):
                places.setdefault(version, []).append(place)
        found = []
        for number, home, task, key, count, kept, created in rows:
            there = places.get(number, [])
            also = [place for place in there if place != home]
            found.append(VersionInfo(number, home, task, key, count, bool(kept), home in there, also, created))
        return found

    def objects(self) -> Iterator[tuple[str, str, dict[str, int]]]:
        """Of each version that the store holds: id, path, and the size of each stored file that belongs to it.

        Raises:
            ValueError: a record is damaged.
        """
        query = "SELECT id, path, manifest FROM version WHERE kept AND id != ? ORDER BY path, created"
        with self._reading():
            for number, path, packed in self._db.execute(query, (ABSENT,)):
                files = Manifest.unpack(packed).files.values()
                yield number, path, {entry.object: entry.size for entry in files if entry.object is not None}

    def totals(self) -> Totals:
        """Counts and sums for people."""
        query = (
            "SELECT (SELECT count(*) FROM call), (SELECT count(*) FROM version WHERE id != ?), "
            "(SELECT coalesce(sum(bytes), 0) FROM version WHERE kept), "
            "(SELECT count(*) FROM run WHERE action = 'restored'), (SELECT coalesce(sum(saved), 0) FROM run)"
        )
        with self._reading():
            return Totals(*self._db.execute(query, (ABSENT,)).fetchone())
