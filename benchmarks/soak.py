"""Use a server hard for a while, and see that nothing goes wrong and nothing grows: ``make soak``.

SOAK_MINUTES (default 10) of: notebooks that are edited, planned, run and looked into, in kernels on the tests' stand-in
for CASA, which are interrupted, killed and started anew at random; logs that grow by 1,000 lines/s; the store collected
now and then. It ends with 1 when a request is answered with 5xx, the server writes a traceback, memory, descriptors or
threads grow beyond the bounds below, or a process is left over.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
from disks import directory
from served import API, Client, Server, execute, scratch_in, serving

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
NOTEBOOKS, KERNELS, LINES = 6, 3, 1000
DAILY = 30 << 20
"""Bytes by which the server may grow in a day of such use, when it is warm."""
WARM = 0.25
"""Part of the time after which it is warm."""
SLACK = 40 << 20
"""Bytes by which it may grow while it is measured; what a short run can tell is no finer."""
DESCRIPTORS, THREADS = 400, 80
CELLS = {
    "parameters": "niter = 3\nfield = '0'",
    "import": "importuvfits(fitsfile='raw.fits', vis='a.ms')",
    "flag": "flagdata(vis='a.ms', field=field)",
    "gain": "gaincal(vis='a.ms', caltable='a.gcal', solint='inf')\napplycal(vis='a.ms', gaintable=['a.gcal'])",
    "split": "split(vis='a.ms', outputvis='b.ms')",
    "clean": "done = tclean(vis='b.ms', imagename='img', niter=niter)",
    "table": "rows = [niter * i for i in range(1000)]\ntotal = sum(rows)",
}


class Soak:
    """All that goes on."""

    def __init__(self, server: Server) -> None:
        self.server, self.client, self.chance = server, Client(server), random.Random(time.time_ns())
        self.end = time.monotonic() + 60 * MINUTES
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.samples: list[tuple[float, int, int, int]] = []
        self.kernels: set[str] = set()
        self.slowest = 0.0

    @property
    def on(self) -> bool:
        """Whether there is time left."""
        return time.monotonic() < self.end

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        """Ask the server; what it must never answer is noted."""
        began = time.perf_counter()
        try:
            status, answer = await self.client.ask(method, path, body)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            status, answer = 599, repr(error)
        self.slowest = max(self.slowest, time.perf_counter() - began)
        self.done[f"{method} {path.partition('?')[0]}" if path.startswith(API) else "Jupyter's own"] += 1
        if status >= 500:
            self.wrong.append(f"{method} {path} was answered {status}: {str(answer)[:300]}")
        return status, answer

    async def author(self, number: int) -> None:
        """Edits a notebook and looks at its plan; sometimes looks into what there is."""
        texts, chance, place = dict(CELLS), self.chance, f"w{number}"
        while self.on:
            if chance.random() < 0.5:
                cell = chance.choice([*texts])
                texts[cell] = CELLS[cell] + chance.choice(["", "", f"\nnew = {chance.randrange(10)}"])
            if chance.random() < 0.1:
                texts["parameters"] = f"niter = {chance.randrange(5)}\nfield = '{chance.randrange(3)}'"
            cells = [{"id": cell, "source": text} for cell, text in texts.items()]
            self.texts[number] = texts
            what = chance.choice(["plan"] * 6 + ["graph"])
            await self.ask("POST", f"{API}/{what}?path={place}/nb.ipynb", {"cells": cells})
            looks = [f"cells/{chance.choice([*texts])}?path={place}/nb.ipynb", f"versions?path={place}"]
            looks += [f"runs/1?path={place}/nb.ipynb", f"store?path={place}", f"logs?path={place}"]
            looks += ["kernels", "tasks/split"]
            if chance.random() < 0.3:
                await self.ask("GET", f"{API}/{chance.choice(looks)}")
            if chance.random() < 0.02:
                await self.ask("POST", f"{API}/store/collection?path={place}&budget=0")
            await asyncio.sleep(chance.expovariate(4))

    async def user(self, number: int) -> None:
        """Runs a notebook's cells in a kernel, which goes in one way or another, and comes again."""
        chance, place = self.chance, f"w{number}/nb.ipynb"
        while self.on:
            try:
                kernel = await self.client.start_kernel(place)
            except (RuntimeError, TimeoutError) as error:
                self.wrong.append(f"a kernel did not start: {error}")
                break
            self.done["kernels started"] += 1
            self.kernels.add(kernel)
            channels = await self.client.connect(kernel)
            ways = ["shut down", "shut down", "killed"]
            until = min(self.end, time.monotonic() + chance.uniform(10, 60))
            while time.monotonic() < until:
                cell = chance.choice([*CELLS])
                running = asyncio.ensure_future(
                    execute(channels, cell, self.texts[number][cell], [*CELLS], "nb.ipynb")
                )
                try:
                    if chance.random() < 0.1:
                        await asyncio.sleep(chance.uniform(0.0, 1.0))
                        await self.ask("POST", f"/api/kernels/{kernel}/interrupt")
                    self.done[f"cells: {await asyncio.wait_for(running, 120)}"] += 1
                except TimeoutError:
                    self.wrong.append(f"cell {cell} did not end")
                    until = 0
            channels.close()
            way = chance.choice(ways)
            if way == "killed":
                with contextlib.suppress(psutil.NoSuchProcess):
                    for process in self.server.process.children():
                        if f"kernel-{kernel}" in " ".join(process.cmdline()):
                            process.send_signal(signal.SIGKILL)
                await self.back_again(kernel)
            await self.ask("DELETE", f"/api/kernels/{kernel}")
            self.done[f"kernels {way}"] += 1
            self.kernels.discard(kernel)

    async def back_again(self, kernel: str) -> None:
        """Wait until Jupyter has started a killed kernel anew: its own handler fails when one shuts it down earlier."""
        end = time.monotonic() + 120
        await asyncio.sleep(5)
        while time.monotonic() < end:
            channels = await self.client.connect(kernel)
            try:
                if await asyncio.wait_for(execute(channels, "", "1", [], ""), 30) == "ok":
                    return
            except TimeoutError:
                continue
            finally:
                channels.close()
        self.wrong.append(f"kernel {kernel} did not come back")

    async def logger(self, home: Path) -> None:
        """Writes as CASA does, so much that its limits are seen."""
        batch, written = LINES // 10, 0
        began = time.monotonic()
        while self.on:
            due = int((time.monotonic() - began) * LINES)
            with (home / "soak.log").open("a") as stream:
                while written < due:
                    lines = [_line(written + i) for i in range(batch)]
                    stream.writelines(lines)
                    written += batch
            self.done["lines logged"] = written
            await asyncio.sleep(0.1)

    async def observer(self) -> None:
        """Samples what the server takes."""
        process = self.server.process
        while self.on:
            with process.oneshot():
                self.samples.append(
                    (time.monotonic(), process.memory_info().rss, process.num_fds(), process.num_threads())
                )
            await asyncio.sleep(1)

    async def run(self, root: Path) -> None:
        """All at once."""
        self.texts = [dict(CELLS) for _ in range(NOTEBOOKS)]
        log = root / "w0" / ".casa-recompute" / "log"
        log.mkdir(parents=True)
        jobs = [self.author(number) for number in range(NOTEBOOKS)]
        jobs += [self.user(number) for number in range(KERNELS)]
        await asyncio.gather(*jobs, self.logger(log), self.observer())


def _line(number: int) -> str:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    return f"{stamp}\tINFO\ttclean::::casa\tmajor cycle {number} of an image that never ends, residual {number % 997}\n"


def judged(soak: Soak, log: str) -> list[str]:
    """What broke a bound; figures are printed."""
    wrong = [*soak.wrong]
    began = soak.samples[0][0]
    warm = [sample for sample in soak.samples if sample[0] - began > WARM * 60 * MINUTES] or soak.samples
    for name, count in sorted(soak.done.items()):
        print(f"{count:>9}  {name}")
    third = max(1, len(warm) // 3)
    first, last = (sum(s[1] for s in part) / len(part) for part in (warm[:third], warm[-third:]))
    apart = max(1.0, (warm[-1][0] - warm[0][0]) * 2 / 3)
    growth = last - first
    daily = growth / apart * 86400
    megabytes = 1 << 20
    print(f"memory (RSS) {soak.samples[0][1] / megabytes:.0f} MiB at first, {first / megabytes:.0f} MiB when warm, "
          f"{last / megabytes:.0f} MiB at the end: {growth / megabytes:+.1f} MiB in {apart:.0f} s, "
          f"{daily / megabytes:+.0f} MiB a day if it went on so")  # fmt: skip
    print(f"descriptors: at most {max(s[2] for s in warm)}; threads: at most {max(s[3] for s in warm)}; "
          f"slowest answer {soak.slowest:.1f} s; load {os.getloadavg()[0]:.1f}")  # fmt: skip
    if growth > SLACK or (apart > 3600 and daily > DAILY):
        wrong.append(f"memory grew by {growth / megabytes:.1f} MiB in {apart:.0f} s")
    if max(s[2] for s in warm) > DESCRIPTORS:
        wrong.append(f"more than {DESCRIPTORS} descriptors were open")
    if max(s[3] for s in warm) > THREADS:
        wrong.append(f"more than {THREADS} threads ran")
    if "Traceback" in log:
        wrong.append("the server wrote a traceback:\n" + log[max(0, log.index("Traceback") - 300) :][:3000])
    return wrong


def main() -> int:
    """Soak; 1 when something was wrong."""
    with directory() as scratch:
        root, state = scratch_in(scratch, "root", "state")
        for place in scratch_in(root, *(f"w{number}" for number in range(NOTEBOOKS))):
            (place / "raw.fits").write_bytes(b"raw data" * 1000)
        with serving(root, state, {"FAKE_PAUSE": "0.02"}) as server:
            soak = Soak(server)
            asyncio.run(soak.run(root))
            wrong_kernels = sorted(soak.kernels)
        end = time.monotonic() + 30
        while (left := server.left()) and time.monotonic() < end:
            time.sleep(0.5)
        wrong = judged(soak, server.log.read_text(errors="replace"))
        wrong += [f"kernel {kernel} was not ended" for kernel in wrong_kernels]
        for process in left:
            with contextlib.suppress(psutil.Error):
                wrong.append(f"left over: {process.pid} {' '.join(process.cmdline())[:200]}")
                process.kill()
    for one in wrong[:20]:
        print(f"WRONG: {one}")
    print(f"{MINUTES:g} minutes: {'nothing was wrong' if not wrong else f'{len(wrong)} things were wrong'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
