"""Greedy search, sampling and beam search, slow and plain: csrc/search in float32.

Rules are worked out on whole rows and texts on whole strings: none of the core's ways to be quick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

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
    sequence_bias: list[tuple[list[int], float]] = field(default_factory=list)
    bad_words_ids: list[list[int]] = field(default_factory=list)
    forced_bos_token_id: int | None = None
    forced_eos_token_ids: list[int] = field(default_factory=list)
    remove_invalid_values: bool = False
    exponential_decay_length_penalty: tuple[int, float] | None = None
    suppress_tokens: list[int] = field(default_factory=list)
    begin_suppress_tokens: list[int] = field(default_factory=list)
    renormalize_logits: bool = False
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    epsilon_cutoff: float = 0.0
    eta_cutoff: float = 0.0


@dataclass(frozen=True)
class Problem:
    """What is searched."""

    logits_of: LogitsOf
    prompt: list[int]
    settings: Settings
    stop_strings: list[str] = field(default_factory=list)
    token_texts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """A hypothesis."""

    tokens: list[int]
    score: float
    finish_reason: str
    token_log_probs: list[float]


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
    """The scores [vocabulary] after every rule that the settings ask for."""
    scores = scores.copy()
    with np.errstate(invalid="ignore", over="ignore"):
        penalise_and_ban(scores, tokens, prompt, settings)
        force(scores, len(tokens), settings)
        if settings.remove_invalid_values:
            scores = np.nan_to_num(scores, nan=0.0)
        decay(scores, len(tokens) - prompt, settings)
        scores[settings.suppress_tokens] = -INFINITY
        begin = 2 if prompt == 1 and settings.forced_bos_token_id is not None else prompt
        if len(tokens) == begin:
            scores[settings.begin_suppress_tokens] = -INFINITY
        if settings.do_sample:
            scores = warp(scores, settings)
    if settings.renormalize_logits and np.isfinite(scores.max()):
        scores = log_softmax(scores)
    return scores


def penalise_and_ban(
    scores: Floats, tokens: tuple[int, ...], prompt: int, settings: Settings
) -> None:
    add_biases(scores, tokens, settings.sequence_bias)
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
    words = [
        word for word in settings.bad_words_ids if word not in [[e] for e in settings.eos_token_ids]
    ]
    add_biases(scores, tokens, [(word, -np.inf) for word in words])
    least = prompt + settings.min_new_tokens if settings.min_new_tokens else settings.min_length
    if c < least:
        scores[settings.eos_token_ids] = -INFINITY


def add_biases(
    scores: Floats, tokens: tuple[int, ...], biases: Sequence[tuple[list[int], float]]
) -> None:
    sums = np.zeros_like(scores)
    for (*before, last), bias in biases:
        if list(tokens[len(tokens) - len(before) :]) == before:
            sums[last] += np.float32(bias)
    scores += sums


def force(scores: Floats, length: int, settings: Settings) -> None:
    if length == 1 and settings.forced_bos_token_id is not None:
        scores[:] = -INFINITY
        scores[settings.forced_bos_token_id] = 0.0
    if length == settings.max_length - 1 and settings.forced_eos_token_ids:
        scores[:] = -INFINITY
        scores[settings.forced_eos_token_ids] = 0.0


def decay(scores: Floats, generated: int, settings: Settings) -> None:
    if settings.exponential_decay_length_penalty is None:
        return
    start, factor = settings.exponential_decay_length_penalty
    if generated > start:
        for token in set(settings.eos_token_ids):
            growth = np.float32(factor ** (generated - start) - 1)
            if np.isfinite(scores[token]):
                scores[token] += abs(scores[token]) * growth


def warp(scores: Floats, settings: Settings) -> Floats:
    """The scores after temperature, and with the tokens banned that the warpers drop."""
    scores = scores / np.float32(settings.temperature)
    if scores.max() == -INFINITY:
        return scores
    keep = max(2, 1 + len(settings.eos_token_ids)) if settings.num_beams > 1 else 1
    if settings.top_k:
        scores = np.where(scores < kth_best(scores, max(settings.top_k, keep)), -INFINITY, scores)
    if settings.top_p < 1:
        order = np.argsort(scores, kind="stable")
        cumulated = np.cumsum(np.exp(log_softmax(scores)[order].astype(np.float64)))
        check_far(cumulated, 1 - settings.top_p)
        dropped = cumulated <= 1 - settings.top_p
        dropped[-keep:] = False
        scores[order[dropped]] = -INFINITY
    if settings.min_p > 0:
        probabilities = np.exp(log_softmax(scores))
        limit = settings.min_p * probabilities.max()
        check_far(probabilities, limit)
        unlikely = probabilities < limit
        unlikely[np.argsort(-scores, kind="stable")[:keep]] = False
        scores = np.where(unlikely, -INFINITY, scores)
    if settings.typical_p < 1:
        scores = warp_typical(scores, settings.typical_p, keep)
    if settings.epsilon_cutoff > 0:
        scores = drop_unlikely(scores, settings.epsilon_cutoff, keep)
    if settings.eta_cutoff > 0:
        eta = settings.eta_cutoff
        scores = drop_unlikely(scores, min(eta, np.sqrt(eta) * np.exp(-entropy(scores))), keep)
    return scores.astype(np.float32)


def drop_unlikely(scores: Floats, limit: float, keep: int) -> Floats:
    """Bans the tokens of a probability below the limit that are not among the best `keep`."""
    probabilities = np.exp(log_softmax(scores))
    unlikely = (probabilities < limit) & (scores < kth_best(scores, keep))
    check_far(probabilities[(probabilities > 0) & (scores < kth_best(scores, keep))], limit)
    return np.where(unlikely, -INFINITY, scores)


def kth_best(scores: Floats, k: int) -> np.float32:
    best: np.float32 = np.sort(scores)[-min(k, len(scores))]
    return best


def entropy(scores: Floats) -> float:
    surprise = -log_softmax(scores)[scores > -INFINITY].astype(np.float64)
    return float((np.exp(-surprise) * surprise).sum())


def warp_typical(scores: Floats, mass: float, keep: int) -> Floats:
    distance = np.abs(-log_softmax(scores) - np.float32(entropy(scores)))
    order = np.argsort(distance, kind="stable")
    for one, next_one in pairwise(order):
        check_apart(distance[one], distance[next_one])
    cumulated = np.cumsum(np.exp(log_softmax(scores)[order].astype(np.float64)))
    check_far(cumulated[:-1], mass)
    last = min(int((cumulated < mass).sum()), len(scores) - 1)
    dropped = distance[order] > distance[order[last]]
    dropped[:keep] = False
    scores = scores.copy()
    scores[order[dropped]] = -INFINITY
    return scores


def check_far(values: NDArray[Any], limit: float) -> None:
    """Raises NearTieError for a value so near to the limit that rounding may take it across."""
    if np.any(np.abs(values - limit) < 3e-6):
        raise NearTieError


class Random:
    """SplitMix64, with integers of Python."""

    def __init__(self, seed: int, stream: int) -> None:
        self.state = self._mix(self._mix(seed + 0x9E3779B97F4A7C15) + stream)

    @staticmethod
    def _mix(z: int) -> int:
        z %= 2**64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    def uniform(self) -> float:
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        return (self._mix(self.state) >> 11) * 2.0**-53


def draw(scores: Floats, count: int, random: Random) -> list[int]:
    """Places of `count` drawn by the softmax, without replacement; then the best of the rest."""
    below = scores - max(scores.max(), np.finfo(np.float32).min)
    weights = np.where(below > -87, np.exp(below.astype(np.float64)), 0.0)
    drawn: list[int] = []
    while len(drawn) < count and weights.sum() > 0:
        target = random.uniform() * weights.sum()
        cumulated = np.cumsum(weights)
        check_far(cumulated / weights.sum(), target / weights.sum())
        drawn.append(int(np.searchsorted(cumulated, target, side="right")))
        weights[drawn[-1]] = 0.0
    rest = [place for place in np.argsort(-scores, kind="stable").tolist() if place not in drawn]
    return drawn + rest[: count - len(drawn)]


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


def check_finite(scores: Floats) -> None:
    """Raises NearTieError for scores beyond float32: the core gives an error for them."""
    if np.any(np.isnan(scores)) or scores.max() == INFINITY:
        raise NearTieError


def reason_to_stop(tokens: tuple[int, ...], problem: Problem) -> str | None:
    """Why a sequence ends with its last token."""
    if tokens[-1] in problem.settings.eos_token_ids:
        return "eos"
    span = max(map(len, problem.stop_strings), default=0)
    texts = [problem.token_texts[token] for token in tokens[-span:]] if span else [""]
    *before, last = texts
    for length in range(1, len(last) + 1):
        text = "".join(before) + last[:length]
        if any(text.endswith(string) for string in problem.stop_strings):
            return "stop_string"
    return "length" if len(tokens) >= problem.settings.max_length else None


def log_prob(logits: Floats, token: int) -> float:
    """Of a token, by the raw logits; the least float32 where there is none."""
    if not np.isfinite(logits.max()):
        return float(np.finfo(np.float32).min)
    return max(float(log_softmax(logits)[token]), float(np.finfo(np.float32).min))


def found(problem: Problem, tokens: tuple[int, ...], log_probs: list[float], score: float) -> Found:
    reason = reason_to_stop(tokens, problem)
    assert reason is not None
    return Found(list(tokens[len(problem.prompt) :]), score, reason, log_probs)


def one_beam(problem: Problem, image: int, seed: int = 0) -> list[Found]:
    """The hypotheses of one image; none if every token is impossible."""
    settings = problem.settings
    sequences = [
        sequence(problem, image, Random(seed, stream))
        for stream in range(settings.num_return_sequences)
    ]
    return [one for one in sequences if one is not None]


def sequence(problem: Problem, image: int, random: Random) -> Found | None:
    settings = problem.settings
    tokens = tuple(problem.prompt)
    log_probs: list[float] = []
    while True:
        logits = problem.logits_of(image, tokens)
        scores = process(logits, tokens, len(problem.prompt), settings)
        check_finite(scores)
        (token,) = draw(scores, 1, random) if settings.do_sample else best(scores, 1)
        if scores[token] == -INFINITY:
            return None
        tokens += (token,)
        log_probs.append(log_prob(logits, token))
        if reason_to_stop(tokens, problem):
            score = sum(log_probs) / len(log_probs) ** settings.length_penalty
            return found(problem, tokens, log_probs, score)


@dataclass
class Image:
    """The state of one image of a beam search."""

    live: list[tuple[int, ...]]
    scores: Floats
    slots: list[tuple[int, ...]]
    values: Floats
    done: list[bool]
    fillers: list[bool]
    """Of the live ones: whether it bears NEG, as a copy of another or beyond its own end."""
    filled: list[bool]
    """Of the slots: whether it stems from such a one."""
    random: Random
    improvable: bool = True
    all_stopped: bool = False


def beam(problem: Problem, images: list[int], seeds: list[int]) -> list[list[Found]]:
    """The hypotheses of each image; none where no continuation is possible.

    A whole batch runs until its last image is through, finished images frozen by penalties, as in
    the reference; the core instead lets them leave the batch. The two must agree.
    """
    settings = problem.settings
    count = settings.num_beams
    batch = [
        Image(
            live=[tuple(problem.prompt)] * count,
            scores=np.array([0.0] + [NEG] * (count - 1), np.float32),
            slots=[()] * count,
            values=np.full(count, NEG, np.float32),
            done=[False] * count,
            fillers=[False] + [True] * (count - 1),
            filled=[False] * count,
            random=Random(seed, 0),
        )
        for seed in seeds
    ]
    length = len(problem.prompt)
    while True:
        for index, image in zip(images, batch, strict=True):
            with np.errstate(over="ignore"):
                beam_step(problem, index, image, length)
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
            found(
                problem,
                image.slots[i],
                log_probs_of(problem, index, image.slots[i]),
                float(image.values[i]),
            )
            for i in hypotheses_of(image)[: settings.num_return_sequences]
        ]
        for index, image in zip(images, batch, strict=True)
    ]


def hypotheses_of(image: Image) -> list[int]:
    return [i for i, done in enumerate(image.done) if done and not image.filled[i]]


def log_probs_of(problem: Problem, index: int, tokens: tuple[int, ...]) -> list[float]:
    return [
        log_prob(problem.logits_of(index, tokens[:length]), tokens[length])
        for length in range(len(problem.prompt), len(tokens))
    ]


def beam_step(problem: Problem, index: int, image: Image, length: int) -> None:
    """Steps 1 to 7 of csrc/search/beam.h for one image."""
    settings, prompt = problem.settings, problem.prompt
    count = settings.num_beams
    # 1
    with np.errstate(invalid="ignore"):
        log_probs = [log_softmax(problem.logits_of(index, tokens)) for tokens in image.live]
    rows = [
        process(row, tokens, len(prompt), settings) + score
        for row, tokens, score in zip(log_probs, image.live, image.scores, strict=True)
    ]
    # 2
    flat = np.concatenate(rows)
    check_finite(flat)
    kept_candidates = max(2, 1 + len(settings.eos_token_ids)) * count
    if settings.do_sample:
        order = draw(flat, kept_candidates, image.random)
    else:
        order = best(flat, kept_candidates)
    candidates = [(*image.live[i // len(rows[0])], i % len(rows[0])) for i in order]
    fillers = [image.fillers[i // len(rows[0])] for i in order]
    scores = flat[order]
    # 3
    stops = np.array([reason_to_stop(candidate, problem) is not None for candidate in candidates])
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
    image.filled = [[*image.filled, *fillers][i] for i in kept]
    # 6
    image.fillers = [fillers[i] or bool(stops[i]) for i in live]
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
