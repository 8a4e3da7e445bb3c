"""How the data of versions differ, through REST with CASA's stand-in; and what CASA reads, with CASA."""

from __future__ import annotations

import base64
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from casa_recompute.runner.compare import Unreadable, compare
from casa_recompute.settings import Settings
from casa_recompute.workspace import Workspace


def keep(workspace: Path, name: str, data: bytes) -> str:
    """Write a file and keep it; its version."""
    (workspace / name).write_bytes(data)
    space = Workspace(workspace)
    try:
        with space.lock():
            space.keep([name])
            return space.look(name)
    finally:
        space.close()


def manager(jp_serverapp: Any) -> Any:
    (app,) = jp_serverapp.extension_manager.extension_apps["jupyterlab_casa"]
    return app.managers["comparisons"]


async def test_texts_and_pictures_are_told(ask, workspace: Path) -> None:
    old, new = (keep(workspace, "list.txt", text) for text in (b"scan 1\n", "scan 1 <b>\u03c0</b>\n".encode()))
    answer = await ask("compare", "data", path="work/nb.ipynb", before=old, after=new)
    files = {"before": "scan 1\n", "after": "scan 1 <b>\u03c0</b>\n"}
    assert answer == {"schema": 1, "kind": "text", "flags": None, "image": None, "files": files}
    picture = keep(workspace, "plot.png", b"\x89PNG\r\n\x1a\nnot really")
    answer = (await ask("compare", "data", path="work", before=picture, after=picture))["files"]
    assert answer["before"] == answer["after"] and answer["before"].startswith("data:image/png;base64,")
    assert (await ask("compare", "data", path="work", before=old, after=picture))["kind"] == "other"
    other = keep(workspace, "data.bin", b"\0\1")
    assert (await ask("compare", "data", path="work", before=other, after=other))["kind"] == "other"


async def test_what_was_told_is_remembered_and_what_was_not_is_read_from_the_store(
    ask, refused, workspace: Path, monkeypatch
) -> None:
    old, new = (keep(workspace, "list.txt", text) for text in (b"one", b"two"))
    (workspace / "list.txt").unlink()
    first = await ask("compare", "data", path="work", before=old, after=new)
    monkeypatch.setenv("JUPYTERLAB_CASA_PYTHON", "/bin/false")
    assert await ask("compare", "data", path="work", before=old, after=new) == first
    code, message = await refused("compare", "data", path="work", before=new, after=old)
    assert (code, message) == (
        409,
        "they cannot be compared: CASA cannot be loaded with /bin/false: it says nothing",
    )


async def test_files_that_the_store_moves_meanwhile_are_looked_up_again(ask, workspace: Path, monkeypatch) -> None:
    old, new = (keep(workspace, "list.txt", text) for text in (b"one", b"two"))
    asked: list[Any] = []

    def settling(*given: Any) -> Any:
        """What is young becomes old, or, as that may have been done already, the other way round."""
        store = workspace / ".casa-recompute" / "store"
        (young,) = (store / "young").iterdir()
        there, other = (young, store / "objects") if any(young.iterdir()) else (store / "objects", young)
        for capture in [] if asked else list(there.iterdir()):
            capture.rename(other / capture.name)
        asked.append(given)
        return compare(*given)

    monkeypatch.setattr("jupyterlab_casa.managers.comparisons.compare", settling)
    answer = await ask("compare", "data", path="work/nb.ipynb", before=old, after=new)
    assert answer["files"] == {"before": "one", "after": "two"}
    assert len(asked) == 2


async def test_one_that_takes_too_long_is_ended(
    refused, workspace: Path, jp_serverapp, tmp_path: Path, monkeypatch
) -> None:
    old = keep(workspace, "list.txt", b"one")
    stuck = tmp_path / "python"
    stuck.write_text("#!/bin/sh\nexec sleep 600\n")
    stuck.chmod(0o755)
    monkeypatch.setenv("JUPYTERLAB_CASA_PYTHON", str(stuck))
    manager(jp_serverapp).patience = 0.1
    code, message = await refused("compare", "data", path="work", before=old, after=old)
    assert (code, message) == (409, "they cannot be compared: it could not be read within 0.1 s")


async def test_what_is_nowhere_is_refused(ask, refused, workspace: Path, tmp_path: Path) -> None:
    assert (await refused("compare", "data", path="work", before="a", after="b"))[0] == 404, "nothing is remembered"
    old = keep(workspace, "list.txt", b"one")
    assert await refused("compare", "data", path="work", before=old, after="k-none") == (
        404,
        "there is no version 'k-none'",
    )
    assert (await refused("compare", "data", path="nowhere", before=old, after=old))[0] == 404
    outside = tmp_path / "secret.txt"
    outside.write_text("secret")
    (workspace / "live.txt").write_text("live")
    space = Workspace(workspace)
    with space.lock():
        live, secret = space.look("live.txt"), space.look(str(outside))
    space.close()
    assert (await ask("compare", "data", path="work", before=old, after=live))["files"]["after"] == "live"
    code, message = await refused("compare", "data", path="work", before=live, after=secret)
    assert code == 409 and "no longer kept" in message, "nothing outside of the root is read"
    (workspace / "live.txt").write_text("another")
    assert (await refused("compare", "data", path="work", before=live, after=live))[0] == 409


# -- with CASA ---------------------------------------------------------------------------------------------------------

MAKE = """
import shutil, sys
import numpy as np
import casatasks, casatools
casatasks.importuvfits(casatools.ctsys.resolve('demo/NGC5921.fits'), 'a.ms')
shutil.copytree('a.ms', 'b.ms')
casatasks.flagdata('b.ms', mode='manual', field='0', correlation='RR', flagbackup=False)
ia = casatools.image()
values = np.zeros((40, 30, 1, 3))
values[10, 20, 0, 1] = 1
def image(name, values):
    ia.fromarray(name, values, overwrite=True); ia.setbrightnessunit('Jy/beam'); ia.done()
image('a.image', values)
values[5, 6, 0, 2] = -2
image('b.image', values)
image('other.image', values[:20])
image('masked.image', values)
ia.open('masked.image'); ia.calcmask('"masked.image" > -1'); ia.done()
for name in 'ab':
    casatasks.exportfits(name + '.image', name + '.fits')
image('wide.image', np.arange(900.0 * 20).reshape(900, 20, 1, 1))
casatasks.gencal('a.ms', 'a.gcal', 'amp', parameter=[2.0])
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data").resolve()
    config = place / "config.py"
    config.write_text(
        "import casadata\ndatapath=[casadata.datapath]\nmeasurespath=casadata.datapath\n"
        f"measures_auto_update=False\ndata_auto_update=False\nlogfile={str(place / 'casa.log')!r}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", MAKE],
        cwd=place,
        env={**os.environ, "CASASITECONFIG": str(config)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return place


def told(data: Path, before: str, after: str) -> dict[str, Any]:
    found = compare(data / before, data / after, Settings(), 100)
    assert [name for name in ("flags", "image", "files") if found[name] is not None] == [found["kind"]]
    return found[found["kind"]]


def test_flags_are_counted_by_what_one_groups_by(data: Path) -> None:
    answer = told(data, "a.ms", "b.ms")
    groups = {group["by"]: {row["id"]: row for row in group["rows"]} for group in answer["groups"]}
    assert answer["read"] == 1.0 and answer["total"]["before"] == 0.0
    assert groups["field"][0] | {"name": ""} == {"id": 0, "name": "", "before": 0.0, "after": 50.0}
    assert groups["field"][2] == {"id": 2, "name": "N5921_2", "before": 0.0, "after": 0.0}
    assert {row["name"]: row["after"] > 0 for row in groups["correlation"].values()} == {"RR": True, "LL": False}
    assert len(groups["antenna"]) == 27 and groups["antenna"][0]["name"] == "1"
    assert groups["spw"][0]["after"] == pytest.approx(answer["total"]["after"])
    parts = [row["after"] for row in groups["correlation"].values()]
    assert sum(parts) / 2 == pytest.approx(answer["total"]["after"])
    gains = told(data, "a.gcal", "a.gcal")
    assert gains["total"] == {"before": 0.0, "after": 0.0}
    assert compare(data / "a.ms", data / "a.image", Settings(), 100)["kind"] == "other"


def test_a_part_of_many_flags_is_spread_over_all(data: Path) -> None:
    code = (
        "import sys, json; sys.path.insert(0, sys.argv[1])\nimport flags\n"
        "found = flags.count(sys.argv[2], limit=200_000)\n"
        "print(json.dumps([found.read, 100 * found.total[0] / found.total[1], sorted(found.groups['scan'])]))"
    )
    worker = Path(compare.__code__.co_filename).parent / "worker"
    done = subprocess.run(
        [sys.executable, "-c", code, str(worker), str(data / "b.ms")],
        cwd=data,
        env={**os.environ, "CASASITECONFIG": str(data / "config.py")},
        capture_output=True,
        text=True,
        timeout=100,
    )
    read, flagged, scans = eval(done.stdout.splitlines()[-1])
    whole = told(data, "b.ms", "b.ms")
    assert 0.05 < read < 0.2
    assert flagged == pytest.approx(whole["total"]["after"], abs=3) and scans == [1, 2, 3, 4, 5, 6, 7]


def decoded(address: str) -> tuple[int, int, list[bytes], bytes]:
    """Width, height, rows of palette indices, and palette of a picture."""
    file = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    at, chunks = 8, {}
    while at < len(file):
        size, kind = struct.unpack_from(">I4s", file, at)
        chunks[kind] = file[at + 8 : at + 8 + size]
        assert zlib.crc32(file[at + 4 : at + 8 + size]) == struct.unpack_from(">I", file, at + 8 + size)[0]
        at += 12 + size
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    raw = zlib.decompress(chunks[b"IDAT"])
    rows = [raw[n * (width + 1) + 1 : (n + 1) * (width + 1)] for n in range(height)]
    return width, height, rows, chunks[b"PLTE"]


def test_images_are_compared_pixel_by_pixel(data: Path) -> None:
    answer = told(data, "a.image", "b.image")
    assert (answer["unit"], answer["read"]) == ("Jy/beam", 1.0)
    assert answer["axes"][:2] == ["direction", "direction"] and answer["shapes"] == [[40, 30, 1, 3]] * 2
    assert (answer["before"]["maximum"], answer["after"]["minimum"]) == (1.0, -2.0)
    difference = answer["difference"]
    assert (difference["largest"], difference["at"]) == (-2.0, [5, 6, 0, 2])
    assert difference["differing"] == pytest.approx(1 / 3600) and answer["pictures"]["places"] == [[0, 2]] * 2
    width, height, rows, palette = decoded(answer["pictures"]["difference"])
    assert (width, height) == (40, 30)
    assert rows[30 - 1 - 6][5] == 1 and rows[0][0] == 128, "the second axis goes up; the least, and nothing"
    assert palette[3 * 128] == palette[3 * 128 + 1], "nothing is grey"
    files = told(data, "a.fits", "b.fits")
    assert (files["difference"]["largest"], files["difference"]["at"][:2]) == (-2.0, [5, 6])
    same = told(data, "b.fits", "b.fits")
    assert same["difference"]["largest"] == 0 and same["difference"]["differing"] == 0


def test_masked_pixels_are_none(data: Path) -> None:
    answer = told(data, "b.image", "masked.image")
    assert answer["after"]["minimum"] == 0.0 and answer["difference"]["differing"] == pytest.approx(1 / 3600)
    assert answer["difference"]["largest"] == 0.0


def test_images_of_other_shapes_and_large_ones(data: Path) -> None:
    answer = told(data, "b.image", "other.image")
    assert answer["difference"] is None and answer["pictures"]["difference"] is None
    assert decoded(answer["pictures"]["after"])[:2] == (20, 30)
    wide = told(data, "wide.image", "wide.image")
    assert decoded(wide["pictures"]["before"])[:2] == (300, 7)


def test_it_only_reads(data: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*") if path.name != "table.lock"}
    for pair in (("a.ms", "b.ms"), ("a.image", "masked.image"), ("b.fits", "b.image")):
        told(data, *pair)
    kept = [path for path in before if path.name not in ("casa.log",)]
    assert {path: path.stat().st_mtime_ns for path in kept if path.is_file()} == {
        path: before[path] for path in kept if path.is_file()
    }


def test_what_is_damaged_is_said(data: Path, tmp_path: Path) -> None:
    place = tmp_path / "bad.ms"
    place.mkdir()
    (place / "table.dat").write_bytes(b"no table")
    with pytest.raises(Unreadable):
        compare(place, place, Settings(), 60)
