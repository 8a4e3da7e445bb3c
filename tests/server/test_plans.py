"""Plans, graphs and cell runs through REST: what the command prints, of what is in the editor."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from casa_recompute.live import KERNEL_ID
from casa_recompute.notebook.model import CellSource
from casa_recompute.notebook.outputs import digest
from casa_recompute.notebook.plan import plan_notebook
from casa_recompute.notebook.replan import Planner
from casa_recompute.session import Cell, Session
from tests.cli.conftest import CELLS, COMMAND, Done, write_notebook
from tests.cli.test_plan import states, valid
from tests.core.standin import fake_settings
from tests.server.conftest import until

Casa = Callable[..., Done]


def posted(path: Path, **edited: str) -> dict[str, Any]:
    """What an editor sends of a notebook."""
    cells = nbformat.read(path, as_version=4).cells
    return {
        "cells": [
            {"id": c.id, "index": n, "source": edited.get(c.id, c.source), "outputs": c.outputs}
            for n, c in enumerate(cells)
            if c.cell_type == "code"
        ]
    }


async def test_a_plan_and_a_graph_are_those_of_the_command(ask, casa: Casa, workspace: Path) -> None:
    notebook = workspace / "nb.ipynb"
    for _ in range(2):
        for what in ("plan", "graph"):
            answer = await ask(what, path="work/nb.ipynb", body=posted(notebook))
            assert answer == valid(what, casa(what, "nb.ipynb", "--json").json)
        assert casa("run", "nb.ipynb").code == 0
    answer = await ask("plan", path="work/nb.ipynb", body=posted(notebook))
    assert answer["fresh"] and set(states(answer).values()) == {"fresh"}


async def test_edits_that_are_not_saved_count(ask, casa: Casa, workspace: Path) -> None:
    notebook = workspace / "nb.ipynb"
    casa("run", "nb.ipynb")
    before = notebook.read_bytes()
    edited = CELLS | {"flag": "flagdata(vis='a.ms', field='7')"}
    answer = await ask("plan", path="work/nb.ipynb", body=posted(notebook, **edited))
    assert notebook.read_bytes() == before
    write_notebook(notebook, edited)
    told = casa("plan", "nb.ipynb", "--json").json
    assert [c["state"] for c in answer["cells"]][2:] == [c["state"] for c in told["cells"]][2:]
    assert answer["cells"][2]["reasons"][0]["message"] == "`field` of flagdata was '0', is now '7'"
    back = await ask("plan", path="work/nb.ipynb", body=posted(notebook, **CELLS))
    assert back["cells"][2]["state"] != "stale"


async def test_what_the_notebooks_kernel_holds_need_not_be_made_again(
    ask, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KERNEL_ID, "k-1")
    monkeypatch.chdir(workspace)
    cells = {"a": "data = bytearray(3_000_000)", "b": "size = len(data)"}
    names: dict[str, Any] = {}
    session = Session(workspace, fake_settings(keep_limit=1))
    session.attach(names)
    for cell, source in cells.items():
        session.begin_cell(Cell(cell, tuple(cells), "nb.ipynb", source))
        exec(source, names)
        session.end_cell()

    async def plan(kernel: str | None) -> list[str]:
        said = cells | {"b": cells["b"] + " + 1"}
        body = {"cells": [{"id": cell, "source": source} for cell, source in said.items()], "kernel": kernel}
        answer = await ask("plan", path="work/nb.ipynb", body=body)
        return [cell["state"] for cell in answer["cells"]]

    assert [await plan(kernel) for kernel in (None, "k-1", "k-2")] == [["stale"] * 2, ["fresh", "stale"], ["stale"] * 2]
    session.close()
    assert await plan("k-1") == ["stale", "stale"], "it is gone"


async def test_outputs_that_are_not_sent_are_taken_to_be_shown(ask, casa: Casa, workspace: Path) -> None:
    casa("run", "nb.ipynb")
    cells = posted(workspace / "nb.ipynb")["cells"]
    bare = [{"id": cell["id"], "source": cell["source"]} for cell in cells]
    assert (await ask("plan", path="work/nb.ipynb", body={"cells": bare}))["fresh"]
    empty = [cell | {"outputs": []} for cell in cells]
    answer = await ask("plan", path="work/nb.ipynb", body={"cells": empty})
    assert set(states(answer).values()) == {"fresh", "restorable"} and states(answer)["clean"] == "restorable"


async def test_identities_stand_for_outputs(ask, refused, casa: Casa, workspace: Path) -> None:
    casa("run", "nb.ipynb")
    cells = posted(workspace / "nb.ipynb")["cells"]
    shown = (await ask("outputs", body={"cells": [{"id": c["id"], "outputs": c["outputs"]} for c in cells]}))["shown"]
    assert shown.keys() == {cell["id"] for cell in cells}
    bare = [{"id": cell["id"], "source": cell["source"], "shown": shown[cell["id"]]} for cell in cells]
    assert (await ask("plan", path="work/nb.ipynb", body={"cells": bare}))["fresh"]
    other = [cell | {"shown": "0" * 64} if cell["id"] == "clean" else cell for cell in bare]
    answer = await ask("plan", path="work/nb.ipynb", body={"cells": other})
    assert {id: state for id, state in states(answer).items() if state != "fresh"} == {"clean": "restorable"}
    for wrong in ({}, {"cells": [{"id": "a"}]}, {"cells": [{"id": "a", "outputs": [{"output_type": "stream"}]}]}):
        assert (await refused("outputs", body=wrong))[0] == 400


async def test_what_a_kernel_does_meanwhile_is_seen(ask, casa: Casa, workspace: Path) -> None:
    body = posted(workspace / "nb.ipynb")
    for cell in body["cells"]:
        del cell["outputs"]
    assert set(states(await ask("plan", path="work/nb.ipynb", body=body)).values()) == {"stale"}
    casa("run", "nb.ipynb")
    assert set(states(await ask("plan", path="work/nb.ipynb", body=body)).values()) == {"fresh"}


async def test_a_cell_tells_its_runs_and_why_it_is_stale(ask, refused, casa: Casa, workspace: Path) -> None:
    casa("run", "nb.ipynb")
    answer = await ask("cells", "flag", path="work/nb.ipynb")
    assert answer["plan"]["state"] == "fresh", "nobody has posted it: it is as it is saved"
    (run,) = answer["runs"]
    (call,) = run["calls"]
    assert (run["outcome"], call["task"], call["action"]) == ("ok", "flagdata", "ran")
    assert call["cpu_s"] >= 0 and call["memory_bytes"] > 1 << 20
    await ask("plan", path="work/nb.ipynb", body=posted(workspace / "nb.ipynb", flag="flagdata(vis='a.ms', field='7')"))
    detail = await ask("runs", str(run["number"]), path="work/nb.ipynb")
    assert detail["plan"]["reasons"][0]["kind"] == "edited"
    assert detail["run"] == run and detail["source"] == CELLS["flag"]
    read = {one["resource"]: one for one in detail["reads"]}
    assert read["n:field"]["origin"] == "parameters" and read["p:a.ms"]["origin"] == "import"
    assert {"p:a.ms", "p:a.ms.flagversions"} <= {one["resource"] for one in detail["writes"]}
    assert (await refused("runs", "999", path="work/nb.ipynb"))[0] == 404
    assert (await refused("runs", "x", path="work/nb.ipynb"))[0] == 404
    assert (await ask("cells", "nobody", path="work/nb.ipynb"))["plan"] is None


async def test_a_notebook_that_was_never_saved_can_be_planned(ask, workspace: Path) -> None:
    answer = await ask("plan", path="work/new.ipynb", body={"cells": [{"id": "a", "source": "x = 1"}]})
    assert answer["notebook"] == "new.ipynb" and states(answer) == {"a": "stale"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"cells": [{"id": "a"}]},
        {"cells": [{"id": "a b", "source": ""}]},
        {"cells": [{"id": "a", "source": "x"}, {"id": "a", "source": "y"}]},
        {"cells": [{"id": "a", "source": "x", "outputs": [{"output_type": "stream"}]}]},
    ],
)
async def test_what_is_no_notebook_is_refused(refused, workspace: Path, body: dict[str, Any]) -> None:
    assert (await refused("plan", path="work/nb.ipynb", body=body))[0] == 400


async def test_a_memory_that_cannot_be_read_is_told(refused, workspace: Path) -> None:
    home = workspace / ".casa-recompute"
    home.mkdir()
    (home / "ledger.sqlite").write_bytes(b"no ledger at all" * 1000)
    code, message = await refused("plan", path="work/nb.ipynb", body=posted(workspace / "nb.ipynb"))
    assert code == 409 and message


async def test_who_asks_the_same_at_once_is_answered_at_once(
    ask, casa: Casa, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, go = [], threading.Event()
    plain = Planner.text

    def text(self: Planner, *args: Any) -> str:
        made.append(threading.current_thread().name)
        go.wait(120)
        return plain(self, *args)

    monkeypatch.setattr(Planner, "text", text)
    body = posted(workspace / "nb.ipynb")
    asked = [asyncio.ensure_future(ask("plan", path="work/nb.ipynb", body=body, raw=True)) for _ in range(6)]
    while not made:
        await asyncio.sleep(0.01)
    await ask("tasks", "flagdata")  # the server answers others meanwhile
    go.set()
    answers = await asyncio.gather(*asked)
    assert len(set(answers)) == 1 and json.loads(answers[0])["cells"]
    assert len(made) <= 2, "those who came while it was made may need something newer, but all of them the same"
    assert all(name.startswith("Plans") for name in made), "never in the event loop"


NASTY = ["\0", "x = '\ud800'", "vis='\\ud800'\nflagdata(vis=vis)", "-" * 5000 + "1", "[" * 3000, "(" * 150 + ")" * 150]
NASTY += [
    "x" + "[0]" * 5000,
    "lambda:" * 3000 + "1",
    "x = " + "9" * 5000,
    "flagdata(vis='a\\0b')",
    "%cd /",
    "!ls",
    "%%bash\nls",
]
NASTY += [
    "tclean(vis='../../x.ms', imagename='/etc/passwd')",
    "flagdata(" + "vis='a'," * 300 + ")",
    "\ufeffx",
    "x = 1\u2028y = 2",
]


async def test_texts_that_no_parser_likes_are_planned(ask, workspace: Path) -> None:
    cells = [{"id": f"c{number}", "source": text} for number, text in enumerate(NASTY)]
    answer = await ask("plan", path="work/nb.ipynb", body={"cells": cells})
    assert set(states(answer).values()) == {"stale"}
    await ask("graph", path="work/nb.ipynb", body={"cells": cells})


async def test_a_plan_is_answered_while_a_kernel_is_busy(
    ask, workspace: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """A real kernel, with the workspace's lock: its first task goes on when the plan is seen to know what is done."""
    config, hold = tmp_path / "config.toml", tmp_path / "hold"
    hold.touch()
    config.write_text(config.read_text() + f"FAKE_HOLD = {str(hold)!r}\n")
    body = posted(workspace / "nb.ipynb")
    for cell in body["cells"]:
        del cell["outputs"]
    command = [*COMMAND, "run", "nb.ipynb"]
    kernel = await asyncio.create_subprocess_exec(*command, cwd=workspace, env=environment)
    seen = []
    while kernel.returncode is None:
        plan = await ask("plan", path="work/nb.ipynb", body=body)
        count = list(states(plan).values()).count("fresh")
        if not seen or seen[-1] != count:
            seen.append(count)
        if 0 < count < 6:
            hold.unlink(missing_ok=True)
        await asyncio.sleep(0.05)
    assert kernel.returncode == 0
    assert seen[0] == 0 and any(0 < count < 6 for count in seen), "one can see how cells become fresh"
    assert set(states(await ask("plan", path="work/nb.ipynb", body=body)).values()) == {"fresh"}


async def test_a_notebook_of_which_nobody_asks_is_closed_and_opened_again(
    ask, casa: Casa, workspace: Path, jp_serverapp: Any
) -> None:
    casa("run", "nb.ipynb")
    plans = jp_serverapp.extension_manager.extension_apps["jupyterlab_casa"].pop().managers["plans"]
    body = posted(workspace / "nb.ipynb", split="split(vis='a.ms', outputvis='c.ms')")
    first = await ask("plan", path="work/nb.ipynb", body=body)
    ledger = str(workspace / ".casa-recompute" / "ledger.sqlite")
    assert ledger in open_files()
    plans.idle_limit = plans.prepare_after = 0.1
    await ask("plan", path="work/nb.ipynb", body=body)
    await until(lambda: asyncio.sleep(0, ledger not in open_files()))
    plans.idle_limit = 0.0
    assert await ask("plan", path="work/nb.ipynb", body=body) == first
    await asyncio.sleep(0.5)
    assert ledger in open_files(), "0 is never"


def open_files() -> set[str]:
    return {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}


async def test_what_is_prepared_while_nobody_asks_changes_no_answer(
    ask, casa: Casa, workspace: Path, jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    casa("run", "nb.ipynb")
    prepared = threading.Event()
    plain = Planner.prepare

    def prepare(self: Planner, seconds: float) -> bool:
        more = plain(self, seconds)
        if not more:
            prepared.set()
        return more

    monkeypatch.setattr(Planner, "prepare", prepare)
    plans = jp_serverapp.extension_manager.extension_apps["jupyterlab_casa"].pop().managers["plans"]
    plans.prepare_after = 0.05
    await ask("plan", path="work/nb.ipynb", body=posted(workspace / "nb.ipynb"))
    await until(lambda: asyncio.sleep(0, prepared.is_set()))
    body = posted(workspace / "nb.ipynb", parameters="niter = 4\nfield = '0'")
    answer = await ask("plan", path="work/nb.ipynb", body=body)
    cells = [CellSource(c["id"], c["index"], c["source"], digest(c["outputs"])) for c in body["cells"]]
    assert answer == json.loads(json.dumps(plan_notebook(workspace, "nb.ipynb", cells).as_json()))
    assert states(answer)["clean"] == "maybe"
