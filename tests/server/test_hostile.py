"""A workspace's memory that somebody else has made, or that was damaged: nothing in it harms the server, or leads out.

HOSTILE_EXAMPLES and HOSTILE_SEED set another number of spoilt ledgers, and others than the usual ones.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from casa_recompute.products import manifest
from casa_recompute.workspace import HOME
from jupyterlab_casa.managers.products import Products
from tests.cli.conftest import CELLS, COMMAND, FAKE, write_notebook
from tests.server.contract import conforms

EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "12"))
SEED = int(os.environ.get("HOSTILE_SEED", "1"))
BOMB = zlib.compress(b"[" + b" " * (1 << 24) + b"]")
JUNK: list[Any] = [
    None,
    -1,
    2**63 - 1,
    1e308,
    float("inf"),
    "",
    "no JSON",
    "null",
    "[]",
    "{}",
    "[1, 2]",
    '{"a": [{}]}',
    "[" * 100_000,
    "<script>alert(1)</script>",
    "../../../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    b"\xff\xfe",
    b"x" * 1_000_000,
    zlib.compress(b"null"),
    zlib.compress(b"[[1]]"),
    zlib.compress(b'[["../../x", "f", 1, 420, 1, "../../../secret", null, ""]]'),
    zlib.compress(b'{"key": 1}'),
    zlib.compress(b"[" * 100_000),
    BOMB,
]
"""What may stand in any place of a ledger."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the notebook has run, on CASA's stand-in."""
    place = tmp_path_factory.mktemp("ran")
    (place / "config.toml").write_text(f"threads = 1\n[environment]\nPYTHONPATH = {str(FAKE)!r}\n")
    directory = place / "work"
    directory.mkdir()
    (directory / "raw.fits").write_bytes(b"raw data" * 1000)
    write_notebook(directory / "nb.ipynb")
    environment = {"JUPYTERLAB_CASA_CONFIG": str(place / "config.toml"), "IPYTHONDIR": str(place / "ipython")}
    command = [*COMMAND, "run", "nb.ipynb"]
    subprocess.run(command, cwd=directory, env=os.environ | environment, check=True, capture_output=True, timeout=300)
    return directory


@pytest.fixture
def used(ran: Path, workspace: Path) -> Path:
    """``work`` below the server's root: a copy of that."""
    shutil.rmtree(workspace)
    shutil.copytree(ran, workspace, symlinks=True)
    return workspace


@pytest.fixture
def asked(send, jp_serverapp) -> Callable[..., Any]:
    """All that can be asked of a workspace; each answer is as described. The answers, all bodies in one."""
    headers = {"Authorization": f"token {jp_serverapp.identity_provider.token}"}

    async def asked(name: str, versions: tuple[str, str] = ("k-1", "k-2")) -> tuple[set[int], bytes]:
        first, second = versions
        body = {"cells": [{"id": cell, "source": source} for cell, source in CELLS.items()]}
        codes, told = set(), b""
        for method, route, address, sent in (
            ("POST", "/plan", f"/plan?path={name}/nb.ipynb", body),
            ("POST", "/graph", f"/graph?path={name}/nb.ipynb", body),
            ("GET", "/cells/{cell}", f"/cells/flag?path={name}/nb.ipynb", None),
            ("GET", "/runs/{number}", f"/runs/3?path={name}/nb.ipynb", None),
            ("GET", "/versions", f"/versions?path={name}", None),
            ("GET", "/versions", f"/versions?path={name}&product=a.ms", None),
            ("GET", "/versions/{version}", f"/versions/{first}?path={name}", None),
            ("GET", "/compare", f"/compare?path={name}&before={first}&after={second}", None),
            ("GET", "/store", f"/store?path={name}", None),
            ("GET", "/store/collection", f"/store/collection?path={name}", None),
            ("POST", "/versions/{version}/restore", f"/versions/{first}/restore?path={name}", {}),
            ("POST", "/versions/{version}/restore", f"/versions/{second}/restore?path={name}", {"to": "b.ms"}),
            ("POST", "/store/collection", f"/store/collection?path={name}", {"budget": 0}),
        ):
            response = await send(method, address, sent, headers)
            assert response.code < 500, (address, response.body[:300])
            answer = json.loads(response.body, parse_constant=pytest.fail)
            if response.code != 200:
                conforms(method, route, response.code, answer)
            codes.add(response.code)
            told += response.body
        return codes, told

    return asked


def known(directory: Path) -> list[str]:
    """Ids of versions of the MS."""
    with closing(sqlite3.connect(directory / HOME / "ledger.sqlite")) as db:
        return [row[0] for row in db.execute("SELECT id FROM version WHERE path = 'a.ms' ORDER BY created")]


def copied(used: Path, name: str) -> Path:
    """The workspace in another place below the root."""
    place = used.with_name(name)
    shutil.copytree(used, place, symlinks=True)
    return place


async def test_whatever_stands_in_a_ledger_is_answered_in_words(asked, used: Path) -> None:
    versions = known(used)
    outside = sorted(used.parent.parent.iterdir())
    draw = random.Random(SEED)
    with closing(sqlite3.connect(used / HOME / "ledger.sqlite")) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = [(table, row[1]) for table in tables for row in db.execute(f"PRAGMA table_info({table})")]
    for number in range(EXAMPLES):
        place = copied(used, f"h{number}")
        with closing(sqlite3.connect(place / HOME / "ledger.sqlite")) as db:
            for table, column in [columns[number % len(columns)], *draw.sample(columns, draw.randrange(3))]:
                value = draw.choice(JUNK)
                try:
                    db.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (value,))
                except sqlite3.IntegrityError:
                    continue
            db.commit()
        try:
            await asked(place.name, (versions[0], versions[1]))
        except AssertionError as error:
            raise AssertionError(f"HOSTILE_SEED={SEED}, number {number}") from error
        shutil.rmtree(place)
    assert sorted(used.parent.parent.iterdir()) == outside and list(used.parent.iterdir()) == [used]


VIEW = (
    "CREATE TABLE mine AS SELECT * FROM version; DROP TABLE version; CREATE VIEW version AS WITH RECURSIVE n(i) AS "
    "(SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT mine.* FROM mine, n"
)
TRIGGER = "CREATE TRIGGER t AFTER INSERT ON pending BEGIN UPDATE version SET path = '/etc/passwd'; END"


@pytest.mark.parametrize("crafted", [VIEW, TRIGGER, "CREATE VIRTUAL TABLE v USING fts5(x)"])
async def test_a_ledger_that_does_things_by_itself_is_not_used(asked, used: Path, crafted: str) -> None:
    versions = known(used)
    with closing(sqlite3.connect(used / HOME / "ledger.sqlite")) as db:
        db.executescript(crafted)
    with closing(sqlite3.connect(used / HOME / "ledger.sqlite")) as db:
        before = list(db.iterdump())
    codes, told = await asked("work", (versions[0], versions[1]))
    assert codes == {409} and b"is not ours" in told
    with closing(sqlite3.connect(used / HOME / "ledger.sqlite")) as db:
        assert list(db.iterdump()) == before, "nothing in it was set off"


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("pending", ("call", "flagdata", '{"OUT/mine": "absent"}', "[]")),
        ("pending", ("restore", "flagdata", '{"OUT/mine": "VERSION"}', "[]")),
        ("pending", ("call", "flagdata", "{}", '["OUT/*"]')),
        ("pending", ("call", "flagdata", "{}", '["../../mi*"]')),
        ("pending", ("call", "flagdata", '{"../../mine": "VERSION"}', "[]")),
        ("meta", ("unsettled", '["OUT/mine"]')),
    ],
)
async def test_looking_at_a_workspace_repairs_nothing_outside_of_it(
    asked, used: Path, tmp_path: Path, table: str, values: tuple[str, ...]
) -> None:
    outside = used.parent.parent / "mine"
    outside.write_text("of the user's own")
    first, second, *_ = known(used)
    said = [value.replace("OUT", str(outside.parent)).replace("VERSION", second) for value in values]
    with closing(sqlite3.connect(used / HOME / "ledger.sqlite")) as db:
        names = "(kind, task, versions, patterns)" if table == "pending" else ""
        db.execute(f"INSERT OR REPLACE INTO {table} {names} VALUES ({', '.join('?' * len(said))})", said)
        db.execute("INSERT OR REPLACE INTO meta VALUES ('boot', 'another')")
        presence = "SELECT ?, version, signature, tree FROM presence WHERE path = 'a.ms'"
        db.execute(f"INSERT OR REPLACE INTO presence {presence}", (str(outside),))
        db.commit()
    codes, told = await asked("work", (first, second))
    assert outside.read_text() == "of the user's own"
    assert 409 in codes and b"data outside of it" in told


@pytest.mark.parametrize(
    "row",
    [
        ["../../../mine", "f", 4, 0o644, 1, "OBJECT", None, ""],
        ["/OUT/mine", "f", 4, 0o644, 1, "OBJECT", None, ""],
        ["x", "f", 17, 0o644, 1, "../../../../../../mine", None, ""],
        ["x", "f", 17, 0o644, 1, "/OUT/mine", None, ""],
        ["x", "f", 17, 0o644, 1, "OBJECT", None, "", "../../../mine"],
    ],
)
async def test_a_version_leads_out_neither_where_it_is_from_nor_where_it_goes(
    asked, used: Path, row: list[Any]
) -> None:
    outside = used.parent.parent / "mine"
    outside.write_text("of the user's own")
    os.utime(outside, ns=(1, 1))
    first, second, *_ = known(used)
    stored = next(path for path in (used / HOME / "store" / "objects").glob("*/*"))
    text = json.dumps([["", "d", 0, 0o755, 1, None, None, ""], row]).replace("/OUT", str(outside.parent))
    packed = zlib.compress(text.replace("OBJECT", str(stored.relative_to(stored.parents[1]))).encode())
    with closing(sqlite3.connect(used / HOME / "ledger.sqlite")) as db:
        db.execute("UPDATE version SET manifest = ?", (packed,))
        db.commit()
    codes, told = await asked("work", (first, second))
    assert codes <= {200, 409} and b"is damaged" in told
    assert outside.read_text() == "of the user's own"
    assert not [p for p in used.rglob("*") if p.is_file() and p.read_bytes() == b"of the user's own"]


@pytest.mark.parametrize("what", ["file", "directory"])
async def test_stored_files_that_are_links_are_not_followed(
    ask, refused, used: Path, tmp_path: Path, what: str
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    first = known(used)[0]
    for place in (used / HOME / "store" / "objects").glob("*/*"):
        info = place.stat()
        copy = secret / place.parent.name / place.name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(b"s" * info.st_size)
        os.utime(copy, ns=(info.st_mtime_ns, info.st_mtime_ns))
        if what == "file":
            place.unlink()
            place.symlink_to(copy)
    if what == "directory":
        for place in list((used / HOME / "store" / "objects").iterdir()):
            shutil.rmtree(place)
            place.symlink_to(secret / place.name)
    code, _ = await refused("versions", first, "restore", path="work", body={"to": "b.ms"})
    assert code == 409
    assert not [p for p in (used / "b.ms").rglob("*") if p.is_file() and set(p.read_bytes()) == set(b"s")]


@pytest.mark.parametrize("what", ["", "ledger.sqlite", "live", "log", "store", "records", "lock", "tmp"])
async def test_a_memory_that_lies_elsewhere_is_not_there(refused, used: Path, tmp_path: Path, what: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    place = used / HOME / what
    place.rename(elsewhere)
    place.symlink_to(elsewhere)
    before = sorted(tmp_path.rglob("*"))
    cells = {"cells": []}
    for parts, how in (
        (("plan",), {"path": "work/nb.ipynb", "body": cells}),
        (("cells", "flag"), {"path": "work/nb.ipynb"}),
        (("versions",), {"path": "work"}),
        (("store",), {"path": "work"}),
        (("store", "collection"), {"path": "work", "body": {}}),
    ):
        code, message = await refused(*parts, **how)
        assert code == 404 and str(elsewhere) not in message
    assert sorted(tmp_path.rglob("*")) == before


async def test_a_place_that_becomes_a_link_after_it_was_looked_at_is_not_followed(
    refused, used: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, sub = tmp_path / "elsewhere", used / "sub"
    elsewhere.mkdir()
    sub.mkdir()
    plain = Products._place

    def place(self: Products, *args: Any) -> str:
        found = plain(self, *args)
        sub.rmdir()
        sub.symlink_to(elsewhere)
        return found

    monkeypatch.setattr(Products, "_place", place)
    code, _ = await refused("versions", known(used)[0], "restore", path="work", body={"to": "sub/b.ms"})
    assert code == 409 and not list(elsewhere.iterdir())


def test_what_unpacks_to_more_than_any_record_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_LARGEST", 1000)
    assert manifest.inflated(zlib.compress(b"\0" * 999)) == b"\0" * 999
    for size in (1001, 1 << 24):
        with pytest.raises(ValueError, match="too large"):
            manifest.inflated(zlib.compress(b"\0" * size))
