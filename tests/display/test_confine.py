"""Of a graphical program nothing remains, however it ends, and nobody but its user reaches it."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from casa_recompute.display import Display
from casa_recompute.runner.worker import confine
from casa_recompute.session import Session

LEVELS = {"all namespaces": (True, True), "no process namespace": (False, True), "no namespace": (False, False)}
_PACKAGE = importlib.util.find_spec("casaplotms")
assert _PACKAGE is not None and _PACKAGE.origin is not None
IMAGE = Path(_PACKAGE.origin).parent / "__bin__" / "casaplotms-x86_64.AppImage"
# As confine.py does, but where the system allows only so much.
SCRIPT = f"""
import os, signal, sys
sys.path.insert(0, {os.path.dirname(confine.__file__)!r})
import confine
allowed = sys.argv.pop(1) == "True", sys.argv.pop(1) == "True"
confine.possible = lambda processes: allowed[0] if processes else allowed[1]
result = confine.main()
if result < 0:
    os.kill(os.getpid(), -result)
os._exit(result)
"""
Start = Callable[..., subprocess.Popen[bytes]]


def eventually(condition: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def processes_with(mark: str) -> list[int]:
    """Processes that bear a text in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(mark in word for word in process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


lines: dict[int, socket.socket] = {}  # by process: its life line


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a program under ``confine``; ``level``: a key of LEVELS."""
    running = []

    def begin(*command: str, level: str = "all namespaces", fifo: str = "", **env: str) -> subprocess.Popen[bytes]:
        place = tmp_path / "place"
        place.mkdir()
        allowed = map(str, LEVELS[level])
        words = [sys.executable, "-I", "-S", "-c", SCRIPT, *allowed, fifo, str(place), *command]
        life, other = socket.socketpair()
        process = subprocess.Popen(
            words, stdin=other, stdout=subprocess.PIPE, start_new_session=True, env={**os.environ, **env}
        )
        other.close()
        running.append(process)
        lines[process.pid] = life
        return process

    yield begin
    for process in running:
        with process:
            process.kill()
            lines.pop(process.pid).close()


def test_this_machine_allows_what_the_other_tests_look_at() -> None:
    assert confine.possible(processes=True) and confine.possible(processes=False)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", -9), ("kill -6 $$", -6)])
def test_the_end_of_the_program_is_told(start: Start, level: str, script: str, code: int, tmp_path: Path) -> None:
    process = start("/bin/sh", "-c", script, level=level)
    assert process.wait(60) == code
    assert not (tmp_path / "place").exists()


@pytest.mark.parametrize("level", LEVELS)
def test_the_end_is_told_before_a_helper_has_gone(start: Start, level: str) -> None:
    process = start("/bin/sh", "-c", "setsid sleep 1000 & exit 0", level=level)
    assert lines[process.pid].recv(1) == b"\n"
    assert process.poll() is None
    assert process.wait(60) == 0


def test_a_program_that_is_not_there(start: Start) -> None:
    assert start("/no/such/program").wait(30) == 127


@pytest.mark.parametrize("level", ["all namespaces", "no namespace"])
def test_all_ends_when_the_owner_goes(start: Start, level: str, tmp_path: Path) -> None:
    mark = f"{tmp_path}/mark"
    script = f"(sleep 1000; : {mark}) & echo started; sleep 1000; : {mark}"
    process = start("/bin/sh", "-c", script, level=level)
    assert process.stdout is not None and process.stdout.readline() == b"started\n"
    lines[process.pid].close()
    assert process.wait(60) == -signal.SIGKILL
    if level == "all namespaces":
        assert eventually(lambda: not processes_with(mark))
    else:  # without, only what the program does not detach
        assert process.wait() is not None
        for orphan in processes_with(mark):
            os.kill(orphan, signal.SIGKILL)


def test_what_detached_itself_ends_too_even_if_all_are_killed(start: Start, tmp_path: Path) -> None:
    mark = f"{tmp_path}/mark"
    script = f"setsid setsid sh -c 'sleep 1000; : {mark}' & sleep 0.3; echo started; sleep 1000"
    process = start("/bin/sh", "-c", script)
    assert process.stdout is not None and process.stdout.readline() == b"started\n"
    assert processes_with(mark)
    os.killpg(process.pid, signal.SIGKILL)
    assert eventually(lambda: not processes_with(mark))


def appimage(start: Start, tmp_path: Path, level: str, display: Display) -> tuple[subprocess.Popen[bytes], str, int]:
    """casaplotms, with the address that it serves at and its process id."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    arguments = ("--nopopups", f"--logfilename={tmp_path}/casa.log", "--server={fifo}")
    process = start(str(IMAGE), *arguments, level=level, fifo=str(fifo), **display.env())
    with fifo.open() as stream:
        address = stream.readline().strip()
    tree = psutil.Process(process.pid).children(recursive=True)
    living = [one.pid for one in tree if one.status() != psutil.STATUS_ZOMBIE]
    (program,) = [pid for pid in living if Path(os.readlink(f"/proc/{pid}/exe")).name == "casaplotms"]
    return process, address, program


def mount_of(program: int) -> str:
    """Where its AppImage is mounted."""
    environment = Path(f"/proc/{program}/environ").read_bytes().split(b"\0")
    return next(entry[7:].decode() for entry in environment if entry.startswith(b"APPDIR="))


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_is_left_of_an_appimage(start: Start, tmp_path: Path, display: Display, level: str) -> None:
    process, _, program = appimage(start, tmp_path, level, display)
    mount = mount_of(program)
    assert mount in Path(f"/proc/{program}/mounts").read_text()
    assert (mount in Path("/proc/self/mounts").read_text()) == (level == "no namespace")
    lines[process.pid].close()
    assert process.wait(60) == -signal.SIGKILL
    assert eventually(lambda: not processes_with(str(tmp_path)))
    assert mount not in Path("/proc/self/mounts").read_text() and not os.path.exists(mount)


@pytest.mark.parametrize("level", LEVELS)
def test_a_frozen_helper_is_ended(start: Start, tmp_path: Path, display: Display, level: str) -> None:
    process, _, program = appimage(start, tmp_path, level, display)
    mount = mount_of(program)
    helpers = [pid for pid in processes_with(str(IMAGE)) if str(tmp_path) in " ".join(psutil.Process(pid).cmdline())]
    helpers = [pid for pid in helpers if Path(os.readlink(f"/proc/{pid}/exe")) == IMAGE]
    for helper in helpers:
        os.kill(helper, signal.SIGSTOP)
    os.kill(program, signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert helpers and eventually(lambda: not processes_with(str(tmp_path)))
    assert mount not in Path("/proc/self/mounts").read_text() and not os.path.exists(mount)


@pytest.mark.parametrize("level", ["all namespaces", "no process namespace"])
def test_the_port_is_in_a_network_of_its_own(start: Start, tmp_path: Path, display: Display, level: str) -> None:
    process, address, program = appimage(start, tmp_path, level, display)
    assert address == f"unix:{tmp_path}/place/socket"
    listeners = [line.split() for line in Path(f"/proc/{program}/net/tcp6").read_text().splitlines()[1:]]
    ports = [int(fields[1].rpartition(":")[2], 16) for fields in listeners if fields[3] == "0A"]
    assert len(ports) == 1  # there it listens, to all that there is
    assert os.readlink(f"/proc/{program}/ns/net") != os.readlink("/proc/self/ns/net")
    assert psutil.Process(program).net_connections() == []  # here, it does not
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", ports[0]))
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(address.removeprefix("unix:"))
        door.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")  # how gRPC begins
        assert door.recv(9)
    assert process.poll() is None


def listening(session: Session) -> list[object]:
    """TCP sockets on which a worker, or what it runs, can be reached."""
    assert session.worker.pid is not None
    worker = psutil.Process(session.worker.pid)
    found = [one.net_connections("tcp") for one in (worker, *worker.children(recursive=True))]
    return [one for connections in found for one in connections if one.status == psutil.CONN_LISTEN]


def test_a_session_that_draws_listens_nowhere(data: Path, tmp_path: Path) -> None:
    session = Session(tmp_path)
    try:
        os.symlink(data / "b.cal", tmp_path / "b.cal")
        drawn = session.call("plotms", caltable=str(tmp_path / "b.cal"), xaxis="chan", yaxis="amp")
        viewed = session.call("imview", raster=str(data / "one.image"))
        assert len(drawn.pictures) == len(viewed.pictures) == 1
        assert drawn.memory_bytes is not None and drawn.memory_bytes > 300 << 20  # the program counts, too
        assert listening(session) == []
        mark = str(session.log)
        assert len(processes_with(mark)) > 4
    finally:
        session.close()
    assert eventually(lambda: not processes_with(mark))
