"""The faults that other captioners are known for, each with the test that it is none of ours: with
the embedded model, and from files to files where files matter."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from beamcap import (
    Caption,
    Captioner,
    CaptionError,
    GenerationOptions,
    ImageInput,
    Preprocessor,
    _core,
)
from beamcap.cli import main
from beamcap.options import OPTIONS

A, DOG = 67, 291  # token ids of "a" and " dog" in beamcap-small


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return Captioner.load()


class Run(NamedTuple):
    """What the command line made of a folder: records by the name of the file."""

    captions: dict[str, dict[str, Any]]
    errors: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def run(
    photos: dict[str, bytes],
    broken_files: dict[str, bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """Of photos with broken files before, between and behind them, a folder and a dead link."""
    folder = tmp_path_factory.mktemp("images")
    # By name: broken, good, good, broken, good, ... and batches of three.
    names = zip(["a", "cb", "cf", "d", "z"], broken_files.values(), strict=True)
    for name, data in {**dict(names), **photos}.items():
        (folder / name).write_bytes(data)
    (folder / "b").mkdir()
    (folder / "y").symlink_to(folder / "nowhere")
    output = folder.parent / "captions.jsonl"
    assert main(["--input", f"{folder}/*", "--output", str(output), "--batch_size=3"]) == 0
    records = [
        {Path(record["uri"]).name: record for record in map(json.loads, path.open())}
        for path in (output, Path(f"{output}.errors.jsonl"))
    ]
    return Run(*records)


def captions_of(
    captioner: Captioner, images: list[Any], **options: Any
) -> list[Caption | CaptionError]:
    return captioner.caption(images, GenerationOptions(**options))


def test_captions_given_to_the_wrong_images(
    captioner: Captioner, photos: dict[str, bytes], run: Run
) -> None:
    assert set(run.captions) == set(photos)
    alone = {name: captioner.caption([data])[0] for name, data in photos.items()}
    assert len({result[2] for result in alone.values()}) == len(photos), "a mix-up would show"
    for name, expected in alone.items():
        assert isinstance(expected, Caption)
        assert run.captions[name]["caption"] == expected.caption


def test_a_black_image_captioned_in_place_of_a_bad_one(run: Run) -> None:
    for name in ("a", "cb", "cf", "d", "z"):
        assert name not in run.captions
        assert run.errors[name]["stage"] in ("read", "decode")
        assert run.errors[name]["reason"] and run.errors[name]["message"]


def test_a_failed_read_that_leaves_a_log_line_only(run: Run) -> None:
    failed = {name: (run.errors[name]["stage"], run.errors[name]["reason"]) for name in "by"}
    assert failed == {"b": ("read", "is_directory"), "y": ("read", "not_found")}


def test_a_model_whose_captions_change_with_their_batch(many_photos: list[bytes]) -> None:
    images = [ImageInput(str(i), "", data) for i, data in enumerate(many_photos[:13])]
    shuffled = random.Random(3).sample(images, len(images))
    for options in ({}, {"num_beams": 1}, {"num_beams": 1, "do_sample": True}):
        found = []
        for batch_size, given in ((1, images), (5, images), (13, shuffled)):
            results = captions_of(Captioner.load(batch_size=batch_size), given, **options)
            found.append({result.key: result[4] for result in results})
        assert found[0] == found[1] == found[2]


def test_a_seed_that_makes_every_draw_the_same(
    captioner: Captioner, photos: dict[str, bytes]
) -> None:
    copies = [ImageInput(f"copy {i}", "", photos["coffee"]) for i in range(8)]
    sampling = {"do_sample": True, "num_beams": 1, "num_return_sequences": 4}
    first, second = (captions_of(captioner, copies, **sampling, seed=seed) for seed in (1, 2))
    for results in (first, second):
        assert len({result[2] for result in results}) > 4, "images draw alike"
        for result in results:
            assert isinstance(result, Caption)
            assert len({each.caption for each in result.candidates}) > 1, "sequences draw alike"
    assert [r[2] for r in first] != [r[2] for r in second], "seeds draw alike"
    assert captions_of(captioner, copies, **sampling, seed=1) == first, "the seed has no effect"


def test_a_length_penalty_wired_to_another_option(
    captioner: Captioner, photos: dict[str, bytes]
) -> None:
    images = list(photos.values())
    for length_penalty in (0.0, 0.5, 3.0):
        for repetition_penalty in (1.0, 2.0):
            results = captions_of(
                captioner,
                images,
                num_beams=1,
                length_penalty=length_penalty,
                repetition_penalty=repetition_penalty,
                output_token_log_probs=True,
            )
            for result in results:
                assert isinstance(result, Caption)
                divisor = len(result.token_ids) ** length_penalty
                assert result.score == pytest.approx(sum(result.token_log_probs) / divisor)
    short, long = (
        sum(len(result[4]) for result in captions_of(captioner, images, length_penalty=penalty))
        for penalty in (-5.0, 5.0)
    )
    assert short < long


def test_resizing_without_antialiasing(captioner: Captioner) -> None:
    # Of lines a pixel wide, a reduction that skips pixels sees some in full, or none at all.
    rows, columns = np.indices((1344, 1344))
    size = 224
    preprocessor = Preprocessor.load(captioner.bundle.preprocessor_config)
    for pattern in (rows, columns, rows + columns):
        pixels = np.repeat(255 * (pattern % 2)[..., None], 3, axis=2).astype(np.uint8)
        prepared = preprocessor([pixels])
        assert prepared.shape == (1, 3, size, size)
        inside = prepared[..., 4:-4, 4:-4]
        assert np.ptp(inside) < 0.05, "black to white is about 2 to 4"


SAMPLING = {"num_beams": 1, "do_sample": True}
SHOWING: dict[str, tuple[Any, dict[str, Any]]] = {
    # option: a value that has to show, and what else is set, with it and without
    "num_beams": (4, {}),
    "num_return_sequences": (3, {}),
    "max_length": (6, {}),
    "max_new_tokens": (4, {}),
    "min_length": (25, {}),
    "min_new_tokens": (20, {}),
    "length_penalty": (-3.0, {}),
    "early_stopping": ("never", {"num_beams": 2, "length_penalty": 4.0}),
    "repetition_penalty": (3.0, {}),
    "no_repeat_ngram_size": (1, {}),
    "sequence_bias": ([[[A], -50.0]], {}),
    "bad_words_ids": ([[A]], {}),
    "forced_bos_token_id": (DOG, {}),
    "forced_eos_token_id": (DOG, {"max_new_tokens": 4}),
    "exponential_decay_length_penalty": ((1, 1.5), {"num_beams": 1}),
    "suppress_tokens": ([A], {}),
    "begin_suppress_tokens": ([A], {}),
    "renormalize_logits": (True, {"repetition_penalty": 2.0}),
    "stop_strings": (" ", {}),
    "do_sample": (True, {"num_beams": 1}),
    "temperature": (9.0, SAMPLING),
    "top_k": (2, SAMPLING),
    "top_p": (0.1, SAMPLING),
    "min_p": (0.9, SAMPLING),
    "typical_p": (0.1, SAMPLING),
    "epsilon_cutoff": (0.2, SAMPLING),
    "eta_cutoff": (0.5, SAMPLING),
    "seed": (1, SAMPLING),
    "prompt": ("a dog", {}),
    "strip_prompt": (True, {"prompt": "a dog"}),
    "output_token_log_probs": (True, {}),
}


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "remove_invalid_values"])
def test_options_accepted_and_ignored(
    captioner: Captioner, photos: dict[str, bytes], name: str
) -> None:
    value, others = SHOWING[name]
    images = list(photos.values())
    without = captions_of(captioner, images, **others)
    assert captions_of(captioner, images, **others, **{name: value}) != without


class _IllDecoder(_core.Decoder):
    """Gives NaN for the first of four tokens."""

    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.array([[np.nan, -1, -2, -3]] * len(tokens), np.float32)


@pytest.mark.parametrize("remove_invalid_values", [True, False])
def test_remove_invalid_values_accepted_and_ignored(remove_invalid_values: bool) -> None:
    options = GenerationOptions(remove_invalid_values=remove_invalid_values, max_new_tokens=1)
    (result,) = _core.search(_IllDecoder(), 1, [0], _core.Options(**options.search_arguments(1)))
    if remove_invalid_values:
        assert [found.tokens for found in result.hypotheses] == [[0]]
    else:
        assert result.error is not None and "NaN" in result.error
