"""Kernels and their windows through REST: started by the server itself, on CASA's stand-in, with a real X server."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PIL import Image

from jupyterlab_casa.rest.displays import SCREEN
from tests.display.test_windows import Client
from tests.kernels.conftest import SLOW
from tests.server.conftest import API, Ask, until

DRAW = """
import casa_kernel.extension
(extension,) = casa_kernel.extension._extensions.values()
extension.session._gui_environment()
"""


async def test_what_kernels_do_is_told_while_one_is_busy(ask: Ask, start, workspace: Path) -> None:
    kernel, other = await start(), await start("other.ipynb", "python3")
    assert [one["id"] for one in (await ask("kernels"))["kernels"]] == [kernel.id] and other.id != kernel.id
    kernel.client.execute(SLOW)

    async def running() -> Any:
        told = await ask("kernels", kernel.id)
        return told if told["call"] and told["call"]["killable"] else None

    told = await until(running)
    assert (told["notebook"], told["workspace"], told["state"]) == ("work/nb.ipynb", "work", "busy")
    assert (told["call"]["task"], told["call"]["reason"]) == ("importuvfits", "it has not run here before")
    (listed,) = (await ask("kernels"))["kernels"]
    assert {**listed, "call": None, "last_activity": ""} == {**told, "call": None, "last_activity": ""} | {
        "revision": listed["revision"]
    }


async def test_one_that_is_just_being_started_is_not_told_yet(
    ask: Ask, workspace: Path, kernelspec: str, jp_fetch, jp_serverapp
) -> None:
    body = json.dumps({"name": kernelspec, "path": "work/nb.ipynb"})
    kernel = json.loads((await jp_fetch("api", "kernels", method="POST", body=body)).body)
    assert (await ask("kernels"))["kernels"]
    del jp_serverapp.kernel_manager.get_kernel(kernel["id"])._trait_values["last_activity"]  # as Jupyter has it then
    assert (await ask("kernels"))["kernels"] == []


async def test_an_interrupt_and_a_killed_call_leave_products_as_before(ask: Ask, start, workspace: Path) -> None:
    kernel = await start()

    async def running() -> Any:
        call = (await ask("kernels", kernel.id))["call"]
        return call is not None and call["killable"]

    reply = asyncio.ensure_future(kernel.run(SLOW))
    await until(running)
    assert (await ask("kernels", kernel.id, "interrupt", body={}))["id"] == kernel.id
    assert (await reply)["ename"] == "KeyboardInterrupt" and not (workspace / "slow.ms").exists()
    reply = asyncio.ensure_future(kernel.run(SLOW))
    await until(running)
    assert await ask("kernels", kernel.id, "kill-call", body={}) == {"id": kernel.id, "task": "importuvfits"}
    assert (await reply)["ename"] == "WorkerDied" and not (workspace / "slow.ms").exists()
    assert (await kernel.run("6 * 7"))["status"] == "ok", "the kernel lives on"


async def test_what_cannot_be_done_is_refused(refused, start) -> None:
    kernel = await start()
    assert (await refused("kernels", kernel.id, "kill-call", body={})) == (409, "no task runs in this kernel now")
    for parts in (("nobody",), ("nobody", "windows"), ("nobody", "windows", SCREEN), (kernel.id, "windows", SCREEN)):
        assert (await refused("kernels", *parts))[0] == 404
    for what in ("interrupt", "kill-call"):
        assert (await refused("kernels", "nobody", what, body={}))[0] == 404
    for window in ("-1", "x", "4294967296", "1" * 400, "١"):
        assert await refused("kernels", kernel.id, "windows", window) == (
            404,
            "a window is named by its number, or screen",
        )


async def test_windows_and_pictures(ask: Ask, refused, start, jp_fetch, jp_serverapp) -> None:
    kernel = await start()
    assert await ask("kernels", kernel.id, "windows") == {"windows": []}
    assert (await kernel.run(DRAW))["status"] == "ok"
    (app,) = jp_serverapp.extension_manager.extension_apps["jupyterlab_casa"]
    state = await app.managers["kernels"].state(kernel.id)

    async def picture(which: object) -> Image.Image:
        response = await jp_fetch(*API, "kernels", kernel.id, "windows", str(which))
        assert response.headers["Content-Type"] == "image/png"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"
        image = Image.open(io.BytesIO(response.body))
        assert image.format == "PNG"
        return image

    environment = {"DISPLAY": state.display["display"], "XAUTHORITY": state.display["authority"]}
    display: Any = SimpleNamespace(env=lambda: environment)
    with Client(display) as client:
        number = client.show("<b>plot</b>", 10, 20, 300, 200, 0xFF0000)
        (window,) = (await ask("kernels", kernel.id, "windows"))["windows"]
        assert window == {"id": number, "title": "<b>plot</b>", "x": 10, "y": 20, "width": 300, "height": 200}
        assert (await picture(number)).size == (300, 200)
        assert (await picture(SCREEN)).size == (1600, 1200)
    assert (await refused("kernels", kernel.id, "windows", str(number)))[0] == 404, "it has gone"
