"""Plans while one types: of one long notebook, and of many at once through a real server, whose kernels may be busy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator

import psutil
from cell_rows import CELLS, NOTEBOOK, SHOWN, chain, notebook, times, told, with_history
from core_rows import RAW
from disks import directory
from served import API, Client, Server, execute, scratch_in, serving, tree
from table import Row

from casa_recompute.installation import Installation
from casa_recompute.notebook.model import CellSource
from casa_recompute.notebook.replan import Planner
from casa_recompute.notebook.source import uses
from casa_recompute.settings import Settings

RATE, NOTEBOOKS, KERNELS, LENGTH = 100, 50, 20, 200
CLEAN = (
    "importuvfits(fitsfile='NGC5921.fits', vis='ngc5921.ms')\n"
    "for n in range(1000):\n"
    "    tclean(vis='ngc5921.ms', imagename=f'img{n}', imsize=512, cell='8arcsec', specmode='cube', niter=1000000)"
)
"""A task that does not end while it is measured, or else comes again."""


def replan(count: int) -> Iterator[Row]:
    """One cell of 1,000 is edited: all cells below use what it makes, or (edited again) are already waiting for it."""
    cells = chain(CELLS)
    with notebook(*cells) as here:
        with_history(here, cells)
        settings, versions = Settings(store="copy"), iter(range(1 << 30))
        casa, workspace = Installation(settings), here.session.workspace.directory

        def edited(number: int | None) -> list[CellSource]:
            more = {f"c{number}": f"{cells[f'c{number}']}\nnew = {next(versions)}"} if number is not None else {}
            return [CellSource(cell, i, text, SHOWN) for i, (cell, text) in enumerate((cells | more).items())]

        fresh = edited(None)
        for what, number in (("the first", 0), ("one in the middle", CELLS // 2), ("the last", CELLS - 1)):
            found: dict[str, list[float]] = {}
            used: dict[str, list[float]] = {}

            def planned(name: str, planner: Planner, sources: list[CellSource]) -> None:
                def action() -> None:
                    began = time.process_time()
                    planner.text(sources, settings, casa)
                    used.setdefault(name, []).append(1e3 * (time.process_time() - began))  # noqa: B023

                found.setdefault(name, []).extend(times(action, 0, warm=False))  # noqa: B023

            for _ in range(count):
                planner = Planner(workspace, NOTEBOOK, look_after=1e9)
                planner.text(fresh, settings, casa)
                while planner.prepare(1.0):  # half a second after the notebook was opened
                    continue
                planned("for the first time", planner, edited(number))
                planned("once more", planner, edited(number))
                planned("back", planner, fresh)
                planned("again", planner, edited(number))
                planner.close()
            uses.cache_clear()
            planner = Planner(workspace, NOTEBOOK, look_after=1e9)
            planner.text(fresh, settings, casa)
            planned("within half a second of opening", planner, edited(number))
            planner.close()
            for name, took in found.items():
                target = None if name.startswith("within") else 20.0
                cpu = f"; of CPU {statistics.median(used[name]):.1f}"
                yield Row("replan", f"{CELLS} cells, {what} edited {name}", target, *told(took, cpu))


def server(seconds: int) -> Iterator[Row]:
    """Plan requests at a steady rate, half of them of notebooks in which somebody has typed since."""
    with directory() as scratch:
        cells = chain(LENGTH)
        root, state = scratch_in(scratch, "root", "state")
        with notebook(*cells) as here:
            for cell, text in cells.items():
                here.run(cell, text)
            for number in range(NOTEBOOKS):
                shutil.copytree(here.session.workspace.directory, root / f"w{number}")
        with serving(root, state, {}) as running:
            client = Client(running)
            typist = Typist(client, cells)

            async def load() -> Load:
                for number in range(NOTEBOOKS):  # they are opened
                    await client.send(typist.request(number))
                opened = [await client.start_kernel(f"w{number}/{NOTEBOOK}") for number in range(KERNELS)]
                await _until_idle(client, len(opened))
                return await steadily(client, lambda: ("plan", typist.request()), RATE, seconds)

            found = asyncio.run(load())
    what = f"{NOTEBOOKS} notebooks of {LENGTH} cells, {KERNELS} kernels, {RATE}/s for {seconds} s"
    yield Row("server", f"{what}: errors", 0, found.errors)
    yield Row("server", f"{what}: p99", 250, percentile(found.took["plan"], 99), found.told("plan"))


def busy(seconds: int) -> Iterator[Row]:
    """Requests while kernels are inside a long tclean, one for each core up to four."""
    with directory() as scratch:
        cells, cores = chain(LENGTH), min(4, os.cpu_count() or 1)
        root, state = scratch_in(scratch, "root", "state")
        with notebook(*cells) as here:
            for cell, text in cells.items():
                here.run(cell, text)
            for number in range(cores):
                shutil.copytree(here.session.workspace.directory, root / f"w{number}")
                shutil.copy(RAW, root / f"w{number}")
        with serving(root, state) as running:
            client = Client(running)
            typist = Typist(client, cells, cores)

            async def load() -> tuple[Load, float, float]:
                kernels = [await client.start_kernel(f"w{number}/{NOTEBOOK}") for number in range(cores)]
                channels = [await client.connect(kernel) for kernel in kernels]
                tasks = [asyncio.ensure_future(execute(one, "c0", CLEAN, [*cells], NOTEBOOK)) for one in channels]
                while not all((root / f"w{number}" / "img0.psf").exists() for number in range(cores)):
                    await asyncio.sleep(0.2)
                    _still(tasks)
                paths = {
                    "kernels": f"{API}/kernels",
                    "logs": f"{API}/logs?path=w0",
                    "status": f"{API}/status",
                    "versions": f"{API}/versions?path=w0",
                    "store": f"{API}/store?path=w0",
                    "Jupyter's kernels": "/api/kernels",
                }
                there = [name for name, path in paths.items() if (await client.ask("GET", path))[0] == 200]
                asked = {name: client.request("GET", paths[name]) for name in there}
                chance = random.Random(2)

                def request() -> tuple[str, bytes]:
                    name = chance.choice(["plan", *asked])
                    return name, asked[name] if name in asked else typist.request()

                opened = [await _timed(client.send(typist.request(number))) for number in range(cores)]
                before, began = _cpu(running), time.perf_counter()
                found = await steadily(client, request, 20, seconds)
                used = (_cpu(running) - before) / (time.perf_counter() - began)
                _still(tasks)
                for task, kernel in zip(tasks, kernels, strict=True):
                    task.cancel()
                    await client.ask("DELETE", f"/api/kernels/{kernel}")
                return found, used, max(opened)

            found, used, opened = asyncio.run(load())
    detail = f"kernels and their workers use {used:.2f} of {os.cpu_count()} cores"
    yield Row("busy", f"while tclean runs, 20 requests/s for {seconds} s: errors", 0, found.errors, detail)
    for name in sorted(found.took):
        yield Row("busy", f"while tclean runs: {name}, p99", 150, percentile(found.took[name], 99), found.told(name))
    yield Row("busy", f"while tclean runs: a notebook of {LENGTH} cells is opened", None, 1e3 * opened, "ms")


async def _timed(request: Awaitable[object]) -> float:
    """Seconds until it is answered."""
    began = time.perf_counter()
    await request
    return time.perf_counter() - began


def _still(tasks: list[asyncio.Task[str]]) -> None:
    for task in tasks:
        if task.done():
            raise RuntimeError(f"tclean has ended: {task.result()}")


def _cpu(server: Server) -> float:
    """Seconds of CPU that the server's kernels and their workers have used."""
    total = 0.0
    for process in tree(server.process)[1:]:
        with contextlib.suppress(psutil.Error):
            total += sum(process.cpu_times()[:2])
    return total


class Load:
    """What came of many requests."""

    def __init__(self) -> None:
        self.took: dict[str, list[float]] = {}
        """Milliseconds from when a request was due until it was answered, by what was asked for."""
        self.errors = 0
        self.late: list[float] = []
        """Milliseconds that the generator itself was late; part of ``took``."""

    def told(self, name: str) -> str:
        """In words."""
        took = self.took[name]
        rest = f"median {percentile(took, 50):.1f}, longest {max(took):.0f} of {len(took)}"
        late = f"the generator was late by {percentile(self.late, 99):.1f} at p99"
        return f"ms; {rest}; {late}; load {os.getloadavg()[0]:.1f}"


async def steadily(client: Client, request: Callable[[], tuple[str, bytes]], rate: int, seconds: int) -> Load:
    """Send requests at a steady rate, whether or not those before were answered."""
    found, asked = Load(), []

    async def ask(name: str, sent: bytes, due: float) -> None:
        try:
            status, answer = await client.send(sent)
        except (OSError, asyncio.IncompleteReadError):
            status, answer = 0, b""
        found.took.setdefault(name, []).append(1e3 * (time.perf_counter() - due))
        found.errors += status != 200 or answer[:1] not in (b"{", b"[")

    began = time.perf_counter()
    for count in range(rate * seconds):
        due = began + count / rate
        name, sent = request()
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        found.late.append(max(0.0, 1e3 * (time.perf_counter() - due)))
        asked.append(asyncio.ensure_future(ask(name, sent, due)))
    await asyncio.gather(*asked)
    return found


class Typist:
    """Somebody types, in one cell for a while, and takes half of it back."""

    def __init__(self, client: Client, cells: dict[str, str], notebooks: int = NOTEBOOKS) -> None:
        self._client, self._cells, self._chance = client, cells, random.Random(1)
        self._texts = [dict(cells) for _ in range(notebooks)]
        self._places = [self._chance.choice([*cells]) for _ in range(notebooks)]

    def request(self, number: int | None = None) -> bytes:
        """For the plan of a notebook, by default of any."""
        chance = self._chance
        number = chance.randrange(len(self._texts)) if number is None else number
        if chance.random() < 0.5:
            if chance.random() < 0.1:
                if chance.random() < 0.5:
                    self._texts[number] = dict(self._cells)
                self._places[number] = chance.choice([*self._cells])
            cell = self._places[number]
            self._texts[number][cell] = f"{self._cells[cell]}\nnew = {chance.random()}"
        cells = [{"id": cell, "source": text} for cell, text in self._texts[number].items()]
        return self._client.request(
            "POST", f"{API}/plan?path=w{number}/{NOTEBOOK}", json.dumps({"cells": cells}).encode()
        )


async def _until_idle(client: Client, kernels: int) -> None:
    """Kernels have started."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        _, found = await client.ask("GET", "/api/kernels")
        if sum(kernel["execution_state"] in ("idle", "starting") for kernel in found) >= kernels:
            break
        await asyncio.sleep(0.5)
    await asyncio.sleep(10)


def percentile(took: list[float], percent: int) -> float:
    """Of all, so many percent are less."""
    return sorted(took)[min(len(took) - 1, len(took) * percent // 100)]
