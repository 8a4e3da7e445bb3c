"""The tutorial is written for who has a browser only."""

from __future__ import annotations

import json
from pathlib import Path

import casadata

from jupyterlab_casa.tutorial import DATA, NOTEBOOK, SOURCE


async def test_it_is_written_where_one_is(ask, workspace: Path) -> None:
    told = await ask("tutorial", path="work", body={})
    assert told == {"schema": 1, "path": f"work/{NOTEBOOK}", "written": True, "changed": []}
    assert (workspace / NOTEBOOK).read_bytes() == SOURCE.read_bytes()
    assert (workspace / DATA).stat().st_size == (Path(casadata.datapath) / "demo" / DATA).stat().st_size
    again = await ask("tutorial", path="work/nb.ipynb", body={})
    assert again == told | {"written": False}


async def test_what_is_there_is_never_changed(ask, workspace: Path) -> None:
    notebook = json.loads(SOURCE.read_text())
    notebook["cells"][0]["source"] = "mine"
    (workspace / NOTEBOOK).write_text(json.dumps(notebook))
    mine = (workspace / NOTEBOOK).read_bytes()
    told = await ask("tutorial", path="work", body={})
    assert told == {"schema": 1, "path": f"work/{NOTEBOOK}", "written": False, "changed": [NOTEBOOK]}
    assert not (workspace / DATA).exists()
    places = [(await ask("tutorial", path="work", body={"beside": True}))["path"] for _ in range(2)]
    assert places == [f"work/NGC5921/{NOTEBOOK}", f"work/NGC5921-2/{NOTEBOOK}"]
    assert (workspace / "NGC5921-2" / DATA).is_file() and (workspace / NOTEBOOK).read_bytes() == mine


async def test_it_goes_nowhere_else(refused, workspace: Path, tmp_path: Path, monkeypatch) -> None:
    (workspace / "out").symlink_to(tmp_path)
    before = sorted(tmp_path.iterdir())
    for path in ("work/out", "nowhere", "../", "/tmp", "work/.casa-recompute"):
        assert (await refused("tutorial", path=path, body={}))[0] == 404, path
    assert (await refused("tutorial", path="work", body={"beside": 1}))[0] == 400
    assert sorted(tmp_path.iterdir()) == before
    monkeypatch.setattr(casadata, "datapath", str(tmp_path))
    code, message = await refused("tutorial", path="work", body={"beside": True})
    assert code == 409 and "casadata" in message and not (workspace / "NGC5921").exists()
