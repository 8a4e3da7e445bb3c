"""What the Python code of one cell does with files: products are brought to their place before it sees them."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from casa_recompute.notebook.facts import IGNORED
from casa_recompute.notebook.simulate import existence, listing
from casa_recompute.products import ABSENT, Stamp, around, scan
from casa_recompute.workspace import VersionLost, Workspace

_UNASKED = 64 << 20  # bytes: larger data that no cell has used and no command line names count as not read


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
            if path:
                self._arrive(path)
            if self._tree is not None and os.path.lexists(self._space.absolute(path)) != (path in self._tree):
                self._compare()  # a program that the cell has started has made or removed it
            if path not in self._written:
                self._note(f"e:{path}", existence(self._space.absolute(path), known=product is not None))
        elif how == "list" and product is None:
            for known in self._below(path):
                self._arrive(known)
            if self._tree is not None:
                self._compare()  # a program that the cell has started may have made or removed some of it
            self._note(f"d:{path}", self._listing(path))
        elif path:
            how = "read" if how in ("exists", "list") else how
            if how in ("write", "remove") and product not in (None, path):
                how = "modify"  # a part of a product is the product, changed
            self._use(product or path, how)

    def spawning(self, words: Iterable[str]) -> None:
        """See files.FileClient. What another program reads is not seen: unless it is one that reads what its command
        line names and nothing else, it is taken to read all that lies here."""
        words = tuple(words) or self._texts
        for known in list(self._products):
            self._arrive(known)
        named = {token for word in words for token in re.split(r"[\s'\"=:;|&<>(){}$`]+", word) if token}
        modest = bool(named) and _MODEST.issuperset(_programs(words))
        if not modest or any(c in word for word in words for c in "*?[") or named & {"ls", "find"}:
            self._note("d:", self._listing(""))
        for entry in os.scandir(self._root):
            if entry.name in IGNORED or entry.name.endswith(".ipynb"):
                continue
            product = self._product(entry.name) or entry.name
            is_named = any(
                token == product or token.startswith(product + "/") for token in map(os.path.normpath, named)
            )
            if is_named or (not modest and (self._space.known(product) or _size(entry) < _UNASKED)):
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
        for path, before in list(self._written.items()):
            after = self._space.look(path)
            self._host.touch(path, before, after)

    def close(self) -> None:
        """The cell has ended."""
        self.settle()
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
        self._arrive(path)
        there = os.path.lexists(self._space.absolute(path))
        self._note(f"e:{path}", "yes" if there else "no")
        if not there:
            self._products.add(path)
            self._written.setdefault(path, ABSENT)

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
        tops = ("/".join(names[:count]) for count in range(1, len(names) + 1))
        made = next((top for top in tops if top and top not in self._tree), None)
        if made is None or not os.path.lexists(self._space.absolute(made)):
            return None
        self._products.add(made)
        self._arrived[made] = self._written[made] = ABSENT
        return made

    def _below(self, directory: str) -> list[str]:
        start = directory + "/" if directory else ""
        return [product for product in self._products if product.startswith(start) and not os.path.isabs(product)]

    def _listing(self, directory: str) -> str:
        """The version of a directory's listing, without what this cell itself has done to it."""
        try:
            names = set(os.listdir(self._space.absolute(directory))) - IGNORED
        except OSError:
            names = set()
        for path, before in self._written.items():
            if os.path.dirname(path) == directory:
                (names.discard if before == ABSENT else names.add)(os.path.basename(path))
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
            if product is None:
                names = path.split("/")
                product = next((top for n in range(1, len(names)) if (top := "/".join(names[:n])) not in before), path)
                if product == path and (after.get(path) or before[path]).kind == "d" and path in before:
                    continue
            self._products.add(product)
            self._written.setdefault(product, self._arrived.get(product, ABSENT))


def _programs(words: Iterable[str]) -> set[str]:
    """The programs that a command line starts, those behind a shell included."""
    words = tuple(words)
    shell = len(words) > 2 and os.path.basename(words[0]) in ("sh", "bash") and words[1] == "-c"
    lines = re.split(r"[;|&\n(){}`]+", words[2]) if shell else [" ".join(words)]
    return {os.path.basename(line.split()[0]) for line in lines if line.split()}


def _size(entry: os.DirEntry[str]) -> int:
    if not entry.is_dir(follow_symlinks=False):
        return entry.stat(follow_symlinks=False).st_size
    return sum(stamp.size for stamp in scan(Path(entry.path)).values())
