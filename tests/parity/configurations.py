"""Random search configurations and the images they caption: what both sides of a parity test read.

Needs numpy only. Everything is a function of seeds, and stays so across versions: Python's
`random.Random` and the raw stream of numpy's PCG64 are guaranteed, numpy's distributions are not.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

IMAGE_SIZE = 16
MAX_LENGTH = 24


class Configuration(NamedTuple):
    """One call of generate()."""

    image_seed: int
    images: int
    prompt: list[int]
    """The start token, then up to three forced ids."""
    options: dict[str, Any]
    """Keyword arguments of generate(), by transformers' names; eos_token_id is a list."""


class Vocabulary(NamedTuple):
    """What a configuration must know of its model's tokens."""

    size: int
    start: int
    eos: list[int]
    """Ids that the model emits now and then, so that captions end at different lengths."""


def draw(rng: random.Random, vocabulary: Vocabulary) -> Configuration:
    """Draws a configuration whose captions have at most MAX_LENGTH ids, prompt included."""
    num_beams = rng.choice([1, 2, 3, 4, 5])
    prompt = [vocabulary.start] + [rng.randrange(vocabulary.size) for _ in range(_prompt_tail(rng))]
    options: dict[str, Any] = {
        "num_beams": num_beams,
        "num_return_sequences": rng.choice([num_beams, rng.randint(1, num_beams)]),
        "early_stopping": rng.choice([False, True, "never"]),
        "length_penalty": rng.choice([1.0, 1.0, 0.0, -1.0, 2.0, round(rng.uniform(-2, 2.5), 2)]),
        "eos_token_id": rng.sample(vocabulary.eos, rng.randint(1, len(vocabulary.eos))),
        **_length_limits(rng, len(prompt)),
    }
    if rng.random() < 0.3:
        options["repetition_penalty"] = round(rng.uniform(0.6, 2.0), 2)
    if rng.random() < 0.3:
        options["no_repeat_ngram_size"] = rng.randint(1, 3)
    if rng.random() < 0.2:
        options |= _rare_stop(rng, vocabulary)
    return Configuration(rng.getrandbits(32), rng.randint(1, 6), prompt, options)


def images(configuration: Configuration) -> npt.NDArray[np.uint8]:
    """The configuration's images: uniform noise, [N, IMAGE_SIZE, IMAGE_SIZE, 3] RGB."""
    raw = np.random.PCG64(configuration.image_seed)
    count = configuration.images * IMAGE_SIZE * IMAGE_SIZE * 3
    shape = (configuration.images, IMAGE_SIZE, IMAGE_SIZE, 3)
    return (raw.random_raw(count) >> np.uint64(56)).astype(np.uint8).reshape(shape)


def pixel_values(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """[N, H, W, 3] -> [N, 3, H, W], rescaled by 1/255 and normalised with mean .5 and std .5."""
    scaled = rgb.astype(np.float32) * np.float32(1 / 255)
    normalised = (scaled - np.float32(0.5)) / np.float32(0.5)
    return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))


def _rare_stop(rng: random.Random, vocabulary: Vocabulary) -> dict[str, Any]:
    """Options with which a search that bounds "never" by the longest length, whatever the sign of
    length_penalty, stops too early: by chance alone, hardly one case in a set would tell."""
    num_beams = rng.randint(2, 5)
    return {
        "num_beams": num_beams,
        "num_return_sequences": num_beams,
        "early_stopping": "never",
        "length_penalty": rng.choice([-1.0, -0.5, -0.2]),
        "eos_token_id": vocabulary.eos,
        "min_new_tokens": 0,
    }


def _prompt_tail(rng: random.Random) -> int:
    return rng.choice([0, 0, 0, 1, 2, 3])


def _length_limits(rng: random.Random, prompt: int) -> dict[str, int]:
    limits: dict[str, int] = {}
    longest = min(20 + prompt, MAX_LENGTH)
    kind = rng.choice(["max_length", "max_new_tokens", "default"])
    if kind != "default":
        longest = max(rng.randint(prompt + 1, MAX_LENGTH) for _ in range(2))
        limits[kind] = longest - (prompt if kind == "max_new_tokens" else 0)
    if rng.random() < 0.25:
        limits["min_length"] = rng.randint(0, longest)
    if rng.random() < 0.25:
        limits["min_new_tokens"] = rng.randint(0, longest - prompt)
    return limits
