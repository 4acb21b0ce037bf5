"""docs/guide.md: derivatives, by PyTorch. scripts/guide.sh runs it."""

import torch
from expected import Expected
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(2)

x = torch.arange(12.0).sin().reshape(4, 3)
target = torch.arange(8.0).cos().reshape(4, 2)

# [backward]
linear = torch.nn.Linear(3, 2)
save_file(linear.state_dict(), "linear.safetensors")

loss = F.mse_loss(torch.tanh(linear(x)), target)
loss.backward()                       # adds into .grad
slope = linear.weight.grad
# [end]

# [products]
a = x.clone().requires_grad_()
y = torch.tanh(linear(a))
u, v = torch.ones_like(y), torch.ones_like(x)
vjp, = torch.autograd.grad(y, a, u, retain_graph=True)                  # u^T J
_, jvp = torch.autograd.functional.jvp(lambda x: torch.tanh(linear(x)), x, v)   # J v
# [end]

# [directions]
U = torch.arange(16.0).cos().reshape(2, 4, 2)
both, = torch.autograd.grad(y, a, U, is_grads_batched=True)             # [2,4,3]
# [end]

# [whole]
def energy(x):
    return torch.log(torch.cosh(linear(x))).sum()

J = torch.autograd.functional.jacobian(lambda x: torch.tanh(linear(x)), x)      # [4,2,4,3]
_, Hv = torch.autograd.functional.hvp(energy, x, v)
# [end]

# [higher]
b = x.clone().requires_grad_()
first, = torch.autograd.grad(energy(b), b, create_graph=True)
penalty = (first ** 2).sum()
second, = torch.autograd.grad(penalty, b)
# [end]

# [frozen]
encoder = torch.nn.GRU(3, 4)
encoder.load_state_dict(load_file("gru.safetensors"))
encoder.requires_grad_(False)

steps = x.reshape(4, 1, 3).requires_grad_()
with torch.no_grad():
    code, _ = encoder(steps)          # nothing is recorded
felt, = torch.autograd.grad(encoder(steps)[1].sum(), steps)     # through frozen weights
# [end]

expected = Expected("derivatives")
for name in ("loss", "slope", "vjp", "jvp", "both", "J", "Hv", "penalty", "second", "code", "felt"):
    expected.same(name, globals()[name].detach())
expected.done()
