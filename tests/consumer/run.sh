#!/usr/bin/env bash
# Installs a build and uses it as other people's projects do.
#
#   run.sh BUILD_DIR [quick]
#
# quick leaves out compiling unroll once more inside another project (shared libraries, without
# OpenMP), and only configures that.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

run() {
  if ! "$@" >"$work/log" 2>&1; then
    cat "$work/log" >&2
    echo "failed: $*" >&2
    exit 1
  fi
}

refuse() {
  echo "failed: $*" >&2
  exit 1
}

# use PREFIX NAME: projects in C++ and C against what is installed there.
use() {
  run cmake -S "$here" -B "$work/found $2" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$1"
  run cmake --build "$work/found $2"
  run "$work/found $2/consumer"
  run cmake -S "$here/c" -B "$work/found c $2" -DCMAKE_PREFIX_PATH="$1"
  run cmake --build "$work/found c $2"
  run "$work/found c $2/consumer_c"
  if [ -x "$1/bin/unroll" ]; then
    run "$1/bin/unroll" --version
  fi
  echo "$2: find_package from C++ and C: ok"
}

# pkg-config escapes the space in the path for the shell.
use_pkg_config() {
  command -v pkg-config >/dev/null || return 0
  local pc libs
  pc=$(dirname "$(find "$1" -name unroll.pc)")
  libs=$(dirname "$pc")
  flags() { PKG_CONFIG_PATH="$pc" pkg-config --cflags --libs "$1"; }
  run bash -c "${CXX:-c++} -std=c++20 -I'$here' '$here/main.cpp' $(flags unroll) -o '$work/by_pkg_config'"
  run env LD_LIBRARY_PATH="$libs" "$work/by_pkg_config"
  run bash -c "${CC:-cc} -std=c11 '$here/c/main.c' $(flags unroll_c) -o '$work/c_by_pkg_config'"
  run env LD_LIBRARY_PATH="$libs" "$work/c_by_pkg_config"
  echo "$2: pkg-config from C++ and C: ok"
}

# Each header by itself, as the only one of a file, in the project's language.
compile_headers() {
  local language header
  (cd "$1/include" && find unroll -name '*.h' ! -name 'unroll*.h') | sort >"$work/headers"
  [ "$(wc -l <"$work/headers")" -gt 30 ] || refuse "only $(wc -l <"$work/headers") headers are installed"
  run xargs -a "$work/headers" -P 2 -I {} bash -c \
    'echo "#include <{}>" | "$0" -std=c++20 -fsyntax-only -Wall -Wextra -Werror -I"$1" -x c++ - || exit 255' \
    "${CXX:-c++}" "$1/include"
  for language in c c++; do
    for header in unroll unroll_inversion; do
      echo "#include <unroll/$header.h>" >"$work/alone"
      run "${CXX:-c++}" -x "$language" -fsyntax-only -Wall -Wextra -pedantic -Werror \
        -I"$1/include" "$work/alone"
    done
  done
  echo "headers: $(wc -l <"$work/headers") compile alone, and those of C as C and C++"
}

# libunroll.so, stripped, of the objects in libunroll.a: with every instruction set.
check_size() {
  local archive="$build/libunroll.a" limit=6000000 size
  [ -f "$archive" ] || return 0
  run "${CXX:-c++}" -shared -fopenmp -o "$work/libunroll.so" \
    -Wl,--whole-archive "$archive" -Wl,--no-whole-archive
  run strip "$work/libunroll.so"
  size=$(stat -c %s "$work/libunroll.so")
  [ "$size" -lt $limit ] || refuse "libunroll.so has $size bytes, the limit is $limit"
  echo "libunroll.so: $size bytes, below $limit"
}

# Libraries show what their headers declare, and are found by their versions.
check_shared() {
  local library shown
  for library in unroll unroll_io unroll_models; do
    readelf -d "$1/lib/lib$library.so" | grep -q "soname: \[lib$library\.so\.[0-9]*\.[0-9]*\]" ||
      refuse "lib$library.so has no soname with a version"
  done
  readelf -d "$1/lib/libunroll_c.so" | grep -q 'soname: \[libunroll_c\.so\.[0-9]*\]' ||
    refuse "libunroll_c.so has no soname with a version"
  shown=$(nm -DC --defined-only "$1/lib/libunroll.so" | cut -c 20-)
  grep -q '^unroll::tanh(unroll::Tensor const&)' <<<"$shown" || refuse "libunroll.so hides tanh"
  ! grep -E '^unroll::(base|avx2|avx512|cpu)::' <<<"$shown" || refuse "libunroll.so shows its insides"
  check_c "$1"
  echo "shared: sonames and hidden symbols: ok"
}

check_c() {
  local others
  others=$(nm -D --defined-only "$1/lib/libunroll_c.so" | awk '$3 !~ /^unroll_/')
  [ -z "$others" ] || refuse "libunroll_c.so shows more than its headers: $others"
}

use_python() {
  local status=0
  (cd / && env -u UNROLL_LIBRARY PYTHONPATH="$1/lib/python3/dist-packages" PYTHONDONTWRITEBYTECODE=1 \
    "$root/tests/scripts/with_numpy.sh" "$root/examples/python/invert_an_lstm.py") \
    >"$work/log" 2>&1 || status=$?
  case $status in
    0) echo "$2: Python module: ok" ;;
    77) cat "$work/log" ;;
    *)
      cat "$work/log" >&2
      refuse "the installed Python module"
      ;;
  esac
}

# Installed, then moved: an installed tree knows no absolute path.
run cmake --install "$build" --prefix "$work/first place"
mv "$work/first place" "$work/second place"
prefix="$work/second place"
use "$prefix" installed
use_pkg_config "$prefix" installed
use_python "$prefix" installed
compile_headers "$prefix"
check_c "$prefix"
check_size

if command -v dpkg-deb >/dev/null; then
  run cpack -G DEB --config "$build/CPackConfig.cmake" -B "$work/deb"
  run dpkg -x "$(find "$work/deb" -maxdepth 1 -name '*.deb')" "$work/deb root"
  use "$work/deb root/usr" package
  use_python "$work/deb root/usr" package
  dpkg-deb -f "$work"/deb/*.deb Package Version Architecture Depends
fi

run cmake -S "$here" -B "$work/fetched" -DCONSUME=fetchcontent -DUNROLL_ROOT="$root" -DUNROLL_ISAS=base
echo "FetchContent: configured"
# One more build serves three ends: inside another project, without OpenMP, as shared libraries.
run cmake -S "$here" -B "$work/added" -DCONSUME=add_subdirectory -DUNROLL_ROOT="$root" \
  -DUNROLL_ISAS=base -DUNROLL_OPENMP=OFF -DCMAKE_BUILD_TYPE=Debug -DBUILD_SHARED_LIBS=ON \
  -DUNROLL_C=ON -DUNROLL_INSTALL=ON
if [ "${2:-}" != quick ]; then
  run cmake --build "$work/added" --parallel 2
  run "$work/added/consumer"
  run cmake --install "$work/added" --prefix "$work/shared place"
  rm -rf "$work/added"
  use "$work/shared place" shared
  use_pkg_config "$work/shared place" shared
  use_python "$work/shared place" shared
  check_shared "$work/shared place"
fi
echo "add_subdirectory: ok"
