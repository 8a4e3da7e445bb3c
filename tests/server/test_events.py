"""What happens in workspaces and notebooks comes on the server's event stream, as it happens."""

from __future__ import annotations

import asyncio
import copy
import importlib.resources
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from casa_recompute.live import Live, Teller
from casa_recompute.notebook.replan import Planner
from casa_recompute.workspace import HOME
from jupyterlab_casa.managers import events
from jupyterlab_casa.stream import IDS, PREFIX
from tests.cli.conftest import CELLS, COMMAND, Done, write_notebook
from tests.kernels.conftest import SLOW
from tests.server.conftest import until
from tests.server.test_plans import posted
from tests.server.test_stream import NAMES, Client

Casa = Callable[..., Done]
SCHEMAS = {
    path.name.removesuffix(".yaml"): yaml.safe_load(path.read_text())
    for path in importlib.resources.files("jupyterlab_casa").joinpath("events").iterdir()
    if path.name.endswith(".yaml")
}


def closed(node: Any) -> Any:
    """A schema that allows no member that it does not name."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: closed(item) for key, item in node.items()}
    return found | {"additionalProperties": False} if "properties" in node else found


CHECKS = {
    kind: jsonschema.Draft202012Validator({k: v for k, v in closed(schema).items() if k != "$id"})
    for kind, schema in SCHEMAS.items()
}


class Heard:
    """All events of ours that the server has sent."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.events: list[tuple[str, dict[str, Any]]] = []
        app.serverapp.event_logger.add_listener(listener=self.hear)

    async def hear(self, logger: Any, schema_id: str, data: Mapping[str, Any]) -> None:
        if schema_id.startswith(PREFIX):
            event = {name: copy.deepcopy(value) for name, value in data.items() if not name.startswith("__")}
            CHECKS[NAMES[schema_id]].validate(event)
            self.events.append((NAMES[schema_id], event))

    def of(self, kind: str, **wanted: Any) -> list[dict[str, Any]]:
        return [event for name, event in self.events if name == kind and all(event[k] == v for k, v in wanted.items())]

    async def wait(self, kind: str, seconds: float = 120, **wanted: Any) -> dict[str, Any]:
        """The newest event of a kind with these members, once there is one."""

        async def found() -> Any:
            return self.of(kind, **wanted)

        return (await until(found, seconds))[-1]

    def states(self, path: str = "work/nb.ipynb") -> dict[str, str]:
        """What was told of a notebook's cells, taken together."""
        found: dict[str, str] = {}
        for event in self.of("cells", path=path):
            found |= {cell["id"]: cell["state"] for cell in event["cells"]}
            found = {name: state for name, state in found.items() if name not in event["gone"]}
        return found


@pytest.fixture
def jp_server_config() -> dict[str, Any]:
    quick = {"period": 0.05, "idle_period": 0.05, "files_period": 0.1, "plan_period": 0.05, "store_period": 0.1}
    return {
        "ServerApp": {"jpserver_extensions": {"jupyterlab_casa": True}},
        "Plans": {"look_after": 0.0},
        "Events": quick,
    }


@pytest.fixture
def app(jp_serverapp: Any, workspace: Path) -> Any:
    (app,) = jp_serverapp.extension_manager.extension_apps["jupyterlab_casa"]
    return app


@pytest.fixture
def heard(app: Any) -> Heard:
    return Heard(app)


class Lines:
    """Reads logs as a manager of logs does."""

    async def news(self, directory: Path, since: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        return await asyncio.to_thread(self._news, directory, since)

    def _news(self, directory: Path, since: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        found = {}
        for session, known in since.items():
            (path,) = (directory / HOME / "log").glob(f"*{session}*")
            lines = path.read_text().splitlines()
            new = [{"number": n + 1, "message": text} for n, text in enumerate(lines) if n >= known][-500:]
            skipped = len(lines) - known - len(new)
            found[session] = {"first": len(lines) - len(new) + 1, "lines": new, "total": len(lines), "skipped": skipped}
        return found


def session(workspace: Path, name: str) -> tuple[Teller, Path]:
    """What a kernel would tell that works there, and its log."""
    log = workspace / HOME / "log" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    return Teller(workspace / HOME, name, log), log


async def test_schemas_name_what_all_events_have() -> None:
    assert (
        {f"{PREFIX}{kind}:1" for kind in SCHEMAS} == {schema["$id"] for schema in SCHEMAS.values()} == {*IDS.values()}
    )
    for schema in SCHEMAS.values():
        assert {"epoch", "revision", "time", "workspace", "kernel", "session"} <= set(schema["required"])
        jsonschema.Draft7Validator.check_schema(schema)


async def test_a_kernel_and_a_notebook_through_the_socket(
    ask, start, workspace: Path, jp_ws_fetch: Callable[..., Any], app: Any
) -> None:
    socket = await jp_ws_fetch("api", "events", "subscribe")
    told: list[tuple[str, dict[str, Any]]] = []

    async def wait(kind: str, after: int = 0, **wanted: Any) -> dict[str, Any]:
        while True:
            for name, event in told:
                if (
                    name == kind
                    and event["revision"] > after
                    and all(event.get(key) == value for key, value in wanted.items())
                ):
                    return event
            message = json.loads(await asyncio.wait_for(socket.read_message(), 120))
            if message["schema_id"] in NAMES:
                CHECKS[NAMES[message["schema_id"]]].validate(
                    {k: v for k, v in message.items() if not k.startswith("__") and k != "schema_id"}
                )
                told.append((NAMES[message["schema_id"]], message))

    await ask("plan", path="work/nb.ipynb", body={"cells": [{"id": "one", "source": SLOW}]})
    first = await wait("cells", because="asked")
    assert (first["workspace"], first["path"], first["fresh"]) == ("work", "work/nb.ipynb", False)
    assert first["cells"][0]["reasons"][0]["message"]
    config, hold = Path(os.environ["JUPYTERLAB_CASA_CONFIG"]), workspace.parent / "hold"
    config.write_text(config.read_text().replace("FAKE_PAUSE = '3'", f"FAKE_HOLD = {str(hold)!r}"))
    hold.touch()
    kernel = await start()
    started = await wait("kernel", kernel=kernel.id)
    assert (started["action"], started["workspace"]) == ("started", "work")
    content = {"code": SLOW, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    message = kernel.client.session.msg("execute_request", content, metadata={"cellId": "one"})
    message["metadata"]["casa"] = {"notebook": "nb.ipynb", "cells": ["one"]}
    kernel.client.shell_channel.send(message)
    call = await wait("call", action="started")
    assert (call["task"], call["kernel"], call["cell"]) == ("importuvfits", kernel.id, "one")
    assert (await wait("call", action="progressed"))["task"] == "importuvfits"
    now = await ask("changes")
    (there,) = now["state"]["kernels"]
    assert there["call"]["task"] == "importuvfits" and there["kernel"] == kernel.id
    hold.unlink()
    assert (await wait("product", action="captured"))["path"] == "slow.ms"
    result = (await wait("call", action="ended"))["result"]
    assert (result["action"], result["products"], result["error"]) == ("ran", ["slow.ms"], None)
    assert result["cpu_s"] >= 0 and result["memory_bytes"] > 1 << 20
    ended = await wait("cell", action="ended")
    assert (ended["cell"], ended["outcome"]) == ("one", "ok") and ended["run"] > 0
    fresh = await wait("cells", fresh=True)
    assert fresh["because"] in ("recorded", "disk"), "whichever is seen first"
    assert fresh["cells"][0]["state"] == "fresh"
    (workspace / "slow.ms" / "FLAG").write_text("by hand")
    stale = await wait("cells", after=fresh["revision"])
    assert (stale["fresh"], stale["cells"][0]["state"]) == (False, "restorable")
    assert stale["because"] in ("disk", "recorded"), "the latter, if a plan was due anyway"
    assert "slow.ms" in stale["cells"][0]["reasons"][0]["message"]
    await app.serverapp.kernel_manager.shutdown_kernel(kernel.id, now=True)
    assert (await wait("kernel", action="ended"))["kernel"] == kernel.id
    assert [event["revision"] for _, event in told] == list(range(1, len(told) + 1))
    assert {event["epoch"] for _, event in told} == {now["epoch"]}
    socket.close()


async def test_a_run_in_a_terminal_is_seen_while_a_notebook_is_open(
    ask, casa: Casa, workspace: Path, environment: dict[str, str], heard: Heard
) -> None:
    command = await asyncio.create_subprocess_exec(*COMMAND, "run", "nb.ipynb", cwd=workspace, env=environment)
    assert await command.wait() == 0
    assert not heard.events, "nobody of this server is interested yet"
    write_notebook(workspace / "nb.ipynb", CELLS | {"flag": "flagdata(vis='a.ms', field='7')"})
    cells = posted(workspace / "nb.ipynb")["cells"]
    bare = [{"id": cell["id"], "source": cell["source"]} for cell in cells]
    await ask("plan", path="work/nb.ipynb", body={"cells": bare})
    await heard.wait("cells", because="asked", fresh=False)
    command = await asyncio.create_subprocess_exec(*COMMAND, "run", "nb.ipynb", cwd=workspace, env=environment)
    assert await command.wait() == 0
    await heard.wait("kernel", action="ended")
    (flagged,) = heard.of("call", action="ended", task="flagdata")
    told = (flagged["workspace"], flagged["kernel"], flagged["cell"])
    assert told == ("work", "", "flag"), "its kernel is none of this server's"
    assert flagged["result"]["action"] == "ran" and heard.of("product", action="captured", path="a.ms")
    await heard.wait("cells", fresh=True)
    assert set(heard.states().values()) == {"fresh"}


async def test_only_what_differs_is_told(ask, casa: Casa, workspace: Path, heard: Heard) -> None:
    casa("run", "nb.ipynb")
    notebook = workspace / "nb.ipynb"
    await ask("plan", path="work/nb.ipynb", body=posted(notebook))
    first = await heard.wait("cells")
    assert len(first["cells"]) == 6 and first["fresh"]
    await asyncio.sleep(0.5)
    assert len(heard.of("cells")) == 1, "nothing has changed since"
    body = posted(notebook, flag="flagdata(vis='a.ms', field='7')")
    answer = await ask("plan", path="work/nb.ipynb", body=body)
    await heard.wait("cells", fresh=False)
    expected = {cell["id"]: cell["state"] for cell in answer["cells"]}
    assert heard.states() == expected and set(expected.values()) > {"fresh"}
    assert {cell["id"] for cell in heard.of("cells")[-1]["cells"]} == {k for k, v in expected.items() if v != "fresh"}
    del body["cells"][-1]
    await ask("plan", path="work/nb.ipynb", body=body)
    assert (await heard.wait("cells", gone=["clean"]))["cells"] == []
    state = (await ask("changes"))["state"]
    assert {cell["id"]: cell["state"] for cell in state["notebooks"][0]["cells"]} == heard.states()


async def test_a_large_notebook_is_told_in_pieces(ask, workspace: Path, heard: Heard) -> None:
    cells = [{"id": f"c{number}", "source": f"x{number} = {number}"} for number in range(250)]
    await ask("plan", path="work/nb.ipynb", body={"cells": cells})
    await until(lambda: _true(len(heard.states()) == 250))
    assert [len(event["cells"]) for event in heard.of("cells")] == [100, 100, 50]


async def _true(value: bool) -> bool:
    return value


async def test_a_notebook_is_closed_after_a_while(ask, workspace: Path, app: Any, heard: Heard) -> None:
    await ask("plan", path="work/nb.ipynb", body={"cells": [{"id": "a", "source": "x = 1"}]})
    teller, _ = session(workspace, "ab")
    await heard.wait("kernel", action="started")
    app.managers["events"].open_for = 0.0
    assert (await heard.wait("cells", closed=True))["path"] == "work/nb.ipynb"
    await heard.wait("kernel", action="ended")
    state = (await ask("changes"))["state"]
    assert state["notebooks"] == state["kernels"] == []
    teller.close()


async def test_plans_are_made_again_once_for_much_that_happens(
    ask, casa: Casa, workspace: Path, app: Any, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    casa("run", "nb.ipynb")
    await ask("plan", path="work/nb.ipynb", body=posted(workspace / "nb.ipynb"))
    await heard.wait("cells")
    app.managers["events"].files_period, app.managers["events"].plan_period = 3600.0, 0.2
    await asyncio.sleep(0.3)
    began: list[float] = []
    plain, mutex = Planner.plan, threading.Lock()

    def plan(self: Planner, *args: Any) -> Any:
        began.append(time.monotonic())
        assert mutex.acquire(blocking=False), "one at a time"
        try:
            return plain(self, *args)
        finally:
            mutex.release()

    monkeypatch.setattr(Planner, "plan", plan)
    teller, _ = session(workspace, "ab")
    for _ in range(100):
        teller.product("product-captured", "a.ms", "v")
        await asyncio.sleep(0.005)
    await until(lambda: _true(len(heard.of("product")) == 100))
    await until(lambda: _found(began))
    await asyncio.sleep(0.5)
    assert all(later - earlier >= 0.2 for earlier, later in zip(began, began[1:], strict=False))
    teller.close()


async def test_nothing_outside_the_root_is_told(
    ask, workspace: Path, app: Any, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, inside = tmp_path / "elsewhere", workspace / "inside"
    elsewhere.mkdir(), inside.mkdir()
    tellers = [session(directory, "ab")[0] for directory in (elsewhere, inside)]
    kernels = {"k1": str(elsewhere), "k2": str(inside)}
    manager = SimpleNamespace(get_kernel=lambda i: SimpleNamespace(provisioner=SimpleNamespace(cwd=kernels[i])))
    monkeypatch.setattr(app.managers["kernels"], "kernel_manager", manager)
    monkeypatch.setattr(type(app.managers["kernels"]), "_ours", lambda self: tuple(kernels))
    await heard.wait("kernel", action="started")
    for teller in tellers:
        teller.note("nothing")
        teller.product("product-captured", "a.ms", "v")
    await heard.wait("product")
    tellers[1].close()
    await heard.wait("kernel", action="ended")
    inside.rename(workspace / "was")
    inside.symlink_to(elsewhere)
    tellers[0].product("product-captured", "a.ms", "v")
    await asyncio.sleep(0.5)
    assert {event["workspace"] for _, event in heard.events} == {"work/inside"}
    assert len(heard.of("kernel")) == 2 and len(heard.of("product")) == 1
    tellers[0].close()


async def test_a_store_that_is_nearly_full(ask, casa: Casa, workspace: Path, app: Any, heard: Heard) -> None:
    casa("run", "nb.ipynb")
    await ask("plan", path="work/nb.ipynb", body={"cells": [{"id": "a", "source": "x = 1"}]})
    store = app.managers["store"]
    store.near_disk = 1.0
    told = await heard.wait("store")
    (disk,) = told["near"]
    assert disk["what"] == "disk" and 0 < disk["used"] < disk["limit"] and "GB left" in disk["message"]
    assert (await ask("changes"))["state"]["stores"] == [{"workspace": "work", "near": told["near"]}]
    store.near_budget = 0.0
    both = (await until(lambda: _found(heard.of("store")[1:])))[0]
    assert [row["what"] for row in both["near"]] == ["disk", "budget"] and "may take" in both["near"][1]["message"]
    store.near_disk, store.near_budget = 0.0, 0.9
    await heard.wait("store", near=[])
    assert (await ask("changes"))["state"]["stores"] == []


async def _found(value: Any) -> Any:
    return value


def spread(times: list[float], seconds: float = 1.0) -> int:
    """The most in any stretch of time."""
    return max((sum(start <= other < start + seconds for other in times) for start in times), default=0)


async def test_a_flood_of_log_lines(ask, start, workspace: Path, app: Any, heard: Heard) -> None:
    """100,000 lines of a real kernel, in a burst: few messages, no line uncounted, and the server answers."""
    app.managers["events"].logs = Lines()
    kernel, other = await start(), await start("work/other.ipynb")
    await heard.wait("kernel", kernel=kernel.id)
    await heard.wait("kernel", kernel=other.id)
    before = {event["session"]: event["total"] for event in heard.of("log")}
    flood = (
        "import casa_kernel.extension, time\n"
        "(extension,) = casa_kernel.extension._extensions.values()\n"
        "with open(extension.session.log, 'a', buffering=1) as log:\n"
        "    for number in range(100_000):\n"
        "        print('2026-01-01 00:00:00\\tINFO\\ttask\\t', number, file=log)\n"
    )
    running = [asyncio.ensure_future(one.run(flood)) for one in (kernel, other)]
    answers = 0
    while not all(one.done() for one in running):
        assert len((await ask("kernels"))["kernels"]) == 2
        answers += 1
    assert [(await one)["status"] for one in running] == ["ok", "ok"] and answers
    sessions = {one["kernel"]: one["session"] for one in (await ask("changes"))["state"]["kernels"]}
    for one in (kernel, other):

        async def all_told(name: str = sessions[one.id]) -> Any:
            return heard.of("log", session=name) and heard.of("log", session=name)[-1]["total"] >= 100_000

        await until(all_told)
        told = heard.of("log", session=sessions[one.id])
        counted = sum(len(event["lines"]) + event["skipped"] for event in told)
        assert counted == told[-1]["total"] and before.get(sessions[one.id], 0) < 100_000
        assert all(len(event["lines"]) <= 200 for event in told)
        assert told[-1]["lines"][-1]["number"] == told[-1]["total"]
    assert spread([event["time"] for event in heard.of("log")]) <= 10


async def test_what_a_log_says_before_anybody_looks_is_no_news(ask, workspace: Path, app: Any, heard: Heard) -> None:
    app.managers["events"].logs = Lines()
    teller, log = session(workspace, "ab")
    log.write_text("old\n" * 50)
    await ask("plan", path="work/nb.ipynb", body={"cells": [{"id": "a", "source": "x = 1"}]})
    first = await heard.wait("log")
    assert (first["lines"], first["skipped"], first["total"]) == ([], 50, 50)
    with log.open("a") as stream:
        stream.write("new\n")
    told = await heard.wait("log", total=51)
    assert ([line["message"] for line in told["lines"]], told["skipped"], told["first"]) == (["new"], 0, 51)
    with log.open("a") as stream:
        stream.write("last words\n")
    teller.close()
    await heard.wait("kernel", action="ended")
    assert heard.of("log")[-1]["total"] == 52, "they come before its end"


async def test_a_burst_is_cut_and_the_state_is_right_all_the_same(
    ask, workspace: Path, app: Any, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask("plan", path="work/nb.ipynb", body={"cells": [{"id": "a", "source": "x = 1"}]})
    teller, _ = session(workspace, "ab")
    await heard.wait("kernel", action="started")
    looks, go, read = threading.Semaphore(0), threading.Event(), events._read

    def when_all_is_written(*args: Any) -> Any:
        looks.release()
        assert go.wait(120)
        return read(*args)

    monkeypatch.setattr(events, "_read", when_all_is_written)
    assert await asyncio.to_thread(looks.acquire, timeout=120)
    teller.cell_started("one", "nb.ipynb")
    teller.started("tclean", "why", None)
    for number in range(3000):
        teller.product("product-captured", f"p{number}", "v")
    go.set()
    missed = await heard.wait("kernel", action="changed")
    assert missed["missed"] + len(heard.of("product")) + len(heard.of("cell")) + len(heard.of("call")) == 3002
    assert heard.of("product")[-1]["path"] == "p2999"
    assert (missed["cell"], missed["call"]["task"]) == ("one", "tclean")
    teller.close()


@settings(max_examples=8, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_client_that_drops_out_sees_the_same(
    jp_asyncio_loop: asyncio.AbstractEventLoop,
    ask,
    workspace: Path,
    app: Any,
    heard: Heard,
    data: st.DataObject,
) -> None:
    """Sessions come, work and go; a client that asks now and then, and one that never left, see what is so."""
    jp_asyncio_loop.run_until_complete(drops_out(ask, workspace, app, heard, data))


async def drops_out(ask: Any, workspace: Path, app: Any, heard: Heard, data: st.DataObject) -> None:
    stream = app.managers["events"].stream
    faithful, other = Client(), Client()
    await ask("plan", path="work/nb.ipynb", body={"cells": [{"id": "a", "source": "x = 1"}]})
    faithful.ask(stream)
    beginning = len(heard.events)
    tellers: dict[str, Teller] = {}
    steps = ["open", "cell", "call", "progress", "wait", "waited", "end call", "end cell", "product", "close", "ask"]
    for step in data.draw(st.lists(st.sampled_from([*steps, "pause"]), min_size=5, max_size=30)):
        name = data.draw(st.sampled_from(["aa", "bb"]))
        teller = next((one for there, one in tellers.items() if there.startswith(name)), None)
        if step == "open" and teller is None:
            name += os.urandom(4).hex()  # no two sessions are called the same
            tellers[name] = session(workspace, name)[0]
        elif step == "ask":
            other.ask(stream)
        elif step == "pause":
            await asyncio.sleep(0.1)
        elif teller is None:
            continue
        elif step == "close":
            teller.close()
            tellers = {there: one for there, one in tellers.items() if one is not teller}
        elif step == "cell":
            teller.cell_started("one", "nb.ipynb")
        elif step == "call":
            teller.started("tclean", "", 3.0)
        elif step == "progress":
            teller.progress(1.0, 3.0, "cleaning")
        elif step == "wait":
            teller.waiting(1.0, "somebody")
        elif step == "waited":
            teller.waited()
        elif step == "end call":
            teller.failed("tclean", RuntimeError("no"), "")
        elif step == "end cell":
            teller.cell_ended("one", "ok", 1)
        else:
            teller.product("product-captured", "a.ms", "v")
    now = {name: (teller._state["cell"], (teller._state["call"] or {}).get("task")) for name, teller in tellers.items()}

    async def so() -> bool:
        told = stream.present.kernels.items()
        return {name: (one["cell"], one["call"] and one["call"]["task"]) for name, one in told} == now

    await until(so)

    async def sent() -> bool:
        return heard.events[-1][1]["revision"] == stream.revision

    await until(sent)
    for kind, event in heard.events[beginning:]:
        faithful.receive(kind, event)
    other.ask(stream)
    late = Client()
    late.ask(stream)
    assert faithful.sees() == other.sees() == late.sees()
    for teller in tellers.values():
        teller.close()
    await until(lambda: _true(not stream.present.kernels))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
WORDS = ["cell", "task", "reason", "stage", "notebook", "action", "products", "outcome", "run", "path", "version"]
WORDS += ["elapsed_s", "expected_s", "began", "seconds", "saved_s", "cpu_s", "memory_bytes", "error", "waiting_for"]
KINDS = ["cell-started", "cell-ended", "call-started", "call-progressed", "call-ended", "product-captured"]
KINDS += ["product-restored", "product-changed-outside", "note", "call", "-", "cell-"]


@settings(max_examples=500, deadline=None)
@given(
    kind=st.sampled_from(KINDS) | VALUES,
    words=st.dictionaries(st.sampled_from(WORDS), VALUES),
    call=st.none() | st.dictionaries(st.sampled_from(WORDS), VALUES),
    fields=st.lists(VALUES, min_size=4, max_size=4),
)
def test_whatever_others_have_written_is_told_as_described(
    kind: Any, words: dict[str, Any], call: Any, fields: list[Any]
) -> None:
    who = {"epoch": "0", "revision": 1, "time": 1.0, "workspace": "", "kernel": "", "session": "ab"}
    told = {"notebook": "", "call": {"began": 1.0, "expected_s": None}}
    for name, about in events._told({**words, "kind": kind, "time": 2.0, "n": 1}, told):
        CHECKS[name].validate(who | about)
        json.dumps(about, allow_nan=False)
    log, notebook, cell, started = fields
    state = Live("ab", "", 1, started, log, cell, notebook, call, None, {}, 1, True)
    if events._sound(state) is not None:
        about = {"action": "changed", "notebook": state.notebook, "display": False, "log": state.log}
        about |= {"started": state.started, "missed": 0}
        CHECKS["kernel"].validate(who | about | events._doing(state))
