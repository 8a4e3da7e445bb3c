"""Run a notebook's cells in a plain Python process with CASA as it comes: what the kernel is measured against.

``bare_notebook.py NOTEBOOK PARAMETERS``: PARAMETERS is a JSON object that overrides the cell tagged ``parameters``.
The last line that is printed is JSON: ``{"load": seconds to import CASA, "cells": {id: seconds}}``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Run it in the working directory."""
    cells = [c for c in json.loads(Path(sys.argv[1]).read_text())["cells"] if c["cell_type"] == "code"]
    parameters = json.loads(sys.argv[2])
    began = time.perf_counter()
    import casatasks

    load = time.perf_counter() - began
    casatasks.casalog.setlogfile("/dev/null")
    names: dict[str, Any] = {n: getattr(casatasks, n) for n in dir(casatasks) if not n.startswith("_")}
    from casaplotms import plotms

    names["plotms"] = plotms
    seconds = {}
    for cell in cells:
        began = time.perf_counter()
        exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
        seconds[cell["id"]] = time.perf_counter() - began
        if "parameters" in cell["metadata"].get("tags", []):
            names.update(parameters)
    print("\n" + json.dumps({"load": load, "cells": seconds}))


if __name__ == "__main__":
    main()
