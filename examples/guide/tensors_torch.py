"""docs/guide.md: tensors, by PyTorch. scripts/guide.sh runs it."""

from expected import Expected
# [start]
import torch

torch.set_default_dtype(torch.float64)
x = torch.arange(6.0).reshape(2, 3)
w = torch.tensor([[1.0, -2.0, 3.0], [0.5, 0.25, -1.0]])
# [end]

# [views]
row = x[1]
columns = x[:, 1:3]
turned = x.T
backwards = x.flip(1)
# [end]

# [compute]
y = (x * w).sum(1)
product = x @ w.T
large = torch.where(x > 2, x, 0.0)
narrow = x.to(torch.float32)
norm = w.norm().item()
# [end]

expected = Expected("tensors")
for name in ("row", "columns", "turned", "backwards", "y", "product", "large", "norm"):
    expected.same(name, globals()[name])
expected.done()
assert narrow.dtype == torch.float32
