"""Kernels, and the calls that they run, told without asking them: they may be busy for hours."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jupyter_core.utils import ensure_async
from traitlets import Any as AnyTrait
from traitlets import TraitError, default

from casa_recompute import live
from casa_recompute.workspace import HOME
from jupyterlab_casa import keeper
from jupyterlab_casa.managers.base import Conflict, Manager, NotThere
from jupyterlab_casa.provisioner import CasaProvisioner

States = dict[Path, list[live.Live]]
About = tuple[dict[str, Any], CasaProvisioner, Path]
_NONE: Mapping[str, str] = {}


class Kernels(Manager):
    """The kernels *CASA* of this server. What they do is read from the files that they write (see ``live.py``)."""

    kernel_manager = AnyTrait(help="The server's manager of kernels. Default: that of the server.")
    session_manager = AnyTrait(help="The server's manager of sessions, which knows notebooks. Default: the server's.")

    @default("kernel_manager")
    def _default_kernel_manager(self) -> Any:
        extension: Any = self.parent
        return extension.serverapp.kernel_manager

    @default("session_manager")
    def _default_session_manager(self) -> Any:
        extension: Any = self.parent
        return extension.serverapp.session_manager

    async def list(self) -> dict[str, Any]:
        """All kernels ``casa`` of this server, and what they do: ``{"kernels": [...]}``, each as :meth:`get` tells it.

        Raises:
            Overloaded: too much is waiting already.
        """
        notebooks = await self._notebooks()
        found = [self._about(kernel_id, notebooks) for kernel_id in self._ours()]
        states = await self._states({place for _, _, place in found})
        return {"kernels": [self._told(*about, states) for about in found]}

    def places(self) -> dict[str, Path]:
        """The kernels ``casa`` that work below the server's root, and the absolute paths of their workspaces."""
        found = {i: Path(os.path.realpath(self.kernel_manager.get_kernel(i).provisioner.cwd)) for i in self._ours()}
        return {i: place for i, place in found.items() if place.is_relative_to(self.root.directory)}

    async def get(self, kernel_id: str) -> dict[str, Any]:
        """One kernel.

        ``id``, ``name``, ``state`` (Jupyter's: "busy", "idle" ...), ``last_activity`` (ISO 8601), ``connections``,
        ``notebook`` and ``workspace`` (paths relative to the server's root; None: outside of it, or not known),
        ``pid``, ``session`` (None: it has opened no workspace yet; the following are then None or 0, too), ``started``
        (Unix s), ``cell``, ``log`` (path relative to the workspace), ``display`` (whether it has one), ``revision``
        (number of its last event), and ``call``: None, or ``task``, ``reason``, ``began`` (Unix s), ``elapsed_s``,
        ``expected_s`` (None: it never ran before), ``stage``, ``waiting_for`` (None, or who has the workspace) and
        ``killable`` (whether :meth:`kill_call` has something to kill).

        Raises:
            NotThere: no such kernel, or it is none of ours.
            Overloaded: too much is waiting already.
        """
        about = self._about(kernel_id, await self._notebooks())
        states = await self._states({about[2]})
        return self._told(*about, states)

    async def interrupt(self, kernel_id: str) -> dict[str, Any]:
        """Interrupt what it runs, as the stop button does; the kernel as :meth:`get` tells it just after.

        Raises:
            NotThere, Overloaded: see :meth:`get`.
            Conflict: it is just being started or ended.
        """
        self._about(kernel_id)
        try:
            await ensure_async(self.kernel_manager.interrupt_kernel(kernel_id))
        except RuntimeError as error:
            raise Conflict("the kernel is just being started or ended") from error
        return await self.get(kernel_id)

    async def kill_call(self, kernel_id: str) -> dict[str, Any]:
        """End the process in which its call runs. The call fails with ``WorkerDied``; all products are as before it.

        Returns ``{"id": kernel, "task": which}``.

        Raises:
            NotThere, Overloaded: see :meth:`get`.
            Conflict: no call runs, or its process has not started yet.
        """
        _, provisioner, place = self._about(kernel_id)
        states = await self._states({place})
        state = _of(states, kernel_id, provisioner)
        call = state.call if state is not None else None
        if call is None or not call["worker_pid"] or call["waiting_for"]:
            raise Conflict("no task runs in this kernel now")
        if not _is_child(call["worker_pid"], provisioner.pid):
            raise Conflict("the task has just ended")
        try:
            os.killpg(call["worker_pid"], signal.SIGKILL)
        except ProcessLookupError as error:
            raise Conflict("the task has just ended") from error
        self.log.info("the worker of kernel %s was killed while it ran %s", kernel_id, call["task"])
        return {"id": kernel_id, "task": call["task"]}

    async def state(self, kernel_id: str) -> live.Live | None:
        """What the kernel's session tells; None: it has opened no workspace yet.

        Raises:
            NotThere, Overloaded: see :meth:`get`.
        """
        _, provisioner, place = self._about(kernel_id)
        states = await self._states({place})
        return _of(states, kernel_id, provisioner)

    def _ours(self) -> tuple[str, ...]:
        manager = self.kernel_manager
        found = {i: manager.get_kernel(i) for i in manager.list_kernel_ids()}
        return tuple(
            i
            for i, kernel in found.items()
            if isinstance(kernel.provisioner, CasaProvisioner) and kernel.provisioner.cwd and _known(kernel)
        )

    async def _states(self, places: Iterable[Path]) -> States:
        """By workspace: what its living sessions tell."""
        wanted = frozenset(places)
        return await self.once(
            wanted, lambda: {place: [one for one in live.read(place / HOME) if one.alive] for place in wanted}
        )

    async def _notebooks(self) -> dict[str, str]:
        """Kernel id -> path of its notebook."""
        return {one["kernel"]["id"]: one["path"] for one in await self.session_manager.list_sessions()}

    def _about(self, kernel_id: str, notebooks: Mapping[str, str] = _NONE) -> About:
        """What Jupyter knows of a kernel: in words, its provisioner, and its workspace."""
        if kernel_id not in self._ours():
            raise NotThere("this server has no such kernel")
        kernel = self.kernel_manager.get_kernel(kernel_id)
        place = Path(os.path.realpath(kernel.provisioner.cwd))
        inside = place.is_relative_to(self.root.directory)
        known = self.kernel_manager.kernel_model(kernel_id)
        about = {
            "id": kernel_id,
            "name": known["name"],
            "state": known["execution_state"],
            "last_activity": known["last_activity"],
            "connections": known["connections"],
            "notebook": notebooks.get(kernel_id),
            "workspace": os.path.relpath(place, self.root.directory) if inside else None,
            "pid": kernel.provisioner.pid,
        }
        return about, kernel.provisioner, place

    def _told(self, about: dict[str, Any], provisioner: CasaProvisioner, place: Path, states: States) -> dict[str, Any]:
        state = _of(states, about["id"], provisioner)
        call = state.call if state is not None else None
        return {
            **about,
            "session": state.session if state is not None else None,
            "started": state.started if state is not None else None,
            "cell": state.cell if state is not None else None,
            "log": state.log if state is not None else None,
            "display": state is not None and state.display is not None,
            "revision": state.revision if state is not None else 0,
            "call": None
            if call is None
            else {
                **{name: call[name] for name in ("task", "reason", "began", "expected_s", "stage", "waiting_for")},
                "elapsed_s": round(max(0.0, time.time() - call["began"]), 1),
                "killable": bool(call["worker_pid"]) and not call["waiting_for"],
            },
        }


def _known(kernel: Any) -> bool:
    """Whether Jupyter itself has something to tell of a kernel; not while it starts."""
    try:
        return getattr(kernel, "last_activity", None) is not None
    except TraitError:
        return False


def _of(states: States, kernel_id: str, provisioner: CasaProvisioner) -> live.Live | None:
    """The session of the kernel itself: scripts that it has started bear its id, too."""
    found = (one for every in states.values() for one in every)
    return next((one for one in found if one.kernel == kernel_id and one.pid == provisioner.pid), None)


def _is_child(worker: int, kernel: int | None) -> bool:
    """Whether a process is a living child of the kernel, and leads a group of its own."""
    try:
        with open(f"/proc/{worker}/stat") as stream:
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return False
    return keeper.started(worker) is not None and (int(fields[1]), int(fields[2])) == (kernel, worker)
