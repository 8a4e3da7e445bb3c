"""What a call costs: CPU time and memory of this process and of the programs that it runs.

Runs inside the worker's interpreter: standard library only.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

_TICKS, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


class Meter:
    """Measures from when it is made."""

    def __init__(self) -> None:
        try:
            with open("/proc/self/clear_refs", "w") as stream:
                stream.write("5")  # forget the peak so far (proc(5))
        except OSError:
            pass  # not allowed in some containers: then the peak is that of the process's whole life
        self._cpu = _cpu()

    def read(self) -> tuple[float, int]:
        """CPU seconds since then, and bytes of memory: each process's peak, added."""
        memory = _peak("self") + sum(_peak(str(child)) for child in descendants(os.getpid()))
        return round(max(0.0, _cpu() - self._cpu), 3), memory


def _cpu() -> float:
    """User and system time so far: our own, that of children that have ended, and that of programs that go on."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent) + sum(map(_cpu_of, descendants(os.getpid())))


def _cpu_of(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/stat") as stream:
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICKS


def _peak(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/status") as stream:
            for line in stream:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) << 10
    except OSError:
        return 0  # it has ended just now
    return 0  # a zombie has no memory


def resident(pid: int) -> int:
    """Bytes of memory that a process has now; what it shares with others counts, too."""
    try:
        with open(f"/proc/{pid}/statm") as stream:
            return int(stream.read().split()[1]) * _PAGE
    except OSError:
        return 0


def descendants(pid: int) -> Iterator[int]:
    """Processes that this one has started (from its main thread), and theirs."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as stream:
            children = stream.read().split()
    except OSError:
        return
    for child in children:
        yield int(child)
        yield from descendants(int(child))
