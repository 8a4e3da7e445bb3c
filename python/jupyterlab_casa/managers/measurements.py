"""What is in MeasurementSets, so that names can be offered where they are asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from traitlets import Float, Integer

from casa_recompute.products import scan
from casa_recompute.runner import CasaNotLoaded
from casa_recompute.runner.describe import Unreadable, describe
from casa_recompute.settings import SettingsError
from jupyterlab_casa.managers.base import Conflict, Manager, NotThere

SCHEMA = 1
"""Version of the JSON object."""
NONE = json.dumps(
    {
        "schema": SCHEMA,
        "exists": False,
        "rows": 0,
        **{kind: [] for kind in ("fields", "spws", "antennas", "intents", "correlations", "scans")},
    }
).encode()
"""The answer where there is no MeasurementSet."""
_NEEDED = ("table.dat", "FIELD/table.dat", "SPECTRAL_WINDOW/table.dat", "ANTENNA/table.dat")


class MeasurementSets(Manager):
    """Describes MeasurementSets and calibration tables. A short-lived process of the site's CASA reads them."""

    patience = Float(
        20.0, min=0.1, help="Seconds after which a process that reads a MeasurementSet is ended. Default: 20."
    ).tag(config=True)
    known_limit = Integer(64, min=1, help="MeasurementSets of which the answer is remembered. Default: 64.").tag(
        config=True
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._known: dict[tuple[Path, tuple[bytes, ...]], bytes] = {}

    async def get(self, path: str, ms: str) -> bytes:
        """Fields, spectral windows, antennas, scans and times, as JSON.

        That there is none (or it lies outside of the root) is an answer, too: who types a name asks for its beginnings.

        Args:
            path: of the workspace, or of a notebook in it.
            ms: as a task of a notebook there names it.

        Raises:
            NotThere: there is no such workspace.
            Conflict: it cannot be read.
            Overloaded: too much is waiting already.
        """
        directory = self.root.workspace(path)
        try:
            real = self.root.named(directory, ms)
        except NotThere:
            return NONE
        return await self.once(real, lambda: self._get(real, ms))

    def _get(self, real: Path, ms: str) -> bytes:
        try:
            if not all((real / name).is_file() for name in _NEEDED):
                return NONE
            # What tasks do to data and flags changes nothing here.
            tables = sorted(entry.parent for entry in real.glob("*/table.dat"))
            state = tuple(scan(place).signature() for place in (real / "table.dat", *tables))
            key = real, state
            if key not in self._known:
                found = describe(real, self.root.directory, self.settings, self.patience)
                answer = json.dumps({"schema": SCHEMA, "exists": True, **found}).encode()
                if found["scans"] is None:
                    return answer  # next time there may be more
                self._known = {known: said for known, said in self._known.items() if known[0] != real}
                self._known[key] = answer
                while len(self._known) > self.known_limit:
                    del self._known[next(iter(self._known))]
            return self._known[key]
        except (Unreadable, CasaNotLoaded, SettingsError) as error:
            raise Conflict(f"{ms[:200]}: {error}") from error
        except OSError as error:
            raise Conflict(f"{ms[:200]}: {error.strerror}") from error
