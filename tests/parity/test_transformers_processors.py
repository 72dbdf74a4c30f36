"""Floats against transformers' processors with the Pillow backend: bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pillow_reference as reference
import pytest
from PIL import Image

from beamcap.preprocess import Preprocessor

transformers = pytest.importorskip("transformers")
if not hasattr(transformers, "ViTImageProcessorPil"):
    pytest.skip("needs transformers 5 with its Pillow backend", allow_module_level=True)

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}

# The processor, and what its preprocessor_config.json holds besides.
CONFIGURATIONS: list[tuple[str, dict[str, Any]]] = [
    ("ViT", {}),
    ("ViT", {"size": 384, "resample": 3}),
    ("ViT", {"size": {"shortest_edge": 150}, "do_center_crop": True, "crop_size": 140, **IMAGENET}),
    ("ViT", {"size": [120, 90], "resample": 1, "do_rescale": False}),
    ("ViT", {"do_normalize": False, "resample": 0}),
    ("ViT", {"do_resize": False, "do_center_crop": True, "crop_size": {"height": 99, "width": 70}}),
    ("ViT", {"rescale_factor": 0.00784313725490196, "image_mean": 0.5, "image_std": 0.25}),
    ("ViT", {"size": {"height": 256, "width": 256}, "resample": 5, "do_rescale": None}),
    ("DeiT", {}),
    ("DeiT", {"size": 200, "crop_size": 224}),
    ("DeiT", {"do_center_crop": False}),
    ("CLIP", {}),
    ("CLIP", {"size": 90, "crop_size": [80, 100], "resample": 4}),
    ("CLIP", {"size": {"height": 200, "width": 180}, "do_center_crop": False}),
    ("CLIP", {"default_to_square": True, "size": 100, "do_center_crop": False}),
    ("CLIP", {"size": {"height": 96, "width": 96}, "do_center_crop": None, "do_normalize": None}),
    ("Blip", {}),
    ("Blip", {"size": 224}),
    ("Beit", {}),
    ("Beit", {"size": 256, "do_center_crop": True, "do_reduce_labels": True}),
    ("Bit", {"size": {"shortest_edge": 256}}),
    ("Siglip", {}),
    ("ConvNext", {}),
    ("ConvNext", {"size": 224, **IMAGENET}),
    ("ConvNext", {"size": {"shortest_edge": 160}, "crop_pct": 0.9}),
    ("ConvNext", {"size": {"shortest_edge": 400}, "resample": 2}),
]
SHAPES = [(427, 640), (640, 427), (97, 61), (300, 1200), (224, 224), (5, 3)]


def photo(height: int, width: int) -> npt.NDArray[np.uint8]:
    random = np.random.default_rng([height, width])
    coarse = random.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return (smooth + random.integers(-9, 10, smooth.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("family", "settings"), CONFIGURATIONS, ids=str)
def test_floats_are_those_of_transformers(
    family: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    processor = getattr(transformers, f"{family}ImageProcessorPil")(**settings)
    config = {"image_processor_type": f"{family}ImageProcessor", **settings}
    processor.save_pretrained(tmp_path)
    order = reference.installed_pass_order()
    ours = Preprocessor.load(config, pass_order=order)
    as_saved = Preprocessor.load(tmp_path, pass_order=order)
    for shape in SHAPES:
        image = photo(*shape)
        expected = processor(Image.fromarray(image), return_tensors="np")["pixel_values"]
        for preprocessor in (ours, as_saved):
            actual = preprocessor([image])
            assert actual.shape == expected.shape
            assert np.array_equal(actual, expected.astype(np.float32)), shape


@pytest.mark.parametrize(
    ("family", "old"),
    [
        ("ViT", "ViTFeatureExtractor"),
        ("CLIP", "CLIPFeatureExtractor"),
        ("Beit", "BeitImageProcessorFast"),
    ],
)
def test_old_names_mean_todays_processors(family: str, old: str, tmp_path: Path) -> None:
    key = "feature_extractor_type" if old.endswith("Extractor") else "image_processor_type"
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({key: old, "size": 100}))
    processor = getattr(transformers, f"{family}ImageProcessorPil")(size=100)
    image = photo(123, 210)
    expected = processor(Image.fromarray(image), return_tensors="np")["pixel_values"]
    actual = Preprocessor.load(tmp_path, pass_order=reference.installed_pass_order())([image])
    assert np.array_equal(actual, expected)
