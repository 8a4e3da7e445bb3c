"""Tells what is in a MeasurementSet: fields, spectral windows, antennas, scans.

Started by path in the interpreter of the site's CASA: ``describe.py MS ROOT``; uses the standard library, numpy and
casatools only. Prints two lines of JSON: what small tables say at once, then the scans, for which the main table is
read. It ends when its standard input is closed, so it never outlives who asked.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

NAMES = 5000  # of each kind, at most
LONGEST = 200  # characters of a name
_ROWS = 1 << 19  # of the main table, that are read at a time
_STOKES = ("", "I", "Q", "U", "V", "RR", "RL", "LR", "LL", "XX", "XY", "YX", "YY")
_EPOCH = datetime.datetime(1858, 11, 17)  # of modified Julian dates
NO_LOCK = {"option": "usernoread"}  # a kernel that writes is not waited for


class NoTable(Exception):
    """It is no MeasurementSet, or it leads to somewhere else."""


@contextlib.contextmanager
def _opened(path: str, root: str) -> Iterator[Any]:
    from casatools import table

    if not os.path.realpath(path).startswith(os.path.join(root, "")) or not os.path.isfile(f"{path}/table.dat"):
        raise NoTable(f"it is no MeasurementSet: there is no table {os.path.basename(path)}")
    tool = table()
    try:
        tool.open(path, lockoptions=NO_LOCK, nomodify=True)
        yield tool
    finally:
        tool.close()


def _texts(tool: Any, column: str) -> list[str]:
    if column not in tool.colnames():
        return [""] * min(int(tool.nrows()), NAMES)
    return [str(name)[:LONGEST] for name in tool.getcol(column, 0, min(int(tool.nrows()), NAMES))]


def _numbers(tool: Any, column: str) -> list[float]:
    return [value.item() for value in tool.getcol(column, 0, min(int(tool.nrows()), NAMES))]


def _time(seconds: float) -> str:
    """A time as CASA's selections have it; empty: it is none."""
    try:
        return (_EPOCH + datetime.timedelta(seconds=float(seconds))).strftime("%Y/%m/%d/%H:%M:%S")
    except (OverflowError, ValueError):
        return ""


def small_tables(ms: str, root: str) -> dict[str, Any]:
    """What the sub-tables say.

    Raises:
        NoTable: it has none.
    """
    found: dict[str, Any] = {"fields": [], "spws": [], "antennas": [], "intents": [], "correlations": []}
    with _opened(ms, root) as tool:
        rows = int(tool.nrows())
    with _opened(f"{ms}/FIELD", root) as tool:
        found["fields"] = [{"id": n, "name": name} for n, name in enumerate(_texts(tool, "NAME"))]
    with _opened(f"{ms}/SPECTRAL_WINDOW", root) as tool:
        columns = zip(
            _texts(tool, "NAME"),
            _numbers(tool, "NUM_CHAN"),
            _numbers(tool, "REF_FREQUENCY"),
            _numbers(tool, "TOTAL_BANDWIDTH"),
            strict=True,
        )
        found["spws"] = [
            {"id": n, "name": name, "channels": int(channels), "frequency": frequency, "bandwidth": width}
            for n, (name, channels, frequency, width) in enumerate(columns)
        ]
    with _opened(f"{ms}/ANTENNA", root) as tool:
        pairs = zip(_texts(tool, "NAME"), _texts(tool, "STATION"), strict=True)
        found["antennas"] = [{"id": n, "name": name, "station": station} for n, (name, station) in enumerate(pairs)]
    with contextlib.suppress(NoTable), _opened(f"{ms}/STATE", root) as tool:
        intents = {intent for text in _texts(tool, "OBS_MODE") for intent in text.split(",") if intent}
        found["intents"] = sorted(intents)
    with contextlib.suppress(NoTable), _opened(f"{ms}/POLARIZATION", root) as tool:
        codes = {int(code) for row in range(min(int(tool.nrows()), NAMES)) for code in tool.getcell("CORR_TYPE", row)}
        found["correlations"] = [_STOKES[code] for code in sorted(codes) if 0 < code < len(_STOKES)]
    return found | {"rows": rows}


def scans(ms: str, root: str) -> list[dict[str, Any]]:
    """The scans, with their fields and times."""
    import numpy as np

    found: dict[int, tuple[set[int], float, float]] = {}
    with _opened(ms, root) as tool:
        rows = int(tool.nrows())
        for start in range(0, rows, _ROWS):
            count = min(_ROWS, rows - start)
            numbers, fields, times = (tool.getcol(name, start, count) for name in ("SCAN_NUMBER", "FIELD_ID", "TIME"))
            for number in np.unique(numbers).tolist():
                here = numbers == number
                known, first, last = found.get(number, (set(), float("inf"), float("-inf")))
                known.update(np.unique(fields[here]).tolist())
                found[number] = known, min(first, times[here].min().item()), max(last, times[here].max().item())
    return [
        {"number": number, "fields": sorted(fields)[:NAMES], "begin": _time(first), "end": _time(last)}
        for number, (fields, first, last) in sorted(found.items())[:NAMES]
    ]


def _end_with_owner() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main(ms: str, root: str) -> None:
    """Print what is in ``ms``, which lies below ``root``, both real paths."""
    threading.Thread(target=_end_with_owner, daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what CASA prints is no answer
    import casatools
    import ports

    ports.close_registry(casatools)
    try:
        print(json.dumps(small_tables(ms, root)), file=answers)
        print(json.dumps({"scans": scans(ms, root)}), file=answers)
    except (NoTable, RuntimeError) as error:  # RuntimeError: casacore's own
        print(json.dumps({"error": str(error)[:1000]}), file=answers)
    answers.flush()
    os._exit(0)  # nothing of CASA's need be taken down


if __name__ == "__main__":
    main(*sys.argv[1:])
