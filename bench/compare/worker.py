"""A worker in Python: the lines and files of worker.h."""
import os
import signal
import sys
import time

import numpy as np


class Problem:
    """One line of a table with its inputs."""

    def __init__(self, op, pass_, N, T, I, H, folder):
        self.op, self.step, self.folder = op, pass_ == "step", folder
        self.N, self.T, self.I, self.H = int(N), int(T), int(I), int(H)

    def has(self, name):
        return os.path.exists(os.path.join(self.folder, name + ".npy"))

    def input(self, name):
        return np.load(os.path.join(self.folder, name + ".npy"))


def serve(name, version, prepare):
    """Answers until the input ends. prepare(problem) returns call and results: functions without
    arguments, the second one's value a dict of arrays."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver ends its workers
    call = results = None

    def answer(line):
        nonlocal call, results
        verb, *words = line.split()
        if verb == "prepare":
            call = results = None  # their memory first
            call, results = prepare(Problem(*words[:6], line.split(None, 7)[7]))
            return "ok"
        if verb == "write":
            for key, value in results().items():
                np.save(os.path.join(line.split(None, 1)[1], key + ".npy"), value)
            return "ok"
        if verb == "run":
            count = range(int(words[0]))
            start = time.perf_counter()
            for _ in count:
                call()
            return repr(time.perf_counter() - start)
        raise ValueError("unknown command: " + line)

    print("ready", name, version, flush=True)
    for line in sys.stdin:
        try:
            print(answer(line.rstrip("\n")), flush=True)
        except Exception as e:  # whatever the peer raises is an answer
            print("error", " ".join(str(e).split()), flush=True)
