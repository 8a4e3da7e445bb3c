"""Tells how the data of two versions of a product differ: their flags, their pixels, their pictures or their texts.

Started by path in the interpreter of the site's CASA: ``compare.py BEFORE AFTER``; uses the standard library, numpy and
casatools only. Prints one line of JSON, also when it fails. It ends when its standard input is closed, so it never
outlives who asked.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
import threading
from typing import Any

import flags
import pixels

_FILE = 1_000_000  # bytes of a picture or text that is shown
_LINES = 400  # of a table that are told
_PICTURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def kind_of(path: str) -> str:
    """What lies at a path: "flags" (a table that has some), "image", "picture", "text" or "other"."""
    if os.path.isdir(path):
        if not os.path.isfile(f"{path}/table.dat"):
            return "other"
        with flags.opened(path) as tool:
            columns = tool.colnames()
            if "map" in columns and "coords" in tool.keywordnames():
                return "image"
            return "flags" if "FLAG" in columns and tool.nrows() else "other"
    with open(path, "rb") as file:
        head = file.read(2880)
        if head.startswith(b"SIMPLE  =") and b"GROUPS  =" not in head:
            return "image"
        if os.path.getsize(path) > _FILE:
            return "other"
        if head.startswith(tuple(_PICTURES)):
            return "picture"
        with contextlib.suppress(UnicodeDecodeError):
            if "\0" not in (head + file.read()).decode():
                return "text"
    return "other"


def compare(before: str, after: str) -> dict[str, Any]:
    """What differs in the data: ``flags``, ``image`` or ``files`` (pictures and texts), as their ``kind`` is."""
    kinds = {kind_of(before), kind_of(after)}
    kind = kinds.pop() if len(kinds) == 1 else "other"
    told: dict[str, Any] = {"kind": kind, "flags": None, "image": None, "files": None}
    if kind in _COMPARED:
        member, look = _COMPARED[kind]
        told[member] = look(before, after)
    return told


def _flags(before: str, after: str) -> dict[str, Any]:
    found = [flags.count(path) for path in (before, after)]
    groups = []
    for by in flags.GROUPS:
        numbers = sorted(set(found[0].groups[by]) | set(found[1].groups[by]))
        names = {**found[0].names.get(by, {}), **found[1].names.get(by, {})}
        rows = [
            {"id": number, "name": names.get(number, ""), **_sides([one.groups[by].get(number) for one in found])}
            for number in numbers[:_LINES]
        ]
        if rows:
            groups.append({"by": by, "rows": rows, "omitted": len(numbers) - len(rows)})
    return {"total": _sides([one.total for one in found]), "groups": groups, "read": min(one.read for one in found)}


def _sides(counted: list[list[int] | None]) -> dict[str, float | None]:
    shares = [100 * pair[0] / pair[1] if pair and pair[1] else None for pair in counted]
    return dict(zip(("before", "after"), shares, strict=True))


def _pictures(before: str, after: str) -> dict[str, Any]:
    return {side: _address(path) for side, path in (("before", before), ("after", after))}


def _address(path: str) -> str:
    with open(path, "rb") as file:
        data = file.read()
    mime = next(mime for start, mime in _PICTURES.items() if data.startswith(start))
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def _texts(before: str, after: str) -> dict[str, Any]:
    found = {}
    for side, path in (("before", before), ("after", after)):
        with open(path, encoding="utf-8") as file:
            found[side] = file.read()
    return found


_COMPARED = {
    "flags": ("flags", _flags),
    "image": ("image", pixels.compare),
    "picture": ("files", _pictures),
    "text": ("files", _texts),
}


def _end_with_owner() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main(before: str, after: str) -> None:
    """Print how the data at two places differ."""
    threading.Thread(target=_end_with_owner, daemon=True).start()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what CASA prints is no answer
    import casatools
    import ports

    ports.close_registry(casatools)
    try:
        told = json.dumps(compare(before, after), allow_nan=False)
    except (RuntimeError, OSError, ValueError, LookupError, TypeError) as error:  # casacore's own; data as we know none
        told = json.dumps({"error": (str(error) or type(error).__name__)[:1000]})
    print(told, file=answers, flush=True)
    os._exit(0)  # nothing of CASA's need be taken down


if __name__ == "__main__":
    main(*sys.argv[1:])
