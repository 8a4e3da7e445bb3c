"""Tiers, opened once for all tests that need them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.store.faulty_disk import faulty
from tests.store.tiers import TIERS, Ground, TierMissing, in_ci, selected

_GROUNDS = {**TIERS, "faulty": faulty}


class Grounds:
    """Opens a tier when it is first asked for."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory, self.stack = directory, stack
        self.missing: dict[str, str] = {}
        self.open: dict[str, Ground] = {}

    def __getitem__(self, name: str) -> Ground:
        if name not in self.open and name not in self.missing:
            place = self.directory / name
            place.mkdir()
            try:
                self.open[name] = self.stack.enter_context(_GROUNDS[name](place))
            except TierMissing as error:
                self.missing[name] = str(error)
        if name in self.missing:
            message = f"store tier {name} is missing: {self.missing[name]}"
            pytest.fail(message, pytrace=False) if in_ci() else pytest.skip(message)
        return self.open[name]


@pytest.fixture(scope="session")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    """All tiers by name; a tier that is missing here skips the test, or fails it in CI."""
    with ExitStack() as stack:
        yield Grounds(tmp_path_factory.mktemp("tiers"), stack)


@pytest.fixture(scope="session", params=selected())
def ground(request: pytest.FixtureRequest, grounds: Grounds) -> Ground:
    """Each tier in turn."""
    return grounds[request.param]


@pytest.fixture
def place(ground: Ground) -> Iterator[Path]:
    """A new directory for a workspace, in each tier."""
    directory = ground.make()
    yield directory
    ground.drop(directory)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tiers that did not run, in whatever process."""
    for why in sorted({report.longrepr[-1] for report in terminalreporter.getreports("skipped")}):
        if "store tier" in why:
            terminalreporter.write_line(f"NOT TESTED: {why.removeprefix('Skipped: ')}", yellow=True)
