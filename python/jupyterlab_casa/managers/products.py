"""Versions of data products: what there is, how two differ, and bringing one back."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from traitlets import Float, Integer

from casa_recompute.ledger import Ledger, LedgerError, Version
from casa_recompute.products import ABSENT, ManifestEntry
from casa_recompute.settings import SettingsError
from casa_recompute.store import StoreError
from casa_recompute.workspace import HOME, VersionLost, Workspace, WorkspaceBusy, WorkspaceError
from jupyterlab_casa import reports
from jupyterlab_casa.managers.base import BadRequest, Conflict, Manager, NotThere, reading, understanding

T = TypeVar("T")
TROUBLES = (LedgerError, SettingsError, StoreError, WorkspaceError, WorkspaceBusy, VersionLost)
"""What is raised where a workspace cannot be used; each says what to do."""


def told(directory: Path, job: Callable[[], T]) -> T:
    """Do something with the workspace in a directory.

    Raises:
        Conflict: it cannot be done; in words.
    """
    try:
        with understanding(directory):
            return job()
    except TROUBLES as error:
        raise Conflict(str(error)) from error
    except sqlite3.Error as error:
        raise Conflict(f"the workspace's memory cannot be used ({error})") from error
    except OSError as error:
        where = f"{os.path.basename(error.filename)}: " if isinstance(error.filename, str) else ""
        raise Conflict(f"{where}{error.strerror or error}") from error


class Products(Manager):
    """Versions of data products in workspaces. Only ``restore`` changes anything."""

    patience = Float(
        5.0, min=0.0, help="Seconds for which one waits for a kernel that is at work in a workspace. Default: 5."
    ).tag(config=True)
    names_limit = Integer(
        2000, min=1, help="Files of each kind that a comparison of two versions names; all are counted. Default: 2000."
    ).tag(config=True)

    async def list(self, path: str, product: str | None = None) -> dict[str, Any]:
        """Versions in a workspace, or of one product in it, as ``jupyter casa cache list --json`` gives them.

        Raises:
            NotThere: nothing is remembered there.
            Conflict: the workspace's memory cannot be read.
            Overloaded: too much is waiting already.
        """
        directory = self.root.workspace(path)

        def found() -> dict[str, Any]:
            with closing(reading(directory)) as ledger:
                return reports.versions(directory, ledger.versions(product))

        return await self.once(("list", directory, product), lambda: told(directory, found))

    async def get(self, path: str, version: str) -> dict[str, Any]:
        """One version: its files, and the call that made it.

        Raises:
            NotThere: there is no such version.
            Conflict: the workspace's memory cannot be read.
            Overloaded: too much is waiting already.
        """
        directory = self.root.workspace(path)

        def found() -> dict[str, Any]:
            with closing(_viewed(directory)) as ledger:
                known = _version(ledger, version)
                call = ledger.call(known.call) if known.call is not None else None
                made: dict[str, Any] | None = None
                if call is not None:
                    made = {"task": call.task, "key": call.key, "arguments": call.arguments, "inputs": call.inputs}
                    made |= {"outputs": call.outputs, "seconds": call.seconds, "created": reports.time_of(call.created)}
                return {
                    "schema": reports.SCHEMA,
                    "id": known.id,
                    "path": known.path,
                    "files": len(known.manifest.files),
                    "bytes": known.manifest.size,
                    "kept": known.manifest.kept,
                    "call": made,
                }

        return await self.work(lambda: told(directory, found))

    async def compare(self, path: str, before: str, after: str) -> dict[str, Any]:
        """How two versions differ: names and sizes of files, no contents.

        Raises:
            NotThere: there is no such version.
            Conflict: the workspace's memory cannot be read.
            Overloaded: too much is waiting already.
        """
        directory = self.root.workspace(path)

        def found() -> dict[str, Any]:
            with closing(_viewed(directory)) as ledger:
                return self._compared(ledger, _version(ledger, before), _version(ledger, after))

        return await self.work(lambda: told(directory, found))

    async def restore(self, path: str, version: str, to: str | None = None) -> dict[str, Any]:
        """Bring a version to a path; what lies there is kept first.

        Args:
            path: of the workspace, or of a notebook in it.
            version: its id.
            to: where, relative to the workspace; None: to its own path.

        Raises:
            NotThere: there is no such version.
            BadRequest: that is no place for a product.
            Conflict: a kernel is at work; the version is no longer kept; something that is no product is in the way.
            Overloaded: too much is waiting already.
        """
        directory = self.root.workspace(path)
        reading(directory).close()  # only where a kernel has made a memory

        def done() -> dict[str, Any]:
            space = Workspace(directory, self.settings.store)
            space.confined = True
            try:
                with space.lock(patience=self.patience):
                    known = _version(space.ledger, version)
                    place = self._place(space, known.path if to is None else to)
                    former = space.look(place)
                    changed = space.restore({place: known.id})
            finally:
                space.close()
            answer = {"schema": reports.SCHEMA, "version": known.id, "path": place, "changed": bool(changed)}
            return answer | {"former": None if former == ABSENT else former}

        return await self.work(lambda: told(directory, done))

    def _place(self, space: Workspace, path: str) -> str:
        """The one name of the product at a path, if a version may be brought there.

        Raises:
            BadRequest: it may not.
            Conflict: something is in the way.
        """
        inside = os.path.relpath(space.directory, self.root.directory)
        try:
            real = self.root.place(path if inside == "." else f"{inside}/{path}")
        except NotThere as error:
            raise BadRequest("a version is brought to a path within its workspace") from error
        if os.path.isabs(path) or not real.is_relative_to(space.directory) or real == space.directory:
            raise BadRequest("a version is brought to a path within its workspace")
        product = str(real.relative_to(space.directory))
        if HOME in Path(product).parts:
            raise BadRequest(f"{HOME} is no place for a product")
        if not real.parent.is_dir():
            raise Conflict(f"there is no directory {os.path.dirname(product)}: make it first")
        known = space.ledger.known_paths()
        if any(product.startswith(f"{other}/") or other.startswith(f"{product}/") for other in known):
            raise Conflict(f"{product} is part of another data product, or holds one")
        if os.path.lexists(real) and product not in known:
            raise Conflict(f"what lies at {product} is no data product of this workspace: choose another path")
        return product

    def _compared(self, ledger: Ledger, before: Version, after: Version) -> dict[str, Any]:
        old, new = before.manifest, after.manifest
        names = {
            "added": sorted(new.keys() - old.keys()),
            "removed": sorted(old.keys() - new.keys()),
            "changed": [],
            "unsure": [],
        }
        for name in sorted(old.keys() & new.keys()):
            same = _same(old[name], new[name], ledger)
            if not same:
                names["unsure" if same is None else "changed"].append(name)

        def row(name: str) -> dict[str, Any]:
            sizes = [manifest[name].size if name in manifest else None for manifest in (old, new)]
            return {"name": name, "before": sizes[0], "after": sizes[1]}

        return {
            "schema": reports.SCHEMA,
            "before": {"id": before.id, "path": before.path, "bytes": old.size},
            "after": {"id": after.id, "path": after.path, "bytes": new.size},
            "count": {kind: len(found) for kind, found in names.items()},
            **{kind: [row(name) for name in found[: self.names_limit]] for kind, found in names.items()},
        }


def _same(old: ManifestEntry, new: ManifestEntry, ledger: Ledger) -> bool | None:
    """Whether an entry is the same in two versions; None: nobody has compared the contents."""
    if (old.kind, old.size, old.target, old.link) != (new.kind, new.size, new.target, new.link):
        return False
    if old.kind != "f" or (old.object is not None and old.object == new.object):
        return True
    digests = [entry.digest or (ledger.seal(entry.object) if entry.object else None) for entry in (old, new)]
    return None if None in digests else digests[0] == digests[1]


def _viewed(directory: Path) -> Ledger:
    """The memory of a workspace, to look at only.

    Raises:
        NotThere: there is none.
        LedgerError: it cannot be read.
    """
    path = directory / HOME / "ledger.sqlite"
    if not path.is_file():
        raise NotThere("nothing has been run there with the kernel casa")
    return Ledger(path, readonly=True)


def _version(ledger: Ledger, version: str) -> Version:
    found = ledger.version(version) if version != ABSENT else None
    if found is None:
        raise NotThere(f"there is no version {version[:100]!r}")
    return found
