"""Layers of the Python module against NumPy: values, derivatives, files.

    PYTHONPATH=python python3 python/test_layers.py
"""

import ctypes
import os
import tempfile
import unittest

import numpy as np

import unroll
from testing import H, I, N, T, Case, central, lstm, read_safetensors


class Layers(Case):
    def setUp(self):
        super().setUp()
        self.p = unroll.Parameters("float64")
        self.layer = unroll.LSTM(self.p, "lstm", I, H).reset(3)
        self.x = self.random.normal(size=(T, N, I))

    def weights(self):
        return [np.asarray(self.p[name]).copy() for name in self.p]

    def test_names_are_those_of_pytorch(self):
        self.assertEqual(self.p.keys(), ["lstm." + n for n in ("weight_ih_l0", "weight_hh_l0",
                                                               "bias_ih_l0", "bias_hh_l0")])
        self.assertEqual(self.p["lstm.weight_ih_l0"].shape, (4 * H, I))
        self.assertIn("lstm.bias_ih_l0", self.p)
        self.assertEqual(unroll.LSTM(unroll.Parameters(), "l", I, H, bias=0)._handle is None, False)
        with self.refuses("no option dropuot", "bias"):
            unroll.LSTM(self.p, "other", I, H, dropuot=1)
        with self.refuses("no parameter w", "lstm.bias_hh_l0"):
            self.p["w"]

    def test_forward(self):
        for lengths in (None, [5, 2, 0]):
            y, (h, c) = self.layer(self.x, lengths=lengths)
            for actual, expected in zip((y, h, c), lstm(self.x, *self.weights(), lengths)):
                self.close(actual, expected)

    def test_float32(self):
        p = unroll.Parameters()
        layer = unroll.LSTM(p, "lstm", I, H)
        for name, w in zip(p, self.weights()):
            p[name] = w
        y, _ = layer(self.x.astype(np.float32))
        self.assertEqual(y.dtype, "float32")
        self.close(y, lstm(self.x, *self.weights())[0], 1e-6)

    def test_gradients_by_central_differences(self):
        u = self.random.normal(size=(T, N, H))
        weights = self.weights()
        x = unroll.Tensor(self.x)
        with unroll.Tape() as tape:
            y, _ = self.layer(x)
            dx, dw = tape.pull(y, u, [x, self.p["lstm.weight_hh_l0"]])
            flat = tape.pull(y, u, self.p)
            unroll_loss = unroll.sum(y * u)
            tape.backward(unroll_loss, self.p)
        self.close(dx, central(lambda x: (lstm(x, *weights)[0] * u).sum(), self.x), 1e-8)
        by_w = central(lambda w: (lstm(self.x, weights[0], w, *weights[2:])[0] * u).sum(),
                       weights[1])
        self.close(dw, by_w, 1e-8)
        self.close(self.p.gradient("lstm.weight_hh_l0"), by_w, 1e-8)
        self.close(flat, np.asarray(self.p.gradients))

    def test_push_is_the_transpose_of_pull(self):
        x = unroll.Tensor(self.x)
        v, u = self.random.normal(size=(2, T, N, I)), self.random.normal(size=(2, 1, N, H))
        with unroll.Tape() as tape:
            _, (h, c) = self.layer(x)
            dh, dc = tape.push(x, v, [h, c])  # two directions at once
            dx = tape.pull([h, c], [u, None], x)
        self.assertEqual(dh.shape, (2, 1, N, H))
        for k in range(2):
            self.close(np.sum(np.asarray(dh)[k] * u[k]), np.sum(np.asarray(dx)[k] * v[k]))
        step = 1e-6
        ends = [lstm(self.x + s * v[1], *self.weights())[2] for s in (step, -step)]
        self.close(np.asarray(dc)[1], (ends[0] - ends[1]) / (2 * step), 1e-8)

    def test_recompute_keeps_less_and_gives_the_same(self):
        pulled = []
        for recompute in (False, True):
            p = unroll.Parameters("float64")
            layer = unroll.LSTM(p, "", I, H, recompute=recompute).reset(1)
            with unroll.Tape() as tape:
                pulled.append(np.asarray(tape.pull(layer(self.x)[0], np.ones((T, N, H)), p)))
        self.close(pulled[1], pulled[0])

    def test_writes_through_arrays_are_seen(self):
        flat = np.asarray(self.p.flat)
        for _ in range(3):
            flat *= 0.9  # between calls that could reuse what they made of the weights
            self.close(self.layer(self.x)[0], lstm(self.x, *self.weights())[0])

    def test_writes_through_dlpack_are_seen(self):
        self.layer(self.x)
        lent = np.from_dlpack(self.p["lstm.bias_ih_l0"])
        for value in (1.0, 2.0):
            written = np.full(lent.shape, value)  # NumPy lends what it got as read-only
            ctypes.memmove(lent.ctypes.data, written.ctypes.data, written.nbytes)
            self.close(self.layer(self.x)[0], lstm(self.x, *self.weights())[0])

    def test_other_layers(self):
        p = unroll.Parameters("float64")
        gru = unroll.GRU(p, "gru", I, H).reset(1, orthogonal=True)
        rnn = unroll.RNN(p, "rnn", H, H, nonlinearity="relu").reset(2)
        head = unroll.Linear(p, "head", H, I, bias=False).reset(4)
        y, h = gru(self.x, h_0=np.ones((1, N, H)))
        z, _ = rnn(y)
        out = head(z)
        self.assertEqual((h.shape, out.shape), ((1, N, H), (T, N, I)))
        self.close(out, np.asarray(z) @ np.asarray(p["head.weight"]).T)
        w = np.asarray(p["gru.weight_hh_l0"])[:H]
        self.close(w @ w.T, np.eye(H))
        with self.refuses("linear", "no state"):
            head._run(self.x, None, y)

    def test_layers_directions_and_batch_first(self):
        p = unroll.Parameters("float64")
        stack = unroll.LSTM(p, "", I, H, num_layers=2, bidirectional=True, batch_first=True)
        stack.reset(5)
        self.assertIn("weight_hh_l1_reverse", p)
        y, (h, c) = stack(self.x.swapaxes(0, 1))
        w = [np.asarray(w) for w in map(p.__getitem__, p)]
        below = self.x
        for layer in range(2):
            there = lstm(below, *w[8 * layer:8 * layer + 4])
            back = lstm(below[::-1], *w[8 * layer + 4:8 * layer + 8])
            below = np.concatenate([there[0], back[0][::-1]], 2)
            self.close(np.asarray(h)[2 * layer:2 * layer + 2], np.concatenate([there[1], back[1]]))
        self.close(y, below.swapaxes(0, 1))
        self.assertEqual(c.shape, (4, N, H))

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            plain = os.path.join(folder, "lstm.npz")
            names = [n.split(".")[1] for n in self.p]
            np.savez(plain, **dict(zip(names, self.weights())))
            q = unroll.Parameters("float32")
            unroll.LSTM(q, "encoder", I, H)
            q.load(plain, prefix="encoder.")
            self.close(q["encoder.weight_hh_l0"], np.asarray(self.p["lstm.weight_hh_l0"]), 1e-7)
            with self.refuses(plain, "no tensor encoder.weight_ih_l0"):
                q.load(plain)
            saved = os.path.join(folder, "m.safetensors")
            self.p.save(saved)
            arrays, _ = read_safetensors(saved)
            self.assertEqual(sorted(arrays), sorted(self.p.keys()))
            for name, array in arrays.items():
                self.assertEqual(array.dtype, np.float64)
                np.testing.assert_array_equal(array, np.asarray(self.p[name]))
            before = np.asarray(self.p.flat).copy()
            np.asarray(self.p.flat)[:] = 0
            self.p.load(saved)
            np.testing.assert_array_equal(np.asarray(self.p.flat), before)
            with self.refuses("nowhere"):
                self.p.load(os.path.join(folder, "nowhere.safetensors"))


class Cells(Case):
    def test_a_loop_is_the_layer(self):
        x, u = self.random.normal(size=(T, N, I)), self.random.normal(size=(N, H))
        options = {"clip": 0.8, "zoneout_h": 0.2, "bias": False}
        for layer_class, cell_class, more in (
                (unroll.LSTM, unroll.LSTMCell, {"peephole": True, "layer_norm": True}),
                (unroll.GRU, unroll.GRUCell, {"reset_first": True}),
                (unroll.RNN, unroll.RNNCell, {"nonlinearity": "relu"})):
            p, q = unroll.Parameters("float64"), unroll.Parameters("float64")
            layer = layer_class(p, "", I, H, **options, **more).reset(1)
            cell = cell_class(q, "", I, H, **options, **more)
            self.assertEqual([n + "_l0" for n in q], p.keys())
            q.flat.assign(p.flat)
            with unroll.Tape() as tape:
                last = layer(x)[1]
                state = None
                for t in range(T):
                    state = cell(x[t], state)
                pair = isinstance(state, tuple)
                of_layer, of_cell = (last[0], state[0]) if pair else (last, state)
                self.close(of_cell, np.asarray(of_layer)[0])
                self.close(tape.pull(of_cell, u, q), tape.pull(of_layer, u[None], p))

    def test_what_a_cell_refuses(self):
        p = unroll.Parameters("float64")
        with self.refuses("no option num_layers", "clip"):
            unroll.GRUCell(p, "cell", I, H, num_layers=2)
        cell = unroll.LSTMCell(p, "cell", I, H)
        with self.refuses("one step", "lengths"):
            cell._run(np.zeros((N, I)), [1] * N)


class Dropout(Case):
    def test_it_acts_while_training(self):
        x = self.random.normal(size=(T, N, I))
        layer = unroll.LSTM(unroll.Parameters("float64"), "", I, H, num_layers=2, dropout=0.5,
                            recurrent_dropout=0.25, zoneout_c=0.1).reset(1)
        plain = np.asarray(layer(x)[0])
        first = np.asarray(layer.train(7)(x)[0])
        second = np.asarray(layer(x)[0])
        self.assertGreater(np.abs(first - plain).max(), 1e-3)
        self.assertGreater(np.abs(first - second).max(), 1e-3)
        numbers = unroll.Random(7)
        self.close(layer.train(numbers)(x)[0], first, 0)
        again = unroll.Random(7, counter=numbers.counter)
        self.close(layer.train(again)(x)[0], second, 0)
        self.close(layer.eval()(x)[0], plain, 0)

    def test_of_any_tensor(self):
        x = unroll.Tensor(np.full(1000, 3.0))
        numbers = unroll.Random(2, 5)
        with unroll.Tape() as tape:
            y = unroll.dropout(x, 0.25, numbers)
            dx = tape.pull(y, np.ones(1000), x)
        self.close(np.unique(np.asarray(y)), [0, 4])
        self.close(dx, np.asarray(y) / 3)
        self.assertLess(abs(np.mean(np.asarray(y) == 0) - 0.25), 0.05)
        self.assertGreater(numbers.counter, 0)
        with self.refuses("dropout", "1.5"):
            unroll.dropout(x, 1.5, numbers)


if __name__ == "__main__":
    unittest.main()
