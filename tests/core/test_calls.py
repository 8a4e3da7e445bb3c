"""One memoised call, start to end."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import threading
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from casa_recompute.calls import SilentFailure
from casa_recompute.runner import CasaNotLoaded, WorkerDied
from casa_recompute.session import Cell, Session
from casa_recompute.settings import Settings
from casa_recompute.store import files
from casa_recompute.store.files import CopyStore, _FileCapture, copy
from casa_recompute.workspace import HOME, Workspace
from tests.core.standin import FAKE, ORDER, chain, contents, in_cell

Open = Callable[..., Session]


def test_a_second_run_in_a_new_kernel_runs_nothing(open_session: Open, tmp_path: Path) -> None:
    assert chain(open_session()) == ["ran"] * 7
    first = contents(tmp_path)
    assert chain(open_session()) == ["restored"] * 7
    assert contents(tmp_path) == first


@pytest.mark.parametrize(
    ("change", "expected"),
    [({"niter": 5}, 1), ({"solint": "60s"}, 4), ({"field": "0"}, 6)],
    ids=["last step", "middle step", "early step in place"],
)
def test_a_changed_parameter_runs_what_depends_on_it_and_setting_it_back_runs_nothing(
    open_session: Open, tmp_path: Path, change: dict[str, object], expected: int
) -> None:
    session = open_session()
    chain(session)
    first = contents(tmp_path)
    assert chain(session, **change).count("ran") == expected
    changed = contents(tmp_path)
    fresh = open_session(tmp_path / "fresh")
    chain(fresh, **change)
    assert {k: v for k, v in changed.items() if not k.startswith("fresh")} == contents(tmp_path / "fresh")
    os.chdir(tmp_path)
    shutil.rmtree(tmp_path / "fresh")
    again = open_session()
    assert chain(again) == ["restored"] * 7
    assert contents(tmp_path) == first


def test_raw_data_count_by_content(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    chain(session)
    os.utime(tmp_path / "raw.fits")
    assert chain(session) == ["restored"] * 7
    (tmp_path / "raw.fits").write_bytes(b"raw date" * 1000)
    assert chain(session) == ["ran"] * 7


def test_a_task_in_place_run_twice_acts_once(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    chain(session)
    flags = (tmp_path / "a.ms" / "FLAG").read_bytes()
    assert in_cell(session, "flag", "flagdata", vis="a.ms", field="").action == "restored"
    assert (tmp_path / "a.ms" / "FLAG").read_bytes() == flags


def test_an_edited_task_in_place_starts_from_the_cells_above(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    chain(session)
    in_cell(session, "flag", "flagdata", vis="a.ms", field="2")
    fresh = open_session(tmp_path / "fresh")
    in_cell(fresh, "import", "importuvfits", fitsfile="raw.fits", vis="a.ms")
    in_cell(fresh, "flag", "flagdata", vis="a.ms", field="2")
    assert (tmp_path / "a.ms" / "FLAG").read_bytes() == (tmp_path / "fresh" / "a.ms" / "FLAG").read_bytes()


def test_tclean_with_another_niter_starts_afresh_in_its_cell_and_continues_in_a_later_one(
    open_session: Open, tmp_path: Path
) -> None:
    session = open_session()
    chain(session, niter=3)
    in_cell(session, "clean", "tclean", vis="b.ms", imagename="img", niter=5)
    afresh = contents(tmp_path / "img.image")
    order = (*ORDER, "more")
    in_cell(session, "more", "tclean", order, vis="b.ms", imagename="img", niter=5)
    assert contents(tmp_path / "img.image") != afresh
    in_cell(session, "clean", "tclean", order, vis="b.ms", imagename="img", niter=5)
    assert contents(tmp_path / "img.image") == afresh


def test_tclean_writes_into_the_history_of_images_that_share_its_prefix(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    order = (*ORDER, "moments")

    def run(session: Session, niter: int) -> list[str]:
        actions = chain(session, niter=niter)
        moments = in_cell(session, "moments", "immoments", order, imagename="img.image", outfile="img.mom0")
        return [*actions, moments.action]

    run(session, 1)
    assert run(session, 2) == ["restored"] * 6 + ["ran", "ran"]
    changed = contents(tmp_path)
    run(open_session(tmp_path / "fresh"), 2)
    assert {n: d for n, d in changed.items() if n in contents(tmp_path / "fresh")} == contents(tmp_path / "fresh")
    os.chdir(tmp_path)
    assert run(session, 1) == ["restored"] * 8


def test_an_inserted_cell_is_part_of_the_story(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    chain(session)
    order = ("import", "flag", "new", "model", "gain", "apply", "split", "clean")
    in_cell(session, "new", "flagdata", order, vis="a.ms", field="7")
    session.begin_cell(Cell("gain", order, "nb.ipynb", ""))
    assert session.call("gaincal", vis="a.ms", caltable="a.gcal", solint="60s").action == "ran"
    notes = session.end_cell()
    assert (tmp_path / "a.ms" / "MODEL").exists(), "model, between the two, has not run since: its last state counts"
    assert any("has not run since" in note for note in notes)
    assert in_cell(session, "model", "setjy", order, vis="a.ms").action == "ran"


def test_without_cells_calls_act_on_the_present_by_casas_rules(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    session.call("importuvfits", fitsfile="raw.fits", vis="a.ms")
    session.call("flagdata", vis="a.ms")
    once = (tmp_path / "a.ms" / "FLAG").read_bytes()
    session.call("flagdata", vis="a.ms")
    assert (tmp_path / "a.ms" / "FLAG").read_bytes() != once
    session.call("split", vis="a.ms", outputvis="b.ms")
    (tmp_path / "b.ms" / "DATA").write_bytes(b"mine")
    with pytest.raises(OSError, match="already exists"):
        session.call("split", vis="a.ms", outputvis="b.ms")
    assert (tmp_path / "b.ms" / "DATA").read_bytes() == b"mine"


def test_an_output_that_the_user_changed_follows_casas_rule(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    chain(session)
    (tmp_path / "b.ms" / "DATA").write_bytes(b"mine")
    with pytest.raises(OSError, match="already exists"):
        in_cell(session, "split", "split", vis="a.ms", outputvis="b.ms", field="1")
    assert (tmp_path / "b.ms" / "DATA").read_bytes() == b"mine"


def test_an_output_made_by_another_cell_follows_casas_rule(open_session: Open) -> None:
    session = open_session()
    chain(session)
    with pytest.raises(OSError, match="already exists"):
        in_cell(session, "clean", "split", vis="a.ms", outputvis="b.ms", field="3")


@pytest.mark.parametrize(
    ("task", "arguments", "error"),
    [
        ("flagdata", {"vis": "a.ms", "field": "nofield"}, RuntimeError),
        ("split", {"vis": "a.ms", "outputvis": "new.ms", "field": "nofield"}, RuntimeError),
        ("gaincal", {"vis": "a.ms", "caltable": "x", "refant": "abort"}, WorkerDied),
        ("gaincal", {"vis": "a.ms", "caltable": "x", "refant": "99"}, SilentFailure),
        ("gaincal", {"vis": "nosuch.ms", "caltable": "x"}, AssertionError),
    ],
    ids=["in place", "partial output", "abort", "silent failure", "missing input"],
)
def test_a_call_that_fails_leaves_everything_as_it_was(
    open_session: Open, tmp_path: Path, task: str, arguments: dict[str, object], error: type[Exception]
) -> None:
    session = open_session()
    chain(session)
    before = contents(tmp_path)
    with pytest.raises(error):
        session.call(task, **arguments)
    assert contents(tmp_path) == before
    assert session.call("flagdata", vis="a.ms", mode="summary").value["total"] == 7.0


def test_values_logs_and_prints_come_again(open_session: Open) -> None:
    session = open_session()
    chain(session)
    first = in_cell(session, "clean", "tclean", vis="b.ms", imagename="img", niter=9)
    again = in_cell(open_session(), "clean", "tclean", vis="b.ms", imagename="img", niter=9)
    assert (first.action, again.action) == ("ran", "restored")
    assert again.value == first.value == {"iterdone": 9}
    assert again.log == first.log and "Begin Task: tclean" in again.log
    assert again.stdout == first.stdout and "0%" in again.stdout
    assert "`niter` was 0, is now 9" in first.reason


def test_equal_results_stop_the_wave(open_session: Open, tmp_path: Path) -> None:
    """solint in another spelling gives another key, but its table holds the same data."""
    session = open_session()
    chain(session)
    shutil.copy(tmp_path / "raw.fits", tmp_path / "copy.fits")
    order = ("import", "split")
    assert in_cell(session, "import", "importuvfits", order, fitsfile="copy.fits", vis="a.ms").action == "ran"


def test_a_python_edit_in_a_cell_belongs_to_the_cell(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    order = ("import", "python", "flag")

    def run_all() -> None:
        in_cell(session, "import", "importuvfits", order, fitsfile="raw.fits", vis="a.ms")
        session.begin_cell(Cell("python", order, "nb.ipynb", ""))
        (tmp_path / "a.ms" / "DATA").write_bytes(b"edited with the table tool")
        session.end_cell()

    run_all()
    ran = in_cell(session, "flag", "flagdata", order, vis="a.ms", field="1")
    again = in_cell(session, "flag", "flagdata", order, vis="a.ms", field="1")
    assert (ran.action, again.action) == ("ran", "restored")
    assert (tmp_path / "a.ms" / "DATA").read_bytes() == b"edited with the table tool"
    run_all()
    assert in_cell(session, "flag", "flagdata", order, vis="a.ms", field="1").action == "restored"


def test_raw_data_changed_in_place_are_brought_back_for_the_first_cell(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    session.call("importuvfits", fitsfile="raw.fits", vis="raw.ms")
    order = ("flag", "flag2")
    for _ in range(2):
        in_cell(session, "flag", "flagdata", order, vis="raw.ms", field="1")
        in_cell(session, "flag2", "flagdata", order, vis="raw.ms", field="2")
    flags = (tmp_path / "raw.ms" / "FLAG").read_bytes()
    assert in_cell(open_session(), "flag", "flagdata", order, vis="raw.ms", field="1").action == "restored"
    assert in_cell(open_session(), "flag2", "flagdata", order, vis="raw.ms", field="2").action == "restored"
    assert (tmp_path / "raw.ms" / "FLAG").read_bytes() == flags


def test_a_batch_client_that_names_no_cells_has_a_story_too(open_session: Open, tmp_path: Path) -> None:
    def run(field: str) -> list[str]:
        session = open_session()
        actions = []
        for task, arguments in (
            ("flagdata", {"vis": "raw.ms", "field": field}),
            ("setjy", {"vis": "raw.ms"}),
            ("split", {"vis": "raw.ms", "outputvis": "b.ms"}),
        ):
            session.begin_cell(Cell("", None, None, f"{task}({arguments})"))
            actions.append(session.call(task, **arguments).action)
            session.end_cell()
        return actions

    open_session().call("importuvfits", fitsfile="raw.fits", vis="raw.ms")
    assert run("1") == ["ran", "ran", "ran"]
    first = contents(tmp_path)
    assert run("1") == ["restored", "restored", "restored"]
    assert run("2") == ["ran", "ran", "ran"]
    assert run("1") == ["restored", "restored", "restored"]
    assert contents(tmp_path) == first


def test_a_lost_ledger_costs_nothing_but_time(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    chain(session)
    first = contents(tmp_path)
    session.workspace.ledger.close()
    for path in (tmp_path / ".casa-recompute").glob("ledger.sqlite*"):
        path.unlink()
    assert chain(open_session()) == ["restored"] * 7
    assert contents(tmp_path) == first


def test_a_ledger_damaged_under_a_living_kernel_is_rebuilt(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    chain(session)
    (tmp_path / ".casa-recompute" / "ledger.sqlite-wal").unlink()
    (tmp_path / ".casa-recompute" / "ledger.sqlite").write_bytes(b"not a database " * 500)
    session.workspace.ledger.close()
    assert "ran" not in chain(session)


def test_a_damaged_store_is_computed_again(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    chain(session)
    first = contents(tmp_path)
    chain(session, niter=4)
    for path in filter(Path.is_file, (tmp_path / ".casa-recompute" / "store").rglob("*")):
        path.chmod(0o600)
        path.write_bytes(b"garbage")
    chain(open_session())
    assert contents(tmp_path) == first


def test_what_the_disk_cannot_read_any_more_is_computed_again(
    open_session: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(store="copy")
    chain(session)
    first = contents(tmp_path)
    shutil.rmtree(tmp_path / "b.ms")
    bad = {path for path in (tmp_path / HOME / "store").rglob("*") if path.is_file()}

    def transfer(source: int, target: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{source}")) in bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        copy(source, target)

    monkeypatch.setattr(CopyStore, "transfer", staticmethod(transfer))
    monkeypatch.setattr(files, "readable", lambda path: path not in bad)
    assert in_cell(session, "split", "split", vis="a.ms", outputvis="b.ms").action == "ran"
    assert contents(tmp_path) == first
    shutil.rmtree(tmp_path / "b.ms")
    assert in_cell(session, "split", "split", vis="a.ms", outputvis="b.ms").action == "restored"
    assert contents(tmp_path) == first


def test_data_that_a_link_leads_to_are_kept_and_brought_back(open_session: Open, tmp_path: Path) -> None:
    """As users do who have little room in their workspace: data -> /big/disk."""
    session = open_session(tmp_path / "workspace")
    (tmp_path / "big").mkdir()
    (tmp_path / "workspace" / "data").symlink_to(tmp_path / "big")
    in_cell(session, "import", "importuvfits", fitsfile="raw.fits", vis="data/a.ms")
    in_cell(session, "flag", "flagdata", vis="data/a.ms", field="")
    first = contents(tmp_path / "big")
    assert in_cell(session, "flag", "flagdata", vis="data/a.ms", field="1").action == "ran"
    assert contents(tmp_path / "big") != first
    assert in_cell(session, "flag", "flagdata", vis="data/a.ms", field="").action == "restored"
    assert contents(tmp_path / "big") == first
    assert (tmp_path / "workspace" / "data").is_symlink()


def test_data_that_moved_behind_a_link_are_computed_where_they_are_now(open_session: Open, tmp_path: Path) -> None:
    session = open_session(tmp_path / "workspace")
    data, big = tmp_path / "workspace" / "data", tmp_path / "big"
    data.mkdir()
    in_cell(session, "import", "importuvfits", fitsfile="raw.fits", vis="data/a.ms")
    in_cell(session, "flag", "flagdata", vis="data/a.ms", field="")
    shutil.move(data, big)
    data.symlink_to(big)
    first = contents(big)
    assert in_cell(session, "flag", "flagdata", vis="data/a.ms", field="1").action == "ran"
    assert contents(big) != first
    assert in_cell(session, "import", "importuvfits", fitsfile="raw.fits", vis="data/b.ms").action == "ran"
    assert (big / "b.ms").is_dir() and data.is_symlink()


def test_a_removed_product_comes_back(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    chain(session)
    first = contents(tmp_path)
    shutil.rmtree(tmp_path / "b.ms")
    assert in_cell(session, "clean", "tclean", vis="b.ms", imagename="img", niter=0).action == "restored"
    assert chain(session) == ["restored"] * 7
    assert contents(tmp_path) == first
    shutil.rmtree(tmp_path / "b.ms")
    assert in_cell(session, "clean", "tclean", vis="b.ms", imagename="img", niter=1).action == "ran"


def test_a_wrong_argument_changes_nothing_on_disk(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    chain(session)
    before = contents(tmp_path)
    with pytest.raises(AssertionError, match="does not exist"):
        in_cell(session, "flag", "flagdata", vis="nosuch.ms")
    assert contents(tmp_path) == before


def test_what_a_cell_no_longer_makes_is_set_aside(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    chain(session)
    in_cell(session, "split", "split", vis="a.ms", outputvis="c.ms")
    assert not (tmp_path / "b.ms").exists()
    in_cell(session, "split", "split", vis="a.ms", outputvis="b.ms")
    assert (tmp_path / "b.ms").exists() and not (tmp_path / "c.ms").exists()


def test_two_kernels_take_turns_and_a_cell_without_tasks_does_not_wait(open_session: Open, tmp_path: Path) -> None:
    first, second = open_session(), open_session()
    chain(first)
    with first.workspace.lock():
        second.begin_cell(Cell("print", ORDER, "nb.ipynb", "print(1)"))
        assert second.end_cell() == ()
    assert chain(second) == ["restored"] * 7
    assert chain(second, niter=8).count("ran") == 1
    assert chain(first, niter=8) == ["restored"] * 7


def test_a_failed_run_does_not_change_the_story(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    chain(session, niter=3)
    with pytest.raises(RuntimeError, match="diverged"):
        in_cell(session, "clean", "tclean", vis="b.ms", imagename="img", niter=-1)
    in_cell(session, "clean", "tclean", vis="b.ms", imagename="img", niter=6)
    chain(open_session(tmp_path / "fresh"), niter=6)
    assert contents(tmp_path / "img.image") == contents(tmp_path / "fresh" / "img.image")


@pytest.mark.parametrize("room", [0, 1, 3])
def test_a_full_disk_costs_only_the_memory(
    open_session: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """``room``: how many files still fit when the call begins."""
    session = open_session()
    session.call("importuvfits", fitsfile="raw.fits", vis="a.ms")
    (tmp_path / "a.ms" / "DATA").write_bytes(b"changed, so that it has to be kept before the call")
    left = [room]
    add = _FileCapture.add

    def full(capture: _FileCapture, source: str, mtime_ns: int) -> str:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return add(capture, source, mtime_ns)

    monkeypatch.setattr(_FileCapture, "add", full)
    session.begin_cell(Cell("flag", ORDER, "nb.ipynb", ""))
    outcome = session.call("flagdata", vis="a.ms", field="1")
    session.end_cell()
    assert outcome.action == "ran"
    assert len([note for note in outcome.notes if "No space left" in note]) == 1
    flags = (tmp_path / "a.ms" / "FLAG").read_bytes()
    monkeypatch.setattr(_FileCapture, "add", add)
    again = open_session()
    assert again.call("flagdata", vis="a.ms", mode="summary").action == "ran"
    assert (tmp_path / "a.ms" / "FLAG").read_bytes() == flags
    assert again.workspace.ledger.pending() == []


def test_a_site_has_its_own_interpreter_and_casa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    shutil.copytree(FAKE, site)
    real = importlib.util.find_spec("casatasks")
    assert real is not None and real.submodule_search_locations is not None
    for described in ("__xml__", *(path.name for path in Path(real.submodule_search_locations[0]).glob("[a-z]*.py"))):
        (site / "casatasks" / described).symlink_to(Path(real.submodule_search_locations[0]) / described)
    (site / "casatasks-5.9.dist-info").mkdir()
    (site / "casatasks-5.9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: casatasks\nVersion: 5.9\n")
    venv.create(tmp_path / "venv", with_pip=False)
    [packages] = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (packages / "casa.pth").write_text(f"{site}\n")
    python = str(tmp_path / "venv" / "bin" / "python")
    workspace = tmp_path / "work"
    workspace.mkdir()
    (workspace / "raw.fits").write_bytes(b"raw")
    monkeypatch.chdir(workspace)
    session = Session(workspace, Settings(python=python, threads=1))
    assert session.casa.versions == {"casatasks": "5.9"}
    session.call("importuvfits", fitsfile="raw.fits", vis="a.ms")
    assert session.call("flagdata", vis="a.ms", mode="summary").value["python"] == python
    session.close()


def test_an_interpreter_without_casa_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CasaNotLoaded, match="no-such-python"):
        Session(tmp_path, Settings(python="/no-such-python")).call("flagdata", vis="a.ms")


def test_an_edited_cell_does_not_find_what_it_made_before(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    order = ("import", "split")
    in_cell(session, "import", "importuvfits", order, fitsfile="raw.fits", vis="a.ms")
    session.begin_cell(Cell("split", order, "nb.ipynb", "split('a.ms', 'b.ms')  # as before"))
    session.call("split", vis="a.ms", outputvis="b.ms")
    session.end_cell()
    session.begin_cell(Cell("split", order, "nb.ipynb", "split( 'a.ms',\n 'b.ms')  # another comment"))
    assert session.call("split", vis="a.ms", outputvis="b.ms").products == ()  # it was there all the time
    session.end_cell()
    session.begin_cell(Cell("split", order, "nb.ipynb", "os.listdir('b.ms')"))
    assert not (tmp_path / "b.ms").exists()
    session.end_cell()
    session.begin_cell(Cell("split", order, "nb.ipynb", "split('a.ms', 'b.ms')"))
    assert session.call("split", vis="a.ms", outputvis="b.ms").action == "restored"
    session.end_cell()


def test_python_that_adds_to_a_product_adds_once(open_session: Open, tmp_path: Path) -> None:
    session = open_session()
    order = ("import", "python", "flag")
    in_cell(session, "import", "importuvfits", order, fitsfile="raw.fits", vis="a.ms")
    once = (tmp_path / "a.ms" / "DATA").read_bytes() + b"more"

    def add(text: bytes) -> None:
        session.begin_cell(Cell("python", order, "nb.ipynb", f"add({text!r})"))
        with (tmp_path / "a.ms" / "DATA").open("ab") as stream:
            stream.write(text)
        session.end_cell()

    add(b"more")
    add(b"more")
    assert (tmp_path / "a.ms" / "DATA").read_bytes() == once
    in_cell(session, "flag", "flagdata", order, vis="a.ms", field="1")
    add(b"MORE")
    assert (tmp_path / "a.ms" / "DATA").read_bytes() == once[:-4] + b"MORE"
    assert in_cell(session, "flag", "flagdata", order, vis="a.ms", field="1").action == "ran"


def test_a_cell_ends_also_when_its_end_cannot_be_noted(
    open_session: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session()
    session.begin_cell(Cell("import", ORDER, "nb.ipynb", ""))
    session.call("importuvfits", fitsfile="raw.fits", vis="a.ms")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(session.workspace, "record_cell", full)
        assert any("No space left" in note for note in session.end_cell())
    assert chain(session)[0] == "restored"


def test_arrays_inside_arguments_are_memoised(open_session: Open) -> None:
    session = open_session()
    in_cell(session, "import", "importuvfits", fitsfile="raw.fits", vis="a.ms")
    flux = [np.arange(3), 0.0]
    assert in_cell(session, "model", "setjy", vis="a.ms", fluxdensity=flux).action == "ran"
    assert in_cell(session, "model", "setjy", vis="a.ms", fluxdensity=[np.arange(3), 0.0]).action == "restored"
    assert in_cell(session, "model", "setjy", vis="a.ms", fluxdensity=[np.arange(4), 0.0]).action == "ran"


def test_a_closed_session_leaves_nothing_behind(open_session: Open, tmp_path: Path) -> None:
    def open_files() -> list[str]:
        paths = [os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.lexists(entry.path)]
        return sorted(path for path in paths if path.startswith(str(tmp_path)))

    def settling() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "settle"]

    session = open_session()
    chain(session)
    assert open_files() and settling()
    for thread in settling():
        thread.join()
    session.close()
    assert not open_files()
    session.close()  # harmless
    session.workspace.close()
    space = Workspace.view(tmp_path)
    versions = [space.ledger.version(version) for version in space.ledger.version_ids()]
    objects = {entry.object for version in versions if version for entry in version.manifest.values() if entry.object}
    assert objects and space.ledger.seals().keys() == objects
    space.ledger.close()
    session = open_session()
    chain(session, niter=3)
    session.close()
    assert not settling() and not open_files()
