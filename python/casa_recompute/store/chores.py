"""What is done with captured files afterwards, off the critical path: they are sealed, and share what they can.

A *seal* is the digest of a stored file. With it ``cache verify`` finds what a disk has changed.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from casa_recompute.store.base import CowStore
from casa_recompute.store.sharing import UNIT, Units, share, share_range

_log = logging.getLogger(__name__)
_PIECE = 1 << 22


@dataclass(frozen=True)
class Fresh:
    """A file that was captured just now."""

    object: str
    previous: str | None
    """The object that held the same file of the version before."""
    source: str
    """Where it was captured from."""


class Chores:
    """Files that wait, and seals that were taken. Files are added by one thread, done by another.

    What a kernel leaves undone when it ends, the next one takes up.
    """

    def __init__(self, store: CowStore, directory: Path) -> None:
        """``directory``: in which the store is, where notes are kept."""
        self._store = store
        self._waiting: deque[Fresh] = deque()
        self._seals: deque[tuple[str, str]] = deque()
        self._units = Units(directory / "pieces")
        self._left = directory / "chores"

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, fresh: Fresh) -> None:
        """Do this one later."""
        self._waiting.append(fresh)

    def leave(self) -> None:
        """Note what waits, for the next kernel; nobody is at it any more.

        Raises:
            OSError: the disk is full, or fails; it is then not done.
        """
        lines = [json.dumps([fresh.object, fresh.previous, fresh.source]) + "\n" for fresh in self._waiting]
        self._waiting.clear()
        if lines:
            with self._left.open("a") as stream:
                stream.writelines(lines)

    def _take_up(self) -> None:
        """Add what earlier kernels have left."""
        mine = self._left.with_name(f"chores-{uuid.uuid4().hex}")
        try:
            self._left.rename(mine)
            lines = mine.read_text().splitlines()
            mine.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            _log.warning("%s: %s", self._left, error)
            return
        for line in lines:
            with suppress(ValueError, TypeError):  # the machine stopped while it was written
                self._waiting.append(Fresh(*json.loads(line)))

    def seals(self) -> list[tuple[str, str]]:
        """Objects and their digests, of all that was sealed since one last asked."""
        return [self._seals.popleft() for _ in range(len(self._seals))]

    def do(self, enough: Callable[[], bool]) -> None:
        """Do what waits, at the lowest priority, until ``enough``; what vanishes meanwhile is left alone."""
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)  # on Linux, of this thread alone
        self._take_up()
        while self._waiting and not enough():
            fresh = self._waiting.popleft()
            try:
                if self._store.shares and fresh.previous is not None:
                    self._share(fresh)
                units: list[bytes] = []
                digest = seal(self._store, fresh.object, enough, units if self._store.shares else None)
                if not digest:
                    self._waiting.appendleft(fresh)
                    return
                self._seals.append((fresh.object, digest))
                if self._store.shares:
                    self._share_units(fresh, units)
            except FileNotFoundError:
                pass
            except OSError as error:
                _log.warning("%s: %s", fresh.source, error)

    def _share(self, fresh: Fresh) -> None:
        assert fresh.previous is not None
        with self._opened(fresh.previous, fresh) as handles:
            if len(handles) > 1:
                share(handles[0], handles[1:])

    def _share_units(self, fresh: Fresh, units: list[bytes]) -> None:
        for other, there, here, length in self._units.add(fresh.object, units):
            with self._opened(other, fresh) as handles:
                if len(handles) > 1:
                    share_range(handles[0], handles[1:], there, here, length)

    @contextmanager
    def _opened(self, other: str, fresh: Fresh) -> Iterator[list[int]]:
        """Descriptors of another object, of this one and of where it was captured, as far as they are still there."""
        with ExitStack() as stack:
            handles: list[int] = []
            for path in (self._store.path(other), self._store.path(fresh.object), Path(fresh.source)):
                with suppress(FileNotFoundError):  # evicted meanwhile, or another version lies there now
                    handles.append(os.open(path, os.O_RDONLY | os.O_NOFOLLOW))
                    stack.callback(os.close, handles[-1])
            yield handles


def seal(
    store: CowStore, name: str, enough: Callable[[], bool] = lambda: False, units: list[bytes] | None = None
) -> str:
    """The digest of an object as it is stored now; "" when it was ``enough`` before it was read.

    To ``units`` the digests of its whole units are added.

    Raises:
        OSError: it cannot be read.
    """
    digest = blake3()
    with store.path(name).open("rb", buffering=0) as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
            if units is not None:
                view = memoryview(piece)
                ends = range(UNIT, len(piece) + 1, UNIT)
                units += [blake3(view[end - UNIT : end]).digest(length=16) for end in ends]
            if enough():
                return ""
    return digest.hexdigest(length=16)
