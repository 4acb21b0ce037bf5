#!/usr/bin/env bash
# Hot kernels are compiled once per instruction set. A weak symbol (an inline function, a template
# instance) that two copies share is kept only once by the linker, perhaps the AVX-512 one, and then
# baseline code dies on an older machine. So hot objects may define weak symbols only if their name
# holds unroll::<isa>::.
#
#   hot_symbols.sh --self-test
#   hot_symbols.sh ISA OBJECT...
#
# Exits 0 when sound, 1 naming each offender, 77 (skipped) when nm is missing.
set -euo pipefail

# Reads the output of `nm -C --defined-only` and prints what the linker could merge across copies.
# The compilers' own helpers hold no vector code: DW.ref.* (pointers to the exception handler) and
# __clang_call_terminate.
offenders() {
  local isa=$1
  sed -n -E 's/^[0-9a-fA-F]* *([WwVvu]) (.*)$/\2/p' |
    grep -v -E '^(DW\.ref\.|__clang_call_terminate$)' |
    grep -v -F "unroll::${isa}::" || true
}

self_test() {
  local bad good
  bad=$(printf '%s\n' \
    '0000000000000000 W void std::sort<float*>(float*, float*)' \
    '0000000000000010 u unroll::detail::table' \
    '0000000000000020 V vtable for unroll::Thing' \
    '0000000000000030 W unroll::base::helper(float)' | offenders avx512 | wc -l)
  good=$(printf '%s\n' \
    '0000000000000000 T unroll::avx512::lstm_forward(float)' \
    '0000000000000010 t unroll::avx512::lstm_forward(float) [clone ._omp_fn.0]' \
    '0000000000000020 W float unroll::sigmoid<unroll::avx512::simd<float, 16> >(float)' \
    '0000000000000030 V DW.ref.__gxx_personality_v0' \
    '0000000000000040 r .LC0' | offenders avx512 | wc -l)
  if [ "$bad" -ne 4 ] || [ "$good" -ne 0 ]; then
    echo "self-test: found $bad of 4 offenders and $good of 0 false ones"
    exit 1
  fi
}

if ! command -v nm >/dev/null; then
  echo "nm is missing: skipped"
  exit 77
fi
self_test
[ "$1" = --self-test ] && exit 0

isa=$1
shift
status=0
for object in "$@"; do
  found=$(nm -C --defined-only "$object" | offenders "$isa")
  if [ -n "$found" ]; then
    status=1
    while IFS= read -r symbol; do
      echo "$object: weak symbol outside unroll::$isa: $symbol"
    done <<<"$found"
  fi
done
exit $status
