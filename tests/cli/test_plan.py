"""``jupyter casa plan`` and ``graph``, the published schemas, and notebooks that are not as they should be."""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import nbformat
import pytest

from jupyterlab_casa.cli import main

from .conftest import CELLS, Done, actions, write_notebook

Casa = Callable[..., Done]


def valid(name: str, value: dict[str, Any]) -> dict[str, Any]:
    """The value, which has all members that the published schema names, and no other."""
    schema = json.loads(importlib.resources.files("jupyterlab_casa").joinpath(f"schemas/{name}.json").read_text())

    def close(node: Any) -> Any:
        if isinstance(node, list):
            return [close(item) for item in node]
        if not isinstance(node, dict):
            return node
        closed = {key: close(item) for key, item in node.items()}
        return {**closed, "additionalProperties": False} if node.get("type") == "object" else closed

    validator = jsonschema.Draft202012Validator
    validator.check_schema(schema)
    schema["type"] = "object"
    validator(close(schema)).validate(value)
    return value


def states(plan: dict[str, Any]) -> dict[str, str]:
    return {cell["id"]: cell["state"] for cell in plan["cells"]}


def test_a_notebook_from_never_run_to_fresh_to_edited(casa: Casa, workspace: Path) -> None:
    before = sorted(path.name for path in workspace.iterdir())
    plan = valid("plan", casa("plan", "nb.ipynb", "--json").json)
    assert set(states(plan).values()) == {"stale"} and not plan["fresh"]
    assert {reason["kind"] for cell in plan["cells"] for reason in cell["reasons"]} == {"never-run"}
    valid("graph", casa("graph", "nb.ipynb", "--json").json)
    assert sorted(path.name for path in workspace.iterdir()) == before, "a plan leaves nothing behind"

    report = valid("run", casa("run", "nb.ipynb", "--json").json)
    assert (report["cells"][3]["id"], report["cells"][3]["index"]) == ("gain", 4), "the index counts all cells, from 0"
    told = [reason for reason in report["cells"][3]["reasons"] if reason["kind"] == "call"]
    assert told[0] == {
        "kind": "call",
        "subject": "gaincal",
        "message": "it has not run here before",
        "because_of": None,
    }
    plan = valid("plan", casa("plan", "nb.ipynb", "--json").json)
    assert plan["fresh"] and set(states(plan).values()) == {"fresh"}
    assert casa("plan", "nb.ipynb").out.splitlines()[-1] == "all of 6 cells fresh"

    write_notebook(workspace / "nb.ipynb", CELLS | {"flag": "flagdata(vis='a.ms', field='7')"})
    done = casa("plan", "nb.ipynb")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[2].startswith("stale") and "`field` of flagdata was '0', is now '7'" in lines[2]
    assert "of 6 cells will run" in lines[-1]
    plan = valid("plan", casa("plan", "nb.ipynb", "--json").json)
    assert states(plan)["flag"] == "stale" and plan["estimate_s"] > 0
    assert [call["action"] for cell in plan["cells"] if cell["id"] == "flag" for call in cell["calls"]] == ["run"]


def test_the_graph_of_a_reduction(casa: Casa, workspace: Path) -> None:
    casa("run", "nb.ipynb")
    graph = valid("graph", casa("graph", "nb.ipynb", "--json").json)
    edges = {(edge["cell"], edge["kind"], edge["resource"], edge["origin"]) for edge in graph["edges"]}
    assert {
        ("import", "reads", "p:raw.fits", None),
        ("import", "writes", "p:a.ms", None),
        ("flag", "reads", "p:a.ms", "import"),
        ("flag", "modifies", "p:a.ms", None),
        ("flag", "reads", "n:field", "parameters"),
        ("gain", "writes", "p:a.gcal", None),
        ("split", "reads", "p:a.ms", "gain"),
        ("clean", "writes", "n:done", None),
    } <= edges
    assert {product["path"]: product["role"] for product in graph["products"]}["raw.fits"] == "input"
    assert [[call["task"] for call in cell["calls"]] for cell in graph["cells"]][3] == ["gaincal", "applycal"]

    text = casa("graph", "nb.ipynb").out
    assert "modifies    a.ms" in text and "reads       raw.fits (outside)" in text
    assert casa("graph", "nb.ipynb", "--dot").out.startswith("digraph notebook {")
    assert ElementTree.fromstring(casa("graph", "nb.ipynb", "--svg").out).tag.endswith("svg")
    assert casa("graph", "nb.ipynb", "--svg", "--dot").code == 2


def test_what_cannot_be_relied_upon_is_marked(casa: Casa, workspace: Path, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere.txt"
    cells = {
        "random": "import random\nprint(random.random())",
        "out": f"with open({str(outside)!r}, 'w') as f:\n    f.write('x')",
    }
    write_notebook(workspace / "nb.ipynb", cells)
    assert casa("run", "nb.ipynb").code == 0
    plan = valid("plan", casa("plan", "nb.ipynb", "--json").json)
    assert plan["cells"][0]["impure"] == ["random numbers"] and plan["cells"][1]["outside"] == [str(outside)]
    for command in ("plan", "graph"):
        said = casa(command, "nb.ipynb").out
        assert "[impure: random numbers]" in said and f"[writes outside: {outside}]" in said


@pytest.mark.parametrize("command", ["plan", "graph", "run"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no JSON", "does not appear to be JSON"),
        ("\xff", "is no notebook"),
        ("", "is no notebook"),
        ("3", "is no notebook"),
        ("[]", "is no notebook"),
        ("{}", "is no notebook"),
        ('{"nbformat": 4, "nbformat_minor": 5}', "is no notebook"),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 7}', "is no notebook"),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [7]}', "is no notebook"),
        (
            '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code", "metadata": {}}]}',
            "cell 1 of it is none",
        ),
        (
            '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": '
            '[{"cell_type": "code", "metadata": {}, "source": "1", "outputs": [{"output_type": "stream"}]}]}',
            "an output of cell 1 is none",
        ),
        ('{"nbformat": 99, "cells": []}', "is no notebook"),
    ],
)
def test_what_is_no_notebook_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, text: str, said: str
) -> None:
    path = tmp_path / "bad.ipynb"
    path.write_bytes(text.encode("latin-1"))
    assert main([command, str(path), "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == text.encode("latin-1")


def test_the_least_that_is_a_notebook(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nb.ipynb"
    cell = {"cell_type": "code", "metadata": {}, "source": ["a = 1\n", "a"]}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}
    path.write_text(json.dumps(notebook))
    assert main(["plan", str(path), "--json"]) == 0
    plan = valid("plan", json.loads(capsys.readouterr().out))
    assert [cell["state"] for cell in plan["cells"]] == ["stale"]
    path.write_text(json.dumps(notebook | {"cells": []}))
    assert main(["plan", str(path)]) == 0
    assert capsys.readouterr().out == "\nno cell to run\n"


def test_a_syntax_error_is_planned_and_run_as_jupyter_does(casa: Casa, workspace: Path) -> None:
    write_notebook(workspace / "nb.ipynb", {"good": "x = 1", "bad": "if x\n  2", "after": "x"})
    assert "it is no valid Python: " in casa("plan", "nb.ipynb").out.splitlines()[1]
    done = casa("run", "nb.ipynb", "--json")
    assert done.code == 1 and done.json["cells"][1]["error"]["name"] == "SyntaxError"
    notebook = nbformat.read(workspace / "nb.ipynb", as_version=4)
    assert notebook.cells[2].outputs[0].ename == "SyntaxError"
    plan = casa("plan", "nb.ipynb", "--json").json
    assert states(plan)["good"] == "fresh" and states(plan)["bad"] == "stale"


def test_duplicated_ids_are_told_apart(casa: Casa, workspace: Path) -> None:
    path = write_notebook(workspace / "nb.ipynb", {"a": "x = 1\nx", "b": "x = x + 1\nx"})
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[2]["id"] = "a"
    path.write_text(json.dumps(notebook))
    assert len(set(states(casa("plan", "nb.ipynb", "--json").json))) == 2
    assert set(actions(casa("run", "nb.ipynb", "--json").json).values()) == {"executed"}
    nbformat.validate(nbformat.read(path, as_version=4))
    assert casa("plan", "nb.ipynb", "--json").json["fresh"]


def test_cells_that_are_not_run_from_top_to_bottom_are_in_no_plan(casa: Casa, workspace: Path) -> None:
    path = write_notebook(workspace / "nb.ipynb", {"a": "x = 1", "empty": "\n", "skip": "1/0", "c": "print(x)"})
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[3].metadata["tags"] = ["skip-execution"]
    notebook.cells.append(nbformat.v4.new_raw_cell("not code"))
    path.write_text(nbformat.writes(notebook))
    assert list(states(casa("plan", "nb.ipynb", "--json").json)) == ["a", "c"]
    report = casa("run", "nb.ipynb", "--json").json
    assert actions(report) == {"a": "executed", "empty": "skipped", "skip": "skipped", "c": "executed"}
    counts = [cell.get("execution_count") for cell in nbformat.read(path, as_version=4).cells]
    assert counts == [None, 1, None, None, 2, None]


def test_a_notebook_without_ids_is_known_again(casa: Casa, workspace: Path) -> None:
    write_notebook(workspace / "nb.ipynb", {"a": "x = 1\nx", "b": "x", "c": "x"}, minor=4)
    assert casa("run", "nb.ipynb").code == 0
    plan = casa("plan", "nb.ipynb", "--json").json
    assert plan["fresh"] and len(set(states(plan))) == 3


ODD = {
    "magic": "%%capture said\nprint('captured')",
    "line": "%precision 3\n0.123456",
    "bash": "%%bash\necho from bash > bash.txt; cat bash.txt",
    "shell": "!echo shell",
    "await": "import asyncio\nawait asyncio.sleep(0)\nprint(said.stdout, end='')",
    "big": "print('x' * 79 + '\\n', end='')\nfor _ in range(65000):\n    print('y' * 79)",
}


def test_magics_shell_lines_await_and_large_outputs(casa: Casa, workspace: Path) -> None:
    write_notebook(workspace / "nb.ipynb", ODD)
    assert casa("plan", "nb.ipynb").code == 0
    done = casa("run", "nb.ipynb", "--json")
    assert done.code == 0, done.err
    shown = {cell.id: cell.outputs for cell in nbformat.read(workspace / "nb.ipynb", as_version=4).cells[1:]}
    assert shown["magic"] == [] and shown["line"][-1].data["text/plain"] == "0.123"
    assert [shown[cell][0].text.strip() for cell in ("bash", "shell", "await")] == ["from bash", "shell", "captured"]
    assert sum(len(output.text) for output in shown["big"]) > 5e6
    text = (workspace / "nb.ipynb").read_bytes()
    again = casa("run", "nb.ipynb", "--json").json
    assert actions(again)["big"] == "skipped"
    assert (workspace / "nb.ipynb").read_bytes() == text


def test_nobody_is_there_to_be_asked(casa: Casa, workspace: Path) -> None:
    write_notebook(workspace / "nb.ipynb", {"ask": "name = input('name? ')", "after": "1"})
    done = casa("run", "nb.ipynb", "--json")
    assert done.code == 1 and actions(done.json) == {"ask": "failed", "after": "skipped"}
    assert done.json["cells"][0]["error"]["name"] == "StdinNotImplementedError"


WIDGET = """
from comm import create_comm
from IPython.display import display

def model(name, **state):
    state |= {'_model_name': name, '_model_module': '@jupyter-widgets/controls', '_model_module_version': '2.0.0'}
    return create_comm(target_name='jupyter.widget', data={'state': state})

child = model('LayoutModel')
comm = model('IntSliderModel', value=3, layout='IPY_MODEL_' + child.comm_id)
view = {'version_major': 2, 'version_minor': 0, 'model_id': comm.comm_id}
display({'application/vnd.jupyter.widget-view+json': view, 'text/plain': 'slider'}, raw=True)
"""


def test_widgets_of_cells_that_did_not_run_keep_their_state(casa: Casa, workspace: Path) -> None:
    path = write_notebook(workspace / "nb.ipynb", {"widget": WIDGET, "other": "1", "second": WIDGET + "two = 2"})
    mime = "application/vnd.jupyter.widget-"

    def models() -> tuple[set[str], list[str]]:
        notebook = nbformat.read(path, as_version=4)
        views = [o.data[f"{mime}view+json"].model_id for cell in notebook.cells[1:] for o in cell.get("outputs", [])
                 if f"{mime}view+json" in o.data]  # fmt: skip
        return set(notebook.metadata.widgets[f"{mime}state+json"].state), views

    assert casa("run", "nb.ipynb").code == 0
    state, views = models()
    assert len(state) == 4 and len(views) == 2 and set(views) <= state
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[3].source = WIDGET + "three = 3"
    path.write_text(nbformat.writes(notebook))
    assert actions(casa("run", "nb.ipynb", "--json").json)["second"] == "executed"
    state, views = models()
    assert len(state) == 4 and set(views) <= state, "what is shown no more is not kept"


@pytest.mark.parametrize("command", ["plan", "graph", "run"])
def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(casa: Casa, workspace: Path, command: str) -> None:
    write_notebook(workspace / "nb.ipynb", {"a": "1"})
    casa("run", "nb.ipynb")
    path = workspace / ".casa-recompute" / "ledger.sqlite"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE meta SET value = '999' WHERE name = 'schema'")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    before = path.read_bytes(), (workspace / "nb.ipynb").read_bytes()
    done = casa(command, "nb.ipynb", "--json")
    assert (done.code, done.out) == (2, "")
    assert "newer version" in done.err and len(done.err.splitlines()) == 1
    assert (path.read_bytes(), (workspace / "nb.ipynb").read_bytes()) == before


def test_a_plan_starts_no_kernel_and_imports_none(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nbclient", "jupyter_client", "ipykernel"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "jupyterlab_casa.cli.plan", raising=False)
    assert main(["plan", str(workspace / "nb.ipynb")]) == 0
