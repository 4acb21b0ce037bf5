#!/usr/bin/env bash
# Builds the unroll command and runs the demonstration. Installs what is missing on Debian and Ubuntu.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

run_demo() {
  "$build_dir/bin/unroll" --version
}

need_packages g++ cmake ninja-build libeigen3-dev nlohmann-json3-dev libcli11-dev

say "building (in $build_dir)"
if [ -f "$build_dir/CMakeCache.txt" ]; then
  configure -DUNROLL_CLI=ON
else
  # The demonstration must not ask for what only tests and benchmarks need.
  configure -DUNROLL_CLI=ON -DUNROLL_TESTS=OFF -DUNROLL_BENCH=OFF -DUNROLL_EXAMPLES=OFF
fi
build_targets unroll_cli

run_demo
