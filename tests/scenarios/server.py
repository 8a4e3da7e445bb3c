"""A Jupyter server with the extension, as a process of its own, and kernels that it starts; as a browser uses them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import websocket

from casa_recompute.notebook.outputs import Showing

OURS = "jupyterlab-casa/api"
_START_S = 120
_CELL_S = 300
Cells = Sequence[Mapping[str, Any]]


class Server:
    """The server; ``root`` is the directory below which it works."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self.root = root
        runtime = Path(environment["JUPYTER_RUNTIME_DIR"])
        options = {
            "ServerApp.root_dir": root,
            "ServerApp.port": 0,
            "ServerApp.open_browser": False,
            "ServerApp.allow_root": True,
            "ServerApp.jpserver_extensions": {"jupyterlab_casa": True},
            "Plans.look_after": 0.0,
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        self.log = runtime.with_name("server.log")
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", *words], env=environment, stdout=log, stderr=log
            )
        told = runtime / f"jpserver-{self._process.pid}.json"
        end = time.monotonic() + _START_S
        while not (told.exists() and told.read_text().endswith("}")):
            assert time.monotonic() < end and self._process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        about = json.loads(told.read_text())
        self.url, self.token = about["url"], about["token"]

    def close(self) -> None:
        """End it, and with it its kernels."""
        self._process.terminate()
        self._process.wait(120)

    def ask(self, *parts: str, body: Any = None, method: str | None = None, **query: str) -> Any:
        """GET, or POST when there is a body; the JSON that is answered. No answer but a good one is expected."""
        url = f"{self.url}{'/'.join(quote(part, safe='/') for part in parts)}?{urlencode(query)}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Authorization": f"token {self.token}"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return json.loads(response.read() or "null")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{url}: {error.code} {error.read()!r}") from error

    def casa(self, *parts: str, of: Path, body: Any = None, **query: str) -> Any:
        """The same, of our extension. ``of``: the notebook or workspace in question."""
        return self.ask(OURS, *parts, body=body, path=os.path.relpath(of, self.root), **query)


class Kernel:
    """A kernel ``casa`` of the server's, started for a notebook; and the browser's end of the line to it."""

    def __init__(self, server: Server, notebook: Path) -> None:
        path = os.path.relpath(notebook, server.root)
        wanted = {"path": path, "name": notebook.name, "type": "notebook", "kernel": {"name": "casa"}}
        self.server = server
        self.id: str = server.ask("api", "sessions", body=wanted)["kernel"]["id"]
        self._address = f"{server.url.replace('http', 'ws', 1)}api/kernels/{self.id}/channels?token={server.token}"
        self._line = self._connect()

    def _connect(self) -> websocket.WebSocket:
        return websocket.create_connection(self._address, timeout=_CELL_S)

    def send(self, code: str, metadata: Mapping[str, Any]) -> str:
        """Ask for an execution; the number of the request. On a new line: a server gives up silent ones."""
        self._line.close()
        self._line = self._connect()
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": "execute_request", "username": "", "session": "s", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": True, "stop_on_error": True}
        message = {"channel": "shell", "parent_header": {}, "metadata": metadata, "content": content, "buffers": []}
        self._line.send(json.dumps({**message, "header": {**header, "date": "2026-01-01T00:00:00Z"}}))
        return number

    def answer(self, number: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Wait for the end of an execution; the reply, and what the cell shows."""
        showing, reply, idle = Showing(), None, False
        while reply is None or not idle:
            message = json.loads(self._line.recv())
            kind, content = message["header"]["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != number:
                continue
            if kind == "execute_reply":
                reply = content
            elif kind == "status":
                idle = content["execution_state"] == "idle"
            elif message["channel"] == "iopub":
                showing.add(kind, content)
        return reply, showing.outputs()

    def run(self, code: str, metadata: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Execute; the reply, and what the cell shows."""
        return self.answer(self.send(code, metadata))
