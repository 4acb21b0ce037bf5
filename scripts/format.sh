#!/usr/bin/env bash
# Formats every tracked C and C++ file; with --check, names what would change and fails. Versions of
# clang-format differ, so it is always 14.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

formatter=clang-format-14
if ! has_command $formatter && clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
  formatter=clang-format
fi
has_command $formatter || need_packages clang-format-14

cd "$root"
arguments=(-i)
[ "${1:-}" = --check ] && arguments=(--dry-run -Werror)
git ls-files -z '*.c' '*.cpp' '*.h' '*.cu' '*.cuh' | xargs -0 -r "$formatter" "${arguments[@]}"
