"""How the data of two versions differ: what is flagged, or what pixels have become."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from traitlets import Float, Integer, default

from casa_recompute.ledger import Version
from casa_recompute.products import ABSENT, scan
from casa_recompute.runner import CasaNotLoaded
from casa_recompute.runner.compare import Unreadable, compare
from casa_recompute.workspace import Workspace
from jupyterlab_casa import reports
from jupyterlab_casa.managers.base import Conflict, Manager, NotThere, reading
from jupyterlab_casa.managers.products import told

_TRIES = 5


def _all_there(scratch: str) -> bool:
    """Whether all links still lead somewhere: the store moves files once, when they are safe on the disk."""
    return all(os.path.exists(os.path.join(top, name)) for top, _, names in os.walk(scratch) for name in names)


class Comparisons(Manager):
    """Compares data, one pair after another. A short-lived process of the site's CASA reads them, from the store."""

    patience = Float(
        60.0, min=0.1, help="Seconds after which a process that compares two versions is ended. Default: 60."
    ).tag(config=True)
    known_limit = Integer(16, min=1, help="Comparisons that are remembered. Default: 16.").tag(config=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._known: dict[tuple[Path, str, str], bytes] = {}

    @default("workers")
    def _one_worker(self) -> int:
        return 1

    @default("waiting_limit")
    def _few_waiting(self) -> int:
        return 10

    async def get(self, path: str, before: str, after: str) -> bytes:
        """How the data of two versions differ, as JSON. Versions do not change, so it is remembered.

        Raises:
            NotThere: there is no such version.
            Conflict: one of them is not kept, or they cannot be read.
            Overloaded: too much is waiting already.
        """
        directory = self.root.workspace(path)
        reading(directory).close()  # only where a kernel has made a memory
        key = directory, before, after
        if key not in self._known:
            answer = await self.once(key, lambda: told(directory, lambda: self._compared(directory, before, after)))
            self._known[key] = answer
            while len(self._known) > self.known_limit:
                del self._known[next(iter(self._known))]
        return self._known[key]

    def _compared(self, directory: Path, before: str, after: str) -> bytes:
        with closing(Workspace.view(directory)) as space:
            for _ in range(_TRIES):
                with tempfile.TemporaryDirectory(prefix="casa-compare-") as scratch:
                    places = [self._place(space, Path(scratch, "before"), before)]
                    places.append(self._place(space, Path(scratch, "after"), after))
                    try:
                        found = compare(places[0], places[1], self.settings, self.patience)
                    except (Unreadable, CasaNotLoaded) as error:
                        if _all_there(scratch):
                            raise Conflict(f"they cannot be compared: {error}") from error
                        continue
                    if _all_there(scratch):
                        return json.dumps({"schema": reports.SCHEMA, **found}).encode()
        raise Conflict("they cannot be compared: their files were moved all the time")

    def _place(self, space: Workspace, directory: Path, name: str) -> Path:
        version = space.ledger.version(name) if name != ABSENT else None
        if version is None:
            raise NotThere(f"there is no version {name[:100]!r}")
        directory.mkdir()
        place = directory / os.path.basename(version.path)
        self._lay_out(space, version, place)
        return place

    def _lay_out(self, space: Workspace, version: Version, place: Path) -> None:
        """Make a version readable at a place, by links to its files, wherever they are kept.

        Raises:
            Conflict: they are not.
        """
        lost = Conflict(f"this version of {version.path} is no longer kept: only its call is known")
        live = None
        for name, entry in sorted(version.manifest.items()):
            target = place / name if name else place
            if entry.kind == "d":
                target.mkdir()
            elif entry.kind == "f" and entry.object is not None:
                if not space.store.intact(entry.object, entry.size, entry.mtime_ns):
                    raise lost
                target.symlink_to(self._inside(space.store.path(entry.object), lost))
            elif entry.kind == "f":
                live = live or self._live(space, version, lost)
                target.symlink_to(self._inside(live / name if name else live, lost))

    def _live(self, space: Workspace, version: Version, lost: Conflict) -> Path:
        """Where a version lies in the workspace that was never kept, as raw data are not.

        Raises:
            Conflict: it does not, or not as it was.
        """
        there, path = space.ledger.presence(version.path), space.absolute(version.path)
        if there is None or there.version != version.id or scan(path).signature() != there.signature:
            raise lost
        return path

    def _inside(self, path: Path, lost: Conflict) -> Path:
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self.root.directory):
            raise lost
        return real
