"""preprocessor_config.json: what is understood, and that nothing else is ignored."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beamcap import _core
from beamcap.preprocess import Preprocessor

VIT = {"image_processor_type": "ViTImageProcessor"}
HALF = [0.5, 0.5, 0.5]


def image(height: int = 30, width: int = 40, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def described(**config: Any) -> dict[str, Any]:
    return Preprocessor.load(config).describe()


def test_defaults_are_those_of_the_named_processor() -> None:
    assert described(**VIT) == {
        "size": (224, 224),
        "shortest_edge": None,
        "longest_edge": None,
        "max_size": None,
        "thumbnail": None,
        "crop_size": None,
        "pad_size": None,
        "padding": "after",
        "resample": 2,
        "pass_order": "horizontal_first",
        "rescale_factor": 1 / 255,
        "image_mean": HALF,
        "image_std": HALF,
    }
    clip = described(feature_extractor_type="CLIPFeatureExtractor")
    assert (clip["size"], clip["shortest_edge"], clip["crop_size"]) == (None, 224, (224, 224))
    assert (clip["resample"], clip["image_mean"][0]) == (3, 0.48145466)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"size": 99}, {"size": (99, 99)}),
        ({"size": [80, 90]}, {"size": (80, 90)}),
        ({"size": {"height": 80, "width": 90}}, {"size": (80, 90)}),
        ({"size": {"shortest_edge": 70}}, {"size": None, "shortest_edge": 70}),
        ({"size": 70, "default_to_square": False}, {"size": None, "shortest_edge": 70}),
        ({"size": None, "do_resize": None}, {"size": None}),
        (
            {"do_rescale": None, "do_normalize": None},
            {"rescale_factor": 1.0, "image_mean": [0] * 3},
        ),
        ({"do_center_crop": True, "crop_size": 50}, {"crop_size": (50, 50)}),
        ({"do_center_crop": False, "crop_size": 50}, {"crop_size": None}),
        ({"do_resize": False, "size": 70}, {"size": None}),
        ({"do_rescale": False}, {"rescale_factor": 1.0}),
        ({"do_normalize": False}, {"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}),
        ({"image_mean": 0.25}, {"image_mean": [0.25] * 3}),
        ({"do_convert_rgb": True, "do_pad": False, "processor_class": "x"}, {"size": (224, 224)}),
        (
            {"size": {"shortest_edge": 70, "longest_edge": 90}},
            {"size": None, "shortest_edge": 70, "longest_edge": 90},
        ),
        ({"size": {"max_height": 70, "max_width": 90}}, {"size": None, "max_size": (70, 90)}),
        ({"do_pad": True, "pad_size": 300}, {"pad_size": (300, 300), "padding": "after"}),
        ({"do_pad": True, "pad_size": [300, 250]}, {"pad_size": (300, 250)}),
        ({"do_pad": None, "pad_size": 300}, {"pad_size": None}),
    ],
    ids=str,
)
def test_spellings(config: dict[str, Any], expected: dict[str, Any]) -> None:
    actual = described(**VIT, **config)
    assert {key: actual[key] for key in expected} == expected


def test_convnext_cuts_a_small_square_out_of_a_larger_one() -> None:
    small = described(image_processor_type="ConvNextImageProcessor", size=224)
    assert (small["shortest_edge"], small["crop_size"]) == (256, (224, 224))
    large = described(image_processor_type="ConvNextFeatureExtractor", size={"shortest_edge": 384})
    assert (large["size"], large["crop_size"]) == ((384, 384), None)


def test_sam_pads_after_its_longest_edge() -> None:
    sam = described(image_processor_type="SamImageProcessor", mask_size={"longest_edge": 256})
    assert (sam["size"], sam["longest_edge"], sam["pad_size"]) == (None, 1024, (1024, 1024))
    assert (sam["padding"], sam["resample"], sam["image_mean"][0]) == ("after", 2, 0.485)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"shortest_edge": 1920, "thumbnail": (2560, 1920), "pad_size": (2560, 1920)}),
        ({"size": [480, 640]}, {"shortest_edge": 480, "pad_size": (640, 480)}),
        ({"size": {"height": 480, "width": 640}}, {"thumbnail": (480, 640), "padding": "around"}),
        ({"do_thumbnail": False}, {"thumbnail": None, "pad_size": (2560, 1920)}),
        ({"do_pad": False}, {"thumbnail": (2560, 1920), "pad_size": None}),
        ({"do_resize": False, "resample": 3}, {"shortest_edge": None, "resample": 3}),
        ({"do_align_long_axis": False}, {"shortest_edge": 1920}),
    ],
    ids=str,
)
def test_donut_fits_an_image_into_a_frame(config: dict[str, Any], expected: dict[str, Any]) -> None:
    actual = described(image_processor_type="DonutImageProcessor", **config)
    assert {key: actual[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("processor", "config", "message"),
    [
        ("Donut", {"do_align_long_axis": True}, "'do_align_long_axis': True is not supported"),
        ("Donut", {"size": {"shortest_edge": 9}}, "'size' must be one of a number"),
        ("Donut", {"resample": 0}, "'resample': 0 has no place beside 'do_thumbnail'"),
        ("Donut", {"do_center_crop": True, "crop_size": 9}, "'do_center_crop' is not supported"),
        ("Sam", {"size": 1024}, "'size' of a SAM must be a longest_edge"),
        ("Sam", {"size": {"height": 9, "width": 9}}, "'size' of a SAM must be a longest_edge"),
        ("Sam", {"pad_size": None}, "'do_pad' without a 'pad_size'"),
        ("Beit", {"do_pad": True, "pad_size": 9}, "'do_pad': True is not supported"),
        ("ConvNext", {"do_pad": True, "pad_size": 9}, "'do_pad': True is not supported"),
        ("Pix2Struct", {}, "'Pix2StructImageProcessor' is not supported"),
        ("Vilt", {}, "'ViltImageProcessor' is not supported"),
        ("Nougat", {}, "'NougatImageProcessor' is not supported"),
    ],
    ids=str,
)
def test_processors_refuse_what_is_not_theirs(
    processor: str, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        described(image_processor_type=f"{processor}ImageProcessor", **config)


def test_without_a_processors_name_the_rest_must_be_said() -> None:
    full = {"size": 64, "resample": 2, "image_mean": HALF, "image_std": HALF}
    assert described(**full)["size"] == (64, 64)
    for key in full:
        with pytest.raises(ValueError, match=f"'{key}' is missing"):
            described(**{name: value for name, value in full.items() if name != key})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"resample": 6}, "'resample' must be 0 nearest"),
        ({"resample": "bicubic"}, "'resample' must be 0 nearest"),
        ({"resample": True}, "'resample' must be 0 nearest"),
        ({"do_pad": True}, "'do_pad' without a 'pad_size' pads to the largest image"),
        ({"do_pad": True, "pad_size": {"longest_edge": 9}}, "'pad_size' must be one of a number"),
        ({"do_pad": True, "pad_size": 1 << 40}, "pad_size height must be from 1"),
        ({"do_thumbnail": True}, "'do_thumbnail': True is not supported"),
        ({"size_divisor": 32}, "'size_divisor': 32 is not supported"),
        ({"use_square_size": True}, "'use_square_size': True is not supported"),
        ({"rescale_factor": [0.1, 0.2, 0.3]}, "'rescale_factor' must be a number"),
        ({"rescale_offset": True}, "'rescale_offset': True is not supported"),
        ({"do_flip_channel_order": True}, "'do_flip_channel_order'"),
        ({"crop_pct": 0.875}, "'crop_pct': 0.875 is not supported"),
        ({"size": {"shortest_edge": 5, "width": 9}}, "'size' must be one of a number"),
        ({"size": {"longest_edge": 9}}, "'size' must be one of a number"),
        ({"size": {"max_height": 9}}, "'size' must be one of a number"),
        ({"size": {"shortest_edge": 5, "longest_edge": 0}}, "longest_edge must be from 1"),
        ({"size": 224.0}, "'size' must be"),
        ({"size": {"height": "a", "width": 2}}, "'size' must be whole pixels, got 'a'"),
        ({"size": None}, r"'size' is missing \(or null\)"),
        ({"size": 0}, "size height must be from 1"),
        ({"size": 1 << 40}, "size height must be from 1"),
        ({"size": 1 << 80}, "'size' must be whole pixels"),
        ({"do_center_crop": True, "crop_size": {"shortest_edge": 5}}, "'crop_size' must be"),
        ({"do_center_crop": True}, "'crop_size' is missing"),
        ({"image_mean": [0.5, 0.5]}, "'image_mean' must be a number or three"),
        ({"image_std": [0.5, 0, 0.5]}, "image_std must not be zero"),
        ({"image_std": ["x", 1, 1]}, "'image_std' must be a number, got 'x'"),
        ({"rescale_factor": "1/255"}, "'rescale_factor' must be a number"),
        ({"rescale_factor": 10**400}, "'rescale_factor' must be finite"),
        ({"rescale_factor": 1e38}, "together make pixels that no float32 holds"),
        ({"image_processor_type": "TvpImageProcessor"}, "'TvpImageProcessor' is not supported"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        Preprocessor.load({**VIT, **config})
    assert str(raised.value).startswith("preprocessor_config: ")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"size": {"height": 224, "width": 224}}, "'size' of a ConvNext must be a shortest_edge"),
        ({"size": 224, "crop_pct": 0}, "'crop_pct' must be above 0"),
        ({"size": 224, "crop_pct": 5e-324}, "'crop_pct' makes too large a resize"),
        ({"size": 224, "do_center_crop": True, "crop_size": 9}, "'do_center_crop' has no place"),
    ],
    ids=str,
)
def test_convnext_refuses(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessor.load({"image_processor_type": "ConvNextImageProcessor", **config})


def test_loads_a_folder_a_file_or_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**VIT, "size": 32}))
    for source in (tmp_path, str(tmp_path), path, str(path), {**VIT, "size": 32}):
        preprocessor = Preprocessor.load(source)
        assert (preprocessor.height, preprocessor.width) == (32, 32)
    with pytest.raises(FileNotFoundError):
        Preprocessor.load(tmp_path / "other.json")
    for text in ("{", "[1]", "\xff", "[" * 100_000, "1" * 5_000):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(ValueError, match=r"preprocessor_config\.json"):
            Preprocessor.load(tmp_path)


def test_one_at_a_time_or_all_at_once() -> None:
    images = [image(20 + 7 * i, 90 - 8 * i, i) for i in range(9)]
    preprocessor = Preprocessor.load({**VIT, "size": [21, 33]})
    batch = preprocessor(images, threads=3)
    assert batch.shape == (9, 3, 21, 33)
    assert batch.dtype == np.float32
    assert np.array_equal(batch, preprocessor(images))
    out = np.full((3, 3, 21, 33), np.nan, np.float32)
    preprocessor.into(images[4], out[1])
    assert np.array_equal(out[1], batch[4])
    assert np.isnan(out[[0, 2]]).all()
    assert preprocessor([]).shape == (0, 3, 21, 33)


@pytest.mark.parametrize("std", [1e-6, 0.25, 1e5])  # up to infinity, and among the subnormals
def test_float16_is_the_float32_as_numpy_rounds_it(std: float) -> None:
    images = [image(20 + 7 * i, 90 - 8 * i, i) for i in range(9)]
    preprocessor = Preprocessor.load({**VIT, "size": [21, 33], "image_std": std})
    with np.errstate(over="ignore"):
        expected = preprocessor(images).astype(np.float16)
    halves = preprocessor(images, threads=3, dtype="float16")
    assert halves.dtype == np.float16
    assert np.array_equal(halves.view(np.uint16), expected.view(np.uint16))
    out = np.zeros((3, 3, 21, 33), np.float16)
    preprocessor.into(images[4], out[1])
    assert np.array_equal(out[1], expected[4])
    assert not out[[0, 2]].any()


def test_an_image_that_does_not_fit_its_padding_is_refused() -> None:
    preprocessor = Preprocessor.load({**VIT, "do_resize": False, "do_pad": True, "pad_size": 32})
    assert (preprocessor.height, preprocessor.width) == (32, 32)
    assert preprocessor([image(32, 5), image(1, 32)]).shape == (2, 3, 32, 32)
    with pytest.raises(ValueError, match="33x5 would become 33x5: that does not fit into pad_size"):
        preprocessor([image(33, 5)])


def test_threads_may_share_a_preprocessor() -> None:
    images = [image(300, 200, seed) for seed in range(16)]
    preprocessor = Preprocessor.load({**VIT, "size": 64})
    expected = preprocessor(images)
    out = np.empty_like(expected)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(preprocessor.into, images, out))
    assert np.array_equal(out, expected)


def test_outputs_of_different_sizes_are_refused() -> None:
    shortest = Preprocessor.load({**VIT, "size": {"shortest_edge": 16}})
    with pytest.raises(ValueError, match="without size, crop_size or pad_size it follows"):
        shortest([image(20, 30), image(30, 20)])
    assert shortest([image(20, 30), image(40, 60)]).shape == (2, 3, 16, 24)
    with pytest.raises(ValueError, match="depends on the image"):
        _ = shortest.height
    with pytest.raises(ValueError, match="no image"):
        shortest([])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"shape \(height, width, 3\) and dtype uint8, got \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"got \(4, 4, 4\) of uint8"),
        (np.zeros((4, 4, 3), np.float32), r"got \(4, 4, 3\) of float32"),
        (np.zeros((0, 4, 3), np.uint8), "sides from 1 to"),
        (np.zeros((4, 0, 3), np.uint8), "sides from 1 to"),
        (np.zeros((4, 8, 3), np.uint8)[:, ::2], "C-contiguous"),
        (np.zeros((3, 4, 4), np.uint8).transpose(1, 2, 0), "C-contiguous"),
        (np.zeros((4, 4, 3), np.uint8)[::-1], "C-contiguous"),
    ],
)
def test_an_array_that_is_no_image_is_refused(bad: Any, message: str) -> None:
    preprocessor = Preprocessor.load({**VIT, "size": 8})
    with pytest.raises(ValueError, match=message):
        preprocessor([image(), bad])
    with pytest.raises(ValueError, match=message):
        preprocessor.into(bad, np.empty((3, 8, 8), np.float32))
    with pytest.raises(ValueError, match=message):
        _core.resize(bad, 8, 8, 2)


def test_a_place_that_does_not_fit_is_refused() -> None:
    preprocessor = Preprocessor.load({**VIT, "size": 8})
    read_only = np.empty((3, 8, 8), np.float32)
    read_only.flags.writeable = False
    places = [
        np.empty((3, 8, 9), np.float32),
        np.empty((3, 8, 8), np.float64),
        np.empty((3, 8, 8), np.uint16),
        np.empty((3, 8, 8), ">f2"),
        np.empty((1, 3, 8, 8), np.float32),
        np.empty((3, 8, 16), np.float32)[:, :, ::2],
        np.frombuffer(bytearray(3 * 8 * 8 * 4 + 1), np.float32, offset=1).reshape(3, 8, 8),
        read_only,
    ]
    for place in places:
        with pytest.raises(ValueError, match="out must be"):
            preprocessor.into(image(), place)


def test_the_core_checks_its_arguments() -> None:
    for size in ((0, 8), (8, -1), (8, 1 << 17), (1 << 62, 1 << 62)):
        with pytest.raises(ValueError, match="must be from 1 to 65536"):
            _core.resize(image(), *size, 2)
    with pytest.raises(ValueError, match="resample"):
        _core.resize(image(), 8, 8, 6)
    with pytest.raises(ValueError, match="pass_order must be one of 'horizontal_first'"):
        Preprocessor.load(VIT, pass_order="pillow")
    with pytest.raises(ValueError, match="threads must be at least 1"):
        Preprocessor.load(VIT)([image()], threads=0)
    with pytest.raises(ValueError, match="dtype must be float32 or float16, got float64"):
        Preprocessor.load(VIT)([image()], dtype="float64")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="padding must be one of 'after', 'around', got 'left'"):
        _core.Recipe(padding="left")
    with pytest.raises(ValueError, match="exclude each other"):
        _core.Recipe(size=(8, 8), shortest_edge=8)
