"""Reading a ledger from outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from casa_recompute.ledger import Ledger, LedgerError, Version
from casa_recompute.ledger.reader import LedgerReader
from casa_recompute.session import Cell, Session

Open = Callable[..., Session]


def test_what_a_session_does_is_seen_at_once(open_session: Open) -> None:
    session = open_session()
    reader = LedgerReader(session.workspace.ledger.path)
    assert (reader.last_run(), reader.totals().calls) == (0, 0)
    session.begin_cell(Cell("one", ("one",), "nb.ipynb", ""))
    session.call("importuvfits", fitsfile="raw.fits", vis="a.ms")
    first = reader.last_run()
    with session.workspace.ledger.transaction():  # somebody writes
        [run] = reader.runs_after(0)
    assert (run.id, run.task, run.cell, run.action) == (first, "importuvfits", "one", "ran")
    session.call("flagdata", vis="a.ms")
    assert [run.task for run in reader.runs_after(first)] == ["flagdata"]
    rows = [(v.path, v.task, v.kept, v.present) for v in reader.versions() if v.path == "a.ms"]
    assert rows == [("a.ms", "importuvfits", True, False), ("a.ms", "flagdata", True, True)]
    assert (reader.totals().calls, reader.totals().versions) == (2, 4)
    assert reader.totals().logical_bytes > 0
    reader.close()


def test_a_ledger_that_is_being_made_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, looked = tmp_path / "ledger.sqlite", []

    def look(self: Ledger, version: Version) -> None:
        with pytest.raises(LedgerError, match="there is none"):
            LedgerReader(path)
        looked.append(self.path)
        add(self, version)

    add = Ledger.add_version
    monkeypatch.setattr(Ledger, "add_version", look)
    Ledger(path).close()
    assert len(looked) == 1 and [file.name for file in tmp_path.iterdir()] == ["ledger.sqlite"]


def test_a_ledger_is_neither_made_nor_repaired(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with pytest.raises(LedgerError, match="there is none"):
        LedgerReader(path)
    assert not path.exists()
    path.write_bytes(b"rubbish" * 1000)
    with pytest.raises(LedgerError, match="cannot be read"):
        LedgerReader(path)
    assert path.read_bytes() == b"rubbish" * 1000
