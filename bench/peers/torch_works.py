"""The works in PyTorch, on the device that the first argument names: cpu or cuda. Started by torch.ts.

Reads commands from standard input, one JSON object a line, and answers each with one. Arrays travel as files of raw
float32 numbers in a folder that the first command names.
"""

import json
import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

BLOCKS = 3
NORM_EPS = 1e-5
ROOT_EPS = 1e-20
PRODUCT_EPS = 1e-6

DEVICE = sys.argv[1]


def with_gradients(names, forward):
    def run(inputs):
        xs = [inputs[name] for name in names]
        if "g" not in inputs:
            return {"y": forward(*xs)}
        y = forward(*xs)
        gradients = torch.autograd.grad(y, xs, inputs["g"])
        return {"y": y, **{f"d{name}": d for name, d in zip(names, gradients)}}

    return run


def attention(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v)
    return torch.softmax((q * q.shape[-1] ** -0.5) @ k.transpose(1, 2), -1) @ v


def is_parameter(name):
    return name.startswith(("features.", "classifier."))


def logits_of(images, parameters):
    x = images
    for block in range(BLOCKS):
        conv, norm = f"features.{4 * block}", f"features.{4 * block + 1}"
        x = F.conv2d(x, parameters[f"{conv}.weight"], parameters[f"{conv}.bias"], padding=1)
        weight, bias = parameters[f"{norm}.weight"], parameters[f"{norm}.bias"]
        x = F.avg_pool2d(F.relu(F.group_norm(x, x.shape[1], weight, bias, NORM_EPS)), 2)
    return F.linear(x.flatten(1), parameters["classifier.weight"], parameters["classifier.bias"])


def training_step(inputs, learning_rate):
    parameters = {name: x for name, x in inputs.items() if is_parameter(name)}
    optimizer = torch.optim.SGD(parameters.values(), lr=learning_rate)

    def run(inputs):
        optimizer.zero_grad()
        F.cross_entropy(logits_of(inputs["images"], parameters), inputs["labels"]).backward()
        optimizer.step()
        return parameters

    return run


def row_distance(gradient, real):
    a, b = gradient.flatten(1), real.flatten(1)

    def norm(x):
        return torch.sqrt((x * x).sum(1) + ROOT_EPS)

    return (1 - (a * b).sum(1) / (norm(a) * norm(b) + PRODUCT_EPS)).sum()


def matching_step(inputs):
    matched = [name for name in inputs if f"real.{name}" in inputs]
    loss = F.cross_entropy(logits_of(inputs["images"], inputs), inputs["labels"])
    gradients = torch.autograd.grad(loss, [inputs[name] for name in matched], create_graph=True)
    distance = sum(row_distance(g, inputs[f"real.{name}"]) for name, g in zip(matched, gradients))
    (dimages,) = torch.autograd.grad(distance, [inputs["images"]])
    return {"loss": distance, "dimages": dimages}


def run_of(task, inputs):
    op = task["op"]
    if op == "matmul":
        return lambda inputs: {"y": inputs["a"] @ inputs["b"]}
    if op == "conv":
        return with_gradients(["x", "weight"], lambda x, w: F.conv2d(x, w, stride=task["stride"], padding=1))
    if op == "norm":
        return with_gradients(
            ["x", "weight", "bias"], lambda x, w, b: F.silu(F.group_norm(x, task["groups"], w, b, NORM_EPS))
        )
    if op == "attention":
        return with_gradients(["q", "k", "v"], attention)
    if op == "training":
        return training_step(inputs, task["learningRate"])
    if op == "matching":
        return matching_step
    raise ValueError(f"unknown work '{op}'")


def leaves_of(task, names):
    """Names of the inputs that gradients are taken with respect to."""
    if task["op"] == "training":
        return [name for name in names if is_parameter(name)]
    if task["op"] == "matching":
        return [name for name in names if is_parameter(name) or name == "images"]
    return [name for name in names if name != "g"] if "g" in names else []


def where():
    if DEVICE == "cpu":
        return f"{torch.get_num_threads()} threads"
    return torch.cuda.get_device_name()


def synchronize():
    if DEVICE != "cpu":
        torch.cuda.synchronize()


class Prepared:
    def __init__(self, folder, task, shapes):
        self.folder = folder
        self.inputs = {}
        for name, shape in shapes.items():
            x = torch.from_numpy(np.fromfile(os.path.join(folder, f"{name}.in"), dtype=np.float32).reshape(shape))
            self.inputs[name] = (x.long() if name == "labels" else x).to(DEVICE)
        for name in leaves_of(task, list(shapes)):
            self.inputs[name].requires_grad_()
        self.run = run_of(task, self.inputs)

    def first(self):
        results = self.run(self.inputs)
        for name, x in results.items():
            x.detach().contiguous().cpu().numpy().tofile(os.path.join(self.folder, f"{name}.out"))
        return {"shapes": {name: list(x.shape) for name, x in results.items()}}

    def time(self, count):
        start = time.perf_counter()
        for _ in range(count):
            self.run(self.inputs)
        synchronize()
        return {"ms": (time.perf_counter() - start) * 1000}


def main():
    # Products and convolutions in float32, as ours are.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    print(json.dumps({"version": torch.__version__, "where": where()}), flush=True)
    prepared = None
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if command["do"] == "prepare":
                prepared = Prepared(command["folder"], command["task"], command["shapes"])
                answer = {}
            elif command["do"] == "first":
                answer = prepared.first()
            else:
                answer = prepared.time(command["count"])
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
