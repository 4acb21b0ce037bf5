#!/usr/bin/env python3
"""Breaks one derivative after the other by 0.1 % and sees that a row of tests/op_cases fails.

    scripts/mutate_derivatives.py                # all of scripts/derivative_mutants.txt
    scripts/mutate_derivatives.py lstm softmax   # those of which file or text holds one of the words
    scripts/mutate_derivatives.py --list         # only sees that each fits its file

Works on a copy of the tree in build/mutants, built once with all mutants in it, for the baseline
instruction set alone: an environment variable says which one is wrong. Prints the rows that fail
for each mutant, or SURVIVED, and exits with 1 where one did: its derivative needs a row that notices.
"""
import argparse
import os
import re
import subprocess
import sys

from mutants import ROOT, build_copy, copy_tree, wanted

COPY = ROOT / "build" / "mutants"
CHECKS = ("Gradcheck", "Directions", "SecondOrder")
DECLARATION = 'extern "C" int unroll_mutant;\n'
DEFINITION = """#include <cstdlib>
extern "C" int unroll_mutant;
int unroll_mutant = std::atoi(std::getenv("UNROLL_MUTANT"));
"""


class Mutant:
    def __init__(self, number, file, wrapper, rows, text):
        self.number, self.file, self.wrapper = number, file, wrapper
        self.rows, self.text = rows, text
        self.context, _, self.added = text.partition(" ++ ")
        if self.added:
            self.context += "«»"

    def edit(self, source):
        """(begin, end, new): what stands in the place of a part of the source."""
        pattern = re.sub(r"(\\?\s)+", r"\\s+", re.escape(self.context))
        pattern = pattern.replace("«", "(").replace("»", ")")
        places = list(re.finditer(pattern, source))
        if len(places) != 1:
            raise SystemExit(f"{self.file} holds {len(places)} times, not once: {self.context}")
        begin, end = places[0].span(1)
        chosen, part = f"unroll_mutant == {self.number}", source[begin:end]
        if self.added:
            return begin, end, f" if ({chosen}) {{ {self.added} }}"
        factor = f"({chosen} ? 1.001 : 1.0)"
        return begin, end, self.wrapper.replace("1.001", factor).replace("@", part)


def read_mutants():
    mutants = []
    for line in (ROOT / "scripts" / "derivative_mutants.txt").read_text().splitlines():
        if line.startswith("["):
            file, wrapper, rows = re.fullmatch(r"\[(.*)\]  (.*)  \|  (.*)", line).groups()
        elif line and not line.startswith("#"):
            mutants.append(Mutant(len(mutants) + 1, file, wrapper, rows, line))
    return mutants


def with_mutants(source, mutants):
    """The source with all mutants of one file, the last one first."""
    for begin, end, new in sorted((m.edit(source) for m in mutants), reverse=True):
        source = source[:begin] + new + source[end:]
    return DECLARATION + source


def build(mutants):
    files = sorted({m.file for m in mutants})
    changed = {f: with_mutants((ROOT / f).read_text(), [m for m in mutants if m.file == f]) for f in files}
    copy_tree(COPY, {**changed, "tests/op_mutant.cpp": DEFINITION})
    options = [f"-DUNROLL_{part}=OFF" for part in ("CLI", "BENCH", "EXAMPLES")]
    build_copy(COPY, [*options, "-DUNROLL_ISAS=base", "-DCMAKE_CXX_FLAGS_RELEASE=-O1"], ["unroll_rows"])


def failing_rows(number, rows):
    names = [f"Op.{check}/{row}" for check in CHECKS for row in rows.split(":")]
    run = subprocess.run(
        [COPY / "build" / "tests" / "unroll_rows", "--gtest_filter=" + ":".join(names)],
        env={**os.environ, "UNROLL_MUTANT": str(number)},
        capture_output=True,
        text=True,
    )
    if "[==========]" not in run.stdout or "Running 0 tests" in run.stdout:
        raise SystemExit(f"no test ran for {rows}:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return sorted(set(re.findall(r"^row (\w+)", run.stdout, re.MULTILINE)))


def judge(mutants):
    """How many are caught."""
    caught = 0
    for mutant in mutants:
        rows = failing_rows(mutant.number, mutant.rows)
        caught += bool(rows)
        some = " ".join(rows[:4]) + (" .." if len(rows) > 4 else "")
        verdict = f"{len(rows)} rows: {some}" if rows else "SURVIVED"
        print(f"{mutant.file}: {mutant.text}\n    {verdict}", flush=True)
    return caught


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="of the mutants that are wanted; none: all")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    every = read_mutants()
    chosen = wanted(every, arguments.words)
    for mutant in every:
        mutant.edit((ROOT / mutant.file).read_text())
    if arguments.list:
        return print("\n".join(f"{m.file}: {m.text}" for m in chosen))
    build(every)
    for rows in sorted({mutant.rows for mutant in chosen}):
        if failing_rows(0, rows):
            raise SystemExit(f"rows of {rows} fail without a mutant")
    caught = judge(chosen)
    print(f"{caught} of {len(chosen)} mutants are caught")
    return sys.exit(caught != len(chosen))


if __name__ == "__main__":
    main()
