"""Manifests: of what files does a version consist?"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from casa_recompute.products.signature import is_lock

ABSENT = "absent"
"""The version of a product that is not there."""
_LARGEST = 1 << 28  # bytes of an unpacked record: more is no record, but meant to fill the memory


def inflated(packed: bytes) -> bytes:
    """What was packed with zlib.

    Raises:
        ValueError: it is not whole, or larger than any record is.
    """
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(packed, _LARGEST)
    except zlib.error as error:
        raise ValueError(f"a damaged record ({error})") from error
    if not unpacker.eof:
        raise ValueError("a record that is not whole, or too large")
    return data


def leads_inside(name: str) -> bool:
    """Whether a name leads to a place within its product, its store, or its workspace."""
    return name[:1] != "/" and "\0" not in name and (".." not in name or ".." not in name.split("/"))


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One entry of a version: a file, a directory or a symbolic link."""

    kind: str  # "f", "d", "l"
    size: int  # bytes
    mode: int
    mtime_ns: int
    object: str | None = None  # where the store keeps the file's content
    digest: str | None = None  # BLAKE3 of the content, once somebody needed it
    target: str = ""  # of a symbolic link
    link: str = ""  # of a file: the name, first in order, of which this is another (a hard link); "": it is the first


class Manifest(Mapping[str, ManifestEntry]):
    """Relative name -> entry of one version; the product itself is named ``""``; empty for an absent product."""

    def __init__(self, entries: Mapping[str, ManifestEntry]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> ManifestEntry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def files(self) -> dict[str, ManifestEntry]:
        """The regular files only."""
        return {name: entry for name, entry in self._entries.items() if entry.kind == "f"}

    @property
    def size(self) -> int:
        """Size of all files, in bytes, whether the store shares them or not."""
        return sum(entry.size for entry in self._entries.values() if entry.kind == "f" and not entry.link)

    @property
    def kept(self) -> bool:
        """Whether the store holds all of its files."""
        return all(entry.object is not None for entry in self.files.values())

    def with_digests(self, digests: Mapping[str, str]) -> Manifest:
        """The same manifest with the digests of some of its files filled in."""
        entries = dict(self._entries)
        for name, digest in digests.items():
            entries[name] = replace(entries[name], digest=digest)
        return Manifest(entries)

    def shape(self) -> dict[str, tuple[str, int, str]]:
        """What can be compared without reading a byte: kind, size and link target of each name."""
        return {
            name: (entry.kind, entry.size, entry.target or entry.link)
            for name, entry in self._entries.items()
            if not is_lock(name)
        }

    def content(self) -> str:
        """The content's identity, 32 hex digits; every file's digest must be known.

        Names, kinds, contents, link targets and which names are one file count; modes and times do not;
        ``table.lock`` is left out.
        """
        digest = hashlib.blake2b(digest_size=16)
        for name in sorted(self._entries):
            entry = self._entries[name]
            if is_lock(name):
                continue
            if entry.kind == "f" and entry.digest is None:
                raise ValueError(f"digest of {name!r} is not known")
            line = f"{name}\0{entry.kind}\0{entry.digest or ''}\0{entry.target or entry.link}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def pack(self) -> bytes:
        """Compact form for the ledger."""
        rows = [
            [n, e.kind, e.size, e.mode, e.mtime_ns, e.object, e.digest, e.target, *([e.link] if e.link else ())]
            for n, e in sorted(self._entries.items())
        ]
        return zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 1)

    @classmethod
    def unpack(cls, packed: bytes) -> Manifest:
        """The inverse of :meth:`pack`.

        Raises:
            ValueError: it is none, or names something outside of its product or its store.
        """
        data = inflated(packed)
        rows = json.loads(data)
        suspicious = any(part in data for part in (b"..", b'"/', b"\\"))  # else no name in it can lead out
        if suspicious and not all(leads_inside(name) for row in rows for name in (row[0], row[5] or "", *row[8:])):
            raise ValueError("a manifest that leads out of its product")
        return cls({row[0]: ManifestEntry(*row[1:]) for row in rows})
