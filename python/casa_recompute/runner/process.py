"""The owner's side of the worker process."""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casa_recompute.runner.worker import codec, usage

MAIN = Path(__file__).parent / "worker" / "main.py"
_TICK = 0.25  # seconds between looks at a running task
_STDOUT_KEPT = 1 << 20  # bytes of a task's printed output that are kept: its beginning and its end


class WorkerDied(RuntimeError):
    """The worker process ended while a task ran (CASA aborted, or something killed it)."""


class CasaNotLoaded(RuntimeError):
    """CASA cannot be imported in the worker's interpreter; the message holds its own words."""


class TaskFailed(RuntimeError):
    """A task raised an exception of a class that does not exist in this process."""


@dataclass(frozen=True)
class Reply:
    """What came of a request; ``value``, a task's return value, is still encoded (codec.py)."""

    body: dict[str, Any]
    stdout: str
    seconds: float
    value: Any = None
    used: tuple[float, int] | None = None
    """CPU seconds, and bytes of memory at most, of the worker and the programs that it ran."""


class Worker:
    """One worker process; started again when it died. Not thread safe: one request at a time."""

    def __init__(
        self, python: str, environment: Mapping[str, str], log: Path, home: Path, kept: Sequence[int], memory: int = 0
    ) -> None:
        """
        Args:
            python: interpreter that can import casatasks.
            environment: of the process, whole.
            log: the CASA log file until a call names another.
            home: directory in which the process starts (CASA litters where it is imported).
            kept: file descriptors the process holds open as long as it lives (the workspace's lock).
            memory: bytes that it and the programs that it runs may use; 0: no limit.
        """
        self._python = python
        self._environment = dict(environment)
        self._log = log
        self._home = home
        self._kept = list(kept)
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None
        self._selector: selectors.BaseSelector | None = None
        self._requests = -1
        self._buffer = b""
        self._printed = _Printed()
        self.versions: dict[str, str] = {}

    # -- life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process if there is none; returns at once, CASA is imported meanwhile."""
        if self._process is not None and self._process.poll() is None:
            return
        self.kill()
        request_out, request_in = os.pipe()
        answer_out, answer_in = os.pipe()
        try:
            self._process = subprocess.Popen(
                [
                    self._python,
                    str(MAIN),
                    str(request_out),
                    str(answer_in),
                    ",".join(map(str, self._kept)),
                    str(self._log),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._home,
                env=self._environment,
                pass_fds=[request_out, answer_in, *self._kept],
                start_new_session=True,
            )
        except OSError as error:
            for number in (request_in, answer_out):
                os.close(number)
            raise CasaNotLoaded(f"the interpreter {self._python} cannot be started: {error}") from error
        finally:
            os.close(request_out)
            os.close(answer_in)
        assert self._process.stdout is not None
        self._requests = request_in
        self._selector = selectors.DefaultSelector()
        self._selector.register(answer_out, selectors.EVENT_READ, "answer")
        self._selector.register(self._process.stdout, selectors.EVENT_READ, "print")
        self._buffer = b""
        self._printed = _Printed()
        self.versions = {}

    @property
    def pid(self) -> int | None:
        """Process id, None when there is no process."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def kill(self) -> None:
        """End the process and all its children at once; harmless when there is none."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._selector is not None:
            for key in list(self._selector.get_map().values()):
                if key.data == "answer":
                    os.close(key.fd)
            self._selector.close()
            self._selector = None
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._requests >= 0:
            os.close(self._requests)
            self._requests = -1
        self._process = None

    # -- requests ---------------------------------------------------------------------------------------------

    def request(
        self, operation: str, body: Mapping[str, Any], tick: Callable[[float, str], None] | None = None
    ) -> Reply:
        """Send a request and wait for its answer.

        Args:
            operation: one of main.py's OPERATIONS.
            body: plain data.
            tick: called about once a second with the elapsed seconds and the latest printed text.

        Raises:
            WorkerDied: the process ended, or was ended because it used too much memory.
            CasaNotLoaded: CASA cannot be imported there.
            Exception: what the operation raised, of its own class where that is a builtin one.

        A KeyboardInterrupt kills the process at once and is raised again.
        """
        self.start()
        began = time.monotonic()
        try:
            if not self.versions:
                self._await_ready(began, tick)
            mark = f"\x00{uuid.uuid4().hex}\x00"
            self._printed.clear()
            number = uuid.uuid4().hex
            line = codec.dumps({**body, "operation": operation, "id": number, "mark": mark}) + "\n"
            try:
                _write_all(self._requests, line.encode("ascii"))
            except BrokenPipeError:
                raise self._died() from None
            answer = self._await(lambda message: message.get("id") == number, began, tick)
            self._drain(mark.encode("ascii"))
        except (KeyboardInterrupt, WorkerDied):
            self.kill()
            raise
        if "error" in answer:
            raise _rebuilt(answer)
        value = answer.pop("value", None)
        told = codec.decode(answer)
        return Reply(told, self._printed.text(), told["seconds"], value, told.get("used"))

    def _await_ready(self, began: float, tick: Callable[[float, str], None] | None) -> None:
        event = self._await(lambda message: "event" in message, began, tick)
        if event["event"] == "broken":
            self.kill()
            raise CasaNotLoaded(
                f"CASA cannot be loaded with {self._python}: {event['message']}. "
                "Run `jupyter casa doctor` to see what is missing."
            )
        self.versions = event["versions"]

    def _await(
        self,
        wanted: Callable[[dict[str, Any]], bool],
        began: float,
        tick: Callable[[float, str], None] | None,
    ) -> dict[str, Any]:
        last_tick = began
        while True:
            while b"\n" in self._buffer:
                line, self._buffer = self._buffer.split(b"\n", 1)
                message: dict[str, Any] = json.loads(line)
                if wanted(message):
                    return message
            self._listen(_TICK)
            self._limit_memory()
            now = time.monotonic()
            if tick is not None and now - last_tick >= 1:
                last_tick = now
                tick(now - began, self._printed.tail())

    def _limit_memory(self) -> None:
        """End the process when it uses more than it may. (Limits of address space do not suit CASA, which reserves much
        that it never uses.)"""
        if not self._memory or self.pid is None:
            return
        used = usage.resident(self.pid) + sum(map(usage.resident, usage.descendants(self.pid)))
        if used > self._memory:
            raise WorkerDied(
                f"the CASA process was ended because it used {used >> 20} MiB of memory; "
                f"the limit is {self._memory >> 20} MiB (setting `memory`)"
            )

    def _listen(self, timeout: float) -> None:
        assert self._selector is not None
        for key, _ in self._selector.select(timeout):
            data = os.read(key.fd, 1 << 20)
            if key.data == "print":
                if data:
                    self._printed.add(data)
                else:
                    self._selector.unregister(key.fileobj)
            elif data:
                self._buffer += data
            else:
                raise self._died()

    def _drain(self, mark: bytes) -> None:
        while not self._printed.ends(mark):
            self._listen(_TICK)

    def _died(self) -> WorkerDied:
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        code = self._process.poll()
        cause = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        lines = [line for line in self._printed.text().splitlines() if line.strip()]
        said = f"; its last words: {lines[-1].strip()}" if lines else ""
        return WorkerDied(f"the CASA process ended ({cause}){said}")


class _Printed:
    """What a task printed: whole up to a limit, then its beginning and its end."""

    def __init__(self) -> None:
        self._data = b""
        self._cut = 0
        self._mark = b""

    def clear(self) -> None:
        self._data = b""
        self._cut = 0
        self._mark = b""

    def add(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > _STDOUT_KEPT:
            half = _STDOUT_KEPT // 2
            self._cut += len(self._data) - half - half // 2
            self._data = self._data[:half] + self._data[-half // 2 :]

    def ends(self, mark: bytes) -> bool:
        found = self._data.rfind(mark)
        if found < 0:
            return False
        self._mark = mark
        return True

    def tail(self) -> str:
        return self._data[-4096:].decode("utf-8", "replace")

    def text(self) -> str:
        data = self._data.split(self._mark)[0] if self._mark else self._data
        text = data.decode("utf-8", "replace")
        return f"{text}\n[{self._cut} bytes were left out]\n" if self._cut else text


def _write_all(number: int, data: bytes) -> None:
    while data:
        data = data[os.write(number, data) :]


def _rebuilt(answer: Mapping[str, Any]) -> BaseException:
    """The exception that a task raised."""
    kind = getattr(builtins, answer["error"], None) if answer["module"] == "builtins" else None
    error: BaseException
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            error = kind(answer["message"])
        except TypeError:  # a class whose constructor wants more, such as UnicodeDecodeError
            error = TaskFailed(f"{answer['error']}: {answer['message']}")
    else:
        error = TaskFailed(f"{answer['error']}: {answer['message']}")
    return error
