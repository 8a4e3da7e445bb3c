"""A watch tells which files Python code uses, how, and before it uses them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import csv
import ctypes.util
import dbm.dumb
import glob
import importlib.util
import inspect
import io
import json
import logging
import logging.handlers
import multiprocessing
import os
import pickle
import platform
import shelve
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from casa_recompute.tracing.files import THE_KEYBOARD, THE_NETWORK, FileWatch

matplotlib.use("Agg")
_OURS = str(Path(sys.modules[FileWatch.__module__].__file__ or "").parents[2])
ORIGINALS = (os.stat, os.lstat, os.access, os.readlink, os.open, threading.Thread.start)


class Recorder:
    """Keeps what it is told; paths in its directory without it."""

    def __init__(self, directory: Path) -> None:
        self.directory = str(directory)
        self.told: list[tuple[str, str]] = []
        self.spawned: list[tuple[str, ...]] = []
        self.impurities: list[str] = []
        self.on_use: Callable[[str, str], None] = lambda path, how: None

    def using(self, path: str, how: str) -> None:
        self.on_use(path, how)
        self.told.append((path.removeprefix(self.directory + "/"), how))

    def spawning(self, words: tuple[str, ...]) -> None:
        self.spawned.append(words)

    def impure(self, what: str) -> None:
        self.impurities.append(what)

    def hows(self, path: str) -> set[str]:
        return {how for told, how in self.told if told == path}


class Watched:
    """``with watched:`` runs a cell."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.client = Recorder(directory)
        self.watch = FileWatch(self.client, directory=str(directory))

    def __enter__(self) -> Recorder:
        self.client.told.clear()
        self.watch.start()
        return self.client

    def __exit__(self, *_: object) -> None:
        self.watch.stop()


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workspace, which is the current directory."""
    directory = Path(os.path.realpath(tmp_path)) / "ws"
    directory.mkdir()
    monkeypatch.chdir(directory)
    for name in ("a", "b"):
        (directory / name).write_text(name)
    tree = directory / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "x").write_text("x")
    (tree / "deep" / "y").write_text("y")
    return directory


@pytest.fixture
def cell(at: Path) -> Iterator[Watched]:
    yield Watched(at)
    assert (os.stat, os.lstat, os.access, os.readlink, os.open, threading.Thread.start) == ORIGINALS
    assert os.stat is ORIGINALS[0]


@pytest.mark.parametrize(
    ("mode", "name", "how"),
    [
        ("r", "a", "read"),
        ("rb", "a", "read"),
        ("w", "a", "write"),
        ("wb", "new", "write"),
        ("w+", "a", "write"),
        ("x", "new", "write"),
        ("a", "a", "modify"),
        ("a+", "new", "modify"),
        ("r+b", "a", "modify"),
    ],
)
def test_the_mode_of_opening_says_how(cell: Watched, mode: str, name: str, how: str) -> None:
    with cell as client, open(name, mode):
        pass
    assert client.told == [(name, how)]


@pytest.mark.parametrize(
    ("flags", "name", "how"),
    [
        (os.O_RDONLY, "a", "read"),
        (os.O_WRONLY, "a", "modify"),
        (os.O_RDWR, "a", "modify"),
        (os.O_WRONLY | os.O_TRUNC, "a", "write"),
        (os.O_RDWR | os.O_CREAT | os.O_EXCL, "new", "write"),
        (os.O_RDWR | os.O_CREAT, "new", "modify"),
        (os.O_WRONLY | os.O_APPEND, "a", "modify"),
        (os.O_PATH, "a", "exists"),
        (os.O_RDONLY, "tree", "list"),
    ],
)
def test_the_flags_of_opening_say_how(cell: Watched, flags: int, name: str, how: str) -> None:
    with cell as client:
        os.close(os.open(name, flags))
    assert client.told == [(name, how)]


def test_a_file_is_told_before_it_is_used(cell: Watched, at: Path) -> None:
    cell.client.on_use = lambda path, how: Path(path).write_text("brought") and None
    with cell as client:
        text = Path("a").read_text()
        missing = Path("later").read_text()
        exists = os.path.exists("thing")
    assert (text, missing, exists) == ("brought", "brought", True)
    assert client.told == [("a", "read"), ("later", "read"), ("thing", "exists")]


def test_what_the_client_does_is_not_told(cell: Watched, at: Path) -> None:
    def bring(path: str, how: str) -> None:
        Path(path).read_bytes()
        os.path.exists("b")
        os.listdir(".")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda name: (at / name).read_text(), ["a", "b"] * 5))

    cell.client.on_use = bring
    with cell as client:
        open("a").close()
    assert client.told == [("a", "read")]


def test_what_the_client_raises_stops_the_operation(cell: Watched, at: Path) -> None:
    class CannotBring(Exception):
        pass

    def refuse(path: str, how: str) -> None:
        raise CannotBring(path)

    cell.client.on_use = refuse
    for use in (
        lambda: Path("a").write_text("spoilt"),
        lambda: os.stat("a"),
        lambda: os.path.getsize("a"),
        lambda: os.remove("a"),
        lambda: os.rename("a", "c"),
        lambda: shutil.rmtree("tree"),
        lambda: os.listdir("tree"),
        lambda: os.mkdir("c"),
    ):
        with cell, pytest.raises(CannotBring):
            use()
    assert sorted(os.listdir(at)) == ["a", "b", "tree"] and (at / "a").read_text() == "a"
    cell.client.on_use = lambda path, how: None
    with cell as client:
        open("a").close()
    assert client.told == [("a", "read")]


def test_one_use_is_told_once_and_again_in_the_next_cell(cell: Watched, at: Path) -> None:
    for _ in range(2):
        with cell as client:
            for _ in range(3):
                open("a").close()
                open(at / "a").close()
                open(b"./a").close()
            open("a", "a").close()
        assert client.told == [("a", "read"), ("a", "modify")]


def test_all_is_told_anew_after_our_own_code_ran(cell: Watched) -> None:
    with cell as client:
        open("a").close()
        with cell.watch.paused():
            open("b").close()
        open("a").close()
    assert client.told == [("a", "read"), ("a", "read")]


@pytest.mark.parametrize(
    ("ask", "how"),
    [
        (lambda: os.path.exists("a"), "exists"),
        (lambda: os.path.lexists("a"), "exists"),
        (lambda: os.path.isfile("a"), "exists"),
        (lambda: os.path.isdir("a"), "exists"),
        (lambda: os.path.islink("a"), "exists"),
        (lambda: Path("a").exists(), "exists"),
        (lambda: Path("a").is_file(), "exists"),
        (lambda: Path("a").is_dir(), "exists"),
        (lambda: Path("a").is_symlink(), "exists"),
        (lambda: os.access("a", os.R_OK), "exists"),
        (lambda: glob.glob("a"), "exists"),
        (lambda: os.stat("a"), "read"),
        (lambda: os.stat(path="a", follow_symlinks=False), "read"),
        (lambda: os.lstat("a"), "read"),
        (lambda: os.path.getsize("a"), "read"),
        (lambda: os.path.getmtime("a"), "read"),
        (lambda: Path("a").stat().st_size, "read"),
        (lambda: Path("a").lstat().st_size, "read"),
    ],
)
def test_a_question_about_a_file_is_told(cell: Watched, ask: Callable[[], object], how: str) -> None:
    with cell as client:
        ask()
    assert client.told == [("a", how)]


def test_questions_about_missing_files_are_told(cell: Watched) -> None:
    with cell as client:
        assert not os.path.exists("no") and not Path("never").is_file()
        with pytest.raises(FileNotFoundError):
            Path("nothing").read_text()
    assert client.told == [("no", "exists"), ("never", "exists"), ("nothing", "read")]


def test_listings(cell: Watched) -> None:
    with cell as client:
        os.listdir("tree")
        list(os.walk("tree"))
        glob.glob("*")
        list(Path("tree").glob("*/y"))
    assert client.hows("tree") >= {"list"} and client.hows("tree/deep") >= {"list"}
    assert (str(cell.directory), "list") in client.told
    assert {how for _, how in client.told} <= {"list", "exists"}


def test_changes_of_the_tree(cell: Watched, at: Path) -> None:
    with cell as client:
        os.makedirs("p/q")
        os.rmdir("p/q")
        os.truncate("b", 0)
        os.replace("b", "c")
        Path("c").unlink()
        os.rename("tree", "moved")
        os.chmod("a", 0o600)
        os.utime("a")
    told = [use for use in client.told if use[1] != "exists"]
    assert told == [
        ("p", "make"),
        ("p/q", "make"),
        ("p/q", "remove"),
        ("b", "modify"),
        ("b", "read"),
        ("b", "remove"),
        ("c", "write"),
        ("c", "remove"),
        ("tree", "read"),
        ("tree", "remove"),
        ("moved", "write"),
    ]


def test_a_tree_is_removed_as_a_whole(cell: Watched, at: Path) -> None:
    with cell as client:
        shutil.rmtree("tree")
    assert client.told == [("tree", "remove")] and not (at / "tree").exists()


def test_a_tree_is_copied_and_moved(cell: Watched, at: Path) -> None:
    with cell as client:
        shutil.copytree("tree", "copy")
        shutil.copy2("a", "a2")
        shutil.move("copy", "moved")
    assert client.hows("tree/x") >= {"read"} and client.hows("tree/deep/y") >= {"read"}
    assert not {"write", "modify", "remove"} & (client.hows("tree/x") | client.hows("tree") | client.hows("a"))
    assert "make" in client.hows("copy") and "write" in client.hows("copy/deep/y")
    assert client.hows("a2") <= {"write", "exists"} and "write" in client.hows("a2")
    assert "remove" in client.hows("copy") and "write" in client.hows("moved")
    assert (at / "moved/deep/y").read_text() == "y"


def test_an_archive_is_made_and_unpacked(cell: Watched, at: Path) -> None:
    with cell as client:
        shutil.make_archive("out", "gztar", "tree")
        shutil.unpack_archive("out.tar.gz", "back")
    assert "read" in client.hows("tree/deep/y") and client.hows("out.tar.gz") >= {"write", "read"}
    assert "write" in client.hows("back/deep/y")


def test_relative_paths_follow_the_current_directory(cell: Watched, at: Path) -> None:
    (at / "tree" / "a").write_text("another")
    with cell as client:
        open("a").close()
        os.chdir("tree")
        open("a").close()
        open("../b").close()
        os.path.exists("x")
        os.chdir("..")
        open("a").close()
    assert client.told == [("a", "read"), ("tree/a", "read"), ("b", "read"), ("tree/x", "exists")]


def test_descriptors_of_directories(cell: Watched, at: Path) -> None:
    fd = os.open("tree", os.O_RDONLY)
    with cell as client:
        os.listdir(fd)
        os.close(os.open("x", os.O_RDONLY, dir_fd=fd))
        os.stat("deep", dir_fd=fd)
        os.access("deep/y", os.R_OK, dir_fd=fd)
        os.mkdir("made", dir_fd=fd)
        os.rename("x", "z", src_dir_fd=fd, dst_dir_fd=fd)
        os.unlink("z", dir_fd=fd)
        os.fstat(fd)
        os.stat(fd)
    os.close(fd)
    assert client.told == [
        ("tree", "list"),
        ("tree/x", "read"),
        ("tree/deep", "read"),
        ("tree/deep/y", "exists"),
        ("tree/made", "make"),
        ("tree/x", "remove"),
        ("tree/z", "write"),
        ("tree/z", "remove"),
    ]


def test_fwalk(cell: Watched) -> None:
    with cell as client:
        for *_, fd in os.fwalk("tree"):
            os.fstat(fd)
    assert "list" in client.hows("tree") and "list" in client.hows("tree/deep")


def test_links_are_followed_as_the_operation_follows_them(cell: Watched, at: Path) -> None:
    os.symlink("tree", "way")
    os.symlink("way/x", "link")
    os.symlink("nowhere", "broken")
    os.symlink("circle", "circle")
    with cell as client:
        open("link").close()
        os.lstat("link")
        os.readlink("link")
        os.remove("link")
        os.path.exists("broken")
        with pytest.raises(OSError, match="symbolic links"):
            Path("circle").read_text()
        open("way/../b").close()
    assert ("tree/x", "read") in client.told
    assert client.hows("way") == {"exists"}, "the link decides what is read"
    assert client.hows("link") == {"exists", "read", "remove"}
    assert client.hows("nowhere") == {"exists"}
    assert ("b", "read") in client.told


def test_a_link_that_the_cell_changes_leads_elsewhere(cell: Watched, at: Path) -> None:
    (at / "other").mkdir()
    (at / "other" / "x").write_text("other")
    os.symlink("tree", "way")
    with cell as client:
        open("way/x").close()
        os.symlink("other", "way2")
        os.replace("way2", "way")
        open("way/x").close()
        os.remove("way")
        os.mkdir("way")
        open("way/x", "w").close()
    uses = [use for use in client.told if use[0].endswith("x")]
    assert uses == [("tree/x", "read"), ("other/x", "read"), ("way/x", "write")]


def test_hard_and_symbolic_links_are_made(cell: Watched) -> None:
    with cell as client:
        os.link("a", "hard")
        os.symlink("a", "soft")
    assert client.told == [("a", "read"), ("hard", "write"), ("soft", "write")]


def test_threads_of_the_cell_count_and_others_do_not(cell: Watched, at: Path) -> None:
    go, done, end = threading.Event(), threading.Event(), threading.Event()

    def before() -> None:
        go.wait(20)
        open(at / "b").close()
        helper = threading.Thread(target=lambda: os.path.exists(at / "helper"))
        helper.start()
        helper.join()
        done.set()
        end.wait(20)

    stranger = threading.Thread(target=before)
    stranger.start()
    pool = concurrent.futures.ThreadPoolExecutor(3)
    with cell as client:
        go.set()
        done.wait(20)
        list(pool.map(lambda i: open(at / f"out{i}", "w").close(), range(6)))
        asyncio.run(asyncio.to_thread(Path("a").read_text))
    assert sorted(client.told) == [("a", "read"), *((f"out{i}", "write") for i in range(6))]
    with cell as client:  # a pool that an earlier cell made works for this one
        pool.submit(os.listdir, at / "tree").result()
    end.set()
    stranger.join()
    pool.shutdown()
    assert client.told == [("tree", "list")]


def test_the_client_is_called_by_one_thread_at_a_time(cell: Watched, at: Path) -> None:
    inside = []
    most = []

    def slow(path: str, how: str) -> None:
        inside.append(path)
        most.append(len(inside))
        time.sleep(0.002)
        inside.remove(path)

    cell.client.on_use = slow
    with cell as client, concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: os.path.exists(f"f{i}"), range(40)))
    assert len(client.told) == 40 and max(most) == 1


def test_an_error_of_the_client_is_raised_in_the_thread(cell: Watched) -> None:
    def refuse(path: str, how: str) -> None:
        raise PermissionError("not now")

    cell.client.on_use = refuse
    with cell, concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert isinstance(pool.submit(open, "a").exception(), PermissionError)


def test_a_generator_left_open_is_not_told_after_the_cell(cell: Watched) -> None:
    def contents() -> Iterator[str]:
        for name in ("a", "b", "tree/x"):
            with open(name) as file:
                yield file.read()

    with cell as client:
        left = contents()
        next(left)
    assert next(left) == "b" and client.told == [("a", "read")]
    with cell as client:
        next(left)
    assert client.told == [("tree/x", "read")]


def _child(queue: multiprocessing.Queue[object]) -> None:
    with open("child", "w") as file:
        file.write(str(os.path.exists("a")))
    queue.put((os.stat is ORIGINALS[0], os.path.exists("child")))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_are_told_and_not_watched(cell: Watched, at: Path, method: str) -> None:
    cell.client.on_use = lambda path, how: (at / "pids").open("a").write(f"{os.getpid()}\n") and None
    context = multiprocessing.get_context(method)
    with cell as client:
        queue = context.Queue()
        process = context.Process(target=_child, args=(queue,))
        process.start()
        assert queue.get(timeout=60) == (True, True)
        process.join(60)
        open("a").close()
    assert process.exitcode == 0 and (at / "child").read_text() == "True"
    assert client.spawned and client.hows("child") == set() and client.hows("a") == {"read"}
    assert set((at / "pids").read_text().split()) == {str(os.getpid())}


def test_a_watch_may_be_started_in_a_forked_child(cell: Watched, at: Path) -> None:
    with cell:
        child = os.fork()
        if not child:
            with Watched(at) as client:
                open("b").close()
            os._exit(client.told != [("b", "read")])
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (lambda: subprocess.run(["true", Path("a")]), ("true", "a")),
        (lambda: subprocess.run("true a", shell=True), ("/bin/sh", "-c", "true a")),
        (lambda: os.system("true b"), ("/bin/sh", "-c", "true b")),
        (lambda: os.waitpid(os.posix_spawn("/bin/true", [b"true", b"x"], {}), 0), ("true", "x")),
        (lambda: os.spawnlp(os.P_WAIT, "true", "true"), ()),
    ],
)
def test_programs_are_told(cell: Watched, start: Callable[[], object], words: tuple[str, ...]) -> None:
    with cell as client:
        start()
    assert client.spawned == [words]


def test_programs_that_tell_about_the_machine_are_not(cell: Watched) -> None:
    with cell as client:
        platform._Processor.from_subprocess()  # type: ignore[attr-defined]  # what platform.processor() asks once
        ctypes.util.find_library("m")
    assert client.spawned == [] and not client.hows("a")


def test_files_are_told_anew_after_a_program(cell: Watched) -> None:
    with cell as client:
        open("a").close()
        subprocess.run(["true"])
        open("a").close()
    assert [use for use in client.told if use[0] == "a"] == [("a", "read"), ("a", "read")]


def test_network_and_keyboard_are_impure(cell: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    with cell as client, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()):
            pass
    assert set(client.impurities) == {THE_NETWORK}
    client.impurities.clear()
    with cell, pytest.raises(OSError):
        urllib.request.urlopen("http://127.0.0.1:9/", timeout=1)
    assert set(client.impurities) == {THE_NETWORK}
    client.impurities.clear()
    monkeypatch.setattr(sys, "stdin", io.StringIO("answer\n"))
    with cell:
        assert input() == "answer"
    assert client.impurities == [THE_KEYBOARD]
    client.impurities.clear()
    with cell, socket.socket(socket.AF_UNIX) as local:
        local.bind("socket")
    assert client.impurities == []


def test_places_of_the_system_and_of_python_are_ignored(cell: Watched, at: Path) -> None:
    for name in ("__pycache__", ".ipynb_checkpoints", ".casa-recompute"):
        (at / name).mkdir()
        (at / name / "f").write_text("")
    for name in ("casa-20260101-000000.log", "m.pyc", "n.ipynb"):
        (at / name).write_text("{}")
    with cell as client:
        open("/etc/passwd").close()
        open("/dev/null").close()
        open(os.__file__).close()
        open(np.__file__).close()
        os.path.exists(os.path.expanduser("~/.cache/x"))
        for name in ("__pycache__", ".ipynb_checkpoints", ".casa-recompute"):
            os.listdir(name)
            open(f"{name}/f").close()
        open("casa-20260101-000000.log", "a").close()
        open("m.pyc", "rb").close()
        open("n.ipynb", "w").close()
        open("n.ipynb").close()
        Path("a").resolve()
    assert client.told == [("n.ipynb", "read"), ("a", "exists")]


def test_the_workspace_is_told_wherever_it_lies(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(at))
    monkeypatch.setenv("IPYTHONDIR", str(at / "tree" / "deep"))
    client = Recorder(at)
    for directory, told in ((None, []), (at / "tree", ["tree/x"])):
        watch = FileWatch(client, directory=directory and str(directory))
        watch.start()
        for name in ("a", "tree/x", "tree/deep/y"):
            open(name).close()
        watch.stop()
        assert [path for path, _ in client.told] == told


def test_the_caller_may_ignore_more(at: Path) -> None:
    client = Recorder(at)
    watch = FileWatch(client, ignore=lambda path: path.endswith("/a"), directory=str(at))
    watch.start()
    open("a").close()
    open("b").close()
    watch.stop()
    assert client.told == [("b", "read")]


def test_python_looking_for_modules_and_source_is_not_told(
    cell: Watched, at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (at / "my_module.py").write_text("import warnings\ntext = open('a').read()\nwarnings.warn('hear')\n")
    monkeypatch.syspath_prepend(str(at))
    with cell as client, pytest.warns(UserWarning, match="hear"):
        import my_module  # type: ignore[import-not-found]

        importlib_metadata_version()
    assert my_module.text == "a" and client.told == [("a", "read")]


def importlib_metadata_version() -> None:
    import importlib.metadata

    importlib.metadata.entry_points(group="none.such")
    importlib.metadata.version("numpy")


def test_patched_functions_are_as_the_originals(cell: Watched) -> None:
    signature, doc = inspect.signature(ORIGINALS[0]), os.stat.__doc__
    with cell:
        assert os.stat is not ORIGINALS[0]
        assert os.stat in os.supports_follow_symlinks and os.stat in os.supports_dir_fd
        assert {os.open, os.stat, os.unlink, os.rmdir} <= os.supports_dir_fd
        assert inspect.signature(os.stat) == signature and os.stat.__doc__ == doc
        assert os.stat.__name__ == "stat" and repr(os.stat) == repr(ORIGINALS[0])
        assert pickle.loads(pickle.dumps(os.stat)) == ORIGINALS[0]
        kept = os.stat
        with pytest.raises(TypeError):
            os.stat()  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            os.stat(1.5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="null"):
            Path("a\0b").read_text()
        with pytest.raises(FileNotFoundError):
            os.stat("")
        assert stat.S_ISDIR(os.stat(".").st_mode)
    assert kept("a") == os.stat("a") and os.stat is ORIGINALS[0]
    assert cell.client.told == [(str(cell.directory), "read")]


def test_what_another_tool_puts_there_during_a_cell_stays(cell: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(path: str) -> str:
        return f"asked about {path}"

    with cell:
        os.stat = other  # type: ignore[assignment, misc]
    try:
        assert os.stat is other
    finally:
        os.stat = ORIGINALS[0]


def test_watches_nest(cell: Watched, at: Path) -> None:
    inner = Watched(at)
    with cell as outside:
        open("a").close()
        with inner as inside:
            open("b").close()
            with pytest.raises(RuntimeError):
                cell.watch.stop()
        cell.watch.start()
        open("tree/x").close()
        cell.watch.stop()
        open("tree/deep/y").close()
    assert inside.told == [("b", "read")]
    assert outside.told == [("a", "read"), ("tree/x", "read"), ("tree/deep/y", "read")]
    with pytest.raises(RuntimeError):
        cell.watch.stop()


def test_temporary_files(cell: Watched, at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(at / "tree"))
    with cell as client:
        with tempfile.NamedTemporaryFile() as named, tempfile.TemporaryFile() as nameless:
            nameless.write(b"1")
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "in").write_text("1")
    assert client.hows(os.path.relpath(named.name)) >= {"write", "remove"}
    assert client.hows(os.path.relpath(directory)) >= {"make", "remove"}
    assert client.hows("tree") <= {"exists"}


def _sqlite(name: str) -> None:
    connection = sqlite3.connect(name, uri=True)
    connection.execute("select 1")
    connection.close()


def _fits(name: str) -> None:
    with fits.open(name, memmap=True) as hdus:
        assert hdus[0].data.sum() == 4


def _append_fits(name: str) -> None:
    with fits.open(name, mode="update") as hdus:
        hdus[0].header["OBJECT"] = "M51"


def _savefig(name: str) -> None:
    from matplotlib.figure import Figure

    Figure(figsize=(1, 1)).savefig(name)


def _image(name: str) -> None:
    from PIL import Image

    with Image.open(name) as image:
        image.load()


def _log(name: str) -> None:
    handler = logging.FileHandler(name)
    handler.emit(logging.LogRecord("n", logging.INFO, "", 0, "message", None, None))
    handler.close()


def _unzip(name: str) -> None:
    with zipfile.ZipFile(name) as archive:
        archive.read("a")


def _zip(name: str) -> None:
    with zipfile.ZipFile(name, "w") as archive:
        archive.write("a")


def _tar(name: str) -> None:
    with tarfile.open(name, "w") as archive:
        archive.add("a")


def _untar(name: str) -> None:
    with tarfile.open(name) as archive:
        archive.getmembers()


def _shelf(name: str) -> None:
    with shelve.open(name) as shelf:
        shelf["k"] = 1


def _json(name: str) -> None:
    with open(name, "w") as file:
        json.dump([1], file)


def _csv(name: str) -> None:
    with open(name, newline="") as file:
        list(csv.reader(file))


def _pandas(method: str) -> Callable[[str], object]:
    import pandas as pd

    return lambda name: getattr(pd.DataFrame({"a": [1]}), method)(name)


def _read_pandas(function: str) -> Callable[[str], object]:
    import pandas as pd

    return getattr(pd, function)  # type: ignore[no-any-return]


LIBRARIES: list[tuple[str, Callable[[str], object], str]] = [
    ("np.npy", lambda n: np.save(n, np.ones(4)), "write"),
    ("np.npy", np.load, "read"),
    ("np.npy", lambda n: np.load(n, mmap_mode="r").sum(), "read"),
    ("np.npy", lambda n: np.load(n, mmap_mode="r+").sum(), "modify"),
    ("np.npz", lambda n: np.savez(n, a=np.ones(4)), "write"),
    ("np.npz", np.load, "read"),
    ("np.bin", lambda n: np.ones(4).tofile(n), "write"),
    ("np.bin", np.fromfile, "read"),
    ("np.bin", lambda n: np.memmap(n, mode="r").sum(), "read"),
    ("np.bin", lambda n: np.memmap(n, mode="r+"), "modify"),
    ("new.bin", lambda n: np.memmap(n, mode="w+", shape=(4,)), "write"),
    ("np.txt", lambda n: np.savetxt(n, np.ones(4)), "write"),
    ("np.txt", np.loadtxt, "read"),
    ("np.txt", np.genfromtxt, "read"),
    ("t.csv", lambda n: Path(n).write_text("1,2\\n"), "write"),
    ("t.csv", _csv, "read"),
    ("t.pkl", lambda n: Path(n).write_bytes(pickle.dumps(1)), "write"),
    ("t.json", _json, "write"),
    ("t.json", lambda n: json.loads(Path(n).read_text()), "read"),
    ("f.fits", lambda n: fits.writeto(n, np.ones(4)), "write"),
    ("f.fits", _fits, "read"),
    ("f.fits", _append_fits, "modify"),
    ("f.fits", lambda n: fits.writeto(n, np.ones(4), overwrite=True), "write"),
    ("t.ecsv", lambda n: Table({"a": [1]}).write(n), "write"),
    ("t.ecsv", Table.read, "read"),
    ("p.png", _savefig, "write"),
    ("p.png", _image, "read"),
    ("p.pdf", _savefig, "write"),
    ("z.zip", _zip, "write"),
    ("z.zip", _unzip, "read"),
    ("t.tar", _tar, "write"),
    ("t.tar", _untar, "read"),
    ("n.log", _log, "modify"),
    ("d.sqlite", _sqlite, "modify"),
    ("d.sqlite", lambda n: _sqlite(f"file:{n}?mode=ro"), "read"),
]
if importlib.util.find_spec("pandas"):
    LIBRARIES += [
        ("pd.csv", lambda n: _pandas("to_csv")(n), "write"),
        ("pd.csv", lambda n: _read_pandas("read_csv")(n), "read"),
        ("pd.pkl", lambda n: _pandas("to_pickle")(n), "write"),
        ("pd.pkl", lambda n: _read_pandas("read_pickle")(n), "read"),
    ]


def test_libraries(cell: Watched) -> None:
    seen = []
    for name, use, _ in LIBRARIES:
        with cell as client:
            use(name)
        hows = client.hows(name) & {"read", "write", "modify"}
        seen.append((name, hows - {"read"} or hows))  # some look at what they are going to modify
    assert seen == [(name, {how}) for name, _, how in LIBRARIES]


def test_shelves(cell: Watched, at: Path) -> None:
    for _ in range(2):
        with cell as client:
            _shelf("shelf")
        kept = {name for name in os.listdir(at) if name.startswith("shelf")}
        assert kept and all(client.hows(name) & {"write", "modify"} for name in kept)
    with cell as client:
        dbm.dumb.open("dumb", "n").close()
    assert client.hows("dumb.dat") >= {"write"}


def test_hdf5_files_are_seen_from_the_moment_h5py_is_imported(at: Path, tmp_path: Path) -> None:
    """h5py is no dependency of ours: a package with its names and its order of imports stands for it."""
    parts = {
        "__init__.py": "from . import h5f, h5fd\nfrom . import _hl\nFile = _hl.File\n",
        "h5fd.py": "fileobj_driver = 7\n",
        "h5f.py": "def open(name, flags=1, fapl=None): pass\ndef create(name, flags=2, fapl=None, fcpl=None): pass\n"
        "def is_hdf5(name): pass\n",
        "_hl.py": "from . import h5f\nclass Properties:\n    def __init__(self, driver): self.driver = driver\n"
        "    def get_driver(self): return self.driver\n"
        "def File(name, mode, driver=0):\n    name, fapl = name.encode(), Properties(driver)\n"
        "    if mode == 'w': h5f.create(name, 2, fapl=fapl, fcpl=None)\n"
        "    else: h5f.open(name, 0 if mode == 'r' else 1, fapl=fapl)\n",
    }
    package = tmp_path / "elsewhere" / "h5py"
    package.mkdir(parents=True)
    for name, text in parts.items():
        (package / name).write_text(text)
    script = f"""
import sys
from casa_recompute.tracing.files import FileWatch
class Client:
    def using(self, path, how):
        print(path.removeprefix({str(at)!r} + "/"), how)
sys.path.insert(0, {str(package.parent)!r})
watch = FileWatch(Client(), directory={str(at)!r})
for cell in range(2):
    watch.start()
    import h5py
    h5py.File("r.h5", "r"), h5py.File("a.h5", "r+"), h5py.File("w.h5", "w"), h5py.h5f.is_hdf5("i.h5")
    h5py.File("<object>", "w", driver=7)
    watch.stop()
    assert type(h5py.h5f.open).__name__ == "function"
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": _OURS}
    )
    told = ["r.h5 read", "a.h5 modify", "w.h5 write", "i.h5 read"]
    assert (done.stdout.splitlines(), done.stderr) == (told * 2, "")


def test_a_database_in_memory_is_no_file(cell: Watched) -> None:
    with cell as client:
        for name in (":memory:", "", "file::memory:?cache=shared", "file:x?mode=memory"):
            _sqlite(name)
    assert client.told == []
