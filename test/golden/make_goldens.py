"""Writes the goldens of test/models: what PyTorch gives for small configurations of each network.

Run with Debian's PyTorch (package python3-torch):  OMP_NUM_THREADS=2 /usr/bin/python3 test/golden/make_goldens.py

Parameters and inputs are not stored: both sides draw them from mulberry32 (see `uniform` in test/support/checks.ts), in
the order of the state dict. Gradients are stored as their norm and one projection a parameter.
"""

import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.stateless import functional_call

HERE = pathlib.Path(__file__).parent


def uniform(seed, count):
    """The first `count` numbers of mulberry32, in [0, 1)."""
    with np.errstate(over="ignore"):
        state = np.uint32(seed) + np.uint32(0x6D2B79F5) * np.arange(1, count + 1, dtype=np.uint32)
        t = (state ^ (state >> np.uint32(15))) * (state | np.uint32(1))
        t ^= t + (t ^ (t >> np.uint32(7))) * (t | np.uint32(61))
        return (t ^ (t >> np.uint32(14))).astype(np.float64) / 2**32


def values(seed, shape, low=-1.0, high=1.0):
    count = int(np.prod(shape))
    return torch.tensor((low + uniform(seed, count) * (high - low)).astype(np.float32)).reshape(shape)


def fill_parameters(module, seed):
    """Uniform in ±1/√fanIn; norm weights around 1. Parameter k in order of name draws from seed + k."""
    with torch.no_grad():
        for k, (name, p) in enumerate(sorted(module.named_parameters())):
            bound = 1 / math.sqrt(np.prod(p.shape[1:]) if p.ndim > 1 else p.shape[0])
            p.copy_(values(seed + k, p.shape, -bound, bound) + (1 if p.ndim == 1 and name.endswith("weight") else 0))


def summary(gradients):
    """[norm, projection on draws of seed 9000 + k] for each named gradient."""
    result = {}
    for k, (name, g) in enumerate(sorted(gradients.items())):
        r = values(9000 + k, g.shape)
        result[name] = [round_(g.double().norm().item()), round_((g.double() * r.double()).sum().item())]
    return result


def round_(x):
    return float(f"{x:.7g}")


def numbers(t):
    return [round_(x) for x in t.detach().double().flatten().tolist()]


def gradients_of(loss, module, inputs=None):
    named = dict(module.named_parameters()) | (inputs or {})
    grads = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return summary({n: g if g is not None else torch.zeros_like(named[n]) for n, g in zip(named, grads)})


def write(name, golden):
    (HERE / f"{name}.json").write_text(json.dumps(golden, separators=(",", ":")).replace('"],"', '"],\n"') + "\n")


# --- students -------------------------------------------------------------------------------------------------------


def norm(channels):
    return nn.GroupNorm(channels, channels)


class ConvNet(nn.Module):
    def __init__(self, channels, classes, width, depth, features, with_norm=True):
        super().__init__()
        layers = []
        for d in range(depth):
            layers.append(nn.Conv2d(channels if d == 0 else width, width, 3, padding=1))
            if with_norm:
                layers.append(norm(width))
            layers += [nn.ReLU(), nn.AvgPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(features, classes)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class AlexNet(nn.Module):
    def __init__(self, channels, classes, widths, features):
        super().__init__()
        layers = []
        for i, width in enumerate(widths):
            layers += [nn.Conv2d(channels, width, 5 if i < 2 else 3, padding=2 if i < 2 else 1), nn.ReLU()]
            if i < 2 or i == len(widths) - 1:
                layers.append(nn.MaxPool2d(2))
            channels = width
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(features, classes)

    def forward(self, x):
        return self.fc(self.features(x).flatten(1))


class Vgg(nn.Module):
    def __init__(self, channels, classes, widths, pool):
        super().__init__()
        layers = []
        for width, convs in zip(widths, [1, 1, 2, 2, 2]):
            for _ in range(convs):
                layers += [nn.Conv2d(channels, width, 3, padding=1), norm(width), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        layers.append(nn.AdaptiveMaxPool2d(pool))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels * pool * pool, classes)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class BasicBlock(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(i, o, 3, stride, 1, bias=False)
        self.bn1 = norm(o)
        self.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.bn2 = norm(o)
        self.shortcut = nn.Sequential()
        if stride != 1 or i != o:
            self.shortcut = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), norm(o))

    def forward(self, x):
        h = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(h + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, channels, classes, widths, blocks):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.bn1 = norm(widths[0])
        i = widths[0]
        self.stages = len(widths)
        for s, (width, count) in enumerate(zip(widths, blocks)):
            stage = []
            for b in range(count):
                stage.append(BasicBlock(i, width, 2 if b == 0 and s > 0 else 1))
                i = width
            setattr(self, f"layer{s + 1}", nn.Sequential(*stage))
        self.classifier = nn.Linear(i, classes)

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        for s in range(self.stages):
            h = getattr(self, f"layer{s + 1}")(h)
        return self.classifier(h.mean((2, 3)))


class VitAttention(nn.Module):
    def __init__(self, width, heads, head_width):
        super().__init__()
        self.heads = heads
        self.scale = head_width**-0.5
        self.to_qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * head_width, width))

    def forward(self, x):
        n, tokens, _ = x.shape
        q, k, v = (t.reshape(n, tokens, self.heads, -1).transpose(1, 2) for t in self.to_qkv(x).chunk(3, dim=-1))
        mixed = F.softmax(q @ k.transpose(-1, -2) * self.scale, dim=-1) @ v
        return self.to_out(mixed.transpose(1, 2).reshape(n, tokens, -1))


class VitFeedForward(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Identity(), nn.Linear(hidden, width))

    def forward(self, x):
        return self.net(x)


class VitTransformer(nn.Module):
    def __init__(self, width, depth, heads, head_width, hidden):
        super().__init__()
        layer = lambda: nn.ModuleList([VitAttention(width, heads, head_width), VitFeedForward(width, hidden)])
        self.layers = nn.ModuleList([layer() for _ in range(depth)])

    def forward(self, x):
        for attention, feed_forward in self.layers:
            x = attention(x) + x
            x = feed_forward(x) + x
        return x


class Vit(nn.Module):
    def __init__(self, channels, classes, size, patch, width, depth, heads, head_width, hidden):
        super().__init__()
        self.patch = patch
        self.to_patch_embedding = nn.Sequential(nn.Identity(), nn.Linear(channels * patch**2, width))
        self.pos_embedding = nn.Parameter(torch.empty(1, (size // patch) ** 2 + 1, width))
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.transformer = VitTransformer(width, depth, heads, head_width, hidden)
        self.mlp_head = nn.Linear(width, classes)

    def forward(self, x):
        n, c, h, w = x.shape
        p = self.patch
        patches = x.reshape(n, c, h // p, p, w // p, p).permute(0, 2, 4, 3, 5, 1).reshape(n, -1, p * p * c)
        tokens = torch.cat([self.cls_token.expand(n, -1, -1), self.to_patch_embedding(patches)], 1) + self.pos_embedding
        return self.mlp_head(self.transformer(tokens)[:, 0])


def students():
    cases = {
        "ConvNet": (ConvNet(3, 5, width=8, depth=3, features=8 * 4), (3, 3, 16, 16)),
        "ConvNet without norm": (ConvNet(3, 5, width=8, depth=2, features=8 * 16, with_norm=False), (3, 3, 16, 16)),
        "AlexNet": (AlexNet(1, 5, widths=[6, 8, 10, 8], features=8 * 4), (3, 1, 16, 16)),
        "VGG": (Vgg(1, 5, widths=[4, 6, 8, 10, 10], pool=1), (3, 1, 32, 32)),
        "ResNet": (ResNet(3, 5, widths=[6, 8, 10], blocks=[2, 1, 1]), (3, 3, 16, 16)),
        "ViT": (Vit(3, 5, 16, patch=4, width=12, depth=2, heads=2, head_width=8, hidden=20), (3, 3, 16, 16)),
    }
    golden = {}
    for name, (module, shape) in cases.items():
        fill_parameters(module, 100)
        x = values(1, shape, -2, 2).requires_grad_()
        logits = module(x)
        loss = F.cross_entropy(logits, torch.arange(shape[0]) % 5)
        golden[name] = {
            "logits": numbers(logits),
            "loss": round_(loss.item()),
            "gradients": gradients_of(loss, module, {"images": x}),
        }
    write("students", golden)


# --- UNet of latent diffusion ---------------------------------------------------------------------------------------


def timestep_embedding(t, dim):
    frequencies = torch.exp(-math.log(10000) * torch.arange(dim // 2, dtype=torch.float32) / (dim // 2))
    angles = t[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], 1)


class ResBlock(nn.Module):
    def __init__(self, i, o, emb, groups):
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(groups, i), nn.SiLU(), nn.Conv2d(i, o, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(emb, o))
        self.out_layers = nn.Sequential(nn.GroupNorm(groups, o), nn.SiLU(), nn.Dropout(0), nn.Conv2d(o, o, 3, padding=1))
        self.skip_connection = nn.Identity() if i == o else nn.Conv2d(i, o, 1)

    def forward(self, x, emb, _):
        h = self.in_layers(x) + self.emb_layers(emb)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class Attention(nn.Module):
    def __init__(self, dim, context, heads):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_k = nn.Linear(context, dim, bias=False)
        self.to_v = nn.Linear(context, dim, bias=False)
        self.to_out = nn.Sequential(nn.Linear(dim, dim))

    def forward(self, x, context):
        def split(t):
            return t.reshape(t.shape[0], t.shape[1], self.heads, -1).transpose(1, 2)

        q, k, v = split(self.to_q(x)), split(self.to_k(context)), split(self.to_v(context))
        weights = (q @ k.transpose(2, 3) * q.shape[-1] ** -0.5).softmax(-1)
        return self.to_out((weights @ v).transpose(1, 2).flatten(2))


class Geglu(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.proj = nn.Linear(i, 2 * o)

    def forward(self, x):
        a, gate = self.proj(x).chunk(2, -1)
        return a * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.net = nn.Sequential(Geglu(dim, 4 * dim), nn.Dropout(0), nn.Linear(4 * dim, dim))

    def forward(self, x):
        return self.net(x)


class TransformerBlock(nn.Module):
    def __init__(self, dim, context, heads):
        super().__init__()
        self.attn1 = Attention(dim, dim, heads)
        self.ff = FeedForward(dim)
        self.attn2 = Attention(dim, context, heads)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x, context):
        n = self.norm1(x)
        x = x + self.attn1(n, n)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    def __init__(self, dim, context, heads, groups):
        super().__init__()
        self.norm = nn.GroupNorm(groups, dim, eps=1e-6)
        self.proj_in = nn.Conv2d(dim, dim, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(dim, context, heads)])
        self.proj_out = nn.Conv2d(dim, dim, 1)

    def forward(self, x, _, context):
        h = self.proj_in(self.norm(x))
        tokens = self.transformer_blocks[0](h.flatten(2).transpose(1, 2), context)
        return x + self.proj_out(tokens.transpose(1, 2).reshape(h.shape))


class PlainAttention(nn.Module):
    """The attention block of unconditional UNets: queries, keys and values of a head lie together."""

    def __init__(self, dim, heads, groups):
        super().__init__()
        self.heads, self.norm = heads, nn.GroupNorm(groups, dim)
        self.qkv, self.proj_out = nn.Conv1d(dim, 3 * dim, 1), nn.Conv1d(dim, dim, 1)

    def forward(self, x, *_):
        tokens = x.flatten(2)
        n, dim, _ = tokens.shape
        q, k, v = self.qkv(self.norm(tokens)).reshape(n * self.heads, 3 * dim // self.heads, -1).chunk(3, 1)
        weights = (q.transpose(1, 2) @ k * q.shape[1] ** -0.5).softmax(-1)
        attended = (v @ weights.transpose(1, 2)).reshape(tokens.shape)
        return (tokens + self.proj_out(attended)).reshape(x.shape)


class Conv(nn.Conv2d):
    def forward(self, x, *_):
        return super().forward(x)


class Down(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.op = nn.Conv2d(dim, dim, 3, 2, 1)

    def forward(self, x, *_):
        return self.op(x)


class Up(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, 1, 1)

    def forward(self, x, *_):
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class Steps(nn.ModuleList):
    def forward(self, x, emb, context):
        for layer in self:
            x = layer(x, emb, context)
        return x


class Unet(nn.Module):
    def __init__(self, channels, base, mult, blocks, attention, context, heads, groups):
        super().__init__()
        self.base, emb = base, 4 * base

        def attend(dim):
            if context is None:
                return PlainAttention(dim, heads(dim), groups)
            return SpatialTransformer(dim, context, heads, groups)

        self.time_embed = nn.Sequential(nn.Linear(base, emb), nn.SiLU(), nn.Linear(emb, emb))
        self.input_blocks = nn.ModuleList([Steps([Conv(channels, base, 3, padding=1)])])
        kept, i = [base], base
        for level, m in enumerate(mult):
            for _ in range(blocks):
                layers = [ResBlock(i, m * base, emb, groups)]
                i = m * base
                if level in attention:
                    layers.append(attend(i))
                self.input_blocks.append(Steps(layers))
                kept.append(i)
            if level < len(mult) - 1:
                self.input_blocks.append(Steps([Down(i)]))
                kept.append(i)
        self.middle_block = Steps([ResBlock(i, i, emb, groups), attend(i), ResBlock(i, i, emb, groups)])
        self.output_blocks = nn.ModuleList()
        for level, m in reversed(list(enumerate(mult))):
            for b in range(blocks + 1):
                layers = [ResBlock(i + kept.pop(), m * base, emb, groups)]
                i = m * base
                if level in attention:
                    layers.append(attend(i))
                if level > 0 and b == blocks:
                    layers.append(Up(i))
                self.output_blocks.append(Steps(layers))
        self.out = nn.Sequential(nn.GroupNorm(groups, i), nn.SiLU(), nn.Conv2d(i, channels, 3, padding=1))

    def forward(self, z, t, context=None):
        emb = self.time_embed(timestep_embedding(t, self.base))
        kept, h = [], z
        for block in self.input_blocks:
            h = block(h, emb, context)
            kept.append(h)
        h = self.middle_block(h, emb, context)
        for block in self.output_blocks:
            h = block(torch.cat([h, kept.pop()], 1), emb, context)
        return self.out(h)


def unets():
    golden = {}
    cases = {"one context token": (1, 1, [1], 1), "several context tokens and heads": (3, 2, [0, 1], 2)}
    for name, (tokens, heads, attention, blocks) in cases.items():
        module = Unet(3, 8, [1, 2], blocks, attention, context=6, heads=heads, groups=4)
        fill_parameters(module, 200)
        z = values(1, (2, 3, 8, 8), -2, 2).requires_grad_()
        context = values(2, (2, tokens, 6), -2, 2).requires_grad_()
        y = module(z, torch.tensor([3.0, 871.0]), context)
        loss = (y * values(3, y.shape)).sum()
        golden[name] = {"output": numbers(y), "gradients": gradients_of(loss, module, {"z": z, "context": context})}
    module = Unet(3, 8, [1, 2], 1, [0, 1], context=None, heads=lambda dim: dim // 4, groups=4)
    fill_parameters(module, 200)
    z = values(1, (2, 3, 8, 8), -2, 2).requires_grad_()
    y = module(z, torch.tensor([3.0, 871.0]))
    loss = (y * values(3, y.shape)).sum()
    golden["no context"] = {"output": numbers(y), "gradients": gradients_of(loss, module, {"z": z})}
    golden["timestepEmbedding"] = numbers(timestep_embedding(torch.tensor([0.0, 1.0, 500.0, 999.0]).double().float(), 8))
    write("unet", golden)


# --- autoencoders of latent diffusion -------------------------------------------------------------------------------


def vq_norm(groups, channels):
    return nn.GroupNorm(groups, channels, eps=1e-6)


class VqResnet(nn.Module):
    def __init__(self, i, o, groups):
        super().__init__()
        self.norm1, self.conv1 = vq_norm(groups, i), nn.Conv2d(i, o, 3, padding=1)
        self.norm2, self.conv2 = vq_norm(groups, o), nn.Conv2d(o, o, 3, padding=1)
        if i != o:
            self.nin_shortcut = nn.Conv2d(i, o, 1)

    def forward(self, x):
        h = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class VqAttention(nn.Module):
    def __init__(self, c, groups):
        super().__init__()
        self.norm = vq_norm(groups, c)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(c, c, 1) for _ in range(4))

    def forward(self, x):
        n = self.norm(x)
        q, k, v = (f(n).flatten(2) for f in (self.q, self.k, self.v))
        weights = (q.transpose(1, 2) @ k * x.shape[1] ** -0.5).softmax(-1)
        return x + self.proj_out((v @ weights.transpose(1, 2)).reshape(x.shape))


class VqDown(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv = nn.Conv2d(c, c, 3, 2, 0)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class VqLevel(nn.Module):
    def __init__(self, i, o, blocks, groups, down=False, up=False):
        super().__init__()
        self.block = nn.Sequential(*[VqResnet(i if b == 0 else o, o, groups) for b in range(blocks)])
        if down:
            self.downsample = VqDown(o)
        if up:
            self.upsample = Up(o)

    def forward(self, x):
        x = self.block(x)
        if hasattr(self, "downsample"):
            x = self.downsample(x)
        return self.upsample(x) if hasattr(self, "upsample") else x


class VqMiddle(nn.Module):
    def __init__(self, c, groups, attention):
        super().__init__()
        self.block_1 = VqResnet(c, c, groups)
        self.attn_1 = VqAttention(c, groups) if attention else nn.Identity()
        self.block_2 = VqResnet(c, c, groups)

    def forward(self, x):
        return self.block_2(self.attn_1(self.block_1(x)))


class Encoder(nn.Module):
    def __init__(self, channels, base, mult, blocks, latent, groups, attention, strided, moments):
        super().__init__()
        self.conv_in = nn.Conv2d(channels, base, 3, 2 if strided else 1, 1)
        i, levels = base, []
        for level, m in enumerate(mult):
            levels.append(VqLevel(i, m * base, blocks, groups, down=level < len(mult) - 1))
            i = m * base
        self.down = nn.Sequential(*levels)
        self.mid = VqMiddle(i, groups, attention)
        self.norm_out, self.conv_out = vq_norm(groups, i), nn.Conv2d(i, moments, 3, padding=1)

    def forward(self, x):
        return self.conv_out(F.silu(self.norm_out(self.mid(self.down(self.conv_in(x))))))


class Decoder(nn.Module):
    def __init__(self, channels, base, mult, blocks, latent, groups, attention, strided):
        super().__init__()
        i = mult[-1] * base
        self.conv_in, self.mid = nn.Conv2d(latent, i, 3, padding=1), VqMiddle(i, groups, attention)
        levels = []
        for level, m in reversed(list(enumerate(mult))):
            levels.insert(0, VqLevel(i, m * base, blocks + 1, groups, up=level > 0))
            i = m * base
        self.up = nn.ModuleList(levels)
        self.norm_out = vq_norm(groups, i)
        if strided:
            self.conv_stem = nn.Conv2d(i, i // 2, 3, padding=1)
            i = i // 2
        self.conv_out = nn.Conv2d(i, channels, 3, padding=1)

    def forward(self, z):
        h = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            h = level(h)
        h = F.silu(self.norm_out(h))
        if hasattr(self, "conv_stem"):
            h = F.interpolate(F.silu(self.conv_stem(h)), scale_factor=2, mode="nearest")
        return self.conv_out(h)


class Codebook(nn.Module):
    def __init__(self, size, dim):
        super().__init__()
        self.embedding = nn.Embedding(size, dim)

    def forward(self, z):
        flat = z.permute(0, 2, 3, 1)
        nearest = torch.cdist(flat.flatten(0, 2), self.embedding.weight).argmin(1)
        codes = self.embedding.weight[nearest].reshape(flat.shape).permute(0, 3, 1, 2)
        return z + (codes - z).detach(), nearest


class Vq(nn.Module):
    def __init__(self, channels, base, mult, blocks, latent, codes, groups, attention, strided):
        super().__init__()
        rest = (channels, base, mult, blocks, latent, groups, attention, strided)
        self.encoder, self.decoder, self.quantize = Encoder(*rest, latent), Decoder(*rest), Codebook(codes, latent)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(latent, latent, 1), nn.Conv2d(latent, latent, 1)

    def encode(self, x):
        return self.quant_conv(self.encoder(x))

    def decode(self, q):
        return self.decoder(self.post_quant_conv(q))


class Kl(nn.Module):
    def __init__(self, channels, base, mult, blocks, latent, groups, attention, strided):
        super().__init__()
        rest = (channels, base, mult, blocks, latent, groups, attention, strided)
        self.encoder, self.decoder = Encoder(*rest, 2 * latent), Decoder(*rest)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(2 * latent, 2 * latent, 1), nn.Conv2d(latent, latent, 1)

    def posterior(self, x):
        mean, log_variance = self.quant_conv(self.encoder(x)).chunk(2, 1)
        return mean, log_variance.clamp(-30, 20)

    def decode(self, z):
        return self.decoder(self.post_quant_conv(z))


class TinyBlock(nn.Module):
    def __init__(self, dim, pool):
        super().__init__()
        convs = [nn.Conv2d(dim, dim, 3, padding=1) for _ in range(3)]
        self.conv = nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2])
        if pool:
            up, down = nn.Conv2d(dim, 4 * dim, 1, bias=False), nn.Conv2d(4 * dim, dim, 1, bias=False)
            self.pool = nn.Sequential(up, nn.GroupNorm(4, 4 * dim), nn.ReLU(), down)

    def forward(self, x):
        if hasattr(self, "pool"):
            x = x + self.pool(x)
        return F.relu(self.conv(x) + x)


class TinyClamp(nn.Module):
    def forward(self, x):
        return 3 * torch.tanh(x / 3)


class Tiny(nn.Module):
    """The TAESD family; images in [0, 1]."""

    def __init__(self, channels, latent, dim, stages, blocks, pool):
        super().__init__()
        encoder = [nn.Conv2d(channels, dim, 3, padding=1), TinyBlock(dim, False)]
        for stage in range(stages):
            encoder.append(nn.Conv2d(dim, dim, 3, stride=2, padding=1, bias=False))
            encoder += [TinyBlock(dim, pool and stage == stages - 1) for _ in range(blocks)]
        decoder = [TinyClamp(), nn.Conv2d(latent, dim, 3, padding=1), nn.ReLU()]
        for stage in range(stages):
            decoder += [TinyBlock(dim, pool and stage == 0) for _ in range(blocks)]
            decoder += [nn.Upsample(scale_factor=2), nn.Conv2d(dim, dim, 3, padding=1, bias=False)]
        self.encoder = nn.Sequential(*encoder, nn.Conv2d(dim, latent, 3, padding=1))
        self.decoder = nn.Sequential(*decoder, TinyBlock(dim, False), nn.Conv2d(dim, channels, 3, padding=1))


def kl_and_tiny():
    golden = {}
    module = Kl(3, 6, [1, 2], 1, 4, 3, True, False)
    fill_parameters(module, 300)
    x = values(1, (2, 3, 8, 8)).requires_grad_()
    mean, log_variance = module.posterior(x)
    y = module.decode(mean)
    loss = (y * values(3, y.shape)).sum() + log_variance.exp().sum()
    golden["kl"] = {
        "mean": numbers(mean),
        "logVariance": numbers(log_variance),
        "images": numbers(y),
        "gradients": gradients_of(loss, module, {"images": x}),
    }
    for name, pool in {"tiny": False, "tiny with global norms": True}.items():
        module = Tiny(3, 4, 8, 2, 2, pool)
        fill_parameters(module, 300)
        x = values(1, (2, 3, 8, 8)).requires_grad_()
        z = module.encoder((x + 1) / 2)
        # Latents beyond ±3, where the clamp has an effect.
        y = module.decoder(20 * z) * 2 - 1
        loss = (y * values(3, y.shape)).sum()
        golden[name] = {"latents": numbers(z), "images": numbers(y), "gradients": gradients_of(loss, module, {"images": x})}
    write("autoencoders", golden)


# --- the process ----------------------------------------------------------------------------------------------------


def process():
    """Ten guided DDIM steps of LD3M (the authors' residual), the decoder, and the gradient of latents and conditioning."""
    scale, guidance, steps = 1.3, 3.0, 10
    denoiser = Unet(3, 8, [1, 2], 1, [1], context=6, heads=1, groups=4)
    fill_parameters(denoiser, 200)
    vq = Vq(3, 6, [1, 2, 2], 1, 3, 32, 3, True, False)
    fill_parameters(vq, 300)
    betas = np.linspace(0.0015**0.5, 0.0195**0.5, 1000) ** 2
    abar = np.cumprod(1 - betas)
    taus = [100 * i + 1 for i in range(steps)]
    latents = values(1, (2, 3, 4, 4)).requires_grad_()
    conditioning = values(2, (2, 6), -2, 2).requires_grad_()
    nothing = values(4, (1, 6), -2, 2).expand(2, 6)
    target = scale * vq.quantize(latents)[0]
    first = abar[taus[-1]]
    z = math.sqrt(first) * scale * latents + math.sqrt(1 - first) * values(5, latents.shape, -2, 2)
    for i in reversed(range(steps)):
        a, previous = abar[taus[i]], abar[taus[i - 1]] if i > 0 else abar[0]
        t = torch.full((4,), float(taus[i]))
        both = denoiser(torch.cat([z, z]), t, torch.cat([nothing, conditioning])[:, None])
        e = both[:2] + guidance * (both[2:] - both[:2])
        x0 = (z - math.sqrt(1 - a) * e) / math.sqrt(a)
        w = i / (steps - 1)
        z = math.sqrt(previous) * ((1 - w) * x0 + w * target) + math.sqrt(1 - previous) * e
    z0 = z / scale
    images = vq.decode(vq.quantize(z0)[0])
    loss = (images * values(3, images.shape)).sum()
    of_latents, of_conditioning = torch.autograd.grad(loss, [latents, conditioning])
    golden = {
        "latents": numbers(z0),
        "images": numbers(images),
        "gradientOfLatents": numbers(of_latents),
        "gradientOfConditioning": numbers(of_conditioning),
    }
    write("process", golden)


def autoencoders():
    golden = {}
    cases = {"full": (3, 6, [1, 2, 2], 1, True, False), "strided": (1, 6, [1, 2], 2, False, True)}
    for name, (channels, base, mult, blocks, attention, strided) in cases.items():
        module = Vq(channels, base, mult, blocks, 3, 32, 3, attention, strided)
        fill_parameters(module, 300)
        x = values(1, (2, channels, 16, 16)).requires_grad_()
        z = module.encode(x)
        quantized, indices = module.quantize(z)
        y = module.decode(quantized)
        loss = (y * values(3, y.shape)).sum()
        golden[name] = {
            "latents": numbers(z),
            "indices": indices.tolist(),
            "images": numbers(y),
            "gradients": gradients_of(loss, module, {"images": x}),
        }
    write("vq", golden)


# --- gradient matching ----------------------------------------------------------------------------------------------


def gradient_matching():
    """Second order: the gradient, with respect to images, of the distance of parameter gradients (DC), in float64."""
    module = ConvNet(2, 3, width=4, depth=2, features=4 * 4)
    fill_parameters(module, 400)
    module.double()
    synthetic = values(1, (3, 2, 8, 8), -2, 2).double()
    real = values(2, (6, 2, 8, 8), -2, 2).double()
    parameters = list(module.parameters())

    def gradients(x, create_graph=False):
        loss = F.cross_entropy(module(x), torch.arange(len(x)) % 3)
        return torch.autograd.grad(loss, parameters, create_graph=create_graph)

    target = gradients(real)

    def distance(x, create_graph=False):
        total = 0
        for g, t in zip(gradients(x, create_graph), target):
            if g.ndim > 1:
                a, b = g.flatten(1), t.flatten(1)
                total = total + (1 - (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-6)).sum()
        return total

    x = synthetic.clone().requires_grad_()
    loss = distance(x, create_graph=True)
    (g,) = torch.autograd.grad(loss, x)
    direction, h = values(3, x.shape).double(), 1e-6
    difference = (distance(synthetic + h * direction) - distance(synthetic - h * direction)) / (2 * h)
    assert abs(difference - (g * direction).sum()) < 1e-5 * g.norm(), "second order disagrees with finite differences"
    golden = {"loss": round_(loss.item()), "gradient": numbers(g), "alongDraws": round_(difference.item())}
    write("gradient-matching", golden)


# --- objectives ------------------------------------------------------------------------------------------------------

# What HostRandom of seed 11, stream 0 gives for shuffle(6), time after time: orders of mini-batches.
ORDERS = [[3, 0, 1, 2, 5, 4], [4, 0, 1, 2, 3, 5], [5, 1, 0, 3, 4, 2]]
CLASSES, PER_CLASS = 3, 2
LABELS = torch.arange(CLASSES).repeat_interleave(PER_CLASS)


def matched_network():
    module = ConvNet(2, CLASSES, width=4, depth=2, features=4 * 4)
    fill_parameters(module, 400)
    return module.double()


def loss_at(module, theta, x, labels):
    return F.cross_entropy(functional_call(module, theta, (x,)), labels)


def gradient_at(module, theta, x, labels):
    """With a graph, by name."""
    g = torch.autograd.grad(loss_at(module, theta, x, labels), list(theta.values()), create_graph=True)
    return dict(zip(theta, g))


def parameters_of(module):
    return {name: p.detach().clone().requires_grad_() for name, p in module.named_parameters()}


def synthetic_images():
    return values(1, (CLASSES * PER_CLASS, 2, 8, 8), -2, 2).double().requires_grad_()


def real_images(k, count):
    return values(10 + k, (count, 2, 8, 8), -2, 2).double()


def result(loss, gradient, **more):
    return {"loss": round_(loss.item()), "gradient": numbers(gradient), **more}


def trajectory_case(batches, differentiation, step=0.05):
    """Trajectory matching: the whole graph by autograd ('exact'), or with each step's parameters detached ('constant')."""
    module = matched_network()
    start = parameters_of(module)
    target = {n: p.detach() + 0.05 * values(600 + k, p.shape).double() for k, (n, p) in enumerate(sorted(start.items()))}
    x, alpha = synthetic_images(), torch.tensor([step], dtype=torch.float64, requires_grad=True)
    theta = dict(start)
    moved = {n: 0 for n in theta}
    for indices in batches:
        at = theta if differentiation == "exact" else {n: t.detach().requires_grad_() for n, t in theta.items()}
        g = gradient_at(module, at, x[indices], LABELS[indices])
        moved = {n: moved[n] + g[n] for n in g}
        theta = {n: theta[n] - alpha * g[n] for n in g}
    end = theta if differentiation == "exact" else {n: start[n] - alpha * moved[n] for n in start}
    loss = sum(((end[n] - target[n]) ** 2).sum() for n in end)
    loss = loss / sum(((start[n] - target[n]) ** 2).sum() for n in start).detach()
    of_images, of_alpha = torch.autograd.grad(loss, [x, alpha])
    return result(loss, of_images, learningRateGradient=round_(of_alpha.item()))


def gradient_matching_loss(module, theta, x, batches):
    total = 0
    for k in range(CLASSES):
        own, real = x[k * PER_CLASS : (k + 1) * PER_CLASS], batches[k]
        g = gradient_at(module, theta, own, torch.full((len(own),), k))
        t = gradient_at(module, theta, real, torch.full((len(real),), k))
        for name in g:
            if g[name].ndim > 1:
                a, b = g[name].flatten(1), t[name].detach().flatten(1)
                total = total + (1 - (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-6)).sum()
    return total


def inner_loop_case(epochs, batch, rate):
    """Gradient matching at a network that was trained on the synthetic set before, as between two outer iterations."""
    module, x = matched_network(), synthetic_images()
    theta = parameters_of(module)
    for order in ORDERS[:epochs]:
        for first in range(0, len(order), batch):
            chosen = order[first : first + batch]
            g = gradient_at(module, theta, x[chosen].detach(), LABELS[chosen])
            theta = {n: (p - rate * g[n]).detach().requires_grad_() for n, p in theta.items()}
    loss = gradient_matching_loss(module, theta, x, [real_images(k, 5) for k in range(CLASSES)])
    (gradient,) = torch.autograd.grad(loss, x)
    return result(loss, gradient)


def distribution_case():
    """Distribution matching with classes of different sizes."""
    module, x = matched_network(), synthetic_images()
    loss = 0
    for k, count in enumerate([5, 3, 4]):
        embed = lambda images: module.features(images).flatten(1).mean(0)
        loss = loss + ((embed(x[k * PER_CLASS : (k + 1) * PER_CLASS]) - embed(real_images(k, count))) ** 2).sum()
    (gradient,) = torch.autograd.grad(loss, x)
    return result(loss, gradient)


def objectives():
    everything = list(range(CLASSES * PER_CLASS))
    mini = [ORDERS[0][:4], ORDERS[0][4:], ORDERS[1][:4]]
    write(
        "objectives",
        {
            "orders": ORDERS,
            "trajectories": {
                f"{differentiation}, {name}": trajectory_case(batches, differentiation)
                for differentiation in ["exact", "constant"]
                for name, batches in {"whole set": [everything] * 4, "mini-batches": mini}.items()
            },
            "innerLoop": inner_loop_case(epochs=3, batch=4, rate=0.1),
            "distribution": distribution_case(),
        },
    )


# --- differentiable siamese augmentation ----------------------------------------------------------------------------


def color(x, d):
    b, s, k = (torch.tensor(d[n], dtype=x.dtype).reshape(-1, 1, 1, 1) for n in ("brightness", "saturation", "contrast"))
    x = x + b
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * s + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * k + mean


def crop(x, d):
    n, _, h, w = x.shape
    padded = F.pad(x, (w, w, h, h))
    rows = [(d["down"][i % len(d["down"])], d["right"][i % len(d["right"])]) for i in range(n)]
    return torch.stack([padded[i, :, h + dy : 2 * h + dy, w + dx : 2 * w + dx] for i, (dy, dx) in enumerate(rows)])


def cutout(x, d):
    n, _, h, w = x.shape
    out = x.clone()
    for i in range(n):
        top, left = d["top"][i % len(d["top"])], d["left"][i % len(d["left"])]
        out[i, :, max(0, top) : max(0, top + d["side"][0]), max(0, left) : max(0, left + d["side"][1])] = 0
    return out


def flip(x, d):
    return torch.where(torch.tensor(d["mirrored"]).reshape(-1, 1, 1, 1) == 1, x.flip(3), x)


def resample(x, thetas):
    theta = torch.tensor(thetas, dtype=x.dtype).expand(x.shape[0], 2, 3)
    grid = F.affine_grid(theta, x.shape, align_corners=True)
    return F.grid_sample(x, grid, align_corners=True)


def scale(x, d):
    return resample(x, [[[sx, 0, 0], [0, sy, 0]] for sx, sy in zip(d["x"], d["y"])])


def rotate(x, d):
    return resample(x, [[[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0]] for a in d["angle"]])


def augmentations():
    draws = [
        {"op": "color", "brightness": [0.3], "saturation": [1.7], "contrast": [0.6]},
        {"op": "color", "brightness": [0.3, -0.4], "saturation": [1.7, 0.1], "contrast": [0.6, 1.4]},
        {"op": "crop", "down": [1], "right": [-2]},
        {"op": "crop", "down": [-1, 2], "right": [0, 3]},
        {"op": "cutout", "top": [-1], "left": [5], "side": [3, 4]},
        {"op": "cutout", "top": [2, 4], "left": [-2, 1], "side": [3, 4]},
        {"op": "flip", "mirrored": [1]},
        {"op": "flip", "mirrored": [0, 1]},
        {"op": "scale", "x": [0.87], "y": [1.15]},
        {"op": "scale", "x": [0.87, 1.1], "y": [1.15, 0.9]},
        {"op": "rotate", "angle": [0.21]},
        {"op": "rotate", "angle": [-0.2, 0.11]},
    ]
    x = values(1, (2, 3, 6, 7), -2, 2).double()
    write("augment", [{"draw": d, "output": numbers(globals()[d["op"]](x, d))} for d in draws])


if __name__ == "__main__":
    students()
    gradient_matching()
    objectives()
    augmentations()
    unets()
    autoencoders()
    kl_and_tiny()
    process()
