"""Sessions on CASA's stand-in, see fakecasa/casatasks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from casa_recompute.session import Session
from casa_recompute.settings import Settings

FAKE = Path(__file__).parent / "fakecasa"


def fake_settings(pause: float = 0.0, **kwargs: object) -> Settings:
    """Settings whose worker imports the stand-in."""
    return Settings(environment={"PYTHONPATH": str(FAKE), "FAKE_PAUSE": str(pause)}, threads=1, **kwargs)  # type: ignore[arg-type]


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
