# Sourced by the other scripts: installs what is missing and builds. Nothing happens on sourcing.
#
#   source scripts/setup.sh
#   need_packages g++ cmake ninja-build    # Debian's names
#   configure -DUNROLL_TESTS=ON
#   build_targets unroll_cli               # none: everything
#
# UNROLL_BUILD_DIR names another build folder than build/.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build_dir=${UNROLL_BUILD_DIR:-$root/build}
header_dirs=(/usr/include /usr/local/include /opt/homebrew/include)

say() { printf '== %s\n' "$*"; }

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# quietly LOG COMMAND...: shows the output only when the command fails, or on a terminal.
quietly() {
  local log=$1
  shift
  if [ -t 1 ]; then
    "$@"
  elif ! "$@" >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    fail "failed: $* (all of its output is in $log)"
  fi
}

has_command() { command -v "$1" >/dev/null 2>&1; }

has_header() {
  local dir
  for dir in "${header_dirs[@]}"; do
    [ -e "$dir/$1" ] && return 0
  done
  return 1
}

# Whether the work that a Debian package stands for can be done here, however it was installed.
has_package() {
  case $1 in
    g++) [ -n "${CXX:-}" ] || has_command g++ || has_command clang++ ;;
    cmake | git | doxygen) has_command "$1" ;;
    ninja-build) has_command ninja || has_command make ;;
    clang) has_command clang++ ;;
    clang-format-14) has_command clang-format-14 ;;
    pkg-config) has_command pkg-config ;;
    libeigen3-dev) has_header eigen3/Eigen/Core || has_header Eigen/Core ;;
    nlohmann-json3-dev) has_header nlohmann/json.hpp ;;
    zlib1g-dev) has_header zlib.h ;;
    libcli11-dev) has_header CLI/CLI.hpp ;;
    libgtest-dev) has_header gtest/gtest.h ;;
    libbenchmark-dev) has_header benchmark/benchmark.h ;;
    python3-numpy) python3 -c 'import numpy' >/dev/null 2>&1 || /usr/bin/python3 -c 'import numpy' >/dev/null 2>&1 ;;
    *) [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
  esac
}

# need_packages PACKAGE...: installs with apt what is missing, or names it and stops.
need_packages() {
  local package missing=() become_root=()
  for package in "$@"; do
    has_package "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0

  if ! has_command apt-get; then
    fail "This needs (by the names of Debian's packages): ${missing[*]}
apt-get is not here: please install them with this system's package manager and start again."
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if ! has_command sudo; then
      fail "This needs packages that only root can install. As root: apt-get install ${missing[*]}"
    fi
    become_root=(sudo)
  fi

  say "installing ${missing[*]}"
  local log
  log=$(mktemp)
  if ! {
    apt_get update && apt_get install -y --no-install-recommends "${missing[@]}"
  } >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    rm -f "$log"
    fail "apt-get could not install: ${missing[*]}"
  fi
  rm -f "$log"
}

# Uses become_root of its caller.
apt_get() {
  ${become_root[@]+"${become_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@"
}

processors() { getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2; }

# configure ARGUMENT...: a release build unless the build folder says otherwise.
configure() {
  local generator=()
  if [ -f "$build_dir/CMakeCache.txt" ]; then
    # A cache from elsewhere (a moved or copied clone) would be refused.
    if ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$build_dir/CMakeCache.txt"; then
      rm -rf "$build_dir/CMakeCache.txt" "$build_dir/CMakeFiles"
    fi
  fi
  if [ ! -f "$build_dir/CMakeCache.txt" ] && [ -z "${CMAKE_GENERATOR:-}" ] && has_command ninja; then
    generator=(-G Ninja)
  fi
  mkdir -p "$build_dir"
  quietly "$build_dir/configure.log" \
    cmake -S "$root" -B "$build_dir" ${generator[@]+"${generator[@]}"} "$@"
}

# build_targets TARGET...: all targets when none is named.
build_targets() {
  local targets=()
  [ $# -gt 0 ] && targets=(--target "$@")
  quietly "$build_dir/build.log" \
    cmake --build "$build_dir" --parallel "$(processors)" ${targets[@]+"${targets[@]}"}
}
