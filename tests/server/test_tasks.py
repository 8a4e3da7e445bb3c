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


async def test_a_task_says_what_it_does_to_data(ask) -> None:
    effects = (await ask("tasks", "gaincal"))["effects"]
    assert effects["trusted"] is True
    uses = {(use["access"], *use["parameters"]): use["rule"] for use in effects["uses"]}
    assert uses["write", "caltable"] == "caltable if not append"
    assert uses["modify", "caltable"] == "caltable if append"
    assert ("modify", "vis") in {use for use in uses if use[-1] == "vis"} or ("read", "vis") in uses


async def test_how_long_a_task_takes_is_told_of_a_workspace(ask, refused, casa, workspace) -> None:
    assert "here" not in await ask("tasks", "flagdata")
    none = {"runs": 0, "typical_s": None, "shortest_s": None, "longest_s": None}
    assert (await ask("tasks", "flagdata", path="work"))["here"] == none
    casa("run", "nb.ipynb")
    here = (await ask("tasks", "flagdata", path="work/nb.ipynb"))["here"]
    assert here["runs"] > 0 and 0 < here["shortest_s"] <= here["typical_s"] <= here["longest_s"]
    casa("run", "nb.ipynb", "--all")  # which restores
    assert (await ask("tasks", "flagdata", path="work"))["here"] == here
    assert (await refused("tasks", "flagdata", path="nowhere"))[0] == 404


def test_docs_are_plain_text_of_which_paragraphs_may_flow() -> None:
    text = "One\n        two <b>three</b>.\n\n\tfour  five\n\n        spw='<2'"
    assert blocks(text) == [
        {"kind": "paragraph", "text": "One two <b>three</b>."},
        {"kind": "preformatted", "text": "four  five\n\nspw='<2'"},
    ]
    assert blocks("") == []
