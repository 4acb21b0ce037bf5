#!/usr/bin/env bash
# Tests scripts/setup.sh with a pretended system: apt-get, sudo and id are stand-ins that write down
# how they were called.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

failures=0
check() {  # check WHAT CONDITION...
  local what=$1
  shift
  if ! "$@"; then
    echo "FAILED: $what"
    sed 's/^/    /' "$work/out"
    failures=$((failures + 1))
  fi
}
not() { ! "$@"; }
said() { grep -qF -- "$1" "$work/out"; }
called() { grep -qxF -- "$1" "$work/calls"; }

# A machine with only what the scripts may count on, plus the named stand-ins.
machine() {
  rm -rf "$work/bin"
  mkdir "$work/bin"
  local tool
  for tool in bash dirname env mktemp tail rm cat grep mkdir getconf; do
    ln -s "$(command -v "$tool")" "$work/bin/$tool"
  done
  for tool in "$@"; do
    printf '#!/bin/bash\necho "%s $*" >>"%s/calls"\n' "$tool" "$work" >"$work/bin/$tool"
    # shellcheck disable=SC2016
    case $tool in
      id) echo 'echo "${PRETENDED_USER:-0}"' >>"$work/bin/$tool" ;;
      sudo) echo '"$@"' >>"$work/bin/$tool" ;;
      apt-get) echo 'exit "${APT_STATUS:-0}"' >>"$work/bin/$tool" ;;
    esac
    chmod +x "$work/bin/$tool"
  done
}

# try COMMAND: runs it in a shell that has sourced setup.sh; sets status.
try() {
  : >"$work/calls"
  status=0
  PATH="$work/bin" bash -c "source '$root/scripts/setup.sh'; header_dirs=('$work/include'); $1" \
    >"$work/out" 2>&1 || status=$?
}

apt="apt-get -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300"

machine id apt-get g++ cmake make
mkdir -p "$work/include/gtest"
touch "$work/include/gtest/gtest.h"
try "need_packages g++ cmake ninja-build libgtest-dev"
check "nothing missing: succeeds" [ $status -eq 0 ]
check "nothing missing: apt-get is not called" not grep -q apt-get "$work/calls"

try "need_packages g++ cmake libeigen3-dev libcli11-dev"
check "missing: succeeds" [ $status -eq 0 ]
check "missing: updates" called "$apt update"
check "missing: installs only that" \
  called "$apt install -y --no-install-recommends libeigen3-dev libcli11-dev"
check "missing: says so" said "installing libeigen3-dev libcli11-dev"

APT_STATUS=100 try "need_packages libeigen3-dev"
check "apt-get fails: fails" [ $status -eq 1 ]
check "apt-get fails: names it" said "could not install: libeigen3-dev"

machine id apt-get sudo
PRETENDED_USER=1000 try "need_packages cmake"
check "not root: uses sudo" grep -q '^sudo env DEBIAN_FRONTEND=noninteractive apt-get .* cmake$' \
  "$work/calls"
check "not root: succeeds" [ $status -eq 0 ]

machine id apt-get
PRETENDED_USER=1000 try "need_packages cmake"
check "no sudo: fails" [ $status -eq 1 ]
check "no sudo: names it" said "apt-get install cmake"
check "no sudo: apt-get is not called" not grep -q '^apt-get' "$work/calls"

machine id
try "need_packages g++ libeigen3-dev"
check "not a Debian: fails" [ $status -eq 1 ]
check "not a Debian: names what to install" said "g++ libeigen3-dev"

# A build folder that came from a clone elsewhere is configured afresh; one of this clone is kept.
machine id
printf '#!/bin/bash\necho "cmake $*" >>"%s/calls"\n' "$work" >"$work/bin/cmake"
chmod +x "$work/bin/cmake"
for home in "$root" "/somewhere/else"; do
  rm -rf "$work/a build"
  mkdir -p "$work/a build/CMakeFiles"
  echo "CMAKE_HOME_DIRECTORY:INTERNAL=$home" >"$work/a build/CMakeCache.txt"
  UNROLL_BUILD_DIR="$work/a build" try "configure -DX=1"
  check "configure: succeeds" [ $status -eq 0 ]
  check "configure: arguments" called "cmake -S $root -B $work/a build -DX=1"
  if [ "$home" = "$root" ]; then
    check "own cache: kept" [ -e "$work/a build/CMakeCache.txt" ]
  else
    check "foreign cache: removed" [ ! -e "$work/a build/CMakeCache.txt" ]
  fi
done

# The scripts themselves, in a clone whose path has a space and called from elsewhere. cmake and ctest
# only write down their calls; the rest of the machine is the real one.
clone="$work/a clone"
mkdir -p "$clone"
cp -r "$root/scripts" "$clone/scripts"
machine
for tool in cmake ctest ninja; do
  printf '#!/bin/bash\necho "%s $*" >>"%s/calls"\n' "$tool" "$work" >"$work/bin/$tool"
  chmod +x "$work/bin/$tool"
done
run_script() {
  : >"$work/calls"
  status=0
  (cd / && PATH="$work/bin:$PATH" UNROLL_BUILD_DIR='' CMAKE_GENERATOR='' "$clone/scripts/$@") \
    >"$work/out" 2>&1 </dev/null || status=$?
}
# What the scripts need is installed wherever this test was built, but not always by apt's names.
sed -i 's/^has_package() {/has_package() { return 0; }\nreal_has_package() {/' \
  "$clone/scripts/setup.sh"

run_script test.sh -R "Two words"
check "test.sh: succeeds" [ $status -eq 0 ]
check "test.sh: tests are on" \
  grep -q "^cmake -S $clone -B $clone/build -G Ninja .*-DUNROLL_TESTS=ON" "$work/calls"
check "test.sh: builds everything" grep -qx "cmake --build $clone/build --parallel [0-9]*" \
  "$work/calls"
check "test.sh: passes arguments on" \
  called "ctest --output-on-failure --parallel 2 -LE ^sim-full$ -R Two words"

# How it goes on after building needs a real command.
run_script demo.sh
check "demo.sh: asks for nothing that only tests need" \
  grep -q "^cmake -S $clone -B $clone/build -G Ninja .*-DUNROLL_TESTS=OFF" "$work/calls"
check "demo.sh: builds the command only" \
  grep -qx "cmake --build $clone/build --parallel [0-9]* --target unroll_cli" "$work/calls"
check "demo.sh: fails without the command" [ $status -ne 0 ]

if [ $failures -gt 0 ]; then
  echo "$failures failed"
  exit 1
fi
echo "all passed"
