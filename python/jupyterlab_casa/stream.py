"""The stream of events, without a server: each gets a number, the newest are held, and what they tell of now is known.

Who was away asks :meth:`Stream.changes` for what it has missed. As far back as events are held it gets these; else the
state that all events together have left, to go on from. Events without workspace or time change nothing that is told of
now. What is said here of the state holds for whoever follows the stream: ``docs/rest.md`` tells it in words.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

SCHEMA = 1
"""Version of the answer to :meth:`Stream.changes`."""
KINDS = ("kernel", "cell", "call", "product", "cells", "log", "store")
"""Kinds of events; each has a schema in ``events/``."""
PREFIX = "urn:jupyterlab-casa:event:"
"""Of the schemas' ids."""
IDS = {kind: f"{PREFIX}{kind}:1" for kind in KINDS}
"""Kind -> id of its schema."""
_SINCE = re.compile(r"([0-9a-f]{1,32})\.([0-9]{1,15})")
_ON_KERNEL = ("notebook", "cell", "call", "display", "log", "started")
_ON_CALL = ("task", "reason", "began", "expected_s", "stage", "elapsed_s", "waiting_for")


class Stream:
    """Numbers events from 1 on. For one thread (the event loop)."""

    def __init__(self, keep: int, clock: Callable[[], float] = time.time) -> None:
        """
        Args:
            keep: bytes of events that are held, as JSON.
            clock: tells Unix seconds.
        """
        self.epoch = uuid.uuid4().hex[:12]
        """Another one after each start of the server: numbers of another epoch mean nothing."""
        self.revision = 0
        """Number of the newest event."""
        self.present = Present()
        self._keep = keep
        self._clock = clock
        self._held: OrderedDict[int, bytes] = OrderedDict()
        self._size = 0
        self._floor = 0  # all that is newer is held, or made up for by something that is newer still
        self._newest: dict[tuple[str, str], int] = {}

    def add(self, kind: str, about: Mapping[str, Any]) -> dict[str, Any]:
        """A new event; ``about`` has ``workspace``, ``kernel``, ``session``, and what else its schema says."""
        self.revision += 1
        event = {"epoch": self.epoch, "revision": self.revision, "time": self._clock(), **about}
        self.present.apply(kind, event)
        held = event | {"lines": [], "skipped": event["skipped"] + len(event["lines"])} if kind == "log" else event
        self._hold(kind, held)
        return event

    def changes(self, since: str | None) -> bytes:
        """What came after ``since`` (``<epoch>.<revision>``), as JSON.

        ``schema``, ``epoch``, ``revision`` (the newest: go on from there), ``events`` (each with the ``schema_id`` that
        it has in the stream) and ``state``: one of both is null. Of an event that a newer one makes up for, nothing is
        told; of lines of logs only how many there are.

        Raises:
            ValueError: ``since`` is no such text.
        """
        number = self._number(since) if since is not None else None
        head = f'{{"schema":{SCHEMA},"epoch":"{self.epoch}","revision":{self.revision},"events":'
        if number is None:
            return f'{head}null,"state":{json.dumps(self.present.as_json())}}}'.encode()
        events = [event for revision, event in self._held.items() if revision > number]
        return head.encode() + b"[" + b",".join(events) + b'],"state":null}'

    def _number(self, since: str) -> int | None:
        match = _SINCE.fullmatch(since)
        if match is None:
            raise ValueError("since is <epoch>.<revision>, as an earlier answer gave them")
        number = int(match[2])
        return number if match[1] == self.epoch and self._floor <= number <= self.revision else None

    def _hold(self, kind: str, event: Mapping[str, Any]) -> None:
        what = None
        if kind == "log" or event.get("action") == "progressed":
            what = (kind, event["session"])
        elif kind == "store":
            what = (kind, event["workspace"])
        if what is not None:
            older = self._held.pop(self._newest.get(what, 0), b"")
            self._size -= len(older)
            self._newest[what] = self.revision
        if event.get("action") == "ended" and kind == "kernel":
            self._newest.pop(("log", event["session"]), None)
            self._newest.pop(("call", event["session"]), None)
        data = json.dumps({"schema_id": IDS[kind], **event}).encode()
        self._held[self.revision] = data
        self._size += len(data)
        while self._size > self._keep:
            self._floor, oldest = self._held.popitem(last=False)
            self._size -= len(oldest)


class Present:
    """What is so now, as all events together have left it."""

    def __init__(self) -> None:
        self.kernels: dict[str, dict[str, Any]] = {}
        """By session: what it runs."""
        self.notebooks: dict[str, dict[str, Any]] = {}
        """By path: ``fresh``, ``estimate_s`` and ``cells`` by their ids."""
        self.logs: dict[str, dict[str, Any]] = {}
        """By session: how many lines there are."""
        self.stores: dict[str, dict[str, Any]] = {}
        """By workspace: what of its store is nearly full."""

    def apply(self, kind: str, event: Mapping[str, Any]) -> None:
        """Something happened."""
        getattr(self, f"_{kind}")(event)

    def as_json(self) -> dict[str, Any]:
        """``kernels``, ``notebooks``, ``logs``, ``stores``: lists of objects."""
        notebooks = [{**one, "cells": [*one["cells"].values()]} for one in self.notebooks.values()]
        rest = {name: [*getattr(self, name).values()] for name in ("kernels", "logs", "stores")}
        return {**rest, "notebooks": notebooks}

    def _kernel(self, event: Mapping[str, Any]) -> None:
        session = event["session"]
        if event["action"] == "ended":
            self.kernels.pop(session, None)
            self.logs.pop(session, None)
        else:
            self.kernels[session] = {**_who(event), **{name: event[name] for name in _ON_KERNEL}}

    def _cell(self, event: Mapping[str, Any]) -> None:
        started = event["action"] == "started"
        cell = {"cell": event["cell"] if started else None, "call": None}
        self._on(event, cell | ({"notebook": event["notebook"]} if started else {}))

    def _call(self, event: Mapping[str, Any]) -> None:
        if event["action"] == "ended":
            self._on(event, {"call": None})
        else:
            self._on(event, {"call": {name: event[name] for name in _ON_CALL}})

    def _on(self, event: Mapping[str, Any], news: Mapping[str, Any]) -> None:
        if event["session"] in self.kernels:
            self.kernels[event["session"]] |= news

    def _product(self, event: Mapping[str, Any]) -> None:
        """Which versions there are is told elsewhere."""

    def _cells(self, event: Mapping[str, Any]) -> None:
        path = event["path"]
        if event["closed"]:
            self.notebooks.pop(path, None)
            return
        one = self.notebooks.setdefault(path, {"workspace": event["workspace"], "path": path, "cells": {}})
        one |= {"fresh": event["fresh"], "estimate_s": event["estimate_s"]}
        for cell in event["gone"]:
            one["cells"].pop(cell, None)
        one["cells"] |= {cell["id"]: cell for cell in event["cells"]}

    def _log(self, event: Mapping[str, Any]) -> None:
        self.logs[event["session"]] = {**_who(event), "total": event["total"]}

    def _store(self, event: Mapping[str, Any]) -> None:
        if event["near"]:
            self.stores[event["workspace"]] = {"workspace": event["workspace"], "near": event["near"]}
        else:
            self.stores.pop(event["workspace"], None)


def _who(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in ("workspace", "kernel", "session")}
