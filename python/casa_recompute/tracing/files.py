"""Which files the Python code of a cell uses, told before it uses them.

Python tells of most uses itself (audit events: ``open``, ``os.remove`` ...). It does not tell when a program only asks
about a file (``os.stat`` and what is built on it), so while a watch runs the few functions that do so are exchanged for
stand-ins.

Not seen: files that compiled code opens by itself (cfitsio, casacore, netCDF, Arrow; h5py is seen); ``DirEntry.stat()``
(the listing of its directory is); what a program does that the cell starts (:meth:`FileClient.spawning` tells that it
starts); and ``os.stat`` under a name that a module bound before the watch began (``from os import stat``). Python's own
search for modules is left out, and so is the source that it reads for tracebacks and warnings.
"""

from __future__ import annotations

import _posixsubprocess
import contextlib
import copy
import ctypes.util
import functools
import glob
import importlib
import importlib.metadata
import linecache
import os
import pathlib
import pkgutil
import platform
import shutil
import site
import stat
import subprocess
import sys
import sysconfig
import tempfile
import threading
import tokenize
import urllib.parse
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, Protocol

_Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
"""A path as programs write it."""

THE_NETWORK = "the network"
THE_KEYBOARD = "the keyboard"


class FileClient(Protocol):
    """Is told what a cell is about to do. What it raises is raised in the user's code, and nothing is done.

    It is called in the thread that uses the file, one thread at a time. What it does itself is not reported,
    nor what threads do that it starts. Each path is told once for each ``how``, until :meth:`FileWatch.forget`.
    """

    def using(self, path: str, how: str) -> None:
        """A file or directory is about to be used.

        Args:
            path: absolute, without symbolic links; where the operation acts on a link itself (remove, rename, lstat,
                readlink), its last component may be one. Links on the way to a file are told too, as ``exists``.
            how: ``read``; ``write``, what was there before is replaced unseen; ``modify``, it may be read and
                written; ``exists``, asked only whether it is there and what kind it is; ``list``, the names in a
                directory; ``remove``, a file or a whole tree; ``make``, a directory. A rename is ``read`` and
                ``remove`` of the old path, and ``write`` of the new one.
        """

    def spawning(self, words: tuple[str, ...]) -> None:
        """Another program is about to start: the words of its command line, none when the process forks."""

    def impure(self, what: str) -> None:
        """The cell is about to use something that no file records: ``the network`` or ``the keyboard``."""


def _upwards(path: str) -> Iterator[str]:
    """An absolute path, and all directories above it."""
    yield path
    while (above := os.path.dirname(path)) != path:
        path = above
        yield path


class FileWatch:
    """Tells a client which files the Python code of a cell uses, between :meth:`start` and :meth:`stop`.

    What counts is the thread that calls ``start``, and every thread started by one that counts, in an earlier cell too
    (pools live on).

    Args:
        client: is told.
        ignore: says of an absolute path whether it is never reported, besides those of the system and of Python.
        directory: the workspace. Paths in it are reported even where it lies inside a place that is ignored.
    """

    def __init__(
        self,
        client: FileClient,
        ignore: Callable[[str], bool] | None = None,
        *,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        self._client = client
        self._ignore = ignore
        home, of_user = os.path.expanduser("~"), ("XDG_CACHE_HOME", "MPLCONFIGDIR", "IPYTHONDIR")
        self._places = dict.fromkeys(_ignored_places(home, *(os.environ.get(name, "") for name in of_user)), True)
        self._ancestors: frozenset[str] = frozenset()
        if directory is not None:
            lexical = os.path.abspath(directory)
            real = _resolve(lexical)[0]
            self._places.pop(real, None)
            self._places[real] = False
            self._ancestors = frozenset((*_upwards(lexical), *_upwards(real)))
        self._lock = threading.RLock()
        self._depth = 0
        self.forget()

    def start(self) -> None:
        """Begin to tell. May be nested (a cell that runs a cell): the innermost watch is told."""
        if not self._depth:
            self.forget()
        _here.counts = True
        _start(self)

    def stop(self) -> None:
        """Tell nothing more: when this returns, no call of the client is under way and none begins.

        Raises:
            RuntimeError: it was not started, or another watch was started after it and still runs.
        """
        with self._lock:
            _stop(self)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """For our own code: what this thread does in the body is not reported. Afterwards all is told anew."""
        _here.away += 1
        try:
            yield
        finally:
            _here.away -= 1
            self.forget()

    def tell(self, path: str, how: str) -> None:
        """Compiled code is about to open a file by itself, which is not seen: tell the client, as for Python code."""
        self._use(path, how)

    def forget(self) -> None:
        """Tell again what was told: what is at a path may have changed by other hands than the cell's Python code."""
        self._told: set[tuple[str, str]] = set()
        self._seen: set[tuple[_Path, str, bool]] = set()
        self._directories: dict[str, str] = {}
        self._links: set[str] = set()
        self._reported_places: dict[str, bool] = {}
        self._cwd: str | None = None

    def _use(
        self,
        path: Any,
        how: str,
        dir_fd: int | None = -1,
        follow: bool = True,
        opens: bool = False,
        whole: bool = False,
    ) -> None:
        """Tell of ``path`` as a program named it: relative, bytes, a PathLike, None (here) or a descriptor."""
        here = _here
        if here.away or not (_judge() if here.counts is None else here.counts):
            return
        if type(path) is not str:
            if path is None:
                path = "."
            elif isinstance(path, int):  # an open directory
                path, dir_fd = ".", path
            elif isinstance(path, bytes | os.PathLike):
                path = os.fsdecode(path)
            else:  # no path: the operation itself will say so
                return
        near = dir_fd is None or dir_fd < 0
        key = (path, how, follow)
        if (near and key in self._seen) or not path or "\0" in path or _by_python_itself(whole):
            return
        here.away += 1
        try:
            with self._lock:
                if not self._depth:
                    return
                real, kind = self._locate(path, dir_fd, follow)
                if real is not None:
                    if opens and (kind or _kind(real)) == stat.S_IFDIR:
                        # it can do no more than list it (os.open), or it makes a file without a name, or is a mistake
                        how = "list" if how == "read" else "exists"
                    self._tell(real, how)
                if near:
                    self._seen.add(key)
        finally:
            here.away -= 1

    def _locate(self, path: str, dir_fd: int | None, follow: bool) -> tuple[str | None, int]:
        """Where ``path`` leads, and the kind of what is there where it was looked at (else 0).

        None when ``dir_fd`` is not open. Tells the links on the way.
        """
        if not path.startswith("/"):
            if dir_fd is not None and dir_fd >= 0:
                try:
                    path = f"{_readlink(f'/proc/self/fd/{dir_fd}')}/{path}"
                except OSError:
                    return None, 0
            else:
                cwd = self._cwd
                if cwd is None:
                    try:
                        cwd = self._cwd = os.getcwd()
                    except OSError:  # it was removed
                        return None, 0
                path = f"{cwd}/{path}"
        head, _, tail = path.rpartition("/")
        if tail in ("", ".", ".."):
            return self._through_links(path), 0
        directory = self._directories.get(head)
        if directory is None:
            directory = self._directories[head] = self._through_links(head)
        real = f"{directory}/{tail}" if directory != "/" else f"/{tail}"
        kind = _kind(real) if follow else 0
        return (self._through_links(real), 0) if kind == stat.S_IFLNK else (real, kind)

    def _through_links(self, path: str) -> str:
        real, links = _resolve(path)
        for link in links:
            self._links.add(link)
            self._tell(link, "exists")
        return real

    def _tell(self, path: str, how: str) -> None:
        if (path, how) not in self._told and not self._ignored(path, how):
            self._client.using(path, how)
            self._told.add((path, how))

    def _ignored(self, path: str, how: str) -> bool:
        if how == "exists" and path in self._ancestors:
            return True
        directory, _, name = path.rpartition("/")
        if path in self._places:
            ignored = self._place_ignored(path)
        else:
            ignored = self._place_ignored(directory) or name in _OWN_NAMES
        if ignored or name.endswith(".pyc") or (name.startswith("casa-") and name.endswith(".log")):
            return True
        if name.endswith(".ipynb") and how in ("write", "modify"):
            return True
        return self._ignore is not None and self._ignore(path)

    def _place_ignored(self, directory: str) -> bool:
        """Is a directory ignored: one of its names is, or the nearest place above it that we know."""
        ignored = self._reported_places.get(directory)
        if ignored is None:
            ups = [directory, *map(str, pathlib.PurePosixPath(directory).parents)]
            nearest = next((self._places[up] for up in ups if up in self._places), False)
            ignored = nearest or not _OWN_NAMES.isdisjoint(directory.split("/"))
            self._reported_places[directory] = ignored
        return ignored

    def _spawn(self, words: Sequence[Any]) -> None:
        if _python_asks_the_machine():
            return
        self._other(lambda: self._client.spawning(tuple(_word(word) for word in words)))
        self.forget()  # a program may change files

    def _impure(self, what: str) -> None:
        self._other(lambda: self._client.impure(what))

    def _other(self, tell: Callable[[], None]) -> None:
        here = _here
        if here.away or not (_judge() if here.counts is None else here.counts):
            return
        here.away += 1
        try:
            with self._lock:
                if self._depth:
                    tell()
        finally:
            here.away -= 1

    def _rewired(self, path: Any, dir_fd: int) -> None:
        """A path is taken away or given another file: unless it is a plain one, what we know of links holds no more."""
        path = os.fsdecode(path)
        if dir_fd < 0 and not path.startswith("/"):
            path = f"{self._cwd}/{path}"
        head, _, tail = path.rpartition("/")
        directory = self._directories.get(head)
        real = f"{directory}/{tail}"
        if directory is None or dir_fd >= 0 or real in self._links or _kind(real) not in (0, stat.S_IFREG):
            self._lost_its_way()

    def _lost_its_way(self) -> None:
        self._directories.clear()
        self._seen.clear()


# Paths


def _resolve(path: str) -> tuple[str, list[str]]:
    """Follow every symbolic link of an absolute path: where it leads, and the links on the way (their own paths)."""
    real, links, rest = "", [], path.split("/")[::-1]
    while rest:
        part = rest.pop()
        if part in ("", "."):
            continue
        if part == "..":
            real = real.rpartition("/")[0]
            continue
        at = f"{real}/{part}"
        try:
            target = _readlink(at)
        except (OSError, ValueError):  # not a link, or nothing is there
            real = at
            continue
        links.append(at)
        if len(links) > 40:  # a circle: the operation itself will fail (ELOOP)
            return at, links
        if target.startswith("/"):
            real = ""
        rest.extend(target.split("/")[::-1])
    return real or "/", links


def _kind(path: str) -> int:
    """The type bits of what is at a path (a link is not followed), 0 when nothing can be seen there."""
    try:
        return stat.S_IFMT(_lstat(path).st_mode)
    except (OSError, ValueError):
        return 0


def _how_of_opening(mode: str | None, flags: int) -> str:
    if mode is not None:
        if "w" in mode or "x" in mode:
            return "write"
        return "modify" if "a" in mode or "+" in mode else "read"
    if flags & os.O_PATH:
        return "exists"
    if flags & os.O_TRUNC or (flags & os.O_CREAT and flags & os.O_EXCL):
        return "write"
    return "modify" if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else "read"


def _how_of_database(database: Any) -> tuple[str, str] | None:
    """The file and the use of ``sqlite3.connect(database)``; None when it is in memory."""
    name = os.fsdecode(database)
    if name in ("", ":memory:"):
        return None
    if not name.startswith("file:"):
        return name, "modify"
    address = urllib.parse.urlsplit(name)
    options = dict(urllib.parse.parse_qsl(address.query))
    path = urllib.parse.unquote(address.path)
    if options.get("mode") == "memory" or path in ("", ":memory:"):
        return None
    return path, "read" if options.get("mode") == "ro" or "immutable" in options else "modify"


def _word(word: Any) -> str:
    return os.fsdecode(word) if isinstance(word, str | bytes | os.PathLike) else str(word)


_OWN_NAMES = frozenset({"__pycache__", ".ipynb_checkpoints", ".casa-recompute"})
"""Directories of these names are nobody's data."""


@functools.lru_cache(8)
def _ignored_places(home: str, *others: str) -> frozenset[str]:
    """Directories whose files are part of the machine or of Python, not of the work."""
    places = [
        *("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/proc", "/sys", "/dev", "/run"),
        *("/var/lib", "/var/cache", "/var/run", sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix),
        *site.getsitepackages(),
        site.getusersitepackages(),
        *sysconfig.get_paths().values(),
    ]
    if os.path.isabs(home):
        of_user = ".cache .config .ipython .jupyter .matplotlib .casa .astropy .fonts"
        places += [f"{home}/{name}" for name in (*of_user.split(), ".local/share/jupyter", ".local/share/fonts")]
    return frozenset(_resolve(place)[0] for place in (*places, *others) if os.path.isabs(place)) - {"/"}


# Whose operation it is


class _Here(threading.local):
    """Of one thread: does it count (None: not judged yet), and how deep it is in a client's callback or a pause."""

    counts: bool | None = None
    away: int = 0


_here = _Here()
_threads: weakref.WeakKeyDictionary[threading.Thread, bool] = weakref.WeakKeyDictionary()
"""Threads that were started while a watch ran: do they count."""
_before: frozenset[int] = frozenset()
"""The identifiers of the threads that were there when the watch began."""


def _judge() -> bool:
    thread = threading.current_thread()
    counts = _threads.get(thread)
    if counts is None:  # not started by Thread.start under our eyes
        counts = thread.ident not in _before
    _here.counts = counts
    return counts


def _file(function: Any) -> str:
    """Where Python says that a function was written: modules frozen into the interpreter have no path there."""
    name: str = function.__code__.co_filename
    return name


_OWN_FILE, _SHUTIL = _file(_judge), _file(shutil.rmtree)
_SUBPROCESS, _POPEN = _file(subprocess.run), _file(os.popen)
_ASKING_THE_MACHINE = frozenset(map(_file, (platform.processor, ctypes.util.find_library, uuid.getnode)))
_HELPERS = frozenset(
    map(
        _file,
        # what asks about files on behalf of its caller, mostly about no more than existence and kind
        (os.walk, os.path.realpath, os.path.exists, glob.glob, shutil.rmtree, tempfile.mkdtemp, pathlib.Path.stat),
    )
)
_PYTHON_ITSELF = frozenset(
    map(
        _file,
        # finding modules, and showing source lines in warnings and tracebacks
        (importlib.import_module, importlib.metadata.version, linecache.getline, pkgutil.iter_modules, tokenize.open),
    )
) | {"<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>", "<frozen zipimport>"}
_READ_BY_HELPERS = frozenset({"getsize", "getmtime", "getatime", "getctime"})


def _by_python_itself(whole: bool) -> bool:
    """Does Python do this for itself, or is it a step of the removal of a tree, which was told as a ``whole``?"""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        if file in _PYTHON_ITSELF or (not whole and file == _SHUTIL and name.startswith(("rmtree", "_rmtree"))):
            return True
        if file != _OWN_FILE and file not in _HELPERS:
            return False
        frame = frame.f_back
    return False


def _python_asks_the_machine() -> bool:
    """Is a program started only to learn about the machine (``platform.processor`` runs ``uname``)?"""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename in (_OWN_FILE, _SUBPROCESS, _POPEN):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename in _ASKING_THE_MACHINE


def _how_of_asking(frame: FrameType | None) -> str:
    """What the caller of ``os.stat`` wants to know: that the file exists and its kind, or more (size, times)."""
    while frame is not None and frame.f_code.co_filename in _HELPERS:
        name = frame.f_code.co_name
        if name in _READ_BY_HELPERS:
            return "read"
        if name not in ("stat", "lstat"):  # pathlib's are for whoever calls them
            return "exists"
        frame = frame.f_back
    return "read"


# The events of Python's audit hooks (their table is in the Python documentation)


def _on_open(watch: FileWatch, args: Any) -> None:
    path, mode, flags = args
    if type(path) is not int:  # a descriptor: told when it was opened
        follow = mode is not None or not flags & os.O_NOFOLLOW
        watch._use(path, _how_of_opening(mode, flags), follow=follow, opens=True)


def _on_list(watch: FileWatch, args: Any) -> None:
    watch._use(args[0], "list")


def _on_remove(watch: FileWatch, args: Any) -> None:
    watch._use(args[0], "remove", args[1], follow=False)
    watch._rewired(args[0], args[1])


def _on_rmtree(watch: FileWatch, args: Any) -> None:
    watch._use(args[0], "remove", args[1], follow=False, whole=True)


def _on_rename(watch: FileWatch, args: Any) -> None:
    old, new, old_fd, new_fd = args
    watch._use(old, "read", old_fd, follow=False)
    watch._use(old, "remove", old_fd, follow=False)
    watch._use(new, "write", new_fd, follow=False)
    watch._rewired(old, old_fd)
    watch._rewired(new, new_fd)


def _on_mkdir(watch: FileWatch, args: Any) -> None:
    watch._use(args[0], "make", args[2], follow=False)


def _on_truncate(watch: FileWatch, args: Any) -> None:
    if type(args[0]) is not int:
        watch._use(args[0], "modify")


def _on_link(watch: FileWatch, args: Any) -> None:
    watch._use(args[0], "read", args[2], follow=False)
    watch._use(args[1], "write", args[3], follow=False)


def _on_symlink(watch: FileWatch, args: Any) -> None:
    watch._use(args[1], "write", args[2], follow=False)
    watch._lost_its_way()


def _on_chdir(watch: FileWatch, args: Any) -> None:
    watch._cwd = None
    watch._seen.clear()


def _on_database(watch: FileWatch, args: Any) -> None:
    use = _how_of_database(args[0])
    if use is not None:
        watch._use(*use)


def _on_program(watch: FileWatch, args: Any) -> None:
    words = args[1]
    watch._spawn([words] if isinstance(words, str | bytes | os.PathLike) else list(words))


def _on_system(watch: FileWatch, args: Any) -> None:
    watch._spawn(["/bin/sh", "-c", args[0]])


def _on_pty(watch: FileWatch, args: Any) -> None:
    words = args[0]
    watch._spawn([words] if isinstance(words, str) else list(words))


def _on_fork(watch: FileWatch, args: Any) -> None:
    watch._spawn([])


def _on_network(watch: FileWatch, args: Any) -> None:
    watch._impure(THE_NETWORK)


def _on_socket(watch: FileWatch, args: Any) -> None:
    if isinstance(args[1], tuple):  # else a socket of this machine: a path or an abstract name
        watch._impure(THE_NETWORK)


def _on_import(watch: FileWatch, args: Any) -> None:
    if args[0].startswith("h5py."):  # its parts are imported one after the other: the compiled ones first
        _exchange_hdf5()


def _on_keyboard(watch: FileWatch, args: Any) -> None:
    watch._impure(THE_KEYBOARD)


_HANDLERS: dict[str, Callable[[FileWatch, Any], None]] = {
    "open": _on_open,
    "os.listdir": _on_list,
    "os.scandir": _on_list,
    "os.remove": _on_remove,
    "os.rmdir": _on_remove,
    "shutil.rmtree": _on_rmtree,
    "os.rename": _on_rename,
    "os.mkdir": _on_mkdir,
    "os.truncate": _on_truncate,
    "os.link": _on_link,
    "os.symlink": _on_symlink,
    "os.chdir": _on_chdir,
    "sqlite3.connect": _on_database,
    "subprocess.Popen": _on_program,
    "os.exec": _on_program,
    "os.posix_spawn": _on_program,
    "os.system": _on_system,
    "pty.spawn": _on_pty,
    "import": _on_import,
    "os.fork": _on_fork,
    "os.forkpty": _on_fork,
    "builtins.input": _on_keyboard,
    **dict.fromkeys(("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"), _on_socket),
    **dict.fromkeys(
        ("socket.getaddrinfo", "socket.gethostbyaddr", "socket.gethostbyname", "socket.getnameinfo", "urllib.Request"),
        _on_network,
    ),
    **dict.fromkeys(("ftplib.connect", "http.client.connect", "smtplib.connect"), _on_network),
    **dict.fromkeys(("imaplib.open", "nntplib.connect", "poplib.connect"), _on_network),
}


def _hook(event: str, args: tuple[Any, ...]) -> None:
    """The audit hook. It can never be taken away again, so the process has one, which does next to nothing at rest."""
    watch = _active
    if watch is not None:
        handler = _HANDLERS.get(event)
        if handler is not None:
            handler(watch, args)


# Functions that raise no event


class _StandIn:
    """Stands in for a function of a module, and is equal to it: ``os.stat in os.supports_dir_fd`` still holds."""

    def __init__(self, original: Callable[..., Any]) -> None:
        functools.update_wrapper(self, original)
        self._original = original

    def __eq__(self, other: object) -> bool:
        return other is self or other == self._original

    def __hash__(self) -> int:
        return hash(self._original)

    def __repr__(self) -> str:
        return repr(self._original)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return copy.copy, (self._original,)  # a copy of a function is that function

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        watch = _active
        if watch is not None:
            self._report(watch, args, keywords)
        return self._original(*args, **keywords)

    def _report(self, watch: FileWatch, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        raise NotImplementedError


class _Asking(_StandIn):
    """``os.stat``, ``os.lstat``, ``os.access``, ``os.readlink``."""

    def __init__(self, original: Callable[..., Any], how: str | None = None, follow: bool = True) -> None:
        super().__init__(original)
        self._how = how
        self._follow = follow

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        watch = _active
        if watch is not None:
            path = args[0] if args else keywords.get("path")
            if path is not None and type(path) is not int:
                how = self._how or _how_of_asking(sys._getframe(1))
                follow = self._follow
                if keywords:
                    watch._use(path, how, keywords.get("dir_fd"), follow and keywords.get("follow_symlinks", True))
                elif type(path) is not str or (path, how, follow) not in watch._seen:
                    watch._use(path, how, None, follow)
        return self._original(*args, **keywords)


class _OpeningBeside(_StandIn):
    """``os.open``: its event does not tell ``dir_fd``."""

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        watch, dir_fd = _active, keywords.get("dir_fd")
        if watch is None or dir_fd is None or _here.away:
            return self._original(*args, **keywords)
        path = args[0] if args else keywords.get("path")
        flags = args[1] if len(args) > 1 else keywords.get("flags", 0)
        watch._use(path, _how_of_opening(None, flags), dir_fd, follow=not flags & os.O_NOFOLLOW, opens=True)
        _here.away += 1
        try:
            return self._original(*args, **keywords)
        finally:
            _here.away -= 1


class _Starting(_StandIn):
    """``_posixsubprocess.fork_exec``, with which multiprocessing starts programs."""

    def _report(self, watch: FileWatch, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        watch._spawn(list(args[0]))


class _OpeningDbm(_StandIn):
    """``dbm.gnu.open`` and ``dbm.ndbm.open``: compiled code opens these files."""

    def _report(self, watch: FileWatch, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        flag = args[1] if len(args) > 1 else "r"
        how = {"r": "read", "n": "write"}.get(flag[:1], "modify")
        for suffix in ("",) if self._original.__module__ == "_gdbm" else (".db", ".dir", ".pag"):
            watch._use(os.fsdecode(args[0]) + suffix, how)


class _OpeningHdf5(_StandIn):
    """``h5py.h5f.open``, ``create`` and ``is_hdf5``: the HDF5 library opens these files."""

    def _report(self, watch: FileWatch, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        properties = args[2] if len(args) > 2 else keywords.get("fapl")
        if properties is not None and properties.get_driver() == sys.modules["h5py.h5fd"].fileobj_driver:
            return  # in a Python file object
        flags = args[1] if len(args) > 1 else keywords.get("flags", 1)  # 1: ACC_RDWR
        how = {"open": "modify" if flags & 1 else "read", "create": "write"}.get(self._original.__name__, "read")
        watch._use(args[0] if args else keywords.get("name"), how)


_thread_start = threading.Thread.start


@functools.wraps(_thread_start)
def _start_thread(thread: threading.Thread) -> None:
    here = _here
    _threads[thread] = not here.away and (_judge() if here.counts is None else here.counts)
    _thread_start(thread)


_lstat, _readlink = os.lstat, os.readlink


def _stand_ins() -> list[tuple[Any, str, Any, Any]]:
    """What is exchanged while a watch runs: where, its name there, the original, what stands in for it."""
    found: list[tuple[Any, str, Any, Any]] = [
        (os, "stat", os.stat, _Asking(os.stat)),
        (os, "lstat", os.lstat, _Asking(os.lstat, follow=False)),
        (os, "access", os.access, _Asking(os.access, how="exists")),
        (os, "readlink", os.readlink, _Asking(os.readlink, how="exists", follow=False)),
        (os, "open", os.open, _OpeningBeside(os.open)),
        (_posixsubprocess, "fork_exec", _posixsubprocess.fork_exec, _Starting(_posixsubprocess.fork_exec)),
        (threading.Thread, "start", _thread_start, _start_thread),
    ]
    for name in ("dbm.gnu", "dbm.ndbm"):
        with contextlib.suppress(ImportError):  # Python may be built without them
            module = importlib.import_module(name)
            found.append((module, "open", module.open, _OpeningDbm(module.open)))
    return found


_STAND_INS = _stand_ins()


def _exchange_hdf5() -> None:
    """Exchange what opens HDF5 files, once h5py is imported."""
    module = sys.modules.get("h5py.h5f")
    if module is None or any(owner is module for owner, *_ in _STAND_INS):
        return
    names = ("open", "create", "is_hdf5")
    if all(hasattr(module, name) for name in names):  # else it is being imported
        for name in names:
            original = getattr(module, name)
            stand_in = _OpeningHdf5(original)
            _STAND_INS.append((module, name, original, stand_in))
            setattr(module, name, stand_in)


# The watches that run

_running: list[FileWatch] = []
_active: FileWatch | None = None
_change = threading.Lock()
_hooked = False


def _start(watch: FileWatch) -> None:
    global _active, _before, _hooked
    with _change:
        if not _hooked:
            sys.addaudithook(_hook)
            _hooked = True
        if not _running:
            _exchange_hdf5()
            _before = frozenset(sys._current_frames())
            for owner, name, original, stand_in in _STAND_INS:
                if getattr(owner, name) is original:  # else another tool has put its own there
                    setattr(owner, name, stand_in)
        watch._depth += 1
        _running.append(watch)
        _active = watch


def _stop(watch: FileWatch) -> None:
    global _active
    with _change:
        if not _running or _running[-1] is not watch:
            raise RuntimeError("this watch is not the one that was started last")
        _running.pop()
        watch._depth -= 1
        _active = _running[-1] if _running else None
        if not _running:
            _put_back()


def _put_back() -> None:
    for owner, name, original, stand_in in _STAND_INS:
        if getattr(owner, name) is stand_in:
            setattr(owner, name, original)


def _in_child() -> None:
    """In a process that was forked nothing is watched: its parent's client is not here."""
    global _active, _change
    _active = None
    for watch in _running:
        watch._depth = 0
        watch._lock = threading.RLock()
    _running.clear()
    _change = threading.Lock()
    _here.away = 0
    _put_back()


os.register_at_fork(after_in_child=_in_child)
