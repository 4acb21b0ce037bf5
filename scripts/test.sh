#!/usr/bin/env bash
# Builds everything and runs the tests but the long ones, labelled sim-full, which .ci/run adds;
# arguments go to ctest, such as -R Lstm. Installs what is missing on Debian and Ubuntu.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need_packages g++ cmake ninja-build libeigen3-dev nlohmann-json3-dev zlib1g-dev libcli11-dev libgtest-dev \
  python3-numpy

say "building (in $build_dir)"
options=(-DUNROLL_CLI=ON -DUNROLL_TESTS=ON -DUNROLL_EXAMPLES=ON)
if [ ! -f "$build_dir/CMakeCache.txt" ] && ! has_package libbenchmark-dev; then
  options+=(-DUNROLL_BENCH=OFF)
fi
configure "${options[@]}"
build_targets

say "testing"
cd "$build_dir"
exec ctest --output-on-failure --parallel 2 -LE '^sim-full$' "$@"
