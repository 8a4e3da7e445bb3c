"""Prints what the oracle counted."""

from __future__ import annotations

import pytest

from tests.oracle.summary import SEED, TALLY, WALKED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each kind of sequences, when the oracle ran."""
    if TALLY.reruns:
        terminalreporter.write_line(f"oracle: seed {SEED}, {TALLY}")
    if WALKED.reruns:
        terminalreporter.write_line(f"oracle, in one kernel that lives on: seed {SEED}, {WALKED}")
