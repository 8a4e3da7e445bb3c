"""The tutorial lands where one wants it, never over somebody's work, and asks CASA for what CASA knows."""

from __future__ import annotations

import ast
import builtins
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest

from casa_recompute.tasks import Catalogue, load_catalogue
from jupyterlab_casa.tutorial import DATA, NOTEBOOK, SOURCE, TutorialError, write_tutorial


def edit(notebook: Path, cell_id: str, **changes: Any) -> None:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    next(cell for cell in content["cells"] if cell["id"] == cell_id).update(changes)
    notebook.write_text(json.dumps(content), encoding="utf-8")


# -- writing it ----------------------------------------------------------------------------------------------


def test_writes_the_notebook_and_the_observations_into_a_new_directory(tmp_path: Path) -> None:
    notebook = write_tutorial(tmp_path / "a" / "b")
    assert notebook == tmp_path / "a" / "b" / NOTEBOOK
    assert notebook.read_bytes() == SOURCE.read_bytes()
    assert (notebook.parent / DATA).read_bytes().startswith(b"SIMPLE  =")
    assert (notebook.parent / DATA).stat().st_size > 30_000_000
    assert sorted(path.name for path in notebook.parent.iterdir()) == [DATA, NOTEBOOK]


def test_the_copies_are_the_users_own(tmp_path: Path) -> None:
    notebook = write_tutorial(tmp_path)
    for path in (notebook, tmp_path / DATA):
        assert path.is_file() and not path.is_symlink()
        assert path.stat().st_nlink == 1
        assert path.stat().st_mode & 0o600 == 0o600


def test_again_changes_nothing(tmp_path: Path) -> None:
    notebook = write_tutorial(tmp_path)
    before = [path.stat().st_mtime_ns for path in (notebook, tmp_path / DATA)]
    assert write_tutorial(tmp_path) == notebook
    assert [path.stat().st_mtime_ns for path in (notebook, tmp_path / DATA)] == before


def test_again_keeps_the_outputs_of_a_run_and_brings_back_lost_data(tmp_path: Path) -> None:
    notebook = write_tutorial(tmp_path)
    shown = nbformat.v4.new_output("stream", text="15.02 Jy")
    edit(notebook, "set-flux-density", outputs=[shown], execution_count=9)
    executed = notebook.read_bytes()
    (tmp_path / DATA).unlink()
    write_tutorial(tmp_path)
    assert notebook.read_bytes() == executed
    assert (tmp_path / DATA).is_file()


def test_a_changed_notebook_is_never_overwritten(tmp_path: Path) -> None:
    notebook = write_tutorial(tmp_path)
    edit(notebook, "parameters", source="niter = 500")
    (tmp_path / DATA).unlink()
    mine = notebook.read_bytes()
    with pytest.raises(TutorialError, match=rf"{NOTEBOOK} differs .* (?s:.*)Rename or remove it"):
        write_tutorial(tmp_path)
    assert notebook.read_bytes() == mine
    assert not (tmp_path / DATA).exists()


def test_another_file_of_that_name_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / NOTEBOOK).write_text("my notes on NGC 5921")
    with pytest.raises(TutorialError, match="differs"):
        write_tutorial(tmp_path)
    assert (tmp_path / NOTEBOOK).read_text() == "my notes on NGC 5921"


def test_other_data_of_that_name_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / DATA).write_bytes(b"my own observations")
    with pytest.raises(TutorialError, match=f"{DATA} differs"):
        write_tutorial(tmp_path)
    assert (tmp_path / DATA).read_bytes() == b"my own observations"
    assert not (tmp_path / NOTEBOOK).exists()


def test_says_so_when_casadata_lacks_the_observations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = ModuleType("casadata")
    empty.datapath = str(tmp_path / "nothing")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "casadata", empty)
    with pytest.raises(TutorialError, match="casadata does not hold .*pip install --force-reinstall"):
        write_tutorial(tmp_path / "tutorial")
    assert not (tmp_path / "tutorial").exists()


def test_says_so_when_casadata_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "casadata", None)
    with pytest.raises(TutorialError, match="pip install casadata"):
        write_tutorial(tmp_path / "tutorial")


def test_a_copy_that_fails_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(source: int, destination: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jupyterlab_casa.tutorial.clone_or_copy", disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_tutorial(tmp_path)
    assert list(tmp_path.iterdir()) == []


# -- what is in it -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def notebook() -> Any:
    return nbformat.read(SOURCE, as_version=nbformat.NO_CONVERT)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def code_cells(notebook: Any) -> Iterator[Any]:
    return (cell for cell in notebook.cells if cell.cell_type == "code")


def task_calls(notebook: Any, catalogue: Catalogue) -> list[ast.Call]:
    trees = [ast.parse(cell.source) for cell in code_cells(notebook)]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in catalogue]


def test_is_a_valid_notebook_for_the_casa_kernel(notebook: Any) -> None:
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "casa"
    assert notebook.metadata.kernelspec.display_name == "CASA"


def test_the_source_has_no_outputs(notebook: Any) -> None:
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code_cells(notebook))


def test_cells_have_stable_telling_ids(notebook: Any) -> None:
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(part.isalnum() and part.islower() for cell_id in ids for part in cell_id.split("-"))


def test_is_a_tutorial_of_about_twenty_cells_with_text_between(notebook: Any) -> None:
    assert 18 <= len(list(code_cells(notebook))) <= 28
    kinds = "".join("c" if cell.cell_type == "code" else "m" for cell in notebook.cells)
    assert kinds.startswith("m") and kinds.endswith("m")
    assert "cccc" not in kinds


def test_has_one_cell_of_parameters_for_batch_runs(notebook: Any) -> None:
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assignments = ast.parse(cell.source).body
    assert all(isinstance(line, ast.Assign) for line in assignments)
    names = {line.targets[0].id for line in assignments}  # type: ignore[attr-defined]
    assert {"solint", "robust", "niter"} <= names


def test_the_chain_is_complete(notebook: Any, catalogue: Catalogue) -> None:
    tasks = [call.func.id for call in task_calls(notebook, catalogue)]  # type: ignore[attr-defined]
    firsts = list(dict.fromkeys(tasks))
    chain = ["importuvfits", "flagdata", "setjy", "bandpass", "gaincal", "fluxscale", "applycal", "split"]
    chain += ["uvcontsub", "tclean", "immoments", "exportfits", "specflux"]
    assert [task for task in firsts if task in chain] == chain
    assert {"listobs", "plotants", "plotms", "imstat"} <= set(firsts)


def test_tasks_are_called_with_parameters_that_they_have(notebook: Any, catalogue: Catalogue) -> None:
    for call in task_calls(notebook, catalogue):
        task = catalogue[call.func.id]  # type: ignore[attr-defined]
        keywords = [keyword.arg for keyword in call.keywords]
        assert None not in keywords and not call.args, f"{task.name}: parameters by name only"
        unknown = set(keywords) - set(task.signature.parameters)
        assert not unknown, f"{task.name} has no {unknown}"


def test_literal_arguments_have_types_and_values_that_casa_takes(notebook: Any, catalogue: Catalogue) -> None:
    for call in task_calls(notebook, catalogue):
        task = catalogue[call.func.id]  # type: ignore[attr-defined]
        literals = {k.arg: ast.literal_eval(k.value) for k in call.keywords if not isinstance(k.value, ast.Name)}
        task.normalise(task.bind((), literals))
        allowed = {p.name: p.allowed for p in task.parameters if p.allowed}
        for name, value in literals.items():
            if name in allowed and isinstance(value, str):
                assert value in allowed[name], f"{task.name}: {name}={value!r}"


def test_gui_tasks_never_open_a_window(notebook: Any, catalogue: Catalogue) -> None:
    calls = [call for call in task_calls(notebook, catalogue) if call.func.id == "plotms"]  # type: ignore[attr-defined]
    for call in calls:
        given = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
        assert given["showgui"] is False and given["plotfile"].endswith(".png")


def test_every_name_is_defined_above(notebook: Any, catalogue: Catalogue) -> None:
    defined = set(catalogue) | set(dir(builtins))
    for cell in code_cells(notebook):
        nodes = list(ast.walk(ast.parse(cell.source)))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        defined |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
        defined |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
        defined |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        defined |= {alias.asname or alias.name for node in imports for alias in node.names}
        used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
        assert used <= defined, f"{cell.id}: {used - defined}"


def test_files_are_named_relative_to_the_notebook(notebook: Any, catalogue: Catalogue) -> None:
    for call in task_calls(notebook, catalogue):
        for node in ast.walk(call):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.startswith(("/", "~", "..")), ast.unparse(call)


# -- the executed copy in the repository ---------------------------------------------------------------------


def test_the_executed_example_is_this_notebook_run_without_an_error(notebook: Any) -> None:
    path = Path(__file__).parents[2] / "examples" / "NGC5921-executed.ipynb"
    assert path.stat().st_size < 3_000_000
    executed = nbformat.read(path, as_version=4)
    nbformat.validate(executed)
    told = [[(cell.id, cell.cell_type, cell.source) for cell in book.cells] for book in (executed, notebook)]
    assert told[0] == told[1], "the tutorial was changed: run it anew and store it under examples/"
    kinds = {output.output_type for cell in code_cells(executed) for output in cell.outputs}
    assert "error" not in kinds
    shown = {cell.id for cell in code_cells(executed) for o in cell.outputs if "image/png" in o.get("data", {})}
    assert {"plot-antennas", "plot-bandpass", "map-gas", "map-velocity", "plot-spectrum"} <= shown
