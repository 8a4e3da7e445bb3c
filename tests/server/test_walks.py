"""Re-running what is stale from a browser, in a kernel that lives on: real kernels, CASA's stand-in."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import casadata
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from casa_recompute.notebook.outputs import Showing
from casa_recompute.workspace import Workspace
from tests.server.conftest import Ask, until

KERNEL = "0123-kernel"


@pytest.fixture
def jp_server_config(jp_server_config: dict[str, Any]) -> dict[str, Any]:
    return {**jp_server_config, "Walks": {"patience": 60.0}}


class Browser:
    """A notebook in a browser: what its cells say and show, and a connection to its kernel."""

    def __init__(self, ask: Ask, directory: Path, **cells: str) -> None:
        self.cells: dict[str, str] = cells
        self.shown: dict[str, list[dict[str, Any]]] = {}
        self.executed: list[str] = []
        self.during: Callable[[str], Awaitable[None]] | None = None
        self._ask = ask
        self._directory = directory
        self._manager = AsyncKernelManager()
        argv = [sys.executable, "-m", "casa_kernel", "-f", "{connection_file}"]
        self._manager._kernel_spec = KernelSpec(argv=argv, display_name="CASA", language="python")
        self._client: Any = None

    async def open(self) -> None:
        environment = {**os.environ, "JUPYTERLAB_CASA_KERNEL_ID": KERNEL, "PYTHONPATH": os.pathsep.join(sys.path)}
        await self._manager.start_kernel(cwd=str(self._directory), env=environment)
        await self._connect()

    async def _connect(self) -> None:
        self._client = self._manager.client()
        self._client.start_channels()
        await self._client.wait_for_ready(timeout=90)

    async def restart(self) -> None:
        self._client.stop_channels()
        await self._manager.restart_kernel(now=True)
        await self._connect()

    async def close(self) -> None:
        self._client.stop_channels()
        await self._manager.shutdown_kernel(now=True)

    async def request(self, code: str, silent: bool = False, **metadata: Any) -> tuple[dict[str, Any], Showing]:
        """An execute_request; the reply, and what is shown."""
        content = {"code": code, "silent": silent, "store_history": not silent, "allow_stdin": True}
        content |= {"user_expressions": {}, "stop_on_error": True}
        message = self._client.session.msg("execute_request", content, metadata=metadata)
        self._client.shell_channel.send(message)
        showing = Showing()
        while True:
            told = await self._client.get_iopub_msg(timeout=90)
            if told["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            if told["msg_type"] == "status" and told["content"]["execution_state"] == "idle":
                break
            showing.add(told["msg_type"], told["content"])
        while True:
            reply = await self._client.get_shell_msg(timeout=90)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                return reply["content"], showing

    async def value(self, expression: str) -> Any:
        """What a name in the kernel is; asked for as a front end does for itself."""
        _, showing = await self.request(f"import json as _json; print(_json.dumps({expression}))", store=False)
        return json.loads("".join(part for output in showing.outputs() for part in output["text"]))

    async def run(self, cell: str, state: Mapping[str, Any] | None = None) -> bool:
        """Shift+Enter, or a step of a walk."""
        casa: dict[str, Any] = {"notebook": "work/nb.ipynb", "cells": list(self.cells)}
        reply, showing = await self.request(
            self.cells[cell], cellId=cell, casa=casa if state is None else {**casa, "state": state}
        )
        self.shown[cell] = showing.outputs()
        return bool(reply["status"] == "ok")

    def text(self, cell: str) -> str:
        """What a cell has printed."""
        return "".join("".join(output["text"]) for output in self.shown[cell] if output["output_type"] == "stream")

    def posted(self) -> list[dict[str, Any]]:
        return [{"id": c, "source": s, "outputs": self.shown.get(c, [])} for c, s in self.cells.items()]

    async def begin(self, **how: Any) -> dict[str, Any]:
        self.executed.clear()
        how = {"kernel": KERNEL, **how}
        return dict(await self._ask("walks", path="work/nb.ipynb", body={"cells": self.posted(), **how}))

    async def step(self, walk: str, **told: Any) -> dict[str, Any]:
        return dict(await self._ask("walks", walk, "step", body=told))

    async def walk(self, answer: Mapping[str, Any] | None = None, **how: Any) -> dict[str, Any]:
        """Take all steps; what came of it."""
        answer = answer or await self.begin(**how)
        while answer["done"] is None:
            ok: bool | None = None
            former: list[dict[str, Any]] = []
            told: dict[str, Any] = {}
            for step in answer["steps"]:
                cell = step["cell"]
                if step["action"] == "restore":
                    self.shown[cell] = step["outputs"]
                elif step["action"] == "execute":
                    former = self.shown.get(cell, [])
                    self.executed.append(cell)
                    meanwhile = asyncio.ensure_future(self.during(cell)) if self.during is not None else None
                    said = dict(self.cells)
                    ok = await self.run(cell, step["state"])
                    if meanwhile is not None:
                        await meanwhile
                    told = {"cells": self.posted()} if said != self.cells else {}
                elif step["action"] == "settle":
                    reply, _ = await self.request("pass", silent=True, casa={"state": step["state"]})
                    ok = reply["status"] == "ok"
            answer = await self.step(answer["id"], ok=ok, **told)
            if answer["refused"]:
                self.shown[self.executed.pop()] = former
        return dict(answer["done"])


Open = Callable[..., Awaitable[Browser]]
Refused = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def browser(ask: Ask, workspace: Path, jp_asyncio_loop: asyncio.AbstractEventLoop) -> Iterator[Open]:
    opened: list[Browser] = []

    async def open_(**cells: str) -> Browser:
        opened.append(Browser(ask, workspace, **cells))
        await opened[-1].open()
        return opened[-1]

    yield open_
    for one in opened:
        jp_asyncio_loop.run_until_complete(one.close())


async def test_a_kernel_that_has_seen_much_is_left_as_after_a_run_from_the_top(browser: Open, workspace: Path) -> None:
    notebook = await browser(
        a="items = [1]",
        b="items.append(2)\nprint(items)",
        c="importuvfits('raw.fits', 'a.ms')\nlocks = (n for n in range(3))",
        d="flagdata('a.ms')\nprint(sorted(n for n in globals() if n in ('extra', 'items', 'gone', 'mine')))",
    )
    await notebook.request("mine = 3\nextra = 4")  # a console
    for cell in ("a", "b", "b", "c", "d", "b"):
        assert await notebook.run(cell)
    assert notebook.text("b") == "[1, 2, 2, 2]\n"
    notebook.cells["z"] = "gone = 5"
    await notebook.run("z")
    del notebook.cells["z"]

    done = await notebook.walk()
    assert done["failed"] is None
    assert notebook.text("b") == "[1, 2]\n"
    assert notebook.text("d") == "['items']\n"
    assert await notebook.value("items") == [1, 2]
    assert (await notebook.request("gone"))[0]["ename"] == "NameError"
    assert await notebook.value("[mine, extra]") == [3, 4]  # no cell has anything to do with these

    flagged = (workspace / "a.ms" / "DATA").read_bytes()
    assert (await notebook.walk())["changed"] == []
    assert notebook.executed == []
    notebook.cells["e"] = "print(list(locks))"  # which nobody could bring back, but the kernel has it
    await notebook.walk()
    assert notebook.executed == ["e"]
    assert notebook.text("e") == "[0, 1, 2]\n"
    assert (workspace / "a.ms" / "DATA").read_bytes() == flagged


async def test_what_is_edited_runs_and_what_was_there_before_is_shown_again(browser: Open, workspace: Path) -> None:
    notebook = await browser(
        import_="importuvfits('raw.fits', 'a.ms')", flag="flagdata('a.ms', field='0')", show="print(1 + 1)"
    )
    answer = await notebook.begin()
    assert [cell["state"] for cell in answer["plan"]["cells"]] == ["stale"] * 3
    assert answer["steps"][0]["reasons"][0]["message"] == "it has never run"
    await notebook.walk(answer)
    assert notebook.executed == ["import_", "flag", "show"]
    before = (workspace / "a.ms" / "DATA").read_bytes()
    notebook.cells["flag"] = "flagdata('a.ms', field='1')"
    await notebook.walk()
    assert notebook.executed == ["flag"]
    notebook.shown["show"] = []
    notebook.cells["flag"] = "flagdata('a.ms', field='0')"
    done = await notebook.walk()
    assert notebook.executed == []
    assert notebook.text("show") == "2\n"
    assert "a.ms" in done["changed"] and done["saved_s"] > 0
    assert (workspace / "a.ms" / "DATA").read_bytes() == before


async def test_to_here_and_everything(browser: Open) -> None:
    notebook = await browser(a="x = 1", b="x += 1\nprint(x)", c="x += 1\nprint(x)")
    await notebook.walk(to="b")
    assert notebook.executed == ["a", "b"]
    assert await notebook.value("x") == 2
    await notebook.walk()
    assert notebook.executed == ["c"]
    await notebook.walk(to="b")
    assert notebook.executed == []
    assert await notebook.value("x") == 2
    await notebook.walk(everything=True)
    assert notebook.executed == ["a", "b", "c"]
    assert await notebook.value("x") == 3


async def test_a_cell_that_fails_ends_the_walk(browser: Open) -> None:
    notebook = await browser(a="x = 1", b="x = 2\ny = 1 / 0", c="print(x)")
    await notebook.run("c")
    done = await notebook.walk()
    assert (done["failed"], notebook.executed) == ("b", ["a", "b"])
    assert await notebook.value("x") == 2  # one can look at what there was
    notebook.cells["b"] = "y = 1"
    await notebook.walk()
    assert notebook.executed == ["b", "c"]
    assert notebook.text("c") == "1\n"


async def test_edits_and_a_restart_during_a_walk(browser: Open) -> None:
    notebook = await browser(a="x = 1", b="y = x + 1", c="print(x, y)")

    async def edit(cell: str) -> None:
        if cell == "b":
            notebook.cells = {"a": "x = 2", **{c: s for c, s in notebook.cells.items() if c != "a"}, "d": "print(y)"}

    notebook.during = edit
    await notebook.walk()
    notebook.during = None
    assert notebook.executed == ["a", "b", "a", "b", "c", "d"]
    assert (notebook.text("c"), notebook.text("d")) == ("2 3\n", "3\n")

    notebook.cells |= {"b": "y = x + 5", "c": "print(x, y, 0)"}
    answer = await notebook.begin()
    await notebook.restart()
    await notebook.walk(answer)
    assert notebook.executed == ["b", "c", "d"]
    assert (notebook.text("c"), notebook.text("d")) == ("2 7 0\n", "7\n")


async def test_what_a_widget_has_changed_is_noticed(browser: Open) -> None:
    notebook = await browser(a="items = [1]", b="print(items)")
    await notebook.walk()
    await notebook.request("items.append(2)", silent=True)
    notebook.cells["b"] = "print(items, 0)"
    await notebook.walk()
    assert notebook.text("b") == "[1] 0\n"
    await notebook.request("items.append(2)", silent=True)
    await notebook.run("b")
    assert notebook.text("b") == "[1, 2] 0\n"
    await notebook.walk()
    assert notebook.text("b") == "[1] 0\n"


async def test_it_stops_after_the_call_that_runs(browser: Open, ask: Ask, workspace: Path) -> None:
    config = Path(os.environ["JUPYTERLAB_CASA_CONFIG"])
    hold = workspace.parent / "hold"
    hold.touch()
    config.write_text(config.read_text() + f"FAKE_HOLD = {str(hold)!r}\n")
    notebook = await browser(a="importuvfits('raw.fits', 'a.ms')\nimportuvfits('raw.fits', 'b.ms')", b="print(1)")
    answer = await notebook.begin()

    async def stop(cell: str) -> None:
        while not (workspace / "a.ms").exists():
            await asyncio.sleep(0.05)
        assert (await ask("walks", answer["id"], "stop", body={}))["running"] == "a"
        hold.unlink()

    notebook.during = stop
    done = await notebook.walk(answer)
    notebook.during = None
    assert (done["failed"], notebook.executed) == ("a", ["a"])
    error = notebook.shown["a"][-1]
    assert (error["ename"], error["evalue"]) == ("KeyboardInterrupt", "stopped after importuvfits, as asked for")
    await notebook.walk()
    assert notebook.executed == ["a", "b"]
    (run,) = [run for run in (await ask("cells", "a", path="work/nb.ipynb"))["runs"] if run["outcome"] == "ok"]
    assert [call["action"] for call in run["calls"]] == ["restored", "ran"]


async def test_one_walk_at_a_time(ask: Ask, refused: Refused, workspace: Path) -> None:
    body = {"cells": [{"id": "a", "source": "x = 1"}]}
    walk = (await ask("walks", path="work/nb.ipynb", body=body))["id"]
    status, message = await refused("walks", path="work/other.ipynb", body=body)
    assert status == 409 and message.startswith("nb.ipynb is being re-run in this directory (since ")
    assert (await refused("walks", walk, "step", body={}))[0] == 400  # and goes on
    assert (await refused("walks", walk, "step", body={"ok": 1}))[0] == 400
    status, message = await refused("walks", walk, "step", body={"ok": True})
    assert status == 409 and "could not be recorded" in message
    assert (await refused("walks", walk, "step", body={"ok": True}))[0] == 404
    assert (await ask("walks", walk, method="DELETE"))["ended"] is False
    second = await ask("walks", path="work/nb.ipynb", body=body)
    assert (await ask("walks", second["id"], method="DELETE"))["ended"] is True
    for how in ({"kernel": "nobody"}, {"to": "nowhere"}):
        assert (await refused("walks", path="work/nb.ipynb", body=body | how))[0] in (400, 409)
    assert (await ask("walks", path="work/nb.ipynb", body=body))["steps"]


async def test_a_walk_that_nobody_goes_on_with_is_given_up(ask: Ask, workspace: Path, jp_serverapp: Any) -> None:
    (extension,) = jp_serverapp.extension_manager.extension_apps["jupyterlab_casa"]
    extension.managers["walks"].idle_after = 0.2
    walk = (await ask("walks", path="work/nb.ipynb", body={"cells": [{"id": "a", "source": "x = 1"}]}))["id"]
    walks = extension.managers["walks"]
    await until(lambda: asyncio.sleep(0, not walks._open))
    assert (await ask("walks", walk, method="DELETE"))["ended"] is False


async def test_a_kernel_at_work_in_the_workspace(
    ask: Ask, refused: Refused, workspace: Path, jp_serverapp: Any
) -> None:
    (extension,) = jp_serverapp.extension_manager.extension_apps["jupyterlab_casa"]
    extension.managers["walks"].patience = 0.1
    answer = await ask("walks", path="work/nb.ipynb", body={"cells": []})
    space = Workspace(workspace)
    with space.lock():
        status, message = await refused("walks", answer["id"], "step", body={"ok": True})
        assert status == 429 and "is in use by process" in message
    assert (await ask("walks", answer["id"], "step", body={"ok": True}))["done"] is not None
    space.close()


async def test_tools_are_as_after_the_last_cell(browser: Open) -> None:
    table = f"{casadata.datapath}/geodetic/IERSeop2000"
    notebook = await browser(a=f"tb.open({table!r})", b="print(tb.name().split('/')[-1])")
    await notebook.run("a")
    notebook.cells["c"] = "tb.close()"
    await notebook.run("c")
    del notebook.cells["c"]
    await notebook.walk()
    assert notebook.executed == ["a", "b"]  # nobody could open it again but the cell that does
    assert notebook.text("b") == "IERSeop2000\n"
    notebook.cells["b"] = "print(len(tb.name()) > 3)"
    await notebook.walk()
    assert notebook.executed == ["a", "b"]  # the former b might have gone on to another row, or closed it
    assert await notebook.value("tb.name()") == table
    del notebook.cells["a"], notebook.cells["b"]
    notebook.cells["d"] = "import math"
    await notebook.walk()
    assert await notebook.value("tb.name()") != table
