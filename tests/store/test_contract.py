"""What every store promises, tried on every tier (tiers.py): first as a workspace uses it, then piece by piece."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casa_recompute.products import ABSENT, scan
from casa_recompute.store import Capture, CowStore, StoreError, open_store
from casa_recompute.workspace import HOME, Workspace, WorkspaceError
from tests.store.tiers import Ground
from tests.store.trees import SHAPES, Node, Shape, build, observe, spoil

EXAMPLES = int(os.environ.get("STORE_EXAMPLES", "25"))
MANY = int(os.environ.get("STORE_MANY", "20000"))
"""Files in a large product."""
PRODUCT = "product.ms"
FOREVER = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@contextmanager
def opened(directory: Path, store: str) -> Iterator[Workspace]:
    """A workspace, and its lock."""
    space = Workspace(directory, store)
    try:
        with space.lock():
            yield space
    finally:
        space.close()


@pytest.fixture
def space(place: Path, ground: Ground) -> Iterator[Workspace]:
    with opened(place, ground.store) as workspace:
        yield workspace


def keep(space: Workspace, path: str = PRODUCT) -> str:
    """Keep what is there; its version."""
    space.keep([path])
    return space.look(path)


def put(space: Workspace, shape: Shape) -> Path:
    """Make a product anew, by hand."""
    product = space.directory / PRODUCT
    space._discard(product)
    build(product, shape)
    return product


# -- as a workspace uses it --------------------------------------------------------------------------------------


def test_whatever_was_kept_comes_back_and_never_changes(ground: Ground) -> None:
    @settings(FOREVER, max_examples=max(2, EXAMPLES // ground.scale))
    @given(shapes=st.lists(SHAPES, min_size=2, max_size=3), order=st.randoms(use_true_random=False))
    def comes_back(shapes: list[Shape], order: random.Random) -> None:
        directory = ground.make()
        product = directory / PRODUCT
        states, versions = [], []
        with opened(directory, ground.store) as space:
            for shape in shapes:
                put(space, shape)
                states.append(observe(product))
                versions.append(keep(space))
            for _ in range(2):
                for number in order.sample(range(len(shapes)), len(shapes)):
                    space.restore({PRODUCT: versions[number]})
                    assert observe(product) == states[number]
                    spoil(product)  # what was restored must share nothing that writing would change
        with opened(directory, ground.store) as space:  # another kernel, later
            for number, version in enumerate(versions):
                space.restore({PRODUCT: version})
                assert observe(product) == states[number]
        ground.drop(directory)

    comes_back()


def test_many_versions(space: Workspace, ground: Ground) -> None:
    rng, many = random.Random(4), 100 // ground.scale
    product = put(space, {b"%d" % n: Node("f", os.urandom(10_000)) for n in range(8)})
    states, versions = [], []
    for number in range(many):
        with (product / str(rng.randrange(8))).open("r+b") as stream:
            stream.seek(rng.randrange(9_000))
            stream.write(b"version %d" % number)
        states.append(observe(product))
        versions.append(keep(space))
    assert len(set(versions)) == many
    for number in rng.sample(range(many), many * 2 // 5):
        space.restore({PRODUCT: versions[number]})
        assert observe(product) == states[number]


def test_a_version_that_is_restored_is_in_place_without_being_written_again(space: Workspace) -> None:
    product = put(space, {b"same": Node("f", b"1" * 5000), b"other": Node("f", b"1")})
    first = keep(space)
    (product / "other").write_bytes(b"2")
    second = keep(space)
    untouched = (product / "same").stat()
    space.restore({PRODUCT: first})
    space.restore({PRODUCT: second})
    assert (product / "same").stat().st_ino == untouched.st_ino
    assert space.restore({PRODUCT: second}) == []


@pytest.mark.parametrize("what", ["grows", "changes", "appears", "goes"])
def test_a_product_that_is_being_written_is_not_kept(
    space: Workspace, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = put(space, {b"a": Node("f", b"1" * 5000), b"b": Node("f", b"2" * 5000)})
    space.look(PRODUCT)
    begin = space.store.capture

    def meanwhile(label: str = "") -> Capture:
        capture = begin(label)
        add = capture.add

        def and_another_program_writes(source: str, mtime_ns: int) -> str:
            name = add(source, mtime_ns)
            if what == "grows":
                with open(source, "ab") as stream:
                    stream.write(b"more")
            elif what == "changes":
                with open(source, "r+b") as stream:
                    stream.write(b"x")
            elif what == "appears":
                (product / "c").write_bytes(b"3")
            elif source.endswith("/a"):
                os.unlink(source)
            return name

        monkeypatch.setattr(capture, "add", and_another_program_writes)
        return capture

    monkeypatch.setattr(space.store, "capture", meanwhile)
    with pytest.raises((WorkspaceError, StoreError, FileNotFoundError)):
        space.keep([PRODUCT])
    monkeypatch.undo()
    assert not any(space.ledger.version(v).manifest.kept for v in space.ledger.versions_at(PRODUCT))  # type: ignore[union-attr]
    assert space.store.usage().objects == 0


def test_names_that_look_like_options_or_patterns(space: Workspace) -> None:
    for name in ("-rf", "*", "a\nb", " ", "ünï.ms", "~", "$(touch x)", "a@b#c%d"):
        (space.directory / name).mkdir()
        (space.directory / name / "f").write_text(name)
        version = keep(space, name)
        space.restore({name: ABSENT})
        assert not os.path.lexists(space.directory / name)
        space.restore({name: version})
        assert (space.directory / name / "f").read_text() == name


def test_a_very_large_number_of_small_files(space: Workspace, ground: Ground) -> None:
    product, many = space.directory / PRODUCT, MANY // ground.scale
    for number in range(many):
        if number % 1000 == 0:
            (product / str(number // 1000)).mkdir(parents=True)
        (product / str(number // 1000) / str(number)).write_bytes(b"%d" % number)
    version, tree = "k-many", scan(product)
    space.capture({PRODUCT: (version, tree)}, "many")
    space.restore({PRODUCT: ABSENT})
    space.restore({PRODUCT: version})
    again = scan(product)
    assert {name: s[:4] for name, s in again.items()} == {name: s[:4] for name, s in tree.items()}
    for number in random.Random(1).sample(range(many), min(many, 500)):
        assert (product / str(number // 1000) / str(number)).read_bytes() == b"%d" % number
    (product / "0" / "0").write_bytes(b"another")
    space.keep([PRODUCT])
    assert space.store.usage().objects <= many + 1


def test_a_large_sparse_file_stays_sparse(space: Workspace, ground: Ground) -> None:
    size = (8 << 30) // ground.scale
    islands = {0: b"first", size // 3: b"third", size - 4: b"last"}
    product = space.directory / PRODUCT
    product.mkdir()
    with (product / "cube").open("wb") as stream:
        stream.truncate(size)
        for offset, text in islands.items():
            stream.seek(offset)
            stream.write(text)
    os.truncate(product / "cube", size)
    free = space.store.usage().free
    space.capture({PRODUCT: ("k-sparse", scan(product))}, "sparse")
    with (product / "cube").open("r+b") as stream:
        stream.write(b"other")
    space.capture({PRODUCT: ("k-other", scan(product))}, "other")
    space.restore({PRODUCT: ABSENT})
    space.restore({PRODUCT: "k-sparse"})
    with (product / "cube").open("rb") as stream:
        for offset, text in islands.items():
            stream.seek(offset)
            assert stream.read(len(text)) == text
        stream.seek(size // 8)
        assert not any(stream.read(1 << 20))
    info = (product / "cube").stat()
    assert info.st_size == size and info.st_blocks * 512 < 16 << 20
    assert free - space.store.usage().free < 64 << 20


def test_symbolic_links_are_kept_and_never_followed(space: Workspace) -> None:
    outside = space.directory / "outside"
    outside.mkdir()
    (outside / "f").write_bytes(b"not yours")
    product = put(space, {b"d/f": Node("f", b"mine"), b"l": Node("l", b"../outside"), b"e": Node("l", b"d/f")})
    real = keep(space)
    (product / "d" / "f").unlink()
    (product / "d").rmdir()
    (product / "d").symlink_to("../outside")
    (product / "l").unlink()
    (product / "l").mkdir()
    (product / "l" / "f").write_bytes(b"here")
    linked = keep(space)
    for _ in range(2):
        space.restore({PRODUCT: real})
        assert (product / "d" / "f").read_bytes() == b"mine" and not (product / "d").is_symlink()
        assert os.readlink(product / "l") == "../outside"
        space.restore({PRODUCT: linked})
        assert os.readlink(product / "d") == "../outside" and (product / "l" / "f").read_bytes() == b"here"
    space.restore({PRODUCT: ABSENT})
    assert observe(outside).keys() == {b"f"} and (outside / "f").read_bytes() == b"not yours"


def test_hard_links_inside_a_product_are_kept(space: Workspace) -> None:
    product = put(space, {b"a": Node("f", b"one"), b"b": Node("h"), b"d/c": Node("h"), b"z": Node("f", b"alone")})
    linked = observe(product)
    first = keep(space)
    (product / "b").unlink()
    (product / "b").write_bytes(b"one")
    parted = observe(product)
    second = keep(space)
    assert first != second
    for version, state in ((first, linked), (second, parted), (first, linked)):
        space.restore({PRODUCT: version})
        assert {n: s[:3] + s[4:] for n, s in observe(product).items() if s[0] == "f"} == {
            n: s[:3] + s[4:] for n, s in state.items() if s[0] == "f"
        }
    (product / "d" / "c").write_bytes(b"through a link")
    third = keep(space)
    space.restore({PRODUCT: first})
    assert (product / "a").read_bytes() == b"one"
    space.restore({PRODUCT: third})
    assert (product / "a").read_bytes() == b"through a link"


def test_a_hard_link_to_the_outside_is_not_written_through(space: Workspace) -> None:
    product = put(space, {b"a": Node("f", b"one")})
    first = keep(space)
    (product / "a").write_bytes(b"two")
    os.link(product / "a", space.directory / "outside")
    space.restore({PRODUCT: first})
    assert (space.directory / "outside").read_bytes() == b"two"


def test_a_product_that_is_one_file(space: Workspace) -> None:
    (space.directory / "a.fits").write_bytes(b"1")
    first = keep(space, "a.fits")
    (space.directory / "a.fits").unlink()
    (space.directory / "a.fits").mkdir()
    second = keep(space, "a.fits")
    space.restore({"a.fits": first})
    assert (space.directory / "a.fits").read_bytes() == b"1"
    space.restore({"a.fits": second})
    assert list((space.directory / "a.fits").iterdir()) == []


# -- piece by piece ----------------------------------------------------------------------------------------------


@pytest.fixture
def store(place: Path, ground: Ground) -> CowStore:
    (place / HOME).mkdir()
    return open_store(place / HOME / "store", ground.store)


def write(path: Path, data: bytes) -> tuple[str, int]:
    path.write_bytes(data)
    return str(path), path.stat().st_mtime_ns


def test_what_was_not_committed_was_never_there(store: CowStore, place: Path) -> None:
    with store.capture() as capture:
        name = capture.add(*write(place / "f", b"1"))
    assert not store.intact(name, 1, (place / "f").stat().st_mtime_ns)
    with pytest.raises(StoreError):
        store.place(name, str(place / "again"), 0o600, 0)
    assert not (place / "again").exists()
    assert store.usage().objects == 0


def test_what_was_committed_can_be_had_by_others(store: CowStore, place: Path, ground: Ground) -> None:
    source, mtime = write(place / "f", b"data" * 1000)
    with store.capture("its key") as capture:
        name, empty = capture.add(source, mtime), capture.add(*write(place / "e", b""))
        capture.commit()
    other = open_store(place / HOME / "store", ground.store)
    (place / "f").write_bytes(b"overwritten since")
    assert other.intact(name, 4000, mtime) and other.intact(empty, 0, (place / "e").stat().st_mtime_ns)
    assert not other.intact(name, 3999, mtime) and not other.intact(name, 4000, mtime + 1)
    assert other.path(name).read_bytes() == b"data" * 1000
    other.place(name, str(place / "again"), 0o640, 10**18)
    info = (place / "again").stat()
    assert (place / "again").read_bytes() == b"data" * 1000
    assert (stat.S_IMODE(info.st_mode), info.st_mtime_ns) == (0o640, 10**18)


def test_nothing_is_placed_over_something(store: CowStore, place: Path) -> None:
    with store.capture() as capture:
        name = capture.add(*write(place / "f", b"1"))
        capture.commit()
    (place / "link").symlink_to(place / "f")
    for there in ("f", "link"):
        with pytest.raises(FileExistsError):
            store.place(name, str(place / there), 0o600, 0)
    assert (place / "f").read_bytes() == b"1"


def test_captures_at_the_same_time_do_not_meet(store: CowStore, place: Path) -> None:
    with store.capture() as one, store.capture() as two:
        first = one.add(*write(place / "f", b"1"))
        second = two.add(*write(place / "g", b"2"))
        two.commit()
        third = one.add(*write(place / "h", b"3"))
        one.commit()
    assert [store.path(name).read_bytes() for name in (first, second, third)] == [b"1", b"2", b"3"]
    assert store.usage().objects == 3


def test_removing_takes_those_and_no_others(store: CowStore, place: Path) -> None:
    with store.capture() as capture:
        names = [capture.add(*write(place / str(n), b"%d" % n)) for n in range(3)]
        capture.commit()
    store.remove([names[1], "never/was"])
    times = [(place / str(n)).stat().st_mtime_ns for n in range(3)]
    assert [store.intact(names[n], 1, times[n]) for n in range(3)] == [True, False, True]
    store.remove(names)
    assert store.usage().objects == 0


def test_sweeping_removes_what_a_killed_process_left_and_keeps_what_was_committed(store: CowStore, place: Path) -> None:
    with store.capture() as capture:
        name = capture.add(*write(place / "f", b"1"))
        capture.commit()
    pid = os.fork()
    if not pid:
        capture = store.capture()
        capture.add(*write(place / "g", b"2" * 10_000))
        os._exit(0)
    os.waitpid(pid, 0)
    store.sweep()
    assert store.path(name).read_bytes() == b"1"
    assert store.usage().objects == 1
