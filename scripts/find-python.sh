#!/usr/bin/env bash
# Prints a Python that this project supports. Each is tried by running it: a name on PATH may be a version
# manager's placeholder. 3.11 comes first because CASA was measured on it.
for python in python3.11 python3.12 python3 python; do
  "$python" -c 'import sys; (3, 11) <= sys.version_info < (3, 13) or sys.exit(1); print(sys.executable)' \
    2>/dev/null && exit 0
done
echo "JupyterLab-CASA needs Python 3.11 or 3.12, which was not found. Say where it is: make PYTHON=/path/to/python3.11" >&2
exit 1
