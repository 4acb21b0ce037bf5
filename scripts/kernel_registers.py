#!/usr/bin/env python3
"""What nvcc makes of each CUDA kernel: registers, spills and shared memory for every architecture.

    scripts/kernel_registers.py            # writes docs/kernel_registers.md
    scripts/kernel_registers.py --check    # fails where that table is not what nvcc says now
    scripts/kernel_registers.py softmax    # shows those of cuda/softmax.cu, writes nothing

Compiles cuda/*.cu with --Werror all-warnings and reads `ptxas -v`. A spill is an error, whatever the
table says. Needs nvcc (on PATH or in /usr/local/cuda/bin) and no GPU. Another version of nvcc than
the table's may count differently: then --check looks at warnings and spills alone, and says so.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "kernel_registers.md"
ARCHITECTURES = ["sm_80", "sm_90", "sm_100", "sm_120"]


class Failure(Exception):
    pass


def nvcc():
    found = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
    if not found:
        raise Failure("no nvcc on PATH or in /usr/local/cuda/bin: install the CUDA Toolkit")
    return found


def version_of(compiler):
    text = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"V([\d.]+)", text).group(1)


def ptxas_of(compiler, source):
    """The report on a file for all architectures."""
    command = [compiler, "-std=c++20", "-O3", "--Werror", "all-warnings", "-Xptxas", "-v", "-I", str(ROOT)]
    for arch in ARCHITECTURES:
        command += ["-gencode", f"arch={arch.replace('sm', 'compute')},code={arch}"]
    done = subprocess.run([*command, "-c", str(source), "-o", os.devnull], capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"{source.relative_to(ROOT)}: nvcc fails:\n{done.stderr.strip()}")
    return done.stderr


def demangled(names):
    done = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def short(name):
    """`softmax_kernel<float>` of a demangled kernel: its name and what it is instantiated for."""
    name = re.sub(r"\(anonymous namespace\)::|unroll::cuda::|unroll::", "", name)
    name = re.sub(r"^void ", "", name)
    depth, end = 0, len(name)
    for i, c in enumerate(name):  # up to the parameters
        depth += (c == "<") - (c == ">" and name[i - 1] != "-")
        if c == "(" and depth == 0:
            end = i
            break
    return re.sub(r"\(int\)|\(bool\)|(?<=\d)l?u?l\b", "", name[:end]).strip()


def kernels_of(report):
    """{(kernel, arch): (registers, spilled bytes, shared bytes)} of a report."""
    entry = re.compile(
        r"Compiling entry function '(\S+)' for '(\S+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads"
        r".*?Used (\d+) registers(.*?)\n", re.S)
    found = [(*m.groups(),) for m in entry.finditer(report)]
    names = demangled([f[0] for f in found])
    figures = {}
    for name, (_, arch, stores, loads, registers, rest) in zip(names, found):
        shared = re.search(r"(\d+) bytes smem", rest)
        figures[short(name), arch] = (int(registers), int(stores) + int(loads), int(shared.group(1)) if shared else 0)
    return figures


def rows_of(stem, figures):
    """One row per kernel template: the range over its instantiations, per architecture."""
    groups = {}
    for (name, arch), figure in figures.items():
        groups.setdefault(name.split("<")[0], {}).setdefault(arch, []).append(figure)
    for kernel, by_arch in sorted(groups.items()):
        cells = []
        for arch in ARCHITECTURES:
            registers, _, shared = zip(*by_arch[arch])
            low, high = min(registers), max(registers)
            cells.append(f"{low}" if low == high else f"{low} to {high}")
        most_shared = max(figure[2] for all_of in by_arch.values() for figure in all_of)
        count = len(by_arch[ARCHITECTURES[0]])
        yield f"| {stem} | {kernel} | {count} | {' | '.join(cells)} | {most_shared} |"


def spills(stem, figures):
    return [f"cuda/{stem}.cu: {name} spills {spilled} bytes for {arch}"
            for (name, arch), (_, spilled, _) in sorted(figures.items()) if spilled]


def table_of(version, rows):
    return "\n".join([
        "# Registers and shared memory of the CUDA kernels", "",
        "    scripts/kernel_registers.py", "",
        f"nvcc {version}, -O3; no kernel spills. Registers per thread, over the instantiations of each kernel; shared",
        "memory in bytes is the static part, the most of all architectures.", "",
        f"| file | kernel | instantiations | {' | '.join(ARCHITECTURES)} | shared |",
        f"| --- | --- | --- | {' | '.join('---' for _ in ARCHITECTURES)} | --- |",
        *rows, ""])


def compiled(compiler, sources, jobs):
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        reports = pool.map(lambda source: ptxas_of(compiler, source), sources)
        return {source.stem: kernels_of(report) for source, report in zip(sources, reports)}


def check(table, version):
    if not TABLE.exists():
        raise Failure(f"no {TABLE.relative_to(ROOT)}: run scripts/kernel_registers.py")
    written = TABLE.read_text()
    if f"nvcc {version}," not in written:
        print(f"the table was made by another nvcc than {version}: only warnings and spills were looked at")
    elif written != table:
        old, new = written.splitlines(), table.splitlines()
        drift = [f"- {line}" for line in old if line not in new] + [f"+ {line}" for line in new if line not in old]
        raise Failure("docs/kernel_registers.md is not what nvcc says; run scripts/kernel_registers.py\n" + "\n".join(drift))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("stem", nargs="*", help="files of cuda/, without .cu")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    sources = [ROOT / "cuda" / f"{stem}.cu" for stem in options.stem] or sorted((ROOT / "cuda").glob("*.cu"))
    for source in sources:
        if not source.exists():
            raise Failure(f"no {source.relative_to(ROOT)}")
    compiler = nvcc()
    figures = compiled(compiler, sources, options.jobs)
    spilled = [line for stem in figures for line in spills(stem, figures[stem])]
    if spilled:
        raise Failure("\n".join(spilled))
    rows = [row for stem in figures for row in rows_of(stem, figures[stem])]
    version = version_of(compiler)
    table = table_of(version, rows)
    if options.stem:
        print(table)
    elif options.check:
        check(table, version)
    else:
        TABLE.write_text(table)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"kernel_registers: {failure}")
