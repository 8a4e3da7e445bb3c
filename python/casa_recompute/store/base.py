"""What every store promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self


class StoreError(RuntimeError):
    """The store cannot do what was asked; the message says what to do."""


@dataclass(frozen=True)
class Usage:
    """What a store holds."""

    objects: int
    bytes: int
    """Sum of file sizes; with a copy-on-write store less is taken on disk."""
    free: int
    """Bytes left on the file system."""
    on_disk: int | None = None
    """Bytes that would be free if nothing were kept; None: what the files take, blocks that they share included."""


class Capture(ABC):
    """A set of files being taken into the store: all of them are kept at :meth:`commit`, or none.

    Use as a context manager; leaving it without a commit gives everything back.
    """

    @abstractmethod
    def add(self, source: str, mtime_ns: int) -> str:
        """Take the file at ``source`` as it is now; the object's name, valid after :meth:`commit`.

        Raises:
            OSError: it cannot be read, or the disk is full.
        """

    @abstractmethod
    def commit(self) -> None:
        """Keep what was added.

        Raises:
            StoreError: a file was changed after it was added (a store that copies at once has kept it as it was then).
            OSError: the disk is full; nothing is kept.
        """

    @abstractmethod
    def abort(self) -> None:
        """Give back what was added; harmless after a commit."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.abort()


class CowStore(ABC):
    """Keeps immutable file objects. Safe for many processes; nothing in it is ever changed, only added or removed."""

    name: str
    """"reflink", "copy" ..."""
    reason: str
    """Why this store is the one in use, in words."""
    shares: bool = False
    """Whether blocks that became equal can be shared again (FIDEDUPERANGE)."""
    checked: bool = False
    """Whether the file system itself notices what a disk changes, so that nobody else has to look."""
    holds: bool = False
    """Whether :meth:`hold` does anything."""
    advice: str = ""
    """What to type to have a better one; "" when there is nothing to say."""

    @abstractmethod
    def capture(self, label: str = "") -> Capture:
        """Begin to take files in. ``label``: key of the call that made them, for people who look into the store."""

    def settle(self) -> None:  # noqa: B027 -- a store whose commit waits for the disk has nothing to do
        """See to it that all that was committed survives a power cut; what was not, is gone after one, never wrong.

        Raises:
            OSError: the disk does not do it.
        """

    def settled(self, names: Iterable[str]) -> bool:
        """Whether these objects would survive a power cut now."""
        return True

    @abstractmethod
    def place(self, name: str, destination: str, mode: int, mtime_ns: int) -> None:
        """Write the object to ``destination``, which must not exist, sharing blocks where possible.

        Raises:
            StoreError: the object is not in the store.
            OSError: the disk is full, or the place cannot be written.
        """

    @abstractmethod
    def intact(self, name: str, size: int, mtime_ns: int) -> bool:
        """Whether the object is there and was not touched since it was captured (one stat, no reading)."""

    @abstractmethod
    def path(self, name: str) -> Path:
        """Where the object can be read. Never write there."""

    @abstractmethod
    def remove(self, names: Iterable[str]) -> None:
        """Forget objects; those that are not there are no error."""

    def hold(self, captures: Iterable[str]) -> None:  # noqa: B027  # most stores have nobody to hold them against
        """Let nobody, not even another program, destroy these captures while this store is open; and no others.

        Args:
            captures: names of captures, which are what objects' names have before their first slash.

        Raises:
            OSError: the file system refuses.
        """

    def close(self) -> None:  # noqa: B027
        """Release what is held."""

    @abstractmethod
    def sweep(self) -> None:
        """Remove what captures that never ended left behind. Call only while no capture is under way."""

    def objects(self) -> set[str]:
        """Names of all that it holds, if it can tell: what nobody knows of can be removed then."""
        return set()

    @abstractmethod
    def usage(self) -> Usage:
        """What the store holds now."""
