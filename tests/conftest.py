"""The order of the tests, where several processes share them."""

from __future__ import annotations

import pytest

LONG = ("store/test_contract.py", "scenarios/", "store/", "tasks/", "server/", "display/", "cli/", "core/", "oracle/")
"""What takes long: begun first, so that all processes end at about the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    """Each process (pytest-xdist) has whole files, in this order."""
    if config.pluginmanager.hasplugin("dsession") or hasattr(config, "workerinput"):
        items.sort(key=lambda item: next((n for n, name in enumerate(LONG) if f"/tests/{name}" in str(item.path)), 99))
