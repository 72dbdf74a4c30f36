"""Floats against transformers' processors with the torchvision backend: within a level or so.

Levels are those of the uint8 pixels: a difference of the floats, times std, divided by the factor.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
pytest.importorskip("torchvision")
transformers = pytest.importorskip("transformers")
if not hasattr(transformers, "ViTImageProcessorPil"):
    pytest.skip("needs transformers 5 with its two backends", allow_module_level=True)

from beamcap.preprocess import Preprocessor  # noqa: E402

Pixels = npt.NDArray[np.uint8]
NEAREST, LANCZOS, BILINEAR, BICUBIC, BOX, HAMMING = range(6)
# What the fused float32 arithmetic of that backend adds to the levels.
ROUNDING = 1e-3


def noise(height: int, width: int) -> Pixels:
    """Noise with plenty of black and white: the hardest for two roundings to agree on."""
    random = np.random.default_rng([height, width])
    return random.integers(-100, 356, (height, width, 3)).clip(0, 255).astype(np.uint8)


def levels(family: str, config: dict[str, Any], image: Pixels) -> npt.NDArray[np.float64]:
    """By how many levels of a pixel the two differ, value by value."""
    processor = getattr(transformers, f"{family}ImageProcessor")(**config)
    assert processor.backend == "torchvision"
    expected = processor(Image.fromarray(image), return_tensors="pt")["pixel_values"].numpy()
    preprocessor = Preprocessor.load({"image_processor_type": f"{family}ImageProcessor", **config})
    actual = preprocessor([image])
    assert actual.shape == expected.shape
    recipe = preprocessor.recipe
    step = recipe.rescale_factor / np.array(recipe.image_std).reshape(3, 1, 1)
    return np.abs(actual.astype(np.float64) - expected)[0] / step


def shapes(count: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Sizes of images, ordinary, tiny, flat and tall, and what to resize them to."""
    random = np.random.default_rng(5)
    kinds = [((100, 500), (100, 500)), ((1, 40), (1, 40)), ((1, 4), (200, 900))]
    kinds.append(kinds[-1][::-1])
    for index in range(count):
        height, width = (int(random.integers(*sides)) for sides in kinds[index % len(kinds)])
        # From 2 on: of one pixel in all PyTorch says that it has a bug.
        yield (height, width), (int(random.integers(2, 240)), int(random.integers(2, 240)))


@pytest.mark.parametrize(
    ("resample", "share"), [(BILINEAR, 1e-6), (BICUBIC, 1e-4), (LANCZOS, 1e-4)]
)
def test_resized_pixels_are_within_one_level(resample: int, share: float) -> None:
    """Two levels for very few, where both passes round apart; never more."""
    beyond = total = 0
    for shape, target in shapes(160):
        config = {"size": list(target), "resample": resample}
        found = levels("ViT", config, noise(*shape))
        assert found.max() <= 2 + ROUNDING, (shape, target)
        beyond += int((found > 1 + ROUNDING).sum())
        total += found.size
    assert beyond <= share * total


def test_nearest_takes_the_same_pixel_or_the_one_beside_it() -> None:
    """Where a position is halfway between two, Pillow's sum and torchvision's product disagree."""
    for shape, target in shapes(60):
        # In a slope of 1 a pixel that is off by one is off by one level.
        slope = np.zeros((*shape, 3), np.uint8)
        slope[..., 0] = np.arange(shape[0])[:, None] % 256
        slope[..., 1] = np.arange(shape[1]) % 256
        found = levels("ViT", {"size": list(target), "resample": NEAREST}, slope)
        assert np.minimum(found, 256 - found).max() <= 1 + ROUNDING, (shape, target)


@pytest.mark.parametrize("resample", [BOX, HAMMING])
def test_the_other_filters_are_beyond_that_backend(resample: int) -> None:
    with pytest.raises(NotImplementedError):
        levels("ViT", {"size": 20, "resample": resample}, noise(30, 40))


CONFIGURATIONS: list[tuple[str, dict[str, Any]]] = [
    ("ViT", {"size": {"shortest_edge": 90, "longest_edge": 150}}),
    ("ViT", {"size": {"max_height": 80, "max_width": 120}}),
    ("ViT", {"size": [80, 60], "do_pad": True, "pad_size": [81, 100]}),
    ("ViT", {"size": 64, "do_rescale": False, "image_mean": [0.0] * 3, "image_std": [1.0] * 3}),
    ("DeiT", {"resample": BILINEAR}),
    ("CLIP", {"size": 90, "crop_size": 80, "resample": BILINEAR}),
    ("Bit", {"size": 64, "crop_size": 64, "resample": BILINEAR}),
    ("Blip", {"size": 64, "resample": BILINEAR}),
    ("Beit", {"size": 64, "resample": BILINEAR}),
    ("Siglip", {"resample": BILINEAR}),
    ("ConvNext", {"size": 112, "resample": BILINEAR}),
    ("ConvNext", {"size": {"shortest_edge": 384}, "resample": BILINEAR}),
    ("Sam", {"size": {"longest_edge": 100}, "pad_size": 128}),
    ("Donut", {"size": {"height": 128, "width": 96}}),
]


@pytest.mark.parametrize(("family", "config"), CONFIGURATIONS, ids=str)
def test_processors_are_within_one_level(family: str, config: dict[str, Any]) -> None:
    for shape in ((427, 640), (640, 427), (97, 61), (150, 150)):
        assert levels(family, config, noise(*shape)).max() <= 1 + ROUNDING, shape


def test_a_crop_that_is_too_large_is_one_pixel_off() -> None:
    """An odd number of black columns: the larger half is before the image, there after it."""
    image = noise(20, 31)
    config = {"size": [20, 31], "do_center_crop": True, "crop_size": [20, 34], "resample": BILINEAR}
    ours = Preprocessor.load({"image_processor_type": "ViTImageProcessor", **config})([image])
    processor = transformers.ViTImageProcessor(**config)
    theirs = processor(Image.fromarray(image), return_tensors="pt")["pixel_values"].numpy()
    assert np.allclose(ours[..., 1:], theirs[..., :-1], atol=1e-5)
