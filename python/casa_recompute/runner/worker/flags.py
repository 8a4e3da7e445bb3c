"""How much of a table is flagged, and where: counted in a bounded part of its rows, evenly spread.

Uses the standard library, numpy and casatools only.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CELLS = 400_000_000  # flags of a table that are read at most
NO_LOCK = {"option": "usernoread"}  # a kernel that writes is not waited for
GROUPS = ("field", "spw", "scan", "antenna", "correlation")
_CHUNK = 8_000_000  # flags that are read at a time
_BLOCKS = 64  # pieces, at least, that are read where not all is
_STOKES = ("", "I", "Q", "U", "V", "RR", "RL", "LR", "LL", "XX", "XY", "YX", "YY")


@contextlib.contextmanager
def opened(path: str) -> Iterator[Any]:
    """A table to read."""
    from casatools import table

    tool = table()
    try:
        tool.open(path, lockoptions=NO_LOCK, nomodify=True)
        yield tool
    finally:
        tool.close()


@dataclass
class Flags:
    """What was counted: flagged, and all, by the number of a group."""

    total: list[int] = field(default_factory=lambda: [0, 0])
    groups: dict[str, dict[int, list[int]]] = field(default_factory=lambda: {kind: {} for kind in GROUPS})
    names: dict[str, Mapping[int, str]] = field(default_factory=dict)
    read: float = 1.0
    """Which part of it was read."""

    def add(self, kind: str, numbers: Any, flagged: Any, cells: Any) -> None:
        """Rows (or correlations) belong to groups; negative numbers to none."""
        import numpy as np

        known = self.groups[kind]
        for number in np.unique(numbers[numbers >= 0]).tolist():
            here = numbers == number
            counted = known.setdefault(number, [0, 0])
            counted[0] += int(flagged[here].sum())
            counted[1] += int(cells[here].sum())


def count(path: str, limit: int = CELLS) -> Flags:
    """How much of a MeasurementSet or calibration table is flagged."""
    found = Flags()
    descriptions = _descriptions(path)
    labels = list(dict.fromkeys(label for _, kinds in descriptions for label in kinds))
    found.names = {
        "field": dict(enumerate(_names(path, "FIELD"))),
        "antenna": dict(enumerate(_names(path, "ANTENNA"))),
        "correlation": dict(enumerate(labels)),
    }
    with opened(path) as tool, contextlib.ExitStack() as selections:
        parts = [(tool, None)]
        split = "DATA_DESC_ID" if descriptions else "SPECTRAL_WINDOW_ID"
        if split in tool.colnames():  # flags of different ones may have different shapes
            parts = []
            for number in sorted(set(tool.getcol(split).tolist())):
                part = tool.query(f"{split} == {number}")
                selections.callback(part.close)
                parts.append((part, number))
        sizes = [math.prod(part.getcell("FLAG", 0).shape) if part.nrows() else 0 for part, _ in parts]
        cells = sum(part.nrows() * size for (part, _), size in zip(parts, sizes, strict=True))
        stride = max(1, math.ceil(cells / limit))
        for (part, number), size in zip(parts, sizes, strict=True):
            if size == 0:
                continue
            spw, kinds = -1 if number is None else number, list[str]()
            if descriptions and 0 <= spw < len(descriptions):
                spw, kinds = descriptions[spw]
            _count(part, size, stride, found, spw, [labels.index(kind) for kind in kinds])
    found.read = found.total[1] / cells if cells else 1.0
    return found


def _count(part: Any, size: int, stride: int, found: Flags, spw: int, correlations: Sequence[int]) -> None:
    import numpy as np

    rows, columns = int(part.nrows()), part.colnames()
    chunk = max(1, min(_CHUNK // size, rows if stride == 1 else rows // (_BLOCKS * stride)))
    for start in range(0, rows, chunk * stride):
        some = min(chunk, rows - start)
        flags = part.getcol("FLAG", start, some)
        if "FLAG_ROW" in columns:
            flags = flags | part.getcol("FLAG_ROW", start, some)
        each = flags.reshape(-1, some).sum(axis=0)
        cells = np.full(some, flags.size // some)
        found.total[0] += int(each.sum())
        found.total[1] += flags.size
        found.add("spw", np.full(some, spw), each, cells)
        for kind, column in (("field", "FIELD_ID"), ("scan", "SCAN_NUMBER"), ("antenna", "ANTENNA1")):
            if column in columns:
                found.add(kind, part.getcol(column, start, some), each, cells)
        # A baseline belongs to both its antennas; in calibration tables the second one is that of reference.
        if "ANTENNA2" in columns and not {"CPARAM", "FPARAM"} & set(columns):
            second = part.getcol("ANTENNA2", start, some)
            other = second != part.getcol("ANTENNA1", start, some)
            found.add("antenna", second[other], each[other], cells[other])
        if len(correlations) == flags.shape[0]:
            by_correlation = flags.reshape(flags.shape[0], -1)
            counts = np.full(flags.shape[0], by_correlation.shape[1])
            found.add("correlation", np.array(correlations), by_correlation.sum(axis=1), counts)


def _names(path: str, subtable: str) -> list[str]:
    if not os.path.isfile(f"{path}/{subtable}/table.dat"):
        return []
    with opened(f"{path}/{subtable}") as tool:
        return [str(name)[:200] for name in tool.getcol("NAME")] if "NAME" in tool.colnames() else []


def _descriptions(path: str) -> list[tuple[int, list[str]]]:
    """Spectral window, and names of correlations, of each data description; empty: there are none."""
    if not os.path.isfile(f"{path}/DATA_DESCRIPTION/table.dat"):
        return []
    with opened(f"{path}/DATA_DESCRIPTION") as tool:
        pairs = list(zip(tool.getcol("SPECTRAL_WINDOW_ID"), tool.getcol("POLARIZATION_ID"), strict=True))
    with opened(f"{path}/POLARIZATION") as tool:
        kinds = [tool.getcell("CORR_TYPE", row).tolist() for row in range(tool.nrows())]
    return [
        (int(spw), [_STOKES[code] if 0 < code < len(_STOKES) else str(code) for code in kinds[polarization]])
        for spw, polarization in pairs
    ]
