"""Arguments of ``jupyter casa``. A command's module is imported when it is used, so that help is instant."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from jupyterlab_casa import __version__
from jupyterlab_casa.cli.text import INTERRUPTED, CommandError, say


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="jupyter casa", description="CASA notebooks that remember every task call.", allow_abbrev=False
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    tutorial = commands.add_parser("tutorial", help="write the NGC 5921 tutorial and its data")
    tutorial.add_argument("directory", metavar="DIR", nargs="?", type=Path, default=Path("casa-tutorial"))
    tutorial.set_defaults(command="tutorial:tutorial")

    run = commands.add_parser(
        "run",
        help="make a notebook fresh: execute the cells that have to be",
        description="Make NOTEBOOK what a run from top to bottom in a new kernel would give. Only cells whose "
        "inputs changed are executed, in its directory with the kernel casa; task calls whose results are known are "
        "restored instead of run. Exit code 1: a cell failed; 2: wrong usage; 130: Ctrl-C.",
    )
    run.add_argument("notebook", metavar="NOTEBOOK", type=Path)
    run.add_argument("-o", "--output", metavar="OUT", type=Path, help="write the executed notebook here, not in place")
    run.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        metavar=("NAME", "VALUE"),
        action="append",
        default=[],
        help="set a parameter after the cell tagged 'parameters' (as papermill does); may be repeated",
    )
    run.add_argument("--all", action="store_true", help="execute every cell, also fresh ones")
    run.add_argument("--timeout", metavar="S", type=_seconds, help="interrupt a cell after S seconds")
    run.add_argument("--pictures", metavar="DIR", type=Path, help="write the notebook's pictures into DIR, too")
    _json(run)
    run.set_defaults(command="run:run")

    plan = commands.add_parser("plan", help="which cells are stale, why, and what it costs; runs nothing")
    plan.add_argument("notebook", metavar="NOTEBOOK", type=Path)
    _json(plan)
    plan.set_defaults(command="plan:plan")

    graph = commands.add_parser("graph", help="what depends on what: cells, calls, products and names")
    graph.add_argument("notebook", metavar="NOTEBOOK", type=Path)
    forms = graph.add_mutually_exclusive_group()
    for form, text in (
        ("json", "print one JSON object and nothing else to standard output"),
        ("dot", "print it in the language of Graphviz"),
        ("svg", "print a picture"),
    ):
        forms.add_argument(f"--{form}", dest="form", action="store_const", const=form, help=text)
    graph.set_defaults(command="plan:graph", form="text")

    cache = commands.add_parser("cache", help="what a workspace remembers")
    parts = cache.add_subparsers(metavar="COMMAND", required=True)
    for name, function, text in (
        ("info", "info", "store, sizes, time saved"),
        ("list", "list_versions", "every version of every data product"),
        ("verify", "verify_files", "read every stored file; what a disk has changed is removed, to be computed again"),
        ("gc", "collect_garbage", "let versions go until the budget is kept, the cheapest to compute again first"),
    ):
        part = parts.add_parser(name, help=text)
        part.add_argument("workspace", metavar="DIR", nargs="?", type=Path, default=Path("."))
        if name == "gc":
            part.add_argument("--dry-run", action="store_true", help="only tell what would go, and why the rest stays")
            part.add_argument(
                "--budget", metavar="GB", type=_gigabytes, help="of disk for versions (default: settings)"
            )
        _json(part)
        part.set_defaults(command=f"cache:{function}")

    export = parts.add_parser("export", help="write a workspace with its history to a file")
    export.add_argument("file", metavar="FILE", type=Path)
    export.add_argument("workspace", metavar="DIR", nargs="?", type=Path, default=Path("."))
    export.add_argument("--portable", action="store_true", help="a tar archive, also where versions are ZFS snapshots")
    _json(export)
    export.set_defaults(command="cache:export")
    part = parts.add_parser("import", help="make a workspace of what was exported")
    part.add_argument("file", metavar="FILE", type=Path)
    part.add_argument("workspace", metavar="DIR", type=Path, help="new, or empty")
    _json(part)
    part.set_defaults(command="cache:import_")

    doctor = commands.add_parser("doctor", help="what works on this machine, and what cures the rest")
    doctor.add_argument("directory", metavar="DIR", nargs="?", type=Path, default=Path("."), help="a workspace")
    doctor.add_argument("--gui", action="store_true", help="make a plot with plotms, too (takes some seconds)")
    _json(doctor)
    doctor.set_defaults(command="doctor:doctor")
    return top


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--json", action="store_true", help="print one JSON object and nothing else to standard output"
    )


def _seconds(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return int(text)


def _gigabytes(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of GB")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    arguments = parser().parse_args(argv)
    if "jsonschema" not in sys.modules:
        # jsonschema, which nbformat uses, imports this if it can. It compiles a grammar for some seconds, each time
        # anew, to check resource identifiers; there are none in what we read.
        sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    module, function = arguments.command.split(":")
    try:
        code: int = getattr(import_module(f"jupyterlab_casa.cli.{module}"), function)(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever reads, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except CommandError as error:
        say(f"jupyter casa: {error}")
        return error.code
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
