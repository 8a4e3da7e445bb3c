"""Kernels get their limits, and leave nothing, however they or their server end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from jupyter_client import KernelManager
from jupyter_client.blocking import BlockingKernelClient
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from traitlets.config import Config

from jupyterlab_casa import keeper
from jupyterlab_casa.provisioner import CasaProvisioner
from tests.kernels.conftest import SLOW, call_of, eventually, gone, of_kernel, processes_with

SERVER = """
import sys, time
from jupyter_client import KernelManager
manager = KernelManager(kernel_name="casa")
manager.start_kernel(cwd=sys.argv[1])
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=90)
client.execute(sys.argv[2])
print(manager.kernel_id, manager.provisioner.pid, flush=True)
time.sleep(600)
"""
DRAW = """
import casadata
importuvfits(fitsfile=casadata.datapath + '/demo/3C273XC1.fits', vis='a.ms')
plotms(vis='a.ms', xaxis='time', yaxis='amp')
"""
Started = tuple[KernelManager, BlockingKernelClient]


@pytest.fixture
def kernel(kernelspec: str, space: Path) -> Iterator[Started]:
    manager = KernelManager(kernel_name=kernelspec)
    manager.start_kernel(cwd=str(space))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=90)
    yield manager, client
    client.stop_channels()
    if manager.has_kernel:
        manager.shutdown_kernel(now=True)


def provisioner(manager: KernelManager) -> CasaProvisioner:
    assert isinstance(manager.provisioner, CasaProvisioner)
    return manager.provisioner


def working(manager: KernelManager, client: BlockingKernelClient, space: Path) -> int:
    """Let the kernel run a slow task; its worker."""
    client.execute(SLOW)
    kernel_id = provisioner(manager).kernel_id
    assert eventually(lambda: call_of(space, kernel_id).get("worker_pid"))
    worker = call_of(space, kernel_id)["worker_pid"]
    assert isinstance(worker, int)
    return worker


def keepers(kernel: int) -> list[int]:
    found = subprocess.run(["pgrep", "-f", f"keeper.py {kernel} "], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


def test_the_kernel_knows_who_it_is_and_works_where_its_notebook_is(kernel: Started, space: Path) -> None:
    manager, _ = kernel
    state = of_kernel(space, provisioner(manager).kernel_id)
    assert state is not None and state.pid == provisioner(manager).pid
    assert (space / state.log).parent == space / ".casa-recompute" / "log"
    assert len(keepers(state.pid)) == 1


def test_limits_are_those_of_the_server(kernelspec: str, space: Path) -> None:
    config = Config()
    config.CasaProvisioner.memory, config.CasaProvisioner.threads = 12345, 3
    config.CasaProvisioner.site_config = "/opt/site/casa.py"
    manager = KernelManager(kernel_name=kernelspec, config=config)
    manager.start_kernel(cwd=str(space))
    try:
        environment = Path(f"/proc/{provisioner(manager).pid}/environ").read_bytes().split(b"\0")
        for wanted in ("MEMORY=12345", "THREADS=3", f"KERNEL_ID={manager.kernel_id}"):
            assert f"JUPYTERLAB_CASA_{wanted}".encode() in environment
        assert b"CASASITECONFIG=/opt/site/casa.py" in environment
    finally:
        manager.shutdown_kernel(now=True)


def test_a_shutdown_ends_all(kernel: Started, space: Path) -> None:
    manager, client = kernel
    worker, pid = working(manager, client, space), provisioner(manager).pid
    manager.shutdown_kernel(now=True)
    assert eventually(lambda: gone(worker) and gone(pid) and not keepers(pid))
    assert not (space / "slow.ms" / "FLAG").exists()


def test_a_killed_kernel_takes_even_a_frozen_worker_along(kernel: Started, space: Path) -> None:
    manager, client = kernel
    worker, pid = working(manager, client, space), provisioner(manager).pid
    os.kill(worker, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: gone(worker) and not keepers(pid))


@pytest.mark.parametrize("how", ["shut down", "killed", "killed with its worker", "killed with its screen"])
def test_graphical_programs_end_with_their_kernel(kernelspec: str, space: Path, how: str) -> None:
    Path(os.environ["JUPYTERLAB_CASA_CONFIG"]).write_text("threads = 1\n")  # the real CASA
    manager = KernelManager(kernel_name=kernelspec)
    manager.start_kernel(cwd=str(space))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=90)
    reply = client.execute_interactive(DRAW, timeout=200, output_hook=lambda _: None)
    assert reply["content"]["status"] == "ok", reply["content"]
    state = of_kernel(space, provisioner(manager).kernel_id)
    assert state is not None and state.display is not None
    programs = [pid for pid in processes_with(f"{space}/.casa-recompute/log") if "AppImage" in command_of(pid)]
    assert programs
    lock, authority = Path(f"/tmp/.X{state.display['display'][1:]}-lock"), Path(state.display["authority"])
    screen = int(lock.read_text())
    assert authority.exists()
    client.stop_channels()
    if how == "shut down":
        manager.shutdown_kernel()
    else:
        if how == "killed with its worker":
            (worker,) = [
                one.pid for one in psutil.Process(state.pid).children() if "main.py" in " ".join(one.cmdline())
            ]
            os.killpg(worker, signal.SIGKILL)
        if how == "killed with its screen":
            os.kill(screen, signal.SIGKILL)
        os.kill(state.pid, signal.SIGKILL)
    assert eventually(lambda: not processes_with(f"{space}/.casa-recompute/log") and gone(screen))
    assert eventually(lambda: not keepers(state.pid))
    assert not lock.exists() and not authority.parent.exists()
    manager.cleanup_resources()


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def test_what_the_user_started_stays(kernel: Started, space: Path) -> None:
    manager, client = kernel
    code = f"import subprocess; subprocess.Popen(['sleep', '600.{os.getpid()}'], start_new_session=True)"
    client.execute_interactive(code, timeout=60)
    pid = provisioner(manager).pid
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not keepers(pid))
    found = subprocess.run(["pgrep", "-f", f"^sleep 600.{os.getpid()}$"], capture_output=True, text=True, check=False)
    (sleeper,) = map(int, found.stdout.split())
    os.kill(sleeper, signal.SIGKILL)


def test_a_restarted_kernel_keeps_its_worker(kernel: Started, space: Path) -> None:
    manager, client = kernel
    first, pid = working(manager, client, space), provisioner(manager).pid
    manager.restart_kernel(now=True)
    client.wait_for_ready(timeout=90)
    second = working(manager, client, space)
    assert eventually(lambda: gone(first) and not keepers(pid))
    assert not gone(second) and len(keepers(provisioner(manager).pid)) == 1


@pytest.mark.parametrize("frozen", [False, True])
def test_a_killed_server_takes_its_kernels_along(kernelspec: str, space: Path, frozen: bool) -> None:
    command = [sys.executable, "-c", SERVER, str(space), SLOW]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        kernel_id, pid = server.stdout.readline().split()
        assert eventually(lambda: call_of(space, kernel_id).get("worker_pid"))
        worker = call_of(space, kernel_id)["worker_pid"]
        assert isinstance(worker, int)
        if frozen:
            os.kill(int(pid), signal.SIGSTOP)
        server.kill()
    assert eventually(lambda: gone(int(pid)) and gone(worker) and not keepers(int(pid)))


def test_a_task_that_takes_too_much_memory_is_ended_and_undone(
    kernelspec: str, space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERLAB_CASA_MEMORY", "5")
    source = f"try:\n    {SLOW}\nexcept RuntimeError as error:\n    print(type(error).__name__, error)"
    notebook = new_notebook(cells=[new_code_cell(source)])
    client = NotebookClient(notebook, kernel_name=kernelspec, resources={"metadata": {"path": str(space)}}, timeout=120)
    client.execute()
    told = "".join(output.get("text", "") for output in notebook.cells[0].outputs)
    assert "WorkerDied" in told and "the limit is 5 MiB (setting `memory`)" in told
    assert not (space / "slow.ms").exists()


def test_tools_open_no_port(kernel: Started, space: Path) -> None:
    manager, client = kernel
    before = reachable(provisioner(manager).pid)
    reply = client.execute_interactive("tb.open('nothing')", timeout=120, output_hook=lambda _: None)
    assert reply["content"]["ename"] == "RuntimeError"  # casatools are there, and say that it does not exist
    assert reachable(provisioner(manager).pid) == before == set()


def reachable(pid: int | None) -> set[tuple[str, int]]:
    """TCP ports of a process to which others than its own machine can connect."""
    assert pid is not None
    connections = psutil.Process(pid).net_connections("tcp")
    listening = {tuple(one.laddr) for one in connections if one.status == psutil.CONN_LISTEN}
    return {(address, port) for address, port in listening if not address.startswith("127.") and address != "::1"}


def test_marks_are_of_one_launch_only() -> None:
    with subprocess.Popen(["sleep", "60"], env={keeper.MARKED: "one"}) as one:
        with subprocess.Popen(["sleep", "60"], env={keeper.MARKED: "onetwo"}) as two:
            assert keeper.marked("one") == [one.pid]
            two.kill()
        one.kill()
