"""``jupyter casa tutorial``."""

from __future__ import annotations

import argparse

from jupyterlab_casa.cli.text import FAILED, CommandError, say
from jupyterlab_casa.tutorial import TutorialError, write_tutorial


def tutorial(arguments: argparse.Namespace) -> int:
    """Write the tutorial; its notebook's path goes to standard output."""
    try:
        notebook = write_tutorial(arguments.directory)
    except TutorialError as error:
        raise CommandError(str(error), FAILED) from error
    except OSError as error:
        raise CommandError(f"{arguments.directory} cannot be written: {error.strerror}", FAILED) from error
    print(notebook, flush=True)
    say(f"Open it with: jupyter lab {notebook}")
    return 0
