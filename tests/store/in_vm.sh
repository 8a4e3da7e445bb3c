#!/usr/bin/env bash
# In the virtual machine of scripts/zfs-vm.sh: the contract of the stores on OpenZFS, as root and as an ordinary user,
# with libzfs_core and without; and CASA once. Every part is run, whatever became of the others, two at a time.
set -uo pipefail
export CI=true STORE_TIERS=zfs STORE_EXAMPLES=${STORE_EXAMPLES:-20} STORE_MANY=${STORE_MANY:-5000}
failed=() names=() jobs=()
with_binding=$PYTHON_PYZFS:${PYTHONPATH:-}

start() { # start NAME COMMAND...
  echo "--- $1: started" && names+=("$1")
  { "${@:2}" && code=0 || code=$?; echo "($SECONDS s after the start)"; exit $code; } >"/tmp/part-$1" 2>&1 &
  jobs+=($!)
}
finish() {
  local number
  for number in "${!jobs[@]}"; do
    wait "${jobs[$number]}" || failed+=("${names[$number]}")
    echo "--- ${names[$number]}"
    cat "/tmp/part-${names[$number]}"
  done
  names=() jobs=()
}
# A kill at every command is tested where that does not take an hour.
tests() { python -m pytest -q --durations=5 --deselect tests/store/test_zfs.py::test_a_kill_before_and_after_every_command -p no:cacheprovider --basetemp="/tmp/zfs-tests-$(id -u)" "$@"; }
# What the user needs of this machine, which may lie in somebody's home; only the guest sees the change.
reach() {
  local path
  path=$(readlink -f "$1")
  while [ "$path" != / ]; do chmod o+rx "$path" && path=$(dirname "$path"); done
}
as_user() { setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=/tmp/nobody "$@"; }

for path in . "$(command -v python)" "$(readlink -f "$(command -v python)")" "$(command -v zfs)" "$PYTHON_PYZFS"; do reach "$path"; done
zpool create -O compression=on tank /dev/vda1 && zfs create tank/root && zfs create tank/user || exit 1
zfs set org.example:unrelated=1 tank/user
mkdir -p /tmp/nobody && chown -R nobody:nogroup /tmp/nobody /tank/user

look() { # what doctor says of the store
  as_user python -c '
import sys
from pathlib import Path
from casa_recompute.settings import Settings
from jupyterlab_casa.cli.doctor import _disk
check = next(_disk(Path(sys.argv[1]), Settings()))
print(check.message, check.cure, sep="\n")' /tank/user
}
delegate() { # what doctor tells an ordinary user to ask for is all that is needed
  look | tee /tmp/said
  local line
  line=$(grep -o 'zfs allow .*' /tmp/said) && $line && look | tee /tmp/said && grep -q '^zfs: ' /tmp/said
}

start "delegation" delegate
finish
PYTHONPATH=$with_binding STORE_ZFS_PARENT=tank/root start "root, libzfs_core" \
  tests tests/store/{test_contract,test_zfs,openzfs,test_archive}.py
PYTHONPATH=$with_binding STORE_ZFS=/tank/user start "ordinary user, libzfs_core" as_user bash -c "$(declare -f tests)
  tests tests/store/{test_contract,test_zfs,openzfs,test_archive}.py"
finish
zfs create tank/root/casa
STORE_ZFS=/tank/user start "ordinary user, the command" as_user bash -c "$(declare -f tests)
  tests tests/store/{test_zfs,test_archive}.py -k 'carries or goes_when or held or libzfs or errors or sent'"
start "CASA" python tests/store/thin_casa.py /tank/root/casa
finish

if [ ${#failed[@]} -gt 0 ]; then
  echo "FAILED on OpenZFS: $(printf '%s; ' "${failed[@]}")"
  exit 1
fi
echo "OpenZFS $(zfs version | head -n 1): all parts passed"
