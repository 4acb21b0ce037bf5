#!/usr/bin/env python3
"""What the CUDA kernels move, over the least possible: a table, from the tests that bound it.

    scripts/kernel_traffic.py                 # prints the table
    scripts/kernel_traffic.py --build DIR     # of another build folder than build/

Runs the tests of build/cuda/tests/unroll_gpu_checked_tests that record traffic (expect_lean() of
cuda/tests/traffic.h) and shows, of each kernel and type of number, the row that is furthest from its
least. Needs no GPU: the simulator counts 32-byte sectors. Exits with 1 where a test fails.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TESTS = "*Moves*:*Traffic*:*MovesEach*:*SlicesOnce*:*ElementOnce*:*TransposingMoves*"


def recorded(program):
    """[(test's file, type of number, kernel, moved, least, conflicts)] of one run."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        done = subprocess.run([program, f"--gtest_filter={TESTS}", f"--gtest_output=json:{report}"],
                              capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"kernel_traffic: a test fails\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
        suites = json.loads(report.read_text())["testsuites"]
    rows = []
    for test in (t for suite in suites for t in suite["testsuite"]):
        stem = os.path.basename(test["file"]).removesuffix("_test.cpp")
        for name, value in test.items():
            if name.startswith("traffic "):
                kernel, moved, least, conflicts = value.split()
                rows.append((stem, test.get("type_param", ""), kernel, float(moved), float(least), int(conflicts)))
    return rows


def table_of(rows):
    worst = {}
    for row in rows:
        key = row[:3]
        if key not in worst or row[3] / row[4] > worst[key][3] / worst[key][4]:
            worst[key] = row
    lines = ["| family | kernel | bytes moved | least | ratio | bank conflicts |", "|---|---|---|---|---|---|"]
    for stem, number, kernel, moved, least, conflicts in sorted(worst.values()):
        name = f"{kernel}, {number}" if number else kernel
        lines.append(f"| {stem} | {name} | {moved:.0f} | {least:.0f} | {moved / least:.3f} | {conflicts} |")
    return "\n".join(lines)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default=ROOT / "build", type=pathlib.Path, metavar="DIR")
    program = p.parse_args().build / "cuda" / "tests" / "unroll_gpu_checked_tests"
    if not program.exists():
        sys.exit(f"kernel_traffic: no {program}: build it (cmake --build {program.parents[2]} "
                 "--target unroll_gpu_checked_tests), or name its folder with --build")
    rows = recorded(program)
    if not rows:
        sys.exit("kernel_traffic: no test recorded traffic")
    print(table_of(rows))


if __name__ == "__main__":
    main()
