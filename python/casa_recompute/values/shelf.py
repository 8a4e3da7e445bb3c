"""Values of Python names on disk: small ones in the ledger, large ones in files, all signed (keep.py)."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from casa_recompute.ledger import Ledger, Value
from casa_recompute.values.keep import Foreign, Unkeepable, Unloadable, pack, unpack, unpack_plain
from casa_recompute.workspace import Workspace

_SMALL = 1 << 18  # bytes up to which a value lies in the ledger
_PLAIN = (str, bytes, int, float, complex, bool, type(None), list, tuple, dict, set, frozenset)
ONE = "value"
"""The name under which a value that shares nothing is kept: whoever has an equal value may take it."""


class ValueLost(RuntimeError):
    """A value cannot be brought back; the message says why."""


class ValueStore:
    """The shelf of one workspace. What is written belongs to the ledger's transaction."""

    def __init__(self, space: Workspace) -> None:
        self._space = space
        self._directory = space.home / "values"

    @property
    def _ledger(self) -> Ledger:
        return self._space.ledger  # which may be opened anew

    def keep(
        self,
        entries: Mapping[str, Mapping[str, object]],
        uses: Mapping[str, Iterable[str]],
        within: Mapping[str, tuple[str, str]],
        namespace: dict[str, Any],
        limit: int,
    ) -> dict[str, str]:
        """Keep values.

        Args:
            entries: version -> name -> value.
            uses: version -> names that functions in the value use.
            within: version -> one of ``entries`` that holds it, too, and under which name.
            namespace: of the functions that belong to the notebook.
            limit: bytes of the packed form beyond which a value is not kept.

        Returns:
            Version -> why it could not be kept.
        """
        rows: list[Value] = []
        refused: dict[str, str] = {}
        states = self._ledger.value_states([*(entries.keys() | uses.keys())])
        alone = [version for version in states if version not in within]
        for version in (*alone, *(states.keys() & within.keys())):  # those that are part of others last
            known = states[version]
            if known is not None and (known[1] or not (version in entries or version in within)):
                continue
            size, data = 0, None
            if version in entries:
                try:
                    data = pack(entries[version], namespace, limit)
                    size = len(data)
                    if size > _SMALL:
                        self._write(version, data)
                        data = None
                except Unkeepable as error:
                    refused[version] = str(error)
                except (OSError, ValueError) as error:  # also a secret that cannot be used
                    refused[version] = f"it could not be written: {error}"
                    size, data = 0, None
            part_of = " ".join(within[version]) if version in within and within[version][0] not in refused else None
            rows.append(Value(version, tuple(uses.get(version, ())), size, data, part_of))
        self._ledger.add_values(rows)
        return refused

    def load(self, version: str, namespace: dict[str, Any]) -> dict[str, Any]:
        """What was kept as ``version``: name -> value.

        Raises:
            ValueLost: it was not kept, cannot be read, or is not signed by this user.
        """
        found = self._ledger.value(version)
        if found is not None and not found.size and found.within is not None:
            whole, name = found.within.split(" ")
            return {ONE: self.load(whole, namespace)[name]}
        if found is None or not found.size:
            raise ValueLost("it was not kept")
        try:
            data = found.data if found.data is not None else self._file(version).read_bytes()
            return unpack(data, namespace)
        except Foreign as error:
            raise ValueLost(str(error)) from error
        except Exception as error:  # whatever an unpickled class may raise
            raise ValueLost(f"{type(error).__name__}: {error}") from error

    def forget(self, version: str) -> None:
        """What was kept as ``version`` turned out to be of no use."""
        found = self._ledger.value_state(version)
        self._ledger.add_values([Value(version, found[0] if found else ())])
        self._file(version).unlink(missing_ok=True)

    def plain(self, version: str, name: str) -> object:
        """A value if it is plain data and small, as parameters of tasks are.

        Raises:
            KeyError: it is not, or is not kept.
        """
        own, _, shared = version.partition("+")
        found, part = self._ledger.value(shared or own), name if shared else ONE
        if found is not None and not found.size and found.within is not None:
            whole, part = found.within.split(" ")
            found = self._ledger.value(whole)
        if found is None or found.data is None:
            raise KeyError(name)
        try:
            value = unpack_plain(found.data)[part]
        except (Foreign, Unloadable, OSError, ValueError) as error:
            raise KeyError(name) from error
        if type(value) not in _PLAIN:
            raise KeyError(name)
        return value

    def _file(self, version: str) -> Path:
        return self._directory / version

    def _write(self, version: str, data: bytes) -> None:
        self._directory.mkdir(exist_ok=True)
        temporary = self._directory / f"{uuid.uuid4().hex}.partial"
        try:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(self._file(version))
        finally:
            temporary.unlink(missing_ok=True)
