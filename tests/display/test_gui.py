"""GUI tasks draw pictures of the present data, and end in a clear error, soon, when they cannot draw."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image, ImageChops

from casa_recompute.display import Display

LIMIT_S = 120  # no failure takes longer to be told, on however busy a machine; on an idle one it is 15 at most


def pixels(picture: dict[str, str]) -> Image.Image:
    with Image.open(picture["path"]) as image:
        return image.convert("RGB")


def same(one: Image.Image, other: Image.Image) -> bool:
    """Equal but for ends of tick marks, which the viewer rounds to this pixel or the next as its window comes up."""
    if one.size != other.size:
        return False
    difference = ImageChops.difference(one, other).convert("L").point(lambda value: 255 * (value > 0))
    return difference.histogram()[255] < one.width * one.height / 2000


def slow(data: Path) -> dict[str, Any]:
    """Arguments of a plotms call that takes many seconds."""
    return {"vis": str(data / "n.ms"), "xaxis": "time", "yaxis": "amp", "iteraxis": "baseline"}


def test_plotms_without_a_file_is_one_legible_picture(desk: Any, data: Path) -> None:
    (picture,) = desk.call("plotms", vis=str(data / "n.ms"), xaxis="time", yaxis="amp", avgchannel="63")
    assert picture["name"] == "plotms.png"
    with Image.open(picture["path"]) as image:
        assert image.width == 1000
        assert len(image.convert("RGB").getcolors(2**24)) > 3
    assert list(desk.cwd.iterdir()) == []


def test_plotms_gives_all_pages_in_their_order(desk: Any, data: Path) -> None:
    pictures = desk.call(
        "plotms", vis=str(data / "n.ms"), xaxis="time", yaxis="amp", avgchannel="63", iteraxis="antenna",
        gridrows=3, gridcols=3, showgui=True,
    )  # fmt: skip
    antennas = [int(picture["name"].split("Antenna")[1].split("@")[0]) for picture in pictures]
    assert len(pictures) == 3  # 27 antennas, nine to a page
    assert antennas == sorted(antennas)


def test_plotms_writes_the_users_file_and_shows_it(desk: Any, data: Path) -> None:
    arguments = {"caltable": str(data / "b.cal"), "xaxis": "chan", "yaxis": "amp"}
    (desk.cwd / "plots").mkdir()
    (picture,) = desk.call("plotms", plotfile="plots/band.png", **arguments)
    assert picture == {"name": "band.png", "path": str(desk.cwd / "plots" / "band.png")}
    with pytest.raises(RuntimeError, match="exists and overwrite is false"):
        desk.call("plotms", plotfile="plots/band.png", **arguments)
    assert desk.call("plotms", plotfile="band.pdf", **arguments) == []
    assert sorted(path.name for path in desk.cwd.iterdir()) == ["band.pdf", "plots"]
    (desk.cwd / "band.pdf").unlink()
    shutil.rmtree(desk.cwd / "plots")


def test_casas_own_errors_come_through(desk: Any, data: Path) -> None:
    with pytest.raises(RuntimeError, match="not found"):
        desk.call("plotms", vis="nothing.ms")
    with pytest.raises(RuntimeError, match="does not exist or is not an image"):
        desk.call("imview", raster="nothing.image")
    with pytest.raises(RuntimeError, match="not a directory"):
        desk.call("browsetable", tablename="nothing.ms")
    assert desk.call("imview", raster=str(data / "one.image"))


def test_imview_shows_the_image_as_it_is_now(desk: Any, data: Path, tmp_path: Path) -> None:
    image = tmp_path / "an.image"

    def shown(source: str) -> Image.Image:
        shutil.rmtree(image, ignore_errors=True)
        shutil.copytree(data / source, image)
        (picture,) = desk.call("imview", raster=str(image))
        return pixels(picture)

    first, second, again = shown("one.image"), shown("two.image"), shown("one.image")
    assert not same(first, second)
    assert same(first, again)


def test_plotms_shows_the_data_as_they_are_now(desk: Any, data: Path, tmp_path: Path) -> None:
    vis = tmp_path / "an.ms"
    shutil.copytree(data / "n.ms", vis)
    arguments = {"vis": str(vis), "xaxis": "time", "yaxis": "amp", "avgchannel": "63"}
    (before,) = desk.call("plotms", **arguments)
    desk.run(f"import casatasks; casatasks.flagdata(vis={str(vis)!r}, scan='1~3', flagbackup=False)")
    (flagged,) = desk.call("plotms", **arguments)
    shutil.rmtree(vis)
    shutil.copytree(data / "n.ms", vis)
    (restored,) = desk.call("plotms", **arguments)
    assert not same(pixels(before), pixels(flagged))
    assert same(pixels(before), pixels(restored))


def test_one_picture_does_not_leak_into_the_next(desk: Any, data: Path) -> None:
    alone = pixels(desk.call("imview", raster=str(data / "one.image"))[0])
    desk.call("msview", infile=str(data / "n.ms"))
    desk.call(
        "imview",
        raster={"file": str(data / "two.image"), "colorwedge": True},
        contour=str(data / "one.image"),
    )
    with pytest.raises(RuntimeError):
        desk.call("imview", raster={"file": str(data / "two.image"), "colorwedge": True}, zoom={"a": 1})
    assert same(pixels(desk.call("imview", raster=str(data / "one.image"))[0]), alone)


def test_imview_and_msview_write_the_users_file(desk: Any, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "map.png"
    assert desk.call("imview", raster=str(data / "one.image"), out=str(out)) == [{"name": "map.png", "path": str(out)}]
    out = tmp_path / "vis.jpg"
    (picture,) = desk.call("msview", infile=str(data / "n.ms"), outfile=str(out), outformat="jpg")
    assert picture["name"] == "vis.jpg"


def test_nothing_to_show_is_no_error(desk: Any) -> None:
    assert desk.call("imview") == []
    assert desk.call("msview") == []


def test_browsetable_is_pictured_and_ends(desk: Any, data: Path) -> None:
    (picture,) = desk.call("browsetable", tablename=str(data / "n.ms"))
    with Image.open(picture["path"]) as image:
        assert image.width > 600 and image.height > 300
    assert desk.programs("casatablebrowser") == []


def test_matplotlib_tasks(desk: Any, data: Path, tmp_path: Path) -> None:
    vis = str(data / "n.ms")
    assert len(desk.call("plotants", vis=vis, showgui=True)) == 1
    figfile = tmp_path / "ants.png"
    assert desk.call("plotants", vis=vis, figfile=str(figfile)) == [{"name": "ants.png", "path": str(figfile)}]
    pages = desk.call("plotbandpass", caltable=str(data / "b.cal"), subplot=42)
    assert len(pages) > 2
    assert desk.call("listobs", vis=vis) == []


@pytest.mark.parametrize("display_name", [None, ":2147000001"])
def test_without_a_display_each_task_says_so(data: Path, new_desk: Any, display_name: str | None) -> None:
    desk = new_desk({"DISPLAY": display_name} if display_name else {})
    desk.run("import casatasks")  # a worker has CASA loaded before its first call
    for name, arguments in {
        "plotms": {"vis": str(data / "n.ms")},
        "imview": {"raster": str(data / "one.image")},
        "msview": {"infile": str(data / "n.ms")},
        "browsetable": {"tablename": str(data / "n.ms")},
    }.items():
        desk.begin(name, **arguments)
        error, seconds = desk.failure()
        assert error.kind == "GuiStuck"
        assert name in error.message and "X display" in error.message and "apt install xvfb" in error.message
        assert seconds < LIMIT_S


def test_display_killed_during_a_call_and_before_the_next(desk: Any, data: Path, display: Display) -> None:
    desk.begin("plotms", **slow(data))
    desk.drawing("casaplotms")
    assert display._server is not None and display._server.proc is not None
    display._server.proc.kill()
    error, seconds = desk.failure()
    assert error.kind == "GuiStuck" and "plotms" in error.message
    assert seconds < LIMIT_S
    for name, arguments in (("plotms", slow(data)), ("imview", {"raster": str(data / "one.image")})):
        desk.begin(name, **arguments)
        error, seconds = desk.failure()
        assert error.kind == "GuiStuck" and "X display" in error.message
        assert seconds < LIMIT_S
    display.restart()
    desk.use(display)
    assert desk.call("imview", raster=str(data / "one.image"))


def test_program_killed_during_a_call(desk: Any, data: Path) -> None:
    desk.begin("plotms", **slow(data))
    desk.drawing("casaplotms").kill()
    error, seconds = desk.failure()
    assert error.kind == "GuiStuck" and "SIGKILL" in error.message
    assert seconds < LIMIT_S
    assert desk.call("plotms", caltable=str(data / "b.cal"), xaxis="chan", yaxis="amp")


@pytest.mark.parametrize("package", ["casaplotms", "casaviewer"])
def test_program_killed_between_calls(desk: Any, data: Path, package: str) -> None:
    def draw() -> list[dict[str, str]]:
        if package == "casaviewer":
            return desk.call("imview", raster=str(data / "one.image"))
        return desk.call("plotms", caltable=str(data / "b.cal"), xaxis="chan", yaxis="amp")

    draw()
    for program in desk.programs(package):
        program.kill()
        psutil.wait_procs([program], timeout=60)
    assert draw()


def test_frozen_program_is_given_up(desk: Any, data: Path) -> None:
    desk.begin("plotms", **slow(data))
    desk.drawing("casaplotms").suspend()
    error, seconds = desk.failure()
    assert error.kind == "GuiStuck" and "does not answer" in error.message
    assert seconds < LIMIT_S
    assert desk.programs("casaplotms") == []


def test_slow_program_is_not(desk: Any, data: Path) -> None:
    desk.begin("plotms", caltable=str(data / "b.cal"), xaxis="chan", yaxis="amp", iteraxis="antenna")
    program = desk.drawing("casaplotms")
    for _ in range(3):  # altogether longer than any patience, but there is progress
        program.suspend()
        time.sleep(4)
        used = sum(program.cpu_times()[:2])
        program.resume()
        while sum(program.cpu_times()[:2]) < used + 0.1:
            time.sleep(0.02)
    assert len(desk.end()) > 20


def test_programs_end_with_the_worker_even_if_it_is_killed(data: Path, new_desk: Any, display: Display) -> None:
    desk = new_desk(display.env())
    desk.call("imview", raster=str(data / "one.image"))
    desk.call("plotms", caltable=str(data / "b.cal"), xaxis="chan", yaxis="amp")
    programs = desk.programs()
    assert len(programs) == 2
    os.kill(desk.process.pid, signal.SIGKILL)
    desk.process.wait()
    _, alive = psutil.wait_procs(programs, timeout=60)
    assert [program for program in alive if program.status() != psutil.STATUS_ZOMBIE] == []


def test_shutdown_leaves_no_process_and_no_file(data: Path, new_desk: Any, display: Display) -> None:
    desk = new_desk(display.env())
    pictures = desk.call("imview", raster=str(data / "one.image"))
    pictures += desk.call("plotms", caltable=str(data / "b.cal"), xaxis="chan", yaxis="amp")
    desk.run("gui.shutdown()")
    # An AppImage's helper goes by itself when its mount is released, which a busy machine does a moment later.
    _, left = psutil.wait_procs(psutil.Process(desk.process.pid).children(recursive=True), timeout=60)
    assert left == []
    assert list(desk.cwd.iterdir()) == []
    assert list((desk.directory / "tmp").iterdir()) == []
    assert not list(Path("/tmp").glob(f"._casa*_{desk.process.pid}_*"))
    files = {str(path) for path in desk.scratch.rglob("*") if not path.is_dir()}
    assert files == {picture["path"] for picture in pictures}
