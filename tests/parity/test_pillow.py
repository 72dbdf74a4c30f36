"""Pixels against the installed Pillow: not one byte may differ."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pillow_reference as reference
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from beamcap import _core

FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]


def noise(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Noise with plenty of black and white, so that the filters' overshoot is clipped."""
    random = np.random.default_rng([height, width, seed])
    image = random.integers(-100, 356, (height, width, 3)).clip(0, 255)
    return image.astype(np.uint8)


photo_sides = st.integers(100, 700)
small_sides = st.integers(1, 40)
ordinary = st.tuples(photo_sides, photo_sides)
tiny = st.tuples(small_sides, small_sides)
flat = st.tuples(st.integers(1, 3), st.integers(500, 5000))
tall = st.tuples(st.integers(200, 5000), st.integers(1, 6))
shapes = st.one_of(ordinary, ordinary, tiny, flat, tall)
targets = st.one_of(
    st.tuples(st.integers(1, 300), st.integers(1, 300)), st.just((224, 224)), st.just((384, 384))
)


@settings(max_examples=500, deadline=None)
@given(shape=shapes, target=targets, seed=st.integers(0, 3))
@example(shape=(427, 640), target=(224, 224), seed=0)
@example(shape=(640, 427), target=(224, 224), seed=0)
@example(shape=(640, 427), target=(384, 384), seed=0)
@example(shape=(1, 3000), target=(224, 224), seed=0)
@example(shape=(5000, 3), target=(224, 224), seed=0)
@example(shape=(5000, 3), target=(5000, 224), seed=0)
@example(shape=(300, 3), target=(200, 224), seed=0)  # Pillow 12.2's rule, just before
@example(shape=(301, 3), target=(200, 224), seed=0)  # and after
@example(shape=(30, 20), target=(10, 10), seed=0)  # Pillow 13's rule, just before
@example(shape=(31, 20), target=(10, 10), seed=0)  # and after
@example(shape=(1, 1), target=(300, 200), seed=0)
@example(shape=(224, 500), target=(224, 224), seed=0)
@example(shape=(500, 224), target=(224, 224), seed=0)
def test_resize_is_pillows(shape: tuple[int, int], target: tuple[int, int], seed: int) -> None:
    image = noise(*shape, seed)
    for name, code in FILTERS.items():
        expected = reference.resize(image, *target, code)
        actual = _core.resize(image, *target, code, reference.installed_pass_order())
        differing = int((expected != actual).sum())
        assert differing == 0, f"{differing} bytes differ with {name}"


@settings(max_examples=60, deadline=None)
@given(shape=shapes, target=targets)
def test_by_default_the_horizontal_pass_is_first(
    shape: tuple[int, int], target: tuple[int, int]
) -> None:
    image = noise(*shape)
    for code in FILTERS.values():
        expected = reference.resize_horizontal_first(image, *target, code)
        assert np.array_equal(_core.resize(image, *target, code), expected)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.one_of(ordinary, tiny),
    edge=st.integers(1, 260),
    crop=st.tuples(st.integers(1, 260), st.integers(1, 260)),
    resample=st.sampled_from([0, 1, 2, 3]),
)
def test_shortest_edge_crop_and_normalise(
    shape: tuple[int, int], edge: int, crop: tuple[int, int], resample: int
) -> None:
    image = noise(*shape)
    resized = reference.resize_horizontal_first(
        image, *reference.shortest_edge(image, edge), resample
    )
    cropped = reference.center_crop(resized, *crop)
    expected = reference.normalize(cropped, 1 / 255, CLIP_MEAN, CLIP_STD)
    recipe = _core.Recipe(
        shortest_edge=edge,
        crop_size=crop,
        resample=resample,
        image_mean=CLIP_MEAN,
        image_std=CLIP_STD,
    )
    assert np.array_equal(_core.preprocess([image], recipe)[0], expected)


@settings(max_examples=80, deadline=None)
@given(
    shape=st.one_of(ordinary, tiny),
    frame=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    resample=st.sampled_from([1, 2, 3]),
    around=st.booleans(),
)
def test_thumbnail_and_padding(
    shape: tuple[int, int], frame: tuple[int, int], resample: int, around: bool
) -> None:
    """The shorter edge to the frame's shorter side, shrunk into the frame, and padded to it."""
    image = noise(*shape)
    size = reference.shortest_edge(image, min(frame))
    small = reference.thumbnail(size, *frame)
    assume(min(small) > 0)
    resized = reference.resize_horizontal_first(image, *size, resample)
    resized = reference.resize_horizontal_first(resized, *small, resample)
    top, left = (
        (want - have) // 2 if around else 0 for want, have in zip(frame, small, strict=True)
    )
    place = (slice(None), slice(top, top + small[0]), slice(left, left + small[1]))
    black = reference.normalize(np.zeros((*frame, 3), np.uint8), 1 / 255, CLIP_MEAN, CLIP_STD)
    expected = black if around else np.zeros_like(black)
    expected[place] = reference.normalize(resized, 1 / 255, CLIP_MEAN, CLIP_STD)
    recipe = _core.Recipe(
        shortest_edge=min(frame),
        thumbnail=frame,
        pad_size=frame,
        padding="around" if around else "after",
        resample=resample,
        image_mean=CLIP_MEAN,
        image_std=CLIP_STD,
    )
    assert np.array_equal(_core.preprocess([image], recipe)[0], expected)


@pytest.mark.parametrize("factor", [1 / 255, 1 / 127.5, 0.00392156862745098, 1.0, -2.5])
@pytest.mark.parametrize("mean", [[0.485, 0.456, 0.406], [0.0, -1.0, 127.5]])
def test_every_value_of_a_pixel_normalises_to_the_same_float(
    factor: float, mean: list[float]
) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    std = [0.229, 0.224, 0.225]
    recipe = _core.Recipe(rescale_factor=factor, image_mean=mean, image_std=std)
    expected = reference.normalize(ramp, factor, mean, std)
    assert np.array_equal(_core.preprocess([ramp], recipe)[0], expected)
