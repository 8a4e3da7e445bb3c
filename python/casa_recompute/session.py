"""Session: one kernel's (or script's) use of one workspace. The door to the core."""

from __future__ import annotations

import atexit
import builtins
import contextlib
import hashlib
import json
import os
import random
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casa_recompute.calls import Bench, Outcome, Picture, SilentWatcher, Watcher, Watchers, perform
from casa_recompute.installation import Installation
from casa_recompute.ledger import Touch
from casa_recompute.live import Teller
from casa_recompute.notebook.facts import text_hash
from casa_recompute.notebook.model import THREADS, WORKSPACE, CallUse, CellRun
from casa_recompute.notebook.outputs import digest as outputs_digest
from casa_recompute.notebook.simulate import history, listing
from casa_recompute.notebook.source import EVERYTHING, meaning, uses
from casa_recompute.products import ABSENT, product_path
from casa_recompute.runner import Worker
from casa_recompute.runner.siteconfig import site_config
from casa_recompute.settings import Settings, load_settings
from casa_recompute.shared import Shared
from casa_recompute.story import (
    OUTSIDE,
    BatchStory,
    Cell,
    Place,
    behind,
    found_version,
    implied,
    outside_change,
)
from casa_recompute.tasks import Catalogue, Task
from casa_recompute.tracing.files import FileWatch
from casa_recompute.tracing.impure import impure_chains
from casa_recompute.tracing.modules import forget_changed, local_files, note
from casa_recompute.tracing.names import NameChanges, NameTracker
from casa_recompute.tracing.process import senses
from casa_recompute.tracing.recorder import Recorder
from casa_recompute.values.digest import Budget
from casa_recompute.values.shelf import ValueLost, ValueStore
from casa_recompute.workspace import VersionLost, Workspace, WorkspaceBusy

if TYPE_CHECKING:
    from casa_recompute.display import Display

__all__ = ["Cell", "Outcome", "Picture", "Session", "Watcher"]

Show = Callable[[Sequence[str]], Sequence[Mapping[str, Any]] | None]
"""See :meth:`Session.end_cell`."""

_CASA_PACKAGES = ("casatasks", "casatools", "casadata")


class Session:
    """One use of a workspace. Not thread safe."""

    def __init__(
        self, workspace: Path | str = ".", settings: Settings | None = None, watcher: Watcher | None = None
    ) -> None:
        """Open the workspace; CASA is not loaded yet.

        Raises:
            WorkspaceError, StoreError, SettingsError: each says what to do.
        """
        self.settings = settings if settings is not None else load_settings()
        self.workspace = Workspace(Path(workspace), self.settings.store, self.settings.budget, self.settings.readable)
        self.shared = Shared(self.settings.shared)
        self.casa = Installation(self.settings)
        self.watcher: Watcher = watcher if watcher is not None else SilentWatcher()
        self.id = uuid.uuid4().hex[:12]
        self.cell = ""
        self._place: Place | None = None
        self._touches: list[Touch] = []  # when the cell began
        self._latest: list[Touch] = []
        self._generation = self._entered = 0  # of the ledger: when the latest touches were read, when the cell began
        self._before: dict[str, str] = {}
        self._batch: BatchStory | None = None
        self._entering: Cell | None = None
        self._failed = False
        self._notes: list[str] = []
        self._given_up: set[str] = set()
        self._display: Display | None = None
        self._worker: Worker | None = None
        self._names: NameTracker | None = None
        self._recorder: Recorder | None = None
        self._watch: FileWatch | None = None
        self._state: Mapping[str, Mapping[str, str]] | None = None
        self._source, self._uses = "", EVERYTHING
        self._calls: list[CallUse] = []
        self._absolute = False
        self._started = self._clock = 0.0
        self._name_makers: dict[str, str] = {}
        self._above: tuple[int, list[Mapping[str, str]]] | None = None
        self._ran: list[str] = []  # what the cells said that ran here; "" for what was none
        self._told = False  # that the order of cells is not known
        self._owner = os.getpid()
        self.live = Teller(self.workspace.home, self.id, self.log, lambda: self._worker.pid if self._worker else None)
        self.workspace.on_product.append(self.live.product)
        atexit.register(self.close)

    # -- what it consists of ---------------------------------------------------------------------------------------

    @property
    def catalogue(self) -> Catalogue:
        """All tasks of the CASA in use."""
        return self.casa.catalogue

    @cached_property
    def log(self) -> Path:
        """This session's CASA log."""
        return self.workspace.home / "log" / f"casa-{self.id}.log"

    @cached_property
    def threads(self) -> int:
        """OpenMP threads of a task."""
        if self.settings.threads:
            return self.settings.threads
        remembered = self.workspace.ledger.meta("threads")
        if remembered is not None:
            return int(remembered)  # without waiting for another kernel's task
        with self.workspace.lock():
            remembered = self.workspace.ledger.meta("threads")
            if remembered is None:
                remembered = str(len(os.sched_getaffinity(0)))
                self.workspace.ledger.set_meta("threads", remembered)
        return int(remembered)

    def environment(self) -> dict[str, str]:
        """Environment variables with which CASA packages work and litter nothing, for this process and the worker."""
        config = os.environ.get("CASASITECONFIG")
        own = self.workspace.home / "casasiteconfig.py"
        if not config or config == str(own):
            own.write_text(site_config(self.workspace.home / "log" / "casa-kernels.log"))
            config = str(own)
        variables = {}
        rc = self.workspace.home / "casarc"
        if os.environ.get("CASARCFILES", str(rc)) == str(rc) and not Path("~/.casarc").expanduser().exists():
            # Where casacore puts its temporary lattices, which a killed task leaves: not beside the user's data.
            rc.write_text(f"user.directories.work: {self.workspace.home / 'tmp'}\n")
            variables["CASARCFILES"] = str(rc)
        return variables | {
            "CASASITECONFIG": config,
            # Who keeps watch over a kernel knows by this what to end with it (jupyterlab_casa/keeper.py).
            "JUPYTERLAB_CASA_LAUNCHED_BY": os.environ.get("JUPYTERLAB_CASA_LAUNCH", ""),
            "MPLBACKEND": "Agg",
            # CASA's GUI packages carry protobuf code of an old generation, which newer protobufs run in Python only.
            "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python",
            "OMP_NUM_THREADS": str(self.threads),
        }

    @property
    def worker(self) -> Worker:
        """The process that runs CASA; it may be starting still."""
        if self._worker is None:
            environment = {**os.environ, **self.environment(), **self.settings.environment}
            scratch = self.workspace.home / "tmp"
            kept = [self.workspace.lock_file]
            self._worker = Worker(
                self.settings.python, environment, self.log, scratch, kept, self.settings.memory << 20
            )
        return self._worker

    def warm(self) -> None:
        """Load CASA in the worker, in the background."""
        self.worker.start()

    def close(self) -> None:
        """End the worker, the display, and the watch of a cell that did not end, and close the workspace.

        Harmless when done already.
        """
        if os.getpid() != self._owner:
            return  # a forked child has no business with its parent's processes
        if self._watch is not None:
            self._watch.stop()
            self._watch = self._recorder = None
        if self._worker is not None:
            self._worker.kill()
            self._worker = None
        if self._display is not None:
            self._display.stop()
            self._display = None
        self.live.close()
        self.workspace.close()
        atexit.unregister(self.close)

    # -- calls -----------------------------------------------------------------------------------------------------

    def call(self, task: str, *args: Any, **kwargs: Any) -> Outcome:
        """Make a call: restore its results when it is known, else run it and remember them.

        Raises:
            KeyError: no such task.
            TypeError: wrong arguments, as Python's own.
            Exception: what CASA raised.
        """
        definition = self.catalogue[task]
        bound = definition.bind(args, kwargs)
        given = {*list(definition.signature.parameters)[: len(args)], *kwargs}
        self.live.expect(task)
        drawn = random.getstate()  # what our own libraries draw is none of the user's
        try:
            outcome = self._perform(definition, bound, given)
            if self.live.told_to_stop():
                raise KeyboardInterrupt(f"stopped after {task}, as asked for")
            return outcome
        except BaseException:
            self._failed = True
            raise
        finally:
            random.setstate(drawn)

    def _perform(self, definition: Task, bound: dict[str, Any], given: set[str]) -> Outcome:
        with self._watch.paused() if self._watch is not None else contextlib.nullcontext():
            self._enter()
            if self._recorder is not None:
                with self.workspace.lock(self._tell_waiting):
                    self._recorder.settle()
            try:
                return perform(self._bench(), definition, bound, given)
            except sqlite3.DatabaseError:
                # The ledger was damaged or taken away under our feet: what the store's records tell is enough.
                self.workspace.reopen_ledger()
                return perform(self._bench(), definition, bound, given)

    def _bench(self) -> Bench:
        return Bench(
            workspace=self.workspace,
            shared=self.shared,
            worker=self.worker,
            watcher=Watchers(self.live, self.watcher),
            place=self,
            waiting=self._tell_waiting,
            session=self.id,
            log=self.log,
            environment=self._key_environment,
            gui=self._gui_environment,
        )

    def _key_environment(self, package: str) -> dict[str, str]:
        return self.casa.key_environment(package, str(self.threads))

    def _gui_environment(self) -> dict[str, str]:
        if self.settings.display == "inherit":
            return {name: os.environ[name] for name in ("DISPLAY", "XAUTHORITY") if name in os.environ}
        if self._display is None:
            from casa_recompute.display import (
                Display,
            )  # not needed by most sessions, and a kernel's start counts

            self._display = Display(environment=self.environment(), label=os.environ.get("JUPYTERLAB_CASA_LAUNCH", ""))
        if not self._display.alive():
            self._display.restart()
            self.live.displays(*self._display.env().values())
        return self._display.env()

    # -- cells (this class is the Place of its calls) --------------------------------------------------------------

    def attach(self, namespace: dict[str, Any], hidden: Mapping[str, Any] | None = None) -> None:
        """From now on follow the names in ``namespace``.

        Args:
            namespace: the user's.
            hidden: names that are not the user's, as long as they have these values; default: all that are there.
        """
        budget = Budget(bytes=self.settings.digest_limit << 20)
        hidden = namespace if hidden is None else hidden
        self._names = NameTracker(namespace, hidden, self._shelf(), budget, self.settings.keep_limit << 20)
        self._names.entering = self._make_directory

    def hide(self, names: Mapping[str, Any]) -> None:
        """These names of the namespace are not the user's as long as they have these values."""
        if self._names is not None:
            self._names.hide(names)

    def expose(self, names: Iterable[str]) -> None:
        """Of hidden names, these carry a state at present that the user gave them (an open tool): they count as his."""
        if self._names is not None:
            self._names.exposed = frozenset(names)

    def _shelf(self) -> ValueStore:
        return ValueStore(self.workspace)

    def begin_cell(self, cell: Cell | None, source: str | None = None) -> None:
        """A cell is about to run.

        Args:
            cell: which; ``None``: what follows has no place in a notebook (a console, a script).
            source: the text that runs, where there is no cell.

        Raises:
            ValueLost, VersionLost: the cell was to run from a state that can no longer be had; nothing was changed.
        """
        self._place, self._failed, self._notes, self._given_up, self.cell = None, False, [], set(), ""
        self._entering = cell if self.settings.state == "story" else None
        self._calls, self._absolute, self._recorder = [], False, None
        self._state = cell.state if cell is not None and self._entering is not None else None
        self._source = cell.source if cell is not None else source or ""
        self._uses = uses(self._source) if cell is not None or source is not None else EVERYTHING
        self._started, self._clock = time.time(), time.monotonic()
        self.live.told_to_stop()  # it was meant for another cell
        if self._names is not None and self._state is not None:
            bound = self._state["bound"]
            extra = self._names.elsewhere(bound) if self._uses.everything else set()  # it could see any of them
            self._names.bring({**dict.fromkeys(extra, ABSENT), **self._state["names"]}, bound)
            self._names.set_aside(self._state["aside"])
        elif self._names is not None:
            self._names.readmit()  # no walk is under way, or it was given up
        # A cell without task calls need not wait for another kernel's task; one with calls enters with the first.
        with contextlib.suppress(WorkspaceBusy):
            try:
                try:
                    self._enter(patience=None if self._state is not None else 0)
                except sqlite3.DatabaseError:
                    self.workspace.reopen_ledger()
                    self._enter(patience=0)
            except (sqlite3.Error, OSError) as error:
                self._place = self._entering = None
                self._notes.append(f"WARNING: this cell acts on what is there, its place could not be noted: {error}")
        try:
            os.getcwd()
        except FileNotFoundError:
            os.chdir(self.workspace.directory)
            self._notes.append("the working directory is not there at this cell's place: it runs in the workspace")
        if self._names is not None:
            if self._state is None and self._place is not None and self._place.ordered:
                self._bring_missing(self._place, self._names.reach(self._uses))
            self._names.begin(self._uses)
            if self._state is not None:
                self._names.assume(self._state["anew"])
            self._forget_stale_modules()
        if self._place is not None:
            self._recorder = Recorder(self.workspace, self, self._uses.texts if self._uses.shell else ())
            self._watch = FileWatch(self._recorder, directory=self.workspace.directory)
            self._watch.start()
        self.live.cell_started(self.cell or (cell.id if cell is not None else ""), cell.notebook or "" if cell else "")

    def _make_directory(self, path: str) -> None:
        """See to it that a directory is there which a cell above has made, as far as the running cell's place goes."""
        path = self._name_of(path)
        products = self._state["products"] if self._state is not None else {}
        targets = {product: v for product, v in products.items() if path == product or path.startswith(product + "/")}
        with self.workspace.lock(self._tell_waiting):
            self.workspace.restore(targets)

    def _enter(self, patience: float | None = None) -> None:
        if self._entering is None:
            return
        with self.workspace.lock(self._tell_waiting, patience):
            cell = self._entering
            run = self.workspace.ledger.next_run()
            if cell.id:
                self._place = _place(cell, run)
            else:
                self._batch = self._batch or BatchStory(self.workspace.ledger)
                self._place = self._batch.place(cell.source, run)
            self.cell = self._place.cell
            if not self._place.ordered and not self._told:
                self._told = True
                self._notes.append("which cells stand above this one is not known here: it acts on what is there")
            self.workspace.inherit_found(self._place.notebook, [cell.id, *(cell.order or ())])
            self._notice_outside_changes()
            now = meaning(cell.source)
            edited = self.workspace.ledger.swap_source(self.cell, now) != now
            if self._state is None:
                self._rewind(self._place, edited)
            self._entering = None

    def _tell_waiting(self, seconds: float, who: str) -> None:
        if not who:
            self.live.waited()
            return
        self.live.waiting(seconds, who)
        self.watcher.progress(seconds, None, f"waiting for another kernel in this workspace ({who})")

    def end_cell(
        self,
        ok: bool = True,
        error: str = "",
        outputs: Sequence[Mapping[str, Any]] = (),
        interrupted: bool = False,
        show: Show | None = None,
    ) -> tuple[str, ...]:
        """The cell has run; what it did is noted.

        Args:
            ok: whether it ran to its end.
            error: what it raised, in one line.
            outputs: what it showed, as nbformat has it.
            interrupted: whether the user stopped it.
            show: shows sentences to the user as part of the cell, and gives what the cell has shown, these included;
                None when that cannot be kept. Called at most once, instead of ``outputs``.

        Returns:
            Sentences to show to the user that ``show`` was not given.
        """
        if self._watch is not None:
            self._watch.stop()
        place, self._place, self._entering = self._place, None, None
        recorded = False
        ended = "ok" if ok else "interrupted" if interrupted else "error"
        if place is not None:
            # When another kernel's task is running by now, what tasks did is recorded already; the rest is seen as
            # an outside change by the next cell. So it is on a full disk.
            try:
                with contextlib.suppress(WorkspaceBusy), self.workspace.lock(patience=1):
                    self._place = place
                    with self.workspace.ledger.transaction():
                        self._finish(place, ok and not self._failed)
                        if self._recorder is not None:  # else the cell has waited for another kernel
                            outcome = ended
                            if show is not None:
                                notes, self._notes = self._notes, []
                                self._tell_notes(notes)
                                shown = show(notes)
                                if shown is None and ok:
                                    outcome, error = "error", "what it showed is too much to be kept"
                                outputs = shown or ()
                            self._record(self._recorder, place, outcome, error, outputs)
                            recorded = True
            except (sqlite3.Error, OSError) as problem:
                self._notes.append(f"WARNING: what this cell did could not be noted: {problem}")
            self._place = None
        if self._names is not None and not recorded:
            chains = self._names.chains(self._uses)
            parts = senses(chains, self._source, self._names.namespace, outputs, files=False, programs=False)
            self._names.end(uuid.uuid4().hex, parts, of_cell=place is not None)
        self._ran.append(meaning(self._source) if place is not None else "")
        self._recorder = self._watch = self._state = None
        self._tell_notes(self._notes)
        self._tell_held()
        self.live.cell_ended(self.cell, ended, place.run if place is not None and recorded else 0)
        return tuple(self._notes)

    def settle(self, names: Mapping[str, str], products: Mapping[str, str]) -> list[str]:
        """The end of a walk through a notebook: leave everything as after its last cell. No cell is running.

        Args:
            names: all names that are bound there (see :class:`Cell`) and their versions; see ``NameTracker.settle``.
            products: path -> version of products that are to be brought back.

        Returns:
            Sentences for the user.

        Raises:
            OSError: the disk is full.
        """
        self._notes = []
        if self.settings.state != "story":
            return []
        with self.workspace.lock(self._tell_waiting):
            for path, version in products.items():
                try:
                    self.workspace.restore({path: version} if self.workspace.look(path) != version else {})
                except VersionLost as lost:
                    self._notes.append(str(lost))
        if self._names is not None:
            lost_names = ", ".join(f"`{name}`" for name in sorted(self._names.settle(names)))
            if lost_names:
                self._notes.append(f"{lost_names}: the value could not be kept; run the cell that makes it to have it")
        self._tell_held()
        self._tell_notes(self._notes)
        return self._notes

    def stirred(self) -> None:
        """Something that is no cell has run since the last one: it may have changed values."""
        if self._names is not None:
            self._names.stir()

    def _tell_held(self) -> None:
        if self._names is not None:
            self.live.holds(self._names.holds())

    def _tell_notes(self, notes: Iterable[str]) -> None:
        for text in notes:
            self.live.note(text)

    @property
    def run(self) -> int:
        """The number of the running cell's run; 0 where there is no cell."""
        return self._place.run if self._place is not None else 0

    def reshow(self, run: int, bundles: Mapping[int, Mapping[str, Any]]) -> None:
        """The running cell has changed what another one shows. For ``show`` to call; see :meth:`end_cell`.

        Args:
            run: of the other cell.
            bundles: by the position of an output: what it shows now (``data`` and ``metadata``).
        """
        ledger = self.workspace.ledger
        known = ledger.cell_run(run)
        if known is not None:
            outputs = ledger.outputs(known.shown) or []
            outputs = [{**output, **bundles.get(position, {})} for position, output in enumerate(outputs)]
            ledger.add_cell_run(replace(known, shown=outputs_digest(outputs)), text_hash(known.source), outputs)

    def _finish(self, place: Place, ok: bool) -> None:
        if self._recorder is not None:
            self._recorder.close()
        self._notice_own_changes(place)
        if ok:
            self._drop_former(place)
        if self._batch is not None and place.touched:
            self._batch.settle(place)
        known = self.workspace.ledger.found(place.notebook)
        news = {path: first for path, first in place.first.items() if path not in known}
        origins = {p: found_version(first, [t for t in self._touches if t.path == p]) for p, first in news.items()}
        self.workspace.set_found(place.notebook, origins)
        self.workspace.record_cell(place.cell, place.touched.values())

    def _record(
        self, recorder: Recorder, place: Place, outcome: str, error: str, outputs: Sequence[Mapping[str, Any]]
    ) -> None:
        """Write the cell run into the ledger."""
        names = self._names
        reads = dict(recorder.reads)
        impure = list(recorder.impurities)
        if names is not None:
            files = local_files(self._uses.imports)
            note(files)
            for path in map(self._name_of, files.values()):
                reads.setdefault(f"p:{path}", self.workspace.look(path))
            chains = names.chains(self._uses)
            found = impure_chains(chains, names.bare_calls(self._uses), names.namespace)
            impure += [what for what in found if what not in impure]
        now = meaning(self._source)
        if self._uses.history:
            reads["h:"] = self._history(place)
        if self._uses.everything and names is not None:
            reads["b:"] = listing(names.bound())
        salt = [uuid.uuid4().hex] if impure else []
        before = names.before() if names is not None else {}
        key = _hash_of([now, sorted(reads.items()), sorted(before.items()), *salt])
        changes = NameChanges()
        if names is not None:
            used = bool(reads or recorder.outside or recorder.written() or self._calls)
            parts = senses(chains, self._source, names.namespace, outputs, used, recorder.has_spawned)
            changes = names.end(key, parts)
        if changes.unseeded and "random numbers" not in impure:
            impure.append("random numbers")
        writes = {f"p:{t.path}": t.after for t in place.touched.values() if t.before != t.after}
        writes |= {f"p:{path}": place.touched[path].after for path in recorder.written() if path in place.touched}
        reads |= {f"n:{name}": version for name, version in changes.reads.items()}
        origins = {r: self._makers(r, v, place) for r, v in reads.items() if v != ABSENT}
        writes |= {f"n:{name}": version for name, version in changes.writes.items()}
        environment = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
        if self._calls:
            environment |= {name: v for name, v in self.casa.versions.items() if name in _CASA_PACKAGES}
            environment[THREADS] = str(self.threads)
        if self._absolute:
            environment[WORKSPACE] = str(self.workspace.directory)
        run = CellRun(
            id=place.run,
            cell=place.cell,
            notebook=place.notebook,
            meaning=now,
            source=self._source,
            started=self._started,
            seconds=time.monotonic() - self._clock,
            outcome=outcome,
            error=error,
            reads=reads,
            writes=writes,
            rebound=frozenset(f"n:{name}" for name in changes.rebound),
            origins={r: cell for r, cell in origins.items() if cell},
            impure=tuple(impure),
            outside=tuple(sorted(recorder.outside)),
            unkept=tuple(sorted(changes.unkept)),
            calls=tuple(self._calls),
            environment=environment,
            shown=outputs_digest(outputs),
        )
        self.workspace.ledger.add_cell_run(run, text_hash(self._source), outputs)
        self._name_makers |= dict.fromkeys(changes.writes, place.cell)

    def _makers(self, resource: str, version: str, place: Place) -> str:
        """The cell that had made what a cell read."""
        if self._state is not None:
            return self._state["makers"].get(resource, "")
        if resource.startswith("n:"):
            return self._name_makers.get(resource[2:], "")
        made = [t for t in self._touches if f"p:{t.path}" == resource and t.after == version and t.before != version]
        return made[-1].cell.removesuffix(OUTSIDE) if made else ""

    def _history(self, place: Place) -> str:
        """The version of what ``Out`` and ``_`` hold: what has run here, whether or not the cells above say that."""
        sources = (self.workspace.ledger.source_of(cell) for cell in place.above)
        above = [source for source in sources if source]
        return history(above) if above == self._ran else f"here-{uuid.uuid4().hex}"

    def _name_of(self, path: str) -> str:
        return product_path(path, self.workspace.directory, self.workspace.directory)

    def _bring_missing(self, place: Place, used: Iterable[str]) -> None:
        """Names that the cell uses and that a cell above had bound, before the kernel was restarted."""
        assert self._names is not None
        there = self._names.namespace
        missing = {
            name for name in used if name not in there and name not in self._names.known and not hasattr(builtins, name)
        }
        seen: set[str] = set()
        while missing - seen:
            name = (missing - seen).pop()
            seen.add(name)
            version = self._left_by_cells_above(name, place)
            if version == ABSENT:
                continue
            try:
                group = [other for other in self._names.kept_with(version, name) if other not in there]
                self._names.bring(
                    {
                        other: v
                        for other, v in ((o, self._left_by_cells_above(o, place)) for o in group)
                        if v.partition("+")[2] == version.partition("+")[2]
                    }
                )
            except ValueLost as lost:
                self._notes.append(f"{lost}: run the cell above that makes it")
                continue
            self._notes.append(f"`{name}` was brought back as the cells above had left it")
            missing |= {n for n in self._names.reach(self._uses) if n not in there and not hasattr(builtins, n)}

    def _left_by_cells_above(self, name: str, place: Place) -> str:
        if self._above is None or self._above[0] != place.run:
            runs = [self.workspace.ledger.last_cell_run(cell) for cell in reversed(place.above)]
            self._above = place.run, [run.writes for run in runs if run is not None and run.outcome == "ok"]
        for writes in self._above[1]:
            if f"n:{name}" in writes:
                return writes[f"n:{name}"]
        return ABSENT

    def _forget_stale_modules(self) -> None:
        """Modules of the user that changed since they were imported: the cell that imports them gets the new ones."""
        there = self._names.namespace if self._names is not None else {}
        others = (value for name, value in there.items() if name not in self._uses.binds)
        for name in forget_changed(self._uses.imports, others):
            self._notes.append(f"module `{name}` has changed: it is imported anew")

    # what calls and Python files ask

    def implied(self, path: str) -> str:
        """See :class:`calls.Place`."""
        present = self.workspace.look(path)
        if self._place is None:
            return present
        if self._state is not None:
            if path in self._place.touched:
                return self._place.touched[path].after
            return self._state["products"].get(path, present)
        if path in self._given_up:
            return present
        if self._generation != self.workspace.ledger.generation:  # another kernel was here since the cell began
            self._generation, self._latest = self.workspace.ledger.generation, self.workspace.ledger.touches()
        version = implied(path, self._place, self._latest, present, self._foreign(path, present))
        late = behind(path, self._place, self._latest)
        if late is not None:
            note = f"{path}: a cell above that changes it has not run since the cells above itself did; run it, too"
            self._notes += [note] if note not in self._notes else []
        return version

    def arrive(self, path: str) -> str:
        """See :class:`tracing.recorder.Host`."""
        with self.workspace.lock(self._tell_waiting):
            version = self.implied(path)
            if self.workspace.look(path) != version:
                try:
                    self.workspace.restore({path: version})
                except VersionLost:
                    if self._state is not None:
                        raise
                    self.give_up(path)
                    return self.workspace.look(path)
            return version

    def protect(self, path: str) -> None:
        """See :class:`tracing.recorder.Host`."""
        with self.workspace.lock(self._tell_waiting):
            self._keep(path)

    def using(self, path: str, how: str) -> None:
        """The cell is about to open a file that no audit hook sees (a tool of casatools); see files.FileClient."""
        if self._watch is not None:
            self._watch.tell(path, how)

    def reading(self, names: Iterable[str]) -> None:
        """The cell is about to read global names that its text does not say (``go()``, ``tclean()`` alone)."""
        if self._names is not None:
            names = set(names)
            if self._state is None and self._place is not None and self._place.ordered:
                self._bring_missing(self._place, names)
            self._names.also_reads(names)

    def impure(self, what: str) -> None:
        """The cell is about to use something that is recorded nowhere: in words, as ``the clock``."""
        if self._recorder is not None:
            self._recorder.impure(what)

    def story(self) -> set[str]:
        """See :class:`tracing.recorder.Host`."""
        products = {touch.path for touch in self._touches}
        return products | set(self._state["products"]) if self._state is not None else products

    def give_up(self, path: str) -> None:
        """See :class:`calls.Place`."""
        if self._state is not None:
            raise VersionLost(self._state["products"].get(path, "?"), path)
        self._given_up.add(path)
        found = self.workspace.in_the_way(path)
        why = "is no longer in the store" if found is None else f"is not brought back, as {found} was replaced"
        self._notes.append(f"an earlier state of {path} {why}: the present one was used")

    @property
    def strict(self) -> bool:
        """See :class:`calls.Place`."""
        return self._place is not None and self._place.ordered

    def _foreign(self, path: str, version_id: str) -> bool:
        ledger = self.workspace.ledger
        return version_id != ABSENT and not ledger.made_in_cell(version_id) and not ledger.written(path, version_id)

    def touch(self, path: str, before: str, after: str, *, read: bool = False) -> None:
        """See :class:`calls.Place`."""
        if self._place is None:
            return
        if self._recorder is not None:
            if read or before == after:
                self._recorder.task_read(path, before)
            if before != after:
                self._recorder.task_wrote(path, before)
        touch = self._place.touch(path, before, after)
        if (touch.before, touch.after) != (ABSENT, ABSENT):
            self.workspace.ledger.set_touch(touch, self._place.run)

    def missed(self, path: str) -> None:
        """See :class:`calls.Place`."""
        if self._recorder is not None:
            self._recorder.task_missed(path)

    def called(
        self,
        task: str,
        key: str | None,
        action: str,
        seconds: float,
        absolute: bool = False,
        used: tuple[float, int] | None = None,
    ) -> None:
        """See :class:`calls.Place`."""
        self._calls.append(CallUse(task, key, action, seconds, *(used or ())))
        self._absolute = self._absolute or absolute

    def _notice_outside_changes(self) -> None:
        """What changed since the last cell, was changed by something that is no cell."""
        ledger = self.workspace.ledger
        self.workspace.brought.clear()
        self.workspace.noticed.clear()
        self._generation = self._entered = ledger.generation
        self._touches = self._latest = ledger.touches()
        self._before = {path: self.workspace.look(path) for path in {touch.path for touch in self._touches}}
        if self._state is not None:
            return  # the plan has told what to make of them
        known: dict[str, set[str]] = {}
        for touch in self._touches:
            if touch.before != touch.after:
                known.setdefault(touch.path, {ABSENT}).update((touch.before, touch.after))
        for path in sorted(known):
            present = self._before[path]
            if present in known[path] or not self._foreign(path, present):
                continue
            change = outside_change(self._touches, path, present)
            if change is None:
                notebooks = {touch.notebook for touch in self._touches if touch.path == path}
                ledger.drop_touches(path=path)
                for notebook in notebooks:
                    self.workspace.set_found(notebook, {path: present})
            else:
                self._keep(path)
                ledger.set_touch(change, ledger.next_run())
            self._notes.append(f"{path} was changed outside the notebook")
            self.live.product("product-changed-outside", path, present)
        self._touches = self._latest = ledger.touches()

    def _rewind(self, place: Place, edited: bool) -> None:
        """Bring back what the cell's own last run changed, where its tasks will not see to it themselves.

        That is what its Python code changed, and, when the cell was edited, everything: what it made must not be
        there for it. A cell that says the same makes the same again, so there is no need to take that away first.
        """
        changed = [t for t in self._touches if t.cell == place.cell and t.before != t.after]
        by_python = {t.path for t in changed if not self.workspace.ledger.made_in_cell(t.after)}
        targets = {t.path: self.implied(t.path) for t in changed if edited or t.path in by_python}
        try:
            self.workspace.restore(targets)
        except VersionLost as lost:
            self.give_up(lost.path)

    def _notice_own_changes(self, place: Place) -> None:
        """Products that the cell's Python code changed unseen, without a task."""
        others = self.workspace.ledger.generation != self._entered
        for path in sorted(self._before.keys() | place.touched.keys()):
            known = self.workspace.known(path)
            present = self.workspace.look(path)
            if others and known and self.workspace.noticed.get(path) != present:
                continue  # another kernel has put it there
            unchanged = self.workspace.brought.get(path, self._before.get(path, ABSENT))
            expected = place.touched[path].after if path in place.touched else unchanged
            if present not in (expected, unchanged):  # a call whose results were known need not have moved its inputs
                self.touch(path, expected, present, read=True)
        for touch in place.touched.values():
            if touch.before != touch.after and touch.after != ABSENT and self.workspace.look(touch.path) == touch.after:
                self._keep(touch.path)

    def _keep(self, path: str) -> None:
        try:
            self.workspace.keep([path])
        except OSError as error:
            self._notes.append(f"WARNING: the present state of {path} could not be kept: {error.strerror}")

    def _drop_former(self, place: Place) -> None:
        """What the cell's previous run made and this one did not, is no longer part of the story."""
        ledger = self.workspace.ledger
        for touch in self._touches:
            if touch.cell != place.cell or touch.path in place.touched or touch.before != ABSENT:
                continue
            if touch.after != ABSENT and self.workspace.look(touch.path) == touch.after:
                self.workspace.restore({touch.path: ABSENT})
                self._notes.append(f"{touch.path} was set aside: this cell no longer makes it")
        ledger.drop_touches(cell=place.cell, before_run=place.run)


def _place(cell: Cell, run: int) -> Place:
    order = cell.order or ()
    notebook = os.path.basename(cell.notebook or "")  # clients name it from different directories
    if cell.id not in order:
        return Place(cell.id, (), (), notebook, run, ordered=False)
    here = order.index(cell.id)
    return Place(cell.id, order[:here], order[here + 1 :], notebook, run)


def _hash_of(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
