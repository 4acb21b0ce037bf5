"""unroll from Python: recurrent layers and their derivatives on NumPy arrays, without a copy.

    import numpy as np, unroll

    p = unroll.Parameters("float64")
    lstm = unroll.LSTM(p, "lstm", inputs=3, hidden=8)
    p.load("lstm.safetensors", prefix="lstm.")          # torch.nn.LSTM's state dict
    x = unroll.Tensor(np.zeros((24, 1, 3)))             # the array's own memory
    with unroll.Tape() as tape:
        y, (h, c) = lstm(x)
        dx = tape.pull(h, np.ones((1, 1, 8)), x)           # u^T J
        dy = tape.push(x, np.ones((24, 1, 3)), y)       # J v
    np.asarray(dx)                                      # again without a copy

    encoder = unroll.Encoder.load("lstm.safetensors")   # what went in, from what came out
    found = encoder.invert(np.asarray(y))
    print(found.verdict, found.error_bound)

This module calls the C interface (unroll.h and unroll_inversion.h, where each function is
described) through ctypes and needs nothing else; NumPy is imported only where an array is asked for
or made from a list. It looks for libunroll_c.so where UNROLL_LIBRARY names the file, beside itself,
in the tree that it is part of, and where the system looks. Whatever fails in the library raises
unroll.Error.

A Tape belongs to its thread and sees only what that thread computes. Other objects may be used by
any thread, one at a time.
"""

import atexit
import itertools
import os
import threading
import weakref
from ctypes import byref, c_double, c_void_p

from . import _inversion, _layers, _optimizers
from ._inversion import *
from ._layers import *
from ._library import (Error, _code, _handles, _int64s, _lengths, _lib, _made, _number, _options,
                       _Owner)
from ._optimizers import *
from ._tensor import *
from ._tensor import Tensor, _tensor, from_dlpack, masked_mse

__all__ = (["Error", "Tensor", "from_dlpack", "Parameters", "Model", "Tape", "masked_mse",
            "set_num_threads"] + _layers.__all__ + _optimizers.__all__ + _inversion.__all__)
__version__ = _lib.unroll_version().decode()


def set_num_threads(count):
    """Threads that one operation may use. Results do not depend on it."""
    _lib.unroll_set_num_threads(count)


# ---- parameters

class Parameters(_Owner):
    """Named tensors in one flat buffer, with their gradients in another.

    p["w"] is a Tensor that shares the elements; p["w"] = values copies them in. An array made of
    it keeps the elements of that moment when parameters are added later.
    """

    _release = _lib.unroll_parameters_release

    def __init__(self, dtype="float32"):
        super().__init__(_made(_lib.unroll_parameters_create, _code(dtype)))

    def add(self, name, shape):
        """A new parameter of zeros."""
        shape = _int64s(shape)
        return Tensor._of(_made(_lib.unroll_parameters_add, self, name.encode(), len(shape),
                                shape))

    def load(self, path, prefix=""):
        """From safetensors, npz or a safetensors index: the parameters whose names begin with
        `prefix`, by the rest of their names."""
        _lib.unroll_parameters_load(self, os.fsencode(path), prefix.encode())

    def save(self, path):
        """As safetensors, which PyTorch reads."""
        _lib.unroll_parameters_save(self, os.fsencode(path))

    def keys(self):
        count = _lib.unroll_parameters_count(self)
        return [_lib.unroll_parameters_name(self, i).decode() for i in range(count)]

    def __iter__(self):
        return iter(self.keys())

    def __len__(self):
        return _lib.unroll_parameters_count(self)

    def __contains__(self, name):
        return name in self.keys()

    def __getitem__(self, name):
        return Tensor._of(_made(_lib.unroll_parameters_get, self, name.encode()))

    def __setitem__(self, name, values):
        values = _tensor(values, self.flat.dtype)
        _lib.unroll_parameters_set(self, name.encode(), values)

    def gradient(self, name):
        return Tensor._of(_made(_lib.unroll_parameters_gradient, self, name.encode()))

    @property
    def flat(self):
        """All parameters as one vector."""
        return Tensor._of(_made(_lib.unroll_parameters_flat, self))

    @property
    def gradients(self):
        """All gradients as one vector; Tape.backward adds to it."""
        return Tensor._of(_made(_lib.unroll_parameters_gradients, self))

    def zero_gradients(self):
        _lib.unroll_parameters_zero_gradients(self)

    def clip_norm(self, max_norm):
        """Scales the gradients down to a norm of max_norm; returns the norm before."""
        norm = c_double()
        _lib.unroll_parameters_clip_norm(self, max_norm, byref(norm))
        return norm.value

    def clip_value(self, limit):
        """Each element of the gradients to [-limit, limit]."""
        _lib.unroll_parameters_clip_value(self, limit)


# ---- models

class Model(_Owner):
    """A reconstruction model, new or from the folder of `unroll train` (Model.open)."""

    _release = _lib.unroll_model_release

    def __init__(self, kind, inputs, hidden, cell=None, dtype="float32", seed=1, **options):
        super().__init__(_made(_lib.unroll_model_create, kind.encode(), cell and cell.encode(),
                               _code(dtype), inputs, hidden, seed, *_options(options)))

    @classmethod
    def open(cls, directory):
        model = cls.__new__(cls)
        model._handle = _made(_lib.unroll_model_open, os.fsencode(directory))
        return model

    @property
    def parameters(self):
        parameters = Parameters.__new__(Parameters)
        parameters._handle = _made(_lib.unroll_model_parameters, self)
        return parameters

    @property
    def window(self):
        """Steps of the windows that it was trained on; 0 for a model that was not opened."""
        return _lib.unroll_model_window(self)

    @property
    def columns(self):
        """Names of the series' columns; none for a model that was not opened."""
        names = (_lib.unroll_model_column(self, i) for i in itertools.count())
        return [name.decode() for name in itertools.takewhile(lambda name: name is not None, names)]

    def _call(self, function, x, *arguments):
        return Tensor._of(_made(function, self, _tensor(x), *arguments))

    def standardize(self, x):
        """From the series' units to the model's."""
        return self._call(_lib.unroll_model_standardize, x)

    def restore(self, x):
        """From the model's units to the series'."""
        return self._call(_lib.unroll_model_restore, x)

    def __call__(self, x, lengths=None):
        """The reconstruction of x [T,N,inputs]."""
        return self._call(_lib.unroll_model_forward, x, *_lengths(lengths))

    def loss(self, x, lengths=None):
        return self._call(_lib.unroll_model_loss, x, *_lengths(lengths))

    def train_step(self, optimizer, x, lengths=None, lr=None, clip=1.0):
        """One step of training; returns the loss and the gradient's norm before clipping."""
        loss, norm = c_double(), c_double()
        _lib.unroll_train_step(self, optimizer, _tensor(x),
                               *_lengths(lengths), _number(lr), clip, byref(loss), byref(norm))
        return loss.value, norm.value


# ---- the tape

_tapes = weakref.WeakSet()


@atexit.register
def _end_tapes():
    """A tape that outlived the interpreter would give memory back to objects that are gone."""
    for tape in list(_tapes):
        if tape._thread == threading.get_ident():
            tape.end()


def _as_list(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _directions(op, what, given, of):
    """A cotangent or tangent, or None, for each tensor: a list of them for a list."""
    tensors, given = _as_list(of), list(given) if isinstance(of, (list, tuple)) else [given]
    if len(given) != len(tensors):
        raise Error("%s: %d %s for %d tensors" % (op, len(given), what, len(tensors)))
    return [None if d is None else _tensor(d, t.dtype) for d, t in zip(given, tensors)]


class Tape:
    """Derivatives of everything that the thread computes from its making to end().

    Best as a context: `with Tape() as tape`. pull and push may be called as often as wanted.
    """

    def __init__(self):
        self._handle = _made(_lib.unroll_tape_begin)
        self._thread = threading.get_ident()
        _tapes.add(self)

    def end(self):
        if self._handle:
            _lib.unroll_tape_end(self._handle)
            self._handle = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def __del__(self):
        # In another thread it cannot be ended; what it holds is then lost, and nothing else.
        if getattr(self, "_handle", None) and self._thread == threading.get_ident():
            self.end()

    def _alive(self):
        if not self._handle:
            raise Error("tape: it has ended")
        return self._handle

    def pull(self, y, u, x):
        """u^T J. x: a Tensor, a list of them (then so is the result) or Parameters (a vector). y
        may be a list, then so is u. Each u has its y's shape, or all a leading axis."""
        ys = _as_list(y)
        us = _directions("pull", "cotangents", u, y)
        if isinstance(x, Parameters):
            if len(ys) != 1 or us[0] is None:
                raise Error("pull: with Parameters give one y and its cotangent")
            return Tensor._of(_made(_lib.unroll_tape_pull_parameters, self._alive(), ys[0],
                                    us[0], x))
        xs = _as_list(x)
        out = (c_void_p * len(xs))()
        _lib.unroll_tape_pull(self._alive(), _handles(ys), _handles(us), len(ys), _handles(xs),
                              len(xs), out)
        made = [Tensor._of(o) for o in out]
        return made if isinstance(x, (list, tuple)) else made[0]

    def push(self, x, v, y):
        """J v. x may be a list, then so is v; y may be one, then so is the result."""
        xs, ys = _as_list(x), _as_list(y)
        vs = _directions("push", "tangents", v, x)
        out = (c_void_p * len(ys))()
        _lib.unroll_tape_push(self._alive(), _handles(xs), _handles(vs), len(xs), _handles(ys),
                              len(ys), out)
        made = [Tensor._of(o) for o in out]
        return made if isinstance(y, (list, tuple)) else made[0]

    def backward(self, loss, parameters):
        """Adds the gradient of a loss of one element to the parameters'; uses the tape up."""
        _lib.unroll_tape_backward(self._alive(), loss, parameters)
