"""Stage 1: cross-entropy training, the encoder joining after a few epochs."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.data import Photos, augment, may_flip, to_tensor
from training.generate import autocast
from training.model import Captioner
from training.text import PAD


@dataclass(frozen=True)
class CrossEntropySettings:
    epochs: int = 9
    frozen_epochs: int = 2  # the backbone does not learn during these
    whole_epochs: int = 3  # from here on the stem and six blocks keep still: they cost most
    batch: int = 24  # photos, each with all its captions
    rate: float = 7e-4
    backbone_rate: float = 0.1  # times `rate`
    warmup: int = 400  # steps
    decay: float = 0.05
    smoothing: float = 0.1
    clip: float = 1.0
    average: float = 0.998  # of the weights, per step

    def frozen_blocks(self, epoch: int) -> int:
        return 0 if epoch < self.whole_epochs else 6


class Average:
    """Exponential moving average of a model's weights."""

    def __init__(self, model: Captioner, decay: float):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.steps = decay, 0

    def update(self, model: nn.Module) -> None:
        # Early on a shorter memory, so that the random start is soon forgotten.
        self.steps += 1
        weight = 1 - min(self.decay, self.steps / (self.steps + 10))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.model.parameters()), [p.detach() for p in model.parameters()], weight
            )


def optimizer_for(
    model: nn.Module, rate: float, decay: float, backbone_rate: float
) -> torch.optim.AdamW:
    """AdamW: matrices with weight decay, vectors without; a lower rate for the backbone."""
    groups = []
    for backbone in (False, True):
        for matrix in (False, True):
            chosen = [
                p
                for name, p in model.named_parameters()
                if ("backbone" in name) == backbone and (p.dim() > 1) == matrix and p.requires_grad
            ]
            scale = backbone_rate if backbone else 1.0
            weight_decay = decay if matrix else 0.0
            groups.append(
                {"params": chosen, "lr": rate, "scale": scale, "weight_decay": weight_decay}
            )
    return torch.optim.AdamW([g for g in groups if g["params"]], betas=(0.9, 0.98), fused=True)


def caption_loss(model: Captioner, tokens: Tensor, ids: Tensor, smoothing: float) -> Tensor:
    """Photo tokens [N, 50, D], ids [N, captions, L] -> mean cross-entropy per token."""
    ids = ids.flatten(0, 1)
    ids = ids[:, : int((ids != PAD).sum(1).max())]
    states = model.decoder(ids[:, :-1], model.decoder.memory(tokens))
    real = ids[:, 1:] != PAD
    logits = model.decoder.logits(states[real])
    return F.cross_entropy(logits.float(), ids[:, 1:][real], label_smoothing=smoothing)


def encode(model: Captioner, x: Tensor, epoch: int, s: CrossEntropySettings) -> Tensor:
    """x [N, 3, 224, 224] -> photo tokens, gradients as far down as this epoch trains."""
    if epoch >= s.frozen_epochs:
        return model.encoder(x, s.frozen_blocks(epoch))
    with torch.no_grad():
        features, scores = model.encoder.backbone(x)
    return model.encoder.tokens(features, scores)


def set_rates(
    optimizer: torch.optim.Optimizer, step: int, total: int, warmup: int, rate: float
) -> None:
    """Linear warm-up, then half a cosine to zero."""
    progress = max(0.0, (step - warmup) / (total - warmup))
    now = rate * min(1.0, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * progress))
    for group in optimizer.param_groups:
        group["lr"] = now * group["scale"]


def train_cross_entropy(
    model: Captioner,
    photos: Photos,
    ids: np.ndarray,
    settings: CrossEntropySettings,
    checkpoint: Path,
    monitor: Callable[[Captioner, str], float],
) -> Captioner:
    """Trains `model` in place and returns the averaged one; goes on from `checkpoint` if there.

    `monitor(model, line)` is called with the averaged model after each epoch.
    """
    s = settings
    average = Average(model, s.average)
    optimizer = optimizer_for(model, s.rate, s.decay, s.backbone_rate)
    flippable = torch.tensor([may_flip(c) for c in photos.captions])
    steps = len(photos) // s.batch
    first = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"])
        average.model.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        first, average.steps = saved["epoch"], saved["epoch"] * steps
    for epoch in range(first, s.epochs):
        rng = torch.Generator().manual_seed(1000 + epoch)
        torch.manual_seed(epoch)
        model.train()
        start, total = time.time(), 0.0
        order = torch.randperm(len(photos), generator=rng)
        for step in range(steps):
            batch = order[step * s.batch : (step + 1) * s.batch]
            set_rates(optimizer, epoch * steps + step, s.epochs * steps, s.warmup, s.rate)
            x = augment(to_tensor(photos.pixels[batch.numpy()]), flippable[batch], rng)
            with autocast():
                tokens = encode(model, x, epoch, s)
                loss = caption_loss(
                    model, tokens, torch.from_numpy(ids[batch.numpy()]), s.smoothing
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), s.clip)
            optimizer.step()
            average.update(model)
            total += loss.item()
            if step % 50 == 0:
                print(
                    f"  step {step} loss {loss.item():.3f} {time.time() - start:.0f}s", flush=True
                )
        state = {"model": model.state_dict(), "average": average.model.state_dict()}
        torch.save(state | {"optimizer": optimizer.state_dict(), "epoch": epoch + 1}, checkpoint)
        monitor(
            average.model, f"xe {epoch + 1} loss {total / steps:.3f} {time.time() - start:.0f}s"
        )
    return average.model
