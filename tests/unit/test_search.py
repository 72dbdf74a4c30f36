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
from search_reference import Floats, Found, LogitsOf, Problem, Settings

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


def search(problem: Problem, images: list[int]) -> list[_core.ImageResult]:
    settings = asdict(problem.settings)
    if problem.stop_strings:
        stop_strings = _core.StopStrings(problem.stop_strings, problem.token_texts)
        settings["stop_strings"] = stop_strings
    seeds = [seed_of(image) for image in images] if problem.settings.do_sample else None
    decoder = FunctionDecoder(images, problem.logits_of)
    return _core.search(decoder, len(images), problem.prompt, _core.Options(**settings), seeds)


def seed_of(image: int) -> int:
    return 2**64 - 5 - image


def plain(result: _core.ImageResult) -> list[Found]:
    """The hypotheses of a result; it holds either some or an error."""
    assert (result.error is None) == bool(result.hypotheses)
    return [Found(h.tokens, h.score, h.finish_reason, h.token_log_probs) for h in result.hypotheses]


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


def with_invalid(random: np.random.Generator, vocabulary: int, scale: float) -> Floats:
    logits = with_impossible(random, vocabulary, scale)
    if random.random() < 0.3:
        logits[random.integers(vocabulary)] = random.choice([np.nan, np.inf])
    return logits


KINDS = (continuous, continuous, with_impossible, tied)
TEXTS = ("", "a", "b", "ab", "ba", "c", "bca", "aa")


def rarely(strategy: st.SearchStrategy[Any], off: Any) -> st.SearchStrategy[Any]:
    """Mostly `off`: with every rule on at once, hardly a token would be possible."""
    return st.one_of(st.just(off), st.just(off), st.just(off), strategy)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """A model, a prompt, and options that suit them."""
    vocabulary = draw(st.one_of(st.integers(2, 12), st.sampled_from([31, 257, 600])))
    token = st.integers(0, vocabulary - 1)
    tokens = st.lists(token, min_size=1, max_size=3)
    prompt = draw(tokens)
    beams = draw(st.integers(1, 5))
    eos = draw(st.lists(token, max_size=min(3, vocabulary - 1)))
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
        eos_token_ids=eos,
        sequence_bias=draw(rarely(biases(token), [])),
        bad_words_ids=draw(rarely(st.lists(tokens, max_size=3), [])),
        forced_bos_token_id=draw(rarely(token, None)),
        forced_eos_token_ids=draw(rarely(tokens, [])),
        remove_invalid_values=draw(rarely(st.just(True), False)),
        exponential_decay_length_penalty=draw(decays()) if eos else None,
        suppress_tokens=draw(rarely(tokens, [])),
        begin_suppress_tokens=draw(rarely(tokens, [])),
        renormalize_logits=draw(rarely(st.just(True), False)),
    )
    kind = draw(st.sampled_from((*KINDS, with_invalid) if options.remove_invalid_values else KINDS))
    seed, scale = draw(st.integers(0, 2**32)), draw(st.sampled_from([0.5, 2.0, 6.0]))
    logits_of = logits_function(kind, seed, vocabulary, scale)
    texts = [TEXTS[(seed + i) % len(TEXTS)] for i in range(vocabulary)]
    if draw(rarely(st.just(True), False)):
        strings = draw(st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=2))
        if any(can_end(string, texts) for string in strings):
            return Problem(logits_of, prompt, options, strings, texts)
    return Problem(logits_of, prompt, options)


def can_end(string: str, texts: list[str]) -> bool:
    """Whether some token holds the string's last letter where the string may end in it."""
    begins = [text[:length] for text in texts for length in range(1, len(text) + 1)]
    return any(begin.endswith(string) or string.endswith(begin) for begin in begins)


def biases(token: st.SearchStrategy[int]) -> st.SearchStrategy[list[tuple[list[int], float]]]:
    """Single tokens first: so each token's biases are added in the core's order."""
    sequence = st.lists(token, min_size=1, max_size=3)
    bias = st.sampled_from([-8.0, -0.5, 1.0, 4.0, float("-inf")])
    pairs = st.lists(st.tuples(sequence, bias), max_size=4, unique_by=lambda pair: tuple(pair[0]))
    return pairs.map(lambda some: sorted(some, key=lambda pair: len(pair[0])))


def decays() -> st.SearchStrategy[tuple[int, float] | None]:
    factor = st.sampled_from([0.5, 1.2, 3.0])
    return rarely(st.tuples(st.integers(-2, 4), factor), None)


@st.composite
def sampling_problems(draw: st.DrawFn) -> Problem:
    """The same, at random."""
    problem = draw(problems())
    options = problem.settings
    if options.num_beams == 1:
        options = replace(options, num_return_sequences=draw(st.integers(1, 4)))
    options = replace(
        options,
        do_sample=True,
        temperature=draw(st.sampled_from([1.0, 0.5, 1.7])),
        top_k=draw(st.sampled_from([0, 0, 1, 4, 50])),
        top_p=draw(st.sampled_from([1.0, 1.0, 0.9, 0.5, 0.0])),
        min_p=draw(st.sampled_from([0.0, 0.0, 0.05, 0.4, 1.0])),
        typical_p=draw(st.sampled_from([1.0, 1.0, 0.9, 0.3])),
        epsilon_cutoff=draw(st.sampled_from([0.0, 0.0, 0.02, 0.3])),
        eta_cutoff=draw(st.sampled_from([0.0, 0.0, 0.02, 0.3])),
    )
    return replace(problem, settings=options)


def check(results: list[_core.ImageResult], expected: list[list[Found]]) -> None:
    for result, hypotheses in zip(results, expected, strict=True):
        found = plain(result)
        assert [h.tokens for h in found] == [h.tokens for h in hypotheses]
        assert [h.finish_reason for h in found] == [h.finish_reason for h in hypotheses]
        for one, other in zip(found, hypotheses, strict=True):
            assert one.score == pytest.approx(other.score, rel=1e-4, abs=1e-4)
            assert one.token_log_probs == pytest.approx(other.token_log_probs, rel=1e-4, abs=1e-4)


def expect(problem: Problem, images: list[int]) -> list[list[Found]]:
    """What the reference finds; no example where two roundings could order it differently."""
    seeds = [seed_of(image) for image in images]
    try:
        if problem.settings.num_beams > 1:
            return reference.beam(problem, images, seeds)
        return [
            reference.one_beam(problem, image, seed)
            for image, seed in zip(images, seeds, strict=True)
        ]
    except reference.NearTieError:
        assume(False)
        raise


@EXAMPLES
@given(problem=problems(), images=st.integers(1, 3))
def test_equals_the_reference(problem: Problem, images: int) -> None:
    expected = expect(problem, list(range(images)))
    check(search(problem, list(range(images))), expected)


@settings(EXAMPLES, max_examples=250)
@given(problem=sampling_problems(), images=st.integers(1, 3))
def test_sampling_equals_the_reference(problem: Problem, images: int) -> None:
    expected = expect(problem, list(range(images)))
    check(search(problem, list(range(images))), expected)


ALL_PROBLEMS = st.one_of(problems(), sampling_problems())


@settings(EXAMPLES, max_examples=200)
@given(problem=ALL_PROBLEMS, images=st.lists(st.integers(0, 7), min_size=1, max_size=8))
def test_no_result_depends_on_the_batch(problem: Problem, images: list[int]) -> None:
    together = search(problem, images)
    for image, result in zip(images, together, strict=True):
        (alone,) = search(problem, [image])
        assert plain(alone) == plain(result)
        assert alone.error == result.error


@settings(EXAMPLES, max_examples=100)
@given(
    problem=ALL_PROBLEMS,
    sick=st.integers(0, 3),
    after=st.integers(0, 4),
    value=st.sampled_from([np.nan, np.inf]),
    place=st.integers(0, 10**6),
)
def test_nan_is_the_error_of_its_image_alone(
    problem: Problem, sick: int, after: int, value: float, place: int
) -> None:
    def sometimes_sick(image: int, history: tuple[int, ...]) -> Floats:
        logits = problem.logits_of(image, history)
        if image == sick and len(history) == len(problem.prompt) + after:
            logits[place % len(logits)] = value
        return logits

    healthy = search(problem, [0, 1, 2, 3])
    results = search(replace(problem, logits_of=sometimes_sick), [0, 1, 2, 3])
    for image in {0, 1, 2, 3} - {sick}:
        assert plain(results[image]) == plain(healthy[image])
    if after == 0 and not problem.settings.remove_invalid_values:
        assert ("NaN" if np.isnan(value) else "+inf") in str(results[sick].error)


def test_a_vocabulary_of_real_size() -> None:
    logits_of = logits_function(continuous, 5, 50257, 3.0)
    options = Settings(num_beams=4, num_return_sequences=4, max_length=8, eos_token_ids=[50256])
    problem = Problem(logits_of, [50256], options)
    check(search(problem, [0, 1]), expect(problem, [0, 1]))


# Sampling.

OFF = asdict(Settings())
SAMPLING = Settings(
    do_sample=True, max_length=12, temperature=0.8, top_k=40, top_p=0.95, eos_token_ids=[3]
)


@pytest.mark.parametrize("beams", [1, 3])
def test_an_image_alone_is_as_in_a_batch_of_64(beams: int) -> None:
    options = replace(SAMPLING, num_beams=beams, num_return_sequences=3)
    problem = Problem(logits_function(continuous, 2, 90, 2.0), [0], options)
    together = search(problem, list(range(64)))
    for image in range(0, 64, 9):
        assert plain(search(problem, [image])[0]) == plain(together[image])
    assert [plain(result) for result in search(problem, list(range(64)))] == [
        plain(result) for result in together
    ]
    assert len({tuple(result.hypotheses[0].tokens) for result in together}) > 60


def drawn(logits: Floats, options: Settings) -> NDArray[np.int64]:
    """How often each token comes first, of 100,000 captions of one token."""
    images, sequences = 25, 4000
    options = replace(options, do_sample=True, max_length=2, num_return_sequences=sequences)
    results = search(Problem(lambda *_: logits, [0], options), list(range(images)))
    tokens = [hypothesis.tokens[0] for result in results for hypothesis in result.hypotheses]
    assert len(tokens) == 100_000
    return np.bincount(tokens, minlength=len(logits))


@pytest.mark.parametrize(
    "options",
    [
        Settings(),
        Settings(temperature=1.5, suppress_tokens=[2]),
        Settings(temperature=0.7, top_k=12),
        Settings(top_p=0.8),
        Settings(min_p=0.1),
        Settings(typical_p=0.7),
        Settings(epsilon_cutoff=0.03),
        Settings(eta_cutoff=0.2),
        Settings(temperature=1.3, top_k=15, top_p=0.9, min_p=0.05, typical_p=0.95),
    ],
    ids=lambda options: str(
        {k: v for k, v in asdict(options).items() if v != asdict(Settings())[k]}
    ),
)
def test_draws_follow_the_softmax(options: Settings) -> None:
    logits = continuous(np.random.default_rng(4), 20, 1.3)
    scores = reference.process(logits, (0,), 1, replace(options, do_sample=True, max_length=2))
    expected = 100_000 * np.exp(reference.log_softmax(scores).astype(np.float64))
    observed = drawn(logits, options)
    possible = expected > 0
    assert not observed[~possible].any()
    chi_square = ((observed - expected)[possible] ** 2 / expected[possible]).sum()
    # The 99.9 % quantile of chi-square, by Wilson and Hilferty; the seeds are fixed.
    freedom = int(possible.sum()) - 1
    spread = 2 / (9 * freedom)
    assert chi_square < freedom * (1 - spread + 3.09 * np.sqrt(spread)) ** 3


# The binding.

UNIFORM: LogitsOf = logits_function(continuous, 1, 9, 1.0)
OPTIONS = Settings(num_beams=2, max_length=6, eos_token_ids=[3])
PROBLEM = Problem(UNIFORM, [0], OPTIONS)


def test_options_hold_what_they_were_given() -> None:
    given_ones = Settings(
        num_beams=2,
        early_stopping="never",
        length_penalty=0.5,
        min_length=2,
        sequence_bias=[([1, 2], -0.5)],
        bad_words_ids=[[1], [2, 3]],
        forced_bos_token_id=4,
        forced_eos_token_ids=[5],
        exponential_decay_length_penalty=(3, 1.5),
        suppress_tokens=[6],
        begin_suppress_tokens=[7],
        remove_invalid_values=True,
        renormalize_logits=True,
        do_sample=True,
        temperature=0.5,
        top_k=8,
        top_p=0.25,
        min_p=0.125,
        typical_p=0.75,
        epsilon_cutoff=0.5,
        eta_cutoff=0.625,
    )
    options = _core.Options(**asdict(given_ones))
    assert {name: getattr(options, name) for name in asdict(given_ones)} == asdict(given_ones)
    assert options.stop_strings is None
    with pytest.raises(AttributeError):
        options.num_beams = 3  # type: ignore[misc]


def test_default_options_turn_every_rule_off() -> None:
    options = _core.Options()
    assert {name: getattr(options, name) for name in asdict(Settings())} == asdict(Settings())


def test_options_of_a_wrong_type_or_name() -> None:
    with pytest.raises(TypeError, match="top_k is 'many'"):
        _core.Options(top_k="many")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="sequence_bias is \\[1\\]"):
        _core.Options(sequence_bias=[1])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="no option 'num_beam'"):
        _core.Options(num_beams=2, num_beam=3)  # type: ignore[call-arg]


def test_stop_strings_are_checked() -> None:
    with pytest.raises(ValueError, match="empty string"):
        _core.StopStrings([""], ["a"])
    with pytest.raises(ValueError, match="no token"):
        _core.StopStrings(["b"], ["a"])


def test_a_stop_string_may_end_within_a_letter_s_bytes() -> None:
    stop = _core.StopStrings(["\u00e9"], ["x", b"\xc3", b"\xa9"])
    decoder = FunctionDecoder(
        [0], lambda _, history: np.eye(3, dtype=np.float32)[min(len(history), 2)]
    )
    (result,) = _core.search(decoder, 1, [0], _core.Options(stop_strings=stop))
    assert result.hypotheses[0].tokens == [1, 2]
    assert result.hypotheses[0].finish_reason == "stop_string"


@pytest.mark.parametrize(("do_sample", "seeds"), [(True, None), (True, [1]), (False, [1, 2])])
def test_seeds_are_one_an_image_if_sampling(do_sample: bool, seeds: list[int] | None) -> None:
    decoder = FunctionDecoder([0, 1], UNIFORM)
    with pytest.raises(ValueError, match="image_seeds holds"):
        _core.search(decoder, 2, [0], _core.Options(do_sample=do_sample), seeds)


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
        search(replace(PROBLEM, settings=replace(OPTIONS, eos_token_ids=[9])), [0])


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
        search(replace(PROBLEM, logits_of=fails), [0])


def test_a_decoder_without_its_methods() -> None:
    with pytest.raises(RuntimeError, match="must define the method step"):
        _core.search(_core.Decoder(), 1, [0], _core.Options())


def test_searches_of_several_threads() -> None:
    expected = [plain(r) for r in search(PROBLEM, [0, 1, 2])]
    results: list[list[list[Found]]] = []

    def work() -> None:
        results.append([plain(r) for r in search(PROBLEM, [0, 1, 2])])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4
