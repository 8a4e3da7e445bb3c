"""The catalogue says what CASA's own objects say, for all 128 tasks, and keeps its cache honestly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from casa_recompute.tasks import CasaNotFound, Catalogue, load_catalogue
from casa_recompute.tasks import catalogue as loader
from casa_recompute.tasks.generated import read_task

GUI = {"plotms", "imview", "msview", "browsetable"}


def test_every_task_is_there(catalogue: Catalogue, real_tasks: dict[str, Any]) -> None:
    assert set(catalogue) == set(real_tasks)
    assert len(catalogue) == 128
    assert catalogue.version.startswith("6.")


def test_docstrings_and_modules_are_casas_own(catalogue: Catalogue, real_tasks: dict[str, Any]) -> None:
    differing = [n for n, t in catalogue.items() if t.docstring != real_tasks[n]["docstring"]]
    assert differing == []
    assert {n: t.module for n, t in catalogue.items()} == {n: r["module"] for n, r in real_tasks.items()}


def test_signatures_are_casas_own(catalogue: Catalogue, real_tasks: dict[str, Any]) -> None:
    for name, task in catalogue.items():
        mine = [
            [p.name, repr(p.default) if p.default is not p.empty else None, p.kind.name]
            for p in task.signature.parameters.values()
        ]
        assert mine == real_tasks[name]["parameters"], name


# The shell's generated specfit passes {} where its own signature has '': both mean "none given".
QUIRKS = {
    ("specfit", n)
    for n in ["pampest", "pcenterest", "pfwhmest", "pfix", "gmampcon", "gmcentercon", "gmfwhmcon", "gmfix"]
}


def test_conditions_are_casashells(catalogue: Catalogue) -> None:
    """Sub-parameters and their conditional defaults agree with what casashell's `inp` was generated with."""
    casashell = catalogue.site / "casashell" / "private"
    compared = 0
    for name in set(catalogue) - GUI - {"sdcal"}:  # sdcal: generated as a bare `return`
        shell = read_task(casashell / f"{name}.py", casashell / f"{name}.py")["conditions"]
        theirs = {(c["parameter"], c["equals"], repr(c["value"]), n, repr(v)) for c in shell for n, v in c["defaults"]}
        mine = {
            (c.parameter, c.equals, repr(c.value), n, repr(v))
            for c in catalogue[name].conditions
            for n, v in c.defaults
        }
        assert {m for m in mine ^ theirs if (name, m[3]) not in QUIRKS} == set(), name
        compared += len(mine)
    assert compared > 1000


def test_types_allowed_values_and_texts(catalogue: Catalogue) -> None:
    gaincal = {p.name: p for p in catalogue["gaincal"].parameters}
    assert gaincal["vis"].type == "path" and gaincal["vis"].must_exist
    assert gaincal["gaintable"].type == "stringVec"
    assert set(gaincal["calmode"].allowed) == {"a", "p", "ap"}
    assert gaincal["splinetime"].subparameter and not gaincal["solint"].subparameter
    assert gaincal["caltable"].shortdescription == "Name of output gain calibration table"
    assert catalogue["gaincal"].categories == ("calibration",)
    assert {p.name: p.type for p in catalogue["tclean"].parameters}["vis"] == "path|pathVec"
    plotms = {p.name: p for p in catalogue["plotms"].parameters}
    assert plotms["plotfile"].type == "string" and plotms["overwrite"].type == "bool"
    assert "line" in plotms["xconnector"].allowed
    assert plotms["xaxis"].shortdescription == "Plot x-axis (blank for default/current)"
    assert all(t.docstring and t.summary and t.categories for t in catalogue.values())


def test_no_part_of_casa_is_imported() -> None:
    code = (
        "import sys; from casa_recompute.tasks import load_catalogue; c = load_catalogue(); list(c.values());"
        "print([m for m in sys.modules if m.startswith(('casat', 'casap', 'casav'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_cache_gives_the_same_tasks_and_is_used(cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = load_catalogue()
    assert len(list(cache_home.iterdir())) == 1
    monkeypatch.setattr(loader, "_casatask", lambda *_: pytest.fail("read the installation again"))
    assert dict(load_catalogue()) == dict(fresh)


@pytest.mark.parametrize("damage", ["truncated", "changed", "empty", "binary"])
def test_a_damaged_cache_is_never_trusted(cache_home: Path, damage: str) -> None:
    fresh = load_catalogue()
    (file,) = cache_home.iterdir()
    good = file.read_bytes()
    bad = {
        "truncated": good[: len(good) // 2],
        "changed": good.replace(b'"gaincal"', b'"gaincalX"', 1),
        "empty": b"",
        "binary": b"\x00\xff\n" * 100,
    }[damage]
    assert bad != good
    file.write_bytes(bad)
    assert dict(load_catalogue()) == dict(fresh)
    assert file.read_bytes() == good


def test_a_changed_installation_is_read_again(cache_home: Path, tmp_path: Path, catalogue: Catalogue) -> None:
    site = tmp_path / "site"
    (site / "casatasks" / "__xml__").mkdir(parents=True)
    for name in ("casatasks/__xml__/clearstat.xml", "casatasks/clearstat.py"):
        (site / name).write_bytes((catalogue.site / name).read_bytes())
    first = load_catalogue(site)
    assert set(first) == {"clearstat"}  # GUI packages that are absent only remove their tasks
    xml = site / "casatasks" / "__xml__" / "clearstat.xml"
    xml.write_text(xml.read_text().replace("Clear all autolock locks", "Changed"))
    assert load_catalogue(site)["clearstat"].summary == "Changed"


def test_a_home_that_cannot_be_written_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("a file where the cache directory should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(load_catalogue()) == 128


def test_missing_casa_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CasaNotFound, match="pip install casatasks"):
        load_catalogue(tmp_path)


def test_bind_fills_defaults_with_copies(catalogue: Catalogue) -> None:
    task = catalogue["gaincal"]
    bound = task.bind(("a.ms",), {"caltable": "a.G", "gaintable": ["b"]})
    assert list(bound) == [p.name for p in task.parameters]
    assert bound["vis"] == "a.ms" and bound["solint"] == "inf" and bound["gaintable"] == ["b"]
    bound["smodel"].append(1.0)
    assert task.bind((), {})["smodel"] == []


def test_bind_errors_read_like_pythons(catalogue: Catalogue) -> None:
    gaincal = catalogue["gaincal"]
    with pytest.raises(TypeError, match=r"gaincal\(\) got an unexpected keyword argument 'solin'. Did you mean"):
        gaincal.bind((), {"solin": "inf"})
    with pytest.raises(TypeError, match=r"gaincal\(\) multiple values for argument 'vis'"):
        gaincal.bind(("a",), {"vis": "b"})
    with pytest.raises(TypeError, match=r"clearstat\(\) too many positional arguments"):
        catalogue["clearstat"].bind((1,), {})
    assert catalogue["sdcal"].bind((), {"intent": "x"})["intent"] == "x"


def test_subparameters_follow_their_parents(catalogue: Catalogue) -> None:
    tclean = catalogue["tclean"]
    assert "cycleniter" not in tclean.applicable({}) and "cycleniter" in tclean.applicable({"niter": 10})
    assert "nchan" in tclean.applicable({"specmode": "cube"})
    assert "sidelobethreshold" not in tclean.applicable({"usemask": "user"})
    assert tclean.conditional_defaults({})["pbmask"] == 0.0
    assert tclean.conditional_defaults({"usemask": "pb"})["pbmask"] == 0.2
    assert tclean.conditional_defaults({"specmode": "cubesource"})["outframe"] == "REST"
    assert "iteraxis" in catalogue["plotms"].applicable({})
