"""One kernel waits for another's task, and that one is killed: the first gets the workspace, repaired, at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from casa_recompute.session import Session
from tests.core.standin import chain, contents, in_cell

KERNEL = """
import os, sys
from pathlib import Path
from casa_recompute.session import Session
from tests.core.standin import fake_settings, in_cell

class Tell:
    def started(self, task, reason, expected): pass
    def progress(self, elapsed, expected, stage):
        print("waits" if "waiting" in stage else "runs", flush=True)
    def finished(self, outcome): pass
    def failed(self, task, error, log): pass

pause, field = float(sys.argv[1]), sys.argv[2]
session = Session(Path.cwd(), fake_settings(pause=pause), Tell())
print(in_cell(session, "flag", "flagdata", vis="a.ms", field=field).action, flush=True)
session.close()
"""


def kernel(directory: Path, pause: float, field: str) -> subprocess.Popen[str]:
    """A process that flags a.ms; ``pause``: seconds between the pieces in which its task writes."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-c", KERNEL, str(pause), field],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def said(process: subprocess.Popen[str], what: str) -> None:
    """Wait until it says so."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == what:
            return
    raise AssertionError(f"it never said {what!r}")


@pytest.mark.parametrize("waiting", [1])
def test_who_waits_for_a_killed_kernel_gets_a_repaired_workspace(
    open_session: Callable[..., Session], tmp_path: Path, waiting: int
) -> None:
    fresh = tmp_path / "fresh"
    reference = open_session(fresh)
    in_cell(reference, "import", "importuvfits", fitsfile="raw.fits", vis="a.ms")
    in_cell(reference, "flag", "flagdata", vis="a.ms", field="1")
    directory = tmp_path / "workspace"
    in_cell(open_session(directory), "import", "importuvfits", fitsfile="raw.fits", vis="a.ms")
    before = contents(directory)
    owner = kernel(directory, 3600.0, "0")
    others: list[subprocess.Popen[str]] = []
    try:
        said(owner, "runs")
        others += [kernel(directory, 0.0, "1") for _ in range(waiting)]
        for other in others:
            said(other, "waits")
        deadline = time.monotonic() + 60
        while contents(directory) == before:
            assert time.monotonic() < deadline, "the task has not begun to write, so there is nothing to repair"
            time.sleep(0.05)
        owner.send_signal(signal.SIGKILL)
        assert owner.wait(60) == -signal.SIGKILL
        actions = [other.communicate(timeout=120)[0].split()[-1] for other in others]
        assert sorted(actions) == ["ran", *["restored"] * (waiting - 1)]
    finally:
        for process in (owner, *others):
            process.kill()
            process.wait()
    assert contents(directory) == contents(fresh)
    assert chain(open_session(directory), field="1")[:2] == ["restored", "restored"]
