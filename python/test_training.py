"""Optimisers, learning rates and models of the Python module.

    PYTHONPATH=python python3 python/test_training.py
"""

import json
import os
import subprocess
import tempfile
import unittest

import numpy as np

import unroll
from testing import Case, read_safetensors


def wander(p, optimizer, first, last):
    """Updates by gradients that differ from round to round."""
    for t in range(first, last):
        p.gradients.assign(np.sin(1.0 + 4 * t + np.arange(p.flat.size)))
        optimizer.step()


def two_parameters():
    p = unroll.Parameters("float64")
    p.add("body.w", [2])
    p.add("head.w", [2])
    p.flat.assign([1, -2, 3, -4])
    return p


class Optimizers(Case):
    CLASSES = (unroll.SGD, unroll.Adam, unroll.AdamW, unroll.NAdam, unroll.RAdam, unroll.RMSprop,
               unroll.Adagrad, unroll.Adadelta)

    def test_a_saved_state_goes_on(self):
        groups = {"head.": {"lr": 0.5}}
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "state.safetensors")
            for kind in self.CLASSES:
                options = {"momentum": 0.9} if kind is unroll.SGD else {}
                p, q = two_parameters(), two_parameters()
                wander(p, kind(p, groups, **options), 0, 9)
                first = kind(q, groups, **options)
                wander(q, first, 0, 4)
                first.save(path)
                second = kind(q, groups, **options)
                second.load(path)
                wander(q, second, 4, 9)
                np.testing.assert_array_equal(np.asarray(q.flat), np.asarray(p.flat))
                forgetful = two_parameters()
                wander(forgetful, kind(forgetful, groups, **options), 0, 4)
                wander(forgetful, kind(forgetful, groups, **options), 4, 9)
                self.assertGreater(np.abs(np.asarray(forgetful.flat) - p.flat.numpy()).max(), 1e-9)
            with self.refuses("state of adadelta, not of sgd"):
                unroll.SGD(p).load(path)
            with self.refuses("square_avg", r"\[4\]", r"\[5\]"):
                larger = two_parameters()
                larger.add("more", [1])
                unroll.Adadelta(larger, groups).load(path)

    def test_groups(self):
        p = two_parameters()
        sgd = unroll.SGD(p, {"head.": {"lr": 0.25, "weight_decay": 0.5}}, lr=0.5)
        p.gradients.assign([1, 1, 1, 1])
        sgd.step()
        self.close(p.flat, [0.5, -2.5, 3 - 0.25 * 2.5, -4 - 0.25 * -1])
        sgd.step(lr=0)
        self.close(p.flat, [0.5, -2.5, 3 - 0.25 * 2.5, -4 - 0.25 * -1])
        with self.refuses("group 0 holds no parameter"):
            unroll.Adam(p, {"tail.": {}})
        with self.refuses("no option momentum", "initial_accumulator_value"):
            unroll.Adagrad(p, {"head.": {"momentum": 1}})

    def test_clipping_by_value(self):
        p = two_parameters()
        p.gradients.assign([3, -4, 0.5, 1])
        p.clip_value(1)
        self.close(p.gradients, [1, -1, 0.5, 1])

    def test_maximize_climbs(self):
        for kind in self.CLASSES:
            p, q = two_parameters(), two_parameters()
            for parameters, maximize in ((p, False), (q, True)):
                parameters.gradients.assign([1, 1, -1, -1])
                kind(parameters, weight_decay=0, maximize=maximize).step()
            self.close(np.asarray(p.flat) + np.asarray(q.flat), [2, -4, 6, -8])


class Schedules(Case):
    def check(self, rate, formula, steps=12):
        self.close([rate(i) for i in range(steps)], [formula(i) for i in range(steps)])

    def test_formulas(self):
        half = lambda at: (1 + np.cos(np.pi * at)) / 2
        self.check(unroll.Cosine(lr=2, steps=8, final_fraction=0.25),
                   lambda i: 0.5 + 1.5 * half(min(i / 8, 1)))
        self.check(unroll.StepDecay(lr=2, every=3), lambda i: 2 * 0.1 ** (i // 3))
        self.check(unroll.MultiStepDecay(2, [2, 7, 7], gamma=0.5),
                   lambda i: 2 * 0.5 ** ((i >= 2) + 2 * (i >= 7)))
        self.check(unroll.ExponentialDecay(lr=2, gamma=0.9), lambda i: 2 * 0.9 ** i)
        self.check(unroll.LinearRamp(lr=2, start=0.5, steps=4),
                   lambda i: 2 * (0.5 + 0.5 * min(i / 4, 1)))
        self.check(unroll.PolynomialDecay(lr=2, steps=6, power=2),
                   lambda i: 2 * (1 - min(i / 6, 1)) ** 2)
        self.check(unroll.CosineAnnealing(lr=2, half_period=5, lowest=1), lambda i: 1 + half(i / 5))
        self.check(unroll.CosineRestarts(lr=2, period=4), lambda i: 2 * half(i % 4 / 4))
        self.check(unroll.OneCycle("linear", max_lr=1, steps=11, rise=0.5, divisor=10),
                   lambda i: np.interp(i, [0, 4.5, 10], [0.1, 1, 1e-5]))
        self.check(unroll.Cyclic(lr=1, max_lr=3, up=2, down=3),
                   lambda i: np.interp(i % 5, [0, 2, 5], [1, 3, 1]))
        self.check(unroll.Cyclic("triangular2", lr=1, max_lr=3, up=2),
                   lambda i: 1 + np.interp(i % 4, [0, 2, 4], [0, 2, 0]) / 2 ** (i // 4))
        self.check(unroll.Cyclic("exponential", lr=1, max_lr=3, up=2, gamma=0.9),
                   lambda i: 1 + np.interp(i % 4, [0, 2, 4], [0, 2, 0]) * 0.9 ** i)
        self.assertGreater(unroll.OneCycle(max_lr=1, steps=11)(2), 0.5)

    def test_what_does_not_fit(self):
        with self.refuses("lr must be given"):
            unroll.ExponentialDecay(gamma=0.5)
        with self.refuses("every must be positive"):
            unroll.StepDecay(lr=1)
        with self.refuses("no option speed", "gamma"):
            unroll.StepDecay(lr=1, speed=1)
        with self.refuses("there is no square", "triangular2"):
            unroll.Cyclic("square", lr=1, max_lr=2)
        with self.refuses("step -1"):
            unroll.Cosine(lr=1, steps=5)(-1)

    def test_plateau(self):
        plateau = unroll.Plateau(1.0, patience=1, factor=0.5)
        self.assertEqual([plateau.report(v) for v in (5, 4, 4, 4, 4, 4)], [1, 1, 1, 0.5, 0.5, 0.25])
        again = unroll.Plateau(plateau.lr, patience=1, factor=0.5)
        again.best, again.bad = plateau.best, plateau.bad
        self.assertEqual([again.report(v) for v in (4, 4)], [0.25, 0.125])
        with self.refuses("no option speed", "patience"):
            unroll.Plateau(1.0, speed=1)


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



if __name__ == "__main__":
    unittest.main()
