#!/usr/bin/python3
"""Writes a folder of cases made by PyTorch, of the form that tests/conformance.h reads.

    apt-get install python3-torch           # PyTorch 1.13, which Debian has
    scripts/make_conformance.py --seed 7 out/conformance
    UNROLL_CONFORMANCE=out/conformance build/tests/unroll_tests --gtest_filter='Pytorch*:Schedules*'

Another seed draws other sizes, numbers of layers, options and values; --rounds asks for more draws
of everything. All is float64, on one thread. Each file of FOLDER/pytorch holds param.*, input.*,
output.*, cot.* (the cotangent of that output), grad.input.* and grad.param.*, the gradients of
sum(output * cot); index.json lists the files with what was drawn, lr_schedules.json holds rates.
"""
import argparse
import inspect
import json
import math
import pathlib
import random
import struct

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

DTYPES = {torch.float64: "F64", torch.int64: "I64", torch.bool: "BOOL"}


class Folder:
    """The files written so far."""

    def __init__(self, path):
        self.path = pathlib.Path(path) / "pytorch"
        self.index = []

    def name(self, module, stem):
        """A file of that stem that does not exist yet: the stem stays the beginning."""
        taken = {entry["file"] for entry in self.index}
        names = (f"{module}/{stem}{'_' + str(i) if i else ''}.safetensors" for i in range(10**6))
        return next(name for name in names if name not in taken)

    def put(self, module, stem, spec, tensors):
        name = self.name(module, stem)
        metadata = {"module": module, "spec": json.dumps(spec), "torch": torch.__version__}
        header, blobs, offset = {"__metadata__": metadata}, [], 0
        for key in sorted(tensors, key=lambda k: (-tensors[k].element_size(), k)):
            tensor = tensors[key].detach().contiguous()
            blob = tensor.numpy().tobytes()
            header[key] = {
                "dtype": DTYPES[tensor.dtype],
                "shape": list(tensor.shape),
                "data_offsets": [offset, offset + len(blob)],
            }
            blobs.append(blob)
            offset += len(blob)
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
        shapes = {key: list(tensor.shape) for key, tensor in tensors.items()}
        self.index.append({"file": name, "module": module, "spec": spec, "tensors": shapes})

    def put_case(self, module, stem, spec, inputs, outputs, params=()):
        """Draws the cotangents and writes values and gradients; params: of named_parameters()."""
        tensors, loss = {}, 0
        for name, value in outputs.items():
            tensors["output." + name] = value
            if value.requires_grad:
                cotangent = torch.randn_like(value)
                tensors["cot." + name] = cotangent
                loss = loss + (value * cotangent).sum()
        if torch.is_tensor(loss):
            loss.backward()
        for kind, values in (("param.", dict(params)), ("input.", inputs)):
            for name, value in values.items():
                tensors[kind + name] = value
                if value.grad is not None:
                    tensors["grad." + kind + name] = value.grad
        self.put(module, stem, spec, tensors)

    def close(self, rates):
        (self.path / "lr_schedules.json").write_text(json.dumps(rates, indent=0))
        lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in self.index)
        (self.path / "index.json").write_text("[\n" + lines + "\n]\n")


def leaf(*shape):
    return torch.randn(shape).requires_grad_()


def draw(low, high):
    return random.randint(low, high)


def some(options, most):
    """Up to `most` of the options, each (name, value)."""
    return dict(random.sample(options, draw(0, most)))


# ---- Recurrent


def recurrent_spec(kind):
    """What the module is made with, and the names of its options."""
    spec = {"input_size": draw(1, 9), "hidden_size": draw(2, 40)}
    options = [("bias", False), ("batch_first", True), ("bidirectional", True)]
    options.append(("num_layers", draw(2, 4)))
    if kind == "RNN":
        options.append(("nonlinearity", "relu"))
    if kind == "LSTM":
        options.append(("proj_size", draw(1, spec["hidden_size"] - 1)))
    chosen = some(options, len(options))
    return spec | chosen, sorted(chosen)


def recurrent_state(kind, spec, N):
    runs = spec.get("num_layers", 1) * (2 if spec.get("bidirectional") else 1)
    state = {"h0": leaf(runs, N, spec.get("proj_size") or spec["hidden_size"])}
    if kind == "LSTM":
        state["c0"] = leaf(runs, N, spec["hidden_size"])
    return state


def recurrent(folder, kind):
    spec, names = recurrent_spec(kind)
    module = getattr(nn, kind)(**spec)
    first, T, N = spec.get("batch_first", False), draw(1, 12), draw(1, 6)
    packed, with_state = random.random() < 0.4, random.random() < 0.6
    x = leaf(*((N, T) if first else (T, N)), spec["input_size"])
    state = recurrent_state(kind, spec, N) if with_state else {}
    inputs = {"x": x} | state
    if packed:
        spec["packed"] = True
        lengths = torch.tensor([T] + [draw(1, T) for _ in range(N - 1)])
        inputs["lengths"] = lengths[torch.randperm(N)]
        x = pack_padded_sequence(x, inputs["lengths"], batch_first=first, enforce_sorted=False)
    given = tuple(state.values())
    y, last = module(x, (given if kind == "LSTM" else given[0]) if given else None)
    if packed:
        y, _ = pad_packed_sequence(y, batch_first=first)
    outputs = {"y": y, "hn": last[0], "cn": last[1]} if kind == "LSTM" else {"y": y, "hn": last}
    names += ["packed"] * packed + ["zero_state"] * (not with_state)
    stem = "_".join(names) or "plain"
    folder.put_case(kind, stem, spec, inputs, outputs, module.named_parameters())


def saturated(folder, kind):
    spec = {"input_size": draw(1, 4), "hidden_size": draw(1, 9)}
    module = getattr(nn, kind)(**spec)
    x = (20 * torch.randn(draw(40, 100), draw(1, 2), spec["input_size"])).requires_grad_()
    y, _ = module(x)
    folder.put_case(kind, "long_saturated", spec, {"x": x}, {"y": y}, module.named_parameters())


def cell(folder, kind):
    spec = {"kind": kind, "input_size": draw(1, 9), "hidden_size": draw(1, 40)}
    module = getattr(nn, kind)(spec["input_size"], spec["hidden_size"], bias=random.random() < 0.8)
    N = draw(1, 6)
    inputs = {"x": leaf(N, spec["input_size"]), "h0": leaf(N, spec["hidden_size"])}
    if kind == "LSTMCell":
        inputs["c0"] = leaf(N, spec["hidden_size"])
        h, c = module(inputs["x"], (inputs["h0"], inputs["c0"]))
        outputs = {"h1": h, "c1": c}
    else:
        outputs = {"h1": module(inputs["x"], inputs["h0"])}
    folder.put_case("Cells", kind, spec, inputs, outputs, module.named_parameters())


# ---- Attention


def attention_mask(kind, queries, keys, all_heads):
    """Leaves each query at least the first key: PyTorch's row without any is NaN."""
    if kind == "causal":
        return torch.triu(torch.full((queries, keys), -math.inf), 1)
    if kind == "float":
        return torch.randn(queries, keys)
    per_head = [all_heads] if kind == "bool_per_head" else []
    mask = torch.rand(*per_head, queries, keys) < 0.3
    mask[..., 0] = False
    return mask


def attention_module():
    """The module, what it is made with, and the names of its options."""
    heads = draw(1, 4)
    spec = {"embed_dim": heads * draw(1, 8), "num_heads": heads}
    options = [("bias", False), ("batch_first", True)]
    options += [("add_bias_kv", True), ("add_zero_attn", True)]
    chosen = some(options, 3)
    if random.random() < 0.3:
        chosen.update(kdim=draw(1, 9), vdim=draw(1, 9))
    spec.update(chosen)
    module = nn.MultiheadAttention(**spec)
    for name, parameter in module.named_parameters():
        if "bias" in name:
            nn.init.normal_(parameter)
    return module, spec, sorted(chosen)


def attention(folder):
    module, spec, names = attention_module()
    E, L, S, N = spec["embed_dim"], draw(1, 80), draw(1, 80), draw(1, 3)
    inputs = {}
    keys = S, spec.get("kdim", E)
    values = S, spec.get("vdim", E)
    for name, (times, size) in {"q": (L, E), "k": keys, "v": values}.items():
        inputs[name] = leaf(*((N, times) if spec.get("batch_first") else (times, N)), size)
    kind = random.choice([None, None, "causal", "bool", "bool_per_head", "float"])
    if kind:
        spec["mask"] = kind
        inputs["attn_mask"] = attention_mask(kind, L, S, N * spec["num_heads"])
        names.append(kind)
    if random.random() < 0.3:
        spec["kpm"] = True
        lengths = torch.tensor([[draw(1, S)] for _ in range(N)])
        inputs["key_padding_mask"] = torch.arange(S) >= lengths
    if random.random() < 0.4:
        spec["avg"] = False
    masks = {name: inputs.get(name) for name in ("attn_mask", "key_padding_mask")}
    average = spec.get("avg", True)
    y, w = module(inputs["q"], inputs["k"], inputs["v"], average_attn_weights=average, **masks)
    stem, params = "_".join(names) or "self", module.named_parameters()
    folder.put_case("MultiheadAttention", stem, spec, inputs, {"y": y, "w": w}, params)


# ---- Layers and functions


def layer(folder, module, spec, name, x):
    kind, params = type(module).__name__, module.named_parameters()
    folder.put_case(kind, kind.lower(), spec, {name: x}, {"y": module(x)}, params)


def layers(folder):
    spec = {"in_features": draw(1, 20), "out_features": draw(1, 20)}
    spec["bias"] = random.random() < 0.7
    x = leaf(*(draw(1, 4) for _ in range(draw(0, 3))), spec["in_features"])
    layer(folder, nn.Linear(**spec), spec, "x", x)

    sizes = [draw(2, 20) for _ in range(draw(1, 2))]
    spec = {"normalized_shape": sizes, "eps": random.choice([1e-5, 1e-2])}
    spec["elementwise_affine"] = random.random() < 0.7
    module = nn.LayerNorm(**spec)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    x = leaf(*(draw(1, 4) for _ in range(draw(1, 2))), *sizes)
    layer(folder, module, spec, "x", x)

    spec = {"num_embeddings": draw(2, 9), "embedding_dim": draw(1, 20)}
    spec["padding_idx"] = random.choice([None, draw(0, spec["num_embeddings"] - 1)])
    at = torch.randint(spec["num_embeddings"], [draw(1, 5) for _ in range(draw(1, 3))])
    layer(folder, nn.Embedding(**spec), spec, "ix", at)


FUNCTIONS = {
    "softmax_last": lambda x: F.softmax(x, -1),
    "softmax_mid": lambda x: F.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "softplus": F.softplus,
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
    "hardtanh": F.hardtanh,
    "softsign": F.softsign,
    "logsumexp": lambda x: x.logsumexp(-1),
    "var_unbiased": lambda x: x.var(-1),
    "var_biased": lambda x: x.var(-1, unbiased=False),
    "std": lambda x: x.std(-1),
    "norm2": lambda x: x.norm(2, -1),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(1),
    "prod": lambda x: x.prod(-1),
    "max_dim": lambda x: x.max(-1)[0],
    "amax_ties": lambda x: x.round().amax(-1),
    "expm1": torch.expm1,
    "log1p_abs": lambda x: x.abs().log1p(),
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "flip": lambda x: x.flip(1),
    "roll": lambda x: x.roll(1, 1),
}


def broadcastable(shape):
    """The last sizes of a shape, some of them 1."""
    return [1 if random.random() < 0.3 else size for size in shape[draw(0, len(shape)) :]]


def functions(folder):
    for name, f in FUNCTIONS.items():
        x = leaf(draw(1, 4), draw(1, 9), draw(2, 40))
        folder.put_case("functional", name, {"f": name}, {"x": x}, {"y": f(x)})
    x = (1e3 * torch.randn(draw(1, 4), draw(1, 4), draw(2, 9))).requires_grad_()
    spec, y = {"f": "softmax_last"}, F.softmax(x, -1)
    folder.put_case("functional", "softmax_extreme", spec, {"x": x}, {"y": y})

    for name, f in {"add": torch.add, "mul": torch.mul, "div": torch.div}.items():
        shape = [draw(0, 5) for _ in range(draw(1, 4))]
        for shapes in ((shape, broadcastable(shape)), (broadcastable(shape), shape)):
            a, b = (leaf(*each) for each in shapes)
            folder.put_case("functional", name, {"f": name}, {"a": a, "b": b}, {"y": f(a, b)})
    I, J, K, B = draw(1, 20), draw(1, 20), draw(0, 20), draw(1, 4)
    products = [((I, K), (K, J)), ((B, I, K), (B, K, J)), ((B, 1, I, K), (3, K, J)), ((K,), (K,))]
    products += [((I, K), (K,)), ((K,), (B, K, J)), ((B, I, K), (K, J)), ((I, K), (B, K, J))]
    for shapes in products:
        a, b = (leaf(*each) for each in shapes)
        folder.put_case("functional", "matmul", {"f": "matmul"}, {"a": a, "b": b}, {"y": a @ b})


LOSSES = {
    "mse_mean": F.mse_loss,
    "mse_sum": lambda x, t: F.mse_loss(x, t, reduction="sum"),
    "mse_none": lambda x, t: F.mse_loss(x, t, reduction="none"),
    "l1": F.l1_loss,
    "smooth_l1_beta05": lambda x, t: F.smooth_l1_loss(x, t, beta=0.5),
    "huber_delta2": lambda x, t: F.huber_loss(x, t, delta=2.0),
    "bce_logits": lambda x, t: F.binary_cross_entropy_with_logits(x, torch.sigmoid(t)),
    "cosine_embedding": lambda x, t: 1 - F.cosine_similarity(x, t, -1).mean(),
}


def losses(folder):
    for name, f in LOSSES.items():
        shape = draw(1, 9), draw(2, 40)
        x, t = leaf(*shape), leaf(*shape)
        folder.put_case("losses", name, {"f": name}, {"x": x, "t": t}, {"loss": f(x, t)})
    for reduction in ("mean", "sum", "none"):
        classes, rest = draw(2, 20), [draw(1, 5) for _ in range(draw(0, 2))]
        options = {"ignore_index": random.choice([-100, draw(0, classes - 1)]), "reduction": reduction}
        options["label_smoothing"] = random.choice([0.0, 0.1, 0.3])
        x = leaf(draw(2, 9), classes, *rest)
        t = torch.randint(classes, (x.shape[0], *rest))
        t[0] = options["ignore_index"]
        t[-1] = (max(options["ignore_index"], 0) + 1) % classes  # one at least counts
        inputs = {"x": x, "t": t}
        if random.random() < 0.5:
            inputs["weight"] = torch.rand(classes) + 0.1
        spec = {"f": "cross_entropy"} | options
        loss = F.cross_entropy(x, t, weight=inputs.get("weight"), **options)
        folder.put_case("losses", "ce", spec, inputs, {"loss": loss})


# ---- Optimisers and schedules


def optimizer_draws():
    """Stem of the file, whose beginning names the optimiser for the test, class and options."""
    momentum, chance = random.uniform(0.5, 0.95), random.random
    betas = random.uniform(0.5, 0.95), random.uniform(0.9, 0.999)
    return [
        ("sgd", "SGD", {}),
        ("sgd_momentum", "SGD", {"momentum": momentum, "dampening": chance()}),
        ("sgd_nesterov", "SGD", {"momentum": momentum, "nesterov": True}),
        ("adam", "Adam", {"betas": betas, "amsgrad": chance() < 0.5}),
        ("adamw", "AdamW", {"betas": betas, "amsgrad": chance() < 0.5}),
        ("rmsprop", "RMSprop", {"alpha": betas[1], "centered": chance() < 0.5}),
        ("rmsprop_momentum", "RMSprop", {"momentum": momentum, "centered": chance() < 0.5}),
        ("adagrad", "Adagrad", {"lr_decay": chance(), "initial_accumulator_value": chance()}),
        ("adadelta", "Adadelta", {"rho": betas[0]}),
        ("radam", "RAdam", {"betas": betas}),
        ("nadam", "NAdam", {"betas": betas, "momentum_decay": chance() / 100}),
    ]


def optimizers(folder):
    common = {"lr": 10 ** random.uniform(-3, -1)}
    common["weight_decay"] = random.choice([0, 10 ** random.uniform(-3, -1)])
    for stem, kind, options in optimizer_draws():
        make = getattr(torch.optim, kind)
        if "maximize" in inspect.signature(make).parameters:
            options["maximize"] = random.random() < 0.3
        w = nn.Parameter(torch.randn(draw(1, 9), draw(1, 9)))
        optimizer, tensors = make([w], **common, **options), {"w0": w.detach().clone()}
        for i in range(draw(1, 20)):
            w.grad = tensors[f"g{i}"] = torch.randn_like(w)
            optimizer.step()
            tensors[f"w{i + 1}"] = w.detach().clone()
        plain = (int, float, bool, tuple)
        spec = {k: v for k, v in optimizer.defaults.items() if isinstance(v, plain)}
        folder.put("optim", stem, spec, tensors)


def clipping(folder):
    tensors, parameters = {}, []
    for name in ("a", "b"):
        parameter = nn.Parameter(torch.zeros([draw(1, 9) for _ in range(draw(1, 3))]))
        parameter.grad = torch.randn_like(parameter) * 10 ** random.uniform(-1, 1)
        tensors[name] = parameter.grad.clone()
        parameters.append(parameter)
    spec = {"max_norm": 10 ** random.uniform(-1, 2)}
    tensors["norm"] = nn.utils.clip_grad_norm_(parameters, **spec)
    for name, parameter in zip("ab", parameters):
        tensors[name + "_clipped"] = parameter.grad.clone()
    folder.put("optim", "clip_grad_norm", spec, tensors)


def schedules():
    """The schedules of tests/schedules_test.cpp, for another number of steps."""
    of = torch.optim.lr_scheduler
    drawn = {
        "step": lambda o: of.StepLR(o, 3, 0.5),
        "exp": lambda o: of.ExponentialLR(o, 0.9),
        "cosine": lambda o: of.CosineAnnealingLR(o, 10, eta_min=0.01),
        "onecycle": lambda o: of.OneCycleLR(o, max_lr=1.0, total_steps=12),
        "cosine_restarts": lambda o: of.CosineAnnealingWarmRestarts(o, 4, 2),
        "linear": lambda o: of.LinearLR(o, 0.1, 1.0, 5),
    }
    rates = {}
    for name, make in drawn.items():
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4, momentum=0.9)
        schedule, rates[name] = make(optimizer), []
        for _ in range(12 if name == "onecycle" else draw(13, 60)):
            if rates[name]:
                optimizer.step()
                schedule.step()
            rates[name].append(optimizer.param_groups[0]["lr"])
    return rates


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="is made, or its files are replaced")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1, help="draws of everything")
    arguments = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    random.seed(arguments.seed)
    folder = Folder(arguments.folder)
    for _ in range(arguments.rounds):
        for kind in ("RNN", "LSTM", "GRU"):
            for _ in range(12):
                recurrent(folder, kind)
            saturated(folder, kind)
            cell(folder, kind + "Cell")
        for _ in range(12):
            attention(folder)
        layers(folder)
        functions(folder)
        losses(folder)
        optimizers(folder)
    clipping(folder)
    folder.close(schedules())
    count, version = len(folder.index), torch.__version__
    print(f"{folder.path}: {count} cases, PyTorch {version}, seed {arguments.seed}")


if __name__ == "__main__":
    main()
