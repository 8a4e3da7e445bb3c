"""A workspace: the directory in which a notebook works, with its ledger, its store and its lock.

Knows what version of a product lies at a path, keeps it, and brings versions back. Everything that changes
a product goes through here, journaled, so that a killed process leaves a step that the next one undoes or completes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import shutil
import sqlite3
import stat
import threading
import time
import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from casa_recompute.ledger import (
    CallRecord,
    Ledger,
    LedgerError,
    LedgerUnreadable,
    NewerLedger,
    Touch,
    Version,
)
from casa_recompute.ledger.ledger import pack_call, unpack_call
from casa_recompute.products import (
    ABSENT,
    Manifest,
    ManifestEntry,
    Tree,
    around,
    digest_files,
    hard_links,
    is_directory,
    matches,
    scan,
    scan_directory,
    signature,
)
from casa_recompute.products.manifest import inflated, leads_inside
from casa_recompute.products.signature import is_lock, row_of
from casa_recompute.store import Capture, CowStore, StoreError, open_store, view_store
from casa_recompute.store.chores import Chores, Fresh
from casa_recompute.store.files import boot_id, readable, sync_filesystem
from casa_recompute.story import found_version

HOME = ".casa-recompute"
_log = logging.getLogger(__name__)
_WORTH_WAITING = 1.0
"""Seconds of computing that are not risked for the few milliseconds that a disk takes to write."""
_SETTLE_S = 0.5
"""Seconds after which quicker calls are safe from a power cut, too."""
_READABLE = {"owner": (0o700, 0o700), "group": (0o750, 0o770), "all": (0o755, 0o777)}
"""Who may read the memory -> mode of its directory: at least, at most."""
_UNSETTLED = "unsettled"
"""Where the ledger has the products of which the disk may not have everything yet."""
_RESERVE = 1 << 20
"""Bytes that are given up when the disk is full, so that the ledger can say so."""


class WorkspaceError(RuntimeError):
    """The workspace cannot be used; the message says what to do."""


class WorkspaceBusy(RuntimeError):
    """Another kernel has the workspace, and one did not want to wait."""


class VersionLost(RuntimeError):
    """A version should be brought back but the store no longer holds all of it."""

    def __init__(self, version: str, path: str) -> None:
        super().__init__(f"version {version} of {path} is no longer in the store")
        self.version = version
        self.path = path


class NotFollowed(VersionLost):
    """A version should be brought into a directory that was replaced by a symbolic link, or by a file."""

    def __init__(self, version: str, path: str, found: Path) -> None:
        super().__init__(version, path)
        kind = "a symbolic link now, which is not followed" if found.is_symlink() else "no directory any more"
        self.args = (f"{path} is not brought back: {found} is {kind}",)


@dataclass(frozen=True)
class _Difference:
    """What has to be done to a product to make it a version: ``wrong`` names are to be put, ``extra`` to go first."""

    target: Manifest
    tree: Tree
    wrong: list[str]
    extra: list[str]
    present: str = ""  # the version that is there now, where it is known


class Workspace:
    """One directory and its memory; see the module."""

    on_replace: list[Callable[[str], None]]
    """Called with the absolute path of a product before it is replaced; may raise to forbid it."""
    replaced: set[str]
    """Absolute paths replaced since the worker was last told."""
    session: str
    """Whose it is, if it is one's."""
    brought: dict[str, str]
    """Product path -> version that was brought there, since the cell began; its owner clears it."""
    displaced: dict[str, str]
    """Of those, the version that lay there before anything was brought."""
    noticed: dict[str, str]
    """Product path -> version that this process found or put there, since the cell began; its owner clears it."""
    on_product: list[Callable[[str, str, str], None]]
    """Called with "product-captured" or "product-restored", the product's path, and its version."""
    confined: bool = False
    """Whether nothing outside of the directory may be repaired, as by who only looks after what others have made."""
    grown: int
    """Bytes of files captured since somebody last saw to it that the budget is kept; who does it sets it to 0."""

    def __init__(
        self,
        directory: Path,
        store: str = "auto",
        budget: int = 0,
        readable: str = "",
    ) -> None:
        """Open the workspace in ``directory``; what a killed process left is repaired at the first lock.

        Args:
            directory: where.
            store: which store, see :func:`open_store`.
            budget: GB of disk that versions may take, see :class:`Settings`.
            readable: who may read its memory, see :class:`Settings`; "": who could before, at first its owner.

        Raises:
            WorkspaceError: the directory cannot be used.
            StoreError: the store asked for does not work here.
        """
        self.directory = Path(os.path.realpath(directory))
        self.home = self.directory / HOME
        if not self.directory.is_dir():
            raise WorkspaceError(f"{self.directory} is no directory: make it first, or choose another workspace")
        try:
            with contextlib.suppress(FileExistsError):
                self.home.mkdir(mode=0o700)
            for name in ("log", "tmp", "records"):
                (self.home / name).mkdir(exist_ok=True)
            if readable:
                self._let_read(readable)
            self._lock_file = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            self._open_file = os.open(self.home / "open", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._open_file, fcntl.LOCK_SH)
            self._make_reserve()
        except OSError as error:
            raise WorkspaceError(
                f"{self.directory} cannot be written ({error.strerror}): work in a directory of your own"
            ) from error
        self._depth = 0
        self._glanced: dict[str, tuple[str, Tree]] | None = None
        self._read_limit: int | None = None
        self.budget, self.grown = budget, 0
        self._settler: threading.Thread | None = None
        self._hurry = threading.Event()
        self._noted = ""  # what the disk may not have, as noted last
        self._on_disk = _read_text(self.home / "settled")  # the note of what it had not, but has now
        self._boot = boot_id()
        self._captures: dict[str, frozenset[str]] = {}  # of a version: the captures in which its files are
        self.store: CowStore = open_store(self.home / "store", store)
        _log.info("%s: versions are kept by the store %r: %s", self.directory, self.store.name, self.store.reason)
        self._chores = Chores(self.store, self.home / "store")
        self.on_replace, self.on_product = [], []
        self.replaced = set()
        self.session, self.brought, self.displaced, self.noticed = "", {}, {}, {}
        try:
            with self._locked(patience=0):
                self.ledger = self._open_ledger()
        except WorkspaceBusy:  # another kernel's task may take hours, and this one has to start meanwhile
            self.ledger = self._open_beside()

    @classmethod
    def view(cls, directory: Path, read_limit: int | None = None) -> Workspace:
        """A workspace to look at only: takes no lock, writes nothing, and need not be writable.

        Args:
            directory: where.
            read_limit: bytes of a product that nobody has read yet up to which it is read, to be recognised. One that
                is larger is taken for something that was never there before. None: any number.

        Raises:
            NewerLedger: it belongs to a newer version of this software.
            LedgerError: its memory cannot be read.
        """
        path = directory / HOME / "ledger.sqlite"
        space = cls._viewed(directory, Ledger(path, readonly=True) if path.exists() else Ledger(Path(":memory:")))
        space._read_limit = read_limit
        return space

    @classmethod
    def _viewed(cls, directory: Path, ledger: Ledger) -> Workspace:
        space = cls.__new__(cls)
        space.directory = Path(os.path.realpath(directory))
        space.home = space.directory / HOME
        space._lock_file = -1
        space._settler = None
        space._depth = 0
        space._glanced = None
        space._read_limit = None
        space.on_product, space.on_replace, space.replaced = [], [], set()
        space.session, space.brought, space.displaced, space.noticed = "", {}, {}, {}
        space.ledger = ledger
        space.store = view_store(space.home / "store")
        return space

    def _let_read(self, who: str) -> None:
        """Who else may come into our directory; who may write there is who may by the umask of its owner."""
        least, most = _READABLE[who]
        mode = least | (self.home / "tmp").stat().st_mode & most
        if self.home.stat().st_uid == os.geteuid() and self.home.stat().st_mode & 0o777 != mode:
            self.home.chmod(mode)

    def _make_reserve(self) -> None:
        reserve = self.home / "reserve"
        if not reserve.exists() and shutil.disk_usage(self.home).free > 8 * _RESERVE:
            reserve.write_bytes(os.urandom(_RESERVE))  # random: a file system that compresses must not cheat

    def give_up_reserve(self) -> None:
        """Make a little room on a full disk."""
        (self.home / "reserve").unlink(missing_ok=True)

    @property
    def lock_file(self) -> int:
        """The descriptor of the lock; a process that inherits it holds the lock as long as it lives."""
        return self._lock_file

    def close(self) -> None:
        """Write out what waits, close the ledger and give back the lock; harmless when closed already."""
        if self._settler is not None:
            self._hurry.set()
            self._settler.join()
            self._settler = None
            self._write_seals()
        if self._lock_file >= 0:
            with contextlib.suppress(OSError):  # then `cache verify` seals them
                self._chores.leave()
            with contextlib.suppress(OSError):  # what it held is then released by the next who cleans up
                self.store.close()
        self.ledger.close()
        if self._lock_file >= 0:
            os.close(self._lock_file)
            os.close(self._open_file)
            self._lock_file = -1

    def alone(self) -> bool:
        """Whether no other kernel has this workspace open."""
        try:
            fcntl.flock(self._open_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            fcntl.flock(self._open_file, fcntl.LOCK_SH)
        return True

    def absolute(self, path: str) -> Path:
        """Where a product lies."""
        return self.directory / path

    def stamps(self, path: str) -> Tree:
        """What the file system says of a product's files; empty when it is not there."""
        return scan_directory(self.absolute(path)) if is_directory(path) else scan(self.absolute(path))

    def in_the_way(self, path: str) -> Path | None:
        """What lies where a directory above a product was, when it was replaced: a symbolic link, or a file.

        Names of products have no links (see :func:`product_path`): what lies behind one is another product, or somebody
        else's. Nothing is written or removed through it.
        """
        place = Path("/") if os.path.isabs(path) else self.directory
        for part in Path(path).parent.parts:
            place /= part
            try:
                if not stat.S_ISDIR(os.lstat(place).st_mode):
                    return place
            except FileNotFoundError:
                return None
        return None

    # -- the lock ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lock(
        self, waiting: Callable[[float, str], None] | None = None, patience: float | None = None
    ) -> Iterator[None]:
        """Have the workspace for oneself; steps that a killed process left are repaired first.

        Args:
            waiting: told about once a second for how many seconds, and for whom, one has waited; in the end, that it
                is for nobody ("").
            patience: seconds after which to give up; None: never.

        Raises:
            WorkspaceBusy: patience was at its end.
        """
        with self._locked(waiting, patience):
            if self._depth == 1:
                try:
                    self._same_ledger()
                    self.ledger.refresh()
                    self.recover()
                    self._write_seals()
                except sqlite3.Error:
                    self.give_up_reserve()
                    self.reopen_ledger()
                    self.recover()
            yield
            if self._depth == 1:
                self._hold()

    def _hold(self) -> None:
        """Let nobody destroy, while we have the workspace open, what its notebooks need: what cells read or left."""
        if not self.store.holds:
            return
        needed = {version for touch in self.ledger.touches() for version in (touch.before, touch.after)}
        for version_id in needed - self._captures.keys():
            version = self.ledger.version(version_id)
            if version is not None and version.manifest.kept:
                objects = (entry.object or "" for entry in version.manifest.files.values())
                self._captures[version_id] = frozenset(name.split("/")[0] for name in objects)
        with contextlib.suppress(OSError):  # then it is protected less, but nothing is wrong
            self.store.hold({name for version_id in needed for name in self._captures.get(version_id, ())})

    def _same_ledger(self) -> None:
        """Somebody may have deleted the ledger's file, which SQLite would not notice."""
        if not self.ledger.path.exists() or self.ledger.path.stat().st_ino != self._ledger_inode:
            self.reopen_ledger()

    @contextlib.contextmanager
    def _locked(
        self, waiting: Callable[[float, str], None] | None = None, patience: float | None = None
    ) -> Iterator[None]:
        if not self._depth:
            self._acquire(waiting, patience)
        self._depth += 1
        try:
            if self._depth == 1:
                self.say_who("")
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                try:
                    self._say("")
                finally:
                    fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _acquire(self, waiting: Callable[[float, str], None] | None, patience: float | None) -> None:
        began = told = time.monotonic()
        while True:
            try:
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if waiting is not None and told != began:
                    waiting(time.monotonic() - began, "")
                break
            except BlockingIOError:
                if patience is not None and time.monotonic() - began >= patience:
                    raise WorkspaceBusy(f"{self.directory} is in use by {self._who() or 'another kernel'}") from None
                time.sleep(0.02)
            if waiting is not None and time.monotonic() - told >= 1:
                told = time.monotonic()
                waiting(told - began, self._who())

    def _who(self) -> str:
        return os.pread(self._lock_file, 200, 0).decode("utf-8", "replace")

    def say_who(self, what: str) -> None:
        """Write into the lock who holds it, for others who wait."""
        self._say(f"process {os.getpid()} {what}".strip())

    def _say(self, who: str) -> None:
        with contextlib.suppress(OSError):  # a full disk: others then wait without knowing for whom
            os.ftruncate(self._lock_file, 0)
            os.pwrite(self._lock_file, who.encode()[:200], 0)

    # -- what is where ---------------------------------------------------------------------------------------------

    def look(self, path: str) -> str:
        """The version that lies at ``path`` now; content is read only when the signature is unknown."""
        return self._see(path)[0]

    def _see(self, path: str) -> tuple[str, Tree]:
        """The version at ``path``, and the stamps of its files."""
        if self._glanced is not None and path in self._glanced:
            return self._glanced[path]
        tree = self.stamps(path)
        seal = signature(tree)
        version = ABSENT if not tree else self.ledger.present_version(path, seal) or self._identify(path, tree, seal)
        if self._glanced is not None:
            self._glanced[path] = version, tree
        return version, tree

    @contextlib.contextmanager
    def glance(self) -> Iterator[None]:
        """Within, a product is looked at once, and again only after it was changed from here.

        For moments in which one decides what to do; not while a task runs.
        """
        self._glanced = {}
        try:
            yield
        finally:
            self._glanced = None

    def known(self, path: str) -> bool:
        """Whether :meth:`look` can answer without reading content."""
        if self._glanced is not None and path in self._glanced:
            return True
        tree = self.stamps(path)
        version = self.ledger.present_version(path, signature(tree)) if tree else ABSENT
        if version is not None and self._glanced is not None:
            self._glanced[path] = version, tree
        return version is not None

    def _identify(self, path: str, tree: Tree, seal: bytes) -> str:
        """Find the version by content: one that was at this path before, or a new one."""
        if self._read_limit is not None:
            held = self._held(path, tree)
            unread = (s.size for n, s in tree.items() if s.kind == "f" and (n not in held or held[n].digest is None))
            if sum(unread) > self._read_limit:
                return "u-" + seal.hex()
        manifest = self._manifest_of(path, tree)
        found = next((v for v in self._candidates(path, manifest) if self._same_content(v, manifest)), None)
        if found is None:
            content = manifest.content()
            found = self.ledger.version("c-" + content)
        if found is None:
            found = Version("c-" + content, path, None, manifest, content)
            self.ledger.add_version(found)
        self._set_presence(path, found.id, seal, tree)
        return found.id

    def _manifest_of(self, path: str, tree: Tree) -> Manifest:
        """Manifest of what is at ``path``, digests included; files that did not change are not read again."""
        held = self._held(path, tree)
        root, links = self.absolute(path), hard_links(tree)
        entries = {}
        for name, stamp in tree.items():
            if name in links:
                continue
            if stamp.kind == "f":
                old = held.get(name)
                if old is not None and old.digest is not None:
                    entries[name] = old
                else:
                    digest = digest_files([root / name if name else root])[0]
                    kept = old.object if old is not None else None
                    entries[name] = ManifestEntry("f", stamp.size, stamp.mode, stamp.mtime_ns, kept, digest)
            elif stamp.kind in "dl":
                target = os.readlink(root / name) if stamp.kind == "l" else ""
                entries[name] = ManifestEntry(stamp.kind, 0, stamp.mode, stamp.mtime_ns, target=target)
        return Manifest(entries | _linked(entries, links))

    def _held(self, path: str, tree: Tree) -> dict[str, ManifestEntry]:
        """Entries of the version last seen at ``path`` whose files were not touched since."""
        seen = self.ledger.presence(path)
        version = self.ledger.version(seen.version) if seen is not None else None
        if seen is None or version is None:
            return {}
        return {
            name: entry
            for name, entry in version.manifest.items()
            if name in tree and seen.tree.rows.get(name) == tree.rows[name]
        }

    def _last_seen(self, path: str) -> Mapping[str, ManifestEntry]:
        """Entries of the version last seen at ``path``."""
        seen = self.ledger.presence(path)
        version = self.ledger.version(seen.version) if seen is not None else None
        return version.manifest if version is not None else {}

    def _last_kept(self, path: str) -> Mapping[str, ManifestEntry]:
        """Entries of the newest version of ``path`` that the store holds: what is made anew may be like it."""
        versions = map(self.ledger.version, self.ledger.versions_at(path))
        kept = (version.manifest for version in versions if version is not None and version.manifest.kept)
        return next((manifest for manifest in kept if manifest), {})

    def _candidates(self, path: str, manifest: Manifest) -> Iterator[Version]:
        shape = manifest.shape()
        for version_id in self.ledger.versions_at(path):
            version = self.ledger.version(version_id)
            if version is not None and version.manifest.kept and version.manifest.shape() == shape:
                yield version

    def _same_content(self, version: Version, manifest: Manifest) -> bool:
        """Compare file by file, small ones first; a version's missing digests are computed and remembered."""
        digests: dict[str, str] = {}
        try:
            for name, entry in sorted(version.manifest.files.items(), key=lambda item: item[1].size):
                if is_lock(name):
                    continue
                digest = entry.digest
                if digest is None:
                    assert entry.object is not None
                    if not self.store.intact(entry.object, entry.size, entry.mtime_ns):
                        return False
                    try:
                        digest = digests[name] = digest_files([self.store.path(entry.object)])[0]
                    except OSError:  # the disk cannot read what is kept, so it is no use to find out
                        return False
                if digest != manifest[name].digest:
                    return False
            return True
        finally:
            if digests:
                known = version.manifest.with_digests(digests)
                self.ledger.add_version(Version(version.id, version.path, version.call, known))

    # -- keeping ---------------------------------------------------------------------------------------------------

    def keep(self, paths: Iterable[str]) -> None:
        """See to it that the store holds what is at these paths.

        Raises:
            OSError: the disk is full, or a product cannot be read.
        """
        for path in paths:
            version_id, tree = self._see(path)
            version = self.ledger.version(version_id)
            assert version is not None
            if not (version.manifest.kept and self._intact(version.manifest)):
                self._capture({path: (version_id, tree)})

    def capture(self, made: Mapping[str, tuple[str, Tree]], call: str) -> None:
        """Keep what a call made; to be called in one transaction with all else that the call leaves behind.

        Args:
            made: product path -> id of the version that it now is, and the stamps of its files.
            call: key of the call.
        """
        self._capture(made, call)

    def _capture(self, made: Mapping[str, tuple[str, Tree]], call: str | None = None) -> None:
        versions: list[Version] = []
        presences = []
        fresh = []
        with self.store.capture(call or "") as capture:
            for path, (version_id, tree) in made.items():
                root = self.absolute(path)
                held, links = self._held(path, tree), hard_links(tree)
                before = self._last_seen(path) or self._last_kept(path)
                entries = {}
                for name, stamp in tree.items():
                    if name in links:
                        continue
                    old = held.get(name)
                    if old is not None and self._entry_intact(old):
                        entries[name] = old
                    elif stamp.kind == "f":
                        source = f"{root}/{name}" if name else str(root)
                        kept = capture.add(source, stamp.mtime_ns)
                        self.grown += stamp.size
                        fresh.append(Fresh(kept, before[name].object if name in before else None, source))
                        digest = old.digest if old is not None else None
                        entries[name] = ManifestEntry("f", stamp.size, stamp.mode, stamp.mtime_ns, kept, digest)
                    elif stamp.kind in "dl":
                        target = os.readlink(root / name) if stamp.kind == "l" else ""
                        entries[name] = ManifestEntry(stamp.kind, 0, stamp.mode, stamp.mtime_ns, target=target)
                seal = signature(tree)
                if signature(self.stamps(path)) != seal:
                    raise WorkspaceError(f"{path} was changed by another program while it was being kept")
                versions.append(Version(version_id, path, call, Manifest(entries | _linked(entries, links))))
                presences.append((path, version_id, seal, tree))
            capture.commit()
        with self.ledger.transaction():
            self._add_kept(versions, fresh)
            for presence in presences:
                self._set_presence(*presence)
                self._tell("product-captured", *presence[:2])
            self._unsettle(made)

    def _add_kept(self, versions: Iterable[Version], fresh: Iterable[Fresh]) -> None:
        """Remember versions of which all files were captured just now."""
        if not self.store.checked:
            for file in fresh:
                self._chores.add(file)
        for version in versions:
            self._record(version.id, "version", _pack_version(version))
            self.ledger.add_version(version)

    def adopt(self, lender: Workspace, record: CallRecord) -> CallRecord:
        """Take over a call, and the versions that it made, from a workspace that is only read; the call as it is here.

        Raises:
            VersionLost: the other no longer holds all of it; nothing was changed here.
            OSError: the disk is full; nothing was changed here.
        """
        versions, fresh = [], []
        pictures = [dict(picture) for picture in record.pictures]
        with self.store.capture(record.key) as capture:
            for path, version_id in record.outputs.items():
                if version_id == ABSENT or self.restorable({path: version_id}):
                    continue
                theirs = lender.ledger.version(version_id)
                if theirs is None or not lender._intact(theirs.manifest):
                    raise VersionLost(version_id, path)
                # What both have is known by its digest, and kept once.
                before = self._last_seen(path)
                mine = {e.digest: e.object for e in before.values() if e.digest and self._entry_intact(e)}
                entries = {}
                for name, entry in theirs.manifest.items():
                    if entry.kind == "f" and not entry.link:
                        assert entry.object is not None
                        digest = entry.digest or lender.ledger.seal(entry.object)
                        kept = mine.get(digest) if digest else None
                        if kept is None:
                            kept = self._take(lender, entry.object, entry.size, entry.mtime_ns, capture, path)
                            previous = before[name].object if name in before else None
                            fresh.append(Fresh(kept, previous, str(self.absolute(path) / name)))
                        entry = replace(entry, object=kept, digest=digest)
                    entries[name] = entry
                links = {name: entry.link for name, entry in entries.items() if entry.link}
                versions.append(replace(theirs, manifest=Manifest(entries | _linked(entries, links))))
            for picture in pictures:
                picture["object"] = self._take(
                    lender, picture["object"], picture["size"], picture["mtime_ns"], capture, picture["name"]
                )
            capture.commit()
        record = replace(record, pictures=pictures)
        with self.ledger.transaction():
            for version in versions:
                seen = self.ledger.presence(version.path)
                if seen is not None and seen.version == version.id:
                    self.ledger.forget_presence(version.path)  # its files were not, byte for byte, these
            self._add_kept(versions, fresh)
            self.remember(record)
        return record

    def _take(self, lender: Workspace, name: str, size: int, mtime_ns: int, capture: Capture, path: str) -> str:
        """Take one file over from another's store."""
        try:
            if not lender.store.intact(name, size, mtime_ns):
                raise VersionLost(name, path)
            self.grown += size
            return capture.add(str(lender.store.path(name)), mtime_ns)
        except (FileNotFoundError, PermissionError) as error:  # evicted just now; or not meant for us
            raise VersionLost(name, path) from error

    def _intact(self, manifest: Manifest) -> bool:
        return all(map(self._entry_intact, manifest.values()))

    def _entry_intact(self, entry: ManifestEntry) -> bool:
        if entry.kind != "f":
            return True
        return entry.object is not None and self.store.intact(entry.object, entry.size, entry.mtime_ns)

    # -- bringing back ---------------------------------------------------------------------------------------------

    def restorable(self, targets: Mapping[str, str]) -> bool:
        """Whether each version lies at its path or could be brought there."""
        try:
            self._differences(targets)
        except VersionLost:
            return False
        return True

    def restore(self, targets: Mapping[str, str]) -> list[str]:
        """Bring versions to their paths; what lies there is kept first. The paths that had to be changed.

        Raises:
            VersionLost: the store does not hold one of them; all is as it was.
            OSError: the disk is full, or fails; the step is completed as soon as there is room.
        """
        targets = self._with_contents(targets)
        differences = self._differences(targets)
        if not differences:
            return []
        if parts := {path: version for path, version in targets.items() if not targets.keys().isdisjoint(around(path))}:
            whole = {path: version for path, version in targets.items() if path not in parts}
            return self._restore(whole, self._differences(whole)) + self.restore(parts)
        return self._restore(targets, differences)

    def _restore(self, targets: Mapping[str, str], differences: Mapping[str, _Difference]) -> list[str]:
        captured = False
        for path, difference in differences.items():
            present = self.ledger.version(difference.present)
            assert present is not None
            lost = [present.manifest[n] for n in (*difference.wrong, *difference.extra) if n in present.manifest]
            if not present.manifest.kept or not all(map(self._entry_intact, lost)):
                self._capture({path: (present.id, difference.tree)})
                captured = True
        self._announce(differences)
        if captured:
            self.settle()
        there = [path for path in differences if targets[path] != ABSENT]
        missing = {f"{above}/" for path in there for above in around(path) if not self.absolute(above).is_dir()}
        step = self.begin("restore", "", {path: targets[path] for path in differences})
        try:
            for path, difference in differences.items():
                self._bring(path, difference)
        except VersionLost:  # the disk cannot read it
            self.undo(step, {path: difference.present for path, difference in differences.items()}, [])
            raise
        with self.ledger.transaction():
            for path, difference in differences.items():
                self.displaced.setdefault(path, difference.present)
                self._note_presence(path, targets[path], self._afterwards(path, difference))
            self.ledger.end(step)
        made = {path for path in missing - differences.keys() if self.ledger.presence(path) is not None}
        self.displaced = dict.fromkeys(made, ABSENT) | self.displaced
        self.brought |= {path: self.look(path) for path in (*differences, *made) if is_directory(path)}
        self._look_around(differences.keys())
        return list(differences)

    def _with_contents(self, targets: Mapping[str, str]) -> dict[str, str]:
        """In this order: what is to go, and what lies in directories that are to go; directories; what is to be there.

        What nobody knows in a directory stays, and so does the directory then.
        """
        gone = {path[:-1] for path, version in targets.items() if is_directory(path) and version == ABSENT}
        parts = {path for path in self.ledger.known_paths() if not gone.isdisjoint(around(path))} if gone else set()
        made = {path[:-1] for path, version in targets.items() if is_directory(path) and version != ABSENT}
        parts |= {path for path in made if not self.absolute(path).is_dir()}  # where now there is a file
        return _in_order(dict.fromkeys((path for path in parts if self.look(path) != ABSENT), ABSENT) | dict(targets))

    def _look_around(self, restored: Set[str]) -> None:
        """With a directory came, or went, other products that are part of it; and it is another with one of them."""
        directories = {directory for path in restored for directory in around(path)}
        for path in self.ledger.known_paths():
            if path not in restored and (path in directories or not restored.isdisjoint(around(path))):
                if self._glanced is not None:
                    self._glanced.pop(path, None)
                self.brought[path] = self.look(path)

    def _afterwards(self, path: str, difference: _Difference) -> Tree:
        """The stamps of a product that was just made equal to a version: only what was put needs to be looked at."""
        root, extra = str(self.absolute(path)), set(difference.extra)
        tree = Tree({name: row for name, row in difference.tree.rows.items() if name not in extra})
        moded = [n for n, e in difference.target.items() if e.kind == "d" and n in tree and tree[n].mode != e.mode]
        linked = [n for n, entry in difference.target.items() if entry.link]
        linked += [difference.target[n].link for n in linked]
        several = Counter(stamp.inode for stamp in tree.values())
        linked += [n for n, stamp in tree.items() if several[stamp.inode] > 1]  # who lost a twin has another ctime
        anew = {*difference.wrong, *moded, *linked}
        return Tree(tree.rows | {name: row_of(os.lstat(f"{root}/{name}" if name else root)) for name in anew})

    def _differences(self, targets: Mapping[str, str]) -> dict[str, _Difference]:
        """What has to be done to bring versions to their paths, where anything has to be.

        Raises:
            VersionLost: the store does not hold what would be needed.
        """
        differences = {}
        for path, version_id in targets.items():
            present, tree = self._see(path)
            if present == version_id:
                continue
            version = self.ledger.version(version_id)
            if version is None:
                raise VersionLost(version_id, path)
            found = self.in_the_way(path)
            if found is not None:
                raise NotFollowed(version_id, path, found)
            difference = replace(self._difference(path, version.manifest, tree), present=present)
            if not all(self._entry_intact(version.manifest[name]) for name in difference.wrong):
                raise VersionLost(version_id, path)
            differences[path] = difference
        return differences

    def _difference(self, path: str, target: Manifest, tree: Tree) -> _Difference:
        held = self._held(path, tree)
        if tree and target and tree[""].kind != target[""].kind:
            return _Difference(target, tree, list(target), list(tree))
        extra = [n for n, stamp in tree.items() if n not in target or target[n].kind != stamp.kind]
        gone = set(extra)
        wrong = [n for n, e in target.items() if n in gone or not _same(held.get(n), e, n in tree)]
        if any(entry.link for entry in target.values()):
            put = set(wrong)
            wrong += [n for n, e in target.items() if e.link in put and e.link and n not in put]
        touched = {os.path.dirname(name) for name in (*wrong, *extra) if not is_lock(name)}
        return _Difference(
            target, tree, [n for n in wrong if not is_lock(n) or n not in tree or os.path.dirname(n) in touched], extra
        )

    def unpack(self, version_id: str, place: Path) -> None:
        """Write a version to a place of its own.

        Raises:
            VersionLost: the store does not hold it.
        """
        version = self.ledger.version(version_id)
        if version is None or not self._intact(version.manifest):
            raise VersionLost(version_id, str(place))
        path = os.path.relpath(place, self.directory)
        self._bring(path, self._difference(path, version.manifest, Tree()))

    def _announce(self, paths: Iterable[str]) -> None:
        for path in paths:
            for listener in self.on_replace:
                listener(str(self.absolute(path)))
            self.replaced.add(str(self.absolute(path)))

    def _set_presence(self, path: str, version_id: str, seal: bytes, tree: Tree) -> None:
        self.noticed[path] = version_id
        self.ledger.set_presence(path, version_id, seal, tree)

    def _tell(self, kind: str, path: str, version_id: str) -> None:
        for listener in self.on_product:
            listener(kind, path, version_id)

    def _note_presence(self, path: str, version_id: str, tree: Tree) -> None:
        self._tell("product-restored", path, version_id)
        self._unsettle([path])
        self._set_presence(path, version_id, signature(tree), tree)
        self.brought[path] = version_id
        if self._glanced is not None:
            self._glanced[path] = version_id, tree

    def _bring(self, path: str, difference: _Difference) -> None:
        """Make what is at ``path`` equal to a version, touching only files that differ."""
        root, target, tree = self.absolute(path), difference.target, difference.tree
        if is_directory(path) and not target:
            with contextlib.suppress(OSError):  # something is in it that nobody knows
                root.rmdir()
            return
        if target:
            root.parent.mkdir(parents=True, exist_ok=True)
        if "" in difference.extra:
            self._discard(root)
            tree = Tree()
        else:
            for name in sorted(difference.extra, key=len, reverse=True):
                (root / name).rmdir() if tree[name].kind == "d" else (root / name).unlink()
        for name in sorted(difference.wrong, key=lambda n: (target[n].kind != "d", target[n].link != "", len(n))):
            place = f"{root}/{name}" if name else str(root)
            if target[name].kind == "d":
                with contextlib.suppress(FileExistsError):
                    os.mkdir(place)
            else:
                self._put(target[name], place, path)
        made = set(difference.wrong)
        for name, entry in target.items():
            if entry.kind == "d" and (name in made or name not in tree or tree[name].mode != entry.mode):
                (root / name if name else root).chmod(entry.mode)

    def _put(self, entry: ManifestEntry, place: str, path: str) -> None:
        temporary = f"{os.path.dirname(place)}/.{uuid.uuid4().hex}{HOME}"
        try:
            if entry.kind == "l":
                os.symlink(entry.target, temporary)
            elif entry.link:
                os.link(self.absolute(path) / entry.link, temporary)
            else:
                if entry.object is None:
                    raise VersionLost("(not kept)", path)
                try:
                    self.store.place(entry.object, temporary, entry.mode, entry.mtime_ns)
                except StoreError as error:
                    raise VersionLost(entry.object, path) from error
            os.replace(temporary, place)
            if entry.link:  # to replace a file by another name of itself does nothing
                Path(temporary).unlink(missing_ok=True)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    def _discard(self, root: Path) -> None:
        """Take a product away in one step, then delete it."""
        trash = self.home / "tmp" / uuid.uuid4().hex
        try:
            root.rename(trash)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            trash = root
        if trash.is_dir() and not trash.is_symlink():
            shutil.rmtree(trash)
        else:
            trash.unlink()

    # -- steps under way -------------------------------------------------------------------------------------------

    def begin(self, kind: str, task: str, versions: Mapping[str, str], patterns: Iterable[str] = ()) -> int:
        """Journal a step before it changes anything; its number.

        The journal is on the disk then, and so is what the step may overwrite if nobody could make it again.

        Raises:
            OSError: the disk is full, or fails.
        """
        step = self.ledger.begin(kind, task, versions, patterns)
        kept = (version for v in versions.values() if (version := self.ledger.version(v)) is not None)
        alone = {e.object for version in kept if version.call is None for e in version.manifest.values() if e.object}
        if self.store.settled(alone):
            self.ledger.sync()
        else:
            self.settle()
        return step

    def settle(self) -> None:
        """See to it that all that is remembered survives a power cut.

        Raises:
            OSError: the disk does not do it.
        """
        noted = self.ledger.meta(_UNSETTLED)
        self._write_out(noted)
        if noted == self.ledger.meta(_UNSETTLED):
            self.ledger.set_meta(_UNSETTLED, _note([]))

    def _write_out(self, noted: str | None) -> None:
        """Have the disk write everything, and say of which note of the ledger that is true."""
        sync_filesystem(self.directory)
        self.store.settle()
        (self.home / "settled").write_text(noted or "")

    def settle_soon(self, worth: float) -> None:
        """The same, but at once only if what was remembered took ``worth`` seconds, long against the waiting."""
        if worth >= _WORTH_WAITING:
            try:
                self.settle()
            except OSError as error:
                _log.warning("what was remembered last may not survive a power cut: %s", error)
        if self._settler is None or not self._settler.is_alive():
            self._hurry.clear()
            self._settler = threading.Thread(target=self._settle_later, name="settle", daemon=True)
            self._settler.start()

    def _settle_later(self) -> None:
        self._hurry.wait(_SETTLE_S)
        noted = self._noted
        try:
            self._write_out(noted)
        except OSError as error:
            if self.home.is_dir():  # else the whole workspace was deleted meanwhile
                _log.warning("what was remembered last may not survive a power cut: %s", error)
        else:
            self._on_disk = noted
        self._chores.do(self._hurry.is_set)

    def _write_seals(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # the disk is full, or fails: `cache verify` takes them again
            self.ledger.add_seals(self._chores.seals())

    def _unsettle(self, paths: Iterable[str]) -> None:
        """Note, within a transaction, that products were changed of which the disk may not have everything yet."""
        known = self.ledger.meta(_UNSETTLED)
        before = [] if known == self._on_disk else _unsettled(known)
        self._noted = _note([*before, *(path for path in paths if path not in before)])
        self.ledger.set_meta(_UNSETTLED, self._noted)

    def _after_power_cut(self) -> None:
        """The first use since the machine was started: what the disk had not written yet is put right.

        A product that was written last, and is not as it was then, was changed by nobody: it is half on the disk. Size
        and times prove nothing: a file system may write them before what the file holds (ext4: ``dioread_nolock``).
        """
        if self.ledger.meta("boot") == self._boot:
            return
        noted = self.ledger.meta(_UNSETTLED)
        for path in _unsettled(noted) if noted != self._on_disk else []:
            seen, tree = self.ledger.presence(path), self.stamps(path)
            if seen is None:
                continue
            if signature(tree) != seen.signature:
                self._put_right(path, seen.version, tree)
            elif not self._reads_as(path, seen.version):
                self._put_right(path, seen.version, tree, keep=False)
        with self.ledger.transaction():
            self.ledger.set_meta(_UNSETTLED, _note([]))
            self.ledger.set_meta("boot", self._boot)

    def _reads_as(self, path: str, version_id: str) -> bool:
        """Whether what is at ``path`` is a version, byte by byte."""
        self.ledger.forget_presence(path)
        try:
            return self.look(path) == version_id
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False

    def _put_right(self, path: str, version_id: str, tree: Tree, keep: bool = True) -> None:
        """Bring back a version over what is broken. If that is lost, too, take away what can be made again.

        ``keep`` what is there now: somebody may have changed it.
        """
        found = self.in_the_way(path)
        if found is not None:
            _log.warning("%s", NotFollowed(version_id, path, found))
            return
        if tree and keep:
            try:
                self.keep([path])
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                _log.warning("%s cannot be read: %s", path, error)
        version = self.ledger.version(version_id)
        self._announce([path])
        if version is not None and self._intact(version.manifest):
            with contextlib.suppress(VersionLost):  # the disk cannot read it
                self._bring(path, self._difference(path, version.manifest, tree))
                self._note_presence(path, version_id, self.stamps(path))
                return
        if version is None or version.call is None:
            _log.warning("%s may be damaged, and nothing better is in the store", path)
            return
        _log.warning("%s was half written and is taken away, to be made again", path)
        self._bring(path, self._difference(path, Manifest({}), tree))
        self._note_presence(path, ABSENT, Tree())

    def undo(self, step: int, versions: Mapping[str, str], patterns: Iterable[str]) -> list[str]:
        """Leave every product as it was before a call: bring back ``versions``, remove what else ``patterns`` name.

        Returns:
            Paths at which nothing was done, because a directory above them was replaced; see :meth:`in_the_way`.
        """
        extra = {
            found
            for pattern in patterns
            for found in matches(pattern, self.directory)
            if os.path.normpath(found) not in versions
        }
        elsewhere = {path for path in extra | versions.keys() if self.in_the_way(path) is not None}
        versions = _in_order({path: version for path, version in versions.items() if path not in elsewhere})
        for path in elsewhere:
            _log.warning("%s is left as it is: a directory above it was replaced, perhaps by a symbolic link", path)
        self._announce(versions)
        for path in extra - elsewhere:
            self._discard(self.absolute(path))
        for path, version_id in versions.items():
            version = self.ledger.version(version_id)
            if version is None:
                raise VersionLost(version_id, path)
            self._bring(path, self._difference(path, version.manifest, self.stamps(path)))
        with self.ledger.transaction():
            for path, version_id in versions.items():
                self._note_presence(path, version_id, self.stamps(path))
            self.ledger.end(step)
        self._empty_scratch()
        return sorted(elsewhere)

    def _empty_scratch(self) -> None:
        """Remove what a task that was killed left in our own directory; one has the lock, so nobody uses it."""
        for left in (self.home / "tmp").iterdir():
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    left.unlink()

    def recover(self) -> None:
        """Undo calls and complete restores that a killed process, or a power cut, left."""
        pending = self.ledger.pending()
        if self.confined:
            concerned = [path for step in pending for path in (*step.versions, *step.patterns)]
            if not all(map(leads_inside, [*concerned, *_unsettled(self.ledger.meta(_UNSETTLED))])):
                raise WorkspaceError(
                    f"{self.directory}: a kernel that was killed had begun to change data outside of it. "
                    "A kernel there brings them back; start one if you trust those who work there"
                )
        if pending:
            self.store.sweep()
        for step in pending:
            try:
                try:
                    self.undo(step.id, step.versions, step.patterns)
                except VersionLost:
                    if step.kind != "restore":
                        raise
                    seen = {path: self.ledger.presence(path) for path in step.versions}
                    self.undo(step.id, {path: there.version for path, there in seen.items() if there is not None}, [])
            except VersionLost:
                # It took less than a second to make, and the power was cut before it was on the disk; or the store
                # was damaged, too. What lies there is half of something: it must not be taken for a product.
                for path, version_id in step.versions.items():
                    self._put_right(path, version_id, self.stamps(path))
                self.ledger.end(step.id)
        self._note_unfinished()
        self._after_power_cut()

    def _note_unfinished(self) -> None:
        """What Python code of cells was writing when kernels were killed is theirs, as after a cell that has failed."""
        steps = self.ledger.begun_in_cells(but=self.session)
        dead = {session for session in {step.task for step in steps} if not self._lives(session)}
        steps = [step for step in steps if step.task in dead]
        if not steps:
            return
        with self.ledger.transaction():
            run = self.ledger.next_run()
            for step in reversed(steps):
                cell, notebook = step.patterns
                for path, before in step.versions.items():
                    touches = [touch for touch in self.ledger.touches() if touch.path == path]
                    if path not in self.ledger.found(notebook):
                        self.set_found(notebook, {path: found_version(before, touches)})
                    after = self.look(path)
                    if after != before:
                        self.ledger.add_written(path, after)
                        self.ledger.set_touch(Touch(cell, path, notebook, before, after), run)
            for session in dead:
                self.ledger.wrote(session)

    def _lives(self, session: str) -> bool:
        """Whether the process of a session still is there; see live.py."""
        try:
            handle = os.open(self.home / "live" / f"{session}.lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    # -- the ledger and its copies -----------------------------------------------------------------------------------

    def _open_ledger(self, again: bool = False) -> Ledger:
        path = self.home / "ledger.sqlite"
        existed = path.exists()
        try:
            ledger = Ledger(path)
        except NewerLedger:
            raise
        except LedgerError as error:
            if isinstance(error, LedgerUnreadable) and not self._has_bad_blocks(path):
                raise  # the disk as a whole: what is in the ledger is not known, but not lost
            if not again:  # SQLite may take it for damage that the disk failed for a moment
                return self._open_ledger(again=True)
            existed = False
            stamp = time.strftime("%Y%m%dT%H%M%S")
            for name in ("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"):
                with contextlib.suppress(FileNotFoundError):
                    (self.home / name).rename(self.home / f"{name}.damaged-{stamp}")
            ledger = Ledger(path)
        if not existed:
            self._rebuild(ledger)
        self._ledger_inode = path.stat().st_ino
        return ledger

    def _open_beside(self) -> Ledger:
        """Open the ledger while somebody else has the lock; wait for that one only if there is something to repair."""
        path = self.home / "ledger.sqlite"
        try:
            if path.is_file():
                ledger = Ledger(path)
                self._ledger_inode = path.stat().st_ino
                return ledger
        except (NewerLedger, LedgerUnreadable):
            raise
        except LedgerError as error:
            _log.warning("%s: waiting for another kernel, to repair it", error)
        with self._locked():
            return self._open_ledger()

    def _has_bad_blocks(self, ledger: Path) -> bool:
        """Whether the disk works, but cannot read the ledger."""
        probe = self.home / "tmp" / uuid.uuid4().hex
        try:
            with probe.open("wb") as stream:
                stream.write(b"works")
                stream.flush()
                os.fsync(stream.fileno())
            probe.unlink()
        except OSError:
            return False
        return not all(map(readable, (ledger, ledger.with_name(ledger.name + "-wal"))))

    def reopen_ledger(self) -> None:
        """Close the ledger and open it again, rebuilt from the records if it is damaged or gone."""
        with contextlib.suppress(sqlite3.Error):
            self.ledger.close()
        self.ledger = self._open_ledger()

    def remember(self, record: CallRecord) -> None:
        """Add a call to the ledger, with a copy beside the store from which a lost ledger is rebuilt."""
        packed = pack_call(record)
        self._record(record.key, "call", packed)
        self.ledger.add_call(record, packed)

    def set_found(self, notebook: str, found: Mapping[str, str]) -> None:
        """Remember in which versions a notebook found products before any of its cells ran: path -> version."""
        for path, version in found.items():
            self.ledger.set_found(notebook, path, version)
        self._append(["found", notebook, path, version] for path, version in found.items())

    def inherit_found(self, notebook: str, cells: Sequence[str]) -> None:
        """A notebook that was renamed or copied goes on with what it had found under its former name."""
        if not self.ledger.found(notebook):
            self.set_found(notebook, self.ledger.inherited(notebook, cells))

    def record_cell(self, cell: str, touches: Iterable[Touch]) -> None:
        """Write a copy of what a cell did."""
        touches = list(touches)
        made = [(t.path, t.after) for t in touches if t.before != t.after]
        self._append(["written", *one] for one in made if not self.ledger.written(*one))
        rows = [[t.cell, t.path, t.notebook, t.before, t.after] for t in touches]
        name = re.sub(r"[^\w-]", "_", cell)
        if rows or self._record_of(name, "cell").exists():
            self._record(name, "cell", zlib.compress(json.dumps(rows).encode()))

    def _record(self, name: str, kind: str, data: bytes) -> None:
        temporary = self.home / "tmp" / uuid.uuid4().hex
        temporary.write_bytes(data)
        temporary.replace(self._record_of(name, kind))

    def _append(self, facts: Iterable[list[str]]) -> None:
        """Write a copy of facts that stay true whatever runs later."""
        lines = [json.dumps(fact) + "\n" for fact in facts]
        if lines:
            with (self.home / "records" / "story.facts").open("a") as stream:
                stream.write("".join(lines))

    def _record_of(self, name: str, kind: str) -> Path:
        return self.home / "records" / f"{name}.{kind}"

    def _rebuild(self, ledger: Ledger) -> None:
        with ledger.transaction():
            for path in sorted((self.home / "records").iterdir()):
                try:
                    self._read_record(ledger, path)
                except (ValueError, KeyError, TypeError, IndexError):
                    path.unlink()  # a record that cannot be read is a call that will be computed again
                except OSError as error:
                    _log.warning("what %s tells will be computed again: %s", path, error)
            ledger.journal_again()

    def _read_record(self, ledger: Ledger, path: Path) -> None:
        data = path.read_bytes()
        if path.suffix == ".version":
            ledger.add_version(_unpack_version(data))
        elif path.suffix == ".call":
            ledger.add_call(unpack_call(data))
        elif path.suffix == ".cell":
            for row in json.loads(inflated(data)):
                ledger.set_touch(Touch(*row), 0)
        elif path.suffix == ".facts":
            for line in data.splitlines():
                with contextlib.suppress(ValueError):  # the last one, if the machine stopped while it was written
                    kind, *fact = json.loads(line)
                    (ledger.set_found if kind == "found" else ledger.add_written)(*fact)


def _note(paths: Iterable[str]) -> str:
    """Products that the disk may not have, as the ledger says it. No two notes are alike: the same product may have
    been changed again since."""
    return f"{json.dumps(list(paths))}\n{uuid.uuid4().hex}"


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


def _unsettled(noted: str | None) -> list[str]:
    paths: list[str] = json.loads((noted or "[]").partition("\n")[0])
    return paths


def _linked(entries: Mapping[str, ManifestEntry], links: Mapping[str, str]) -> dict[str, ManifestEntry]:
    """Entries of hard links, from those of the files that they are."""
    return {name: replace(entries[first], link=first) for name, first in links.items()}


def _in_order(targets: Mapping[str, str]) -> dict[str, str]:
    """First what is to go, from within directories outwards, then directories from the outermost, then the others."""
    absent = sorted((path for path, version in targets.items() if version == ABSENT), key=len, reverse=True)
    there = (path for path, version in targets.items() if is_directory(path) and version != ABSENT)
    return {path: targets[path] for path in (*absent, *sorted(there, key=len), *targets)}


def _same(held: ManifestEntry | None, wanted: ManifestEntry, exists: bool) -> bool:
    """Whether a file on disk, of which ``held`` is known, is already what is wanted."""
    if wanted.kind == "d":
        return exists and held is not None and held.kind == "d"
    if held is None or held.kind != wanted.kind:
        return False
    if wanted.kind == "l":
        return held.target == wanted.target
    if held.mode != wanted.mode:
        return False
    if held.link != wanted.link:
        return False
    same_object = held.object is not None and held.object == wanted.object
    return same_object or (held.digest is not None and held.digest == wanted.digest)


def _pack_version(version: Version) -> bytes:
    head = json.dumps([version.id, version.path, version.call]).encode()
    return zlib.compress(head + b"\n" + version.manifest.pack(), 0)


def _unpack_version(data: bytes) -> Version:
    head, manifest = inflated(data).split(b"\n", 1)
    version_id, path, call = json.loads(head)
    return Version(version_id, path, call, Manifest.unpack(manifest))
