"""What is in a MeasurementSet, through REST; with CASA's stand-in, and once with CASA."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError

from casa_recompute.runner.describe import Unreadable, describe
from casa_recompute.settings import Settings
from tests.server.conftest import until

DAY = 50000 * 86400.0  # 1995/10/10
TABLES: dict[str, dict[str, Any]] = {
    "": {"SCAN_NUMBER": [1, 1, 4], "FIELD_ID": [0, 1, 1], "TIME": [DAY + 1, DAY, DAY + 60]},
    "FIELD": {"NAME": ["3C286", "a <b> 'c'"]},
    "SPECTRAL_WINDOW": {"NAME": ["L"], "NUM_CHAN": [63], "REF_FREQUENCY": [1.4e9], "TOTAL_BANDWIDTH": [1.5e6]},
    "ANTENNA": {"NAME": ["ea01"], "STATION": ["N7"]},
    "STATE": {"OBS_MODE": ["TARGET,PHASE", "TARGET"]},
    "POLARIZATION": {"CORR_TYPE": [[5, 8], [5, 99]]},
}


def make(place: Path, tables: dict[str, dict[str, Any]]) -> Path:
    for name, columns in tables.items():
        (place / name).mkdir(parents=True, exist_ok=True)
        (place / name / "table.dat").write_text(json.dumps(columns))
    return place


@pytest.fixture
def ms(workspace: Path) -> Path:
    return make(workspace / "raw.ms", TABLES)


def manager(jp_serverapp: Any) -> Any:
    (app,) = jp_serverapp.extension_manager.extension_apps["jupyterlab_casa"]
    return app.managers["measurements"]


async def test_its_names_are_told(ask, ms: Path) -> None:
    answer = await ask("ms", path="work/nb.ipynb", ms="raw.ms")
    assert answer == {
        "schema": 1,
        "exists": True,
        "rows": 3,
        "fields": [{"id": 0, "name": "3C286"}, {"id": 1, "name": "a <b> 'c'"}],
        "spws": [{"id": 0, "name": "L", "channels": 63, "frequency": 1.4e9, "bandwidth": 1.5e6}],
        "antennas": [{"id": 0, "name": "ea01", "station": "N7"}],
        "intents": ["PHASE", "TARGET"],
        "correlations": ["RR", "LL"],
        "scans": [
            {"number": 1, "fields": [0, 1], "begin": "1995/10/10/00:00:00", "end": "1995/10/10/00:00:01"},
            {"number": 4, "fields": [1], "begin": "1995/10/10/00:01:00", "end": "1995/10/10/00:01:00"},
        ],
    }
    for name in ("./raw.ms", "../work/raw.ms", str(ms)):
        assert await ask("ms", path="work", ms=name) == answer


async def test_it_is_read_again_only_when_it_is_another(ask, ms: Path, jp_serverapp, monkeypatch) -> None:
    first = await ask("ms", path="work", ms="raw.ms")
    monkeypatch.setenv("FAKE_PAUSE", "60")
    (ms / "table.f17").write_bytes(b"flags")
    assert await ask("ms", path="work", ms="raw.ms") == first
    monkeypatch.delenv("FAKE_PAUSE")
    make(ms, {"FIELD": {"NAME": ["other"]}})
    assert (await ask("ms", path="work", ms="raw.ms"))["fields"] == [{"id": 0, "name": "other"}]


async def test_one_that_takes_too_long_is_told_in_part_or_refused(
    ask, refused, ms: Path, jp_serverapp, monkeypatch
) -> None:
    monkeypatch.setenv("FAKE_STUCK", "SCAN_NUMBER")
    manager(jp_serverapp).patience = 1.0

    async def part() -> Any:
        try:
            return await ask("ms", path="work", ms="raw.ms")
        except HTTPClientError:  # a busy machine has not even begun to read it
            manager(jp_serverapp).patience *= 2

    answer = await until(part)
    assert (answer["scans"], len(answer["fields"])) == (None, 2)
    monkeypatch.setenv("FAKE_PAUSE", "60")
    manager(jp_serverapp).patience = 1.0
    assert await refused("ms", path="work", ms="raw.ms") == (409, "raw.ms: it could not be read within 1 s")


async def test_there_is_nothing_else(ask, refused, ms: Path, tmp_path: Path) -> None:
    make(tmp_path / "outside.ms", TABLES)
    (ms.parent / "out.ms").symlink_to(tmp_path / "outside.ms")
    nothing = await ask("ms", path="work", ms="none.ms")
    assert (nothing["exists"], nothing["fields"], nothing["scans"]) == (False, [], [])
    for name in ("", ".", "nb.ipynb", "raw.ms/FIELD", "a" * 5000):
        assert await ask("ms", path="work", ms=name) == nothing, name
    for name in ("out.ms", "../../outside.ms", str(tmp_path / "outside.ms"), "../../nothing", "/etc"):
        assert await ask("ms", path="work", ms=name) == nothing, "nobody learns what is outside"
    assert (await refused("ms", path="nowhere", ms="raw.ms"))[0] == 404


async def test_a_subtable_that_leads_out_is_not_read(refused, ms: Path, tmp_path: Path) -> None:
    outside = make(tmp_path / "outside.ms", TABLES)
    shutil.rmtree(ms / "FIELD")
    (ms / "FIELD").symlink_to(outside / "FIELD")
    code, message = await refused("ms", path="work", ms="raw.ms")
    assert (code, message) == (409, "raw.ms: it is no MeasurementSet: there is no table FIELD")


async def test_what_cannot_be_read_is_said(refused, ms: Path, monkeypatch) -> None:
    monkeypatch.setenv("JUPYTERLAB_CASA_PYTHON", "/no/python")
    code, message = await refused("ms", path="work", ms="raw.ms")
    assert code == 409 and "/no/python" in message
    monkeypatch.setenv("JUPYTERLAB_CASA_PYTHON", "/bin/false")
    code, message = await refused("ms", path="work", ms="raw.ms")
    assert (code, message) == (409, "raw.ms: CASA cannot be loaded with /bin/false: it says nothing")


def test_one_of_casas(tmp_path: Path) -> None:
    code = (
        "import casatasks, casatools\n"
        "casatasks.importuvfits(casatools.ctsys.resolve('demo/NGC5921.fits'), 'a.ms')\n"
    )
    config = tmp_path / "config.py"
    config.write_text(
        "import casadata\ndatapath=[casadata.datapath]\nmeasurespath=casadata.datapath\n"
        f"measures_auto_update=False\ndata_auto_update=False\nlogfile={str(tmp_path / 'casa.log')!r}\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "CASASITECONFIG": str(config)},
        check=True,
        capture_output=True,
        timeout=120,
    )
    root = tmp_path.resolve()
    before = sorted(path for path in root.rglob("*") if path.name != "table.lock")
    answer = describe(root / "a.ms", root, Settings(), 60)
    assert [field["name"] for field in answer["fields"]][2] == "N5921_2"
    assert (len(answer["antennas"]), answer["spws"][0]["channels"], answer["correlations"]) == (28, 63, ["RR", "LL"])
    assert answer["scans"][0]["begin"] == "1995/04/13/09:18:59"
    assert sorted(path for path in root.rglob("*") if path.name != "table.lock") == before, "it only reads"
    with pytest.raises(Unreadable, match="no MeasurementSet"):
        describe(root / "a.ms" / "FIELD", root, Settings(), 60)
