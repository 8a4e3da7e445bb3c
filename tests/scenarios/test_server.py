"""The reduction as in JupyterLab: a kernel of the server's runs a scenario, is interrupted, and its call is killed."""

from __future__ import annotations

import shutil
import time

from casa_recompute.live import read
from casa_recompute.workspace import HOME

from .conftest import CELLS, Bench, changed

LONG = "tclean(vis='flux.ms', imagename='image', imsize=128, cell='15arcsec', niter=10**6, cycleniter=1, nmajor=-1)"


def wait_for_tclean(bench: Bench) -> None:
    """Until the server's kernel is within it."""
    assert bench.kernel is not None
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for state in read(bench.directory / HOME):
            call = state.call or {}
            if state.kernel == bench.kernel.id and call.get("task") == "tclean" and "cycle" in call["stage"]:
                return
        time.sleep(0.1)
    raise AssertionError("no tclean has begun")


def test_a_scenario_in_a_kernel_of_the_server(bench: Bench) -> None:
    kernel = bench.kernel
    assert kernel is not None
    run = bench.shift_enter(changed(CELLS, parameters=("niter = 50", "niter = 80")))
    assert run.executed == ["parameters", "clean", "measure"]
    assert run.calls("ran") == ["tclean"] and run.calls("restored") == []
    assert run.reasons("parameters")[0][0] == "edited"
    assert run.text("clean") == "80 iterations\n" and run.text("measure") != bench.base.text("measure")
    assert bench.plan()["fresh"]
    left = bench.contents()

    bench.write(changed(CELLS, parameters=("niter = 50", "niter = 80"), clean=f"{LONG}\n"))
    planned = bench.plan()
    for how, said in (("interrupt", "KeyboardInterrupt"), ("kill-call", "WorkerDied")):
        number = kernel.send(*bench.request("clean"))
        wait_for_tclean(bench)
        assert bench.server.casa("plan", of=bench.notebook, body=bench.edited())["cells"], "answered meanwhile"
        bench.stop(how)
        reply, _ = kernel.answer(number)
        assert (reply["status"], reply["ename"]) == ("error", said), reply
        assert bench.contents() == left, "nothing of what it had begun; its former image, too, is there again"
        states = {cell["id"]: cell["state"] for cell in bench.plan()["cells"]}
        assert states == {cell["id"]: cell["state"] for cell in planned["cells"]}

    back = bench.run(changed(CELLS, parameters=("niter = 50", "niter = 80")))
    assert back.executed == [] and bench.contents() == left


def test_versions_of_real_products(bench: Bench) -> None:
    """Of a calibration table, which is told apart by its columns, not by names and sizes."""

    def versions() -> list[dict[str, object]]:
        rows: list[dict[str, object]] = bench.server.casa("versions", of=bench.directory, product="gains")["versions"]
        return rows

    present = [row["id"] for row in versions() if row["present"]]
    run = bench.run(changed(CELLS, parameters=("'inf'", "'30s'")))
    assert "gain" in run.executed
    rows = versions()
    assert [row["task"] for row in rows] == ["gaincal"] * len(rows)
    assert bench.command("cache", "list")["versions"] == bench.server.casa("versions", of=bench.notebook)["versions"]
    (old,), (new,) = present, [row["id"] for row in rows if row["present"]]
    assert old != new
    told = bench.server.casa("versions", str(new), of=bench.directory)
    assert told["call"]["task"] == "gaincal" and told["call"]["arguments"]["solint"] == "30s"
    difference = bench.server.casa("compare", of=bench.directory, before=str(old), after=str(new))
    assert "table.f0" in {row["name"] for kind in ("changed", "unsure") for row in difference[kind]}

    now = bench.contents()
    answer = bench.server.casa("versions", str(old), "restore", of=bench.directory, body={"to": "former"})
    assert answer == {"schema": 1, "version": old, "path": "former", "changed": True, "former": None}
    after = bench.contents()
    assert {name: digest for name, digest in after.items() if not name.startswith("former/")} == now
    first = {f"former{name[5:]}": digest for name, digest in bench.files.items() if name.startswith("gains/")}
    assert first and first.items() <= after.items(), "byte for byte what the first run had made"
    shutil.rmtree(bench.directory / "former")

    bench.server.casa("versions", str(old), "restore", of=bench.directory, body={})
    states = {cell["id"]: cell["state"] for cell in bench.plan()["cells"]}
    assert states["gain"] == "restorable"
    back = bench.again()
    assert back.executed == [] and back.report["changed"] == ["gains"]
    assert bench.contents() == now
