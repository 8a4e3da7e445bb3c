"""The CASA log: parsing, stages, rendering."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casa_recompute import casalog
from casa_recompute.casalog import LogLine

LOG = (
    "2026-11-22 13:29:11\tINFO\ttclean::::casa\t##### Begin Task: tclean             #####\n"
    "2026-11-22 13:29:12\tINFO\ttask_tclean::SIImageStore::printBeamSet \tRestoring Beams \n"
    "2026-11-22 13:29:12\tINFO\ttask_tclean::SIImageStore::printBeamSet +\tPol   Type\tChan\n"
    "2026-11-22 13:29:13\tWARN\tSIImageStore::restore (file /s/S.cc, line 2298)\tRestoring an empty model\n"
    "2026-11-22 13:29:17\tSEVERE\tMeasTable::dUTC(Double)\tLeap second table\n"
    "2026-11-22 13:29:17\tSEVERE\tMeasTable::dUTC(Double)+\tUntil the table is updated\n"
    "a line that a library printed\n"
)

# What CASA writes: one-line fields, no TAB before the message, printable priorities.
one_line = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=40)
fields = st.text(st.characters(exclude_characters="\n\r\t", exclude_categories=["Cs"]), max_size=40)
priorities = st.sampled_from(["INFO", "WARN", "SEVERE", "DEBUG2"])
log_lines = st.builds(LogLine, st.just("2026-11-22 13:29:11"), priorities, fields, one_line)
logs = st.lists(log_lines, max_size=30)


def test_fields_and_continuation() -> None:
    lines = casalog.parse(LOG)
    assert len(lines) == 7
    assert lines[2] == LogLine(
        "2026-11-22 13:29:12", "INFO", "task_tclean::SIImageStore::printBeamSet +", "Pol   Type\tChan"
    )
    assert lines[2].continuation and not lines[1].continuation
    assert lines[6] == LogLine("", "", "", "a line that a library printed")


def test_a_message_of_several_lines_counts_once() -> None:
    assert casalog.counts(casalog.parse(LOG)) == casalog.Counts(warn=1, severe=1)
    assert casalog.summary(casalog.parse(LOG)) == "log: 7 lines, 1 warning, 1 error"


@given(logs)
def test_format_and_parse_round_trip(lines: list[LogLine]) -> None:
    assert casalog.parse(casalog.format_lines(lines)) == lines


@given(st.one_of(st.binary(), st.text()), st.text())
def test_any_input_is_accepted(raw: bytes | str, stdout: str) -> None:
    lines = casalog.parse(raw)
    assert casalog.parse(casalog.format_lines(lines)) == lines
    assert len(casalog.stage(lines, stdout)) <= 60
    json.dumps(casalog.to_mime(lines))
    casalog.render_text(lines)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))


hostile = st.sampled_from(
    ["<script>alert(1)</script>", "</pre></details><img src=x onerror=y>", "&lt;b&gt;", '"><a href="j">']
)


hostile_lines = st.builds(
    LogLine, st.just("2026-11-22 13:29:11"), priorities | hostile, fields | hostile, hostile
)


@given(st.lists(hostile_lines))
def test_html_is_escaped(lines: list[LogLine]) -> None:
    parser = Tags()
    parser.feed(casalog.render_html(lines, where="<script>"))
    allowed = {"details", "summary", "pre", "b", "i"}
    assert {tag for tag, _ in parser.tags} <= allowed
    assert {name for _, attrs in parser.tags for name, _ in attrs} <= {"class", "open"}


@given(st.integers(0, 40), st.integers(0, 10), st.integers(0, 10), st.integers(0, 5))
def test_excerpt_accounts_for_every_line(size: int, head: int, tail: int, alerts: int) -> None:
    levels = ["WARN", "INFO", "INFO"]
    lines = [LogLine("2026-11-22 13:29:11", levels[n % 3], "o", str(n)) for n in range(size)]
    items = casalog.excerpt(lines, head, tail, alerts)
    kept = [item for item in items if isinstance(item, LogLine)]
    assert len(kept) + sum(item for item in items if isinstance(item, int)) == size
    assert [int(line.message) for line in kept] == sorted(int(line.message) for line in kept)


def test_long_log_is_bounded_and_keeps_what_matters() -> None:
    lines = [LogLine("2026-11-22 13:29:11", "INFO", "o", f"line {n} " + "x" * 5000) for n in range(20_000)]
    lines[10_000] = LogLine("2026-11-22 13:29:11", "SEVERE", "o", "the disk is full")
    html = casalog.render_html(lines, where="casa.log")
    assert len(html) < 200_000
    assert "the disk is full" in html and "line 0 " in html and "line 19999 " in html
    assert re.search(r"\d+ lines left out; the whole log is in casa\.log", html)
    mime = casalog.to_mime(lines, "tclean")
    assert mime["task"] == "tclean" and mime["omitted"] + len(mime["lines"]) == 20_000
    assert len(json.dumps(mime)) < 250_000


def test_details_open_only_when_asked() -> None:
    lines = casalog.parse(LOG)
    assert casalog.render_html(lines).startswith('<details class="casa-log"><summary>')
    assert casalog.render_html(lines, opened=True).startswith('<details class="casa-log" open><summary>')


def banner(text: str) -> str:
    return f"2026-11-22 13:29:12\tINFO\ttask_tclean::x\t{'-' * 60} {text} {'-' * 40}\n"


@pytest.mark.parametrize(
    ("log", "stdout", "expected"),
    [
        ("", "", ""),
        (banner("Make PSF"), "", "point spread function"),
        (banner("Make PSF") + banner("Run Major Cycle 3") + LOG.splitlines()[2], "", "major cycle 3"),
        (banner("Gridding the data"), "", "Gridding the data"),
        (LOG, "", "Restoring Beams"),
        (banner("Run Major Cycle 2"), "0%....10....20..", "major cycle 2 · 20 %"),
        ("", "printed\n0%....10....20....30....40....50....60....70....80....90....100%\n", ""),
        ("", "0%....10....100%\n0%....10....20....3", "20 %"),
        ("", "0%", "0 %"),
        ("2026-11-22 13:29:12\tINFO\to\t" + "word " * 100, "", ("word " * 12)[:59].rstrip() + "…"),
    ],
)
def test_stage(log: str, stdout: str, expected: str) -> None:
    assert casalog.stage(log, stdout) == expected
