#!/usr/bin/env python3
"""Removes one barrier, bound check or mask of a CUDA kernel after the other and sees that a test fails.

    scripts/mutate_kernels.py                  # all of cuda/*.cu and cuda/*.h
    scripts/mutate_kernels.py softmax scan     # those whose file or text holds one of the words
    scripts/mutate_kernels.py --list           # only lists them

A mutant is one of these, in device code:

    barrier   __syncthreads(), __syncwarp(), x.sync(), a fence or a wait for copies: left out
    guard     if (a >= n) return;                   one alternative of the condition: left out
    mask      if (a < n) ...;  a < n ? x : y;  bool inside = a < n;  return a < n;
              one part of the condition: taken for true

Works on a copy of the tree in build/kernel_mutants, built once with all mutants in it: an environment
variable says which one is at work. Tests that never reach a mutant are not run for it. First the plain
kernels are run, then those with checks. Prints how each was caught, or SURVIVED. Survivors are
explained, one a line, in scripts/kernel_survivors.txt (`file: text  |  reason`). Exits with 1 where
one is not explained, or where less than 95 % are caught.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPY = ROOT / "build" / "kernel_mutants"
SURVIVORS = ROOT / "scripts" / "kernel_survivors.txt"
HOST_ONLY = {"launch.h", "runtime.h", "pool.h", "memory.cu", "backend.h", "backend.cu"}
HEADER = """#pragma once
#include <cstdio>
#include <cstdlib>
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
inline bool is(int n) { return state.reached[n] = true, state.chosen == n; }
}  // namespace unroll_mutants
"""
BARRIER = re.compile(r"(?:__syncthreads(?:_\w+)?\(.*?\)|__syncwarp\(.*?\)|__threadfence\w*\(\)|\b\w+\.sync\(\)"
                     r"|\b(?:cg::|cooperative_groups::)?sync\(\w+\)|__pipeline_(?:wait_prior|commit)\(.*?\));")
COMPARES = re.compile(r" (?:<|<=|>|>=) ")
MASKS = re.compile(r"^!?(?:\w+[.])*(?:inside|valid|active|whole|in_range|may)(?:_|\(.*\))?$")


class Mutant:
    def __init__(self, file, begin, end, text, kind, line):
        self.file, self.begin, self.end, self.text, self.kind, self.line = file, begin, end, text, kind, line
        self.number = 0

    def edit(self, part):
        at_work = f"unroll_mutants::is({self.number})"
        if self.kind == "barrier":
            return f"if (!{at_work}) {part}"
        return f"(!{at_work} && ({part}))" if self.kind == "guard" else f"({at_work} || ({part}))"

    def __str__(self):
        return f"{self.file}: {self.kind}: {self.text}"


def blanked(source):
    """The source with comments and strings as spaces, in the same places."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), source)


def closing(text, begin, pair):
    """The place of the bracket that closes the one at `begin`."""
    depth = 0
    for i in range(begin, len(text)):
        depth += (text[i] == pair[0]) - (text[i] == pair[1])
        if depth == 0:
            return i
    return len(text)


def device_code(text):
    """(begin, end) of the bodies of __global__ and __device__ functions."""
    end = 0
    for mark in re.finditer(r"__global__|__device__|UNROLL_HOST_DEVICE", text):
        if mark.start() < end:
            continue
        brace, stop = text.find("{", mark.end()), text.find(";", mark.end())
        if brace < 0 or 0 <= stop < brace:
            continue
        end = closing(text, brace, "{}")
        yield brace, end


def parts(text, begin, end, operator):
    """(begin, end) of what a top-level && or || joins."""
    depth, start = 0, begin
    for i in range(begin, end):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if depth == 0 and text.startswith(operator, i):
            yield start, i
            start = i + len(operator)
    yield start, end


def conditions(text, begin, end):
    """(begin, end, whether it guards) of the conditions in a function."""
    for m in re.finditer(r"\bif \(", text[begin:end]):
        opened = begin + m.end() - 1
        close = closing(text, opened, "()")
        inner = opened + 1
        named = re.match(r"[^;()]*;\s*", text[inner:close])  # if (init; condition)
        inner += named.end() if named else 0
        guards = re.match(r"\s*\{?\s*(?:return|continue|break)\b", text[close + 1:])
        yield inner, close, bool(guards)
    for m in re.finditer(r"\b(?:bool \w+ = |return )([^;?{}]*);", text[begin:end]):
        yield begin + m.start(1), begin + m.end(1), False
    for m in re.finditer(r"(?:= |return |\(|, )([^=?;{}(),]*(?:<|<=|>|>=) [^=?;{}(),]*) \?", text[begin:end]):
        yield begin + m.start(1), begin + m.end(1), False


def mutants_of(path):
    source = path.read_text()
    text, name = blanked(source), str(path.relative_to(ROOT))
    found = {}

    def add(begin, end, kind):
        while begin < end and text[begin].isspace():
            begin += 1
        while end > begin and text[end - 1].isspace():
            end -= 1
        shown = re.sub(r"\s+", " ", source[begin:end])
        found.setdefault((begin, end), Mutant(name, begin, end, shown, kind, source.count("\n", 0, begin) + 1))

    for begin, end in device_code(text):
        for m in BARRIER.finditer(text, begin, end):
            add(m.start(), m.end(), "barrier")
        for first, last, guards in conditions(text, begin, end):
            for part in parts(text, first, last, "||" if guards else "&&"):
                whole = text[part[0]:part[1]].strip()
                if len(list(parts(text, *part, ","))) > 1:  # several variables in one line
                    continue
                if COMPARES.search(whole) or MASKS.match(whole):
                    add(*part, "guard" if guards else "mask")
    return [found[place] for place in sorted(found)]


def every_mutant():
    found = []
    for path in sorted([*(ROOT / "cuda").glob("*.cu"), *(ROOT / "cuda").glob("*.h")]):
        if path.name not in HOST_ONLY:
            found += mutants_of(path)
    for number, mutant in enumerate(found, 1):
        mutant.number = number
    return found


def with_mutants(source, mutants):
    for m in sorted(mutants, key=lambda m: (m.begin, -m.end), reverse=True):
        source = source[:m.begin] + m.edit(source[m.begin:m.end]) + source[m.end:]
    at = source.index("#include")
    return source[:at] + '#include "cuda/mutant.h"\n' + source[at:]


def put(path, content):
    """Touches the file only where it changes, so that little is built again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)


def copy_tree(mutants):
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    for name in names.stdout.decode().split("\0"):
        if not (ROOT / name).is_file():
            continue
        content, own = (ROOT / name).read_bytes(), [m for m in mutants if m.file == name]
        put(COPY / "source" / name, with_mutants(content.decode(), own).encode() if own else content)
        shutil.copymode(ROOT / name, COPY / "source" / name)
    put(COPY / "source" / "cuda" / "mutant.h", HEADER.encode())


def build():
    options = ["-DUNROLL_ISAS=base", "-DUNROLL_CUDA=OFF"]
    options += [f"-DUNROLL_{part}=OFF" for part in ("CLI", "C", "BENCH", "COMPARE", "EXAMPLES")]
    configure = ["cmake", "-S", COPY / "source", "-B", COPY / "build", *options]
    make = ["cmake", "--build", COPY / "build", "--parallel", "2", "--target", "unroll_gpu_tests", "unroll_gpu_checked_tests"]
    with open(COPY / "build.log", "w") as log:
        if any(subprocess.run(step, stdout=log, stderr=log).returncode for step in (configure, make)):
            raise SystemExit(f"does not build: see {COPY / 'build.log'}")


def run(program, tests, number, seconds, reached=None):
    """None where all pass, else how it failed."""
    environment = {**os.environ, "UNROLL_MUTANT": str(number), "GTEST_FAIL_FAST": "1"}
    if reached:
        environment["UNROLL_MUTANTS_REACHED"] = reached
    command = [COPY / "build" / "cuda" / "tests" / program, "--gtest_filter=" + ":".join(tests)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return "no end"
    if done.returncode == 0:
        return None
    failed = re.search(r"\[  FAILED  \] (\S+)", done.stdout)
    return failed.group(1).rstrip(",") if failed else f"exit {done.returncode}"


def reach():
    """{mutant: tests that reach it, the quickest first}, by one run of each test."""
    listed = subprocess.run([COPY / "build" / "cuda" / "tests" / "unroll_gpu_tests", "--gtest_list_tests"],
                            capture_output=True, text=True, check=True).stdout
    tests, suite = [], ""
    for line in listed.splitlines():
        if not line.startswith(" "):
            suite = line.split()[0]
        else:
            tests.append(suite + line.split()[0])
    reached = {}
    with tempfile.TemporaryDirectory() as folder:
        for test in tests:
            path, start = os.path.join(folder, "reached"), time.monotonic()
            failed = run("unroll_gpu_tests", [test], 0, 600, path)
            if failed:
                raise SystemExit(f"{test} fails without a mutant: {failed}")
            seconds = time.monotonic() - start
            for number in open(path).read().split():
                reached.setdefault(int(number), []).append((seconds, test))
    return {number: sorted(pairs) for number, pairs in reached.items()}


def verdict(mutant, pairs):
    """How a mutant is caught, or None."""
    if not pairs:
        return None
    tests, seconds = [test for _, test in pairs], sum(s for s, _ in pairs)
    plain = run("unroll_gpu_tests", tests, mutant.number, 60 + 10 * seconds)
    if plain:
        return plain
    checked = run("unroll_gpu_checked_tests", tests, mutant.number, 300 + 50 * seconds)
    return checked and f"{checked} with checks"


def explanations():
    if not SURVIVORS.exists():
        return {}
    lines = [line for line in SURVIVORS.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("  |  ", 1) for line in lines)


def judge(mutants):
    reached, known, caught, unexplained = reach(), explanations(), 0, 0
    for mutant in mutants:
        how = verdict(mutant, reached.get(mutant.number, []))
        caught += bool(how)
        if not how:
            where = "SURVIVED" if mutant.number in reached else "SURVIVED, as no test comes there"
            how = f"{where}: {known.get(str(mutant), 'NOT EXPLAINED')}"
            unexplained += str(mutant) not in known
        print(f"{mutant.file}:{mutant.line}: {mutant.kind}: {mutant.text}\n    {how}", flush=True)
    share = 100 * caught / max(len(mutants), 1)
    print(f"{caught} of {len(mutants)} mutants are caught ({share:.1f} %), {unexplained} survivors are not explained")
    return share >= 95 and unexplained == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="of the mutants that are wanted; none: all")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    every, words = every_mutant(), arguments.words or [""]
    wanted = [m for m in every if any(word in m.file or word in m.text for word in words)]
    if arguments.list:
        print("\n".join(f"{m.file}:{m.line}: {m.kind}: {m.text}" for m in wanted))
        return print(f"{len(wanted)} mutants")
    copy_tree(every)
    build()
    return sys.exit(not judge(wanted))


if __name__ == "__main__":
    main()
