#!/usr/bin/env python3
"""Writes examples/data/pytorch: recurrent networks of PyTorch, with an input and their outputs.

    scripts/make_pytorch_runs.py [FOLDER]

For each of LSTM, GRU and RNN (tanh), I 6, H 24, two layers, T 100: NAME.safetensors (the state dict,
float32), NAME_x.npy (the input), NAME_y64.npy and NAME_y32.npy (what PyTorch gives for it in either
type). Weights and input are float32 numbers, so that both runs are of the same network. Needs PyTorch
(Debian: python3-torch) and NumPy. The files that the project ships came from version 1.13.
"""

import json
import os
import struct
import sys

import numpy
import torch

I, H, LAYERS, T = 6, 24, 2, 100


def write_safetensors(path, tensors):
    """The format's own words: the size of the header, the header in JSON, the elements."""
    header, data = {}, b""
    for name, tensor in tensors.items():
        values = tensor.detach().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape),
                        "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..", "examples", "data", "pytorch")
    os.makedirs(folder, exist_ok=True)
    for seed, kind in enumerate((torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN)):
        torch.manual_seed(seed)
        model = kind(I, H, LAYERS)
        x = torch.randn(T, 1, I)
        path = os.path.join(folder, kind.__name__.lower())
        write_safetensors(path + ".safetensors", model.state_dict())
        with torch.no_grad():
            numpy.save(path + "_x.npy", x.numpy())
            numpy.save(path + "_y32.npy", model(x)[0].numpy())
            numpy.save(path + "_y64.npy", model.double()(x.double())[0].numpy())


if __name__ == "__main__":
    main()
