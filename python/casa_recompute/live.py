"""What sessions are doing now, told in files beside the ledger, so that others can see it while CASA is busy.

    <workspace>/.casa-recompute/live/<session>.json       the state; see `_read_state`
                                     <session>.events     what happened, one JSON object a line
                                     <session>.events.1   the same, before: each holds up to 1 MiB
                                     <session>.stop       is there: it is asked to stop after the call that it runs
                                     <session>.lock       locked as long as the session lives, however it ends

A session writes its own files only, and readers write nothing and wait for nobody. What cannot be written (a full disk)
is not told; nothing else comes of it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import math
import os
import re
import stat
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, get_type_hints

from casa_recompute.casalog.spans import SpanWriter

if TYPE_CHECKING:
    from casa_recompute.calls import Outcome

SCHEMA = 1
KERNEL_ID = "JUPYTERLAB_CASA_KERNEL_ID"
"""Environment variable with Jupyter's id of the kernel in which a session runs."""
_FULL = 1 << 20  # bytes of a file of events
_CHUNK = 1 << 14  # bytes that a reader takes at a time, from the end
_PATIENCE = 50  # times that a reader looks at a state that is being written
_HELD = 500  # names that a session tells to hold
_NOTE = 2000  # characters of a text in an event
_OTHERS = re.compile(r"([0-9a-f]+)\.lock$")
_LARGEST = 1 << 20  # bytes of a state that is one of ours
_CALL = {
    "task": str,
    "reason": str,
    "began": float,
    "expected_s": float | None,
    "stage": str,
    "worker_pid": int | None,
    "waiting_for": str | None,
}
_DISPLAY = {"display": str, "authority": str}
_LOCAL = re.compile(r":\d{1,10}$")
"""An X display of this machine."""
_log = logging.getLogger(__name__)


# -- writing -----------------------------------------------------------------------------------------------------------


class Teller:
    """Tells what one session does; a :class:`~casa_recompute.calls.Watcher`. Thread safe, and never raises OSError."""

    def __init__(
        self, home: Path, session: str, log: Path, worker_pid: Callable[[], int | None] = lambda: None
    ) -> None:
        """Begin to tell, and remove what dead sessions have left.

        Args:
            home: the workspace's own directory.
            session: which session.
            log: its CASA log.
            worker_pid: tells the process id of its worker.
        """
        self._base = home / "live" / session
        self._worker_pid = worker_pid
        self._spans = SpanWriter(log)
        self._mutex = threading.RLock()
        self._lock_file = self._events = self._state_file = -1
        self._size = self._length = self._written = 0
        self._torn = False
        self._ready = False
        self._task = ""
        self._began = 0.0
        self._failing = False
        self._state: dict[str, Any] = {
            "schema": SCHEMA,
            "session": session,
            "kernel": os.environ.get(KERNEL_ID, ""),
            "pid": os.getpid(),
            "started": time.time(),
            "log": os.path.relpath(log, home.parent),
            "cell": None,
            "notebook": "",
            "call": None,
            "display": None,
            "holds": {},
            "revision": 0,
        }
        with self._mutex, self._tolerant():
            (home / "live").mkdir(exist_ok=True)
            _remove_dead(home)
            # Under another name first: whoever finds the lock finds it locked.
            new = f"{self._base}.lock.new"
            self._lock_file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock_file, fcntl.LOCK_EX)
            os.rename(new, f"{self._base}.lock")
            self._state_file = os.open(f"{self._base}.json", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._open_events()
            self._ready = True
            self._publish()
        _tellers.add(self)

    def close(self) -> None:
        """The session has ended; what it told stays to be read until somebody else opens the workspace."""
        with self._mutex:
            self._ready = False
            for number in (self._state_file, self._events, self._lock_file):
                if number >= 0:
                    os.close(number)
            self._lock_file = self._events = self._state_file = -1

    # what happens

    def cell_started(self, cell: str, notebook: str) -> None:
        """A cell begins; ``cell`` is empty where there is none (a console)."""
        self._task = ""
        about = {"cell": cell, "notebook": notebook}
        self._tell("cell-started", about, cell=cell or None, notebook=notebook, call=None)

    def cell_ended(self, cell: str, outcome: str, run: int) -> None:
        """It has ended: "ok", "error" or "interrupted"; the number of its run is 0 where it is not recorded."""
        self._tell("cell-ended", {"cell": cell, "outcome": outcome, "run": run}, cell=None, call=None)

    def started(self, task: str, reason: str, expected_s: float | None) -> None:
        """See :class:`~casa_recompute.calls.Watcher`."""
        self._began = time.monotonic()
        call = self._call(task, reason, expected_s)
        about = {"task": task, "cell": self._state["cell"], "reason": reason[:_NOTE], "expected_s": expected_s}
        with self._mutex, self._tolerant():
            if self._ready:
                self._spans.begin(task, self._state["cell"], self._state["notebook"])
        self._tell("call-started", about, call=call)

    def progress(self, elapsed_s: float, expected_s: float | None, stage: str) -> None:
        """See :class:`~casa_recompute.calls.Watcher`."""
        call = self._state["call"] or self._call(self._task, "", None)  # it may still be in preparation
        call = {**call, "stage": stage, "worker_pid": self._worker_pid(), "waiting_for": None}
        self._progressed(call, elapsed_s)

    def finished(self, outcome: Outcome) -> None:
        """See :class:`~casa_recompute.calls.Watcher`."""
        about = {
            "task": outcome.task,
            "cell": self._state["cell"],
            "action": outcome.action,
            "seconds": round(outcome.seconds, 6),
            "saved_s": round(outcome.saved_s, 6),
            "cpu_s": outcome.cpu_s,
            "memory_bytes": outcome.memory_bytes,
            "products": list(outcome.products[:100]),
            "reason": outcome.reason[:_NOTE],
            "error": None,
        }
        self._end_call(about)
        for note in outcome.notes:
            self.note(note)

    def failed(self, task: str, error: BaseException, log: str) -> None:
        """See :class:`~casa_recompute.calls.Watcher`."""
        call = self._state["call"]
        about = {
            "task": task,
            "cell": self._state["cell"],
            "action": "failed",
            "seconds": round(time.monotonic() - self._began, 6) if call is not None else 0.0,
            "saved_s": 0.0,
            "cpu_s": None,
            "memory_bytes": None,
            "products": [],
            "reason": call["reason"] if call is not None else "",
            "error": f"{type(error).__name__}: {error}"[:_NOTE],
        }
        self._end_call(about)

    def expect(self, task: str) -> None:
        """A call of this task is about to be prepared."""
        self._task = task
        with self._mutex, contextlib.suppress(OSError):
            self._spans.expect()

    def waiting(self, seconds: float, who: str) -> None:
        """Another kernel has the workspace."""
        call = self._state["call"] or self._call(self._task, "", None)
        stage = f"waiting for another kernel in this workspace ({who})"
        call = {**call, "stage": stage, "waiting_for": who}
        self._progressed(call, seconds)

    def waited(self) -> None:
        """The other kernel has given it back."""
        call = self._state["call"]
        if call is not None and call["waiting_for"] is not None:
            with self._mutex:
                self._state["call"] = None
                self._publish()

    def product(self, kind: str, path: str, version: str) -> None:
        """A product was "product-captured", "product-restored" or "product-changed-outside"."""
        self._tell(kind, {"path": path, "version": version})

    def note(self, text: str) -> None:
        """Something that the user was told."""
        self._tell("note", {"text": text[:_NOTE]})

    def displays(self, display: str, authority: str) -> None:
        """Graphical tasks draw on this X display."""
        with self._mutex:
            self._state["display"] = {"display": display, "authority": authority}
            self._publish()

    def told_to_stop(self) -> bool:
        """Whether somebody has asked for that; asked again, the answer is no."""
        try:
            os.unlink(f"{self._base}.stop")
        except OSError:
            return False
        return True

    def holds(self, names: Mapping[str, str]) -> None:
        """Names that it has, with versions that nobody could bring back."""
        held = dict(list(names.items())[:_HELD])
        with self._mutex:
            if held != self._state["holds"]:
                self._state["holds"] = held
                self._publish()

    # how it is written

    def _call(self, task: str, reason: str, expected_s: float | None) -> dict[str, Any]:
        return {
            "task": task,
            "reason": reason[:_NOTE],
            "began": time.time(),
            "expected_s": expected_s,
            "stage": "",
            "worker_pid": self._worker_pid(),
            "waiting_for": None,
        }

    def _end_call(self, about: dict[str, Any]) -> None:
        self._task = ""
        with self._mutex, self._tolerant():
            if self._ready:
                self._spans.end(about["task"], about["cell"], self._state["notebook"], about["action"])
        self._tell("call-ended", about, call=None)

    def _progressed(self, call: dict[str, Any], elapsed_s: float) -> None:
        about = {name: call[name] for name in ("task", "reason", "began", "expected_s", "stage", "waiting_for")}
        about |= {"cell": self._state["cell"], "elapsed_s": round(elapsed_s, 3)}
        self._tell("call-progressed", about, call=call)

    def _tell(self, kind: str, about: dict[str, Any], **state: Any) -> None:
        with self._mutex:
            self._state["revision"] += 1
            self._state.update(state)
            event = {"n": self._state["revision"], "time": time.time(), "kind": kind, **about}
            with self._tolerant():
                self._append(event)
            self._publish()

    def _append(self, event: dict[str, Any]) -> None:
        if not self._ready:
            return
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        if self._size + len(line) > _FULL:
            os.replace(f"{self._base}.events", f"{self._base}.events.1")
            os.close(self._events)
            self._open_events()
        if self._torn:
            line = b"\n" + line
        written = os.write(self._events, line)
        self._size += written
        self._torn = written < len(line)

    def _open_events(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._events, self._size = os.open(f"{self._base}.events", flags, 0o600), 0

    def _publish(self) -> None:
        if not self._ready:
            return
        self._written += 1
        state = {"written": self._written, **self._state, "complete": self._written}
        data = json.dumps(state, separators=(",", ":")).encode()
        self._length = max(self._length, len(data))
        with self._tolerant():
            os.pwrite(self._state_file, data.ljust(self._length), 0)

    @contextlib.contextmanager
    def _tolerant(self) -> Iterator[None]:
        try:
            yield
            self._failing = False
        except OSError as error:
            if not self._failing:
                _log.warning("what this session does cannot be told: %s", error)
            self._failing = True


_tellers: weakref.WeakSet[Teller] = weakref.WeakSet()


def _forget_in_child() -> None:
    """A forked child is not the session, and must not keep its lock."""
    for teller in _tellers:
        teller._mutex = threading.RLock()  # somebody may have had it
        teller.close()


os.register_at_fork(after_in_child=_forget_in_child)


def _remove_dead(home: Path) -> None:
    for name in os.listdir(home / "live"):
        match = _OTHERS.match(name)
        if match is None:
            continue
        lock = home / "live" / name
        with contextlib.suppress(OSError):  # another user's; or somebody else removes it just now
            handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for kind in ("json", "events", "events.1", "stop", "lock"):
                    with contextlib.suppress(FileNotFoundError):
                        lock.with_suffix(f".{kind}").unlink()
            finally:
                os.close(handle)


# -- reading -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Live:
    """The state of a session; see the module. Times are Unix seconds."""

    session: str
    kernel: str
    """Jupyter's id of its kernel; empty where that is not known."""
    pid: int
    started: float
    log: str
    """Its CASA log, relative to the workspace."""
    cell: str | None
    notebook: str
    call: Mapping[str, Any] | None
    """"task", "reason", "began", "expected_s" (or None), "stage", "worker_pid" (or None), "waiting_for" (or None)."""
    display: Mapping[str, str] | None
    """"display" and "authority" (the file with the cookie)."""
    holds: Mapping[str, str]
    """Names whose values could not be kept, but are there: their versions."""
    revision: int
    """How many events it has told; the number of the last one."""
    alive: bool
    """Whether its process still is there; if not, the state is its last."""


_STATE = get_type_hints(Live) | {"call": dict | None, "display": dict | None, "holds": dict}


def read(home: Path) -> list[Live]:
    """All sessions of a workspace that is told of, in the order in which they started.

    Args:
        home: the workspace's own directory (``.casa-recompute``).
    """
    found = []
    for path in _sessions(home):
        with contextlib.suppress(OSError, ValueError, KeyError):  # removed just now; or not for us
            state = _read_state(path.with_suffix(".json"))
            if state["schema"] == SCHEMA:
                known = {name: state[name] for name in Live.__dataclass_fields__ if name != "alive"}
                found.append(_checked(Live(**known, alive=_alive(path)), path, home))
    return sorted(found, key=lambda live: live.started)


def tail(home: Path, since: Mapping[str, int]) -> list[dict[str, Any]]:
    """Events of all sessions of a workspace, in the order of time; each tells its ``session``.

    Of a session's events, the last 1 to 2 MiB are kept: where the first is not number ``since + 1``, some were missed.

    Args:
        home: the workspace's own directory (``.casa-recompute``).
        since: session -> number of the last event that is known of it. Of other sessions, all are given.
    """
    events = []
    for path in _sessions(home):
        session = path.name.removesuffix(".lock")
        last = since.get(session, 0)
        news: dict[int, dict[str, Any]] = {}
        for kind in (".events", ".events.1"):
            complete = False
            with contextlib.suppress(OSError):
                for event in _backwards(path.with_suffix(kind)):
                    if event["n"] <= last:
                        complete = True
                        break
                    news.setdefault(event["n"], event | {"session": session})
            if complete or last + 1 in news:
                break
        events += [news[number] for number in sorted(news)]
    return sorted(events, key=lambda event: event["time"])


def ask_to_stop(home: Path, session: str) -> None:
    """Ask a session to interrupt its cell once the call that it runs has ended, with all that the call has made.

    Raises:
        OSError: the disk is full, or the workspace is not ours.
    """
    (home / "live" / f"{session}.stop").touch(0o600)


def _sessions(home: Path) -> list[Path]:
    try:
        names = os.listdir(home / "live")
    except OSError:
        return []
    return [home / "live" / name for name in names if _OTHERS.match(name)]


def _read_state(path: Path) -> dict[str, Any]:
    """The state in a file: a JSON object, which is written over in place (to replace a file would take ten times as
    long), so that one may catch half of a change. It is whole when its first and its last number agree.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not whole, not even after a while.
    """
    with _opened(path) as stream:
        for _ in range(_PATIENCE):
            with contextlib.suppress(ValueError):
                stream.seek(0)
                state = _parsed(stream.read(_LARGEST))
                if state.get("written", 0) == state.get("complete"):
                    return state
            time.sleep(0.001)
    raise ValueError(f"{path} is not whole")


def _opened(path: Path) -> IO[bytes]:
    """A file of a session of this user's, to be read: anything else that lies there, somebody has put there.

    Raises:
        OSError: there is none.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    info = os.fstat(handle)
    if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid():
        os.close(handle)
        raise PermissionError(errno.EACCES, "not told by this user", str(path))
    return os.fdopen(handle, "rb", buffering=0)


def _parsed(text: bytes) -> dict[str, Any]:
    """An object, in JSON as we write it.

    Raises:
        ValueError: it is none.
    """

    def finite(number: str) -> float:
        if not math.isfinite(value := float(number)):
            raise ValueError(number)
        return value

    try:
        value = json.loads(text, parse_constant=finite, parse_float=finite)
    except RecursionError as error:
        raise ValueError("no JSON of ours") from error
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def _checked(live: Live, path: Path, home: Path) -> Live:
    """The same.

    Raises:
        ValueError: it is not what a session tells of itself.
    """
    parts: list[tuple[Mapping[str, Any] | None, Mapping[str, Any]]]
    parts = [(vars(live), _STATE), (live.call, _CALL), (live.display, _DISPLAY)]
    for part, wanted in parts:
        for name, kind in wanted.items():
            if part is None:
                break
            value = part[name]
            if not isinstance(value, kind) and not (isinstance(value, int) and isinstance(0.0, kind)):
                raise ValueError(f"{name} is {type(value).__name__}")
    log = os.path.normpath(home.parent / live.log)
    if live.session != path.name.removesuffix(".lock") or os.path.dirname(log) != os.path.normpath(home / "log"):
        raise ValueError("it tells of another session")
    if live.display is not None and not _LOCAL.match(live.display["display"]):
        raise ValueError("no display of this machine")
    if not all(isinstance(version, str) for version in live.holds.values()):
        raise ValueError("no versions of names")
    return live


def _alive(lock: Path) -> bool:
    with _opened(lock) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _backwards(path: Path) -> Iterator[dict[str, Any]]:
    """The events in a file, the last first; what is half written, or torn, is left out."""
    with _opened(path) as stream:
        at, rest = stream.seek(0, os.SEEK_END), b""
        first_of_all = max(0, at - 2 * _FULL)  # a larger file is none of ours
        while at > first_of_all:
            size = min(_CHUNK, at)
            at -= size
            stream.seek(at)
            first, *lines = (stream.read(size) + rest).split(b"\n")
            rest = first
            for line in reversed(lines if at else [first, *lines]):
                try:
                    event = _parsed(line)
                    if isinstance(event["n"], int) and isinstance(event["time"], float):
                        yield event
                except (ValueError, TypeError, KeyError):
                    continue
