#!/bin/bash
# No inline function of the kernels as nvcc compiles them has the symbol of one of the simulator's: the
# linker would keep one of the two, and a program with both would start GPU kernels on the simulator.
#
#   tests/scripts/symbols_apart.sh NVCC SIMULATED.o...
#
# Compiles a file of kernels and the one of memory: what all files share is in them. Plans of namespace unroll::gpu are the same code in both.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
nvcc=$1
shift
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

# Inline functions of namespace unroll, mangled.
symbols() { nm --defined-only "$@" | sed -nE 's/^[0-9a-f]+ [Wu] (_ZNK?6unroll.*)/\1/p' | grep -vE '^_ZNK?6unroll3gpu' | sort -u; }

for file in scan memory; do
  "$nvcc" -std=c++20 -arch=sm_80 -I "$root" -c "$root/cuda/$file.cu" -o "$build/$file.o"
done
symbols "$build"/*.o >"$build/by_nvcc"
symbols "$@" >"$build/simulated"
if common=$(comm -12 "$build/by_nvcc" "$build/simulated" | grep .); then
  echo "both nvcc's objects and the simulator's define:"
  c++filt <<<"$common"
  exit 1
fi
