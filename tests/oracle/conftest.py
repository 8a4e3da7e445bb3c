"""Prints what the oracle counted."""

from __future__ import annotations

import pytest

from tests.oracle.summary import SEED, TALLY


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line, when the oracle ran."""
    if TALLY.reruns:
        terminalreporter.write_line(f"oracle: seed {SEED}, {TALLY}")
