"""Whatever a caller has for an image -> its RGB pixels, or why there are none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np
from numpy.typing import NDArray

from .decode import DecodeError, DecodeLimits, decode, pil_to_rgb
from .read import ReadError, read_file
from .types import CaptionError, ImageInput

if TYPE_CHECKING:
    from PIL.Image import Image

ImageLike = Union["str | os.PathLike[str] | bytes | NDArray[np.uint8] | ImageInput", "Image"]
"""A path, encoded bytes, a uint8 RGB array [H, W, 3], a PIL image, or an ImageInput."""


def as_input(index: int, image: ImageLike) -> ImageInput:
    """Key and uri of an image: its path; the index where it has none.

    Raises:
        TypeError: it is nothing that could be an image.
    """
    if isinstance(image, ImageInput):
        return image
    if isinstance(image, (str, os.PathLike)):
        path = os.fspath(image)
        return ImageInput(key=path, uri=path, data=b"")
    if isinstance(image, (bytes, np.ndarray)) or is_pillow(image):
        return ImageInput(key=str(index), uri="", data=image if isinstance(image, bytes) else b"")
    raise TypeError(
        f"images[{index}] is {type(image).__name__}: expected a path, bytes, a PIL image, a uint8 "
        "array [H, W, 3] or an ImageInput"
    )


def refuse_single(images: object) -> None:
    """Raises TypeError for one image where several are expected: a path would be taken for as many
    images as it has letters."""
    if (
        isinstance(images, (str, bytes, os.PathLike, ImageInput))
        or (isinstance(images, np.ndarray) and images.ndim < 4)
        or is_pillow(images)
    ):
        raise TypeError(f"images is a single {type(images).__name__}: give a list of images")


def is_pillow(image: object) -> bool:
    """Whether it is a Pillow image, or one that behaves so."""
    return hasattr(image, "convert") and not isinstance(image, np.ndarray)


def load_pixels(
    source: ImageInput, image: ImageLike, limits: DecodeLimits
) -> NDArray[np.uint8] | CaptionError:
    """The pixels [H, W, 3] of an image that `as_input` named `source`."""
    if isinstance(image, np.ndarray):
        return np.ascontiguousarray(image)
    try:
        if isinstance(image, ImageInput):
            return decode(image.data, limits)
        if isinstance(image, bytes):
            return decode(image, limits)
        if isinstance(image, (str, os.PathLike)):
            return decode(read_file(Path(image), limits.max_image_bytes), limits)
        return pil_to_rgb(image)
    except DecodeError as error:
        return caption_error(source, "decode", error.reason, error.message)
    except ReadError as error:
        return caption_error(source, "read", error.reason, str(error))


def caption_error(source: ImageInput, stage: str, reason: str, message: str) -> CaptionError:
    """The error of an image, with all that identifies it."""
    return CaptionError(source.key, source.uri, stage, reason, message, metadata=source.metadata)
