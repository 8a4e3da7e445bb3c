"""What SECURITY.md promises of the server extension."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jupyter_server.auth.authorizer import Authorizer
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

import jupyterlab_casa
from casa_recompute.notebook.replan import Planner
from jupyterlab_casa.managers.base import NotThere, Root
from jupyterlab_casa.rest.base import CasaHandler
from jupyterlab_casa.rest.routes import ROUTES
from tests.server.contract import looked_up, operations

SENT = {
    ("POST", "/plan"): {"cells": [{"id": "a", "source": "x = 1"}]},
    ("POST", "/graph"): {"cells": []},
    ("POST", "/outputs"): {"cells": [{"id": "a", "outputs": []}]},
    ("POST", "/walks"): {"cells": []},
    ("POST", "/walks/{walk}/step"): {},
    ("POST", "/walks/{walk}/stop"): {},
    ("POST", "/versions/{version}/restore"): {},
    ("POST", "/store/collection"): {},
}


class Refusing(Authorizer):
    """Lets in who asks for nothing of ours."""

    asked: list[tuple[str, str]] = []

    async def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        self.asked.append((action, resource))
        return not resource.startswith("casa")


@pytest.fixture
def send(jp_http_port: int, jp_base_url: str, http_server_client: AsyncHTTPClient) -> Callable[..., Any]:
    """A request as it stands, with no token but the one that is given. ``http_server_client`` starts the server."""
    client = AsyncHTTPClient(force_instance=True)

    async def send(method: str, address: str, body: Any = None, headers: Any = None) -> HTTPResponse:
        url = f"http://127.0.0.1:{jp_http_port}{jp_base_url}jupyterlab-casa/api{address}"
        text = json.dumps(body if body is not None else {}) if method == "POST" else None
        request = HTTPRequest(url, method, headers or {}, text, follow_redirects=False, request_timeout=60)
        return await client.fetch(request, raise_error=False)

    return send


def every_request() -> Iterator[tuple[str, str, Any, str]]:
    """Each method of each address with fitting arguments, and its resource."""
    for (method, route), operation in sorted(operations().items()):
        address = route.replace("{name}", "tclean").replace("{version}", "k-1").replace("{cell}", "a")
        address = address.replace("{number}", "1").replace("{kernel}", "no-kernel").replace("{window}", "screen")
        address = address.replace("{number}", "1").replace("{walk}", "w")
        names = [looked_up(p)["name"] for p in operation.get("parameters", ()) if looked_up(p)["in"] == "query"]
        values = {"path": "work/nb.ipynb", "before": "k-1", "after": "k-2"}
        query = "&".join(f"{name}={quote(values[name], safe='')}" for name in names if name in values)
        yield method, f"{address}?{query}", SENT.get((method, route)), operation["tags"][0]


def rules(router: Any) -> Iterator[tuple[str, type]]:
    """All addresses of a server, and their handlers."""
    for rule in router.rules:
        if isinstance(rule.target, type):
            yield rule.matcher.regex.pattern, rule.target
        elif hasattr(rule.target, "rules"):
            yield from rules(rule.target)


async def test_all_that_the_extension_serves_is_what_is_tested_here(jp_serverapp) -> None:
    served = dict(rules(jp_serverapp.web_app.default_router))
    handlers = {address: one for address, one in served.items() if one.__module__.startswith("jupyterlab_casa")}
    assert set(handlers.values()) == {handler for _, handler in ROUTES} and len(handlers) == len(ROUTES)
    assert {a for a in served if "jupyterlab-casa" in a} == set(handlers)
    for handler in handlers.values():
        assert issubclass(handler, CasaHandler)
        offered = [name for name in ("get", "post", "put", "patch", "delete", "head") if name in vars(handler)]
        assert sorted(m for m, route in operations() if dict(ROUTES)[route] is handler) == sorted(
            map(str.upper, offered)
        )


async def test_nobody_without_a_token_gets_anything(send, workspace: Path) -> None:
    for method, address, body, _ in every_request():
        for headers in ({}, {"Authorization": "token wrong"}):
            response = await send(method, address, body, headers)
            assert response.code == 403, (method, address)
            assert b"casatasks" not in response.body


async def test_who_may_not_is_refused_and_each_resource_is_asked_for(
    send, workspace: Path, jp_serverapp, jp_fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorizer = Refusing(parent=jp_serverapp)
    Refusing.asked.clear()
    monkeypatch.setitem(jp_serverapp.web_app.settings, "authorizer", authorizer)
    headers = {"Authorization": f"token {jp_serverapp.identity_provider.token}"}
    for method, address, body, resource in every_request():
        response = await send(method, address, body, headers)
        assert response.code == 403, (method, address)
        reads = method == "GET" or address.startswith(("/plan", "/graph", "/outputs"))
        assert Refusing.asked.pop() == ("read" if reads else "write", resource)
    assert (await jp_fetch("api", "status")).code == 200, "others are as they were"


async def test_another_site_cannot_use_a_session(send, workspace: Path, jp_serverapp) -> None:
    token = jp_serverapp.identity_provider.token
    first = await send("GET", f"/status?token={token}")
    cookies = "; ".join(cookie.split(";")[0] for cookie in first.headers.get_list("Set-Cookie"))
    assert (await send("GET", "/status", None, {"Cookie": cookies})).code == 200, "the session itself is good"
    for method, address, body, _ in every_request():
        foreign = {"Cookie": cookies, "Origin": "https://elsewhere.example"}
        assert (await send(method, address, body, foreign)).code in (403, 404), (method, address)
        if method == "POST":
            assert (await send(method, address, body, {"Cookie": cookies})).code == 403, "no XSRF token"


async def test_what_is_answered_is_data_for_browsers_too(send, workspace: Path, jp_serverapp) -> None:
    headers = {"Authorization": f"token {jp_serverapp.identity_provider.token}"}
    for address in ("/status", "/versions?path=%3Cscript%3E", "/tasks/%3Cscript%3E"):
        response = await send("GET", address, None, headers)
        assert response.headers["Content-Type"].startswith("application/json")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]


async def test_bodies_are_bounded(send, workspace: Path, jp_serverapp, jp_http_port: int, jp_base_url: str) -> None:
    token = jp_serverapp.identity_provider.token
    headers = {"Authorization": f"token {token}"}
    (app,) = jp_serverapp.extension_manager.extension_apps["jupyterlab_casa"]
    app.managers["plans"].body_limit = 1
    address = "/plan?path=work/nb.ipynb"
    cells = {"cells": [{"id": "a", "source": "#" * 900_000}]}
    assert (await send("POST", address, cells, headers)).code == 200
    for size in (1_000_001, 5_000_000):
        for chunked in (False, True):
            reader, writer = await asyncio.open_connection("127.0.0.1", jp_http_port)
            length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
            head = f"POST {jp_base_url}jupyterlab-casa/api{address} HTTP/1.1\r\nHost: localhost\r\n"
            writer.write(f"{head}Authorization: token {token}\r\n{length}\r\n\r\n".encode())
            if chunked:  # the other is refused before it is sent
                writer.write(b"%x\r\n%s\r\n" % (1000, b" " * 1000) * (size // 1000) + b"1\r\n \r\n0\r\n\r\n")
            assert b" 413 " in await asyncio.wait_for(reader.readline(), 30)
            writer.close()
    response = await send("POST", "/store/collection?path=work", {"budget": 1, "x": "x" * (1 << 17)}, headers)
    assert response.code == 413


async def test_who_asks_for_too_much_is_told_to_come_again(
    send, workspace: Path, jp_serverapp, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"Authorization": f"token {jp_serverapp.identity_provider.token}"}
    (app,) = jp_serverapp.extension_manager.extension_apps["jupyterlab_casa"]
    app.managers["plans"].waiting_limit = 2
    busy, go = threading.Semaphore(0), threading.Event()

    def text(self: Planner, *args: Any) -> str:
        busy.release()
        go.wait(30)
        return "{}"

    monkeypatch.setattr(Planner, "text", text)
    cells = {"cells": []}
    waiting = [
        asyncio.ensure_future(send("POST", f"/plan?path=work/{name}.ipynb", cells, headers)) for name in ("a", "b")
    ]
    for _ in waiting:
        await asyncio.to_thread(busy.acquire, timeout=20)
    refused = await send("POST", "/plan?path=work/c.ipynb", cells, headers)
    assert (refused.code, refused.headers["Retry-After"]) == (429, "1")
    go.set()
    assert [response.code for response in await asyncio.gather(*waiting)] == [200, 200]
    assert (await send("POST", "/plan?path=work/c.ipynb", cells, headers)).code == 200


# -- places --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server's root with links that lead out of it, and around within it."""
    top = tmp_path_factory.mktemp("top")
    root = top / "root"
    (root / "a" / "b").mkdir(parents=True)
    (top / "secret").mkdir()
    (top / "secret" / "nb.ipynb").write_text("{}")
    (top / "rooted").mkdir()
    (root / "nb.ipynb").write_text("{}")
    (root / "out").symlink_to(top / "secret")
    (root / "up").symlink_to("..")
    (root / "etc").symlink_to("/etc")
    (root / "file.ipynb").symlink_to(top / "secret" / "nb.ipynb")
    (root / "a" / "in").symlink_to("../a/b")
    (root / "loop").symlink_to("loop")
    return root


PARTS = [
    "..",
    ".",
    "",
    "a",
    "b",
    "in",
    "out",
    "up",
    "etc",
    "loop",
    "nb.ipynb",
    "file.ipynb",
    "secret",
    "root",
    "rooted",
]
PARTS += ["~", "%2e%2e", "%2f", "..%2f..", "\\..\\..", "a\0", "x" * 300, "\ud800", "é", "*", "$HOME", ".casa-recompute"]


@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(PARTS) | st.text(max_size=4), max_size=7), st.sampled_from(["", "/", "//", "./", "../"])
)
def test_no_path_leads_out_of_the_root(tree: Path, parts: list[str], before: str) -> None:
    root, path = Root(tree), before + "/".join(parts)
    for look in (root.place, root.workspace, lambda p: root.notebook(p)[0]):
        try:
            place = look(path)
        except NotThere:
            continue
        assert Path(os.path.realpath(place)).is_relative_to(tree.resolve())


def test_what_is_within_is_found(tree: Path) -> None:
    root = Root(tree)
    assert root.workspace("a/in") == tree / "a" / "b"
    assert root.notebook("nb.ipynb") == (tree, "nb.ipynb")
    assert root.workspace("") == root.workspace(".") == tree


async def test_nobody_learns_what_is_outside(ask, refused, workspace: Path, tmp_path: Path) -> None:
    (workspace / "there").symlink_to(tmp_path)
    (workspace / "not").symlink_to(tmp_path / "no such thing")
    told = {re.sub("'[^']*'", "...", (await refused("versions", path=f"work/{name}"))[1]) for name in ("there", "not")}
    assert told == {"there is no ... below the server's root"}


def test_no_shell_is_ever_started() -> None:
    for path in Path(jupyterlab_casa.__file__).parent.rglob("*.py"):
        assert not re.search(r"shell=True|os\.system|os\.popen|create_subprocess_shell", path.read_text()), path
