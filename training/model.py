"""The captioner: MobileNetV2 features, one encoder layer, a small pre-LN decoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.backbone import CLASSES, FEATURES, MobileNetV2
from training.text import BOS, PAD

MASKED = -1e4  # what is added to the scores of tokens that are never written


@dataclass(frozen=True)
class Sizes:
    """Hyperparameters that fix the shapes of the weights."""

    width: int = 256
    heads: int = 8
    inner: int = 1024
    encoder_layers: int = 1
    decoder_layers: int = 3
    vocabulary: int = 3000
    positions: int = 32
    grid: int = 49


class Dropout(nn.Module):
    """Dropout drawing one random byte per value: torch's own spends most of a step on the CPU."""

    def __init__(self, rate: float):
        super().__init__()
        self.threshold = round(rate * 256)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.threshold:
            return x
        draws = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        keep = draws.view(torch.uint8)[: x.numel()].view(x.shape) >= self.threshold
        return x * (keep * (256 / (256 - self.threshold))).to(x.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """q [N, heads, T, d], k and v [N, heads, S, d] -> [N, heads, T, d]; mask [T, S] is added.

    Written out: for such short rows torch's fused attention is far slower on the CPU.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)
    if mask is not None:
        scores = scores + mask
    return scores.softmax(-1).to(v.dtype) @ v


class Heads(nn.Module):
    """Splits and joins attention heads."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.heads = sizes.heads
        self.out = nn.Linear(sizes.width, sizes.width)

    def split(self, x: Tensor) -> Tensor:
        """[N, T, D] -> [N, heads, T, D / heads]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def join(self, x: Tensor) -> Tensor:
        """[N, heads, T, D / heads] -> [N, T, D], projected."""
        return self.out(x.transpose(1, 2).flatten(2))


class SelfAttention(Heads):
    """Attention of a sequence to itself, with an optional cache of earlier keys and values."""

    def __init__(self, sizes: Sizes, causal: bool):
        super().__init__(sizes)
        self.qkv = nn.Linear(sizes.width, 3 * sizes.width)
        self.causal = causal

    def forward(self, x: Tensor, past: list[Tensor] | None = None) -> Tensor:
        """x [N, T, D]; with `past` (keys and values so far, extended in place) T is 1."""
        q, k, v = (self.split(part) for part in self.qkv(x).chunk(3, -1))
        if past is None:
            return self.join(attend(q, k, v, self.mask(x.shape[1])))
        if past:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        past[:] = [k, v]
        return self.join(attend(q, k, v))

    def mask(self, length: int) -> Tensor | None:
        """Causal mask [T, T], or none."""
        if not self.causal:
            return None
        return torch.full((length, length), -torch.inf).triu(1)


class CrossAttention(Heads):
    """Attention of captions to the tokens of their photo."""

    def __init__(self, sizes: Sizes):
        super().__init__(sizes)
        self.q = nn.Linear(sizes.width, sizes.width)
        self.kv = nn.Linear(sizes.width, 2 * sizes.width)

    def memory(self, photo: Tensor) -> tuple[Tensor, Tensor]:
        """Photo tokens [N, 50, D] -> keys and values [N, heads, 50, D / heads]."""
        k, v = self.kv(photo).chunk(2, -1)
        return self.split(k), self.split(v)

    def forward(self, x: Tensor, memory: tuple[Tensor, Tensor]) -> Tensor:
        """x [N * captions, T, D]: captions of one photo share its keys and values."""
        photos = len(memory[0])
        q = self.split(self.q(x).reshape(photos, -1, x.shape[-1]))
        return self.join(attend(q, *memory)).view(x.shape)


class FeedForward(nn.Sequential):
    def __init__(self, sizes: Sizes):
        super().__init__(
            nn.Linear(sizes.width, sizes.inner), nn.ReLU(), nn.Linear(sizes.inner, sizes.width)
        )


class EncoderLayer(nn.Module):
    def __init__(self, sizes: Sizes, dropout: float):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(sizes.width), nn.LayerNorm(sizes.width)
        self.attention = SelfAttention(sizes, causal=False)
        self.mlp = FeedForward(sizes)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.attention(self.norm1(x)))
        return x + self.drop(self.mlp(self.norm2(x)))


class DecoderLayer(nn.Module):
    def __init__(self, sizes: Sizes, dropout: float):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(sizes.width) for _ in range(3))
        self.attention = SelfAttention(sizes, causal=True)
        self.cross = CrossAttention(sizes)
        self.mlp = FeedForward(sizes)
        self.drop = Dropout(dropout)

    def forward(
        self, x: Tensor, memory: tuple[Tensor, Tensor], past: list[Tensor] | None = None
    ) -> Tensor:
        x = x + self.drop(self.attention(self.norm1(x), past))
        x = x + self.drop(self.cross(self.norm2(x), memory))
        return x + self.drop(self.mlp(self.norm3(x)))


class Encoder(nn.Module):
    """Photos [N, 3, 224, 224] in [-1, 1] -> tokens [N, 50, D]: 49 of the grid, 1 of the classes."""

    def __init__(self, sizes: Sizes, backbone: MobileNetV2, dropout: float):
        super().__init__()
        self.backbone = backbone
        self.project = nn.Linear(FEATURES, sizes.width)
        self.classes = nn.Linear(CLASSES, sizes.width, bias=False)
        self.norm = nn.LayerNorm(sizes.width)
        self.positions = nn.Parameter(torch.randn(sizes.grid + 1, sizes.width) * 0.1)
        self.layers = nn.ModuleList(
            EncoderLayer(sizes, dropout) for _ in range(sizes.encoder_layers)
        )
        self.final = nn.LayerNorm(sizes.width)
        self.drop = Dropout(dropout)

    def forward(self, photos: Tensor, frozen_blocks: int = 0) -> Tensor:
        return self.tokens(*self.backbone(photos, frozen_blocks))

    def tokens(self, features: Tensor, scores: Tensor) -> Tensor:
        """Features [N, 1280, 7, 7] and class scores [N, 1001] -> tokens [N, 50, D]."""
        grid = self.project(features.flatten(2).transpose(1, 2))
        classes = self.classes(scores.float().softmax(-1)).unsqueeze(1)
        x = self.drop(self.norm(torch.cat([grid, classes], 1)) + self.positions)
        for layer in self.layers:
            x = layer(x)
        return self.final(x)


class Decoder(nn.Module):
    """Token ids [N * captions, T] and photo tokens [N, 50, D] -> states [N * captions, T, D]."""

    def __init__(self, sizes: Sizes, dropout: float):
        super().__init__()
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.width)
        self.positions = nn.Parameter(torch.randn(sizes.positions, sizes.width) * 0.02)
        self.layers = nn.ModuleList(
            DecoderLayer(sizes, dropout) for _ in range(sizes.decoder_layers)
        )
        self.final = nn.LayerNorm(sizes.width)
        self.drop = Dropout(dropout)
        nn.init.normal_(self.embedding.weight, std=sizes.width**-0.5)
        # <pad> and <s> are never written. Self-critical training has no reason to keep their scores
        # low by itself, so the exported graphs add this too.
        never_written = torch.zeros(sizes.vocabulary)
        never_written[[PAD, BOS]] = MASKED
        self.register_buffer("never_written", never_written, persistent=False)

    def memory(self, photo: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of the photo tokens, layer by layer."""
        return [layer.cross.memory(photo) for layer in self.layers]

    def forward(
        self,
        ids: Tensor,
        memory: list[tuple[Tensor, Tensor]],
        past: list[list[Tensor]] | None = None,
    ) -> Tensor:
        """With `past` (one list per layer, empty at first) ids holds the newest token only."""
        start = past[0][0].shape[2] if past and past[0] else 0
        x = self.embedding(ids) + self.positions[start : start + ids.shape[1]]
        x = self.drop(x)
        for i, layer in enumerate(self.layers):
            x = layer(x, memory[i], past[i] if past is not None else None)
        return self.final(x)

    def logits(self, states: Tensor) -> Tensor:
        """States [..., D] -> logits [..., V], the embedding serving as the output matrix."""
        return F.linear(states, self.embedding.weight) + self.never_written


class Captioner(nn.Module):
    def __init__(self, sizes: Sizes, backbone: MobileNetV2, dropout: float):
        super().__init__()
        self.sizes = sizes
        self.encoder = Encoder(sizes, backbone, dropout)
        self.decoder = Decoder(sizes, dropout)
