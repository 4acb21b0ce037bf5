#!/usr/bin/env python3
"""Removes one barrier, bound check or mask of a CUDA kernel after the other and sees that a test fails.

    scripts/mutate_kernels.py                  # all of cuda/*.cu and cuda/*.h
    scripts/mutate_kernels.py softmax scan     # those whose file or text holds one of the words
    scripts/mutate_kernels.py --resume         # goes on: what was caught before is not run again
    scripts/mutate_kernels.py --list           # only lists them

A mutant is one of these, in device code:

    barrier   __syncthreads(), __syncwarp(), x.sync(), a fence or a wait for copies: left out
    guard     if (a >= n) return;                   one alternative of the condition: left out
    mask      if (a < n) ...;  a < n ? x : y;  bool inside = a < n;  return a < n;  for (...; inside && i < n; ...)
              if (lane == 0) ...;                   one part of the condition: taken for true

Not among them are the plain bound of a loop, `for (i = 0; i < n; i++)`, the chances of dropout and zoneout,
and what the compiler evaluates.

Works on a copy of the tree in build/kernel_mutants, built once with all mutants in it: an environment
variable says which one is at work. Tests that never reach a mutant are not run for it, the quick ones
are run first: those of the plain kernels, then those of the kernels with checks. Prints how each was
caught, or SURVIVED, and keeps it in build/kernel_mutants/build/results.txt. Survivors are explained,
one a line, in scripts/kernel_survivors.txt (`mutant  |  reason`). Exits with 1 where one is not
explained, or where less than 95 % are caught.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time

from kernel_mutants import every_mutant, with_mutants
from mutants import ROOT, build_copy, copy_tree, wanted

COPY = ROOT / "build" / "kernel_mutants"
RESULTS = COPY / "build" / "results.txt"
SURVIVORS = ROOT / "scripts" / "kernel_survivors.txt"
PROGRAMS = {"plain": "unroll_gpu_tests", "checks": "unroll_gpu_checked_tests"}
FAMILIES = {  # a file belongs to the first whose word its name begins with
    "attention": ("attention",),
    "recurrent": ("recurrent", "persistent", "gemm_tile", "row_products", "lstm", "gru", "rnn"),
    "matrix product": ("matmul", "tile_product", "tensor_tile"),
    "softmax, layer norm, losses": ("softmax", "layer_norm", "cross_entropy", "rows"),
    "reductions, cumsum": ("reduce", "reduction", "scan"),
    "elementwise, copies, gather, optimizers": ("",),
}
# Those of the kernels with checks must not look like the kernel's own accesses.
HEADER = """#pragma once
#include <cstdio>
#include <cstdlib>
#ifdef __SANITIZE_THREAD__
#define UNROLL_UNCHECKED __attribute__((noinline, no_sanitize("thread")))
#else
#define UNROLL_UNCHECKED
#endif
namespace unroll_mutants {
struct State {
  int chosen = std::getenv("UNROLL_MUTANT") ? std::atoi(std::getenv("UNROLL_MUTANT")) : 0;
  bool reached[8192] = {};
  ~State() {
    const char* path = std::getenv("UNROLL_MUTANTS_REACHED");
    std::FILE* file = path ? std::fopen(path, "w") : nullptr;
    for (int i = 0; file && i < 8192; i++)
      if (reached[i]) std::fprintf(file, "%d\\n", i);
    if (file) std::fclose(file);
  }
};
inline State state;
UNROLL_UNCHECKED inline bool is(int n) { return state.reached[n] = true, state.chosen == n; }
}  // namespace unroll_mutants
"""


def build(mutants):
    files = sorted({m.file for m in mutants})
    changed = {f: with_mutants((ROOT / f).read_text(), [m for m in mutants if m.file == f]) for f in files}
    copy_tree(COPY, {**changed, "cuda/mutant.h": HEADER})
    options = [f"-DUNROLL_{part}=OFF" for part in ("CUDA", "CLI", "C", "BENCH", "COMPARE", "EXAMPLES")]
    build_copy(COPY, options, PROGRAMS.values())


def program(name):
    return COPY / "build" / "cuda" / "tests" / PROGRAMS[name]


def run(name, tests, number, seconds, reached=None):
    """None where all pass, else how it failed; the first failure ends it."""
    environment = {**os.environ, "UNROLL_MUTANT": str(number), "GTEST_BREAK_ON_FAILURE": "1"}
    if reached:
        environment["UNROLL_MUTANTS_REACHED"] = reached
    command = [program(name), "--gtest_filter=" + ":".join(tests)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", timeout=seconds)
    except subprocess.TimeoutExpired:
        return "no end"
    if done.returncode == 0:
        return None
    test = (re.findall(r"\[ RUN      \] (\S+)", done.stdout) or ["no test"])[-1]
    report = re.search(r"\bsim: ([a-z ]+)", done.stdout + done.stderr)
    return f"{test}: {report.group(1)}" if report else test


def tests_of(name):
    listed = subprocess.run([program(name), "--gtest_list_tests"], capture_output=True, text=True, check=True).stdout
    tests, suite = [], ""
    for line in listed.splitlines():
        if not line.startswith(" "):
            suite = line.split()[0]
        else:
            tests.append(suite + line.split()[0])
    return tests


def reach(name, workers):
    """{mutant: [(seconds, test) that reaches it]}, the quickest first, by one run of each test. Kept for the next run
    of the same program."""
    kept, built = COPY / "build" / f"reached_by_{name}.json", program(name).stat().st_mtime_ns
    if kept.exists() and kept.stat().st_mtime_ns > built:
        return {int(number): pairs for number, pairs in json.loads(kept.read_text()).items()}

    def one(test):
        with tempfile.TemporaryDirectory() as folder:
            path, start = os.path.join(folder, "reached"), time.monotonic()
            failed = run(name, [test], 0, 900, path)
            seconds = time.monotonic() - start
            if failed:
                raise SystemExit(f"{test} fails without a mutant ({name}): {failed}")
            with open(path) as numbers:
                return seconds, test, [int(number) for number in numbers]

    reached = collections.defaultdict(list)
    for seconds, test, numbers in sorted(workers.map(one, tests_of(name))):
        for number in numbers:
            reached[number].append((seconds, test))
    kept.write_text(json.dumps(reached))
    return reached


def batches(pairs):
    """A few quick tests, then more and more of the slower ones."""
    size = 4
    while pairs:
        yield pairs[:size]
        pairs, size = pairs[size:], 4 * size


def verdict(mutant, reached):
    """(plain or checks, how a mutant is caught), or None."""
    for name in PROGRAMS:
        for pairs in batches(reached[name].get(mutant.number, [])):
            seconds = 30 + 10 * sum(seconds for seconds, _ in pairs)
            failed = run(name, [test for _, test in pairs], mutant.number, seconds)
            if failed:
                return name, failed
    return None


def lines_of(path):
    """{what is before the bar: what is after it}."""
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.split("  |  ", 1) for line in lines if line and not line.startswith("#"))


def judge(mutants, before):
    """{mutant: (plain or checks, how)} or None for a survivor, each printed and kept as it comes."""
    workers = concurrent.futures.ThreadPoolExecutor(2)
    left = [m for m in mutants if str(m) not in before]
    reached = {name: reach(name, workers) for name in PROGRAMS} if left else {}
    known, results = lines_of(SURVIVORS), {m: before.get(str(m)) for m in mutants}
    with open(RESULTS, "a") as kept:
        for mutant, result in zip(left, workers.map(lambda m: verdict(m, reached), left)):
            results[mutant] = result
            how = "{1} ({0})".format(*result) if result else "SURVIVED: " + known.get(str(mutant), "NOT EXPLAINED")
            if not any(reached[name].get(mutant.number) for name in PROGRAMS):
                how = f"no test comes there: {how}"
            print(f"{mutant.file}:{mutant.line}: {mutant.kind}: {mutant.text}\n    {how}", flush=True)
            if result:
                print(mutant, *result, sep="  |  ", file=kept, flush=True)
    return results


def family_of(mutant):
    file = mutant.file.removeprefix("cuda/")
    return next(name for name, words in FAMILIES.items() if file.startswith(words))


def table(results):
    rows = collections.defaultdict(collections.Counter)
    for mutant, result in results.items():
        for row in (family_of(mutant), "all"):
            rows[row].update(["mutants", mutant.kind, *(["no end" if result[1] == "no end" else result[0]] if result else [])])
    columns = ("barrier", "guard", "mask", "mutants", "plain", "checks", "no end")
    print("\n| family | barriers | guards | masks | mutants | caught plain | with checks | by time | survive |\n|" + "---|" * 9)
    for name in [*FAMILIES, "all"]:
        row = rows[name]
        survive = row["mutants"] - row["plain"] - row["checks"] - row["no end"]
        print(f"| {name} | " + " | ".join(str(row[column]) for column in columns) + f" | {survive} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="of the mutants that are wanted; none: all")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    every = every_mutant()
    chosen = wanted(every, arguments.words)
    if arguments.list:
        print("\n".join(f"{m.file}:{m.line}: {m.kind}: {m.text}" for m in chosen))
        return print(f"{len(chosen)} mutants")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    build(every)
    if not arguments.resume:
        RESULTS.unlink(missing_ok=True)
    before = {name: tuple(how.split("  |  ")) for name, how in lines_of(RESULTS).items()}
    results = judge(chosen, before)
    table(results)
    survivors = [str(m) for m, result in results.items() if not result]
    unexplained = [name for name in survivors if name not in lines_of(SURVIVORS)]
    share = 100 - 100 * len(survivors) / max(len(results), 1)
    print(f"\n{share:.1f} % of {len(results)} mutants are caught, {len(unexplained)} survivors are not explained")
    return sys.exit(share < 95 or bool(unexplained))


if __name__ == "__main__":
    main()
