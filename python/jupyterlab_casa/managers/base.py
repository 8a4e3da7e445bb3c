"""What all managers share: how they refuse, which places they may look at, and how they work beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from traitlets import Integer
from traitlets.config import LoggingConfigurable

from casa_recompute.ledger import LedgerError
from casa_recompute.ledger.reader import LedgerReader
from casa_recompute.settings import Settings, load_settings
from casa_recompute.workspace import HOME

_LONGEST = 4096  # bytes of a path, as Linux has it
_DAMAGE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, AssertionError)
"""What comes of a memory in which something stands that we never write."""
_log = logging.getLogger(__name__)
T = TypeVar("T")


class Refusal(Exception):
    """What was asked for cannot be done; the message is for people and says what to do."""


class BadRequest(Refusal):
    """It was asked for in a wrong way."""


class NotThere(Refusal):
    """There is no such thing, or it is not within the server's root."""


class Conflict(Refusal):
    """It cannot be done as things are now: a kernel is at work, or something is in the way."""


class Overloaded(Refusal):
    """Too much is asked for at once; try again."""


class Root:
    """The directory below which the server works. Nothing outside of it is looked at, and nobody learns what is there.

    A path is relative to it and leads, all symbolic links followed, to a place within it.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(os.path.realpath(directory))

    def place(self, path: str) -> Path:
        """The absolute place of a path, which need not exist.

        Raises:
            NotThere: it is no path within the root.
        """
        refusal = NotThere(f"there is no {path[:200]!r} below the server's root")
        # ".." also where it would lead back into the root: what is before it might be a link.
        if "\0" in path or os.path.isabs(path) or ".." in path.split("/"):
            raise refusal
        try:
            if len(path.encode()) > _LONGEST:
                raise refusal
            real = self._real(path)
        except (UnicodeEncodeError, OSError) as error:  # no name of a file, or one that is too long
            raise refusal from error
        if not real.is_relative_to(self.directory):
            raise refusal
        return real

    def _real(self, path: str) -> Path:
        """The place to which a path leads. The root is not looked at again: each look lets other threads go first."""
        place = self.directory
        for part in PurePosixPath(path).parts:
            place /= part
            try:
                info = place.lstat()
            except FileNotFoundError:  # it may be made yet
                continue
            if stat.S_ISLNK(info.st_mode):
                real = Path(os.path.realpath(self.directory / path))
                with contextlib.suppress(FileNotFoundError):
                    real.lstat()
                return real
        return place

    def workspace(self, path: str) -> Path:
        """The workspace at a path: a directory, or the one in which a notebook is.

        Raises:
            NotThere: there is none.
        """
        return self._workspace(self.place(path), path)

    def _workspace(self, place: Path, path: str) -> Path:
        try:
            directory = place if place.is_dir() else place.parent
            if HOME in directory.parts or not (place == directory or place.suffix == ".ipynb"):
                raise NotThere(f"{path!r} is neither a directory nor a notebook")
            if not directory.is_dir() or not self._has_memory_within(directory):
                raise NotThere(f"there is no {path[:200]!r} below the server's root")
        except OSError as error:
            raise NotThere(f"{path[:200]!r} cannot be read: {error.strerror}") from error
        return directory

    def _has_memory_within(self, directory: Path) -> bool:
        """Whether the memory of a workspace, if there is one, lies within the root, all links followed."""
        home = directory / HOME
        try:
            links = [Path(entry.path) for entry in os.scandir(home) if entry.is_symlink()]
        except (FileNotFoundError, PermissionError):  # there is none, or it will be told that it is not for us
            links = []
        return all(Path(os.path.realpath(place)).is_relative_to(self.directory) for place in (home, *links))

    def named(self, workspace: Path, path: str) -> Path:
        """The real place of what a task in a workspace names; unlike :meth:`place`, also absolute, or with "..".

        Raises:
            NotThere: it leads out of the root.
        """
        refusal = NotThere(f"there is no {path[:200]!r} below the server's root")
        try:
            if "\0" in path or len(path.encode()) > _LONGEST:
                raise refusal
            real = os.path.realpath(workspace / path)
        except (UnicodeEncodeError, OSError) as error:
            raise refusal from error
        inside = os.path.relpath(real, self.directory)
        if inside.split("/")[0] == "..":
            raise refusal
        return self.place(inside)

    def notebook(self, path: str) -> tuple[Path, str]:
        """The workspace and the name of a notebook, which need not have been saved yet.

        Raises:
            NotThere: it is no notebook within the root.
        """
        place = self.place(path)
        if place.suffix != ".ipynb":
            raise NotThere(f"{path[:200]!r} is no notebook")
        return self._workspace(place, path), place.name


@contextlib.contextmanager
def understanding(directory: Path) -> Iterator[None]:
    """Within, a workspace's memory is read: anybody who can write there may have put anything there.

    Raises:
        Conflict: something stands there that we never write.
    """
    try:
        yield
    except _DAMAGE as error:
        _log.error("the memory of %s cannot be understood", directory, exc_info=True)
        raise Conflict(f"the memory of {directory.name} is damaged: {type(error).__name__}") from error


class Manager(LoggingConfigurable):
    """One room of the server extension. It keeps no truth of its own: all is in ledgers, stores and log files."""

    workers = Integer(2, min=1, help="Threads in which this room reads ledgers and files. Default: 2.").tag(config=True)
    waiting_limit = Integer(
        200, min=1, help="Requests that may wait for those threads; more are told to come again (429). Default: 200."
    ).tag(config=True)

    def __init__(self, root: Root, **kwargs: Any) -> None:
        """``root``: below which all it looks at lies."""
        super().__init__(**kwargs)
        self.root = root
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix=type(self).__name__)
        self._waiting = 0
        self._shared: dict[Hashable, asyncio.Task[Any]] = {}

    @property
    def settings(self) -> Settings:
        """Those of the site and the user as they are now.

        Raises:
            SettingsError: a file of settings cannot be used.
        """
        return load_settings()

    async def work(self, job: Callable[[], T]) -> T:
        """Do something that blocks, beside the event loop.

        Raises:
            Overloaded: too much is waiting already.
        """
        if self._waiting >= self.waiting_limit:
            raise Overloaded("the server has too much to do: try again in a moment")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, job)
        finally:
            self._waiting -= 1

    async def once(self, key: Hashable, job: Callable[[], T], turn: asyncio.Lock | None = None) -> T:
        """The same; who asks for the same before it has begun shares the answer.

        Args:
            key: what it is.
            job: what to do.
            turn: to be had while it is done.

        Raises:
            Overloaded: too much is waiting already.
        """

        def begin() -> T:
            self._shared.pop(key, None)  # who comes from now on may know of something newer
            return job()

        async def wait() -> T:
            async with turn or contextlib.nullcontext():
                return await self.work(begin)

        task: asyncio.Task[T] | None = self._shared.get(key)
        if task is None:
            # Among the shared are those who wait for their turn, too.
            if max(len(self._shared), self._waiting) >= self.waiting_limit:
                raise Overloaded("the server has too much to do: try again in a moment")
            task = self._shared[key] = asyncio.ensure_future(wait())
            task.add_done_callback(partial(self._done, key))
        return await asyncio.shield(task)  # that one of them goes away is nothing to the others

    def _done(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        if self._shared.get(key) is task:  # it never began
            del self._shared[key]
        if not task.cancelled():
            task.exception()  # also if nobody waits any more

    async def stop(self) -> None:
        """The server ends. What is being done is done to its end: a ledger must not be closed in the midst of it."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)


def reading(directory: Path) -> LedgerReader:
    """The memory of a workspace, to look at; to be closed.

    Raises:
        NotThere: nothing is remembered there.
        Conflict: it cannot be read.
    """
    path = directory / HOME / "ledger.sqlite"
    if not path.is_file():
        raise NotThere("nothing has been run there with the kernel casa")
    try:
        return LedgerReader(path)
    except LedgerError as error:
        raise Conflict(str(error)) from error
