"""docs/guide.md: derivatives from Python."""

import numpy as np
import unroll
from expected import Expected

x = unroll.Tensor(np.sin(np.arange(12.0)).reshape(4, 3))
target = unroll.Tensor(np.cos(np.arange(8.0)).reshape(4, 2))

# [backward]
p = unroll.Parameters("float64")
linear = unroll.Linear(p, "", 3, 2)
p.load("linear.safetensors")

with unroll.Tape() as tape:
    loss = unroll.mse_loss(unroll.tanh(linear(x)), target)
    tape.backward(loss, p)
slope = p.gradient("weight")
# [end]

# [products]
with unroll.Tape() as tape:
    y = unroll.tanh(linear(x))
    vjp = tape.pull(y, np.ones((4, 2)), x)          # u^T J
    jvp = tape.push(x, np.ones((4, 3)), y)          # J v
    # [end]
    # [directions]
    both = tape.pull(y, np.cos(np.arange(16.0)).reshape(2, 4, 2), x)
# [end]

# [higher]
with unroll.Tape() as outer:
    with unroll.Tape() as inner:
        z = linear(x)
        energy = unroll.sum(unroll.log((unroll.exp(z) + unroll.exp(-z)) / 2))
        first = inner.pull(energy, 1.0, x)
    penalty = unroll.sum(first * first)
    second = outer.pull(penalty, 1.0, x)
# [end]

expected = Expected("derivatives")
for name in ("loss", "slope", "vjp", "jvp", "both", "penalty", "second"):
    expected.same(name, globals()[name])
expected.done()
