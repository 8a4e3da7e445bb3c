"""A plain process that runs CASA tasks, as a script does: what calls are measured against.

``bare.py STEPS REFLINK``: STEPS is a JSON list of ``[task, arguments, products]``. After each task one ``cp -a``
is timed, while the files are as dirty in memory as they are when a call is captured: of the products (REFLINK
``always``), or of those of their files that the task wrote (``never``). The last line that is printed is a JSON
list of ``[seconds of the task, seconds of cp]``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from disks import copy_seconds, stamps, written


def main() -> None:
    """Run the steps in the working directory."""
    import casatasks

    casatasks.casalog.setlogfile("/dev/null")
    seconds = []
    for task, arguments, names in json.loads(sys.argv[1]):
        products = [Path.cwd() / name for name in names]
        before = stamps(products)
        began = time.perf_counter()
        getattr(casatasks, task)(**arguments)
        took = time.perf_counter() - began
        files = products if sys.argv[2] == "always" else written(before, products)
        seconds.append([took, copy_seconds(files, sys.argv[2], 1)])
    print("\n" + json.dumps(seconds))


if __name__ == "__main__":
    main()
