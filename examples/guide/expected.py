"""What PyTorch computed for the programs of docs/guide.md: written by the *_torch.py, read by the others."""

import os

import numpy as np


class Expected:
    """The arrays of NAME.npz in the current folder, each to be compared once.

    With UNROLL_GUIDE=record they are written instead of compared.
    """

    def __init__(self, name):
        self.path = name + ".npz"
        self.recording = os.environ.get("UNROLL_GUIDE") == "record"
        self.arrays = {} if self.recording else dict(np.load(self.path))
        self.seen = set()

    def same(self, name, actual, tolerance=1e-12):
        """Within `tolerance` of the largest magnitude that is expected."""
        actual = np.asarray(actual)
        self.seen.add(name)
        if self.recording:
            self.arrays[name] = actual.copy()
            return
        wanted = self.arrays[name]
        assert actual.shape == wanted.shape, (name, actual.shape, wanted.shape)
        error = np.abs(actual - wanted).max(initial=0)
        assert error <= tolerance * np.abs(wanted).max(initial=0), (name, error)

    def done(self):
        """Call at the end: all was compared."""
        if self.recording:
            np.savez(self.path, **self.arrays)
