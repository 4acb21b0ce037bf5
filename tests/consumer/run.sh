#!/usr/bin/env bash
# Installs a build and uses it as other people's projects do.
#
#   run.sh BUILD_DIR [quick]
#
# quick leaves out compiling unroll once more inside another project, without OpenMP (only configures).
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

# Installed, then moved: an installed tree knows no absolute path.
run cmake --install "$build" --prefix "$work/first place"
mv "$work/first place" "$work/second place"
prefix="$work/second place"

run cmake -S "$here" -B "$work/found" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$prefix"
run cmake --build "$work/found"
run "$work/found/consumer"
echo "find_package: ok"

if [ -x "$prefix/bin/unroll" ]; then
  run "$prefix/bin/unroll" --version
  echo "installed command: ok"
fi

if command -v pkg-config >/dev/null; then
  pc=$(dirname "$(find "$prefix" -name unroll.pc)")
  flags=$(PKG_CONFIG_PATH="$pc" pkg-config --cflags --libs unroll)
  # pkg-config escapes the space in the path for the shell.
  run bash -c "${CXX:-c++} -std=c++20 -I'$here' '$here/main.cpp' $flags -o '$work/by_pkg_config'"
  run "$work/by_pkg_config"
  echo "pkg-config: ok"
fi

run cmake -S "$here" -B "$work/fetched" -DCONSUME=fetchcontent -DUNROLL_ROOT="$root" -DUNROLL_ISAS=base
echo "FetchContent: configured"
run cmake -S "$here" -B "$work/added" -DCONSUME=add_subdirectory -DUNROLL_ROOT="$root" \
  -DUNROLL_ISAS=base -DUNROLL_OPENMP=OFF -DCMAKE_BUILD_TYPE=Debug
if [ "${2:-}" != quick ]; then
  run cmake --build "$work/added" --target consumer --parallel 2
  run "$work/added/consumer"
fi
echo "add_subdirectory: ok"
