"""Which address is answered by which handler."""

from __future__ import annotations

from collections.abc import Sequence

from jupyterlab_casa.rest.base import PREFIX, CasaHandler
from jupyterlab_casa.rest.displays import WindowHandler, WindowsHandler
from jupyterlab_casa.rest.events import ChangesHandler
from jupyterlab_casa.rest.kernels import InterruptHandler, KernelHandler, KernelsHandler, KillCallHandler
from jupyterlab_casa.rest.logs import LogCallsHandler, LogFileHandler, LogHandler, LogsHandler
from jupyterlab_casa.rest.measurements import MeasurementSetHandler
from jupyterlab_casa.rest.plans import CellHandler, GraphHandler, OutputsHandler, PlanHandler, RunHandler
from jupyterlab_casa.rest.products import (
    CompareDataHandler,
    CompareHandler,
    RestoreHandler,
    VersionHandler,
    VersionsHandler,
)
from jupyterlab_casa.rest.status import StatusHandler
from jupyterlab_casa.rest.store import CollectionHandler, SharesHandler, StoreHandler
from jupyterlab_casa.rest.tasks import TaskHandler, TasksHandler
from jupyterlab_casa.rest.tutorial import TutorialHandler
from jupyterlab_casa.rest.walks import StepHandler, StopHandler, WalkHandler, WalksHandler

ROUTES: Sequence[tuple[str, type[CasaHandler]]] = (
    ("/status", StatusHandler),
    ("/tasks", TasksHandler),
    ("/tasks/{name}", TaskHandler),
    ("/ms", MeasurementSetHandler),
    ("/plan", PlanHandler),
    ("/graph", GraphHandler),
    ("/walks", WalksHandler),
    ("/walks/{walk}", WalkHandler),
    ("/walks/{walk}/step", StepHandler),
    ("/walks/{walk}/stop", StopHandler),
    ("/cells/{cell}", CellHandler),
    ("/runs/{number}", RunHandler),
    ("/outputs", OutputsHandler),
    ("/versions", VersionsHandler),
    ("/versions/{version}", VersionHandler),
    ("/versions/{version}/restore", RestoreHandler),
    ("/compare", CompareHandler),
    ("/compare/data", CompareDataHandler),
    ("/store", StoreHandler),
    ("/store/shares", SharesHandler),
    ("/store/collection", CollectionHandler),
    ("/logs", LogsHandler),
    ("/logs/{session}", LogHandler),
    ("/logs/{session}/calls", LogCallsHandler),
    ("/logs/{session}/file", LogFileHandler),
    ("/changes", ChangesHandler),
    ("/tutorial", TutorialHandler),
    ("/kernels", KernelsHandler),
    ("/kernels/{kernel}", KernelHandler),
    ("/kernels/{kernel}/interrupt", InterruptHandler),
    ("/kernels/{kernel}/kill-call", KillCallHandler),
    ("/kernels/{kernel}/windows", WindowsHandler),
    ("/kernels/{kernel}/windows/{window}", WindowHandler),
)
"""Addresses below the prefix, as OpenAPI writes them; what is in braces is one part of the path."""


def pattern(route: str) -> str:
    """The regular expression of an address, as tornado wants it."""
    parts = [r"([^/]+)" if part.startswith("{") else part for part in route.split("/")]
    return PREFIX + "/".join(parts)
