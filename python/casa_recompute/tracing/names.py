"""Python names of a notebook: which a cell reads, binds and changes, in which versions; and bringing them back.

Names are compared by the digest of their values before and after a cell, but only names that the cell can have got
hold of: those that its text says, those that functions among them use, and those that share an object with them
(Li and others, "Kishu: Time-Traveling for Computational Notebooks", VLDB 2024, call such names co-variables).
A value of 1 GB that no cell mentions costs nothing.
"""

from __future__ import annotations

import gc
import hashlib
import random
import re
import sys
import types
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from casa_recompute.notebook.model import ABSENT
from casa_recompute.notebook.simulate import (
    DIRECTORY,
    ENVIRONMENT,
    GENERATORS,
    NUMPY_RANDOM,
    PROCESS,
    RANDOM,
    SEARCH_PATH,
    own,
    shared,
)
from casa_recompute.notebook.source import Uses
from casa_recompute.tracing.impure import generators
from casa_recompute.tracing.process import Process
from casa_recompute.values.digest import Budget, Digest, digest, digest_together
from casa_recompute.values.shelf import ONE, ValueLost, ValueStore

_MACHINERY = re.compile(r"_+|_i+|_ih|_oh|_dh|_i?\d+|In|Out|exit|quit|get_ipython|__.*__|<.*>")


@dataclass
class NameChanges:
    """What a cell did to names."""

    reads: dict[str, str] = field(default_factory=dict)
    writes: dict[str, str] = field(default_factory=dict)
    rebound: set[str] = field(default_factory=set)
    unkept: dict[str, str] = field(default_factory=dict)  # name -> why
    unseeded: bool = False  # random numbers were drawn that no seed determines


class NameTracker:
    """The names in one namespace; ``hidden`` ones, as long as they have their values, are not the user's."""

    def __init__(
        self, namespace: dict[str, Any], hidden: Mapping[str, Any], shelf: ValueStore, budget: Budget, limit: int
    ) -> None:
        self.namespace = namespace
        self._hidden = dict(hidden)
        self.exposed: frozenset[str] = frozenset()
        """Hidden names that count as the user's at present, because of the state that their values are in."""
        self._shelf = shelf
        self._budget = budget
        self._limit = limit
        self.versions: dict[str, str] = {}
        self._digests: dict[str, Digest] = {}
        self._ids: dict[str, int] = {}
        self._holder: dict[int, str] = {}  # part of a value -> a name that reaches it
        self._common: dict[int, set[str]] = {}  # parts that several names reach -> these
        self._vague: set[str] = set()  # names whose parts are not all known
        self._generators: dict[str, Any] = {}
        self._process = Process()
        self.entering: Callable[[str], None] = lambda path: None
        """Told before the working directory is brought to be this one."""
        self._parts: dict[str, Any] = {}
        self._seen = self._hidden_state()
        self._aside: dict[str, tuple[str, object]] = {}
        self._by_cells: set[str] = set()  # names that a cell has bound
        self._strangers: dict[str, object] = {}  # others that had to make room, until the walk is over
        self._refused: set[str] = set()  # versions that could not be kept
        self._stirred: set[str] = set()  # names whose values something that is no cell may have changed
        self._reach: set[str] = set()
        self._ever: set[str] = set()
        self._uses: Uses | None = None
        self._before: dict[str, str] = {}

    def before(self) -> dict[str, str]:
        """Versions of what the running cell may read, as they were before it."""
        return {name: self._before[name] for name in self._reach if name in self._before}

    def bound(self) -> set[str]:
        """Names that were bound when the running cell began."""
        return {name for name, version in self._before.items() if version != ABSENT} - PROCESS.keys()

    @property
    def known(self) -> set[str]:
        """Names that were ever bound here."""
        return self._ever

    def kept_with(self, version: str, name: str) -> list[str]:
        """Names that are kept together with one that has this version, itself included."""
        group = shared(version)
        return list(self._shelf.load(group, self.namespace)) if group else [name]

    def holds(self) -> dict[str, str]:
        """Names whose values could not be kept, but are here: their versions."""
        return {n: v for n, v in self.versions.items() if (shared(v) or v) in self._refused and n not in PROCESS}

    def elsewhere(self, place: Collection[str]) -> set[str]:
        """Names that are bound now but not at a place."""
        return set(self._visible()) - set(place)

    def hide(self, names: Mapping[str, Any]) -> None:
        """These names are not the user's as long as they have these values."""
        self._hidden.update(names)

    # -- around a cell -----------------------------------------------------------------------------------------------

    def begin(self, uses: Uses) -> set[str]:
        """A cell is about to run; the names that it may read."""
        self._uses = uses
        self._notice_strangers()
        self._notice_drift()
        self._look_again(self.reach(uses))
        self._reach = self.reach(uses)
        self._before = dict(self.versions)
        self._generators = _generator_states()
        self._parts = self._process.now()
        return self._reach

    def assume(self, versions: Mapping[str, str]) -> None:
        """The running cell has these names before it, by its place; they were not brought, as it binds them anew."""
        self._before |= {name: version for name, version in versions.items() if version != ABSENT}

    def also_reads(self, names: Iterable[str]) -> None:
        """The running cell reads these, too."""
        self._reach.update(names)

    def reach(self, uses: Uses) -> set[str]:
        """Names that a cell may read, and those that share objects with them."""
        return self._reach_now([*uses.reads, *(self._visible() if uses.everything else ())])

    def _reach_now(self, names: Iterable[str]) -> set[str]:
        """These names, and those that functions among them use as they are now: the cell may have defined one anew
        and called it through another."""
        found: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                known = self._digests.get(name)
                if known is not None and known.uses:
                    todo += known.uses
        return found

    def end(self, key: str, senses: Collection[str] = (), of_cell: bool = True) -> NameChanges:
        """The cell has run.

        Args:
            key: identity of this run, from which versions of values that cannot be digested are named.
            senses: parts of the process (see there) on whose state the cell may depend.
            of_cell: whether it was one, or what has no place in a notebook (a console).
        """
        uses, self._uses = self._uses, None
        assert uses is not None
        changes = NameChanges()
        untouched = self._put_back(key)
        visible = set(self._visible())
        partners = self._partners(self._reach)
        moved = {name for name in visible if id(self.namespace[name]) != self._ids.get(name)}
        candidates = (self._reach | uses.binds | partners | moved) & visible - untouched
        if self._vague and any(self.versions.get(name, "")[:2] in ("d-", "k-") for name in self._reach):
            candidates |= self._vague & visible
        gone = self.versions.keys() - visible - PROCESS.keys()
        regroup = self._partners(candidates | gone) & visible
        for name in gone:
            self._drop(name)
        for name in candidates:
            self._digest(name, key)
        regroup |= self._partners(candidates) | candidates
        self._regroup(regroup & visible, key)
        for name in self._reach_now(self._reach):
            changes.reads[name] = self._before.get(name, ABSENT)
        for name in gone:
            changes.writes[name] = ABSENT
            changes.rebound.add(name)
        for name in (regroup & visible) - untouched:
            self._account(name, uses, moved, changes)
        for name in uses.surely - visible:  # bound and deleted, or deleted whatever it was
            if not _is_machinery(name):
                changes.writes[name] = ABSENT
                changes.rebound.add(name)
        groups = {shared(version) for version in changes.writes.values()} - {""}
        for name in visible - changes.writes.keys() if groups else ():
            if shared(self.versions[name]) in groups:  # who binds a name to a shared object makes the group anew
                changes.writes[name] = self.versions[name]
                changes.reads.setdefault(name, self._before.get(name, ABSENT))
        self._account_generators(uses, changes)
        self._account_parts(uses, senses, changes)
        self._keep(changes)
        self._seen = self._hidden_state()
        self._by_cells = self._by_cells | changes.writes.keys() if of_cell else self._by_cells - changes.rebound
        return changes

    def _account(self, name: str, uses: Uses, moved: set[str], changes: NameChanges) -> None:
        before, after = self._before.get(name, ABSENT), self.versions[name]
        if before == after:
            if name not in uses.binds:
                return
            if name in uses.surely:
                changes.writes[name] = after
                changes.rebound.add(name)
            else:  # it cannot be told whether it was bound anew; if it was not, it is what it was
                changes.reads[name] = before
            return
        changes.writes[name] = after
        if name in moved or before == ABSENT or name in uses.surely:
            changes.rebound.add(name)
        else:
            changes.reads.setdefault(name, before)

    def _visible(self) -> list[str]:
        hidden = self._hidden
        return [
            name
            for name, value in self.namespace.items()
            if not (name in hidden and hidden[name] is value and name not in self.exposed)
            and not _is_machinery(name)
        ]

    def _notice_strangers(self) -> None:
        """Names that something between cells has bound."""
        visible = self._visible()
        for name in visible:
            if id(self.namespace[name]) != self._ids.get(name):
                self._by_cells.discard(name)
                self._digest(name, "between cells")
                self._regroup({name}, "between cells")
        for name in self.versions.keys() - set(visible) - PROCESS.keys():
            self._drop(name)

    def stir(self) -> None:
        """Something that is no cell has run (a widget's callback): it may have changed any value in place."""
        self._stirred = set(self.versions)

    def _look_again(self, names: Iterable[str]) -> None:
        """Whether these are still what they were, if that is in doubt."""
        if self._stirred:
            doubtful = (self._partners(names) | set(names)) & self._stirred & self._digests.keys()
            key = uuid.uuid4().hex
            for name in doubtful:
                self._digest(name, key)
            self._regroup(doubtful, key)

    def _hidden_state(self) -> dict[str, Any]:
        return {**self._process.now(), **_generator_states()}

    def _notice_drift(self) -> None:
        """What something between cells has done to what has no name."""
        now = self._hidden_state()
        for name in PROCESS:
            value, known = now.get(name), self._seen.get(name)
            if value != known and not (name in GENERATORS and known is None):  # its module was imported just now
                self.versions[name] = "d-" + _hash(repr(value)) if value is not None else ABSENT
        self._seen = now

    # -- versions ----------------------------------------------------------------------------------------------------

    def _digest(self, name: str, key: str) -> None:
        value = self.namespace[name]
        found = digest(value, self.namespace, self._budget)
        self._vague.discard(name)
        self._stirred.discard(name)
        if not found.complete:
            seen = _reachable(value, self.namespace)
            if seen is None:
                self._vague.add(name)
            else:
                found = found._replace(parts=found.parts | seen)
        known = self._digests.get(name)
        if known is None or known.parts != found.parts:
            self._drop_parts(name)
            self._add_parts(name, found.parts)
        self._digests[name] = found
        self._ever.add(name)
        self._ids[name] = id(value)
        self.versions[name] = found.version or "k-" + _hash(key, name)

    def _unbind(self, name: str) -> None:
        """Take a name away from the user; if it was ours before, it is again."""
        self._spare(name)
        self._by_cells.discard(name)
        self._ever.discard(name)  # it was not the user who deleted it
        self.namespace.pop(name, None)
        if name in self._hidden:
            self.namespace[name] = self._hidden[name]
        self._drop(name)

    def _spare(self, name: str) -> None:
        """A value that no cell has bound makes room: no version tells of it."""
        if name in self._digests and name not in self._by_cells:
            self._strangers[name] = self.namespace.get(name)

    def _drop(self, name: str) -> None:
        self._drop_parts(name)
        self._vague.discard(name)
        for table in (self.versions, self._digests, self._ids):
            table.pop(name, None)

    def _add_parts(self, name: str, parts: frozenset[int]) -> None:
        for part in parts:
            holder = self._holder.setdefault(part, name)
            if holder != name:
                self._common.setdefault(part, {holder}).add(name)

    def _drop_parts(self, name: str) -> None:
        known = self._digests.get(name)
        for part in known.parts if known is not None else ():
            holders = self._common.get(part)
            if holders is None:
                del self._holder[part]
                continue
            holders.discard(name)
            self._holder[part] = next(iter(holders))
            if len(holders) == 1:
                del self._common[part]

    def _partners(self, names: Iterable[str]) -> set[str]:
        """Names that share an object with one of these, directly or through others."""
        found = {name for name in names if name in self._digests and self._digests[name].parts}
        todo = [name for name in found if not self._digests[name].parts.isdisjoint(self._common)]
        while todo:
            for part in self._digests[todo.pop()].parts & self._common.keys():
                new = self._common[part] - found
                found |= new
                todo += new
        return found

    def _regroup(self, names: set[str], key: str) -> None:
        """Take values that share objects together."""
        sharing = set()
        for name in names & self._digests.keys():
            parts = self._digests[name].parts
            if not parts.isdisjoint(self._common):
                sharing.add(name)
            elif parts:
                self.versions[name] = own(self.versions[name])
        while sharing:
            group = self._partners({sharing.pop()})
            sharing -= group
            values = {name: self.namespace[name] for name in sorted(group)}
            together = digest_together(values, self.namespace, self._budget) or "k" + _hash(key, *sorted(group))
            for name in group:
                self.versions[name] = f"{own(self.versions[name])}+{together}"

    # -- random numbers ----------------------------------------------------------------------------------------------

    def chains(self, uses: Uses) -> set[str]:
        """Attribute chains and names in a cell's text, and in functions that it may have called."""
        return {*uses.chains, *uses.reads}.union(*(found.chains | found.uses for found in self._functions()))

    def bare_calls(self, uses: Uses) -> set[str]:
        """Those of them that are called without an argument."""
        return set(uses.bare_calls).union(*(found.bare_calls for found in self._functions()))

    def _functions(self) -> list[Digest]:
        """Of names that the running cell may read: those in which functions use names."""
        reached = (self._digests.get(name) for name in self._reach_now(self._reach))
        return [found for found in reached if found is not None and (found.uses or found.chains or found.bare_calls)]

    def _account_generators(self, uses: Uses, changes: NameChanges) -> None:
        certainly, _ = generators(uses.first_calls, self.namespace)
        perhaps, drawn = generators(self.chains(uses), self.namespace)
        for name, state in _generator_states().items():
            before = self._before.get(name, ABSENT)
            # Of one that came with this cell nobody knows how it began.
            changed = state != self._generators[name] if name in self._generators else name in perhaps | drawn
            if name not in certainly and (changed or (name in perhaps and before != ABSENT)):
                changes.reads[name] = before
            if changed and before == ABSENT and name not in perhaps:
                changes.unseeded = True
            elif changed or name in certainly:
                changes.writes[name] = self.versions[name] = "d-" + _hash(repr(state))
                if name in perhaps:
                    changes.rebound.add(name)

    # -- what else cells share ---------------------------------------------------------------------------------------

    def _account_parts(self, uses: Uses, senses: Collection[str], changes: NameChanges) -> None:
        former, self._parts = self._parts, self._process.now()
        for name in PROCESS.keys() - set(GENERATORS):
            before, after = former.get(name), self._parts.get(name)
            if before != after and name in (ENVIRONMENT, SEARCH_PATH) and name not in senses:
                self._process.get_used_to(name)  # a library that was imported has done that
                self._parts.pop(name, None)
            elif before != after:
                version = "d-" + _hash(repr(after)) if after is not None else ABSENT
                changes.writes[name] = self.versions[name] = version
                changes.reads[name] = self._before.get(name, ABSENT)
            elif name in senses:
                changes.reads[name] = self._before.get(name, ABSENT)

    def _put(self, name: str, value: Any) -> None:
        if name in GENERATORS:
            _set_generator(name, value)
            return
        try:
            if name == DIRECTORY and value is not None:
                self.entering(self._process.whole(value))
            self._process.put(name, value)
        except (OSError, ValueError, KeyError) as error:
            raise ValueLost(f"{PROCESS[name]} cannot be brought back: {error}") from error

    # -- values ------------------------------------------------------------------------------------------------------

    def _keep(self, changes: NameChanges) -> None:
        entries: dict[str, dict[str, object]] = {}
        uses: dict[str, Iterable[str]] = {}
        within: dict[str, tuple[str, str]] = {}
        for name, version in changes.writes.items():
            if version == ABSENT:
                continue
            if name in PROCESS:
                entries[version] = {ONE: _get_generator(name) if name in GENERATORS else self._parts[name]}
                continue
            mine, _, group = version.partition("+")
            uses[mine] = self._digests[name].uses
            if group:
                entries.setdefault(group, {})[name] = self.namespace[name]
                within[mine] = group, name  # when the others are bound anew, it will share nothing
            else:
                entries[version] = {ONE: self.namespace[name]}
        refused = self._shelf.keep(entries, uses, within, self.namespace, self._limit)
        self._refused |= refused.keys()
        for name, version in changes.writes.items() if refused else ():
            if (shared(version) or version) in refused:
                changes.unkept[name] = refused[shared(version) or version]

    def bring(self, wanted: Mapping[str, str], place: Mapping[str, str] | None = None) -> list[str]:
        """Bring names to versions; a cell that runs already has then found them so.

        Args:
            wanted: name -> version.
            place: all names that are bound at the place in the notebook, and their versions: other names that share
                an object with the wanted ones are left over from another place, and are taken away.

        Returns:
            Names that were changed.

        Raises:
            ValueLost: one of them cannot be had.
        """
        if self._uses is None:
            self._notice_strangers()
            self._notice_drift()
            self._look_again(wanted)
        suspects = self._partners(wanted) | (wanted.keys() & self._digests.keys())
        if place is not None:  # whoever does not belong here leaves first: then the others may be right already
            self._send_away(suspects, wanted, place)
            self._leave_alone(suspects)
        wrong = {name: v for name, v in wanted.items() if self.versions.get(name, ABSENT) != v}
        # A group is brought back as one, or what is loaded would share nothing with those that are right already.
        torn = {group for version in wrong.values() if (group := shared(version))}
        wrong |= {name: v for name, v in {**self.versions, **wanted}.items() if shared(v) in torn}
        loaded: dict[str, dict[str, Any]] = {}  # by group; what shares nothing is loaded for each name anew
        for name, version in wrong.items():
            if version == ABSENT:
                continue
            kept_as = shared(version) or version
            if (shared(version) or name) not in loaded:
                try:
                    loaded[shared(version) or name] = self._shelf.load(kept_as, self.namespace)
                except ValueLost as lost:
                    self._shelf.forget(kept_as)
                    raise ValueLost(f"`{name}` cannot be brought back: {lost}") from lost
        for name, version in wrong.items():
            if name in PROCESS:
                self._put(name, loaded[name][ONE] if version != ABSENT else None)
                self.versions[name] = version
            elif version == ABSENT:
                self._unbind(name)
            else:
                values = loaded[shared(version) or name]
                self._spare(name)
                self.namespace[name] = values[name if shared(version) else ONE]
        bound = {name for name, version in wrong.items() if version != ABSENT and name not in PROCESS}
        for name in bound:
            self._digest(name, "brought")
            if self.versions[name][:2] == "k-":
                self.versions[name] = own(wrong[name])
        self._regroup(bound | (self._partners(bound) & set(self._visible())), "brought")
        for name in bound:
            version = wrong[name]
            if own(self.versions[name]) != own(version):
                self._shelf.forget(shared(version) or version)
                raise ValueLost(f"`{name}` cannot be brought back: what was kept is not equal to what it was")
            self.versions[name] = version
        self._by_cells |= bound
        suspects |= self._partners(wanted) | bound
        if place is not None:
            self._leave_alone(suspects - wanted.keys())
            for name in (suspects & self._digests.keys()) - wanted.keys():
                version, here = self.versions[name], place.get(name, ABSENT)
                if version != here and (shared(version) or own(version) != own(here)):
                    self._unbind(name)  # but not one that is right, and has lost its partners to the cell
        # Where only part of what shares an object was wanted, it is not what it was there.
        part = {name for name in bound if (group := shared(wrong[name])) and not loaded[group].keys() <= bound}
        self._leave_alone(suspects | part, part)
        if self._uses is not None:
            self._before |= {name: self.versions[name] if name in part else version for name, version in wrong.items()}
        elif wrong.keys() & PROCESS.keys():
            self._seen = self._hidden_state()
        return sorted(wrong)

    def settle(self, wanted: Mapping[str, str]) -> list[str]:
        """Bring all names to what they are at a place in the notebook, between cells.

        Names that cells have bound but that are not bound there are taken away. Others that no cell has bound (but a
        console, say) stay, or come back if they had to make room.

        Args:
            wanted: all names that are bound there, and their versions.

        Returns:
            Those that cannot be had; they are not bound.
        """
        wanted = dict.fromkeys(PROCESS, ABSENT) | dict(wanted)
        self._notice_strangers()
        left_over = dict.fromkeys(self._by_cells & self._digests.keys() - wanted.keys(), ABSENT)
        lost: list[str] = []
        try:
            self.bring(left_over | wanted, wanted)
        except ValueLost:
            groups: dict[str, dict[str, str]] = {}
            for name, version in (left_over | wanted).items():
                groups.setdefault(shared(version) or name, {})[name] = version
            for group in groups.values():
                try:
                    self.bring(group, wanted)
                except ValueLost:
                    self.bring(dict.fromkeys(group, ABSENT), wanted)
                    lost += group
        self.readmit(wanted)
        return lost

    def readmit(self, taken: Collection[str] = ()) -> None:
        """What no cell has bound and had to make room comes back, unless its name is taken."""
        for name, value in self._strangers.items():
            if name not in taken and name not in self._digests:
                self.namespace[name] = value
        self._strangers.clear()

    def _send_away(self, suspects: set[str], wanted: Mapping[str, str], place: Mapping[str, str]) -> None:
        """Unbind names whose values are not those of the place."""
        for name in suspects & self._digests.keys():
            if own(wanted.get(name, place.get(name, ABSENT))) != own(self.versions[name]):
                self._unbind(name)

    def set_aside(self, names: Mapping[str, str]) -> None:
        """Take away names that the cell may bind but does not read; :meth:`end` puts back those it did not bind.

        So it is known whether it did.
        """
        for name, version in names.items():
            value = self.namespace.get(name, _NOTHING) if self.versions.get(name, ABSENT) == version else _NOTHING
            self._unbind(name)
            self._aside[name] = version, value

    def _put_back(self, key: str) -> set[str]:
        """Of the names that were set aside, those that the cell did not bind: it has not touched them."""
        visible = set(self._visible()) if self._aside else ()
        back = {name: known for name, known in self._aside.items() if name not in visible and known[1] is not _NOTHING}
        for name, (version, value) in back.items():
            self.namespace[name] = value
            self._digest(name, key)
            self.versions[name] = self._before[name] = version
        self._by_cells |= back.keys()
        self._aside.clear()
        return set(back)

    def _whole(self, name: str, labels: Mapping[str, set[str]]) -> bool:
        """Whether a name shares with all those, and only those, with which its version says that it does."""
        label = shared(self.versions[name])
        here = self._partners({name}) | {name}
        return here == labels[label] if label and len(here) > 1 else not label and len(here) == 1

    def _leave_alone(self, names: set[str], part: Collection[str] = ()) -> None:
        """Names whose partners may be gone get the versions that they have now, under which they are kept, too.

        Args:
            names: to look at.
            part: of them, those of which it is known.
        """
        labels: dict[str, set[str]] = {}
        for name, version in self.versions.items():
            labels.setdefault(shared(version), set()).add(name)
        names = {name for name in names & self._digests.keys() if name in part or not self._whole(name, labels)}
        former = {name: self.versions[name] for name in names}
        self._regroup(names, "brought")
        changed = {name: self.versions[name] for name in names if self.versions[name] != former[name]}
        if changed:
            self._keep(NameChanges(writes=changed))


@lru_cache(maxsize=10_000)
def _is_machinery(name: str) -> bool:
    return _MACHINERY.fullmatch(name) is not None


_NOTHING = object()
_MANY = 20_000
_FIXED = (type, types.ModuleType, types.CodeType, types.BuiltinFunctionType, str, bytes, int, float, complex, range)


def _reachable(value: object, namespace: dict[str, Any]) -> frozenset[int] | None:
    """The objects that can be changed in place behind one that cannot be looked into, as the garbage collector sees
    them (a generator holds its variables); None when they are too many."""
    seen = {id(namespace), id(None)}
    found: set[int] = set()
    todo: list[Any] = [value]
    while todo:
        one = todo.pop()
        kind = type(one)  # not what it pretends to be: asking CASA's lazy tools would make them
        if id(one) in seen or issubclass(kind, _FIXED):
            continue
        seen.add(id(one))
        if len(seen) > _MANY:
            return None
        found.add(id(one))
        if kind is types.FunctionType:
            todo += [one.__closure__, one.__defaults__, one.__kwdefaults__]
        elif kind is not types.FrameType:
            todo += gc.get_referents(one)
    return frozenset(found)


def _hash(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _generator_states() -> dict[str, Any]:
    states: dict[str, Any] = {RANDOM: random.getstate()}
    numpy = sys.modules.get("numpy")
    if numpy is not None and "numpy.random" in sys.modules:
        kind, keys, *rest = numpy.random.get_state()
        states[NUMPY_RANDOM] = kind, keys.tobytes(), *rest
    return states


def _get_generator(name: str) -> Any:
    return random.getstate() if name == RANDOM else sys.modules["numpy"].random.get_state()


def _set_generator(name: str, state: Any) -> None:
    if name == RANDOM:
        random.setstate(state) if state is not None else random.seed()
    elif state is not None or "numpy.random" in sys.modules:
        generator = __import__("numpy").random
        generator.set_state(state) if state is not None else generator.seed()
