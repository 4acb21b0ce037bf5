"""docs/guide.md: training from Python."""

import numpy as np
import unroll
from expected import Expected

# [loop]
p = unroll.Parameters("float64")
gru, head = unroll.GRU(p, "gru", 1, 8), unroll.Linear(p, "head", 8, 1)
p.load("forecast.safetensors")
adam = unroll.Adam(p, lr=0.01)

series = np.sin(0.4 * np.arange(21.0)[:, None, None] + np.arange(8.0)[:, None])
for step in range(40):
    p.zero_gradients()
    with unroll.Tape() as tape:
        loss = unroll.mse_loss(head(gru(series[:-1])[0]), series[1:])
        tape.backward(loss, p)
    p.clip_norm(0.5)
    adam.step(lr=0.005 * (1 + np.cos(np.pi * step / 40)))
# [end]

# [checkpoint]
p.save("model.safetensors")
# [end]

expected = Expected("training_python")
expected.same("loss", loss)
expected.done()
