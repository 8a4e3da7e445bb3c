"""Records what the running cell shows, as the front end gets it."""

from __future__ import annotations

import fcntl
import json
import logging
import sys
import termios
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ipykernel.iostream import OutStream
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.session import DELIM

from casa_recompute.notebook.outputs import Showing

_log = logging.getLogger(__name__)

LIMIT = 64 * 2**20  # bytes of JSON; what shows more is not kept
_PATIENCE = 10.0  # seconds for what is on its way; ipykernel's own flush waits as long
_PATIENCE_PIPES = 1.0  # seconds; a process in the background may write for ever


class Shown:
    """What the cell between :meth:`begin` and :meth:`end` shows; nothing where there is no kernel.

    Everything that ipykernel publishes (streams, displays, errors, the output of forked processes) is put on the
    wire by one thread, in one method: there the messages are read, in their order and as they are sent.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.too_large = False  # the last cell showed more than LIMIT
        self.elsewhere: dict[str, dict[str, Any]] = {}  # see Showing, of the last cell
        self.displays: dict[str, list[int]] = {}  # likewise
        self._kernel: Any = getattr(shell, "kernel", None)
        self._thread: Any = getattr(self._kernel, "iopub_thread", None)
        self._cell: str | None = None  # id of the request that runs the cell
        self._showing = Showing()
        self._size = 0
        # The user may replace them; what IPython shows goes through these all the same.
        self._streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, OutStream)]
        if self._thread is not None:
            self._send = self._thread._really_send
            self._thread._really_send = self._record_and_send

    def begin(self) -> None:
        """A cell starts: forget the last one."""
        self._showing = Showing()
        self._size = 0
        self.too_large = False
        self.elsewhere, self.displays = {}, {}
        if self._thread is not None:
            self._cell = self._kernel.get_parent("shell").get("header", {}).get("msg_id")

    def end(self) -> list[dict[str, Any]]:
        """What the cell has shown, as nbformat-4 outputs, and no longer record it."""
        if self._cell is None:
            return []
        self._settle()
        self._cell = None
        showing, self._showing = self._showing, Showing()
        self.elsewhere, self.displays = showing.elsewhere, showing.displays()
        return showing.outputs()

    def close(self) -> None:
        """Leave the kernel as it was."""
        self._cell = None
        if self._thread is not None:
            self._thread._really_send = self._send
            self._thread = None

    def _record_and_send(self, frames: Sequence[bytes], *args: Any, **options: Any) -> None:
        self._send(frames, *args, **options)
        if self._cell is not None:
            try:
                self._record(frames)
            except (LookupError, TypeError, ValueError):  # and the thread that sends must go on
                # Not louder: a warning would be printed, and so shown in the cell.
                _log.debug("a message that is not as the protocol has it was not recorded", exc_info=True)

    def _record(self, frames: Sequence[bytes]) -> None:
        """``frames``: topics, delimiter, signature, header, parent, metadata, content, buffers."""
        start = list(frames).index(DELIM)
        header, parent, _metadata, content = frames[start + 2 : start + 6]
        unpack = self._kernel.session.unpack
        if self.too_large or unpack(parent).get("msg_id") != self._cell:
            return
        self._showing.add(unpack(header)["msg_type"], unpack(content))
        self._size += len(content)
        if self._size > LIMIT:
            # Much of it may have been cleared or replaced since.
            self._size = len(json.dumps(self._showing.outputs()))
            self.too_large = self._size > LIMIT

    def _settle(self) -> None:
        """Wait until what the cell has printed and displayed so far has passed."""
        deadline = time.monotonic() + _PATIENCE_PIPES
        while not all(map(_drained, self._streams)) and time.monotonic() < deadline:
            time.sleep(0.001)
        for stream in (*self._streams, sys.stdout, sys.stderr):
            stream.flush()
        passed = threading.Event()
        self._thread.schedule(passed.set)
        passed.wait(_PATIENCE)


def _drained(stream: OutStream) -> bool:
    """Whether ipykernel's thread has read, and handed on, what libraries and subprocesses wrote to the descriptor."""
    descriptor: int | None = stream._fid
    if descriptor is None:
        return True
    if any(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4))):
        return False
    # Nothing is left to read; when the thread waits for more, it is done with what it has read.
    try:
        call = Path(f"/proc/self/task/{stream.watch_fd_thread.native_id}/syscall").read_text()
    except OSError:  # not on this system, or the thread has ended
        time.sleep(0.005)  # to let it go on
        return True
    return call.split()[1:2] == [hex(descriptor)]
