"""Many kernels on one ledger: what must not happen, counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from disks import directory
from table import Row

ROOT = Path(__file__).parents[1]


def crowd(kernels: int) -> Iterator[Row]:
    """Each kernel, in a process of its own, makes four calls on CASA's stand-in; two of them all kernels make alike."""
    with directory() as scratch:
        (scratch / "raw.fits").write_bytes(b"raw data" * 1000)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([*filter(None, sys.path)])}

        def run(*arguments: str) -> str:
            command = [sys.executable, "-m", "tests.core.crowd", str(scratch), *arguments]
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, text=True)
            return done.stdout

        began = time.perf_counter()
        told = json.loads(run(str(kernels)))
        took = time.perf_counter() - began
        lost = json.loads(run(str(kernels), "--lost"))
    errors = [kernel for kernel in told if kernel["error"] or any("WARNING" in note for note in kernel["notes"])]
    twice = sum(kernel["actions"].get("common.ms flagged") == "ran" for kernel in told) - 1
    detail = f"{4 * kernels} calls in {took:.0f} s"
    yield Row("crowd", f"errors shown by {kernels} concurrent kernels", 0, len(errors), detail)
    yield Row("crowd", "commits lost", 0, len(lost), f"of {2 * kernels + 2} different calls")
    yield Row("crowd", "what all wanted, computed more than once", 0, twice, f"{kernels} asked for it")
