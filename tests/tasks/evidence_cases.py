"""The calls with which the effects table is checked: plain data, read by the test and by the process that runs CASA.

`inputs` are products that `evidence_driver.py` makes once and copies into each case's own directory; `before` are calls
made there before the tree is recorded; `mode` says in a word what the case shows, and stands in the table's `evidence`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One call of one task in a directory of its own."""

    task: str
    mode: str
    inputs: tuple[str, ...]
    arguments: dict[str, Any]
    before: tuple[tuple[str, dict[str, Any]], ...] = ()
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How the test and the case's directory are called."""
        return f"{self.task}-{self.mode}".replace(" ", "-")


CASES: list[Case] = []


def case(task: str, mode: str, inputs: str = "", /, **arguments: Any) -> None:
    """Add a case. `_before` and `_texts` among the arguments are the case's own."""
    before = tuple(arguments.pop("_before", ()))
    texts = arguments.pop("_texts", {})
    CASES.append(Case(task, mode, tuple(inputs.split()), arguments, before, texts))


SAVE = ("flagmanager", {"vis": "raw.ms", "mode": "save", "versionname": "one"})

# flagging
case("flagdata", "summary", "raw.ms", vis="raw.ms", mode="summary")
case("flagdata", "apply", "raw.ms", vis="raw.ms", mode="quack", quackinterval=30.0)
case("flagdata", "apply again", "raw.ms", vis="raw.ms", antenna="2", _before=[SAVE])
case("flagdata", "no backup", "raw.ms", vis="raw.ms/", autocorr=True, flagbackup=False)
case("flagdata", "calculate", "raw.ms", vis="raw.ms", mode="clip", clipminmax=[0, 1], action="calculate")
case("flagdata", "rflag calculate", "raw.ms", vis="raw.ms", mode="rflag", action="calculate", timedev="t.txt",
     freqdev="f.txt")  # fmt: skip
case("flagdata", "list file", "raw.ms", vis="raw.ms", mode="list", inpfile="flags.txt",
     _texts={"flags.txt": "mode='manual' antenna='1'\nmode='quack' quackinterval=20\n"})  # fmt: skip
case("flagdata", "list inline", "raw.ms", vis="raw.ms", mode="list", inpfile=["antenna='3'"], flagbackup=False)
case("flagdata", "save to file", "raw.ms", vis="raw.ms", antenna="1", action="", savepars=True, outfile="o.txt")
case("flagdata", "save to MS", "raw.ms", vis="raw.ms", antenna="1", action="", savepars=True)
case("flagdata", "caltable", "G", vis="G", mode="manual", antenna="3")
case("flagcmd", "apply list", "raw.ms", vis="raw.ms", inpmode="list", inpfile=["antenna='3'"], action="apply")
case("flagcmd", "list", "raw.ms", vis="raw.ms", inpmode="list", inpfile=["antenna='3'"], action="list")
case("flagcmd", "save", "raw.ms", vis="raw.ms", inpmode="list", inpfile=["antenna='3'"], action="list", savepars=True,
     outfile="o.txt")  # fmt: skip
case("flagcmd", "plot", "raw.ms", vis="raw.ms", inpmode="list", inpfile=["antenna='3' timerange='09:20:00~09:40:00'"],
     action="plot", plotfile="p.png")  # fmt: skip
case("flagmanager", "list", "raw.ms", vis="raw.ms", mode="list")
case("flagmanager", "save", "raw.ms", vis="raw.ms", mode="save", versionname="two")
case("flagmanager", "restore", "raw.ms", vis="raw.ms", mode="restore", versionname="one",
     _before=[SAVE, ("flagdata", {"vis": "raw.ms", "antenna": "2", "flagbackup": False})])  # fmt: skip
case("flagmanager", "delete", "raw.ms", vis="raw.ms", mode="delete", versionname="one", _before=[SAVE])
case("flagmanager", "rename", "raw.ms", vis="raw.ms", mode="rename", oldname="one", versionname="b", _before=[SAVE])

# calibration
case("setjy", "scratch", "raw.ms", vis="raw.ms", field="0", scalebychan=False, usescratch=True)
case("setjy", "virtual", "raw.ms", vis="raw.ms", field="0", scalebychan=False)
case("setjy", "virtual to scratch", "raw.ms", vis="raw.ms", field="0", scalebychan=False, usescratch=True,
     _before=[("setjy", {"vis": "raw.ms", "field": "0", "scalebychan": False})])  # fmt: skip
case("setjy", "manual", "raw.ms", vis="raw.ms", standard="manual", fluxdensity=[1, 0, 0, 0], usescratch=True)
case("setjy", "listmodels", "", listmodels=True)
case("ft", "virtual", "raw.ms tiny.model", vis="raw.ms", model="tiny.model", field="2")
case("ft", "scratch component list", "raw.ms point.cl", vis="raw.ms", complist="point.cl", usescratch=True)
case("delmod", "virtual", "raw.ms", vis="raw.ms", _before=[("setjy", {"vis": "raw.ms", "field": "0"})])
case("delmod", "scratch", "cal.ms", vis="cal.ms", scr=True)
case("clearcal", "corrected", "raw.ms", vis="raw.ms")
case("clearcal", "model", "cal.ms", vis="cal.ms", addmodel=True)
case("gaincal", "new", "cal.ms B", vis="cal.ms", caltable="g", field="0", gaintable="B", solint="inf", refant="2")
case("gaincal", "overwrite", "cal.ms G", vis="cal.ms", caltable="G", field="0", solint="inf", refant="2")
case("gaincal", "append", "cal.ms G", vis="cal.ms", caltable="G", field="2", solint="inf", refant="2", append=True)
case("gaincal", "callib", "cal.ms B", vis="cal.ms", caltable="g", field="0", docallib=True, callib="lib.txt",
     refant="2", _texts={"lib.txt": "caltable='B' calwt=True\n"})  # fmt: skip
case("gaincal", "delay", "cal.ms", vis="cal.ms", caltable="k", field="0", gaintype="K", refant="2")
case("gaincal", "spline", "cal.ms", vis="cal.ms", caltable="s", field="0", gaintype="GSPLINE", refant="2",
     splinetime=3600.0)  # fmt: skip
case("bandpass", "new", "cal.ms", vis="cal.ms", caltable="b", field="0", refant="2", solint="inf", combine="scan")
case("bandpass", "BPOLY", "cal.ms", vis="cal.ms", caltable="b", field="0", refant="2", bandtype="BPOLY")
case("blcal", "new", "cal.ms", vis="cal.ms", caltable="m", field="0")
case("accor", "new", "auto.ms", vis="auto.ms", caltable="a")
case("polcal", "new", "sim.ms", vis="sim.ms", caltable="d", poltype="Df", refant="1", solint="inf")
case("polfromgain", "new", "sim.ms sim.G", vis="sim.ms", tablein="sim.G", caltable="x")
case("fringefit", "new", "sim.ms", vis="sim.ms", caltable="f", refant="1", solint="inf")
case("fluxscale", "new", "cal.ms G", vis="cal.ms", caltable="G", fluxtable="f", reference="0", transfer="1",
     listfile="l.txt")  # fmt: skip
case("fluxscale", "append", "cal.ms G F", vis="cal.ms", caltable="G", fluxtable="F", reference="0", transfer="1",
     append=True)  # fmt: skip
case("applycal", "new", "cal.ms G B", vis="cal.ms", gaintable=["G", "B"], field="2")
case("applycal", "no backup", "raw.ms B", vis="raw.ms", gaintable=["B"], flagbackup=False)
case("applycal", "trial", "raw.ms B", vis="raw.ms", gaintable=["B"], applymode="trial")
case("gencal", "amp", "raw.ms", vis="raw.ms", caltable="a", caltype="amp", parameter=[0.5])
case("gencal", "again", "raw.ms", vis="raw.ms", caltable="a", caltype="amp", parameter=[0.5], antenna="2",
     _before=[("gencal", {"vis": "raw.ms", "caltable": "a", "caltype": "amp", "parameter": [0.9]})])  # fmt: skip
case("gencal", "antpos values", "raw.ms", vis="raw.ms", caltable="p", caltype="antpos", antenna="2",
     parameter=[0.01, 0.0, 0.0])  # fmt: skip
case("smoothcal", "new", "cal.ms G", vis="cal.ms", tablein="G", caltable="s", smoothtype="mean", smoothtime=100.0)
case("smoothcal", "in place", "cal.ms G", vis="cal.ms", tablein="G", smoothtype="mean", smoothtime=100.0)
case("rerefant", "new", "cal.ms G", vis="cal.ms", tablein="G", caltable="r", refant="3")
case("rerefant", "in place", "cal.ms G", vis="cal.ms", tablein="G", refant="3")
case("initweights", "nyq", "raw.ms", vis="raw.ms", wtmode="nyq", dowtsp=True)
case("listcal", "file", "cal.ms G", vis="cal.ms", caltable="G", listfile="l.txt")
case("calstat", "read", "G", caltable="G", axis="amp", datacolumn="CPARAM")
case("uvmodelfit", "new", "raw.ms", vis="raw.ms", field="0", niter=1, comptype="P", sourcepar=[10.0, 0.0, 0.0],
     outfile="fit.cl")  # fmt: skip
case("predictcomp", "new", "", objname="Titan", epoch="2010-05-05", minfreq="230GHz", maxfreq="231GHz", nfreqs=2,
     prefix="t", standard="Butler-JPL-Horizons 2012")  # fmt: skip

# MeasurementSets
case("split", "data", "raw.ms", vis="raw.ms", outputvis="s.ms", datacolumn="data", field="2")
case("split", "corrected", "cal.ms", vis="cal.ms", outputvis="s.ms", datacolumn="corrected", width=2)
case("split", "with flagversions beside", "raw.ms", vis="raw.ms", outputvis="s.ms", datacolumn="data", _before=[SAVE])
case("mstransform", "regrid", "raw.ms", vis="raw.ms", outputvis="t.ms", datacolumn="data", chanaverage=True, chanbin=2)
case("partition", "mms", "raw.ms", vis="raw.ms", outputvis="p.ms", datacolumn="data", createmms=True,
     separationaxis="scan", flagbackup=True)  # fmt: skip
case("partition", "plain", "raw.ms", vis="raw.ms", outputvis="p.ms", datacolumn="data", createmms=False)
case("hanningsmooth", "new", "raw.ms", vis="raw.ms", outputvis="h.ms", datacolumn="data")
case("phaseshift", "new", "raw.ms", vis="raw.ms", outputvis="p.ms", field="2", datacolumn="data",
     phasecenter="J2000 15h22m00 5d04m00")  # fmt: skip
case("cvel", "new", "raw.ms", vis="raw.ms", outputvis="c.ms", field="2", mode="channel", nchan=4, start=2)
case("cvel2", "new", "raw.ms", vis="raw.ms", outputvis="c.ms", field="2", datacolumn="DATA", nchan=4, start=2)
case("concat", "new", "raw.ms late.ms", vis=["raw.ms", "late.ms"], concatvis="c.ms")
case("concat", "into existing", "raw.ms late.ms", vis=["late.ms"], concatvis="raw.ms")
case("concat", "weights and scratch columns", "cal.ms late.ms", vis=["cal.ms", "late.ms"], concatvis="c.ms",
     visweightscale=[1.0, 0.5])  # fmt: skip
case("virtualconcat", "new", "raw.ms late.ms", vis=["raw.ms", "late.ms"], concatvis="c.ms")
case("virtualconcat", "keep copy", "raw.ms late.ms", vis=["raw.ms", "late.ms"], concatvis="c.ms", keepcopy=True)
case("testconcat", "new", "raw.ms late.ms", vis=["raw.ms", "late.ms"], testconcatvis="c.ms")
case("conjugatevis", "named", "raw.ms", vis="raw.ms", outputvis="c.ms")
case("conjugatevis", "default name", "raw.ms", vis="raw.ms")
case("fixvis", "new", "raw.ms", vis="raw.ms", outputvis="f.ms", field="2", phasecenter="J2000 15h22m00 5d04m00")
case("fixvis", "in place", "raw.ms", vis="raw.ms", field="2", phasecenter="J2000 15h22m00 5d04m00")
case("fixvis", "over existing", "raw.ms late.ms", vis="raw.ms", outputvis="late.ms")
case("fixplanets", "direction", "raw.ms", vis="raw.ms", field="2", direction="J2000 15h22m00 5d04m00")
case("statwt", "apply", "raw.ms", vis="raw.ms", datacolumn="data", timebin=1, minsamp=2)
case("statwt", "preview", "raw.ms", vis="raw.ms", datacolumn="data", timebin=1, preview=True)
case("uvsub", "new", "cal.ms", vis="cal.ms")
case("uvsub", "reverse without scratch", "raw.ms", vis="raw.ms", reverse=True)
case("uvcontsub", "new", "cal.ms", vis="cal.ms", outputvis="u.ms", fitspec="0:0~3", datacolumn="data")
case("uvcontsub_old", "with continuum", "src.ms", vis="src.ms", fitspw="0:0~3", want_cont=True)
case("vishead", "list", "raw.ms", vis="raw.ms", mode="list")
case("vishead", "put", "raw.ms", vis="raw.ms", mode="put", hdkey="observer", hdindex="0", hdvalue="me")
case("visstat", "read", "raw.ms", vis="raw.ms", datacolumn="data")
case("listobs", "return value", "raw.ms", vis="raw.ms")
case("listobs", "file", "raw.ms", vis="raw.ms", listfile="l.txt")
case("listobs", "over existing", "raw.ms", vis="raw.ms", listfile="l.txt", overwrite=True, _texts={"l.txt": "old"})
case("listvis", "file", "raw.ms", vis="raw.ms", listfile="l.txt", datacolumn="data", timerange="09:20:00~09:21:00")
case("listhistory", "read", "raw.ms", vis="raw.ms")
case("listpartition", "file", "raw.ms", vis="raw.ms", listfile="l.txt")
case("msuvbin", "new", "raw.ms", vis="raw.ms", field="2", outputvis="b.ms", imsize=[64, 64], cell="30arcsec", ncorr=1,
     nchan=1)  # fmt: skip
case("clearstat", "none", "raw.ms")
case("rmtables", "pattern", "raw.ms late.ms G", tablenames=["*.ms", "G"])
case("defintent", "new", "raw.ms", vis="raw.ms", intent="CALIBRATE_FLUX", mode="set", outputvis="d.ms", field="0")
case("defintent", "in place", "raw.ms", vis="raw.ms", intent="CALIBRATE_FLUX", mode="set", field="0")

# imaging
IMAGE: dict[str, Any] = {"imsize": 64, "cell": "30arcsec", "specmode": "mfs", "interactive": False}
case("tclean", "niter 0", "src.ms", vis="src.ms", imagename="i", **IMAGE)
case("tclean", "clean beside its MS", "src.ms", vis="src.ms", imagename="src", niter=5, pbcor=True, **IMAGE)
case("tclean", "continue", "src.ms", vis="src.ms", imagename="i", niter=5, calcpsf=False, calcres=False,
     _before=[("tclean", {"vis": "src.ms", "imagename": "i", **IMAGE})], **IMAGE)  # fmt: skip
case("tclean", "without restart", "src.ms", vis="src.ms", imagename="i", niter=2, restart=False,
     _before=[("tclean", {"vis": "src.ms", "imagename": "i", **IMAGE})], **IMAGE)  # fmt: skip
case("tclean", "savemodel virtual", "src.ms", vis="src.ms", imagename="i", niter=3, savemodel="virtual", **IMAGE)
case("tclean", "savemodel column", "src.ms", vis="src.ms", imagename="i", niter=3, savemodel="modelcolumn", **IMAGE)
case("tclean", "cube", "src.ms", vis="src.ms", imagename="i", niter=4, **{**IMAGE, "specmode": "cube", "nchan": 3})
case("tclean", "mtmfs", "src.ms", vis="src.ms", imagename="i", niter=3, deconvolver="mtmfs", nterms=2, **IMAGE)
case("tclean", "mask", "src.ms tiny.mask", vis=["src.ms"], imagename="i", niter=3, mask="tiny.mask", **IMAGE)
case("tclean", "mosaic", "src.ms", vis="src.ms", imagename="i", gridder="mosaic", **{**IMAGE, "imsize": 32})
case("tclean", "auto mask", "src.ms", vis="src.ms", imagename="i", niter=3, usemask="auto-multithresh", **IMAGE)
case("tclean", "startmodel", "src.ms tiny.model", vis="src.ms", imagename="i", startmodel="tiny.model", niter=2,
     **IMAGE)  # fmt: skip
case("deconvolve", "continue", "src.ms", imagename="i", niter=3, interactive=False,
     _before=[("tclean", {"vis": "src.ms", "imagename": "i", **IMAGE})])  # fmt: skip
case("widebandpbcor", "new", "src.ms", vis="src.ms", imagename="i", nterms=2, threshold="0.001Jy", action="pbcor",
     reffreq="1.413GHz", spwlist=[0, 0], chanlist=[1, 5], weightlist=[1.0, 1.0],
     _before=[("tclean", {"vis": "src.ms", "imagename": "i", "niter": 2, "deconvolver": "mtmfs",
                          **IMAGE})])  # fmt: skip
case("sdsidebandsplit", "new", "cube.image iquv.image", imagename=["cube.image", "cube.image"], outfile="o",
     signalshift=[0.0, 1.0], imageshift=[0.0, -1.0])  # fmt: skip
case("apparentsens", "new", "src.ms", vis="src.ms", imsize=64, cell="30arcsec", specmode="mfs", weighting="natural")
case("feather", "new", "tiny.image smooth.image", imagename="f.im", highres="tiny.image", lowres="smooth.image")
case("impbcor", "new", "tiny.image tiny.pb", imagename="tiny.image", pbimage="tiny.pb", outfile="o.im")
case("imcontsub", "new", "cube.image", imagename="cube.image", linefile="l.im", contfile="c.im", fitorder=0,
     chans="0~2")  # fmt: skip
case("makemask", "list", "tiny.image", mode="list", inpimage="tiny.image")
case("makemask", "copy region", "tiny.image", mode="copy", inpimage="tiny.image",
     inpmask="circle[[32pix,32pix],5pix]", output="m.im")  # fmt: skip
case("makemask", "internal mask", "tiny.image", mode="copy", inpimage="tiny.image",
     inpmask="circle[[32pix,32pix],5pix]", output="tiny.image:mine")  # fmt: skip
case("makemask", "delete", "tiny.image", mode="delete", inpmask="tiny.image:mine",
     _before=[("makemask", {"mode": "copy", "inpimage": "tiny.image", "inpmask": "circle[[32pix,32pix],5pix]",
                            "output": "tiny.image:mine"})])  # fmt: skip

# image analysis
case("imhead", "summary", "tiny.image", imagename="tiny.image")
case("imhead", "get", "tiny.image", imagename="tiny.image", mode="get", hdkey="object")
case("imhead", "put", "tiny.image", imagename="tiny.image", mode="put", hdkey="object", hdvalue="me")
case("imhistory", "list", "tiny.image", imagename="tiny.image")
case("imhistory", "append", "tiny.image", imagename="tiny.image", mode="append", message="hello")
case("imstat", "read", "tiny.image", imagename="tiny.image")
case("imstat", "log file", "tiny.image", imagename="tiny.image", logfile="s.txt", append=False)
case("imstat", "append", "tiny.image", imagename="tiny.image", logfile="s.txt", _texts={"s.txt": "old\n"})
case("imval", "read", "tiny.image", imagename="tiny.image", box="1,1,3,3")
case("immath", "expression", "tiny.image smooth.image", imagename=["tiny.image"], expr="IM0+'smooth.image'*2",
     outfile="o.im")  # fmt: skip
case("immath", "default name", "tiny.image", imagename=["tiny.image"], expr="IM0*2")
case("immath", "spectral index", "tiny.image smooth.image", imagename=["tiny.image", "smooth.image"], mode="spix",
     outfile="o.im")  # fmt: skip
case("immoments", "one", "cube.image", imagename="cube.image", moments=[0], outfile="m0")
case("immoments", "several", "cube.image", imagename="cube.image", moments=[0, 1, 8], outfile="mom")
case(
    "immoments",
    "all",
    "cube.image",
    imagename="cube.image",
    moments=[-1, 0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11],
    outfile="mom",
)
case("imsubimage", "new", "cube.image", imagename="cube.image", outfile="o.im", chans="1")
case("imsubimage", "overwrite", "cube.image tiny.image", imagename="cube.image", outfile="tiny.image", chans="1",
     overwrite=True)  # fmt: skip
case("imcollapse", "new", "cube.image", imagename="cube.image", outfile="o.im", function="mean", axes=3)
case("imsmooth", "new", "tiny.image", imagename="tiny.image", outfile="o.im", major="1500arcsec",
     minor="900arcsec", pa="46deg", targetres=True)  # fmt: skip
case("imregrid", "template", "tiny.image cube.image", imagename="tiny.image", template="cube.image", output="o.im")
case("imregrid", "get", "tiny.image", imagename="tiny.image", template="get")
case("imregrid", "reference code", "tiny.image", imagename="tiny.image", template="B1950", output="o.im")
case("imrebin", "new", "tiny.image", imagename="tiny.image", outfile="o.im", factor=[2, 2])
case("imtrans", "new", "tiny.image", imagename="tiny.image", outfile="o.im", order="0132")
case("imreframe", "new", "cube.image", imagename="cube.image", output="o.im", outframe="bary")
case("imreframe", "in place", "cube.image", imagename="cube.image", outframe="bary")
case("imdev", "new", "tiny.image", imagename="tiny.image", outfile="o.im", xlength="3pix", ylength="3pix")
case("impv", "new", "cube.image", imagename="cube.image", outfile="o.im", start=[10, 10], end=[50, 50], width=1)
case("imfit", "model and residual", "tiny.image", imagename="tiny.image", box="20,20,44,44", model="m.im",
     residual="r.im", logfile="fit.log", newestimates="est.txt", complist="fit.cl")  # fmt: skip
case("imfit", "append to log", "tiny.image", imagename="tiny.image", box="20,20,44,44", logfile="fit.log",
     _texts={"fit.log": "old\n"})  # fmt: skip
case("specfit", "model", "cube.image", imagename="cube.image", box="32,32,32,32", ngauss=0, poly=1, model="m.im",
     residual="r.im", logfile="l.txt")  # fmt: skip
case("specflux", "log file", "cube.image", imagename="cube.image", box="20,20,40,40", logfile="l.txt")
case("specsmooth", "new", "cube.image", imagename="cube.image", outfile="o.im", axis=3, function="hanning", dmethod="")
case("spxfit", "model", "cube.image", imagename="cube.image", box="32,32,33,33", spxest=[0.1, 0.0], spxtype="plp",
     model="m.im", residual="r.im", multifit=True)  # fmt: skip
case("rmfit", "new", "iquv.image", imagename="iquv.image", rm="rm.im", rmerr="rmerr.im")
case("imbaseline", "new", "iquv.image", imagename="iquv.image", linefile="l.im", blfunc="poly", order=0,
     output_cont=True, bloutput="bl.csv")  # fmt: skip
case("plotprofilemap", "new", "cube.image", imagename="cube.image", figfile="p.png", pol=0, numpanels="2,2")
case("slsearch", "table", "", outfile="lines", freqrange=[84, 84.5], species=["HCN"], verbose=False)
case("slsearch", "log file", "", freqrange=[84, 84.5], verbose=True, logfile="l.txt", append=False)

# import and export
case("importuvfits", "new", "small.uvfits", fitsfile="small.uvfits", vis="n.ms")
case("importgmrt", "new", "small.uvfits", fitsfile="small.uvfits", vis="n.ms")
case("exportuvfits", "new", "raw.ms", vis="raw.ms", fitsfile="n.uvfits", datacolumn="data")
case("importfits", "new", "tiny.fits", fitsimage="tiny.fits", imagename="n.im")
case("importfits", "overwrite", "tiny.fits tiny.image", fitsimage="tiny.fits", imagename="tiny.image", overwrite=True)
case("exportfits", "new", "tiny.image", imagename="tiny.image", fitsimage="n.fits")
case("listfits", "read", "tiny.fits", fitsfile="tiny.fits")
case("exportasdm", "new", "raw.ms", vis="raw.ms", asdm="n.asdm", archiveid="S1", apcorrected=False)
ASDM = ("exportasdm", {"vis": "raw.ms", "asdm": "n.asdm", "archiveid": "S1", "apcorrected": False})
case("importasdm", "new", "raw.ms", asdm="n.asdm", vis="n.ms", _before=[ASDM])
case("importasdm", "default name", "raw.ms", asdm="n.asdm", savecmds=True, _before=[ASDM])
case("asdmsummary", "read", "raw.ms", asdm="n.asdm", _before=[ASDM])

# single dish and simulation
case("simobserve", "interferometer", "sky.fits", project="p", skymodel="sky.fits", antennalist="vla.d.cfg",
     totaltime="60s", integration="30s", mapsize="30arcmin", maptype="square", pointingspacing="30arcmin",
     incenter="1.4GHz", inwidth="1MHz", thermalnoise="", graphics="file", hourangle="transit",
     setpointings=True, obsmode="int", indirection="J2000 15h22m00 5d04m00")  # fmt: skip
case("simanalyze", "image", "p", project="p", image=True, vis="p.vla.d.ms", imsize=64, niter=2, graphics="none",
     analyze=False)  # fmt: skip
case("simanalyze", "analyze", "p", project="p", image=True, vis="p.vla.d.ms", imsize=64, niter=2, graphics="file",
     analyze=True, showfidelity=False)  # fmt: skip
case("simobserve", "single dish", "sky.fits", project="q", skymodel="sky.fits", antennalist="",
     sdantlist="aca.tp.cfg", sdant=0, obsmode="sd", totaltime="200s", integration="10s", mapsize="1arcmin",
     maptype="square", pointingspacing="20arcsec", incenter="230GHz", inwidth="10MHz", incell="1arcsec",
     inbright="1Jy/pixel", thermalnoise="", graphics="none", hourangle="transit", refdate="2014/05/21",
     indirection="J2000 15h22m00 -23d04m00")  # fmt: skip
case("sdimaging", "new", "tp.ms", infiles="tp.ms", outfile="o.im", imsize=[16, 16], cell="10arcsec", mode="channel",
     gridfunction="BOX", intent="")  # fmt: skip
case("tsdimaging", "new", "tp.ms", infiles="tp.ms", outfile="o", imsize=[16, 16], cell="10arcsec", mode="channel",
     gridfunction="BOX", intent="")  # fmt: skip
case("sdbaseline", "new", "sd.ms", infile="sd.ms", datacolumn="data", outfile="o.ms", blfunc="poly", order=0,
     bloutput="bl.csv", blformat="csv")  # fmt: skip
case("sdsmooth", "new", "sd.ms", infile="sd.ms", datacolumn="data", outfile="o.ms", kernel="boxcar", kwidth=2)
case("sdfit", "new", "sd.ms", infile="sd.ms", datacolumn="data", outfile="o.txt", nfit=[0], fitmode="auto")
case("sdtimeaverage", "new", "sd.ms", infile="sd.ms", datacolumn="data", outfile="o.ms", timebin="60s")
case("sdpolaverage", "new", "sd.ms", infile="sd.ms", datacolumn="data", outfile="o.ms", polaverage="stokes")
case("sdfixscan", "fft mask", "tiny.image", infiles=["tiny.image", "tiny.image"], mode="fft_mask", direction=[0, 90],
     maskwidth=20, outfile="o.im")  # fmt: skip

# pictures
case("plotants", "file", "raw.ms", vis="raw.ms", figfile="a.png", showgui=False)
case("plotants", "none", "raw.ms", vis="raw.ms", showgui=False)
case("plotbandpass", "pages", "B raw.ms", caltable="B", figfile="bp.png", interactive=False, vis="raw.ms")
case("plotbandpass", "sequential", "B raw.ms", caltable="B", figfile="q", interactive=False, vis="raw.ms",
     figfileSequential=True, antenna="1,2,3,4,5")  # fmt: skip
case("plotweather", "default name", "raw.ms", vis="raw.ms")
case("plotms", "file", "raw.ms", vis="raw.ms", plotfile="p.png", showgui=False)
case("plotms", "pages", "raw.ms", vis="raw.ms", plotfile="p.png", iteraxis="field", exprange="all", showgui=False)
case("plotms", "text", "raw.ms", vis="raw.ms", plotfile="p.txt", overwrite=True, showgui=False, _texts={"p.txt": "x"})
case("imview", "file", "tiny.image", raster={"file": "tiny.image"}, out={"file": "v.png", "scale": 1.0})
case("msview", "file", "raw.ms", infile="raw.ms", outfile="v.png", outformat="png", gui=False)
