"""What a site or a user may set, with defaults and units.

Settings are read from TOML files, the later winning: ``/etc/jupyterlab-casa/config.toml`` (the site), the user's
``config.toml`` in the platform's configuration directory, and the file named by ``JUPYTERLAB_CASA_CONFIG``;
then from environment variables ``JUPYTERLAB_CASA_<NAME>``.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import platformdirs

PREFIX = "JUPYTERLAB_CASA_"
SITE_FILE = Path("/etc/jupyterlab-casa/config.toml")


class SettingsError(ValueError):
    """A setting that is unknown or has a value that cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Settings:
    """All settings of the core; see each field."""

    python: str = sys.executable
    """Interpreter in which CASA runs; may be a site's own, with another CASA (default: this one)."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Further environment variables for that interpreter."""
    threads: int = 0
    """OpenMP threads of a task. 0: as many as there were cores when the workspace was first used; the workspace
    remembers the number, because it changes results in their last bits."""
    memory: int = 0
    """MiB of memory that CASA, with the graphical programs that it runs, may use. Beyond, the task is ended, with all
    products as before it. 0: no limit."""
    store: str = "auto"
    """How versions are kept: "auto" (the best that works here), "zfs", "reflink" or "copy"."""
    budget: int = 0
    """GB (10^9 bytes) of disk that kept versions may take. 0: where blocks are shared, as much as leaves a tenth of the
    file system free; where they are copied, half of what would be free without them."""
    shared: str = ""
    """Workspaces of a group, separated by ":", in which a result is looked for before it is computed. Only read."""
    readable: str = "owner"
    """Who else may read a workspace's memory, in which are all its versions and logs: "owner" (nobody), "group" (of the
    directory: what `shared` of the others needs) or "all". Applied whenever a kernel of the owner opens it."""
    state: str = "story"
    """"story": a cell runs on the state of the data products that its place in the notebook implies.
    "present": CASA's accumulating habit, every call acts on what is there."""
    display: str = "own"
    """"own": GUI tasks draw on a private Xvfb; "inherit": on the DISPLAY of the environment."""

    digest_limit: int = 256
    """MiB of a Python value up to which it is compared by its content when a cell may have changed it. Beyond, it
    counts as changed by each cell that uses it. (256 MiB take about 0.1 s: `make bench`.)"""
    keep_limit: int = 256
    """MiB of a Python value up to which it is kept on disk, so that it comes back after a restart of the kernel."""

    def __post_init__(self) -> None:
        if self.store not in ("auto", "zfs", "reflink", "copy"):
            raise SettingsError(f"store = {self.store!r}: use 'auto', 'zfs', 'reflink' or 'copy'")
        if self.readable not in ("owner", "group", "all"):
            raise SettingsError(f"readable = {self.readable!r}: use 'owner', 'group' or 'all'")
        if self.state not in ("story", "present"):
            raise SettingsError(f"state = {self.state!r}: use 'story' or 'present'")
        if self.display not in ("own", "inherit"):
            raise SettingsError(f"display = {self.display!r}: use 'own' or 'inherit'")
        for name in ("memory", "digest_limit", "keep_limit"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} = {getattr(self, name)}: use a number of MiB, or 0 for none")
        if self.budget < 0:
            raise SettingsError(f"budget = {self.budget}: use a number of GB, or 0 for what the disk allows")
        if self.threads < 0:
            raise SettingsError(f"threads = {self.threads}: use a number of threads, or 0 for all cores")


def config_files() -> tuple[Path, ...]:
    """The files that are read, in order, whether they exist or not."""
    named = os.environ.get(PREFIX + "CONFIG")
    user = Path(platformdirs.user_config_dir("jupyterlab-casa")) / "config.toml"
    return (SITE_FILE, user, *((Path(named),) if named else ()))


def load_settings() -> Settings:
    """Read the settings files and the environment.

    Raises:
        SettingsError: a file is no valid TOML, or a setting is unknown or unusable.
    """
    known = {item.name: item.type for item in fields(Settings)}
    settings = Settings()
    for path in config_files():
        if not path.is_file():
            continue
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: not a TOML file: {error}") from error
        settings = _apply(settings, values, known, str(path))
    environment: dict[str, Any] = {}
    for name in known:
        text = os.environ.get(PREFIX + name.upper())
        if text is None or name == "environment":
            continue
        if isinstance(getattr(settings, name), int):
            if not text.isdigit():
                raise SettingsError(f"{PREFIX}{name.upper()}={text!r}: use a whole number, 0 or more")
            environment[name] = int(text)
        else:
            environment[name] = text
    return _apply(settings, environment, known, "the environment")


def _apply(settings: Settings, values: Mapping[str, Any], known: Mapping[str, Any], where: str) -> Settings:
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SettingsError(f"{where}: unknown setting {', '.join(unknown)}; known are {', '.join(known)}")
    for name, value in values.items():
        wanted = type(getattr(settings, name))
        if not isinstance(value, wanted):
            raise SettingsError(f"{where}: {name} = {value!r} should be a {wanted.__name__}")
    return replace(settings, **values)
