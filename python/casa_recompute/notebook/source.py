"""What the text of a cell tells without running it: its meaning, the names it reads and binds, its calls.

Where the text leaves a question open, the answer errs to the sound side: a name that could be read is read, a name
that could be bound or changed is said to be. Builtin names count like any other (``print`` is read unless the cell
binds it first), because a cell above may have bound them.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import keyword
import re
import string
import threading
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cache, cached_property, lru_cache
from typing import Any


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_HISTORY = re.compile(r"_{1,3}|_\d+|_i{1,3}|_i\d+|_ih|_oh|_dh|In|Out")
_WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w*")

# Builtins that neither change nor keep what they are given (nor use it up, as `list` does with an iterator).
_PURE = _words(
    "abs ascii bin bool callable chr complex divmod float format hasattr hash hex id int isinstance issubclass len"
    " oct ord pow print range repr round str"
)
# Names that give hands to every name: Python's own, execfile of old scripts, and CASA's verbs, whose parameters are
# global variables. `locals`, `vars` and `dir` do so only without arguments, and outside functions.
_UNSEEN_NAMES = _words("globals exec eval execfile breakpoint __builtins__ inp go default tget tput saveinputs")
_LOCAL_VIEWS = frozenset({"locals", "vars", "dir"})
_UNSEEN_ATTRIBUTES = _words(
    "user_ns user_global_ns user_module __globals__ f_globals f_locals f_back _getframe currentframe set_trace"
)
_UNSEEN_CHAINS = frozenset(
    [f"builtins.{name}" for name in ("globals", "locals", "vars", "dir", "exec", "eval")]
    + ["sys.modules", "inspect.stack", "inspect.trace", "IPython.embed", "code.interact"]
)
# Decorators that do not call what they decorate.
_LAZY_DECORATORS = _words(
    "property staticmethod classmethod functools.lru_cache functools.cache functools.cached_property functools.wraps"
    " functools.total_ordering contextlib.contextmanager contextlib.asynccontextmanager dataclasses.dataclass"
    " abc.abstractmethod typing.overload"
)
_PLAIN_BASES = frozenset({"object", "Exception", "ValueError", "RuntimeError", "TypeError"})
# Context managers that let exceptions pass: what their block binds is bound after it.
_TRANSPARENT = _words(
    "open io.open gzip.open fits.open warnings.catch_warnings np.errstate np.printoptions numpy.errstate"
    " tempfile.TemporaryDirectory tempfile.NamedTemporaryFile"
)
# Operators whose result may hold the very objects of its operands: lists, sets and dicts have them.
_SHARING = (ast.Add, ast.Mult, ast.Sub, ast.BitOr, ast.BitAnd, ast.BitXor)

_PYTHON_MAGICS = {
    "time": "",
    "timeit": "nrto",
    "prun": "lsTD",
    "memit": "rti",
    "lprun": "fmTDs",
    "mprun": "fT",
}
"""Magics that run Python in the notebook's namespace, with their one-letter options that take a value."""
_HELP_MAGICS = _words("pinfo pinfo2 pdef pdoc pfile psource page pprint")
_SHELL_MAGICS = _words(
    "sx system sc pip conda mamba micromamba uv cat cp ldir lf lk ll ls lx mkdir mv rm rmdir less more man"
)
_SHELL_CELLS = _words("! bash sh script perl pypy python python2 python3 ruby sx system cmd")
_TEXT_CELLS = _words("HTML SVG html javascript js latex markdown svg file writefile")
_NEUTRAL_MAGICS = _words(
    "alias alias_magic autoawait autocall automagic autoreload aimport bookmark cd colors config dhist dirs"
    " doctest_mode env gui killbgscripts logoff logon logstart logstate logstop lsmagic magic matplotlib notebook pdb"
    " popd precision pushd pwd pycat quickref rehashx set_env tb unalias xmode"
)
_HISTORY_MAGICS = _words("hist history")
_KNOWN_MAGICS = frozenset(_PYTHON_MAGICS).union(
    _HELP_MAGICS,
    _SHELL_MAGICS,
    _NEUTRAL_MAGICS,
    _HISTORY_MAGICS,
    _words(
        "debug ed edit load load_ext loadpy macro pastebin psearch pylab recall reload_ext rep rerun reset"
        " reset_selective run save store unload_ext who who_ls whos xdel"
    ),
)


@dataclass(frozen=True)
class TaskCall:
    """The call of a plain name, ``f(...)``.

    The arguments are expressions over the names as they were before the cell: what the cell itself assigned on the
    way is put in their place. A name whose value at the call the text does not tell (parameters of functions,
    variables of loops ...) is replaced by one that no mapping of names holds, so that ``evaluate`` raises Unknown.
    """

    name: str
    arguments: tuple[tuple[str | None, ast.expr], ...]
    """(keyword, or None for a positional one; expression). Those behind ``*`` or ``**`` are left out."""
    starred: bool = False
    """Whether ``*`` or ``**`` is used: there are more arguments than are told, and positions may be shifted."""


@dataclass(frozen=True)
class Uses:
    """What a cell may do, by its text. See the module on which side it errs."""

    reads: frozenset[str] = frozenset()
    """Global names whose value from before the cell may be used (or whose absence may matter: ``del x``)."""
    binds: frozenset[str] = frozenset()
    """Global names that the cell itself may bind or delete."""
    surely: frozenset[str] = frozenset()
    """Those of ``binds`` that have been bound or deleted when the cell has run to its end."""
    mutates: frozenset[str] = frozenset()
    """Those of ``reads`` and ``binds`` whose value may be changed in place, or be shared with something that is."""
    imports: frozenset[str] = frozenset()
    """Dotted names of modules; ``from a import b`` gives ``a`` and ``a.b``, which may be a module."""
    texts: frozenset[str] = frozenset()
    """All string constants, the constant parts of f-strings, the words of shell and magic lines."""
    chains: frozenset[str] = frozenset()
    """Dotted attribute chains that are loaded, and their beginnings: ``np.random.rand`` and ``np.random``. Where the
    cell imports the root under another name, the chain is given with the imported name, too."""
    bare_calls: frozenset[str] = frozenset()
    """Those of such chains that are called without an argument."""
    first_calls: frozenset[str] = frozenset()
    """Such chains that are called as statements before the cell does anything but import."""
    later: frozenset[str] = frozenset()
    """Global names that functions defined here use, which nothing in the text runs: other functions may."""
    everything: bool = False
    """Whether the cell may read or bind any name unseen."""
    shell: bool = False
    """Whether it starts other programs by IPython's syntax."""
    history: bool = False
    """Whether it uses what earlier cells showed or said: ``Out``, ``In``, ``_`` ..."""
    calls: tuple[TaskCall, ...] = ()
    """Calls in executed code, in textual order."""
    error: str = ""
    """The syntax error in one line; then nothing is read and nothing bound."""

    @cached_property
    def reading(self) -> frozenset[str]:
        """``reads``, as resources."""
        return frozenset([f"n:{name}" for name in self.reads])

    @cached_property
    def binding(self) -> frozenset[str]:
        """``binds``, as resources."""
        return frozenset([f"n:{name}" for name in self.binds])


_QUIET = threading.Lock()
"""To be had by who changes which warnings are told, which is one thing for all threads."""
EVERYTHING = Uses(everything=True, shell=True, history=True)
"""Of a text that is not known."""


@lru_cache(maxsize=8192)
def meaning(source: str) -> str:
    """A hash of what a cell says: comments, white space and the layout of lines do not count.

    Magics and shell lines count as they are written, and so does a last ``;``, which keeps IPython from showing the
    value. Independent of the version of Python, and of whether the cell has run.
    """
    try:
        read, text = _parsed(source)
        said = read.said + (";" if _silenced(read.tree, text) else "")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        said = source.strip()
    return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class _Read:
    """A tree gone over once: what it says, and what of it has to be looked at wherever it stands."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.kinds: set[type] = set()  # of nodes
        self.calls: list[ast.Call] = []
        self.constants: list[Any] = []  # their values
        self.globals: set[str] = set()  # names that are declared so
        self._parts: list[str] = []
        self._say(tree, self._parts.append)

    @property
    def said(self) -> str:
        """As ast.dump, without the empty fields, of which each version of Python has others."""
        return "".join(self._parts)

    def _say(self, node: Any, say: Callable[[str], None]) -> None:
        kind = type(node)
        if kind is ast.Name:
            say(f"Name(id={node.id!r},ctx={type(node.ctx).__name__}())")
            return
        if kind is ast.Constant:
            value = node.value
            self.constants.append(value)
            if value is not None and node.kind is None:
                try:
                    say(f"Constant(value={value!r})")
                except ValueError:  # Python does not write very large numbers in decimal
                    say(f"Constant(value={value:#x})")
                return
        elif kind is ast.Call:
            self.calls.append(node)
        elif kind is ast.Global:
            self.globals.update(node.names)
        self.kinds.add(kind)
        say(kind.__name__)
        before = "("
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or value == []:
                continue
            say(f"{before}{name}=")
            before = ","
            if isinstance(value, ast.AST):
                self._say(value, say)
            elif type(value) is list:
                between = "["
                for item in value:
                    say(between)
                    between = ","
                    if isinstance(item, ast.AST):
                        self._say(item, say)
                    else:
                        say(repr(item))
                say("]")
            else:
                say(repr(value))
        say("()" if before == "(" else ")")


def _silenced(tree: ast.Module, text: str) -> bool:
    """Whether a ``;`` follows the last expression."""
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        return False
    lines = re.split(r"\r\n?|\n", text)[(last.end_lineno or 1) - 1 :]  # Python's own idea of a line
    rest = lines[0].encode("utf-8", "surrogatepass")[last.end_col_offset :].decode("utf-8", "surrogatepass")
    return re.match(r"[\s\\]*;", "\n".join([rest, *lines[1:]])) is not None


@lru_cache(maxsize=8)
def _parsed(source: str) -> tuple[_Read, str]:
    """The tree of a cell, gone over, which nobody changes, and the Python that IPython makes of it.

    Raises:
        SyntaxError, ValueError: it is neither Python nor IPython's.
        RecursionError, MemoryError: it is nested too deeply to tell.
    """
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of strange escapes: the cell's own run will tell
        try:
            return _Read(ast.parse(source)), source
        except (SyntaxError, ValueError):
            # IPython is needed only here: the core runs without it where cells are plain Python.
            from IPython.core.inputtransformer2 import TransformerManager

            word = _automagic(source)
            cell = "%" + source.lstrip() if word in _KNOWN_MAGICS else source
            text: str = TransformerManager().transform_cell(cell)  # type: ignore[no-untyped-call]
            return _Read(ast.parse(text)), text


def _automagic(source: str) -> str:
    """The first word of a cell of one line, where IPython would take it for a magic written without its ``%``."""
    match = re.fullmatch(r"\s*([A-Za-z_]\w*)(\s[^\n]*)?\n*", source)
    operator = r"\s+(([-+*/%<>!&|^@=]=?|//|\*\*|in|is|and|or|if|not)\s|[.(\[,;]|=)"
    return "" if match is None or re.match(operator, match[2] or "") else match[1]


@lru_cache(maxsize=8192)
def uses(source: str) -> Uses:
    """What the text of a cell tells of its run. Never runs it; every text has an answer."""
    try:
        read, text = _parsed(source)
        if not (read.kinds <= _ALWAYS_RIGHT and text.isascii() and "__debug__" not in text):
            with _QUIET, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(read.tree, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        walker = _Walker(read)
        walker.module(read)
        word = _automagic(source)
        if text == source and word in _KNOWN_MAGICS:
            walker.magic(word, source.strip()[len(word) :].strip())
        return walker.result()
    except (SyntaxError, ValueError) as error:
        said = (error.msg if isinstance(error, SyntaxError) else str(error)).split("\n")[0] or "not Python"
        line = error.lineno if isinstance(error, SyntaxError) else None
        return Uses(error=f"{said} (line {line})" if line else said)
    except (RecursionError, MemoryError):
        return EVERYTHING


# -- scopes ---------------------------------------------------------------------------------------------------------


class _Bound(ast.NodeVisitor):
    """The names that a scope binds itself, not those of the functions and classes inside it."""

    def __init__(self, nodes: Iterable[ast.AST]) -> None:
        self.names: set[str] = set()
        self.deleted: set[str] = set()
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()
        self._inside = False  # a comprehension, whose variables are its own
        for node in nodes:
            self.visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.names.add(node.name)
        for part in _outside(node):
            self.visit(part)

    visit_AsyncFunctionDef = visit_FunctionDef
    visit_ClassDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for part in _outside(node):
            self.visit(part)

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load) and not self._inside:
            self.names.add(node.id)
            if isinstance(node.ctx, ast.Del):
                self.deleted.add(node.id)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.names.add(node.target.id)
        self.visit(node.value)

    def _comprehension(self, node: ast.AST) -> None:
        inside, self._inside = self._inside, True
        self.generic_visit(node)
        self._inside = inside

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_alias(self, node: ast.alias) -> None:
        self.names.add(node.asname or node.name.split(".")[0])

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.names.add(node.name)
            self.deleted.add(node.name)
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar) -> None:
        if node.name:
            self.names.add(node.name)
        self.generic_visit(node)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self.names.add(node.rest)
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> None:
        self.globals.update(node.names)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self.nonlocals.update(node.names)


def _outside(node: _Function | ast.ClassDef) -> list[ast.expr]:
    """The parts of a definition that are evaluated when it is made, in the scope around it."""
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *(item.value for item in node.keywords)]
    defaults = [*node.args.defaults, *(value for value in node.args.kw_defaults if value is not None)]
    return defaults if isinstance(node, ast.Lambda) else [*node.decorator_list, *defaults]


def _arguments(node: _Function) -> list[ast.arg]:
    spec = node.args
    stars = [arg for arg in (spec.vararg, spec.kwarg) if arg is not None]
    return [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *stars]


_SIGNS = (ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context)
_ALWAYS_RIGHT = {
    *(kind for family in _SIGNS for kind in family.__subclasses__()),
    *(ast.Module, ast.Expr, ast.Assign, ast.AugAssign, ast.If, ast.Import, ast.alias, ast.Pass),
    *(ast.Name, ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Attribute, ast.Subscript, ast.Slice),
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.JoinedStr, ast.FormattedValue),
}
"""What consists of such nodes and can be parsed, can be compiled, unless it binds ``__debug__``."""


def _nodes(tree: ast.AST) -> list[ast.AST]:
    """As ast.walk, without what says whether a name is loaded or stored; in half the time."""
    found = [tree]
    for node in found:
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                found += [item for item in value if isinstance(item, ast.AST)]
            elif isinstance(value, ast.AST) and name != "ctx":
                found.append(value)
    return found


def _replaced(node: Any, new: Mapping[int, ast.expr]) -> Any:
    """A tree in which ``new`` stands in the place of nodes with these ids; what is the same in both is shared."""
    if isinstance(node, list):
        return [_replaced(item, new) for item in node]
    if not isinstance(node, ast.AST):
        return node
    if id(node) in new:
        return new[id(node)]
    return type(node)(**{name: _replaced(value, new) for name, value in ast.iter_fields(node)})


@dataclass(frozen=True, eq=False)
class _Scope:
    """Where a name is looked up. Kinds: "module", "function", "class", "comprehension"."""

    kind: str
    parent: _Scope | None = None
    names: frozenset[str] = frozenset()
    globals: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()
    private: str = ""  # the class whose name mangles `__x`

    @cached_property
    def deferred(self) -> bool:
        """Whether code here may run later than where it stands, or more than once."""
        return self.kind in ("function", "comprehension") or (self.parent is not None and self.parent.deferred)

    @property
    def in_function(self) -> bool:
        """Whether `locals()` here is something else than the notebook's names."""
        if self.kind == "comprehension" and self.parent is not None:
            return self.parent.in_function
        return self.kind != "module"

    def find(self, name: str) -> str | None:
        """The global name, the key of a class's own name (it has a colon), or None for a function's own name."""
        if self.kind == "module":
            return name
        at: _Scope | None = self
        while at is not None and at.kind != "module":
            if name in at.globals:
                break
            if name in at.names and (at.kind != "class" or at is self):
                return f"{id(at)}:{name}" if at.kind == "class" else None
            at = at.parent
        return self.mangled(name)

    def mangled(self, name: str) -> str:
        """``__x`` in a class is another name."""
        private = self.private.lstrip("_")
        return f"_{private}{name}" if private and name.startswith("__") and not name.endswith("__") else name


def _scope(kind: str, parent: _Scope, body: Iterable[ast.AST], own: Iterable[str] = (), private: str = "") -> _Scope:
    bound = _Bound(body)
    names = frozenset((bound.names | set(own)) - bound.globals - bound.nonlocals)
    return _Scope(kind, parent, names, frozenset(bound.globals), frozenset(bound.deleted), private or parent.private)


# -- the walk -------------------------------------------------------------------------------------------------------


class _Use(IntEnum):
    """What happens to the value of an expression."""

    LOOK = 0  # looked at, and forgotten
    SHARE = 1  # the value that is being bound to a name may hold parts of it
    KEEP = 2  # bound to a global name
    GIVE = 3  # given to something that may change or keep it


_LOOK, _SHARE, _KEEP, _GIVE = _Use  # to ask the class for one takes ten times as long


@dataclass
class _Flow:
    """What is known at one point of the cell."""

    settled: set[str] = field(default_factory=set)  # names whose value from before the cell is out of reach
    known: dict[str, ast.expr | None] = field(default_factory=dict)  # what the cell assigned; None: not told

    def copy(self) -> _Flow:
        return _Flow(set(self.settled), dict(self.known))

    def joined(self, other: _Flow) -> _Flow:
        """What is known where two ways meet."""
        known: dict[str, ast.expr | None] = {}
        for name in {*self.known, *other.known}:
            before = ast.Name(name, ast.Load())
            values = [flow.known.get(name, before) for flow in (self, other)]
            first, second = (value and _unguarded(value) for value in values)
            same = first is second or (_named(first) == name == _named(second))
            known[name] = None if not same else values[0] if values[0] is values[1] else _guarded(first)
        return _Flow(self.settled & other.settled, known)


@dataclass(frozen=True)
class _Body:
    """A function whose body runs later, if at all."""

    node: _Function
    scope: _Scope  # around it


SAME = "(if it cannot be changed in place)"
"""Stands in an argument of a call where a function would, for its own argument; see evaluate.py."""
_OTHER = "(not told)"


def _unguarded(value: ast.expr) -> ast.expr:
    return value.args[0] if isinstance(value, ast.Call) and _named(value.func) == SAME else value


def _guarded(value: ast.expr | None) -> ast.expr | None:
    """The value, if it is of a kind that cannot be changed in place."""
    return value and ast.Call(ast.Name(SAME, ast.Load()), [_unguarded(value)], [])


class _Walker:
    """One walk over a cell, in the order of execution."""

    def __init__(self, read: _Read) -> None:
        self.reads: set[str] = set()
        self.binds: set[str] = set()
        self.mutates: set[str] = set()
        self.augmented: set[str] = set()
        self.imports: set[str] = set()
        self.texts: set[str] = set()
        self.chains: set[str] = set()
        self.bare_calls: set[str] = set()
        self.everything = self.shell = self.history = False
        self.calls: dict[ast.Call, tuple[tuple[int, ...], TaskCall]] = {}
        self.aliases: dict[str, str] = {}  # name -> what an import of this cell bound to it
        self.shares: defaultdict[str, set[str]] = defaultdict(set)  # name -> names that may hold its objects
        self.shared: set[str] = set()  # such names, of the expression at hand
        self.bodies: defaultdict[str, list[_Body]] = defaultdict(list)  # name -> functions ever bound to it
        self.live: set[str] = set()  # names that code which may run again, or later, loads
        self.ran: defaultdict[_Function, list[set[str]]] = defaultdict(list)
        self.classes: list[list[_Body]] = []  # methods of the classes being defined
        self.scope = self.top = _Scope("module")
        self.now: _Flow | None = _Flow()  # None: this point is never reached
        self.breaks: list[list[_Flow]] = []
        self.repeated = 0
        self.position: tuple[int, ...] = ()
        self.lazy_annotations = False
        self.tree = read.tree
        self.untold = read.globals  # bound at any time
        # Without a call of a plain name nobody asks what the cell assigned.
        self.asked = any(type(node.func) is ast.Name for node in read.calls)

    @cached_property
    def bound_here(self) -> set[str]:
        """All names that the cell binds."""
        return _Bound([self.tree]).names | self.untold

    def result(self) -> Uses:
        """What was found."""
        mutated = set(self.mutates)
        fresh = list(mutated)
        while fresh:
            fresh = [other for name in fresh for other in self.shares[name] - mutated]
            mutated.update(fresh)
        found = Uses(
            reads=frozenset(self.reads),
            first_calls=frozenset(_first_calls(self.tree)),
            binds=frozenset(self.binds),
            surely=frozenset(self.binds if self.now is None else self.binds & self.now.settled),
            mutates=frozenset((mutated | self.augmented) & (self.reads | self.binds)),
            imports=frozenset(self.imports),
            texts=frozenset(self.texts),
            chains=frozenset(self.chains),
            bare_calls=frozenset(self.bare_calls),
            everything=self.everything,
            shell=self.shell,
            history=self.history or any(map(_HISTORY.fullmatch, self.reads)),
            calls=tuple(call for _, call in sorted(self.calls.values(), key=lambda item: item[0])),
        )
        return replace(found, later=self.later()) if self.bodies else found

    def later(self) -> frozenset[str]:
        """What the functions read that nothing has run; ends the walk."""
        read, self.now = set(self.reads), self.flow
        for body in [body for bodies in self.bodies.values() for body in bodies if body.node not in self.ran]:
            self.run(body)
        return frozenset(self.reads - read)

    def module(self, read: _Read) -> None:
        """Walk over a cell, or a text that it runs: a module, and all that is in it."""
        self.bare_calls.update(_dotted(node.func) for node in read.calls if not (node.args or node.keywords))
        self.texts.update(value for value in read.constants if type(value) is str)
        self.texts.update(value.decode(errors="surrogateescape") for value in read.constants if type(value) is bytes)
        self.block(read.tree.body)

    # -- flow

    @property
    def flow(self) -> _Flow:
        """What is known here; an unreachable place knows nothing that matters."""
        if self.now is None:
            self.now = _Flow()
        return self.now

    def block(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            if self.now is None:
                return
            self.visit(statement)

    def branch(self, start: _Flow | None, body: Sequence[ast.stmt]) -> _Flow | None:
        """Walk over statements from a given point; returns the point behind them."""
        self.now = None if start is None else start.copy()
        self.block(body)
        return self.now

    def join(self, *ends: _Flow | None) -> None:
        reached = [end for end in ends if end is not None]
        self.now = reached[0].copy() if reached else None
        for end in reached[1:]:
            self.now = self.flow.joined(end)

    @contextmanager
    def perhaps(self) -> Iterator[None]:
        """What is inside may not run, or not to its end."""
        before = self.flow.copy()
        yield
        self.join(before, self.now)

    # -- names

    def load(self, name: str, use: _Use = _LOOK) -> None:
        key = self.scope.find(name)
        if key is None or (name == "__class__" and self.scope.deferred):
            return
        if ":" in key:
            for body in list(self.bodies[key]):
                self.run(body)
            if key in self.flow.settled:
                return
            key = self.scope.mangled(name)
        if key not in self.flow.settled:
            self.reads.add(key)
        if use is _SHARE or use is _KEEP:
            self.shared.add(key)
        if use > _SHARE:
            self.mutates.add(key)
            self.changed(key)
        if self.repeated or self.scope.deferred:
            self.live.add(key)
        if key in self.bodies:
            for body in list(self.bodies[key]):
                self.run(body)

    def bind(self, name: str, value: ast.expr | None = None) -> None:
        scope = self.scope
        while scope.kind == "comprehension" and name not in scope.names and scope.parent is not None:
            scope = scope.parent
        key = scope.find(name)
        if key is None:
            return
        if ":" in key:
            if name not in scope.deleted:
                self.flow.settled.add(key)
            return
        self.binds.add(key)
        self.flow.settled.add(key)
        self.flow.known[key] = value

    def define(self, name: str, bodies: Iterable[_Body]) -> None:
        """These functions run when somebody loads ``name``."""
        key = self.scope.find(name)
        if key is not None:
            self.bodies[key].extend(bodies)
        for methods in self.classes:
            methods.extend(bodies)
        if key is None or key in self.live:
            for body in bodies:
                self.run(body)

    def run(self, body: _Body) -> None:
        """Walk over the body of a function as if it ran here."""
        node, settled = body.node, self.flow.settled
        if any(earlier <= settled for earlier in self.ran[node]):
            return
        self.ran[node].append(set(settled))
        before = self.now, self.scope, self.breaks, self.classes
        names = [arg.arg for arg in _arguments(node)]
        inner: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
        self.now, self.breaks, self.classes = self.flow.copy(), [], []
        self.scope = _scope("function", body.scope, inner, names)
        if isinstance(node, ast.Lambda):
            self.visit(node.body, _GIVE)
        else:
            self.block(node.body)
        self.now, self.scope, self.breaks, self.classes = before

    def is_builtin(self, name: str) -> bool:
        """Whether the name means Python's own, as far as this cell tells."""
        return self.scope.find(name) == name and name not in self.flow.settled

    # -- values, for the arguments of calls

    def changed(self, key: str) -> None:
        """The object of ``key`` may be changed from here on."""
        if self.asked:
            self.flow.known[key] = _guarded(self.flow.known.get(key, ast.Name(key, ast.Load())))

    def told(self, expression: ast.expr) -> ast.expr | None:
        """An expression over names as they were before the cell; None when it would be long."""
        if not self.asked or type(expression) is ast.Constant:
            return expression if self.asked else None
        nodes = _nodes(expression)
        binding = any(isinstance(node, ast.NamedExpr | ast.Await | ast.Yield) for node in nodes)
        new = {}
        for node in nodes:
            if isinstance(node, ast.Name):
                new[id(node)] = ast.Name(_OTHER, ast.Load()) if binding else self.before(node)
        size = len(nodes) + sum(len(_nodes(value)) - 1 for value in new.values() if not isinstance(value, ast.Name))
        if size > 100:
            return None
        return expression if all(id(value) == place for place, value in new.items()) else _replaced(expression, new)

    def before(self, name: ast.Name) -> ast.expr:
        """What a name stands for, in names as they were before the cell."""
        key = self.scope.find(name.id)
        other = ast.Name(_OTHER, ast.Load())
        if key is None or ":" in key or key in self.untold:
            return other
        if self.scope.deferred:
            return other if key in self.bound_here else _guarded(name) or other
        value = self.flow.known.get(key, name)
        return (_guarded(value) if self.repeated else value) or other

    # -- statements

    def visit(self, node: ast.AST, use: _Use = _LOOK) -> None:
        """Walk over a statement or expression; for an expression, ``use`` says what becomes of its value."""
        kind: Any = type(node)
        if kind is ast.Constant:
            value = node.value  # type: ignore[attr-defined]
            self.everything |= type(value) is str and "__main__" in value
        else:
            _visitor(kind)(self, node, use)

    def visit_other(self, node: ast.AST, use: _Use) -> None:
        for child in ast.iter_child_nodes(node):
            self.visit(child, _GIVE)

    def visit_Expr(self, node: ast.Expr, use: _Use) -> None:
        self.visit(node.value)

    def visit_Global(self, node: ast.stmt, use: _Use) -> None:
        pass

    visit_Nonlocal = visit_Pass = visit_Global

    def visit_Return(self, node: ast.Return, use: _Use) -> None:
        if node.value is not None:
            self.visit(node.value, _GIVE)
        self.now = None

    def visit_Raise(self, node: ast.Raise, use: _Use) -> None:
        self.visit_other(node, use)
        self.now = None

    def visit_Continue(self, node: ast.Continue, use: _Use) -> None:
        self.now = None

    def visit_Break(self, node: ast.Break, use: _Use) -> None:
        self.breaks[-1].append(self.flow)
        self.now = None

    def visit_Assert(self, node: ast.Assert, use: _Use) -> None:
        with self.perhaps():  # python -O
            self.visit(node.test)
            if node.msg is not None:
                self.visit(node.msg, _GIVE)

    def visit_Delete(self, node: ast.Delete, use: _Use) -> None:
        for target in node.targets:
            self.delete(target)

    def delete(self, target: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.load(target.id)
            self.bind(target.id)
        elif isinstance(target, ast.Tuple | ast.List):
            for item in target.elts:
                self.delete(item)
        else:
            self.target(target)

    def target(self, target: ast.expr, value: ast.expr | None = None) -> None:
        """Something is stored here; ``value`` is what, if the text tells."""
        if isinstance(target, ast.Name):
            self.bind(target.id, value)
        elif isinstance(target, ast.Tuple | ast.List):
            for item in target.elts:
                self.target(item)
        elif isinstance(target, ast.Starred):
            self.target(target.value)
        elif isinstance(target, ast.Attribute):
            self.visit(target.value, _GIVE)
        elif isinstance(target, ast.Subscript):
            self.visit(target.value, _GIVE)
            self.visit(target.slice)

    def visit_Assign(self, node: ast.Assign, use: _Use) -> None:
        self.assign(node.targets, node.value)

    def assign(self, targets: Sequence[ast.expr], value: ast.expr) -> None:
        names = [target.id for target in targets if type(target) is ast.Name]
        simple = len(names) == len(targets) and not self.scope.deferred
        if simple and type(value) is ast.Lambda:
            for part in _outside(value):
                self.visit(part, _GIVE)
            for name in names:
                self.bind(name)
                self.define(name, [_Body(value, self.scope)])
            return
        told = self.told(value) if simple and self.asked else None
        keys = [key for key in map(self.scope.find, names) if key is not None and ":" not in key]
        outer, self.shared = self.shared, set()
        self.visit(value, _KEEP if len(keys) == len(targets) else _GIVE)
        for other in self.shared:
            self.shares[other].update(keys)
            for key in keys:
                self.shares[key].add(other)
        if len(targets) > 1:
            self.mutates.update(keys)
        self.shared = outer
        if len(names) == len(targets):
            for name in names:
                self.bind(name, told)
        else:
            for target in targets:
                self.target(target, told)

    def visit_AnnAssign(self, node: ast.AnnAssign, use: _Use) -> None:
        if node.value is not None:
            self.assign([node.target], node.value)
        elif not isinstance(node.target, ast.Name):
            self.target(node.target)
        if self.scope.kind != "function":
            self.annotation(node.annotation)

    def annotation(self, node: ast.expr | None) -> None:
        if node is not None and not self.lazy_annotations:
            self.visit(node)

    def visit_AugAssign(self, node: ast.AugAssign, use: _Use) -> None:
        target = node.target
        if isinstance(target, ast.Name):
            self.load(target.id)
        else:
            self.target(target)
        # `list += iterator` uses the iterator up
        self.visit(node.value, _GIVE if isinstance(node.op, (ast.Add, ast.BitOr)) else _LOOK)
        if isinstance(target, ast.Name):
            key = self.scope.find(target.id)
            if key is not None and ":" not in key:
                self.augmented.add(key)
            operand = ast.BinOp(ast.Name(target.id, ast.Load()), node.op, node.value)
            self.bind(target.id, None if self.scope.deferred else self.told(operand))

    def visit_If(self, node: ast.If, use: _Use) -> None:
        self.visit(node.test)
        start = self.now
        self.join(self.branch(start, node.body), self.branch(start, node.orelse))

    @contextmanager
    def loop(self, nodes: Iterable[ast.AST]) -> Iterator[list[_Flow]]:
        """The body of a loop; gives the points from which it is left by ``break``."""
        for name in _Bound(nodes).names:
            key = self.scope.find(name)
            if key is not None:
                self.flow.known[key] = None
        self.repeated += 1
        self.breaks.append([])
        yield self.breaks[-1]
        self.breaks.pop()
        self.repeated -= 1

    def visit_For(self, node: ast.For | ast.AsyncFor, use: _Use) -> None:
        self.visit(node.iter, _GIVE)
        with self.loop([node.target, *node.body]) as breaks:
            head = self.flow.copy()
            self.target(node.target)
            self.block(node.body)
        self.join(self.branch(head, node.orelse), *breaks)

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While, use: _Use) -> None:
        with self.loop([node.test, *node.body]) as breaks:
            self.visit(node.test)
            head = self.flow.copy()
            self.block(node.body)
        endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        self.join(None if endless else self.branch(head, node.orelse), *breaks)

    def visit_With(self, node: ast.With | ast.AsyncWith, use: _Use) -> None:
        after: _Flow | None = None  # what is known if the context manager swallows an exception
        for item in node.items:
            expression, variable = item.context_expr, item.optional_vars
            self.visit(expression, _GIVE)
            if isinstance(variable, ast.Name):
                self.bind(variable.id)
            called = _dotted(expression.func) if isinstance(expression, ast.Call) else ""
            if after is None and not (called in _TRANSPARENT and self.is_untouched(called)):
                after = self.flow.copy()
            if variable is not None and not isinstance(variable, ast.Name):
                self.target(variable)
        for name in _Bound(node.body).names if after is not None else ():
            key = self.scope.find(name)
            if key is not None and after is not None:
                after.known[key] = None
        self.block(node.body)
        if after is not None:
            self.join(after, self.now)

    visit_AsyncWith = visit_With

    def is_untouched(self, called: str) -> bool:
        """Whether this cell did not bind the root of a chain to something of its own."""
        root = called.split(".")[0]
        return self.is_builtin(root) or root in self.aliases

    def visit_Try(self, node: ast.Try, use: _Use) -> None:
        start = self.flow.copy()
        end = self.branch(start, node.body)
        ends = [None if end is None else self.branch(end, node.orelse)]
        known = {key: None for name in _Bound(node.body).names if (key := self.scope.find(name)) is not None}
        interrupted = _Flow(start.settled, {**start.known, **known})
        for handler in node.handlers:
            self.now = interrupted.copy()
            if handler.type is not None:
                self.visit(handler.type)
            if handler.name:
                self.bind(handler.name)
            self.block(handler.body)
            if handler.name:
                self.bind(handler.name)
            ends.append(self.now)
        self.join(*ends)
        if node.finalbody:
            normal = self.now
            nodes = [*node.body, *node.handlers, *node.orelse]
            unsure = {key: None for name in _Bound(nodes).names if (key := self.scope.find(name)) is not None}
            final = self.branch(_Flow(start.settled, {**start.known, **unsure}), node.finalbody)
            reached = None if normal is None or final is None else normal
            if reached is not None and final is not None:
                own = {key: None for name in _Bound(node.finalbody).names if (key := self.scope.find(name))}
                reached = _Flow(reached.settled | final.settled, {**reached.known, **own})
            self.now = reached

    visit_TryStar = visit_Try

    def visit_Match(self, node: ast.Match, use: _Use) -> None:
        self.visit(node.subject, _GIVE)
        ends: list[_Flow | None] = []
        for case in node.cases:
            before = self.flow.copy()
            self.visit(case.pattern)
            if case.guard is not None:
                self.visit(case.guard)
            fell = self.flow.joined(before)  # a guard that fails has seen the names bound, and may bind
            self.block(case.body)
            ends.append(self.now)
            whole = isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None
            if whole:
                break
            self.now = fell
        else:
            ends.append(self.now)
        self.join(*ends)

    def visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar, use: _Use) -> None:
        self.visit_other(node, use)
        if node.name:
            self.bind(node.name)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node: ast.MatchMapping, use: _Use) -> None:
        self.visit_other(node, use)
        if node.rest:
            self.bind(node.rest)

    def visit_MatchOr(self, node: ast.MatchOr, use: _Use) -> None:
        self.visit_other(node, use)  # all alternatives bind the same names

    def visit_Import(self, node: ast.Import, use: _Use) -> None:
        for alias in node.names:
            self.imported(alias.name)
            root = alias.name.split(".")[0]
            self.aliases[alias.asname or root] = alias.name if alias.asname else root
            self.bind(alias.asname or root)

    def visit_ImportFrom(self, node: ast.ImportFrom, use: _Use) -> None:
        module = "." * node.level + (node.module or "")
        self.imported(module)
        self.lazy_annotations |= module == "__future__" and any(a.name == "annotations" for a in node.names)
        for alias in node.names:
            if alias.name == "*":
                self.everything = True
                continue
            name = f"{module}.{alias.name}" if node.module else module + alias.name
            self.imports.add(name)
            self.aliases[alias.asname or alias.name] = name
            self.bind(alias.asname or alias.name)

    def imported(self, module: str) -> None:
        self.imports.add(module)
        self.everything |= module == "__main__"

    # -- definitions

    @contextmanager
    def type_parameters(self, node: ast.AST) -> Iterator[None]:
        """The names in the brackets of ``def f[T]()`` (Python 3.12) are seen by the definition only."""
        parameters = getattr(node, "type_params", [])
        outer = self.scope
        if parameters:
            own = frozenset(parameter.name for parameter in parameters)
            self.scope = _Scope("function", outer, own, private=outer.private)
            for parameter in parameters:
                self.visit_other(parameter, _LOOK)
        yield
        self.scope = outer

    def visit_TypeAlias(self, node: Any, use: _Use) -> None:
        with self.type_parameters(node):
            self.visit(node.value)
        self.target(node.name)

    def is_lazy(self, decorators: Iterable[ast.expr]) -> bool:
        """Whether these decorators leave what they decorate alone."""
        for decorator in decorators:
            name = _dotted(decorator.func if isinstance(decorator, ast.Call) else decorator)
            root, dot, rest = name.partition(".")
            if root not in self.aliases and not self.is_builtin(root):
                return False
            if self.aliases.get(root, root) + dot + rest not in _LAZY_DECORATORS:
                return False
        return True

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef, use: _Use) -> None:
        for part in _outside(node):
            self.visit(part, _GIVE)
        with self.type_parameters(node):
            for annotation in (*(arg.annotation for arg in _arguments(node)), node.returns):
                self.annotation(annotation)
            body = _Body(node, self.scope)
        if self.scope.deferred or not self.is_lazy(node.decorator_list):
            self.run(body)
        self.bind(node.name)
        self.define(node.name, [body])

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef, use: _Use) -> None:
        for part in _outside(node):
            self.visit(part, _GIVE)
        plain = not node.keywords and all(_dotted(base) in _PLAIN_BASES for base in node.bases)
        with self.type_parameters(node):
            outer = self.scope
            self.scope = _scope("class", outer, node.body, private=node.name)
            self.classes.append([])
            self.block(node.body)
            methods = self.classes.pop()
            self.scope = outer
        if self.scope.deferred or not plain or not self.is_lazy(node.decorator_list):
            for body in methods:
                self.run(body)
        self.bind(node.name)
        self.define(node.name, methods)

    # -- expressions

    def visit_Name(self, node: ast.Name, use: _Use) -> None:
        if self.is_builtin(node.id) and (node.id in _UNSEEN_NAMES or node.id in _LOCAL_VIEWS):
            self.everything = True
        if node.id == "get_ipython":
            self.everything = True
        if node.id in self.aliases:
            self.chain(self.aliases[node.id])
        self.load(node.id, use)

    def visit_Lambda(self, node: ast.Lambda, use: _Use) -> None:
        for part in _outside(node):
            self.visit(part, _GIVE)
        self.run(_Body(node, self.scope))

    def visit_NamedExpr(self, node: ast.NamedExpr, use: _Use) -> None:
        self.visit(node.value, _GIVE)
        self.bind(node.target.id)
        self.load(node.target.id, use)

    def visit_BoolOp(self, node: ast.BoolOp, use: _Use) -> None:
        self.visit(node.values[0], use)
        with self.perhaps():
            for value in node.values[1:]:
                self.visit(value, use)

    def visit_IfExp(self, node: ast.IfExp, use: _Use) -> None:
        self.visit(node.test)
        for value in (node.body, node.orelse):
            with self.perhaps():
                self.visit(value, use)

    def visit_Compare(self, node: ast.Compare, use: _Use) -> None:
        operands = [node.left, *node.comparators]
        if any(_named(operand) == "__name__" for operand in operands):  # `if __name__ == "__main__"`
            operands = [operand for operand in operands if not isinstance(operand, ast.Constant)]
        searched = {
            id(right)
            for op, right in zip(node.ops, node.comparators, strict=True)
            if isinstance(op, ast.In | ast.NotIn)  # an iterator is used up by the search
            and not isinstance(right, ast.Tuple | ast.List | ast.Set | ast.Dict | ast.Constant)
        }
        for number, operand in enumerate(operands):
            operand_use = _GIVE if id(operand) in searched else _LOOK
            if number < 2:
                self.visit(operand, operand_use)
            else:
                with self.perhaps():
                    self.visit(operand, operand_use)

    def visit_BinOp(self, node: ast.BinOp, use: _Use) -> None:
        sides = (node.left, node.right)
        shares = isinstance(node.op, _SHARING)
        plain = any(isinstance(side, ast.Constant) for side in sides)
        inner = min(use, _SHARE) if use is _KEEP else use
        for side in sides:
            display = isinstance(side, ast.List | ast.Tuple)  # `[x] * 3` holds x
            self.visit(side, inner if shares and (display or not plain) else _LOOK)

    def visit_UnaryOp(self, node: ast.UnaryOp, use: _Use) -> None:
        self.visit(node.operand)

    def visit_JoinedStr(self, node: ast.JoinedStr, use: _Use) -> None:
        for value in node.values:
            self.visit(value)

    def visit_FormattedValue(self, node: ast.FormattedValue, use: _Use) -> None:
        self.visit(node.value)
        if node.format_spec is not None:
            self.visit(node.format_spec)

    def visit_Tuple(self, node: ast.Tuple | ast.List | ast.Set, use: _Use) -> None:
        for item in node.elts:
            self.visit(item, use)

    visit_List = visit_Set = visit_Tuple

    def visit_Dict(self, node: ast.Dict, use: _Use) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            if key is not None:
                self.visit(key, use)
            self.visit(value, use)

    def visit_Slice(self, node: ast.Slice, use: _Use) -> None:
        for part in (node.lower, node.upper, node.step):
            if part is not None:
                self.visit(part)

    def visit_Subscript(self, node: ast.Subscript, use: _Use) -> None:
        if _dotted(node.value) == "sys.modules" and isinstance(node.slice, ast.Constant):
            self.load("sys")
            self.visit(node.slice)
            return
        self.visit(node.value, _GIVE)  # a defaultdict is changed by looking
        self.visit(node.slice)

    def visit_Attribute(self, node: ast.Attribute, use: _Use) -> None:
        self.everything |= node.attr in _UNSEEN_ATTRIBUTES
        dotted = _dotted(node)
        if dotted:
            self.chain(dotted)
            root, _, rest = dotted.partition(".")
            if root in self.aliases:
                self.chain(f"{self.aliases[root]}.{rest}")
        self.visit(node.value, use)

    def chain(self, dotted: str) -> None:
        self.everything |= dotted in _UNSEEN_CHAINS
        if dotted not in self.chains:
            parts = dotted.split(".")
            self.chains.update([".".join(parts[:end]) for end in range(2, len(parts) + 1) if parts[0]])

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp, use: _Use) -> None:
        self.visit(node.generators[0].iter, _GIVE)
        with self.perhaps():
            outer = self.scope
            self.scope = _Scope(
                "comprehension",
                outer,
                frozenset(_Bound(part.target for part in node.generators).names),
                private=outer.private,
            )
            for number, part in enumerate(node.generators):
                if number:
                    self.visit(part.iter, _GIVE)
                self.target(part.target)
                for test in part.ifs:
                    self.visit(test)
            for element in [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]:
                self.visit(element, use)
            self.scope = outer

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    # -- calls

    def visit_Call(self, node: ast.Call, use: _Use) -> None:
        func = node.func
        first = node.args[0] if node.args else None
        constant = first.value if isinstance(first, ast.Constant) else None
        if isinstance(func, ast.Attribute) and _is_shell(func.value):
            self.ipython(func.attr, node)
            return
        inner = _GIVE
        if isinstance(func, ast.Name):
            name = func.id
            self.record(name, node)
            mine = self.is_builtin(name)
            if mine and name in ("exec", "eval") and isinstance(constant, str):
                self.load(name)
                with self.perhaps():
                    self.nested(constant, node)
            elif mine and name in _LOCAL_VIEWS:
                self.everything |= first is None and not self.scope.in_function
                self.load(name)
            else:
                self.visit(func, _LOOK if mine and hasattr(builtins, name) else _GIVE)
            inner = _LOOK if mine and name in _PURE else _GIVE
        elif isinstance(func, ast.Attribute):
            text = isinstance(func.value, (ast.JoinedStr, ast.Constant))
            inner = _LOOK if text and func.attr == "format" else _GIVE
            self.visit(func, _GIVE)
        else:
            self.visit(func, _GIVE)
        last = func.attr if isinstance(func, ast.Attribute) else _named(func)
        if last in ("__import__", "import_module"):
            if isinstance(constant, str):
                self.imported(constant)
            self.everything |= _named(first) == "__name__"
        if last in ("query", "evaluate") or (last == "eval" and isinstance(func, ast.Attribute)):
            self.expression(first, node)
        for argument in node.args:
            self.visit(argument, _GIVE if isinstance(argument, ast.Starred) else inner)
        for item in node.keywords:
            given = item.arg in ("file", None)  # print(file=...) writes into it
            self.visit(item.value, _GIVE if given else inner)

    def expression(self, first: ast.expr | None, node: ast.Call) -> None:
        """A text over names of the notebook, as pandas and numexpr evaluate it."""
        if first is None:
            first = next((item.value for item in node.keywords if item.arg in ("expr", "ex")), None)
        if isinstance(first, ast.Constant) or first is None:
            self.words(first.value if first is not None else "")
        else:
            self.everything = True

    def words(self, text: object) -> None:
        """All identifiers in a text are read."""
        for word in _WORD.findall(text) if isinstance(text, str) else ():
            if not keyword.iskeyword(word):
                self.load(word)

    def record(self, name: str, node: ast.Call) -> None:
        """Note the call of a plain name, once."""
        if node in self.calls:
            return
        plain = [(None, arg) for arg in node.args if not isinstance(arg, ast.Starred)]
        named = [(item.arg, item.value) for item in node.keywords if item.arg is not None]
        untold = ast.Name(_OTHER, ast.Load())
        arguments = tuple((key, self.told(value) or untold) for key, value in (*plain, *named))
        starred = len(arguments) < len(node.args) + len(node.keywords)
        place = (*self.position, node.lineno, node.col_offset)
        self.calls[node] = place, TaskCall(name, arguments, starred)

    def nested(self, text: str, node: ast.Call, magic: bool = False) -> None:
        """A text that is run as part of the cell; nothing is run when it is no Python."""
        try:
            read = _parsed(text)[0] if magic else _Read(ast.parse(text.lstrip(" \t")))
        except (SyntaxError, ValueError):
            return
        before = self.scope, self.position
        self.repeated += 1  # who loads a name here is not seen by the scope around it
        self.scope, self.position = self.top, (*self.position, node.lineno, node.col_offset)
        self.module(read)
        self.scope, self.position = before
        self.repeated -= 1

    # -- IPython's syntax

    def ipython(self, method: str, node: ast.Call) -> None:
        """What IPython makes of ``%``, ``!`` and ``?``."""
        given = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if method == "show_usage":
            return
        if len(given) < len(node.args) or node.keywords or not given:
            self.everything = self.shell = True
            self.visit_other(node, _GIVE)
        elif method in ("system", "getoutput"):
            self.shell = True
            self.line(given[0])
        elif method == "run_line_magic" and len(given) == 2:
            self.magic(given[0], given[1], node)
        elif method == "run_cell_magic" and len(given) == 3:
            self.cell_magic(given[0], given[1], given[2], node)
        else:
            self.everything = self.shell = True

    def line(self, line: str) -> None:
        """A line for the shell or a magic: its words may be paths, ``{expression}`` and ``$name`` are put in."""
        for word in (*line.split(), *re.split(r"[\s;|&<>()=,]+", line)):
            self.texts.add(word.strip("'\""))
        for name in re.findall(r"(?<!\$)\$([A-Za-z_]\w*)", line):
            self.load(name)
        try:
            fields = list(string.Formatter().parse(line))
        except ValueError:
            return  # then IPython puts nothing in
        for _, name, spec, conversion in fields:
            # as IPython does: `{x[1:2]}` is a slice here, no format
            text = (name or "") + (f":{spec}" if spec else "") + (f"!{conversion}" if conversion else "")
            try:
                tree = ast.parse(text.strip(), mode="eval")
            except (SyntaxError, ValueError):
                continue
            with self.perhaps():
                self.visit(tree.body, _GIVE)

    def magic(self, name: str, line: str, node: ast.Call | None = None) -> None:
        """A line magic."""
        self.line(line)
        if name in _PYTHON_MAGICS:
            code = _behind_options(line, _PYTHON_MAGICS[name])
            at = node or ast.Call(ast.Name(name), [], [], lineno=1, col_offset=0)
            if name == "time" and node is not None and not line.lstrip().startswith("-"):
                self.nested(code, at, magic=True)
            else:
                with self.perhaps():
                    self.nested(code, at, magic=True)
        elif name in _HELP_MAGICS:
            self.words(line)
        elif name in _SHELL_MAGICS:
            self.shell = True
            if name == "sc":
                self.binding(line)
        elif name in _HISTORY_MAGICS:
            self.history = True
        elif name not in _NEUTRAL_MAGICS:
            self.everything = True  # %run, %store, %reset, and what we do not know

    def binding(self, line: str) -> None:
        """Names that an option of a magic binds."""
        with self.perhaps():
            for name in _WORD.findall(line):
                self.bind(name)

    def cell_magic(self, name: str, line: str, body: str, node: ast.Call) -> None:
        """A cell magic."""
        self.line(line)
        if name in _PYTHON_MAGICS or name == "capture":
            if name == "capture":
                self.binding(" ".join(word for word in line.split() if not word.startswith("-")))
            else:
                with self.perhaps():
                    self.nested(_behind_options(line, _PYTHON_MAGICS[name]), node, magic=True)
            if name == "time":
                self.nested(body, node, magic=True)
            else:
                with self.perhaps():
                    self.nested(body, node, magic=True)
        elif name in _SHELL_CELLS:
            self.shell = True
            self.binding(" ".join(re.findall(r"--(?:out|err|proc)[=\s]+(\w+)", line)))
            self.texts.update(word.strip("'\"") for word in re.split(r"[\s;|&<>()=,]+", body))
        elif name not in _TEXT_CELLS:
            self.everything = True


@cache
def _visitor(kind: type) -> Callable[[_Walker, Any, _Use], None]:
    method: Callable[[_Walker, Any, _Use], None] = getattr(_Walker, f"visit_{kind.__name__}", _Walker.visit_other)
    return method


def _behind_options(line: str, valued: str) -> str:
    """The code of a magic: what follows its options. ``valued``: the letters of those that take a value."""
    rest = line.strip()
    while match := re.match(r"(--?[A-Za-z][\w-]*|--)(\s+|$|(?==))(.*)", rest, re.DOTALL) or re.match(
        r"(-[A-Za-z]\S*)(\s+|$)(.*)", rest, re.DOTALL
    ):
        option, rest = match[1], match[3]
        if len(option) == 2 and option[1] in valued:
            rest = rest.partition(" ")[2].lstrip()
    return rest


def _is_shell(node: ast.expr) -> bool:
    """Whether this is ``get_ipython()``."""
    return isinstance(node, ast.Call) and _named(node.func) == "get_ipython" and not (node.args or node.keywords)


def _named(node: ast.AST | None) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _first_calls(tree: ast.Module) -> Iterator[str]:
    """The chains that a cell calls, as statements, before it does anything but import."""
    for statement in tree.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            call = statement.value
            if not all(isinstance(value, ast.Constant) for value in (*call.args, *(k.value for k in call.keywords))):
                return
            yield _dotted(call.func)
        elif not isinstance(statement, (ast.Import, ast.ImportFrom)):
            return


def _dotted(node: ast.expr) -> str:
    """``a.b.c`` as a text; "" for what is no such chain."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""
