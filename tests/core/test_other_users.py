"""What another local user can read, or change, of what a session makes; for each setting of ``readable``.

Where the tests run as root, another user really tries; elsewhere the permissions of all directories on the way are
looked at, which root's runs show to come to the same.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from casa_recompute.workspace import HOME, Workspace

SOMEBODY = 65534
SESSION = """
import os, sys
from pathlib import Path
from casa_recompute.display import Display
from casa_recompute import runner
from casa_recompute.session import Session
from tests.core.standin import chain, fake_settings
sys.path.append(str(Path(runner.__file__).parent / "worker"))
import gui
os.umask(int(sys.argv[2], 8))
session = Session(Path(sys.argv[1]), fake_settings(readable=sys.argv[3], store="copy"))
chain(session)
Path(gui._short_directory(), "socket").touch()
with Display() as display:
    session.live.displays(display.env()["DISPLAY"], display.env()["XAUTHORITY"])
    print("ready", flush=True)
    sys.stdin.readline()
"""
PROBE = """
import json, os, sys
top, user = sys.argv[1], int(sys.argv[2])
paths = json.load(sys.stdin)
os.setgroups([]); os.setgid(user); os.setuid(user)
found = {"read": [], "write": []}
for path in paths:
    for how, flags in (("read", os.O_RDONLY), ("write", os.O_WRONLY)):
        try:
            if how == "write" and os.path.isdir(path):
                if os.access(path, os.W_OK | os.X_OK):
                    found[how].append(path)
                continue
            os.close(os.open(path, flags | os.O_NONBLOCK))
            found[how].append(path)
        except OSError:
            pass
json.dump(found, sys.stdout)
"""


@dataclass
class Seen:
    """What somebody else can do: paths relative to the workspace's own directory, and others."""

    read: set[str]
    write: set[str]


def permitted(path: Path, bit: int) -> bool:
    """Whether the permissions let everybody do this, from the root of the file system on."""
    if not all(parent.stat().st_mode & 0o001 for parent in path.parents):
        return False
    return bool(path.lstat().st_mode & bit)


def tried(paths: list[Path]) -> Seen:
    """What everybody can do with these."""
    usual = [path for path in paths if stat.S_ISREG(path.lstat().st_mode) or stat.S_ISDIR(path.lstat().st_mode)]
    by_mode = Seen(*({str(path) for path in usual if permitted(path, bit)} for bit in (0o004, 0o002)))
    if os.geteuid() == 0:
        words = [sys.executable, "-I", "-S", "-c", PROBE, "", str(SOMEBODY)]
        listed = json.dumps([str(path) for path in usual])
        done = subprocess.run(words, input=listed, capture_output=True, text=True, check=True)
        really = Seen(**{how: set(names) for how, names in json.loads(done.stdout).items()})
        assert really == by_mode
    return by_mode


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory into which everybody may look."""
    made = Path(tempfile.mkdtemp(prefix="casa-others-"))
    made.chmod(0o755)
    assert permitted(made, 0o004), "the system's temporary directory is for everybody"
    (made / "tmp").mkdir()
    (made / "tmp").chmod(0o1777)
    work = made / "work"
    work.mkdir()
    work.chmod(0o755)
    (work / "raw.fits").write_bytes(b"raw" * 1000)
    yield made
    shutil.rmtree(made)


def others(place: Path, umask: int, readable: str) -> tuple[Seen, Seen, list[str]]:
    """Run a session; while it lives: what others can do in its memory and in the temporary directory; what is there."""
    path = os.pathsep.join([os.getcwd(), *(one for one in sys.path if one)])
    environment = os.environ | {"TMPDIR": str(place / "tmp"), "PYTHONPATH": path}
    words = [sys.executable, "-c", SESSION, str(place / "work"), f"{umask:o}", readable]
    with subprocess.Popen(
        words, cwd=place / "work", env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as session:
        assert session.stdin is not None and session.stdout is not None
        assert session.stdout.readline() == "ready\n"
        os.kill(session.pid, signal.SIGSTOP)  # else it moves files about
        home = place / "work" / HOME
        memory, temporary = [home, *home.rglob("*")], list((place / "tmp").rglob("*"))
        assert any(path.name == "Xauthority" for path in temporary) and any(path.name == "socket" for path in temporary)
        seen = tried(memory), tried(temporary)
        os.kill(session.pid, signal.SIGCONT)
        session.stdin.close()
    named = [Seen(*({os.path.relpath(p, home) for p in names} for names in (one.read, one.write))) for one in seen]
    return named[0], named[1], [str(path.relative_to(home)) for path in memory]


@pytest.mark.parametrize("umask", [0o022, 0o000])
@pytest.mark.parametrize("readable", ["owner", "group"])
def test_nobody_else_sees_anything(place: Path, umask: int, readable: str) -> None:
    memory, temporary, there = others(place, umask, readable)
    assert {"ledger.sqlite", "lock", "log", "live", "store"} <= set(there)
    assert memory == temporary == Seen(set(), set())


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_who_shares_with_all_shares_what_is_remembered_and_no_more(place: Path, umask: int) -> None:
    memory, temporary, there = others(place, umask, "all")
    assert temporary == Seen(set(), set()) and memory.write == set()
    stored = {name for name in there if name.startswith("store/") and name.rpartition("/")[2].isdigit()}
    assert stored
    if umask == 0o022:
        assert {"ledger.sqlite", ".", "store"} | stored <= memory.read
    else:
        assert memory.read == {"."}
    for name in there:
        if name.startswith("live/") or name in ("lock", "open"):
            assert name not in memory.read, "what it is doing now, and the display's whereabouts, are nobody's business"


def test_who_could_not_read_a_product_cannot_read_its_versions(place: Path) -> None:
    modes = {
        "open.ms": (0o755, 0o644),
        "closed.ms": (0o700, 0o644),
        "entered.ms": (0o711, 0o644),
        "own.ms": (0o755, 0o600),
    }
    for name, (of_directory, of_file) in modes.items():
        product = place / "work" / name
        (product / "SUB").mkdir(parents=True)
        (product / "SUB").chmod(0o755)
        (product / "SUB" / "table.f0").write_text(name)
        (product / "SUB" / "table.f0").chmod(of_file)
        product.chmod(of_directory)
    space = Workspace(place / "work", "copy", readable="all")
    with space.lock():
        space.keep(list(modes))
    space.close()
    objects = [path for path in (space.home / "store").rglob("*") if path.is_file() and path.name.isdigit()]
    told = tried([*objects, *(place / "work" / name / "SUB" / "table.f0" for name in modes)]).read
    assert sorted(Path(path).read_text() for path in told) == sorted(["open.ms", "entered.ms"] * 2)
