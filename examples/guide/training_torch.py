"""docs/guide.md: losses, a model, its training and its checkpoint, by PyTorch. scripts/guide.sh runs it."""

import torch
from expected import Expected
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(3)

logits = torch.arange(12.0).sin().reshape(4, 3)
x, target = logits, torch.arange(12.0).cos().reshape(4, 3)

# [losses]
classes = torch.tensor([0, 2, 1, 2])
entropy = F.cross_entropy(logits, classes, label_smoothing=0.1)
total = F.cross_entropy(logits, classes, weight=torch.tensor([1.0, 2.0, 0.5]), reduction="sum")
each = F.smooth_l1_loss(x, target, beta=0.5, reduction="none")
binary = F.binary_cross_entropy_with_logits(logits, (target > 0).double())
# [end]

# [model]
class Forecast(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = torch.nn.GRU(1, 8)
        self.head = torch.nn.Linear(8, 1)

    def forward(self, x):                       # [T,N,1] -> [T,N,1]
        return self.head(self.gru(x)[0])
# [end]

torch.manual_seed(3)
save_file(Forecast().state_dict(), "forecast.safetensors")

# [fit]
model = Forecast()
model.load_state_dict(load_file("forecast.safetensors"))
adam = torch.optim.Adam([{"params": model.gru.parameters()},
                         {"params": model.head.parameters(), "lr": 0.003}], lr=0.01)
rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=40)

phase = torch.arange(8.0)                       # N = 8 sines of 21 steps
series = torch.sin(0.4 * torch.arange(21.0)[:, None, None] + phase[:, None])
# [end]


def fit(model, adam, rate):
    # [loop]
    for step in range(40):
        adam.zero_grad()
        loss = F.mse_loss(model(series[:-1]), series[1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        adam.step()
        rate.step()
    # [end]
    return loss


loss = fit(model, adam, rate)

# [checkpoint]
save_file(model.state_dict(), "model.safetensors")
torch.save({"model": model.state_dict(), "adam": adam.state_dict(), "step": 40}, "run.pt")

kept = torch.load("run.pt")
model.load_state_dict(kept["model"])
adam.load_state_dict(kept["adam"])
# [end]

# From Python, unroll's optimisers have no groups.
plain = Forecast()
plain.load_state_dict(load_file("forecast.safetensors"))
adam = torch.optim.Adam(plain.parameters(), lr=0.01)
plain_loss = fit(plain, adam, torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=40))

expected = Expected("training")
for name in ("entropy", "total", "each", "binary", "loss"):
    expected.same(name, globals()[name].detach())
expected.same("forecast", model(series).detach())
expected.done()
expected = Expected("training_python")
expected.same("loss", plain_loss.detach())
expected.done()
