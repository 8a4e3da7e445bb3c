"""A stand-in for the worker: a process that runs `gui` calls on request, so that tests can hurt it meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from casa_recompute.display import Display

WORKER = Path(__file__).parents[2] / "python" / "casa_recompute" / "runner" / "worker"

_LOOP = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import gui
for line in sys.stdin:
    request = json.loads(line)
    os.environ.update(request.get("environment", {}))
    try:
        if "code" in request:
            exec(request["code"])
            value, pictures = None, []
        elif request["name"] in gui.GUI_TASKS:
            value, pictures = gui.call_gui(request["name"], request["arguments"], request["scratch"])
        else:
            import casatasks
            task = getattr(casatasks, request["name"])
            value, pictures = gui.call_task(task, request["name"], request["arguments"], request["scratch"])
        answer = {"pictures": pictures}
    except BaseException as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    os.write(3, (json.dumps(answer) + "\\n").encode())
"""


class Failed(RuntimeError):
    """What a call raised: its type's name and its message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind, self.message = kind, message


class Desk:
    """One such process, in its own directory."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory, self.scratch = directory, directory / "scratch"
        self.cwd = directory / "cwd"
        for path in (self.cwd, self.scratch, directory / "tmp"):
            path.mkdir(parents=True)
        config = directory / "config.py"
        config.write_text(
            "import casadata\ndatapath=[casadata.datapath]\nmeasurespath=casadata.datapath\n"
            "measures_auto_update=False\ndata_auto_update=False\nnogui=True\n"
            f"log2term=False\nlogfile={str(directory / 'casa.log')!r}\n"
        )
        receive, send = os.pipe()
        kept = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "XAUTHORITY")}
        self.process = subprocess.Popen(
            [
                "bash",
                "-c",
                f'exec "$@" 3>&{send} {send}>&-',
                "desk",
                sys.executable,
                "-c",
                _LOOP,
                str(WORKER),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd=self.cwd,
            pass_fds=[send],
            env={
                **kept,
                **environment,
                "CASASITECONFIG": str(config),
                "MPLBACKEND": "Agg",
                "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python",
                "TMPDIR": str(directory / "tmp"),
            },
        )
        os.close(send)
        self._answers = os.fdopen(receive)

    def begin(self, name: str = "", **arguments: Any) -> None:
        self._send({"name": name, "arguments": arguments, "scratch": str(self.scratch)})

    def run(self, code: str) -> None:
        """Execute Python in the process."""
        self._send({"code": code})
        self.end()

    def use(self, display: Display) -> None:
        """Tell the process about another display."""
        self._send({"code": "pass", "environment": display.env()})
        self.end()

    def _send(self, request: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write((json.dumps(request) + "\n").encode())
        self.process.stdin.flush()

    def end(self) -> list[dict[str, str]]:
        answer = json.loads(self._answers.readline())
        if "error" in answer:
            raise Failed(answer["error"], answer["message"])
        pictures: list[dict[str, str]] = answer["pictures"]
        return pictures

    def call(self, name: str, **arguments: Any) -> list[dict[str, str]]:
        self.begin(name, **arguments)
        return self.end()

    def failure(self) -> tuple[Failed, float]:
        """How a call that has begun fails, and how many seconds that takes from now."""
        began = time.monotonic()
        with pytest.raises(Failed) as caught:
            self.end()
        return caught.value, time.monotonic() - began

    def programs(self, *packages: str) -> list[psutil.Process]:
        """The graphical programs that it runs at present (not their FUSE helpers)."""
        wanted = packages or ("casaplotms", "casaviewer", "casatablebrowser")
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if child.status() != psutil.STATUS_ZOMBIE and Path(child.exe()).name in wanted:
                    found.append(child)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def drawing(self, package: str) -> psutil.Process:
        """The program of `package`, once it works."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for program in self.programs(package):
                if sum(program.cpu_times()[:2]) > 0.8:
                    return program
            time.sleep(0.02)
        raise AssertionError(f"{package} did not start")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._answers.close()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NGC5921 as a MeasurementSet, a small image, two calibration tables."""
    desk = Desk(tmp_path_factory.mktemp("data"), {})
    try:
        desk.run(
            "import casadata, casatasks, casatools, numpy\n"
            "casatasks.importuvfits(fitsfile=casadata.datapath + '/demo/NGC5921.fits', vis='n.ms')\n"
            "casatasks.bandpass(vis='n.ms', caltable='b.cal', field='0', solint='inf')\n"
            "for name, sign in (('one.image', 1), ('two.image', -1)):\n"
            "    ia = casatools.image(); ia.fromshape(name, [32, 32], overwrite=True)\n"
            "    ia.putchunk(sign * numpy.arange(1024.).reshape(32, 32) ** 2); ia.close()\n"
        )
    finally:
        desk.close()
    return desk.cwd


@pytest.fixture(scope="module")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Display]:
    with Display(tmp_path_factory.mktemp("display")) as running:
        yield running


@pytest.fixture
def new_desk(tmp_path: Path) -> Iterator[Callable[[dict[str, str]], Desk]]:
    """Starts a process of the test's own."""
    desks: list[Desk] = []

    def start(environment: dict[str, str]) -> Desk:
        desks.append(Desk(tmp_path / "desk", environment))
        return desks[-1]

    yield start
    for started in desks:
        started.close()


@pytest.fixture(scope="module")
def shared_desk(tmp_path_factory: pytest.TempPathFactory, display: Display) -> Iterator[Desk]:
    running = Desk(tmp_path_factory.mktemp("desk"), display.env())
    yield running
    running.close()


@pytest.fixture
def desk(shared_desk: Desk, display: Display) -> Desk:
    """The shared process, on a display that works (whatever the test before did to it)."""
    if not display.alive():
        display.restart()
    shared_desk.use(display)
    return shared_desk
