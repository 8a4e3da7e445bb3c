"""CASA logs through REST: whose lines, which lines, how far, and nobody else's files."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from casa_recompute.casalog.index import LogIndex
from casa_recompute.casalog.spans import SpanWriter
from casa_recompute.live import Teller
from casa_recompute.session import Cell, Session
from casa_recompute.workspace import HOME
from jupyterlab_casa.managers import logs as module
from jupyterlab_casa.managers.base import Root
from jupyterlab_casa.managers.logs import Logs
from tests.core.standin import fake_settings
from tests.server.contract import conforms

Ask = Callable[..., Awaitable[Any]]
LINE = "2026-01-01 12:{:02}:{:02}\t{}\ttclean::::casa\tmessage {}\n"


def line(number: int, priority: str = "INFO") -> str:
    return LINE.format(number // 60 % 60, number % 60, priority, number)


def numbers(answer: dict[str, Any]) -> list[int]:
    return [row["number"] for row in answer["lines"]]


@pytest.fixture
def logs(workspace: Path) -> Path:
    """The directory of logs, with one of a session ``a1`` that has ended; its lines 101 to 200 belong to a call."""
    directory = workspace / HOME / "log"
    directory.mkdir(parents=True)
    path = directory / "casa-a1.log"
    path.write_text("".join(map(line, range(1, 101))))
    writer = SpanWriter(path)
    writer.expect()
    writer.begin("tclean", "clean", "nb.ipynb")
    with path.open("a") as log:
        log.writelines(line(number, "WARN" if number % 10 == 0 else "INFO") for number in range(101, 201))
    writer.end("tclean", "clean", "nb.ipynb", "ran")
    with path.open("a") as log:
        log.writelines(map(line, range(201, 301)))
    return directory


# -- what a real session leaves ----------------------------------------------------------------------------------------


async def test_lines_are_told_with_their_call_and_cell_while_the_session_lives_and_after(
    ask: Ask, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERLAB_CASA_KERNEL_ID", "k1")
    session = Session(workspace, fake_settings())
    order = ("import", "flag", "again", "gain")
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "import": ("importuvfits", {"fitsfile": "raw.fits", "vis": "a.ms"}),
        "flag": ("flagdata", {"vis": "a.ms", "field": "0"}),
        "gain": ("gaincal", {"vis": "none.ms", "caltable": "a.gcal"}),
    }
    monkeypatch.chdir(workspace)
    assert (await ask("logs", path="work"))["logs"][0]["lines"] == 0, "nothing has been said yet"
    assert (await ask("logs", session.id, path="work"))["total"] == 0
    assert (await ask("logs", session.id, "calls", path="work"))["calls"] == []
    for cell in ("import", "flag", "import", "gain"):
        task, arguments = calls[cell]
        session.begin_cell(Cell(cell, order, "nb.ipynb", f"{task}()"))
        try:
            session.call(task, **arguments)
        except Exception as error:
            assert cell == "gain", error
        session.end_cell()
    for alive in (True, False):
        (row,) = (await ask("logs", path="work"))["logs"]
        assert (row["session"], row["alive"], row["notebook"]) == (session.id, alive, "nb.ipynb")
        assert row["kernel"] == ("k1" if alive else None)
        answer = await ask("logs", session.id, path="work/nb.ipynb")
        assert answer["alive"] == alive and answer["complete"]
        assert row["lines"] == answer["total"] == len(answer["lines"])
        told = {(call["task"], call["cell"], call["action"]) for call in answer["calls"]}
        assert {("importuvfits", "import", "ran"), ("flagdata", "flag", "ran")} <= told
        assert ("importuvfits", "import", "restored") not in told, "what was restored has written nothing"
        for task, cell in (("importuvfits", "import"), ("flagdata", "flag")):
            lines = (await ask("logs", session.id, path="work", cell=cell))["lines"]
            assert lines and all(one["cell"] == cell for one in lines)
            assert any(f"Begin Task: {task}" in one["message"] for one in lines)
            assert not any("Begin Task" in one["message"] and task not in one["message"] for one in lines)
        session.close()


# -- windows, filters, search ----------------------------------------------------------------------------------------


async def test_a_window_from_a_line_or_from_the_end(ask: Ask, logs: Path) -> None:
    tail = await ask("logs", "a1", path="work")
    assert numbers(tail) == [*range(201, 301)] and (tail["previous"], tail["next"]) == (201, None)
    window = await ask("logs", "a1", path="work", **{"from": "100", "count": "3"})
    assert numbers(window) == [100, 101, 102] and (window["previous"], window["next"]) == (100, 103)
    assert [row["call"] for row in window["lines"]] == [None, 1, 1]
    assert window["lines"][1] == {
        "number": 101, "time": "2026-01-01 12:01:41", "priority": "INFO", "origin": "tclean::::casa",
        "message": "message 101", "call": 1, "cell": "clean",
    }  # fmt: skip
    (call,) = window["calls"]
    assert (call["task"], call["cell"], call["notebook"], call["action"]) == ("tclean", "clean", "nb.ipynb", "ran")
    assert numbers(await ask("logs", "a1", path="work", **{"from": "-2", "until": "10"})) == [8, 9]
    assert numbers(await ask("logs", "a1", path="work", **{"from": "8", "until": "10"})) == [8, 9]
    beyond = await ask("logs", "a1", path="work", **{"from": "301"})
    assert numbers(beyond) == [] and beyond["next"] is None and beyond["total"] == 300
    with (logs / "casa-a1.log").open("a") as log:
        log.write(line(301))
    assert numbers(await ask("logs", "a1", path="work", **{"from": "301"})) == [301]


async def test_calls_are_told_with_their_lines(ask: Ask, refused: Ask, logs: Path) -> None:
    writer = SpanWriter(logs / "casa-b2.log")
    for cell in ("one", None, "two"):
        writer.expect()
        writer.begin("flagdata", cell, "nb.ipynb")
        with (logs / "casa-b2.log").open("a") as log:
            log.writelines(map(line, range(10)))
        if cell != "two":
            writer.end("flagdata", cell, "nb.ipynb", "ran" if cell else "failed")
    with (logs / "casa-b2.log").open("a") as log:
        log.write("killed in the middle of a")
    told = await ask("logs", "b2", "calls", path="work")
    found = [(one["call"], one["cell"], one["action"], one["first"], one["lines"]) for one in told["calls"]]
    assert found == [(1, "one", "ran", 1, 10), (2, None, "failed", 11, 10), (3, "two", None, 21, 11)]
    assert (told["total"], told["previous"], told["next"], told["alive"]) == (31, None, None, False)
    last = await ask("logs", "b2", path="work", **{"from": "-1"})
    assert last["lines"][0]["message"] == "killed in the middle of a" and last["generation"] == told["generation"]
    part = await ask("logs", "b2", "calls", path="work", **{"from": "2", "count": "1"})
    assert [one["call"] for one in part["calls"]] == [2] and (part["previous"], part["next"]) == (2, 3)
    part = await ask("logs", "b2", "calls", path="work", **{"from": "-1"})
    assert [one["call"] for one in part["calls"]] == [3] and (part["previous"], part["next"]) == (3, None)
    assert (await ask("logs", "a1", "calls", path="work"))["calls"][0]["lines"] == 100
    for name, value in (("from", "0"), ("from", "x"), ("count", "y")):
        assert (await refused("logs", "b2", "calls", path="work", **{name: value}))[0] == 400
    assert (await refused("logs", "c3", "calls", path="work"))[0] == 404


async def test_a_log_is_had_as_a_file(jp_fetch: Any, refused: Ask, logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def whole(session: str) -> Any:
        return await jp_fetch("jupyterlab-casa", "api", "logs", session, "file", params={"path": "work"})

    monkeypatch.setattr(module, "_CHUNK", 1000)
    response = await whole("a1")
    assert response.body == (logs / "casa-a1.log").read_bytes() and len(response.body) > 10_000
    assert response.headers["Content-Type"] == "text/plain; charset=UTF-8"
    assert response.headers["Content-Disposition"] == 'attachment; filename="casa-a1.log"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    (logs / "casa-e0.log").touch()
    assert (await whole("e0")).body == b""
    for session in ("c3", "..%2Fledger", '"x'):
        assert (await refused("logs", session, "file", path="work"))[0] == 404


async def test_conditions_and_search(ask: Ask, logs: Path) -> None:
    async def found(**wanted: str) -> list[int]:
        return numbers(await ask("logs", "a1", path="work", **{"from": "1", "count": "1000", **wanted}))

    assert await found(priority="WARN") == [*range(110, 201, 10)]
    assert await found(priority="WARN,INFO", text="MESSAGE 11") == [11, *range(110, 120)]
    assert await found(regex=r"message \d$") == [*range(1, 10)]
    assert await found(call="1") == await found(cell="clean") == [*range(101, 201)]
    assert await found(origin="TCLEAN") == [*range(1, 301)] and await found(origin="flag") == []
    assert await found(after="2026-01-01T12:04:58Z") == [298, 299, 300]
    assert await found(before="2026-01-01 12:00:03") == [1, 2]
    assert await found(after="2026-01-02") == await found(cell="none") == []
    assert await found(cell="clean", priority="WARN", regex="1[5-9]0") == [150, 160, 170, 180, 190]


async def test_it_is_told_where_in_lines_something_matches(ask: Ask, logs: Path) -> None:
    with (logs / "casa-a1.log").open("a") as log:
        log.write("\U0001f600 peak, pea\nnothing\n")
    answer = await ask("logs", "a1", path="work", mark=r"(?i)CASA|\d$|pe+a", **{"from": "-3"})
    first = answer["lines"][0]
    begin = len("2026-01-01 12:05:00\tINFO\ttclean::::casa\tmessage ")
    assert (first["message"], first["marks"]) == ("message 300", [[begin - 13, begin - 9], [begin + 2, begin + 3]])
    assert [one["marks"] for one in answer["lines"][1:]] == [[[3, 6], [9, 12]], []]
    assert "marks" not in (await ask("logs", "a1", path="work", **{"from": "-1"}))["lines"][0]


async def test_a_search_answers_how_far_it_has_come(
    ask: Ask, logs: Path, jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager(jp_serverapp).search_time = 0.0
    monkeypatch.setattr(module, "_PIECE_S", 0.0)
    with (logs / "casa-a1.log").open("a") as log:
        log.writelines(line(number, "SEVERE" if number % 5000 == 0 else "INFO") for number in range(301, 20_001))
    known = [0]
    while not (answer := await ask("logs", "a1", path="work"))["complete"]:
        assert answer["lines"] == [] and known[-1] < answer["indexed"] < answer["size"]
        known.append(answer["indexed"])
    assert len(known) > 2 and numbers(answer) == [*range(19_901, 20_001)]
    for backwards in (False, True):
        found, asked = list[int](), 0
        place = {"from": "-9"} if backwards else {"from": "1"}
        while True:
            answer = await ask("logs", "a1", path="work", priority="SEVERE", **place)
            found, asked = found + numbers(answer), asked + 1
            if backwards and answer["previous"]:
                place = {"from": "-9", "until": str(answer["previous"])}
            elif not backwards and answer["next"]:
                place = {"from": str(answer["next"])}
            else:
                break
        assert sorted(found) == [5000, 10_000, 15_000, 20_000] and asked > 2


def manager(serverapp: Any) -> Any:
    (app,) = serverapp.extension_manager.extension_apps["jupyterlab_casa"]
    return app.managers["logs"]


REFUSED = {
    "from": ["0", "a", "1.5", "9" * 16],
    "count": ["a"],
    "priority": ["warn", "WARN,", "*"],
    "after": ["yesterday", "2026-01-01 12"],
    "regex": ["(", r"(a)\1", "(?=a)", r"\A", "x" * 1001, "(a{900}){900}"],
    "mark": ["(", "(a{900}){900}"],
    "text": ["x" * 1001],
}


async def test_what_cannot_be_answered_is_refused_in_words(refused: Ask, logs: Path) -> None:
    for name, values in REFUSED.items():
        for value in values:
            status, message = await refused("logs", "a1", path="work", **{name: value})
            assert (status, bool(message)) == (400, True), (name, value)
    assert "regular expression" in (await refused("logs", "a1", path="work", regex="("))[1]


async def test_others_are_answered_during_a_search_and_who_goes_away_ends_it(
    ask: Ask, logs: Path, jp_serverapp: Any, jp_http_port: int, jp_base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask("logs", "a1", path="work")
    pieces, find = threading.Semaphore(0), LogIndex.find
    monkeypatch.setattr(manager(jp_serverapp), "search_time", 60.0)

    def slowly(self: LogIndex, wanted: Any, first: int, stop: int | None, *args: Any, **kwargs: Any) -> Any:
        if wanted.patterns:  # line by line, and again and again from the first
            pieces.release()
            return find(self, wanted, 1, 2, *args, **kwargs)
        return find(self, wanted, first, stop, *args, **kwargs)

    monkeypatch.setattr(LogIndex, "find", slowly)
    reader, writer = await asyncio.open_connection("127.0.0.1", jp_http_port)
    token = jp_serverapp.identity_provider.token
    address = f"{jp_base_url}jupyterlab-casa/api/logs/a1?path=work&from=1&text=nothing"
    writer.write(f"GET {address} HTTP/1.1\r\nHost: localhost\r\nAuthorization: token {token}\r\n\r\n".encode())
    for _ in range(20):
        assert await asyncio.to_thread(pieces.acquire, timeout=120)
    assert len(numbers(await ask("logs", "a1", path="work"))) == 100
    writer.close()
    while await asyncio.to_thread(pieces.acquire, timeout=0.5):
        pass  # until nobody searches any more
    assert (await ask("logs", "a1", path="work"))["total"] == 300


# -- news --------------------------------------------------------------------------------------------------------------


async def test_news_are_what_is_new_and_bounded(workspace: Path, jp_root_dir: Path) -> None:
    home = workspace / HOME
    (home / "log").mkdir(parents=True)
    log = home / "log" / "casa-a1.log"
    teller = Teller(home, "a1", log)
    room = Logs(Root(jp_root_dir), news_limit=10)
    assert await room.news(workspace, {}) == {}
    log.write_text("".join(map(line, range(1, 4))) + "begun")
    (news,) = (await room.news(workspace, {})).values()
    assert (news["first"], news["total"], news["skipped"], len(news["lines"])) == (1, 3, 0, 3)
    assert news["lines"][2]["message"] == "message 3"
    assert await room.news(workspace, {"a1": 3}) == {}
    with log.open("a") as stream:
        stream.write("\n" + "".join(map(line, range(5, 101))))
    news = (await room.news(workspace, {"a1": 3}))["a1"]
    assert (news["first"], news["total"], news["skipped"], len(news["lines"])) == (91, 100, 87, 10)
    log.write_text(line(1))
    news = (await room.news(workspace, {"a1": 100}))["a1"]
    assert (news["first"], news["total"], news["skipped"]) == (1, 1, 0), "it was replaced"
    teller.close()
    assert await room.news(workspace, {}) == {} and (await room.news(workspace, {"a1": 0}))["a1"]["total"] == 1
    assert await room.news(workspace, {"../../secret": 0, "none": 0}) == {}
    await room.stop()


# -- whose files -------------------------------------------------------------------------------------------------------


async def test_only_logs_of_the_workspace_are_read(
    ask: Ask, refused: Ask, logs: Path, tmp_path: Path, jp_fetch: Any, jp_root_dir: Path
) -> None:
    secret = tmp_path / "casa-bb.log"
    secret.write_text("secret\n")
    (logs / "casa-b1.log").symlink_to(secret)
    (logs / "casa-b2.log").symlink_to(logs / "casa-a1.log")
    (logs / "casa-b3.log").mkdir()
    os.mkfifo(logs / "casa-b4.log")
    (logs / "notes.log").write_text("secret\n")
    teller = Teller(logs.parent, "b5", logs / "casa-b5.log")
    state = logs.parent / "live" / "b5.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "log": os.path.relpath(secret, logs.parents[1])}))
    known = {row["session"]: row for row in (await ask("logs", path="work"))["logs"]}
    assert known.keys() == {"a1"}, "a session that says that its log is elsewhere is not believed"
    for name in ("b1", "b2", "b3", "b4", "b5", "none", "notes", "..%2Fcasa-a1", "%2e%2e", "a1.log", "A1", "a1%00"):
        assert (await refused("logs", name, path="work"))[0] in (400, 404), name
    teller.close()


async def test_logs_that_are_kept_elsewhere_are_not_told(
    ask: Ask, refused: Ask, logs: Path, workspace: Path, tmp_path: Path
) -> None:
    logs.rename(tmp_path / "log")
    logs.symlink_to(tmp_path / "log")
    assert (await refused("logs", path="work"))[0] == 404
    assert (await refused("logs", "a1", path="work"))[0] == 404
    logs.unlink()
    (workspace / "log").mkdir()
    (tmp_path / "log" / "casa-a1.log").rename(workspace / "log" / "casa-a1.log")
    logs.symlink_to(workspace / "log")
    assert (await ask("logs", "a1", path="work"))["total"] == 300, "a link within the root is none of our business"


async def test_the_log_of_kernels_own_tools_is_one_of_them(ask: Ask, logs: Path) -> None:
    (logs / "casa-kernels.log").write_text(line(1, "WARN"))
    rows = {row["session"]: row for row in (await ask("logs", path="work"))["logs"]}
    assert (rows["kernels"]["lines"], rows["kernels"]["counts"], rows["kernels"]["alive"]) == (1, {"WARN": 1}, False)
    assert (await ask("logs", "kernels", path="work"))["lines"][0]["call"] is None


async def test_what_a_log_says_is_data(ask: Ask, jp_fetch: Any, logs: Path) -> None:
    (logs / "casa-cc.log").write_bytes(
        b"<script>alert(1)</script>\n\xff\xfe\0\x1b[31m\n2026-01-01 12:00:00\tINFO\t<b>\t</pre>\n"
    )
    response = await jp_fetch("jupyterlab-casa", "api", "logs", "cc", params={"path": "work"})
    assert response.headers["Content-Type"] == "application/json"
    answer = json.loads(response.body)
    conforms("GET", "/logs/{session}", 200, answer)
    assert [row["message"] for row in answer["lines"]] == ["<script>alert(1)</script>", "��\0\x1b[31m", "</pre>"]
