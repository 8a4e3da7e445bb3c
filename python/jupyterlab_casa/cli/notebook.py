"""A notebook as a file: read, parameters, written back whole or not at all, its pictures."""

from __future__ import annotations

import ast
import base64
import binascii
import hashlib
import json
import keyword
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode, reader

from casa_recompute.notebook.model import CellSource
from casa_recompute.notebook.outputs import digest
from jupyterlab_casa.cli.text import CommandError, say

_INJECTED = "injected-parameters"
_OUTPUTS = {  # what each kind must have
    "stream": ("name", "text"),
    "display_data": ("data",),
    "execute_result": ("data",),
    "error": ("ename", "evalue", "traceback"),
}
_SUFFIX = {"image/png": ".png", "image/jpeg": ".jpg", "image/svg+xml": ".svg"}


def read(path: Path) -> NotebookNode:
    """Read a notebook; one of an older major format is brought to 4.

    Raises:
        CommandError: there is none, or it is no notebook.
    """
    try:
        notebook: NotebookNode = reader.reads(  # type: ignore[no-untyped-call]
            path.read_text(encoding="utf-8")
        )
        upgraded = notebook.get("nbformat") != 4
        if upgraded:
            notebook = nbformat.from_dict(nbformat.convert(notebook, 4))  # type: ignore[no-untyped-call]
        _check(notebook)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, AttributeError, KeyError, TypeError, nbformat.ValidationError) as error:
        raise CommandError(f"{path} is no notebook: {error}") from error
    language = notebook.metadata.get("kernelspec", {}).get("language") or notebook.metadata.get(
        "language_info", {}
    ).get("name", "python")
    if language.lower() != "python":
        raise CommandError(f"{path} is a notebook in {language}; the kernel casa runs Python")
    if upgraded:
        for cell in notebook.cells:
            cell.pop("id", None)  # made up at random just now
    return notebook


def _check(notebook: NotebookNode) -> None:
    """What everything below relies on; things that nobody needs may be wrong.

    Raises:
        ValueError: says what is wrong.
    """
    if not isinstance(notebook.get("cells"), list):
        raise ValueError("it has no cells")
    for number, cell in enumerate(notebook.cells, 1):
        if not isinstance(cell, NotebookNode) or not all(
            isinstance(cell.get(name), str) for name in ("cell_type", "source")
        ):
            raise ValueError(f"cell {number} of it is none")
        if cell.cell_type == "code":
            cell.setdefault("outputs", [])
            cell.setdefault("execution_count", None)
            for output in cell.outputs:
                kind = output.get("output_type") if isinstance(output, NotebookNode) else None
                if kind not in _OUTPUTS or not all(name in output for name in _OUTPUTS[kind]):
                    raise ValueError(f"an output of cell {number} is none")


def code_cells(notebook: NotebookNode, ids: Sequence[str]) -> list[CellSource]:
    """The cells that a run from top to bottom executes; empty ones, and those tagged ``skip-execution``, are none."""
    return [
        CellSource(id, index, cell.source, digest(cell.outputs))
        for index, (id, cell) in enumerate(zip(ids, notebook.cells, strict=True))
        if cell.cell_type == "code" and cell.source.strip() and "skip-execution" not in cell.metadata.get("tags", [])
    ]


def cell_ids(notebook: NotebookNode) -> list[str]:
    """An id of each cell that is the same each time.

    Where the format asks for ids, missing and repeated ones are written into the notebook; an older notebook
    keeps its format, and its ids are known to us only.
    """
    ids: list[str] = []
    occurrences: Counter[str] = Counter()
    has_ids = (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    for cell in notebook.cells:
        source = hashlib.blake2b(cell.source.encode(), digest_size=6).hexdigest()
        occurrences[source] += 1
        own = cell.get("id")
        chosen = own if own and own not in ids else f"{source}-{occurrences[source]}"
        ids.append(chosen)
        if has_ids:
            cell["id"] = chosen
    return ids


# -- parameters ----------------------------------------------------------------------------------------------


def set_parameters(notebook: NotebookNode, given: Sequence[tuple[str, str]]) -> None:
    """Put a cell that sets parameters after the one tagged ``parameters``, or replace that cell.

    A value is what papermill takes it for: a number, True, False, None; also a list or dict; else text.
    Where the notebook's own value is text, so is this (``-p field 2`` where the notebook says ``field = '0'``).

    Raises:
        CommandError: a name is no Python name.
    """
    if not given:
        return
    tagged = [n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    known = _assigned(notebook.cells[tagged[0]].source) if tagged else {}
    if not tagged:
        say("warning: no cell is tagged 'parameters'; the values are set at the top")
    lines = ["# Parameters"]
    for name, text in dict(given).items():
        if not name.isidentifier() or keyword.iskeyword(name):
            raise CommandError(f"-p {name}: is no name of a parameter")
        if tagged and known is not None and name not in known:
            say(f"warning: the notebook's parameters do not include {name}; it is set nevertheless")
        is_text = isinstance((known or {}).get(name), str)
        lines.append(f"{name} = {(_text(text) if is_text else value(text))!r}")
    cell = nbformat.v4.new_code_cell(  # type: ignore[no-untyped-call]
        "\n".join(lines), metadata={"tags": [_INJECTED]}, id=_INJECTED
    )
    if (notebook.nbformat, notebook.nbformat_minor) < (4, 5):
        del cell["id"]
    before = [n for n, cell in enumerate(notebook.cells) if _INJECTED in cell.metadata.get("tags", [])]
    if before:
        notebook.cells[before[0]] = cell
    else:
        notebook.cells.insert(tagged[0] + 1 if tagged else 0, cell)


def value(text: str) -> Any:
    """The value that a word of the command line stands for."""
    words = {"True": True, "true": True, "False": False, "false": False, "None": None, "null": None}
    if text in words:
        return words[text]
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        # solint='inf' is how CASA's users say "infinite"; as text it means the same to tasks
        return number if math.isfinite(number) else text
    return _literal(text) if text[:1] in tuple("[{'\"") else text


def _literal(text: str) -> Any:
    for parse in (ast.literal_eval, json.loads):
        try:
            return parse(text)
        except (ValueError, SyntaxError):
            continue
    return text


def _text(text: str) -> str:
    literal = _literal(text) if text[:1] in tuple("'\"") else text
    return literal if isinstance(literal, str) else text


def _assigned(source: str) -> dict[str, Any] | None:
    """Names that a cell sets, with their values where these are literal; None: it cannot be told."""
    try:
        body = ast.parse(source).body
    except SyntaxError:  # magics
        return None
    found: dict[str, Any] = {}
    for statement in body:
        if isinstance(statement, ast.Assign):
            targets, expression = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, expression = [statement.target], statement.value
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                try:
                    found[target.id] = ast.literal_eval(expression)
                except ValueError:
                    found[target.id] = None
    return found


# -- writing -------------------------------------------------------------------------------------------------


class Saver:
    """Writes a notebook: never half, and never over what somebody else wrote meanwhile."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            CommandError: it cannot be written there.
        """
        self.path = path.resolve()  # a link stays one
        if self.path.is_dir() or not self.path.parent.is_dir() or not os.access(self.path.parent, os.W_OK):
            raise CommandError(f"{path} cannot be written: choose another place with -o OUT")
        self._seen = self._stamp()

    def save(self, notebook: NotebookNode) -> None:
        """Write it, unless it is there as it is.

        Raises:
            OSError: the disk is full.
        """
        if self._stamp() != self._seen:
            aside = self.path.with_name(f"{self.path.stem}-run{self.path.suffix}")
            say(f"warning: {self.path.name} was changed meanwhile and is left as it is; see {aside}")
            self.path = aside
        text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
        text = text.rstrip("\n") + "\n"
        if self.path.exists() and self.path.read_bytes() == text.encode():
            return
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.partial")
        try:
            with partial.open("w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            if self.path.exists():
                partial.chmod(self.path.stat().st_mode & 0o7777)
            partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)
        self._seen = self._stamp()

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            info = self.path.stat()
        except FileNotFoundError:
            return None
        return info.st_ino, info.st_size, info.st_mtime_ns


# -- pictures ------------------------------------------------------------------------------------------------


def write_pictures(notebook: NotebookNode, ids: Sequence[str], directory: Path) -> list[Path]:
    """Write every picture that a notebook shows into a directory, named by its caption, else by its cell.

    Raises:
        OSError: they cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for cell, cell_id in zip(notebook.cells, ids, strict=True):
        for caption, mime, data in _pictures(cell):
            stem = re.sub(r"[^\w.+@-]", "_", caption or cell_id).strip(".") or "picture"
            stem = stem.removesuffix(_SUFFIX[mime])
            path, number = directory / (stem + _SUFFIX[mime]), 1
            while path in written:
                number += 1
                path = directory / f"{stem}-{number}{_SUFFIX[mime]}"
            path.write_bytes(data)
            written.append(path)
    return written


def _pictures(cell: Mapping[str, Any]) -> Iterator[tuple[str, str, bytes]]:
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        mime = next((mime for mime in _SUFFIX if mime in data), None)
        if mime is None:
            continue
        text = data[mime] if isinstance(data[mime], str) else "".join(data[mime])
        caption = output.get("metadata", {}).get(mime, {}).get("alt", "")
        try:
            yield caption, mime, text.encode() if mime == "image/svg+xml" else base64.b64decode(text)
        except binascii.Error:
            say(f"warning: a picture of the notebook is damaged: {caption or mime}")
