"""docs/guide.md: tensors from Python."""

from expected import Expected

# [start]
import numpy as np
import unroll

x = unroll.Tensor(np.arange(6.0).reshape(2, 3))     # the array's own memory
w = unroll.Tensor([[1, -2, 3], [0.5, 0.25, -1]])
# [end]

# [views]
a = np.asarray(x)                                   # NumPy makes the views
row, columns, turned = (unroll.Tensor(v) for v in (a[1], a[:, 1:3], a.T))
# [end]

# [compute]
y = np.asarray(x * w).sum(1)
product = x @ np.asarray(w).T
narrow = x.copy("float32")
# [end]

expected = Expected("tensors")
for name in ("row", "columns", "turned", "y", "product"):
    expected.same(name, globals()[name])
expected.done()
assert narrow.dtype == "float32"
