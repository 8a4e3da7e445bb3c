"""A stand-in for casatasks whose tasks keep CASA's habits with files but compute next to nothing.

In place, side by side, continued, refused when the output exists, half-written when they fail: so that thousands of
calls can be made, and killed, in the time of one tclean. Everything around the tasks is the real thing: the catalogue
(from the real XML), the effects table, the worker process, the protocol, the store.

FAKE_PAUSE: seconds after each piece that is written. FAKE_HOLD: a file; as long as it exists, no task goes on.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from pathlib import Path


class _Log:
    path = os.devnull

    def setlogfile(self, path: str) -> None:
        self.path = path

    def post(self, message: str, priority: str = "INFO", origin: str = "fake") -> None:
        with open(self.path, "a") as stream:
            stream.write(f"2026-01-01 00:00:00\t{priority}\t{origin}\t{message}\n")


casalog = _Log()
_PAUSE = float(os.environ.get("FAKE_PAUSE", "0"))
_HOLD = os.environ.get("FAKE_HOLD", "")


def version_string() -> str:
    return "0.0"


def _put(path: Path, *parts: object) -> None:
    """Write in pieces, so that a kill finds the file half written."""
    data = hashlib.sha256(repr(parts).encode()).hexdigest().encode() * 20
    with open(path, "wb") as stream:
        for start in range(0, len(data), 256):
            stream.write(data[start : start + 256])
            stream.flush()
            if _PAUSE:
                time.sleep(_PAUSE)
            while _HOLD and os.path.exists(_HOLD):
                time.sleep(0.02)


def _get(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "none"


def _state(product: str) -> list[tuple[str, str]]:
    """What a task can see of a table: its data, not its history."""
    root = Path(product)
    return [(p.name, _get(p)) for p in sorted(root.iterdir()) if p.name not in ("HISTORY", "table.lock")]


def _history(vis: str, text: str) -> None:
    with open(Path(vis) / "HISTORY", "a") as stream:
        stream.write(f"{text} {time.time_ns()}\n")


def _backup(vis: str) -> None:
    versions = Path(vis + ".flagversions")
    versions.mkdir(exist_ok=True)
    (versions / f"flags.{len(list(versions.iterdir())) + 1}").write_text(_get(Path(vis) / "FLAG"))


def _importuvfits(fitsfile: str, vis: str, **_: object) -> None:
    if os.path.exists(vis):
        raise RuntimeError(f"File {vis} exists")
    os.mkdir(vis)
    _put(Path(vis) / "DATA", _get(Path(fitsfile)))
    _put(Path(vis) / "FLAG", "no flags")
    _history(vis, "importuvfits")


def _flagdata(vis: str, mode: str, field: str, flagbackup: bool, **_: object) -> dict[str, object]:
    if mode == "summary":
        return {"flags": _get(Path(vis) / "FLAG"), "total": 7.0, "python": sys.executable}
    if flagbackup:
        _backup(vis)
    if field == "nofield":
        raise RuntimeError("No match found for name nofield")
    _put(Path(vis) / "FLAG", _get(Path(vis) / "FLAG"), mode, field)
    _history(vis, "flagdata")
    return {}


def _setjy(vis: str, fluxdensity: object, **_: object) -> dict[str, object]:
    _put(Path(vis) / "MODEL", fluxdensity)
    _history(vis, "setjy")
    return {"0": {"fluxd": [1.0, 0.0]}}


def _gaincal(vis: str, caltable: str, solint: object, gaintable: object, refant: str, **_: object) -> dict[str, object]:
    if refant == "abort":
        os.abort()
    if refant == "99":
        casalog.post("No match found for the antenna", "SEVERE", "gaincal")
        return {}
    os.mkdir(caltable)
    tables = [gaintable] if isinstance(gaintable, str) else list(gaintable)
    _put(Path(caltable) / "GAIN", _state(vis), solint, [_state(t) for t in tables if t])
    return {"apply_tables": [caltable], "solved": 7}


def _applycal(vis: str, gaintable: object, **_: object) -> None:
    _backup(vis)
    tables = [gaintable] if isinstance(gaintable, str) else list(gaintable)
    _put(Path(vis) / "CORRECTED", _get(Path(vis) / "DATA"), [_state(t) for t in tables if t])
    _history(vis, "applycal")


def _split(vis: str, outputvis: str, field: str, **_: object) -> None:
    if os.path.exists(outputvis) or os.path.exists(outputvis + ".flagversions"):
        raise OSError(f"Output MS {outputvis} already exists - will not overwrite it.")
    os.mkdir(outputvis)
    _put(Path(outputvis) / "DATA", _state(vis))
    if field == "nofield":
        raise RuntimeError("No match found for name nofield")
    _put(Path(outputvis) / "FLAG", _get(Path(vis) / "FLAG"))


def _tclean(vis: object, imagename: str, niter: int, **_: object) -> dict[str, object]:
    before = []
    for suffix in ("model", "residual"):
        old = Path(f"{imagename}.{suffix}")
        if old.exists():
            before.append((suffix, _state(str(old))))
    inputs = [vis] if isinstance(vis, str) else list(vis)
    weights = Path("IMAGING_WEIGHT_7_norm")
    weights.mkdir()
    _put(weights / "table.dat", "temporary")
    for suffix in ("psf", "residual", "model", "image"):
        root = Path(f"{imagename}.{suffix}")
        root.mkdir(exist_ok=True)
        print(f"0%....{suffix}", flush=True)
        _image(root)
        _put(root / "PIXELS", suffix, niter, [_state(v) for v in inputs], before)
    shutil.rmtree(weights)
    for other in Path().glob(f"{imagename}.*"):  # as CASA does, whoever made the image
        if (other / "table.info").exists():
            _history(str(other), "tclean")
    if niter < 0:
        raise RuntimeError("diverged")
    return {"iterdone": niter}


def _image(root: Path) -> None:
    (root / "table.info").write_text("Type = Image\nSubType =\n")


def _immoments(imagename: str, outfile: str, **_: object) -> None:
    if os.path.exists(outfile):
        raise RuntimeError(f"{outfile} exists")
    os.mkdir(outfile)
    _image(Path(outfile))
    _put(Path(outfile) / "PIXELS", _get(Path(imagename) / "PIXELS"))


def _rmtables(tablenames: object, **_: object) -> None:
    for name in [tablenames] if isinstance(tablenames, str) else list(tablenames):
        shutil.rmtree(name)


class _Task:
    """A task object: calls its function between start and end of the log, as CASA's do."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._function = globals()["_" + name]

    def __call__(self, **arguments: object) -> object:
        module = sys.modules[f"casatasks.{self._name}"]
        for name in ("vis", "fitsfile"):
            value = arguments.get(name)
            if isinstance(value, str) and name == ("fitsfile" if self._name == "importuvfits" else "vis"):
                assert os.path.exists(value), (
                    f"the {name} parameter must be a path that exists ('{value}' does not exist)"
                )
        module._start_log(self._name)
        casalog.post(f"##### Begin Task: {self._name}", origin=self._name)
        return self._function(**arguments)


def _register() -> None:
    import types

    for name in (
        "importuvfits",
        "flagdata",
        "setjy",
        "gaincal",
        "applycal",
        "split",
        "tclean",
        "immoments",
        "rmtables",
    ):
        module = types.ModuleType(f"casatasks.{name}")
        module._start_log = lambda *_: None
        sys.modules[module.__name__] = module
        task = _Task(name)
        setattr(module, name, task)
        globals()[name] = task


_register()
