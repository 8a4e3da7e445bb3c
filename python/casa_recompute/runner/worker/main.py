"""The worker: one process that holds CASA and runs one task at a time for its owner.

Started by path in an interpreter of the site's choice, so it uses the standard library and CASA only.
Requests come as lines of JSON on one pipe, answers go back on another; what a task prints goes to a third.
When the owner goes away, so does the worker, with all its children.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import queue
import signal
import sys
import threading
import time
from typing import Any

import codec
import ports
import usage


class _Checked(Exception):
    """Raised in place of running a task whose arguments CASA has accepted."""


class Channel:
    """Requests in, answers out. A thread reads, so that the owner's end is noticed during a task, too."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._out = os.fdopen(outgoing, "w", encoding="ascii", buffering=1)
        self._requests: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._read, args=(incoming,), daemon=True).start()

    def _read(self, incoming: int) -> None:
        with os.fdopen(incoming, encoding="ascii") as stream:
            for line in stream:
                self._requests.put(codec.loads(line))
        os.killpg(0, signal.SIGKILL)

    def receive(self) -> Any:
        return self._requests.get()

    def send(self, answer: dict[str, Any]) -> None:
        """Send an answer; its ``value``, if it has one, is encoded already."""
        value = {"value": answer.pop("value")} if "value" in answer else {}
        self._out.write(json.dumps({**codec.encode(answer), **value}, separators=(",", ":")) + "\n")
        self._out.flush()


def load(log: str) -> dict[str, str]:
    """Import CASA; the versions that determine its results."""
    import casatools

    ports.close_registry(casatools)
    import casatasks

    # casacore complains once per process about its table of leap seconds: before there is a log of tasks.
    measures = casatools.measures()
    measures.measure(measures.epoch("UTC", "today"), "TAI")
    measures.done()
    casatasks.casalog.setlogfile(log)
    gc.collect()
    gc.freeze()  # CASA's own objects stay: looking through them at each collection takes longer than many a task
    return {
        "casatasks": casatasks.version_string(),
        "casatools": casatools.version_string(),
        "python": sys.version.split()[0],
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
    }


def held_open(paths: list[str]) -> list[str]:
    """Tables at or below ``paths`` that this process holds open."""
    from casatools import table

    names = [str(name) for name in table().showcache(verbose=False)]
    return [name for name in names for path in paths if name == path or name.startswith(path + os.sep)]


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run one task; its answer. Refuses while it holds open what was replaced: it would see old data."""
    import casatasks
    import gui
    from casatools import table

    if request["replaced"] and held_open(request["replaced"]):
        gc.collect()  # a tool that nobody uses any more closes its table only then
        if held := held_open(request["replaced"]):
            return {"held": held}

    arguments = dict(request["arguments"])
    casatasks.casalog.setlogfile(request["log"])
    os.chdir(request["cwd"])
    os.environ.update(request["environment"])
    if request["package"] == "casatasks":
        task = getattr(casatasks, request["task"])
        value, pictures = gui.call_task(task, request["task"], arguments, request["scratch"])
    else:
        value, pictures = gui.call_gui(request["task"], arguments, request["scratch"])
    table().clearlocks()  # a lock that a task left would block the kernel's own tools for ever
    try:
        return {"value": codec.encode(value), "pictures": pictures}
    except codec.Unencodable as error:
        return {"value": None, "unencodable": str(error), "pictures": pictures}


def check(request: dict[str, Any]) -> dict[str, Any]:
    """Let CASA check the arguments without running the task (GUI tasks have no separate check)."""
    if request["package"] != "casatasks":
        return {}
    module: Any = importlib.import_module("casatasks." + request["task"])

    def stop(*_: Any) -> None:
        raise _Checked

    os.chdir(request["cwd"])
    start = getattr(module, "_start_log", None)
    if start is None:
        return {}
    module._start_log = stop
    try:
        getattr(module, request["task"])(**request["arguments"])
    except _Checked:
        return {}
    finally:
        module._start_log = start
    return {}


def canonical(request: dict[str, Any]) -> dict[str, Any]:
    """Identities of the data at some paths, see canonical.py."""
    from canonical import canonical_digest

    return {"digests": {path: canonical_digest(path) for path in request["paths"]}}


OPERATIONS = {"call": run, "check": check, "canonical": canonical}


def serve(channel: Channel, libc: ctypes.CDLL) -> None:
    """Answer requests for ever."""
    while True:
        request = channel.receive()
        began = time.monotonic()
        meter = usage.Meter()
        try:
            answer = OPERATIONS[request["operation"]](request)
        except BaseException as error:  # whatever a task raises is the owner's to hear
            answer = {
                "error": type(error).__name__,
                "module": type(error).__module__,
                "message": str(error),
            }
        answer.update(id=request["id"], seconds=time.monotonic() - began, used=meter.read())
        sys.stdout.flush()
        sys.stderr.flush()
        libc.fflush(None)
        os.write(1, request["mark"].encode("ascii"))
        channel.send(answer)


def main() -> None:
    """Entry point: ``main.py INCOMING OUTGOING KEPT LOG`` with numbers of inherited file descriptors."""
    incoming, outgoing = int(sys.argv[1]), int(sys.argv[2])
    kept = [int(number) for number in sys.argv[3].split(",") if number]
    log = sys.argv[4]
    sys.argv = [sys.argv[0]]
    for number in (incoming, outgoing, *kept):
        os.set_inheritable(number, False)
    channel = Channel(incoming, outgoing)
    libc = ctypes.CDLL(None)
    try:
        versions = load(log)
    except BaseException as error:  # a broken CASA is the owner's to explain
        channel.send({"event": "broken", "message": f"{type(error).__name__}: {error}"})
        return
    channel.send({"event": "ready", "versions": versions})
    serve(channel, libc)


if __name__ == "__main__":
    main()
