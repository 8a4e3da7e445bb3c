"""What is a running task doing? Read from the latest lines of its log and from CASA's progress output."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .lines import LogLine, parse

_LOOK_BACK = 80  # lines; older ones no longer describe what happens now
_TAIL = 64_000  # characters of log text that are parsed
_PLAIN_WORDS = (
    (re.compile(r"Run Major Cycle (\d+)", re.I), r"major cycle \1"),
    (re.compile(r"Run (?:\w+ )?Minor[- ]Cycle", re.I), "minor cycle"),
    (re.compile(r"Make PSF", re.I), "point spread function"),
    (re.compile(r"Restoring model image", re.I), "restoring the image"),
    (re.compile(r"Evaluating Primary Beam", re.I), "primary beam"),
)
_BANNER = re.compile(r"-{4,}\s*(.*[^\s-])\s*-{4,}")
_NOISE = re.compile(r"[#\s-]*|.*##### (?:Begin|End) Task.*|Task \w+ complete\..*")
# CASA prints "0%....10....20" up to "100%" in pieces, with nothing after it while it runs.
_METER = re.compile(r"(?:\A|\s)0%((?:\.|\d0)*)\d?\Z", re.ASCII)


def _percent(stdout: str) -> int | None:
    """How far CASA's unfinished progress meter has come at the end of ``stdout``, in percent."""
    meter = _METER.search(stdout[-200:])
    return int((re.findall(r"\d0", meter[1]) or ["0"])[-1]) if meter else None


def stage(log: str | Sequence[LogLine], stdout: str = "", limit: int = 60) -> str:
    """A few words on what a task does now, at most ``limit`` characters; ``""`` when nothing is known yet.

    ``log`` is the log so far (or its tail), ``stdout`` what it printed, with CASA's ``0%....10....`` meter.
    """
    lines = parse(log[-_TAIL:]) if isinstance(log, str) else log
    words = _from_log(lines[-_LOOK_BACK:])
    percent = _percent(stdout)
    if percent is not None:
        meter = f"{percent} %"
        room = max(limit - len(meter) - 3, 0)
        words = f"{_cut(words, room)} · {meter}" if words and room else meter
    return _cut(words, limit)


def _from_log(lines: Sequence[LogLine]) -> str:
    last = ""
    for line in reversed(lines):
        for pattern, words in _PLAIN_WORDS:
            if match := pattern.search(line.message):
                return match.expand(words)
        if banner := _BANNER.search(line.message):
            return " ".join(banner[1].split())
        speaks = line.time and line.level == "info" and not line.continuation
        if not last and speaks and not _NOISE.fullmatch(line.message):
            last = " ".join(line.message.split())
    return last


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"[:limit]
