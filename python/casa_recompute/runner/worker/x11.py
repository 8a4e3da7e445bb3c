"""Connecting to an X server.

Runs inside the worker's interpreter, too: standard library only.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any

_ANSWER_S = 4.0  # an X server that has not shaken hands by then is dead


def connect_display(display: str, xauthority: str | None, timeout_s: float = _ANSWER_S) -> socket.socket:
    """A connection to the X server that has been shown to answer.

    Raises OSError when it is absent, silent for `timeout_s` seconds, or refuses us.
    """
    host, _, rest = display.rpartition(":")
    number = rest.split(".")[0]
    if not number.isdigit():
        raise OSError(f"{display!r} is not the name of an X display")
    if host in ("", "unix"):
        connection = socket.socket(socket.AF_UNIX)
        address: Any = f"/tmp/.X11-unix/X{number}"
    else:
        connection = socket.socket(socket.AF_INET)
        address = (host, 6000 + int(number))
    try:
        connection.settimeout(timeout_s)
        connection.connect(address)
        name, secret = _cookie(xauthority, number)
        # The set-up request of the X11 protocol: byte order, version 11.0, authorisation padded to words.
        padded = (part + b"\0" * (-len(part) % 4) for part in (name, secret))
        connection.sendall(struct.pack("<cxHHHHxx", b"l", 11, 0, len(name), len(secret)) + b"".join(padded))
        answer = connection.recv(1)
    except OSError:
        connection.close()
        raise
    if answer != b"\1":
        connection.close()
        raise OSError(f"the X server at {display} refuses the connection")
    return connection


def _cookie(xauthority: str | None, number: str) -> tuple[bytes, bytes]:
    """The MIT cookie for display `number` in an Xauthority file; empty when there is none."""
    path = Path(xauthority or Path.home() / ".Xauthority")
    try:
        data = path.read_bytes()
    except OSError:
        return b"", b""
    at = 0
    while at + 2 <= len(data):
        at += 2  # the address family; our own files say "any"
        fields = []
        for _ in range(4):  # address, display number, name, secret
            size = int.from_bytes(data[at : at + 2], "big")  # nothing, where the file is cut off
            fields.append(data[at + 2 : at + 2 + size])
            at += 2 + size
        if fields[1] in (b"", number.encode()) and fields[2] == b"MIT-MAGIC-COOKIE-1":
            return fields[2], fields[3]
    return b"", b""
