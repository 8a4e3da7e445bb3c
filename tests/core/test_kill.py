"""`kill -9` of kernel or worker at a random moment, 200 times: nothing wrong is left, nothing wrong is served."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from casa_recompute.products import ABSENT
from casa_recompute.session import Session
from tests.core.standin import chain, contents, fake_settings, in_cell, steps

KILLS = int(os.environ.get("KILLS", "200"))
PARAMETERS = [
    {"solint": solint, "niter": niter, "field": field}
    for solint in ("inf", "60s")
    for niter in (0, 7)
    for field in ("", "1")
]


def a_kernel(directory: Path, parameters: dict[str, object]) -> int:
    """Run the notebook in a process of its own; its pid, which is also that of its process group's leader."""
    pid = os.fork()
    if pid:
        return pid
    code = 1  # also when a call fails because its worker was killed
    try:
        os.setsid()
        chain(Session(directory, fake_settings(pause=0.001)), **parameters)
        code = 0
    finally:
        os._exit(code)


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def test_kill_at_any_moment(open_session: Callable[..., Session], tmp_path: Path) -> None:
    rng = random.Random(20261122)
    reference: dict[int, dict[str, bytes]] = {}
    valid: set[tuple[str, bytes]] = set()
    for number, parameters in enumerate(PARAMETERS):
        fresh = tmp_path / f"fresh{number}"
        session = open_session(fresh)
        for cell, task, arguments in steps(**parameters):  # type: ignore[arg-type]
            in_cell(session, cell, task, **arguments)
            reference[number] = contents(fresh)
            valid |= reference[number].items()

    directory = tmp_path / "workspace"
    open_session(directory).close()
    began = time.monotonic()
    os.waitpid(a_kernel(directory, PARAMETERS[0]), 0)
    whole_run = time.monotonic() - began
    interrupted = 0
    soon = whole_run
    for _ in range(KILLS):
        pid = a_kernel(directory, rng.choice(PARAMETERS))
        time.sleep(rng.uniform(0, soon))
        victims = children(pid)
        victim = rng.choice(victims) if victims and rng.random() < 0.5 else pid
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            victim = pid
        if os.waitpid(pid, 0)[1]:
            interrupted += 1
            soon = min(whole_run, soon * 1.2)
        else:  # too late: much is restored, or the machine is less busy than it was
            soon *= 0.9
        session = Session(directory, fake_settings())
        with session.workspace.lock():
            for path in session.workspace.ledger.known_paths():
                version = session.workspace.look(path)
                assert version == ABSENT or version.startswith("k-") or path == "raw.fits", f"{path} is {version}"
            assert session.workspace.ledger.pending() == []
            for task in ("importuvfits", "flagdata", "setjy", "gaincal", "applycal", "split", "tclean"):
                for record in session.workspace.ledger.calls_of_task(task):
                    if rng.random() < 0.5:  # so that there is something to run, and to interrupt, the next time
                        session.workspace.ledger.forget_call(record.key)
        session.close()
        session.workspace.close()
        for name, data in contents(directory).items():
            assert (name, data) in valid, f"{name} is in a state that no task left it in"
    print(f"{interrupted} of {KILLS} kills interrupted a run of {whole_run:.2f} s")
    assert interrupted > KILLS / 20, "the kills came too late to interrupt anything"

    for number, parameters in enumerate(PARAMETERS):
        chain(open_session(directory), **parameters)
        assert contents(directory) == reference[number]
