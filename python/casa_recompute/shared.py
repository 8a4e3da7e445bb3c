"""Workspaces of a group below one's own: what a colleague has computed there is not computed again.

They are only read: no lock is taken, nothing is written, and one need not be allowed to. What is found is taken over
into one's own store (sharing blocks where the file system can), so it stays when the group's goes.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from casa_recompute.ledger import CallRecord, LedgerError
from casa_recompute.workspace import HOME, VersionLost, Workspace


class Shared:
    """The group's workspaces, in the order in which they are asked."""

    def __init__(self, directories: str) -> None:
        """``directories``: separated by ":", see :attr:`Settings.shared`."""
        self._directories = [Path(os.path.realpath(name)) for name in directories.split(os.pathsep) if name]
        self._told: set[Path] = set()

    def lend(
        self, space: Workspace, key: str, wanted: Callable[[CallRecord], bool], tell: Callable[[str], None]
    ) -> tuple[CallRecord, Path] | None:
        """Take a call with all that it made over into one's own workspace, from the first that has it; and whose.

        Args:
            space: one's own workspace, whose lock one holds.
            key: of the call.
            wanted: whether its results are of use; asked before anything is taken over.
            tell: told once which workspace cannot be used, and why.

        Raises:
            OSError: the disk is full; nothing was taken over.
        """
        for directory in self._directories:
            if directory == space.directory:
                continue
            try:
                with viewed(directory) as lender:
                    record = lender.ledger.call(key)
                    if record is not None and wanted(record):
                        return space.adopt(lender, record), directory
            except VersionLost:  # evicted there
                continue
            except (LedgerError, sqlite3.Error) as error:
                if directory not in self._told:
                    tell(_trouble(directory, error))
                self._told.add(directory)
        return None

    def troubles(self) -> list[str]:
        """Which of them cannot be used, and why."""
        found = []
        for directory in self._directories:
            try:
                with viewed(directory):
                    pass
            except (LedgerError, sqlite3.Error) as error:
                found.append(_trouble(directory, error))
        return found


def _trouble(directory: Path, error: Exception) -> str:
    return f"results of the group in {directory} cannot be used: {error}"


@contextlib.contextmanager
def viewed(directory: Path) -> Iterator[Workspace]:
    """A workspace to look at only.

    Raises:
        LedgerError: there is none, or its memory cannot be read.
        sqlite3.Error: the same.
    """
    if not (directory / HOME / "ledger.sqlite").exists():
        raise LedgerError("nothing has been run there with the kernel casa")
    space = Workspace.view(directory)
    try:
        yield space
    finally:
        space.ledger.close()
