"""What a kernel is doing can be read beside it: while it runs, when it is killed, and when the disk is full."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from casa_recompute import live
from casa_recompute.calls import Outcome
from casa_recompute.live import Teller, read, tail
from casa_recompute.session import Cell, Session
from tests.core.standin import chain, in_cell

KERNEL = """
import sys
from pathlib import Path
from casa_recompute.session import Session, Cell
from tests.core.standin import fake_settings
session = Session(Path(sys.argv[1]), fake_settings(pause=float(sys.argv[2])))
print(session.id, flush=True)
sys.stdin.readline()
session.begin_cell(Cell("one", ("one",), "nb.ipynb", "importuvfits()"))
session.call("importuvfits", fitsfile="raw.fits", vis=sys.argv[3])
session.end_cell()
print("done", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "space" / ".casa-recompute"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def teller(home: Path) -> Teller:
    return Teller(home, "a1", home / "log" / "casa-a1.log", lambda: 42)


def outcome(**changes: object) -> Outcome:
    fields: dict[str, object] = {"task": "tclean", "key": "k", "action": "ran", "reason": "new", "value": None}
    return Outcome(**{**fields, "seconds": 2.0, "saved_s": 0.0, "log": "", "stdout": "", **changes})  # type: ignore[arg-type]


def kinds(home: Path, **since: int) -> list[str]:
    return [event["kind"] for event in tail(home, since)]


def start(directory: Path, pause: float = 0.0, vis: str = "a.ms", **environment: str) -> subprocess.Popen[str]:
    directory.mkdir(exist_ok=True)
    (directory / "raw.fits").write_bytes(b"raw" * 1000)
    path = os.pathsep.join([os.getcwd(), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-c", KERNEL, str(directory), str(pause), vis],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=directory,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )  # fmt: skip


def eventually(condition: Callable[[], object], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_a_session_tells_what_it_does(open_session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(live.KERNEL_ID, "11-22")
    session = open_session()
    (before,) = read(session.workspace.home)
    assert (before.session, before.kernel, before.pid, before.alive) == (session.id, "11-22", os.getpid(), True)
    assert before.call is None and before.cell is None
    assert session.workspace.directory / before.log == session.log
    chain(session)
    (after,) = read(session.workspace.home)
    events = tail(session.workspace.home, {})
    assert after.revision == len(events) and [event["n"] for event in events] == list(range(1, len(events) + 1))
    assert all(event["session"] == session.id for event in events)
    of_import = events[: kinds(session.workspace.home).index("cell-ended") + 1]
    assert [event["kind"] for event in of_import if event["kind"] != "product-captured"] == [
        "cell-started",
        "call-started",
        "call-ended",
        "cell-ended",
    ]
    assert {"path": "a.ms"}.items() <= [event for event in of_import if event["kind"] == "product-captured"][-1].items()
    (ended,) = [event for event in of_import if event["kind"] == "call-ended"]
    assert (ended["task"], ended["cell"], ended["action"]) == ("importuvfits", "import", "ran")
    assert ended["products"] == ["a.ms"] and ended["cpu_s"] >= 0 and ended["memory_bytes"] > 1 << 20
    assert of_import[-1]["outcome"] == "ok" and of_import[-1]["run"] > 0


def test_restored_and_failed_calls_are_told(open_session: Callable[..., Session]) -> None:
    session = open_session()
    chain(session)
    since = {live.session: live.revision for live in read(session.workspace.home)}
    assert in_cell(session, "flag", "flagdata", vis="a.ms").action == "restored"
    told = tail(session.workspace.home, since)
    (ended,) = [event for event in told if event["kind"] == "call-ended"]
    assert (ended["action"], ended["cpu_s"], ended["memory_bytes"]) == ("restored", None, None)
    since = {live.session: live.revision for live in read(session.workspace.home)}
    with pytest.raises(RuntimeError):
        in_cell(session, "flag", "flagdata", vis="a.ms", field="nofield")
    told = tail(session.workspace.home, since)
    (ended,) = [event for event in told if event["kind"] == "call-ended"]
    assert ended["action"] == "failed" and "nofield" in ended["error"]
    assert "product-restored" in [event["kind"] for event in told]
    assert read(session.workspace.home)[0].call is None


def test_what_was_changed_outside_is_told(open_session: Callable[..., Session], tmp_path: Path) -> None:
    session = open_session()
    chain(session)
    (tmp_path / "a.ms" / "FLAG").write_text("by hand")
    session.begin_cell(Cell("flag", ("import", "flag"), "nb.ipynb", ""))
    session.end_cell()
    (event,) = [e for e in tail(session.workspace.home, {}) if e["kind"] == "product-changed-outside"]
    assert event["path"] == "a.ms" and event["version"].startswith("c-")
    assert any("a.ms was changed outside" in e.get("text", "") for e in tail(session.workspace.home, {}))


def test_what_calls_used_is_in_the_ledger(open_session: Callable[..., Session]) -> None:
    session = open_session()
    chain(session)
    chain(session)
    rows = session.workspace.ledger._db.execute(
        "SELECT action, cpu, memory FROM run LEFT JOIN used ON used.run = run.id"
    ).fetchall()
    assert {(action, cpu is not None and memory > 1 << 20) for action, cpu, memory in rows} == {
        ("ran", True),
        ("restored", False),
    }


def opened(process: subprocess.Popen[str]) -> str:
    """Wait until it has opened the workspace; its session."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def let_call(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_the_running_call_of_another_process_and_its_death(tmp_path: Path) -> None:
    space = tmp_path / "space"
    home = space / ".casa-recompute"
    with start(space, pause=0.5, **{live.KERNEL_ID: "77"}) as process:
        session = opened(process)
        let_call(process)
        assert eventually(lambda: (read(home)[0].call or {}).get("worker_pid"))
        (one,) = read(home)
        assert (one.session, one.kernel, one.pid, one.alive) == (session, "77", process.pid, True)
        assert one.call is not None and one.call["task"] == "importuvfits" and one.cell == "one"
        assert Path(f"/proc/{one.call['worker_pid']}").exists()
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert eventually(lambda: not read(home)[0].alive)
    assert read(home)[0].call is not None  # its last words
    assert kinds(home)[-1] in ("call-started", "call-progressed")
    Teller(home, "b2", home / "log" / "b.log").close()
    assert [one.session for one in read(home)] == ["b2"]
    assert all(path.name.startswith("b2.") for path in (home / "live").iterdir())


def test_who_waits_says_for_whom(tmp_path: Path) -> None:
    space = tmp_path / "space"
    home = space / ".casa-recompute"

    def call_of(session: str) -> Mapping[str, Any]:
        return {one.session: one.call for one in read(home)}.get(session) or {}

    with start(space, vis="b.ms") as second, start(space, pause=2.0) as first:
        waiting, running = opened(second), opened(first)
        let_call(first)
        assert eventually(lambda: call_of(running).get("worker_pid"))
        let_call(second)
        assert eventually(lambda: call_of(waiting).get("waiting_for"))
        assert f"process {first.pid} runs importuvfits" in call_of(waiting)["waiting_for"]
        assert call_of(waiting)["task"] == "importuvfits"
        first.kill()
        assert second.stdout is not None and second.stdout.readline() == "done\n"
        assert call_of(waiting) == {}
        second.kill()


def test_many_sessions(home: Path) -> None:
    tellers = [Teller(home, f"{number:x}", home / "log" / "x") for number in range(40)]
    for number, one in enumerate(tellers):
        for _ in range(number):
            one.note("hello")
    states = read(home)
    assert [state.revision for state in states] == list(range(40)) and all(state.alive for state in states)
    assert len(tail(home, {})) == sum(range(40))
    assert len(tail(home, {state.session: state.revision - 1 for state in states})) == 39
    for one in tellers[:20]:
        one.close()
    assert [state.alive for state in read(home)] == [False] * 20 + [True] * 20


def test_threads_do_not_tear_what_they_tell(home: Path, teller: Teller) -> None:
    def tell() -> None:
        for number in range(300):
            teller.started("tclean", "x" * number, None)
            teller.finished(outcome())

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert len(read(home)) == 1
    for thread in threads:
        thread.join()
    assert [event["n"] for event in tail(home, {})] == list(range(1, 2401))


def test_events_are_bounded_and_the_last_are_kept(home: Path, teller: Teller) -> None:
    for number in range(6000):
        teller.note(f"{number} " + "x" * 500)
    sizes = {path.name: path.stat().st_size for path in (home / "live").iterdir() if ".events" in path.name}
    assert set(sizes) == {"a1.events", "a1.events.1"} and max(sizes.values()) <= 1 << 20
    told = [event["n"] for event in tail(home, {})]
    assert told == list(range(told[0], 6001)) and len(told) > 1900
    assert [event["n"] for event in tail(home, {"a1": 4500})] == list(range(4501, 6001))
    assert tail(home, {"a1": 6000}) == []


def test_a_truncated_last_line_is_left_out(home: Path, teller: Teller) -> None:
    for _ in range(3):
        teller.note("hello")
    events = home / "live" / "a1.events"
    whole = events.read_bytes()
    events.write_bytes(whole[:-7])
    assert [event["n"] for event in tail(home, {})] == [1, 2]
    events.write_bytes(whole + b'{"n": 4, "ti')
    assert [event["n"] for event in tail(home, {"a1": 1})] == [2, 3]
    events.write_bytes(b"\x00\xff\n[]\n7\n" + whole)
    assert [event["n"] for event in tail(home, {})] == [1, 2, 3]


def test_a_full_disk_breaks_nothing(home: Path, teller: Teller, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    room = [50]

    def nearly_full(handle: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        data = data[: room[0]]
        room[0] -= len(data)
        return write(handle, data)

    monkeypatch.setattr(os, "write", nearly_full)
    teller.note("cut in the middle, because there is no more room for it on this disk")
    teller.note("lost")
    teller.started("tclean", "new", None)
    assert read(home)[0].call is not None  # what is written in place needs no room
    monkeypatch.undo()
    teller.note("there is room again")
    assert [event["n"] for event in tail(home, {})] == [4]


def test_a_directory_that_cannot_be_written_breaks_nothing(home: Path) -> None:
    (home / "live").write_text("in the way")
    teller = Teller(home, "a1", home / "log" / "x")
    teller.cell_started("c", "nb.ipynb")
    teller.close()
    assert read(home) == [] and tail(home, {}) == []


def test_a_forked_child_is_not_the_session(home: Path, teller: Teller) -> None:
    child = os.fork()
    if not child:
        teller.note("not mine to tell")
        time.sleep(600)
        os._exit(0)
    try:
        teller.note("mine")
        teller.close()
        assert eventually(lambda: not read(home)[0].alive)
        assert [event["text"] for event in tail(home, {})] == ["mine"]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_nobody_else_may_read_it(home: Path, teller: Teller) -> None:
    teller.note("private")
    for path in (home / "live").iterdir():
        assert path.stat().st_mode & 0o077 == 0


def test_a_state_of_another_schema_is_left_alone(home: Path, teller: Teller) -> None:
    state = json.loads((home / "live" / "a1.json").read_text())
    (home / "live" / "a1.json").write_text(json.dumps({**state, "schema": 99}))
    assert read(home) == []


def test_what_nobody_could_bring_back_is_told_and_a_wish_to_stop_is_heard_once(home: Path, teller: Teller) -> None:
    teller.holds({"big": "d-1"})
    assert [session.holds for session in read(home)] == [{"big": "d-1"}]
    assert not teller.told_to_stop()
    live.ask_to_stop(home, "a1")
    assert teller.told_to_stop() and not teller.told_to_stop()


def spoilt(home: Path, teller: Teller, **members: object) -> list[live.Live]:
    """What is read where somebody has written this into the state of a session that lives."""
    teller.started("tclean", "", None)
    (path,) = (home / "live").glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | members))
    return read(home)


@pytest.mark.parametrize(
    "members",
    [
        {"pid": "1"},
        {"session": "abc"},
        {"session": ["a"]},
        {"started": float("nan")},
        {"started": "now"},
        {"revision": None},
        {"log": "/etc/passwd"},
        {"log": "../../etc/passwd"},
        {"log": ".casa-recompute/log/../../x"},
        {"log": ".casa-recompute/ledger.sqlite"},
        {"cell": {"a": 1}},
        {"call": []},
        {"call": {"task": "tclean"}},
        {"call": {"task": "a", "reason": "", "began": 1, "expected_s": None, "stage": "", "worker_pid": "../1"}},
        {"display": {"display": "elsewhere.example:0", "authority": "/x"}},
        {"display": {"display": ":0; rm", "authority": "/x"}},
        {"display": ":0"},
        {"written": -1},
    ],
)
def test_what_no_session_tells_is_not_believed(home: Path, teller: Teller, members: dict[str, object]) -> None:
    assert read(home) and spoilt(home, teller, **members) == []


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b"1e999", b"{}"])
def test_what_is_no_state_is_not_believed(home: Path, teller: Teller, text: bytes) -> None:
    (path,) = (home / "live").glob("*.json")
    path.write_bytes(text)
    assert read(home) == []


@pytest.mark.parametrize("kind", ["json", "events", "lock"])
def test_only_files_of_this_user_are_read(home: Path, teller: Teller, tmp_path: Path, kind: str) -> None:
    teller.note("a")
    (path,) = (home / "live").glob(f"*.{kind}")

    def seen() -> int:
        return len(tail(home, {})) if kind == "events" else len(read(home))

    assert seen() == 1
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert seen() == 0, "a link"
    path.unlink()
    os.mkfifo(path)
    assert seen() == 0, "nobody writes into it"
    path.unlink()
    path.mkdir()
    assert seen() == 0
    path.rmdir()
    (tmp_path / "elsewhere").rename(path)
    assert seen() == 1
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
        assert seen() == 0, "somebody else's"


def test_files_that_are_too_large_are_not_read_whole(home: Path, teller: Teller) -> None:
    teller.note("a")
    for kind in ("json", "events"):
        (path,) = (home / "live").glob(f"*.{kind}")
        os.truncate(path, 1 << 40)
    assert read(home) == [] and tail(home, {}) == []


def test_events_that_are_none_of_ours_are_left_out(home: Path, teller: Teller) -> None:
    (path,) = (home / "live").glob("*.events")
    lines = [b'{"n": 1, "time": NaN}', b'{"n": 1, "time": 1e999}', b'{"n": "1", "time": 1.0}', b"[" * 100_000, b"[1]"]
    lines += [b'{"n": 2, "time": 1.0, "x": Infinity}', b'{"n": 3, "time": 1.0, "session": "another"}', b"\xff"]
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert [(event["n"], event["session"]) for event in tail(home, {})] == [(3, path.stem)]


def test_a_display_has_a_large_number(home: Path, teller: Teller) -> None:
    """As xvfbwrapper takes them."""
    teller.displays(":2147483647", "/tmp/casa-display-x/Xauthority")
    (told,) = read(home)
    assert told.display == {"display": ":2147483647", "authority": "/tmp/casa-display-x/Xauthority"}
