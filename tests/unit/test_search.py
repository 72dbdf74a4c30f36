"""The core's search against a plain reference of its semantics, on random and on hostile logits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import search_reference as reference
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from search_reference import Floats, Found, LogitsOf, Settings

from beamcap import _core

EXAMPLES = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)


class FunctionDecoder(_core.Decoder):
    """Logits are a function of the image and of all that its row was fed."""

    def __init__(self, images: list[int], logits_of: LogitsOf) -> None:
        super().__init__()
        self.images = images
        self.rows: list[tuple[int, ...]] = [()] * len(images)
        self.logits_of = logits_of

    @property
    def rows_per_image(self) -> int:
        return len(self.rows) // len(self.images)

    def step(self, tokens: NDArray[np.int64]) -> Floats:
        assert tokens.dtype == np.int64
        self.rows = [(*row, *fed) for row, fed in zip(self.rows, tokens.tolist(), strict=True)]
        return np.stack(
            [
                self.logits_of(self.images[row // self.rows_per_image], history)
                for row, history in enumerate(self.rows)
            ]
        )

    def gather(self, parents: NDArray[np.int32]) -> None:
        beams, rest = divmod(len(parents), len(self.images))
        assert rest == 0
        assert [p // self.rows_per_image for p in parents] == [
            row // beams for row in range(len(parents))
        ]
        self.rows = [self.rows[parent] for parent in parents]

    def compact(self, images: NDArray[np.int32]) -> None:
        assert 0 < len(images) < len(self.images)
        assert all(np.diff(images) > 0)
        beams = self.rows_per_image
        self.rows = [self.rows[image * beams + beam] for image in images for beam in range(beams)]
        self.images = [self.images[image] for image in images]


def search(
    logits_of: LogitsOf, images: list[int], prompt: list[int], options: Settings
) -> list[_core.ImageResult]:
    decoder = FunctionDecoder(images, logits_of)
    return _core.search(decoder, len(images), prompt, _core.Options(**asdict(options)))


def plain(result: _core.ImageResult) -> list[Found]:
    """The hypotheses of a result; it holds either some or an error."""
    assert (result.error is None) == bool(result.hypotheses)
    return [Found(h.tokens, h.score, h.finish_reason) for h in result.hypotheses]


def continuous(random: np.random.Generator, vocabulary: int, scale: float) -> Floats:
    return (scale * random.standard_normal(vocabulary)).astype(np.float32)


def with_impossible(random: np.random.Generator, vocabulary: int, scale: float) -> Floats:
    logits = continuous(random, vocabulary, scale)
    logits[random.random(vocabulary) < 0.4] = -np.inf
    logits[random.integers(vocabulary)] = 0.0
    return logits


def tied(random: np.random.Generator, vocabulary: int, scale: float) -> Floats:
    """Few values, and such that their log-softmax is the same to the last bit however summed."""
    logits = np.where(random.random(vocabulary) < 0.5, 3.0, -197.0).astype(np.float32)
    logits[random.integers(vocabulary)] = 3.0
    return logits


def logits_function(
    kind: Callable[[np.random.Generator, int, float], Floats],
    seed: int,
    vocabulary: int,
    scale: float,
) -> LogitsOf:
    def logits_of(image: int, history: tuple[int, ...]) -> Floats:
        return kind(np.random.default_rng([seed, image, *history]), vocabulary, scale)

    return logits_of


@st.composite
def problems(draw: st.DrawFn) -> tuple[LogitsOf, list[int], Settings]:
    """A model, a prompt, and options that suit them."""
    vocabulary = draw(st.one_of(st.integers(2, 12), st.sampled_from([31, 257, 600])))
    token = st.integers(0, vocabulary - 1)
    prompt = draw(st.lists(token, min_size=1, max_size=3))
    beams = draw(st.integers(1, 5))
    most_eos = min(3, vocabulary - 1)
    options = Settings(
        num_beams=beams,
        num_return_sequences=draw(st.integers(1, beams)),
        max_length=len(prompt) + draw(st.integers(1, 8)),
        min_length=draw(st.sampled_from([0, 0, 3, 5])),
        min_new_tokens=draw(st.sampled_from([0, 0, 2, 4])),
        length_penalty=draw(st.sampled_from([1.0, 1.0, 0.0, 0.6, 2.0, -1.0])),
        early_stopping=draw(st.one_of(st.booleans(), st.just("never"))),
        repetition_penalty=draw(st.sampled_from([1.0, 1.0, 0.7, 1.3, 3.0])),
        no_repeat_ngram_size=draw(st.sampled_from([0, 0, 1, 2, 3])),
        eos_token_ids=draw(st.lists(token, max_size=most_eos)),
    )
    kind = draw(st.sampled_from([continuous, continuous, with_impossible, tied]))
    seed, scale = draw(st.integers(0, 2**32)), draw(st.sampled_from([0.5, 2.0, 6.0]))
    return logits_function(kind, seed, vocabulary, scale), prompt, options


def check(results: list[_core.ImageResult], expected: list[list[Found]]) -> None:
    for result, hypotheses in zip(results, expected, strict=True):
        found = plain(result)
        assert [h.tokens for h in found] == [h.tokens for h in hypotheses]
        assert [h.finish_reason for h in found] == [h.finish_reason for h in hypotheses]
        np.testing.assert_allclose(
            [h.score for h in found], [h.score for h in hypotheses], rtol=1e-4, atol=1e-5
        )


@EXAMPLES
@given(problem=problems(), images=st.integers(1, 3))
def test_equals_the_reference(problem: tuple[LogitsOf, list[int], Settings], images: int) -> None:
    logits_of, prompt, options = problem
    try:
        if options.num_beams == 1:
            expected = [
                reference.greedy(logits_of, image, prompt, options) for image in range(images)
            ]
        else:
            expected = reference.beam(logits_of, images, prompt, options)
    except reference.NearTieError:
        assume(False)
    check(search(logits_of, list(range(images)), prompt, options), expected)


@settings(EXAMPLES, max_examples=100)
@given(problem=problems(), images=st.lists(st.integers(0, 7), min_size=1, max_size=8))
def test_no_result_depends_on_the_batch(
    problem: tuple[LogitsOf, list[int], Settings], images: list[int]
) -> None:
    together = search(problem[0], images, *problem[1:])
    for image, result in zip(images, together, strict=True):
        (alone,) = search(problem[0], [image], *problem[1:])
        assert plain(alone) == plain(result)
        assert alone.error == result.error


@settings(EXAMPLES, max_examples=100)
@given(
    problem=problems(),
    sick=st.integers(0, 3),
    after=st.integers(0, 4),
    value=st.sampled_from([np.nan, np.inf]),
    place=st.integers(0, 10**6),
)
def test_nan_is_the_error_of_its_image_alone(
    problem: tuple[LogitsOf, list[int], Settings],
    sick: int,
    after: int,
    value: float,
    place: int,
) -> None:
    logits_of, prompt, options = problem

    def sometimes_sick(image: int, history: tuple[int, ...]) -> Floats:
        logits = logits_of(image, history)
        if image == sick and len(history) == len(prompt) + after:
            logits[place % len(logits)] = value
        return logits

    healthy = search(logits_of, [0, 1, 2, 3], prompt, options)
    results = search(sometimes_sick, [0, 1, 2, 3], prompt, options)
    for image in {0, 1, 2, 3} - {sick}:
        assert plain(results[image]) == plain(healthy[image])
    if after == 0:
        assert ("NaN" if np.isnan(value) else "+inf") in str(results[sick].error)


def test_a_vocabulary_of_real_size() -> None:
    logits_of = logits_function(continuous, 5, 50257, 3.0)
    options = Settings(num_beams=4, num_return_sequences=4, max_length=8, eos_token_ids=[50256])
    expected = reference.beam(logits_of, 2, [50256], options)
    check(search(logits_of, [0, 1], [50256], options), expected)


# The binding.

UNIFORM: LogitsOf = logits_function(continuous, 1, 9, 1.0)
OPTIONS = Settings(num_beams=2, max_length=6, eos_token_ids=[3])


def test_options_hold_what_they_were_given() -> None:
    given_ones = replace(OPTIONS, early_stopping="never", length_penalty=0.5, min_length=2)
    options = _core.Options(**asdict(given_ones))
    assert {name: getattr(options, name) for name in asdict(given_ones)} == asdict(given_ones)
    with pytest.raises(AttributeError):
        options.num_beams = 3  # type: ignore[misc]


def test_default_options_are_the_reference_s() -> None:
    options = _core.Options()
    assert {name: getattr(options, name) for name in asdict(Settings())} == asdict(Settings())


@pytest.mark.parametrize("value", ["always", 1, None])
def test_unknown_early_stopping(value: Any) -> None:
    with pytest.raises(ValueError, match='must be False, True or "never"'):
        _core.Options(early_stopping=value)


def test_bad_options_raise_before_any_step() -> None:
    decoder = FunctionDecoder([0], UNIFORM)
    with pytest.raises(ValueError, match="num_return_sequences is 3, but must be from 1 to 2"):
        _core.search(decoder, 1, [0], _core.Options(num_beams=2, num_return_sequences=3))
    with pytest.raises(ValueError, match="prompt is empty"):
        _core.search(decoder, 1, [], _core.Options())
    assert decoder.rows == [()]


def test_options_can_be_checked_without_a_decoder() -> None:
    _core.Options(max_length=3).validate([0, 1])
    with pytest.raises(ValueError, match="max_length is 3, but counts the prompt of 3 tokens"):
        _core.Options(max_length=3).validate([0, 1, 2])


def test_an_eos_beyond_the_vocabulary() -> None:
    with pytest.raises(ValueError, match=r"eos_token_ids is 9, but the model knows .* 0 to 8"):
        search(UNIFORM, [0], [0], replace(OPTIONS, eos_token_ids=[9]))


class Returning(FunctionDecoder):
    """A decoder whose step returns what it is told."""

    def __init__(self, logits: Any) -> None:
        super().__init__([0], UNIFORM)
        self.logits = logits

    def step(self, tokens: NDArray[np.int64]) -> Any:
        return self.logits


@pytest.mark.parametrize("shape", [(9,), (2, 9), (1, 1, 9), (1, 0), ()])
def test_logits_of_a_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(RuntimeError, match="logits"):
        _core.search(Returning(np.zeros(shape, np.float32)), 1, [0], _core.Options())


def test_what_is_no_array_at_all() -> None:
    with pytest.raises((TypeError, ValueError)):
        _core.search(Returning("no logits"), 1, [0], _core.Options())


def test_other_layouts_and_types_of_logits_are_read_as_numbers() -> None:
    values = np.arange(18.0).reshape(1, 18)
    for logits in (values[:, ::-2], np.asfortranarray(values), values.astype(np.float16)):
        (result,) = _core.search(Returning(logits), 1, [0], _core.Options(max_length=2))
        assert result.hypotheses[0].tokens == [int(np.argmax(logits))]


def test_what_the_decoder_raises_comes_through() -> None:
    def fails(image: int, history: tuple[int, ...]) -> Floats:
        if len(history) == 3:
            raise KeyError("the decoder's own")
        return UNIFORM(image, history)

    with pytest.raises(KeyError, match="the decoder's own"):
        search(fails, [0], [0], OPTIONS)


def test_a_decoder_without_its_methods() -> None:
    with pytest.raises(RuntimeError, match="must define the method step"):
        _core.search(_core.Decoder(), 1, [0], _core.Options())


def test_searches_of_several_threads() -> None:
    expected = [plain(r) for r in search(UNIFORM, [0, 1, 2], [0], OPTIONS)]
    results: list[list[list[Found]]] = []

    def work() -> None:
        results.append([plain(r) for r in search(UNIFORM, [0, 1, 2], [0], OPTIONS)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4
