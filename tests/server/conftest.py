"""A Jupyter server with the extension."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError

pytest_plugins = ["pytest_jupyter.jupyter_server"]

API = ("jupyterlab-casa", "api")
Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
def jp_server_config() -> dict[str, Any]:
    return {
        "ServerApp": {"jpserver_extensions": {"jupyterlab_casa": True}},
    }


@pytest.fixture
def ask(jp_fetch: Callable[..., Awaitable[Any]]) -> Ask:
    """GET, or POST when there is a body; the JSON that is answered."""

    async def ask(*parts: str, body: Any = None, raw: bool = False, **params: str) -> Any:
        how: dict[str, Any] = {} if body is None else {"method": "POST", "body": json.dumps(body)}
        response = await jp_fetch(*API, *parts, params=params, **how)
        assert response.code == 200
        assert response.headers["Content-Type"] == "application/json"
        return response.body if raw else json.loads(response.body)

    return ask


@pytest.fixture
def refused(ask: Ask) -> Callable[..., Awaitable[tuple[int, str]]]:
    """The same; the status and the sentence with which it is refused."""

    async def refused(*parts: str, **kwargs: Any) -> tuple[int, str]:
        with pytest.raises(HTTPClientError) as caught:
            await ask(*parts, **kwargs)
        assert caught.value.response is not None
        return caught.value.code, json.loads(caught.value.response.body)["message"]

    return refused
