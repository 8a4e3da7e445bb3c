"""What the kernel records of a cell is what a front end gets to show."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient

from casa_kernel.shown import Shown
from casa_recompute.notebook.outputs import digest

# Records each cell of a plain kernel. %%capture runs a cell within the cell.
PROBE = """
import json
import casa_kernel.shown

shown = None
depth = 1  # the cell that loads this runs

def before(info):
    global depth
    depth += 1
    if depth == 1:
        shown.begin()

def after(result):
    global depth
    depth -= 1
    if depth == 0:
        outputs = shown.end()
        record = {"outputs": outputs, "too_large": shown.too_large, "elsewhere": shown.elsewhere}
        with open("recorded.jsonl", "a") as file:
            print(json.dumps(record), file=file)

def load_ipython_extension(shell):
    global shown
    shown = casa_kernel.shown.Shown(shell)
    shell.events.register("pre_run_cell", before)
    shell.events.register("post_run_cell", after)
"""

Run = Callable[..., list[tuple[list[dict[str, Any]], dict[str, Any]]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run cells with nbclient; for each what nbclient and what the kernel recorded."""
    place = tmp_path / "jupyter" / "kernels" / "probe"
    place.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (place / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "p", "language": "python"}))
    (tmp_path / "probe.py").write_text(PROBE)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))

    def execute(*cells: str) -> list[tuple[list[dict[str, Any]], dict[str, Any]]]:
        # ipykernel does not watch file descriptors when it finds this.
        monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
        sources = ["%load_ext probe", *cells]
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        client = NotebookClient(
            notebook, kernel_name="probe", allow_errors=True, timeout=120, resources={"metadata": {"path": tmp_path}}
        )
        client.execute()
        collected = [cell.outputs for cell in notebook.cells]
        recorded = map(json.loads, (tmp_path / "recorded.jsonl").read_text().splitlines())
        return list(zip(collected, recorded, strict=True))[1:]

    return execute


CELLS = {
    "nothing": "x = 1",
    "print": "print('one'); print('two')",
    "stderr": "import sys; print('oops', file=sys.stderr)",
    "interleaved": """
import sys
for i in range(5):
    print('out', i, flush=True)
    print('err', i, file=sys.stderr, flush=True)""",
    "pieces": "import time\nfor i in range(3): print(i, flush=True); time.sleep(0.25)",
    "no newline": "print('no newline at the end', end='')",
    "result": "'a result'",
    "display": "from IPython.display import HTML, display; display(HTML('<b>x</b>')); print('after')",
    "json": "display({'application/json': {'a': 1.0, 'b': [1, 2**60, True, None]}}, raw=True)",
    "changed after it was shown": "data = {'application/json': {'a': 1}}; display(data, raw=True); data.clear()",
    "update": """
handle = display('first', display_id=True)
print('between')
handle.update('second')
print('more')
display('third', display_id=handle.display_id)""",
    "clear": "from IPython.display import clear_output\nprint('gone'); clear_output(); print('stays')",
    "clear and wait": """
for i in range(3):
    clear_output(wait=True)
    print(i)""",
    "clear and wait for nothing": "print('stays'); clear_output(wait=True)",
    "error": "print('before')\n1 / 0",
    "syntax error": "print('a'",
    "async": "import asyncio\nprint('a'); await asyncio.sleep(0.01); print('b')\n'c'",
    "async error": "await asyncio.sleep(0.01); raise ValueError('late')",
    "figure": """
%matplotlib inline
import matplotlib.pyplot as plt
plt.plot([1, 2, 3])
print('text')""",
    "figure and error": "plt.plot([3, 2, 1])\n1 / 0",
    "progress": """
import sys
for i in range(4):
    print(f'\\r{i * 25:3d}% ' + '#' * i, end='', flush=True, file=sys.stderr)""",
    "backspaces": "print('abc\\b\\bX', end='', flush=True); print('\\b\\b\\bY\\r\\nZ')",
    "large": "for i in range(5000): print('x' * 1000)",
    "thread": """
import threading
threads = [threading.Thread(target=print, args=('from a thread',)) for _ in range(2)]
for thread in threads: thread.start(); thread.join()""",
    "shell": "!echo from a shell; echo and its error >&2",
    "subprocess": "import subprocess; _ = subprocess.run('seq 1 20000', shell=True)",
    "descriptor": "import os; _ = os.write(1, b'x' * 50_000)",
    "magic": "%%bash\necho one\necho two >&2",
    "captured": "%%capture kept\nprint('not shown')\ndisplay('neither')",
    "redirected": """
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()):
    print('not shown')
print('shown')""",
    "warning": "import warnings; warnings.warn('careful')",
    "exit": "import sys; print('x'); sys.exit(3)",
    "unicode": "print('µJy ☉ 😀\\rab')",
}


def test_records_what_a_front_end_shows(run: Run) -> None:
    for name, (collected, recorded) in zip(CELLS, run(*CELLS.values()), strict=True):
        assert digest(recorded["outputs"]) == digest(collected), (name, collected, recorded)
        nothing = name in ("nothing", "captured")
        assert (recorded["outputs"] == []) == nothing, name
        assert not recorded["too_large"], name
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=recorded["outputs"])])
        nbformat.validate(notebook)


def test_outputs_differ_where_what_is_shown_differs(run: Run) -> None:
    digests = [digest(recorded["outputs"]) for _, recorded in run("1", "2", "print(1)", "raise ValueError(1)")]
    assert len(set(digests)) == 4


def test_forked_processes_print_into_the_cell_that_waits_for_them(run: Run) -> None:
    [(_, recorded)] = run(
        """
import os, time
child = os.fork()
if not child:
    print('from the child', flush=True)
    os._exit(0)
_ = os.waitpid(child, 0)
time.sleep(0.5)"""
    )
    assert recorded["outputs"] == [{"output_type": "stream", "name": "stdout", "text": "from the child\n"}]


def test_what_an_earlier_cell_prints_late_is_not_of_this_cell(run: Run) -> None:
    _, (_, recorded) = run(
        """
import asyncio
go = asyncio.Event()
async def late():
    await go.wait()
    print('late')
task = asyncio.create_task(late())""",
        "go.set(); await task; print('mine')",
    )
    assert recorded["outputs"] == [{"output_type": "stream", "name": "stdout", "text": "mine\n"}]


def test_updates_of_what_another_cell_shows(run: Run) -> None:
    (first, _), (_, second) = run(
        "handle = display({'text/plain': 'old'}, raw=True, display_id='x')",
        "handle.update({'text/plain': 'new'}, raw=True)",
    )
    assert second["outputs"] == []
    assert second["elsewhere"] == {"x": {"data": {"text/plain": "new"}, "metadata": {}}}
    assert first[0]["data"] == {"text/plain": "new"}


def test_too_much_is_cut_but_not_what_was_cleared(run: Run) -> None:
    (_, much), (_, cleared) = run(
        "import casa_kernel.shown; casa_kernel.shown.LIMIT = 10_000\n"
        "print('x' * 20_000, flush=True); print('more', flush=True)",
        "from IPython.display import clear_output\n"
        "for i in range(9): print('x' * 5_000, flush=True); clear_output()\nprint(7)",
    )
    assert much["too_large"] and len(much["outputs"]) == 1
    assert not cleared["too_large"]
    assert cleared["outputs"] == [{"output_type": "stream", "name": "stdout", "text": "7\n"}]


def test_a_malformed_message_disturbs_nothing(run: Run) -> None:
    [(_, recorded)] = run(
        """
kernel = get_ipython().kernel
kernel.send_response(kernel.iopub_socket, 'update_display_data', {'no': 'data'}, ident=b'nobody')
print('shown')"""
    )
    assert recorded["outputs"] == [{"output_type": "stream", "name": "stdout", "text": "shown\n"}]


def test_close_stops_recording_and_output_goes_on(run: Run) -> None:
    (_, _), (collected, recorded) = run("import probe; send = probe.shown.close()", "print('still shown')")
    assert collected[0]["text"] == "still shown\n"
    assert recorded["outputs"] == []


def test_a_terminal_has_no_record(tmp_path: Path) -> None:
    shell = InteractiveShell(ipython_dir=str(tmp_path))
    shown = Shown(shell)
    shown.begin()
    shell.run_cell("print('hello')")
    assert shown.end() == []
    shown.close()
    shell.history_manager.end_session()
