"""What went into PyTorch's LSTM? From its weights and its outputs, with a bound on the error.

    PYTHONPATH=python python3 examples/python/invert.py
"""

# %% [markdown]
# PyTorch ran an LSTM of two layers, 6 inputs and 24 units, over 100 steps, and kept its weights and
# its outputs (scripts/make_pytorch_runs.py). The cell and its sizes follow from the file.

# %%
import numpy as np

import unroll

run = "examples/data/pytorch/lstm"
encoder = unroll.Encoder.load(run + ".safetensors")
print(encoder)

# %% [markdown]
# Can it be done? 24 facts for 6 unknowns at every step, and a Jacobian of full rank. The digits say
# what is left of the input in either type; the last output alone says next to nothing.

# %%
before = encoder.identify(steps=20)
print(before.verdict)
for dtype, digits in before.digits.items():
    print("%9s: %4.1f digits of the worst number" % (dtype, digits.worst))
last = encoder.identify(steps=20, observe="final")
print("from the last output:", last.verdict)

# %% [markdown]
# It can: the outputs in float64 and in float32, which the arrays' types tell apart. The bound comes
# without knowing the input; here we know it, and look.

# %%
x = np.load(run + "_x.npy")
errors = {}
for name in ("y64", "y32"):
    found = encoder.invert(np.load(run + "_%s.npy" % name))
    errors[name] = np.abs(np.asarray(found.x) - x).max()
    print("%s: %s, error at most %.1e, in truth %.1e"
          % (name, found.verdict, found.error_bound, errors[name]))
    assert found.verdict == "recovered" and errors[name] <= found.error_bound

# %% [markdown]
# Three numbers a step are fewer than the six that went in: no method gets them back, and another
# input with the same outputs shows it.

# %%
y = np.load(run + "_y64.npy")[:8]
C = np.random.default_rng(0).normal(size=(3, 24))
found = encoder.invert(y @ C.T, readout=C)
one = found.sequences[0]
print("%s: rank %d of %d unknowns" % (found.verdict, one.rank, one.unknowns))
print("another input at distance %.2f, whose outputs differ by %.0e"
      % (one.other_distance, one.other_difference))

# %%
assert before.determined and not last.determined
assert errors["y64"] < 1e-10 and errors["y32"] < 1e-4
assert found.verdict == "ambiguous" and one.other_difference < 1e-10 < one.other_distance
