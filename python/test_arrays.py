"""Arrays of the Python module: whose memory it is, DLPack, operations.

    PYTHONPATH=python python3 python/test_arrays.py
"""

import gc
import unittest
import weakref

import numpy as np

import unroll
from testing import Case, I, N, T


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


if __name__ == "__main__":
    unittest.main()
