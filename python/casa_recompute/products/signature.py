"""Signatures: is this tree as it was last seen? And digests, for when it is not."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

LOCK = "table.lock"
"""casacore's lock file: every reader and writer may rewrite it, so it says nothing about the data."""

_SMALL = 1 << 20


class Stamp(NamedTuple):
    """What ``lstat`` says of one entry of a tree: enough to notice any change that the file system records."""

    kind: str  # "f" file, "d" directory, "l" symbolic link
    size: int  # bytes
    mode: int
    mtime_ns: int
    ctime_ns: int
    inode: int


_make = Stamp._make  # quicker than the constructor, and this is called for every file at every look

Tree = dict[str, Stamp]
"""Relative name -> stamp; the product itself is named ``""``. An absent product has an empty tree."""


_KINDS = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l"}


def scan(path: Path) -> Tree:
    """Stat every entry of the product at ``path``; empty when there is nothing."""
    try:
        top = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    tree = {"": stamp_of(top)}
    todo = [("", os.fspath(path))] if tree[""].kind == "d" else []
    while todo:
        prefix, directory = todo.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                name = prefix + entry.name
                found = tree[name] = stamp_of(entry.stat(follow_symlinks=False))
                if found.kind == "d":
                    todo.append((name + "/", entry.path))
    return tree


def stamp_of(info: os.stat_result) -> Stamp:
    """The stamp of one entry."""
    mode = info.st_mode
    kind = _KINDS.get(mode & 0o170000, "o")
    # A directory's size and times change with its entries, which are stamped themselves.
    if kind == "d":
        return _make(("d", 0, mode & 0o7777, 0, 0, info.st_ino))
    return _make((kind, info.st_size, mode & 0o7777, info.st_mtime_ns, info.st_ctime_ns, info.st_ino))


def hard_links(tree: Tree) -> dict[str, str]:
    """Names that are another name's file, and that name: of several the first in order."""
    files = [(name, stamp.inode) for name, stamp in tree.items() if stamp.kind == "f"]
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
    rows = [f"{name}\0{tuple.__repr__(tree[name])}\n" for name in sorted(tree) if not is_lock(name)]
    return hashlib.blake2b("".join(rows).encode("utf-8", "surrogateescape"), digest_size=16).digest()


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
