"""Sequences in which a re-run once differed from a run from top to bottom; replayed before all others."""

from __future__ import annotations

from tests.oracle.trial import Story

REGRESSIONS: dict[str, Story] = {}
