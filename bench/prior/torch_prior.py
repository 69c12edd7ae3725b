"""The works of works.ts in PyTorch, on the device that the first argument names: cpu or cuda. Started by main.ts.

Reads commands from standard input, one JSON object a line, and answers each with one. Weights and inputs are drawn as
works.ts draws them. Results travel as files of raw float32 numbers in a folder that the command names.
"""

import json
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "test" / "golden"))

import torch  # noqa: E402
from make_goldens import Unet, Vq, fill_parameters, values  # noqa: E402

DEVICE = sys.argv[1]


def synchronize():
    if DEVICE != "cpu":
        torch.cuda.synchronize()


def works(options):
    u, a = options["denoiser"], options["autoencoder"]
    denoiser = Unet(
        u["inChannels"], u["modelChannels"], u["channelMult"], u["numResBlocks"], u["attentionLevels"],
        u["contextDim"], u["numHeads"], u["groups"],
    )  # fmt: skip
    autoencoder = Vq(
        a["channels"], a["baseChannels"], a["channelMult"], a["numResBlocks"], a["latentChannels"],
        a["codebookSize"], a["groups"], a["midAttention"], a["stem"] == "strided",
    )  # fmt: skip
    for module, seed in ((denoiser, 200), (autoencoder, 300)):
        fill_parameters(module, seed)
        module.requires_grad_(False)
    side, dim = options["side"], u["contextDim"]
    latent = values(1, (1, u["inChannels"], side, side), -2, 2)
    c, nothing = values(2, (1, 1, dim), -2, 2), values(4, (1, 1, dim), -2, 2)
    timestep = torch.tensor([501.0])

    def with_gradients(f, *inputs):
        leaves = [x.clone().requires_grad_() for x in inputs]
        y = f(*leaves)
        return [y, *torch.autograd.grad((y * values(3, y.shape)).sum(), leaves)]

    def predict(z, context):
        return denoiser(z, timestep, context)

    def guided(z, context):
        both = denoiser(torch.cat([z, z]), timestep.repeat(2), torch.cat([nothing, context]))
        return both[:1] + 3 * (both[1:] - both[:1])

    def decode(z):
        return autoencoder.decode(autoencoder.quantize(z)[0])

    def plain(f, *inputs):
        with torch.no_grad():
            return [f(*inputs)]

    return {
        "predict": lambda: plain(predict, latent, c),
        "predict, with gradients": lambda: with_gradients(predict, latent, c),
        "predict with guidance, with gradients": lambda: with_gradients(guided, latent, c),
        "decode": lambda: plain(decode, latent),
        "decode, with gradients": lambda: with_gradients(decode, latent),
    }


def main():
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if DEVICE != "cpu":
        torch.set_default_device(DEVICE)
    # Products and convolutions in float32, as ours are.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    table = works(json.loads(sys.argv[2]))
    where = f"{torch.get_num_threads()} threads" if DEVICE == "cpu" else torch.cuda.get_device_name()
    print(json.dumps({"version": torch.__version__, "where": where}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        start = time.perf_counter()
        results = table[command["work"]]()
        synchronize()
        ms = 1000 * (time.perf_counter() - start)
        for i, result in enumerate(results):
            result.detach().contiguous().cpu().numpy().tofile(os.path.join(command["folder"], f"{i}.out"))
        print(json.dumps({"ms": ms}), flush=True)


main()
