"""What the tests of the Python module share: NumPy's LSTM, differences, and comparisons."""

import json
import struct
import unittest

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
