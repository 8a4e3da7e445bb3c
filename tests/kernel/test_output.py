"""What a call shows."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from casa_kernel.output import NotebookWatcher, printed, progress_text
from casa_recompute.casalog import MIME_TYPE
from casa_recompute.session import Outcome, Picture

from .conftest import Bench

LOG = "2026-11-22 13:29:11\tINFO\ttclean::::casa\tfine\n2026-11-22 13:29:13\tWARN\tS::r\t<script>alert(1)</script>\n"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

# JupyterLab's sanitizer for untrusted notebooks keeps these (and more), neither script nor event handlers.
SAFE_TAGS = {"div", "b", "i", "details", "summary", "pre", "figcaption"}
SAFE_ATTRIBUTES = {"class", "open"}


class Shown:
    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def __call__(self, data: dict[str, Any], metadata: Any = None, **options: Any) -> None:
        self.messages.append({"data": data, "metadata": metadata, "transient": None, "update": False, **options})


def outcome(**changes: Any) -> Outcome:
    fields: dict[str, Any] = {
        "task": "tclean", "key": "k", "action": "ran", "reason": "`niter` was 0, is now 100", "value": None,
        "seconds": 27.1, "saved_s": 0.0, "log": LOG, "stdout": "",
    }  # fmt: skip
    return Outcome(**{**fields, **changes})


def check_html(html: str) -> str:
    """The visible text; fails when a sanitizer would take something away."""
    text = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag in SAFE_TAGS
            assert {name for name, _ in attrs} <= SAFE_ATTRIBUTES

        def handle_data(self, data: str) -> None:
            text.append(data)

    Parser().feed(html)
    return "".join(text)


def test_one_display_lives_while_a_call_runs_and_becomes_its_record() -> None:
    shown = Shown()
    watcher = NotebookWatcher(shown, live=lambda: True)
    watcher.expect("tclean")
    watcher.started("tclean", "it has not run here before", 27.0)
    watcher.progress(12.0, 27.0, "major cycle 3")
    watcher.progress(13.0, 27.0, "major cycle 3")
    watcher.finished(outcome())
    first, second, last = shown.messages
    text, bar = first["data"]["text/plain"].split("\n")
    assert text == "tclean  12 s of about 27 s  ·  major cycle 3"
    assert bar.count("█") == 17 and len(bar) == 40
    identity = first["transient"]["display_id"]
    assert [m["update"] for m in shown.messages] == [False, True, True]
    assert second["transient"]["display_id"] == last["transient"]["display_id"] == identity
    assert "tclean ran in 27.1 s" in check_html(last["data"]["text/html"])
    watcher.finished(outcome())
    assert shown.messages[-1]["update"] is False


def test_waiting_for_another_kernel_is_shown_with_the_right_task() -> None:
    shown = Shown()
    watcher = NotebookWatcher(shown, live=lambda: True)
    watcher.expect("split")
    watcher.progress(2.0, None, "waiting for another kernel in this workspace")
    watcher.started("split", "", None)
    watcher.progress(3.0, None, "")
    assert [m["data"]["text/plain"].partition("  ")[0] for m in shown.messages] == ["split", "split"]
    assert [m["update"] for m in shown.messages] == [False, True]


def test_a_terminal_gets_the_record_only() -> None:
    shown = Shown()
    watcher = NotebookWatcher(shown, live=lambda: False)
    watcher.expect("tclean")
    watcher.progress(12.0, 27.0, "major cycle 3")
    watcher.finished(outcome())
    assert len(shown.messages) == 1 and shown.messages[0]["update"] is False


def test_the_record_says_what_happened_and_why() -> None:
    shown = Shown()
    NotebookWatcher(shown, live=lambda: True).finished(
        outcome(action="restored", saved_s=27.0, reason="nothing has changed", notes=("shown <without> a window",))
    )
    data = shown.messages[0]["data"]
    text = check_html(data["text/html"])
    for part in (
        "tclean restored from cache, 27.0 s saved",
        "nothing has changed",
        "shown <without> a window",
    ):
        assert part in text and part in data["text/plain"]
    assert "log: 2 lines, 1 warning, 0 errors" in text
    assert "<script>" not in data["text/html"]
    assert '<details class="casa-log"><summary>' in data["text/html"]
    assert data[MIME_TYPE]["task"] == "tclean" and data[MIME_TYPE]["counts"] == {"warn": 1, "severe": 0}


def test_an_uncached_call_says_so() -> None:
    shown = Shown()
    NotebookWatcher(shown, live=lambda: True).finished(outcome(action="watched"))
    assert "tclean ran in 27.1 s (not remembered)" in shown.messages[0]["data"]["text/plain"]


@pytest.mark.parametrize(("error", "word"), [(RuntimeError("no"), "failed"), (KeyboardInterrupt(), "interrupted")])
def test_a_failure_shows_its_log_unfolded(error: BaseException, word: str) -> None:
    shown = Shown()
    NotebookWatcher(shown, live=lambda: True).failed("tclean", error, LOG)
    html = shown.messages[0]["data"]["text/html"]
    assert f"tclean {word}" in check_html(html) and '<details class="casa-log" open>' in html


def test_pictures_have_their_file_name_as_caption() -> None:
    shown = Shown()
    pictures = (Picture("p<1>.png", "image/png", PNG), Picture("b.pdf", "application/pdf", b"%PDF"))
    NotebookWatcher(shown, live=lambda: True).finished(outcome(pictures=pictures))
    image, caption, pdf = shown.messages[1:]
    assert base64.b64decode(image["data"]["image/png"]) == PNG
    assert image["metadata"]["image/png"]["alt"] == "p<1>.png"
    assert check_html(caption["data"]["text/html"]) == "p<1>.png"
    assert check_html(pdf["data"]["text/html"]) == "b.pdf"
    NotebookWatcher(shown, live=lambda: True).finished(outcome(pictures=pictures, action="restored"))
    assert shown.messages[-1]["data"]["text/plain"] == "b.pdf (restored)"


def test_what_a_task_prints_is_shown_without_meters_and_log_lines() -> None:
    stdout = "hello\n0%....10....20....30....40....50....60....70....80....90....100%\n" + LOG + "\r\rworld"
    assert printed(stdout) == ["hello", "world"]
    shown = Shown()
    NotebookWatcher(shown, live=lambda: True).finished(outcome(stdout=stdout + "\nx" * 5000))
    data = shown.messages[0]["data"]
    assert "hello" in data["text/plain"] and len(data["text/html"]) < 10_000


def test_a_huge_log_leaves_the_notebook_small() -> None:
    shown = Shown()
    watcher = NotebookWatcher(shown, live=lambda: True)
    watcher.where = ".casa-recompute/log/casa.log"
    watcher.finished(outcome(log=LOG.splitlines()[0] * 1 + "\n" + (LOG * 20_000)))
    html = shown.messages[0]["data"]["text/html"]
    assert len(html) < 100_000
    assert re.search(r"\d+ lines left out; the whole log is in \.casa-recompute/log/casa\.log", check_html(html))


def test_progress_beyond_what_was_expected() -> None:
    assert progress_text("tclean", 40.0, 20.0, "").split("\n")[1] == "█" * 40


def test_records_and_prints_keep_their_order(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []
    bench.session.watcher._publish = lambda data, **_: order.append(data["text/plain"].split()[0])
    bench.shell.user_ns["say"] = order.append
    bench.run("say('one'); uvsub('a.ms'); say('two'); ft('a.ms'); say('three')")
    assert order == ["one", "uvsub", "two", "ft", "three"]


def test_the_traceback_shows_the_users_line_and_casas_message(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.shell.colors = "nocolor"

    def fail(task: str, bound: dict[str, Any]) -> Outcome:
        raise RuntimeError("Antenna Expression: No match found")

    bench.session.script = fail
    error = bench.run("def reduce():\n    uvsub('a.ms')\nreduce()")
    said = capsys.readouterr().out
    assert isinstance(error, RuntimeError)
    assert "uvsub('a.ms')" in said and "Antenna Expression: No match found" in said
    assert "casa_kernel" not in said and "casa_recompute" not in said


def test_an_interrupt_passes(bench: Bench) -> None:
    def interrupt(task: str, bound: dict[str, Any]) -> Outcome:
        raise KeyboardInterrupt

    bench.session.script = interrupt
    assert isinstance(bench.run("uvsub('a.ms')"), KeyboardInterrupt)
    assert bench.session.ends == [False]
