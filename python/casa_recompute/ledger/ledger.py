"""Queries over the schema. Each public method is one transaction, or joins the one opened by ``transaction``."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from casa_recompute.notebook.model import CallUse, CellRun
from casa_recompute.products import ABSENT, Manifest, Tree

SCHEMA_VERSION = "5"
_DISK_FAILS = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
_REMEMBERED = 256  # versions, and states of paths, held in memory


class LedgerError(RuntimeError):
    """The ledger cannot be used; the message says what to do."""


class LedgerUnreadable(LedgerError, OSError):
    """The disk fails, or is full: nothing is wrong with the ledger as far as one can tell."""


class NewerLedger(LedgerError):
    """The ledger was made by a newer version of this software, which alone may touch it."""


@dataclass(frozen=True)
class Version:
    """One immutable state of a product."""

    id: str
    path: str
    call: str | None
    manifest: Manifest
    content: str | None = None
    canonical: str | None = None


@dataclass(frozen=True)
class Presence:
    """What was at a path when it was last looked at."""

    version: str
    signature: bytes
    tree: Tree


@dataclass(frozen=True)
class CallRecord:
    """A memoised call: all that is needed to give its results again."""

    key: str
    shape: str
    task: str
    arguments: dict[str, Any]
    inputs: dict[str, str]  # product path -> version read or modified
    outputs: dict[str, str]  # product path -> version afterwards
    value: Any  # encoded, see runner/worker/codec.py
    stdout: str
    log: str
    pictures: list[dict[str, Any]]  # {"name", "mime", "object", "size", "mtime_ns"}
    seconds: float
    created: float
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Touch:
    """What a cell, as it last ran, did to a product; ``before == after``: read it only."""

    cell: str
    path: str
    notebook: str
    before: str
    after: str


class Value(NamedTuple):
    """What is known of a value of a Python name."""

    version: str
    uses: tuple[str, ...]  # names that functions in it use
    size: int = 0  # bytes of its packed form; 0: it has none
    data: bytes | None = None  # that form, unless it lies in a file
    within: str | None = None  # "<version> <name>": it is kept as part of that one


@dataclass(frozen=True)
class Pending:
    """A step that was under way; see the schema."""

    id: int
    kind: str
    task: str
    versions: dict[str, str]
    patterns: list[str]


class Ledger:
    """One workspace's memory. Not thread safe; several processes may have it open."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        """Open the ledger at ``path``, made if need be.

        Args:
            path: the file.
            readonly: only look; states of products that are identified meanwhile are remembered by this object alone.

        Raises:
            NewerLedger: it was made by a newer version of this software; nothing was touched.
            LedgerUnreadable: the disk fails.
            LedgerError: it is damaged, or of an older version; or, read only, there is none.
        """
        self.path = path
        self._steps = path.with_name(path.name + "-steps")
        self.readonly = readonly
        self._versions: dict[str, Version] = {}
        self._presences: dict[str, Presence] = {}
        self._learned: dict[str, tuple[Presence, Version, list[str]]] = {}  # read only: what lies at paths
        self._data_version = 0
        self.fixed = False  # whether SQLite takes it that nobody writes
        self.generation = 0  # counts how often another process was found to have written
        if readonly and not path.is_file():
            raise LedgerError(f"{path}: there is none")
        if not readonly:
            self._look_first()
        try:
            if readonly:
                self._db, self.fixed = connect_readonly(path)
                self._check_schema()
                return
            self._db = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            with self.transaction():
                if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                    schema = re.sub(r"--.*", "", files(__package__).joinpath("schema.sql").read_text())
                    for statement in schema.split(";"):
                        self._db.execute(statement)
                    self.set_meta("schema", SCHEMA_VERSION)
                    self.add_version(Version(ABSENT, "", None, Manifest({})))
                # A ledger that is older than these has none.
                self._db.execute(_SEALS)
                self._db.execute(_USED)
            self._check_schema()
            check = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            raise _trouble(path, str(error), getattr(error, "sqlite_errorcode", 0)) from error
        if check != "ok":
            code = re.search(r"error code=(\d+)", check)  # it reads on, and tells of pages that the disk did not give
            raise _trouble(path, " ".join(check.split()), int(code[1]) if code else 0)

    def _look_first(self) -> None:
        """Before anything could be written, even by opening the file."""
        if not self.path.is_file() or not self.path.stat().st_size:
            return
        try:
            with contextlib.closing(connect_readonly(self.path)[0]) as db:
                row = db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
        except sqlite3.Error:
            return  # damaged: that is told when it is opened
        self._refuse_newer(row[0] if row is not None else None)

    def _refuse_newer(self, found: str | None) -> None:
        if found is not None and found.isdigit() and int(found) > int(SCHEMA_VERSION):
            raise NewerLedger(
                f"{self.path}: made by a newer version of JupyterLab-CASA (schema {found}, here {SCHEMA_VERSION}): "
                "update this one, or work in another directory"
            )

    def _check_schema(self) -> None:
        found = self.meta("schema")
        self._refuse_newer(found)
        if found != SCHEMA_VERSION:
            raise LedgerError(f"{self.path}: made by another version of this software (schema {found})")

    def refresh(self) -> None:
        """Forget what was read before another process wrote; to be called when one gets the workspace's lock."""
        data_version = self._db.execute("PRAGMA data_version").fetchone()[0]
        if data_version != self._data_version:
            self._data_version = data_version
            self.generation += 1
            self._versions.clear()
            self._presences.clear()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Within, what others write is not seen. To be called by who only reads."""
        self._db.execute("BEGIN")
        try:
            self._db.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
            self.refresh()
            yield
        finally:
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file; harmless when closed already."""
        self._db.close()

    def sync(self) -> None:
        """Make what was committed survive a power cut.

        Raises:
            OSError: the disk does not do it.
        """
        try:
            handle = os.open(f"{self.path}-wal", os.O_RDONLY)
        except FileNotFoundError:
            return  # nothing was written since it was opened
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that happens inside is committed together at the end, or not at all; may be nested."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._versions.clear()
            self._presences.clear()
            if self._db.in_transaction:  # SQLite may have rolled back by itself, as on a full disk
                self._db.execute("ROLLBACK")
            raise

    # -- meta ---------------------------------------------------------------------------------------------------

    def meta(self, name: str) -> str | None:
        """A remembered fact of the workspace."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set_meta(self, name: str, value: str) -> None:
        """Remember a fact of the workspace."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    # -- versions and presence -----------------------------------------------------------------------------------

    def version(self, version_id: str) -> Version | None:
        """A version by its id."""
        known = self._versions.get(version_id)
        if known is not None:
            return known
        row = self._db.execute(
            "SELECT id, path, call, manifest, content, canonical FROM version WHERE id = ?", (version_id,)
        ).fetchone()
        if row is None:
            return next((version for _, version, _ in self._learned.values() if version.id == version_id), None)
        version = Version(row[0], row[1], row[2], Manifest.unpack(row[3]), row[4], row[5])
        if len(self._versions) >= _REMEMBERED:
            self._versions.clear()
        self._versions[version_id] = version
        return version

    def versions_at(self, path: str) -> list[str]:
        """Ids of the versions that were first seen or made at ``path``, newest first."""
        rows = self._db.execute("SELECT id FROM version WHERE path = ? ORDER BY created DESC", (path,))
        return [row[0] for row in rows]

    def add_version(self, version: Version) -> None:
        """Add a version, or replace what is known of it (it became kept, its digests became known)."""
        if self.readonly:
            self._versions[version.id] = version
            return
        self._db.execute(
            "INSERT INTO version VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "manifest = excluded.manifest, kept = excluded.kept, content = coalesce(excluded.content, content), "
            "canonical = coalesce(excluded.canonical, canonical)",
            (
                version.id,
                version.path,
                version.call,
                version.manifest.pack(),
                version.manifest.size,
                version.manifest.kept,
                version.content,
                version.canonical,
                time.time(),
            ),
        )
        self._versions.pop(version.id, None)

    def set_canonical(self, version_id: str, canonical: str) -> None:
        """Remember the identity of a version's data."""
        self._versions.pop(version_id, None)
        self._db.execute("UPDATE version SET canonical = ? WHERE id = ?", (canonical, version_id))

    def presence(self, path: str) -> Presence | None:
        """What was at ``path`` when it was last looked at."""
        known = self._presences.get(path)
        if known is not None:
            return known
        if path in self._learned:
            return self._learned[path][0]
        row = self._db.execute("SELECT version, signature, tree FROM presence WHERE path = ?", (path,)).fetchone()
        if row is None:
            return None
        return Presence(row[0], row[1], Tree({name: tuple(seen) for name, seen in json.loads(row[2]).items()}))

    def present_version(self, path: str, signature: bytes) -> str | None:
        """The version at ``path`` if its signature is still ``signature``."""
        row = self._db.execute(
            "SELECT version FROM presence WHERE path = ? AND signature = ?", (path, signature)
        ).fetchone()
        if row is None and path in self._learned:
            known, _, others = self._learned[path]
            # A version that was made there since could be the same.
            return known.version if known.signature == signature and others == self.versions_at(path) else None
        return row[0] if row else None

    def set_presence(self, path: str, version: str, signature: bytes, tree: Tree) -> None:
        """Remember what is at ``path`` now."""
        if self.readonly:
            known = self.version(version)
            assert known is not None
            self._learned[path] = Presence(version, signature, tree), known, self.versions_at(path)
            return
        if len(self._presences) >= _REMEMBERED:
            self._presences.clear()
        self._presences[path] = Presence(version, signature, tree)
        text = json.dumps(tree.rows, separators=(",", ":"))
        self._db.execute("INSERT OR REPLACE INTO presence VALUES (?, ?, ?, ?)", (path, version, signature, text))

    def known_paths(self) -> list[str]:
        """Every product path ever looked at, sorted."""
        return [row[0] for row in self._db.execute("SELECT path FROM presence ORDER BY path")]

    def add_seals(self, seals: Iterable[tuple[str, str]]) -> None:
        """Remember digests of stored files."""
        rows = list(seals)
        if rows:
            with self.transaction():
                self._db.executemany("INSERT OR REPLACE INTO seal VALUES (?, ?)", rows)

    def seal(self, name: str) -> str | None:
        """The digest of a stored file, if it was taken."""
        row = self._db.execute("SELECT digest FROM seal WHERE object = ?", (name,)).fetchone()
        return row[0] if row else None

    def seals(self) -> dict[str, str]:
        """Stored file -> digest."""
        return dict(self._db.execute("SELECT object, digest FROM seal").fetchall())

    def drop_seals(self, objects: Iterable[str]) -> None:
        """Forget digests of files that are no longer stored."""
        with self.transaction():
            self._db.executemany("DELETE FROM seal WHERE object = ?", [(name,) for name in objects])

    def version_ids(self) -> list[str]:
        """Every version, oldest first."""
        return [row[0] for row in self._db.execute("SELECT id FROM version ORDER BY created")]

    def forget_presence(self, path: str) -> None:
        """What is at ``path`` has to be looked at again, byte by byte."""
        self._presences.pop(path, None)
        self._db.execute("DELETE FROM presence WHERE path = ?", (path,))

    def last_uses(self) -> dict[str, float]:
        """Key of a call -> when it was last made or restored (Unix seconds)."""
        return dict(self._db.execute("SELECT key, max(started) FROM run WHERE key IS NOT NULL GROUP BY key").fetchall())

    def present_stories(self) -> dict[str, set[str]]:
        """Notebook -> versions of products that its cells, as they last ran, met and left."""
        stories: dict[str, set[str]] = {}
        query = "SELECT notebook, before, after FROM touch UNION SELECT notebook, version, version FROM found"
        for notebook, *versions in self._db.execute(query):
            stories.setdefault(notebook, set()).update(versions)
        return stories

    def all_calls(self) -> list[CallRecord]:
        """Every memoised call, oldest first."""
        return [unpack_call(row[0]) for row in self._db.execute("SELECT record FROM call ORDER BY created")]

    # -- calls ----------------------------------------------------------------------------------------------------

    def call(self, key: str) -> CallRecord | None:
        """The memoised call with this key."""
        row = self._db.execute("SELECT record FROM call WHERE key = ?", (key,)).fetchone()
        return unpack_call(row[0]) if row else None

    def calls_of_shape(self, shape: str, limit: int = 8) -> list[CallRecord]:
        """The newest calls that differ from each other in the versions of their inputs only."""
        rows = self._db.execute("SELECT record FROM call WHERE shape = ? ORDER BY created DESC LIMIT ?", (shape, limit))
        return [unpack_call(row[0]) for row in rows]

    def calls_of_task(self, task: str, limit: int = 5) -> list[CallRecord]:
        """The newest calls of a task."""
        rows = self._db.execute("SELECT record FROM call WHERE task = ? ORDER BY created DESC LIMIT ?", (task, limit))
        return [unpack_call(row[0]) for row in rows]

    def calls_in_cell(self, cell: str, task: str, limit: int = 3) -> list[CallRecord]:
        """The calls of a task that a cell made last, newest first."""
        rows = self._db.execute(
            "SELECT call.record FROM run JOIN call ON call.key = run.key WHERE run.cell = ? AND run.task = ? "
            "GROUP BY run.key ORDER BY max(run.id) DESC LIMIT ?",
            (cell, task, limit),
        )
        return [unpack_call(row[0]) for row in rows]

    def add_call(self, record: CallRecord, packed: bytes | None = None) -> None:
        """Remember a call; a call of the same key that was there is replaced. ``packed``: the record, if at hand."""
        self._db.execute(
            "INSERT OR REPLACE INTO call VALUES (?, ?, ?, ?, ?, ?)",
            (record.key, record.shape, record.task, packed or pack_call(record), record.seconds, record.created),
        )

    def forget_call(self, key: str) -> None:
        """Forget a call whose results can no longer be given."""
        self._db.execute("DELETE FROM call WHERE key = ?", (key,))

    def add_run(
        self,
        key: str | None,
        task: str,
        cell: str,
        session: str,
        action: str,
        reason: str,
        seconds: float,
        saved: float,
        used: tuple[float, int] | None = None,
    ) -> None:
        """Remember that a call was used. ``used``: its CPU time in seconds, and its memory in bytes."""
        row = self._db.execute(
            "INSERT INTO run (key, task, cell, session, action, reason, seconds, saved, started) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (key, task, cell, session, action, reason, seconds, saved, time.time() - seconds),
        )
        if used is not None:
            self._db.execute("INSERT OR REPLACE INTO used VALUES (?, ?, ?)", (row.lastrowid, *used))

    def made_in_cell(self, version_id: str) -> bool:
        """Whether a call made this version, and was made or used by a cell."""
        row = self._db.execute(
            "SELECT 1 FROM version JOIN run ON run.key = version.call WHERE version.id = ? AND run.cell != '' LIMIT 1",
            (version_id,),
        ).fetchone()
        return row is not None

    # -- cells -----------------------------------------------------------------------------------------------------

    def touches(self) -> list[Touch]:
        """What every cell, as it last ran, did."""
        return [Touch(*row) for row in self._db.execute("SELECT cell, path, notebook, before, after FROM touch")]

    def set_touch(self, touch: Touch, run: int) -> None:
        """Remember what a cell did to a product in its run number ``run``."""
        # Two kernels may run one cell: what the later run did stays when the earlier one ends after it.
        self._db.execute(
            "INSERT INTO touch VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET notebook = excluded.notebook, "
            "before = excluded.before, after = excluded.after, run = max(run, excluded.run)",
            (touch.cell, touch.path, touch.notebook, touch.before, touch.after, run),
        )

    def drop_touches(
        self, *, cell: str | None = None, not_run: int = 0, before_run: int | None = None, path: str | None = None
    ) -> None:
        """Forget what runs of ``cell`` other than ``not_run`` (or before one) did, or all that was done to ``path``."""
        if before_run is not None:
            self._db.execute("DELETE FROM touch WHERE cell = ? AND run < ?", (cell, before_run))
        elif cell is not None:
            self._db.execute("DELETE FROM touch WHERE cell = ? AND run != ?", (cell, not_run))
        if path is not None:
            self._db.execute("DELETE FROM touch WHERE path = ?", (path,))

    def swap_source(self, cell: str, source: str) -> str | None:
        """Remember what a cell says now; what it said before."""
        row = self._db.execute("SELECT source FROM cell WHERE id = ?", (cell,)).fetchone()
        self._db.execute("INSERT OR REPLACE INTO cell VALUES (?, ?)", (cell, source))
        return row[0] if row else None

    def source_of(self, cell: str) -> str:
        """What a cell says, as of its last run (a hash); "" if it never ran."""
        row = self._db.execute("SELECT source FROM cell WHERE id = ?", (cell,)).fetchone()
        return row[0] if row else ""

    def next_run(self) -> int:
        """A number for a run of a cell, greater than all before."""
        number = int(self.meta("cell_runs") or 0) + 1
        self.set_meta("cell_runs", str(number))
        return number

    def stories(self, limit: int = 50) -> list[tuple[str, list[str]]]:
        """Batch runs: id and the sources of their cells, newest first."""
        rows = self._db.execute("SELECT id, sources FROM story ORDER BY created DESC LIMIT ?", (limit,))
        return [(row[0], json.loads(row[1])) for row in rows]

    def set_story(self, story: str, sources: list[str]) -> None:
        """Remember the cells of a batch run."""
        self._db.execute("INSERT OR REPLACE INTO story VALUES (?, ?, ?)", (story, json.dumps(sources), time.time()))

    # -- cell runs ---------------------------------------------------------------------------------------------------

    def add_cell_run(self, run: CellRun, text: str, outputs: Sequence[Mapping[str, Any]]) -> None:
        """Remember an execution of a cell. ``text``: hash of the source as written; ``outputs``: nbformat's."""
        record = {
            "reads": dict(run.reads),
            "writes": dict(run.writes),
            "rebound": sorted(run.rebound),
            "origins": dict(run.origins),
            "impure": run.impure,
            "outside": run.outside,
            "unkept": run.unkept,
            "calls": [list(vars(call).values()) for call in run.calls],
            "environment": dict(run.environment),
            "error": run.error,
        }
        self._db.execute(
            "INSERT OR REPLACE INTO cell_run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (run.id, run.cell, run.notebook, text, run.meaning, run.source, run.started, run.seconds, run.outcome)
            + (run.shown, json.dumps({name: part for name, part in record.items() if part}, separators=(",", ":"))),
        )
        self._db.executemany(
            "INSERT OR IGNORE INTO written VALUES (?, ?)",
            [(resource[2:], version) for resource, version in run.writes.items() if resource.startswith("p:")],
        )
        if run.shown:
            packed = zlib.compress(json.dumps(outputs, separators=(",", ":")).encode(), 1)
            self._db.execute("INSERT OR IGNORE INTO shown VALUES (?, ?)", (run.shown, packed))

    def cell_runs(self, meaning: str, limit: int = 64) -> Iterator[CellRun]:
        """Runs of cells that said this and ended well, newest first."""
        query = f"SELECT {_RUN} FROM cell_run WHERE meaning = ? AND outcome = 'ok' ORDER BY id DESC LIMIT ?"
        yield from map(_unpack_run, self._db.execute(query, (meaning, limit)))

    def newest_cell_runs(self, meanings: Iterable[str]) -> dict[str, tuple[CellRun, int]]:
        """For each meaning, the newest run that ended well, and how many there are."""
        rows: list[tuple[Any, ...]] = []
        wanted = sorted(set(meanings))
        for start in range(0, len(wanted), 500):
            some = wanted[start : start + 500]
            marks = ",".join("?" * len(some))
            query = (
                "SELECT max(id) AS newest, count(*) AS count FROM cell_run "
                f"WHERE meaning IN ({marks}) AND outcome = 'ok' GROUP BY meaning"
            )
            rows += self._db.execute(f"SELECT count, {_RUN} FROM ({query}) JOIN cell_run ON id = newest", some)
        return {(run := _unpack_run(row[1:])).meaning: (run, row[0]) for row in rows}

    def last_cell_runs(self, cells: Sequence[str], known: Mapping[int, CellRun]) -> dict[str, CellRun]:
        """How each of these cells ran last. ``known``: runs, by their numbers, that need not be read again."""
        numbers: list[int] = []
        for start in range(0, len(cells), 500):
            some = cells[start : start + 500]
            marks = ",".join("?" * len(some))
            query = f"SELECT max(id) FROM cell_run WHERE cell IN ({marks}) GROUP BY cell"
            numbers += [row[0] for row in self._db.execute(query, some)]
        runs = [known[number] for number in numbers if number in known]
        wanted = [number for number in numbers if number not in known]
        for start in range(0, len(wanted), 500):
            marks = ",".join("?" * len(wanted[start : start + 500]))
            query = f"SELECT {_RUN} FROM cell_run WHERE id IN ({marks})"
            runs += map(_unpack_run, self._db.execute(query, wanted[start : start + 500]))
        return {run.cell: run for run in runs}

    def last_cell_run(self, cell: str) -> CellRun | None:
        """How a cell ran last, whatever came of it."""
        row = self._db.execute(f"SELECT {_RUN} FROM cell_run WHERE cell = ? ORDER BY id DESC LIMIT 1", (cell,))
        found = row.fetchone()
        return _unpack_run(found) if found else None

    def runs_of_cell(self, cell: str, limit: int) -> list[CellRun]:
        """How a cell ran, whatever came of it, newest first."""
        query = f"SELECT {_RUN} FROM cell_run WHERE cell = ? ORDER BY id DESC LIMIT ?"
        return [_unpack_run(row) for row in self._db.execute(query, (cell, limit))]

    def cell_run(self, number: int) -> CellRun | None:
        """A run by its number."""
        found = self._db.execute(f"SELECT {_RUN} FROM cell_run WHERE id = ?", (number,)).fetchone()
        return _unpack_run(found) if found else None

    def last_run_number(self) -> int:
        """The number of the newest run of a cell, 0 when there is none."""
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM cell_run").fetchone()[0])

    def meanings(self, texts: Sequence[str]) -> dict[str, str]:
        """Meanings of sources that ran before, by the hash of the source as written."""
        found: dict[str, str] = {}
        for start in range(0, len(texts), 500):
            some = texts[start : start + 500]
            marks = ",".join("?" * len(some))
            found.update(self._db.execute(f"SELECT text, meaning FROM cell_run WHERE text IN ({marks})", tuple(some)))
        return found

    def notebook_of(self, cells: Sequence[str]) -> str | None:
        """The name of the notebook in which most of these cells ran last; None: they never ran."""
        last = "SELECT max(id) FROM cell_run WHERE cell IN ({}) GROUP BY cell"
        runs = f"SELECT notebook, count(*) FROM cell_run WHERE id IN ({last}) GROUP BY notebook"
        touches = "SELECT notebook, count(DISTINCT cell) FROM touch WHERE cell IN ({}) GROUP BY notebook"
        for query in (runs, touches):  # a ledger that was rebuilt knows no runs
            counts: Counter[str] = Counter()
            for start in range(0, len(cells), 500):
                some = cells[start : start + 500]
                counts.update(dict(self._db.execute(query.format(",".join("?" * len(some))), some).fetchall()))
            if counts:
                return counts.most_common(1)[0][0]
        return None

    def add_written(self, path: str, version: str) -> None:
        """Some cell run left a product in this state."""
        self._db.execute("INSERT OR IGNORE INTO written VALUES (?, ?)", (path, version))

    def written(self, path: str, version: str) -> bool:
        """Whether some cell run left a product in this state."""
        query = "SELECT 1 FROM written WHERE path = ? AND version = ?"
        return self._db.execute(query, (path, version)).fetchone() is not None

    def outputs(self, digest: str) -> list[dict[str, Any]] | None:
        """What a cell showed, as nbformat has it."""
        row = self._db.execute("SELECT outputs FROM shown WHERE digest = ?", (digest,)).fetchone()
        return list(json.loads(zlib.decompress(row[0]))) if row else None

    # -- values of names ---------------------------------------------------------------------------------------------

    def value(self, version: str) -> Value | None:
        """What is known of a value."""
        query = "SELECT uses, bytes, data, within FROM value WHERE version = ?"
        row = self._db.execute(query, (version,)).fetchone()
        return Value(version, tuple(json.loads(row[0])), *row[1:]) if row else None

    def value_state(self, version: str) -> tuple[tuple[str, ...], bool] | None:
        """Of a value: names its functions use; whether it is kept. None: not known."""
        return self.value_states([version])[version]

    def value_states(self, versions: Sequence[str]) -> dict[str, tuple[tuple[str, ...], bool] | None]:
        """The same of several."""
        found: dict[str, tuple[tuple[str, ...], bool] | None] = dict.fromkeys(versions)
        for start in range(0, len(versions), 500):
            some = versions[start : start + 500]
            marks = ",".join("?" * len(some))
            query = f"SELECT version, uses, bytes > 0 OR within IS NOT NULL FROM value WHERE version IN ({marks})"
            for version, uses, kept in self._db.execute(query, some):
                found[version] = () if uses == "[]" else tuple(json.loads(uses)), bool(kept)
        return found

    def add_values(self, values: Iterable[Value]) -> None:
        """Remember values."""
        self._db.executemany(
            "INSERT OR REPLACE INTO value VALUES (?, ?, ?, ?, ?)",
            [(v.version, json.dumps(sorted(v.uses)) if v.uses else "[]", v.size, v.data, v.within) for v in values],
        )

    # -- what a notebook found ---------------------------------------------------------------------------------------

    def found(self, notebook: str) -> dict[str, str]:
        """Path -> version that the notebook found before any of its cells ran."""
        return dict(self._db.execute("SELECT path, version FROM found WHERE notebook = ?", (notebook,)).fetchall())

    def inherited(self, notebook: str, cells: Sequence[str]) -> dict[str, str]:
        """The same; a notebook that was renamed or copied goes on with what it had found under its former name."""
        found = self.found(notebook)
        if found or not self._db.execute("SELECT 1 FROM found LIMIT 1").fetchone():
            return found
        former = self.notebook_of(cells)
        return self.found(former) if former is not None else {}

    def set_found(self, notebook: str, path: str, version: str) -> None:
        """Remember what a notebook found."""
        self._db.execute("INSERT OR REPLACE INTO found VALUES (?, ?, ?)", (notebook, path, version))

    # -- steps under way -----------------------------------------------------------------------------------------

    def begin(self, kind: str, task: str, versions: Mapping[str, str], patterns: Iterable[str] = ()) -> int:
        """Journal a step before it changes anything; its number."""
        cursor = self._db.execute(
            "INSERT INTO pending (kind, task, versions, patterns) VALUES (?, ?, ?, ?)",
            (kind, task, json.dumps(dict(versions)), json.dumps(list(patterns))),
        )
        number = cursor.lastrowid
        assert number is not None
        # A copy, from which the journal is known when the ledger is lost while a step is under way.
        steps = [[step.kind, step.task, step.versions, step.patterns] for step in reversed(self.pending())]
        self._steps.write_text(json.dumps(steps))
        return number

    def end(self, number: int) -> None:
        """Strike a step out of the journal."""
        self._db.execute("DELETE FROM pending WHERE id = ?", (number,))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._steps)

    def journal_again(self) -> None:
        """Journal what the copy of a lost ledger's journal says."""
        try:
            steps = json.loads(self._steps.read_text())
        except (OSError, ValueError):  # there was none, or the machine stopped before the step began
            return
        for step in steps:
            self.begin(*step)

    def pending(self) -> list[Pending]:
        """Steps that were not ended, newest first."""
        rows = self._db.execute("SELECT id, kind, task, versions, patterns FROM pending ORDER BY id DESC")
        return [Pending(row[0], row[1], row[2], json.loads(row[3]), json.loads(row[4])) for row in rows]


_SEALS = "CREATE TABLE IF NOT EXISTS seal (object TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID"
_USED = "CREATE TABLE IF NOT EXISTS used (run INTEGER PRIMARY KEY, cpu REAL NOT NULL, memory INTEGER NOT NULL)"
_EMPTY: dict[str, Any] = {
    "error": "",
    **dict.fromkeys(("reads", "writes", "origins", "environment"), MappingProxyType({})),
    **dict.fromkeys(("impure", "outside", "unkept", "calls"), ()),
}
"""What is not written of the record of a cell run."""
_COLUMNS = ("id", "cell", "notebook", "meaning", "source", "started", "seconds", "outcome", "shown")
_RUN = f"{', '.join(_COLUMNS)}, record"


@lru_cache(maxsize=4096)
def _unpack_run(row: tuple[Any, ...]) -> CellRun:
    """The run of a row of ``_RUN``; cached, because a plan is made again and again of the same runs."""
    record = json.loads(row[-1])
    for name in ("impure", "outside", "unkept"):
        if name in record:
            record[name] = tuple(record[name])
    if "calls" in record:
        record["calls"] = tuple([CallUse(*call) for call in record["calls"]])
    record["rebound"] = frozenset(record.get("rebound", ()))
    run = object.__new__(CellRun)  # to set one field after another takes as long as all else
    vars(run).update(zip(_COLUMNS, row[:-1], strict=True))
    vars(run).update(_EMPTY, **record)
    return run


def _trouble(path: Path, what: str, code: int) -> LedgerError:
    """Is it the ledger, or only the disk? ``code``: SQLite's."""
    if code & 0xFF in _DISK_FAILS:
        return LedgerUnreadable(f"{path}: {what}: look after the disk, then try again")
    return LedgerError(f"{path}: damaged ({what})")


def connect_readonly(path: Path) -> tuple[sqlite3.Connection, bool]:
    """Look into a ledger, also one in a directory that cannot be written, where SQLite cannot make its shared memory.

    Returns the connection, and whether SQLite has to take it that nobody writes meanwhile.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    uri = f"{path.resolve().as_uri()}?mode=ro"
    db = sqlite3.connect(uri, uri=True, timeout=60, isolation_level=None, check_same_thread=False)
    fixed = False
    try:
        db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.OperationalError:
        db.close()
        left = path.with_name(path.name + "-wal")  # what a killed kernel wrote last is in there
        if os.access(path.parent, os.W_OK) or (left.exists() and left.stat().st_size):
            raise
        db = sqlite3.connect(
            f"{uri}&immutable=1", uri=True, timeout=60, isolation_level=None, check_same_thread=False
        )
        fixed = True
    return db, fixed


def pack_call(record: CallRecord) -> bytes:
    """Compact form of a call, for the ledger and for the store's own copy."""
    return zlib.compress(json.dumps(vars(record), separators=(",", ":")).encode(), 1)


def unpack_call(packed: bytes) -> CallRecord:
    """The inverse of :func:`pack_call`."""
    return CallRecord(**json.loads(zlib.decompress(packed)))
