"""Tasks through REST."""

from __future__ import annotations

import json
from importlib.metadata import version

from casa_recompute.tasks import load_catalogue
from jupyterlab_casa.managers.catalogue import blocks


async def test_all_tasks_are_listed(ask) -> None:
    answer = await ask("tasks")
    assert answer["version"] == version("casatasks")
    assert [task["name"] for task in answer["tasks"]] == sorted(load_catalogue())
    assert next(task for task in answer["tasks"] if task["name"] == "tclean")["categories"] == ["imaging"]


async def test_a_task_is_described_with_its_subparameters(ask) -> None:
    known = load_catalogue()["gaincal"]
    answer = await ask("tasks", "gaincal")
    assert [p["name"] for p in answer["parameters"]] == [p.name for p in known.parameters]
    solint = next(p for p in answer["parameters"] if p["name"] == "solint")
    assert (solint["default"], solint["subparameter"]) == ("inf", False)
    selecting = next(c for c in answer["conditions"] if c["parameter"] == "selectdata" and c["value"] is True)
    assert selecting["defaults"]["scan"] == ""


async def test_every_task_is_strict_json(ask) -> None:
    def no(constant: str) -> None:
        raise AssertionError(constant)

    for name in load_catalogue():
        json.loads(await ask("tasks", name, raw=True), parse_constant=no)


async def test_there_is_no_other_task(refused) -> None:
    assert await refused("tasks", "100% <b>") == (404, "there is no task '100% <b>'")


def test_docs_are_plain_text_of_which_paragraphs_may_flow() -> None:
    text = "One\n        two <b>three</b>.\n\n\tfour  five\n\n        spw='<2'"
    assert blocks(text) == [
        {"kind": "paragraph", "text": "One two <b>three</b>."},
        {"kind": "preformatted", "text": "four  five\n\nspw='<2'"},
    ]
    assert blocks("") == []
