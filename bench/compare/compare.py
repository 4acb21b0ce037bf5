#!/usr/bin/env python3
"""Times unroll beside its peers: the same work, interleaved, after a check of every result.

    bench/compare/compare.py --op lstm --pass step --size 8,100,64,128 --threads 1,2
    scripts/compare.sh                  # sets up the peers first, then runs all

Each contender is a process of its own with a fixed number of threads. They take turns (A B C, then
B C A, ...) at batches of calls of --batch ms each; the figure of a contender is its median over the
rounds. docs/benchmarks.md says what is measured and what the columns mean.
"""
import contextlib
import dataclasses
import glob
import json
import os
import platform
import signal
import statistics
import sys
import time

import command_line
import problems
import table
from command_line import BUILT, HERE
from contender import Contender, Failure, say
from reference import TOLERANCE

OURS_READY = 20  # seconds; a peer may load gigabytes first


def parsed(arguments):
    options = command_line.parsed(arguments)
    if not os.path.exists(options.ours):
        raise Failure(f"no {options.ours}: build the target compare_workers, or see scripts/compare.sh")
    return options


def chosen(options):
    """The problems, in the order of the table."""
    ops = options.op or [*problems.OPS, "lengths", "attention"]
    passes = options.passes or problems.PASSES
    sizes = options.size or (problems.TUNED + ([] if options.quick else problems.UNTUNED))
    found = [problems.Problem(op, pass_, size)
             for op in ops if op in problems.OPS for size in sizes for pass_ in passes]
    if "lengths" in ops:
        sizes = options.size or problems.LENGTHS
        found += [problems.Problem("lstm", pass_, size, kind)
                  for size in (sizes[:1] if options.quick else sizes)
                  for kind in ("uniform", "geometric") for pass_ in passes]
    if "attention" in ops and (options.op or not options.size):
        sizes = options.size if options.size and options.op == ["attention"] else [problems.ATTENTION]
        found += [problems.Problem("attention", pass_, size) for pass_ in passes for size in sizes]
    return found


def commands(options):
    """(command, for which problems it is a bar) of each peer that there is."""
    kinds = options.peers
    for program in options.also:
        yield [program], lambda problem: False
    if "onednn" in kinds:
        for program in options.onednn or sorted(glob.glob(os.path.join(BUILT, "compare_onednn*"))):
            yield [program], lambda problem: problem.op == "lstm" and not problem.lengths
    if "torch" in kinds:
        for python in options.torch or [sys.executable]:
            yield [python, os.path.join(HERE, "torch_worker.py")], lambda problem: True
    if "onnxruntime" in kinds:
        python = options.onnxruntime or sys.executable
        yield [python, os.path.join(HERE, "onnxruntime_worker.py")], lambda problem: False


@dataclasses.dataclass
class Team:
    """The contenders of one number of threads."""

    threads: int
    ours: Contender
    full: Contender  # ours once more, for full batches beside those with lengths
    peers: list


def start(options, threads, stack):
    """The team; a peer that does not start is named and left out."""
    def opened(*arguments, **more):
        contender = Contender(*arguments, priority=options.priority, **more)
        return stack.enter_context(contextlib.closing(contender))

    ours = opened([options.ours], threads, spoil=options.spoil, patience=OURS_READY)
    full = None
    if any(problem.lengths for problem in chosen(options)):
        full = opened([options.ours], threads, name="full batch", patience=OURS_READY)
    peers = []
    for command, counts in commands(options):
        try:
            peers.append(opened(command, threads, counts=counts))
        except (Failure, OSError) as e:
            say(f"left out: {e}")
            continue
        if peers[-1].name in [one.name for one in [ours, *peers[:-1]]]:
            peers[-1].name += f" ({command[0]})"
    return Team(threads, ours, full, peers)


def prepare_ours(ours, problem, folder):
    """The error of our results, which must be right."""
    ours.prepare(problem, folder)
    error = problem.error_of(ours.results())
    if error > TOLERANCE:
        raise Failure(f"{problem.name} {problem.pass_} {problem.size}: our result is wrong: off by "
                      f"{error:.1e} of its largest number, more than {TOLERANCE:.0e}")
    return error


def prepare_peers(peers, problem, folder):
    """Errors of those that can do the problem, and whose results are right."""
    errors = {}
    for peer in peers:
        try:
            peer.prepare(problem, folder)
            error = problem.error_of(peer.results())
        except Failure:
            if peer.process.poll() is not None:
                raise
            continue
        if error <= TOLERANCE:
            errors[peer] = error
        else:
            say(f"left out: {peer.name}, {problem.name} {problem.pass_} {problem.size}: its result "
                f"is off by {error:.1e}")
    return errors


def timed(contenders, rounds, batch):
    """Of each, medians over rounds in which they take turns: milliseconds per call, and the part of
    the time for which it was disturbed."""
    for contender in contenders:
        contender.calibrate(batch)
    taken = {contender: [] for contender in contenders}
    for turn in range(rounds):
        first = turn % len(contenders)
        for contender in contenders[first:] + contenders[:first]:
            if turn < contender.enough_rounds:
                taken[contender].append(contender.milliseconds())
    return {contender: [statistics.median(column) for column in zip(*pairs)]
            for contender, pairs in taken.items()}


def measured(team, problem, options):
    """The row of a problem."""
    ours, full = team.ours, team.full
    with problem.folder() as folder:
        errors = {ours: prepare_ours(ours, problem, folder),
                  **prepare_peers(team.peers, problem, folder)}
    if problem.lengths:
        whole = dataclasses.replace(problem, lengths="")
        with whole.folder() as folder:
            errors[full] = prepare_ours(full, whole, folder)
    peak = float(ours.ask("peak"))
    times = timed(list(errors), options.rounds, options.batch / 1e3)
    figures = {c.name: {"ms": times[c][0], "error": error, "disturbed": times[c][1],
                        "counts": c.counts(problem)} for c, error in errors.items()}
    return table.row_of(problem, team.threads, peak, figures)


def run(options, show):
    """One run of everything: rows, and the contenders' names."""
    rows = []
    with contextlib.ExitStack() as stack:
        teams = [start(options, threads, stack) for threads in options.threads]
        for problem in chosen(options):
            for team in teams:
                rows.append(measured(team, problem, options))
                if show:
                    print(table.line(table.cells(rows[-1])), flush=True)
        return rows, [contender.name for contender in [teams[0].ours, *teams[0].peers]]


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        return f"{models[0]}, {len(models)} cores"
    except (OSError, IndexError):
        return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"


@contextlib.contextmanager
def written_whole(path):
    """A file that takes the place of `path` at the end; after a failure nothing of it remains. What is
    no ordinary file, such as /dev/stdout, is written as it is."""
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "w") as file:
            yield file
        return
    part = path + ".part"
    try:
        with open(part, "w") as file:
            yield file
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(part)
        raise


def main(arguments):
    options = parsed(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # workers are closed on the way out
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(written_whole(options.json)) if options.json else None
        report = compared(options)
        if file:
            json.dump(report, file, indent=1)


def compared(options):
    """Prints the table; the report."""
    started = time.monotonic()
    print(table.head(), flush=True)
    runs = []
    for i in range(options.runs):
        if options.runs > 1:
            say(f"run {i + 1} of {options.runs}")
        rows, names = run(options, show=options.runs == 1)
        runs.append(rows)
    if options.runs > 1:
        rows = [table.median_row(same) for same in zip(*runs)]
        for row in rows:
            print(table.line(table.cells(row)))
    report = {"rows": rows, "summary": table.summary(rows), "contenders": names,
              "processor": processor(), "runs": options.runs, "rounds": options.rounds,
              "tolerance": TOLERANCE, "minutes": (time.monotonic() - started) / 60}
    print(f"\n{', '.join(names)}; {report['processor']}; {report['minutes']:.1f} minutes")
    print(", ".join(f"{key.replace('_', ' ')} {value if isinstance(value, int) else table.number(value)}"
                    for key, value in report["summary"].items()))
    return report


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Failure, OSError) as e:
        sys.exit(f"compare: {e}")
    except KeyboardInterrupt:
        sys.exit(130)
