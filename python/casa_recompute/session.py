"""Session: one kernel's (or script's) use of one workspace. The door to the core."""

from __future__ import annotations

import atexit
import contextlib
import importlib.metadata
import json
import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casa_recompute.calls import Bench, Outcome, Picture, SilentWatcher, Watcher, perform
from casa_recompute.ledger import Touch
from casa_recompute.products import ABSENT
from casa_recompute.runner import CasaNotLoaded, Worker
from casa_recompute.settings import Settings, load_settings
from casa_recompute.story import BatchStory, Cell, Place, behind, implied, meaning, outside_change
from casa_recompute.tasks import Catalogue, load_catalogue
from casa_recompute.workspace import VersionLost, Workspace, WorkspaceBusy

if TYPE_CHECKING:
    from casa_recompute.display import Display

__all__ = ["Cell", "Outcome", "Picture", "Session", "Watcher"]

_SITE_CONFIG = """\
import importlib.util
spec = importlib.util.find_spec("casadata")
if spec is not None and spec.submodule_search_locations:
    measurespath = spec.submodule_search_locations[0] + "/__data__"
    datapath = [measurespath]
measures_auto_update = False
data_auto_update = False
nogui = True
log2term = False
logfile = {log!r}
"""


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
        self.workspace = Workspace(Path(workspace), self.settings.store)
        self.watcher: Watcher = watcher if watcher is not None else SilentWatcher()
        self.id = uuid.uuid4().hex[:12]
        self.cell = ""
        self._place: Place | None = None
        self._touches: list[Touch] = []
        self._before: dict[str, str] = {}
        self._batch: BatchStory | None = None
        self._entering: Cell | None = None
        self._failed = False
        self._notes: list[str] = []
        self._given_up: set[str] = set()
        self._display: Display | None = None
        self._worker: Worker | None = None
        self._owner = os.getpid()
        atexit.register(self.close)

    # -- what it consists of ---------------------------------------------------------------------------------------

    @cached_property
    def catalogue(self) -> Catalogue:
        """All tasks of the CASA in use."""
        return load_catalogue(self._site)

    @cached_property
    def log(self) -> Path:
        """This session's CASA log."""
        return self.workspace.home / "log" / f"casa-{self.id}.log"

    @cached_property
    def threads(self) -> int:
        """OpenMP threads of a task."""
        if self.settings.threads:
            return self.settings.threads
        with self.workspace.lock():
            remembered = self.workspace.ledger.meta("threads")
            if remembered is None:
                remembered = str(len(os.sched_getaffinity(0)))
                self.workspace.ledger.set_meta("threads", remembered)
        return int(remembered)

    @cached_property
    def versions(self) -> dict[str, str]:
        """Versions of the CASA packages in the worker's interpreter, found without importing them."""
        names = ("casatasks", "casatools", "casadata", "casaplotms", "casaviewer", "casatablebrowser")
        if self.settings.python == sys.executable:
            found = {dist.name: dist.version for dist in map(_distribution, names) if dist is not None}
        else:
            code = (
                "import importlib.metadata as m, json, sys\n"
                "found = {d.metadata['Name']: d.version for d in m.distributions()}\n"
                "print(json.dumps({name: found[name] for name in sys.argv[1:] if name in found}))"
            )
            found = dict(_ask(self.settings, code, *names))
        if "casatasks" not in found:
            raise CasaNotLoaded(f"{self.settings.python} has no casatasks: install it there, or set another `python`")
        return found

    @cached_property
    def _site(self) -> Path | None:
        if self.settings.python == sys.executable:
            return None
        code = (
            "import importlib.util as u,json,os\n"
            "s=u.find_spec('casatasks')\n"
            "print(json.dumps({'site': os.path.dirname(s.submodule_search_locations[0]) if s else ''}))"
        )
        site = _ask(self.settings, code)["site"]
        return Path(site) if site else None

    def environment(self) -> dict[str, str]:
        """Environment variables with which CASA packages work and litter nothing, for this process and the worker."""
        config = os.environ.get("CASASITECONFIG")
        own = self.workspace.home / "casasiteconfig.py"
        if not config or config == str(own):
            own.write_text(_SITE_CONFIG.format(log=str(self.workspace.home / "log" / "casa-kernels.log")))
            config = str(own)
        variables = {}
        rc = self.workspace.home / "casarc"
        if os.environ.get("CASARCFILES", str(rc)) == str(rc) and not Path("~/.casarc").expanduser().exists():
            # Where casacore puts its temporary lattices, which a killed task leaves: not beside the user's data.
            rc.write_text(f"user.directories.work: {self.workspace.home / 'tmp'}\n")
            variables["CASARCFILES"] = str(rc)
        return variables | {
            "CASASITECONFIG": config,
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
            self._worker = Worker(self.settings.python, environment, self.log, scratch, [self.workspace.lock_file])
        return self._worker

    def warm(self) -> None:
        """Load CASA in the worker, in the background."""
        self.worker.start()

    def close(self) -> None:
        """End the worker and the display; harmless when done already."""
        if os.getpid() != self._owner:
            return  # a forked child has no business with its parent's processes
        if self._worker is not None:
            self._worker.kill()
            self._worker = None
        if self._display is not None:
            self._display.stop()
            self._display = None

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
        try:
            self._enter()
            try:
                return perform(self._bench(), definition, bound, given)
            except sqlite3.DatabaseError:
                # The ledger was damaged or taken away under our feet: what the store's records tell is enough.
                self.workspace.reopen_ledger()
                return perform(self._bench(), definition, bound, given)
        except BaseException:
            self._failed = True
            raise

    def _bench(self) -> Bench:
        return Bench(
            workspace=self.workspace,
            worker=self.worker,
            watcher=self.watcher,
            place=self,
            waiting=self._tell_waiting,
            session=self.id,
            log=self.log,
            environment=self._key_environment,
            gui=self._gui_environment,
        )

    def _key_environment(self, package: str) -> dict[str, str]:
        wanted = ("casatasks", "casatools", "casadata", package)
        return {name: self.versions[name] for name in wanted if name in self.versions} | {"threads": str(self.threads)}

    def _gui_environment(self) -> dict[str, str]:
        if self.settings.display == "inherit":
            return {name: os.environ[name] for name in ("DISPLAY", "XAUTHORITY") if name in os.environ}
        if self._display is None:
            from casa_recompute.display import (
                Display,
            )  # not needed by most sessions, and a kernel's start counts

            self._display = Display()
        if not self._display.alive():
            self._display.restart()
        return self._display.env()

    # -- cells (this class is the Place of its calls) --------------------------------------------------------------

    def begin_cell(self, cell: Cell | None) -> None:
        """A cell is about to run; ``None``: what follows has no place in a notebook (a console, a script)."""
        self._place, self._failed, self._notes, self._given_up, self.cell = None, False, [], set(), ""
        self._entering = cell if self.settings.state == "story" else None
        # A cell without task calls need not wait for another kernel's task; one with calls enters with the first.
        with contextlib.suppress(WorkspaceBusy):
            try:
                try:
                    self._enter(patience=0)
                except sqlite3.DatabaseError:
                    self.workspace.reopen_ledger()
                    self._enter(patience=0)
            except (sqlite3.Error, OSError) as error:
                self._place = self._entering = None
                self._notes.append(f"WARNING: this cell acts on what is there, its place could not be noted: {error}")

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
            self._notice_outside_changes()
            now = meaning(cell.source)
            self._rewind(self._place, edited=self.workspace.ledger.swap_source(self.cell, now) != now)
            self._entering = None

    def _tell_waiting(self, seconds: float, who: str) -> None:
        self.watcher.progress(seconds, None, f"waiting for another kernel in this workspace ({who})")

    def end_cell(self, ok: bool = True) -> tuple[str, ...]:
        """The cell has run; what its Python code did to products is noted.

        Args:
            ok: whether it ran to its end.

        Returns:
            Sentences to show to the user.
        """
        place, self._place, self._entering = self._place, None, None
        if place is not None:
            # When another kernel's task is running by now, what tasks did is recorded already; the rest is seen as
            # an outside change by the next cell. So it is on a full disk.
            try:
                with contextlib.suppress(WorkspaceBusy), self.workspace.lock(patience=1):
                    self._place = place
                    self._finish(place, ok and not self._failed)
            except (sqlite3.Error, OSError) as error:
                self._notes.append(f"WARNING: what this cell did outside its tasks could not be noted: {error}")
            self._place = None
        return tuple(self._notes)

    def _finish(self, place: Place, ok: bool) -> None:
        self._notice_own_changes(place)
        if ok:
            self._drop_former(place)
        if self._batch is not None and place.touched:
            self._batch.settle(place)
        self.workspace.record_cell(place.cell, place.touched.values())

    def implied(self, path: str) -> str:
        """See :class:`calls.Place`."""
        present = self.workspace.look(path)
        if self._place is None:
            return present
        if path in self._given_up:
            return present
        version = implied(path, self._place, self._touches, present, self._foreign(present))
        late = behind(path, self._place, self._touches)
        if late is not None:
            note = f"{path}: a cell above that changes it has not run since the cells above itself did; run it, too"
            self._notes += [note] if note not in self._notes else []
        return version

    def give_up(self, path: str) -> None:
        """See :class:`calls.Place`."""
        self._given_up.add(path)
        self._notes.append(f"an earlier state of {path} is no longer in the store: the present one was used")

    def _foreign(self, version_id: str) -> bool:
        return version_id != ABSENT and not self.workspace.ledger.made_in_cell(version_id)

    def touch(self, path: str, before: str, after: str) -> None:
        """See :class:`calls.Place`."""
        if self._place is None:
            return
        touch = self._place.touch(path, before, after)
        if (touch.before, touch.after) != (ABSENT, ABSENT):
            self.workspace.ledger.set_touch(touch, self._place.run)

    def _notice_outside_changes(self) -> None:
        """What changed since the last cell, was changed by something that is no cell."""
        ledger = self.workspace.ledger
        self.workspace.brought.clear()
        self._touches = ledger.touches()
        self._before = {path: self.workspace.look(path) for path in {touch.path for touch in self._touches}}
        known: dict[str, set[str]] = {}
        for touch in self._touches:
            if touch.before != touch.after:
                known.setdefault(touch.path, {ABSENT}).update((touch.before, touch.after))
        for path in sorted(known):
            present = self._before[path]
            if present in known[path] or not self._foreign(present):
                continue
            change = outside_change(self._touches, path, present)
            if change is None:
                ledger.drop_touches(path=path)
            else:
                self._keep(path)
                ledger.set_touch(change, ledger.next_run())
            self._notes.append(f"{path} was changed outside the notebook")
        self._touches = ledger.touches()

    def _rewind(self, place: Place, edited: bool) -> None:
        """Bring back what the cell's own last run changed, where its tasks will not see to it themselves.

        That is what its Python code changed, and, when the cell was edited, everything: what it made must not be
        there for it. A cell that says the same makes the same again, so there is no need to take that away first.
        """
        changed = [t for t in self._touches if t.cell == place.cell and t.before != t.after]
        targets = {t.path: self.implied(t.path) for t in changed if edited or self._foreign(t.after)}
        try:
            self.workspace.restore(targets)
        except VersionLost as lost:
            self.give_up(lost.path)

    def _notice_own_changes(self, place: Place) -> None:
        """Products that the cell's Python code changed, without a task."""
        for path in sorted(self._before.keys() | place.touched.keys()):
            present = self.workspace.look(path)
            unchanged = self.workspace.brought.get(path, self._before.get(path, ABSENT))
            expected = place.touched[path].after if path in place.touched else unchanged
            if present != expected:
                self._keep(path)
                self.touch(path, expected, present)

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
        ledger.drop_touches(cell=place.cell, not_run=place.run)


def _place(cell: Cell, run: int) -> Place:
    order = cell.order or ()
    notebook = os.path.basename(cell.notebook or "")  # clients name it from different directories
    if cell.id not in order:
        return Place(cell.id, (), (), notebook, run, ordered=False)
    here = order.index(cell.id)
    return Place(cell.id, order[:here], order[here + 1 :], notebook, run)


def _distribution(name: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _ask(settings: Settings, code: str, *arguments: str) -> Mapping[str, Any]:
    """Run a few lines in the worker's interpreter that print one JSON object."""
    python = settings.python
    try:
        done = subprocess.run(
            [python, "-c", code, *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env={**os.environ, **settings.environment},
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CasaNotLoaded(f"the interpreter {python} cannot be used: {error}") from error
    answer: Mapping[str, Any] = json.loads(done.stdout)
    return answer
