"""Plans while one types: of one long notebook, and of many at once through a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from cell_rows import CELLS, NOTEBOOK, RUNS, SHOWN, chain, notebook, times, told, with_history
from disks import directory
from table import Row

from casa_recompute.installation import Installation
from casa_recompute.notebook.model import CellSource
from casa_recompute.notebook.replan import Planner
from casa_recompute.settings import Settings

RATE, NOTEBOOKS, LENGTH = 100, 50, 200


def replan(count: int) -> Iterator[Row]:
    """One cell of 1,000 is edited: all cells below use what it makes, or (edited again) are already waiting for it."""
    cells = chain(CELLS)
    with notebook(*cells) as here:
        with_history(here, cells)
        settings = Settings(store="copy")
        casa, planner = Installation(settings), Planner(here.session.workspace.directory, NOTEBOOK, look_after=1e9)
        versions = iter(range(1 << 30))

        def edited(number: int) -> list[CellSource]:
            texts = cells | {f"c{number}": f"{cells[f'c{number}']}\nnew = {next(versions)}"}
            return [CellSource(cell, i, text, SHOWN) for i, (cell, text) in enumerate(texts.items())]

        fresh = [CellSource(cell, i, text, SHOWN) for i, (cell, text) in enumerate(cells.items())]
        for what, number, target in (("the first", 0, None), ("one in the middle", CELLS // 2, 20.0)):
            first, again = [], []
            for _ in range(count):
                planner.text(fresh, settings, casa)
                sources = edited(number)
                first += times(lambda sources=sources: planner.text(sources, settings, casa), 0, warm=False)
                sources = edited(number)
                again += times(lambda sources=sources: planner.text(sources, settings, casa), 0, warm=False)
            yield Row("replan", f"{CELLS} cells, {RUNS} runs, {what} edited", target, *told(first))
            yield Row("replan", f"{CELLS} cells, {RUNS} runs, {what} edited once more", 20.0, *told(again))
        planner.close()


def server(seconds: int) -> Iterator[Row]:
    """Plan requests at a steady rate, half of them of notebooks in which somebody has typed since."""
    with directory() as scratch:
        cells = chain(LENGTH)
        with notebook(*cells) as here:
            for cell, text in cells.items():
                here.run(cell, text)
            for number in range(NOTEBOOKS):
                shutil.copytree(here.session.workspace.directory, scratch / f"w{number}")
        with _server(scratch) as (port, token):
            took, errors = asyncio.run(_load(port, token, cells, seconds))
    took.sort()
    what = f"{NOTEBOOKS} notebooks of {LENGTH} cells, {RATE} requests/s for {seconds} s"
    detail = f"ms; median {took[len(took) // 2]:.1f}, longest {took[-1]:.0f}"
    yield Row("server", f"plans, {what}: errors", 0, errors)
    yield Row("server", f"plans, {what}: p99", 250, took[int(len(took) * 0.99)], detail)


@contextlib.contextmanager
def _server(root: Path) -> Iterator[tuple[int, str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    options = {
        "ServerApp.root_dir": str(root),
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "ServerApp.log_level": "ERROR",
        "ServerApp.jpserver_extensions": {"jupyterlab_casa": True},
        "IdentityProvider.token": token,
    }
    command = [sys.executable, "-m", "jupyter_server", *(f"--{name}={value}" for name, value in options.items())]
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    environment = os.environ | {name: str(root / ".jupyter") for name in places}
    environment |= {"PYTHONPATH": os.pathsep.join([*filter(None, sys.path)])}
    process = subprocess.Popen(command, env=environment, cwd=root)
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/jupyterlab-casa/api/status")
        request.add_header("Authorization", f"token {token}")
        for _ in range(600):
            with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(request):
                break
            time.sleep(0.1)
        yield port, token
    finally:
        process.terminate()
        process.wait(30)


async def _load(port: int, token: str, cells: dict[str, str], seconds: int) -> tuple[list[float], int]:
    """Milliseconds from when each request was due until it was answered, and how many were not answered well."""
    chance, errors, took = random.Random(1), 0, list[float]()
    texts = [dict(cells) for _ in range(NOTEBOOKS)]
    places = [chance.choice([*cells]) for _ in range(NOTEBOOKS)]
    free: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.LifoQueue()
    for _ in range(64):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port, limit=1 << 24))

    def request(number: int) -> bytes:
        if chance.random() < 0.5:  # somebody types, in one cell for a while, and takes half of it back
            if chance.random() < 0.1:
                if chance.random() < 0.5:
                    texts[number] = dict(cells)
                places[number] = chance.choice([*cells])
            cell = places[number]
            texts[number][cell] = f"{cells[cell]}\nnew = {chance.random()}"
        body = json.dumps({"cells": [{"id": cell, "source": text} for cell, text in texts[number].items()]}).encode()
        head = f"POST /jupyterlab-casa/api/plan?path=w{number}/{NOTEBOOK} HTTP/1.1\r\nHost: localhost\r\n"
        return f"{head}Authorization: token {token}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    async def ask(sent: bytes, due: float) -> None:
        nonlocal errors
        reader, writer = await free.get()
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.decode().split("\r\n") if line.lower().startswith("content-length"))
        answer = await reader.readexactly(int(length.split(":")[1]))
        took.append(1e3 * (time.perf_counter() - due))
        errors += b" 200 " not in head[:20] or not answer.endswith(b"]}")
        free.put_nowait((reader, writer))

    for number in range(NOTEBOOKS):  # they are opened
        await ask(request(number), time.perf_counter())
    took.clear()
    began, asked = time.perf_counter(), []
    for count in range(RATE * seconds):
        due = began + count / RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        asked.append(asyncio.ensure_future(ask(request(chance.randrange(NOTEBOOKS)), due)))
    await asyncio.gather(*asked)
    return took, errors
