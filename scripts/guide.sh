#!/usr/bin/env bash
# The code of docs/guide.md lies in examples/guide.
#
#   scripts/guide.sh            # copies it into the page
#   scripts/guide.sh record     # runs PyTorch's side of it and keeps, in examples/guide/data, its
#                               # weights and the numbers with which the other sides are compared
#
# Recording needs a python3 with torch and safetensors; UNROLL_PYTHON names one.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

record() {
  local guide=$root/examples/guide program
  data=$(mktemp -d)
  trap 'rm -rf "$data"' EXIT
  for program in tensors recurrent derivatives training files; do
    (cd "$data" && PYTHONDONTWRITEBYTECODE=1 UNROLL_GUIDE=record \
      "${UNROLL_PYTHON:-python3}" "$guide/${program}_torch.py")
  done
  # Of what the programs write, what the other sides do not write themselves.
  rm "$data"/{model,some}.safetensors "$data"/{both.npz,x.npy,run.pt,weather.csv}
  mkdir -p "$guide/data"
  cp "$data"/* "$guide/data"
  chmod 644 "$guide"/data/*
}

case ${1:-} in
  record) record ;;
  '') PYTHONDONTWRITEBYTECODE=1 python3 "$root/tests/scripts/guide.py" --write ;;
  *) fail "usage: scripts/guide.sh [record]" ;;
esac
