"""Outputs from messages, and the identity of what is shown, whoever wrote it."""

from __future__ import annotations

import copy
import json
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casa_recompute.notebook.outputs import Showing, digest, from_messages, renumber, terminal_text


def stream(text: str, name: str = "stdout") -> tuple[str, dict[str, Any]]:
    return "stream", {"name": name, "text": text}


def shown(text: str, kind: str = "display_data", **transient: str) -> tuple[str, dict[str, Any]]:
    content = {"data": {"text/plain": text}, "metadata": {}, "transient": transient}
    return kind, content | ({"execution_count": 3} if kind == "execute_result" else {})


def texts(messages: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [o["text"] if o["output_type"] == "stream" else o["data"]["text/plain"] for o in from_messages(messages)]


CLEAR, CLEAR_LATER = ("clear_output", {"wait": False}), ("clear_output", {"wait": True})


def test_every_kind_of_output() -> None:
    error = {"ename": "E", "evalue": "v", "traceback": ["t"]}
    picture = {"data": {"image/png": "AA=="}, "metadata": {"image/png": {"alt": "x"}}, "transient": {}}
    messages: list[tuple[str, dict[str, Any]]] = [
        ("status", {"execution_state": "busy"}),
        ("execute_input", {"code": "x", "execution_count": 3}),
        stream("a"),
        ("comm_open", {"data": {}}),
        stream("b"),
        stream("c", "stderr"),
        ("display_data", picture),
        shown("r", "execute_result"),
        ("error", error),
    ]
    outputs = from_messages(messages)
    assert outputs == [
        {"output_type": "stream", "name": "stdout", "text": "ab"},
        {"output_type": "stream", "name": "stderr", "text": "c"},
        {"output_type": "display_data", "data": picture["data"], "metadata": picture["metadata"]},
        {"output_type": "execute_result", "data": {"text/plain": "r"}, "metadata": {}, "execution_count": 3},
        {"output_type": "error", **error},
    ]
    nbformat.validate(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=outputs)]))


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], []),
        ([stream("a"), CLEAR], []),
        ([stream("a"), CLEAR, stream("b")], ["b"]),
        ([stream("a"), CLEAR_LATER], ["a"]),
        ([stream("a"), CLEAR_LATER, stream("b")], ["b"]),
        ([stream("a"), CLEAR_LATER, stream("b"), stream("c")], ["bc"]),
        ([stream("a"), CLEAR_LATER, shown("b", "update_display_data", display_id="x")], ["a"]),
        ([shown("a", display_id="x"), stream("s"), shown("b", "update_display_data", display_id="x")], ["b", "s"]),
        ([shown("a", display_id="x"), shown("b", display_id="x")], ["b", "b"]),
        ([shown("a", display_id="x"), shown("b", "update_display_data", display_id="y")], ["a"]),
        ([shown("a", display_id="x"), CLEAR, shown("b", "update_display_data", display_id="x")], []),
        ([stream("a"), shown("b", "update_display_data", display_id="y"), stream("c")], ["ac"]),
    ],
)
def test_clearing_and_updating(messages: list[tuple[str, dict[str, Any]]], expected: list[str]) -> None:
    assert texts(messages) == expected


def test_updates_of_other_cells() -> None:
    showing = Showing()
    for message in (shown("1"), stream("a")):
        showing.add(*message)
    assert showing.elsewhere == {}
    for value in ("1", "2"):
        showing.add(*shown(value, "update_display_data", display_id="x"))
    assert showing.elsewhere == {"x": {"data": {"text/plain": "2"}, "metadata": {}}}


def test_from_messages_leaves_messages_alone() -> None:
    messages = [shown("a", display_id="x"), stream("s"), stream("t"), shown("b", "update_display_data", display_id="x")]
    before = copy.deepcopy(messages)
    from_messages(messages)
    assert messages == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain\n", "plain\n"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("100%\r 50%", " 50%"),
        ("longer\rab", "abnger"),
        ("ab\n12345\rxy\nz", "ab\nxy345\nz"),
        ("abc\b\bX", "aX"),
        ("a\n\b\bb", "a\nb"),
        ("abcd\rab\b", "ad"),  # the character at the position goes, too
        ("😀b\rx", "x\ude00b"),
        ("ab\r😀c", "😀c"),
    ],
)
def test_terminal_text(text: str, expected: str) -> None:
    assert terminal_text(text) == expected


@given(st.text(alphabet="ab\n\r\b😀"))
def test_terminal_text_is_final(text: str) -> None:
    assert terminal_text(terminal_text(text)) == terminal_text(text)


OUTPUTS: list[dict[str, Any]] = [
    {"output_type": "stream", "name": "stdout", "text": "one\ntwo\n 10%\r 20%"},
    {"output_type": "stream", "name": "stderr", "text": "x\x0cy\u2028z\n"},
    {
        "output_type": "display_data",
        "data": {"image/png": "iVBORw0KGgo=\n", "text/plain": "<Figure>", "image/svg+xml": "<svg>\n<g/></svg>"},
        "metadata": {"image/png": {"width": 3, "alt": "a plot"}, "needs_background": "light"},
    },
    {
        "output_type": "execute_result",
        "data": {"text/html": "<b>\nx</b>", "application/json": {"n": [1.0, 2, -0.0, 2**60], "a": ["l", "m"]}},
        "metadata": {},
        "execution_count": 3,
    },
    {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["l\n", "m"]},
]


def test_digest_is_the_same_for_all_who_write() -> None:
    expected = digest(OUTPUTS)
    assert digest(copy.deepcopy(OUTPUTS)) == expected
    assert digest(renumber(OUTPUTS, 12)) == expected
    # a notebook file, and as nbformat reads it
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=nbformat.from_dict(OUTPUTS))])
    file = nbformat.writes(notebook)
    assert digest(json.loads(file)["cells"][0]["outputs"]) == expected
    assert digest(nbformat.reads(file, as_version=4).cells[0].outputs) == expected
    # nbclient: pieces of streams are outputs of their own
    pieces = [{**OUTPUTS[0], "text": text} for text in ("one\nt", "wo\n 10%", "\r", " 20%")]
    assert digest([*pieces, *OUTPUTS[1:]]) == expected
    # JupyterLab: carriage returns are applied, all numbers are doubles, keys have another order
    saved = copy.deepcopy(OUTPUTS)
    saved[0]["text"] = "one\ntwo\n 20%"
    saved[2]["metadata"] = {"image/png": {"alt": "a plot"}}
    saved[3]["data"]["application/json"] = {"a": ["l", "m"], "n": [1, 2, 0, 1152921504606847000]}
    saved[2]["data"] = dict(reversed(saved[2]["data"].items()))
    assert digest(saved) == expected


def test_nothing_shown_has_no_digest() -> None:
    assert digest([]) == ""
    assert digest([{"output_type": "stream", "name": "stdout", "text": ""}]) == ""
    assert digest([{"output_type": "stream", "name": "stdout", "text": "x\b"}]) == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda o: o.pop(),
        lambda o: o.reverse(),
        lambda o: o[0].update(text="one\ntwo\n 30%"),
        lambda o: o[0].update(name="stderr"),
        lambda o: o[2]["data"].update({"image/png": "iVBORw0KGgp="}),
        lambda o: o[2]["data"].pop("text/plain"),
        lambda o: o[2]["metadata"]["image/png"].update(alt="another"),
        lambda o: o[2].update(output_type="execute_result"),
        lambda o: o[3]["data"]["application/json"].update(n=[True]),
        lambda o: o[3]["data"].update({"text/html": "<b>x</b>"}),
        lambda o: o[4].update(evalue="w"),
    ],
)
def test_digest_sees_what_is_shown(change: Any) -> None:
    outputs = copy.deepcopy(OUTPUTS)
    change(outputs)
    assert digest(outputs) not in ("", digest(OUTPUTS))


def test_renumber() -> None:
    numbered = renumber(OUTPUTS, 7)
    assert [output.get("execution_count") for output in numbered] == [None, None, None, 7, None]
    assert OUTPUTS[3]["execution_count"] == 3
