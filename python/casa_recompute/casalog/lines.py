"""CASA log lines as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_LINE = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\t([A-Z][A-Z0-9]*)\t([^\t]*)\t(.*)",  # the fields of LogLine
    re.ASCII | re.DOTALL,
)


@dataclass(frozen=True)
class LogLine:
    """One line of the log. Text that CASA did not format has only a ``message``."""

    time: str  # "YYYY-MM-DD HH:MM:SS", UTC; empty for foreign text
    priority: str  # INFO, WARN, SEVERE, DEBUG1 ...; empty for foreign text
    origin: str  # "class::function", with a trailing "+" on a continuation line
    message: str  # may contain TABs

    @property
    def continuation(self) -> bool:
        """Does this line continue the message of the line before?"""
        return self.origin.endswith("+")

    @property
    def level(self) -> str:
        """``"severe"``, ``"warn"`` or ``"info"``."""
        if self.priority in ("SEVERE", "ERROR"):
            return "severe"
        return "warn" if self.priority == "WARN" else "info"

    def __str__(self) -> str:
        if not self.time:
            return self.message
        return f"{self.time}\t{self.priority}\t{self.origin}\t{self.message}"


@dataclass(frozen=True)
class Counts:
    """How many warnings and errors a log holds; a message of several lines counts once."""

    warn: int
    severe: int


def parse(text: str | bytes) -> list[LogLine]:
    """The lines of a log, blank ones left out. Never raises: bytes that are not UTF-8 are replaced."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    # Only "\n" ends a line: str.splitlines would also break messages at form feeds and the like.
    return [parse_line(raw) for raw in text.split("\n") if raw.strip()]


def parse_line(raw: str) -> LogLine:
    """One line of a log, without its end."""
    raw = raw.removesuffix("\r")
    match = _LINE.fullmatch(raw)
    return LogLine(*match.groups()) if match else LogLine("", "", "", raw)


def format_lines(lines: Iterable[LogLine]) -> str:
    """The inverse of :func:`parse`."""
    return "".join(f"{line}\n" for line in lines)


def counts(lines: Iterable[LogLine]) -> Counts:
    """Warnings and errors among ``lines``."""
    levels = [line.level for line in lines if not line.continuation]
    return Counts(warn=levels.count("warn"), severe=levels.count("severe"))


def excerpt(lines: Sequence[LogLine], head: int, tail: int, alerts: int) -> list[LogLine | int]:
    """The first ``head`` and last ``tail`` lines, and up to ``alerts`` warnings and errors between them.

    An integer in the result stands for that many lines left out at this place.
    """
    if head + tail >= len(lines):
        return list(lines)
    result: list[LogLine | int] = list(lines[:head])
    omitted = 0
    for line in lines[head : len(lines) - tail]:
        if line.level != "info" and alerts > 0:
            alerts -= 1
            if omitted:
                result.append(omitted)
                omitted = 0
            result.append(line)
        else:
            omitted += 1
    if omitted:
        result.append(omitted)
    return result + list(lines[len(lines) - tail :])
