"""What SECURITY.md promises of the server extension."""

from __future__ import annotations

import ast
import asyncio
import importlib.resources
import json
import os
import re
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jupyter_server.auth.authorizer import Authorizer

from casa_recompute.notebook.replan import Planner
from casa_recompute.workspace import Workspace
from jupyterlab_casa.managers.base import NotThere, Root
from jupyterlab_casa.rest.base import CasaHandler
from jupyterlab_casa.rest.routes import ROUTES
from tests.cli.conftest import Done, write_notebook
from tests.server.contract import conforms, example, operations, permission

READ_ONLY = ("/plan", "/graph", "/outputs")
"""Posted, though nothing is changed."""
AT_ONCE = ("/status", "/changes", "/walks/{walk}")
"""Answered from memory; to end a walk, once, waits for nothing but what it does just now."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Refusing(Authorizer):
    """Lets in who asks for nothing of ours."""

    asked: list[tuple[str, str]] = []

    async def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        self.asked.append((action, resource))
        return not resource.startswith("casa")


def every_request() -> Iterator[tuple[str, str, Any, str]]:
    """Each method of each address as the description exemplifies it; and its address as it is described."""
    for method, route in sorted(operations()):
        address, body = example(method, route)
        yield method, address, body, route


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
    for method, address, body, route in every_request():
        response = await send(method, address, body, headers)
        assert response.code == 403, (method, address)
        assert Refusing.asked.pop() == (permission(method, route), operations()[method, route]["tags"][0])
        assert permission(method, route) == "write" or method == "GET" or route in READ_ONLY
    assert (await jp_fetch("api", "status")).code == 200, "others are as they were"


async def test_another_site_cannot_use_a_session(send, workspace: Path, jp_serverapp) -> None:
    token = jp_serverapp.identity_provider.token
    first = await send("GET", f"/status?token={token}")
    cookies = "; ".join(cookie.split(";")[0] for cookie in first.headers.get_list("Set-Cookie"))
    assert (await send("GET", "/status", None, {"Cookie": cookies})).code == 200, "the session itself is good"
    for method, address, body, _ in every_request():
        foreign = {"Cookie": cookies, "Origin": "https://elsewhere.example"}
        assert (await send(method, address, body, foreign)).code in (403, 404), (method, address)
        if method != "GET":
            assert (await send(method, address, body, {"Cookie": cookies})).code == 403, "no XSRF token"


async def test_every_example_is_understood(send, workspace: Path, jp_serverapp) -> None:
    """So that the refusals above are not of something else. Of each route, whoever adds one."""
    assert {(method, route) for method, _, _, route in every_request()} == set(operations())
    headers = {"Authorization": f"token {jp_serverapp.identity_provider.token}"}
    for method, address, body, route in every_request():
        response = await send(method, address, body, headers)
        assert response.code in (200, 404, 409), (method, address, response.body)
        if response.code != 200:
            conforms(method, route, response.code, json.loads(response.body))


async def test_no_other_method_does_anything(send, workspace: Path, jp_serverapp) -> None:
    token = {"Authorization": f"token {jp_serverapp.identity_provider.token}"}
    for route, _ in ROUTES:
        described = [method for method, other in operations() if other == route]
        address = example(described[0], route)[0]
        for method in set(METHODS) - set(described):
            for headers in ({}, token):
                response = await send(method, address, None, headers)
                if method == "OPTIONS":
                    assert (response.code // 100, response.body) == (2, b""), "what browsers ask before they ask"
                else:
                    assert response.code in (403, 405), (method, address)


async def test_what_is_answered_is_data_for_browsers_too(send, workspace: Path, jp_serverapp) -> None:
    headers = {"Authorization": f"token {jp_serverapp.identity_provider.token}"}
    asked = [request[:3] for request in every_request()]
    asked += [
        ("GET", address, None) for address in ("/versions?path=%3Cscript%3E", "/tasks/%3Cscript%3E", "/status?a=<")
    ]
    for method, address, body in asked:
        for who in (headers, {}):
            response = await send(method, address, body, who)
            kinds = ("application/json", "image/png", "text/plain") if response.code == 200 else ("application/json",)
            assert response.headers["Content-Type"].startswith(kinds), (method, address)
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]


async def test_names_that_look_like_markup_are_names(ask, casa: Callable[..., Done], workspace: Path) -> None:
    name = "<img src=x onerror=alert(1)>&amp;.ms"
    nb = "<b>nb.ipynb"
    cells = {"ab": f"importuvfits(fitsfile='raw.fits', vis={name!r})"}
    write_notebook(workspace / nb, cells)
    casa("run", nb)
    rows = (await ask("versions", path=f"work/{nb}", product=name))["versions"]
    assert [row["path"] for row in rows] == [name]
    plan = await ask("plan", path=f"work/{nb}", body={"cells": [{"id": "ab", "source": cells["ab"]}]})
    assert name in plan["cells"][0]["writes"] and plan["notebook"] == nb
    graph = await ask("graph", path=f"work/{nb}", body={"cells": [{"id": "ab", "source": cells["ab"]}]})
    assert any(name in product.values() for product in graph["products"])
    run = (await ask("cells", "ab", path=f"work/{nb}"))["runs"][0]
    assert run["calls"][0]["task"] == "importuvfits"


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
            assert b" 413 " in await asyncio.wait_for(reader.readline(), 120)
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
        go.wait(120)
        return "{}"

    monkeypatch.setattr(Planner, "text", text)
    cells = {"cells": []}
    waiting = [
        asyncio.ensure_future(send("POST", f"/plan?path=work/{name}.ipynb", cells, headers)) for name in ("a", "b")
    ]
    for _ in waiting:
        assert await asyncio.to_thread(busy.acquire, timeout=120)
    refused = await send("POST", "/plan?path=work/c.ipynb", cells, headers)
    assert (refused.code, refused.headers["Retry-After"]) == (429, "1")
    go.set()
    assert [response.code for response in await asyncio.gather(*waiting)] == [200, 200]
    assert (await send("POST", "/plan?path=work/c.ipynb", cells, headers)).code == 200


async def test_each_route_is_bounded(send, workspace: Path, jp_serverapp) -> None:
    """Where as much is waiting as may, more is refused; what has no bound does nothing that could wait."""
    headers = {"Authorization": f"token {jp_serverapp.identity_provider.token}"}
    (app,) = jp_serverapp.extension_manager.extension_apps["jupyterlab_casa"]
    Workspace(workspace, "copy").close()
    for manager in app.managers.values():
        manager._waiting = manager.waiting_limit
    for method, address, body, route in every_request():
        response = await send(method, address, body, headers)
        if route in AT_ONCE:
            continue
        assert "429" in operations()[method, route]["responses"], "whoever adds a route says how it is bounded"
        if "{kernel}" not in route and "{walk}" not in route:  # which are looked for first
            assert (response.code, response.headers["Retry-After"]) == (429, "1"), (method, address)
    for manager in app.managers.values():
        manager._waiting = 0


async def test_who_waits_for_a_notebook_counts_too(
    send, workspace: Path, jp_serverapp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plans of one notebook are made one after the other."""
    headers = {"Authorization": f"token {jp_serverapp.identity_provider.token}"}
    (app,) = jp_serverapp.extension_manager.extension_apps["jupyterlab_casa"]
    app.managers["plans"].waiting_limit = 3
    go = threading.Event()

    def text(self: Planner, *args: Any) -> str:
        go.wait(120)
        return "{}"

    monkeypatch.setattr(Planner, "text", text)
    address = "/plan?path=work/nb.ipynb"
    cells = [{"cells": [{"id": "a", "source": f"x = {number}"}]} for number in range(12)]
    asked = [asyncio.ensure_future(send("POST", address, sent, headers)) for sent in cells]
    refused = [await one for one in islice(asyncio.as_completed(asked), 7)]
    go.set()
    assert {response.code for response in refused} == {429}
    codes = Counter(response.code for response in await asyncio.gather(*asked))
    assert codes.keys() == {200, 429} and codes[200] <= 5


async def test_all_bodies_together_are_bounded(
    send, workspace: Path, jp_serverapp, jp_http_port: int, jp_base_url: str
) -> None:
    """Also those that come slowly, of which nothing is worked on yet; what is held for them is given back."""
    token = jp_serverapp.identity_provider.token
    headers = {"Authorization": f"token {token}"}
    (app,) = jp_serverapp.extension_manager.extension_apps["jupyterlab_casa"]
    app.managers["plans"].bodies_limit = 1
    address, cells = "/plan?path=work/nb.ipynb", {"cells": [{"id": "a", "source": "#" * 300_000}]}
    head = f"POST {jp_base_url}jupyterlab-casa/api{address} HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Authorization: token {token}\r\nContent-Length: 400000\r\n\r\n"
    slow = []
    for _ in range(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", jp_http_port)
        writer.write(head.encode() + b" " * 390_000)
        await writer.drain()
        slow.append(writer)
    while app.managers["plans"].held < 780_000:
        await asyncio.sleep(0.01)
    refused = await send("POST", address, cells, headers)
    assert (refused.code, refused.headers["Retry-After"]) == (429, "1")
    assert (await send("POST", address, {"cells": []}, headers)).code == 200, "small ones are answered meanwhile"
    assert (await send("GET", "/status", None, headers)).code == 200
    for writer in slow:
        writer.close()
    while app.managers["plans"].held:
        await asyncio.sleep(0.01)
    assert (await send("POST", address, cells, headers)).code == 200
    assert app.managers["plans"].held == 0


async def test_the_largest_notebook_holds_nobody_up(send, workspace: Path, jp_serverapp) -> None:
    """As many cells as may be posted, each of which depends on others; the server answers others meanwhile."""
    headers = {"Authorization": f"token {jp_serverapp.identity_provider.token}"}
    many = [{"id": f"c{n}", "source": f"x{n} = x{max(0, n - 1)} + x{n // 2} + 1"} for n in range(10_001)]
    assert (await send("POST", "/graph?path=work/nb.ipynb", {"cells": many}, headers)).code == 400
    asked = asyncio.ensure_future(send("POST", "/graph?path=work/nb.ipynb", {"cells": many[:-1]}, headers))
    others = 0
    while not asked.done():
        assert (await send("GET", "/status", None, headers)).code == 200
        others += 1
    assert (await asked).code == 200 and others > 3
    assert len(json.loads((await asked).body)["cells"]) == 10_000


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
PARTS += [
    "\uff0e\uff0e",
    "\u2025",
    "\uff0f",
    "%252e%252e",
    "..%00",
    "%c0%ae%c0%ae",
    ".. ",
    "..;",
    "e\u0301",
    "x" * 5000,
]
PARTS += ["~", "%2e%2e", "%2f", "..%2f..", "\\..\\..", "a\0", "x" * 300, "\ud800", "é", "*", "$HOME", ".casa-recompute"]


@settings(max_examples=800, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(PARTS) | st.text(max_size=4), max_size=7), st.sampled_from(["", "/", "//", "./", "../"])
)
def test_no_path_leads_out_of_the_root(tree: Path, parts: list[str], before: str) -> None:
    root, path = Root(tree), before + "/".join(parts)
    within = root.workspace("a")
    for look in (root.place, root.workspace, lambda p: root.notebook(p)[0], lambda p: root.named(within, p)):
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


def test_a_root_that_is_a_link_is_the_place_to_which_it_leads(tree: Path) -> None:
    link = tree.parent / "link"
    link.symlink_to(tree)
    root = Root(link)
    assert root.workspace("a/in") == tree / "a" / "b" and root.notebook("nb.ipynb") == (tree, "nb.ipynb")
    for path in ("out", "up", "up/secret", "file.ipynb", "up/root/up/secret"):
        with pytest.raises(NotThere):
            root.workspace(path)


SPELLINGS = [
    "%2e%2e%2fsecret",
    "..%2fsecret",
    "%252e%252e%252fsecret",
    "..%252fsecret",
    "%c0%ae%c0%ae/secret",
    "..%5csecret",
]
SPELLINGS += [
    "%ef%bc%8e%ef%bc%8e/secret",
    "work/..%00/secret",
    "%2fetc",
    "//etc",
    "work/%2e%2e/%2e%2e/secret",
    "work%00.ipynb",
]
SPELLINGS += [
    "%ff%fe",
    "%ed%a0%80",
    "x" * 5000,
    "work/../../secret/nb.ipynb",
    "~",
    "file:///etc/passwd",
    "%2e%2e;/secret",
]


async def test_no_spelling_of_an_address_leads_out(send, workspace: Path, jp_serverapp, jp_root_dir: Path) -> None:
    headers = {"Authorization": f"token {jp_serverapp.identity_provider.token}"}
    secret = jp_root_dir.parent / "secret"
    Workspace(workspace, "copy").close()
    shutil.copytree(workspace, secret)
    (secret / "nb.ipynb").write_text("{}")
    assert (await send("GET", "/versions?path=work", None, headers)).code == 200
    for spelling in SPELLINGS:
        for address in (f"/versions?path={spelling}", f"/store?path={spelling}", f"/cells/a?path={spelling}/nb.ipynb"):
            response = await send("GET", address, None, headers)
            assert response.code in (400, 404), (address, response.body)
            assert b"outside" not in response.body and str(secret).encode() not in response.body


def test_what_a_task_names_is_found_as_the_task_finds_it(tree: Path) -> None:
    root = Root(tree)
    within = root.workspace("a")
    for name in ("b", "in", "./b/", "../a/b", "in/../b", f"{tree}/a/b", f"{tree}/../root/a/in", "../out/../root/a/b"):
        assert root.named(within, name) == tree / "a" / "b"
    for name in ("../../secret", "../out", "/", f"{tree}/..", f"{tree}ed", "a\0"):
        with pytest.raises(NotThere, match="there is no .* below the server's root"):
            root.named(within, name)


async def test_nobody_learns_what_is_outside(ask, refused, workspace: Path, tmp_path: Path) -> None:
    (workspace / "there").symlink_to(tmp_path)
    (workspace / "not").symlink_to(tmp_path / "no such thing")
    told = {re.sub("'[^']*'", "...", (await refused("versions", path=f"work/{name}"))[1]) for name in ("there", "not")}
    assert told == {"there is no ... below the server's root"}


SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn"}
SHELLS |= {"asyncio.create_subprocess_shell", "asyncio.subprocess.create_subprocess_shell", "commands.getoutput"}
PACKAGES = ("casa_recompute", "jupyterlab_casa", "casa_kernel")


def test_no_shell_is_ever_started() -> None:
    """In no file of ours; what a user writes after ``!`` goes through IPython's own."""
    places = [Path(str(importlib.resources.files(name))) for name in PACKAGES]
    files = [path for place in places for path in place.rglob("*.py")]
    assert len(files) > 80
    found = []
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                given = [getattr(k.value, "value", "?") for k in node.keywords if k.arg == "shell"]
                shell = (given == [True] and called != "Uses") or (
                    called.startswith("subprocess.") and given not in ([], [False])
                )
                if called.startswith(("subprocess.", "os.exec", "os.spawn", "os.posix_spawn")):
                    words = [getattr(one, "value", None) for arg in node.args for one in getattr(arg, "elts", [arg])]
                    shell = shell or any(isinstance(w, str) and os.path.basename(w) in ("sh", "bash") for w in words)
                if shell or called in SHELLS:
                    found.append(f"{path}:{node.lineno}")
            elif isinstance(node, ast.ImportFrom):
                found += [f"{path}:{node.lineno}" for n in node.names if f"{node.module}.{n.name}" in SHELLS]
    assert found == []
