"""The log of one call as HTML that needs no script, as plain text and as plain data.

The HTML must survive sanitizers (JupyterLab's for untrusted notebooks, nbviewer's): only ``details``,
``summary``, ``pre``, ``b``, ``i`` and classes are used, and everything that comes from a log is escaped.
All forms are bounded, so that a notebook stays small.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from .lines import Counts, LogLine, counts, excerpt

MIME_TYPE = "application/vnd.casa.log+json"

HEAD, TAIL, ALERTS = 60, 60, 60  # lines kept of a long log
WIDTH = 1000  # characters kept of one message


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def summary(lines: Sequence[LogLine]) -> str:
    """``log: 237 lines, 2 warnings, 0 errors``."""
    found = counts(lines)
    parts = [(len(lines), "line"), (found.warn, "warning"), (found.severe, "error")]
    return "log: " + ", ".join(_plural(number, noun) for number, noun in parts)


def _shorten(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[:WIDTH]} … ({len(text) - WIDTH} characters left out)"


def _gap(omitted: int, where: str) -> str:
    return f"··· {_plural(omitted, 'line')} left out{f'; the whole log is in {where}' if where else ''} ···"


def _row(line: LogLine) -> str:
    if not line.time:
        return escape(_shorten(line.message))
    origin = line.origin.partition(" (file ")[0].rstrip()  # the C++ source file tells an astronomer nothing
    text = escape(f"{line.time[11:]} {line.priority:<6} {origin}  {_shorten(line.message)}")
    return f'<b class="casa-log-{line.level}">{text}</b>' if line.level != "info" else text


def render_html(lines: Sequence[LogLine], *, opened: bool = False, where: str = "") -> str:
    """A ``<details>`` element; ``opened``: unfolded; ``where``: the file with the whole log, if any."""
    rows = [
        f"<i>{escape(_gap(item, where))}</i>" if isinstance(item, int) else _row(item)
        for item in excerpt(lines, HEAD, TAIL, ALERTS)
    ]
    state = " open" if opened else ""
    body = "\n".join(rows)
    head = f'<details class="casa-log"{state}><summary>{escape(summary(lines))}</summary>'
    return f"{head}<pre>{body}</pre></details>"


def render_text(lines: Sequence[LogLine], alerts: int = 5) -> str:
    """The summary, and the first ``alerts`` warnings and errors below it."""
    found = [line for line in lines if line.level != "info" and not line.continuation]
    rows = [f"  {line.priority} {_shorten(line.message)}" for line in found[:alerts]]
    if len(found) > alerts:
        rows.append(f"  and {len(found) - alerts} more")
    return "\n".join([summary(lines), *rows])


def to_mime(lines: Sequence[LogLine], task: str = "") -> dict[str, Any]:
    """Plain data for :data:`MIME_TYPE`; ``omitted`` is the number of lines left out."""
    kept: Iterable[LogLine | int] = excerpt(lines, HEAD, TAIL, ALERTS)
    found: Counts = counts(lines)
    rows = []
    omitted = 0
    for item in kept:
        if isinstance(item, int):
            omitted += item
        else:
            fields = {"time": item.time, "priority": item.priority, "origin": _shorten(item.origin)}
            rows.append(fields | {"message": _shorten(item.message)})
    return {
        "version": 1,
        "task": task,
        "lines": rows,
        "counts": {"warn": found.warn, "severe": found.severe},
        "omitted": omitted,
    }
