"""The smallest kernel around casa_recompute.session: a namespace, exec, and what JupyterLab and `jupyter casa run` do.

Its worker is no process: thousands of calls are to be made in little time.
"""

from __future__ import annotations

import ast
import atexit
import builtins
import contextlib
import json
import random
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from casa_recompute.installation import Installation
from casa_recompute.notebook import outputs
from casa_recompute.notebook import plan as planning
from casa_recompute.notebook.model import ABSENT, CellSource
from casa_recompute.notebook.rerun import Rerun as Walk
from casa_recompute.notebook.simulate import shared
from casa_recompute.notebook.walk import Walk as LivingWalk
from casa_recompute.runner import Reply
from casa_recompute.runner.worker import codec
from casa_recompute.session import Cell, Session
from casa_recompute.values.shelf import ValueLost
from casa_recompute.workspace import VersionLost
from tests.core.standin import fake_settings
from tests.oracle import plain
from tests.oracle.plain import Shown
from tests.oracle.trial import Cells, Disturbance, Rerun

SETTINGS = fake_settings(store="copy")
_CASA = Installation(SETTINGS)  # what CASA is installed does not change between sequences


class InProcessWorker:
    """Stands for runner.Worker."""

    pid = None
    versions = {"casatasks": "0.0", "casatools": "0.0", "python": "3", "threads": "1"}

    def start(self) -> None:
        """There is nothing to start."""

    def kill(self) -> None:
        """Nor to end."""

    def request(
        self, operation: str, body: Mapping[str, Any], tick: Callable[[float, str], None] | None = None
    ) -> Reply:
        """See runner.Worker."""
        began = time.monotonic()
        if operation == "canonical":
            return Reply({"digests": {path: plain.tree_digest(path) for path in body["paths"]}}, "", 0.0)
        if operation == "check":
            return Reply({}, "", 0.0)
        arguments = codec.loads(codec.dumps(body["arguments"]))
        with contextlib.chdir(body["cwd"]):
            value = plain.run_task(body["task"], arguments)
        return Reply({"pictures": []}, "", time.monotonic() - began, codec.encode(value))


_WORKER = InProcessWorker()


class ShellKernel:
    """See trial.Kernel."""

    def __init__(self, directory: Path, raw: Mapping[str, bytes]) -> None:
        self.directory = directory
        self.notebook = "nb.ipynb"
        self._shown: dict[str, Shown] = {}
        self._outputs: dict[str, list[dict[str, Any]]] = {}
        self._session: Session | None = None
        self._walk: Walk | None = None
        self._final: dict[str, str] = {}
        self.namespace: dict[str, Any] = {}
        home = directory / plain.HOME
        home.mkdir()
        (home / "reserve").touch()  # room that a session would set aside for a full disk

    @property
    def session(self) -> Session:
        """The living kernel's, started when there is none."""
        if self._session is None:
            plain.forget_modules()
            plain.begin_process(self.directory)
            random.seed()
            np.random.seed()
            self._session = session = Session(self.directory, SETTINGS)
            session.casa = _CASA
            session._worker = _WORKER  # type: ignore[assignment]
            self.namespace = {"__name__": "__main__", "__builtins__": builtins}
            self.namespace |= {name: _task(session, name) for name in plain.TASKS}
            session.attach(self.namespace)
        return self._session

    def restart(self, killed: bool) -> None:
        """See trial.Kernel."""
        self._end_walk()
        if self._session is None:
            return
        if not killed:
            self._session.close()
        self._session.workspace.close()
        atexit.unregister(self._session.close)
        self._session = None
        self.namespace = {}
        if "cloudpickle" in sys.modules:  # a new process has seen no class yet
            cloudpickle: Any = sys.modules["cloudpickle.cloudpickle"]
            cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS.clear()
            cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.clear()

    def close(self) -> None:
        """See trial.Kernel."""
        self.restart(False)

    # -- executing ---------------------------------------------------------------------------------------------------

    def run(self, cells: Cells, identity: str, ready: Callable[[], None]) -> bool:
        """See trial.Kernel."""
        return self._execute(cells, identity, dict(cells)[identity], None, ready)

    def _execute(
        self,
        cells: Cells,
        identity: str,
        source: str,
        state: Mapping[str, Mapping[str, str]] | None,
        ready: Callable[[], None] = lambda: None,
        only: str | None = None,
        dies: bool = False,
    ) -> bool:
        """``only``: the part of the source after which the user interrupts it, or the kernel ``dies``."""
        order = tuple(cell for cell, _ in cells)
        session = self.session
        try:
            session.begin_cell(Cell(identity, order, self.notebook, source, state))
        except (ValueLost, VersionLost) as error:  # the cell does not run, and that is all that is seen of it
            if state is None:
                raise
            self._shown[identity] = Shown(False, "", str(error))
            return False
        with session._watch.paused() if session._watch is not None else contextlib.nullcontext():
            ready()  # looks at files, which the cell does not
        shown = plain.execute(source if only is None else only, self.namespace, self.directory)
        if only is not None:
            shown = Shown(False, shown.text, shown.error or "KeyboardInterrupt: ")
        if dies:
            if session._watch is not None:
                session._watch.stop()
            self.restart(True)
            return False
        self._shown[identity] = shown
        self._outputs[identity] = _as_outputs(shown)
        session.end_cell(
            shown.ok, error=shown.error, outputs=self._outputs[identity], interrupted=only is not None
        )
        return shown.ok

    def console(self, text: str, silent: bool) -> None:
        """See trial.Kernel."""
        session = self.session
        if silent:
            plain.execute(text, self.namespace, self.directory)
            session.stirred()
        else:
            session.begin_cell(None, text)
            plain.execute(text, self.namespace, self.directory)
            session.end_cell()

    def rerun(self, cells: Cells) -> Rerun:
        """See trial.Kernel."""
        walk = self._new_walk(cells)
        done = Rerun([])
        for step in walk.steps():
            identity = step.cell.id
            if step.action == "execute":
                before = self._shown.get(identity)
                ok = self._execute(cells, identity, step.cell.source, step.state)
                step.done(ok)
                if not step.refused:
                    done.executed.append(identity)
                    done.failed = None if ok else identity
                elif before is not None:
                    self._shown[identity] = before
            elif step.action == "restore":
                self._outputs[identity] = step.outputs
                self._shown[identity] = _as_shown(step.outputs)
        walk.finish()
        return done

    def browse(
        self,
        cells: Cells,
        to: str | None = None,
        everything: bool = False,
        disturbance: Disturbance | None = None,
        ready: Callable[[str], None] = lambda identity: None,
    ) -> Rerun:
        """See trial.Kernel."""
        self._end_walk()
        done, count = Rerun([]), 0
        walk = LivingWalk(
            self.directory,
            self.notebook,
            self._sources(cells),
            SETTINGS,
            to=to,
            everything=everything,
            held=lambda: self._session._names.holds() if self._session and self._session._names else {},
            casa=_CASA,
            outputs_limit=200,
        )
        try:
            ok: bool | None = None
            news: list[CellSource] | None = None
            former: Shown | None = None
            stop = False
            while True:
                answer = json.loads(json.dumps(walk.go_on(ok, news, stop)))
                ok, news = None, None
                if answer["refused"]:
                    asked = done.executed.pop()
                    done.failed = None
                    self._shown[asked] = former or Shown(True, "")
                for step in answer["steps"]:
                    identity = step["cell"]
                    if step["action"] == "restore":
                        self._outputs[identity] = step["outputs"]
                        self._shown[identity] = _as_shown(step["outputs"])
                    elif step["action"] == "execute":
                        count += 1
                        source, only = dict(cells)[identity], None
                        if disturbance is not None and count == disturbance.at:
                            match disturbance.kind:
                                case "meddle":
                                    disturbance.meanwhile()
                                case "leave":
                                    return done
                                case "restart":
                                    self.restart(True)
                                case "interrupt" | "die":
                                    only = _first_half(source)
                                case "stop":
                                    stop = True
                        former = self._shown.get(identity)
                        done.executed.append(identity)
                        dies = disturbance is not None and count == disturbance.at and disturbance.kind == "die"
                        ok = self._execute(cells, identity, source, step["state"], partial(ready, identity), only, dies)
                        done.failed = None if ok else identity
                        if disturbance is not None and count == disturbance.at and disturbance.kind == "edit":
                            disturbance.meanwhile()
                            news = self._sources(cells)
                    elif step["action"] == "settle":
                        self.session.settle(**step["state"]["settle"])
                        ok, self._final = True, step["state"]["settle"]["names"]
                if answer["done"] is not None:
                    assert answer["done"]["failed"] == done.failed
                    return done
        finally:
            walk.close()

    def held(self) -> tuple[dict[str, Any], frozenset[str]]:
        """See trial.Kernel."""
        ledger = self.session.workspace.ledger
        state = {name: ledger.value_state(shared(v) or v) for name, v in self._final.items()}
        lost = {name for name, known in state.items() if known is None or not known[1]}
        return self.namespace, frozenset(lost - self.namespace.keys())

    def unfinished(self, cells: Cells) -> Mapping[str, str]:
        """See trial.Kernel."""
        walk = self._new_walk(cells)
        planned = {cell.id: f"plan: {cell.state} {cell.reasons}" for cell in walk.plan().cells if cell.state != "fresh"}
        for step in walk.steps():
            if step.action != "keep":
                return planned | {step.cell.id: f"{step.action} {step.reasons}"}
        changed = walk.finish()
        return planned | ({"products": str(changed)} if changed else {})

    def _new_walk(self, cells: Cells) -> Walk:
        self._end_walk()
        sources = self._sources(cells)
        with mock.patch.object(planning, "Installation", lambda _: _CASA):
            self._walk = Walk(self.directory, self.notebook, sources, SETTINGS)
        return self._walk

    def _sources(self, cells: Cells) -> list[CellSource]:
        return [
            CellSource(identity, index, source, outputs.digest(self._outputs.get(identity, [])))
            for index, (identity, source) in enumerate(cells)
        ]

    def _end_walk(self) -> None:
        if self._walk is not None:
            self._walk.close()
            self._walk = None

    # -- looking -----------------------------------------------------------------------------------------------------

    def shown(self, identity: str) -> Shown:
        """See trial.Kernel."""
        return self._shown.get(identity, Shown(True, ""))

    def names(self, cells: Cells) -> tuple[dict[str, Any], frozenset[str]]:
        """See trial.Kernel."""
        assert self._walk is not None
        wanted = self._walk.final_names()
        tracker = self.session._names
        assert tracker is not None
        lost: set[str] = set()
        groups: dict[str, dict[str, str]] = {}
        for name, version in wanted.items():
            groups.setdefault(shared(version) or name, {})[name] = version
        for group in groups.values():
            try:
                tracker.bring(group)
            except ValueLost:
                lost |= group.keys()
        tracker.bring({name: ABSENT for name in plain.user_names(self.namespace) if name not in wanted})
        return self.namespace, frozenset(lost)


def _task(session: Session, name: str) -> Callable[..., Any]:
    return lambda *args, **kwargs: session.call(name, *args, **kwargs).value


def _first_half(source: str) -> str:
    body = ast.parse(source).body
    return "\n".join(ast.unparse(node) for node in body[: len(body) // 2])


def _as_outputs(shown: Shown) -> list[dict[str, Any]]:
    """What a cell showed, as nbformat has it."""
    made: list[dict[str, Any]] = []
    if shown.text:
        made.append({"output_type": "stream", "name": "stdout", "text": shown.text})
    if not shown.ok:
        kind, _, text = shown.error.partition(": ")
        made.append({"output_type": "error", "ename": kind, "evalue": text, "traceback": []})
    return made


def _as_shown(made: list[dict[str, Any]]) -> Shown:
    text = "".join(output["text"] for output in made if output["output_type"] == "stream")
    errors = [f"{output['ename']}: {output['evalue']}" for output in made if output["output_type"] == "error"]
    return Shown(not errors, text, "".join(errors))
