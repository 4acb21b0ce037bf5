"""The Python module against NumPy: values, derivatives, whose memory it is, and what is refused.

    PYTHONPATH=python python3 python/test_unroll.py
"""

import gc
import json
import os
import struct
import subprocess
import tempfile
import threading
import unittest
import weakref

import numpy as np

import unroll

T, N, I, H = 5, 3, 2, 4


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(x, w_ih, w_hh, b_ih, b_hh, lengths=None):
    """torch.nn.LSTM's formula for one layer: y, h_n, c_n."""
    steps, batch = x.shape[:2]
    h, c = np.zeros((batch, w_hh.shape[1])), np.zeros((batch, w_hh.shape[1]))
    y = np.zeros((steps,) + h.shape)
    for t in range(steps):
        i, f, g, o = np.split(x[t] @ w_ih.T + b_ih + h @ w_hh.T + b_hh, 4, axis=1)
        c_next = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h_next = sigmoid(o) * np.tanh(c_next)
        on = np.array([[lengths is None or t < lengths[n]] for n in range(batch)])
        h, c = np.where(on, h_next, h), np.where(on, c_next, c)
        y[t] = np.where(on, h_next, 0)
    return y, h[None], c[None]


def read_safetensors(path):
    """{name: array} and the metadata of a file, read by the format's own words and nothing of ours:
    8 bytes with the size of the header, the header in JSON, the elements row-major."""
    types = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "BOOL": np.bool_}
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header, data = json.loads(file.read(size)), file.read()
    metadata, arrays, end = header.pop("__metadata__", {}), {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, behind = entry["data_offsets"]
        if begin != end:
            raise ValueError("%s begins at %d, not at %d" % (name, begin, end))
        end = behind
        arrays[name] = np.frombuffer(data[begin:end], types[entry["dtype"]]).reshape(entry["shape"])
    if end != len(data):
        raise ValueError("%d bytes behind the last tensor" % (len(data) - end))
    return arrays, metadata


def central(f, x, step=1e-6):
    """The gradient of a number f(x) by central differences."""
    d = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        moved = [x.copy(), x.copy()]
        moved[0][index] += step
        moved[1][index] -= step
        d[index] = (f(moved[0]) - f(moved[1])) / (2 * step)
    return d


class Case(unittest.TestCase):
    def setUp(self):
        self.random = np.random.default_rng(1)

    def close(self, actual, expected, tolerance=1e-12):
        actual, expected = np.asarray(actual), np.asarray(expected)
        self.assertEqual(actual.shape, expected.shape)
        scale = max(np.abs(expected).max(initial=0), 1e-300)
        self.assertLessEqual(np.abs(actual - expected).max(initial=0) / scale, tolerance)

    def refuses(self, *words):
        return self.assertRaisesRegex(unroll.Error, ".*".join(words))


class Memory(Case):
    def test_an_array_is_not_copied(self):
        for a in (np.zeros((2, 3)), np.zeros((2, 3), np.float32).T, np.arange(10)[2:9:3],
                  np.zeros((4, 0)), np.ones(3, bool)):
            t = unroll.Tensor(a)
            self.assertEqual((t.shape, t.ndim, t.size), (a.shape, a.ndim, a.size))
            self.assertEqual(t.dtype, a.dtype.name)
            back = np.asarray(t)
            np.testing.assert_array_equal(back, a)
            if a.size:
                self.assertEqual(back.__array_interface__["data"], a.__array_interface__["data"])
                self.assertEqual(back.strides, a.strides)

    def test_both_see_what_is_written(self):
        a = np.zeros(3)
        t = unroll.Tensor(a)
        a[1] = 5
        self.assertEqual(t.numpy()[1], 5)
        t.numpy()[2] = 7
        self.assertEqual(a[2], 7)
        t.assign([1, 2, 3])
        np.testing.assert_array_equal(a, [1, 2, 3])

    def test_a_tensor_keeps_the_array(self):
        a = np.arange(3.0)
        alive = weakref.ref(a)
        t = unroll.Tensor(a)
        back = np.asarray(t)
        del a, t
        gc.collect()
        self.assertIsNotNone(alive())
        np.testing.assert_array_equal(back, [0, 1, 2])
        del back
        gc.collect()
        self.assertIsNone(alive())

    def test_an_array_keeps_the_result(self):
        y = np.asarray(unroll.tanh(np.full(1000, 0.5)))
        junk = [unroll.tanh(np.zeros(1000)) for _ in range(10)]
        self.close(y, np.tanh(np.full(1000, 0.5)))
        del junk

    def test_a_tape_keeps_what_it_recorded(self):
        a = np.array([1.0, 2.0])
        alive = weakref.ref(a)
        w = unroll.Tensor(np.array([3.0, 4.0]))
        with unroll.Tape() as tape:
            y = unroll.sum(w * a)
            del a
            gc.collect()
            self.close(tape.pull(y, 1.0, w), [1, 2])
        gc.collect()
        self.assertIsNone(alive())

    def test_parameters_move_but_their_arrays_stay(self):
        p = unroll.Parameters("float64")
        w = p.add("w", [2])
        w.assign([1, 2])
        old = np.asarray(w)
        p.add("b", [100000])
        gc.collect()
        np.testing.assert_array_equal(old, [1, 2])
        p["w"] = [5, 6]
        np.testing.assert_array_equal(np.asarray(w), [5, 6])
        flat = np.asarray(p.flat)
        flat[1] = 9
        self.assertEqual(w.numpy()[1], 9)
        del p
        gc.collect()
        self.assertEqual(flat[1], 9)

    def test_read_only(self):
        a = np.arange(2.0)
        a.flags.writeable = False
        t = unroll.Tensor(a)
        self.assertTrue(t.read_only)
        self.assertFalse(np.asarray(t).flags.writeable)
        with self.refuses("read-only"):
            t.assign([1, 2])
        self.close(t + 1.0, [1, 2])
        self.assertFalse(t.copy().read_only)

    def test_numbers_lists_and_scalars_are_copied(self):
        self.assertEqual(unroll.Tensor(3.5).item(), 3.5)
        self.assertEqual(float(unroll.Tensor(np.float32(0.25))), 0.25)
        t = unroll.Tensor([[1, 2], [3, 4]], "float32")
        self.assertEqual((t.dtype, t.shape, len(t)), ("float32", (2, 2), 2))
        self.assertEqual(t.copy("float64").dtype, "float64")

    def test_what_does_not_fit(self):
        with self.refuses("f2", "astype"):
            unroll.Tensor(np.zeros(2, np.float16))
        with self.refuses("backwards"):
            unroll.Tensor(np.arange(3.0)[::-1])
        pairs = np.zeros(4, np.dtype([("a", "<f8"), ("b", "<i4")]))
        with self.refuses("bytes apart"):
            unroll.Tensor(pairs["a"])
        with self.refuses("axes", "8"):
            unroll.Tensor(np.zeros((1,) * 9))
        with self.refuses("there is no float16"):
            unroll.Parameters(np.float16)


class Dlpack(Case):
    def capsule(self, t, versioned):
        return t.__dlpack__(max_version=(1, 1)) if versioned else t.__dlpack__()

    def test_to_numpy(self):
        t = unroll.Tensor(np.arange(6.0).reshape(2, 3).T)
        self.assertEqual(t.__dlpack_device__(), (1, 0))
        a = np.from_dlpack(t)
        self.assertEqual(a.__array_interface__["data"][0], t.__array_interface__["data"][0])
        del t
        gc.collect()
        np.testing.assert_array_equal(a, np.arange(6.0).reshape(2, 3).T)

    def test_from_numpy(self):
        for dtype in ("float32", "float64", "int64"):
            a = np.arange(6).astype(dtype).reshape(3, 2)[:, 1]
            t = unroll.from_dlpack(a)
            alive, pointer = weakref.ref(a), a.__array_interface__["data"][0]
            self.assertEqual(t.__array_interface__["data"][0], pointer)
            self.assertEqual(t.dtype, dtype)
            del a
            gc.collect()
            np.testing.assert_array_equal(np.asarray(t), [1, 3, 5])
            del t
            gc.collect()
            self.assertIsNone(alive())

    def test_both_kinds_round_trip(self):
        class Lender:
            def __init__(self, capsule):
                self.capsule = capsule

            def __dlpack__(self, **_):
                return self.capsule

        for versioned in (False, True):
            a = np.arange(4.0)
            alive = weakref.ref(a)
            lender = Lender(self.capsule(unroll.Tensor(a), versioned))
            self.assertIn("dltensor_versioned" if versioned else '"dltensor"', repr(lender.capsule))
            del a
            t = unroll.from_dlpack(lender)
            with self.refuses("used"):
                unroll.from_dlpack(lender)
            del lender
            gc.collect()
            np.testing.assert_array_equal(np.asarray(t), [0, 1, 2, 3])
            del t
            gc.collect()
            self.assertIsNone(alive())

    def test_a_capsule_that_nobody_uses(self):
        for versioned in (False, True):
            a = np.arange(4.0)
            alive = weakref.ref(a)
            capsule = self.capsule(unroll.Tensor(a), versioned)
            del a
            gc.collect()
            self.assertIsNotNone(alive())
            del capsule
            gc.collect()
            self.assertIsNone(alive())

    def test_read_only_needs_the_versioned_kind(self):
        a = np.arange(2.0)
        a.flags.writeable = False
        t = unroll.Tensor(a)
        with self.assertRaisesRegex(BufferError, "read-only"):
            t.__dlpack__()
        t.__dlpack__(max_version=(1, 0))
        t.__dlpack__(copy=True)
        with self.assertRaises(BufferError):
            t.__dlpack__(stream=1)


class Operations(Case):
    def test_values(self):
        a, b = self.random.normal(size=(3, 4)), self.random.normal(size=(4,))
        x, y = unroll.Tensor(a), unroll.Tensor(b)
        for actual, expected in (
                (x + y, a + b), (x - 2.0, a - 2), (2.0 - x, 2 - a), (-x, -a), (a * y, a * b),
                (x / y, a / b), (x @ unroll.Tensor(a.T), a @ a.T), (unroll.tanh(x), np.tanh(a)),
                (unroll.exp(x), np.exp(a)), (unroll.sum(x), a.sum()), (unroll.mean(x), a.mean()),
                (unroll.linear(x, a, b[:3]), a @ a.T + b[:3]),
                (unroll.mse_loss(x, a * 0), (a * a).mean())):
            self.close(actual, expected, 1e-14)

    def test_masked_mse(self):
        a, b = self.random.normal(size=(2, T, N, I))
        a[3:, 1] = np.nan  # padding is never read
        d = [((a[:n, k] - b[:n, k]) ** 2).sum() for k, n in enumerate((5, 3, 0))]
        self.close(unroll.masked_mse(a, b, lengths=[5, 3, 0]), sum(d) / (8 * I))

    def test_errors(self):
        with self.refuses("matmul", r"\[2,3\]"):
            unroll.matmul(np.zeros((2, 3)), np.zeros((2, 3)))
        with self.refuses("there is no add of 3"):
            unroll.add(1.0, 2.0, 3.0)
        with self.refuses("threads"):
            unroll.set_num_threads(0)


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


class Tapes(Case):
    def test_misuse(self):
        x = unroll.Tensor(np.ones(2))
        with unroll.Tape() as tape:
            y = unroll.square(x)
            with self.refuses("pull", "never appeared"):
                tape.pull(y, np.ones(2), unroll.Tensor(np.ones(2)))
            with self.refuses("pull", "2 cotangents for 1"):
                tape.pull([y], [np.ones(2), np.ones(2)], x)
            with self.refuses("float32", "float64"):
                tape.pull(y, np.ones(2, np.float32), x)
            x.assign([3, 4])
            with self.refuses("changed in place"):
                tape.pull(y, np.ones(2), x)
        with self.refuses("ended"):
            tape.pull(y, np.ones(2), x)
        tape.end()

    def test_nested(self):
        x = unroll.Tensor(np.array([0.5, 2.0]))
        with unroll.Tape() as outer:
            with unroll.Tape() as inner:
                y = unroll.sum(unroll.exp(x * x))
                slope = inner.pull(y, 1.0, x)
            second = outer.push(x, np.ones(2), slope)
        a = np.asarray(x)
        self.close(second, np.exp(a * a) * (2 + 4 * a * a))

    def test_threads(self):
        found = []

        def work(k):
            x = unroll.Tensor(np.full(3, float(k)))
            for _ in range(50):
                with unroll.Tape() as tape:
                    y = unroll.sum(x * x * x)
                    found.append((k, tape.pull(y, 1.0, x).numpy()[0]))
                try:
                    unroll.matmul(x, unroll.Tensor(np.ones(2)))
                except unroll.Error as error:
                    found.append((k, 3.0 * k * k if "matmul" in str(error) else str(error)))

        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(len(found), 400)
        for k, value in found:
            self.assertEqual(value, 3.0 * k * k)

    def test_another_thread_cannot_use_it(self):
        x = unroll.Tensor(np.ones(2))
        said = []
        with unroll.Tape() as tape:
            y = unroll.square(x)

            def use():
                for call in (lambda: tape.pull(y, np.ones(2), x), tape.end):
                    try:
                        call()
                    except unroll.Error as error:
                        said.append(str(error))

            thread = threading.Thread(target=use)
            thread.start()
            thread.join()
            self.close(tape.pull(y, np.ones(2), x), [2, 2])
        self.assertEqual(len(said), 2)
        self.assertIn("thread", said[0] and said[1])


class Training(Case):
    def test_adam_is_the_formula(self):
        p = unroll.Parameters("float64")
        w = p.add("w", [3])
        w.assign([1, -2, 3])
        adam = unroll.Adam(p, lr=0.1, beta2=0.99, weight_decay=0.01)
        expected, m, v = np.array([1.0, -2, 3]), 0, 0
        for t in range(1, 6):
            p.zero_gradients()
            with unroll.Tape() as tape:
                tape.backward(unroll.sum(unroll.square(w)), p)
            adam.step()
            g = 2 * expected + 0.01 * expected
            m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
            expected = expected - 0.1 * (m / (1 - 0.9 ** t)) / (
                np.sqrt(v / (1 - 0.99 ** t)) + 1e-8)
            self.close(w, expected)
        with self.refuses("no option speed", "lr"):
            unroll.SGD(p, speed=1)
        with self.refuses("lr"):
            adam.step(-1)

    def test_clipping(self):
        p = unroll.Parameters("float64")
        p.add("w", [2])
        p.gradients.assign([3, 4])
        self.assertEqual(p.clip_norm(1), 5)
        self.close(p.gradients, [0.6, 0.8], 1e-6)

    def test_a_model_learns(self):
        phase = self.random.uniform(0, 6, size=(1, 16, 1))
        x = np.sin(0.7 * np.arange(6).reshape(6, 1, 1) + phase).astype(np.float32)
        model = unroll.Model("decoder", inputs=1, hidden=16, cell="gru", seed=2)
        optimizer = unroll.AdamW(model.parameters, lr=0.02)
        first, norm = model.train_step(optimizer, x)
        for _ in range(150):
            loss, _ = model.train_step(optimizer, x, clip=1)
        self.assertGreater(norm, 0)
        self.assertLess(loss, 0.2 * first)
        self.assertEqual(model(x).shape, (6, 16, 1))
        self.close(model.loss(x), float(np.mean((np.asarray(model(x)) - x) ** 2)), 1e-5)
        with self.refuses("not finite|nan"):
            model.train_step(optimizer, x * np.float32("nan"))
        with self.refuses("no cnn"):
            unroll.Model("decoder", 1, 1, cell="cnn")
        self.assertEqual((model.window, model.columns), (0, []))

    @unittest.skipUnless(os.environ.get("UNROLL_COMMAND"), "UNROLL_COMMAND names no command")
    def test_a_run(self):
        with tempfile.TemporaryDirectory() as folder:
            series = 20 + 5 * np.sin(0.5 * np.arange(200))
            data, run = os.path.join(folder, "s.csv"), os.path.join(folder, "run")
            np.savetxt(data, np.stack([series, -series], 1), delimiter=",", header="up,down",
                       comments="")
            subprocess.run([os.environ["UNROLL_COMMAND"], "train", data, "--model", "decoder",
                            "--epochs", "1", "--hidden", "8", "--window", "10", "--out", run],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            model = unroll.Model.open(run)
            self.assertEqual((model.window, model.columns), (10, ["up", "down"]))
            window = np.stack([series, -series], 1)[:10, None, :]
            x = model.standardize(window)
            self.close(model.restore(x), window)
            self.assertEqual(model(x.copy("float32")).shape, (10, 1, 2))
            with self.refuses("config.json"):
                unroll.Model.open(folder)
            self.check_checkpoint(run, model.parameters)

    def check_checkpoint(self, run, parameters):
        """What others read in the files of a run: PyTorch's names, and all that is needed to go on."""
        best, _ = read_safetensors(os.path.join(run, "model.safetensors"))
        self.assertEqual(sorted(best), sorted(parameters.keys()))
        for name, array in best.items():
            np.testing.assert_array_equal(array, np.asarray(parameters[name]))
        kept, metadata = read_safetensors(os.path.join(run, "checkpoint.safetensors"))
        state = json.loads(metadata["unroll.state"])
        self.assertTrue(state["finished"] and state["step"] == state["optimizer_steps"] > 0)
        for name, shape in [(n, a.shape) for n, a in best.items()] + [
                (n, (len(parameters.flat),))
                for n in ("best.parameters", "optimizer.exp_avg", "optimizer.exp_avg_sq")]:
            self.assertEqual(kept[name].shape, shape)
            self.assertTrue(np.isfinite(kept[name]).all())
        flat = np.concatenate([best[name].ravel() for name in parameters.keys()])
        np.testing.assert_array_equal(kept["best.parameters"], flat)


class Page(unittest.TestCase):
    def test_its_programs_run(self):
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        with open(os.path.join(root, "docs", "python.md"), encoding="utf-8") as page:
            blocks = [b.split("```")[0] for b in page.read().split("```python\n")[1:]]
        self.assertEqual(len(blocks), 3)
        p = unroll.Parameters()
        for name, shape in (("weight_ih_l0", [32, 3]), ("weight_hh_l0", [32, 8]),
                            ("bias_ih_l0", [32]), ("bias_hh_l0", [32])):
            p.add(name, shape)
        here, names = os.getcwd(), {}
        with tempfile.TemporaryDirectory() as folder:
            p.save(os.path.join(folder, "lstm.safetensors"))
            os.chdir(folder)
            try:
                for block in blocks:
                    exec(block, names)  # each goes on from the one before
            finally:
                os.chdir(here)
        self.assertEqual(names["J"].shape, (10, 24, 4, 3))
        self.assertEqual(names["dp"].size, len(names["p"].flat))


if __name__ == "__main__":
    unittest.main()
