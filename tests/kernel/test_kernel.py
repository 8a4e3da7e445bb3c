"""The real kernel, spoken to as a front end speaks."""

from __future__ import annotations

import importlib.util
import json
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from casa_recompute.casalog import MIME_TYPE

from .conftest import Kernel

Start = Callable[..., Kernel]


def texts(outputs: list[dict[str, Any]], kind: str = "display_data") -> list[str]:
    """The plain texts of what was displayed, as a front end ends up showing it."""
    shown: list[dict[str, Any]] = []
    for output in outputs:
        identity = output.get("transient", {}).get("display_id")
        if output["type"] == "update_display_data":
            for old in shown:
                if old.get("transient", {}).get("display_id") == identity:
                    old["data"] = output["data"]
        elif output["type"] == kind:
            shown.append(dict(output))
    return [output["data"]["text/plain"] for output in shown]


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


# -- before CASA is loaded ----------------------------------------------------------------------------------


def test_a_new_kernel_answers_and_has_loaded_nothing_heavy(new_kernel: Start, tmp_path: Path) -> None:
    kernel = new_kernel(tmp_path)
    heavy = kernel.value(
        "[m for m in ('casatools', 'casatasks.private', 'casaconfig', 'matplotlib', 'numpy') "
        "if m in __import__('sys').modules]"
    )
    assert heavy == []


def test_kernel_info_names_casa(kernel: Kernel) -> None:
    info = kernel.client.kernel_info(reply=True, timeout=120)["content"]
    assert info["implementation"] == "casa" and "CASA 6." in info["banner"]
    assert info["language_info"]["name"] == "python"
    assert any("casadocs" in link["url"] for link in info["help_links"])


def test_nothing_but_the_workspace_is_left_in_the_directory(new_kernel: Start, tmp_path: Path) -> None:
    kernel = new_kernel(tmp_path)
    kernel.run("casalog.post('hello from the test'); tb.open; inp(listobs); tput(listobs)")
    assert [path.name for path in tmp_path.iterdir()] == [".casa-recompute"]
    logs = (tmp_path / ".casa-recompute" / "log").glob("*.log")
    assert any("hello from the test" in log.read_text() for log in logs)


# -- help and completion ------------------------------------------------------------------------------------


def inspect(kernel: Kernel, code: str) -> str:
    content = kernel.client.inspect(code, reply=True, timeout=120)["content"]
    assert content["found"], code
    return plain(content["data"]["text/plain"])


def test_shift_tab_shows_signature_and_documentation(kernel: Kernel) -> None:
    text = inspect(kernel, "tclean(")
    assert "vis=''" in text and "specmode='mfs'" in text
    assert "Radio Interferometric Image Reconstruction" in text


def test_shift_tab_on_a_tool_and_its_methods(kernel: Kernel) -> None:
    assert "table" in inspect(kernel, "tb")
    assert "nomodify" in inspect(kernel, "tb.open")
    assert "infile" in inspect(kernel, "ia.open(")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("tcl", "tclean"),
        ("tclean(spec", "specmode="),
        ("x = gaincal(vis='a.ms', refantm", "refantmode="),
        ("tb.getco", ".getcol"),
        ("msmd.nant", ".nantennas"),
        ("from casatasks import flagda", "flagdata"),
    ],
)
def test_completion(kernel: Kernel, code: str, expected: str) -> None:
    matches = kernel.client.complete(code, reply=True, timeout=120)["content"]["matches"]
    assert expected in [match if expected.startswith(".") else match.lstrip(".") for match in matches]


# -- names --------------------------------------------------------------------------------------------------


def test_the_namespace_holds_casashells_names(kernel: Kernel) -> None:
    tools = (
        "af at ca cb cl cs fn ia im imd lm me ms msmd mt po qa rg sdms sl sm tb vf vp vlafiller vptool "
        "aftool attool catool cbtool cltool cstool fntool iatool imtool imdtool lmtool metool mstool "
        "msmdtool mttool potool qatool rgtool sdmstool sltool smtool tbtool casalog casatools ctsys"
    )
    others = (
        "inp go default tget tput saveinputs execfile taskhelp toolhelp doc checkgeodetic "
        "casaconfig config argv os sys tclean gaincal plotms imview msview browsetable wvrgcal"
    )
    names = f"{tools} {others} casatasks".split()
    assert kernel.value(f"[n for n in {names!r} if n not in globals()]") == []


def test_tools_are_the_real_ones(kernel: Kernel) -> None:
    assert kernel.value(
        "[isinstance(tb, casatools.table), isinstance(tb, tbtool), isinstance(tbtool(), tbtool), "
        "qa.convert('1km', 'm')['value'], type(qa).__name__, type(ia).__name__, hasattr(casatools, 'image')]"
    ) == [True, True, True, 1000.0, "quanta", "image", True]
    kernel.run("class Mine(iatool): pass")
    assert kernel.value("[isinstance(Mine(), iatool), Mine.__mro__[1].__module__]") == [
        True,
        "casatools.image",
    ]


def test_imports_give_our_tasks_and_the_real_rest(new_kernel: Start, tmp_path: Path) -> None:
    kernel = new_kernel(tmp_path)
    reply, outputs = kernel.run(
        "from casatasks import tclean as clean, casalog as log\n"
        "import casatasks\n"
        "from casaplotms import plotms as pm\n"
        "from casaviewer import imview as iv\n"
        "from casatablebrowser import browsetable as bt\n"
        "from casatasks import *\n"
    )
    assert reply["status"] == "ok", outputs
    ours = "[getattr(f, '__casa_task__', '') for f in (clean, casatasks.gaincal, pm, iv, bt, split)]"
    assert kernel.value(ours) == ["tclean", "gaincal", "plotms", "imview", "browsetable", "split"]
    real = "('casatools', 'casatasks.tclean', 'casaplotms.plotms')"
    assert kernel.value(f"[m for m in {real} if m in __import__('sys').modules]") == []
    assert kernel.value("casatasks.version_string()").startswith("6.")
    assert kernel.value("[n in dir(casatasks) for n in ('tclean', 'casalog', 'version')]") == [True] * 3

    reply, outputs = kernel.run(
        "from casatasks.private import simutil\n"
        "import casatasks.gaincal\n"
        "xml = casatasks.xml_interface_defs()\n"
        "from casaplotms import plotmstool\n"
    )
    assert reply["status"] == "ok", outputs
    assert kernel.value("[simutil.__file__.endswith('private/simutil.py'), 'gaincal' in xml]") == [True, True]
    assert kernel.value("[casatasks.gaincal.__casa_task__, casatasks.casalog is log]") == ["gaincal", True]
    assert kernel.value("len([p for p in os.listdir() if not p.startswith('.')])") == 0

    reply, outputs = kernel.run("from casatasks import nosuchtask")
    assert outputs[-1]["ename"] == "ImportError" and "nosuchtask" in outputs[-1]["evalue"]


def test_inline_plots_stay_inline(kernel: Kernel) -> None:
    assert "inline" in kernel.value("__import__('matplotlib').get_backend()")


# -- calls --------------------------------------------------------------------------------------------------


def test_a_call_runs_once_and_is_restored(new_kernel: Start, tmp_path: Path, uvfits: str) -> None:
    kernel = new_kernel(tmp_path)
    code = f"print('before'); r = importuvfits({uvfits!r}, 'a.ms'); print('after', r)"
    reply, outputs = kernel.run(code)
    assert reply["status"] == "ok", outputs
    assert [output["type"] for output in outputs if output["type"] != "update_display_data"] == [
        "stream",
        "display_data",
        "stream",
    ]
    (text,) = texts(outputs)
    assert text.startswith("importuvfits ran in") and "log:" in text
    last = [output for output in outputs if "data" in output][-1]
    assert last["data"][MIME_TYPE]["task"] == "importuvfits"
    json.dumps(last["data"][MIME_TYPE])
    assert (tmp_path / "a.ms" / "table.dat").exists()

    # A console has no cells: CASA's own rule holds for an output that exists, so it goes away first.
    kernel.run("rmtables('a.ms')")
    _, outputs = kernel.run(code)
    assert texts(outputs)[0].startswith("importuvfits restored from cache"), outputs
    assert (tmp_path / "a.ms" / "table.dat").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".casa-recompute", "a.ms"]


def test_casas_error_is_short(kernel: Kernel) -> None:
    reply, outputs = kernel.run("def reduce():\n    flagdata('nosuch.ms')\nreduce()")
    assert reply["status"] == "error" and reply["ename"] == "AssertionError"
    traceback = plain("\n".join(outputs[-1]["traceback"]))
    assert "the vis parameter must be a path that exists ('nosuch.ms' does not exist)" in traceback
    assert "flagdata('nosuch.ms')" in traceback
    assert "casa_kernel" not in traceback and "casa_recompute" not in traceback


def test_open_tools_do_not_block_tasks_and_see_what_they_did(new_kernel: Start, tmp_path: Path, uvfits: str) -> None:
    kernel = new_kernel(tmp_path)
    kernel.run(f"importuvfits({uvfits!r}, 'a.ms')")
    reply, outputs = kernel.run(
        "tb.open('a.ms'); msmd.open('a.ms'); msmd.nantennas(); before = int(tb.getcol('FLAG').sum())"
    )
    assert reply["status"] == "ok", outputs
    _, outputs = kernel.run("flagdata('a.ms', flagbackup=False)")
    assert texts(outputs)[-1].startswith("flagdata ran"), outputs
    assert kernel.value("int(tb.getcol('FLAG').sum()) > before")
    # A failed task puts the product back, which open tools must not hide.
    _, outputs = kernel.run("flagdata('a.ms', field='nosuch')")
    assert any(text.startswith("Note: tb was closed") for text in texts(outputs)), outputs
    assert any(text.startswith("Note: msmd was closed") for text in texts(outputs)), outputs
    assert kernel.value("tb.open('a.ms') and tb.nrows() > 0")


def cell(kernel: Kernel, source: str, cell_id: str, cells: list[str]) -> list[dict[str, Any]]:
    """Run a cell as our front end does."""
    content = {
        "code": source, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False,
    }  # fmt: skip
    message = kernel.client.session.msg("execute_request", content)
    message["metadata"] = {"cellId": cell_id, "casa": {"notebook": "n.ipynb", "cells": cells}}
    kernel.client.shell_channel.send(message)
    outputs = []
    while True:
        reply = kernel.client.get_iopub_msg(timeout=120)
        if reply["parent_header"].get("msg_id") != message["header"]["msg_id"]:
            continue
        if reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
            return outputs
        outputs.append({"type": reply["msg_type"], **reply["content"]})


def test_a_cell_runs_at_its_place(new_kernel: Start, tmp_path: Path, uvfits: str) -> None:
    kernel = new_kernel(tmp_path)
    cells = ["one", "two"]
    cell(kernel, f"importuvfits({uvfits!r}, 'a.ms')", "one", cells)
    first = cell(kernel, "flagdata('a.ms', mode='quack', quackinterval=60.0)", "two", cells)
    again = cell(kernel, f"importuvfits({uvfits!r}, 'a.ms')", "one", cells)
    twice = cell(kernel, "flagdata('a.ms', mode='quack', quackinterval=60.0)", "two", cells)
    said = [texts(outputs)[-1].split("\n")[0] for outputs in (first, again, twice)]
    assert said[0].startswith("flagdata ran")
    assert said[1].startswith("importuvfits restored") and said[2].startswith("flagdata restored"), said


def test_interrupt_takes_effect_at_once(new_kernel: Start, tmp_path: Path, uvfits: str) -> None:
    kernel = new_kernel(tmp_path)
    kernel.run(f"importuvfits({uvfits!r}, 'a.ms')")
    code = "tclean('a.ms', imagename='i', imsize=2048, cell='0.1arcsec', niter=100000, cycleniter=10)"
    request = kernel.client.execute(code, allow_stdin=False)  # as a notebook does: progress is shown
    seen: list[str] = []
    while not any("tclean" in text for text in seen):  # the line that shows that it runs
        message = kernel.client.get_iopub_msg(timeout=120)
        seen.append(str(message["content"].get("data", {}).get("text/plain", "")))
    kernel.manager.interrupt_kernel()
    reply = kernel.client.get_shell_msg(timeout=120)
    while reply["parent_header"]["msg_id"] != request:
        reply = kernel.client.get_shell_msg(timeout=120)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    time.sleep(0.2)
    assert not list(tmp_path.glob("i.*"))
    assert kernel.run("listobs('a.ms')")[0]["status"] == "ok"


AT_THIS_STEP = """
import os, signal
def {step}(*args, now=get_ipython().kernel.{step}):
    del get_ipython().kernel.{step}
    os.kill(os.getpid(), signal.SIGINT)
    return now(*args)
get_ipython().kernel.{step} = {step}
"""


@pytest.mark.parametrize(
    ("step", "ran"), [("init_metadata", False), ("_forward_input", False), ("finish_metadata", True)]
)
def test_an_interrupt_outside_of_a_cells_code_is_answered(
    new_kernel: Start, tmp_path: Path, step: str, ran: bool
) -> None:
    """Before the cell, in what prepares it, and when it has ended: a frontend would wait for the answer for ever."""
    kernel = new_kernel(tmp_path)
    assert kernel.run(AT_THIS_STEP.format(step=step))[0]["status"] == "ok"
    reply, _ = kernel.run("done = 1", stop_on_error=False)
    assert (reply["status"], reply.get("ename")) == (("ok", None) if ran else ("error", "KeyboardInterrupt"))
    reply, _ = kernel.run("assert ('done' in globals()) is " + str(ran))
    assert reply["status"] == "ok"


def test_interrupts_at_any_moment_are_answered(new_kernel: Start, tmp_path: Path) -> None:
    kernel, chance = new_kernel(tmp_path), random.Random(5)
    for _ in range(100):
        request = kernel.client.execute("total = sum(range(10_000))", allow_stdin=False, stop_on_error=False)
        time.sleep(chance.uniform(0, 0.02))
        kernel.manager.interrupt_kernel()
        while (reply := kernel.client.get_shell_msg(timeout=120))["parent_header"]["msg_id"] != request:
            pass
        assert reply["content"]["status"] in ("ok", "error")
    assert kernel.run("6 * 7")[0]["status"] == "ok"


# -- the extension in an ordinary kernel --------------------------------------------------------------------


def test_load_ext_gives_the_same(new_kernel: Start, tmp_path: Path, uvfits: str) -> None:
    kernel = new_kernel(tmp_path, [sys.executable, "-m", "ipykernel", "-f", "{connection_file}"])
    reply, outputs = kernel.run(f"%load_ext casa_kernel\nimportuvfits({uvfits!r}, 'a.ms')")
    assert reply["status"] == "ok", outputs
    assert texts(outputs)[-1].startswith("importuvfits ran")
    assert "gaintype" in inspect(kernel, "gaincal")
    kernel.run("%load_ext casa_kernel")
    assert kernel.value("[split.__casa_task__, qa.convert('1km', 'm')['value']]") == ["split", 1000]
    kernel.run("%unload_ext casa_kernel")
    assert kernel.value("[n for n in ('split', 'tb', 'inp', 'qa') if n in globals()]") == []
    reply, outputs = kernel.run("from casatasks import split; type(split).__name__")
    assert outputs[-1]["data"]["text/plain"] == "'_split'"


def test_a_kernel_without_casa_says_so(tmp_path: Path, new_kernel: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    assert importlib.util.find_spec("casatasks") is not None
    monkeypatch.setenv("JUPYTERLAB_CASA_STORE", "nosuchstore")
    kernel = new_kernel(tmp_path)
    _, outputs = kernel.run("1 + 1")
    assert "CASA is not available in this kernel" in outputs[0]["text"] and "nosuchstore" in outputs[0]["text"]
    assert outputs[-1]["data"]["text/plain"] == "2"
