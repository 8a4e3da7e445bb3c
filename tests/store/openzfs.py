"""What zfs-fuse cannot do; `make test-zfs` runs this in its virtual machine, beside the tests for any ZFS."""

from __future__ import annotations

import os
import subprocess

from casa_recompute.products import ABSENT
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
