"""Encoder: a recurrent network whose input is sought, and what is found of it."""

import ctypes
import os
from ctypes import byref, c_char_p, c_double, c_void_p
from typing import NamedTuple, Optional

from ._library import (_dtype_name, _handles, _lengths, _lib, _made, _Observation, _options,
                       _Owner)
from ._tensor import Tensor, _tensor, from_dlpack

__all__ = ["Encoder", "Inversion", "SequenceInversion", "Identifiability", "PredictedDigits"]


class SequenceInversion(NamedTuple):
    """What the input that was found for one sequence is worth."""

    verdict: str  # "recovered", "ambiguous", "ill-conditioned" or "local minimum"
    reason: str  # one line
    method: str
    error_bound: float  # of every number of x; infinite where one is not determined
    bound: Tensor  # [T,inputs]: of each number of x
    residual: float  # root mean square of the facts
    fact_error: float  # standard deviation that each fact's error is taken to have
    unknowns: int
    facts: int
    rank: int
    condition: float  # of the Jacobian, or the largest gain of a stepwise inversion
    other: Optional[Tensor]  # [T,inputs]: another input with the same facts, where one was found
    other_distance: float  # Euclidean, to x
    other_difference: float  # largest, of the facts


class Inversion(NamedTuple):
    """The input that was found, and what that is worth."""

    x: Tensor  # [T,N,inputs] float64; 0 at padding
    initial: tuple  # (h_0, c_0), as given or found; None: zero
    sequences: list  # a SequenceInversion for each
    verdict: str  # the worst of all
    error_bound: float  # the largest of all


class PredictedDigits(NamedTuple):
    """What is left of an input whose run was computed and kept in one type."""

    error: float  # of the facts
    worst: float  # decimal digits of the worst number that is determined at all
    median: float  # of all numbers


class Identifiability(NamedTuple):
    """Whether outputs determine their input, to first order."""

    verdict: str  # one line
    determined: bool
    unknowns: int
    facts: int
    rank: int
    condition: float  # infinite below full rank
    condition_from: float
    condition_to: float
    effective_rank: float
    inverse_radius: float  # above 1 errors grow from step to step; NaN where it says nothing
    exact: bool  # False: from samples, since the Jacobian is too large
    converged: bool  # False: the samples do not say
    singular_values: Tensor  # descending
    gain: Tensor  # [T,inputs]: error of each number for facts off by 1; infinite: lost
    known: Tensor  # [T,inputs]: share of each number that the facts fix
    saturation: Tensor  # [T,L*D]: share of units that hardly depend on anything
    lost_steps: list  # with a number that is lost, from 0
    digits: dict  # "float64", "float32", "float16", "bfloat16": PredictedDigits


_COUNTS = {"unknowns": int, "facts": int, "rank": int, "determined": bool, "exact": bool,
           "converged": bool}


class _Found(_Owner):
    """A handle whose numbers, words and tensors are read by name."""

    def __init__(self, kind, handle):
        self._kind = kind
        self._release = getattr(_lib, "unroll_%s_release" % kind)
        super().__init__(handle)

    def _get(self, what, place, name, at):
        getattr(_lib, "unroll_%s_%s" % (self._kind, what))(self, *at, name.encode(), byref(place))
        return place.value

    def number(self, name, *at):
        return _COUNTS.get(name, float)(self._get("number", c_double(), name, at))

    def text(self, name, *at):
        return self._get("text", c_char_p(), name, at).decode()

    def tensor(self, name, *at):
        return Tensor._of(self._get("tensor", c_void_p(), name, at))

    def fields(self, kind, *at, **known):
        """All fields of a named tuple, by their types."""
        read = {Tensor: self.tensor, Optional[Tensor]: self.tensor, str: self.text}
        for name, type_ in kind.__annotations__.items():
            if name not in known:
                known[name] = read.get(type_, self.number)(name, *at)
        return kind(**known)


def _real(value):
    """As a tensor, whose type says how far it was rounded: PyTorch's keep theirs, lists become
    float64."""
    if value is None:
        return None
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array_interface__"):
        return from_dlpack(value)
    return _tensor(value, "float64")


def _encoded(text):
    return None if text is None else text.encode()


class Encoder(_Owner):
    """The weights of a torch.nn.RNN, LSTM or GRU, whose cell and sizes follow from the tensors.

    Encoder.load(path) reads a file; Encoder(tensors) takes a dict of arrays under PyTorch's names,
    or Parameters, and copies them. `prefix` of the names, as in "encoder.rnn.", is found where
    there is one such layer; `cell` says what the weights of an RNN do not: "tanh", "relu" or
    "linear".
    """

    _release = _lib.unroll_encoder_release

    def __init__(self, tensors, prefix=None, cell=None):
        names = [name.encode() for name in tensors.keys()]
        values = [_real(tensors[name.decode()]) for name in names]
        super().__init__(_made(_lib.unroll_encoder_create, (c_char_p * len(names))(*names),
                               _handles(values), len(names), _encoded(prefix), _encoded(cell)))

    @classmethod
    def load(cls, path, prefix=None, cell=None):
        """From safetensors, npz or a safetensors index."""
        encoder = cls.__new__(cls)
        encoder._handle = _made(_lib.unroll_encoder_load, os.fsencode(path), _encoded(prefix),
                                _encoded(cell))
        return encoder

    @property
    def cell(self):
        """ "tanh", "relu", "linear", "lstm" or "gru"."""
        return _lib.unroll_encoder_cell(self).decode()

    @property
    def sizes(self):
        """A dict: inputs, hidden, layers, directions, projection, state, output, bias."""
        size = ctypes.c_int64()
        sizes = {}
        for name in ("inputs", "hidden", "layers", "directions", "projection", "state", "output",
                     "bias"):
            _lib.unroll_encoder_size(self, name.encode(), byref(size))
            sizes[name] = size.value
        return sizes

    def __repr__(self):
        return "unroll.Encoder(%s)" % _lib.unroll_encoder_describe(self).decode()

    def __call__(self, x, h0=None, c0=None, lengths=None):
        """x [T,N,inputs] -> y [T,N,output] and h_n [L*D,N,state], of the LSTM (h_n, c_n), in the
        type of x."""
        x = _tensor(x)
        states = [None if s is None else _tensor(s, x.dtype) for s in (h0, c0)]
        out = [c_void_p() for _ in range(3)]
        _lib.unroll_encoder_forward(self, x, *_lengths(lengths), *states, *[byref(o) for o in out])
        y, h_n, c_n = [Tensor._of(o.value) for o in out]
        return y, h_n if c_n is None else (h_n, c_n)

    def invert(self, y, observe="all", readout=None, steps=None, h0=None, c0=None,
               unknown_start=False, noise=0.0, dtype=None, lengths=None, start=None, prior=None,
               **options):
        """The input from the outputs y, as unroll_invert: `observe` says what was seen ("all",
        "every:K", "final", "final-cell", "state"), `readout` C [M,width] that it was C times that,
        `dtype` in which the run was computed and kept (default: that of y). Options: restarts,
        seed."""
        seen, _alive = _observation(observe, readout, h0, c0, unknown_start, noise, dtype)
        found = _Found("inversion", _made(
            _lib.unroll_invert, self, _real(y), byref(seen), steps or 0, *_lengths(lengths),
            _real(start), _real(prior), *_options(options)))
        h, c = c_void_p(), c_void_p()
        _lib.unroll_inversion_start(found, byref(h), byref(c))
        return Inversion(
            x=Tensor._of(_made(_lib.unroll_inversion_x, found)),
            initial=(Tensor._of(h.value), Tensor._of(c.value)),
            sequences=[found.fields(SequenceInversion, n)
                       for n in range(_lib.unroll_inversion_count(found))],
            verdict=_lib.unroll_inversion_verdict(found).decode(),
            error_bound=_lib.unroll_inversion_error_bound(found))

    def identify(self, steps=None, observe="all", readout=None, x=None, h0=None, c0=None,
                 unknown_start=False, noise=0.0, **options):
        """Whether outputs of so many steps determine the input, before it is sought, as
        unroll_identify: near x [steps,N,inputs], or near random inputs. Options: inputs, scale,
        seed, saturated."""
        seen, _alive = _observation(observe, readout, h0, c0, unknown_start, noise, None)
        answer = _Found("identifiability", _made(_lib.unroll_identify, self, byref(seen),
                                                 steps or 0, _real(x), *_options(options)))
        return answer.fields(
            Identifiability,
            verdict=_lib.unroll_identifiability_verdict(answer).decode(),
            lost_steps=answer.tensor("lost_steps").numpy().tolist(),
            digits={name: _digits(answer, name)
                    for name in ("float64", "float32", "float16", "bfloat16")})


def _observation(observe, readout, h0, c0, unknown_start, noise, dtype):
    """The structure, and the tensors that must live as long."""
    tensors = [_real(t) for t in (readout, h0, c0)]
    name = None if dtype is None else _dtype_name(dtype)
    readout, h0, c0 = [None if t is None else t._handle for t in tensors]
    return _Observation(observe.encode(), readout, bool(unknown_start), h0, c0, noise,
                        _encoded(name)), tensors


def _digits(answer, dtype):
    values = [c_double() for _ in range(3)]
    _lib.unroll_identifiability_digits(answer, dtype.encode(), *[byref(v) for v in values])
    return PredictedDigits(*[v.value for v in values])
