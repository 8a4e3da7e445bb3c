"""A Jupyter server with the extension, and a client of it that speaks plain HTTP, so that it costs little itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from tornado.websocket import WebSocketClientConnection, websocket_connect

ROOT = Path(__file__).parents[1]
FAKE = ROOT / "tests" / "core" / "fakecasa"
API = "/jupyterlab-casa/api"


@dataclass
class Server:
    """One that runs."""

    root: Path
    port: int
    token: str
    process: psutil.Process
    log: Path
    state: Path  # where its configuration is, and what else is no notebook

    def left(self) -> list[psutil.Process]:
        """Processes that it, or a kernel of its, has started: all know where its configuration is."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                of_it = process.environ().get("JUPYTER_CONFIG_DIR") == str(self.state)
                if of_it and process.pid != self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


@contextlib.contextmanager
def serving(root: Path, state: Path, stand_in: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Start one for the directory ``root``.

    Args:
        root: its notebooks' directory.
        state: an empty directory for its own files.
        stand_in: environment of workers that use the tests' stand-in for CASA; None: the real one.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, log = secrets.token_hex(16), state / "server.log"
    options = {
        "ServerApp.root_dir": root,
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "ServerApp.log_level": "WARN",
        "ServerApp.jpserver_extensions": {"jupyterlab_casa": True},
        "IdentityProvider.token": token,
    }
    command = [sys.executable, "-m", "jupyter_server", *(f"--{name}={value}" for name, value in options.items())]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=_environment(state, stand_in), cwd=root, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{API}/status")
        request.add_header("Authorization", f"token {token}")
        end = time.monotonic() + 180
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(request):
                break
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server did not start:\n{log.read_text()}")
            time.sleep(0.1)
        yield Server(root, port, token, psutil.Process(process.pid), log, state)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(state: Path, stand_in: Mapping[str, str] | None) -> dict[str, str]:
    """Of the server: the kernel is installed as the package does it, whether or not that is installed here."""
    spec = json.loads((ROOT / "kernel" / "kernelspec" / "kernel.json").read_text())
    spec["argv"][0] = sys.executable
    place, info = state / "kernels" / "casa", state / "site" / "casa_here-1.dist-info"
    place.mkdir(parents=True)
    info.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: casa-here\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[jupyter_client.kernel_provisioners]\ncasa-provisioner = jupyterlab_casa.provisioner:CasaProvisioner\n"
    )
    config = 'store = "copy"\n'
    if stand_in is not None:
        values = {"PYTHONPATH": str(FAKE), **stand_in}
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in values.items()]
        config += f"threads = 1\n[environment]\n{''.join(lines)}"
    (state / "config.toml").write_text(config)
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_PATH", "IPYTHONDIR")
    return os.environ | {
        **dict.fromkeys(places, str(state)),
        "JUPYTER_RUNTIME_DIR": str(state / "runtime"),
        "JUPYTERLAB_CASA_CONFIG": str(state / "config.toml"),
        "PYTHONPATH": os.pathsep.join([str(info.parent), *filter(None, sys.path)]),
    }


class Client:
    """Asks a server, over connections that stay open."""

    def __init__(self, server: Server, connections: int = 64) -> None:
        self.server = server
        self._free: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None] = asyncio.LifoQueue()
        for _ in range(connections):
            self._free.put_nowait(None)

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """What is sent; making it is no part of what is measured."""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: token {self.server.token}\r\n"
        length = f"Content-Length: {len(body)}\r\n" if body is not None else ""
        return f"{head}{length}\r\n".encode() + (body or b"")

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        known = await self._free.get()
        try:
            known = known or await asyncio.open_connection("127.0.0.1", self.server.port, limit=1 << 24)
            reader, writer = known
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            answer = await reader.readexactly(int(lines.get("content-length", "0")))
            if lines.get("connection") == "close":
                known = None
            return int(head.split(" ", 2)[1]), answer
        except BaseException:
            known = None
            raise
        finally:
            self._free.put_nowait(known)

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The same of JSON, waiting not longer than a minute."""
        sent = json.dumps(body).encode() if body is not None else b"" if method == "POST" else None
        status, answer = await asyncio.wait_for(self.send(self.request(method, path, sent)), 60)
        try:
            return status, json.loads(answer) if answer else None
        except ValueError:  # Jupyter's own page for what is not there
            return status, answer.decode(errors="replace")

    async def start_kernel(self, notebook: str) -> str:
        """Start a kernel for a notebook (a path relative to the root); its id."""
        body = {"path": notebook, "name": notebook, "type": "notebook", "kernel": {"name": "casa"}}
        status, session = await self.ask("POST", "/api/sessions", body)
        if status != 201:
            raise RuntimeError(f"no kernel: {status} {session}")
        kernel: str = session["kernel"]["id"]
        return kernel

    async def connect(self, kernel: str) -> WebSocketClientConnection:
        """Its channels."""
        url = f"ws://127.0.0.1:{self.server.port}/api/kernels/{kernel}/channels?token={self.server.token}"
        return await websocket_connect(url)


async def execute(channels: WebSocketClientConnection, cell: str, source: str, cells: list[str], notebook: str) -> str:
    """Execute a cell; how it ended: "ok", "error", "aborted", or "gone" with the kernel."""
    number = uuid.uuid4().hex
    header = {"msg_id": number, "msg_type": "execute_request", "session": "bench", "username": "", "version": "5.3"}
    content = {"code": source, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    metadata = {"cellId": cell, "casa": {"cells": cells, "notebook": notebook}}
    message = {"header": header, "parent_header": {}, "metadata": metadata, "content": content, "channel": "shell"}
    await channels.write_message(json.dumps(message))
    while (answer := await channels.read_message()) is not None:
        found = json.loads(answer)
        if found["header"]["msg_type"] == "execute_reply" and found["parent_header"].get("msg_id") == number:
            return str(found["content"]["status"])
        if found["content"].get("execution_state") in ("restarting", "dead"):
            break
    return "gone"


def tree(process: psutil.Process) -> list[psutil.Process]:
    """A process and all that it has started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def scratch_in(parent: Path, *names: str) -> list[Path]:
    """New directories."""
    made = [parent / name for name in names]
    for path in made:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
    return made
