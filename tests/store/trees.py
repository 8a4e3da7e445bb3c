"""Data products of any shape: making, changing and observing them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

ROOT = os.geteuid() == 0


@dataclass(frozen=True)
class Node:
    """One entry of a product."""

    kind: str
    """"f" file, "d" directory, "l" symbolic link, "h" hard link to the first file of the product, if it has any."""
    data: bytes = b""
    mode: int = 0o644
    mtime_ns: int = 0


Shape = Mapping[bytes, Node]
"""Relative name -> entry; parents are made as needed."""

NAMES = (
    st.sampled_from(
        [b"table.dat", b"a", b"-rf", b"--", b"a\nb", b" ", b"*", b"\xff\xfe", "MAIN — été".encode(), b"..."]
    )
    | st.binary(min_size=1, max_size=40).filter(lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b".."))
    | st.just(b"n" * 255)
).filter(lambda name: not name.endswith(b"table.lock"))  # casacore's own, which says nothing about the data
_MODES = st.integers(0, 0o7777) if ROOT else st.integers(0, 0o377).map(lambda bits: 0o400 | bits)
_DIRECTORY_MODES = st.integers(0, 0o7777) if ROOT else st.integers(0, 0o77).map(lambda bits: 0o700 | bits)
_TIMES = st.integers(0, 2**33 * 10**9)  # XFS ends in 2486, btrfs later
_NODES = st.one_of(
    st.builds(Node, st.just("f"), st.binary(max_size=300), _MODES, _TIMES),
    st.builds(Node, st.just("f"), st.binary(min_size=1, max_size=8).map(lambda b: b * 3000), _MODES, _TIMES),
    st.builds(Node, st.just("f"), st.just(b""), _MODES, _TIMES),
    st.builds(Node, st.just("d"), st.just(b""), _DIRECTORY_MODES),
    st.builds(Node, st.just("l"), st.sampled_from([b"a", b"../outside", b"/etc/passwd", b"\xff", b"nowhere/at all"])),
    st.just(Node("h")),
)
_PATHS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)
SHAPES: st.SearchStrategy[dict[bytes, Node]] = st.dictionaries(_PATHS, _NODES, max_size=8)


def build(root: Path, shape: Shape) -> None:
    """Make a product (a directory) at ``root``, where there must be nothing."""
    top = os.fsencode(root)
    os.mkdir(top)
    first = None
    modes = []
    for name, node in sorted(shape.items(), key=lambda item: (item[1].kind != "d", item[1].kind == "h", item[0])):
        path = os.path.join(top, name)
        # Where another entry is in the way, this one is left out.
        if os.path.lexists(path) or any(os.path.lexists(p) and not _is_directory(p) for p in _parents(top, path)):
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if node.kind == "d":
            os.mkdir(path)
            modes.append((path, node.mode))
        elif node.kind == "l":
            os.symlink(node.data, path)
        elif node.kind == "f":
            with open(path, "wb") as stream:
                stream.write(node.data)
            os.chmod(path, node.mode)
            _set_time(path, node.mtime_ns)
            first = first or path
        elif first is not None:
            os.link(first, path)
    for path, mode in reversed(modes):
        os.chmod(path, mode)


def _set_time(path: bytes, mtime_ns: int) -> None:
    try:
        os.utime(path, ns=(mtime_ns, mtime_ns))
    except OSError as error:
        if error.errno != errno.EOVERFLOW:  # zfs-fuse knows no time after 2038: then the file keeps the present one
            raise


def _parents(top: bytes, path: bytes) -> list[bytes]:
    found = []
    while (path := os.path.dirname(path)) != top:
        found.append(path)
    return found


def _is_directory(path: bytes) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)


def observe(root: Path) -> dict[bytes, Any]:
    """All that counts of a product: kinds, contents, modes, times of files, targets, which names are one file."""
    found: dict[bytes, Any] = {}
    inodes: dict[int, list[bytes]] = {}
    for directory, directories, files in os.walk(os.fsencode(root)):
        for name in directories + files:
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, os.fsencode(root))
            info = os.lstat(path)
            mode = stat.S_IMODE(info.st_mode)
            if stat.S_ISLNK(info.st_mode):
                found[relative] = ("l", os.readlink(path))
            elif stat.S_ISDIR(info.st_mode):
                found[relative] = ("d", mode)
            else:
                with open(path, "rb") as stream:
                    found[relative] = ("f", stream.read(), mode, info.st_mtime_ns)
                inodes.setdefault(info.st_ino, []).append(relative)
    for names in inodes.values():
        for name in names:
            found[name] += (tuple(sorted(names)),)
    return found


def spoil(root: Path) -> None:
    """Write into every file of a product where it lies, as a task does that modifies its input."""
    for directory, _, files in os.walk(os.fsencode(root)):
        for name in files:
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                os.chmod(path, 0o600)
                with open(path, "r+b") as stream:
                    stream.write(b"overwritten")
