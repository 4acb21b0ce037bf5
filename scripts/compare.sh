#!/usr/bin/env bash
# Times the recurrent layers and attention beside oneDNN, PyTorch and ONNX Runtime: the same work,
# results checked first, turn by turn. Installs what is missing; PyTorch is large the first time.
#
#   scripts/compare.sh                         # everything, in less than 15 minutes
#   scripts/compare.sh --quick                 # the six tuned sizes, in 3
#   scripts/compare.sh --op lstm --size 8,100,64,128 --threads 2 --json out.json
#   scripts/compare.sh --help                  # all options, which go to bench/compare/compare.py
#
# UNROLL_COMPARE_PYTHON names a Python to use as it is: with NumPy, and PyTorch, ONNX and ONNX
# Runtime as far as they are to take part. Else one is made in build/compare-venv. docs/benchmarks.md
# says what the columns mean.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

# What is asked for, before anything is installed.
if has_command python3; then
  for word in "$@"; do
    case $word in -h | --help) exec python3 "$root/bench/compare/command_line.py" --help ;; esac
  done
  python3 "$root/bench/compare/command_line.py" "$@" || exit
fi

venv=$build_dir/compare-venv
requirements=$root/bench/compare/requirements.txt

need_packages g++ cmake ninja-build libeigen3-dev nlohmann-json3-dev zlib1g-dev

# The peers; each that cannot be had is left out.
if ! has_header oneapi/dnnl/dnnl.hpp && [ "$(id -u)" -eq 0 ] && has_command apt-get; then
  (need_packages libdnnl-dev) || say "without Debian's oneDNN"
fi

# make_venv: a virtual environment with the newest peers of PyPI, once per list of requirements.
make_venv() {
  cmp -s "$requirements" "$venv/installed.txt" && return 0
  python3 -c 'import ensurepip' 2>/dev/null || need_packages python3-venv
  say "installing the peers (in $venv)"
  rm -rf "$venv"
  mkdir -p "$build_dir"
  python3 -m venv "$venv" &&
    quietly "$build_dir/compare-venv.log" "$venv/bin/pip" install -r "$requirements" &&
    cp "$requirements" "$venv/installed.txt"
}

if [ -n "${UNROLL_COMPARE_PYTHON:-}" ]; then
  python=$UNROLL_COMPARE_PYTHON
elif (make_venv); then
  python=$venv/bin/python
else
  say "PyPI's peers cannot be installed here: Debian's PyTorch takes their place"
  need_packages python3-torch python3-numpy
  python=/usr/bin/python3
fi
"$python" -c 'import numpy' 2>/dev/null || fail "$python has no NumPy: set UNROLL_COMPARE_PYTHON to one that has"

say "building (in $build_dir)"
prefix=$("$python" -c 'import sys; print(sys.prefix)')
options=(-DUNROLL_COMPARE=ON "-DUNROLL_ONEDNN=/usr;$prefix")
if [ ! -f "$build_dir/CMakeCache.txt" ]; then
  options+=(-DUNROLL_TESTS=OFF -DUNROLL_CLI=OFF)
  has_package libbenchmark-dev || options+=(-DUNROLL_BENCH=OFF)
fi
configure "${options[@]}"
grep -qE '^CMAKE_BUILD_TYPE:[A-Z]+=(Release|RelWithDebInfo)$' "$build_dir/CMakeCache.txt" ||
  fail "$build_dir is no release build: name another folder with UNROLL_BUILD_DIR"
build_targets compare_workers

say "comparing"
UNROLL_BUILD_DIR=$build_dir exec "$python" "$root/bench/compare/compare.py" "$@"
