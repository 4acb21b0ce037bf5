#!/usr/bin/env bash
# Fuzzes the readers of io/ with libFuzzer under AddressSanitizer and UndefinedBehaviorSanitizer.
#
#   scripts/fuzz.sh                  # each target of tests/fuzz for 60 seconds
#   scripts/fuzz.sh 600              # for 600 seconds
#   scripts/fuzz.sh 600 csv npz      # only these
#
# Begins with tests/fuzz/corpus and with what earlier runs found of interest, which stays in the build
# folder. An input that is a finding is left there and named. Two targets run at a time.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

seconds=${1:-60}
[ $# -gt 0 ] && shift
[[ $seconds =~ ^[0-9]+$ ]] || fail "usage: scripts/fuzz.sh [SECONDS] [TARGET...]"

need_packages clang cmake ninja-build nlohmann-json3-dev zlib1g-dev
# libFuzzer itself lies in clang's runtime, whose package has clang's version.
if [ ! -e "$(clang++ -print-file-name=libclang_rt.fuzzer-$(uname -m).a)" ]; then
  version=$(clang++ -dumpversion)
  need_packages "libclang-rt-${version%%.*}-dev"
fi

say "building (in $build_dir/fuzz)"
mkdir -p "$build_dir/fuzz"
quietly "$build_dir/fuzz/build.log" bash -c "
  set -e
  cmake -S '$root/tests/fuzz' -B '$build_dir/fuzz' -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=Debug
  cmake --build '$build_dir/fuzz' --parallel $(processors)"

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for source in "$root"/tests/fuzz/*_fuzz.cpp; do
    targets+=("$(basename "$source" _fuzz.cpp)")
  done
fi

fuzz() {  # fuzz TARGET: its log says the rest
  local kept=$build_dir/fuzz/corpus/$1 found=$build_dir/fuzz/findings/$1
  mkdir -p "$kept" "$found"
  UBSAN_OPTIONS=print_stacktrace=1 "$build_dir/fuzz/${1}_fuzz" -max_total_time="$seconds" \
    -max_len=65536 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$found/" \
    "$kept" "$root/tests/fuzz/corpus/$1" >"$build_dir/fuzz/$1.log" 2>&1
}

status=0
report() {  # report PROCESS TARGET
  local log=$build_dir/fuzz/$2.log
  if wait "$1"; then
    say "$2: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, no finding"
  else
    grep -aE -A20 'finding:|ERROR:|runtime error:|Test unit written' "$log" | head -n 60 >&2 || true
    say "$2: FAILED (all of its output is in $log)"
    status=1
  fi
}

say "fuzzing ${targets[*]}, $seconds s each"
for ((i = 0; i < ${#targets[@]}; i += 2)); do
  processes=()
  for target in "${targets[@]:i:2}"; do
    [ -x "$build_dir/fuzz/${target}_fuzz" ] || fail "there is no target '$target'"
    fuzz "$target" &
    processes+=($!)
  done
  for ((k = 0; k < ${#processes[@]}; k++)); do
    report "${processes[k]}" "${targets[i + k]}"
  done
done
exit $status
