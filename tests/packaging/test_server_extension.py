"""The server extension answers those who may ask, and nobody else."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest
from tornado.httpclient import HTTPClientError


@pytest.fixture
def jp_server_config() -> dict[str, object]:
    return {"ServerApp": {"jpserver_extensions": {"jupyterlab_casa": True}}}


async def test_status_tells_the_versions(jp_fetch):
    response = await jp_fetch("jupyterlab-casa", "api", "status")
    assert response.code == 200
    assert json.loads(response.body) == {
        "version": version("jupyterlab-casa"),
        "casatasks": version("casatasks"),
    }


async def test_status_needs_a_login(jp_fetch):
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch("jupyterlab-casa", "api", "status", headers={"Authorization": "token wrong"})
    assert refused.value.code == 403


async def test_status_needs_permission(jp_fetch, jp_serverapp, monkeypatch):
    asked = []

    def refuse(handler, user, action, resource):
        asked.append((action, resource))
        return False

    monkeypatch.setattr(jp_serverapp.authorizer, "is_authorized", refuse)
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch("jupyterlab-casa", "api", "status")
    assert refused.value.code == 403
    assert asked == [("read", "casa-status")]
