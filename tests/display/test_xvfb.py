"""The private X display: answers, keeps strangers out, comes back, and never outlives its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from casa_recompute.display import Display, DisplayError
from casa_recompute.runner.worker.x11 import connect_display


def eventually(condition: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def gone(pid: int) -> bool:
    """No such process, or a zombie that its new parent has not waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def display(tmp_path: Path) -> Iterator[Display]:
    with Display(tmp_path) as running:
        yield running


def server_pid(display: Display) -> int:
    assert display._server is not None and display._server.proc is not None
    return display._server.proc.pid


def test_answers_and_leaves_our_environment_alone(display: Display) -> None:
    assert display.alive()
    assert display.env()["DISPLAY"] != os.environ.get("DISPLAY")


def test_listens_on_no_network(display: Display) -> None:
    process = psutil.Process(server_pid(display))
    assert process.net_connections("inet") == []
    assert len(process.net_connections("unix")) > 0


def test_survives_its_other_clients(display: Display) -> None:
    for _ in range(3):
        env = display.env()
        connect_display(env["DISPLAY"], env["XAUTHORITY"]).close()
    time.sleep(0.3)
    assert display.alive()


def test_refuses_whoever_lacks_the_cookie(display: Display, tmp_path: Path) -> None:
    empty = tmp_path / "other"
    empty.write_bytes(b"")
    with pytest.raises(OSError, match="refuses"):
        connect_display(display.env()["DISPLAY"], str(empty))
    authority = Path(display.env()["XAUTHORITY"])
    assert authority.parent.stat().st_mode & 0o077 == 0


def test_two_displays_are_two_servers(display: Display, tmp_path: Path) -> None:
    with Display(tmp_path) as other:
        assert other.env()["DISPLAY"] != display.env()["DISPLAY"]
    assert display.alive()


def test_a_killed_server_is_noticed_and_replaced(display: Display) -> None:
    first = display.env()["DISPLAY"]
    os.kill(server_pid(display), signal.SIGKILL)
    assert eventually(lambda: not display.alive())
    display.restart()
    assert display.alive()
    assert not Path(f"/tmp/.X{first[1:]}-lock").exists()
    assert not Path(f"/tmp/.X11-unix/X{first[1:]}").exists()


def test_a_frozen_server_is_not_alive(display: Display) -> None:
    os.kill(server_pid(display), signal.SIGSTOP)
    assert not display.alive()
    os.kill(server_pid(display), signal.SIGCONT)
    assert eventually(display.alive)


def test_stop_leaves_nothing(tmp_path: Path) -> None:
    display = Display(tmp_path)
    display.start()
    pid, number = server_pid(display), display.env()["DISPLAY"][1:]
    display.stop()
    display.stop()
    assert gone(pid)
    assert not list(tmp_path.iterdir())
    assert not Path(f"/tmp/.X{number}-lock").exists()
    with pytest.raises(DisplayError):
        display.env()


def test_dies_with_an_owner_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from casa_recompute.display import Display\n"
        "d = Display(Path(sys.argv[1])); d.start(); print(d._server.proc.pid, flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert owner.stdout is not None
    with owner, owner.stdout:
        pid = int(owner.stdout.readline())
        assert not gone(pid)
        owner.kill()
        owner.wait()
    assert eventually(lambda: gone(pid))


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DisplayError, match="apt install xvfb"):
        Display(tmp_path).start()
    assert not list(tmp_path.iterdir())
