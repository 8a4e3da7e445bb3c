"""A workspace with its history goes into a file and comes out somewhere else, from any store to any other."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from casa_recompute.store import StoreError, ZfsStore
from casa_recompute.store.archive import export_workspace, import_workspace
from casa_recompute.store.zfs_command import dataset_of
from casa_recompute.workspace import HOME, Workspace
from tests.store.conftest import Grounds
from tests.store.tiers import Ground
from tests.store.trees import Node, build, observe

SHAPES = [
    {
        b"same": Node("f", b"s" * 5000),
        b"data": Node("f", b"%d" % n * 3000, mtime_ns=10**18 + n * 10**9),
        b"\xff": Node("l", b"/a"),
    }
    for n in range(3)
]
FILES = sorted({"copy", "zfs"} & {*os.environ.get("STORE_TIERS", "copy,zfs").split(",")})


@pytest.fixture(scope="module", params=FILES)
def ground(request: pytest.FixtureRequest, grounds: Grounds) -> Ground:
    return grounds[request.param]


@pytest.fixture
def space(ground: Ground) -> Iterator[Workspace]:
    directory = ground.make()
    workspace = Workspace(directory, ground.store)
    yield workspace
    workspace.close()
    ground.drop(directory)


def fill(space: Workspace) -> list[str]:
    """Keep some states of a product; their versions."""
    versions = []
    with space.lock():
        for shape in SHAPES:
            space._discard(space.directory / "p")
            build(space.directory / "p", shape)
            space.keep(["p"])
            versions.append(space.look("p"))
    return versions


def check(directory: Path, store: str, versions: list[str]) -> None:
    """Every version can be had, and what lies there is the last without a file having been read."""
    space = Workspace(directory, store)
    with space.lock():
        last = observe(directory / "p")
        for version, shape in zip(versions, SHAPES, strict=True):
            space.restore({"p": version})
            assert observe(directory / "p")[b"data"][1] == shape[b"data"].data
        assert observe(directory / "p") == last
        space.keep(["p"])
    space.close()


def test_all_of_it_comes_back_from_a_tar_archive_in_a_store_that_copies(space: Workspace, tmp_path: Path) -> None:
    versions = fill(space)
    (space.directory / "notes.txt").write_text("mine")
    done = export_workspace(space, tmp_path / "a.tar", portable=True)
    assert done.kind == "tar" and done.bytes == (tmp_path / "a.tar").stat().st_size
    space.store.remove([e.object for e in space.ledger.version(versions[0]).manifest.values() if e.object])  # type: ignore[union-attr]
    import_workspace(tmp_path / "a.tar", tmp_path / "new")
    assert (tmp_path / "new" / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "new" / HOME / "lock").exists()
    check(tmp_path / "new", "copy", versions)


def test_a_dataset_takes_in_a_tar_archive(space: Workspace, tmp_path: Path, grounds: Grounds) -> None:
    versions = fill(space)
    export_workspace(space, tmp_path / "a.tar", portable=True)
    ground = grounds["zfs"]
    directory = ground.make()
    import_workspace(tmp_path / "a.tar", directory)
    check(directory, "zfs", versions)
    ground.drop(directory)


def test_snapshots_are_sent_and_received(grounds: Grounds, tmp_path: Path) -> None:
    ground = grounds["zfs"]
    directory = ground.make()
    space = Workspace(directory, "zfs")
    store = space.store
    assert isinstance(store, ZfsStore)
    versions = fill(space)
    keys = store.zfs.keys()
    before = store.zfs.snapshots()
    done = export_workspace(space, tmp_path / "a.zfs")
    assert done.kind == "zfs" and store.zfs.snapshots() == before
    space.close()
    with pytest.raises(StoreError, match="must be a ZFS dataset"):
        import_workspace(tmp_path / "a.zfs", tmp_path / "new")
    parent = dataset_of(directory)
    assert parent is not None
    new = (parent.mountpoint if os.geteuid() else parent.mountpoint.parent) / "received"
    if os.geteuid():  # an ordinary user may be allowed to receive, but Linux lets only root mount
        with pytest.raises(OSError, match="zfs allow .*receive"):
            import_workspace(tmp_path / "a.zfs", new)
        return
    try:
        assert import_workspace(tmp_path / "a.zfs", new).todo == ""
        dataset = dataset_of(new)
        assert dataset is not None and dataset.mountpoint == new
        check(new, "auto", versions)
        again = Workspace(new, "auto")
        assert again.store.name == "zfs" and isinstance(again.store, ZfsStore)
        assert keys.items() <= again.store.zfs.keys().items()
        again.close()
    finally:
        ground.drop(new)
        ground.drop(directory)


@pytest.mark.parametrize("what", ["not empty", "inside", "rubbish", "another archive", "escapes"])
def test_what_cannot_be_moved_is_refused_and_says_why(tmp_path: Path, what: str) -> None:
    place, archive = tmp_path / "new", tmp_path / "a.tar"
    if what == "inside":
        space = Workspace(tmp_path, "copy")
        with pytest.raises(StoreError, match="choose another place"):
            export_workspace(space, tmp_path / "a.tar")
        space.close()
        assert not [path for path in tmp_path.iterdir() if path.name != HOME]
        return
    with tarfile.open(archive, "w") as tar:
        member = tarfile.TarInfo("../escaped" if what == "escapes" else "f")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"1"))
    if what == "rubbish":
        archive.write_bytes(b"rubbish" * 1000)
    if what == "not empty":
        place.mkdir()
        (place / "mine").touch()
    with pytest.raises(StoreError, match="not empty" if what == "not empty" else "is (no|an) "):
        import_workspace(archive, place)
    assert not (tmp_path / "escaped").exists()
