"""A notebook on CASA's stand-in (fakecasa), cell by cell."""

from __future__ import annotations

import os
from pathlib import Path

from casa_recompute.session import Cell, Outcome, Session
from casa_recompute.settings import Settings

FAKE = Path(__file__).parent / "fakecasa"


def fake_settings(pause: float = 0.0, **kwargs: object) -> Settings:
    """Settings whose worker imports the stand-in; ``pause``: seconds between the pieces in which it writes."""
    return Settings(environment={"PYTHONPATH": str(FAKE), "FAKE_PAUSE": str(pause)}, threads=1, **kwargs)  # type: ignore[arg-type]


ORDER = ("import", "flag", "model", "gain", "apply", "split", "clean")


def in_cell(session: Session, cell: str, task: str, order: tuple[str, ...] = ORDER, **arguments: object) -> Outcome:
    session.begin_cell(Cell(cell, order, "nb.ipynb", ""))
    try:
        return session.call(task, **arguments)
    finally:
        session.end_cell()


def steps(solint: str = "inf", niter: int = 0, field: str = "") -> list[tuple[str, str, dict[str, object]]]:
    """The notebook: cell, task, arguments."""
    return [
        ("import", "importuvfits", {"fitsfile": "raw.fits", "vis": "a.ms"}),
        ("flag", "flagdata", {"vis": "a.ms", "field": field}),
        ("model", "setjy", {"vis": "a.ms"}),
        ("gain", "gaincal", {"vis": "a.ms", "caltable": "a.gcal", "solint": solint}),
        ("apply", "applycal", {"vis": "a.ms", "gaintable": ["a.gcal"]}),
        ("split", "split", {"vis": "a.ms", "outputvis": "b.ms"}),
        ("clean", "tclean", {"vis": "b.ms", "imagename": "img", "niter": niter}),
    ]


def chain(session: Session, **parameters: object) -> list[str]:
    """Run the whole notebook; the actions taken."""
    return [in_cell(session, cell, task, **arguments).action for cell, task, arguments in steps(**parameters)]  # type: ignore[arg-type]


def contents(directory: Path) -> dict[str, bytes]:
    """All data of all products; what CASA stamps with the time is left out."""
    found = {}
    for parent, directories, files in os.walk(directory):
        if ".casa-recompute" in directories:  # the background works there
            directories.remove(".casa-recompute")
        for path in (Path(parent, name) for name in files if name != "HISTORY"):
            found[str(path.relative_to(directory))] = path.read_bytes()
    return found
