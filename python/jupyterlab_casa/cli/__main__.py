"""``python -m jupyterlab_casa.cli``: the command, where it is not installed."""

from __future__ import annotations

import sys

from jupyterlab_casa.cli import main

sys.exit(main())
