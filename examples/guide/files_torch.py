"""docs/guide.md: files, by PyTorch. scripts/guide.sh runs it."""

import torch

torch.set_default_dtype(torch.float64)

# [numpy]
import numpy as np

np.save("x.npy", torch.arange(6.0).reshape(2, 3).numpy())
np.savez("both.npz", x=np.load("x.npy"), count=np.arange(3))

x = torch.from_numpy(np.load("x.npy"))
count = torch.from_numpy(np.load("both.npz")["count"])
# [end]

# [safetensors]
from safetensors.torch import load_file, save_file

save_file({"x": x, "half": x.half()}, "some.safetensors")
half = load_file("some.safetensors")["half"].double()
# [end]

# [csv]
with open("weather.csv", "w") as file:
    file.write("day,rain,wind\n1,0.5,4\n2,,3\n3,2.5,1\n")

rows = np.genfromtxt("weather.csv", delimiter=",", names=True)
rain = rows["rain"][~np.isnan(rows["rain"])]
# [end]

assert x.sum() == half.sum() == 15 and count[2] == 2 and rain.sum() == 3
