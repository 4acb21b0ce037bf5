"""Attention of the Python module against NumPy's formula.

    PYTHONPATH=python python3 python/test_attention.py
"""

import unittest

import numpy as np

import unroll
from testing import Case, central

L, S, N, E, HEADS = 4, 5, 3, 6, 2


def softmax(scores):
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attend(scores, seen, v):
    """Context [...,L,D] and weights of scores [...,L,S]; `seen` is true where a key counts."""
    weights = softmax(np.where(seen, scores, -np.inf))
    return weights @ v, weights


def multihead(q, k, v, w_in, b_in, w_out, b_out, seen):
    """torch.nn.MultiheadAttention: the context [L,N,E] and the weights [N,HEADS,L,S]."""
    q, k, v = [x @ w.T + b for x, w, b in zip((q, k, v), np.split(w_in, 3), np.split(b_in, 3))]
    q, k, v = [x.reshape(len(x), N, HEADS, -1).transpose(1, 2, 0, 3) for x in (q, k, v)]
    context, weights = attend(q @ k.swapaxes(2, 3) / np.sqrt(E / HEADS), seen, v)
    return context.transpose(2, 0, 1, 3).reshape(L, N, E) @ w_out.T + b_out, weights


class Multihead(Case):
    def setUp(self):
        super().setUp()
        self.p = unroll.Parameters("float64")
        self.layer = unroll.MultiheadAttention(self.p, "", E, HEADS).reset(1)
        self.p.flat.assign(self.random.normal(size=self.p.flat.size))
        self.weights = [np.asarray(self.p[name]) for name in self.p]
        self.q, self.k, self.v = [self.random.normal(size=(n, N, E)) for n in (L, S, S)]

    def test_names_are_those_of_pytorch(self):
        self.assertEqual(self.p.keys(), ["in_proj_weight", "in_proj_bias", "out_proj.weight",
                                         "out_proj.bias"])

    def test_masks(self):
        lengths = np.array([5, 2, 4])
        padding = np.arange(S) >= lengths[:, None]
        mask = self.random.uniform(size=(L, S)) < 0.3
        mask[:, 0] = False
        added = self.random.normal(size=(L, S))
        later = np.arange(S) > np.arange(L)[:, None]
        full = np.ones((N, 1, L, S), bool)
        for arguments, seen in (
                ({}, full), ({"attn_mask": mask}, full & ~mask), ({"is_causal": True}, ~later),
                ({"key_padding_mask": padding}, full & ~padding[:, None, None]),
                ({"key_lengths": lengths}, full & ~padding[:, None, None]),
                ({"key_padding_mask": padding, "attn_mask": mask},
                 full & ~padding[:, None, None] & ~mask)):
            context, weights = multihead(self.q, self.k, self.v, *self.weights, seen)
            actual = self.layer(self.q, self.k, self.v, need_weights=True, **arguments)
            self.close(actual[0], context)
            self.close(actual[1], weights.mean(1))
            apart = self.layer(self.q, self.k, self.v, need_weights=True,
                               average_attn_weights=False, **arguments)
            self.close(apart[1], weights)
            self.assertIsNone(self.layer(self.q, self.k, self.v, **arguments)[1])
        first = self.layer(self.q, self.k, self.v, attn_mask=added, need_weights=True)[1]
        second = self.layer(self.q, self.k, self.v, attn_mask=added - 1, need_weights=True)[1]
        self.close(first, second)

    def test_gradients_by_central_differences(self):
        u = self.random.normal(size=(L, N, E))
        q = unroll.Tensor(self.q)
        with unroll.Tape() as tape:
            y, _ = self.layer(q, self.k, self.v)
            dq, dw = tape.pull(y, u, [q, self.p["out_proj.weight"]])
        seen = np.ones((L, S), bool)
        self.close(dq, central(lambda x: (multihead(x, self.k, self.v, *self.weights, seen)[0] *
                                          u).sum(), self.q), 1e-8)
        by_w = central(lambda w: (multihead(self.q, self.k, self.v, *self.weights[:2], w,
                                            self.weights[3], seen)[0] * u).sum(), self.weights[2])
        self.close(dw, by_w, 1e-8)

    def test_dropout(self):
        layer = unroll.MultiheadAttention(unroll.Parameters("float64"), "m", E, HEADS, dropout=0.5)
        layer.reset(1)

        def weights():
            return np.asarray(layer(self.q, self.k, self.v, need_weights=True,
                                    average_attn_weights=False)[1])

        plain = weights()
        dropped = (layer.train(3), weights())[1]
        np.testing.assert_allclose(dropped[dropped != 0], 2 * plain[dropped != 0], rtol=1e-12)
        self.assertTrue((dropped == 0).any() and (dropped != 0).any())
        layer.eval()
        self.close(weights(), plain, 0)

    def test_other_sizes_and_what_does_not_fit(self):
        p = unroll.Parameters()
        other = unroll.MultiheadAttention(p, "m", E, HEADS, kdim=3, vdim=2, batch_first=True,
                                          add_bias_kv=True, bias=False)
        self.assertIn("m.bias_k", p)
        y, w = other(np.zeros((N, L, E), np.float32), np.zeros((N, S, 3), np.float32),
                     np.zeros((N, S, 2), np.float32), need_weights=True)
        self.assertEqual((y.shape, w.shape), ((N, L, E), (N, L, S + 1)))
        with self.refuses("key_padding_mask", r"\[3,5\]"):
            self.layer(self.q, self.k, self.v, key_padding_mask=np.zeros((S, N), bool))
        with self.refuses("multiple of 4"):
            unroll.MultiheadAttention(p, "n", E, 4)


class Scores(Case):
    def setUp(self):
        super().setUp()
        self.p = unroll.Parameters("float64")
        self.q, self.k, self.v = [self.random.normal(size=s)
                                  for s in ((L, N, E), (S, N, E), (S, N, 2))]

    def weight(self, name):
        self.p[name] = self.random.normal(size=self.p[name].shape)
        return np.asarray(self.p[name])

    def check(self, layer, scores):
        """scores: [N,L,S] of q [N,L,E] and k [N,S,E]."""
        lengths = np.array([5, 1, 3])
        seen = np.arange(S) < lengths[:, None, None]
        q, k, v = [x.swapaxes(0, 1) for x in (self.q, self.k, self.v)]
        for arguments in ({"key_lengths": lengths}, {"attn_mask": ~seen[:, None]}):
            context, weights = layer(self.q, self.k, self.v, need_weights=True, **arguments)
            expected = attend(scores(q, k), seen, v)
            self.close(context, expected[0].swapaxes(0, 1))
            self.close(weights, expected[1])
        with self.refuses("key_padding_mask", "multihead"):
            unroll._layers._attend(unroll._lib.unroll_layer_attend, self.q, self.k, self.v,
                                   [None, seen], None, False, {}, [layer])

    def test_luong(self):
        self.check(unroll.LuongAttention(self.p, "dot", "dot", E),
                   lambda q, k: q @ k.swapaxes(1, 2))
        layer = unroll.LuongAttention(self.p, "general", "general", E)
        general = self.weight("general.weight")
        self.check(layer, lambda q, k: q @ general @ k.swapaxes(1, 2))
        layer = unroll.LuongAttention(self.p, "concat", "concat", E, size=7)
        w, vector = self.weight("concat.weight"), self.weight("concat.vector")
        self.check(layer, lambda q, k: np.tanh((q @ w[:, :E].T)[:, :, None] +
                                               (k @ w[:, E:].T)[:, None]) @ vector)
        with self.refuses("there is no luong_cosine", "luong_dot"):
            unroll.LuongAttention(self.p, "l", "cosine", E)

    def test_bahdanau(self):
        layer = unroll.BahdanauAttention(self.p, "b", E, E, 7)
        w, u, vector = [self.weight("b." + n) for n in ("query_weight", "key_weight", "vector")]
        self.check(layer, lambda q, k: np.tanh((q @ w.T)[:, :, None] + (k @ u.T)[:, None]) @ vector)

    def test_scaled_dot_product(self):
        q, k, v = [self.random.normal(size=s) for s in ((N, 4, L, E), (N, 2, S, E), (N, 2, S, 3))]
        mask = self.random.uniform(size=(L, S)) < 0.7
        mask[:, 0] = True
        shared = [x.repeat(2, 1) for x in (k, v)]
        for scale in (None, 0.5):
            scores = q @ shared[0].swapaxes(2, 3) * (scale or 1 / np.sqrt(E))
            context, weights = attend(scores, mask, shared[1])
            both = unroll.scaled_dot_product_attention(q, k, v, mask, scale=scale,
                                                       need_weights=True)
            self.close(both[0], context)
            self.close(both[1], weights)
        causal = unroll.scaled_dot_product_attention(q, k, v, is_causal=True)
        self.close(np.asarray(causal)[:, :, 0], shared[1][:, :, 0])
        short = unroll.scaled_dot_product_attention(q, k, v, key_lengths=[1, 5, 0])
        self.close(np.asarray(short)[0, :, 3], shared[1][0, :, 0])
        self.assertFalse(np.asarray(short)[2].any())


if __name__ == "__main__":
    unittest.main()
