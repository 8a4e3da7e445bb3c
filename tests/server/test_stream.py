"""Who was away from the stream of events comes to the same state as who never left; docs/rest.md says how."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyterlab_casa.stream import IDS, Stream

Told = tuple[str, dict[str, Any]]
NAMES = {schema: kind for kind, schema in IDS.items()}
CALL = {"task": "tclean", "reason": "", "began": 1.0, "expected_s": None, "stage": "", "elapsed_s": 0.0}
CALL |= {"waiting_for": None}


class Client:
    """Follows the stream as the documentation says, and nothing else."""

    def __init__(self) -> None:
        self.kernels: dict[str, Any] = {}
        self.notebooks: dict[str, Any] = {}
        self.totals: dict[str, int] = {}
        self.stores: dict[str, Any] = {}
        self.epoch, self.revision = "", 0
        self.products: list[str] = []

    @property
    def since(self) -> str | None:
        return f"{self.epoch}.{self.revision}" if self.epoch else None

    def ask(self, stream: Stream) -> None:
        """It was away, or comes for the first time."""
        answer = json.loads(stream.changes(self.since))
        if answer["events"] is not None:
            for event in answer["events"]:
                self.receive(NAMES[event.pop("schema_id")], event)
        else:
            self.__init__()  # type: ignore[misc]
            for one in answer["state"]["kernels"]:
                self.kernels[one["session"]] = [one["notebook"], one["cell"], one["call"], one["display"]]
            for one in answer["state"]["notebooks"]:
                self.notebooks[one["path"]] = [one["fresh"], {c["id"]: c["state"] for c in one["cells"]}]
            self.totals = {one["session"]: one["total"] for one in answer["state"]["logs"]}
            self.stores = {one["workspace"]: one["near"] for one in answer["state"]["stores"]}
        self.epoch, self.revision = answer["epoch"], answer["revision"]

    def receive(self, kind: str, event: Mapping[str, Any]) -> None:
        if (event["epoch"], event["revision"]) <= (self.epoch, self.revision) and event["epoch"] == self.epoch:
            return  # known from the answer
        self.revision = event["revision"]
        action, session = event.get("action"), event["session"]
        kernel = self.kernels.get(session, [None] * 4)
        if kind == "kernel" and action == "ended":
            self.kernels.pop(session, None)
            self.totals.pop(session, None)
        elif kind == "kernel":
            self.kernels[session] = [event["notebook"], event["cell"], event["call"], event["display"]]
        elif kind == "cell" and action == "started":
            kernel[:3] = event["notebook"], event["cell"], None
        elif kind == "cell":
            kernel[1:3] = None, None
        elif kind == "call":
            kernel[2] = None if action == "ended" else {name: event[name] for name in CALL}
        elif kind == "log":
            self.totals[session] = event["total"]
        elif kind == "store" and event["near"]:
            self.stores[event["workspace"]] = event["near"]
        elif kind == "store":
            self.stores.pop(event["workspace"], None)
        elif kind == "product":
            self.products.append(event["path"])
        elif kind == "cells" and event["closed"]:
            self.notebooks.pop(event["path"], None)
        elif kind == "cells":
            one = self.notebooks.setdefault(event["path"], [False, {}])
            one[0] = event["fresh"]
            for cell in event["gone"]:
                one[1].pop(cell, None)
            one[1].update({c["id"]: c["state"] for c in event["cells"]})

    def sees(self) -> Any:
        return self.kernels, self.notebooks, self.totals, self.stores


def who(number: int) -> dict[str, Any]:
    return {"workspace": f"w{number % 2}", "kernel": "", "session": f"s{number}"}


SESSION = st.integers(0, 2)
TEXT = st.text(max_size=3)


def event(kind: str, **fields: Any) -> st.SearchStrategy[Told]:
    fixed = {name: value if isinstance(value, st.SearchStrategy) else st.just(value) for name, value in fields.items()}
    return st.tuples(SESSION, st.fixed_dictionaries(fixed)).map(lambda pair: (kind, who(pair[0]) | pair[1]))


MAYBE_CALL = st.none() | TEXT.map(lambda stage: CALL | {"stage": stage})
CELLS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["fresh", "stale"]), max_size=3).map(
    lambda cells: [{"id": name, "index": 0, "state": s, "estimate_s": 0.0, "reasons": []} for name, s in cells.items()]
)
EVENTS = st.one_of(
    event(
        "kernel",
        action=st.sampled_from(["started", "changed", "ended"]),
        notebook=TEXT,
        cell=st.none() | TEXT,
        call=MAYBE_CALL,
        display=st.booleans(),
        log="",
        started=0.0,
        missed=0,
    ),
    event("cell", action=st.sampled_from(["started", "ended"]), notebook=TEXT, cell=TEXT, outcome=None, run=0),
    event(
        "call",
        action=st.sampled_from(["started", "progressed", "progressed", "ended"]),
        notebook="",
        cell=None,
        **CALL | {"stage": TEXT},
    ),
    event("product", action="captured", path=TEXT, version="v"),
    event("log", first=1, lines=st.lists(st.just({}), max_size=5), total=st.integers(0, 99), skipped=0),
    event("store", near=st.lists(st.fixed_dictionaries({"what": st.sampled_from(["disk", "budget"])}), max_size=1)),
    event(
        "cells",
        path=st.sampled_from(["n", "m"]),
        fresh=st.booleans(),
        estimate_s=0.0,
        because="asked",
        closed=st.integers(0, 9).map(lambda number: number == 0),
        cells=CELLS,
        gone=st.lists(st.sampled_from("abc"), max_size=1),
    ),
)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    told=st.lists(EVENTS, max_size=60),
    away=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=5),
    keep=st.sampled_from([1, 400, 2000, 10**6]),
    restart=st.none() | st.integers(0, 60),
)
def test_who_was_away_sees_what_who_never_left_sees(
    told: list[Told], away: list[tuple[int, int]], keep: int, restart: int | None
) -> None:
    stream = Stream(keep)
    faithful, others = Client(), [Client() for _ in away]
    for client in (faithful, *others):
        client.ask(stream)
    for number, (kind, about) in enumerate(told):
        if number == restart:
            stream = Stream(keep)  # the server's memory of all is gone, and clients have lost it
            faithful.ask(stream)
            others_gone = True
        else:
            others_gone = False
        new = stream.add(kind, about)
        faithful.receive(kind, new)
        for client, (first, last) in zip(others, away, strict=True):
            if others_gone or number == max(first, last):
                client.ask(stream)  # it asks after it has subscribed, so this event comes to it twice
            if not first <= number < last:
                client.receive(kind, new)
    for client, (first, last) in zip(others, away, strict=True):
        if first < len(told) <= last:
            client.ask(stream)
        assert client.sees() == faithful.sees()
    late = Client()
    late.ask(stream)
    assert late.sees() == faithful.sees()


def test_only_what_is_not_held_any_more_is_told_as_a_state() -> None:
    stream = Stream(10**6)
    start = f"{stream.epoch}.0"
    for number in range(3):
        stream.add("product", who(0) | {"action": "captured", "path": str(number), "version": "v"})
    answer = json.loads(stream.changes(start))
    assert [one["path"] for one in answer["events"]] == ["0", "1", "2"] and answer["state"] is None
    assert [one["revision"] for one in answer["events"]] == [1, 2, 3] and answer["revision"] == 3
    assert {one["schema_id"] for one in answer["events"]} == {IDS["product"]}
    assert json.loads(stream.changes(f"{stream.epoch}.3"))["events"] == []
    for unknown in (None, f"{stream.epoch}.4", "0123.0"):
        assert json.loads(stream.changes(unknown))["events"] is None
    small = Stream(300)
    for number in range(20):
        small.add("product", who(0) | {"action": "captured", "path": str(number), "version": "v"})
    assert json.loads(small.changes(f"{small.epoch}.1"))["events"] is None
    assert [one["path"] for one in json.loads(small.changes(f"{small.epoch}.19"))["events"]] == ["19"]


def test_of_what_a_newer_event_makes_up_for_only_the_newest_is_held() -> None:
    stream = Stream(10**6)
    for number in range(1000):
        stream.add("log", who(0) | {"first": number, "lines": [{"message": "x" * 500}], "total": number, "skipped": 2})
        stream.add("call", who(0) | {"action": "progressed", "notebook": "", "cell": None, **CALL})
    answer = stream.changes(f"{stream.epoch}.0")
    log, call = json.loads(answer)["events"]
    assert (log["total"], log["lines"], log["skipped"], call["revision"]) == (999, [], 3, 2000)
    assert len(answer) < 2000


@pytest.mark.parametrize("text", ["", "1", "x.1", "abc", "abc.", "abc.-1", f"abc.{'9' * 30}", "abc.1\n", "abc.١"])
def test_what_is_no_revision(text: str) -> None:
    with pytest.raises(ValueError, match="since is"):
        Stream(10).changes(text)
