"""One private Xvfb, which no other user can connect to and which dies with the process that owns it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from xvfbwrapper import Xvfb

from casa_recompute.runner.worker.x11 import connect_display

WIDTH, HEIGHT, DEPTH = 1600, 1200, 24  # pixels, bits per pixel
_START_S = 12.0  # an Xvfb that has not opened its socket by then is not going to
_ANY_HOST = 0xFFFF  # FamilyWild of the Xauthority format: the cookie holds for every display and host name


class DisplayError(RuntimeError):
    """There is no X display; the message says what to do."""


class Display:
    """A private X server (Xvfb, through xvfbwrapper) for programs that insist on drawing on a screen.

    The server runs with `-terminate`: it ends when its last client leaves. Its owner stays connected for as long as it
    lives, so the server needs no watcher to follow its owner, even one that was killed.
    `directory` is where the authority file is kept (default: the system's temporary directory), in a directory of its
    own, `casa-display-LABEL-...`; `environment` is for the server, in addition to that of this process.
    """

    def __init__(
        self, directory: Path | None = None, environment: Mapping[str, str] | None = None, label: str = ""
    ) -> None:
        self._parent = directory
        self._prefix = f"casa-display-{label}-"
        self._environment = dict(environment or {})
        self._lock = threading.RLock()
        self._server: Xvfb | None = None
        self._hold: socket.socket | None = None
        self._private: Path | None = None
        self._owner = os.getpid()

    def start(self) -> None:
        """Start the server unless it runs already. Raises DisplayError."""
        with self._lock:
            if self.alive():
                return
            self.stop()
            self._owner = os.getpid()
            self._private = Path(tempfile.mkdtemp(prefix=self._prefix, dir=self._parent))  # mode 0700
            authority = self._private / "Xauthority"
            authority.write_bytes(_authority(secrets.token_bytes(16)))
            try:
                self._server = Xvfb(
                    width=WIDTH,
                    height=HEIGHT,
                    colordepth=DEPTH,
                    tempdir=self._private,
                    environ={**os.environ, **self._environment},  # xvfbwrapper sets DISPLAY in it: not in ours
                    extra_args=["-nolisten", "tcp", "-auth", str(authority), "-terminate"],
                    timeout=_START_S,
                )
                self._server.start()
                self._hold = self._connect(str(authority))
            except FileNotFoundError as error:
                self.stop()
                raise DisplayError(
                    "Xvfb is not installed, and GUI tasks (plotms, imview, msview, browsetable) draw on it. "
                    "Install it: apt install xvfb (Debian, Ubuntu) or dnf install xorg-x11-server-Xvfb (Red Hat)."
                ) from error
            except (OSError, RuntimeError) as error:
                self.stop()
                raise DisplayError(f"Xvfb does not start: {error}. Try `Xvfb :99` in a terminal to see why.") from error

    def _connect(self, authority: str) -> socket.socket:
        """Connect to the new server, which may not listen yet though its socket is there."""
        deadline = time.monotonic() + _START_S
        while True:
            try:
                return connect_display(self.env()["DISPLAY"], authority)
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def env(self) -> dict[str, str]:
        """What a client needs in its environment. Raises DisplayError when the server was not started."""
        if self._server is None or self._private is None:
            raise DisplayError("the X display is not running; start() it first.")
        return {"DISPLAY": f":{self._server.new_display}", "XAUTHORITY": str(self._private / "Xauthority")}

    def alive(self) -> bool:
        """Whether the server answers a connection, now."""
        with self._lock:
            if self._server is None or self._server.proc is None or self._server.proc.poll() is not None:
                return False
            env = self.env()
            try:
                connect_display(env["DISPLAY"], env["XAUTHORITY"], timeout_s=2.0).close()
            except OSError:
                return False
            return True

    def restart(self) -> None:
        """Stop the server, however it is, and start a new one (on another display number). Raises DisplayError."""
        with self._lock:
            self.stop()
            self.start()

    def stop(self) -> None:
        """End the server and remove what it left. Does nothing when none runs, or in a fork of the owner."""
        with self._lock:
            if os.getpid() != self._owner:
                return
            if self._hold is not None:
                self._hold.close()
                self._hold = None
            if self._server is not None and self._server.proc is not None:
                pid = self._server.proc.pid
                self._server.stop()
                _sweep(self._server.new_display, pid)
            self._server = None
            if self._private is not None:
                shutil.rmtree(self._private, ignore_errors=True)
                self._private = None

    def __enter__(self) -> Display:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _authority(cookie: bytes) -> bytes:
    """An Xauthority file with one cookie for every display."""
    fields = (b"", b"", b"MIT-MAGIC-COOKIE-1", cookie)  # address, display number, protocol, secret
    return struct.pack(">H", _ANY_HOST) + b"".join(struct.pack(">H", len(field)) + field for field in fields)


def _sweep(number: int | None, pid: int) -> None:
    """Remove the lock and socket of a server of ours that was killed; one that ended by itself has removed them."""
    lock = Path(f"/tmp/.X{number}-lock")
    with contextlib.suppress(OSError, ValueError):
        if int(lock.read_text()) == pid:
            Path(f"/tmp/.X11-unix/X{number}").unlink(missing_ok=True)
            lock.unlink()
