"""Floats against transformers' processors with the Pillow backend: bit for bit."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pillow_reference as reference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from beamcap import _core
from beamcap.decode import decode
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
    ("ViT", {"size": {"shortest_edge": 90, "longest_edge": 150}}),
    ("ViT", {"size": {"max_height": 80, "max_width": 120}, "resample": 3}),
    ("ViT", {"size": [80, 60], "do_pad": True, "pad_size": {"height": 81, "width": 100}}),
    (
        "CLIP",
        {
            "size": {"shortest_edge": 48, "longest_edge": 200},
            "do_center_crop": False,
            "do_pad": True,
            "pad_size": 224,
        },
    ),
    ("CLIP", {"size": 50, "crop_size": [60, 47], "do_pad": True, "pad_size": [64, 48]}),
    ("Blip", {"size": 32, "do_pad": True, "pad_size": 32, "do_normalize": False}),
    ("Sam", {}),
    ("Sam", {"size": {"longest_edge": 100}, "pad_size": 128, "resample": 3}),
    ("Sam", {"size": {"longest_edge": 77}, "pad_size": 77, "do_rescale": False}),
    ("Donut", {"size": {"height": 128, "width": 96}}),
    ("Donut", {"size": [97, 150], "resample": 3}),
    ("Donut", {"size": 99, "do_normalize": False}),
    ("Donut", {"size": {"height": 100, "width": 130}, "do_pad": False, "resample": 1}),
    ("Donut", {"size": {"height": 1300, "width": 1200}, "do_resize": False}),
    (
        "Donut",
        {
            "size": {"height": 60, "width": 90},
            "do_thumbnail": False,
            "do_pad": False,
            "do_center_crop": True,
            "crop_size": 64,
            "resample": 0,
        },
    ),
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
        halves = ours([image], dtype="float16")
        assert np.array_equal(halves, actual.astype(np.float16)), shape


@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("ViT", {"size": {"max_height": 9, "max_width": 9}}),
        ("ViT", {"size": {"shortest_edge": 20, "longest_edge": 30}}),
        ("Sam", {"size": {"longest_edge": 100}, "pad_size": 99}),
        ("Sam", {"size": {"longest_edge": 90}, "pad_size": 99}),
        ("Donut", {"size": {"height": 64, "width": 48}, "do_thumbnail": False}),
    ],
    ids=str,
)
def test_an_image_that_the_reference_refuses_is_refused(
    family: str, config: dict[str, Any]
) -> None:
    """It would not fit its padding, or become less than a pixel wide."""
    processor = getattr(transformers, f"{family}ImageProcessorPil")(**config)
    preprocessor = Preprocessor.load({"image_processor_type": f"{family}ImageProcessor", **config})
    image = photo(3, 1000)
    with pytest.raises(ValueError):
        processor(Image.fromarray(image), return_tensors="np")
    with pytest.raises(ValueError, match="an image of 3x1000 would become"):
        preprocessor([image])


def test_padding_that_no_image_fits_is_refused_before_any() -> None:
    config = {"size": [40, 50], "do_pad": True, "pad_size": [50, 40]}
    with pytest.raises(ValueError):
        transformers.ViTImageProcessorPil(**config)(photo(3, 4), return_tensors="np")
    with pytest.raises(ValueError, match="pad_size must be at least 40x50, got 50x40"):
        Preprocessor.load({"image_processor_type": "ViTImageProcessor", **config})


SWITCHES = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_pad", "do_convert_rgb")


@pytest.mark.parametrize("values", list(itertools.product((True, False), repeat=len(SWITCHES))))
def test_switches_in_every_combination(values: tuple[bool, ...]) -> None:
    config: dict[str, Any] = {
        **dict(zip(SWITCHES, values, strict=True)),
        "size": {"height": 30, "width": 41},
        "crop_size": {"height": 33, "width": 24},
        "pad_size": 80,
        "rescale_factor": 1 / 127.5,
        "image_mean": [0.1, 0.9, 1.7],
        "image_std": [0.3, 1.4, 2.5],
    }
    image = photo(51, 70)
    processor = transformers.CLIPImageProcessorPil(**config)
    expected = processor(Image.fromarray(image), return_tensors="np")["pixel_values"]
    preprocessor = Preprocessor.load(
        {"image_processor_type": "CLIPImageProcessor", **config},
        pass_order=reference.installed_pass_order(),
    )
    assert np.array_equal(preprocessor([image]), expected.astype(np.float32))


channels = st.lists(st.floats(0.0625, 300, width=32), min_size=3, max_size=3)


@settings(max_examples=60, deadline=None)
@given(mean=channels, std=channels, factor=st.floats(1e-4, 4), rescale=st.booleans())
def test_channels_have_their_own_mean_and_deviation(
    mean: list[float], std: list[float], factor: float, rescale: bool
) -> None:
    config = {
        "do_resize": False,
        "do_rescale": rescale,
        "rescale_factor": factor,
        "image_mean": mean,
        "image_std": std,
    }
    ramp = np.arange(256 * 3, dtype=np.uint16).astype(np.uint8).reshape(16, 16, 3)
    processor = transformers.ViTImageProcessorPil(**config)
    expected = processor(Image.fromarray(ramp), return_tensors="np")["pixel_values"]
    actual = Preprocessor.load({"image_processor_type": "ViTImageProcessor", **config})([ramp])
    assert np.array_equal(actual, expected)


@pytest.mark.parametrize("family", ["CLIP", "Blip", "Siglip"])
@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK"])
def test_a_grey_or_other_image_is_made_rgb(family: str, mode: str) -> None:
    image = Image.fromarray(photo(60, 90)).convert(mode)
    stream = io.BytesIO()
    image.save(stream, "TIFF")
    processor = getattr(transformers, f"{family}ImageProcessorPil")(do_convert_rgb=True)
    expected = processor(image, return_tensors="np")["pixel_values"]
    preprocessor = Preprocessor.load(
        {"image_processor_type": f"{family}ImageProcessor"},
        pass_order=reference.installed_pass_order(),
    )
    assert np.array_equal(preprocessor([decode(stream.getvalue())]), expected)


sides = st.one_of(st.integers(1, 50), st.integers(1, 3000))
edges = st.integers(1, 1500)


@settings(max_examples=1000, deadline=None)
@given(height=sides, width=sides, edge=edges, other=edges)
def test_sizes_round_as_the_reference(height: int, width: int, edge: int, other: int) -> None:
    from transformers import image_transforms, image_utils

    empty = np.empty((3, height, width), np.uint8)
    sam = transformers.SamImageProcessorPil()
    expected = {
        "both": image_transforms.get_size_with_aspect_ratio((height, width), edge, other),
        "longest": sam._get_preprocess_shape((height, width), edge),
        "fits": image_utils.get_image_size_for_max_height_width((height, width), edge, other),
        "shortest": image_transforms.get_resize_output_image_size(
            empty, edge, default_to_square=False, input_data_format="channels_first"
        ),
    }
    recipes = {
        "both": _core.Recipe(shortest_edge=edge, longest_edge=other),
        "longest": _core.Recipe(longest_edge=edge),
        "fits": _core.Recipe(max_size=(edge, other)),
        "shortest": _core.Recipe(shortest_edge=edge),
    }
    for rule, size in expected.items():
        if min(size) == 0:
            with pytest.raises(ValueError, match="too narrow"):
                recipes[rule].output_size(height, width)
        elif max(size) <= 65536 and size[0] * size[1] <= 1 << 28:
            assert recipes[rule].output_size(height, width) == tuple(size), rule


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
