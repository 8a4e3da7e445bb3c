"""The store's upkeep: is every stored file as it was kept, and what may go when room is needed?"""

from __future__ import annotations

import heapq
import math
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from casa_recompute.ledger import CallRecord, Version
from casa_recompute.products import ABSENT, Manifest, scan
from casa_recompute.store.chores import seal
from casa_recompute.store.extents import Blocks, Pieces, all_extents
from casa_recompute.store.zfs import ZfsStore
from casa_recompute.workspace import Workspace

_OFTEN = 1 << 30
"""Bytes of captured files after which the budget is looked at again."""
_ATTEMPTS = 4
"""How often a version that has become dearer is put back in the queue, before it is its turn all the same."""
_FAR = 100
"""Calls of a chain that are counted."""
HALF_LIFE_S = 7 * 86400.0
"""A version that was used this long ago is worth half of one used now."""


@dataclass
class Verified:
    """What came of looking at every stored file."""

    files: int = 0
    bytes: int = 0
    sealed: int = 0
    """Files of which no digest was known yet; it was taken now."""
    damaged: list[str] = field(default_factory=list)
    """Objects that were not as they were kept, or could not be read. They were removed."""
    missing: list[str] = field(default_factory=list)
    lost: list[tuple[str, str]] = field(default_factory=list)
    """(product path, version) that can no longer be restored; they are computed again when they are needed."""


def verify(space: Workspace, progress: Callable[[int, int], None] = lambda done, total: None) -> Verified:
    """Read every stored file; what is not as it was kept is removed, so that it is never served.

    Args:
        space: whose lock one holds.
        progress: told the bytes read so far, and of all.

    Raises:
        sqlite3.Error: the ledger cannot be written.
    """
    found = Verified()
    wanted = _Wanted(space)
    seals, fresh = space.ledger.seals(), []
    total = sum(size for size, _ in wanted.files.values())
    for name, (size, mtime_ns) in wanted.files.items():
        known = wanted.digests.get(name) or seals.get(name)
        if not space.store.path(name).exists():
            found.missing.append(name)
            continue
        digest = _seal_twice(space, name)
        if digest == "unreadable" or not space.store.intact(name, size, mtime_ns) or known not in (None, digest):
            found.damaged.append(name)
        elif known is None:
            fresh.append((name, digest))
        found.files, found.bytes = found.files + 1, found.bytes + size
        progress(found.bytes, total)
    found.sealed = len(fresh)
    space.ledger.add_seals(fresh)
    gone = {*found.damaged, *found.missing}
    if gone:
        space.store.remove(found.damaged)
        space.ledger.drop_seals(gone)
        for version in wanted.versions:
            if not gone.isdisjoint(_objects(version)):
                found.lost.append((version.path, version.id))
                _forget_objects(space, version, gone)
        lost = {version_id for _, version_id in found.lost}
        for path in space.ledger.known_paths():
            # The product may share the damaged blocks: it is looked at byte by byte.
            seen = space.ledger.presence(path)
            if seen is not None and seen.version in lost:
                space.ledger.forget_presence(path)
    return found


def _seal_twice(space: Workspace, name: str) -> str:
    """The digest of an object; the disk is asked again before it counts as unable to read it."""
    for _ in range(2):
        with suppress(OSError):
            return seal(space.store, name)
    return "unreadable"


class _Wanted:
    """All stored files that the ledger knows."""

    def __init__(self, space: Workspace) -> None:
        self.versions = list(_versions(space))
        self.calls = space.ledger.all_calls()
        self.files: dict[str, tuple[int, int]] = {}  # object -> size, mtime_ns
        self.digests: dict[str, str] = {}
        for version in self.versions:
            for entry in version.manifest.values():
                if entry.object is not None:
                    self.files[entry.object] = entry.size, entry.mtime_ns
                    if entry.digest is not None:
                        self.digests[entry.object] = entry.digest
        for call in self.calls:
            for picture in call.pictures:
                self.files[picture["object"]] = picture["size"], picture["mtime_ns"]


def _versions(space: Workspace) -> Iterator[Version]:
    for version_id in space.ledger.version_ids():
        version = space.ledger.version(version_id)
        if version is not None and version_id != ABSENT:
            yield version


def _forget_objects(space: Workspace, version: Version, objects: set[str]) -> None:
    entries = version.manifest.items()
    known = {name: replace(entry, object=None) if entry.object in objects else entry for name, entry in entries}
    space.ledger.add_version(replace(version, manifest=Manifest(known)))


def _objects(version: Version) -> set[str]:
    return {entry.object for entry in version.manifest.values() if entry.object is not None}


# -- eviction ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """What a call made, which may go, or why it may not."""

    paths: tuple[str, ...]
    versions: tuple[str, ...]
    task: str
    """That made it; "": it was there, or made by hand."""
    seconds: float
    """What it takes to compute it again, calls included whose results are needed for that and are nowhere any more."""
    calls: int
    """How many calls that are."""
    age_s: float
    """Since it was last made or restored."""
    frees: int
    """Bytes that the disk gets back, after those that go before it."""
    score: float
    """Seconds x recency / bytes freed: the lowest go first."""
    keep: str = ""
    """Why it stays; "": it goes."""


@dataclass(frozen=True)
class Collection:
    """What a collection would do, or did. Sizes in bytes."""

    candidates: list[Candidate]
    orphans: list[str]
    """Stored files that nothing refers to, which a power cut or a kill has left."""
    physical: int
    """What versions take on the disk now, shared blocks once."""
    logical: int
    """If every version were a full copy."""
    goal: int
    """What versions may take on the disk."""

    @property
    def going(self) -> list[Candidate]:
        """What goes, in this order."""
        return [candidate for candidate in self.candidates if not candidate.keep]

    @property
    def freed(self) -> int:
        """Bytes that the disk gets back."""
        return sum(candidate.frees for candidate in self.going)

    @property
    def excess(self) -> int:
        """Bytes above the goal that remain, because all else is needed."""
        return max(0, self.physical - self.freed - self.goal)


@dataclass
class _Group:
    """All that one call made: without one of them it has to run again, so they go together."""

    versions: list[Version]
    call: CallRecord | None

    @cached_property
    def objects(self) -> set[str]:
        return set().union(*map(_objects, self.versions))


class Recomputing:
    """What it would take to compute versions again, when only some are at hand."""

    available: set[str]
    """Versions that are in the store or at their path; who lets some go takes them out."""

    def __init__(self, calls: Mapping[str, CallRecord], makers: Mapping[str, str | None], available: set[str]) -> None:
        """Remember what is what.

        Args:
            calls: by key.
            makers: version -> key of the call that made it; None: nobody can make it again.
            available: see there.
        """
        self._calls, self.available = calls, available | {ABSENT}
        made = {v: call.key for call in calls.values() for v in call.outputs.values() if v not in call.inputs.values()}
        self._makers = {**made, **makers}
        self._possible: dict[str, bool] = {}

    def cost(self, call: CallRecord) -> tuple[float, int]:
        """Seconds, and how many calls would run: this one, and those that have to make its inputs; each once.

        A call that was forgotten costs nothing, as nobody knows. Of very long chains only the part nearest counts.
        """
        seen = {call.key}
        todo = [call]
        seconds = 0.0
        while todo:
            one = todo.pop()
            seconds += one.seconds
            if len(seen) >= _FAR:
                continue
            for maker in self._missing(one):
                if maker is not None and maker not in seen:
                    seen.add(maker)
                    todo += [self._calls[maker]] if maker in self._calls else []
        return seconds, len(seen)

    def _missing(self, call: CallRecord) -> list[str | None]:
        """Keys of the calls that would have to make its inputs; None where nobody can."""
        return [self._makers.get(version) for version in call.inputs.values() if version not in self.available]

    def possible(self, call: CallRecord) -> bool:
        """Whether it can be run again at all. What goes meanwhile changes nothing if it was possible itself."""
        todo, entered = [call], set[str]()
        while todo:
            one = todo[-1]
            makers = self._missing(one)
            entered.add(one.key)
            unknown = (m for m in makers if m is not None and m not in self._possible and m not in entered)
            first = [self._calls[maker] for maker in unknown if maker in self._calls]
            if one.key not in self._possible and first:
                todo += first
                continue
            todo.pop()
            if one.key not in self._possible:
                known = (m is not None and self._possible.get(m, m not in self._calls) for m in makers)
                self._possible[one.key] = all(known)
        return self._possible[call.key]


def allowance(home: Path, store: str, budget: int, physical: int) -> int:
    """Bytes that versions may take on the disk.

    Args:
        home: the workspace's own directory.
        store: the kind of its store.
        budget: what the settings say, in GB (10^9 bytes). 0: where blocks are shared, as much as leaves a tenth of
            the file system free; where they are copied, half of what would be free without them.
        physical: bytes that they take now.
    """
    if budget:
        return budget * 10**9
    disk = shutil.disk_usage(home)
    if store == "copy":
        return (physical + disk.free) // 2
    return max(0, physical + disk.free - disk.total // 10)


def plan_collection(space: Workspace, budget: int, occupied: bool, now: float | None = None) -> Collection:
    """What has to go, so that versions keep within the budget. Nothing is changed.

    Never what a notebook needs that is open, never what nobody can compute again, never what lies at its path.

    Args:
        space: whose lock one holds.
        budget: see :func:`allowance`.
        occupied: whether a kernel works here.
        now: Unix seconds, for tests.
    """
    now = time.time() if now is None else now
    wanted = _Wanted(space)
    groups: dict[str, _Group] = {}
    calls = {call.key: call for call in wanted.calls}
    for version in wanted.versions:
        if _objects(version):
            group = groups.setdefault(version.call or version.id, _Group([], calls.get(version.call or "")))
            group.versions.append(version)
    users = Counter(name for group in groups.values() for name in group.objects)
    users.update({picture["object"] for call in wanted.calls for picture in call.pictures})
    blocks = _blocks(space, wanted.files)
    physical = blocks.taken(wanted.files)
    goal = allowance(space.home, space.store.name, budget, physical)
    excess = physical - goal
    needed = _needed(space, occupied)
    present = _present(space)
    recomputing = Recomputing(
        calls, {v.id: v.call for v in wanted.versions}, {v.id for v in wanted.versions if v.manifest.kept} | present
    )
    used = space.ledger.last_uses()

    def rate(group: _Group) -> Candidate:
        """What is known of it by now; ``keep`` is decided later."""
        seconds, count, age = 0.0, 0, now
        if group.call is not None:
            seconds, count = recomputing.cost(group.call)
            age = max(0.0, now - max(used.get(group.call.key, 0.0), group.call.created))
        frees = blocks.freed(name for name in group.objects if users[name] == 1)
        score = seconds * 2.0 ** (-age / HALF_LIFE_S) / frees if frees else math.inf
        paths, ids = (tuple(getattr(v, name) for v in group.versions) for name in ("path", "id"))
        return Candidate(paths, ids, group.call.task if group.call else "", seconds, count, age, frees, score)

    sharing: dict[str, list[int]] = {}
    rows = list(groups.values())
    for number, group in enumerate(rows):
        for name in group.objects:
            if users[name] > 1:
                sharing.setdefault(name, []).append(number)
    rated = list(map(rate, rows))
    as_of, attempts = [0] * len(rows), [0] * len(rows)
    queue = [(one.score, one.seconds, one.age_s, number) for number, one in enumerate(rated)]
    heapq.heapify(queue)
    candidates: dict[int, Candidate] = {}  # decided, in this order
    while queue:
        score, _, _, number = heapq.heappop(queue)
        if number in candidates:
            continue
        if as_of[number] < len(candidates) and excess > 0:  # what went may have made it dearer, or worth more
            rated[number] = rate(rows[number])
            as_of[number], attempts[number] = len(candidates), attempts[number] + 1
            if rated[number].score > score and attempts[number] < _ATTEMPTS:
                heapq.heappush(queue, (rated[number].score, rated[number].seconds, rated[number].age_s, number))
                continue
        group, one = rows[number], rated[number]
        why = next((needed[version.id] for version in group.versions if version.id in needed), "")
        if not why and all(version.call is None for version in group.versions):
            why = "nobody could compute it again"
        elif not why and group.call is not None and not recomputing.possible(group.call):
            why = "nobody could compute it again: what it was made from is gone"
        elif not why and not one.frees:
            why = "all its blocks are shared with others"
        elif not why and excess <= 0:
            why = "there is room for it"
        candidates[number] = replace(one, keep=why)
        if why:
            continue
        excess -= one.frees
        blocks.remove([name for name in group.objects if users[name] == 1])
        users.subtract(group.objects)
        recomputing.available -= {version.id for version in group.versions} - present
        alone = [name for name in group.objects if users[name] == 1 and name in sharing]
        for other in {other for name in alone for other in sharing[name] if other not in candidates}:
            rated[other] = rate(rows[other])
            heapq.heappush(queue, (rated[other].score, rated[other].seconds, rated[other].age_s, other))
    orphans = sorted(space.store.objects() - wanted.files.keys())
    logical = sum(version.manifest.size for version in wanted.versions if version.manifest.kept)
    return Collection(list(candidates.values()), orphans, physical, logical, goal)


def collect(space: Workspace, collection: Collection) -> None:
    """Let go what :func:`plan_collection` found; the same lock must still be held.

    A version that goes is still known, only not kept, so it can be told why it has to be computed again.

    Raises:
        OSError: the disk fails; what was not removed is found by the next collection.
    """
    going = {version for candidate in collection.going for version in candidate.versions}
    stay, go = set[str](), set(collection.orphans)
    with space.ledger.transaction():
        for version in list(_versions(space)):
            if version.id not in going:
                stay |= _objects(version)
                continue
            go |= _objects(version)
            _forget_objects(space, version, _objects(version))
        stay.update(picture["object"] for call in space.ledger.all_calls() for picture in call.pictures)
        space.ledger.drop_seals(go - stay)
    space.store.remove(sorted(go - stay))


def make_room(space: Workspace) -> str:
    """Keep the budget; to be called by a kernel after a call, with the lock. What the user should know, if anything.

    Raises:
        OSError: the disk fails.
    """
    if space.grown < _OFTEN:
        return ""
    grown, space.grown = space.grown, 0
    usage = space.store.usage()  # an upper bound: blocks may be shared
    disk = shutil.disk_usage(space.home)
    if usage.bytes > allowance(space.home, space.store.name, space.budget, usage.bytes) or disk.free < disk.total // 20:
        collection = plan_collection(space, space.budget, occupied=True)
        collect(space, collection)
        left = "; what remains is needed: `jupyter casa cache gc --dry-run` tells by whom" if collection.excess else ""
        if collection.going or left:
            return f"{collection.freed / 1e9:.1f} GB of earlier results were let go to keep within the budget{left}"
    if space.store.name == "copy":
        return (
            f"{grown / 1e9:.1f} GB were copied to keep earlier states of data products; a workspace on btrfs, XFS or "
            "OpenZFS >= 2.2 would share them (`jupyter casa doctor` tells more)"
        )
    return ""


def _present(space: Workspace) -> set[str]:
    """Versions that lie at their paths."""
    seen = (space.ledger.presence(path) for path in space.ledger.known_paths())
    return {there.version for there in seen if there is not None}


def _needed(space: Workspace, occupied: bool) -> dict[str, str]:
    """Version -> why it must not go."""
    needed = dict.fromkeys(_present(space), "it lies at its path")
    if occupied:
        for notebook, versions in space.ledger.present_stories().items():
            needed |= dict.fromkeys(versions, f"{notebook or 'a notebook'} needs it, and a kernel is open")
    for step in space.ledger.pending():
        needed |= dict.fromkeys(step.versions.values(), "a step that is under way needs it")
    return needed


def _all_extents(space: Workspace, names: Iterable[str]) -> dict[str, Pieces]:
    """Pieces of disk of stored files, and (under names with a leading "/") of products, which may share them."""
    paths = {name: space.store.path(name) for name in names}
    device = os.stat(space.home).st_dev
    for product in space.ledger.known_paths():
        root = space.absolute(product)
        for name, stamp in scan(root).items():
            path = root / name if name else root
            if stamp.kind == "f" and path.stat().st_dev == device:
                paths[f"/{path}"] = path
    return all_extents(paths)


def _blocks(space: Workspace, names: Iterable[str]) -> Blocks | _Snapshots:
    if isinstance(space.store, ZfsStore) and space.store.freed(()) is not None:
        return _Snapshots(space.store)
    return Blocks(_all_extents(space, names))


class _Snapshots:
    """What ZFS says of the same: a snapshot gives back what no other needs, once none of its files is wanted."""

    def __init__(self, store: ZfsStore) -> None:
        self._store = store
        self._going: set[str] = set()

    def taken(self, names: Iterable[str]) -> int:
        """Bytes that all snapshots take."""
        return self._store.usage().on_disk or 0

    def freed(self, names: Iterable[str]) -> int:
        """Bytes that these give back, after those that went."""
        more = self._store.freed(self._going.union(names)) or 0
        return more - (self._store.freed(self._going) or 0)

    def remove(self, names: Iterable[str]) -> None:
        """These go."""
        self._going.update(names)
