"""A server tells what its kernels do while they are busy, stops it, and shows their windows."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.services.contents.filemanager import FileContentsManager
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from jupyter_server.services.sessions.sessionmanager import SessionManager
from PIL import Image

from jupyterlab_casa.managers.base import Conflict, NotThere, Root
from jupyterlab_casa.managers.displays import Displays
from jupyterlab_casa.managers.kernels import Kernels
from tests.kernels.conftest import SLOW, gone

DRAW = """
import casa_kernel.extension
(extension,) = casa_kernel.extension._extensions.values()
extension.session._gui_environment()
"""


class Server:
    """Jupyter's managers, and ours; without HTTP."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.jupyter = AsyncMappingKernelManager(root_dir=str(root))
        contents = FileContentsManager(root_dir=str(root))
        self.sessions = SessionManager(kernel_manager=self.jupyter, contents_manager=contents)
        self.kernels = Kernels(Root(root), kernel_manager=self.jupyter, session_manager=self.sessions)
        self.displays = Displays(Root(root), kernels=self.kernels)
        self.clients: dict[str, Any] = {}

    async def start(self, path: str, name: str) -> str:
        """Start a kernel for a notebook; its id."""
        session = await self.sessions.create_session(path=path, name=path, type="notebook", kernel_name=name)
        kernel_id: str = session["kernel"]["id"]
        client = self.jupyter.get_kernel(kernel_id).client()
        client.start_channels()
        await client.wait_for_ready(timeout=90)
        self.clients[kernel_id] = client
        return kernel_id

    async def run(self, kernel_id: str, code: str) -> dict[str, Any]:
        """Run code to its end; the reply."""
        reply = await self.clients[kernel_id].execute_interactive(code, timeout=90, output_hook=lambda _: None)
        content: dict[str, Any] = reply["content"]
        return content

    async def stop(self) -> None:
        for client in self.clients.values():
            client.stop_channels()
        await self.jupyter.shutdown_all(now=True)
        self.sessions.close()
        await self.kernels.stop()
        await self.displays.stop()


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < end
        await asyncio.sleep(0.1)
    return found


def served(test: Callable[[Server, str], Awaitable[None]]) -> Callable[[Path, str], None]:
    """A test with a server, in an event loop of its own."""

    def run(space: Path, kernelspec: str) -> None:
        async def all_of_it() -> None:
            (space / "sub").mkdir()
            (space / "sub" / "raw.fits").write_bytes(b"raw" * 1000)
            server = Server(space)
            try:
                await test(server, kernelspec)
            finally:
                await server.stop()

        asyncio.run(all_of_it())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@served
async def test_an_idle_kernel(server: Server, kernelspec: str) -> None:
    assert await server.kernels.list() == {"kernels": []}
    kernel_id = await server.start("sub/nb.ipynb", kernelspec)
    (told,) = (await server.kernels.list())["kernels"]
    assert told == await server.kernels.get(kernel_id)
    assert (told["id"], told["name"], told["notebook"], told["workspace"]) == (kernel_id, "casa", "sub/nb.ipynb", "sub")
    assert told["call"] is None and told["cell"] is None and told["display"] is False
    assert (server.root / "sub" / told["log"]).parent.is_dir()
    assert told["session"] and not gone(told["pid"])
    with pytest.raises(Conflict, match="no task runs"):
        await server.kernels.kill_call(kernel_id)
    assert await server.displays.windows(kernel_id) == {"windows": []}
    with pytest.raises(NotThere, match="no display"):
        await server.displays.picture(kernel_id)
    for ask in (server.kernels.get, server.kernels.interrupt, server.kernels.kill_call, server.displays.windows):
        with pytest.raises(NotThere):
            await ask("no-such-kernel")


@served
async def test_a_running_call_is_told_while_the_kernel_is_stopped(server: Server, kernelspec: str) -> None:
    kernel_id = await server.start("sub/nb.ipynb", kernelspec)
    server.clients[kernel_id].execute(SLOW)

    async def running() -> Any:
        call = (await server.kernels.get(kernel_id))["call"]
        return call if call is not None and call["killable"] else None

    await until(running)
    pid = (await server.kernels.get(kernel_id))["pid"]
    os.kill(pid, signal.SIGSTOP)  # it answers nobody
    try:
        call = await running()
        assert (call["task"], call["reason"]) == ("importuvfits", "it has not run here before")
        before = call["elapsed_s"]
        await asyncio.sleep(0.3)
        assert (await running())["elapsed_s"] > before
    finally:
        os.kill(pid, signal.SIGCONT)


@served
async def test_an_interrupt(server: Server, kernelspec: str) -> None:
    kernel_id = await server.start("sub/nb.ipynb", kernelspec)
    reply = asyncio.ensure_future(server.run(kernel_id, SLOW))

    async def running() -> Any:
        return (await server.kernels.get(kernel_id))["call"]

    await until(running)
    assert (await server.kernels.interrupt(kernel_id))["id"] == kernel_id
    assert (await reply)["ename"] == "KeyboardInterrupt"
    assert not (server.root / "sub" / "slow.ms").exists()


@served
async def test_a_killed_call_fails_and_leaves_products_as_before(server: Server, kernelspec: str) -> None:
    kernel_id = await server.start("sub/nb.ipynb", kernelspec)
    reply = asyncio.ensure_future(server.run(kernel_id, SLOW))

    async def running() -> Any:
        call = (await server.kernels.get(kernel_id))["call"]
        return call is not None and call["killable"]

    await until(running)
    assert await server.kernels.kill_call(kernel_id) == {"id": kernel_id, "task": "importuvfits"}
    told = await reply
    assert told["ename"] == "WorkerDied" and "SIGKILL" in told["evalue"]
    assert not (server.root / "sub" / "slow.ms").exists()
    assert (await server.kernels.get(kernel_id))["call"] is None


@served
async def test_only_a_child_of_the_kernel_is_killed(server: Server, kernelspec: str) -> None:
    kernel_id = await server.start("sub/nb.ipynb", kernelspec)
    await server.run(
        kernel_id,
        "import casa_kernel.extension, os\n"
        "(extension,) = casa_kernel.extension._extensions.values()\n"
        f"extension.session.live._worker_pid = lambda: {os.getpid()}\n"
        "import threading\n"
        "threading.Timer(1, extension.session.live.started, ('tclean', 'made up', None)).start()",
    )

    async def told() -> Any:
        return (await server.kernels.get(kernel_id))["call"]

    call = await until(told)
    assert call["task"] == "tclean" and call["killable"]
    with pytest.raises(Conflict, match="just ended"):
        await server.kernels.kill_call(kernel_id)


@served
async def test_windows_and_pictures(server: Server, kernelspec: str) -> None:
    kernel_id = await server.start("sub/nb.ipynb", kernelspec)
    assert (await server.run(kernel_id, DRAW))["status"] == "ok"
    assert (await server.kernels.get(kernel_id))["display"] is True
    assert await server.displays.windows(kernel_id) == {"windows": []}
    whole = Image.open(io.BytesIO(await server.displays.picture(kernel_id)))
    assert (whole.format, whole.size) == ("PNG", (1600, 1200))
    with pytest.raises(NotThere, match="window"):
        await server.displays.picture(kernel_id, 12345)
    state = await server.kernels.state(kernel_id)
    assert state is not None and state.display is not None
    number = state.display["display"].removeprefix(":")
    server_pid = int(Path(f"/tmp/.X{number}-lock").read_text())
    os.kill(server_pid, signal.SIGKILL)
    with pytest.raises(Conflict, match="does not answer"):
        await server.displays.windows(kernel_id)
    assert (await server.run(kernel_id, DRAW))["status"] == "ok"  # the next graphical task finds a new one
    assert (await server.displays.windows(kernel_id)) == {"windows": []}


@served
async def test_many_kernels(server: Server, kernelspec: str) -> None:
    first, second = await server.start("sub/one.ipynb", kernelspec), await server.start("two.ipynb", kernelspec)
    other = await server.start("three.ipynb", "python3")
    told = {one["id"]: one for one in (await server.kernels.list())["kernels"]}
    assert set(told) == {first, second} and other not in told
    assert [told[first]["workspace"], told[second]["workspace"]] == ["sub", "."]
    assert told[first]["session"] != told[second]["session"]
