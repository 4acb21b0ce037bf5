"""Encoder of the Python module: the input from the outputs, and whether they determine it.

    PYTHONPATH=python python3 python/test_inversion.py
"""

import os
import unittest

import numpy as np

import unroll
from testing import Case

RUNS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "examples", "data",
                    "pytorch")


def run_of(kind, what):
    return np.load(os.path.join(RUNS, "%s_%s.npy" % (kind, what)))


class PyTorchRuns(Case):
    def check(self, kind, cell, bits, most):
        encoder = unroll.Encoder.load(os.path.join(RUNS, kind + ".safetensors"))
        self.assertEqual(encoder.cell, cell)
        self.assertIn("2 layers, I 6, H 24", repr(encoder))
        x, y = run_of(kind, "x"), run_of(kind, "y%d" % bits)
        again, _ = encoder(x.astype(y.dtype))
        self.assertEqual(again.dtype, y.dtype.name)
        self.close(again, y, 20 * np.finfo(y.dtype).eps)
        found = encoder.invert(y)
        self.assertEqual((found.verdict, len(found.sequences)), ("recovered", 1))
        error = np.abs(np.asarray(found.x) - x)
        self.assertLess(error.max(), most)
        self.assertLessEqual(error.max(), found.error_bound)
        one = found.sequences[0]
        self.assertTrue((error[:, 0] <= np.asarray(one.bound)).all())
        self.assertEqual((one.verdict, one.rank, one.unknowns, one.facts),
                         ("recovered", 600, 600, 2400))
        self.assertEqual((one.other, found.initial), (None, (None, None)))

    def test_the_input_comes_back(self):
        for kind, cell in (("lstm", "lstm"), ("gru", "gru"), ("rnn", "tanh")):
            self.check(kind, cell, 64, 1e-10)
            self.check(kind, cell, 32, 1e-4)

    def test_the_type_says_how_far_outputs_are_rounded(self):
        encoder = unroll.Encoder.load(os.path.join(RUNS, "gru.safetensors"))
        y = run_of("gru", "y32")
        self.assertGreater(encoder.invert(y[:20], dtype="float16").error_bound,
                           encoder.invert(y[:20], dtype=np.float32).error_bound)
        self.assertNotEqual(encoder.invert(y[:2], dtype="float64", restarts=1).verdict, "recovered")
        found = encoder.invert(OnlyDLPack(y[:20].copy()))
        self.assertEqual(found.error_bound, encoder.invert(y[:20]).error_bound)
        found = encoder.invert(y[:20].astype(np.float64).tolist(), dtype="float32")
        self.assertEqual(found.error_bound, encoder.invert(y[:20]).error_bound)


class OnlyDLPack:
    """As a tensor of PyTorch: memory that NumPy's own interface does not show."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self):
        return self.array.__dlpack__()


class Small(Case):
    def setUp(self):
        super().setUp()
        self.p = unroll.Parameters("float64")
        unroll.LSTM(self.p, "body", 2, 6).reset(4)
        self.encoder = unroll.Encoder(self.p)
        self.x = self.random.normal(size=(5, 2, 2))

    def test_sizes_and_copies(self):
        self.assertEqual(self.encoder.sizes, {
            "inputs": 2, "hidden": 6, "layers": 1, "directions": 1, "projection": 0, "state": 6,
            "output": 6, "bias": 1})
        before = np.asarray(self.encoder(self.x)[0]).copy()
        self.p.flat.assign(np.zeros(self.p.flat.size))
        self.close(self.encoder(self.x)[0], before, 0)

    def test_runs_as_the_layer_does(self):
        layer = unroll.LSTM(self.p, "again", 2, 6)
        for name in list(self.p):
            if name.startswith("again."):
                self.p[name] = self.p[name.replace("again", "body")]
        h, c = self.random.normal(size=(2, 1, 2, 6))
        y, state = self.encoder(self.x, h, c, lengths=[5, 3])
        expected, (h_n, c_n) = layer(self.x, (h, c), lengths=[5, 3])
        for actual, wanted in zip((y,) + state, (expected, h_n, c_n)):
            self.close(actual, wanted, 0)

    def test_a_start_lengths_and_a_readout(self):
        h, c = 0.5 * self.random.normal(size=(2, 1, 2, 6))
        self.x[3:, 1] = 0
        y, _ = self.encoder(self.x, h, c, lengths=[5, 3])
        found = self.encoder.invert(y, h0=h, c0=c, lengths=[5, 3])
        self.assertEqual(found.verdict, "recovered")
        self.assertLessEqual(np.abs(np.asarray(found.x) - self.x).max(), found.error_bound)
        self.assertEqual(found.sequences[1].unknowns, 6)
        self.close(found.initial[1], c, 0)
        C = self.random.normal(size=(3, 6))
        seen = np.asarray(self.encoder(self.x, h, c)[0]) @ C.T
        found = self.encoder.invert(seen, readout=C, h0=h, c0=c, start=self.x)
        self.assertEqual(found.verdict, "recovered")
        self.assertLessEqual(np.abs(np.asarray(found.x) - self.x).max(), found.error_bound)

    def test_a_last_state(self):
        _, (h, _) = self.encoder(self.x[:2])
        found = self.encoder.invert(np.asarray(h)[0], observe="final", steps=2)
        self.assertEqual(found.verdict, "recovered")
        self.close(found.x, self.x[:2], 1e-9)
        _, (h, _) = self.encoder(self.x)
        found = self.encoder.invert(np.asarray(h)[0], "final", steps=5, restarts=2)
        self.assertEqual(found.verdict, "ambiguous")
        self.assertEqual(found.error_bound, np.inf)
        one = found.sequences[0]
        self.assertEqual((one.facts, one.unknowns, one.rank), (6, 10, 6))
        apart = np.asarray(one.other) - np.asarray(found.x)[:, 0]
        self.close(np.linalg.norm(apart), one.other_distance, 1e-12)
        twins = np.stack([np.asarray(one.other), np.asarray(found.x)[:, 0]], 1)
        _, (ends, _) = self.encoder(twins)
        self.assertGreater(one.other_distance, 0.1)
        self.assertLess(np.abs(np.asarray(ends)[0, 0] - np.asarray(ends)[0, 1]).max(), 1e-12)
        likely = self.x.transpose(1, 0, 2)[:1] + 0.01 * self.random.normal(size=(50, 5, 2))
        near = self.encoder.invert(np.asarray(h)[0][:1], "final", steps=5, prior=likely)
        self.assertLess(np.abs(np.asarray(near.x)[:, 0] - self.x[:, 0]).max(), 0.1)

    def test_an_unknown_start(self):
        y, _ = self.encoder(self.x[:, :1], *(0.3 * self.random.normal(size=(2, 1, 1, 6))))
        found = self.encoder.invert(y, unknown_start=True, restarts=4)
        self.assertEqual([s.shape for s in found.initial], [(1, 1, 6), (1, 1, 6)])
        self.assertEqual(found.sequences[0].unknowns, 10 + 12)

    def test_identify(self):
        short = self.encoder.identify(2, observe="final")
        self.assertTrue(short.determined and short.exact and short.converged)
        self.assertEqual((short.rank, short.unknowns, short.facts, short.lost_steps), (4, 4, 6, []))
        self.assertTrue(short.verdict.startswith("determined: rank 4"))
        self.assertEqual(short.singular_values.shape, (4,))
        self.assertEqual(short.gain.shape, (2, 2))
        self.assertGreater(short.digits["float64"].worst, short.digits["bfloat16"].worst)
        self.assertAlmostEqual(short.condition_from, short.condition_to)
        long = self.encoder.identify(observe="final", x=self.x[:, :1])
        self.assertFalse(long.determined)
        self.assertEqual((long.rank, long.unknowns, long.condition), (6, 10, np.inf))
        self.assertTrue(long.lost_steps)
        self.close(np.asarray(long.known).sum(), 6.0, 1e-9)  # the trace of a projection of rank 6
        every = self.encoder.identify(4, seed=3, inputs=2)
        self.assertTrue(every.determined)
        self.assertTrue(np.isfinite(every.inverse_radius))

    def test_refusals(self):
        y = np.asarray(self.encoder(self.x)[0]).copy()
        with self.refuses(r"\[5,2,5\]", r"\[5,N,6\]"):
            self.encoder.invert(y[..., :5])
        with self.refuses("no option starts", "restarts"):
            self.encoder.invert(y, starts=1)
        with self.refuses("float8", "bfloat16"):
            self.encoder.invert(y, dtype="float8")
        with self.refuses("how many steps"):
            self.encoder.invert(y[-1], observe="final")
        with self.refuses("readout", r"\[M,6\]"):
            self.encoder.invert(y, readout=np.ones((2, 3)))
        with self.refuses("h_0", "NaN"):
            self.encoder.invert(y, h0=np.full((1, 2, 6), np.nan))
        with self.refuses("0 steps"):
            self.encoder.identify()
        with self.refuses("no option count", "saturated"):
            self.encoder.identify(2, count=1)
        y[1, 0, 3] = np.nan
        with self.refuses("NaN", "15"):
            self.encoder.invert(y)

    def test_no_cell_can_be_deduced(self):
        tensors = {name: np.asarray(self.p[name]) for name in self.p}
        with self.refuses("no RNN"):
            unroll.Encoder(dict(tensors, **{"body.weight_ih_l0": np.ones((12, 2)),
                                            "body.weight_hh_l0": np.ones((12, 6))}))
        with self.refuses("4 gates", "gru"):
            unroll.Encoder(tensors, cell="gru")
        with self.refuses("several", "'a.', 'body.'"):
            unroll.Encoder(dict(tensors, **{"a.weight_ih_l0": np.ones((4, 2))}))
        with self.refuses("weight_ih_l0"):
            unroll.Encoder({})
        with self.refuses("NaN"):
            unroll.Encoder(dict(tensors, **{"body.bias_hh_l0": np.full(24, np.nan)}))
        with self.refuses("nowhere.npz"):
            unroll.Encoder.load("nowhere.npz")


if __name__ == "__main__":
    unittest.main()
