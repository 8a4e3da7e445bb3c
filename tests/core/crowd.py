"""Many kernels at once in one workspace, each in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from casa_recompute.session import Outcome, Session
from tests.core.standin import fake_settings, in_cell


@dataclass
class Told:
    """What came of one kernel."""

    actions: dict[str, str] = field(default_factory=dict)  # product -> "ran", "restored"
    notes: list[str] = field(default_factory=list)
    error: str = ""


def make(session: Session, name: str) -> tuple[Outcome, Outcome]:
    """Two cells: import a MeasurementSet, and flag it."""
    cells = (f"import {name}", f"flag {name}")
    made = in_cell(session, cells[0], "importuvfits", cells, fitsfile="raw.fits", vis=name)
    return made, in_cell(session, cells[1], "flagdata", cells, vis=name, field=name)


def crowd(directory: Path, kernels: int) -> list[Told]:
    """Let kernels begin at the same moment: all make ``common.ms``, and each one flags a MeasurementSet of its own."""
    gate = os.pipe()
    pipes = []
    for number in range(kernels):
        told, tell = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(gate[1])
            for other, _ in pipes:
                os.close(other)
            try:
                os.write(tell, json.dumps(vars(_kernel(directory, number, gate[0]))).encode())
            finally:
                os._exit(0)
        os.close(tell)
        pipes.append((told, pid))
    os.close(gate[1])  # whoever waits to read from it reads its end now
    os.close(gate[0])
    found = []
    for told, pid in pipes:
        with open(told) as stream:
            found.append(Told(**json.loads(stream.read() or '{"error": "it died"}')))
        os.waitpid(pid, 0)
    return found


def _kernel(directory: Path, number: int, gate: int) -> Told:
    told = Told()
    try:
        os.chdir(directory)
        os.read(gate, 1)
        session = Session(directory, fake_settings(pause=0.001))
        for name in ("common.ms", f"{number}.ms"):
            made, flagged = make(session, name)
            told.actions |= {name: made.action, f"{name} flagged": flagged.action}
            told.notes += [*made.notes, *flagged.notes]
        session.close()
    except BaseException:
        told.error = traceback.format_exc()
    return told


def lost(directory: Path, kernels: int) -> list[str]:
    """What the kernels made that another one does not get back."""
    os.chdir(directory)
    for path in directory.glob("*.ms*"):
        shutil.rmtree(path)
    session = Session(directory, fake_settings())
    names = ["common.ms", *(f"{number}.ms" for number in range(kernels))]
    missing = [name for name in names if [outcome.action for outcome in make(session, name)] != ["restored"] * 2]
    session.close()
    return missing


if __name__ == "__main__":  # a process that has no threads, from which one may fork
    place, count = Path(sys.argv[1]), int(sys.argv[2])
    print(json.dumps(lost(place, count) if sys.argv[3:] else [vars(told) for told in crowd(place, count)]))
