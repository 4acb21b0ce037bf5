"""Tapes of the Python module, and the programs of docs/python.md.

    PYTHONPATH=python python3 python/test_tape.py
"""

import os
import tempfile
import threading
import unittest

import numpy as np

import unroll
from testing import Case


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


class Page(unittest.TestCase):
    def test_its_programs_run(self):
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        with open(os.path.join(root, "docs", "python.md"), encoding="utf-8") as page:
            blocks = [b.split("```")[0] for b in page.read().split("```python\n")[1:]]
        self.assertEqual(len(blocks), 6)
        p = unroll.Parameters()
        for name, shape in (("weight_ih_l0", [32, 3]), ("weight_hh_l0", [32, 8]),
                            ("bias_ih_l0", [32]), ("bias_hh_l0", [32])):
            p.add(name, shape)
        p.flat.assign(np.random.default_rng(3).uniform(-0.35, 0.35, p.flat.size))
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
        self.assertEqual(names["dp"].size, 4 * 8 * (3 + 8 + 2))
        self.assertEqual(names["weights"].shape, (4, 24, 24))
        self.assertEqual(names["found"].verdict, "recovered")
        self.assertLess(names["found"].error_bound, 1e-10)
        answer = names["answer"]
        self.assertEqual((answer.determined, answer.rank, answer.facts, answer.unknowns),
                         (False, 8, 8, 60))


if __name__ == "__main__":
    unittest.main()
