"""The differential oracle: whatever was edited, moved, deleted and run before, running the notebook from top to bottom
leaves every product, and gives every value, as a run in a new directory does; and running it again runs nothing.

``ORACLE_SEED`` and ``ORACLE_EXAMPLES`` in the environment choose other and more notebooks (`make test-oracle`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st

from casa_recompute.session import Cell, Session
from tests.core.standin import contents, fake_settings

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "40"))
SEED = int(os.environ.get("ORACLE_SEED", "5921"))

MS = st.sampled_from(["a.ms", "b.ms"])
SMALL = st.integers(0, 2)
STATEMENTS = st.one_of(
    st.builds(lambda vis: ("importuvfits", {"fitsfile": "raw.fits", "vis": vis}), MS),
    st.builds(lambda vis, field: ("flagdata", {"vis": vis, "field": str(field)}), MS, SMALL),
    st.builds(lambda vis: ("flagdata", {"vis": vis, "mode": "summary"}), MS),
    st.builds(lambda vis, flux: ("setjy", {"vis": vis, "fluxdensity": [float(flux), 0.0, 0.0, 0.0]}), MS, SMALL),
    st.builds(lambda vis, s: ("gaincal", {"vis": vis, "caltable": "g", "solint": f"{s}s"}), MS, SMALL),
    st.builds(lambda vis: ("applycal", {"vis": vis, "gaintable": ["g"]}), MS),
    st.builds(lambda vis: ("split", {"vis": "a.ms", "outputvis": vis}), st.sampled_from(["b.ms", "c.ms"])),
    st.builds(lambda vis, n: ("tclean", {"vis": vis, "imagename": "img", "niter": n}), MS, SMALL),
    st.just(("immoments", {"imagename": "img.image", "outfile": "img.mom0"})),
    st.builds(lambda vis, text: ("python", {"vis": vis, "text": text}), MS, SMALL),
    st.builds(lambda: ("rmtables", {"tablenames": ["g"]})),
)
FIRST = ("importuvfits", {"fitsfile": "raw.fits", "vis": "a.ms"})
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), SMALL, STATEMENTS),
        st.tuples(st.just("insert"), st.integers(0, 6), STATEMENTS),
        st.tuples(st.just("delete"), st.integers(0, 6), st.none()),
        st.tuples(st.just("move"), st.integers(0, 6), st.integers(0, 6)),
        st.tuples(st.just("run one"), st.integers(0, 6), st.none()),
        st.tuples(st.just("run all"), st.none(), st.none()),
        st.tuples(st.just("new kernel"), st.none(), st.none()),
        st.tuples(st.just("new raw data"), SMALL, st.none()),
        st.tuples(st.just("lose ledger"), st.none(), st.none()),
    ),
    min_size=2,
    max_size=10,
)


@dataclass
class Notebook:
    """A notebook that is being edited and run."""

    directory: Path
    cells: list[tuple[str, tuple[str, dict[str, Any]]]]
    count: int = 0
    session: Session | None = None

    def run(self, number: int) -> tuple[str, Any]:
        """Run one cell; what was done ("ran", "restored", "python", "failed") and its value or error."""
        identity, (task, arguments) = self.cells[number]
        if self.session is None:
            self.session = Session(self.directory, fake_settings())
        os.chdir(self.directory)
        self.session.begin_cell(
            Cell(identity, tuple(cell for cell, _ in self.cells), "nb.ipynb", f"{task}(**{arguments})")
        )
        ok = False
        try:
            if task == "python":
                (self.directory / arguments["vis"] / "DATA").write_text(f"by hand {arguments['text']}")
                ok = True
                return "python", None
            outcome = self.session.call(task, **arguments)
            ok = True
            return outcome.action, outcome.value
        except (OSError, RuntimeError, AssertionError) as error:
            return "failed", f"{type(error).__name__}: {error}".replace(str(self.directory), "")
        finally:
            self.session.end_cell(ok)

    def run_all(self) -> list[tuple[str, Any]]:
        """Run from the top to the first failure."""
        results = []
        for number in range(len(self.cells)):
            results.append(self.run(number))
            if results[-1][0] == "failed":
                break
        return results

    def without_early_python(self) -> None:
        """Python that opens a product before any cell makes it finds what later cells left: what Python opens is
        not brought to its place yet, only what tasks do. Such cells are taken out.
        """
        made: set[str] = set()
        for cell in list(self.cells):
            task, arguments = cell[1]
            if task == "python" and arguments["vis"] not in made:
                self.cells.remove(cell)
            made |= {arguments["vis"]} if task == "importuvfits" else {arguments.get("outputvis", "")}

    def close(self) -> None:
        if self.session is not None:
            self.session.close()
            self.session.workspace.close()
            self.session = None


def apply(notebook: Notebook, step: tuple[str, Any, Any], compare: Callable[[], None]) -> None:
    kind, one, other = step
    cells = notebook.cells
    if kind == "insert":
        notebook.count += 1
        cells.insert(min(one, len(cells)), (f"cell{notebook.count}", other))
    elif kind == "new kernel":
        notebook.close()
    elif kind == "new raw data":
        (notebook.directory / "raw.fits").write_bytes(b"raw %d" % one * 100)
    elif kind == "lose ledger":
        notebook.close()
        for path in (notebook.directory / ".casa-recompute").glob("ledger.sqlite*"):
            path.unlink()
    elif kind == "run all":
        compare()
    elif cells and kind == "edit":
        number = one % len(cells)
        cells[number] = (cells[number][0], other)
    elif cells and kind == "delete":
        del cells[one % len(cells)]
    elif cells and kind == "move":
        cells.insert(other % len(cells), cells.pop(one % len(cells)))
    elif cells and kind == "run one":
        notebook.run(one % len(cells))


@seed(SEED)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # histories are short; shrinking them takes minutes
)
@given(start=st.lists(STATEMENTS, max_size=5), steps=STEPS)
def test_any_history_then_top_to_bottom_equals_a_fresh_run(
    tmp_path_factory: pytest.TempPathFactory,
    start: list[tuple[str, dict[str, Any]]],
    steps: list[tuple[str, Any, Any]],
) -> None:
    top = tmp_path_factory.mktemp("oracle")
    (top / "work").mkdir()
    (top / "work" / "raw.fits").write_bytes(b"raw 0" * 100)
    statements = [FIRST, *start]
    notebook = Notebook(top / "work", [(f"start{n}", s) for n, s in enumerate(statements)])

    def compare() -> None:
        notebook.without_early_python()
        fresh = Notebook(top / "fresh", list(notebook.cells))
        (top / "fresh").mkdir()
        shutil.copy(top / "work" / "raw.fits", top / "fresh")
        try:
            note(f"run all of {notebook.cells}")
            expected, got = fresh.run_all(), notebook.run_all()
            assert [value for _, value in got] == [value for _, value in expected]
            if "failed" in (action for action, _ in got):
                del notebook.cells[len(got) - 1]  # the astronomer mends the notebook
                return
            left = contents(top / "work")
            assert {name: left.get(name) for name in contents(top / "fresh")} == contents(top / "fresh")
            again = notebook.run_all()
            assert "ran" not in (action for action, _ in again)
        finally:
            fresh.close()
            shutil.rmtree(top / "fresh")

    try:
        for step in [*steps, ("run all", None, None)]:
            note(str(step))
            apply(notebook, step, compare)
    finally:
        os.chdir("/")
        notebook.close()
        shutil.rmtree(top)
