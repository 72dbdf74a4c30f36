"""Stage 2: self-critical training (Rennie et al. 2017) on CIDEr-D, the backbone kept still.

Several captions are drawn per photo; each is compared with the mean reward of the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from training.cider import CiderD, words
from training.cross_entropy import Average, optimizer_for, set_rates
from training.data import Photos, augment, may_flip, to_tensor
from training.generate import autocast, generate, texts
from training.model import Captioner
from training.text import EOS, PAD


@dataclass(frozen=True)
class SelfCriticalSettings:
    epochs: int = 7
    rate: float = 1e-4
    batch: int = 24  # photos
    samples: int = 5  # captions drawn per photo
    warmup: int = 100  # steps
    clip: float = 1.0
    average: float = 0.995  # of the weights, per step


def rewards(
    cider: CiderD, tokenizer: Tokenizer, photos: Tensor, ids: Tensor, samples: int
) -> Tensor:
    """CIDEr-D of the sampled ids [N * samples, L] for the photos [N] -> [N, samples].

    The end of the caption counts as a word, so that stopping in mid-sentence does not pay.
    """
    ended = (ids == EOS).any(1).tolist()
    scores = [
        cider.score(int(photos[i // samples]), words(text, ended[i]))
        for i, text in enumerate(texts(tokenizer, ids))
    ]
    return torch.tensor(scores).view(-1, samples)


def advantages(reward: Tensor) -> Tensor:
    """Reward [N, samples] minus the mean of the photo's other samples."""
    samples = reward.shape[1]
    return (reward - reward.mean(1, keepdim=True)) * (samples / (samples - 1))


def policy_loss(model: Captioner, tokens: Tensor, ids: Tensor, advantage: Tensor) -> Tensor:
    """Photo tokens [N, 50, D], ids [N * samples, L], advantage [N, samples] -> scalar."""
    states = model.decoder(ids[:, :-1], model.decoder.memory(tokens))
    target = ids[:, 1:]
    real = target != PAD
    logits = model.decoder.logits(states[real]).float()
    log_p = logits.log_softmax(-1).gather(1, target[real][:, None])[:, 0]
    weight = advantage.reshape(-1, 1).expand(target.shape)[real]
    return -(weight * log_p).mean()


def train_self_critical(
    model: Captioner,
    photos: Photos,
    tokenizer: Tokenizer,
    longest: int,
    settings: SelfCriticalSettings,
    checkpoint: Path,
    monitor: Callable[[Captioner, str], float],
) -> Captioner:
    """Trains `model` in place and returns the averaged one; goes on from `checkpoint` if there."""
    s = settings
    # Without dropout: the captions are judged as the shipped model would write them.
    model.eval().requires_grad_(True)
    model.encoder.backbone.requires_grad_(False)
    average = Average(model, s.average)
    optimizer = optimizer_for(model, s.rate, 0.0, 1.0)
    flippable = torch.tensor([may_flip(c) for c in photos.captions])
    cider = CiderD(photos.captions)
    steps = len(photos) // s.batch
    first = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"])
        average.model.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        first, average.steps = saved["epoch"], saved["epoch"] * steps
    for epoch in range(first, s.epochs):
        rng = torch.Generator().manual_seed(2000 + epoch)
        torch.manual_seed(100 + epoch)
        start, total = time.time(), 0.0
        order = torch.randperm(len(photos), generator=rng)
        for step in range(steps):
            batch = order[step * s.batch : (step + 1) * s.batch]
            set_rates(optimizer, epoch * steps + step, s.epochs * steps, s.warmup, s.rate)
            x = augment(to_tensor(photos.pixels[batch.numpy()]), flippable[batch], rng)
            with torch.no_grad(), autocast():
                features, scores = model.encoder.backbone(x)
                tokens = model.encoder.tokens(features, scores)
                ids = generate(model.decoder, tokens, s.samples, longest)
            reward = rewards(cider, tokenizer, batch, ids, s.samples)
            with autocast():
                tokens = model.encoder.tokens(features, scores)
                loss = policy_loss(model, tokens, ids, advantages(reward))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), s.clip)
            optimizer.step()
            average.update(model)
            total += reward.mean().item()
            if step % 50 == 0:
                mean = total / (step + 1)
                print(f"  step {step} reward {mean:.3f} {time.time() - start:.0f}s", flush=True)
        state = {"model": model.state_dict(), "average": average.model.state_dict()}
        torch.save(state | {"optimizer": optimizer.state_dict(), "epoch": epoch + 1}, checkpoint)
        seconds = time.time() - start
        monitor(average.model, f"sc {epoch + 1} reward {total / steps:.3f} {seconds:.0f}s")
    return average.model
