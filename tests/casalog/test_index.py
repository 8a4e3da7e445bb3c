"""The index of a log finds what reading the whole log finds, however the log has grown."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from casa_recompute.casalog import index as module
from casa_recompute.casalog import parse_line
from casa_recompute.casalog.index import BadPattern, Line, LogIndex, Replaced, Wanted
from casa_recompute.casalog.spans import SpanWriter, beside

SMALL = 200  # bytes of a block: some lines


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", SMALL)


# -- the whole log, read as simply as it can be ------------------------------------------------------------------------

Spans = Sequence[tuple[int, str | None, int, int]]  # number of the call, its cell, first byte, byte after the last


def naive(data: bytes, spans: Spans, **wanted: Any) -> list[Line]:
    found, place, last = [], 0, ""
    for number, raw in enumerate(data.split(b"\n")[:-1], 1):
        owner = [(call, cell) for call, cell, begin, end in spans if begin <= place < end]
        call, cell = owner[0] if owner else (None, None)
        place += len(raw) + 1
        text = raw[:SMALL].decode("utf-8", "replace")
        line = parse_line(text)
        stamp = re.match(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\t", text, re.ASCII)
        last = stamp[1] if stamp else last
        if (
            line.priority in wanted.get("priorities", [line.priority])
            and wanted.get("origin", "").lower() in line.origin.lower()
            and call == wanted.get("call", call)
            and cell == wanted.get("cell", cell)
            and ("after" not in wanted or (last and last >= wanted["after"]))
            and ("before" not in wanted or (last and last < wanted["before"]))
            and wanted.get("text", "").lower() in text.lower()
            and re2.search(wanted.get("regex", ""), raw[:SMALL]) is not None
        ):
            found.append(Line(number, line.time, line.priority, line.origin, line.message, call, cell))
    return found


def everything(index: LogIndex, **wanted: Any) -> list[Line]:
    return index.find(Wanted(**wanted), count=10**6).lines


# -- logs as they may be -----------------------------------------------------------------------------------------------

times = st.builds("2026-01-{:02} 12:00:{:02}".format, st.integers(1, 3), st.integers(0, 59))
priorities = st.sampled_from(["INFO", "WARN", "SEVERE", "DEBUG1", "VERYLONGNAME", "info", ""])
origins = st.sampled_from(["tclean::::casa", "tclean::::casa+", "SIImageStore::printBeamSet ", "", "Zürich"])
messages = st.one_of(
    st.sampled_from(["##### Begin Task: tclean #####", "a\tb", "", "NaN in AN", "λ = 21 cm", "\r", "x" * 400]),
    st.text("aAbX é\t0", max_size=30),
)
casa_lines = st.builds("{}\t{}\t{}\t{}".format, times, priorities, origins, messages).map(str.encode)
foreign = st.one_of(
    st.sampled_from(
        [b"", b"\xff\xfe binary \xc3", b"Traceback (most recent call):", b"2026-01-02 12:00:00", b"\t\t\t"]
    ),
    st.integers(SMALL - 2, 3 * SMALL).map(lambda size: b"y" * size),
    st.binary(max_size=40).map(lambda data: data.replace(b"\n", b" ")),
)
log_lines = st.one_of(casa_lines, casa_lines, casa_lines, foreign)
logs = st.integers(0, 40).flatmap(lambda n: st.lists(log_lines, min_size=n, max_size=n)).map(b"\n".join)
pieces = st.lists(st.tuples(st.integers(0, 4000), st.sampled_from(["", "", "one", "two"])), max_size=8)
parts = [
    "a",
    "INFO",
    "^",
    "$",
    ".",
    r"\s",
    r"\d+",
    "[^a]",
    "(a|b)*",
    r"\b",
    r"\B",
    "x{3}",
    "\\t",
    "(?i)n",
    "(?s).",
    "é",
]
regexes = st.lists(st.sampled_from(parts), min_size=1, max_size=3).map("".join)
filters = st.fixed_dictionaries(
    {},
    optional={
        "priorities": st.frozensets(st.sampled_from(["INFO", "WARN", "SEVERE", "NONE"]), min_size=1),
        "origin": st.sampled_from(["CASA", "siimage", "ü", "+", "\t"]),
        "call": st.integers(0, 4),
        "cell": st.sampled_from(["one", "two", "none"]),
        "after": times,
        "before": times,
        "text": st.sampled_from(["a", "task", "É", "\t", "Λ", "traceback", "(", "xxx"]),
        "regex": regexes,
    },
)


def grown(path: Path, data: bytes, cuts: Sequence[tuple[int, str]], index: LogIndex) -> Spans:
    """The log appears in pieces, of which some are written by calls; ``index`` sees each."""
    writer = SpanWriter(path)
    spans: list[tuple[int, str | None, int, int]] = []
    places = sorted((min(place, len(data)), cell) for place, cell in cuts)
    with path.open("ab") as log:
        for (begin, cell), (end, _) in pairwise([(0, ""), *places, (len(data), "")]):
            writer.expect()
            if cell:
                writer.begin("tclean", cell, "nb.ipynb")
            log.write(data[begin:end])
            log.flush()
            if cell:
                spans.append((len(spans) + 1, cell, begin, end))
            index.update()
            if cell:
                writer.end("tclean", cell, "nb.ipynb", "ran")
    assert index.update()
    return spans


@settings(max_examples=80, deadline=None)
@given(logs, st.booleans(), pieces, st.lists(filters, max_size=6))
def test_what_is_found_is_what_reading_it_all_finds(data: bytes, ended: bool, cuts: Any, wanted: Any) -> None:
    data += b"\n" if ended else b""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "casa-a1.log"
        index = LogIndex(path)
        spans = grown(path, data, cuts, index)
        assert index.lines == data.count(b"\n")
        late = LogIndex(path)
        late.update()
        for one in ({}, *wanted):
            expected = naive(data, spans, **one)
            assert everything(index, **one) == expected
            assert everything(late, **one) == expected
        told = [line.priority for line in naive(data, spans) if line.priority]
        assert index.counts == {name: told.count(name) for name in set(told)}
        assert numbers_of_calls(index) == {one.number: one.call for one in naive(data, spans) if one.call}
        whole = data if data.endswith(b"\n") or not data else data + b"\n"
        for one in (index, LogIndex(path)):
            assert one.update(ended=True) and one.update(ended=True)
            assert everything(one) == naive(whole, spans) and one.indexed == one.size
            assert numbers_of_calls(one) == {line.number: line.call for line in naive(whole, spans) if line.call}


def numbers_of_calls(index: LogIndex) -> dict[int, int]:
    """Number of a line -> that of its call."""
    parts, more = index.calls(-1000, 1)
    assert not more
    return {number: part.call for part in parts for number in range(part.first, part.first + part.lines)}


@settings(max_examples=60, deadline=None)
@given(logs, filters, st.integers(1, 50), st.integers(1, 50), st.integers(1, 7), st.booleans())
def test_piece_by_piece_gives_the_same(
    data: bytes, wanted: Any, first: int, stop: int, count: int, backwards: bool
) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "casa-a1.log"
        path.write_bytes(data)
        index = LogIndex(path)
        index.update()
        sought = Wanted(**wanted)
        expected = [line for line in naive(data, [], **wanted) if first <= line.number < stop]
        found: list[Line] = []
        low, high = max(1, first), max(1, min(stop, index.lines + 1))
        while low < high:
            part = index.find(sought, low, high, count, backwards=backwards, until=0.0)  # one block at a time
            assert low <= part.low < part.high <= high and len(part.lines) <= count
            found = part.lines + found if backwards else found + part.lines
            low, high = (low, part.low) if backwards else (part.high, high)
        assert found == expected
        nearest = index.find(sought, first, stop, count, backwards=backwards).lines
        assert nearest == (expected[-count:] if backwards else expected[:count])


# -- logs that are not only appended to --------------------------------------------------------------------------------

LINE = "2026-01-01 12:00:00\tINFO\tx\tmessage {}\n"


def test_a_log_that_is_emptied_cut_or_replaced_is_indexed_anew(tmp_path: Path) -> None:
    path = tmp_path / "casa-a1.log"
    index = LogIndex(path)
    generations = set()

    def now_has(text: str) -> None:
        assert index.update()
        assert [line.message for line in everything(index)] == text.splitlines()
        generations.add(index.generation)

    with pytest.raises(FileNotFoundError):
        index.update()
    first = "".join(LINE.format(i) for i in range(20))
    path.write_text(first)
    now_has("\n".join(f"message {i}" for i in range(20)))
    path.write_text("cut\n")
    now_has("cut")
    path.write_text("")
    now_has("")
    path.write_text("again\n" * 30)  # written over in place, and longer than before
    now_has("again\n" * 30)
    path.write_text("other\n" * 31)
    now_has("other\n" * 31)
    path.rename(tmp_path / "old.log")
    path.write_text("new\n" * 99)
    now_has("new\n" * 99)
    assert len(generations) == 6, "each has another, the empty one none"
    seen = index.generation
    with path.open("a") as log:
        log.write("and one\n")
    index.update()
    assert index.generation == seen and index.lines == 100
    path.unlink()
    with pytest.raises(FileNotFoundError):
        index.update()


def test_who_looks_while_the_log_is_replaced_is_told(tmp_path: Path) -> None:
    path = tmp_path / "casa-a1.log"
    path.write_text("one\ntwo\n")
    index = LogIndex(path)
    index.update()
    path.write_text("")
    with pytest.raises(Replaced):
        everything(index)
    path.rename(tmp_path / "old")
    path.write_text("three\nfour\n")
    with pytest.raises(Replaced):
        everything(index)


def test_a_line_that_is_being_written_is_none_yet(tmp_path: Path) -> None:
    path = tmp_path / "casa-a1.log"
    index = LogIndex(path)
    with path.open("ab", buffering=0) as log:
        for size, lines in ((SMALL - 50, 0), (100, 0), (5 * SMALL, 0), (1, 0)):
            log.write(b"x" * size)
            index.update()
            assert index.lines == lines
        log.write(b"\nshort\nbegun")
        index.update()
    assert [(line.number, len(line.message)) for line in everything(index)] == [(1, SMALL), (2, 5)]
    assert index.indexed < index.size
    index.update(ended=True)
    assert [line.message for line in everything(index)][1:] == ["short", "begun"]
    assert index.indexed == index.size


def test_a_last_line_without_an_end_may_be_longer_than_a_block(tmp_path: Path) -> None:
    path = tmp_path / "casa-a1.log"
    path.write_bytes(b"short\n" + b"x" * 3 * SMALL)
    for seen in (False, True):
        index = LogIndex(path)
        if seen:
            index.update()
        assert index.update(ended=True)
        assert [(line.number, len(line.message)) for line in everything(index)] == [(1, 5), (2, SMALL)]
    with path.open("ab") as log:
        log.write(b" and yet\nthere is more\n")
    index.update(ended=True)
    assert [line.message for line in everything(index)][2:] == [" and yet", "there is more"]


def test_an_origin_ends_where_the_message_begins(tmp_path: Path) -> None:
    path = tmp_path / "casa-a1.log"
    path.write_text("2026-01-01 12:00:00\tINFO\ttclean::::casa\ta\tb\n")
    index = LogIndex(path)
    index.update()
    assert everything(index, origin="::CASA")
    assert not everything(index, origin="\t") and not everything(index, origin="casa\ta")


def test_long_messages_are_cut_and_say_so(tmp_path: Path) -> None:
    path = tmp_path / "casa-a1.log"
    path.write_text(LINE.format("x" * 100))
    index = LogIndex(path, width=20)
    index.update()
    assert everything(index)[0].message == "message xxxxxxxxxxxx … (88 characters left out)"
    assert everything(index, text="x" * 100), "but it was looked for in all of it"


def test_taking_in_and_looking_can_be_stopped_and_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "casa-a1.log"
    SpanWriter(path).begin("tclean", "one", "nb.ipynb")
    path.write_text("".join(LINE.format(i) for i in range(100)))
    index = LogIndex(path)
    assert not index.update(until=0.0) and 0 < index.lines < 100
    some = index.find(Wanted(cell="one"), until=0.0)
    assert some.lines and some.high == some.lines[-1].number + 1
    while not index.update(until=time.monotonic()):
        pass
    assert index.lines == 100 and len(everything(index)) == 100


# -- whose lines -------------------------------------------------------------------------------------------------------


def write(path: Path, text: str) -> None:
    with path.open("a") as log:
        log.write(text)


def calls(path: Path) -> list[tuple[str, int | None, str | None]]:
    index = LogIndex(path)
    index.update()
    return [(line.message, line.call, line.cell) for line in everything(index)]


def test_lines_belong_to_the_call_that_wrote_them(tmp_path: Path) -> None:
    path = tmp_path / "casa-a1.log"
    writer = SpanWriter(path)
    writer.expect()
    writer.end("flagdata", "one", "nb.ipynb", "restored")  # leaves nothing
    write(path, "CASA starts\n")
    for cell in ("one", None):
        writer.expect()
        writer.begin("tclean", cell, "nb.ipynb")
        write(path, f"tclean in {cell}\n")
        writer.end("tclean", cell, "nb.ipynb", "ran")
        write(path, "after it\n")
    writer.expect()
    write(path, "arguments are wrong\n")
    writer.end("gaincal", "two", "nb.ipynb", "failed")
    writer.expect()
    writer.begin("split", "three", "nb.ipynb")
    write(path, "split\n")  # and then it is killed
    assert calls(path) == [
        ("CASA starts", None, None),
        ("tclean in one", 1, "one"),
        ("after it", None, None),
        ("tclean in None", 2, None),
        ("after it", None, None),
        ("arguments are wrong", 3, "two"),
        ("split", 4, "three"),
    ]
    index = LogIndex(path)
    index.update()
    about = [index.about(number) for number in range(6)]
    told = [(one["task"], one["cell"], one["action"]) for one in about if one]
    assert told == [
        ("tclean", "one", "ran"),
        ("tclean", None, "ran"),
        ("gaincal", "two", "failed"),
        ("split", "three", None),
    ]
    assert about[0] is about[5] is None
    parts = [module.Part(1, 2, 1), module.Part(2, 4, 1), module.Part(3, 6, 1), module.Part(4, 7, 1)]
    assert index.calls(-2, 1) == (parts[2:], False)
    assert index.calls(2, 2) == (parts[1:3], True)
    assert index.calls(5, 9) == ([], False)
    assert about[1] is not None and about[1]["began"] <= about[1]["ended"] and about[1]["notebook"] == "nb.ipynb"


def test_calls_of_a_log_that_was_emptied_or_replaced_claim_no_lines_of_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "casa-a1.log"
    writer = SpanWriter(path)
    for number in range(3):
        writer.expect()
        writer.begin("tclean", "one", "nb.ipynb")
        write(path, f"number {number}\n")
        writer.end("tclean", "one", "nb.ipynb", "ran")
    path.write_text("foreign\n" * 9)
    assert {call for _, call, _ in calls(path)} == {None}
    writer.expect()
    writer.begin("split", "two", "nb.ipynb")
    write(path, "split\n")
    writer.end("split", "two", "nb.ipynb", "ran")
    assert calls(path) == [("foreign", None, None)] * 9 + [("split", 4, "two")]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_tells_of_calls_may_be_damaged(data: st.DataObject) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "casa-a1.log"
        writer = SpanWriter(path)
        for number in range(4):
            writer.expect()
            writer.begin("tclean", f"c{number}", "nb.ipynb")
            write(path, f"{number}\n")
            writer.end("tclean", f"c{number}", "nb.ipynb", "ran")
        told = bytearray(beside(path).read_bytes())
        junk = st.sampled_from([b"", b"\n", b"[]\n", b"{", b'{"call": 1, "from": -1}\n', b"9" * 30, b"[" * 9999])
        place = data.draw(st.integers(0, 1500))
        told[place : place + data.draw(st.integers(0, 300))] = data.draw(junk)
        beside(path).write_bytes(bytes(told) + b"\n")
        writer.expect()
        writer.begin("tclean", "c4", "nb.ipynb")
        write(path, "4\n")
        for message, call, cell in calls(path):
            assert (call, cell) in ((int(message) + 1, f"c{message}"), (None, None))
        index = LogIndex(path)
        index.update()
        for number in range(6):
            json.dumps(index.about(number))


# -- what is asked for -------------------------------------------------------------------------------------------------


def test_an_expression_that_cannot_be_answered_for_is_refused_in_words() -> None:
    for regex, said in {
        "(": "missing",
        r"(a)\1": "invalid escape",
        "(?=a)": "invalid perl operator",
        r"\Aa": "ends of a line",
        r"a\z": "ends of a line",
        "(?-m)a": "ends of a line",
        r"\C": "ends of a line",
        "(a{500}){500}": "cannot be used",
        "(?:(?:x{50}){50}y)+": "cannot be used",
        "a" * 1001: "at most 1000",
        "[a-z]{900}.{900}.{900}": "too complicated",
    }.items():
        with pytest.raises(BadPattern, match=said):
            Wanted(regex=regex)
    with pytest.raises(BadPattern):
        Wanted(text="a" * 1001)
    with pytest.raises(ValueError, match="is no time"):
        Wanted(after="yesterday")
    for regex in (r"\\A", "(?i-s)a", r"(?i)a|\(?-m", "[(]"):
        Wanted(regex=regex)


def test_expressions_that_ruin_others_read_the_log_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "casa-a1.log"
    monkeypatch.setattr(module, "BLOCK", 1 << 17)
    path.write_bytes((b"a" * 50_000 + b"!\n") * 4)
    index = LogIndex(path)
    index.update()
    for regex in ("(a+)+$", "(a|aa)+$", "(a*)*b", "(.*a){25}b"):
        assert everything(index, regex=regex) == []
    assert len(everything(index, regex="^(a+)+!$")) == 4


# -- which files are read ----------------------------------------------------------------------------------------------


def test_neither_links_nor_pipes_are_followed(tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_text("secret\n")
    here = tmp_path / "log"
    here.mkdir()
    (here / "casa-a1.log").symlink_to(outside)
    os.mkfifo(here / "casa-a2.log")
    (here / "casa-a3.log").mkdir()
    (tmp_path / "linked").symlink_to(here)
    (here / "casa-a4.log").write_text("fine\n")
    for name in ("casa-a1.log", "casa-a2.log", "casa-a3.log"):
        with pytest.raises(OSError):
            LogIndex(here / name).update()
    assert LogIndex(tmp_path / "linked" / "casa-a4.log", within=here).update()
    with pytest.raises(FileNotFoundError):
        LogIndex(here / "casa-a4.log", within=tmp_path / "linked").update()
    beside(here / "casa-a4.log").symlink_to(outside)
    assert calls(here / "casa-a4.log") == [("fine", None, None)]
