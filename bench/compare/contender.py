"""A contender: a worker process, which answers the lines that worker.h describes."""
import contextlib
import glob
import math
import os
import select
import subprocess
import sys
import tempfile
import time

import numpy as np

DISTURBED = 0.03  # of a batch's time
QUIET = 5  # seconds without a word to those who wait


def say(text):
    print(text, file=sys.stderr, flush=True)


class Failure(Exception):
    """What a worker says it cannot do, or the end of a worker."""


class Silence(Failure):
    """A worker that does not answer in time."""


class Contender:
    """A running worker for one number of threads."""

    def __init__(self, command, threads, counts=lambda problem: False, name=None, spoil=False,
                 priority=False, patience=120):
        """`counts` tells for which problems it is a bar; for others it is only reported. With
        `priority` it goes before every ordinary process, which needs root. It gets `patience`
        seconds to be ready."""
        environment = dict(os.environ)
        for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            environment[variable] = str(threads)
        environment["OMP_DYNAMIC"] = "FALSE"
        if spoil:
            environment["UNROLL_COMPARE_SPOIL"] = "1"
        self.threads, self.counts, self.command = threads, counts, command
        self.complaints = tempfile.TemporaryFile(mode="w+")
        self.folder = tempfile.TemporaryDirectory(prefix="compare-")  # goes after the process
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.complaints, env=environment, bufsize=0,
                                        start_new_session=True)
        self.unread = b""
        try:
            if priority:
                os.sched_setscheduler(self.process.pid, os.SCHED_RR, os.sched_param(1))
            title = self.first_line(patience)
            if not title.startswith("ready "):
                raise Failure(f"{command[0]} is no worker: it said '{title}'")
        except BaseException:
            self.close()
            raise
        self.name = name or "-".join(title.split()[1:])

    def first_line(self, patience):
        quiet = min(QUIET, patience)
        try:
            return self.read(quiet)
        except Silence:
            if quiet == patience:
                raise
        say(f"waiting for {self.command[-1]} to be ready, {patience} s at most")
        try:
            return self.read(patience - quiet)
        except Silence:
            raise Silence(f"{self.command[-1]}: not ready in {patience} s") from None

    def read(self, seconds):
        """The next line."""
        end = time.monotonic() + seconds
        while b"\n" not in self.unread:
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                raise Silence(f"{self.command[-1]}: no answer in {seconds} s")
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                self.complaints.seek(0)
                said = self.complaints.read().strip().splitlines()
                raise Failure(f"{self.command[-1]} ended: {said[-1] if said else 'no message'}")
            self.unread += more
        line, self.unread = self.unread.split(b"\n", 1)
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
        def paths():
            return glob.glob(os.path.join(self.folder.name, "*.npy"))

        for path in paths():
            os.remove(path)
        self.ask(f"write {self.folder.name}")
        return {os.path.basename(path)[:-4]: np.load(path) for path in paths()}

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
        self.enough_rounds = max(3, math.ceil(12 * batch / each))
        self.pause = 0.1 * max(batch, each)  # Linux stops what goes before all work for 0.95 s of 1
        self.rest()

    def milliseconds(self):
        """Per call, over one batch; and for which part of it a thread waited for a processor. Then
        others used that, so such a batch is repeated up to three times, and the least disturbed one
        counts. Returns when the process is at rest."""
        tries = []
        while not tries or len(tries) < min(4, self.enough_rounds - 2) and tries[-1][0] > DISTURBED:
            if self.warm:
                self.seconds(self.warm)
            _, before = self.schedule()
            taken = self.seconds(self.count)
            _, after = self.schedule()
            tries.append(((after - before) / taken, 1e3 * taken / self.count))
            self.rest()
        waited, each = min(tries)
        return each, waited

    def schedule(self):
        """Seconds for which the threads ran so far, and for which they waited for a processor; zero
        where the system does not say."""
        ran = waited = 0
        for path in glob.glob(f"/proc/{self.process.pid}/task/*/schedstat"):
            with contextlib.suppress(OSError, ValueError), open(path) as file:
                words = file.read().split()
                ran, waited = ran + int(words[0]) / 1e9, waited + int(words[1]) / 1e9
        return ran, waited

    def rest(self, longest=1.0):
        """Waits until threads that wait actively for more work have gone to sleep."""
        time.sleep(self.pause)
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
        self.folder.cleanup()
