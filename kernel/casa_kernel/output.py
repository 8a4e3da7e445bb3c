"""What a notebook shows of a call: a line that lives while it runs, then its record and pictures."""

from __future__ import annotations

import re
import uuid
from base64 import b64encode
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, Protocol

from casa_recompute import casalog
from casa_recompute.session import Outcome, Picture
from casa_recompute.words import duration

_BAR = 40  # characters
_PRINTED_LINES, _PRINTED_WIDTH = 60, 1000  # kept of what a task printed
_METER = re.compile(r"0%(?:\.|\d0)*(?:100%)?")


class Publish(Protocol):
    """IPython's ``display_pub.publish``."""

    def __call__(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
    ) -> None: ...


def headline(outcome: Outcome) -> str:
    """What happened, in words: ``tclean restored from cache, 27.0 s saved``."""
    if outcome.action == "restored":
        return f"{outcome.task} restored from cache, {duration(outcome.saved_s)} saved"
    remembered = " (not remembered)" if outcome.action == "watched" else ""
    return f"{outcome.task} ran in {duration(outcome.seconds)}{remembered}"


def progress_text(task: str, elapsed_s: float, expected_s: float | None, stage: str) -> str:
    """``tclean  12 s of about 27 s  ·  major cycle 3``, with a bar below when the duration is known."""
    parts = [f"{task}  {elapsed_s:.0f} s"]
    if expected_s:
        parts[0] += f" of about {duration(expected_s) if expected_s >= 99.95 else f'{expected_s:.0f} s'}"
    if stage:
        parts.append(stage)
    text = "  ·  ".join(parts)
    if not expected_s:
        return text
    filled = min(int(_BAR * elapsed_s / expected_s), _BAR)
    return f"{text}\n{'█' * filled}{'░' * (_BAR - filled)}"


def printed(stdout: str) -> list[str]:
    """What a task printed itself, without progress meters and log lines: the record shows those anyway."""
    lines = casalog.parse(stdout.replace("\r", "\n"))
    texts = [_METER.sub("", line.message).rstrip() for line in lines if not line.time]
    return [text[:_PRINTED_WIDTH] for text in texts if text.strip()]


def record(
    task: str,
    words: Sequence[str],
    log: str,
    stdout: str = "",
    *,
    notes: Sequence[str] = (),
    opened: bool = False,
    where: str = "",
) -> dict[str, Any]:
    """The MIME bundle of one call: ``words`` (headline, reason ...), notes, what it printed, and its log."""
    lines = casalog.parse(log)
    texts = printed(stdout)
    html = [f"<div><b>{escape(words[0])}</b>{''.join(f' · {escape(word)}' for word in words[1:] if word)}</div>"]
    plain = [" · ".join(word for word in words if word)]
    for note in notes:
        html.append(f'<div class="casa-note">Note: {escape(note)}</div>')
        plain.append(f"Note: {note}")
    if texts:
        kept = texts[:_PRINTED_LINES]
        if len(texts) > len(kept):
            kept.append(f"··· {len(texts) - len(kept)} lines left out ···")
        body = escape("\n".join(kept))
        lines_printed = "1 line" if len(texts) == 1 else f"{len(texts)} lines"
        html.append(f"<details><summary>printed: {lines_printed}</summary><pre>{body}</pre></details>")
        plain += kept
    if lines:
        html.append(casalog.render_html(lines, opened=opened, where=where))
        plain.append(casalog.render_text(lines))
    return {
        "text/html": f'<div class="casa-call">{"".join(html)}</div>',
        "text/plain": "\n".join(plain),
        casalog.MIME_TYPE: {
            **casalog.to_mime(lines, task),
            "headline": words[0],
            "details": [word for word in words[1:] if word],
            "notes": list(notes),
            "printed": kept if texts else [],
            "opened": opened,
        },
    }


class NotebookWatcher:
    """Shows calls as they run; see :class:`casa_recompute.session.Watcher`.

    ``live`` tells whether the front end can replace what it shows; a terminal cannot: it gets the record.
    ``where`` is the file with the whole log.
    """

    def __init__(self, publish: Publish, live: Callable[[], bool]) -> None:
        self._publish = publish
        self._live = live
        self.where = ""
        self._display_id: str | None = None
        self._task = ""

    def expect(self, task: str) -> None:
        """The next call is of this task; it may wait for another kernel before it starts."""
        self._task = task
        self._display_id = None

    def started(self, task: str, reason: str, expected_s: float | None) -> None:
        """A call runs. Nothing is shown yet: most calls are over before the first progress."""
        self._task = task

    def progress(self, elapsed_s: float, expected_s: float | None, stage: str) -> None:
        """Show or refresh the line of the running call."""
        if self._live():
            self._show({"text/plain": progress_text(self._task, elapsed_s, expected_s, stage)}, keep=True)

    def finished(self, outcome: Outcome) -> None:
        """Put the record in the place of the running line, and the pictures below."""
        words = [headline(outcome), outcome.reason]
        self._show(record(outcome.task, words, outcome.log, outcome.stdout, notes=outcome.notes, where=self.where))
        for picture in outcome.pictures:
            self._picture(picture, restored=outcome.action == "restored")

    def failed(self, task: str, error: BaseException, log: str) -> None:
        """Put the record of the failure there, log unfolded; the exception follows as the cell's error."""
        what = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        self._show(record(task, [f"{task} {what}"], log, opened=True, where=self.where))

    def note(self, text: str) -> None:
        """Show a remark that belongs to no call."""
        html = f'<div class="casa-note">Note: {escape(text)}</div>'
        self._publish({"text/html": html, "text/plain": f"Note: {text}"})

    def _show(self, data: dict[str, Any], keep: bool = False) -> None:
        """Replace what is shown of the running call; ``keep``: and replace it again later."""
        update = self._display_id is not None
        if keep and not update:
            self._display_id = uuid.uuid4().hex
        transient = {"display_id": self._display_id} if self._display_id else None
        self._publish(data, transient=transient, update=update)
        if not keep:
            self._display_id = None

    def _picture(self, picture: Picture, restored: bool) -> None:
        caption = f"{picture.name} (restored)" if restored else picture.name
        if picture.mime == "image/svg+xml":
            image = {picture.mime: picture.data.decode("utf-8", "replace")}
        elif picture.mime in ("image/png", "image/jpeg"):
            image = {picture.mime: b64encode(picture.data).decode()}
        else:
            image = {}
        if image:
            metadata = {picture.mime: {"alt": picture.name}}
            self._publish({**image, "text/plain": f"[picture: {caption}]"}, metadata)
        html = f"<figcaption>{escape(caption)}</figcaption>"
        self._publish({"text/html": html, "text/plain": caption})
