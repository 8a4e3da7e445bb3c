"""Twelve things that astronomers do to a reduction, each with the exact cells and calls that it costs.

That every plan agrees with the run after it, and that going back to the first notebook executes nothing and brings
back every file and every output as it was, is asserted for each of them in conftest.py.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from astropy.io import fits

from jupyterlab_casa.tutorial import DATA

from .conftest import AFTER_FLAG, CELLS, Bench, changed, ordered

SOLVE = ["import", "flag", "flux", "gain"]


def test_a_flag_parameter(bench: Bench) -> None:
    run = bench.run(changed(CELLS, flag=("quackinterval=30", "quackinterval=60")))
    assert run.executed == AFTER_FLAG
    assert run.calls("ran") == ["flagdata", "setjy", "gaincal", "applycal", "split", "tclean", "plotms"]
    assert run.calls("restored") == []
    assert run.reasons("flag") == [("edited", "`quackinterval` of flagdata was 30, is now 60", None)]
    assert run.text("measure") != bench.base.text("measure")


def test_the_solution_interval(bench: Bench) -> None:
    run = bench.run(changed(CELLS, parameters=("'inf'", "'60s'")))
    assert run.executed == ["parameters", "gain", "apply", "split", "clean", "measure", "plot"]
    assert run.calls("ran") == ["gaincal", "applycal", "split", "tclean", "plotms"]
    assert run.calls("restored") == []


def test_the_number_of_iterations(bench: Bench) -> None:
    run = bench.run(changed(CELLS, parameters=("niter = 50", "niter = 100")))
    assert run.executed == ["parameters", "clean", "measure"]
    assert run.calls("ran") == ["tclean"] and run.calls("restored") == []
    assert run.text("clean") == "100 iterations\n"
    assert run.text("measure") != bench.base.text("measure")


def test_a_comment(bench: Bench) -> None:
    said = {name: f"# says {name}\n\n{text}   # so it is\n" for name, text in CELLS.items()}
    said["plot"] = CELLS["plot"].replace("\n       ", "\n\n  # as small as can be\n  ").replace(", ", ",  ")
    run = bench.run(said)
    assert run.plan["fresh"]
    assert run.executed == [] and run.restored == [] and run.report["changed"] == []
    assert bench.contents() == bench.files


def test_another_order(bench: Bench) -> None:
    names = ["distance", "import", "list", "parameters", "flag", "flux", "gain", "apply", "split", "plot", "clean"]
    run = bench.run(ordered([*names, "measure"]))
    assert run.plan["fresh"], "cells that do not depend on each other"
    assert run.executed == [] and run.restored == [] and run.report["changed"] == []
    names.remove("list")
    names.insert(names.index("flag") + 1, "list")
    run = bench.run(ordered([*names, "measure"]))
    assert run.executed == ["list"] and run.calls("ran") == ["listobs"], "it lists what is flagged now"
    ((kind, _, maker),) = run.reasons("list")
    assert (kind, maker) == ("order", "flag")


def test_an_extra_plot_of_an_early_state(bench: Bench) -> None:
    look = (
        "plotms(vis='all.ms', field='1331*', scan='1', xaxis='time', yaxis='amp', avgchannel='63',\n"
        "       plotfile='early.png', width=400, height=300, showgui=False, overwrite=True)"
    )
    names = list(CELLS)
    names.insert(names.index("flag"), "look")
    run = bench.run({name: CELLS.get(name, look) for name in names})
    assert run.executed == ["look"] and run.calls("ran") == ["plotms"]
    assert run.reasons("look") == [("never-run", "it has never run", None)]
    after = bench.contents()
    assert after.pop("early.png")
    assert after == bench.files, "the data were brought back to what they are after the last cell"


def test_deleted_products_and_outputs(bench: Bench) -> None:
    for name in ("all.ms", "gains", "image.residual"):
        shutil.rmtree(bench.directory / name)
    (bench.directory / "amp.png").unlink()
    bench.clear("clean", "plot")
    run = bench.again()
    assert run.executed == [] and run.report["kernel_s"] == 0
    assert run.restored == ["clean", "plot"]
    assert sorted(run.report["changed"]) == ["all.ms", "amp.png", "gains", "image.residual"]
    assert sorted(run.plan["restores"]) == ["all.ms", "amp.png", "gains", "image.residual"]
    assert [cell for cell, state in run.states.items() if state == "restorable"] == ["gain", "apply", "clean", "plot"]
    assert run.reasons("gain") == [("missing", "`gains` is missing: it is brought back", None)]
    assert run.outputs == bench.base.outputs
    assert bench.contents() == bench.files


def test_a_raw_file_that_was_touched(bench: Bench) -> None:
    raw = bench.directory / DATA
    os.utime(raw)
    run = bench.again()
    assert run.plan["fresh"] and run.executed == []
    copy = raw.with_suffix(".copy")
    shutil.copyfile(raw, copy)
    copy.replace(raw)
    run = bench.again()
    assert run.plan["fresh"] and run.executed == [], "a new file that holds the same"


def test_a_raw_file_that_was_changed(bench: Bench) -> None:
    raw, original = bench.directory / DATA, bench.directory.parent / "original.fits"
    shutil.copyfile(raw, original)
    try:
        with fits.open(raw, mode="update") as opened:
            opened[0].data.data[2000:2100, ..., :2] *= 1.5  # some visibilities of 3C 286
        run = bench.again()
        assert run.executed == ["import", "list", *AFTER_FLAG]
        ran = ["importuvfits", "listobs", "flagdata", "setjy", "gaincal", "applycal", "split", "tclean", "plotms"]
        assert run.calls("ran") == ran and run.calls("restored") == []
        assert run.reasons("import") == [("file", f"`{DATA}` was changed outside the notebook", None)]
        assert run.text("measure") != bench.base.text("measure")
    finally:
        original.replace(raw)


def test_gains_that_are_appended(bench: Bench, tmp_path: Path) -> None:
    append = (
        "solved = gaincal(vis='all.ms', caltable='gains', field='1445*', spw='0:6~56', refant='15', solint=solint,\n"
        "                 append=True)"
    )
    count = "tb.open('gains')\nids = list(tb.getcol('FIELD_ID'))\ntb.close()\nprint(ids.count(0), ids.count(1))"
    short = {**ordered(["parameters", *SOLVE]), "append": append, "count": count}
    first = bench.run(short)
    assert first.executed == ["append", "count"] and first.calls("ran") == ["gaincal"]
    every = bench.copy(tmp_path / "copy").again("--all")
    assert every.executed == list(short)
    assert every.calls("ran") == [], "the table with both is known, so it is not appended to again"
    assert every.text("count") == first.text("count")

    both = bench.run(changed(short, gain=("refant='15'", "refant='14'")))
    assert both.executed == ["gain", "append", "count"] and both.calls("ran") == ["gaincal", "gaincal"]
    assert both.reasons("gain") == [("edited", "`refant` of gaincal was '15', is now '14'", None)]
    assert both.text("count") == first.text("count")


def test_an_image_that_is_cleaned_on(bench: Bench) -> None:
    more = (
        "start = imstat(imagename='image.residual')\n"
        "further = tclean(vis='flux.ms', imagename='image', imsize=64, cell='15arcsec', niter=30)\n"
        "print(further['iterdone'], start['rms'][0])"
    )
    kept = ["parameters", "import", "flag", "flux", "gain", "apply", "split", "clean"]
    longer = {**ordered(kept), "more": more, "measure": CELLS["measure"]}
    thirty = bench.run(longer)
    assert thirty.executed == ["more", "measure"] and thirty.calls("ran") == ["imstat", "tclean"]

    sixty = bench.run(changed(longer, more=("niter=30", "niter=60")))
    assert sixty.executed == ["more", "measure"] and sixty.calls("ran") == ["tclean"]
    assert sixty.calls("restored") == ["imstat"], "it begins with the images that the first cell left"
    assert sixty.reasons("more") == [("edited", "`niter` of tclean was 30, is now 60", None)]
    done, start = thirty.text("more").split()
    assert sixty.text("more").split() == ["60", start] and done == "30", "both went on from the first cell's images"
    assert len({run.text("measure") for run in (bench.base, thirty, sixty)}) == 3

    both = bench.run(changed(longer, clean=("niter=niter", "niter=10")))
    assert both.executed == ["clean", "more", "measure"] and both.calls("ran") == ["tclean", "imstat", "tclean"]
    assert both.text("more").split()[1] != start

    back = bench.run(longer)
    assert back.executed == [] and back.text("measure") == thirty.text("measure")


def test_a_virtual_model(bench: Bench, tmp_path: Path) -> None:
    look = "tb.open('gains')\nprint(abs(tb.getcol('CPARAM')).mean().round(4))\ntb.close()"
    scratch = {**ordered(["parameters", *SOLVE]), "look": look}
    virtual = changed(scratch, flux=("usescratch=True", "usescratch=False"))
    before = bench.run(scratch)
    assert before.executed == ["look"]
    run = bench.run(virtual)
    assert run.executed == ["flux", "gain", "look"] and run.calls("ran") == ["setjy", "gaincal"]
    assert run.reasons("flux") == [("edited", "`usescratch` of setjy was True, is now False", None)]
    assert run.text("look") == before.text("look")
    assert bench.run(scratch).executed == [] and bench.run(virtual).executed == []

    # A virtual model is kept under its absolute path.
    moved = bench.copy(tmp_path / "moved")
    there = moved.run(virtual)
    assert there.executed == ["flux", "gain", "look"] and "setjy" in there.calls("ran")
    message = "what it made holds absolute paths, and the workspace was moved or copied"
    assert there.reasons("flux") == [("environment", message, None)]
    assert there.text("look") == run.text("look")
    old = bytes(bench.directory)
    names = [name for name in moved.contents() if name.startswith("all.ms/") and "/HISTORY/" not in name]
    assert [name for name in names if old in (moved.directory / name).read_bytes()] == []


def test_a_parameter_changed_and_changed_back(bench: Bench) -> None:
    other = changed(CELLS, clean=("niter=niter", "niter=20"))
    first = bench.run(other)
    assert first.executed == ["clean", "measure"] and first.calls("ran") == ["tclean"]
    assert first.reasons("clean") == [("edited", "`niter` of tclean was 50, is now 20", None)]
    left = bench.contents()

    back = bench.run(CELLS)
    assert back.executed == [] and back.restored == ["clean", "measure"]
    assert back.outputs == bench.base.outputs and bench.contents() == bench.files

    second = bench.run(other)
    assert second.executed == [] and second.restored == ["clean", "measure"]
    assert second.outputs == first.outputs and bench.contents() == left
