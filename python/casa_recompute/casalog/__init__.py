"""The CASA log: parse it, say which stage a task is in, render it for a notebook.

``index`` finds lines in one of any length, ``spans`` tells which of them belong to which call.

A log line is ``YYYY-MM-DD HH:MM:SS<TAB>PRIORITY<TAB>origin<TAB>message`` in UTC. Further lines of one message
repeat the first three fields with ``+`` appended to the origin.
"""

from __future__ import annotations

from .lines import Counts, LogLine, counts, excerpt, format_lines, parse, parse_line
from .render import MIME_TYPE, render_html, render_text, summary, to_mime
from .stages import stage

__all__ = [
    "MIME_TYPE",
    "Counts",
    "LogLine",
    "counts",
    "excerpt",
    "format_lines",
    "parse",
    "parse_line",
    "render_html",
    "render_text",
    "stage",
    "summary",
    "to_mime",
]
