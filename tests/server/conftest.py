"""A Jupyter server with the extension."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError

from jupyterlab_casa.rest.routes import ROUTES
from tests.cli.conftest import FAKE, casa, write_notebook
from tests.server.contract import conforms

__all__ = ["casa"]

API = ("jupyterlab-casa", "api")
Ask = Callable[..., Awaitable[Any]]


def route(*parts: str) -> str:
    """The address, as it is described, that is asked for."""

    def fits(route: str) -> bool:
        described = route.split("/")[1:]
        return len(described) == len(parts) and all(
            one == part or one.startswith("{") for one, part in zip(described, parts, strict=True)
        )

    return min((route for route, _ in ROUTES if fits(route)), key=lambda route: route.count("{"))


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
        response = await jp_fetch(*API, *parts, params=params, **how)
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
