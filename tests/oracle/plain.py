"""The reference: a notebook run from top to bottom in a new directory, with nothing of the software under test.

The namespace is a dict that notes which names a cell reads before it binds them, and an audit hook notes which files
it reads before it writes them: what a cell's run *truly* depends on (minimal.py counts with that).
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import hashlib
import importlib
import importlib.util
import io
import os
import random
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tests.oracle.normalform import Form, Snapshot, snapshot

HOME = ".casa-recompute"
FAKE = Path(__file__).parents[1] / "core" / "fakecasa"
DIRECTORY, VARIABLE = "sub", "CASA_ORACLE"
"""What cells call a directory that they go to, and an environment variable."""
BUILTINS = frozenset(vars(builtins)) | {"__builtins__", "__name__"}
# Parameters that the stand-in's tasks look at, with CASA's defaults: task -> parameters in CASA's order.
TASKS: dict[str, dict[str, Any]] = {
    "importuvfits": {"fitsfile": "", "vis": ""},
    "flagdata": {"vis": "", "mode": "manual", "field": "", "flagbackup": True},
    "setjy": {"vis": "", "fluxdensity": -1},
    "gaincal": {"vis": "", "caltable": "", "solint": "inf", "gaintable": [], "refant": ""},
    "applycal": {"vis": "", "gaintable": []},
    "split": {"vis": "", "outputvis": "", "field": ""},
    "tclean": {"vis": "", "imagename": "", "niter": 0},
    "immoments": {"imagename": "", "outfile": ""},
    "rmtables": {"tablenames": []},
}


# -- the stand-in for CASA, in this process ----------------------------------------------------------------------------


def _load_fake() -> tuple[ModuleType, dict[str, ModuleType]]:
    """The stand-in, without leaving traces in sys.modules: other tests want the real one, or none."""
    spec = importlib.util.spec_from_file_location("fake_casatasks", FAKE / "casatasks" / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = dict(sys.modules)
    try:
        spec.loader.exec_module(module)
        own = {name: sys.modules[name] for name in sys.modules if name.startswith("casatasks.")}
    finally:
        for name in [name for name in sys.modules if name.startswith("casatasks.")]:
            del sys.modules[name]
        sys.modules.update({name: m for name, m in before.items() if name.startswith("casatasks.")})
    return module, own


_fake, _fake_modules = _load_fake()


def run_task(name: str, arguments: Mapping[str, Any]) -> Any:
    """Run a task of the stand-in in this process, in the present directory; what it prints is lost."""
    before = {key: sys.modules.get(key) for key in _fake_modules}
    sys.modules.update(_fake_modules)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return getattr(_fake, name)(**arguments)
    finally:
        for key, module in before.items():
            if module is None:
                del sys.modules[key]
            else:
                sys.modules[key] = module


def bind(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of a task."""
    return TASKS[name] | dict(zip(TASKS[name], args, strict=False)) | dict(kwargs)


def task_function(name: str) -> Callable[..., Any]:
    """A task as a function of its own arguments."""
    return lambda *args, **kwargs: run_task(name, bind(name, args, kwargs))


# -- what a cell truly reads -----------------------------------------------------------------------------------------


class Names(dict[str, Any]):
    """A namespace that notes which names are read before they are bound.

    Functions see it as their globals; what a function binds with ``global`` goes past ``__setitem__``, so a value
    that is another object than at the cell's beginning counts as bound, too.
    """

    def begin(self) -> None:
        """A cell begins."""
        self.read: set[str] = set()
        self.bound: set[str] = set()
        self.start = dict(self)

    def _note(self, name: str) -> None:
        if name not in self.bound and dict.get(self, name, self) is self.start.get(name, self):
            self.read.add(name)

    def __getitem__(self, name: str) -> Any:
        self._note(name)
        return dict.__getitem__(self, name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.bound.add(name)
        dict.__setitem__(self, name, value)

    def __delitem__(self, name: str) -> None:
        self._note(name)
        self.bound.add(name)
        dict.__delitem__(self, name)


class Files:
    """Notes which files of a directory are read before they are written, and what they held."""

    def __init__(self, directory: Path) -> None:
        self._root = str(directory)
        self._stat = os.stat
        self.begin()

    def begin(self) -> None:
        """A cell begins."""
        self.inputs: dict[str, Any] = {}
        self._written: set[str] = set()
        self._busy = False

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch this process's use of files."""
        global _observer
        _observer = self.event
        os.stat = self._watched_stat
        try:
            yield
        finally:
            _observer = None
            os.stat = self._stat

    @contextlib.contextmanager
    def elsewhere(self) -> Iterator[None]:
        """What happens here is no business of the cell's."""
        self._busy, busy = True, self._busy
        try:
            yield
        finally:
            self._busy = busy

    def _name(self, path: Any) -> str | None:
        """The path relative to the directory; None when it lies outside."""
        if isinstance(path, int) or path is None or "__pycache__" in os.fsdecode(path):
            return None
        full = os.path.normpath(os.path.join(os.getcwd(), os.fsdecode(path)))
        if full == self._root:
            return "."
        return full[len(self._root) + 1 :] if full.startswith(self._root + os.sep) else None

    def _exists(self, name: str) -> bool:
        try:
            self._stat(os.path.join(self._root, name))
        except OSError:
            return False
        return True

    def read(self, path: Any) -> None:
        """The contents of a file or tree are an input, unless the cell made them."""
        name = self._name(path)
        if name is not None and name not in self._written:
            with self.elsewhere():
                self.inputs.setdefault(name, tree_digest(os.path.join(self._root, name)))

    def exists(self, path: Any) -> None:
        """Whether something is at ``path`` is an input."""
        name = self._name(path)
        if name is not None and name not in self._written and name not in self.inputs:
            self.inputs[f"exists {name}"] = self._exists(name)

    def write(self, path: Any) -> None:
        """From here on ``path`` holds what the cell made of it."""
        if (name := self._name(path)) is not None:
            self._written.add(name)

    def _watched_stat(self, path: Any, *args: Any, **kwargs: Any) -> Any:
        if not self._busy:
            self.exists(path)
        return self._stat(path, *args, **kwargs)

    def event(self, event: str, args: tuple[Any, ...]) -> None:
        """See sys.addaudithook."""
        if self._busy:
            return
        if event == "open":
            path, _, flags = args
            writing = flags & (os.O_WRONLY | os.O_RDWR)
            if flags & os.O_EXCL:
                self.exists(path)
            elif not (writing and flags & os.O_TRUNC):
                self.read(path)
            if writing:
                self.write(path)
        elif event in ("os.listdir", "os.scandir"):
            name = self._name(args[0] or ".")
            by_import = sys._getframe(2).f_code.co_filename.startswith("<frozen importlib")
            if name is not None and not by_import:
                with self.elsewhere():
                    self.inputs.setdefault(f"list {name}", listing(os.path.join(self._root, name)))
        elif event in ("os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"):
            self.exists(args[0])
            self.write(args[0])
        elif event == "os.rename":
            self.read(args[0])
            self.write(args[0])
            self.write(args[1])
        elif event == "subprocess.Popen":  # of the form: cp FROM TO
            self.read(args[1][1])
            self.write(args[1][2])

    def task(self, name: str, arguments: Mapping[str, Any]) -> None:
        """What a task declares to read, and where it refuses to overwrite."""
        tables = arguments.get("gaintable", [])
        read = [tables] if isinstance(tables, str) else list(tables)
        made: list[str] = []
        changed: list[str] = []
        match name:
            case "importuvfits":
                read, made = [arguments["fitsfile"]], [arguments["vis"]]
            case "flagdata" if arguments["mode"] == "summary":
                read = [arguments["vis"]]
            case "flagdata":
                changed = [arguments["vis"], arguments["vis"] + ".flagversions"][: 1 + arguments["flagbackup"]]
            case "setjy":
                changed = [arguments["vis"]]
            case "gaincal":
                read, made = [*read, arguments["vis"]], [arguments["caltable"]]
            case "applycal":
                changed = [arguments["vis"], arguments["vis"] + ".flagversions"]
            case "split":
                read, made = [arguments["vis"]], [arguments["outputvis"], arguments["outputvis"] + ".flagversions"]
            case "tclean":
                read = [arguments["vis"]]
                changed = [f"{arguments['imagename']}.{suffix}" for suffix in ("model", "residual")]
                made = [f"{arguments['imagename']}.{suffix}" for suffix in ("psf", "image")]
            case "immoments":
                read, made = [arguments["imagename"]], [arguments["outfile"]]
            case "rmtables":
                names = arguments["tablenames"]
                changed = [names] if isinstance(names, str) else list(names)
        for path in (*read, *changed):
            self.read(path)
        for path in made:
            if name != "tclean":  # which writes over what is there
                self.exists(path)
        for path in (*changed, *made):
            self.write(path)


_observer: Callable[[str, tuple[Any, ...]], None] | None = None


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _observer is not None:
        _observer(event, args)


sys.addaudithook(_audit)


def listing(directory: str) -> tuple[str, ...]:
    """What the generator's cells look at of a directory: its text files."""
    try:
        return tuple(sorted(name for name in os.listdir(directory) if name.endswith(".txt")))
    except OSError:
        return ()


def tree_digest(path: str) -> str | None:
    """The data at ``path``, a file or a tree; None when there is none. HISTORY is no data: CASA stamps it."""
    if os.path.isfile(path):
        with open(path, "rb") as stream:
            return hashlib.blake2b(stream.read(), digest_size=12).hexdigest()
    if not os.path.isdir(path):
        return None
    held = contents(Path(path))
    return hashlib.blake2b(repr(sorted(held.items())).encode(), digest_size=12).hexdigest()


def contents(directory: Path) -> dict[str, bytes]:
    """All files and directories below ``directory``, as :func:`tests.core.standin.contents` has them, and which
    directories there are."""
    held: dict[str, bytes] = {}
    for root, directories, names in os.walk(directory):
        where = os.path.relpath(root, directory)
        if HOME in directories:
            directories.remove(HOME)
        for name in directories:
            held[os.path.normpath(os.path.join(where, name)) + "/"] = b""
        for name in names:
            if name not in ("HISTORY", "table.lock") and not name.endswith(".ipynb"):
                with open(os.path.join(root, name), "rb") as stream:
                    held[os.path.normpath(os.path.join(where, name))] = stream.read()
    return held


# -- running ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """What a cell showed."""

    ok: bool
    text: str
    error: str = ""


@dataclass(frozen=True)
class Inputs:
    """What a cell's run depended on: its meaning, values of names and files at its beginning."""

    meaning: str
    names: frozenset[str]
    values: Form
    files: frozenset[tuple[str, Any]]


@dataclass
class Reference:
    """What a run from top to bottom gave, up to the first cell that failed."""

    shown: dict[str, Shown] = field(default_factory=dict)
    inputs: dict[str, Inputs] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    failed: str | None = None  # the id of that cell

    def values(self) -> Snapshot:
        """The names' values at the end."""
        return snapshot(self.names, user_names(self.names))


def user_names(namespace: Mapping[str, Any]) -> list[str]:
    """Names that cells have bound."""
    return sorted(name for name in namespace if name not in BUILTINS and name not in TASKS)


def forget_modules() -> None:
    """What a new process has not imported yet."""
    sys.modules.pop("helper", None)
    importlib.invalidate_caches()


def begin_process(directory: Path) -> None:
    """The directory, environment and options of a new process."""
    os.chdir(directory)
    os.environ.pop(VARIABLE, None)
    np.set_printoptions(precision=8)


@contextlib.contextmanager
def machine(directory: Path) -> Iterator[None]:
    """The parts of a process that a cell can see and that are no names: put back afterwards."""
    environment, printing = dict(os.environ), np.get_printoptions()
    try:
        where = os.getcwd()
    except FileNotFoundError:  # a kernel may stand in a directory that was taken away
        where = str(directory.parent)
    states = random.getstate(), np.random.get_state()
    module = sys.modules.pop("helper", None)
    path = list(sys.path)
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, "")
    importlib.invalidate_caches()
    begin_process(directory)
    try:
        yield
    finally:
        os.chdir(where)
        os.environ.clear()
        os.environ.update(environment)
        np.set_printoptions(**printing)
        sys.path[:] = path
        sys.path_importer_cache.pop(str(directory), None)
        sys.dont_write_bytecode = bytecode
        random.setstate(states[0])
        np.random.set_state(states[1])
        forget_modules()
        if module is not None:
            sys.modules["helper"] = module


def execute(source: str, namespace: dict[str, Any], directory: Path) -> Shown:
    """Run a cell's source."""
    text = io.StringIO()
    error = ""
    with contextlib.redirect_stdout(text):
        try:
            exec(compile(source, "<cell>", "exec", dont_inherit=True), namespace)
        except Exception as caught:  # whatever a cell raises is what it shows
            # How deep the stack was, is part of the message of a RecursionError.
            message = "" if isinstance(caught, RecursionError) else str(caught)
            error = neutral(f"{type(caught).__name__}: {message}", directory)
    return Shown(not error, neutral(text.getvalue(), directory), error)


def neutral(text: str, directory: Path) -> str:
    """Text without the place where it was made."""
    return re.sub(r"0x[0-9a-f]+", "0x", text.replace(str(directory), "."))


def meaning(source: str) -> str:
    """What a cell says, without comments and layout."""
    return ast.dump(ast.parse(source))


def run(cells: Sequence[tuple[str, str]], raw: Mapping[str, bytes], directory: Path, watched: bool = True) -> Reference:
    """Run a notebook from top to bottom to the first failure, in a new directory that is removed again.

    Args:
        cells: (id, source) of each.
        raw: the raw data.
        directory: is made.
        watched: whether to note what cells read.
    """
    directory.mkdir()
    for name, data in raw.items():
        (directory / name).write_bytes(data)
    reference = Reference()
    files = Files(directory)
    names: dict[str, Any] = Names() if watched else {}

    def task(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            arguments = bind(name, args, kwargs)
            files.task(name, arguments)
            with files.elsewhere():
                return run_task(name, arguments)

        return call

    dict.update(names, {"__name__": "__main__", "__builtins__": builtins})
    dict.update(names, {name: task(name) if watched else task_function(name) for name in TASKS})
    with machine(directory):
        random.seed()
        np.random.seed()
        before = snapshot({})
        for identity, source in cells:
            if watched:
                assert isinstance(names, Names)
                names.begin()
                files.begin()
                held = hidden_state(source, names)
                with files.watching():
                    shown = execute(source, names, directory)
                after = snapshot(names, user_names(names))
                reference.inputs[identity] = _inputs(source, names, files, before, after, held)
                before = after
            else:
                shown = execute(source, names, directory)
            reference.shown[identity] = shown
            if not shown.ok:
                reference.failed = identity
                break
        reference.names = names
        reference.files = contents(directory)
    shutil.rmtree(directory)
    return reference


def hidden_state(source: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """What a cell depends on that is neither name nor file: random number generators, for cells that draw from them,
    and modules that are imported already; and which names there are, for one that looks at all."""
    held: dict[str, Any] = {}
    if "globals()" in source:
        held["names"] = tuple(user_names(names))
    files = r"open\(|Path\(|os\.[lmprc]|subprocess|np\.(save|load)|vis=|imagename|tablenames|import helper"
    if re.search(files, source) and os.path.basename(os.getcwd()) == DIRECTORY:
        held["directory"] = DIRECTORY
    if VARIABLE in source:
        held[VARIABLE] = os.environ.get(VARIABLE)
    if "print" in source and np.get_printoptions()["precision"] != 8:
        held["printing"] = np.get_printoptions()["precision"]
    if "import" in source and "helper" in source:
        held["helper.py"] = tree_digest("helper.py")
    if re.search(r"(?<!\.)random\.rand", source):
        held["random"] = hashlib.blake2b(repr(random.getstate()).encode()).hexdigest()
    if "np.random.rand" in source:
        state = np.random.get_state(legacy=False)
        held["numpy.random"] = hashlib.blake2b(repr(state).encode()).hexdigest()
    return held


def _inputs(source: str, names: Names, files: Files, before: Snapshot, after: Snapshot, held: dict[str, Any]) -> Inputs:
    read = {name for name in names.read | _read_in_classes(source) if name not in BUILTINS and name not in TASKS}
    # What the cell changes in place, through whatever alias: its values go into what the cell leaves behind.
    for name in before.tokens:
        same = name in names and dict.get(names, name) is names.start.get(name)
        if same and len(before.tokens[name]) > 1 and before.joint([name]) != after.joint([name]):
            read.add(name)
    return Inputs(meaning(source), frozenset(read), before.joint(read), frozenset((files.inputs | held).items()))


def _read_in_classes(source: str) -> set[str]:
    """Names in the bodies of classes: Python looks these up past ``Names.__getitem__``."""
    bodies = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    statements = [s for body in bodies for s in body.body if not isinstance(s, ast.FunctionDef)]
    nodes = [node for statement in statements for node in ast.walk(statement)]
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
