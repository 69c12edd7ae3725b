"""Writes the files of test/io/checkpoint.test.ts with torch.save, and what they hold as JSON.

Run with Debian's PyTorch (package python3-torch):  /usr/bin/python3 test/golden/make_checkpoints.py
"""

import argparse
import collections
import json
import os
import pathlib
import sys
import types

import numpy
import torch
from torch import nn

HERE = pathlib.Path(__file__).parent / "checkpoints"

NAMES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}

expected = {}


def save(name, value, tensors, **options):
    """Writes NAME.pt as a zip and NAME-legacy.pt, and what a reader should find: little-endian bytes in hexadecimal."""
    torch.save(value, HERE / f"{name}.pt", **options)
    torch.save(value, HERE / f"{name}-legacy.pt", _use_new_zipfile_serialization=False, **options)
    expected[name] = {
        key: [NAMES[t.dtype], list(t.shape), t.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes().hex()]
        for key, t in tensors.items()
    }


def dtypes():
    base = torch.tensor([[0.0, 1.0, -2.0], [3.5, -0.25, 100.0]])
    return {f"a.{name}": base.to(dtype) for dtype, name in NAMES.items() if dtype != torch.uint8} | {
        "a.U8": torch.tensor([[0, 1, 254], [3, 0, 100]], dtype=torch.uint8)
    }


def views():
    base = torch.arange(24.0)
    box = base.reshape(2, 3, 4)
    return {
        "whole": base,
        "transposed": box.transpose(0, 2),
        "column": box[:, 1:, 2],
        "second": box[1],
        "steps": base[1::5],
        "expanded": base[3:5].reshape(2, 1).expand(2, 3),
        "windows": base.unfold(0, 4, 2),
        "scalar": torch.tensor(7.0),
        "element": base[5],
        "empty": torch.zeros(0, 3),
        "channels_last": torch.arange(32, dtype=torch.int16).reshape(1, 2, 4, 4).to(memory_format=torch.channels_last),
        "half": torch.arange(6, dtype=torch.float16).reshape(2, 3).t(),
        "long": torch.arange(6).reshape(2, 3).t(),
    }


def lightning():
    """What a checkpoint of latent diffusion looks like, with a class of Lightning as a key."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    module = types.ModuleType(name)
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": name})
    for i in range(name.count(".") + 1):
        part = ".".join(name.split(".")[: i + 1])
        sys.modules.setdefault(part, module if part == name else types.ModuleType(part))
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    adam = torch.optim.Adam(net.parameters())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for p in net.parameters():
            nn.init.normal_(p)
    net(torch.ones(2, 3)).square().sum().backward()
    adam.step()
    state = net.state_dict()
    checkpoint = {
        "epoch": 3,
        "global_step": 2**40,
        "pytorch-lightning_version": "1.4.2",
        "state_dict": state,
        "callbacks": {module.ModelCheckpoint: {"best_model_score": torch.tensor(0.5), "best_model_path": "é.ckpt"}},
        "optimizer_states": [adam.state_dict()],
        "lr_schedulers": [],
        "hyper_parameters": {"base_learning_rate": 1e-4, "layers": [1, 2], "size": torch.Size([2, 3]), "tags": {"a"}},
    }
    return checkpoint, dict(state)


class Python2Dict(dict):
    """Pickled as Python 2 pickles an OrderedDict."""

    def __reduce__(self):
        return collections.OrderedDict, ([list(pair) for pair in self.items()],)


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


class Dtype:
    """Pickled as the name `torch.uint16`."""

    def __reduce__(self):
        return "uint16"


def named(value, module, name):
    """Gives `value` a name that pickle finds it by."""
    setattr(sys.modules[module], name, value)
    value.__module__, value.__qualname__ = module, name
    return value


def python_values():
    """What hyper-parameters may hold: values whose operations tensors do not need."""
    itself = ([],)
    itself[0].append(itself)
    return [itself, numpy.arange(2), 2**3000, frozenset("a"), bytearray(b"a"), 1j, {"a"}]


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/executed-by-a-checkpoint",)


def main():
    HERE.mkdir(exist_ok=True)
    torch.manual_seed(0)

    save("dtypes", dtypes(), dtypes())
    shared = views()
    save("views", shared, shared)
    save("lightning", *lightning())

    parameter = nn.Parameter(torch.arange(4.0).reshape(2, 2).t())
    other = nn.Parameter(torch.tensor([1.5]))
    other.note = "an attribute"
    noted = torch.tensor([2.5, 3.5])
    noted.note = "an attribute"
    mixed = {"model": collections.OrderedDict(w=parameter), "ema": [other, parameter], "step": 5, 7: {"b": parameter[0]}, "noted": noted}
    save(
        "nested",
        mixed,
        {"model.w": parameter, "ema.0": other, "ema.1": parameter, "7.b": parameter[0], "noted": noted},
    )
    save("protocol4", {"w": parameter, "size": b"bytes"}, {"w": parameter}, pickle_protocol=4)
    for protocol in (2, 4, 5):
        hyper = {"state_dict": {"w": torch.ones(2)}, "hyper_parameters": python_values()}
        save(f"values{protocol}", hyper, {"w": torch.ones(2)}, pickle_protocol=protocol)
    unknown = [argparse.Namespace(a=1), pathlib.PurePosixPath("a")]
    save("unknown", {"state_dict": {"w": torch.ones(2)}, "hyper_parameters": unknown}, {"w": torch.ones(2)})
    save("python2", Python2Dict(w=torch.ones(2)), {"w": torch.ones(2)})
    save("bare", torch.arange(3), {"": torch.arange(3)})
    save("evil", {"state_dict": {"w": torch.ones(2)}, "hparams": Evil()}, {})
    save("module", nn.Linear(2, 1), {})
    save("complex", {"w": torch.ones(2, dtype=torch.complex64)}, {})
    base = torch.ones(2)
    layout = (0, (2,), (1,), False, collections.OrderedDict())
    negated = Call(torch._utils._rebuild_tensor_v2, base.storage(), *layout, {"neg": True})
    save("negated", {"w": negated}, {})

    # What newer versions of PyTorch write for dtypes that this one lacks.
    v3 = named(lambda: None, "torch._utils", "_rebuild_tensor_v3")
    words = torch.tensor([1, 2], dtype=torch.int16)
    bits = named(Dtype(), "torch", "uint16")
    newer = Call(v3, words.storage().untyped() if hasattr(words.storage(), "untyped") else words.storage(), *layout, bits)
    save("uint16", {"w": newer}, {})
    expected["uint16"] = {"w": ["U16", [2], "01000200"]}
    torch.jit.script(nn.Linear(1, 1)).save(str(HERE / "script.pt"))

    text = json.dumps(expected, separators=(",", ":")).replace("],", "],\n")
    (HERE / "expected.json").write_text(text + "\n")


main()
