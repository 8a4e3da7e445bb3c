"""Closes a port on which casatools listens to the whole network.

It serves a registry of graphical programs there, and asks for no password; ours are found without it.
Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any

_LISTEN = "0A"  # /proc/net/tcp, see proc(5)


def close_registry(casatools: Any) -> None:
    """Let casatools, just imported, serve its registry no more."""
    try:
        uri = casatools.ctsys.registry()["uri"]
    except (AttributeError, KeyError):  # a casatools that has none
        return
    for number in _listeners(int(uri.rpartition(":")[2])):
        with socket.socket(socket.AF_UNIX) as nothing:  # in its place, so that its owner, gRPC, has no error to tell
            os.dup2(nothing.fileno(), number, inheritable=False)


def _listeners(port: int) -> list[int]:
    """Descriptors of this process's sockets that listen on a TCP port."""
    inodes = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/self/net/{name}") as stream:
            for fields in map(str.split, stream):
                if fields[3] == _LISTEN and fields[1].endswith(f":{port:04X}"):
                    inodes.add(f"socket:[{fields[9]}]")
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the directory's own, which is closed by now
            if os.readlink(f"/proc/self/fd/{number}") in inodes:
                found.append(int(number))
    return found
