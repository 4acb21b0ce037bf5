#!/usr/bin/env bash
# with_numpy.sh SCRIPT ARGUMENT...: runs a Python script with the first Python that has NumPy.
# Exits with 77, which ctest takes as skipped, where there is none.
set -euo pipefail

for python in ${UNROLL_PYTHON:+"$UNROLL_PYTHON"} python3 /usr/bin/python3; do
  if "$python" -c 'import numpy' >/dev/null 2>&1; then
    exec "$python" "$@"
  fi
done
echo "skipped: no python3 with NumPy here (on Debian: apt install python3-numpy)"
exit 77
