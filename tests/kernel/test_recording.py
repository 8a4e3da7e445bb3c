"""What the kernel records of the run of a cell: names, files, tools, outputs; and cells that run from a given state."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from casa_recompute.ledger import Ledger
from casa_recompute.notebook import outputs
from casa_recompute.notebook.model import ABSENT, CellRun
from casa_recompute.products import product_path

from .conftest import Kernel, start_kernel

State = Mapping[str, Mapping[str, str]]


class Notebook:
    """Cells that are executed as JupyterLab executes them, in the order in which they are first run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cells: list[str] = []
        self.kernel = start_kernel(directory)

    def restart(self) -> None:
        self.stop()
        self.kernel = start_kernel(self.directory)

    def stop(self) -> None:
        self.kernel.client.stop_channels()
        self.kernel.manager.shutdown_kernel(now=True)

    def execute(self, code: str, cell: str | None = None, state: State | None = None) -> tuple[Any, list[Any]]:
        """The reply, and the outputs as messages."""
        cell = cell or f"cell-{len(self.cells)}"
        if cell not in self.cells:
            self.cells.append(cell)
        told: dict[str, Any] = {"cells": list(self.cells), "notebook": "n.ipynb"}
        if state is not None:
            told["state"] = {"names": {}, "aside": {}, "bound": {}, "products": {}, "makers": {}, **state}
        session = self.kernel.client.session
        send = session.msg

        def msg(kind: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
            made = send(kind, *args, **kwargs)
            made["metadata"] |= {"cellId": cell, "casa": told}
            return made

        session.msg = msg
        try:
            return self.kernel.run(code, stop_on_error=False)
        finally:
            session.msg = send

    def run(self, code: str, cell: str | None = None, state: State | None = None) -> CellRun:
        """The record of a run that ends well."""
        reply, shown = self.execute(code, cell, state)
        assert reply["status"] == "ok", shown
        return self.record(cell)

    def record(self, cell: str | None = None) -> CellRun:
        """Of the cell's last run; by default of the last cell."""
        ledger = Ledger(self.directory / ".casa-recompute" / "ledger.sqlite", readonly=True)
        try:
            found = ledger.last_cell_run(cell or self.cells[-1])
        finally:
            ledger.close()
        assert found is not None
        return found

    def text(self, code: str) -> str:
        """What code prints that is no cell."""
        _, shown = self.kernel.run(code, store_history=False)
        return "".join(output["text"] for output in shown if output["type"] == "stream").strip()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    made = Notebook(tmp_path_factory.mktemp("recording"))
    yield made
    made.stop()


@pytest.fixture
def notebook(started: Notebook) -> Notebook:
    """An empty notebook in a kernel in which others have run; each test has names of its own."""
    started.cells = []
    return started


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Notebook]:
    """A notebook with a kernel of its own, which may be restarted."""
    made = Notebook(tmp_path)
    yield made
    made.stop()


def names(run: CellRun, what: str = "reads") -> dict[str, str]:
    """Names of the user's: what is absent is Python's or CASA's own."""
    return {r[2:]: v for r, v in getattr(run, what).items() if r.startswith("n:") and v != ABSENT}


def files(run: CellRun, what: str = "reads") -> dict[str, str]:
    return {resource: v for resource, v in getattr(run, what).items() if not resource.startswith("n:")}


# -- names ------------------------------------------------------------------------------------------------------------


def test_names_bound_read_and_changed(notebook: Notebook) -> None:
    made = notebook.run("a1 = [1]; a2 = a1; a3 = 5")
    assert set(names(made, "writes")) == {"a1", "a2", "a3"} == {r[2:] for r in made.rebound}
    changed = notebook.run("a2.append(a3)")
    assert set(names(changed)) == {"a1", "a2", "a3"}
    assert set(names(changed, "writes")) == {"a1", "a2"} and not changed.rebound
    assert names(changed)["a1"] == names(made, "writes")["a1"]
    assert changed.origins["n:a2"] == made.cell


@pytest.mark.parametrize(
    ("setup", "change"),
    [
        ("v = [1]\ndef grow(x): x.append(2)", "grow(v)"),
        ("v = [1]\ndef grow_it(): v.append(2)", "grow_it()"),
        ("class v: n = 1", "v.n = 2"),
        ("import numpy; v = numpy.zeros(3); w = v[1:]", "w += 1"),
        ("import numpy; v = numpy.zeros(3)", "numpy.add(v, 1, out=v)"),
        ("v = {}", "v['k'] = 1"),
    ],
)
def test_a_name_is_changed_without_being_bound(notebook: Notebook, setup: str, change: str) -> None:
    before = names(notebook.run(setup), "writes")["v"]
    assert names(notebook.run(change), "writes")["v"] != before


def test_a_cell_that_changes_nothing_writes_nothing(notebook: Notebook) -> None:
    notebook.run("b1 = [1, 2]")
    run = notebook.run("print(sum(b1))")
    assert names(run) == names(notebook.record("cell-0"), "writes") and not run.writes and not run.impure


def test_what_the_kernel_gives_is_not_the_users(notebook: Notebook) -> None:
    run = notebook.run("import os, re\nfrom casatools import table\nprint(tclean.__name__, qa.convert('1deg', 'rad'))")
    assert set(names(run, "writes")) == {"table"} and not names(run)
    run = notebook.run("from casatasks import listobs, casalog as log\nmine = listobs")
    assert not run.unkept and set(names(run, "writes")) >= {"log", "mine"}


def test_a_name_of_casa_that_the_user_takes_and_gives_back(notebook: Notebook) -> None:
    run = notebook.run("im = 3")
    assert names(run, "writes") == {"im": run.writes["n:im"]} != {"im": ABSENT}
    notebook.run("print(tb.ok())", state={"names": {"im": ABSENT}})
    assert notebook.text("print(type(im).__name__)") == "imager"


def test_cells_within_a_cell_are_part_of_it(notebook: Notebook) -> None:
    run = notebook.run("%%capture c1\nget_ipython().run_cell('c2 = 5')\nget_ipython().run_cell('')\nc3 = c2 + 1")
    assert set(names(run, "writes")) == {"c1", "c2", "c3"}
    Path(notebook.directory, "script.py").write_text("c4 = 7")
    run = notebook.run("%run script.py")
    assert "c4" in names(run, "writes") and "p:script.py" in run.reads


def test_parameters_that_a_task_takes_from_global_variables(fresh: Notebook) -> None:
    fresh.run("inp('listobs')", "select")
    fresh.run("selectdata, verbose = True, False", "parameters")
    shown = fresh.execute("inp()", "show")[1][0]["text"]
    assert "False" in shown.partition("verbose")[2].partition("\n")[0]
    run = fresh.record("show")
    assert {"verbose", "selectdata", "_active_task"} <= set(names(run))
    assert run.origins["n:_active_task"] == "select" and run.origins["n:verbose"] == "parameters"
    fresh.restart()
    assert shown in [output.get("text") for output in fresh.execute("inp()", "show")[1]]
    assert fresh.record("show").reads["n:verbose"] == run.reads["n:verbose"]


# -- files ------------------------------------------------------------------------------------------------------------


def test_files_read_written_and_removed(notebook: Notebook) -> None:
    made = notebook.run("with open('d1.txt', 'w') as f: n = f.write('one')")
    assert set(files(made, "writes")) == {"p:d1.txt"} and "p:d1.txt" not in made.reads
    read = notebook.run("text = open('d1.txt').read()")
    assert read.reads["p:d1.txt"] == made.writes["p:d1.txt"] and read.origins["p:d1.txt"] == made.cell
    assert not files(read, "writes")
    more = notebook.run("with open('d1.txt', 'a') as f: n = f.write('two')")
    assert more.reads["p:d1.txt"] == made.writes["p:d1.txt"] != more.writes["p:d1.txt"]
    gone = notebook.run("import os; os.remove('d1.txt')")
    assert gone.writes["p:d1.txt"] == ABSENT
    assert notebook.run("import os; there = os.path.exists('d1.txt')").reads["e:d1.txt"] == "no"


def test_files_outside_the_workspace(notebook: Notebook, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("x")
    run = notebook.run(f"with open('{tmp_path}/out.txt', 'w') as f: n = f.write(open('{tmp_path}/in.txt').read())")
    assert f"p:{tmp_path}/in.txt" in run.reads and run.outside == (f"{tmp_path}/out.txt",)


@pytest.mark.parametrize(
    "code",
    ["!echo hello > {}", "%%bash\necho hello > {}", "import subprocess\nsubprocess.run('echo hello > {}', shell=True)"],
)
def test_other_programs_write_files(notebook: Notebook, code: str, request: pytest.FixtureRequest) -> None:
    name = f"e{list(request.node.name)[-3:]}".replace("'", "").replace(" ", "").strip("[]") + ".txt"
    name = "".join(c for c in name if c.isalnum() or c == ".")
    run = notebook.run(code.format(name))
    assert set(files(run, "writes")) == {f"p:{name}"}
    assert (notebook.directory / name).read_text() == "hello\n"


def test_other_programs_read_files(notebook: Notebook) -> None:
    made = notebook.run("with open('f1.txt', 'w') as f: n = f.write('one')")
    assert notebook.run("!cat f1.txt").reads["p:f1.txt"] == made.writes["p:f1.txt"]


def test_a_module_of_the_users(notebook: Notebook) -> None:
    module = notebook.directory / "mymodule.py"
    module.write_text("value = 1")
    first = notebook.run("from mymodule import value as g1", "import")
    assert "p:mymodule.py" in first.reads
    module.write_text("value = 2")
    again = notebook.run("from mymodule import value as g1", "import")
    assert again.reads["p:mymodule.py"] != first.reads["p:mymodule.py"]
    assert again.writes["n:g1"] != first.writes["n:g1"] and notebook.text("print(g1)") == "2"


def test_the_machinery_leaves_no_trace(notebook: Notebook) -> None:
    run = notebook.run("%matplotlib inline\nimport matplotlib.pyplot as plt, astropy.units\nplt.plot([1, 2]); print(1)")
    assert not {path for path in files(run) if not path.startswith("e:")} and not files(run, "writes")
    assert not run.outside and not run.impure
    reply, _ = notebook.execute("1 / 0")
    run = notebook.record()
    assert run.outcome == "error" and run.error == "ZeroDivisionError: division by zero"
    assert set(run.reads.values()) <= {ABSENT} and not files(run) and not run.writes and not run.outside


# -- tools of casatools -----------------------------------------------------------------------------------------------

TABLE = "{'a': {'valueType': 'int', 'option': 0, 'maxlen': 0, 'dataManagerType': '', 'dataManagerGroup': ''}}"


def test_tools_read_and_change_data(notebook: Notebook) -> None:
    made = notebook.run(f"_ = tb.create('h.tab', {TABLE}, nrow=3); _ = tb.close()")
    assert set(files(made, "writes")) == {"p:h.tab"} and made.reads["e:h.tab"] == "no"
    changed = notebook.run("_ = tb.open('h.tab', nomodify=False); _ = tb.putcol('a', [1, 2, 3]); _ = tb.close()")
    assert changed.reads["p:h.tab"] == made.writes["p:h.tab"] != changed.writes["p:h.tab"]
    read = notebook.run("_ = tb.open('h.tab'); total = tb.getcol('a').sum(); _ = tb.close()")
    assert files(read) == {"p:h.tab": changed.writes["p:h.tab"]} and set(read.writes) == {"n:total"}
    notebook.run(f"_ = tb.create('h2.tab', {TABLE}, nrow=3); _ = tb.close()")
    query = notebook.run("_ = tb.open('h2.tab'); rows = tb.taql('select from h.tab').nrows(); _ = tb.close()")
    assert query.reads["p:h.tab"] == changed.writes["p:h.tab"]


def test_images_change_when_they_are_changed_only(notebook: Notebook) -> None:
    made = notebook.run("_ = ia.fromshape('i.im', [4, 4]); _ = ia.close()")
    assert set(files(made, "writes")) == {"p:i.im"}
    read = notebook.run("_ = ia.open('i.im'); top = ia.getchunk().max(); _ = ia.close()")
    assert read.reads["p:i.im"] == made.writes["p:i.im"] and not files(read, "writes")
    changed = notebook.run("_ = ia.open('i.im'); _ = ia.set(3.0); _ = ia.close()")
    assert changed.writes["p:i.im"] != made.writes["p:i.im"]
    exported = notebook.run("_ = ia.open('i.im'); _ = ia.tofits('i.fits'); _ = ia.close()")
    assert set(files(exported, "writes")) == {"p:i.fits"} and exported.reads["p:i.im"] == changed.writes["p:i.im"]


def test_data_outside_the_workspace_are_inputs(notebook: Notebook, tmp_path: Path) -> None:
    place = tmp_path / "raw.tab"
    notebook.run(f"_ = tb.create('{place}', {TABLE}, nrow=3); _ = tb.close()")
    run = notebook.run(f"_ = tb.open('{place}'); _ = tb.close()")
    assert f"p:{product_path(str(place), notebook.directory, notebook.directory)}" in run.reads


def test_a_tool_that_stays_open_counts_as_a_name(notebook: Notebook) -> None:
    notebook.run(f"_ = tb.create('j.tab', {TABLE}, nrow=3); _ = tb.close()", "make")
    opened = notebook.run("_ = tb.open('j.tab', nomodify=False)", "open")
    assert "n:tb" in opened.writes and opened.unkept == ("tb",)
    changed = notebook.run("_ = tb.putcol('a', [7, 7, 7])", "change")
    assert changed.reads["n:tb"] == opened.writes["n:tb"] and changed.origins["n:tb"] == "open"
    assert changed.reads["p:j.tab"] != changed.writes["p:j.tab"]
    read = notebook.run("last = tb.getcol('a').sum()", "read")
    assert read.reads["p:j.tab"] == changed.writes["p:j.tab"] and read.origins["n:tb"] == "change"
    closed = notebook.run("_ = tb.close()", "close")
    assert closed.writes["n:tb"] == ABSENT
    assert not names(notebook.run("_ = tb.ok()", "after"))


def test_a_tool_that_is_not_open_at_the_place_of_a_cell(notebook: Notebook) -> None:
    notebook.run(f"_ = tb.create('k.tab', {TABLE}, nrow=3)")
    assert notebook.text("print(tb.ok())") == "True"
    run = notebook.run("opened = tb.ok()", state={"names": {"tb": ABSENT}})
    assert notebook.text("print(opened)") == "False" and not names(run)


def test_tools_of_the_users_own(notebook: Notebook) -> None:
    made = notebook.run("from casatools import componentlist\nmycl = componentlist()")
    assert "n:mycl" in made.writes and not made.unkept
    used = notebook.run("_ = mycl.addcomponent(flux=1.0, fluxunit='Jy', dir='J2000 0deg 0deg')")
    assert used.writes["n:mycl"] != made.writes["n:mycl"] and used.unkept == ("mycl",)
    done = notebook.run("_ = mycl.done()")
    assert done.writes["n:mycl"] == made.writes["n:mycl"]


# -- what no run repeats ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("import random; l1 = random.random()", "random numbers"),
        ("import numpy.random; l2 = numpy.random.default_rng().random()", "random numbers"),
        ("import time; l3 = time.time()", "the clock"),
        ("from time import time as now\nl4 = now()", "the clock"),
        ("import socket; l5 = socket.getaddrinfo('localhost', 80)", "the network"),
        ("_ = tget(listobs)", "the parameters of an earlier call"),
    ],
)
def test_impurities(fresh: Notebook, code: str, what: str) -> None:
    assert fresh.run(code).impure == (what,)


def test_a_seed_makes_random_numbers_repeatable(fresh: Notebook) -> None:
    assert fresh.run("import random; random.seed(1)").impure == ()
    assert fresh.run("l6 = random.random()").impure == ()


# -- outputs ----------------------------------------------------------------------------------------------------------

SHOWING = [
    "print('one'); print('two')",
    "import sys; print('oops', file=sys.stderr); 5",
    "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2, 3]);",
    "_active_task = 'listobs'; inp()",
    "%%capture got\nprint('hidden')",
    "open('m1.txt', 'w').write('x'); del sys",
    "handle = display('first', display_id=True); print('between'); handle2 = display('other', display_id=True)",
    "handle.update('second')",
    "display('third', display_id=handle2.display_id)",
    "1 / 0",
    "def f(:",
]


def test_outputs_are_recorded_as_a_client_has_them(
    kernelspec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)  # ipykernel does not watch descriptors when it finds this
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in SHOWING])
    client = NotebookClient(made, kernel_name=kernelspec, allow_errors=True, resources={"metadata": {"path": tmp_path}})
    client.execute()
    ledger = Ledger(tmp_path / ".casa-recompute" / "ledger.sqlite", readonly=True)
    runs = [ledger.cell_run(number) for number in range(1, len(SHOWING) + 1)]
    for cell, run in zip(made.cells, runs, strict=True):
        assert run is not None and run.source == cell.source
        assert run.shown == outputs.digest(cell.outputs), cell.source
        kept = ledger.outputs(run.shown) if run.shown else []
        assert outputs.digest(kept or []) == run.shown
    assert [run.outcome for run in runs if run] == ["ok"] * 9 + ["error"] * 2
    ledger.close()


def test_notes_are_part_of_what_a_cell_shows(fresh: Notebook) -> None:
    fresh.run("n1 = [1]", "make")
    fresh.restart()
    _, shown = fresh.execute("print(n1)", "use")
    texts = [output.get("text") or output["data"]["text/plain"] for output in shown]
    assert texts == ["[1]\n", "Note: `n1` was brought back as the cells above had left it"]
    made = [
        {"output_type": "stream", "name": "stdout", "text": texts[0]},
        {"output_type": "display_data", "data": shown[1]["data"], "metadata": {}},
    ]
    assert fresh.record("use").shown == outputs.digest(made)


# -- states -----------------------------------------------------------------------------------------------------------


def test_names_come_back_after_a_restart(fresh: Notebook) -> None:
    fresh.run("import numpy as np\nx = [np.arange(3)]; y = x\ndef f(v): return np.sum(v) + len(x)", "make")
    used = fresh.run("print(f(y))", "use")
    fresh.restart()
    again = fresh.run("print(f(y))", "use")
    assert again.reads == used.reads and again.shown != used.shown  # with notes
    assert fresh.text("print(x is y)") == "True"


def test_a_cell_runs_from_a_state(fresh: Notebook) -> None:
    first = fresh.run("x = [1]", "one")
    assert fresh.run("x.append(2)", "two").writes != first.writes
    fresh.run("y = sum(x)", "three", {"names": {"x": first.writes["n:x"], "y": ABSENT}})
    assert fresh.text("print(x, y)") == "[1] 1"
    assert fresh.record("three").reads["n:x"] == first.writes["n:x"]


def test_a_cell_whose_state_is_lost_does_not_run(fresh: Notebook) -> None:
    fresh.run("x = [1]", "one")
    reply, shown = fresh.execute("print('ran')", "two", {"names": {"x": "d-0123456789"}})
    assert (reply["status"], reply["ename"]) == ("error", "ValueLost")
    assert [output["type"] for output in shown] == ["error"] and "`x` cannot be brought back" in reply["evalue"]
    assert fresh.run("y = 1", "two").writes.keys() == {"n:y"}


def test_a_product_whose_state_is_lost_stops_the_cell(fresh: Notebook) -> None:
    Path(fresh.directory, "a.txt").write_text("x")
    state = {"names": {}, "products": {"a.txt": "c-0123456789"}}
    reply, _ = fresh.execute("text = open('a.txt').read()\nprint('ran')", "one", state)
    assert (reply["status"], reply["ename"]) == ("error", "VersionLost")
    assert fresh.record("one").outcome == "error" and Path(fresh.directory, "a.txt").read_text() == "x"


def test_names_that_were_there_before_the_extension_are_the_users(
    new_kernel: Callable[..., Kernel], tmp_path: Path
) -> None:
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel = new_kernel(tmp_path, argv)
    kernel.run("x = [1]")
    kernel.run("%load_ext casa_kernel", allow_stdin=False)
    kernel.run("x.append(2)", allow_stdin=False)
    ledger = Ledger(tmp_path / ".casa-recompute" / "ledger.sqlite", readonly=True)
    runs = [ledger.cell_run(number) for number in (1, 2)]
    ledger.close()
    assert runs[0] is not None and runs[0].source == "%load_ext casa_kernel" and not names(runs[0], "writes")
    assert runs[1] is not None and set(names(runs[1], "writes")) == {"x"}


@pytest.mark.parametrize("wait", ["import time; time.sleep(60)", "import asyncio; await asyncio.sleep(60)"])
def test_an_interrupted_cell(fresh: Notebook, wait: str) -> None:
    client = fresh.kernel.client
    code = f"print('now', flush=True)\n{wait}"
    content = {"code": code, "silent": False, "store_history": True, "stop_on_error": False}
    msg = client.session.msg("execute_request", content)
    msg["metadata"] = {"cellId": "a", "casa": {"cells": ["a"], "notebook": "n.ipynb"}}
    client.shell_channel.send(msg)
    while client.get_iopub_msg(timeout=120)["msg_type"] != "stream":
        pass
    fresh.kernel.manager.interrupt_kernel()
    assert fresh.run("after = 1", "b").outcome == "ok"
    assert fresh.record("a").outcome == "interrupted"


def test_an_interrupt_while_a_cell_is_recorded(fresh: Notebook) -> None:
    """Its code has ended: there is nothing to interrupt, and what it has done is remembered."""
    code = """
import os, signal
class Slow:
    def __reduce__(self):
        os.kill(os.getpid(), signal.SIGINT)
        return Slow, ()
value = Slow()
"""
    assert fresh.run(code, "a").outcome == "ok"
    assert fresh.record("a").outcome == "ok" and "value" in names(fresh.record("a"), "writes")


def test_an_interrupt_before_a_cell_has_begun(fresh: Notebook) -> None:
    fresh.run(
        """
from casa_recompute.session import Session
import os, signal
def begin_cell(*args, begin=Session.begin_cell):
    Session.begin_cell = begin
    os.kill(os.getpid(), signal.SIGINT)
    begin(*args)
Session.begin_cell = begin_cell
""",
        "a",
    )
    reply, _ = fresh.execute("done = 1", "b")
    assert (reply["status"], reply["ename"]) == ("error", "KeyboardInterrupt")
    assert fresh.run("assert 'done' not in globals()", "c").outcome == "ok"
