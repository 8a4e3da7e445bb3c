"""Which part of a session's log belongs to which call, told in a file beside it.

    casa-<session>.log      written by CASA, for this session alone and one call at a time
    casa-<session>.calls    one JSON object a line, written by the session:
        {"call", "task", "cell", "notebook", "began", "from", "mark"}      a call begins at this byte of the log
        {"call", "action", "ended", "to", "mark"}                          it has ended before this one

A line belongs to the call in whose part it begins. What the log says cannot tell that: a task calls others, and GUI
tasks announce nothing. ``mark`` is a digest of what is told and of the bytes before the place, so that a log which was
emptied or replaced meanwhile is recognised; its lines then belong to nobody. The last call, if it has no end, lasts as
long as the log.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import threading
import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MARKED = 64  # bytes of the log before a place of which the digest is taken
_CHUNK = 1 << 20  # bytes that are read at a time
_OPEN = 1 << 62  # end of a part whose call has not ended
_NAME = 256  # characters of the id of a cell
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # neither a link nor a pipe is waited for


def beside(log: Path) -> Path:
    """The file that tells of a log."""
    return log.with_suffix(".calls")


def open_log(path: Path, within: Path | None = None) -> int:
    """Open a file to read it; the file descriptor.

    Args:
        path: which; no symbolic link, and no pipe or device.
        within: where it has to lie, whatever links its directories are.

    Raises:
        OSError: it cannot be had.
    """
    number = os.open(path, _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(f"{path} is no file")
        if within is not None and not Path(os.readlink(f"/proc/self/fd/{number}")).is_relative_to(within):
            raise FileNotFoundError(f"{path} is elsewhere")
    except OSError:
        os.close(number)
        raise
    return number


class SpanWriter:
    """Tells where the calls of one session begin and end in its log. Its methods raise OSError when that fails."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._calls = self._from = 0
        self._running = self._torn = False

    def expect(self) -> None:
        """From here on, what is written into the log belongs to the next call."""
        self._from = self._size()

    def begin(self, task: str, cell: str | None, notebook: str) -> None:
        """A call runs."""
        self._calls += 1
        self._running = True
        about = {"call": self._calls, "task": task, "cell": cell, "notebook": notebook, "began": time.time()}
        self._write({**about, "from": self._from})

    def end(self, task: str, cell: str | None, notebook: str, action: str) -> None:
        """It has ended: "ran", "restored", "watched" or "failed". Told of are calls that began or left something."""
        there = self._size()
        if not self._running and there > self._from:
            self.begin(task, cell, notebook)  # it ended before it ran, but CASA has looked at its arguments
        if self._running:
            self._running = False
            about = {"call": self._calls, "action": action, "ended": time.time()}
            self._write({**about, "to": there})
        self._from = there

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def _write(self, record: dict[str, Any]) -> None:
        place = record["from"] if "from" in record else record["to"]
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(self._log.open("rb")).fileno() if place else -1
            record["mark"] = _mark(log, place, record)
        data = (b"\n" if self._torn else b"") + json.dumps(record, separators=(",", ":")).encode() + b"\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        number = os.open(beside(self._log), flags, 0o600)
        try:
            self._torn = True
            self._torn = os.write(number, data) < len(data)
        finally:
            os.close(number)


def _mark(log: int, place: int, record: Mapping[str, Any]) -> str:
    """By which a record is recognised as whole, and as one of this log; ``log``: the log, open."""
    size = min(_MARKED, place)
    about = json.dumps([record["call"], place, record.get("cell"), "from" in record]).encode()
    return hashlib.blake2b(about + (os.pread(log, size, place - size) if size else b""), digest_size=8).hexdigest()


class Spans:
    """The parts of a log that belong to calls, as they are told: some tens of bytes for each call."""

    def __init__(self, log: Path, within: Path | None = None) -> None:
        self._path, self._within = beside(log), within
        self._lock = threading.Lock()
        self._clear()

    def _clear(self) -> None:
        self._read_to = 0
        self._columns = [array("q") for _ in range(6)]
        self._calls, self._from, self._to, *told, self._cell = self._columns
        self._begun, self._ended = told  # where it is told; -1: not yet
        self._names: list[str | None] = [None]
        self._codes: dict[str | None, int] = {None: 0}

    def update(self, log: int) -> None:
        """Read what has been told since. ``log``: the log, open."""
        with contextlib.suppress(OSError):  # nothing is told
            number = open_log(self._path, self._within)
            try:
                while self._read(number, log):
                    pass
            finally:
                os.close(number)

    def _read(self, number: int, log: int) -> bool:
        with self._lock:
            if os.fstat(number).st_size < self._read_to:
                self._clear()
            data = os.pread(number, _CHUNK, self._read_to)
            whole = data.rfind(b"\n") + 1
            if not whole and len(data) < _CHUNK:
                return False  # the rest is being written
            self._take(data[:whole], log)
            self._read_to += whole or len(data)
            return len(data) == _CHUNK

    def _take(self, data: bytes, log: int) -> None:
        place = self._read_to
        for line in data.splitlines(keepends=True):
            with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):  # torn, or not ours
                self._record(json.loads(line), place, log)
            place += len(line)

    def _record(self, record: dict[str, Any], where: int, log: int) -> None:
        call, begins = record["call"], "from" in record
        place = record["from" if begins else "to"]
        if type(call) is not int or type(place) is not int or not 0 <= place < _OPEN:
            return
        valid = _mark(log, place, record) == record["mark"]
        if self._calls and self._to[-1] == _OPEN:
            if valid and not begins and call == self._calls[-1] and self._from[-1] <= place:
                self._to[-1], self._ended[-1] = place, where
                return
            for column in self._columns:
                column.pop()  # it was in another log, or its end was not told: in doubt, its lines are nobody's
        if begins and valid and (not self._calls or (call > self._calls[-1] and place >= self._to[-1])):
            cell = record["cell"] if isinstance(record["cell"], str) and len(record["cell"]) <= _NAME else None
            code = self._codes.setdefault(cell, len(self._names))
            if code == len(self._names):
                self._names.append(cell)
            for column, value in zip(self._columns, (call, place, _OPEN, where, -1, code), strict=True):
                column.append(value)

    def at(self, place: int) -> tuple[int | None, str | None]:
        """The call, and its cell, to which the line belongs that begins at a byte of the log."""
        with self._lock:
            index = bisect_right(self._from, place) - 1
            if index < 0 or place >= self._to[index]:
                return None, None
            return self._calls[index], self._names[self._cell[index]]

    def ranges(self, call: int | None, cell: str | None) -> list[tuple[int, int]]:
        """The parts, in order, of a call, or of all calls of a cell, or of a call if it was of that cell."""
        with self._lock:
            code = self._codes.get(cell, -1)
            parts = zip(self._calls, self._cell, self._from, self._to, strict=True)
            return [(b, e) for n, c, b, e in parts if call in (None, n) and (cell is None or c == code)]

    def parts(self, first: int, count: int) -> tuple[list[tuple[int, int, int]], bool]:
        """Calls from a number on (below 0: the last so many), where their parts begin and end; whether more follow."""
        with self._lock:
            begin = max(0, len(self._calls) + first) if first < 0 else bisect_left(self._calls, first)
            end = len(self._calls) if first < 0 else max(begin, min(len(self._calls), begin + count))
            parts = zip(self._calls[begin:end], self._from[begin:end], self._to[begin:end], strict=True)
            return list(parts), end < len(self._calls)

    @property
    def last(self) -> int | None:
        """The number of the last call; None: there was none."""
        with self._lock:
            return self._calls[-1] if self._calls else None

    def about(self, call: int) -> dict[str, Any] | None:
        """What is told of a call: ``call``, ``task``, ``cell``, ``notebook``, ``began``, ``ended``, ``action``.

        The last two are None while it runs, and if its kernel died.
        """
        with self._lock:
            index = bisect_left(self._calls, call)
            if index == len(self._calls) or self._calls[index] != call:
                return None
            places, cell = (self._begun[index], self._ended[index]), self._names[self._cell[index]]
        try:
            number = open_log(self._path, self._within)
            try:
                told = [_json_at(number, place) if place >= 0 else {} for place in places]
            finally:
                os.close(number)
        except (OSError, ValueError, RecursionError):
            return None
        names = (("task", str), ("notebook", str), ("began", float))
        about = {name: told[0].get(name) if isinstance(told[0].get(name), kind) else kind() for name, kind in names}
        ended, action = told[1].get("ended"), told[1].get("action")
        about |= {"call": call, "cell": cell, "ended": ended if isinstance(ended, float) else None}
        return about | {"action": action if isinstance(action, str) else None}


def _json_at(number: int, place: int) -> dict[str, Any]:
    found = json.loads(os.pread(number, _CHUNK, place).partition(b"\n")[0])
    return found if isinstance(found, dict) else {}
