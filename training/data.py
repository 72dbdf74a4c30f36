"""Flickr8k as arrays: decoded photos, their captions, and augmentation of whole batches."""

from __future__ import annotations

import csv
import io
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

SIDE = 224


@dataclass
class Photos:
    """Photos of one split: `pixels` uint8 [N, 224, 224, 3], `captions[i]` the texts of photo i."""

    names: list[str]
    pixels: np.ndarray
    captions: list[list[str]]

    def __len__(self) -> int:
        return len(self.names)


def read_captions(path: Path) -> dict[str, dict[str, list[str]]]:
    """captions.csv -> {split: {image name: captions}}, in the order of the file."""
    splits: dict[str, dict[str, list[str]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            splits.setdefault(row["split"], {}).setdefault(row["image"], []).append(row["caption"])
    return splits


def decode_tar(path: Path) -> dict[str, np.ndarray]:
    """Every photo of the tar, squashed to 224 x 224 where it is not that size already."""
    pixels = {}
    with tarfile.open(path) as tar:
        for member in tar:
            if not member.isfile():
                continue
            file = tar.extractfile(member)
            assert file is not None
            image = Image.open(io.BytesIO(file.read())).convert("RGB")
            if image.size != (SIDE, SIDE):
                image = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            pixels[Path(member.name).name] = np.asarray(image)
    return pixels


def load_split(data: Path, work: Path, split: str) -> Photos:
    """Photos and captions of `split`; the decoded pixels are kept in `work` for the next run."""
    captions = read_captions(data / "flickr8k" / "captions.csv")[split]
    names = list(captions)
    cache = work / f"pixels-{split}.npy"
    if not cache.exists():
        photos = decode_tar(data / "flickr8k" / "images.tar")
        np.save(cache, np.stack([photos[name] for name in names]))
    pixels = np.load(cache, mmap_mode="r")
    if len(pixels) != len(names):
        raise ValueError(f"{cache} does not fit captions.csv: remove it")
    return Photos(names, pixels, [captions[name] for name in names])


def may_flip(captions: list[str]) -> bool:
    """Whether the captions stay true of the mirrored photo."""
    return not re.search(r"\b(left|right)\b", " ".join(captions).lower())


def to_tensor(pixels: np.ndarray) -> Tensor:
    """uint8 [N, H, W, 3] -> float [N, 3, H, W] in [-1, 1], channels last in memory."""
    x = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2)
    return x.float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


def augment(x: Tensor, flippable: Tensor, rng: torch.Generator) -> Tensor:
    """Random crop (area 55-100 %, some aspect), mirror and colour of x [N, 3, H, W] in [-1, 1].

    `flippable` bool [N]: photos that may be mirrored.
    """
    n = len(x)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(n, generator=rng) * (high - low) + low

    side, aspect = uniform(0.55, 1.0).sqrt(), uniform(-0.15, 0.15).exp()
    width, height = (side * aspect).clamp(max=1), (side / aspect).clamp(max=1)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 2] = uniform(-1, 1) * (1 - width)
    theta[:, 1, 2] = uniform(-1, 1) * (1 - height)
    mirrored = (uniform(0, 1) < 0.5) & flippable
    theta[:, 0, 0] = torch.where(mirrored, -width, width)
    theta[:, 1, 1] = height
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    gain, offset, saturation = uniform(0.75, 1.25), uniform(-0.15, 0.15), uniform(0.7, 1.3)
    grey = x.mean(1, keepdim=True)
    x = torch.lerp(grey, x, saturation.view(n, 1, 1, 1))
    x = x.mul_(gain.view(n, 1, 1, 1)).add_(offset.view(n, 1, 1, 1)).clamp_(-1, 1)
    return x.contiguous(memory_format=torch.channels_last)
