"""inp, go, default, tget, tput, saveinputs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from IPython.core.error import UsageError

from casa_kernel import saved
from casa_kernel.verbs import problem
from casa_recompute.tasks import Catalogue

from .conftest import Bench


def shown(bench: Bench, code: str, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Parameter -> what ``inp`` says of it, colours left out; red values get a leading ``!``."""
    capsys.readouterr()
    bench.run(code)
    rows = {}
    for line in capsys.readouterr().out.splitlines():
        plain = re.sub(r"\x1b\[\d+m", "", line)
        if match := re.match(r"\s*(\w+)\s+= (.*)", plain):
            rows[match[1]] = ("!" if "\x1b[31m" in line else "") + match[2]
    return rows


def test_inp_shows_subparameters_only_while_they_apply(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    rows = shown(bench, "inp(gaincal)", capsys)
    assert rows["gaintype"].startswith("'G'") and "timerange" in rows and "splinetime" not in rows
    rows = shown(bench, "gaintype = 'GSPLINE'; selectdata = False; inp()", capsys)
    assert rows["splinetime"].startswith("3600.0") and "timerange" not in rows


def test_inp_marks_values_that_casa_refuses(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.ms").mkdir()
    rows = shown(bench, "vis = 'a.ms'; calmode = 'x'; solnorm = 1; minsnr = 2; inp('gaincal')", capsys)
    assert not rows["vis"].startswith("!")
    assert rows["calmode"].startswith("!") and "must be one of" in rows["calmode"]
    assert rows["solnorm"].startswith("!")
    assert not rows["minsnr"].startswith("!")
    assert "'nosuch.ms' does not exist" in shown(bench, "vis = 'nosuch.ms'; inp(gaincal)", capsys)["vis"]


def test_no_default_is_marked_unless_it_must_be_replaced(catalogue: Catalogue) -> None:
    wrong = {
        (name, parameter.name): said
        for name, task in catalogue.items()
        for parameter in task.parameters
        if not parameter.must_exist and (said := problem(parameter, parameter.default))
    }
    assert set(wrong) == {("gencal", "caltype")}  # '' stands for: choose one


def test_go_runs_with_global_variables_and_conditional_defaults(bench: Bench) -> None:
    bench.run("vis = 'a.ms'; standard = 'manual'")
    assert bench.run("go(setjy)") == {"n": 1}
    assert bench.run("go()") == {"n": 1}
    task, bound = bench.session.calls[0]
    assert (task, bound["vis"], bound["standard"]) == ("setjy", "a.ms", "manual")
    assert bound["fluxdensity"] == [1, 0, 0, 0]  # -1 with another standard
    assert bench.session.calls[0] == bench.session.calls[1]


def test_tools_and_functions_are_no_parameters(bench: Bench) -> None:
    """`display` is a function of IPython and a parameter of flagdata."""
    bench.run("display = print; vis = 'a.ms'; go(flagdata)")
    assert bench.session.calls[0][1]["display"] == ""


def test_default_removes_the_variables_of_a_task_only(bench: Bench) -> None:
    bench.run("vis = 'a.ms'; mine = 1; default('uvsub')")
    assert "vis" not in bench.shell.user_ns and bench.shell.user_ns["mine"] == 1


def test_tget_brings_back_the_last_call_and_nothing_is_littered(bench: Bench) -> None:
    before = set(os.listdir())
    bench.run("uvsub('a.ms', True)")
    bench.run("vis = 'other'; reverse = False; tget(uvsub)")
    assert (bench.shell.user_ns["vis"], bench.shell.user_ns["reverse"]) == ("a.ms", True)
    assert set(os.listdir()) - before <= {".casa-recompute"}


def test_tget_does_not_hide_functions_behind_defaults(bench: Bench) -> None:
    bench.run("flagdata('a.ms', mode='summary')")
    bench.run("tget(flagdata)")
    assert bench.shell.user_ns["mode"] == "summary"
    assert "display" not in bench.shell.user_ns
    bench.run("flagdata('a.ms', display='data'); tget(flagdata)")
    assert bench.shell.user_ns["display"] == "data"


def test_files_of_casashell_are_read(bench: Bench) -> None:
    Path("uvsub.last").write_text("vis     = 'old.ms'\nreverse = True\n#uvsub( vis='old.ms',reverse=True )\n")
    bench.run("tget('uvsub')")
    assert (bench.shell.user_ns["vis"], bench.shell.user_ns["reverse"]) == ("old.ms", True)
    Path("mine.saved").write_text("vis = 'saved.ms'\n")
    bench.run("tget(uvsub, 'mine.saved')")
    assert bench.shell.user_ns["vis"] == "saved.ms"


def test_the_newer_of_ours_and_casashells_is_read(bench: Bench) -> None:
    bench.run("uvsub('ours.ms')")
    Path("uvsub.last").write_text("vis = 'casashells.ms'\n")
    os.utime("uvsub.last", (1, 1))
    bench.run("tget(uvsub)")
    assert bench.shell.user_ns["vis"] == "ours.ms"
    os.utime("uvsub.last")
    os.utime(".casa-recompute/last/uvsub.last", (1, 1))
    bench.run("tget(uvsub)")
    assert bench.shell.user_ns["vis"] == "casashells.ms"


def test_tget_executes_nothing(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    Path("uvsub.last").write_text("vis = open('made', 'w').name\nreverse = True\nimport os\nos.mkdir('dir')\n")
    bench.run("tget(uvsub)")
    assert not Path("made").exists() and not Path("dir").exists()
    assert bench.shell.user_ns["reverse"] is True and "vis" not in bench.shell.user_ns
    assert "not restored" in capsys.readouterr().out
    Path("bad.saved").write_text("this is ( no python")
    assert isinstance(bench.run("tget(uvsub, 'bad.saved')"), UsageError)


def test_tget_without_a_file_sets_defaults(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.run("vis = 'a.ms'; tget(uvsub)")
    assert "vis" not in bench.shell.user_ns and "defaults are set" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["tput", "saveinputs"])
def test_saved_parameters_are_python_that_casashell_can_run(bench: Bench, verb: str, catalogue: Catalogue) -> None:
    bench.run(f"vis = 'it''s.ms'; gaintable = ['a', 'b']; {verb}(gaincal, 'mine.saved')")
    values: dict[str, object] = {}
    exec(Path("mine.saved").read_text(), values)  # as casashell reads it
    assert values["vis"] == "its.ms" and values["gaintable"] == ["a", "b"]
    assert set(catalogue["gaincal"].defaults) <= set(values)


def test_arrays_and_objects_are_saved_as_what_a_file_can_hold() -> None:
    class Array:
        def tolist(self) -> list[int]:
            return [1, 2]

    values, refused = saved.loads(saved.dumps("t", {"a": Array(), "b": object(), "c": {"x": (1, 2.5)}}))
    assert (values, refused) == ({"a": [1, 2], "b": None, "c": {"x": (1, 2.5)}}, [])


@pytest.mark.parametrize("code", ["inp()", "go('nosuch')", "go(print)", "tget(3)", "default()"])
def test_what_is_no_task_is_refused_in_words(bench: Bench, code: str) -> None:
    error = bench.run(code)
    assert isinstance(error, UsageError) and "task" in str(error)


def test_a_full_disk_does_not_stop_a_call(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert bench.run("uvsub('a.ms')") == {"n": 1}
