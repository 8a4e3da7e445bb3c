"""CASA on ZFS: a task changes a MeasurementSet in place, and its earlier state comes back out of a snapshot.

Not a test of its own: `make test-zfs` runs it in a virtual machine, where CASA takes minutes for its seconds.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from casa_recompute.products import ABSENT
from casa_recompute.session import Session
from casa_recompute.settings import Settings
from casa_recompute.store import ZfsStore
from jupyterlab_casa.tutorial import DATA, write_tutorial


def main(workspace: Path) -> None:
    """Run a few tasks in ``workspace``, a dataset of its own."""
    write_tutorial(workspace)
    os.chdir(workspace)
    session = Session(workspace, Settings(threads=1))
    store = session.workspace.store
    assert isinstance(store, ZfsStore) and store.name == "zfs", (store.name, store.reason, store.advice)
    calls = {
        "import": lambda: session.call("importuvfits", fitsfile=DATA, vis="n.ms"),
        "flag": lambda: session.call("flagdata", vis="n.ms", mode="manual", antenna="3"),
        "look": lambda: session.call("flagdata", vis="n.ms", mode="summary"),
    }
    first = {name: call() for name, call in calls.items()}
    assert {outcome.action for outcome in first.values()} == {"ran"}
    snapshots = store.zfs.snapshots()
    for name in ("import", "flag"):
        key = first[name].key
        assert key and any(key in snapshot for snapshot in snapshots), (name, key, snapshots)
    space = session.workspace
    with space.lock():
        (flagging,) = (call for call in space.ledger.calls_of_task("flagdata") if call.key == first["flag"].key)
        before = {path: flagging.inputs.get(path, ABSENT) for path in flagging.outputs}
        assert "n.ms" in space.restore(before)
    unflagged = calls["look"]()
    assert unflagged.value["flagged"] < first["look"].value["flagged"], "not the state before flagdata came back"
    flagged = calls["flag"]()
    assert flagged.action == "restored", flagged.reason
    again = calls["look"]()
    assert (again.action, again.value["flagged"]) == ("restored", first["look"].value["flagged"])
    session.close()
    print("CASA on ZFS:", ", ".join(f"{name} {outcome.seconds:.1f} s" for name, outcome in first.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
