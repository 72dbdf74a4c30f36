"""What sampling may draw, and how often, against transformers' warpers on random rows of logits."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from beamcap import _core

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import GenerationConfig, GenerationMixin  # noqa: E402

VOCABULARY = 24
SETTINGS = 200
PROMPT = [0]


class OneRow(_core.Decoder):
    """Every image has the same logits, at every step."""

    def __init__(self, logits: NDArray[np.float32]) -> None:
        super().__init__()
        self.logits = logits

    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.broadcast_to(self.logits, (len(tokens), VOCABULARY))


def draw_row(rng: random.Random) -> NDArray[np.float32]:
    spread = rng.uniform(0.5, 3)
    row = [rng.gauss(0, spread) for _ in range(VOCABULARY)]
    for token in rng.sample(range(VOCABULARY), rng.choice([0, 0, 4])):
        row[token] = -np.inf
    return np.array(row, np.float32)


def draw_options(rng: random.Random) -> dict[str, Any]:
    values = {
        "temperature": rng.uniform(0.3, 2.0),
        "top_k": rng.randint(1, VOCABULARY),
        "top_p": rng.uniform(0.05, 0.99),
        "min_p": rng.uniform(0.01, 0.5),
        "typical_p": rng.uniform(0.1, 0.95),
        "epsilon_cutoff": rng.uniform(0.001, 0.1),
        "eta_cutoff": rng.uniform(0.001, 0.2),
        "renormalize_logits": True,
    }
    drawn = {name: value for name, value in values.items() if rng.random() < 0.35}
    return drawn | {"do_sample": True}


def warped(
    scores: torch.Tensor, options: dict[str, Any], num_beams: int, eos: list[int]
) -> NDArray[np.float32]:
    """The row [VOCABULARY] as generate() would sample from it."""
    config = GenerationConfig(**{"top_k": 0, **options}, num_beams=num_beams)
    config._eos_token_tensor = torch.tensor(eos)  # as generate() prepares it
    processors = GenerationMixin()._get_logits_processor(config, input_ids_seq_length=len(PROMPT))
    return processors(torch.tensor([PROMPT]), scores[None])[0].numpy()


def search(
    logits: NDArray[np.float32], options: dict[str, Any], images: int, **more: Any
) -> list[_core.ImageResult]:
    """Draws a single step."""
    settings = _core.Options(**options, **more, max_length=len(PROMPT) + 1)
    return _core.search(OneRow(logits), images, PROMPT, settings, list(range(images)))


@pytest.mark.parametrize("seed", range(SETTINGS))
def test_what_beam_sampling_may_draw_and_its_scores(seed: int) -> None:
    # A hypothesis of one step has the warped log-probability of its token as its score.
    rng = random.Random(seed)
    logits, options = draw_row(rng), draw_options(rng)
    eos = rng.sample(range(VOCABULARY), rng.randint(1, 3))
    beams = VOCABULARY // (len(eos) + 1)  # so that every token is a candidate
    expected = warped(torch.from_numpy(logits).log_softmax(-1), options, beams, eos)
    more = {"num_beams": beams, "num_return_sequences": beams, "eos_token_ids": eos}
    results = search(logits, options, images=100, **more)
    found = {h.tokens[0]: h.score for result in results for h in result.hypotheses}
    assert {token for token in found if np.isneginf(expected[token])} == set()
    likely = np.flatnonzero(np.exp(expected) >= 0.02 * np.exp(expected).sum())
    assert set(likely.tolist()) <= set(found)
    for token, score in found.items():
        assert score == pytest.approx(expected[token], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("seed", range(SETTINGS))
def test_how_often_sampling_draws_each_token(seed: int) -> None:
    rng = random.Random(SETTINGS + seed)
    logits, options = draw_row(rng), draw_options(rng)
    expected = torch.from_numpy(warped(torch.from_numpy(logits), options, 1, [0])).softmax(-1)
    draws = 2000
    counts = Counter(result.hypotheses[0].tokens[0] for result in search(logits, options, draws))
    for token, probability in enumerate(expected.tolist()):
        deviation = (draws * probability * (1 - probability)) ** 0.5
        assert abs(counts[token] - draws * probability) <= 5 * deviation + 1
        assert probability > 0 or token not in counts
