"""What the Python code of one cell does with files: products are brought to their place before it sees them."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from casa_recompute.notebook.facts import IGNORED
from casa_recompute.notebook.simulate import existence, listing
from casa_recompute.products import ABSENT, Stamp, around, is_directory, scan
from casa_recompute.workspace import VersionLost, Workspace

_UNASKED = 64 << 20  # bytes: larger data that no cell has used and no command line names count as not read


_MANY = 64  # parts that a directory has when it is made, beyond which it is a product with all that is in it
_MODEST = frozenset(
    ("cat", "cp", "date", "echo", "false", "head", "ls", "mkdir", "mv", "printf", "pwd", "rm", "rmdir", "sleep")
    + ("tail", "touch", "true", "wc")
)
"""Programs that read the files which their command line names."""


class Host(Protocol):
    """The session, as far as files of a cell are concerned."""

    def arrive(self, path: str) -> str:
        """Bring a product to the version that the cell's place implies; that version."""

    def protect(self, path: str) -> None:
        """See to it that the present state of a product is kept: it may be changed."""

    def touch(self, path: str, before: str, after: str, *, read: bool = False) -> None:
        """The cell read or changed a product."""

    def story(self) -> Iterable[str]:
        """Products that some cell has touched."""


class Recorder:
    """The client of a FileWatch for one cell (see files.py)."""

    def __init__(self, space: Workspace, host: Host, texts: Iterable[str] = ()) -> None:
        """``texts``: the words that the cell's text contains."""
        self._texts = tuple(texts)
        self._space = space
        self._host = host
        self._root = str(space.directory)
        self._products = set(host.story())
        self._arrived: dict[str, str] = {}
        self._written: dict[str, str] = {}  # product -> version before
        self._told = set[str]()  # of those, what the session knows
        self._closed = False
        self._tree: dict[str, Stamp] | None = None  # of the workspace, before the first program was started
        self.reads: dict[str, str] = {}
        self.outside: set[str] = set()
        self.impurities: list[str] = []

    # -- told by the watch -------------------------------------------------------------------------------------------

    def using(self, path: str, how: str) -> None:
        """See files.FileClient."""
        if not (path == self._root or path.startswith(self._root + os.sep)):
            self._use_outside(path, how)
            return
        path = os.path.relpath(path, self._root)
        path = "" if path == "." else path
        if IGNORED & set(path.split("/")) or path.endswith(".ipynb"):
            return
        product = self._product(path)
        if how == "make":
            self._make(path, product)
        elif how == "exists" and product in (None, path):
            for known in self._below(path):
                self._arrive(known)
            if path and not self._is_directory(path):
                self._arrive(path)
            if self._tree is not None and os.path.lexists(self._space.absolute(path)) != (path in self._tree):
                self._compare()  # a program that the cell has started has made or removed it
            self._note_existence(path, product is not None or self._is_directory(path))
        elif how == "list" and product is None:
            for known in self._below(path):
                self._arrive(known)
            if self._tree is not None:
                self._compare()  # a program that the cell has started may have made or removed some of it
            if path:
                self._note_existence(path, self._is_directory(path))
            self._note(f"d:{path}", self._listing(path))
        elif product is None and how in ("read", "remove") and self._is_directory(path):
            for known in self._below(path):
                self._arrive(known)
            for part in (*self._parts(path), f"{path}/"):  # it is renamed, or removed
                self._use(part, how)
        elif path:
            how = "read" if how in ("exists", "list") else how
            if how in ("write", "remove") and product not in (None, path):
                how = "modify"  # a part of a product is the product, changed
            self._use(product or path, how)

    def spawning(self, words: Iterable[str]) -> None:
        """See files.FileClient. What another program reads is not seen: unless it is one that reads what its command
        line names and nothing else, it is taken to read all that lies here."""
        words = tuple(words) or self._texts
        for known in sorted(self._products):
            self._arrive(known)
        named = {token for word in words for token in re.split(r"[\s'\"=:;|&<>(){}$`]+", word) if token}
        modest = bool(named) and _MODEST.issuperset(_programs(words))
        if not modest or any(c in word for word in words for c in "*?[") or named & {"ls", "find"}:
            self._note("d:", self._listing(""))
        for product in list(self._parts("")):
            directories = around(product)
            is_named = any(
                token == product or token.startswith(product + "/") or token in directories
                for token in map(os.path.normpath, named)
            )
            if is_named or (not modest and (self._space.known(product) or self._size(product) < _UNASKED)):
                self._arrive(product)
                self._read(product)
                self._host.protect(product)
        if self._tree is None:
            self._tree = self._whole()

    def impure(self, what: str) -> None:
        """See files.FileClient."""
        if what not in self.impurities:
            self.impurities.append(what)

    # -- told by the session -----------------------------------------------------------------------------------------

    def task_read(self, path: str, version: str) -> None:
        """A task read a product."""
        if path not in self._written:
            self.reads.setdefault(f"p:{path}", version)

    def task_missed(self, path: str) -> None:
        """A task found nothing at a path."""
        if path not in self._written and f"p:{path}" not in self.reads:
            self._note(f"e:{path}", existence(self._space.absolute(path), known=path in self._products))

    def task_wrote(self, path: str, before: str) -> None:
        """A task made or changed a product."""
        self._products.add(path)
        if path not in self._written and f"p:{path}" not in self.reads:
            self.reads.setdefault(f"e:{path}", "no" if before == ABSENT else "yes")
        self._written.setdefault(path, before)
        self._arrived[path] = before

    def settle(self) -> None:
        """Tell the session what was changed so far; a task is about to run, or the cell has ended."""
        if self._tree is not None:
            self._compare()
        self._fold()
        for path, before in list(self._written.items()):
            after = self._space.look(path)
            self._host.touch(path, before, after)
        self._told.update(self._written)

    def close(self) -> None:
        """The cell has ended; what is done afterwards is none of its doing."""
        if self._closed:
            return
        self.settle()
        self._closed = True
        gone = {path for path in self.outside if not os.path.lexists(path) and path.startswith(tempfile.gettempdir())}
        self.outside -= gone

    @property
    def has_spawned(self) -> bool:
        """Whether the cell has started another program."""
        return self._tree is not None

    def written(self) -> set[str]:
        """Products that the cell may have changed."""
        return set(self._written)

    # -- ---------------------------------------------------------------------------------------------------------------

    def _use(self, product: str, how: str) -> None:
        for directory in around(product.removesuffix("/")):
            if self._is_directory(directory):
                self._arrive(f"{directory}/")
                self._read(f"{directory}/")
        self._arrive(product)
        if how in ("read", "modify", "remove"):
            self._read(product)
        if how in ("write", "modify", "remove"):
            self._products.add(product)
            if product not in self._written:
                self._host.protect(product)
                self._written[product] = self._arrived[product]

    def _make(self, path: str, product: str | None) -> None:
        if product is not None and product != path:
            self._use(product, "modify")
            return
        for directory in around(path):
            if self._is_directory(directory):
                self._use(f"{directory}/", "read")
        place = path if product else f"{path}/"
        self._arrive(place)
        there = os.path.lexists(self._space.absolute(path))
        self._note_existence(path, True)
        if not there:
            self._products.add(place)
            if place not in self._written:
                self._host.protect(place)
                self._written[place] = ABSENT

    def _arrive(self, product: str) -> None:
        if product not in self._arrived:
            if any(product in around(other) or other in around(product) for other in self._written):
                self._arrived[product] = self._space.look(product)  # the cell has changed part of it, so it is there
                return
            try:
                self._arrived[product] = self._host.arrive(product)
            except VersionLost as lost:
                self._note(f"p:{product}", lost.version)  # so that it is known what is to be made again
                raise

    def _read(self, product: str) -> None:
        if product not in self._written:
            self._note(f"p:{product}", self._arrived[product])

    def _note_existence(self, path: str, known: bool) -> None:
        """That something is there, or not; ``known``: see simulate.existence. Not of what the cell itself has made."""
        if path not in self._written and f"{path}/" not in self._written:
            self._note(f"e:{path}", existence(self._space.absolute(path), known))

    def _note(self, resource: str, version: str) -> None:
        self.reads.setdefault(resource, version)

    def _use_outside(self, path: str, how: str) -> None:
        is_data = os.path.isfile(path) or os.path.isfile(os.path.join(path, "table.dat"))
        if how in ("read", "modify") and path not in self.outside and is_data:
            self._note(f"p:{path}", self._space.look(path))
        if how in ("write", "modify", "remove", "make"):
            self.outside.add(path)

    def _product(self, path: str) -> str | None:
        """The product that a path is, or is part of: one that cells know, or a CASA table."""
        names = path.split("/")
        for count in range(1, len(names) + 1):
            prefix = "/".join(names[:count])
            if prefix in self._products:
                return prefix
        for count in range(1, len(names) + 1):
            prefix = "/".join(names[:count])
            if os.path.exists(self._space.absolute(prefix) / "table.dat"):
                return prefix
        return self._made_by_program(names)

    def _made_by_program(self, names: list[str]) -> str | None:
        """The product that a path is part of when a program that the cell has started made it just now."""
        if self._tree is None:
            return None
        for count in range(1, len(names) + 1):
            made = "/".join(names[:count])
            place = self._space.absolute(made)
            if not made or made in self._tree or not os.path.lexists(place):
                continue
            is_directory = _is_plain(place) and len(scan(place)) <= _MANY
            product = f"{made}/" if is_directory else made
            self._products.add(product)
            self._arrived[product] = self._written[product] = ABSENT
            if not is_directory:
                return made
        return None

    def _is_directory(self, path: str) -> bool:
        """Whether a cell has made a directory there, so that what is in it are products of their own."""
        return f"{path}/" in self._products and path not in self._products

    def _parts(self, directory: str) -> Iterator[str]:
        """The products that are in a directory: also those that nobody knows yet."""
        try:
            entries = list(os.scandir(self._space.absolute(directory)))
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            path = f"{directory}/{entry.name}" if directory else entry.name
            if entry.name in IGNORED or entry.name.endswith(".ipynb"):
                continue
            if self._is_directory(path) and entry.is_dir(follow_symlinks=False):
                yield f"{path}/"
                yield from self._parts(path)
            else:
                yield self._product(path) or path

    def _size(self, product: str) -> int:
        return sum(stamp.size for stamp in self._space.stamps(product).values())

    def _below(self, directory: str) -> list[str]:
        start = directory + "/" if directory else ""
        below = [product for product in self._products if product.startswith(start) and not os.path.isabs(product)]
        return sorted(below)  # a directory before what is in it

    def _listing(self, directory: str) -> str:
        """The version of a directory's listing, without what this cell itself has done to it."""
        try:
            names = set(os.listdir(self._space.absolute(directory))) - IGNORED
        except OSError:
            names = set()
        for path, before in self._written.items():
            above, _, name = path.removesuffix("/").rpartition("/")
            if above == directory:
                (names.discard if before == ABSENT else names.add)(name)
        return listing(names)

    def _whole(self) -> dict[str, Stamp]:
        tree: dict[str, Stamp] = {}
        for entry in os.scandir(self._root):
            if entry.name not in IGNORED:
                part = scan(Path(entry.path))
                tree.update({f"{entry.name}/{name}" if name else entry.name: stamp for name, stamp in part.items()})
        return tree

    def _compare(self) -> None:
        """What another program has changed."""
        before, after = self._tree, self._whole()
        assert before is not None
        self._tree = after
        for path in sorted(before.keys() | after.keys()):
            if before.get(path) == after.get(path) or path.endswith(".ipynb") or IGNORED & set(path.split("/")):
                continue
            product = self._product(path)
            if product is None and self._is_directory(path):
                product = f"{path}/"
            if product is None:
                product = next((top for top in (*around(path), path) if self._grown(top, before, after)), None)
            if product is None and (after.get(path) or before[path]).kind != "d":
                product = path
            if product is not None:
                self._products.add(product)
                self._written.setdefault(product, self._arrived.get(product, ABSENT))

    def _grown(self, path: str, before: Mapping[str, Stamp], after: Mapping[str, Stamp]) -> bool:
        """Whether a program has made a product there. If it is a directory whose parts are products, that is noted."""
        if path in before or path not in after or after[path].kind != "d":
            return False
        if not _is_plain(self._space.absolute(path)) or sum(other.startswith(f"{path}/") for other in after) > _MANY:
            return True
        self._products.add(f"{path}/")
        self._written.setdefault(f"{path}/", ABSENT)
        return False

    def _fold(self) -> None:
        """What turns out to be a table that Python code has written file by file, or the like, is one product."""
        for directory in [path for path, before in self._written.items() if is_directory(path) and before == ABSENT]:
            path = directory[:-1]
            parts = [part for part in self._written if part.startswith(directory)]
            is_table = not _is_plain(self._space.absolute(path))
            if not (is_table or len(parts) > _MANY) or not self._told.isdisjoint(parts):
                continue
            self._products.difference_update(parts)
            for part in parts:
                del self._written[part]
                self._arrived.pop(part, None)
            for resource in [r for r in self.reads if r[2:].startswith(directory)]:
                del self.reads[resource]  # there was no such directory
            self._products.add(path)
            self._written[path] = self._arrived[path] = ABSENT


def _is_plain(place: Path) -> bool:
    """Whether a directory, if it is one, is no table of CASA."""
    return place.is_dir() and not place.is_symlink() and not (place / "table.dat").exists()


def _programs(words: Iterable[str]) -> set[str]:
    """The programs that a command line starts, those behind a shell included."""
    words = tuple(words)
    shell = len(words) > 2 and os.path.basename(words[0]) in ("sh", "bash") and words[1] == "-c"
    lines = re.split(r"[;|&\n(){}`]+", words[2]) if shell else [" ".join(words)]
    return {os.path.basename(line.split()[0]) for line in lines if line.split()}
