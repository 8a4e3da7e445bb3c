"""What a workspace's store holds, and letting versions go."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from traitlets import Float

from casa_recompute import housekeeping
from casa_recompute.ledger.reader import LedgerReader
from casa_recompute.workspace import HOME, Workspace
from jupyterlab_casa import reports
from jupyterlab_casa.managers.base import Manager, reading
from jupyterlab_casa.managers.products import told


class Store(Manager):
    """Upkeep of stores. Which blocks files share is expensive to find out, so it is not done all the time."""

    patience = Float(
        5.0, min=0.0, help="Seconds for which one waits for a kernel that is at work in a workspace. Default: 5."
    ).tag(config=True)
    status_lasts = Float(
        10.0, min=0.0, help="Seconds for which the status of a store is told again without looking. Default: 10."
    ).tag(config=True)

    near_disk = Float(
        0.05, min=0.0, max=1.0, help="A disk of which less than this part is free is nearly full. Default: 0.05."
    ).tag(config=True)
    near_budget = Float(
        0.9, min=0.0, help="A store that takes more than this part of its budget is nearly full. Default: 0.9."
    ).tag(config=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._status: dict[Path, tuple[float, dict[str, Any]]] = {}

    async def status(self, path: str) -> dict[str, Any]:
        """Store, sizes, time saved, as ``jupyter casa cache info --json`` gives them.

        Raises:
            NotThere: nothing is remembered there.
            Conflict: it cannot be read.
            Overloaded: too much is waiting already.
        """
        directory = self.root.workspace(path)
        now = time.monotonic()
        self._status = {d: known for d, known in self._status.items() if now - known[0] < self.status_lasts}
        if directory in self._status:
            return self._status[directory][1]

        def found() -> dict[str, Any]:
            with closing(reading(directory)) as ledger:
                return reports.status(directory, ledger, self.settings)

        answer = await self.once(("status", directory), lambda: told(directory, found))
        self._status[directory] = time.monotonic(), answer
        return answer

    async def shares(self, path: str) -> dict[str, Any]:
        """Which part of the stored bytes belongs to which product, and to which version alone.

        Raises:
            NotThere: nothing is remembered there.
            Conflict: it cannot be read.
            Overloaded: too much is waiting already.
        """
        directory = self.root.workspace(path)

        def found() -> dict[str, Any]:
            with closing(reading(directory)) as ledger:
                return _shares(ledger) | {"schema": reports.SCHEMA, "workspace": str(directory)}

        return await self.once(("shares", directory), lambda: told(directory, found))

    async def near(self, path: str) -> list[dict[str, Any]]:
        """What is nearly full: the disk of a workspace, or the budget of its store.

        Each: ``what`` ("disk" or "budget"), ``used`` and ``limit`` (bytes), ``message`` (a sentence for people).

        Raises:
            NotThere: there is no such directory.
            Conflict: it cannot be found out.
            Overloaded: too much is waiting already.
        """
        directory = self.root.workspace(path)

        def look() -> tuple[list[dict[str, Any]], bool]:
            disk, found = shutil.disk_usage(directory), []
            if disk.free < self.near_disk * disk.total:
                said = f"The disk of {directory.name} has {_gb(disk.free)} left ({disk.free / disk.total:.0%})."
                found.append({"what": "disk", "used": disk.total - disk.free, "limit": disk.total, "message": said})
            if not (directory / HOME / "ledger.sqlite").is_file():
                return found, False
            with closing(reading(directory)) as ledger:
                most = ledger.totals().logical_bytes  # versions cannot take more
            limit = min(self._limit(directory, kind, most) for kind in ("copy", "reflink"))
            return found, most >= self.near_budget * limit

        found, perhaps = await self.once(("near", directory), lambda: told(directory, look))
        if perhaps:  # only then it is worth while to find out what files share
            status = await self.status(path)
            used, kind = status["bytes"]["on_disk"], status["store"]["kind"]
            limit = await self.work(lambda: told(directory, lambda: self._limit(directory, kind, used)))
            if used >= self.near_budget * limit:
                said = f"Versions in {directory.name} take {_gb(used)} of the {_gb(limit)} that they may take."
                found.append({"what": "budget", "used": used, "limit": limit, "message": said})
        return found

    def _limit(self, directory: Path, kind: str, used: int) -> int:
        return housekeeping.allowance(directory / HOME, kind, self.settings.budget, used)

    async def collection(self, path: str, budget: int | None, dry_run: bool) -> dict[str, Any]:
        """Let versions go until a budget is kept, or only tell which; as ``jupyter casa cache gc --json``.

        Args:
            path: of the workspace, or of a notebook in it.
            budget: GB (10^9 bytes) of disk for versions; None: as the settings say.
            dry_run: only tell.

        Raises:
            NotThere: nothing is remembered there.
            Conflict: a kernel is at work, or it cannot be done.
            Overloaded: too much is waiting already.
        """
        directory = self.root.workspace(path)
        reading(directory).close()  # only where a kernel has made a memory

        def done() -> dict[str, Any]:
            settings = self.settings
            space = Workspace(directory, settings.store)
            space.confined = True
            try:
                with space.lock(patience=self.patience):
                    wanted = settings.budget if budget is None else budget
                    found = housekeeping.plan_collection(space, wanted, occupied=not space.alone())
                    if not dry_run:
                        housekeeping.collect(space, found)
            finally:
                space.close()
            return reports.collection(directory, found, dry_run)

        answer = await self.once(("collection", directory, budget, dry_run), lambda: told(directory, done))
        if not dry_run:
            self._status.pop(directory, None)
        return answer


def _shares(ledger: LedgerReader) -> dict[str, Any]:
    sizes: dict[str, int] = {}
    versions: dict[str, list[str]] = {}
    products: dict[str, set[str]] = {}
    for version, product, objects in ledger.objects():
        sizes |= objects
        versions[version] = list(objects)
        products.setdefault(product, set()).update(objects)
    users = Counter(name for names in versions.values() for name in names)
    owners = Counter(name for names in products.values() for name in names)
    return {
        "bytes": sum(sizes.values()),
        "products": [
            {"path": product, "bytes": round(sum(sizes[name] / owners[name] for name in names))}
            for product, names in products.items()
        ],
        "versions": [
            {"id": version, "alone": sum(sizes[name] for name in names if users[name] == 1)}
            for version, names in versions.items()
        ],
    }


def _gb(count: int) -> str:
    return f"{count / 10**9:.1f} GB"
