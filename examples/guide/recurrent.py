"""docs/guide.md: PyTorch's recurrent layers from Python."""

import numpy as np
import unroll
from expected import Expected

# [lstm]
p = unroll.Parameters("float64")
lstm = unroll.LSTM(p, "lstm", 3, 4, num_layers=2, bidirectional=True)
p.load("lstm.safetensors", prefix="lstm.")

x = unroll.Tensor(np.sin(np.arange(45.0)).reshape(5, 3, 3))
y, (h_n, c_n) = lstm(x, lengths=[5, 2, 3])
# [end]

# [gru]
gru = unroll.GRU(p, "gru", 3, 4, batch_first=True)
p.load("gru.safetensors", prefix="gru.")

y_gru, h_gru = gru(np.asarray(x).swapaxes(0, 1), np.ones((1, 3, 4)))
# [end]

expected = Expected("recurrent")
for name in ("y", "h_n", "c_n", "y_gru", "h_gru"):
    expected.same(name, globals()[name])
expected.done()
