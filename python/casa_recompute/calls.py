"""One memoised call, start to end.

    bind -> effects -> versions of what is read -> key
        known key: bring back what is not in place, give value, pictures and log again
        new key:   bring the inputs to their versions, keep what may be overwritten, journal, run, capture, commit

The commit is the last step: before it, nothing happened. A call that fails, is interrupted, or kills its process
leaves every product as it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from casa_recompute import casalog
from casa_recompute.housekeeping import make_room
from casa_recompute.ledger import CallRecord
from casa_recompute.notebook.simulate import UNKNOWN
from casa_recompute.products import ABSENT, Stamp, Tree, matches, product_path, scan, signature
from casa_recompute.products.paths import fits
from casa_recompute.runner import Reply, Worker
from casa_recompute.runner.worker import codec
from casa_recompute.shared import Shared
from casa_recompute.store.files import readable
from casa_recompute.tasks import Task
from casa_recompute.tasks.effects import Effects, noninteractive, resolve
from casa_recompute.workspace import HOME, VersionLost, Workspace

_TEMPORARY = ("TempLattice*", "IMAGING_WEIGHT_*", "imagesolver::*", "__tmp_*", "_immath_tmp*", "concat_aux_*")
_WATCHED = "what {} reads and writes here is not known for certain, so it is watched and runs each time"
_COMPARE_SPEED = 20e6
"""Bytes per second at which canonical digests are taken to be computed when weighing them against a re-run."""


@dataclass(frozen=True)
class Picture:
    """A picture that a call shows: ``name`` is its caption, ``data`` the file."""

    name: str
    mime: str
    data: bytes


@dataclass(frozen=True)
class Outcome:
    """What came of a call."""

    task: str
    key: str | None
    action: Literal["ran", "restored", "watched"]
    reason: str
    value: Any
    seconds: float
    saved_s: float
    log: str
    stdout: str
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    cpu_s: float | None = None
    """CPU time of the worker and of the programs that it ran, seconds; None: nothing ran."""
    memory_bytes: int | None = None
    """The most memory that they had at a time (an upper bound where there were several); None: nothing ran."""


class Watcher(Protocol):
    """Told about a call while it runs, in the thread that made it."""

    def started(self, task: str, reason: str, expected_s: float | None) -> None:
        """A call is about to run; ``expected_s`` seconds is what it took before."""

    def progress(self, elapsed_s: float, expected_s: float | None, stage: str) -> None:
        """About once a second."""

    def finished(self, outcome: Outcome) -> None:
        """It ran, or was restored."""

    def failed(self, task: str, error: BaseException, log: str) -> None:
        """It raised, or was interrupted."""


class SilentWatcher:
    """Says nothing."""

    def started(self, task: str, reason: str, expected_s: float | None) -> None:
        """Say nothing."""

    def progress(self, elapsed_s: float, expected_s: float | None, stage: str) -> None:
        """Say nothing."""

    def finished(self, outcome: Outcome) -> None:
        """Say nothing."""

    def failed(self, task: str, error: BaseException, log: str) -> None:
        """Say nothing."""


class Watchers:
    """Tells several watchers."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    def started(self, task: str, reason: str, expected_s: float | None) -> None:
        """See :class:`Watcher`."""
        for watcher in self._watchers:
            watcher.started(task, reason, expected_s)

    def progress(self, elapsed_s: float, expected_s: float | None, stage: str) -> None:
        """See :class:`Watcher`."""
        for watcher in self._watchers:
            watcher.progress(elapsed_s, expected_s, stage)

    def finished(self, outcome: Outcome) -> None:
        """See :class:`Watcher`."""
        for watcher in self._watchers:
            watcher.finished(outcome)

    def failed(self, task: str, error: BaseException, log: str) -> None:
        """See :class:`Watcher`."""
        for watcher in self._watchers:
            watcher.failed(task, error, log)


class Place(Protocol):
    """Where in the notebook's story a call is made; see story.py."""

    cell: str

    @property
    def strict(self) -> bool:
        """Whether it is known what the cells above have left; else what is there may be the call's own."""

    def implied(self, path: str) -> str:
        """The version of a product that the call is to act on."""

    def touch(self, path: str, before: str, after: str, *, read: bool = False) -> None:
        """The call read (``before == after``) or changed a product; ``read``: also when it changed it."""

    def missed(self, path: str) -> None:
        """The call looked for data where there are none."""

    def called(
        self,
        task: str,
        key: str | None,
        action: str,
        seconds: float,
        absolute: bool = False,
        used: tuple[float, int] | None = None,
    ) -> None:
        """A call was made: "ran", "restored", "watched" or "failed".

        ``absolute``: what it made holds absolute paths, and is of no use where the workspace is in another place;
        ``used``: CPU time in seconds, and memory in bytes, where that is known.
        """

    def give_up(self, path: str) -> None:
        """The version that the story implies is lost: act on what is there."""


@dataclass
class Bench:
    """What calls need from the session they are made in."""

    workspace: Workspace
    shared: Shared
    worker: Worker
    watcher: Watcher
    place: Place
    waiting: Callable[[float, str], None]
    """Told while another kernel has the workspace: for how many seconds, and who; see Workspace.lock."""
    session: str
    log: Path
    environment: Callable[[str], dict[str, str]]
    """For a package: versions and settings that enter the key."""
    gui: Callable[[], dict[str, str]]
    """Environment variables with which GUI tasks find their display."""


class SilentFailure(RuntimeError):
    """A task returned as if all were well but did not make what it promised."""


@dataclass
class _Plan:
    """What a call will do, in product paths."""

    effects: Effects
    inputs: dict[str, str] = field(default_factory=dict)  # path -> version, of what is read or modified
    absent: set[str] = field(default_factory=set)  # paths where it looks for data, and there are none
    changing: set[str] = field(default_factory=set)  # paths that may change or appear
    promised: dict[str, str] = field(default_factory=dict)  # path -> role
    patterns: list[str] = field(default_factory=list)  # globs relative to the workspace
    names: dict[str, dict[str, str]] = field(default_factory=dict)  # parameter -> as written -> product path
    shape: str = ""
    key: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)


def perform(bench: Bench, task: Task, bound: Mapping[str, Any], given: Collection[str] = ()) -> Outcome:
    """Make a call: restore its results if it is known, else run it and remember them.

    Args:
        bench: where.
        task: which task.
        bound: all its arguments.
        given: names of those that the user wrote; only of these is one told that they were replaced.

    Raises:
        Exception: what CASA raised; products are as before the call.
        WorkerDied: the process that ran the task ended; products are as before the call.
    """
    bound, replaced = noninteractive(task, dict(bound))
    notes = list(replaced.values()) if replaced.keys() & set(given) else []
    with bench.workspace.lock(bench.waiting):
        bench.workspace.say_who(f"runs {task.name}")
        call = _Call(bench, task, dict(bound), notes)
        try:
            outcome = call.perform()
        except BaseException as error:
            call.note_what_it_saw()
            bench.place.called(task.name, None, "failed", time.monotonic() - call.began)
            bench.watcher.failed(task.name, error, call.log_text())
            raise
    bench.watcher.finished(outcome)
    return outcome


@dataclass(frozen=True)
class Foresight:
    """What can be told of a call before it is made."""

    task: str
    key: str | None  # None: its arguments cannot be told
    arguments: dict[str, Any]
    changing: frozenset[str]  # products that it may change or make
    expected_s: float


def foresee(
    space: Workspace,
    task: Task,
    bound: Mapping[str, Any],
    environment: Mapping[str, str],
    implied: Callable[[str], str],
    directory: Path,
) -> Foresight:
    """What a call in a directory would do on products at the versions that ``implied`` tells; nothing is run."""
    place = _Vision(implied)
    bench = Bench(
        workspace=space,
        shared=Shared(""),
        worker=None,  # type: ignore[arg-type]  # nothing runs
        watcher=SilentWatcher(),
        place=place,
        waiting=lambda seconds, who: None,
        session="",
        log=space.home / "none",
        environment=lambda package: dict(environment),
        gui=dict,
    )
    call = _Call(bench, task, noninteractive(task, dict(bound))[0], [])
    call.cwd = directory
    plan = call._plan()
    call._take_key(plan)
    unknown = UNKNOWN in plan.inputs.values() or not plan.effects.cacheable or not plan.effects.trusted
    records = space.ledger.calls_of_task(task.name)
    expected = max(records, key=lambda record: _likeness(record, plan)).seconds if records else 0.0
    return Foresight(task.name, None if unknown else plan.key, plan.arguments, frozenset(plan.changing), expected)


class _Vision:
    """A place that is only thought of."""

    cell = ""
    strict = True

    def __init__(self, implied: Callable[[str], str]) -> None:
        self.implied = implied

    def touch(self, path: str, before: str, after: str, *, read: bool = False) -> None:
        """Nothing is touched."""

    def missed(self, path: str) -> None:
        """Nothing is looked for."""

    def called(self, *_: object, **__: object) -> None:
        """Nothing is called."""

    def give_up(self, path: str) -> None:
        """Nothing is brought."""


class _Call:
    def __init__(self, bench: Bench, task: Task, bound: dict[str, Any], notes: list[str]) -> None:
        self.bench = bench
        self.space = bench.workspace
        self.ledger = bench.workspace.ledger
        self.task = task
        self.bound = bound
        self.notes = notes
        self.cwd = Path.cwd()
        self._products: dict[str, str] = {}  # as written -> product path
        self.log_start = _size(bench.log)
        self.began = time.monotonic()

    # -- the course of a call ----------------------------------------------------------------------------------

    def perform(self) -> Outcome:
        with self.space.glance():
            if self.bench.worker.versions and not all(self.space.known(path) for path in self._named()):
                self._check()  # before data are read that nobody has seen yet: a typing error shall not cost that
            while True:
                plan = self._plan()
                outcome = self._recall(plan) if plan.effects.trusted else None
                if outcome is not None:
                    return outcome
                reason, expected = (
                    self._reason(plan) if plan.effects.trusted else (_WATCHED.format(self.task.name), None)
                )
                self.bench.watcher.started(self.task.name, reason, expected)
                try:
                    self._prepare(plan)
                    break
                except VersionLost as lost:
                    self.bench.place.give_up(lost.path)
            if plan.effects.trusted:
                before = {path: self.space.look(path) for path in (*plan.inputs, *plan.changing)}
                protected = {path: before[path] for path in plan.changing}
            else:
                protected = {path: self.space.look(path) for path in sorted({*self._named(), *plan.inputs})}
            remembered = self._protect(protected)
        if plan.effects.trusted:
            return self._run(plan, reason, expected, before, protected, remembered)
        return self._watch(plan, reason, protected, remembered)

    def note_what_it_saw(self) -> None:
        """A call failed because of the data that its arguments name, or because there were none."""
        for path in sorted(set(self._products.values())):
            version = self._implied(path)
            self.bench.place.touch(path, version, version, read=True)

    def _recall(self, plan: _Plan) -> Outcome | None:
        """The call's outcome from memory, if it can be had."""
        self._take_key(plan)
        if not plan.effects.cacheable:
            return None
        record = self.ledger.call(plan.key) or self._twin(plan)
        outcome = self._give_again(plan, record) if record is not None else None
        return outcome or self._borrow(plan)

    def _borrow(self, plan: _Plan) -> Outcome | None:
        """The call's outcome from what the group has computed, if it can be had."""
        try:
            found = self.bench.shared.lend(
                self.space, plan.key, lambda record: not self._in_the_way(plan, record), self.notes.append
            )
        except OSError as error:
            self.notes.append(f"what the group has computed could not be taken over: {error.strerror}")
            return None
        return self._give_again(plan, found[0], found[1]) if found is not None else None

    def _plan(self) -> _Plan:
        absent: set[str] = set()

        def exists(path: str) -> bool:
            there = self._implied(self._product(path)) != ABSENT
            if not there:
                absent.add(self._product(path))
            return there

        plan = _Plan(resolve(self.task, self.bound, exists))
        for access in plan.effects.accesses:
            if access.pattern is not None:
                pattern = self._product(access.pattern)
                members = self._members(pattern)
                if access.mode == "annotate":
                    members = [path for path in members if _is_image(self.space.absolute(path))]
                else:
                    plan.patterns.append(pattern)
                for path in members:
                    version = self._implied(path)
                    if access.mode != "write" and version != ABSENT:
                        plan.inputs[path] = version
                    if access.mode != "read":
                        plan.changing.add(path)
                continue
            path = self._product(access.path)
            plan.names.setdefault(access.role.split(".")[0], {})[access.path] = path
            if access.mode != "write":
                version = self._implied(path)
                if version != ABSENT or access.mode == "modify":
                    plan.inputs[path] = version
            if access.mode != "read":
                plan.changing.add(path)
            if access.mode == "write" and access.role not in plan.effects.optional:
                plan.promised[path] = access.role
        plan.absent |= absent - plan.changing
        return plan

    def _take_key(self, plan: _Plan) -> None:
        plan.arguments = {
            name: _renamed(value, plan.names.get(name, {})) for name, value in self.task.normalise(self.bound).items()
        }
        environment = self.bench.environment(self.task.package)
        if plan.effects.absolute:
            environment["workspace"] = str(self.space.directory)
        directory = os.path.relpath(os.path.realpath(self.cwd), self.space.directory)
        plan.shape = _hash([self.task.name, environment, plan.arguments, directory])
        plan.key = _hash([plan.shape, plan.inputs])

    def _product(self, path: str) -> str:
        known = self._products.get(path)
        if known is None:
            known = self._products[path] = product_path(path, self.cwd, self.space.directory)
        return known

    def _implied(self, path: str) -> str:
        return self.bench.place.implied(path)

    def _members(self, pattern: str) -> list[str]:
        """Products that a pattern names: those that are there, and those that the ledger knows."""
        there = {os.path.normpath(path) for path in matches(pattern, self.space.directory)}
        known = {path for path in self.ledger.known_paths() if fits(path, pattern)}
        return sorted(there | known)

    # -- a known call --------------------------------------------------------------------------------------------

    def _give_again(self, plan: _Plan, record: CallRecord, lender: Path | None = None) -> Outcome | None:
        """Bring back the results of a call; None when they cannot be had, or CASA's rule wants the task to run.

        ``lender``: whose call it was, if not one's own.
        """
        if self._in_the_way(plan, record):
            return None
        kept = [p for p in record.pictures if self.space.store.intact(p["object"], p["size"], p["mtime_ns"])]
        if len(kept) < len(record.pictures) or not self.space.restorable(record.outputs):
            self.ledger.forget_call(record.key)
            return None
        before = {path: self._implied(path) for path in record.outputs}
        try:
            files = [self.space.store.path(picture["object"]) for picture in kept]
            pictures = tuple(Picture(p["name"], p["mime"], f.read_bytes()) for p, f in zip(kept, files, strict=True))
            changed = self.space.restore(record.outputs)
        except (OSError, VersionLost) as error:
            if isinstance(error, OSError) and all(map(readable, files)):
                raise
            self.ledger.forget_call(record.key)  # the disk cannot read what is kept
            return None
        took = time.monotonic() - self.began
        saved = max(0.0, record.seconds - took)
        reason = "nothing that it depends on has changed since it ran"
        if record.key != plan.key:
            reason = "its inputs hold the same data as when it ran"
        if lender is not None:
            reason = f"it has run on the same data in {lender}"
        with self.ledger.transaction():
            self._touch(plan, before, record.outputs)
            self.ledger.add_run(
                plan.key,
                self.task.name,
                self.bench.place.cell,
                self.bench.session,
                "restored",
                reason,
                took,
                saved,
            )
            if record.key != plan.key:
                self.ledger.add_call(_with_key(record, plan))
        self.bench.place.called(self.task.name, plan.key, "restored", 0.0, plan.effects.absolute)
        return Outcome(
            task=self.task.name,
            key=plan.key,
            action="restored",
            reason=reason,
            value=codec.decode(record.value),
            seconds=took,
            saved_s=saved,
            log=record.log,
            stdout=record.stdout,
            pictures=pictures,
            notes=tuple(self.notes),
            products=tuple(changed),
        )

    def _in_the_way(self, plan: _Plan, record: CallRecord) -> bool:
        """Whether something lies where the call puts its results, about which the task itself has to decide."""
        for path, version in record.outputs.items():
            there = path not in plan.inputs and self._implied(path) != ABSENT
            if there and (self.bench.place.strict or self.space.look(path) not in (version, ABSENT)):
                return True
        return False

    def _touch(self, plan: _Plan, before: Mapping[str, str], outputs: Mapping[str, str]) -> None:
        for path, version in plan.inputs.items():
            self.bench.place.touch(path, version, outputs.get(path, version), read=True)
        for path, version in outputs.items():
            if path not in plan.inputs:
                self.bench.place.touch(path, before.get(path, ABSENT), version)
        for path in plan.absent:
            self.bench.place.missed(path)

    def _twin(self, plan: _Plan) -> CallRecord | None:
        """A call that differs only in versions of inputs which hold equal data (early cut-off)."""
        if plan.effects.exact:
            return None
        for record in self.ledger.calls_of_shape(plan.shape):
            if record.inputs.keys() != plan.inputs.keys():
                continue
            differing = [path for path in plan.inputs if plan.inputs[path] != record.inputs[path]]
            size = sum(self._bytes(record.inputs[path]) for path in differing)
            if record.seconds * _COMPARE_SPEED < size:
                continue
            if all(self._equal_data(path, plan.inputs[path], record.inputs[path]) for path in differing):
                return record
        return None

    def _bytes(self, version_id: str) -> int:
        version = self.ledger.version(version_id)
        return version.manifest.size if version is not None else 0

    def _equal_data(self, path: str, one: str, other: str) -> bool:
        if ABSENT in (one, other):
            return False
        first, second = self._canonical(path, one), self._canonical(path, other)
        return first is not None and first == second

    def _canonical(self, path: str, version_id: str) -> str | None:
        """Identity of a version's data; None when the version is neither in place nor kept."""
        version = self.ledger.version(version_id)
        if version is None or version.canonical is not None:
            return version.canonical if version is not None else None
        if self.space.look(path) == version_id:
            return self._compute_canonical(version_id, self.space.absolute(path))
        scratch = self.space.home / "tmp" / uuid.uuid4().hex
        try:
            # Under its own name: CASA's keywords hold the name of the product they belong to.
            place = scratch / os.path.basename(path)
            scratch.mkdir()
            self.space.unpack(version_id, place)
            return self._compute_canonical(version_id, place)
        except VersionLost:
            return None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _compute_canonical(self, version_id: str, place: Path) -> str | None:
        try:
            reply = self.bench.worker.request("canonical", {"paths": [str(place)]})
        except RuntimeError:  # CASA cannot read it, or died of it: then nothing can be said of its data
            return None
        digest: str = reply.body["digests"][str(place)]
        self.ledger.set_canonical(version_id, digest)
        return digest

    # -- a new call ------------------------------------------------------------------------------------------------

    def _run(
        self,
        plan: _Plan,
        reason: str,
        expected: float | None,
        before: Mapping[str, str],
        protected: Mapping[str, str],
        remembered: bool,
    ) -> Outcome:
        scratch = self._scratch()
        patterns = [*plan.patterns, *self._temporary()]
        # What could not be kept cannot be undone: then nothing is promised to whoever comes after a crash.
        step = self.space.begin("call", self.task.name, *((protected, patterns) if remembered else ({}, [])))
        try:
            reply = self._execute(scratch, expected)
            self._demand(plan)
            record, made = self._account(plan, reply, before)
            if self._surprises(plan, reply, record):
                remembered = False
        except BaseException as error:
            self._fail(step, protected, patterns, reason, error, remembered)
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        try:
            self._commit(plan, record, before, made, step, reason, remembered, reply.used)
            self.space.settle_soon(record.seconds)
            self._make_room()
        except (OSError, sqlite3.OperationalError) as error:
            self._not_remembered(error)
            self.space.give_up_reserve()
            self.ledger.end(step)
        key = plan.key if plan.effects.cacheable else None
        self.bench.place.called(self.task.name, key, "ran", reply.seconds, plan.effects.absolute, reply.used)
        return Outcome(
            task=self.task.name,
            key=plan.key,
            action="ran",
            reason=reason,
            value=codec.decode(reply.value),
            seconds=reply.seconds,
            saved_s=0.0,
            log=record.log,
            stdout=reply.stdout,
            pictures=self._shown,
            notes=tuple(self.notes),
            products=tuple(sorted(made)),
            cpu_s=reply.used[0] if reply.used else None,
            memory_bytes=reply.used[1] if reply.used else None,
        )

    def _prepare(self, plan: _Plan) -> None:
        """Bring inputs to the versions that the key says, and set aside what the call is to make anew."""
        targets = {path: version for path, version in plan.inputs.items() if version != ABSENT}
        for path in (
            *plan.changing,
            *self._named(),
            *(p for pattern in plan.patterns for p in self._members(pattern)),
        ):
            if path not in targets and (self.bench.place.strict or self._implied(path) == ABSENT):
                targets[path] = self._implied(path)  # also what only stands in the way: CASA decides about it
        targets = {path: version for path, version in targets.items() if self.space.look(path) != version}
        if targets and not any(self.space.look(path) == ABSENT for path in targets):
            self._check()  # where nothing is to be brought back, the task itself will, before anything is changed
        aside = [path for path, version in targets.items() if version == ABSENT]
        self.space.restore(targets)
        if aside:
            names = ", ".join(aside[:3]) + (f" and {len(aside) - 3} more" if len(aside) > 3 else "")
            self.notes.append(f"set aside from an earlier run: {names}")

    def _check(self) -> None:
        body = {
            "task": self.task.name,
            "package": self.task.package,
            "arguments": self.bound,
            "cwd": str(self.cwd),
        }
        self.bench.worker.request("check", body, self._tick(None))

    def _protect(self, versions: Mapping[str, str]) -> bool:
        """Keep what the call may overwrite; False when there is no room for it."""
        try:
            self.space.keep(path for path, version in versions.items() if version != ABSENT)
        except OSError as error:
            self._not_remembered(error)
            return False
        return True

    def _not_remembered(self, error: OSError | sqlite3.Error) -> None:
        why = error.strerror if isinstance(error, OSError) else str(error)
        note = f"WARNING: this call is not remembered, because not everything could be kept: {why}"
        if note not in self.notes:
            self.notes.append(note)

    def _make_room(self) -> None:
        try:
            note = make_room(self.space)
        except (OSError, sqlite3.Error) as error:
            note = f"the budget of the store could not be looked after: {error}"
        if note:
            self.notes.append(note)

    def _temporary(self) -> list[str]:
        """Globs of what CASA makes in the working directory and, when it is killed, leaves there."""
        patterns = [self._product(pattern) for pattern in _TEMPORARY]
        return [pattern for pattern in patterns if not matches(pattern, self.space.directory)]

    def _scratch(self) -> Path:
        scratch = self.space.home / "tmp" / uuid.uuid4().hex
        scratch.mkdir()
        return scratch

    def _execute(self, scratch: Path, expected: float | None) -> Reply:
        body = {
            "task": self.task.name,
            "package": self.task.package,
            "arguments": self.bound,
            "cwd": str(self.cwd),
            "log": str(self.bench.log),
            "scratch": str(scratch),
            "environment": self.bench.gui() if self.task.package != "casatasks" else {},
        }
        # A table left open in the worker would show the data from before a restore.
        replaced, self.space.replaced = self.space.replaced, set()
        self.log_start = _size(self.bench.log)
        if replaced and self.bench.worker.pid is not None:
            reply = self.bench.worker.request("call", {**body, "replaced": sorted(replaced)}, self._tick(expected))
            if "held" not in reply.body:
                return reply
            self.bench.worker.kill()
        return self.bench.worker.request("call", {**body, "replaced": []}, self._tick(expected))

    def _tick(self, expected: float | None) -> Callable[[float, str], None]:
        def tick(elapsed: float, printed: str) -> None:
            stage = casalog.stage(_read(self.bench.log, max(self.log_start, _size(self.bench.log) - 4096)), printed)
            self.bench.watcher.progress(elapsed, expected, stage if self.bench.worker.versions else "CASA is starting")

        return tick

    def _demand(self, plan: _Plan) -> None:
        for path, role in plan.promised.items():
            if not os.path.lexists(self.space.absolute(path)):
                lines = casalog.parse(self.log_text())
                said = [line.message for line in lines if line.priority in ("SEVERE", "WARN")]
                why = f": {said[-1].strip()}" if said else ""
                raise SilentFailure(f"{self.task.name} ended without an error but wrote no {role} ({path}){why}")

    def _account(
        self, plan: _Plan, reply: Reply, before: Mapping[str, str]
    ) -> tuple[CallRecord, dict[str, tuple[str, Tree]]]:
        """What the call did: its record, and the new versions that are to be captured."""
        repeatable = plan.effects.cacheable and "unencodable" not in reply.body
        salt = "" if repeatable else uuid.uuid4().hex  # a version never changes, so this one gets a name of its own
        paths = {*plan.changing, *(p for pattern in plan.patterns for p in self._members(pattern))}
        outputs: dict[str, str] = {}
        made: dict[str, tuple[str, Tree]] = {}
        for path in sorted(paths):
            tree = scan(self.space.absolute(path))
            unchanged = self.ledger.present_version(path, signature(tree)) if tree else ABSENT
            if unchanged is not None and unchanged == before.get(path, ABSENT):
                outputs[path] = unchanged
            elif not tree:
                outputs[path] = ABSENT
            else:
                outputs[path] = "k-" + _hash([plan.key, path, salt])
                made[path] = outputs[path], tree
        self._shown, pictures = self._take_pictures(reply.body["pictures"])
        record = CallRecord(
            key=plan.key,
            shape=plan.shape,
            task=self.task.name,
            arguments=plan.arguments,
            inputs=plan.inputs,
            outputs={p: v for p, v in outputs.items() if v != plan.inputs.get(p) or p in plan.changing},
            value=reply.value,
            stdout=reply.stdout,
            log=self.log_text(),
            pictures=pictures,
            seconds=reply.seconds,
            created=time.time(),
            environment=self.bench.worker.versions,
        )
        return record, made

    def _surprises(self, plan: _Plan, reply: Reply, record: CallRecord) -> bool:
        """Whether the call did what the effects table does not say; it is then not remembered."""
        touched = [path for path in plan.inputs if path not in plan.changing and not self.space.known(path)]
        for path in touched:
            self.space.keep([path])
            record.outputs[path] = self.space.look(path)
        if touched:
            self.notes.append(
                f"{self.task.name} changed {', '.join(touched)}, which it should only read: not remembered"
            )
        if "unencodable" in reply.body:
            self.notes.append(f"its return value stayed behind ({reply.body['unencodable']}): not remembered")
        return bool(touched) or "unencodable" in reply.body

    def _take_pictures(self, made: list[dict[str, str]]) -> tuple[tuple[Picture, ...], list[dict[str, Any]]]:
        shown, kept = [], []
        with self.space.store.capture() as capture:
            for picture in made:
                path = Path(picture["path"])
                info = path.stat()
                shown.append(Picture(picture["name"], "image/png", path.read_bytes()))
                try:
                    name = capture.add(str(path), info.st_mtime_ns)
                except OSError as error:
                    self._not_remembered(error)
                    return tuple(shown), []
                kept.append(
                    {"name": picture["name"], "mime": "image/png", "object": name, "size": info.st_size}
                    | {"mtime_ns": info.st_mtime_ns}
                )
            capture.commit()
        return tuple(shown), kept

    def _commit(
        self,
        plan: _Plan,
        record: CallRecord,
        before: Mapping[str, str],
        made: Mapping[str, tuple[str, Tree]],
        step: int,
        reason: str,
        remembered: bool,
        used: tuple[float, int] | None,
    ) -> None:
        remembered = remembered and plan.effects.cacheable
        with self.ledger.transaction():
            self.space.capture(made, record.key)
            if remembered:
                self.space.remember(record)
            self._touch(plan, before, record.outputs)
            self.ledger.add_run(
                plan.key,
                self.task.name,
                self.bench.place.cell,
                self.bench.session,
                "ran",
                reason,
                record.seconds,
                0.0,
                used,
            )
            self.ledger.end(step)

    def _fail(
        self,
        step: int,
        protected: Mapping[str, str],
        patterns: list[str],
        reason: str,
        error: BaseException,
        protectable: bool,
    ) -> None:
        """Leave everything as it was before the call."""
        if isinstance(error, KeyboardInterrupt):
            self.bench.worker.kill()
        if protectable:
            elsewhere = self.space.undo(step, protected, patterns)
            if elsewhere:
                names = ", ".join(elsewhere)
                error.add_note(f"A directory was replaced meanwhile, so this is as the task left it: {names}.")
        else:
            self.ledger.end(step)
            error.add_note(
                "The disk was too full to keep the products before the call: they are as the task left them."
            )
        with contextlib.suppress(KeyboardInterrupt):
            self.ledger.add_run(
                None,
                self.task.name,
                self.bench.place.cell,
                self.bench.session,
                "failed",
                f"{type(error).__name__}: {error}"[:500],
                time.monotonic() - self.began,
                0.0,
            )

    # -- a call whose effects are not known for certain ------------------------------------------------------------

    def _watch(self, plan: _Plan, reason: str, inputs: Mapping[str, str], remembered: bool) -> Outcome:
        """Run a task without an entry to be trusted: trees are compared, nothing is served from memory."""
        before = self._workspace_tree()
        scratch = self._scratch()
        patterns = [*plan.patterns, *self._temporary()]
        step = self.space.begin("call", self.task.name, *((inputs, patterns) if remembered else ({}, [])))
        try:
            reply = self._execute(scratch, None)
            self._demand(plan)
            self._shown, _ = self._take_pictures(reply.body["pictures"])
        except BaseException as error:
            self._fail(step, inputs, patterns, reason, error, remembered)
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        after = self._workspace_tree()
        changed = {name.split("/")[0] for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        changed |= {
            path for path, version in inputs.items() if os.path.isabs(path) and self.space.look(path) != version
        }
        with contextlib.suppress(OSError):
            self.space.keep(changed)
        with self.ledger.transaction():
            for path in sorted(changed | inputs.keys()):
                present = self.space.look(path)
                self.bench.place.touch(path, inputs.get(path, self._implied(path)), present, read=True)
            self.ledger.add_run(
                None,
                self.task.name,
                self.bench.place.cell,
                self.bench.session,
                "watched",
                reason,
                reply.seconds,
                0.0,
                reply.used,
            )
            self.ledger.end(step)
        self.bench.place.called(self.task.name, None, "watched", reply.seconds, used=reply.used)
        return Outcome(
            task=self.task.name,
            key=None,
            action="watched",
            reason=reason,
            value=codec.decode(reply.value),
            seconds=reply.seconds,
            saved_s=0.0,
            log=self.log_text(),
            stdout=reply.stdout,
            pictures=self._shown,
            notes=tuple(self.notes),
            products=tuple(sorted(changed)),
            cpu_s=reply.used[0] if reply.used else None,
            memory_bytes=reply.used[1] if reply.used else None,
        )

    def _named(self) -> set[str]:
        """Products that are there and that some argument names, whatever the effects table says of it."""
        paths = {self._product(text) for text in strings(self.bound) if 0 < len(text) < 4096 and "\0" not in text}
        return {path for path in paths if self._is_product(self.space.absolute(path))}

    def _is_product(self, place: Path) -> bool:
        return os.path.lexists(place) and place != self.space.directory and place not in self.space.directory.parents

    def _workspace_tree(self) -> dict[str, Stamp]:
        tree: dict[str, Stamp] = {}
        for entry in os.scandir(self.space.directory):
            if entry.name != HOME:
                top = scan(Path(entry.path))
                tree.update({f"{entry.name}/{name}": stamp for name, stamp in top.items()})
        return tree

    # -- words -----------------------------------------------------------------------------------------------------

    def _reason(self, plan: _Plan) -> tuple[str, float | None]:
        """Why the call runs, against the most similar one that is known; and how long that one took."""
        records = self.ledger.calls_of_task(self.task.name)
        expected = max(records, key=lambda record: _likeness(record, plan)).seconds if records else None
        if self.bench.place.cell:
            records = self.ledger.calls_in_cell(self.bench.place.cell, self.task.name)
        if not records:
            return "it has not run here before", expected
        best = max(records, key=lambda record: _likeness(record, plan))
        changed = [
            f"`{name}` was {best.arguments[name]!r}, is now {value!r}"
            for name, value in plan.arguments.items()
            if name in best.arguments and best.arguments[name] != value
        ]
        inputs = [path for path, version in plan.inputs.items() if best.inputs.get(path) not in (None, version)]
        if best.key == plan.key:
            return "its results were no longer in the store", expected
        if not set(best.outputs) & plan.changing and best.inputs.keys() != plan.inputs.keys():
            return "it has not run on these products before", expected
        if len(changed) > 3:
            changed = [*changed[:3], f"{len(changed) - 3} more parameters differ"]
        if inputs:
            verb = "is" if len(inputs) == 1 else "are"
            changed.append(f"{', '.join(f'`{path}`' for path in inputs[:3])} {verb} not as when it last ran")
        return "; ".join(changed) or "its surroundings (CASA version, threads, directory) are new", expected

    def log_text(self) -> str:
        """What this call wrote into the CASA log."""
        return _read(self.bench.log, self.log_start)


def _is_image(place: Path) -> bool:
    """Whether a product is a CASA image, by what casacore writes into every table."""
    try:
        return (place / "table.info").read_text(errors="replace").startswith("Type = Image")
    except OSError:
        return False


def _likeness(record: CallRecord, plan: _Plan) -> tuple[int, int, float]:
    same_products = len(set(record.outputs) & plan.changing) + len(record.inputs.keys() & plan.inputs.keys())
    same_arguments = sum(record.arguments.get(name) == value for name, value in plan.arguments.items())
    return same_products, same_arguments, record.created


def _with_key(record: CallRecord, plan: _Plan) -> CallRecord:
    return CallRecord(**{**record.__dict__, "key": plan.key, "inputs": plan.inputs})


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Paths in an argument by their product's one name, however they were written."""
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if isinstance(value, dict):
        return {key: _renamed(item, names) for key, item in value.items()}
    return value


def strings(value: Any) -> list[str]:
    """All texts in an argument."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, (list, tuple, set)):
        return [text for item in value for text in strings(item)]
    return []


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _read(path: Path, start: int) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(start)
            return stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
