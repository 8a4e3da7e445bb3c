"""What a cell shows: from the kernel's messages to nbformat-4 outputs, and their identity.

The same outputs are written in many ways: the kernel sends text in pieces, nbclient writes the pieces one by one,
JupyterLab joins them and applies carriage returns and backspaces before it saves, nbformat splits text into lines.
:func:`digest` sees through all of that.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from blake3 import blake3

Output = dict[str, Any]

_JSON = re.compile(r"application/(json|.*\+json)")
_BASE64 = re.compile(r"(image/(?!svg)|audio/|video/|application/pdf)")  # white space in them means nothing
_CONTROL = re.compile(r"([\r\b])")


class Showing:
    """The outputs of one cell as its messages come in.

    ``elsewhere``: what other cells show from now on, if they show that display id: id -> data and metadata.
    """

    def __init__(self) -> None:
        self.elsewhere: dict[str, dict[str, Any]] = {}
        self._outputs: list[Output] = []  # the text of a stream is a list of its pieces
        self._displays: dict[str, list[Output]] = {}  # by display id
        self._clear_next = False

    def add(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take one iopub message in; kinds that show nothing are ignored."""
        if kind == "clear_output":
            if content.get("wait"):
                self._clear_next = True
            else:
                self._clear()
        elif kind in ("display_data", "execute_result", "update_display_data"):
            self._display(kind, content)
        elif kind == "stream":
            self._before_output()
            last = self._outputs[-1] if self._outputs else {}
            if last.get("name") == content["name"]:
                last["text"].append(content["text"])
            else:
                self._outputs.append({"output_type": kind, "name": content["name"], "text": [content["text"]]})
        elif kind == "error":
            self._before_output()
            known = ("ename", "evalue", "traceback")
            self._outputs.append({"output_type": kind, **{name: content[name] for name in known}})

    def outputs(self) -> list[Output]:
        """What is shown now, as nbformat-4 outputs."""
        return [
            {**output, "text": "".join(output["text"])} if output["output_type"] == "stream" else dict(output)
            for output in self._outputs
        ]

    def displays(self) -> dict[str, list[int]]:
        """Which of the outputs show a display id, by their positions."""
        return {
            identity: [i for i, output in enumerate(self._outputs) if any(output is one for one in shown)]
            for identity, shown in self._displays.items()
        }

    def _display(self, kind: str, content: Mapping[str, Any]) -> None:
        bundle = {"data": dict(content["data"]), "metadata": dict(content.get("metadata") or {})}
        identity = (content.get("transient") or {}).get("display_id")
        if identity:
            # Front ends treat a second display of the same id as an update of the first, too.
            self.elsewhere[identity] = bundle
            for output in self._displays.get(identity, []):
                output.update(bundle)
        if kind == "update_display_data":
            return
        self._before_output()
        output = {"output_type": kind, **bundle}
        if kind == "execute_result":
            output["execution_count"] = content.get("execution_count")
        self._outputs.append(output)
        if identity:
            self._displays.setdefault(identity, []).append(output)

    def _before_output(self) -> None:
        if self._clear_next:
            self._clear()
            self._clear_next = False

    def _clear(self) -> None:
        self._outputs.clear()
        self._displays.clear()


def from_messages(messages: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Output]:
    """The nbformat-4 outputs of one cell, from the type and content of its iopub messages."""
    showing = Showing()
    for kind, content in messages:
        showing.add(kind, content)
    return showing.outputs()


def renumber(outputs: Sequence[Mapping[str, Any]], count: int) -> list[Output]:
    """The same outputs as of execution ``count``."""
    return [
        {**output, "execution_count": count} if output["output_type"] == "execute_result" else dict(output)
        for output in outputs
    ]


def digest(outputs: Sequence[Mapping[str, Any]]) -> str:
    """Identity of what is shown, whoever wrote it down; ``""`` when nothing is shown.

    Execution counts, metadata (but for the alternative text of pictures) and the order of keys do not count.
    """
    shown: list[Any] = []
    for name, group in groupby(outputs, lambda output: output.get("name", "") if _is_stream(output) else None):
        if name is None:
            shown += [_canonical(output) for output in group]
        elif text := terminal_text("".join(_joined(output["text"]) for output in group)):
            shown.append([name, text])
    return blake3(json.dumps(shown, sort_keys=True).encode()).hexdigest() if shown else ""


def terminal_text(text: str) -> str:
    """``text`` after carriage returns and backspaces had their effect, as JupyterLab saves it.

    Its rules: a carriage return goes back to the start of the line, what follows overwrites character by character;
    a newline ends the line wherever the position is; a backspace deletes the character before the position,
    and the one at it. Characters are counted as JavaScript does, those outside the basic plane twice.
    """
    if not _CONTROL.search(text):
        return text
    return "\n".join(_terminal_line(line) if _CONTROL.search(line) else line for line in text.split("\n"))


def _terminal_line(line: str) -> str:
    units: list[int] = []
    at = 0
    for part in _CONTROL.split(line):
        if part == "\r":
            at = 0
        elif part == "\b":
            if at > 0:
                del units[at - 1 : at + 1]
                at -= 1
        else:
            new = memoryview(part.encode("utf-16-le", "surrogatepass")).cast("H")
            units[at : at + len(new)] = new
            at += len(new)
    return b"".join(unit.to_bytes(2, "little") for unit in units).decode("utf-16-le", "surrogatepass")


def _is_stream(output: Mapping[str, Any]) -> bool:
    return bool(output["output_type"] == "stream")


def _joined(text: str | Sequence[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def _canonical(output: Mapping[str, Any]) -> list[Any]:
    kind = output["output_type"]
    if kind == "error":
        return [kind, output["ename"], output["evalue"], list(output["traceback"])]
    metadata = output.get("metadata") or {}
    data = {}
    for mime, value in output["data"].items():
        options = metadata.get(mime)
        alt = options.get("alt") if isinstance(options, Mapping) else None
        data[mime] = [_canonical_value(mime, value), alt]
    return [kind, data]


def _canonical_value(mime: str, value: Any) -> Any:
    if _JSON.fullmatch(mime):
        return _as_in_javascript(value)
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        value = "".join(value)
    if isinstance(value, str):
        return "".join(value.split()) if _BASE64.match(mime) else value
    return _as_in_javascript(value)


def _as_in_javascript(value: Any) -> Any:
    """JSON data as they are when a browser has read and written them: all numbers are doubles."""
    if isinstance(value, Mapping):
        return {key: _as_in_javascript(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_in_javascript(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        number = float(value) + 0.0  # minus zero is written as 0
    except OverflowError:
        return None  # written as null, as infinity is
    return number if math.isfinite(number) else None
