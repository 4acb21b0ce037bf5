#!/usr/bin/env bash
# Builds the unroll command and runs the demonstration. Installs what is missing on Debian and Ubuntu.
#
#   scripts/demo.sh [EPOCHS]     # 400; the tests use fewer
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

run_demo() {
  local out=$build_dir/demo
  rm -rf "$out"
  say "training on examples/data/seattle-weather.csv (daily temperatures of Seattle)"
  # Windows of 24 days; the last 10 % of the days are held out, the 10 % before choose the best
  # model. One setting for all three models.
  "$build_dir/bin/unroll" compare "$root/examples/data/seattle-weather.csv" \
    --columns temp_max,temp_min --window 24 --hidden 16 \
    --epochs "$epochs" --lr 0.005 --orthogonal --forget-bias 1 --seed 1 --out "$out"
}

epochs=${1:-400}
[[ $epochs =~ ^[0-9]+$ ]] || fail "usage: scripts/demo.sh [EPOCHS]"

need_packages g++ cmake ninja-build libeigen3-dev nlohmann-json3-dev zlib1g-dev libcli11-dev

say "building (in $build_dir)"
if [ -f "$build_dir/CMakeCache.txt" ]; then
  configure -DUNROLL_CLI=ON
else
  # The demonstration must not ask for what only tests and benchmarks need.
  configure -DUNROLL_CLI=ON -DUNROLL_TESTS=OFF -DUNROLL_BENCH=OFF -DUNROLL_EXAMPLES=OFF
fi
build_targets unroll_cli

run_demo
