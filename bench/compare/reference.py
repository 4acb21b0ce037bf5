"""What every contender must compute, in float64 and straight from the definitions.

    results = reference("lstm", {"x": x, "w_ih": ...}, step=True)     # {"y": ..., "dw_hh": ...}

Sequences are [T,N,*], parameters in PyTorch's shapes and order of gates. The GRU's reset gate acts
behind the product. The state starts at zero.
"""
import math

import numpy as np

TOLERANCE = 2e-5  # of float32 against float64


def sigmoid(a):
    return 0.5 * (1 + np.tanh(0.5 * a))


class Rnn:
    """A cell: `ahead` makes the state from the two products, `back` turns the derivative by the new
    state into those by the products and, past the product, by the old state."""

    gates = 1

    @staticmethod
    def ahead(a_ih, a_hh, h, c):
        h_new = np.tanh(a_ih + a_hh)
        return h_new, c, (h_new,)

    @staticmethod
    def back(saved, h, c, dh, dc):
        (h_new,) = saved
        da = dh * (1 - h_new * h_new)
        return da, da, 0, dc


class Gru:
    gates = 3

    @staticmethod
    def ahead(a_ih, a_hh, h, c):
        r_ih, z_ih, n_ih = np.split(a_ih, 3, axis=1)
        r_hh, z_hh, n_hh = np.split(a_hh, 3, axis=1)
        r, z = sigmoid(r_ih + r_hh), sigmoid(z_ih + z_hh)
        n = np.tanh(n_ih + r * n_hh)
        return (1 - z) * n + z * h, c, (r, z, n, n_hh)

    @staticmethod
    def back(saved, h, c, dh, dc):
        r, z, n, n_hh = saved
        dn = dh * (1 - z) * (1 - n * n)
        dz = dh * (h - n) * z * (1 - z)
        dr = dn * n_hh * r * (1 - r)
        return np.hstack([dr, dz, dn]), np.hstack([dr, dz, dn * r]), dh * z, dc


class Lstm:
    gates = 4

    @staticmethod
    def ahead(a_ih, a_hh, h, c):
        i, f, g, o = np.split(a_ih + a_hh, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c_new = f * c + i * g
        return o * np.tanh(c_new), c_new, (i, f, g, o, np.tanh(c_new))

    @staticmethod
    def back(saved, h, c, dh, dc):
        i, f, g, o, s = saved
        dc = dc + dh * o * (1 - s * s)
        da = np.hstack([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g),
                        dh * s * o * (1 - o)])
        return da, da, 0, dc * f


CELLS = {"rnn": Rnn, "gru": Gru, "lstm": Lstm}


def recurrent(cell, p, step):
    T, N, _ = p["x"].shape
    H = p["w_hh"].shape[1]
    valid = np.arange(T)[:, None, None] < p.get("lengths", np.full(N, T))[None, :, None]
    a_ih = p["x"] @ p["w_ih"].T + p["b_ih"]
    h, c = [np.zeros((N, H))], [np.zeros((N, H))]
    y, saved = np.zeros((T, N, H)), []
    for t in range(T):
        h_new, c_new, kept = cell.ahead(a_ih[t], h[t] @ p["w_hh"].T + p["b_hh"], h[t], c[t])
        saved.append(kept)
        y[t] = np.where(valid[t], h_new, 0)
        h.append(np.where(valid[t], h_new, h[t]))
        c.append(np.where(valid[t], c_new, c[t]))
    results = {"y": y, "h_n": h[T]}
    if cell is Lstm:
        results["c_n"] = c[T]
    if not step:
        return results

    da_ih, da_hh = np.zeros_like(a_ih), np.zeros_like(a_ih)
    dh, dc = np.zeros((N, H)), np.zeros((N, H))
    for t in reversed(range(T)):
        by_ih, by_hh, dh_old, dc_old = cell.back(saved[t], h[t], c[t], dh + p["u"][t], dc)
        da_ih[t], da_hh[t] = np.where(valid[t], by_ih, 0), np.where(valid[t], by_hh, 0)
        dh = np.where(valid[t], dh_old + by_hh @ p["w_hh"], dh)
        dc = np.where(valid[t], dc_old, dc)

    def rows(a):
        return a.reshape(T * N, -1)

    results["dx"] = da_ih @ p["w_ih"]
    results["dw_ih"] = rows(da_ih).T @ rows(p["x"])
    results["dw_hh"] = rows(da_hh).T @ rows(np.stack(h[:T]))
    results["db_ih"], results["db_hh"] = rows(da_ih).sum(0), rows(da_hh).sum(0)
    return results


def attention(p, step):
    q, k, v = p["q"], p["k"], p["v"]
    scale = 1 / np.sqrt(q.shape[-1])
    score = scale * q @ k.swapaxes(-1, -2)
    weight = np.exp(score - score.max(-1, keepdims=True))
    weight /= weight.sum(-1, keepdims=True)
    results = {"y": weight @ v}
    if step:
        dweight = p["u"] @ v.swapaxes(-1, -2)
        dscore = weight * (dweight - (dweight * weight).sum(-1, keepdims=True))
        results["dq"] = scale * dscore @ k
        results["dk"] = scale * dscore.swapaxes(-1, -2) @ q
        results["dv"] = weight.swapaxes(-1, -2) @ p["u"]
    return results


def reference(op, inputs, step):
    """All results of a call, float64, from inputs of any real type."""
    p = {name: x if name == "lengths" else x.astype(np.float64) for name, x in inputs.items()}
    return attention(p, step) if op == "attention" else recurrent(CELLS[op], p, step)


def largest(x):
    return float(np.abs(x).max(initial=0))


def error_of(results, wanted, spreads=None):
    """The largest difference, each result's as a part of the largest number wanted in it. Where terms
    cancel that number is small, and rounding alone is a large part of it: spreads(), called where
    the error is above TOLERANCE, says what rounding does to each result, and the larger counts."""
    worst = 0.0
    for name, value in results.items():
        if value.shape != wanted[name].shape or not np.isfinite(value).all():
            return math.inf
        off, scale = largest(value - wanted[name]), largest(wanted[name])
        if spreads and off > TOLERANCE * scale:
            scale = max(scale, spreads()[name])
        worst = max(worst, off / scale if scale else math.inf if off else 0.0)
    return worst


def spreads_of(op, inputs, step):
    """Of each result, how far it moves where each number of the inputs moves by 2^-20 of itself times
    a normal number, over 2^-20; the largest of four draws. bench/reference.h has the same formula."""
    wanted, draw, move = reference(op, inputs, step), np.random.default_rng(4), 2.0**-20
    spreads = dict.fromkeys(wanted, 0.0)
    for _ in range(4):
        moved = {name: x if name == "lengths" else x * (1 + move * draw.standard_normal(x.shape))
                 for name, x in inputs.items()}
        for name, value in reference(op, moved, step).items():
            spreads[name] = max(spreads[name], largest(value - wanted[name]) / move)
    return spreads
