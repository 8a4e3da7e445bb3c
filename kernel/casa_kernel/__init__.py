"""The CASA kernel: memoised tasks, tools and the verbs of casashell in a notebook.

``%load_ext casa_kernel`` in any Python kernel gives what the kernel ``casa`` gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Put CASA into the namespace of ``shell`` and start loading CASA's libraries in the background.

    Raises:
        ImportError: no CASA is installed; the message says what to do.
    """
    from .extension import load

    load(shell).session.warm()


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take out of ``shell`` what :func:`load_ipython_extension` put in, and stop CASA."""
    from .extension import unload

    unload(shell)
