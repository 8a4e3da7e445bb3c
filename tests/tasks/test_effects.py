"""The effects table is complete and well-formed, and `resolve` reads arguments as CASA does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from casa_recompute.tasks import Catalogue, effects, rules
from casa_recompute.tasks.effects import Effects


@pytest.fixture
def resolve(catalogue: Catalogue) -> Callable[..., Effects]:
    """Effects of a call when only the given paths exist; `texts` are the contents of text files."""

    def call(name: str, there: str = "", texts: dict[str, str] | None = None, **arguments: Any) -> Effects:
        task, paths, texts = catalogue[name], set(there.split()), texts or {}
        return effects.resolve(task, task.bind((), arguments), (paths | set(texts)).__contains__, texts.get)

    return call


def paths(found: Effects, mode: str) -> list[str]:
    return [a.path for a in found.accesses if a.mode == mode and a.pattern is None]


def test_every_task_has_an_entry_that_names_its_own_parameters(catalogue: Catalogue) -> None:
    assert set(effects.table()) == set(catalogue)
    for name, entry in effects.table().items():
        mentioned = set(entry.noninteractive or ())
        for attribute in ("reads", "modifies", "writes", "may_write", "prefix"):
            for text in getattr(entry, attribute):
                mentioned |= rules.names(rules.parse(text))
        for text in (*entry.untrusted, *entry.network):
            mentioned |= rules.condition_names(rules.parse_condition(text))
        assert mentioned <= {p.name for p in catalogue[name].parameters}, name


def test_every_entry_resolves_with_defaults_and_says_why_it_is_not_trusted(catalogue: Catalogue) -> None:
    for name, task in catalogue.items():
        found = effects.resolve(task, task.bind((), {}), lambda _: False)
        assert [a for a in found.accesses if a.mode == "read"] == [], name
        assert bool(found.reason) == (not found.trusted or not found.cacheable), name


def test_every_mandatory_input_counts(catalogue: Catalogue) -> None:
    """A parameter that must name an existing path is an input: the table may not forget one."""
    free = {"asdm", "caltable", "outputvis", "linefile"}  # declared so in the XML, but outputs
    for name, task in catalogue.items():
        needed = [p for p in task.parameters if p.must_exist and p.type.startswith("path")]
        for parameter in needed:
            value = ["there"] if parameter.type == "pathVec" else "there"
            found = effects.resolve(task, task.bind((), {parameter.name: value}), "there".__eq__)
            if parameter.name not in free:
                assert "there" in paths(found, "read") + paths(found, "modify"), f"{name}: {parameter.name}"


@pytest.mark.parametrize(
    "text",
    [
        "vis if __import__('os')",
        "vis if vis.upper() == 'A'",
        "vis if (lambda: 1)()",
        "vis if exists(vis)",
        "vis if count()",
        "vis if vis[0]",
        "vis if",
        "vis if 1 +",
        "a b",
    ],
)
def test_rules_refuse_everything_else(text: str) -> None:
    with pytest.raises(rules.RuleError):
        rules.names(rules.parse(text))


def test_flagdata_modifies_only_when_it_applies(resolve: Callable[..., Effects]) -> None:
    both = ["a.ms", "a.ms.flagversions"]
    assert paths(resolve("flagdata", "a.ms", vis="a.ms/"), "modify") == both
    assert paths(resolve("flagdata", "a.ms", vis="a.ms", flagbackup=False), "modify") == ["a.ms"]
    for quiet in ({"mode": "summary"}, {"action": "calculate"}, {"action": ""}):
        found = resolve("flagdata", "a.ms", vis="a.ms", **quiet)
        assert paths(found, "modify") == [] and paths(found, "read") == ["a.ms"]
    assert paths(resolve("flagdata", "a.ms", vis="a.ms", action="", savepars=True), "modify") == ["a.ms"]
    assert paths(resolve("flagdata", "a.ms", vis="a.ms", action="", savepars=True, outfile="o"), "modify") == ["o"]
    listed = resolve("flagdata", "a.ms cmds.txt", vis="a.ms", mode="list", inpfile=["cmds.txt", "mode='manual'"])
    assert paths(listed, "read") == ["cmds.txt"]


def test_append_turns_an_output_into_an_input(resolve: Callable[..., Effects]) -> None:
    new = resolve("gaincal", "a.ms g.B", vis="a.ms", caltable="g.G", gaintable="g.B")
    assert paths(new, "write") == ["g.G"] and paths(new, "read") == ["a.ms", "g.B"] and new.optional == frozenset()
    more = resolve("gaincal", "a.ms g.G", vis="a.ms", caltable="g.G", append=True)
    assert paths(more, "modify") == ["g.G"] and paths(more, "write") == []
    assert paths(resolve("gencal", "a.ms c", vis="a.ms", caltable="c", caltype="amp"), "modify") == ["c"]
    assert paths(resolve("gencal", "a.ms", vis="a.ms", caltable="c", caltype="amp"), "write") == ["c"]


def test_calibration_libraries_name_further_tables(resolve: Callable[..., Effects]) -> None:
    library = "caltable='a.G' calwt=True\ncaltable=\"b.B\" tinterp='linear'\ncaltable='gone'"
    found = resolve("applycal", "a.ms a.G b.B", {"lib.txt": library}, vis="a.ms", docallib=True, callib="lib.txt")
    assert paths(found, "read") == ["lib.txt", "a.G", "b.B"]
    inline = resolve("plotms", "a.ms a.G", vis="a.ms", callib=["caltable='a.G',calwt=True"])
    assert paths(inline, "read") == ["a.ms", "a.G"]


def test_only_existing_paths_are_read(resolve: Callable[..., Effects]) -> None:
    found = resolve("imregrid", "a.im", imagename="a.im", template="J2000", output="o.im")
    assert paths(found, "read") == ["a.im"] and paths(found, "write") == ["o.im"]
    assert paths(resolve("imregrid", "a.im", imagename="a.im", template="get"), "write") == []
    found = resolve("tclean", "a.ms m.im", vis=["a.ms"], imagename="i", mask=["circle[[1pix,1pix],3pix]", "m.im"])
    assert paths(found, "read") == ["a.ms", "m.im"]
    found = resolve("imview", "a.im b.im", raster={"file": "a.im", "colormap": "Rainbow 2"}, contour="b.im")
    assert paths(found, "read") == ["a.im", "b.im"]
    found = resolve("imview", "a.im", raster="a.im", out={"file": "o.png", "orient": "landscape"})
    assert paths(found, "write") == ["o.png"]


def test_expressions_name_images(resolve: Callable[..., Effects]) -> None:
    there = "a.im b.im c-d.im e.im mask.im"
    call = {"imagename": ["a.im", "b.im"], "expr": "IM0+IM1*'c-d.im'-e.im/2", "outfile": "o"}
    found = resolve("immath", there, **call, mask="mask(mask.im:mask0) && a.im>0.1")
    assert paths(found, "read") == ["a.im", "b.im", "c-d.im", "e.im", "mask.im"]
    assert paths(resolve("immath", there, imagename="a.im", expr="IM0"), "write") == ["immath_results.im"]


def test_products_of_a_prefix_are_a_closed_list(resolve: Callable[..., Effects]) -> None:
    there = "n.ms n.ms.flagversions n.image n.psf n.G"
    found = resolve("tclean", there, vis="n.ms", imagename="n")
    assert {"n.image", "n.psf", "n.model"} <= set(paths(found, "prefix"))
    assert not {"n.ms", "n.G", "n.ms.flagversions"} & set(paths(found, "prefix"))
    assert paths(found, "read") == ["n.ms"]
    assert any(a.pattern == "n.psf.tt[0-9]*" for a in found.accesses)
    assert paths(resolve("tclean", there, vis="n.ms", imagename="n", savemodel="virtual"), "modify") == ["n.ms"]


def test_patterns_escape_the_argument(resolve: Callable[..., Effects]) -> None:
    found = resolve("plotms", "a.ms", vis="a.ms", plotfile="p[1].png", iteraxis="antenna")
    assert [a.pattern for a in found.accesses if a.pattern] == ["p[[]1]_*.png"]
    assert all(a.role in found.optional for a in found.accesses if a.mode == "write")
    removed = resolve("rmtables", tablenames=["a*.im", "b.im"])
    assert [(a.pattern, a.mode) for a in removed.accesses] == [("a*.im", "modify"), ("b.im", "modify")]


def test_in_place_when_the_output_is_empty(resolve: Callable[..., Effects]) -> None:
    for task, source, target in (
        ("fixvis", "vis", "outputvis"),
        ("imreframe", "imagename", "output"),
        ("rerefant", "tablein", "caltable"),
        ("smoothcal", "tablein", "caltable"),
    ):
        assert paths(resolve(task, "in", **{source: "in"}), "modify") == ["in"]
        elsewhere = resolve(task, "in", **{source: "in", target: "out"})
        assert paths(elsewhere, "modify") == [] and paths(elsewhere, "write")[0] == "out"


def test_an_output_written_onto_its_input_is_a_modification(resolve: Callable[..., Effects]) -> None:
    found = resolve("imtrans", "a.im", imagename="a.im", outfile="a.im", order="102")
    assert paths(found, "modify") == ["a.im"] and paths(found, "read") == [] == paths(found, "write")


def test_one_moment_has_a_name_and_several_a_prefix(resolve: Callable[..., Effects]) -> None:
    one = resolve("immoments", "c.im", imagename="c.im", moments=0, outfile="m")
    assert paths(one, "write") == ["m"] and not one.optional
    many = resolve("immoments", "c.im", imagename="c.im", moments=[0, 1], outfile="m")
    assert {"m.integrated", "m.weighted_coord"} <= set(paths(many, "write")) and "outfile.integrated" in many.optional


def test_doubtful_combinations_are_not_trusted(resolve: Callable[..., Effects]) -> None:
    assert resolve("tclean", vis="a", imagename="i").trusted
    for doubt in ({"parallel": True}, {"outlierfile": "o.txt"}, {"gridder": "awproject"}):
        found = resolve("tclean", vis="a", imagename="i", **doubt)
        assert not found.trusted and next(iter(doubt)) in found.reason
    assert resolve("gencal", caltype="antpos").cacheable is False
    assert resolve("gencal", caltype="antpos", antenna="a", parameter=[1, 2, 3]).cacheable
    assert not resolve("getcalmodvla", outfile="x").cacheable


def test_roles_are_stable_names(resolve: Callable[..., Effects]) -> None:
    one, two = (resolve("applycal", "a b c", vis="a", gaintable=g) for g in (["b"], ["b", "c"]))
    assert [a.role for a in one.accesses] == ["vis", "vis.flagversions", "gaintable"]
    assert [a.role for a in two.accesses] == ["vis", "vis.flagversions", "gaintable.0", "gaintable.1"]


def test_nothing_waits_for_a_person(catalogue: Catalogue) -> None:
    def fall_back(name: str, **arguments: Any) -> tuple[dict[str, Any], dict[str, str]]:
        return effects.noninteractive(catalogue[name], catalogue[name].bind((), arguments))

    bound, notes = fall_back("tclean", interactive=True)
    assert bound["interactive"] is False
    assert notes == {"interactive": "interactive=True is not available in a notebook; ran with interactive=False."}
    assert fall_back("tclean", interactive=0)[1] == {}
    assert fall_back("flagdata", display="both")[0]["display"] == ""
    assert fall_back("flagdata", display="none") == (catalogue["flagdata"].bind((), {"display": "none"}), {})
    assert fall_back("simobserve")[0]["graphics"] == "file"
    assert fall_back("plotbandpass", caltable="b")[0]["figfile"] == "plotbandpass.png"  # CASA insists on one
    assert fall_back("plotbandpass", caltable="b", figfile="f")[0]["figfile"] == "f"
    assert fall_back("gaincal", vis="a")[1] == {}
