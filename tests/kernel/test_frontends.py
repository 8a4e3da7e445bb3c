"""Notebooks through nbclient, papermill and nbconvert, and jupyter console."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import papermill
import pexpect
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from nbconvert.preprocessors import ExecutePreprocessor
from nbformat import NotebookNode

from casa_recompute.casalog import MIME_TYPE


def notebook(uvfits: str) -> NotebookNode:
    cells = [
        nbformat.v4.new_code_cell("reverse = False", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(f"from casatasks import importuvfits\nimportuvfits({uvfits!r}, 'a.ms')"),
        nbformat.v4.new_code_cell("print('rows', listobs('a.ms')['numrecords'])"),
    ]
    return nbformat.v4.new_notebook(cells=cells)


def headlines(executed: NotebookNode) -> list[str]:
    return [
        output["data"]["text/plain"].split("\n")[0]
        for cell in executed.cells
        for output in cell.get("outputs", [])
        if output["output_type"] == "display_data"
    ]


def test_nbclient_and_nbconvert(kernelspec: str, tmp_path: Path, uvfits: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for action in ("ran in", "restored from cache"):
        node = notebook(uvfits)
        NotebookClient(node, kernel_name=kernelspec, timeout=120, resources={"metadata": {"path": work}}).execute()
        assert [action in line for line in headlines(node)] == [True, True], headlines(node)
        nbformat.validate(node)
    assert sorted(path.name for path in work.iterdir()) == [".casa-recompute", "a.ms"]
    record = next(o for o in node.cells[1].outputs if o["output_type"] == "display_data")
    assert record["data"][MIME_TYPE]["counts"] is not None
    html, _ = HTMLExporter().from_notebook_node(node)
    assert '<details class="casa-log"><summary>log: ' in html
    sanitized, _ = HTMLExporter(sanitize_html=True).from_notebook_node(node)
    assert "importuvfits restored from cache" in sanitized
    assert "Begin Task: importuvfits" in sanitized


def test_papermill(kernelspec: str, tmp_path: Path, uvfits: str) -> None:
    source, target = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    nbformat.write(notebook(uvfits), source)
    work = tmp_path / "work"
    work.mkdir()
    papermill.execute_notebook(
        source,
        target,
        {"reverse": True},
        kernel_name=kernelspec,
        cwd=work,
        progress_bar=False,
        language="python",
    )
    executed = nbformat.read(target, as_version=4)
    assert [line.split()[0] for line in headlines(executed)] == ["importuvfits", "listobs"]


def test_a_failing_cell_stops_the_notebook_with_casas_message(kernelspec: str, tmp_path: Path) -> None:
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("listobs('nosuch.ms')")])
    with pytest.raises(CellExecutionError, match="'nosuch.ms' does not exist"):
        ExecutePreprocessor(kernel_name=kernelspec, timeout=120).preprocess(node, {"metadata": {"path": str(tmp_path)}})
    assert [line.split()[0] for line in headlines(node)] == ["listobs"]


def test_console(kernelspec: str, tmp_path: Path, uvfits: str) -> None:
    console = pexpect.spawn(
        sys.executable,
        ["-m", "jupyter_console", "--kernel", kernelspec, "--simple-prompt"],
        cwd=str(tmp_path),
        timeout=60,
        encoding="utf-8",
    )
    try:
        console.expect("CASA 6")
        console.expect(r"In \[1\]")
        console.sendline(f"importuvfits({uvfits!r}, 'a.ms')")
        console.expect("importuvfits ran in")
        console.expect("log: ")
        console.expect(r"In \[2\]")
        console.sendline("listobs('nosuch.ms')")
        console.expect("'nosuch.ms' does not exist")
        console.expect(r"In \[3\]")
        console.sendline("exit")
        console.expect(pexpect.EOF)
    finally:
        console.close(force=True)
