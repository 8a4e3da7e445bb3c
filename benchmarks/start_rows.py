"""How long until a kernel answers, against ipykernel's own."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import zmq
from disks import directory
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.connect import write_connection_file
from table import Row


def start(module: str, cwd: Path, number: int) -> tuple[float, float]:
    """Seconds from the start of a kernel's process to its first answer, and to the answer of its first cell."""
    file, _ = write_connection_file(str(cwd / f"connection-{module}-{number}.json"))
    context = zmq.Context()
    context.setsockopt(zmq.RECONNECT_IVL, 2)  # ms; by default one would measure steps of 100 ms
    client = BlockingKernelClient(connection_file=file, context=context)
    client.load_connection_file()
    began = time.perf_counter()
    command = [sys.executable, "-m", module, "-f", file]
    environment = {**os.environ, "JPY_PARENT_PID": str(os.getpid())}  # as Jupyter starts it
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=cwd, env=environment, **quiet) as process:
        try:
            client.start_channels(hb=False)
            client.kernel_info()
            client.get_shell_msg(timeout=60)
            answered = time.perf_counter() - began
            asked = client.execute("1 + 1")
            while client.get_shell_msg(timeout=60)["parent_header"].get("msg_id") != asked:
                continue
            executed = time.perf_counter() - began
            client.shutdown()
            process.wait(30)
        finally:
            process.kill()
            client.stop_channels()
    return answered, executed


def kernel_start(count: int) -> list[Row]:
    """Both kernels in turn, so that a busy machine is unfair to neither."""
    times: dict[str, list[tuple[float, float]]] = {"ipykernel_launcher": [], "casa_kernel": []}
    with directory() as scratch:
        for number in range(count + 1):
            for module, found in times.items():
                found.append(start(module, scratch, number))
    rows = []
    for place, what in enumerate(("answers", "has executed its first cell")):
        plain, ours = (statistics.median(pair[place] for pair in found[1:]) for found in times.values())
        detail = f"{1e3 * ours:.0f} ms, ipykernel {1e3 * plain:.0f} ms"
        rows.append(Row("start", f"kernel {what}", 1.3 if not place else None, ours / plain, detail))
    return rows
