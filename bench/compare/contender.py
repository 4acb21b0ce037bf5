"""A contender: a worker process, which answers the lines that worker.h describes."""
import contextlib
import glob
import math
import os
import select
import subprocess
import tempfile
import time

import numpy as np

DISTURBED = 0.03  # of a batch's time


class Failure(Exception):
    """What a worker says it cannot do, or the end of a worker."""


def raise_priority(pid):
    """Lets the process go before others, where that is allowed; all contenders alike."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, -20)
    # Linux shares processors among sessions first, and a worker is a session of its own.
    with contextlib.suppress(OSError), open(f"/proc/{pid}/autogroup", "w") as file:
        file.write("-20")


class Contender:
    """A running worker for one number of threads."""

    def __init__(self, command, threads, counts, spoil=False):
        """`counts(op)` tells whether it is a bar for an op or only reported."""
        environment = dict(os.environ)
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            environment[name] = str(threads)
        environment["OMP_DYNAMIC"] = "FALSE"
        if spoil:
            environment["UNROLL_COMPARE_SPOIL"] = "1"
        self.counts = counts
        self.command = command
        self.complaints = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.complaints, env=environment, bufsize=0,
                                        start_new_session=True)
        self.rest = b""
        raise_priority(self.process.pid)
        try:
            ready, *title = self.read(120).split()
            if ready != "ready":
                raise Failure(f"{command[0]} is no worker: it said '{ready}'")
        except Failure:
            self.close()
            raise
        self.name = "-".join(title)

    def read(self, seconds):
        """The next line."""
        end = time.monotonic() + seconds
        while b"\n" not in self.rest:
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                raise Failure(f"{self.command[-1]}: no answer in {seconds} s")
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                self.complaints.seek(0)
                said = self.complaints.read().strip().splitlines()
                raise Failure(f"{self.command[-1]} ended: {said[-1] if said else 'no message'}")
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def ask(self, line, seconds=300):
        try:
            self.process.stdin.write(line.encode() + b"\n")
        except OSError as e:
            raise Failure(f"{self.command[-1]} has ended") from e
        answer = self.read(seconds)
        if answer.startswith("error"):
            raise Failure(answer[6:])
        return answer

    def prepare(self, problem, folder):
        size = " ".join(map(str, problem.size))
        self.ask(f"prepare {problem.op} {problem.pass_} {size} {folder}")

    def results(self):
        with tempfile.TemporaryDirectory(prefix="compare-") as folder:
            self.ask(f"write {folder}")
            paths = glob.glob(os.path.join(folder, "*.npy"))
            return {os.path.basename(path)[:-4]: np.load(path) for path in paths}

    def seconds(self, count):
        return float(self.ask(f"run {count}"))

    def calibrate(self, batch):
        """Chooses the calls of a batch of about `batch` seconds, and those that warm it up."""
        count, taken = 1, self.seconds(1)
        while taken < batch / 4:
            count = min(count * 8, math.ceil(count * batch / 2 / max(taken, 1e-7)))
            taken = self.seconds(count)
        each = taken / count
        self.count = max(1, round(batch / each))
        self.warm = 0 if each > batch / 4 else math.ceil(0.05 * batch / each)

    def milliseconds(self, trials=4):
        """Per call, over one batch; and for which part of it a thread waited for a processor that
        others used. Disturbed batches are repeated and the least disturbed one counts. Returns when
        the process is at rest."""
        best = None
        for _ in range(trials):
            if self.warm:
                self.seconds(self.warm)
            _, before = self.schedule()
            taken = self.seconds(self.count)
            waited = (self.schedule()[1] - before) / taken
            self.rest_now()
            if best is None or waited < best[1]:
                best = 1e3 * taken / self.count, waited
            if waited < DISTURBED:
                break
        return best

    def schedule(self):
        """Seconds for which the threads ran so far, and for which they waited for a processor; zero
        where the system does not say."""
        ran = waited = 0
        for path in glob.glob(f"/proc/{self.process.pid}/task/*/schedstat"):
            with contextlib.suppress(OSError, ValueError), open(path) as file:
                words = file.read().split()
                ran, waited = ran + int(words[0]) / 1e9, waited + int(words[1]) / 1e9
        return ran, waited

    def rest_now(self, longest=1.0):
        """Waits until threads that wait actively for more work have gone to sleep."""
        end, (before, _) = time.monotonic() + longest, self.schedule()
        while time.monotonic() < end:
            start = time.monotonic()
            time.sleep(0.004 if before else 0.02)
            now, _ = self.schedule()
            if now - before < 0.05 * (time.monotonic() - start):
                return
            before = now

    def close(self):
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()
        try:
            self.process.wait(0.5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.complaints.close()
