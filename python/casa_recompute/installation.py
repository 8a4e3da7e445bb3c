"""The CASA in use: the tasks and the versions of its packages, found without loading it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from casa_recompute.runner import CasaNotLoaded
from casa_recompute.settings import Settings
from casa_recompute.tasks import Catalogue, load_catalogue

_PACKAGES = ("casatasks", "casatools", "casadata", "casaplotms", "casaviewer", "casatablebrowser")


class Installation:
    """CASA in the interpreter that the settings name, which may be another than this one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def catalogue(self) -> Catalogue:
        """All its tasks."""
        return load_catalogue(self._site)

    @cached_property
    def versions(self) -> dict[str, str]:
        """Versions of its packages.

        Raises:
            CasaNotLoaded: there is no CASA.
        """
        if self._settings.python == sys.executable:
            found = {name: version for name in _PACKAGES if (version := _version(name)) is not None}
        else:
            code = (
                "import importlib.metadata as m, json, sys\n"
                "found = {d.metadata['Name']: d.version for d in m.distributions()}\n"
                "print(json.dumps({name: found[name] for name in sys.argv[1:] if name in found}))"
            )
            found = dict(_ask(self._settings, code, *_PACKAGES))
        if "casatasks" not in found:
            raise CasaNotLoaded(f"{self._settings.python} has no casatasks: install it there, or set another `python`")
        return found

    def key_environment(self, package: str, threads: str) -> dict[str, str]:
        """What of the surroundings enters the key of a call to a task of ``package``."""
        wanted = ("casatasks", "casatools", "casadata", package)
        return {name: self.versions[name] for name in wanted if name in self.versions} | {"threads": threads}

    @cached_property
    def _site(self) -> Path | None:
        if self._settings.python == sys.executable:
            return None
        code = (
            "import importlib.util as u,json,os\n"
            "s=u.find_spec('casatasks')\n"
            "print(json.dumps({'site': os.path.dirname(s.submodule_search_locations[0]) if s else ''}))"
        )
        site = _ask(self._settings, code)["site"]
        return Path(site) if site else None


def _version(name: str) -> str | None:
    """As importlib.metadata.version, without reading the package's whole description (3 ms each)."""
    try:
        text = importlib.metadata.distribution(name).read_text("METADATA") or ""
    except importlib.metadata.PackageNotFoundError:
        return None
    found = re.search(r"^Version:\s*(\S+)", text, re.MULTILINE | re.IGNORECASE)
    return found[1] if found else importlib.metadata.version(name)


def _ask(settings: Settings, code: str, *arguments: str) -> Mapping[str, Any]:
    """Run a few lines in the worker's interpreter that print one JSON object."""
    python = settings.python
    try:
        done = subprocess.run(
            [python, "-c", code, *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env={**os.environ, **settings.environment},
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CasaNotLoaded(f"the interpreter {python} cannot be used: {error}") from error
    answer: Mapping[str, Any] = json.loads(done.stdout)
    return answer
