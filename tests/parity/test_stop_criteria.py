"""Where stop strings end a caption, against transformers' StopStringCriteria on random texts."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from beamcap import _core

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import StopStringCriteria  # noqa: E402

SETTINGS = 60
CAPTIONS = 12
LENGTH = 12
UNWRITTEN = 2
"""Ids that the model knows and the tokenizer does not."""


class Tokenizer:
    """Writes token i as texts[i]: what StopStringCriteria asks of a tokenizer."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def get_vocab(self) -> dict[str, int]:
        return {self._convert_id_to_token(token): token for token in range(len(self.texts))}

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[str]]:
        return {"input_ids": [text]}

    def _convert_id_to_token(self, token: int | str) -> str:
        return token if isinstance(token, str) else f"{token}:{self.texts[token]}"

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        return "".join(token.rpartition(":")[2] for token in tokens)


class Dictation(_core.Decoder):
    """Image i is captioned captions[i]."""

    def __init__(self, captions: list[list[int]], vocabulary: int) -> None:
        super().__init__()
        self.captions = captions
        self.vocabulary = vocabulary
        self.steps = 0

    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        logits = np.zeros((len(self.captions), self.vocabulary), np.float32)
        for row, caption in enumerate(self.captions):
            logits[row, caption[self.steps]] = 1
        self.steps += 1
        return logits

    def compact(self, images: NDArray[np.int32]) -> None:
        self.captions = [self.captions[image] for image in images]


def text(rng: random.Random, least: int, most: int) -> str:
    """Of few letters, so that texts often meet."""
    return "".join(rng.choice("abc") for _ in range(rng.randint(least, most)))


@pytest.mark.parametrize("seed", range(SETTINGS))
def test_captions_end_where_the_criteria_stop(seed: int) -> None:
    rng = random.Random(seed)
    texts = ["a", *(text(rng, least=0, most=3) for _ in range(7))]
    strings = [text(rng, least=1, most=5) for _ in range(rng.randint(1, 3))] + ["ba"]
    vocabulary = len(texts) + UNWRITTEN
    prompt = [rng.randrange(vocabulary) for _ in range(rng.randint(1, 3))]
    captions = [[rng.randrange(vocabulary) for _ in range(LENGTH)] for _ in range(CAPTIONS)]

    stops = StopStringCriteria(Tokenizer(texts), strings)
    sequences = torch.tensor([prompt + caption for caption in captions])
    expected = [LENGTH] * CAPTIONS
    for length in range(LENGTH, 0, -1):
        for index in stops(sequences[:, : len(prompt) + length], None).nonzero().flatten():
            expected[index] = length

    options = _core.Options(
        max_length=len(prompt) + LENGTH, stop_strings=_core.StopStrings(strings, texts)
    )
    results = _core.search(Dictation(captions, vocabulary), CAPTIONS, prompt, options)
    found = [result.hypotheses[0] for result in results]
    assert [hypothesis.tokens for hypothesis in found] == [
        caption[:length] for caption, length in zip(captions, expected, strict=True)
    ]
