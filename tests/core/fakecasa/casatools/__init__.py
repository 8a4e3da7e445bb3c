"""A stand-in for casatools, see ../casatasks. A table's columns are in a file of JSON; FAKE_STUCK is never read."""

import json
import os
import time
from typing import Any


def version_string() -> str:
    return "0.0"


class table:
    def showcache(self, verbose: bool = True) -> list[str]:
        return []

    def clearlocks(self) -> None:
        pass

    def open(self, path: str, lockoptions: object = None, nomodify: bool = True) -> None:
        time.sleep(float(os.environ.get("FAKE_PAUSE", "0")))
        with open(os.path.join(path, "table.dat")) as stream:
            self._columns = json.load(stream)

    def close(self) -> None:
        self._columns = {}

    def nrows(self) -> int:
        return max(map(len, self._columns.values()), default=0)

    def colnames(self) -> list[str]:
        return list(self._columns)

    def getcol(self, column: str, start: int = 0, count: int = -1) -> Any:
        import numpy

        if start + max(count, 0) > self.nrows():
            raise RuntimeError("no such row")
        while column == os.environ.get("FAKE_STUCK"):
            time.sleep(0.1)
        return numpy.array(self._columns[column][start:][: count if count >= 0 else None])

    def getcell(self, column: str, row: int) -> Any:
        return self._columns[column][row]


class measures:
    def epoch(self, *_: str) -> None:
        pass

    def measure(self, *_: object) -> None:
        pass

    def done(self) -> None:
        pass
