"""``jupyter casa doctor``: what works on this machine, and the command that cures what does not."""

from __future__ import annotations

import argparse
import ctypes
import importlib.metadata
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from casa_recompute.runner import CasaNotLoaded, WorkerDied
from casa_recompute.runner.worker import confine
from casa_recompute.session import Session
from casa_recompute.settings import Settings, SettingsError, config_files, load_settings
from casa_recompute.shared import Shared
from casa_recompute.store import StoreError, ZfsStore, open_store
from jupyterlab_casa.cli.text import FAILED, CommandError, emit, say, size

SCHEMA = 1
_LOAD_S = 120.0
_TIGHT = 5e9  # bytes: less free space than a small reduction needs
_REINSTALL = "pip install --force-reinstall --no-deps jupyterlab-casa"
_GUI_PACKAGES = ("casaplotms", "casaviewer", "casatablebrowser")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: a sentence, and the command that cures it."""

    name: str
    status: Literal["ok", "warn", "fail"]
    message: str
    cure: str = ""


def doctor(arguments: argparse.Namespace) -> int:
    """Check everything; exit code 1 when something does not work."""
    directory: Path = arguments.directory.resolve()
    if not directory.is_dir():
        raise CommandError(f"{arguments.directory} is no directory")
    tell = say if arguments.json else print
    found: list[Check] = []
    for check in _checks(directory, arguments.gui):
        found.append(check)
        tell(f"{check.status:<5} {check.name}: {check.message}")
        if check.cure:
            tell(f"{'':<5} -> {check.cure}")
    failed = sum(check.status == "fail" for check in found)
    tell(f"\n{failed} of {len(found)} checks failed" if failed else "\nEverything that is needed works")
    if arguments.json:
        emit({"schema": SCHEMA, "ok": not failed, "checks": [asdict(check) for check in found]})
    return FAILED if failed else 0


def _checks(directory: Path, gui: bool) -> Iterator[Check]:
    yield _python()
    try:
        settings = load_settings()
    except SettingsError as error:
        yield Check("settings", "fail", str(error), "correct the file or the variable that it names")
        return
    yield _settings()
    yield from _packages(settings)
    with _session(settings) as session:
        loaded = _casa(session)
        yield loaded
        yield _demo_data()
        yield _display(settings)
        yield _fuse()
        yield _ports()
        if gui and loaded.status == "ok":
            yield _plot(session)
    yield _kernel()
    yield _lab_extension()
    yield _server_extension()
    yield from _disk(directory, settings)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info < (3, 13):
        return Check("Python", "ok", f"{version} at {sys.executable}. Node.js is not needed to run.")
    message = f"{version} is not 3.11 or 3.12, for which CASA is made"
    return Check("Python", "fail", message, "make an environment with Python 3.12")


def _settings() -> Check:
    used = [str(path) for path in config_files() if path.is_file()]
    variables = sorted(name for name in os.environ if name.startswith("JUPYTERLAB_CASA_"))
    sources = [*used, *variables]
    message = f"from {', '.join(sources)}" if sources else "defaults; there is no settings file"
    return Check("settings", "ok", message)


# -- CASA ----------------------------------------------------------------------------------------------------


@contextmanager
def _session(settings: Settings) -> Iterator[Session]:
    """A session in a workspace of its own, so that nothing is left in the user's."""
    with tempfile.TemporaryDirectory(prefix="casa-doctor-") as scratch:
        session = Session(Path(scratch), settings)
        try:
            yield session
        finally:
            session.close()


def _packages(settings: Settings) -> Iterator[Check]:
    with _session(settings) as session:
        try:
            versions = session.casa.versions
        except CasaNotLoaded as error:
            yield Check("CASA packages", "fail", str(error), "correct `python` in the settings")
            return
    install = f"{settings.python} -m pip install"
    tested = _tested()
    for name in ("casatasks", "casatools", "casadata"):
        if name not in versions:
            pin = f"=={tested[name]}" if name in tested else ""
            yield Check(name, "fail", "not installed", f"{install} {name}{pin}")
    missing = [name for name in _GUI_PACKAGES if name not in versions]
    if missing:
        pins = " ".join(f"{name}=={tested[name]}" if name in tested else name for name in missing)
        yield Check("graphical tasks", "warn", f"{', '.join(missing)}: not installed", f"{install} {pins}")
    other = {name: version for name, version in versions.items() if tested.get(name, version) != version}
    text = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    if other:
        untested = ", ".join(f"{name} {tested[name]}" for name in sorted(other))
        yield Check("versions", "warn", f"{text}; what tasks read and write was measured with {untested}")
    elif versions:
        yield Check("versions", "ok", text)


def _tested() -> dict[str, str]:
    """The versions that this package was made for, as its own metadata say."""
    try:
        requirements = importlib.metadata.requires("jupyterlab-casa") or []
    except importlib.metadata.PackageNotFoundError:  # used from a source tree
        return {}
    pairs = (requirement.split(";")[0].split("==") for requirement in requirements)
    return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}


def _casa(session: Session) -> Check:
    def hurry(elapsed: float, printed: str) -> None:
        if elapsed > _LOAD_S:
            said = printed.strip()[-500:]
            raise TimeoutError(f"CASA was not loaded within {_LOAD_S:.0f} s; it said: {said}")

    python = session.settings.python
    try:
        session.worker.request("check", {"package": ""}, hurry)  # of nothing, but by a CASA that is loaded
    except (CasaNotLoaded, WorkerDied, TimeoutError) as error:
        return Check("CASA", "fail", str(error), f"{python} -c 'import casatasks' shows the whole error")
    versions = session.worker.versions
    message = f"casatasks {versions['casatasks']} loads in {python}, with {session.threads} threads"
    return Check("CASA", "ok", message)


def _demo_data() -> Check:
    try:
        import casadata
    except ImportError:
        return Check("tutorial data", "warn", "this Python has no casadata", "pip install casadata")
    data = Path(casadata.datapath) / "demo" / "NGC5921.fits"
    if data.is_file():
        return Check("tutorial data", "ok", str(data))
    cure = "pip install --force-reinstall --no-deps casadata"
    return Check("tutorial data", "warn", f"{data} is missing", cure)


# -- pictures ------------------------------------------------------------------------------------------------


def _display(settings: Settings) -> Check:
    if settings.display == "inherit":
        if os.environ.get("DISPLAY"):
            return Check("display", "ok", f"the one of this environment, {os.environ['DISPLAY']}")
        return Check("display", "fail", "display = 'inherit', but DISPLAY is not set", "set display = 'own'")
    if shutil.which("Xvfb"):
        return Check("display", "ok", "Xvfb is installed; graphical tasks draw on a display of their own")
    message = "Xvfb is not installed: plotms, imview, msview and browsetable cannot draw"
    return Check("display", "fail", message, "sudo apt-get install xvfb")


def _fuse() -> Check:
    try:
        ctypes.CDLL("libfuse.so.2")
    except OSError:
        mounts = False
    else:
        mounts = os.access("/dev/fuse", os.R_OK | os.W_OK) and shutil.which("fusermount") is not None
    if mounts:
        return Check("FUSE", "ok", "graphical programs are mounted as they are")
    message = "not usable here: each graphical program is unpacked once, into about 560 MB of ~/.cache/casa-recompute"
    if shutil.disk_usage(Path.home()).free > _TIGHT:
        return Check("FUSE", "ok", message)
    return Check("FUSE", "warn", message + ", where little room is left", "sudo apt-get install fuse libfuse2")


def _ports() -> Check:
    if confine.possible(processes=False):
        return Check("ports", "ok", "graphical programs are shut in: nobody else reaches their ports")
    message = "no user namespaces here: while a graphical program runs, others can reach its port, without a password"
    return Check("ports", "warn", message, "sudo sysctl user.max_user_namespaces=15000, or a firewall")


def _plot(session: Session) -> Check:
    import casadata

    data = str(Path(casadata.datapath) / "demo" / "3C273XC1.fits")
    before = Path.cwd()
    os.chdir(session.workspace.directory)
    try:
        session.call("importuvfits", fitsfile=data, vis="smoke.ms")
        outcome = session.call("plotms", vis="smoke.ms", plotfile="smoke.png", showgui=False)
    except Exception as error:  # whatever goes wrong is the finding
        cure = "sudo apt-get install xvfb perl libfontconfig1 libglib2.0-0 libfuse2"
        return Check("plotms", "fail", f"{type(error).__name__}: {error}", cure)
    finally:
        os.chdir(before)
    drawn = sum(len(picture.data) for picture in outcome.pictures)
    if not drawn:
        return Check("plotms", "fail", "it ran but made no picture", "look at the log: jupyter casa run")
    return Check("plotms", "ok", f"draws ({outcome.seconds:.1f} s)")


# -- Jupyter -------------------------------------------------------------------------------------------------


def _kernel() -> Check:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec("casa")
    except NoSuchKernel:
        return Check("kernel casa", "fail", "not registered, so JupyterLab does not offer it", _REINSTALL)
    # jupyter_client replaces a bare "python" by its own interpreter
    python = sys.executable if spec.argv[0].startswith("python") else spec.argv[0]
    if "casa_kernel" not in spec.argv:
        message = f"{spec.resource_dir} is another kernel of that name"
        return Check("kernel casa", "fail", message, "jupyter kernelspec remove casa, then " + _REINSTALL)
    if python != sys.executable:
        message = f"{spec.resource_dir} starts {python}, not {sys.executable}"
        return Check("kernel casa", "warn", message, _REINSTALL)
    return Check("kernel casa", "ok", spec.resource_dir)


def _lab_extension() -> Check:
    from jupyterlab.commands import AppOptions, check_extension  # type: ignore[import-untyped]

    quiet = logging.getLogger("jupyterlab_casa.doctor")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    options = AppOptions(logger=quiet)
    if not check_extension("jupyterlab-casa", installed=True, app_options=options):
        return Check("JupyterLab extension", "fail", "not installed: no task log and no marks", _REINSTALL)
    if not check_extension("jupyterlab-casa", app_options=options):
        cure = "jupyter labextension enable jupyterlab-casa"
        return Check("JupyterLab extension", "warn", "disabled", cure)
    return Check("JupyterLab extension", "ok", "installed and enabled")


def _server_extension() -> Check:
    from jupyter_core.paths import jupyter_config_path
    from jupyter_server.extension.config import ExtensionConfigManager

    manager = ExtensionConfigManager(read_config_path=jupyter_config_path())
    known = manager.get_jpserver_extensions()  # type: ignore[no-untyped-call]
    enabled = known.get("jupyterlab_casa")
    if enabled is None:
        return Check("server extension", "fail", "not installed", _REINSTALL)
    if not enabled:
        cure = "jupyter server extension enable jupyterlab_casa"
        return Check("server extension", "warn", "disabled", cure)
    return Check("server extension", "ok", "installed and enabled")


# -- the disk ------------------------------------------------------------------------------------------------


def _disk(directory: Path, settings: Settings) -> Iterator[Check]:
    try:
        with tempfile.TemporaryDirectory(prefix=".casa-doctor-", dir=directory) as scratch:
            store = open_store(Path(scratch) / "store", settings.store)
            store.close()
    except OSError as error:
        message = f"{directory} cannot be written ({error.strerror})"
        yield Check("workspace", "fail", message, "work in a directory of your own: jupyter casa doctor DIR")
        return
    except StoreError as error:
        yield Check("store", "fail", str(error), "store = 'auto' in the settings")
        return
    copies = store.name == "copy" and settings.store != "copy"
    cure = "work in a directory on btrfs, XFS or OpenZFS >= 2.2, or say store = 'copy' and a budget in the settings"
    cure = store.advice or (cure if copies else "")
    yield Check("store", "warn" if copies else "ok", f"{store.name}: {store.reason}", cure)
    if isinstance(store, ZfsStore):
        yield Check("libzfs_core", "ok", store.zfs.binding[1])
    for message in Shared(settings.shared).troubles():
        yield Check("shared", "warn", message, "correct `shared` in the settings, or ask whose workspace it is")
    free = shutil.disk_usage(directory).free
    tight = free < _TIGHT
    cure = "jupyter casa cache info shows what is kept" if tight else ""
    yield Check("free space", "warn" if tight else "ok", f"{size(free)} in {directory}", cure)
