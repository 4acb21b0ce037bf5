"""The problems of the comparison: sizes, inputs, operations counted and targets."""
import contextlib
import dataclasses
import functools
import math
import os
import tempfile

import numpy as np

import reference
from command_line import OPS, PASSES

# (N, T, I, H)
TUNED = [(1, 20, 10, 20), (1, 200, 64, 128), (8, 100, 64, 128), (32, 100, 128, 256),
         (64, 50, 512, 512), (16, 1000, 32, 64)]
UNTUNED = [(5, 37, 29, 100), (3, 400, 17, 33), (24, 60, 300, 300), (128, 10, 64, 1024),
           (2, 2000, 8, 16)]
LENGTHS = [(32, 100, 128, 256), (16, 1000, 32, 64)]
ATTENTION = (4, 512, 8, 64)  # N, T, heads, width of a head

# A step's ratio to the best peer: by op and threads, in the order of TUNED.
STEP_TARGETS = {("lstm", 1): [5, 1.7, 1.3, 1.12, 1.03, 1.6], ("lstm", 2): [5, 3, 2.3, 1.2, 1.03, 2.8],
                ("gru", 2): [100, 25, 10, 2.7, 1.4, 12], ("rnn", 2): [50, 10, 6, 2.5, 1.3, 8]}
FORWARD_TARGET = 1.05
LEAST = 0.95  # of a target, and of the best peer at sizes that nobody tuned
LENGTHS_BOUND = 1.15  # time of a batch with lengths, over its part of the steps of the full batch


@dataclasses.dataclass(frozen=True)
class Problem:
    op: str
    pass_: str
    size: tuple
    lengths: str = ""  # full where empty; "uniform" in T/2..T, "geometric"

    @property
    def step(self):
        return self.pass_ == "step"

    @property
    def name(self):
        return f"{self.op} {self.lengths} lengths" if self.lengths else self.op

    def generator(self):
        return np.random.default_rng([sum(map(ord, self.op)), *self.size])

    def drawn_lengths(self):
        N, T = self.size[:2]
        draw = self.generator()
        if self.lengths == "uniform":
            return draw.integers(T // 2, T, N, endpoint=True)
        return np.minimum(draw.geometric(4 / T, N), T)

    def inputs(self):
        N, T, I, H = self.size
        draw = self.generator()

        def normal(*shape):
            return draw.standard_normal(shape, dtype=np.float32)

        if self.op == "attention":
            return {name: normal(N, I, T, H) for name in ("q", "k", "v", "u")}

        def weight(*shape):  # as PyTorch starts
            return draw.uniform(-1, 1, shape).astype(np.float32) / np.float32(math.sqrt(H))

        rows = reference.CELLS[self.op].gates * H
        inputs = {"x": normal(T, N, I), "w_ih": weight(rows, I), "w_hh": weight(rows, H),
                  "b_ih": weight(rows), "b_hh": weight(rows), "u": normal(T, N, H)}
        if self.lengths:
            inputs["lengths"] = self.drawn_lengths()
        return inputs

    @contextlib.contextmanager
    def folder(self):
        """The inputs as files, while the context lasts."""
        with tempfile.TemporaryDirectory(prefix="compare-") as path:
            for name, value in self.inputs().items():
                np.save(os.path.join(path, name + ".npy"), value)
            yield path

    def error_of(self, results):
        """The error of the worst result, as reference.error_of has it; infinite where a result is
        missing. The biases' gradients may be, as oneDNN has one bias."""
        whole = dataclasses.replace(self, pass_="step")
        wanted = reference_of(whole)
        needed = {name for name in wanted if name == "y" or self.step and name[0] == "d" and name[:2] != "db"}
        if not needed <= results.keys():
            return math.inf
        return reference.error_of(results, wanted, lambda: spreads_of(whole))

    def share(self):
        """Valid steps as a part of all."""
        return float(self.drawn_lengths().mean() / self.size[1]) if self.lengths else 1.0

    def flops(self):
        """Of the products; a step has three times those of its forward pass."""
        N, T, I, H = self.size
        if self.op == "attention":
            forward = 4 * N * I * T * T * H
        else:
            forward = 2 * N * T * reference.CELLS[self.op].gates * H * (I + H) * self.share()
        return 3 * forward if self.step else forward

    def target(self, threads):
        """The ratio to the best peer that is to be reached, or None."""
        if self.lengths:
            return None
        if self.op == "attention":
            return 1.1 if self.step and threads == 2 else None
        if self.size not in TUNED:
            return None
        if self.step:
            targets = STEP_TARGETS.get((self.op, threads))
            return targets and targets[TUNED.index(self.size)]
        return 1.0 if self.size == (64, 50, 512, 512) and threads == 2 else FORWARD_TARGET


@functools.lru_cache(maxsize=2)  # the passes and numbers of threads of one problem follow each other
def reference_of(problem):
    return reference.reference(problem.op, problem.inputs(), problem.step)


@functools.lru_cache(maxsize=2)
def spreads_of(problem):
    return reference.spreads_of(problem.op, problem.inputs(), problem.step)
