"""Run by beside_ipyflow.py with the Python of a venv that has ipyflow and numpy: prints one JSON object."""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

import same_cells


def shell(kind: str) -> Any:
    """An IPython shell, with ipyflow or without."""
    if kind == "plain":
        from IPython.core.interactiveshell import InteractiveShell as Shell
    else:
        from ipyflow.shell.interactiveshell import IPyflowInteractiveShell as Shell
    return Shell.instance()


class Runner:
    """Runs cells whose identities are whole numbers, by which ipyflow orders them."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.shell = shell(kind)

    def run(self, cell: int, source: str) -> float:
        """Run a cell; the milliseconds it took."""
        if self.kind == "ipyflow":
            from ipyflow.singletons import flow

            flow().set_active_cell(cell)
        began = time.perf_counter()
        result = self.shell.run_cell(source, store_history=True)
        result.raise_error()
        return 1e3 * (time.perf_counter() - began)


def main() -> None:
    """Measure in a plain shell, or in ipyflow's."""
    kind = sys.argv[1]
    here = Runner(kind)
    told: dict[str, Any] = {"notices": {}}
    told["bind"] = statistics.median(here.run(1, same_cells.bind(go)) for go in range(3))
    told["change"] = statistics.median(here.run(2, same_cells.change(go)) for go in range(3))
    took = [here.run(10 + number, source) for number, source in enumerate(same_cells.chain())]
    told["chain"], told["chain end"] = statistics.median(took), statistics.median(took[-50:])
    without = statistics.median(here.run(3, f"y = {go}\nz = [y] * 10") for go in range(20))
    told["large"] = here.run(4, same_cells.LARGE)
    told["beside large"] = statistics.median(here.run(3, f"y = {go}\nz = [y] * 10") for go in range(20)) - without
    if kind == "ipyflow":
        from ipyflow.singletons import flow

        for number, (what, cells) in enumerate(same_cells.STALE.items()):
            first = 10_000 + 10 * number
            # What changes stands above what reads: ipyflow's default is that cells act on those below only.
            for place, source in zip((0, 2, 1), cells, strict=True):
                here.run(first + place, source)
            found = flow().check_and_link_multiple_cells()
            told["notices"][what] = first + 2 in {*found.ready_cells, *found.waiting_cells}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
