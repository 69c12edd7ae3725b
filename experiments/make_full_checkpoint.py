"""Writes a checkpoint as large as latent diffusion's cin256-v2, with its 894 names and random weights.

python3 experiments/make_full_checkpoint.py FILE    needs Debian's python3-torch; 1.8 GB
"""

import math
import pathlib
import sys

import numpy as np
import torch

KEYS = pathlib.Path(__file__).parent.parent / "test/golden/cin256-v2-keys.tsv"


def schedule():
    betas = np.linspace(math.sqrt(0.0015), math.sqrt(0.0195), 1000) ** 2
    return torch.tensor(np.cumprod(1 - betas), dtype=torch.float32)


def tensor(name, shape):
    if name == "alphas_cumprod":
        return schedule()
    if len(shape) < 2:
        norm = name.endswith("weight")
        return torch.ones(shape) if norm else torch.zeros(shape)
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    return torch.empty(shape).uniform_(-bound, bound)


torch.manual_seed(0)
rows = (line.split("\t") for line in KEYS.read_text().strip().split("\n"))
state = {name: tensor(name, [int(n) for n in shape.split("x")]) for name, shape in rows}
torch.save({"state_dict": state, "global_step": 0}, sys.argv[1])
print(f"{len(state)} tensors, {sum(t.numel() for t in state.values()):,} elements")
