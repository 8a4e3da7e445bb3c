"""The X display that GUI tasks draw on: a private Xvfb, on demand."""

from __future__ import annotations

from casa_recompute.display.xvfb import Display, DisplayError

__all__ = ["Display", "DisplayError"]
