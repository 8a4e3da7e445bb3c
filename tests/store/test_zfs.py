"""What only the store on ZFS does; on whatever ZFS this machine has (`make test-zfs`: on OpenZFS)."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from casa_recompute.housekeeping import collect, plan_collection, verify
from casa_recompute.ledger import CallRecord, Touch
from casa_recompute.products import ABSENT, scan
from casa_recompute.store import StoreError, ZfsStore, open_store
from casa_recompute.store.zfs_command import KEY, Dataset, Zfs, ZfsError, dataset_of, find_libzfs_core
from casa_recompute.workspace import HOME, VersionLost, Workspace
from tests.store.conftest import Grounds
from tests.store.test_faults import B, Capture, Commit, Q, RestoreOverAnEdit, Scene, afterwards
from tests.store.tiers import Ground

ORDINARY = os.geteuid() != 0


@pytest.fixture(scope="module")
def ground(grounds: Grounds) -> Ground:
    return grounds["zfs"]


@pytest.fixture
def place(ground: Ground) -> Iterator[Path]:
    directory = ground.make()
    yield directory
    ground.drop(directory)


@pytest.fixture
def space(place: Path) -> Iterator[Workspace]:
    workspace = Workspace(place, "zfs")
    yield workspace
    workspace.close()


def store_of(space: Workspace) -> ZfsStore:
    assert isinstance(space.store, ZfsStore)
    return space.store


def keep(space: Workspace, text: str, key: str = "") -> str:
    """Write a product of two files, of which one stays the same, and keep it; its version."""
    product = space.directory / "p"
    product.mkdir(exist_ok=True)
    if not (product / "same").exists():
        (product / "same").write_text("the same")
    (product / "data").write_text(text)
    if not key:
        space.keep(["p"])
        return space.look("p")
    space.capture({"p": (f"k-{key}", scan(product))}, key)
    return f"k-{key}"


def ours(space: Workspace) -> set[str]:
    """The snapshots that there are of what this workspace kept."""
    kept = {path.name for directory in ("snapshots", "snapshots-begun") for path in (place_of(space, directory))}
    return {name for name in store_of(space).zfs.snapshots() if name in kept}


def place_of(space: Workspace, directory: str) -> list[Path]:
    return [path for path in (space.home / "store" / directory).iterdir() if path.name.startswith("casa_")]


def test_a_call_is_a_snapshot_that_carries_its_key(space: Workspace) -> None:
    with space.lock():
        keep(space, "one", key="0123456789abcdef")
    (snapshot,) = ours(space)
    zfs = store_of(space).zfs
    assert "0123456789abcdef" in snapshot
    assert zfs.run("get", "-H", "-p", "-o", "value", KEY, zfs.full(snapshot)).strip() == "0123456789abcdef"


def test_what_a_task_wrote_through_a_memory_map_is_kept(space: Workspace) -> None:
    table = space.directory / "table"
    table.write_bytes(b"x" * 65536)
    with space.lock():
        space.keep(["table"])
        with table.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as mapped:
            mapped[0:5] = b"HELLO"
        version = "k-mapped"
        space.capture({"table": (version, scan(table))}, "mapped")
        space.restore({"table": ABSENT})
        space.restore({"table": version})
    assert table.read_bytes() == b"HELLO" + b"x" * 65531


def test_a_snapshot_goes_when_the_last_of_its_files_is_not_wanted(space: Workspace) -> None:
    with space.lock():
        first = space.ledger.version(keep(space, "one"))
        second = space.ledger.version(keep(space, "two"))
        assert first and second and len(ours(space)) == 2
        same, one = (first.manifest[name].object for name in ("same", "data"))
        assert second.manifest["same"].object == same and same and one
        space.store.remove([one])
        assert len(ours(space)) == 2
        space.restore({"p": ABSENT})
        space.restore({"p": second.id})
        assert (space.directory / "p" / "same").read_text() == "the same"
        space.store.remove([same])
        assert len(ours(space)) == 1
        with pytest.raises(VersionLost):
            space.restore({"p": first.id})
        assert (space.directory / "p" / "data").read_text() == "two"


def test_a_snapshot_that_somebody_destroyed_is_a_lost_version_and_nothing_is_touched(space: Workspace) -> None:
    with space.lock():
        version = keep(space, "one")
        (snapshot,) = ours(space)
        keep(space, "two")
        store_of(space).zfs.destroy([snapshot])
        store_of(space)._there = (0.0, set())  # a second later
        assert not space.restorable({"p": version})
        with pytest.raises(VersionLost):
            space.restore({"p": version})
    assert (space.directory / "p" / "data").read_text() == "two"


def test_what_a_process_took_that_was_killed_before_its_commit_is_swept(space: Workspace) -> None:
    keep(space, "one")
    pid = os.fork()
    if not pid:
        store = store_of(space)
        store.keep = lambda snapshot: os._exit(9)  # type: ignore[method-assign]
        with store.capture() as capture:
            capture.add(str(space.directory / "p" / "data"), 0)
            capture.commit()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert len(ours(space)) == 2
    space.store.sweep()
    assert len(ours(space)) == 1 and not place_of(space, "snapshots-begun")


def test_what_open_notebooks_need_is_held_and_what_the_dead_held_is_not(space: Workspace) -> None:
    with space.lock():
        version = keep(space, "one")
        space.ledger.set_touch(Touch("cell", "p", "nb.ipynb", version, version), 1)
    (snapshot,) = ours(space)
    with pytest.raises(ZfsError, match="held|busy"):
        store_of(space).zfs.destroy([snapshot])
    kept = space.ledger.version(version)
    assert kept is not None
    objects = [entry.object for entry in kept.manifest.values() if entry.object]
    code = (
        "import os, sys; from pathlib import Path; from casa_recompute.workspace import Workspace\n"
        "space = Workspace(Path(sys.argv[1]), 'zfs')\nwith space.lock():\n    pass\nos._exit(9)"
    )
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", code, space.directory]).returncode == 9
        # We, and the last who died: whoever comes releases what the dead held.
        assert len(list((space.home / "store" / "holders").iterdir())) == 2
    space.store.remove(objects)  # we still hold it, as does the dead
    assert ours(space) == {snapshot} and not space.restorable({"p": version, "q": version})
    space.store.close()
    space.store.sweep()
    assert ours(space) == set() and not list((space.home / "store" / "holders").iterdir())


def test_who_only_looks_sees_what_can_be_restored(space: Workspace) -> None:
    with space.lock():
        version = keep(space, "one")
        keep(space, "two")
    view = Workspace.view(space.directory)
    assert view.restorable({"p": version})
    view.close()


def test_auto_takes_snapshots_only_of_what_is_a_dataset_of_its_own(ground: Ground, place: Path) -> None:
    part = place / "part"
    (part / HOME).mkdir(parents=True)
    store = open_store(part / HOME / "store")
    assert store.name != "zfs"
    assert "no ZFS dataset of its own" in store.reason and "sudo zfs create " in store.advice
    dataset = dataset_of(part)
    assert dataset is not None
    (dataset.mountpoint / HOME).mkdir(exist_ok=True)
    assert open_store(dataset.mountpoint / HOME / "store").name == "zfs"
    assert open_store(part / HOME / "store", "zfs").name == "zfs"


def test_a_directory_that_is_not_on_zfs(tmp_path: Path) -> None:
    (tmp_path / HOME).mkdir()
    with pytest.raises(StoreError, match="is not in a ZFS dataset"):
        open_store(tmp_path / HOME / "store", "zfs")
    assert open_store(tmp_path / HOME / "store").advice == ""


def test_what_was_kept_as_snapshots_can_be_had_when_no_more_can_be_taken(place: Path) -> None:
    def opened(store: str) -> Workspace:
        workspace = Workspace(place, store)
        assert workspace.store.name == store
        return workspace

    space = opened("zfs")
    with space.lock():
        version = keep(space, "one")
    taken = ours(space)
    space.close()
    space = opened("copy")
    with space.lock():
        later = keep(space, "two")
        assert ours(space) == taken
        space.restore({"p": version})
        assert (place / "p" / "data").read_text() == "one"
        space.restore({"p": later})
    space.close()
    space = opened("zfs")
    with space.lock():
        space.restore({"p": version})
        assert (place / "p" / "data").read_text() == "one"
        space.restore({"p": later})
    space.close()


def test_upkeep(space: Workspace) -> None:
    with space.lock():
        by_hand, call = keep(space, "one"), keep(space, "two", key="called")
        space.remember(CallRecord("called", "", "task", {}, {}, {"p": call}, None, "", "", [], 1.0, 1.0))
        last = keep(space, "three")
        assert (found := verify(space)).files == 4 and not found.damaged and not found.missing
        plan = plan_collection(space, -1, occupied=False)
        assert [candidate.versions for candidate in plan.going] == [(call,)]
        collect(space, plan)
        assert len(ours(space)) == 2 and not space.restorable({"p": call}) and space.restorable({"p": by_hand})
        kept = space.ledger.version(by_hand)
        assert kept is not None and kept.manifest["data"].object is not None
        space.store.close()
        store_of(space).zfs.destroy([kept.manifest["data"].object[1:].split("/")[0]])
        store_of(space)._there = (0.0, set())  # a second later
        found = verify(space)
        assert not found.damaged and ("p", by_hand) in found.lost
    assert not space.restorable({"p": by_hand}) and space.look("p") == last


class Remove(Scene):
    """All that a version of q consists of is removed, with which its snapshot goes."""

    def operate(self, space: Workspace) -> None:
        with space.lock():
            version = space.ledger.version(self.q_version)
            assert version is not None
            space.store.remove(entry.object for entry in version.manifest.values() if entry.object)

    def check(self, space: Workspace, done: bool) -> None:
        assert self.products() == (B, Q, {})
        assert not (done and space._intact(space.ledger.version(self.q_version).manifest))  # type: ignore[union-attr]

    def serves_only_what_is_right(self, space: Workspace, lost: tuple[str, ...] = ()) -> None:
        super().serves_only_what_is_right(space, (self.q_version,))


@pytest.mark.parametrize("make", [Capture, Commit, RestoreOverAnEdit, Remove])
def test_a_kill_before_and_after_every_command(ground: Ground, make: type[Scene]) -> None:
    number, killed = 0, True
    while killed:
        directory = ground.make()
        scene = make(directory, "zfs")
        scene.prepare()
        scene.space.close()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                space = scene.open()
                zfs = store_of(space).zfs
                assert zfs.binding[0] is None
                start, points = zfs._start, iter(range(1000))

                def die() -> None:
                    if next(points) == number:  # noqa: B023  # this process has but this one
                        os.kill(os.getpid(), signal.SIGKILL)

                def started(*arguments: str, **streams: Any) -> subprocess.CompletedProcess[bytes]:
                    die()
                    done = start(*arguments, **streams)  # noqa: B023
                    die()
                    return done

                zfs._start = started  # type: ignore[method-assign]
                scene.operate(space)
                code = 0
            finally:
                os._exit(code)
        status = os.waitpid(pid, 0)[1]
        killed = os.WIFSIGNALED(status)
        assert killed or os.WEXITSTATUS(status) == 0
        space = scene.open()
        afterwards(scene, space, not killed, f"command {number / 2}")
        space.store.sweep()
        assert not place_of(space, "snapshots-begun")
        space.close()
        ground.drop(directory)
        number += 1
    assert number > 2


@pytest.mark.parametrize("kind", ["of 2016", "without its library"])
def test_the_wrong_libzfs_core_is_refused_before_anything_is_called(tmp_path: Path, kind: str) -> None:
    package = tmp_path / "libzfs_core"
    package.mkdir()
    (package / "exceptions.py").write_text("class ZFSError(Exception):\n    pass\n")
    lines = ["import os", "from . import exceptions", "def lzc_exists(name):"]
    if kind == "of 2016":
        lines += ["    os.abort()"]
    else:
        lines += ["    raise OSError('no library called zfs_core')"]
        lines += ["lzc_sync = lzc_rollback_to = lzc_channel_program = None"]
    (package / "__init__.py").write_text("\n".join(lines) + "\n")
    code = "from casa_recompute.store.zfs_command import find_libzfs_core as f; print(*f('tank/x'), sep='\\n')"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, reason = done.stdout.splitlines()
    assert found == "None"
    assert ("pip uninstall pyzfs" if kind == "of 2016" else "no library called zfs_core") in reason


def test_libzfs_core_is_what_the_environment_of_this_test_says(space: Workspace) -> None:
    expected = "PYTHON_PYZFS" in os.environ and os.environ["PYTHON_PYZFS"] in sys.path
    found, reason = find_libzfs_core(store_of(space).zfs.dataset.name)
    assert (found is not None) == expected, reason


def test_errors_are_told_alike_by_the_command_and_the_library(space: Workspace) -> None:
    zfs = store_of(space).zfs
    name = f"casa_errors_{os.urandom(6).hex()}"
    zfs.snapshot(name, "key")
    try:
        with pytest.raises(ZfsError) as there:
            zfs.snapshot(name, "key")
        zfs.hold("casa-tag", [name])
        with pytest.raises(ZfsError) as held:
            zfs.destroy([name])
        with pytest.raises(ZfsError) as absent:
            zfs.hold("casa-tag", [f"{name}-absent"])
    finally:
        zfs.release("casa-tag", [name, f"{name}-absent"])
        zfs.destroy([name])
    zfs.destroy([name])
    assert [error.value.errno for error in (there, held, absent)] == [17, 16, 2]
    with pytest.raises(ZfsError):
        Zfs(Dataset("nowhere/at-all", space.directory)).snapshot(name, "key")
