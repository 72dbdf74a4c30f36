"""Greedy and sampled captions from the torch model (for monitoring and self-critical training)."""

from __future__ import annotations

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.data import Photos, to_tensor
from training.model import Captioner, Decoder
from training.text import BOS, EOS, PAD


def autocast() -> torch.autocast:
    """bfloat16 matrix products and convolutions; a fresh context each time, because its cache
    of cast weights must not be shared between code with and without gradients."""
    return torch.autocast("cpu", torch.bfloat16)


def draw(logits: Tensor) -> Tensor:
    """One sample per row of logits [R, V] -> [R], by inverting the cumulative probabilities.

    Takes one random number per row, where torch.multinomial takes one per value.
    """
    cumulative = logits.softmax(-1).cumsum(-1)
    threshold = torch.rand(len(logits), 1) * cumulative[:, -1:]
    token = torch.searchsorted(cumulative, threshold, right=True)
    return token[:, 0].clamp(max=logits.shape[1] - 1)


@torch.no_grad()
def generate(decoder: Decoder, photo: Tensor, samples: int, longest: int) -> Tensor:
    """Photo tokens [N, 50, D] -> ids [N * samples, 1 + steps], from <s> to </s>, then <pad>.

    samples = 0: one greedy caption per photo.
    """
    memory = decoder.memory(photo)
    past: list[list[Tensor]] = [[] for _ in decoder.layers]
    ids = torch.full((len(photo) * max(samples, 1), 1), BOS)
    alive = torch.ones(len(ids), dtype=torch.bool)
    for _ in range(longest):
        logits = decoder.logits(decoder(ids[:, -1:], memory, past))[:, 0].float()
        token = torch.where(alive, draw(logits) if samples else logits.argmax(-1), PAD)
        ids = torch.cat([ids, token[:, None]], 1)
        alive = alive & (token != EOS)
        if not alive.any():
            break
    return ids


def texts(tokenizer: Tokenizer, ids: Tensor) -> list[str]:
    return tokenizer.decode_batch(ids.tolist(), skip_special_tokens=True)


@torch.no_grad()
def encode_photos(model: Captioner, pixels: np.ndarray, batch: int = 50) -> Tensor:
    """uint8 [N, 224, 224, 3] -> photo tokens [N, 50, D]."""
    parts = []
    for start in range(0, len(pixels), batch):
        with autocast():
            parts.append(model.encoder(to_tensor(pixels[start : start + batch])))
    return torch.cat(parts)


@torch.no_grad()
def greedy_captions(
    model: Captioner, tokenizer: Tokenizer, photos: Photos, longest: int, batch: int = 100
) -> list[str]:
    """One greedy caption per photo."""
    model.eval()
    tokens = encode_photos(model, photos.pixels)
    captions = []
    for start in range(0, len(photos), batch):
        with autocast():
            ids = generate(model.decoder, tokens[start : start + batch], 0, longest)
        captions += texts(tokenizer, ids)
    return captions
