"""What zfs-fuse cannot do; `make test-zfs` runs this in its virtual machine, beside the tests for any ZFS."""

from __future__ import annotations

import os
import subprocess

from casa_recompute.housekeeping import collect, plan_collection
from casa_recompute.ledger import CallRecord
from casa_recompute.products import ABSENT, scan
from casa_recompute.store.zfs_command import Zfs
from casa_recompute.workspace import Workspace
from tests.store.test_zfs import ground, place, space, store_of

__all__ = ["ground", "place", "space"]


def test_a_restored_file_shares_its_blocks(space: Workspace) -> None:
    zfs = store_of(space).zfs
    data = space.directory / "big"
    data.write_bytes(os.urandom(8 << 20))
    with space.lock():
        space.keep(["big"])
        version = space.look("big")
        space.restore({"big": ABSENT})
        saved = _saved(zfs)
        space.restore({"big": version})
    os.sync()
    subprocess.run(["zpool", "sync"], capture_output=True)  # an ordinary user may not; then it takes some seconds
    for _ in range(30):
        if _saved(zfs) - saved == 8 << 20:
            return
        subprocess.run(["sleep", "1"])
    raise AssertionError(f"{_saved(zfs) - saved} bytes are shared")


def _saved(zfs: Zfs) -> int:
    pool = zfs.dataset.name.split("/")[0]
    done = subprocess.run(["zpool", "get", "-Hp", "-o", "value", "bclonesaved", pool], capture_output=True, check=True)
    return int(done.stdout)


def test_a_collection_frees_what_it_says(space: Workspace) -> None:
    """What only one snapshot has is given back; what lies in the next one, too, is not."""
    zfs = store_of(space).zfs
    sizes = {"one": 4 << 20, "two": 8 << 20}
    with space.lock():
        for number, (key, size) in enumerate(sizes.items()):
            (space.directory / "p").write_bytes(os.urandom(size))
            space.capture({"p": (f"k-{key}", scan(space.directory / "p"))}, key)
            record = CallRecord(key, "", "task", {}, {}, {"p": f"k-{key}"}, None, "", "", [], 1.0, float(number))
            space.remember(record)
        (space.directory / "p").write_bytes(b"small")
        space.keep(["p"])
        plan = plan_collection(space, 0, occupied=False)
        assert plan.physical > 12 << 20 and plan.freed == 0
        before = int(zfs.run("get", "-Hp", "-o", "value", "used", zfs.dataset.name))
        plan = plan_collection(space, -1, occupied=False)
        assert {candidate.versions for candidate in plan.going} == {("k-one",), ("k-two",)}
        assert sum(sizes.values()) <= plan.freed < sum(sizes.values()) * 1.1
        collect(space, plan)
        assert not space.restorable({"p": "k-one"})
    for _ in range(30):
        freed = before - int(zfs.run("get", "-Hp", "-o", "value", "used", zfs.dataset.name))
        if freed >= plan.freed * 0.9:
            return
        subprocess.run(["sleep", "1"])
    raise AssertionError(f"{freed} bytes were freed, not {plan.freed}")
