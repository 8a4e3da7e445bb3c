"""Versions of products, and the store, through REST."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from casa_recompute.workspace import HOME, Workspace
from tests.cli.conftest import Done, contents

Casa = Callable[..., Done]


@pytest.fixture
def used(casa: Casa, workspace: Path) -> Path:
    """A workspace in which the notebook has run."""
    assert casa("run", "nb.ipynb").code == 0
    return workspace


async def test_versions_and_the_store_are_told_as_by_the_command(ask, casa: Casa, used: Path) -> None:
    answer = await ask("versions", path="work")
    assert answer == casa("cache", "list", "--json").json
    flagged = [row for row in answer["versions"] if row["path"] == "a.ms"]
    assert (await ask("versions", path="work/nb.ipynb", product="a.ms"))["versions"] == flagged
    one = await ask("versions", flagged[1]["id"], path="work")
    assert one["call"]["task"] == "flagdata" and one["call"]["arguments"]["field"] == "0"
    assert one["bytes"] == flagged[1]["bytes"] and one["files"] > 0
    info, told = casa("cache", "info", "--json").json, await ask("store", path="work")
    assert told | {"bytes": info["bytes"]} == info and told["bytes"].keys() == info["bytes"].keys()
    gc, told = casa("cache", "gc", "--dry-run", "--json").json, await ask("store", "collection", path="work")
    for report in (gc, told):
        for candidate in report["candidates"]:
            del candidate["age_s"], candidate["score"]
        del report["goal"]
    assert told == gc


async def test_two_versions_are_compared_by_names_and_sizes(ask, refused, used: Path) -> None:
    first, second, third = [row["id"] for row in (await ask("versions", path="work", product="a.ms"))["versions"]]
    same = await ask("compare", path="work", before=first, after=first)
    assert same["count"] == {"added": 0, "removed": 0, "changed": 0, "unsure": 0}
    answer = await ask("compare", path="work", before=first, after=third)
    assert sum(answer["count"].values()) > 0
    assert {row["name"] for row in answer["added"]} == {
        row["name"] for row in (await ask("compare", path="work", before=third, after=first))["removed"]
    }
    assert all(row["before"] is None and row["after"] >= 0 for row in answer["added"])
    assert (await refused("compare", path="work", before=first, after="k-none"))[0] == 404


async def test_a_version_is_brought_back_and_what_lay_there_is_kept(ask, casa: Casa, used: Path) -> None:
    last = contents(used, ["a.ms"])
    first = (await ask("versions", path="work", product="a.ms"))["versions"][0]["id"]
    (used / "a.ms" / "note").write_text("by hand")
    by_hand = contents(used, ["a.ms"])
    answer = await ask("versions", first, "restore", path="work", body={})
    kept = (await ask("versions", path="work", product="a.ms"))["versions"]
    assert answer == {"schema": 1, "version": first, "path": "a.ms", "changed": True, "former": kept[-1]["id"]}
    assert contents(used, ["a.ms"]) not in (last, by_hand)
    assert [row["present"] for row in kept] == [row["id"] == first for row in kept]
    await ask("versions", kept[-1]["id"], "restore", path="work", body={})
    assert contents(used, ["a.ms"]) == by_hand
    assert not (await ask("versions", kept[-1]["id"], "restore", path="work", body={}))["changed"]
    there = await ask("versions", kept[2]["id"], "restore", path="work", body={"to": "old.ms"})
    assert there["former"] is None
    rows = (await ask("versions", path="work", product="a.ms"))["versions"]
    assert {row["id"]: row["also"] for row in rows if row["also"]} == {kept[2]["id"]: ["old.ms"]}
    assert [row["id"] for row in rows if row["present"]] == [kept[-1]["id"]]
    assert sorted(contents(used, ["old.ms"]).values()) == sorted(last.values())
    assert casa("run", "nb.ipynb", "--json").json["ok"]
    assert contents(used, ["a.ms"]) == last, "the notebook's own is what a run leaves"


NOWHERE = {
    "nb.ipynb": 409,
    "a.ms/table.dat": 409,
    "nowhere/a.ms": 409,
    "../a.ms": 400,
    "/tmp/a.ms": 400,
    ".": 400,
    f"{HOME}/ledger.sqlite": 400,
    "out/a.ms": 400,
    "a\0b": 400,
    "a" * 300: 400,
}


async def test_a_version_goes_nowhere_else(ask, refused, used: Path, tmp_path: Path) -> None:
    (used / "out").symlink_to(tmp_path)
    notebook, outside = (used / "nb.ipynb").read_bytes(), sorted(tmp_path.iterdir())
    first = (await ask("versions", path="work", product="a.ms"))["versions"][0]["id"]
    for to, code in NOWHERE.items():
        got, message = await refused("versions", first, "restore", path="work", body={"to": to})
        assert (got, bool(message)) == (code, True), to
    assert (used / "nb.ipynb").read_bytes() == notebook and sorted(tmp_path.iterdir()) == outside


async def test_a_kernel_at_work_is_not_disturbed_and_one_learns_whom_one_waits_for(
    ask, refused, used: Path, jp_serverapp
) -> None:
    managers = jp_serverapp.extension_manager.extension_apps["jupyterlab_casa"]
    for app in managers:
        for name in ("products", "store"):
            app.managers[name].patience = 0.1
    first = (await ask("versions", path="work", product="a.ms"))["versions"][0]["id"]
    before = contents(used, ["a.ms"])
    kernel = Workspace(used)
    with kernel.lock():
        kernel.say_who("runs tclean")
        for parts, how in (
            (("versions", first, "restore"), {"body": {}}),
            (("store", "collection"), {"body": {}}),
            (("store", "collection"), {}),
        ):
            code, message = await refused(*parts, path="work", **how)
            assert code == 409 and f"in use by process {os.getpid()} runs tclean" in message
        assert (await ask("versions", path="work"))["versions"], "to look needs no lock"
        await ask("store", path="work")
    kernel.close()
    assert contents(used, ["a.ms"]) == before


async def test_versions_are_let_go(ask, used: Path) -> None:
    told = await ask("store", "collection", path="work", budget="999")
    assert told["dry_run"] and not [row for row in told["candidates"] if not row["keep"]]
    done = await ask("store", "collection", path="work", body={"budget": 999})
    assert not done["dry_run"] and done["freed"] == 0


async def test_the_stored_bytes_are_shared_out(ask, used: Path) -> None:
    shares, versions = await ask("store", "shares", path="work"), (await ask("versions", path="work"))["versions"]
    assert shares["bytes"] == (await ask("store", path="work"))["bytes"]["objects"]
    parts = {row["path"]: row["bytes"] for row in shares["products"]}
    assert sum(parts.values()) == pytest.approx(shares["bytes"], abs=len(parts))
    kept = {row["id"]: row for row in versions if row["kept"]}
    assert {row["id"] for row in shares["versions"]} == kept.keys()
    for row in shares["versions"]:
        assert 0 <= row["alone"] <= kept[row["id"]]["bytes"]
    of_ms = [row["alone"] for row in shares["versions"] if kept[row["id"]]["path"] == "a.ms"]
    assert sum(of_ms) < parts["a.ms"], "flagging changes some files only: the others belong to several versions"


async def test_where_nothing_is_remembered(refused, workspace: Path) -> None:
    for parts in (("versions",), ("versions", "k-1"), ("store",), ("store", "collection"), ("store", "shares")):
        assert await refused(*parts, path="work") == (404, "nothing has been run there with the kernel casa")
    assert (await refused("versions", "k-1", "restore", path="work", body={}))[0] == 404
    assert not (workspace / HOME).exists()
