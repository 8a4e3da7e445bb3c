"""Sessions on CASA's stand-in, see fakecasa/casatasks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from casa_recompute.session import Session
from tests.core.standin import fake_settings


@pytest.fixture
def open_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Session]]:
    """Open sessions in a workspace (default: one with raw data), in which the test's process then works."""
    sessions = []

    def open_one(directory: Path = tmp_path, **kwargs: object) -> Session:
        directory.mkdir(exist_ok=True)
        raw = directory / "raw.fits"
        if not raw.exists():
            raw.write_bytes(b"raw data" * 1000)
        monkeypatch.chdir(directory)
        session = Session(directory, fake_settings(**kwargs))
        sessions.append(session)
        return session

    yield open_one
    os.chdir("/")
    for session in sessions:
        session.close()
