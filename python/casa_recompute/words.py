"""How things are said to people, the same in the kernel and on the command line."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """``2.3 s``, ``3 min 12 s``, ``2 h 05 min``."""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
