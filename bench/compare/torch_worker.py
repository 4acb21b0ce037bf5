"""The worker of PyTorch: torch.nn's modules, eager, as a user calls them.

A forward pass runs under inference_mode. A step is the module's call and backward() of y with a
given cotangent, to x and all parameters, whose .grad is None before.
"""
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import worker


def recurrent(problem):
    module = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[problem.op](problem.I, problem.H)
    names = {"w_ih": "weight_ih_l0", "w_hh": "weight_hh_l0", "b_ih": "bias_ih_l0", "b_hh": "bias_hh_l0"}
    with torch.no_grad():
        for short, long in names.items():
            getattr(module, long).copy_(torch.from_numpy(problem.input(short)))
    module.train(problem.step)
    lengths = torch.from_numpy(problem.input("lengths")) if problem.has("lengths") else None
    leaves = {short: getattr(module, long) for short, long in names.items()}
    leaves["x"] = torch.from_numpy(problem.input("x")).requires_grad_(problem.step)

    def forward():
        if lengths is None:
            return module(leaves["x"])
        packed = pack_padded_sequence(leaves["x"], lengths, enforce_sorted=False)
        y, last = module(packed)
        return pad_packed_sequence(y, total_length=problem.T)[0], last

    def named(out):
        y, last = out
        if problem.op != "lstm":
            return {"y": y, "h_n": last[0]}
        return {"y": y, "h_n": last[0][0], "c_n": last[1][0]}

    return leaves, lambda: named(forward())


def attention(problem):
    leaves = {name: torch.from_numpy(problem.input(name)).requires_grad_(problem.step)
              for name in ("q", "k", "v")}
    return leaves, lambda: {"y": functional.scaled_dot_product_attention(*leaves.values())}


def prepare(problem):
    leaves, forward = (attention if problem.op == "attention" else recurrent)(problem)
    u = torch.from_numpy(problem.input("u"))

    def infer():
        with torch.inference_mode():
            return forward()

    def step():
        for leaf in leaves.values():
            leaf.grad = None
        out = forward()
        out["y"].backward(u)
        return out

    def results():
        out = step() if problem.step else infer()
        if problem.step:
            out.update({"d" + name: leaf.grad for name, leaf in leaves.items()})
        return {name: value.detach().numpy() for name, value in out.items()}

    return (step if problem.step else infer), results


worker.serve("torch", torch.__version__, prepare)
