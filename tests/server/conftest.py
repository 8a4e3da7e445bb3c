"""A Jupyter server with the extension."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse

from jupyterlab_casa.rest.routes import ROUTES
from tests.cli.conftest import FAKE, casa, write_notebook
from tests.kernels.conftest import kernelspec
from tests.server.contract import conforms

__all__ = ["casa", "kernelspec"]

API = ("jupyterlab-casa", "api")
Ask = Callable[..., Awaitable[Any]]


def route(*parts: str) -> str:
    """The address, as it is described, that is asked for."""
    fits = [
        known.split("/")[1:]
        for known, _ in ROUTES
        if known.count("/") == len(parts)
        and all(word == part or word[0] == "{" for word, part in zip(known.split("/")[1:], parts, strict=True))
    ]
    return "/" + "/".join(min(fits, key=lambda words: sum(word[0] == "{" for word in words)))


@pytest.fixture
def jp_server_config() -> dict[str, Any]:
    return {
        "ServerApp": {"jpserver_extensions": {"jupyterlab_casa": True}},
        "Plans": {"look_after": 0.0},
    }


@pytest.fixture
def ask(jp_fetch: Callable[..., Awaitable[Any]]) -> Ask:
    """GET, or POST when there is a body; the JSON that is answered."""

    async def ask(*parts: str, body: Any = None, raw: bool = False, method: str = "", **params: str) -> Any:
        how: dict[str, Any] = {} if body is None else {"body": json.dumps(body)}
        method = how["method"] = method or ("GET" if body is None else "POST")
        response = await jp_fetch(*API, *parts, params=params, request_timeout=120, **how)
        assert response.code == 200
        assert response.headers["Content-Type"] == "application/json"
        answer = json.loads(response.body)
        conforms(method, route(*parts), 200, answer)
        return response.body if raw else answer

    return ask


@pytest.fixture
def refused(ask: Ask) -> Callable[..., Awaitable[tuple[int, str]]]:
    """The same; the status and the sentence with which it is refused."""

    async def refused(*parts: str, **kwargs: Any) -> tuple[int, str]:
        with pytest.raises(HTTPClientError) as caught:
            await ask(*parts, **kwargs)
        assert caught.value.response is not None
        answer = json.loads(caught.value.response.body)
        conforms("POST" if "body" in kwargs else "GET", route(*parts), caught.value.code, answer)
        return caught.value.code, answer["message"]

    return refused


@pytest.fixture
def send(jp_http_port: int, jp_base_url: str, http_server_client: AsyncHTTPClient) -> Callable[..., Any]:
    """A request as it stands, with no token but the one that is given. ``http_server_client`` starts the server."""
    client = AsyncHTTPClient(force_instance=True)

    async def send(method: str, address: str, body: Any = None, headers: Any = None) -> HTTPResponse:
        url = f"http://127.0.0.1:{jp_http_port}{jp_base_url}jupyterlab-casa/api{address}"
        text = json.dumps(body if body is not None else {}) if method in ("POST", "PUT", "PATCH") else None
        request = HTTPRequest(url, method, headers or {}, text, follow_redirects=False, request_timeout=120)
        return await client.fetch(request, raise_error=False)

    return send


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Environment of the command and of this server, in which CASA's stand-in is used."""
    config = tmp_path / "config.toml"
    config.write_text(f"threads = 1\n[environment]\nPYTHONPATH = {str(FAKE)!r}\n")
    monkeypatch.setenv("JUPYTERLAB_CASA_CONFIG", str(config))
    return {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")}


@pytest.fixture
def workspace(jp_root_dir: Path, environment: dict[str, str]) -> Path:
    """``work`` below the server's root, with raw data and ``nb.ipynb``."""
    directory = jp_root_dir / "work"
    directory.mkdir()
    (directory / "raw.fits").write_bytes(b"raw data" * 1000)
    write_notebook(directory / "nb.ipynb")
    return directory


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    return found


class Kernel:
    """A kernel that was started through the server for a notebook."""

    def __init__(self, kernel_id: str, client: Any) -> None:
        self.id = kernel_id
        self.client = client

    async def run(self, code: str) -> dict[str, Any]:
        """Run code to its end; the reply."""
        reply = await self.client.execute_interactive(code, timeout=120, output_hook=lambda _: None)
        content: dict[str, Any] = reply["content"]
        return content


@pytest.fixture
def start(
    workspace: Path, kernelspec: str, jp_fetch: Callable[..., Awaitable[Any]], jp_serverapp: Any
) -> Iterator[Callable[..., Awaitable[Kernel]]]:
    """Start the kernel of a notebook as JupyterLab does; it ends with the server."""
    clients: list[Any] = []

    async def start(path: str = "work/nb.ipynb", name: str = kernelspec) -> Kernel:
        body = {"path": path, "name": path, "type": "notebook", "kernel": {"name": name}}
        response = await jp_fetch("api", "sessions", method="POST", body=json.dumps(body), request_timeout=120)
        answer = json.loads(response.body)
        client = jp_serverapp.kernel_manager.get_kernel(answer["kernel"]["id"]).client()
        client.start_channels()
        clients.append(client)
        await client.wait_for_ready(timeout=90)
        return Kernel(answer["kernel"]["id"], client)

    yield start
    for client in clients:
        client.stop_channels()
