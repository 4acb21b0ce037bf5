#!/usr/bin/env bash
# scripts/demo.sh with the real command and series and few epochs: its table is whole, its numbers
# are finite, and each model is far better than the mean. Only cmake is a stand-in: nothing is built.
#
#   demo_test.sh COMMAND
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/bin" "$work/build/bin"
printf '#!/bin/sh\n' >"$work/bin/cmake"
chmod +x "$work/bin/cmake"
ln -s "$1" "$work/build/bin/unroll"

# judge FILE: complains about a table that does not say what the demonstration promises. The last
# columns are NMSE, parameters and seconds; of the two predictors that are not trained, NMSE alone.
judge() {
  awk '
    function finite(text) { return text ~ /^[0-9]+(\.[0-9]+)?$/ }
    function complain(what) { print what ": " $0; bad = 1 }
    /^mean predictor / { mean = $NF; if (!finite(mean) || mean < 0.5) complain("no mean") }
    /^PCA with (16|32) numbers / { pca++; if (!finite($NF) || $NF >= mean / 2) complain("PCA") }
    $1 ~ /^(autoencoder|decoder|attention)$/ {
      count++
      if (!finite($3) || !finite($4) || !finite($5)) complain("not finite")
      else if ($3 >= mean / 2) complain("hardly better than the mean")
    }
    END {
      if (mean == "" || pca != 2 || count != 3) { $0 = ""; complain("a row is missing") }
      exit bad
    }' "$1"
}

# What must be refused.
table='mean predictor 0 1.01
PCA with 16 numbers 16 0.06
PCA with 32 numbers 32 0.02
autoencoder 16 0.28 898 0.1
decoder 32 0.25 2530 0.1
attention none 0.15 3314 0.2'
judge <(printf '%s\n' "$table")
for change in s/0.15/nan/ s/0.15/0.9/ s/0.28/inf/ s/1.01/nan/ /decoder/d /PCA/d /mean/d; do
  if judge <(sed "$change" <<<"$table") >/dev/null; then
    echo "self-test: a table changed by $change was taken"
    exit 1
  fi
done

PATH="$work/bin:$PATH" UNROLL_BUILD_DIR="$work/build" "$root/scripts/demo.sh" 20 >"$work/out" 2>"$work/err" || {
  cat "$work/out" "$work/err"
  exit 1
}
judge "$work/out" || {
  cat "$work/out"
  exit 1
}
for file in reconstructions.csv reconstructions.svg decoder/model.safetensors; do
  [ -s "$work/build/demo/$file" ] || { echo "the demonstration left no $file" && exit 1; }
done
