"""Windows are listed and pictured from outside, by who has the display's cookie."""

from __future__ import annotations

import io
import os
import select
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from casa_recompute.display import Display
from casa_recompute.display.windows import NoWindow, Screen, Window

_CREATE, _DESTROY, _MAP, _PROPERTY = 1, 4, 8, 18
_STRING, _WM_NAME, _BACKGROUND = 31, 39, 0x2


def screen_of(display: Display) -> Screen:
    return Screen(display.env()["DISPLAY"], display.env()["XAUTHORITY"])


class Client(Screen):
    """A program with windows."""

    def show(self, title: str, x: int, y: int, width: int, height: int, colour: int, mapped: bool = True) -> int:
        self._number = getattr(self, "_number", 0) + 1
        window = self._base() + self._number
        self.send(
            _CREATE, 0, "<IIhhHHHHIII", window, self.root, x, y, width, height, 0, 1, 0, _BACKGROUND, colour
        )  # fmt: skip
        data = title.encode()
        padded = data + b"\0" * (-len(data) % 4)
        self.send(_PROPERTY, 0, f"<IIIB3xI{len(padded)}s", window, _WM_NAME, _STRING, 8, len(data), padded)
        if mapped:
            self.send(_MAP, 0, "<I", window)
        self._atom("WM_NAME")  # an answer: all before it is done
        return window

    def close(self, window: int) -> None:
        self.send(_DESTROY, 0, "<I", window)
        self._atom("WM_NAME")

    def _base(self) -> int:
        return self.base

    def __init__(self, display: Display) -> None:
        received: list[bytes] = []
        receive = self._receive

        def note(size: int) -> bytes:
            received.append(receive(size))
            return received[-1]

        self._receive = note  # type: ignore[method-assign]
        super().__init__(display.env()["DISPLAY"], display.env()["XAUTHORITY"])
        (self.base,) = struct.unpack_from("<I", received[1], 4)
        self._receive = receive  # type: ignore[method-assign]


@pytest.fixture
def client(display: Display) -> Iterator[Client]:
    with Client(display) as running:
        yield running


def image(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def test_an_empty_screen(display: Display) -> None:
    with screen_of(display) as screen:
        assert screen.windows() == []
        whole = image(screen.picture())
        assert whole.size == (1600, 1200) and whole.getbbox() is None


def test_windows_are_listed_and_pictured(display: Display, client: Client) -> None:
    red = client.show("Röd", 10, 20, 300, 200, 0xFF0000)
    blue = client.show("blue", 600, 20, 100, 50, 0x0000FF)
    client.show("not shown", 0, 0, 100, 100, 0x00FF00, mapped=False)
    client.show("tiny", 0, 0, 1, 1, 0x00FF00)
    with screen_of(display) as screen:
        assert screen.windows() == [Window(red, "Röd", 10, 20, 300, 200), Window(blue, "blue", 600, 20, 100, 50)]
        assert image(screen.picture(red)).getcolors() == [(300 * 200, (255, 0, 0))]
        assert image(screen.picture(blue)).getcolors() == [(100 * 50, (0, 0, 255))]
        assert image(screen.picture()).getpixel((610, 30)) == (0, 0, 255)


def test_what_is_beyond_the_edge_is_left_out(display: Display, client: Client) -> None:
    corner = client.show("corner", -100, 1100, 300, 200, 0x123456)
    outside = client.show("outside", 2000, 10, 50, 50, 0x123456)
    with screen_of(display) as screen:
        assert image(screen.picture(corner)).size == (200, 100)
        with pytest.raises(NoWindow, match="on the screen"):
            screen.picture(outside)


def test_a_window_that_has_gone(display: Display, client: Client) -> None:
    window = client.show("short", 0, 0, 10, 10, 0x123456)
    hidden = client.show("hidden", 0, 0, 10, 10, 0x123456, mapped=False)
    client.close(window)
    with screen_of(display) as screen:
        for gone in (window, hidden, 0, 0xFFFFFFFF):
            with pytest.raises(NoWindow):
                screen.picture(gone)
        assert screen.picture()  # the connection is as good as before


def test_only_with_the_cookie(display: Display, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(OSError, match="refuses"):
        Screen(display.env()["DISPLAY"], str(tmp_path / "empty"))


def test_a_frozen_display_is_told_soon(tmp_path: Path) -> None:
    with Display(tmp_path) as display, screen_of(display) as screen:
        assert display._server is not None and display._server.proc is not None
        os.kill(display._server.proc.pid, signal.SIGSTOP)
        try:
            with pytest.raises(OSError):
                screen.windows()
            with pytest.raises(OSError):
                screen_of(display)
        finally:
            os.kill(display._server.proc.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    "answer", [b"", b"\1\0", b"\1" + b"\xff" * 7, b"\1" + bytes(7), b"\1" + bytes(5) + b"\4\0" + b"\xff" * 16]
)
def test_a_display_that_breaks_off(answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = socket.socketpair()

    def connect(*_: Any) -> socket.socket:
        return near

    monkeypatch.setattr("casa_recompute.display.windows.connect_display", connect)
    near.settimeout(1)
    threading.Thread(target=lambda: (far.sendall(answer), far.close())).start()
    with pytest.raises(OSError):
        Screen(":7")


def test_what_is_no_display_does_not_fill_the_memory(display: Display, monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = socket.socketpair()
    with screen_of(display) as screen:
        screen._connection.close()
        monkeypatch.setattr(screen, "_connection", near)
        far.sendall(b"\1" + bytes(3) + b"\xff" * 4 + bytes(24))
        with pytest.raises(OSError, match="no X server"):
            screen.windows()
    far.close()


def test_a_cookie_file_that_is_cut_off(display: Display, tmp_path: Path) -> None:
    whole = Path(display.env()["XAUTHORITY"]).read_bytes()
    for end in range(len(whole)):
        (tmp_path / "part").write_bytes(whole[:end])
        with pytest.raises(OSError, match="refuses"):
            Screen(display.env()["DISPLAY"], str(tmp_path / "part"))


def test_the_browser_of_tables_is_a_window(desk: Any, data: Path, display: Display) -> None:
    desk.begin("browsetable", tablename=str(data / "n.ms"))
    titles: set[str] = set()
    pictured = 0
    with screen_of(display) as screen:
        while not select_answer(desk):
            for window in screen.windows():
                titles.add(window.title)
                try:
                    pictured = max(pictured, len(screen.picture(window.id)))
                except NoWindow:
                    continue
    desk.end()
    assert any("n.ms" in title or "browser" in title.lower() for title in titles), titles
    assert pictured > 5000


def select_answer(desk: Any) -> bool:
    return bool(select.select([desk._answers], [], [], 0.1)[0])
