"""Find lines in a CASA log of any length, also while it grows, without holding it in memory.

The log is cut into blocks of 128 KiB, at ends of lines. Of each block 48 bytes are held: where it begins, with which
line, between which times its lines are, and which priorities they have (0.4 MB for a log of 1 GB). A question reads
only the blocks that can hold an answer. Texts and regular expressions are looked for by RE2, whose time is proportional
to what it reads whatever the expression is, and which lets other threads run meanwhile.

* Lines end with "\\n"; what comes after the last one is no line yet, unless nothing more will. Numbers begin with 1.
* A line that begins with a time has that time, another one that of the line before (continued messages, foreign text).
* Of a line longer than a block, its first 128 KiB count.
* A log that was emptied, cut or replaced is indexed anew; see ``LogIndex.generation``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import re2

from casa_recompute.casalog.lines import parse_line
from casa_recompute.casalog.spans import Spans, open_log

BLOCK = 1 << 17
"""Bytes of a block, and of a line that count."""
LONGEST_PATTERN = 1000
"""Characters of a regular expression, or of a text that is looked for."""
_LARGEST_PROGRAM = 3000  # instructions of a regular expression: the worst of that size take 0.3 s for a block
_MEMORY = 4 << 20  # bytes that RE2 may use for one expression
_FULL = 63  # code of all priorities beyond the first 62, which are not CASA's; 0: the line has none
_TAIL = 64  # bytes by which one recognises that a log has not been replaced
_HEAD = 28  # bytes of a line in which time and priority are, if that is no longer than CASA's
_DIGITS = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18])
_WEIGHTS = 10 ** np.arange(13, -1, -1, dtype=np.int64)
_MARKS = np.array([4, 7, 10, 13, 16, 19])
_MARK_BYTES = np.frombuffer(b"-- ::\t", np.uint8)
_NOTHING = r"[^\x00-\x{10FFFF}]"  # matches no character
_PRIORITY = re.compile(rb"[A-Z][A-Z0-9]*")
_TIME = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:[ T](\d\d):(\d\d):(\d\d)(?:\.\d*)?Z?)?", re.ASCII)
_NOT_BY_LINE = re.compile(r"\\([AzZCQ])|\\.|\(\?[a-zA-Z]*-[a-zA-Z]*m|.", re.DOTALL)
Ranges = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
_TABLE = np.dtype([(name, np.int64) for name in ("offset", "line", "low", "high", "carry")] + [("levels", np.uint64)])


class BadPattern(ValueError):
    """A regular expression that cannot be used; the message says why."""


class Replaced(Exception):
    """The log has become another one while it was looked at."""


@dataclass(frozen=True)
class Line:
    """A line of a log. ``time``, ``priority`` and ``origin`` are empty for text that CASA did not format."""

    number: int
    time: str
    priority: str
    origin: str
    message: str
    call: int | None
    """The number of its call in the session; see spans.py. None: it belongs to none, or that is not known."""
    cell: str | None


@dataclass(frozen=True)
class Part:
    """The lines of a call: ``lines`` of them, from number ``first`` on."""

    call: int
    first: int
    lines: int


@dataclass(frozen=True)
class Found:
    """Lines that were wanted. All lines from number ``low`` to before ``high`` were looked at, and no others."""

    lines: list[Line]
    low: int
    high: int
    total: int
    """How many lines the log has so far."""


class Wanted:
    """Which lines are wanted: those to which all that is given applies."""

    def __init__(
        self,
        *,
        priorities: frozenset[str] = frozenset(),
        origin: str = "",
        call: int | None = None,
        cell: str | None = None,
        after: str = "",
        before: str = "",
        text: str = "",
        regex: str = "",
    ) -> None:
        """
        Args:
            priorities: one of these.
            origin: its origin contains this, in whatever case.
            call: of this call.
            cell: of a call of this cell.
            after: from this time on: "YYYY-MM-DD" or "YYYY-MM-DD HH:MM:SS", UTC.
            before: before this time.
            text: it contains this, in whatever case; time, priority and origin count, too, with TABs between them.
            regex: it matches this somewhere (RE2's syntax, "^" and "$" are its ends).

        Raises:
            BadPattern: the expression is none, or more than can be answered for.
            ValueError: a time is none.
        """
        self.priorities, self.origin, self.call, self.cell = priorities, origin, call, cell
        self.after, self.before = _moment(after), _moment(before)
        self.patterns = []
        if regex:
            self.patterns.append(_compiled(regex))
        if text:
            self.patterns.append(_literal("", text))
        if "\t" in origin:  # it is what ends one
            self.patterns.append(_regexp(_NOTHING))
        elif origin:
            self.patterns.append(_literal(r"^[^\t\n]*\t[^\t\n]*\t[^\t\n]*", origin, r"[^\t\n]*\t"))


class Marker:
    """Tells where in lines a regular expression matches."""

    def __init__(self, regex: str) -> None:
        """
        Args:
            regex: as of :class:`Wanted`.

        Raises:
            BadPattern: the expression is none, or more than can be answered for.
        """
        self._pattern = _compiled(regex)

    def places(self, line: Line) -> list[tuple[int, int]]:
        """Where in a line as it stands in the file it matches, from one place to before another: the first 100.

        Places are counted in UTF-16 units, as browsers do; between time, priority, origin and message are TABs.
        """
        text = f"{line.time}\t{line.priority}\t{line.origin}\t{line.message}" if line.priority else line.message
        matches = (match.span() for match in self._pattern.finditer(_utf8(text)))
        found = [*islice(((begin, end) for begin, end in matches if begin < end), 100)]
        return found if text.isascii() else [(_units(text[:begin]), _units(text[:end])) for begin, end in found]


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "replace")) // 2


def _moment(text: str) -> int | None:
    """A time as a number whose digits are those of the text."""
    if not text:
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no time: it is written as 2026-01-31 23:59:59 (UTC)")
    return int("".join(part or "00" for part in match.groups()))


def _options() -> Any:
    options = re2.Options()
    options.never_nl = True
    options.never_capture = True
    options.log_errors = False
    options.max_mem = _MEMORY
    return options


def _literal(before: str, text: str, after: str = "") -> Any:
    if len(text) > LONGEST_PATTERN:
        raise BadPattern(f"a text that is looked for has at most {LONGEST_PATTERN} characters")
    return _regexp(f"(?im){before}{re2.escape(_utf8(text))}{after}")


def _compiled(regex: str) -> Any:
    if len(regex) > LONGEST_PATTERN:
        raise BadPattern(f"a regular expression has at most {LONGEST_PATTERN} characters")
    for match in _NOT_BY_LINE.finditer(regex):
        if match[1] or match[0].startswith("(?"):
            raise BadPattern(f"{match[0]} is not known here: ^ and $ are the ends of a line")
    found = _regexp(f"(?m){_utf8(regex)}")
    if found.programsize > _LARGEST_PROGRAM:
        raise BadPattern("the regular expression is too complicated: it repeats too much, or too often")
    return found


def _regexp(pattern: str) -> Any:
    try:
        return re2.compile(pattern, _options())
    except re2.error as error:
        said = error.args[0] if error.args else b""
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        reason = reason.replace("(?m)", "", 1)[:200]  # that is ours
        raise BadPattern(f"the regular expression cannot be used: {reason}") from error


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class _Facts:
    """What is known of the lines of a block."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]  # 0: none
    levels: npt.NDArray[np.int64]  # codes of priorities


class _Priorities:
    """Codes for the priorities that occur."""

    def __init__(self) -> None:
        self.codes: dict[bytes, int] = {}

    def code(self, name: bytes) -> int:
        if not _PRIORITY.fullmatch(name):
            return 0
        if name not in self.codes and len(self.codes) < _FULL - 1:
            self.codes[name] = len(self.codes) + 1
        return self.codes.get(name, _FULL)


def _facts(data: bytes, priorities: _Priorities) -> _Facts:
    raw = np.frombuffer(data + bytes(_HEAD), np.uint8)
    ends = np.flatnonzero(raw == 10)
    starts = np.concatenate(([0], ends[:-1] + 1))
    heads = raw[starts[:, None] + np.arange(_HEAD)]
    digits = heads[:, _DIGITS] - np.uint8(48)
    timed = (digits <= 9).all(1) & (heads[:, _MARKS] == _MARK_BYTES).all(1)
    times = np.where(timed, digits.astype(np.int64) @ _WEIGHTS, 0)
    tabs = np.concatenate((np.flatnonzero(raw == 9), np.full(2, len(raw))))
    second = np.searchsorted(tabs[:-1], starts + 20)
    lengths = tabs[second] - (starts + 20)
    formatted = timed & (tabs[np.minimum(second + 1, len(tabs) - 1)] < ends) & (lengths > 0)
    levels = np.zeros(len(starts), np.int64)
    short = formatted & (lengths <= _HEAD - 20)
    words = np.where(np.arange(_HEAD - 20) < lengths[short, None], heads[short, 20:], 0).astype(np.uint8)
    names, which = np.unique(words.view(np.uint64).ravel(), return_inverse=True)
    codes = [priorities.code(name.tobytes().rstrip(b"\0")) for name in names]
    levels[short] = np.array(codes, np.int64)[which]
    for i in np.flatnonzero(formatted & ~short):
        levels[i] = priorities.code(data[starts[i] + 20 : starts[i] + 20 + lengths[i]])
    return _Facts(starts, ends, times, levels)


def _filled(times: npt.NDArray[np.int64], carry: int) -> npt.NDArray[np.int64]:
    """Lines without a time have that of the line before; ``carry``: of the line before the first."""
    last = np.maximum.accumulate(np.where(times > 0, np.arange(len(times)), -1))
    return np.where(last >= 0, times[last], carry)


@dataclass(frozen=True)
class _View:
    """The index as it is at a time: what comes later changes nothing of what it says."""

    table: npt.NDArray[Any]
    end: int
    lines: int
    identity: tuple[int, int]
    priorities: _Priorities
    spans: Spans


class _Places:
    """Which line begins at a place of a log, or after it; asked for places in order, it reads each block once."""

    def __init__(self, view: _View, number: int) -> None:
        self._view, self._number = view, number
        self._block, self._data = -1, b""

    def line_at(self, place: int) -> int:
        """The number of the first line that does not begin before a place.

        Raises:
            Replaced: the log has been cut.
        """
        view = self._view
        if place >= view.end:
            return view.lines + 1
        block = int(np.searchsorted(view.table["offset"], place, "right")) - 1
        offset = int(view.table["offset"][block])
        if block != self._block:
            end = int(view.table["offset"][block + 1]) if block + 1 < len(view.table) else view.end
            data = os.pread(self._number, min(end - offset, BLOCK), offset)
            if len(data) < min(end - offset, BLOCK):
                raise Replaced
            self._block, self._data = block, data
        before = place - offset
        return int(view.table["line"][block]) + (1 + self._data.count(b"\n", 0, before - 1) if before else 0)


class LogIndex:
    """The index of one log. Thread safe; it holds no file open."""

    def __init__(self, path: Path, within: Path | None = None, width: int = 4000) -> None:
        """
        Args:
            path: the log; it need not be there yet.
            within: where it has to lie, whatever links its directories are.
            width: characters of a message that are given.
        """
        self.path, self._within, self._width = path, within, width
        self._lock = threading.Lock()
        self._reset((0, 0))

    def _reset(self, identity: tuple[int, int]) -> None:
        self._identity = identity
        self._table = np.zeros(16, _TABLE)
        self._blocks = 0
        self._end = self._lines = self._seen = self._carry = 0
        self._sealed = True
        self._last = b""
        self._stamp = (-1, -1)
        self._priorities = _Priorities()
        self._counts = np.zeros(_FULL + 1, np.int64)
        self._spans = Spans(self.path, self._within)
        self.size = 0
        self.generation = ""

    # -- what it tells ----------------------------------------------------------------------------------------------

    size: int
    """Bytes of the log when it was looked at last."""
    generation: str
    """Another one when the log is another and its lines have new numbers; empty: it has no line yet."""

    @property
    def lines(self) -> int:
        """How many lines it has, as far as it was read."""
        return self._lines

    @property
    def indexed(self) -> int:
        """Bytes that are known: up to the last end of a line, if all was read."""
        return self._end

    @property
    def counts(self) -> dict[str, int]:
        """Lines of each priority, as far as it was read; continued ones count, too."""
        return {name.decode(): int(self._counts[code]) for name, code in dict(self._priorities.codes).items()}

    def about(self, call: int) -> dict[str, Any] | None:
        """What is told of a call, see :meth:`spans.Spans.about`; None: there is no such call."""
        return self._spans.about(call)

    def last_call(self) -> dict[str, Any] | None:
        """What is told of the last call; None: there was none."""
        call = self._spans.last
        return None if call is None else self.about(call)

    def calls(self, first: int, count: int) -> tuple[list[Part], bool]:
        """Which lines belong to which call, among those that :meth:`update` has taken in.

        Args:
            first: the number of a call; below 0: the last so many calls.
            count: how many calls, if ``first`` is not below 0.

        Returns:
            the calls, in order, and whether there are more after them.

        Raises:
            FileNotFoundError: there is no log any more.
            Replaced: it was emptied, cut or replaced since the last :meth:`update`.
            OSError: it cannot be read.
        """
        view = self._view()
        found, more = view.spans.parts(first, count)
        parts = []
        with self._opened() as number:
            info = os.fstat(number)
            if (info.st_dev, info.st_ino) != view.identity:
                raise Replaced
            reader = _Places(view, number)
            for call, begin, end in found:
                line = reader.line_at(begin)
                parts.append(Part(call, line, reader.line_at(end) - line))
        return parts, more

    # -- taking in --------------------------------------------------------------------------------------------------

    def update(self, until: float = float("inf"), *, ended: bool = False) -> bool:
        """Take in what the log has got since.

        Args:
            until: by ``time.monotonic()``: stop then, if there is more.
            ended: nobody writes into it any more: what comes after the end of the last line is a line, too.

        Returns:
            whether all that is there is known now.

        Raises:
            FileNotFoundError: there is no log.
            OSError: it cannot be read.
        """
        with self._opened() as number:
            with self._lock:
                self._recognise(number)
            while True:
                with self._lock:  # others may have their turn between two blocks
                    more = self._step(number, ended)
                if not more or time.monotonic() > until:
                    self._spans.update(number)  # after the lines: a call is told of before it writes
                    return not more

    def open(self) -> int:
        """Open the log to read it; the file descriptor.

        Raises:
            OSError: it cannot be had.
        """
        return open_log(self.path, self._within)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        number = self.open()
        try:
            yield number
        finally:
            os.close(number)

    def _recognise(self, number: int) -> None:
        info = os.fstat(number)
        identity, stamp = (info.st_dev, info.st_ino), (info.st_size, info.st_mtime_ns)
        there = os.pread(number, len(self._last), self._end - len(self._last)) if stamp != self._stamp else self._last
        if identity != self._identity or info.st_size < max(self._end, self._seen) or there != self._last:
            self._reset(identity)
        self._stamp, self.size = stamp, info.st_size

    def _step(self, number: int, ended: bool) -> bool:
        """Take in up to a block; whether there is more."""
        began = int(self._table["offset"][self._blocks - 1]) if not self._sealed else self._end
        if self._seen > self._end:
            return self._skip(number, ended)
        room = began + BLOCK - self._end
        data = os.pread(number, room, self._end)
        whole = data.rfind(b"\n") + 1
        if whole:
            self._absorb(data[:whole], whole, data[:whole])
        if len(data) < room:
            rest = data[whole:]
            if ended and rest:
                self._absorb(rest + b"\n", len(rest), rest)
                self._sealed = True  # a block holds no line after one that has no end
            return False
        if not whole and self._sealed:
            self._seen = self._end + len(data)  # a line longer than a block
        self._sealed = True
        return True

    def _skip(self, number: int, ended: bool) -> bool:
        """Look for the end of a line that is longer than a block, which it then has for itself."""
        data = os.pread(number, BLOCK, self._seen)
        size = data.find(b"\n") + 1 or len(data)
        if not data.endswith(b"\n", 0, size) and not (ended and len(data) < BLOCK):
            self._seen += len(data)
            return len(data) == BLOCK
        length = self._seen + size - self._end
        last = os.pread(number, _TAIL, self._end + length - _TAIL)
        self._absorb(os.pread(number, BLOCK, self._end) + b"\n", length, last)
        self._sealed = True
        return True

    def _absorb(self, data: bytes, length: int, last: bytes) -> None:
        """Lines follow that have ``length`` bytes, the ``last`` of which are given, too."""
        facts = _facts(data, self._priorities)
        if self._sealed:
            if self._blocks == len(self._table):
                self._table = np.concatenate((self._table, np.zeros_like(self._table)))
            self._table[self._blocks] = (self._end, self._lines + 1, 1 << 62, 0, self._carry, 0)
            self._blocks, self._sealed = self._blocks + 1, False
        row = self._table[self._blocks - 1]
        times = _filled(facts.times, self._carry)
        row["low"] = min(row["low"], times.min())
        row["high"] = max(row["high"], times.max())
        counts = np.bincount(facts.levels, minlength=_FULL + 1)
        row["levels"] |= np.bitwise_or.reduce(np.uint64(1) << np.flatnonzero(counts).astype(np.uint64))
        self._counts += counts
        self._carry = int(times[-1])
        self._lines += len(facts.starts)
        self._end += length
        self._seen = 0
        self._last = last[-_TAIL:]
        if not self.generation:
            first = data[: min(256, int(facts.ends[0]) + 1)]
            self.generation = hashlib.blake2b(first, digest_size=8, key=b"%d" % self._identity[1]).hexdigest()

    def _view(self) -> _View:
        with self._lock:
            table = self._table[: self._blocks]
            return _View(table, self._end, self._lines, self._identity, self._priorities, self._spans)

    # -- finding ----------------------------------------------------------------------------------------------------

    def find(
        self,
        wanted: Wanted,
        first: int = 1,
        stop: int | None = None,
        count: int = 1000,
        *,
        backwards: bool = False,
        until: float = float("inf"),
    ) -> Found:
        """Lines that are wanted, in order, among those that :meth:`update` has taken in.

        Args:
            wanted: which.
            first: number of the first line to look at.
            stop: number of the first line not to look at any more; None: to the last.
            count: how many to find.
            backwards: the last ``count`` rather than the first.
            until: by ``time.monotonic()``: stop then; at least one block is looked at.

        Raises:
            FileNotFoundError: there is no log any more.
            Replaced: it was emptied, cut or replaced since the last :meth:`update`.
            OSError: it cannot be read.
        """
        view = self._view()
        first = max(1, first)
        stop = view.lines + 1 if stop is None else min(stop, view.lines + 1)
        if first >= stop or count < 1:
            place = stop if backwards else first
            return Found([], place, place, view.lines)
        ranges = None
        if wanted.call is not None or wanted.cell is not None:
            parts = np.array(view.spans.ranges(wanted.call, wanted.cell), np.int64).reshape(-1, 2)
            ranges = parts[:, 0], parts[:, 1]
        lines: list[Line] = []
        low, high = first, stop
        with self._opened() as number:
            info = os.fstat(number)
            if (info.st_dev, info.st_ino) != view.identity:
                raise Replaced
            blocks = _blocks(view, wanted, first, stop, ranges)
            for done, block in enumerate(reversed(blocks) if backwards else blocks):
                begins = int(view.table["line"][block])
                ends = int(view.table["line"][block + 1]) if block + 1 < len(view.table) else view.lines + 1
                if done and time.monotonic() > until:
                    low, high = (min(ends, stop), high) if backwards else (low, max(begins, first))
                    break
                room = count - len(lines)
                limits = max(first - begins, 0), min(stop, ends) - begins
                found = _in_block(view, wanted, block, number, ranges, limits, None if backwards else room, self._width)
                lines = found[-room:] + lines if backwards else lines + found
                if len(lines) == count:
                    low, high = (lines[0].number, high) if backwards else (low, lines[-1].number + 1)
                    break
        return Found(lines, low, high, view.lines)


def _blocks(view: _View, wanted: Wanted, first: int, stop: int, ranges: Ranges | None) -> list[int]:
    """Blocks that can hold lines that are wanted."""
    begin = int(np.searchsorted(view.table["line"], first, "right")) - 1
    table = view.table[begin : int(np.searchsorted(view.table["line"], stop))]
    keep = np.ones(len(table), bool)
    if wanted.after is not None:
        keep &= table["high"] >= wanted.after
    if wanted.before is not None:
        keep &= table["low"] < wanted.before
    if wanted.priorities:
        codes = [view.priorities.codes.get(name.encode(), _FULL) for name in wanted.priorities]
        keep &= (table["levels"] & np.uint64(sum({1 << code for code in codes}))) != 0
    if ranges is not None:
        starts, ends = ranges
        following = view.table["offset"][begin + 1 : begin + len(table)]
        limits = np.append(following, view.end) if len(following) < len(table) else following
        next_range = np.searchsorted(ends, table["offset"], "right")
        keep &= np.append(starts, 1 << 62)[next_range] < limits
    found: list[int] = (begin + np.flatnonzero(keep)).tolist()
    return found


def _in_block(
    view: _View,
    wanted: Wanted,
    block: int,
    number: int,
    ranges: Ranges | None,
    limits: tuple[int, int],
    most: int | None,
    width: int,
) -> list[Line]:
    """The lines of a block that are wanted; ``limits``: among which of its lines, ``most``: the first so many."""
    row = view.table[block]
    offset = int(row["offset"])
    end = int(view.table["offset"][block + 1]) if block + 1 < len(view.table) else view.end
    data = os.pread(number, min(end - offset, BLOCK), offset)
    if len(data) < min(end - offset, BLOCK):
        raise Replaced
    if not data.endswith(b"\n"):
        data += b"\n"
    if wanted.patterns and wanted.patterns[0].search(data, 0, len(data) - 1) is None:
        return []  # so are most
    facts = _facts(data, view.priorities)
    mask = np.zeros(len(facts.starts), bool)
    mask[limits[0] : limits[1]] = True
    if wanted.after is not None or wanted.before is not None:
        times = _filled(facts.times, int(row["carry"]))
        mask &= times > 0
        if wanted.after is not None:
            mask &= times >= wanted.after
        if wanted.before is not None:
            mask &= times < wanted.before
    if wanted.priorities:
        codes = [view.priorities.codes.get(name.encode(), _FULL) for name in wanted.priorities]
        mask &= np.isin(facts.levels, codes)
    if ranges is not None and len(ranges[0]):
        places = offset + facts.starts
        part = np.searchsorted(ranges[0], places, "right") - 1
        mask &= (part >= 0) & (places < ranges[1][part])
    elif ranges is not None:
        mask[:] = False
    lines: list[Line] = []
    starts, ends = facts.starts.tolist(), facts.ends.tolist()
    for i in _matching(data, starts, ends, np.flatnonzero(mask).tolist(), wanted.patterns):
        raw = data[starts[i] : ends[i]].decode("utf-8", "replace")
        line = parse_line(raw)
        if wanted.priorities and line.priority not in wanted.priorities or wanted.origin and not line.origin:
            continue
        call, cell = view.spans.at(offset + starts[i])
        origin, message = _cut(line.origin, width), _cut(line.message, width)
        lines.append(Line(int(row["line"]) + i, line.time, line.priority, origin, message, call, cell))
        if len(lines) == most:
            break
    return lines


def _matching(data: bytes, starts: list[int], ends: list[int], those: list[int], patterns: list[Any]) -> Iterator[int]:
    """Of these lines those that match all patterns, of which the first is looked for in all the rest of the block."""
    if not patterns:
        yield from those
        return
    drive, *others = patterns
    at = 0
    while at < len(those):
        match = drive.search(data, starts[those[at]], len(data) - 1)
        if match is None:
            return
        line = bisect_right(starts, match.start()) - 1
        at = bisect_right(those, line - 1, at)
        if at < len(those) and those[at] == line:
            begin, end = starts[line], ends[line]
            if all(other.search(data, begin, end) is not None for other in others):
                yield line
            at += 1


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[:width]} … ({len(text) - width} characters left out)"
