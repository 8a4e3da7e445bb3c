"""Graphical CASA tasks without a window: plotms, imview, msview, browsetable, and matplotlib figures.

Runs inside the worker's interpreter, which may be a site's own CASA: the standard library and what CASA itself
brings, nothing of `casa_recompute`. The programs behind these tasks are started here rather than by CASA's own
launchers, which open a FIFO that nobody may ever write to (plotms) or poll a registry for up to 50 s (imview). Here a
program that cannot start, dies, freezes or loses its X server ends in a `GuiStuck` within 15 s, however long
the honest calls take: what is watched is life (process, X server, use of the CPU), never the clock.

The worker's environment must hold DISPLAY and XAUTHORITY (see `casa_recompute.display`), and
PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python, without which CASA's generated classes refuse a recent protobuf.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import importlib.util
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import confine
import usage
from x11 import connect_display

GUI_TASKS = frozenset({"plotms", "imview", "msview", "browsetable"})

_PLOT_WIDTH, _PLOT_HEIGHT = 1000, 750  # pixels of the pictures that we ask plotms for
_FIGURE_DPI = 100
_IDLE_S = 8.0  # a program that works for us uses the CPU at least a little in this time
_IDLE_SHARE = 0.01  # ... namely this share of it; waiting Qt timers stay well below
_END_S = 8.0  # a program has ended by then, with what it has started
_BITMAPS = (".png", ".jpg", ".jpeg")
# Parameters of matplotlib tasks that name the picture file (or the stem of several).
_FIGURE_FILE = {
    "plotants": "figfile",
    "plotbandpass": "figfile",
    "plotprofilemap": "figfile",
    "plotweather": "plotName",
}
_HEADLESS: dict[str, dict[str, Any]] = {
    "plotants": {"showgui": False},
    "plotbandpass": {"interactive": False},
}


class GuiStuck(RuntimeError):
    """A graphical task could not draw: says which task, what happened, and what to do about it."""


# ---------------------------------------------------------------------------------------------- the X display


def _display_fault() -> str | None:
    """What is wrong with the display that this process was given; None when it answers."""
    display = os.environ.get("DISPLAY")
    if not display:
        return "there is no X display (DISPLAY is not set)"
    try:
        connect_display(display, os.environ.get("XAUTHORITY")).close()
    except OSError as error:
        return f"the X display {display} does not answer ({error.strerror or error})"
    return None


# ---------------------------------------------------------------------------------------------- programs


class _Program:
    """One of CASA's graphical programs, started and owned by this process; see confine.py."""

    def __init__(self, task: str, package: str, arguments: Sequence[str], fifo: str = "") -> None:
        """``fifo``: where to tell its address; "{fifo}" in an argument is where the program itself has to."""
        fault = _display_fault()
        if fault:
            raise GuiStuck(f"{task}: {fault}. Install Xvfb (apt install xvfb), then restart the kernel.")
        self.task, self.package, self.display = task, package, os.environ["DISPLAY"]
        self.fault: str | None = None
        # Nameless: nothing remains, whatever happens to us.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        executable = _executable(task, package)
        command = [sys.executable, "-I", "-S", confine.__file__, fifo, _short_directory(), str(executable), *arguments]
        environment = {key: value for key, value in os.environ.items() if "MPI" not in key}  # as CASA does
        self._life, other = socket.socketpair()
        with other:
            # A session of its own: who kills us all at once leaves it the time to clean up.
            self.process = subprocess.Popen(
                command,
                stdin=other.fileno(),
                stdout=self._output,
                stderr=self._output,
                env=environment,
                start_new_session=True,
            )

    def alive(self) -> bool:
        """Whether the program runs; what runs it may need a moment more to clean up."""
        return self._life.fileno() >= 0 and not select.select([self._life], [], [], 0)[0]

    def kill(self, fault: str | None = None) -> None:
        """End the program. `fault`, the reason, is kept for the error message."""
        self.fault = self.fault or fault
        self._life.close()
        try:
            self.process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # waits for a disk: it goes when the disk answers
                self.process.wait(timeout=1)

    def error(self, advice: str = "Run the cell again: a new one is started.") -> GuiStuck:
        """What to tell the user about a program that is gone."""
        if self.fault is None:
            code = self.process.wait()
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            self.fault = f"{self.package} {how}"
        self._output.seek(0)
        said = self._output.read()[-2000:].decode(errors="replace").strip()
        return GuiStuck(f"{self.task}: {self.fault}. {advice}" + (f"\nIts last words:\n{said}" if said else ""))

    def used(self) -> tuple[float, str]:
        """CPU seconds used so far, and the state letters of the kernel ('D' waits for a disk)."""
        seconds, states = 0.0, ""
        for process in (self.process.pid, *usage.descendants(self.process.pid)):
            with contextlib.suppress(OSError):  # it has ended just now
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
                seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                states += fields[0]
        return seconds, states


class _Watch:
    """While a call runs, notices that its program can no longer answer, and ends it so that the call returns."""

    def __init__(self, program: _Program) -> None:
        self._program, self._over = program, threading.Event()
        self._thread = threading.Thread(target=self._run, name="casa-gui-watch", daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        idle = _Idle(self._program)
        while not self._over.wait(0.5):
            fault = _display_fault() or idle.fault()
            if fault and not self._over.is_set():
                self._program.kill(fault)
                return


class _Idle:
    """Tells a program that works, however slowly, from one that has stopped."""

    def __init__(self, program: _Program) -> None:
        self._program = program
        self._since, self._cpu = time.monotonic(), 0.0

    def fault(self) -> str | None:
        cpu, states = self._program.used()
        now = time.monotonic()
        if set(states) & set("DR") or cpu - self._cpu > _IDLE_SHARE * _IDLE_S:
            self._since, self._cpu = now, cpu
        elif now - self._since > _IDLE_S:
            return f"{self._program.package} does not answer (it did nothing for {_IDLE_S:.0f} s)"
        return None


class _Handle:
    """Stands where CASA keeps its process. CASA kills and restarts what does not answer; we say what happened."""

    def __init__(self, program: _Program) -> None:
        self._program = program

    def kill(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may just be dying
            self._program.process.wait(timeout=0.5)
        self._program.kill(f"{self._program.package} does not answer" if self._program.alive() else None)
        raise self._program.error()


_programs: dict[str, _Program] = {}
_temporary: list[str] = []  # extracted programs that could not go into the user's cache


def _server(task: str, package: str, arguments: Sequence[str], scratch: str) -> tuple[_Program, str | None]:
    """The running program of `package`; and the address it serves at, if it was started just now."""
    program = _programs.get(package)
    if program is not None:
        fault = _display_fault()
        if program.alive() and program.display == os.environ.get("DISPLAY") and fault is None:
            program.task = task
            return program, None
        program.kill()
        del _programs[package]
    with tempfile.TemporaryDirectory(dir=scratch, prefix="gui-") as place:
        fifo = os.path.join(place, "address")
        os.mkfifo(fifo, 0o600)
        program = _Program(task, package, arguments, fifo)
        try:
            uri = _read_address(program, fifo)
        except BaseException:
            program.kill()
            raise
    if not uri.startswith("unix:"):
        print(
            f"{package} listens on TCP port {uri.rpartition(':')[2]} of all networks without asking for a password: "
            "this system allows no network namespaces (`sysctl user.max_user_namespaces`), which would shut it in."
        )
    _programs[package] = program
    return program, uri


def _read_address(program: _Program, fifo: str) -> str:
    """The line that the program writes into the FIFO once it serves."""
    text = b""
    pipe = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        idle, checked = _Idle(program), time.monotonic()
        while not text.endswith(b"\n"):
            if select.select([pipe], [], [], 0.05)[0]:
                try:
                    piece = os.read(pipe, 4096)
                except BlockingIOError:
                    continue
                text += piece
                if text and not piece:
                    break
                if not piece:
                    time.sleep(0.02)  # a FIFO without a writer yet is "readable"
            if not program.alive():
                raise program.error("It could not start.")
            if time.monotonic() - checked > 0.5:
                checked = time.monotonic()
                fault = _display_fault() or idle.fault()
                if fault:
                    program.kill(fault)
                    raise program.error()
    finally:
        os.close(pipe)
    return text.decode().strip()


def _executable(task: str, package: str) -> Path:
    """What to execute: CASA's AppImage, or where FUSE does not work its contents, extracted once per version."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise GuiStuck(f"{task}: this CASA has no {package} (pip install {package}).")
    image = Path(found.origin).parent / "__bin__" / f"{package}-x86_64.AppImage"
    if not image.exists():
        raise GuiStuck(f"{task}: {image} is missing; {package} runs on Linux x86_64 only.")
    if _fuse_works():
        return image
    stat = image.stat()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "casa-recompute"
    target = cache / f"{package}-{stat.st_size}-{stat.st_mtime_ns}"
    if (target / "AppRun").exists():
        return target / "AppRun"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        place = tempfile.mkdtemp(dir=cache, prefix="extracting-")
    except OSError:
        place = tempfile.mkdtemp(prefix="casa-recompute-")
        _temporary.append(place)
        target = Path(place) / "program"
    try:
        done = subprocess.run(
            [str(image), "--appimage-extract"],
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise GuiStuck(
                f"{task}: FUSE does not work here and {image.name} "
                f"(560 MB unpacked) cannot be unpacked in {place}: "
                f"{said or f'exit code {done.returncode}'}. Install FUSE (apt install fuse libfuse2) or make room."
            )
        with contextlib.suppress(OSError):  # another worker was first: its copy is as good
            os.rename(os.path.join(place, "squashfs-root"), target)
    finally:
        if place not in _temporary:
            shutil.rmtree(place, ignore_errors=True)
    return target / "AppRun"


def _short_directory() -> str:
    """A directory that only this user can enter, for a socket: those have short names."""
    place = tempfile.gettempdir()
    return tempfile.mkdtemp(prefix="casa-gui-", dir=place if len(place) < 60 else "/tmp")


def _fuse_works() -> bool:
    """Can an AppImage (type 2) mount itself?"""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or not (shutil.which("fusermount")):
        return False
    try:
        ctypes.CDLL("libfuse.so.2")
    except OSError:
        return False
    return True


def shutdown() -> None:
    """End every program that was started here and remove what was unpacked for this process alone."""
    for program in list(_programs.values()):
        program.kill()
    _programs.clear()
    while _temporary:
        shutil.rmtree(_temporary.pop(), ignore_errors=True)


atexit.register(shutdown)


# ---------------------------------------------------------------------------------------------- tasks


def call_gui(name: str, arguments: Mapping[str, Any], scratch: str) -> tuple[object, list[dict[str, str]]]:
    """Run plotms, imview, msview or browsetable without a window.

    Call it from one thread that lives as long as the process: the programs are tied to the life of the caller's thread.

    `scratch` is an existing directory; pictures that the user gave no file for go there and are the caller's to
    read and remove. Returns the task's value and its pictures, in page order: {"name": caption, "path": file}.
    Files that the user asked for are written as asked; those that are bitmaps come back as pictures, too.
    Raises GuiStuck, or what CASA raises.
    """
    return _TASKS[name](dict(arguments), scratch)


def call_task(
    task: Callable[..., Any], name: str, arguments: Mapping[str, Any], scratch: str
) -> tuple[Any, list[dict[str, str]]]:
    """Run an ordinary task; its value and the pictures it drew (matplotlib), files it was asked for included.

    Interactive plotting (plotbandpass waits for the Enter key at each page, plotants opens a window) is turned off.
    """
    arguments = {**arguments, **_HEADLESS.get(name, {})}
    given = arguments.get(_FIGURE_FILE.get(name, ""))
    if name == "plotbandpass" and not given:  # it draws its pages into one figure, so only files show them all
        given = arguments["figfile"] = _fresh(scratch, "plotbandpass.png")
    files = _Files(str(given)) if given else None
    try:
        value = task(**arguments)
    except BaseException:
        _close_figures()
        raise
    pictures = files.pictures() if files else []
    if pictures:  # the open figure is the last of them
        _close_figures()
    else:
        pictures = capture_figures(scratch)
    return value, pictures


def capture_figures(scratch: str) -> list[dict[str, str]]:
    """Save the open matplotlib figures into `scratch` as PNG, close them, and return them as pictures."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    pictures = []
    for number in pyplot.get_fignums():
        figure = pyplot.figure(number)
        if figure.axes:
            label = re.sub(r"[^\w.+-]+", "-", figure.get_label()).strip("-") or f"figure-{number}"
            path = _fresh(scratch, f"{label}.png")
            figure.savefig(path, dpi=_FIGURE_DPI)
            pictures.append({"name": f"{label}.png", "path": path})
    pyplot.close("all")
    return pictures


def _close_figures() -> None:
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def _plotms(arguments: dict[str, Any], scratch: str) -> tuple[object, list[dict[str, str]]]:
    arguments["showgui"] = False
    own = not arguments.get("plotfile")
    drawable = bool(arguments.get("vis") or arguments.get("caltable"))
    if own and drawable:
        arguments.update(plotfile=_fresh(scratch, "plotms.png"), expformat="png", overwrite=True)
        if arguments.get("iteraxis"):
            arguments["exprange"] = arguments.get("exprange") or "all"
        if not arguments.get("highres") and not any(arguments.get(key, -1) > 0 for key in ("dpi", "width", "height")):
            arguments.update(width=_PLOT_WIDTH, height=_PLOT_HEIGHT)
    elif not own:  # the program was started in another directory, maybe; CASA completes bare names only
        arguments["plotfile"] = os.path.abspath(arguments["plotfile"])
    files = _Files(arguments["plotfile"]) if arguments.get("plotfile") else None
    program, uri = _server(
        "plotms",
        "casaplotms",
        ["--nopopups", f"--logfilename={_logfile()}", "--server={fifo}", *_data_path()],
        scratch,
    )
    from casaplotms import plotms
    from casaplotms.private import plotmstool

    if uri is not None:  # hand CASA our program: it keeps the address and the stub in globals of its module
        vars(plotmstool).update(__uri=None, __stub=None, __proc=_Handle(program))
    with _drawing(program):
        if uri is not None:
            plotmstool.stub(uri)
        value = plotms(**arguments)
    return value, files.pictures() if files else []


def _imview(arguments: dict[str, Any], scratch: str) -> tuple[object, list[dict[str, str]]]:
    if not (arguments.get("raster") or arguments.get("contour")):
        print("imview: no image is named (raster, contour), so there is nothing to show.")
        return None, []
    own = not arguments.get("out")
    if own:
        arguments["out"] = {"file": _fresh(scratch, "imview.png"), "format": "png", "scale": 2.0}
    out = arguments["out"]
    files = _Files(str(out.get("file", "") if isinstance(out, dict) else out))
    with _viewer("imview", scratch):
        from casaviewer import imview

        value = imview(**arguments)
    if own:
        _trim(out["file"])
    return value, files.pictures()


def _msview(arguments: dict[str, Any], scratch: str) -> tuple[object, list[dict[str, str]]]:
    arguments["gui"] = False
    if not arguments.get("infile"):
        print("msview: no MeasurementSet is named (infile), so there is nothing to show.")
        return None, []
    own = not arguments.get("outfile")
    if own:
        arguments.update(outfile=_fresh(scratch, "msview.png"), outformat="png", outscale=2.0)
    files = _Files(arguments["outfile"])
    with _viewer("msview", scratch):
        from casaviewer import msview

        value = msview(**arguments)
    if own:
        _trim(arguments["outfile"])
    return value, files.pictures()


def _trim(path: str) -> None:
    """Cut the empty part of the page that the viewer prints on, but for a margin."""
    from PIL import Image

    with Image.open(path) as opened:
        page = opened.convert("RGB")
    box = page.getbbox()
    if box:
        margin = 20
        page.crop(
            (
                max(box[0] - margin, 0),
                max(box[1] - margin, 0),
                min(box[2] + margin, page.width),
                min(box[3] + margin, page.height),
            )
        ).save(path)


def _browsetable(arguments: dict[str, Any], scratch: str) -> tuple[object, list[dict[str, str]]]:
    import casatablebrowser
    from PIL import ImageGrab

    programs: list[_Program] = []

    class Launch:
        """Stands for `subprocess` in CASA's module, which starts the browser and forgets it."""

        @staticmethod
        def Popen(command: list[str]) -> subprocess.Popen[bytes]:
            programs.append(_Program("browsetable", "casatablebrowser", command[1:]))
            return programs[0].process

    def screen() -> Any:
        return ImageGrab.grab(xdisplay=os.environ["DISPLAY"]).convert("RGB")

    fault = _display_fault()
    if fault:
        raise GuiStuck(f"browsetable: {fault}. Install Xvfb (apt install xvfb), then restart the kernel.")
    if "casaviewer" in _programs:
        _programs.pop("casaviewer").kill()  # it may keep windows of its own
    if screen().getbbox():
        raise GuiStuck(
            "browsetable: the X display shows other windows; it needs a private one (setting display = 'own')."
        )
    module = sys.modules[casatablebrowser.browsetable.__module__]
    module.subprocess = Launch  # type: ignore[attr-defined]
    try:
        value = casatablebrowser.browsetable(**arguments)
        program = programs[0]
        with _Watch(program):
            # Without a window manager the screen is black but for the browser; it has drawn itself when it rests.
            picture, settled = screen(), 0
            while settled < 3 or not picture.getbbox():
                if not program.alive():
                    raise program.error()
                time.sleep(0.3)
                before, picture = picture, screen()
                settled = settled + 1 if picture.tobytes() == before.tobytes() else 0
    except OSError as error:
        raise GuiStuck(f"browsetable: the X display was lost ({error}). Run the cell again.") from error
    finally:
        module.subprocess = subprocess  # type: ignore[attr-defined]
        for program in programs:
            program.kill()
    path = _fresh(scratch, "browsetable.png")
    picture.crop(picture.getbbox()).save(path)
    table = arguments.get("tablename") or "browsetable"
    return value, [{"name": f"{os.path.basename(os.path.normpath(table))} (table browser).png", "path": path}]


_TASKS: dict[str, Callable[[dict[str, Any], str], tuple[object, list[dict[str, str]]]]] = {
    "plotms": _plotms,
    "imview": _imview,
    "msview": _msview,
    "browsetable": _browsetable,
}


@contextlib.contextmanager
def _viewer(task: str, scratch: str) -> Iterator[None]:
    """A running casaviewer that is CASA's own, as far as CASA can tell; its panels are closed afterwards."""
    program, uri = _server(
        task, "casaviewer", [f"--casalogfile={_logfile()}", "--nogui={fifo}", *_data_path()], scratch
    )
    from casaviewer.private import task_imview, viewertool

    state = vars(viewertool)
    if uri is not None:
        state["__uri"]["--nogui"], state["__stub"]["--nogui"] = uri, None
        state["__proc"]["--nogui"] = _Handle(program)
    state["__id_gui_state"].clear()
    try:
        with _drawing(program):
            try:
                yield
            finally:
                if program.alive():  # a panel left open would keep an old state of its data
                    for key in state["__id_gui_state"]:
                        panel = viewertool.make_id(key)
                        if viewertool.keyinfo(panel) == "panel":
                            viewertool.close(panel)
    finally:
        for queue in ("_imview_class__dirstack", "_imview_class__colorwedge_queue"):
            vars(task_imview.imview)[queue].clear()  # what a failed call leaves would go into the next picture


@contextlib.contextmanager
def _drawing(program: _Program) -> Iterator[None]:
    """Around the CASA call: errors that the program's end caused name that cause; no half-drawn state survives."""
    try:
        with _Watch(program):
            yield
    except GuiStuck:
        _programs.pop(program.package).kill()
        raise
    except BaseException as error:
        time.sleep(0.1)  # a connection breaks a moment before its process can be waited for
        if not program.alive():
            _programs.pop(program.package, None)
            raise program.error() from error
        if not isinstance(error, Exception):
            _programs.pop(program.package).kill()
        details = getattr(error, "details", None)  # of grpc.RpcError, whose own text is for programmers
        if callable(details):
            raise RuntimeError(f"{program.task}: {details()} (the log says more)") from error
        raise
    if program.fault:
        _programs.pop(program.package, None)
        raise program.error()


def _logfile() -> str:
    from casatasks import casalog

    return str(casalog.logfile())


def _data_path() -> list[str]:
    from casatools import ctsys

    return [f"--datapath={ctsys.rundata()}"]


class _Files:
    """The picture files that a call writes for one name, which is a stem when there are several pages."""

    def __init__(self, target: str) -> None:
        self._folder = os.path.dirname(os.path.abspath(target))
        self._stem, self._suffix = os.path.splitext(os.path.basename(target))
        self._before = self._state()

    def _state(self) -> dict[str, tuple[int, int, int]]:
        found = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.startswith(self._stem) and entry.name.lower().endswith(_BITMAPS) and entry.is_file():
                    stat = entry.stat()
                    found[entry.path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        return found

    def pictures(self) -> list[dict[str, str]]:
        """Those written since, in the order they were written in (that of the pages)."""
        written = {path: state for path, state in self._state().items() if state != self._before.get(path)}
        return [
            {"name": os.path.basename(path), "path": path}
            for path in sorted(written, key=lambda path: (written[path][0], _natural(path)))
        ]


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts page10 after page9."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _fresh(scratch: str, name: str) -> str:
    """An absolute path in `scratch` that does not exist yet and ends in `name` (the caption)."""
    return os.path.join(tempfile.mkdtemp(dir=os.path.abspath(scratch)), name)
