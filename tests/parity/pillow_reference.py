"""Pillow and numpy as the reference for pixels: slow, plain, and without any of our code."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image


def installed_pass_order() -> str:
    """Which pass of a resize the installed Pillow does first."""
    major, minor = (int(part) for part in PIL.__version__.split(".")[:2])
    if (major, minor) < (12, 2):
        return "horizontal_first"
    return "pillow_12" if major == 12 else "pillow_13"


def resize(
    image: npt.NDArray[np.uint8], height: int, width: int, resample: int
) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).resize((width, height), resample))


def resize_horizontal_first(
    image: npt.NDArray[np.uint8], height: int, width: int, resample: int
) -> npt.NDArray[np.uint8]:
    """Two resizes of one axis each, whose order no version can change."""
    across = resize(image, image.shape[0], width, resample)
    return resize(across, height, width, resample)


def shortest_edge(image: npt.NDArray[np.uint8], edge: int) -> tuple[int, int]:
    height, width = image.shape[:2]
    short, long = sorted((height, width))
    scaled = int(edge * long / short)
    return (scaled, edge) if width <= height else (edge, scaled)


def thumbnail(size: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """The size that Donut's thumbnail has: its longer side decides."""
    new_height, new_width = min(size[0], height), min(size[1], width)
    if (new_height, new_width) == size:
        return size
    if size[0] > size[1]:
        new_width = int(size[1] * new_height / size[0])
    elif size[1] > size[0]:
        new_height = int(size[0] * new_width / size[1])
    return new_height, new_width


def center_crop(image: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Pads with zeros where the image is smaller, the larger half before it."""
    missing = [
        max(0, want - have) for want, have in zip((height, width), image.shape, strict=False)
    ]
    pads = [(math.ceil(more / 2), more // 2) for more in missing]
    padded = np.pad(image, [*pads, (0, 0)])
    top, left = (padded.shape[0] - height) // 2, (padded.shape[1] - width) // 2
    return padded[top : top + height, left : left + width]


def normalize(
    image: npt.NDArray[np.uint8], rescale_factor: float, mean: list[float], std: list[float]
) -> npt.NDArray[np.float32]:
    """uint8 [H, W, 3] to float32 [3, H, W], rescaled in float64 and normalised in float32."""
    rescaled = (image.astype(np.float64) * rescale_factor).astype(np.float32)
    normalized = (rescaled - np.array(mean, np.float32)) / np.array(std, np.float32)
    return normalized.transpose(2, 0, 1)
