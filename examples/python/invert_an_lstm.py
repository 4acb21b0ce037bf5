"""Can an LSTM's last output tell what went in? With NumPy and unroll, cell by cell.

    PYTHONPATH=python python3 examples/python/invert_an_lstm.py
"""

# %% [markdown]
# An LSTM reads a sequence of T steps. We keep only its last hidden state h_T, throw the input away,
# and look for an input that gives the same h_T: Gauss-Newton on x, with the Jacobian from the tape.

# %%
import numpy as np

import unroll

T, I, H = 6, 2, 16
random = np.random.default_rng(0)
parameters = unroll.Parameters("float64")
lstm = unroll.LSTM(parameters, "lstm", inputs=I, hidden=H).reset(seed=1, orthogonal=True)
secret = 0.5 * random.normal(size=(T, 1, I))
_, (h_T, _) = lstm(secret)
target = np.asarray(h_T).copy()
print("numbers to find:", T * I, " numbers known:", H)

# %% [markdown]
# The tape records the LSTM once. One pull with H directions gives the whole Jacobian dh_T/dx.


# %%
def residual_and_jacobian(x):
    x = unroll.Tensor(x)
    with unroll.Tape() as tape:
        _, (h, _) = lstm(x)
        J = tape.pull(h, np.eye(H).reshape(H, 1, 1, H), x)  # [H,T,1,I]
    return np.asarray(h).ravel() - target.ravel(), np.asarray(J).reshape(H, T * I)


# %% [markdown]
# Its singular values tell how well each direction of the input is remembered.

# %%
_, J = residual_and_jacobian(secret)
print("singular values:", np.array2string(np.linalg.svd(J, compute_uv=False), precision=1))

# %% [markdown]
# Gauss-Newton with a little damping (Levenberg 1944), from an input of zeros.

# %%
x, damping = np.zeros((T, 1, I)), 1e-3
r, J = residual_and_jacobian(x)
for _ in range(200):
    step = np.linalg.solve(J.T @ J + damping * np.eye(T * I), -J.T @ r)
    r_new, J_new = residual_and_jacobian(x + step.reshape(x.shape))
    if r_new @ r_new < r @ r:
        x, r, J, damping = x + step.reshape(x.shape), r_new, J_new, damping / 3
    else:
        damping *= 4
    if np.abs(r).max() < 1e-13:
        break
error = np.abs(x - secret).max()
print("largest difference of h_T: %.1e, of the input: %.1e" % (np.abs(r).max(), error))

# %% [markdown]
# More numbers are known than sought, so the input comes back.

# %%
assert np.abs(r).max() < 1e-10
assert error < 1e-3
