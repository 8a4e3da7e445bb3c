"""Measure what the project promises: ratios of two things measured in this run, and milliseconds where it says so.

``python benchmarks/run.py [--only NAME]... [--json] [--quick] [--reflink-dir DIR] [--zfs DATASET]``
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cell_rows
import core_rows
import crowd_rows
import log_rows
import server_rows
import start_rows
import store_rows
import tutorial_rows
from disks import Unmeasurable
from table import HEADER, Row


def main() -> int:
    """Measure; exit 1 when a target is not met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="measure this group only; may be repeated"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--quick", action="store_true", help="fewer repetitions: for a look, not for a verdict"
    )
    parser.add_argument("--reflink-dir", type=Path, help="a directory on btrfs, XFS or OpenZFS >= 2.2")
    parser.add_argument("--zfs", metavar="DATASET", help="a ZFS dataset in which others can be made")
    arguments = parser.parse_args()
    few, many = (2, 20) if arguments.quick else (5, 101)
    given = arguments.reflink_dir
    groups: dict[str, Callable[[], Iterable[Row]]] = {
        "tutorial": tutorial_rows.tutorial,
        "hit": lambda: core_rows.hit(many),
        "restore": lambda: core_rows.restore(given, many),
        "overhead-reflink": lambda: core_rows.overhead_reflink(given, few),
        "overhead-copy": lambda: core_rows.overhead_copy(few),
        "plan": lambda: cell_rows.plan(many // 5),
        "replan": lambda: server_rows.replan(many // 5),
        "server": lambda: server_rows.server(10 if arguments.quick else 60),
        "busy": lambda: server_rows.busy(10 if arguments.quick else 60),
        "logs": lambda: log_rows.logs(200 if arguments.quick else 5000),
        "cells": lambda: cell_rows.cells(many // 5),
        "store": lambda: store_rows.store(arguments.quick),
        "store-zfs": lambda: store_rows.zfs_sizes(arguments.zfs, arguments.quick),
        "crowd": lambda: crowd_rows.crowd(10 if arguments.quick else 100),
        "store-tutorial": lambda: store_rows.tutorial_variations(arguments.quick),
        "start": lambda: start_rows.kernel_start(3 if arguments.quick else 15),
    }
    if unknown := set(arguments.only or ()) - set(groups):
        parser.error(f"no such group: {', '.join(unknown)}; there are {', '.join(groups)}")
    rows: list[Row] = []
    told = sys.stderr if arguments.json else sys.stdout
    print(HEADER, file=told, flush=True)
    for name in arguments.only or groups:
        for row in measured(name, groups[name]):
            rows.append(row)
            print(row.line(), file=told, flush=True)
    if arguments.json:
        print(json.dumps({"cores": os.cpu_count(), "rows": [row.as_dict() for row in rows]}, indent=1))
    return 0 if all(row.met is not False for row in rows) else 1


def measured(name: str, group: Callable[[], Iterable[Row]]) -> Iterator[Row]:
    """The rows of a group, or one that says why there are none."""
    try:
        yield from group()
    except Unmeasurable as error:
        yield Row(name, "not measured", None, None, str(error))


if __name__ == "__main__":
    sys.exit(main())
