"""Kernels started by our provisioner, on CASA's stand-in (tests/core/fakecasa)."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from casa_recompute.live import Live, read
from jupyterlab_casa import keeper

FAKE = Path(__file__).parents[1] / "core" / "fakecasa"
SLOW = "importuvfits(fitsfile='raw.fits', vis='slow.ms')"


def eventually(condition: Callable[[], object], seconds: float = 120) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def of_kernel(space: Path, kernel_id: str) -> Live | None:
    """What the kernel of this id tells."""
    return next((live for live in read(space / ".casa-recompute") if live.kernel == kernel_id and live.alive), None)


def call_of(space: Path, kernel_id: str) -> dict[str, object]:
    state = of_kernel(space, kernel_id)
    return dict(state.call or {}) if state is not None else {}


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


def gone(pid: int) -> bool:
    return keeper.started(pid) is None


@pytest.fixture
def space(tmp_path: Path) -> Path:
    """A workspace."""
    made = tmp_path / "space"
    made.mkdir()
    (made / "raw.fits").write_bytes(b"raw" * 1000)
    return made


def installed(place: Path) -> dict[str, str]:
    """Installs the kernel below a directory as the package does, provisioner included; the environment for it."""
    spec = json.loads((Path(__file__).parents[2] / "kernel" / "kernelspec" / "kernel.json").read_text())
    spec["argv"][0] = sys.executable
    kernel = place / "jupyter" / "kernels" / "casa"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps(spec))
    # What pip writes at an installation: how the provisioner is found.
    info = place / "site" / "jupyterlab_casa_here-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: jupyterlab-casa-here\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[jupyter_client.kernel_provisioners]\ncasa-provisioner = jupyterlab_casa.provisioner:CasaProvisioner\n"
    )
    return {
        "PYTHONPATH": os.pathsep.join(path for path in [str(info.parent), *sys.path] if path),
        "JUPYTER_PATH": str(place / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(place / "runtime"),
    }


@pytest.fixture
def kernelspec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kernel as it is installed, for CASA's stand-in with slow tasks."""
    for name, value in installed(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    config = tmp_path / "slow.toml"
    config.write_text(f"threads = 1\n[environment]\nPYTHONPATH = {str(FAKE)!r}\nFAKE_PAUSE = '3'\n")
    monkeypatch.setenv("JUPYTERLAB_CASA_CONFIG", str(config))
    return "casa"


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    """Whatever a test leaves in its directory is ended."""
    yield
    for process in processes_with(str(tmp_path)):
        keeper.kill(process)
