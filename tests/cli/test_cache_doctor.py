"""``jupyter casa cache``, ``doctor``, ``tutorial`` and the command line itself."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Done

Casa = Callable[..., Done]


def test_cache_tells_what_is_remembered_also_while_a_kernel_is_busy(casa: Casa, workspace: Path) -> None:
    casa("run", "nb.ipynb")
    casa("run", "nb.ipynb", "--all")
    with (workspace / ".casa-recompute" / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        info, versions = casa("cache", "info", "--json"), casa("cache", "list", str(workspace), "--json")
        words = casa("cache", "info").out + casa("cache", "list").out
    found = info.json
    assert found["calls"] == 6 and found["restored"] == 6 and found["threads"] == 1
    assert found["store"]["kind"] in ("copy", "reflink", "zfs") and found["store"]["reason"]
    sizes = found["bytes"]
    assert sizes["versions"] >= sizes["objects"] > 0 and sizes["on_disk"] > 0 and sizes["ledger"] > 0
    rows = versions.json["versions"]
    assert len(rows) == found["versions"]
    flagged = [row for row in rows if row["path"] == "a.ms"]
    assert [row["task"] for row in flagged] == ["importuvfits", "flagdata", "applycal"]
    assert [row["present"] for row in flagged] == [False, False, True]
    assert all(row["kept"] and row["bytes"] > 0 and row["created"].startswith("20") for row in flagged)
    assert "6 calls" in words and flagged[1]["id"][:14] in words


def test_a_damaged_file_is_found_and_its_call_runs_again(casa: Casa, workspace: Path) -> None:
    casa("run", "nb.ipynb")
    whole = casa("cache", "verify", "--json")
    assert whole.code == 0 and whole.json["ok"] and whole.json["files"] > 5 and whole.json["damaged"] == []
    image = workspace / "img.image" / "PIXELS"
    data = image.read_bytes()
    store = workspace / ".casa-recompute" / "store"
    damaged = [path for path in store.rglob("*") if path.is_file() and path.read_bytes() == data]
    assert damaged
    for path in damaged:
        info = path.stat()
        path.chmod(0o600)
        path.write_bytes(bytes([data[0] ^ 4]) + data[1:])
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    shutil.rmtree(workspace / "img.image")
    found = casa("cache", "verify", "--json")
    assert found.code == 1 and len(found.json["damaged"]) == len(damaged)
    assert {"img.image"} <= {row["path"] for row in found.json["lost"]}
    again = casa("run", "nb.ipynb", "--json").json
    assert again["ok"] and [call["action"] for cell in again["cells"] for call in cell["calls"]].count("ran") == 1
    assert image.read_bytes() == data


def test_garbage_is_told_and_collected(casa: Casa, workspace: Path) -> None:
    casa("run", "nb.ipynb")
    casa("run", "nb.ipynb", "-p", "niter", "9")
    told = casa("cache", "gc", "--dry-run", "--json").json
    assert told["dry_run"] and told["candidates"] and told["logical"] > 0 and told["physical"] > 0
    assert told["excess"] == 0 and not [row for row in told["candidates"] if not row["keep"]]
    words = casa("cache", "gc", "--dry-run")
    assert words.code == 0 and "stays" in words.out and "would be freed" in words.out
    assert casa("cache", "gc").code == 0
    assert casa("run", "nb.ipynb", "--json").json["ok"]
    assert casa("cache", "gc", "--budget", "much").code == 2


def test_a_workspace_is_moved_with_its_history(
    casa: Casa, workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    casa("run", "nb.ipynb")
    place = tmp_path_factory.mktemp("moved")
    done = casa("cache", "export", str(place / "a.tar"), "--json")
    assert done.code == 0 and done.json["kind"] in ("tar", "zfs") and done.json["bytes"] > 0, done.err
    refused = casa("cache", "export", "a.tar")
    assert refused.code == 1 and "choose another place" in refused.err
    assert casa("cache", "import", str(place / "a.tar"), ".").code == 1
    done = casa("cache", "import", str(place / "a.tar"), str(place / "new"))
    assert done.code == 0, done.err
    (place / "new" / "a.ms").rename(place / "new" / "kept.ms")
    again = casa("run", str(place / "new" / "nb.ipynb"), "--all", "--json").json
    calls = [call for cell in again["cells"] for call in cell["calls"]]
    assert calls and {call["action"] for call in calls} == {"restored"}


def test_cache_where_nothing_is_remembered(casa: Casa, tmp_path: Path) -> None:
    done = casa("cache", "info", str(tmp_path), "--json")
    assert (done.code, done.out) == (1, "")
    assert "is no workspace" in done.err
    assert not (tmp_path / ".casa-recompute").exists()


def test_cache_with_a_damaged_ledger(casa: Casa, workspace: Path) -> None:
    home = workspace / ".casa-recompute"
    home.mkdir()
    (home / "ledger.sqlite").write_bytes(b"rubbish" * 1000)
    done = casa("cache", "list")
    assert done.code == 1 and "cannot be read" in done.err and "Traceback" not in done.err


def test_doctor_looks_at_everything_and_leaves_nothing(casa: Casa, workspace: Path) -> None:
    before = sorted(workspace.iterdir())
    report = casa("doctor", "--json").json
    status = {check["name"]: check["status"] for check in report["checks"]}
    assert {"Python", "settings", "CASA", "display", "FUSE", "kernel casa", "store", "free space"} <= set(status)
    assert {"ports", "JupyterLab extension", "server extension", "tutorial data"} <= set(status)
    assert status["Python"] == status["CASA"] == "ok"
    assert report["ok"] == ("fail" not in status.values())
    assert all(check["cure"] for check in report["checks"] if check["status"] == "fail")
    assert sorted(workspace.iterdir()) == before


def test_doctor_names_a_broken_interpreter(casa: Casa, environment: dict[str, str]) -> None:
    environment["JUPYTERLAB_CASA_PYTHON"] = "/nowhere/python"
    done = casa("doctor")
    assert done.code == 1
    assert "/nowhere/python" in done.out and "Traceback" not in done.err


def test_doctor_names_a_wrong_setting(casa: Casa, environment: dict[str, str]) -> None:
    environment["JUPYTERLAB_CASA_STORE"] = "tape"
    done = casa("doctor", "--json")
    assert done.code == 1
    assert done.json["checks"][-1] | {"cure": ""} == {
        "name": "settings",
        "status": "fail",
        "message": "store = 'tape': use 'auto', 'zfs', 'reflink' or 'copy'",
        "cure": "",
    }


def test_doctor_in_a_directory_that_cannot_be(casa: Casa) -> None:
    done = casa("doctor", "nowhere")
    assert done.code == 2 and "nowhere is no directory" in done.err


def test_tutorial_is_written(casa: Casa, workspace: Path) -> None:
    done = casa("tutorial", "here")
    assert done.code == 0, done.err
    assert (workspace / done.out.strip()).is_file() and (workspace / "here" / "NGC5921.fits").is_file()
    (workspace / "here" / "NGC5921.ipynb").write_text("mine")
    again = casa("tutorial", "here")
    assert again.code == 1 and "differs" in again.err


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys\nfrom jupyterlab_casa.cli.main import parser\nparser().format_help()\n"
        "print({'jupyter_client', 'nbformat', 'nbclient', 'casatasks', 'numpy', 'jupyterlab'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"


def test_no_command_and_an_unknown_one(casa: Casa) -> None:
    assert casa().code == casa("undo").code == 2
    assert casa("--help").code == 0
