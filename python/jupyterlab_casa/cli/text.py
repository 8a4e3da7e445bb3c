"""What commands say: people's text and one JSON object."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

FAILED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes besides 0: what was asked for failed; it was asked for in a wrong way; Ctrl-C."""


class CommandError(Exception):
    """What was asked for cannot be done; the message is for people and says what to do."""

    def __init__(self, message: str, code: int = USAGE) -> None:
        super().__init__(message)
        self.code = code


def say(text: str = "") -> None:
    """Tell a person something, on standard error."""
    print(text, file=sys.stderr, flush=True)


def emit(value: Mapping[str, Any]) -> None:
    """Write the one JSON object of a command to standard output."""
    print(json.dumps(value, indent=2), flush=True)


def size(count: float) -> str:
    """``512 B``, ``3.4 MB``, ``1.2 TB``; decimal units, as disks are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def plural(count: int, noun: str) -> str:
    """``1 cell``, ``3 cells``."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Rows in columns that are as wide as they need to be; ``right``: columns to align to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        cells = [f"{c:>{w}}" if n in right else f"{c:<{w}}" for n, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
