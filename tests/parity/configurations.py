"""Random search configurations and the images they caption: what both sides of a parity test read.

Needs numpy only. Everything is a function of seeds, and stays so across versions: Python's
`random.Random` and the raw stream of numpy's PCG64 are guaranteed, numpy's distributions are not.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

IMAGE_SIZE = 16
MAX_NEW_TOKENS = 40


class Configuration(NamedTuple):
    """One call of generate()."""

    image_seed: int
    images: int
    prompt: list[int]
    """The start token, then up to three forced ids."""
    options: dict[str, Any]
    """Keyword arguments of generate(), by transformers' names; eos_token_id is a list, and lists
    stand for tuples, as in JSON."""


class Vocabulary(NamedTuple):
    """What a configuration must know of its model's tokens."""

    size: int
    start: int
    eos: list[int]
    """Ids that the model emits now and then, so that captions end at different lengths."""
    samples: list[list[int]]
    """Captions of the model, without an end: what an option forbids or favours must be something
    that the model writes, or the option changes nothing."""


def word(token: int) -> str:
    """What a token is written as; words are joined by spaces."""
    return f"w{token}"


def draw(rng: random.Random, vocabulary: Vocabulary) -> Configuration:
    """Draws a configuration whose captions have at most MAX_NEW_TOKENS ids."""
    num_beams = rng.choice([1, 2, 3, 4, 5])
    prompt = [vocabulary.start] + [rng.randrange(vocabulary.size) for _ in range(_prompt_tail(rng))]
    options: dict[str, Any] = {
        "num_beams": num_beams,
        "num_return_sequences": rng.choice([num_beams, rng.randint(1, num_beams)]),
        "early_stopping": rng.choice([False, True, "never"]),
        "length_penalty": rng.choice([1.0, 1.0, 2.0, 0.0, -1.0, round(rng.uniform(-1, 2.5), 2)]),
        "eos_token_id": rng.sample(vocabulary.eos, rng.randint(1, len(vocabulary.eos))),
        **_length_limits(rng, len(prompt)),
    }
    source = _Source(rng, vocabulary, prompt)
    for name, (share, draw_value) in PROCESSORS.items():
        if rng.random() < share:
            options[name] = draw_value(source)
    if rng.random() < 0.1:
        options |= _rare_stop(rng, vocabulary)
    if rng.random() < 0.05:
        options |= _revived_eos(rng, options["eos_token_id"])
    _settle(options)
    return Configuration(rng.getrandbits(32), rng.randint(1, 4), prompt, options)


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


class _Source(NamedTuple):
    """What the value of an option is drawn from."""

    rng: random.Random
    vocabulary: Vocabulary
    prompt: list[int]

    def ngram(self, least: int = 1) -> list[int]:
        """`least` to three ids that the model writes in a row, or that may follow the prompt."""
        written = self.rng.choice(self.vocabulary.samples)
        if self.rng.random() < 0.2:
            written = self.prompt + written
        length = self.rng.randint(least, 3)
        begin = self.rng.randint(0, len(written) - length)
        return written[begin : begin + length]

    def tokens(self, most: int) -> list[int]:
        """One to `most` ids that the model writes."""
        return [self.ngram()[0] for _ in range(self.rng.randint(1, most))]

    def first_tokens(self) -> list[int]:
        """Ids that captions without a prompt begin with, and others."""
        firsts = [self.rng.choice(self.vocabulary.samples)[0] for _ in range(4)]
        return firsts + self.tokens(most=6)


def _sequence_bias(source: _Source) -> list[list[Any]]:
    count = source.rng.randint(1, 6)
    return [[source.ngram(), round(source.rng.uniform(-6, 6), 2)] for _ in range(count)]


def _bad_words(source: _Source) -> list[list[int]]:
    words = [source.ngram(least=2)]  # first, as the reference refuses words that are all EOS
    words += [source.ngram() for _ in range(source.rng.randint(0, 4))]
    if source.rng.random() < 0.3:
        words.append([source.rng.choice(source.vocabulary.eos)])
    return words


def _forced_eos(source: _Source) -> list[int]:
    either = source.rng.choice([source.vocabulary.eos, range(source.vocabulary.size)])
    return source.rng.sample(either, source.rng.randint(1, 2))


def _exponential_decay(source: _Source) -> list[float]:
    factor = source.rng.choice([source.rng.uniform(0.5, 0.98), source.rng.uniform(1.02, 1.4)])
    return [source.rng.randint(0, 8), round(factor, 2)]


def _stop_strings(source: _Source) -> list[str]:
    return [_stop_string(source) for _ in range(source.rng.randint(1, 3))]


def _stop_string(source: _Source) -> str:
    """A text of the model: it may begin within a word and, if it is of several, end within one."""
    words = [word(token) for token in source.ngram()]
    text = " ".join(["", *words])[source.rng.randint(0, 2) :]
    return text[:-1] if len(words) > 1 and source.rng.random() < 0.3 else text


PROCESSORS: dict[str, tuple[float, Callable[[_Source], Any]]] = {
    # name: how often it is drawn, and how
    "repetition_penalty": (0.3, lambda source: round(source.rng.uniform(0.6, 2.0), 2)),
    "no_repeat_ngram_size": (0.3, lambda source: source.rng.randint(1, 3)),
    "sequence_bias": (0.2, _sequence_bias),
    "bad_words_ids": (0.2, _bad_words),
    "forced_bos_token_id": (0.15, lambda source: source.rng.randrange(source.vocabulary.size)),
    "forced_eos_token_id": (0.2, _forced_eos),
    "exponential_decay_length_penalty": (0.2, _exponential_decay),
    "suppress_tokens": (0.2, lambda source: source.tokens(most=8)),
    "begin_suppress_tokens": (0.2, _Source.first_tokens),
    "remove_invalid_values": (0.1, lambda source: True),
    "renormalize_logits": (0.2, lambda source: True),
    "stop_strings": (0.15, _stop_strings),
}


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


def _revived_eos(rng: random.Random, eos: list[int]) -> dict[str, Any]:
    """Options with which the last token may be an EOS although that is banned: a ban that
    remove_invalid_values has made finite, and the length penalty doubles, is a score of 0."""
    start = rng.randint(0, 6)
    return {
        "eos_token_id": eos[:1],  # several would tie
        "forced_eos_token_id": [],
        "min_new_tokens": start + 2,
        "max_new_tokens": start + 2,
        "exponential_decay_length_penalty": [start, 2.0],
        "remove_invalid_values": True,
    }


def _settle(options: dict[str, Any]) -> None:
    """Takes away what the reference refuses, and what it leaves to chance."""
    forced_eos = options.pop("forced_eos_token_id", [])
    if options["num_beams"] > 1:
        forced_eos = forced_eos[:1]  # all of them score 0: a tie
    forced = {options.get("forced_bos_token_id"), *forced_eos}
    suppressed = sorted(set(options.pop("suppress_tokens", [])) - forced)
    options |= {"forced_eos_token_id": forced_eos} if forced_eos else {}
    options |= {"suppress_tokens": suppressed} if suppressed else {}


def _prompt_tail(rng: random.Random) -> int:
    return rng.choice([0, 0, 0, 1, 2, 3])


def _length_limits(rng: random.Random, prompt: int) -> dict[str, int]:
    limits: dict[str, int] = {}
    longest = 20
    kind = rng.choice(["max_length", "max_new_tokens", "default"])
    if kind != "default":
        longest = rng.randint(1, MAX_NEW_TOKENS)
        limits[kind] = longest + (prompt if kind == "max_length" else 0)
    if rng.random() < 0.25:
        limits["min_length"] = rng.randint(0, longest + prompt)
    if rng.random() < 0.25:
        limits["min_new_tokens"] = rng.randint(0, longest)
    return limits
