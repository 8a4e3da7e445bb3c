"""The windows on an X display, and pictures of them, taken by another process than the one that owns the display.

Speaks the X11 protocol (version 11.0, little-endian): a display is one among many in a server, and Xlib's way to find a
display's cookie is an environment variable of the whole process.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

from PIL import Image

from casa_recompute.runner.worker.x11 import connect_display

_GET_ATTRIBUTES, _GET_GEOMETRY, _QUERY_TREE, _INTERN_ATOM, _GET_PROPERTY, _GET_IMAGE = 3, 14, 15, 16, 20, 73  # requests
_WM_NAME, _ANY_TYPE, _Z_PIXMAP, _ALL_PLANES = 39, 0, 2, 0xFFFFFFFF
_VIEWABLE, _INPUT_ONLY = 2, 2
_TITLE = 1024  # bytes of a title
_LARGEST = 1 << 28  # bytes of an answer: a screen of 8192 x 8192 pixels


class NoWindow(LookupError):
    """There is no such window, or it shows nothing now."""


@dataclass(frozen=True)
class Window:
    """A window on a display; the numbers are pixels."""

    id: int
    title: str
    x: int
    y: int
    width: int
    height: int


class _Refused(OSError):
    """The X server answered a request with an error: the window has gone, or cannot be drawn."""


class Screen:
    """A connection to a display's first screen; a context manager. Not thread safe."""

    def __init__(self, display: str, authority: str | None = None) -> None:
        """Connect.

        Args:
            display: its name, as ``:99``.
            authority: file with its cookie.

        Raises:
            OSError: there is no such display, it refuses, or it does not answer within 4 s.
        """
        self._connection = connect_display(display, authority)
        try:
            _, _, length = struct.unpack("<xHHH", self._receive(7))
            setup = self._receive(4 * length)
            vendor, formats = struct.unpack_from("<H", setup, 16)[0], setup[21]
            at = 32 + vendor + -vendor % 4
            self._bits = {setup[at + 8 * number]: setup[at + 8 * number + 1] for number in range(formats)}  # by depth
            self.root, self.width, self.height = struct.unpack_from("<I16xHH", setup, at + 8 * formats)
        except (OSError, struct.error, IndexError) as error:
            self._connection.close()
            raise error if isinstance(error, OSError) else OSError("this is no X server") from error

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def windows(self) -> list[Window]:
        """The windows that programs show now, the lowest first.

        Raises:
            OSError: the display was lost.
        """
        reply = self._ask(_QUERY_TREE, 0, "<I", self.root)
        found = []
        for (window,) in struct.iter_unpack("<I", reply[32:]):
            try:
                attributes = self._ask(_GET_ATTRIBUTES, 0, "<I", window)
                if attributes[26] == _VIEWABLE and struct.unpack_from("<H", attributes, 12)[0] != _INPUT_ONLY:
                    x, y, width, height = self._geometry(window)
                    if width > 1 and height > 1:  # others are of use to their programs only
                        found.append(Window(window, self._title(window), x, y, width, height))
            except _Refused:
                continue  # it has gone meanwhile
        return found

    def picture(self, window: int | None = None) -> bytes:
        """A window, or the whole screen, as a PNG file. Where another window lies over it, that one may be seen.

        Raises:
            NoWindow: there is no such window, or none of it is on the screen.
            OSError: the display was lost.
        """
        try:
            drawable = self.root if window is None else window
            x, y, width, height = self._geometry(drawable)
            left, top = max(0, -x), max(0, -y)
            width, height = min(width, self.width - x) - left, min(height, self.height - y) - top
            if width <= 0 or height <= 0:
                raise NoWindow("none of the window is on the screen")
            box = (drawable, left, top, width, height, _ALL_PLANES)
            reply = self._ask(_GET_IMAGE, _Z_PIXMAP, "<IhhHHI", *box)
        except _Refused as error:
            raise NoWindow("the window has gone, or shows nothing now") from error
        if self._bits.get(reply[1]) != 32:
            raise NoWindow(f"a screen of {reply[1]} bits per pixel cannot be pictured")
        image = Image.frombuffer("RGB", (width, height), reply[32:], "raw", "BGRX", 0, 1)
        stream = io.BytesIO()
        image.save(stream, "PNG", compress_level=3)
        return stream.getvalue()

    def _geometry(self, window: int) -> tuple[int, int, int, int]:
        reply = self._ask(_GET_GEOMETRY, 0, "<I", window)
        x, y, width, height = struct.unpack_from("<hhHH", reply, 12)
        return x, y, width, height

    def _title(self, window: int) -> str:
        for atom in (self._atom("_NET_WM_NAME"), _WM_NAME):
            reply = self._ask(_GET_PROPERTY, 0, "<IIIII", window, atom, _ANY_TYPE, 0, _TITLE // 4)
            length = struct.unpack_from("<I", reply, 16)[0] if reply[1] == 8 else 0  # of bytes
            if length:
                return reply[32 : 32 + length].decode("utf-8", "replace")
        return ""

    def _atom(self, name: str) -> int:
        data = name.encode()
        reply = self._ask(_INTERN_ATOM, 0, f"<HH{len(data) + -len(data) % 4}s", len(data), 0, data)
        atom: int = struct.unpack_from("<I", reply, 8)[0]
        return atom

    def send(self, opcode: int, detail: int, layout: str, *values: Any) -> None:
        """Send a request to which there is no answer.

        Raises:
            OSError: the display was lost.
        """
        body = struct.pack(layout, *values)
        self._connection.sendall(struct.pack("<BBH", opcode, detail, 1 + len(body) // 4) + body)

    def _ask(self, opcode: int, detail: int, layout: str, *values: Any) -> bytes:
        self.send(opcode, detail, layout, *values)
        while True:
            answer = self._receive(32)
            if answer[0] == 0:
                raise _Refused(f"X error {answer[1]}")
            if answer[0] == 1:
                size = 4 * int.from_bytes(answer[4:8], "little")
                if size > _LARGEST:
                    raise OSError("this is no X server")
                return answer + self._receive(size)
            # else an event, of those that all clients get

    def _receive(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self._connection.recv(min(size - len(data), 1 << 20))
            if not piece:
                raise OSError("the X server has ended")
            data += piece
        return bytes(data)
