"""Greedy and beam search, slow and plain: the numbered steps of csrc/search/beam.h in float32.

A whole batch runs until its last image is through, finished images frozen by penalties, as in the
reference; the core instead lets them leave the batch. The two must agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
LogitsOf = Callable[[int, tuple[int, ...]], Floats]
"""Logits [vocabulary] of the next token of an image after these tokens, prompt included."""

NEG = np.float32(-1e9)
INFINITY = np.float32(np.inf)


@dataclass(frozen=True)
class Settings:
    """What beamcap._core.Options holds, under the same names."""

    num_beams: int = 1
    num_return_sequences: int = 1
    max_length: int = 20
    min_length: int = 0
    min_new_tokens: int = 0
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    eos_token_ids: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """A hypothesis."""

    tokens: list[int]
    score: float
    finish_reason: str


class NearTieError(Exception):
    """Two scores are so close that rounding may order them either way."""


def log_softmax(logits: Floats) -> Floats:
    """[vocabulary] -> the same; the sum in double precision, the rest as float32."""
    top = logits.max()
    with np.errstate(under="ignore"):
        total = np.exp(logits.astype(np.float64) - float(top)).sum()
    normalised: Floats = (logits - top) - np.float32(np.log(total))
    return normalised


def process(scores: Floats, tokens: tuple[int, ...], prompt: int, settings: Settings) -> Floats:
    """The scores [vocabulary] after penalties and bans."""
    scores = scores.copy()
    penalty = np.float32(settings.repetition_penalty)
    for token in set(tokens):
        score = scores[token]
        scores[token] = score * penalty if score < 0 else score / penalty
    n, c = settings.no_repeat_ngram_size, len(tokens)
    if 0 < n <= c:
        last = tokens[c - n + 1 :]
        for begin in range(c - n + 1):
            if tokens[begin : begin + n - 1] == last:
                scores[tokens[begin + n - 1]] = -INFINITY
    least = prompt + settings.min_new_tokens if settings.min_new_tokens else settings.min_length
    if c < least:
        scores[settings.eos_token_ids] = -INFINITY
    return scores


def best(scores: Floats, count: int) -> list[int]:
    """Places of the `count` greatest, in order; the smaller place first among equals."""
    order = np.argsort(-scores, kind="stable")
    for one, next_one in pairwise(order[: count + 1]):
        check_apart(scores[one], scores[next_one])
    return [int(place) for place in order[:count]]


def check_apart(one: np.float32, other: np.float32) -> None:
    """Raises NearTieError for scores that differ, but by no more than a few roundings."""
    ordinary = np.isfinite(one) and np.isfinite(other) and abs(one) < 1e6
    if ordinary and one != other and abs(one - other) < 3e-5 * max(1.0, abs(one)):
        raise NearTieError


def greedy(logits_of: LogitsOf, image: int, prompt: list[int], settings: Settings) -> list[Found]:
    """The hypothesis of one image; none if every token is impossible."""
    tokens = tuple(prompt)
    log_probability = 0.0
    while True:
        logits = logits_of(image, tokens)
        scores = process(logits, tokens, len(prompt), settings)
        (token,) = best(scores, 1)
        if scores[token] == -INFINITY:
            return []
        tokens += (token,)
        log_probability += float(log_softmax(logits)[token])
        if token in settings.eos_token_ids or len(tokens) >= settings.max_length:
            return [found(tokens, log_probability, prompt, settings, divide=True)]


def found(
    tokens: tuple[int, ...], score: float, prompt: list[int], settings: Settings, divide: bool
) -> Found:
    generated = list(tokens[len(prompt) :])
    if divide:
        score /= len(generated) ** settings.length_penalty
    return Found(generated, score, "eos" if generated[-1] in settings.eos_token_ids else "length")


@dataclass
class Image:
    """The state of one image of a beam search."""

    live: list[tuple[int, ...]]
    scores: Floats
    slots: list[tuple[int, ...]]
    values: Floats
    done: list[bool]
    improvable: bool = True
    all_stopped: bool = False


def beam(
    logits_of: LogitsOf, images: int, prompt: list[int], settings: Settings
) -> list[list[Found]]:
    """The hypotheses of each image; none where no continuation is possible."""
    count = settings.num_beams
    batch = [
        Image(
            live=[tuple(prompt)] * count,
            scores=np.array([0.0] + [NEG] * (count - 1), np.float32),
            slots=[()] * count,
            values=np.full(count, NEG, np.float32),
            done=[False] * count,
        )
        for _ in range(images)
    ]
    length = len(prompt)
    while True:
        for index, image in enumerate(batch):
            beam_step(logits_of, index, image, length, prompt, settings)
        length += 1
        full = settings.early_stopping is True and all(all(image.done) for image in batch)
        if (
            full
            or not any(image.improvable for image in batch)
            or all(image.all_stopped for image in batch)
        ):
            break
    return [
        [
            found(image.slots[i], float(image.values[i]), prompt, settings, divide=False)
            for i in [i for i in range(count) if image.done[i]][: settings.num_return_sequences]
        ]
        for image in batch
    ]


def beam_step(
    logits_of: LogitsOf,
    index: int,
    image: Image,
    length: int,
    prompt: list[int],
    settings: Settings,
) -> None:
    """Steps 1 to 7 of one image."""
    count = settings.num_beams
    # 1
    rows = [
        process(log_softmax(logits_of(index, tokens)), tokens, len(prompt), settings) + score
        for tokens, score in zip(image.live, image.scores, strict=True)
    ]
    # 2
    flat = np.concatenate(rows)
    order = best(flat, max(2, 1 + len(settings.eos_token_ids)) * count)
    candidates = [(*image.live[i // len(rows[0])], i % len(rows[0])) for i in order]
    scores = flat[order]
    # 3
    stops = np.array(
        [c[-1] in settings.eos_token_ids or length + 1 >= settings.max_length for c in candidates]
    )
    # 4
    shifted = np.where(stops, scores + NEG, scores)
    live = best(shifted, count)
    # 5
    values = scores / np.float32((length + 1 - len(prompt)) ** settings.length_penalty)
    finished = stops & (np.arange(len(candidates)) < count)
    for freezing in (
        settings.early_stopping is True and all(image.done),
        not image.improvable,
        ~finished,
    ):
        values = np.where(freezing, values + NEG, values)
    values = np.concatenate([image.values, values])
    kept = best(values, count)
    slots = [*image.slots, *candidates]
    done = [*image.done, *finished.tolist()]
    image.slots, image.values = [slots[i] for i in kept], values[kept]
    image.done = [done[i] for i in kept]
    # 6
    image.live, image.scores = [candidates[i] for i in live], shifted[live]
    image.all_stopped = bool(stops.all())
    # 7
    reach = length + 1 - len(prompt)
    if settings.early_stopping == "never" and settings.length_penalty > 0:
        reach = settings.max_length - len(prompt)
    attainable = image.scores[0] / np.float32(reach**settings.length_penalty)
    least = image.values.min()
    worst = [least if slot_done else NEG for slot_done in image.done]
    if image.improvable:
        for value in worst:
            check_apart(attainable, value)
    image.improvable &= any(attainable > value for value in worst)
