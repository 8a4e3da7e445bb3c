"""The log service on a log of 5,000,000 lines: while it grows, when it is searched, and what others feel of that."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import threading
import time
import urllib.parse
import urllib.request
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median
from typing import Any

from disks import directory
from served import API, Client, Server, scratch_in, serving
from table import Row
from tornado.websocket import websocket_connect

from casa_recompute.casalog.index import LogIndex, Wanted
from casa_recompute.live import Teller
from casa_recompute.workspace import HOME
from jupyterlab_casa.managers.base import Root
from jupyterlab_casa.managers.logs import Logs

DAY, RATE = 86_400, 1_000
MESSAGES = (
    ("INFO", "tclean::::casa", "##### Begin Task: tclean             #####"),
    ("INFO", "tclean::::casa", "tclean( vis='w{0}.ms', selectdata=True, field='{1}', spw='0:5~{0}', niter={0} )"),
    ("INFO", "SynthesisImagerVi2::selectData", "MS : w{0}.ms | [Opened in readonly mode]"),
    ("INFO", "task_tclean::SynthesisUtilMethods::getResource", "{0} avail mem (GB), {1} used"),
    ("INFO", "task_tclean::SDAlgorithmBase::deconvolve", "[img:C{0}] iters=0->{1} [{1}], peakres=0.{0}->0.0{1} Jy"),
    ("INFO", "SIImageStore::calcSensitivity ", "[img{0}] Theoretical sensitivity (Jy/bm):0.000{1}"),
    ("INFO", "SIImageStore::calcSensitivity +", "                                   relative to natural: 1.{0}"),
    ("INFO", "FlagMSHandler::", "Chunk = {0} [progress: {1}%], Observation = 0, Scan = {1}, Channels = 63, Rows = {0}"),
    ("INFO", "Manual::chunkSummary", "=> Data flagged so far {1}.14286% ({0}/238140)"),
    ("INFO", "tclean::::casa", "Task tclean complete. Start time: 2026-01-01 14:28:19.{0} End time: 14:28:{1}"),
)
ALERTS = (
    ("WARN", "SIImageStore::restore (file SIImageStore.cc, line 2298)", "Restoring with an empty model image {0}"),
    ("SEVERE", "Calibrater::solve", "Insufficient unflagged antennas in solution interval {0}, spw {1}"),
)


def second(number: int, chance: random.Random) -> bytes:
    """What is written in one second, 1,000 lines."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(1_767_225_600 + number))
    rows = [MESSAGES[i % len(MESSAGES)] for i in range(RATE)]
    rows[chance.randrange(RATE)] = ALERTS[number % 50 == 0]
    values = [(chance.randrange(10_000), i % 100) for i in range(RATE)]
    lines = (f"{stamp}\t{p}\t{o}\t{m.format(*v)}\n" for (p, o, m), v in zip(rows, values, strict=True))
    return "".join(lines).encode()


def resident() -> float:
    """MB of memory that this process has."""
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def logs(seconds: int) -> Iterator[Row]:
    """A log of so many seconds of traffic."""
    with directory() as scratch:
        root, state = scratch_in(scratch, "root", "state")
        workspace = root / "w"
        home = workspace / HOME
        (home / "log").mkdir(parents=True)
        path = home / "log" / "casa-a1.log"
        yield from _growing(workspace, path, seconds)
        yield from _still(path)
        with serving(root, state) as running:
            yield from _beside(running)
        path.unlink()
        with serving(root, state) as running:
            yield from asyncio.run(_day(running, workspace, path, 4 * seconds))


def _growing(workspace: Path, path: Path, seconds: int) -> Iterator[Row]:
    teller = Teller(workspace / HOME, "a1", path)
    room, chance = Logs(Root(workspace)), random.Random(1)
    took, memory = array("d", bytes(8 * seconds)), array("d", bytes(8 * seconds))  # they do not grow

    async def follow() -> None:
        since = {"a1": 0}
        for number in range(seconds):
            with path.open("ab") as log:
                log.write(second(number, chance))
            began = time.process_time()
            while "a1" not in (news := await room.news(workspace, since)):
                pass
            took[number], memory[number] = 1e3 * (time.process_time() - began), resident()
            since["a1"] = news["a1"]["total"]
        await room.stop()

    asyncio.run(follow())
    teller.close()
    yield _in_a_day("the log service alone", memory)
    tenth = seconds // 10
    first, last = median(took[tenth : 2 * tenth]), median(took[-tenth:])
    yield Row("logs", "news of one second, CPU: at the end / beginning", 1.5, last / first, f"{last:.2f} ms")


def _still(path: Path) -> Iterator[Row]:
    index, before, began = LogIndex(path), resident(), time.perf_counter()
    cpu = time.process_time()
    index.update()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    size = f"{index.lines:,} lines ({index.size / 1e6:.0f} MB)"
    yield Row("logs", f"{size}: first reading, s", None, took, f"{cpu:.1f} s CPU, {resident() - before:.1f} MB memory")
    chance = random.Random(2)
    places = [chance.randrange(1, index.lines) for _ in range(200)]
    alerts = frozenset({"SEVERE"})
    rows: dict[str, Callable[[int], Any]] = {
        "window of 200 lines": lambda place: index.find(Wanted(), place, count=200),
        "last 10 SEVERE before a line": lambda place: index.find(
            Wanted(priorities=alerts), stop=place, count=10, backwards=True
        ),
        "20 hits of a text from a line on": lambda place: index.find(Wanted(text="EMPTY model"), place, count=20),
    }
    for what, job in rows.items():
        times = sorted(_milliseconds(lambda job=job, place=place: job(place), time.process_time) for place in places)
        detail = f"median {times[len(times) // 2]:.1f}"
        yield Row("logs", f"{what}, p99, ms of CPU", 100, times[int(len(times) * 0.99)], detail)
    for what, wanted in {
        "a text that is nowhere": Wanted(text="no such thing"),
        "a regular expression that is nowhere": Wanted(regex=r"peakres=0\.\d+->9\.\d+ Jy$"),
        "a hard regular expression that is nowhere": Wanted(regex=r"(\w+\s?)*qqq$"),
    }.items():
        before = resident()
        cpu = time.process_time()
        seconds = _milliseconds(lambda wanted=wanted: index.find(wanted)) / 1e3
        detail = f"{time.process_time() - cpu:.1f} s CPU, {resident() - before:.1f} MB memory"
        yield Row("logs", f"{what}: all lines, s", None, seconds, detail)


def _milliseconds(job: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    began = clock()
    job()
    return 1e3 * (clock() - began)


async def _day(server: Server, workspace: Path, path: Path, seconds: int) -> list[Row]:
    """A whole server, of which somebody reads the event stream and looks at the log; 50 times as fast as in life."""
    teller, client, chance, memory = Teller(workspace / HOME, "a1", path), Client(server), random.Random(4), array("d")
    url = f"ws://127.0.0.1:{server.port}/api/events/subscribe?token={server.token}"
    stream, heard = await websocket_connect(url), 0

    async def listen() -> None:
        nonlocal heard
        while (message := await stream.read_message()) is not None:
            heard += len(json.loads(message).get("lines", ()))

    listening = asyncio.ensure_future(listen())
    (workspace / "nb.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    began = time.monotonic()
    for number in range(seconds):
        with path.open("ab") as log:
            log.write(second(number, chance))
        if number % 250 == 0:
            await client.ask("POST", f"{API}/plan?path=w/nb.ipynb", {"cells": []})
            status, found = await client.ask("GET", f"{API}/logs/a1?path=w&text=EMPTY%20model")
            if status != 200:
                raise RuntimeError(f"the log cannot be read: {found}")
        memory.append(server.process.memory_info().rss / 1e6)
        await asyncio.sleep(max(0.0, began + (number + 1) / 50 - time.monotonic()))
    teller.close()
    listening.cancel()
    stream.close()
    if not heard:
        raise RuntimeError("no line came on the event stream")
    return [_in_a_day("a whole server", memory)]


def _in_a_day(what: str, memory: array[float]) -> Row:
    """By how much it would grow in a day, from its memory in MB after each second of traffic."""
    seconds = len(memory)
    tenth, half = seconds // 10, seconds // 2
    grown = mean(memory[-tenth:]) - mean(memory[half : half + tenth])  # when Python has what it needs
    share = DAY / (seconds - half - tenth)
    detail = f"{grown:.2f} MB in {24 / share:.2f} h, extrapolated; {memory[-1] - memory[0]:.2f} MB since the first line"
    target = 30 if seconds >= 2000 else None  # of minutes nothing follows for a day
    return Row("logs", f"24 h at {RATE:,} lines/s, {what}: growth, MB", target, grown * share, detail)


def _beside(server: Server) -> Iterator[Row]:
    """Others ask a server while two search the whole log."""

    def ask(address: str, **arguments: Any) -> Any:
        query = urllib.parse.urlencode({"path": "w", **arguments})
        request = urllib.request.Request(f"http://127.0.0.1:{server.port}{API}/{address}?{query}")
        request.add_header("Authorization", f"token {server.token}")
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    while not (known := ask("logs/a1"))["complete"]:
        pass
    done, asked = threading.Event(), itertools.count()

    def search(regex: str) -> None:
        place = 1
        while not done.is_set():
            place = ask("logs/a1", **{"from": place, "regex": regex})["next"] or 1
            next(asked)

    searches = [threading.Thread(target=search, args=(regex,)) for regex in ("no such thing", r"(\w+\s?)*qqq$")]
    for thread in searches:
        thread.start()
    chance, times = random.Random(3), dict[str, list[float]]({"status": [], "window": []})
    for _ in range(300):
        times["status"].append(_milliseconds(lambda: ask("status")))
        place = chance.randrange(1, known["total"])
        times["window"].append(_milliseconds(lambda place=place: ask("logs/a1", **{"from": place})))
        time.sleep(0.01)
    done.set()
    for thread in searches:
        thread.join()
    for what, target in (("status", 150), ("window", 150)):
        some = sorted(times[what])
        detail = f"median {some[len(some) // 2]:.1f}, longest {some[-1]:.0f}; {next(asked)} requests of searches"
        yield Row("logs", f"{what} during two searches of it, p99, ms", target, some[int(len(some) * 0.99)], detail)
