"""Verification, eviction and sharing: nothing that is needed goes, nothing that is damaged stays."""

from __future__ import annotations

import errno
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from casa_recompute import housekeeping
from casa_recompute.housekeeping import collect, make_room, plan_collection, verify
from casa_recompute.ledger import CallRecord, Touch
from casa_recompute.products import ABSENT, scan
from casa_recompute.store import CowStore
from casa_recompute.store.extents import Blocks, all_extents, extents
from casa_recompute.workspace import Workspace
from tests.store.conftest import Grounds
from tests.store.test_contract import opened
from tests.store.tiers import Ground, selected

MB = 1 << 20


@pytest.fixture(scope="module", params=[name for name in selected() if name != "zfs"])
def ground(request: pytest.FixtureRequest, grounds: Grounds) -> Ground:
    """Where a stored file can be spoilt, and takes as many bytes as it has. ZFS: test_zfs.py, openzfs.py."""
    return grounds[request.param]


@pytest.fixture
def space(place: Path, ground: Ground) -> Iterator[Workspace]:
    with opened(place, ground.store) as workspace:
        yield workspace


Make = Callable[..., str]


@pytest.fixture
def make(space: Workspace) -> Make:
    """Make a product by a call; its version."""

    def call(
        path: str, data: bytes, seconds: float = 10.0, age_s: float = 0.0, more: dict[str, bytes] | None = None
    ) -> str:
        outputs = {}
        for name, content in {path: data, **(more or {})}.items():
            (space.directory / name).mkdir(exist_ok=True)
            (space.directory / name / "data").write_bytes(content)
            outputs[name] = f"k-{name}-{hash(content)}"
        key = f"key-{outputs[path]}"
        with space.ledger.transaction():
            space.capture({n: (v, scan(space.directory / n)) for n, v in outputs.items()}, key)
            record = CallRecord(key, "", "task", {}, {}, outputs, None, "", "", [], seconds, time.time() - age_s)
            space.remember(record)
        return outputs[path]

    return call


# -- verify ----------------------------------------------------------------------------------------------------------


def finish(space: Workspace) -> None:
    """Let what is done in the background be done now."""
    space.settle_soon(0)
    space._settler.join()  # type: ignore[union-attr]
    with space.lock():
        space._write_seals()


def test_what_a_kernel_leaves_undone_the_next_one_does(place: Path, ground: Ground) -> None:
    with opened(place, ground.store) as space:
        (space.directory / "p").write_bytes(os.urandom(MB))
        space.keep(["p"])
    with opened(place, ground.store) as space:
        assert not space.ledger.seals()
        finish(space)
        assert len(space.ledger.seals()) == 1


@pytest.mark.parametrize("sealed", ["in the background", "by an earlier verification"])
def test_a_flipped_bit_in_any_stored_file_is_found_and_never_served(space: Workspace, make: Make, sealed: str) -> None:
    rng = random.Random(5)
    versions = {make("p", rng.randbytes(3 * MB)): 3 * MB for _ in range(3)}
    versions[make("p", b"small")] = 5
    space.restore({"p": ABSENT})
    if sealed == "in the background":
        finish(space)
    assert verify(space).sealed == (0 if sealed == "in the background" else 4)
    for version, size in versions.items():
        name = next(e.object for e in space.ledger.version(version).manifest.values() if e.object)  # type: ignore[union-attr]
        path = space.store.path(name)
        before = path.stat()
        os.chmod(path, 0o600)
        with path.open("r+b") as stream:
            stream.seek(rng.randrange(size))
            byte = stream.read(1)[0]
            stream.seek(-1, os.SEEK_CUR)
            stream.write(bytes([byte ^ 1 << rng.randrange(8)]))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert space.restorable({"p": version}), "only its content tells"
        found = verify(space)
        assert found.damaged == [name] and found.lost == [("p", version)]
        assert not space.restorable({"p": version})
    assert verify(space).damaged == []


def test_a_product_that_may_share_damaged_blocks_is_read_again(space: Workspace, make: Make) -> None:
    version = make("p", b"x" * MB)
    verify(space)
    name = next(e.object for e in space.ledger.version(version).manifest.values() if e.object)  # type: ignore[union-attr]
    path = space.store.path(name)
    before = path.stat()
    os.chmod(path, 0o600)
    path.write_bytes(b"y" * MB)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert space.known("p")
    verify(space)
    assert not space.known("p")


def test_the_disk_is_asked_twice_before_a_file_counts_as_unreadable(
    space: Workspace, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = make("p", b"x" * MB)
    fails, seal = [True], housekeeping.seal

    def sealing(store: CowStore, name: str) -> str:
        if fails.pop():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return seal(store, name)

    monkeypatch.setattr(housekeeping, "seal", sealing)
    fails[:] = [False, True]
    assert not verify(space).damaged and space.restorable({"p": version})
    space.restore({"p": ABSENT})
    fails[:] = [True, True]
    assert len(verify(space).damaged) == 1 and not space.restorable({"p": version})


def test_a_whole_store_is_told_to_be_whole(space: Workspace, make: Make) -> None:
    make("p", b"1" * MB)
    make("p", b"2" * MB)
    found = verify(space)
    assert (found.files, found.bytes, found.damaged, found.missing, found.lost) == (2, 2 * MB, [], [], [])


# -- eviction --------------------------------------------------------------------------------------------------------


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def to(count: int) -> None:
        monkeypatch.setattr("casa_recompute.housekeeping.allowance", lambda *_: count)

    return to


def going(space: Workspace, occupied: bool = False) -> list[str]:
    return [version for c in plan_collection(space, 0, occupied).going for version in c.versions]


def test_the_cheapest_and_longest_unused_go_first_and_only_as_many_as_must(
    space: Workspace, make: Make, limit: Callable[[int], None]
) -> None:
    data = [os.urandom(4 * MB) for _ in range(5)]
    dear = make("p", data[0], seconds=3600)
    cheap = make("p", data[1], seconds=1)
    old = make("p", data[2], seconds=60, age_s=90 * 86400)
    large = make("p", os.urandom(12 * MB), seconds=60)
    other = make("p", data[4], seconds=10)
    space.restore({"p": ABSENT})
    limit(28 * MB)
    assert going(space) == []
    limit(25 * MB)
    assert going(space) == [old]
    limit(21 * MB)
    assert going(space) == [old, cheap]
    limit(13 * MB)
    assert going(space) == [old, cheap, other, large]
    limit(0)
    assert going(space) == [old, cheap, other, large, dear]


def test_what_goes_is_gone_and_what_stays_is_whole(space: Workspace, make: Make, limit: Callable[[int], None]) -> None:
    first, second = make("p", os.urandom(4 * MB), 1), make("p", data := os.urandom(4 * MB), 1000)
    space.restore({"p": ABSENT})
    limit(5 * MB)
    plan = plan_collection(space, 0, False)
    assert space.restorable({"p": first}), "a plan changes nothing"
    used = space.store.usage().bytes
    collect(space, plan)
    assert used - space.store.usage().bytes == 4 * MB
    assert not space.restorable({"p": first}) and space.ledger.version(first) is not None
    space.restore({"p": second})
    assert (space.directory / "p" / "data").read_bytes() == data


def test_raw_data_and_edits_by_hand_never_go(space: Workspace, limit: Callable[[int], None]) -> None:
    for text in (b"1", b"2"):
        (space.directory / "raw").write_bytes(text * MB)
        space.keep(["raw"])
    space.restore({"raw": ABSENT})
    limit(0)
    plan = plan_collection(space, 0, False)
    assert plan.going == [] and {c.keep for c in plan.candidates} == {"nobody could compute it again"}
    assert plan.excess == 2 * MB


def test_what_an_open_notebook_needs_stays(space: Workspace, make: Make, limit: Callable[[int], None]) -> None:
    versions = [make("p", os.urandom(MB)) for _ in range(3)]
    space.ledger.set_touch(Touch("cell", "p", "nb.ipynb", versions[0], versions[1]), 1)
    space.restore({"p": ABSENT})
    limit(0)
    assert going(space, occupied=True) == [versions[2]]
    assert set(going(space, occupied=False)) == set(versions)
    why = {c.keep for c in plan_collection(space, 0, True).candidates if c.keep}
    assert why == {"nb.ipynb needs it, and a kernel is open"}


def test_a_workspace_knows_whether_another_kernel_is_there(place: Path, ground: Ground) -> None:
    space = Workspace(place, ground.store)
    assert space.alone()
    other = Workspace(place, ground.store)
    assert not space.alone() and not other.alone()
    other.close()
    assert space.alone()
    space.close()


def test_what_a_call_made_goes_together(space: Workspace, make: Make, limit: Callable[[int], None]) -> None:
    make("p", os.urandom(4 * MB), 5, more={"q": os.urandom(100)})
    space.restore({"p": ABSENT, "q": ABSENT})
    limit(0)
    assert len(plan_collection(space, 0, False).going[0].versions) == 2


def test_only_bytes_that_nobody_else_uses_count(grounds: Grounds) -> None:
    """On a file system that shares blocks, to evict a version that differs in one block frees one block."""
    ground = grounds["btrfs"]
    directory = ground.make()
    with opened(directory, ground.store) as space:
        (space.directory / "p").mkdir()
        product = space.directory / "p" / "data"
        product.write_bytes(os.urandom(8 * MB))
        for number in range(3):
            with product.open("r+b") as stream:
                stream.seek(number * MB)
                stream.write(os.urandom(4096))
            space.capture({"p": (f"k-{number}", scan(space.directory / "p"))}, f"key{number}")
        plan = plan_collection(space, 0, False)
        assert 8 * MB <= plan.physical <= 8 * MB + 16 * 4096
        assert plan.logical == 24 * MB
        frees = {c.versions[0]: c.frees for c in plan.candidates}
        assert frees["k-2"] == 0 and frees["k-1"] <= 2 * 4096, frees
    ground.drop(directory)


def test_files_that_nothing_refers_to_are_removed(space: Workspace, make: Make) -> None:
    version = make("p", b"1" * MB)
    with space.store.capture() as capture:
        capture.add(str(space.directory / "p" / "data"), 0)
        capture.commit()
    plan = plan_collection(space, 0, False)
    assert len(plan.orphans) == 1
    collect(space, plan)
    assert space.store.usage().objects == 1 and verify(space).damaged == [] and space.restorable({"p": version})


def test_a_kernel_keeps_the_budget_by_itself_and_says_so(
    space: Workspace, make: Make, limit: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("casa_recompute.housekeeping._OFTEN", 3 * MB)
    first = make("p", os.urandom(2 * MB), 1)
    limit(3 * MB)
    assert make_room(space) == "", "not after every call"
    second = make("p", os.urandom(2 * MB), 1000)
    note = make_room(space)
    assert "were let go" in note and not space.restorable({"p": first}) and space.restorable({"p": second})
    assert make_room(space) == ""


def test_who_copies_is_told_the_better_choice(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casa_recompute.housekeeping._OFTEN", 1000)
    with opened(place, "copy") as space:
        (place / "p").write_bytes(b"1" * 2000)
        space.keep(["p"])
        assert "btrfs, XFS or OpenZFS" in make_room(space)


# -- sharing again ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tier", ["btrfs", "xfs"])
def test_what_a_task_rewrote_unchanged_shares_its_blocks_again(grounds: Grounds, tier: str) -> None:
    ground = grounds[tier]
    directory = ground.make()
    with opened(directory, ground.store) as space:
        product = space.directory / "p" / "data"
        product.parent.mkdir()
        data = bytearray(os.urandom(6 * MB + 100))
        states = []
        for number in range(3):
            data[number * MB + 5000] ^= 1
            product.write_bytes(data)  # all of it is written anew
            states.append(bytes(data))
            space.capture({"p": (f"k-{number}", scan(product.parent))}, f"key{number}")
        before = product.stat()
        finish(space)
        after = product.stat()
        assert (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)
        assert space.look("p") == "k-2"
        pieces = [
            extents(path) for path in (product, *(space.store.path(name) for name in sorted(space.store.objects())))
        ]
        blocks = {start + n for some in pieces for start, end in some or [] for n in range(0, end - start, 4096)}
        assert len(blocks) * 4096 <= 6 * MB + 12 * 4096
        for number, state in enumerate(states):
            space.restore({"p": f"k-{number}"})
            assert product.read_bytes() == state
    ground.drop(directory)


@pytest.mark.parametrize("tier", ["btrfs", "xfs"])
def test_products_that_are_alike_share_their_blocks(grounds: Grounds, tier: str) -> None:
    """A column that another product has elsewhere, a constant one, and a product that was deleted and made anew."""
    ground = grounds[tier]
    directory = ground.make()
    column, other = os.urandom(4 * MB), os.urandom(MB)
    contents = {"p": {"data": column, "flags": bytes(8 * MB)}, "q": {"data": other + column}}
    with opened(directory, ground.store) as space:

        def make(product: str, version: str) -> None:
            (space.directory / product).mkdir()
            for name, content in contents[product].items():
                (space.directory / product / name).write_bytes(content)
            space.capture({product: (version, scan(space.directory / product))}, version)

        make("p", "k-p")
        make("q", "k-q")
        space.restore({"p": ABSENT})
        make("p", "k-again")
        before = {path: path.stat().st_mtime_ns for path in space.directory.glob("[pq]/*")}
        finish(space)
        os.sync()
        paths = {name: space.store.path(name) for name in space.store.objects()} | {str(path): path for path in before}
        assert Blocks(all_extents(paths)).taken(paths) <= len(column) + len(other) + 4 * 65536
        assert before == {path: path.stat().st_mtime_ns for path in before}
        for version, product in (("k-p", "p"), ("k-q", "q"), ("k-again", "p")):
            space.restore({product: version})
            found = {path.name: path.read_bytes() for path in (space.directory / product).iterdir()}
            assert found == contents[product]
    ground.drop(directory)


@pytest.mark.parametrize("tier", [name for name in ("btrfs", "xfs") if name in selected()])
def test_products_of_one_kernel_share_blocks_with_those_of_the_next(grounds: Grounds, tier: str) -> None:
    ground = grounds[tier]
    directory = ground.make()
    column = os.urandom(4 * MB)
    for product, data in (("p", column), ("q", os.urandom(MB) + column)):
        with opened(directory, ground.store) as space:
            (space.directory / product).write_bytes(data)
            space.keep([product])
            finish(space)
    (space.directory / "p").unlink()
    os.sync()
    paths = {name: space.store.path(name) for name in space.store.objects()} | {"/q": space.directory / "q"}
    assert Blocks(all_extents(paths)).taken(paths) <= 5 * MB + 4 * 65536
    ground.drop(directory)
