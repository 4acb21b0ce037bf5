"""Layers, cells, attention, and the random numbers of their dropout."""

from ctypes import byref, c_void_p

from ._library import _lengths, _lib, _made, _options, _Owner
from ._tensor import Tensor, _tensor

__all__ = ["Random", "Layer", "Linear", "RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell",
           "MultiheadAttention", "BahdanauAttention", "LuongAttention",
           "scaled_dot_product_attention", "dropout"]


class Random(_Owner):
    """Random numbers: a function of seed, stream and counter, which moves with what is drawn."""

    _release = _lib.unroll_random_release

    def __init__(self, seed, stream=0, counter=0):
        super().__init__(_made(_lib.unroll_random_create, seed, stream, counter))

    @property
    def counter(self):
        """Random(seed, stream, counter) goes on from here."""
        return _lib.unroll_random_counter(self)


class Layer(_Owner):
    """A layer of unroll_layer_create's kinds; options as there."""

    _release = _lib.unroll_layer_release

    def __init__(self, parameters, kind, prefix, inputs, hidden, **options):
        super().__init__(_made(_lib.unroll_layer_create, parameters, kind.encode(),
                               prefix.encode(), inputs, hidden, *_options(options)))

    def reset(self, seed=0, **options):
        """Draws the parameters as PyTorch does by default; returns the layer."""
        _lib.unroll_layer_reset(self, seed, *_options(options))
        return self

    def train(self, random):
        """From now on dropout acts and zoneout is random; returns the layer. A new layer does not
        train. `random`: a Random, or a seed."""
        _lib.unroll_layer_train(self, random if isinstance(random, Random) else Random(random))
        return self

    def eval(self):
        """Ends train(); returns the layer."""
        _lib.unroll_layer_train(self, None)
        return self

    def _run(self, x, lengths=None, h_0=None, c_0=None):
        x = _tensor(x)
        states = [None if s is None else _tensor(s, x.dtype) for s in (h_0, c_0)]
        out = [c_void_p() for _ in range(3)]
        _lib.unroll_layer_forward(self, x, *_lengths(lengths),
                                  *states, *[byref(o) for o in out])
        return [Tensor._of(o.value) for o in out]


class Linear(Layer):
    """torch.nn.Linear: x [...,inputs] -> [...,outputs]."""

    def __init__(self, parameters, prefix, inputs, outputs, **options):
        super().__init__(parameters, "linear", prefix, inputs, outputs, **options)

    def __call__(self, x):
        return self._run(x)[0]


# ---- recurrent layers. Options as keywords, such as num_layers=2, bidirectional=True.

class RNN(Layer):
    """torch.nn.RNN; nonlinearity "tanh", "relu" or "identity"."""

    def __init__(self, parameters, prefix, inputs, hidden, nonlinearity="tanh", **options):
        super().__init__(parameters, "rnn_" + nonlinearity, prefix, inputs, hidden, **options)

    def __call__(self, x, h_0=None, lengths=None):
        """x [T,N,inputs] -> y [T,N,D*hidden] and h_n [L*D,N,hidden]."""
        y, h_n, _ = self._run(x, lengths, h_0)
        return y, h_n


class GRU(RNN):
    """torch.nn.GRU."""

    def __init__(self, parameters, prefix, inputs, hidden, **options):
        Layer.__init__(self, parameters, "gru", prefix, inputs, hidden, **options)


class LSTM(Layer):
    """torch.nn.LSTM."""

    def __init__(self, parameters, prefix, inputs, hidden, **options):
        super().__init__(parameters, "lstm", prefix, inputs, hidden, **options)

    def __call__(self, x, state=None, lengths=None):
        """x [T,N,inputs] and (h_0, c_0) -> y [T,N,D*hidden] and (h_n, c_n) [L*D,N,hidden]."""
        y, h_n, c_n = self._run(x, lengths, *(state or (None, None)))
        return y, (h_n, c_n)


# ---- cells: one step

class RNNCell(Layer):
    """torch.nn.RNNCell; nonlinearity "tanh", "relu" or "identity"."""

    def __init__(self, parameters, prefix, inputs, hidden, nonlinearity="tanh", **options):
        super().__init__(parameters, "rnn_%s_cell" % nonlinearity, prefix, inputs, hidden,
                         **options)

    def __call__(self, x, h=None):
        """x [N,inputs], h [N,hidden] -> the next h."""
        return self._run(x, None, h)[1]


class GRUCell(RNNCell):
    """torch.nn.GRUCell."""

    def __init__(self, parameters, prefix, inputs, hidden, **options):
        Layer.__init__(self, parameters, "gru_cell", prefix, inputs, hidden, **options)


class LSTMCell(Layer):
    """torch.nn.LSTMCell."""

    def __init__(self, parameters, prefix, inputs, hidden, **options):
        super().__init__(parameters, "lstm_cell", prefix, inputs, hidden, **options)

    def __call__(self, x, state=None):
        """x [N,inputs] and (h, c) [N,hidden] -> the next (h, c)."""
        return tuple(self._run(x, None, *(state or (None, None)))[1:])


# ---- attention

def _attend(function, q, k, v, masks, key_lengths, need_weights, options, owner=()):
    q = _tensor(q)
    k, v = _tensor(k, q.dtype), _tensor(v, q.dtype)
    masks = [None if m is None else _tensor(m, q.dtype) for m in masks]
    context, weights = c_void_p(), c_void_p()
    function(*owner, q, k, v, *masks, *_lengths(key_lengths), *_options(options), byref(context),
             byref(weights) if need_weights else None)
    return Tensor._of(context.value), Tensor._of(weights.value)


class MultiheadAttention(Layer):
    """torch.nn.MultiheadAttention, time first unless batch_first=True."""

    def __init__(self, parameters, prefix, embed, heads, **options):
        super().__init__(parameters, "multihead", prefix, embed, heads, **options)

    def __call__(self, query, key, value, key_padding_mask=None, need_weights=False,
                 attn_mask=None, average_attn_weights=True, is_causal=False, key_lengths=None):
        """The context and the weights, None unless they are needed. True in a boolean mask:
        ignored. is_causal needs no mask."""
        options = {"causal": is_causal, "average_weights": average_attn_weights}
        return _attend(_lib.unroll_layer_attend, query, key, value, [attn_mask, key_padding_mask],
                       key_lengths, need_weights, options, [self])


class _Scored(Layer):
    def __call__(self, query, keys, values, attn_mask=None, is_causal=False, key_lengths=None,
                 need_weights=False, scale=1.0):
        """query [L,N,*], keys [S,N,*], values [S,N,D] -> the context [L,N,D] and the weights
        [N,L,S], None unless they are needed. True in a boolean mask: ignored; a mask broadcasts to
        [N,1,L,S]."""
        return _attend(_lib.unroll_layer_attend, query, keys, values, [attn_mask, None],
                       key_lengths, need_weights, {"causal": is_causal, "scale": scale}, [self])


class BahdanauAttention(_Scored):
    """Additive attention: score vector . tanh(W q + U k), the vector of `size` numbers."""

    def __init__(self, parameters, prefix, query_size, key_size, size):
        super().__init__(parameters, "bahdanau", prefix, query_size, size, keys=key_size)


class LuongAttention(_Scored):
    """Score "dot": q . k, "general": q . W k, or "concat": vector . tanh(W [q; k])."""

    def __init__(self, parameters, prefix, score, query_size, key_size=None, size=0):
        keys = query_size if key_size is None else key_size
        super().__init__(parameters, "luong_" + score, prefix, query_size, size, keys=keys)


def scaled_dot_product_attention(query, key, value, attn_mask=None, is_causal=False, scale=None,
                                 key_lengths=None, need_weights=False):
    """torch.nn.functional's: query [B,Hq,L,D], key [B,Hk,S,D], value [B,Hk,S,Dv] -> the context
    [B,Hq,L,Dv], or with need_weights also the weights. True in a boolean mask: may attend."""
    options = {"causal": is_causal}
    if scale is not None:
        options["scale"] = scale
    both = _attend(_lib.unroll_scaled_dot_product_attention, query, key, value, [attn_mask],
                   key_lengths, need_weights, options)
    return both if need_weights else both[0]


def dropout(x, p, random):
    """x with elements set to zero with probability p, and the others divided by 1 - p."""
    return Tensor._of(_made(_lib.unroll_dropout, _tensor(x), p, random))
