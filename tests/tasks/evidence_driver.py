"""Run every case in one CASA process and record the directory before and after: `evidence_driver.py <directory>`.

Writes one JSON line per case to `<directory>/results.jsonl`: the two trees (relative path -> digest and mtime) and the
error, if the task raised one. It knows nothing of the effects table, which the test applies to what is recorded here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import casadata
import casatasks
import numpy
from casatools import componentlist, image, measures, simulator, table
from evidence_cases import CASES, Case

DEMO = Path(casadata.datapath) / "demo"


def tree(root: Path) -> dict[str, tuple[str, int]]:
    """Each file and directory below `root`; the content of table.lock, which readers touch, does not count."""
    found = {}
    for folder, folders, names in os.walk(root):
        for name in folders:
            found[str((Path(folder) / name).relative_to(root))] = ("directory", 0)
        for name in names:
            path = Path(folder) / name
            content = b"" if name == "table.lock" else path.read_bytes()
            found[str(path.relative_to(root))] = (hashlib.sha1(content).hexdigest(), path.stat().st_mtime_ns)
    return found


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in `folder`, which is made."""
    before = Path.cwd()
    folder.mkdir(parents=True)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def make_inputs() -> None:
    """The products that the cases start from: a few minutes of real VLA data, tables, images, and a simulation."""
    ct = casatasks
    ct.importuvfits(fitsfile=str(DEMO / "NGC5921.fits"), vis="all.ms")
    small: dict[str, Any] = {"vis": "all.ms", "datacolumn": "data", "antenna": "0~8&"}
    ct.split(outputvis="raw.ms", spw="0:20~27", scan="1~4", **small)
    ct.split(outputvis="late.ms", spw="0:20~27", scan="5~7", **small)
    ct.split(vis="all.ms", outputvis="auto.ms", datacolumn="data", antenna="0~4&&", spw="0:20~23", field="0")
    ct.split(vis="all.ms", outputvis="sd.ms", datacolumn="data", antenna="0~2&&&", field="2")
    ct.exportuvfits(vis="raw.ms", fitsfile="small.uvfits", datacolumn="data")
    shutil.copytree("raw.ms", "cal.ms")
    ct.setjy(vis="cal.ms", field="0", scalebychan=False, usescratch=True)
    ct.bandpass(vis="cal.ms", caltable="B", field="0", refant="2", solint="inf", combine="scan")
    ct.gaincal(vis="cal.ms", caltable="G", field="0,1", gaintable="B", solint="inf", refant="2")
    ct.fluxscale(vis="cal.ms", caltable="G", fluxtable="F", reference="0", transfer="1")
    ct.applycal(vis="cal.ms", gaintable=["B"], flagbackup=False)
    ct.split(vis="cal.ms", outputvis="src.ms", datacolumn="corrected", field="2")
    common: dict[str, Any] = {"vis": "src.ms", "imsize": 64, "cell": "30arcsec", "interactive": False}
    ct.tclean(imagename="tiny", specmode="mfs", niter=10, mask="circle[[32pix,32pix],10pix]", **common)
    ct.tclean(imagename="cube", specmode="cube", niter=5, restoringbeam="common", **common)
    ct.imsmooth(imagename="tiny.image", outfile="smooth.image", major="400arcsec", minor="400arcsec", pa="0deg")
    ct.exportfits(imagename="tiny.image", fitsimage="tiny.fits")
    ct.exportfits(imagename="tiny.model", fitsimage="sky.fits")
    make_stokes_cube("iquv.image")
    for simulation in (c for c in CASES if c.task == "simobserve"):
        ct.simobserve(**simulation.arguments)
    shutil.copytree("q/q.aca.tp.sd.ms", "tp.ms")
    components = componentlist()
    components.addcomponent(flux=1.0, dir="J2000 15h22m00 5d04m00", shape="point", freq="1.42GHz")
    components.rename("point.cl")
    components.done()
    make_polarised("sim.ms")
    ct.setjy(vis="sim.ms", standard="manual", fluxdensity=[1, 0.1, 0.05, 0], usescratch=True)
    ct.gaincal(vis="sim.ms", caltable="sim.G", refant="1", solint="30s")


def make_stokes_cube(name: str) -> None:
    """A small image with the four Stokes parameters at twelve frequencies."""
    ia = image()
    ia.fromshape(name, [8, 8, 4, 12])
    pixels = numpy.random.default_rng(1).normal(1.0, 0.1, (8, 8, 4, 12))
    ia.putchunk(pixels)
    ia.setbrightnessunit("Jy/beam")
    ia.done()


def make_polarised(name: str) -> None:
    """A few minutes of an unpolarised telescope looking at a polarised point source: RR RL LR LL."""
    sim, me = simulator(), measures()
    sim.open(name)
    offset = numpy.array([0.0, 100.0, 250.0, -120.0, -300.0, 60.0])
    x, y, z = offset - 1601185.0, offset[::-1] - 5041978.0, 3554876.0 + 0.3 * offset
    sim.setconfig(telescopename="VLA", x=x, y=y, z=z, dishdiameter=[25.0] * 6, mount=["alt-az"],
                  antname=[f"A{n}" for n in range(6)], coordsystem="global",
                  referencelocation=me.observatory("VLA"))  # fmt: skip
    sim.setspwindow(spwname="C", freq="5GHz", deltafreq="2MHz", freqresolution="2MHz", nchannels=8,
                    stokes="RR RL LR LL")  # fmt: skip
    sim.setfeed("perfect R L", pol=[""])
    sim.setlimits(shadowlimit=0.001, elevationlimit="1deg")
    sim.setauto(0.0)
    direction = me.direction("J2000", "13h31m08", "30d30m33")
    sim.setfield(sourcename="cal", sourcedirection=direction, calcode="A")
    sim.settimes(integrationtime="30s", usehourangle=True, referencetime=me.epoch("UTC", "2010/04/24/06:00:00"))
    sim.observe("cal", "C", starttime="-300s", stoptime="300s")
    components = componentlist()
    components.addcomponent(flux=[1.0, 0.1, 0.05, 0.0], dir=direction, shape="point", freq="5GHz")
    components.rename("sim.cl")
    components.done()
    sim.predict(complist="sim.cl")
    sim.setnoise(mode="simplenoise", simplenoise="0.01Jy")
    sim.corrupt()
    sim.close()
    tb = table()
    tb.open(name, nomodify=False)
    tb.removecols([c for c in ("MODEL_DATA", "CORRECTED_DATA") if c in tb.colnames()])
    tb.close()


def call(task: str, arguments: dict[str, Any]) -> None:
    """Call a task by name, wherever it lives."""
    if hasattr(casatasks, task):
        getattr(casatasks, task)(**arguments)
    elif task == "plotms":
        import casaplotms

        casaplotms.plotms(**arguments)
    else:
        import casaviewer

        getattr(casaviewer, task)(**arguments)


def run(case: Case, inputs: Path, folder: Path) -> dict[str, Any]:
    """One case in its own directory."""
    with inside(folder):
        for name in case.inputs:
            source = inputs / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, name)
        for name, text in case.texts.items():
            Path(name).write_text(text)
        error = ""
        for task, arguments in case.before:
            call(task, arguments)
        before, started = tree(folder), time.monotonic()
        try:
            call(case.task, case.arguments)
        except Exception:
            error = traceback.format_exc()
        seconds = time.monotonic() - started
        return {"name": case.name, "error": error, "seconds": seconds, "before": before, "after": tree(folder)}


def main(root: Path) -> None:
    """Make the inputs, then run every case; one line of results each."""
    inputs = root / "inputs"
    with inside(inputs):
        make_inputs()
    wanted = sys.argv[2:]
    with (root / "results.jsonl").open("w") as results:
        for case in CASES:
            if not wanted or case.task in wanted or case.name in wanted:
                results.write(json.dumps(run(case, inputs, root / case.name)) + "\n")
                results.flush()
    for case in CASES:  # not before: plotms crashes when the data of its last plot are gone
        shutil.rmtree(root / case.name, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
