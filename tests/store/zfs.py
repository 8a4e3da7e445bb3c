"""Grounds on ZFS: on OpenZFS where the kernel has it, else on zfs-fuse; a dataset for each workspace."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from tests.store.tiers import Ground, TierMissing, plain, run

POOL_SIZE = 32 << 30
"""Bytes of a pool; its image is sparse."""
SCALE = 10
"""zfs-fuse tells times in whole seconds, for which the store has to wait; `make test-zfs` is an emulated machine."""

_LOCKS = [Path(tempfile.gettempdir(), f"casa-tests-zfs-{name}.lock") for name in ("starts", "uses")]


@contextmanager
def pool(directory: Path) -> Iterator[str]:
    """A pool of its own, on an image in ``directory``, and mounted there; its name.

    Raises:
        TierMissing: there is no ZFS here.
    """
    if shutil.which("zpool") is None:
        raise TierMissing("there is no ZFS: scripts/system-packages.sh stores")
    name, image, mounted = f"casatest{os.getpid()}", directory / "zfs.image", directory / "zfs"
    with image.open("wb") as stream:
        stream.truncate(POOL_SIZE)
    run("zpool", "create", "-m", mounted, "-O", "compression=on", name, image)
    try:
        yield name
    finally:
        for _ in range(100):  # zfs-fuse says "busy" for a while after somebody read there
            if not subprocess.run(["zpool", "destroy", "-f", name], capture_output=True).returncode:
                break
            time.sleep(0.2)
        image.unlink(missing_ok=True)


@contextmanager
def daemon(directory: Path) -> Iterator[None]:
    """The daemon zfs-fuse, unless ZFS answers already; a machine has one, which all processes with tests share.

    Raises:
        TierMissing: it is not there, or does not start; or one is not root.
    """
    if os.geteuid():
        raise TierMissing("only root can make a pool: run the tests as root")
    with _LOCKS[0].open("w") as starts, _LOCKS[1].open("w") as uses:
        fcntl.flock(starts, fcntl.LOCK_EX)
        answers = shutil.which("zpool") and not subprocess.run(["zpool", "list"], capture_output=True).returncode
        with nullcontext() if answers else started(directory):
            fcntl.flock(uses, fcntl.LOCK_SH)
            fcntl.flock(starts, fcntl.LOCK_UN)
            try:
                yield
            finally:
                if not answers:
                    fcntl.flock(starts, fcntl.LOCK_EX)  # nobody begins, and then
                    fcntl.flock(uses, fcntl.LOCK_EX)  # nobody uses it any more


@contextmanager
def started(directory: Path) -> Iterator[None]:
    """The daemon, for as long."""
    if shutil.which("zfs-fuse") is None:
        raise TierMissing("there is neither OpenZFS nor zfs-fuse: scripts/system-packages.sh stores")
    if not os.access("/dev/fuse", os.W_OK):
        raise TierMissing("zfs-fuse needs root and /dev/fuse")
    for state in ("/var/run/zfs", "/var/lib/zfs"):
        os.makedirs(state, exist_ok=True)
    with (directory / "zfs-fuse.log").open("wb") as log:
        process = subprocess.Popen(
            ["zfs-fuse", "--no-daemon", "--no-kstat-mount", "--pidfile", str(directory / "zfs-fuse.pid")],
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(600):
            if not subprocess.run(["zpool", "list"], capture_output=True).returncode:
                break
            time.sleep(0.1)
        else:
            raise TierMissing(f"zfs-fuse does not start: {(directory / 'zfs-fuse.log').read_text().strip()}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:  # a test that failed left something open
            process.kill()
            process.wait()
        for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
            if " - fuse.zfs " in line and (place := line.split(" ")[4]).startswith(str(directory)):
                subprocess.run(["umount", "--lazy", place], check=True)


def datasets(parent: str, mounted: Path) -> Ground:
    """A new dataset for each workspace; wants root."""

    def make() -> Path:
        name = uuid.uuid4().hex
        run("zfs", "create", f"{parent}/{name}")
        return mounted / name

    def drop(place: Path) -> None:
        for _ in range(600):  # as above
            done = subprocess.run(["zfs", "destroy", "-R", f"{parent}/{place.name}"], capture_output=True, text=True)
            if not done.returncode:
                return
            time.sleep(0.2)
        raise AssertionError(done.stderr)

    return Ground("zfs", make, drop, SCALE)


@contextmanager
def zfs(directory: Path) -> Iterator[Ground]:
    """Snapshots, on whatever ZFS this machine has.

    ``STORE_ZFS_PARENT`` in the environment names a dataset in which root makes others, instead of a pool of its own;
    ``STORE_ZFS`` a directory in a dataset in which an ordinary user may keep versions.
    """
    if "STORE_ZFS" in os.environ:
        yield replace(plain(Path(os.environ["STORE_ZFS"]), "zfs"), scale=SCALE)
        return
    if "STORE_ZFS_PARENT" in os.environ:
        parent = os.environ["STORE_ZFS_PARENT"]
        yield datasets(parent, Path(run("zfs", "get", "-H", "-o", "value", "mountpoint", parent).strip()))
        return
    with daemon(directory), pool(directory) as name:
        yield datasets(name, directory / "zfs")
