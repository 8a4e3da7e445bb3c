"""Compare data products of two directories, array by array: ``equality.py ONE OTHER NAME...``.

The last line that is printed is JSON: ``{"arrays", "bytes", "different": [...], "digests", "unlike": [...]}``: how many
arrays were compared and which differ; how many canonical digests, and of which products they differ.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from casatools import table

import casa_recompute.runner.worker

sys.path.insert(0, os.path.dirname(casa_recompute.runner.worker.__file__))  # imported by path, as there
from canonical import canonical_digest

_NO_DATA = {"HISTORY", "logtable"}  # hold times and paths


def arrays(product: Path) -> Iterator[tuple[str, Any]]:
    """The arrays of a product: of every column of every table in it, of a FITS file."""
    if product.suffix == ".fits":
        with fits.open(product) as units:
            for number, unit in enumerate(units):
                if unit.data is not None:
                    yield f"HDU {number}", np.array(unit.data)
        return
    for description in sorted(product.rglob("table.dat")):
        root = description.parent
        if not _NO_DATA & set(root.parts):
            yield from columns(root, str(root.relative_to(product)))


def columns(root: Path, name: str) -> Iterator[tuple[str, Any]]:
    """The columns of one table, row by row where rows differ in shape."""
    opened = table()
    opened.open(str(root), lockoptions={"option": "usernoread"})
    try:
        for column in opened.colnames():
            if not opened.nrows():
                continue
            try:
                yield f"{name}: {column}", opened.getcol(column)
            except RuntimeError:
                for row in range(opened.nrows()):
                    if opened.iscelldefined(column, row):
                        yield f"{name}: {column}[{row}]", opened.getcell(column, row)
    finally:
        opened.close()


def same(one: Any, other: Any) -> bool:
    """Whether two cells or columns hold the same values; not-a-number equals itself."""
    if isinstance(one, dict) or isinstance(other, dict):
        return repr(one) == repr(other)
    one, other = np.asarray(one), np.asarray(other)
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def main() -> None:
    """Compare all products that are named."""
    result: dict[str, Any] = {"arrays": 0, "bytes": 0, "different": [], "digests": 0, "unlike": []}
    for name in sys.argv[3:]:
        one, other = Path(sys.argv[1]) / name, Path(sys.argv[2]) / name
        if not other.exists() or not one.exists():
            result["different"].append(f"{name}: is in one of the two only")
            continue
        first, second = dict(arrays(one)), dict(arrays(other))
        if first.keys() != second.keys():
            result["different"].append(
                f"{name}: {sorted(first.keys() ^ second.keys())[:3]} in one of the two only"
            )
        for key in first.keys() & second.keys():
            result["arrays"] += 1
            result["bytes"] += np.asarray(first[key]).nbytes
            if not same(first[key], second[key]):
                result["different"].append(f"{name}: {key}")
        result["digests"] += 1
        if canonical_digest(str(one)) != canonical_digest(str(other)):
            result["unlike"].append(name)
    print("\n" + json.dumps(result))


if __name__ == "__main__":
    main()
