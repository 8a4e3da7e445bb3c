"""Signatures: is this tree as it was last seen? And digests, for when it is not."""

from __future__ import annotations

import marshal
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

LOCK = "table.lock"
"""casacore's lock file: every reader and writer may rewrite it, so it says nothing about the data."""

_SMALL = 1 << 20

Row = tuple[int, int, int, int, int]
"""Mode (with the kind), size, mtime, ctime, inode; of a directory size and times are 0."""


class Stamp(NamedTuple):
    """What ``lstat`` says of one entry of a tree: enough to notice any change that the file system records."""

    kind: str  # "f" file, "d" directory, "l" symbolic link, "o" other
    size: int  # bytes
    mode: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class Tree(Mapping[str, Stamp]):
    """Relative name -> stamp; the product itself is named ``""``. An absent product has an empty tree.

    Most looks at a product need its signature only, so what the file system says of each directory is packed as soon as
    it is known, and unpacked when somebody asks for it.
    """

    def __init__(self, rows: Mapping[str, Row] | None = None) -> None:
        self._rows: dict[str, Row] | None = None
        self._folders: dict[str, bytes] = {}  # path with a "/" behind it, "" for the product's own
        self._locks: dict[str, Row] = {}
        folders: dict[str, list[str]] = {}
        for path in sorted(rows or ()):
            prefix, slash, name = path.rpartition("/")
            folders.setdefault(prefix + slash, []).append(name)
        for prefix, names in folders.items():
            self.add(prefix, names, [rows[prefix + name] for name in names] if rows is not None else [])

    def add(self, prefix: str, names: list[str], rows: list[Row]) -> None:
        """What is in one more directory, in the order of the names."""
        if LOCK in names:
            number = names.index(LOCK)
            self._locks[prefix + LOCK] = rows[number]
            names, rows = names[:number] + names[number + 1 :], rows[:number] + rows[number + 1 :]
        if names:
            # Version 2 of the format says equal things in equal bytes, whatever the objects are; and it is quick.
            self._folders[prefix] = marshal.dumps((names, rows), 2)

    @property
    def rows(self) -> dict[str, Row]:
        """Relative name -> what was said of it. Not to be changed."""
        if self._rows is None:
            self._rows = dict(self._locks)
            for prefix, packed in self._folders.items():
                names, rows = marshal.loads(packed)
                self._rows.update(zip([prefix + name for name in names], rows, strict=True))
        return self._rows

    def signature(self) -> bytes:
        """See :func:`signature`."""
        digest = blake3()
        for prefix, packed in sorted(self._folders.items()):
            digest.update(f"{prefix}\0{len(packed)}\0".encode("utf-8", "surrogateescape"))
            digest.update(packed)
        signed: bytes = digest.digest(length=16)
        return signed

    def __getitem__(self, name: str) -> Stamp:
        mode, size, mtime_ns, ctime_ns, inode = self.rows[name]
        return Stamp(_KINDS.get(mode & _KIND, "o"), size, mode & 0o7777, mtime_ns, ctime_ns, inode)

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __bool__(self) -> bool:
        return bool(self._folders or self._locks)

    def __contains__(self, name: object) -> bool:
        return name in self.rows


_KIND = 0o170000
_KINDS = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l"}
_name = attrgetter("name")
_row = attrgetter("st_mode", "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino")


def scan(path: Path) -> Tree:
    """Stat every entry of the product at ``path``; empty when there is nothing."""
    try:
        top = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Tree()
    if not stat.S_ISDIR(top.st_mode):
        return Tree({"": row_of(top)})
    tree = Tree()
    todo = [""]
    while todo:
        prefix = todo.pop()
        # Products may have very many files: no call and no object more than is needed for each.
        handle = os.open(f"{path}/{prefix}", os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(handle) as found:
                entries = sorted(found, key=_name)
            rows: list[Row] = [_row(entry.stat(follow_symlinks=False)) for entry in entries]
        finally:
            os.close(handle)
        names: list[str] = list(map(_name, entries))
        for number in [number for number, row in enumerate(rows) if row[0] & _KIND == stat.S_IFDIR]:
            rows[number] = _directory(rows[number])
            todo.append(f"{prefix}{names[number]}/")
        if not prefix:
            names.insert(0, "")
            rows.insert(0, row_of(top))
        tree.add(prefix, names, rows)
    return tree


def scan_directory(path: Path) -> Tree:
    """The same of a directory alone, without what is in it; empty when it is not there, or no directory."""
    try:
        top = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Tree()
    return Tree({"": row_of(top)}) if stat.S_ISDIR(top.st_mode) else Tree()


def row_of(info: os.stat_result) -> Row:
    """What is kept of one entry."""
    row: Row = _row(info)
    return _directory(row) if stat.S_ISDIR(row[0]) else row


def _directory(row: Row) -> Row:
    """A directory's size and times change with its entries, which are looked at themselves."""
    return (row[0], 0, 0, 0, row[4])


def hard_links(tree: Tree) -> dict[str, str]:
    """Names that are another name's file, and that name: of several the first in order."""
    files = [(name, row[4]) for name, row in tree.rows.items() if stat.S_ISREG(row[0])]
    if len({inode for _, inode in files}) == len(files):
        return {}
    first: dict[int, str] = {}
    leaders = {name: first.setdefault(inode, name) for name, inode in sorted(files)}
    return {name: leader for name, leader in leaders.items() if name != leader}


def is_lock(name: str) -> bool:
    """Whether a relative name is casacore's lock file."""
    return name.endswith(LOCK) and (len(name) == len(LOCK) or name[-len(LOCK) - 1] == "/")


def signature(tree: Tree) -> bytes:
    """16 bytes that differ when any file of the tree was written, replaced, renamed, added or removed."""
    return tree.signature()


def digest_files(paths: Iterable[Path]) -> list[str]:
    """BLAKE3 of each file's content, as hex; large files are mapped and hashed on all cores."""
    return [_digest(path) for path in paths]


def _digest(path: Path) -> str:
    hasher = blake3(max_threads=blake3.AUTO)
    if os.path.getsize(path) < _SMALL:
        hasher.update(path.read_bytes())
    else:
        hasher.update_mmap(path)
    return hasher.hexdigest(length=16)
