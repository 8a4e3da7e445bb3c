"""Faults at every step: what a workspace does is stopped, or its disk fails, before any one of its system calls.

Steps are counted where Python enters C code that changes something (``sys.setprofile`` tells), so no code of ours
has to know that it is watched, and no step can be forgotten.
"""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_FILES = {
    "open",
    "rename",
    "replace",
    "unlink",
    "remove",
    "mkdir",
    "rmdir",
    "chmod",
    "fchmod",
    "utime",
    "link",
    "symlink",
}
_CONTENTS = {"fsync", "ftruncate", "truncate", "copy_file_range", "sendfile", "write", "pwrite", "close", "ioctl"}
_DATABASE = {"execute", "executemany"}
_CHANGING = _FILES | _CONTENTS | _DATABASE
_MODULES = frozenset(("posix", "fcntl", "io", "_io"))
_NEEDING_ROOM = frozenset(
    ("open", "mkdir", "rename", "link", "symlink", "copy_file_range", "sendfile", "write", "ioctl")
)


class Stopped(BaseException):
    """The process is to do nothing more; not an Exception, as nobody may go on from here."""


Fault = Callable[[str], BaseException | None]
"""What happens instead of a step, by the name of its function; None: this step cannot fail in this way."""


def stop(name: str) -> BaseException:
    """An exception as of Ctrl-C."""
    return Stopped(name)


def kill(name: str) -> BaseException:
    """The end of the process."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("killed")


def full(name: str) -> BaseException | None:
    """A full disk."""
    if name in _DATABASE:
        return sqlite3.OperationalError("database or disk is full")
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if name in _NEEDING_ROOM else None


def broken(name: str) -> BaseException | None:
    """A disk that fails."""
    if name in _DATABASE:
        return sqlite3.OperationalError("disk I/O error")
    return OSError(errno.EIO, os.strerror(errno.EIO)) if name != "close" else None


class Steps:
    """Counts steps, and lets one of them fail."""

    def __init__(self, fails: int, fault: Fault) -> None:
        self.count, self.fails, self.fault = 0, fails, fault
        self.failed = ""

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Within, steps are counted."""
        sys.setprofile(self._seen)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _seen(self, frame: FrameType, event: str, function: object) -> None:
        if event != "c_call":
            return
        name = getattr(function, "__name__", "")
        owner = getattr(function, "__self__", None)
        module = getattr(function, "__module__", None)
        if name not in _CHANGING or not (module in _MODULES or type(owner).__module__ in ("sqlite3", "_io")):
            return
        if self.count == self.fails:
            error = self.fault(name)
            if error is not None:
                sys.setprofile(None)
                self.count, self.failed = self.count + 1, f"{name} in {frame.f_code.co_qualname}"
                raise error
        else:
            self.count += 1
