#!/usr/bin/env bash
# CONTRIBUTING.md shows how to add an op as a diff. Here: its files exist, the lines that it says
# stand there do, and what it adds is not there yet.
#
#   contributing_test.sh [FILE]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
document=${1:-$root/CONTRIBUTING.md}

in_diff=no file='' context=0 added=0 status=0
complain() {
  echo "$document: $1"
  status=1
}
while IFS= read -r line; do
  case $line in
    '```diff') in_diff=yes ;;
    '```') in_diff=no ;;
  esac
  [ $in_diff = yes ] || continue
  case $line in
    '```'* | '--- '* | '@@'*) ;;
    '+++ b/'*)
      file=$root/${line#+++ b/}
      [ -f "$file" ] || complain "there is no $file"
      ;;
    ' '*)
      context=$((context + 1))
      grep -qxF -- "${line# }" "$file" || complain "not in $file: ${line# }"
      ;;
    '+'*)
      added=$((added + 1))
      ! grep -qxF -- "${line#+}" "$file" || complain "already in $file: ${line#+}"
      ;;
    *) complain "neither context nor addition: $line" ;;
  esac
done <"$document"
[ $context -gt 0 ] && [ $added -gt 0 ] || complain "found no diff"
exit $status
