"""Watches over one kernel: when it is gone, however it ended, nothing of what it has started stays.

    python -I -S keeper.py KERNEL SERVER MARK TEMPORARY

KERNEL and SERVER are process ids; SERVER is 0 where the kernel may outlive who started it; TEMPORARY is the directory
for temporary files. What a kernel of ours
starts (the worker, graphical programs, the X server) ends by itself when the kernel does; this process ends what
cannot, because it is stuck or was stopped. It knows it by MARK, which is in its environment. What users start in their
cells is not marked, and not touched. Then it removes the files of X servers that were killed. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time

MARK = "JUPYTERLAB_CASA_LAUNCH"
"""Environment variable of a kernel: how those whom it starts are to be marked."""
MARKED = "JUPYTERLAB_CASA_LAUNCHED_BY"
"""Environment variable of those."""
_LOOK_S = 1.0  # between looks at the kernel and at the server
_GRACE_S = 5.0  # in which all should end by itself
_GIVE_UP_S = 120.0  # a process that waits for a disk which does not answer cannot be killed


def started(process: int) -> str | None:
    """When a process started, as /proc tells it; None when there is none (or it only waits to be noticed)."""
    try:
        with open(f"/proc/{process}/stat") as stream:
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def marked(mark: str) -> list[int]:
    """Processes that bear a mark."""
    wanted = f"{MARKED}={mark}".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as stream:
                if wanted in stream.read().split(b"\0"):
                    found.append(int(name))
    return found


def kill(process: int) -> None:
    """End a process at once; harmless when there is none."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def clear(directory: str, mark: str) -> None:
    """Remove what the X servers of a kernel have left (see ``casa_recompute/display/xvfb.py``)."""
    for name in os.listdir(directory):
        if not name.startswith(f"casa-display-{mark}-"):
            continue
        for lock in os.listdir(f"{directory}/{name}"):  # .X1234-lock: the display that xvfbwrapper has chosen
            number = lock.removeprefix(".X").removesuffix("-lock")
            if not number.isdigit():
                continue
            with contextlib.suppress(OSError, ValueError), open(f"/tmp/.X{number}-lock") as stream:
                if started(int(stream.read())) is None:
                    os.unlink(f"/tmp/.X{number}-lock")
                    os.unlink(f"/tmp/.X11-unix/X{number}")
        shutil.rmtree(f"{directory}/{name}", ignore_errors=True)


def keep(kernel: int, server: int, mark: str, temporary: str) -> None:
    """Wait for the end of the kernel, or of the server, and see to it that nothing is left."""
    born, founded = started(kernel), started(server) if server else ""
    while born is not None and started(kernel) == born:
        if server and started(server) != founded:
            end = time.monotonic() + _GRACE_S  # a kernel ends itself then, if it can
            while started(kernel) == born and time.monotonic() < end:
                time.sleep(0.1)
            if started(kernel) == born:
                kill(kernel)
            break
        time.sleep(_LOOK_S)
    began = time.monotonic()
    while (left := marked(mark)) and time.monotonic() - began < _GIVE_UP_S:
        if time.monotonic() - began > _GRACE_S:
            for process in left:
                kill(process)
        time.sleep(0.2)
    clear(temporary, mark)


if __name__ == "__main__":
    keep(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
