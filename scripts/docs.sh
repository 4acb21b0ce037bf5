#!/usr/bin/env bash
# Builds the pages of docs/ and the reference of every header that users see, with Doxygen: start at
# build/docs/index.html. Fails where Doxygen warns, such as at a function that nothing describes.
# Installs what is missing on Debian and Ubuntu.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

need_packages doxygen
cd "$root"
out=$build_dir/docs
pages=(README.md CONTRIBUTING.md CHANGELOG.md docs/*.md)
# Headers that users see open with this line; those of the C interface are two files.
mapfile -t headers < <(grep -lx 'namespace UNROLL_API unroll {' {core,io,kernels,autograd,models,inversion}/*.h 2>/dev/null)
headers+=(capi/unroll.h capi/unroll_inversion.h)

# document FOLDER FILE...: Doxygen's warnings are its output.
document() {
  local folder=$1
  shift
  mkdir -p "$folder"
  { cat docs/Doxyfile && printf '%s\n' "INPUT = $*" "OUTPUT_DIRECTORY = \"$folder\"" \
    "PROJECT_NUMBER = $(sed -n 's/^project(unroll VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)"; } |
    doxygen - 2>&1 >/dev/null
}

# The check must be able to fail.
probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
printf '// A header.\n#pragma once\nnamespace unroll {\n\n/// One.\nint told();\n\nint untold();\n\n}\n' >"$probe/probe.h"
if warnings=$(document "$probe/out" "$probe/probe.h") || [[ $warnings != *untold* || $warnings == *" told"* ]]; then
  fail "Doxygen did not find the function without a description: $warnings"
fi

rm -rf "$out"
document "$out" "${pages[@]}" "${headers[@]}" >&2 || fail "the documentation is not built: see above"
say "${#headers[@]} headers and ${#pages[@]} pages: $out/index.html"
