"""``jupyter casa run``."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import casadata
import nbformat
import pytest

from jupyterlab_casa.cli import main

from .conftest import CELLS, COMMAND, Done, actions, contents, ran, write_notebook

Casa = Callable[..., Done]
PRODUCTS = ("a.ms", "a.gcal", "b.ms", "img.image")


def test_a_second_run_has_nothing_to_do(casa: Casa, workspace: Path) -> None:
    path = workspace / "nb.ipynb"
    first = casa("run", "nb.ipynb", "--json")
    assert first.code == 0, first.err
    report = first.json
    assert report["ok"] and report["notebook"] == report["output"] == str(path)
    assert set(actions(report).values()) == {"executed"}
    assert ran(report) == ["importuvfits", "flagdata", "gaincal", "applycal", "split", "tclean"]
    data, text = contents(workspace, PRODUCTS), path.read_bytes()

    second = casa("run", "nb.ipynb", "--json").json
    assert actions(second) == dict.fromkeys(CELLS, "skipped")
    assert second["kernel_s"] == 0 and second["saved_s"] > 0
    assert contents(workspace, PRODUCTS) == data and path.read_bytes() == text

    forced = casa("run", "nb.ipynb", "--all", "--json").json
    assert actions(forced) == dict.fromkeys(CELLS, "executed") and ran(forced) == []
    assert forced["seconds"] >= forced["kernel_s"] > 0
    assert contents(workspace, PRODUCTS) == data
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[-1].outputs[-1].text == "3\n"
    assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2, 3, 4, 5, 6]


def test_lost_outputs_and_products_are_brought_back_without_a_kernel(casa: Casa, workspace: Path) -> None:
    path = workspace / "nb.ipynb"
    casa("run", "nb.ipynb")
    data, text = contents(workspace, PRODUCTS), path.read_bytes()
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells[1:]:
        cell.outputs, cell.execution_count = [], None
    path.write_text(nbformat.writes(notebook))
    shutil.rmtree(workspace / "b.ms")
    report = casa("run", "nb.ipynb", "--json").json
    assert actions(report) == dict.fromkeys(CELLS, "restored") | {"parameters": "skipped"}
    assert report["kernel_s"] == 0 and report["changed"] == ["b.ms"]
    assert path.read_bytes() == text and contents(workspace, PRODUCTS) == data


def test_only_what_depends_on_an_edit_is_executed(casa: Casa, workspace: Path) -> None:
    cells = {
        "x": "x = 1",
        "y": "y = x + 1\ny",
        "sign": "positive = y > 0\npositive",
        "print": "print('positive' if positive else 'negative')",
        "other": "import math\nmath.tau",
    }
    write_notebook(workspace / "nb.ipynb", cells)
    casa("run", "nb.ipynb")
    notebook = nbformat.read(workspace / "nb.ipynb", as_version=4)
    notebook.cells[1].source = "x = 2  # was 1"
    (workspace / "nb.ipynb").write_text(nbformat.writes(notebook))
    report = casa("run", "nb.ipynb", "--json").json
    assert actions(report) == {
        "x": "executed", "y": "executed", "sign": "executed", "print": "skipped", "other": "skipped"
    }  # fmt: skip
    again = nbformat.read(workspace / "nb.ipynb", as_version=4)
    assert [cell.execution_count for cell in again.cells[1:]] == [1, 2, 3, 4, 5]
    assert (again.cells[2].outputs[0].execution_count, again.cells[2].outputs[0].data["text/plain"]) == (2, "3")


def test_damaged_values_are_made_again_and_nobody_sees_a_failed_cell(casa: Casa, workspace: Path) -> None:
    cells = {"x": "x = 1", "y": "y = [x, 2]\ny", "other": "other = 5", "print": "print(y)"}
    path = write_notebook(workspace / "nb.ipynb", cells)
    assert casa("run", "nb.ipynb").code == 0
    with contextlib.closing(sqlite3.connect(workspace / ".casa-recompute" / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE value SET data = substr(data, 1, length(data) - 1) WHERE data IS NOT NULL")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[4].source = "print('y:', y)"
    path.write_text(nbformat.writes(notebook))
    done = casa("run", "nb.ipynb", "--json")
    assert done.code == 0, done.err
    assert actions(done.json) == {"x": "executed", "y": "executed", "other": "skipped", "print": "executed"}
    again = nbformat.read(path, as_version=4)
    assert again.cells[4].outputs[0].text == "y: [1, 2]\n"
    assert again.cells[2].outputs[0].data["text/plain"] == "[1, 2]"


def test_a_cell_alone_finds_directory_environment_and_options_as_the_cells_above_left_them(
    casa: Casa, workspace: Path
) -> None:
    cells = {
        "go": "import os\nos.makedirs('night1', exist_ok=True)\nos.chdir('night1')",
        "options": "import numpy as np\nnp.set_printoptions(precision=2)\nos.environ['ANTENNA'] = 'VA15'",
        "plots": "import matplotlib\nmatplotlib.rcParams['figure.dpi'] = 50",
        "write": "with open('x.txt', 'w') as stream:\n    print(np.array([1 / 3]), file=stream)",
        "show": "print(open('x.txt').read(), os.environ['ANTENNA'], matplotlib.rcParams['figure.dpi'])",
        "leave": "os.chdir('..')",
    }
    path = write_notebook(workspace / "nb.ipynb", cells)
    first = casa("run", "nb.ipynb", "--json")
    assert first.code == 0, first.err
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[4].source = cells["write"].replace("1 / 3", "2 / 3")
    notebook.cells[5].source = cells["show"].replace("print(", "print('now', ")
    path.write_text(nbformat.writes(notebook))
    report = casa("run", "nb.ipynb", "--json").json
    executed = [cell for cell, action in actions(report).items() if action == "executed"]
    assert executed == ["write", "show"]
    again = nbformat.read(path, as_version=4)
    assert again.cells[5].outputs[0].text == "now [0.67]\n VA15 50.0\n"
    assert casa("plan", "nb.ipynb", "--json").json["fresh"]


def test_an_executed_notebook_cannot_be_told_from_one_executed_from_top_to_bottom(
    casa: Casa, workspace: Path, tmp_path: Path
) -> None:
    def cells(start: int) -> dict[str, str]:
        return {
            "start": f"total = {start}",
            "add": "for n in range(3):\n    total += n\n    print(n)\ntotal",
            "parity": "odd = total % 2\nodd",
            "word": "print('odd' if odd else 'even')\n'word'",
            "file": "with open('total.txt', 'w') as stream:\n    stream.write(str(total))\nopen('total.txt').read()",
        }

    for start in (1, 4, 3, 1, 5):
        old = nbformat.read(workspace / "nb.ipynb", as_version=4)
        outputs = {cell.id: cell.get("outputs", []) for cell in old.cells}
        path = write_notebook(workspace / "nb.ipynb", cells(start))
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells[1:]:
            cell.outputs = outputs.get(cell.id, [])
        path.write_text(nbformat.writes(notebook))
        assert casa("run", "nb.ipynb").code == 0

    fresh = tmp_path / "fresh"
    fresh.mkdir()
    write_notebook(fresh / "nb.ipynb", cells(5))
    assert casa("run", "nb.ipynb", cwd=fresh).code == 0
    assert (workspace / "nb.ipynb").read_bytes() == (fresh / "nb.ipynb").read_bytes()
    assert (workspace / "total.txt").read_bytes() == (fresh / "total.txt").read_bytes()


def test_a_parameter_runs_what_depends_on_it(casa: Casa, workspace: Path) -> None:
    casa("run", "nb.ipynb")
    before = (workspace / "nb.ipynb").read_bytes()
    done = casa("run", "nb.ipynb", "-o", "out.ipynb", "-p", "niter", "5", "-p", "field", "1", "--json")
    assert ran(done.json) == ["flagdata", "gaincal", "applycal", "split", "tclean"]
    reasons = [reason["message"] for reason in done.json["cells"][3]["reasons"] if reason["kind"] == "call"]
    assert reasons == ["`field` was '0', is now '1'"]
    assert (workspace / "nb.ipynb").read_bytes() == before, "the notebook itself is left alone"
    out = nbformat.read(workspace / "out.ipynb", as_version=4)
    assert [cell.metadata.get("tags") for cell in out.cells[1:3]] == [["parameters"], ["injected-parameters"]]
    assert out.cells[2].source == "# Parameters\nniter = 5\nfield = '1'"
    assert out.cells[-1].outputs[-1].text == "5\n"
    again = casa("run", "out.ipynb", "-p", "niter", "3", "-p", "field", "0", "--json")
    assert ran(again.json) == [], "set back"
    out = nbformat.read(workspace / "out.ipynb", as_version=4)
    assert sum("injected-parameters" in cell.metadata.get("tags", []) for cell in out.cells) == 1


def test_an_edited_cell_acts_on_the_state_that_the_cells_above_left(
    casa: Casa, workspace: Path, tmp_path: Path
) -> None:
    casa("run", "nb.ipynb")
    edited = CELLS | {"flag": "flagdata(vis='a.ms', field='7')"}
    write_notebook(workspace / "nb.ipynb", edited)
    assert casa("run", "nb.ipynb").code == 0
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "raw.fits").write_bytes((workspace / "raw.fits").read_bytes())
    write_notebook(fresh / "nb.ipynb", edited)
    assert casa("run", "nb.ipynb", cwd=fresh).code == 0
    assert contents(workspace, PRODUCTS) == contents(fresh, PRODUCTS)


def test_a_failing_cell_ends_the_run_and_all_so_far_is_saved(casa: Casa, workspace: Path) -> None:
    write_notebook(workspace / "nb.ipynb", CELLS | {"flag": "flagdata(vis='a.ms', field='nofield')", "empty": ""})
    done = casa("run", "nb.ipynb", "-o", "out.ipynb", "--json")
    assert done.code == 1
    report = done.json
    assert not report["ok"]
    assert list(actions(report).values()) == ["executed", "executed", "failed"] + ["skipped"] * 4
    failed = report["cells"][2]
    assert failed["error"] == {"name": "RuntimeError", "message": "No match found for name nofield"}
    assert failed["calls"][0]["action"] == "failed"
    assert report["cells"][3]["reasons"][0]["because_of"] == "flag"
    assert "No match found for name nofield" in done.err
    out = nbformat.read(workspace / "out.ipynb", as_version=4)
    assert out.cells[3].outputs[-1].output_type == "error"
    assert not (workspace / "a.gcal").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.ipynb"], "missing.ipynb cannot be read"),
        (["raw.fits"], "raw.fits is no notebook"),
        (["julia.ipynb"], "a notebook in julia"),
        (["nb.ipynb", "-o", "nowhere/out.ipynb"], "nowhere/out.ipynb cannot be written"),
        (["nb.ipynb", "-p", "not-a-name", "1"], "not-a-name: is no name of a parameter"),
        (["nb.ipynb", "--timeout", "soon"], "'soon' is no number of seconds"),
        ([], "required: NOTEBOOK"),
    ],
)
def test_wrong_usage_is_told_before_anything_runs(
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(workspace)
    notebook = nbformat.v4.new_notebook(metadata={"language_info": {"name": "julia"}})
    (workspace / "julia.ipynb").write_text(nbformat.writes(notebook))
    try:
        code = main(["run", *arguments, "--json"])
    except SystemExit as exit:  # argparse
        code = int(exit.code or 0)
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert said in err
    assert not (workspace / ".casa-recompute").exists()


def test_an_old_notebook_keeps_its_format_and_its_cells_are_known_again(casa: Casa, workspace: Path) -> None:
    write_notebook(workspace / "nb.ipynb", minor=4)
    first = casa("run", "nb.ipynb", "--json").json
    saved = json.loads((workspace / "nb.ipynb").read_text())
    assert saved["nbformat_minor"] == 4 and not any("id" in cell for cell in saved["cells"])
    second = casa("run", "nb.ipynb", "--json").json
    assert list(actions(first)) == list(actions(second))
    assert ran(second) == []


def test_a_cell_that_takes_too_long_is_interrupted(casa: Casa, workspace: Path) -> None:
    write_notebook(workspace / "nb.ipynb", {"wait": "import time\ntime.sleep(600)", "after": "1"})
    done = casa("run", "nb.ipynb", "--timeout", "2", "--json")
    assert done.code == 1
    assert actions(done.json) == {"wait": "failed", "after": "skipped"}
    assert done.json["cells"][0]["error"]["name"] == "KeyboardInterrupt"


def test_a_kernel_that_dies_is_a_failed_cell(casa: Casa, workspace: Path) -> None:
    write_notebook(workspace / "nb.ipynb", {"die": "import os\nos._exit(7)", "after": "1"})
    done = casa("run", "nb.ipynb", "--json")
    assert done.code == 1
    assert actions(done.json) == {"die": "failed", "after": "skipped"}
    assert done.json["cells"][0]["error"]["name"] == "DeadKernelError"


def test_a_kernel_that_does_not_start_is_told_in_its_own_words(
    casa: Casa, workspace: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    broken = tmp_path / "broken" / "casa_kernel"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('no kernel today')")
    environment["PYTHONPATH"] = os.pathsep.join([str(broken.parent), environment.get("PYTHONPATH", "")])
    before = (workspace / "nb.ipynb").read_bytes()
    done = casa("run", "nb.ipynb", "--json")
    assert (done.code, done.out) == (1, "")
    assert "the kernel casa did not start" in done.err and "no kernel today" in done.err
    assert "zmq" not in done.err
    assert (workspace / "nb.ipynb").read_bytes() == before


def test_ctrl_c_stops_the_kernel_and_keeps_what_was_done(workspace: Path, environment: dict[str, str]) -> None:
    slow = "import pathlib, time\npathlib.Path('started').touch()\ntime.sleep(600)"
    write_notebook(workspace / "nb.ipynb", {"import": CELLS["import"], "slow": slow, "after": "1"})
    with subprocess.Popen(
        [*COMMAND, "run", "nb.ipynb", "-o", "out.ipynb", "--json"],
        cwd=workspace,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not (workspace / "started").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert actions(json.loads(out)) == {"import": "executed", "slow": "failed", "after": "skipped"}
    notebook = nbformat.read(workspace / "out.ipynb", as_version=4)
    assert notebook.cells[2].outputs[-1].ename == "KeyboardInterrupt"
    assert (workspace / "a.ms").is_dir()


def test_progress_is_told_one_line_per_cell(casa: Casa, workspace: Path) -> None:
    done = casa("run", "nb.ipynb")
    assert done.out == ""
    lines = done.err.splitlines()
    assert lines[2].startswith("[3/6] flagdata(vis='a.ms', field=field)") and lines[2].endswith("1 ran")
    assert "6 cells executed; " in done.err
    assert f"Executed notebook: {workspace / 'nb.ipynb'}" in done.err
    again = casa("run", "nb.ipynb").err
    assert again.splitlines()[2].split()[-1] == "fresh" and "0 cells executed, 6 fresh already" in again


def test_pictures_are_named_by_their_captions(casa: Casa, workspace: Path) -> None:
    show = "from IPython.display import Image, display\nimport base64\n"
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    alt = f"{show}display(Image(base64.b64decode('{png}'), alt='my plot.png', metadata={{}}))"
    write_notebook(workspace / "nb.ipynb", {"one": f"{alt}\n{alt}", "two": f"{show}Image(base64.b64decode('{png}'))"})
    done = casa("run", "nb.ipynb", "--pictures", "shown", "--json")
    names = [Path(path).relative_to(workspace / "shown").name for path in done.json["pictures"]]
    assert names == ["my_plot.png", "my_plot-2.png", "two.png"]
    assert (workspace / "shown" / "two.png").read_bytes().startswith(b"\x89PNG")


def test_run_with_real_casa(tmp_path: Path, environment: dict[str, str]) -> None:
    data = str(Path(casadata.datapath) / "demo" / "3C273XC1.fits")
    cells = {
        "import": f"importuvfits(fitsfile={data!r}, vis='3c273.ms')",
        "flag": "flagdata(vis='3c273.ms', mode='quack', quackinterval=5)",
        "count": "summary = flagdata(vis='3c273.ms', mode='summary')\nprint(summary['flagged'] > 0)",
    }
    notebook = write_notebook(tmp_path / "real.ipynb", cells)
    del environment["JUPYTERLAB_CASA_CONFIG"]
    for expected in ("executed", "skipped"):
        done = subprocess.run(
            [*COMMAND, "run", str(notebook), "--json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert actions(json.loads(done.stdout)) == dict.fromkeys(cells, expected)
        assert nbformat.read(notebook, as_version=4).cells[-1].outputs[-1].text == "True\n"
