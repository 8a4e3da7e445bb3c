"""The workspace keeps versions of products and brings them back, whatever the products look like."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casa_recompute.products import ABSENT
from casa_recompute.workspace import HOME, VersionLost, Workspace, WorkspaceBusy

NAMES = st.sampled_from("abc") | st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=12
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)
LEAVES = st.one_of(st.binary(max_size=200), st.just(b""), st.tuples(st.just("link"), NAMES))
TREES = st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=8)


def write(path: Path, tree: object) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
    if isinstance(tree, bytes):
        path.write_bytes(tree)
    elif isinstance(tree, tuple):
        path.symlink_to(tree[1])
    elif isinstance(tree, dict):
        path.mkdir()
        for name, inner in tree.items():
            write(path / name, inner)


def read(path: Path) -> object:
    if path.is_symlink():
        return ("link", os.readlink(path))
    if path.is_dir():
        return {entry.name: read(entry) for entry in path.iterdir()}
    return path.read_bytes() if path.exists() else None


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(states=st.lists(st.dictionaries(NAMES, TREES, max_size=4), min_size=1, max_size=5), data=st.data())
def test_every_kept_state_comes_back_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, states: list[dict[str, object]], data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("ws")
    space = Workspace(directory)
    product = directory / "a.ms"
    versions = []
    with space.lock():
        for state in states:
            write(product, state)
            space.keep(["a.ms"])
            versions.append(space.look("a.ms"))
        for _ in range(4):
            index = data.draw(st.integers(0, len(states) - 1))
            space.restore({"a.ms": versions[index]})
            assert read(product) == states[index]
            assert space.look("a.ms") == versions[index]
    space.close()


def test_a_touched_file_is_the_same_version_and_a_replaced_one_is_not(space: Workspace) -> None:
    raw = space.directory / "raw.fits"
    raw.write_bytes(b"1" * 1000)
    with space.lock():
        first = space.look("raw.fits")
        os.utime(raw, ns=(1, 1))
        assert not space.known("raw.fits")
        assert space.look("raw.fits") == first
        inode = raw.stat()
        raw.write_bytes(b"2" * 1000)
        os.utime(raw, ns=(inode.st_mtime_ns, inode.st_mtime_ns))
        assert space.look("raw.fits") != first
        raw.write_bytes(b"1" * 1000)
        assert space.look("raw.fits") == first


def test_the_lock_file_of_a_table_says_nothing_about_its_data(space: Workspace) -> None:
    write(space.directory / "t", {"table.dat": b"x", "table.lock": b"1"})
    with space.lock():
        first = space.look("t")
        (space.directory / "t" / "table.lock").write_bytes(b"22")
        assert space.look("t") == first


def test_what_is_replaced_is_kept_first(space: Workspace) -> None:
    product = space.directory / "a"
    with space.lock():
        product.write_bytes(b"old")
        space.keep(["a"])
        old = space.look("a")
        product.write_bytes(b"precious edit by hand")
        space.restore({"a": old})
        assert product.read_bytes() == b"old"
        edited = next(v for v in space.ledger.versions_at("a") if v != old)
        space.restore({"a": edited})
        assert product.read_bytes() == b"precious edit by hand"


def test_absence_is_a_version(space: Workspace) -> None:
    write(space.directory / "a.ms", {"f": b"1"})
    with space.lock():
        version = space.look("a.ms")
        space.restore({"a.ms": ABSENT})
        assert space.look("a.ms") == ABSENT and not (space.directory / "a.ms").exists()
        space.restore({"a.ms": version})
    assert read(space.directory / "a.ms") == {"f": b"1"}


def test_only_files_that_differ_are_written_anew(space: Workspace) -> None:
    product = space.directory / "a.ms"
    write(product, {"data": b"d" * 100, "flags": b"0"})
    with space.lock():
        space.keep(["a.ms"])
        first = space.look("a.ms")
        (product / "flags").write_bytes(b"1")
        inode = (product / "data").stat().st_ino
        space.restore({"a.ms": first})
        assert (product / "data").stat().st_ino == inode
        assert (product / "flags").read_bytes() == b"0"


def test_modes_and_times_come_back(space: Workspace) -> None:
    product = space.directory / "a"
    product.mkdir()
    (product / "f").write_bytes(b"1")
    (product / "f").chmod(0o640)
    os.utime(product / "f", ns=(10**18, 10**18))
    with space.lock():
        version = space.look("a")
        space.restore({"a": ABSENT})
        space.restore({"a": version})
    info = (product / "f").stat()
    assert info.st_mode & 0o777 == 0o640 and info.st_mtime_ns == 10**18


def test_a_damaged_object_is_noticed_before_anything_is_changed(space: Workspace) -> None:
    product = space.directory / "a"
    product.write_bytes(b"version one")
    with space.lock():
        space.keep(["a"])
        first = space.look("a")
        product.write_bytes(b"version two")
        [damaged] = [path for path in (space.home / "store").rglob("*") if path.is_file()]
        damaged.chmod(0o600)
        damaged.write_bytes(b"version 0ne")
        with pytest.raises(VersionLost):
            space.restore({"a": first})
        assert product.read_bytes() == b"version two"


def test_a_half_done_restore_is_completed_by_the_next_user(space: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    product = space.directory / "a"
    write(product, {str(n): b"old" for n in range(5)})
    with space.lock():
        space.keep(["a"])
        old = space.look("a")
        write(product, {str(n): b"new" for n in range(6)})
        put, done = space._put, []

        def interrupted(*args: object) -> None:
            if len(done) == 2:
                raise KeyboardInterrupt
            done.append(1)
            put(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(space, "_put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            space.restore({"a": old})
    space.close()
    again = Workspace(space.directory)
    with again.lock():
        assert again.look("a") == old
    assert read(product) == {str(n): b"old" for n in range(5)}
    assert not list(product.glob(f"*{HOME}"))


def test_a_lost_ledger_is_rebuilt_from_the_store(space: Workspace) -> None:
    product = space.directory / "a"
    with space.lock():
        for text in (b"one", b"two"):
            product.write_bytes(text)
            space.keep(["a"])
        first = space.ledger.versions_at("a")[-1]
    space.close()
    for name in ("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"):
        (space.home / name).unlink(missing_ok=True)
    again = Workspace(space.directory)
    with again.lock():
        again.restore({"a": first})
    assert product.read_bytes() == b"one"


def test_a_damaged_ledger_is_put_aside(space: Workspace) -> None:
    (space.directory / "a").write_bytes(b"one")
    with space.lock():
        space.keep(["a"])
        version = space.look("a")
    space.close()
    (space.home / "ledger.sqlite").write_bytes(b"this is no database" * 1000)
    again = Workspace(space.directory)
    with again.lock():
        assert again.look("a") == version
    assert list(again.home.glob("ledger.sqlite.damaged-*"))


def test_a_moved_workspace_knows_its_products(tmp_path: Path) -> None:
    first = tmp_path / "one"
    first.mkdir()
    write(first / "a.ms", {"f": b"1"})
    space = Workspace(first)
    with space.lock():
        space.keep(["a.ms"])
        version = space.look("a.ms")
    space.close()
    shutil.copytree(first, tmp_path / "two")
    copied = Workspace(tmp_path / "two")
    with copied.lock():
        assert copied.look("a.ms") == version


def test_a_step_under_way_is_undone_even_when_the_ledger_is_lost_meanwhile(space: Workspace) -> None:
    product = space.directory / "a"
    product.write_bytes(b"before")
    with space.lock():
        space.keep(["a"])
        space.begin("call", "task", {"a": space.look("a"), "b": ABSENT})
        product.write_bytes(b"half of")
        (space.directory / "b").write_bytes(b"something")
    space.close()  # as a process that was killed
    (space.home / "ledger.sqlite").write_bytes(b"this is no database" * 1000)
    again = Workspace(space.directory)
    with again.lock():
        assert product.read_bytes() == b"before" and not (space.directory / "b").exists()
    again.close()


def test_a_step_that_ended_is_not_undone_when_the_ledger_is_lost_later(space: Workspace) -> None:
    product = space.directory / "a"
    product.write_bytes(b"before")
    with space.lock():
        space.keep(["a"])
        step = space.begin("call", "task", {"a": space.look("a")})
        product.write_bytes(b"after")
        with space.ledger.transaction():
            space.keep(["a"])
            space.ledger.end(step)
    space.close()
    (space.home / "ledger.sqlite").unlink()
    again = Workspace(space.directory)
    with again.lock():
        assert product.read_bytes() == b"after"
    again.close()


@pytest.fixture
def moved(space: Workspace) -> tuple[Workspace, str, Path]:
    """A workspace with two versions of data/x.ms, the first one's id, and where data leads to since it was replaced."""
    product = space.directory / "data" / "x.ms"
    product.parent.mkdir()
    for text in (b"one", b"two"):
        write(product, {"f": text, "g": text})
        with space.lock():
            space.keep(["data/x.ms"])
    outside = space.directory.with_name(space.directory.name + "-outside")
    shutil.copytree(product.parent, outside)  # another file system: nothing is as it was but the content
    write(outside / "x.ms", {"f": b"somebody else's", "h": b""})
    write(outside / "x.tmp", b"somebody else's")
    shutil.rmtree(product.parent)
    product.parent.symlink_to(outside)
    return space, space.ledger.versions_at("data/x.ms")[-1], outside


def test_a_directory_that_became_a_symbolic_link_is_not_followed(moved: tuple[Workspace, str, Path]) -> None:
    space, version, outside = moved
    before = read(outside)
    with space.lock():
        for wanted in (version, ABSENT):
            assert not space.restorable({"data/x.ms": wanted})
            with pytest.raises(VersionLost, match="data is a symbolic link now"):
                space.restore({"data/x.ms": wanted})
        step = space.begin("call", "task", {"data/x.ms": version, "data/y.ms": ABSENT}, ["data/x*"])
        left = space.undo(step, {"data/x.ms": version, "data/y.ms": ABSENT}, ["data/x*"])
    assert left == ["data/x.ms", "data/x.tmp", "data/y.ms"] and read(outside) == before


def test_a_directory_that_became_a_file_stops_nobody(moved: tuple[Workspace, str, Path]) -> None:
    space, version, _ = moved
    (space.directory / "data").unlink()
    (space.directory / "data").write_bytes(b"a file")
    with space.lock(), pytest.raises(VersionLost, match="data is no directory any more"):
        space.restore({"data/x.ms": version})
    with space.lock():
        space.begin("call", "task", {"data/x.ms": version}, ["data/x*"])
    with space.lock():
        assert space.ledger.pending() == [] and (space.directory / "data").read_bytes() == b"a file"


def test_a_step_that_a_killed_process_left_does_not_follow_it_either(moved: tuple[Workspace, str, Path]) -> None:
    space, version, outside = moved
    before = read(outside)
    for kind in ("call", "restore"):
        with space.lock():
            space.begin(kind, "", {"data/x.ms": version}, ["data/x*"])
        with space.lock():
            assert space.ledger.pending() == []
    assert read(outside) == before
    (space.directory / "data").unlink()
    with space.lock():
        space.restore({"data/x.ms": version})
    assert read(space.directory / "data") == {"x.ms": {"f": b"one", "g": b"one"}}


def test_a_directory_inside_a_product_that_became_a_symbolic_link_is_not_followed(space: Workspace) -> None:
    product, outside = space.directory / "x.ms", space.directory.with_name(space.directory.name + "-outside")
    versions = []
    for text in (b"one", b"two"):
        write(product, {"sub": {"f": text, "deep": {"g": text}}})
        with space.lock():
            space.keep(["x.ms"])
            versions.append(space.look("x.ms"))
    write(outside, {"f": b"somebody else's", "deep": {"g": b"somebody else's", "h": b""}})
    before = read(outside)
    for name in ("sub/deep", "sub"):
        for version, text in zip(versions, (b"one", b"two"), strict=True):
            shutil.rmtree(product / name)
            (product / name).symlink_to(outside / ("deep" if name == "sub/deep" else ""))
            with space.lock():
                space.restore({"x.ms": version})
            assert read(product) == {"sub": {"f": text, "deep": {"g": text}}}
            shutil.rmtree(product / name)
            (product / name).symlink_to(outside / ("deep" if name == "sub/deep" else ""))
            with space.lock():
                space.undo(space.begin("call", "task", {"x.ms": version}), {"x.ms": version}, [])
            assert read(product) == {"sub": {"f": text, "deep": {"g": text}}}
    with space.lock():
        shutil.rmtree(product)
        product.symlink_to(outside)
        space.restore({"x.ms": ABSENT})
    assert not os.path.lexists(product) and read(outside) == before


@pytest.mark.parametrize(
    ("umask", "readable", "mode"),
    [(0o022, "owner", 0o700), (0o002, "owner", 0o700), (0o022, "group", 0o750), (0o002, "group", 0o770)]
    + [(0o022, "all", 0o755), (0o077, "group", 0o750), (0o002, "", 0o700)],
)
def test_nobody_else_comes_into_the_memory_unless_it_is_shared(
    tmp_path: Path, umask: int, readable: str, mode: int
) -> None:
    before = os.umask(umask)
    try:
        Workspace(tmp_path, "copy", readable=readable).close()
        assert (tmp_path / HOME).stat().st_mode & 0o777 == mode
        (tmp_path / HOME).chmod(0o711)
        Workspace(tmp_path, "copy").close()
        assert (tmp_path / HOME).stat().st_mode & 0o777 == 0o711, "only who knows the settings changes it"
        Workspace(tmp_path, "copy", readable="owner").close()
        assert (tmp_path / HOME).stat().st_mode & 0o777 == 0o700, "also one that was open before"
    finally:
        os.umask(before)


def test_who_waits_for_a_workspace_learns_for_whom_and_can_give_up(tmp_path: Path) -> None:
    busy = Workspace(tmp_path, "copy")
    with busy.lock():
        busy.say_who("runs tclean")
        waiting = Workspace(tmp_path, "copy")
        wanted = pytest.raises(WorkspaceBusy, match=f"in use by process {os.getpid()} runs tclean")
        with wanted, waiting.lock(patience=0.1):
            pass
    with waiting.lock(patience=0.1):
        pass
    waiting.close()
    busy.close()
