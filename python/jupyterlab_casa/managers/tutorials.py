"""The tutorial, for who has a browser only."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from traitlets import default

from jupyterlab_casa import reports
from jupyterlab_casa.managers.base import Conflict, Manager
from jupyterlab_casa.managers.products import told
from jupyterlab_casa.tutorial import NOTEBOOK, TutorialChanged, TutorialError, write_tutorial


class Tutorials(Manager):
    """Writes the tutorial into directories. Nothing that is there is ever changed."""

    @default("workers")
    def _one_worker(self) -> int:
        return 1

    async def write(self, path: str, beside: bool) -> dict[str, Any]:
        """Write the tutorial's notebook and data, where they are not there yet.

        Args:
            path: of a directory, or of a notebook in it.
            beside: write them into a new directory there.

        Raises:
            NotThere: there is no such directory.
            Conflict: they cannot be written, or there are no data.
            Overloaded: too much is waiting already.
        """
        directory = self.root.workspace(path)

        def done() -> dict[str, Any]:
            place = _new_directory(directory) if beside else directory
            there, changed = (place / NOTEBOOK).exists(), []
            try:
                write_tutorial(place)
            except TutorialChanged as error:
                changed = [error.path.name]
            except TutorialError as error:
                if beside:
                    place.rmdir()  # there was nothing to write into it
                raise Conflict(str(error)) from error
            inside = (place / NOTEBOOK).relative_to(self.root.directory)
            return {
                "schema": reports.SCHEMA,
                "path": str(inside),
                "written": not there and not changed,
                "changed": changed,
            }

        return await self.work(lambda: told(directory, done))


def _new_directory(within: Path) -> Path:
    stem = Path(NOTEBOOK).stem
    for number in itertools.count(1):
        place = within / (stem if number == 1 else f"{stem}-{number}")
        try:
            place.mkdir()
        except FileExistsError:
            continue
        return place
    raise AssertionError
