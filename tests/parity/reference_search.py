"""The reference's answer to configurations: transformers' generate(). Needs torch."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from cases import Case, Hypothesis
from configurations import Configuration, draw, images, pixel_values
from reference_models import ReferenceModel
from transformers import VisionEncoderDecoderModel

PERTURBED_COPIES = 4
PERTURBATION = 1e-5
"""Noise on the pixels (which span [-1, 1]): moves the logits some 30 times as far as the rounding
differences between PyTorch and ONNX Runtime do."""
LEAST_SCORE = 2e-3
"""Nearer to 0, float32 has no 1e-4 of a log-probability: its rounding is some 1e-7."""


@dataclass
class Liveliness:
    """Whether some cases could tell a wrong search from a right one."""

    fragile: int = 0
    """Configurations that were drawn and left out because their captions hang on rounding."""
    images: int = 0
    distinct: int = 0
    """Different captions, counted within each batch: at best one an image."""
    ended: int = 0
    """Captions that end with an EOS."""
    beam_images: int = 0
    """Images searched with more than one beam."""
    crossed: int = 0
    """Those of them whose beams crossed; see Answer."""
    lengths: Counter[int] = field(default_factory=Counter)

    def add(self, case: Case, crossed: int) -> None:
        """Counts a case."""
        best = [caption[0].tokens for caption in case.captions]
        eos = case.configuration.options["eos_token_id"]
        self.images += len(best)
        self.distinct += len({tuple(tokens) for tokens in best})
        self.ended += sum(tokens[-1] in eos for tokens in best)
        self.lengths.update(len(tokens) for tokens in best)
        if case.configuration.options["num_beams"] > 1:
            self.beam_images += len(best)
            self.crossed += crossed

    def check(self) -> None:
        """Raises AssertionError where the cases test little."""
        assert self.distinct >= 0.6 * self.images, self
        assert 0.15 * self.images <= self.ended <= 0.9 * self.images, self
        assert self.crossed >= 0.3 * self.beam_images, self
        assert len(self.lengths) >= 15, self


def answer_many(
    reference: ReferenceModel, rng: random.Random, count: int, liveliness: Liveliness
) -> list[Case]:
    """Draws `count` configurations whose captions do not hang on rounding, with their captions."""
    cases: list[Case] = []
    while len(cases) < count:
        found = answer(reference.model, draw(rng, reference.vocabulary))
        if found is None:
            liveliness.fragile += 1
            continue
        liveliness.add(*found)
        cases.append(found.case)
    return cases


class Answer(NamedTuple):
    """What generate() says of a configuration."""

    case: Case
    crossed: int
    """Images one of whose captions changed its rank among the beams on the way."""


def answer(model: VisionEncoderDecoderModel, configuration: Configuration) -> Answer | None:
    """Searches the configuration's captions; None if they or their scores hang on rounding.

    The batch holds every image once as it is and PERTURBED_COPIES times with a little noise. Where
    a copy gets other tokens, two candidates were so close that another library's arithmetic may as
    well swap them, and the configuration says nothing about the search.
    """
    n = configuration.images
    clean = pixel_values(images(configuration))
    rng = np.random.default_rng(configuration.image_seed)
    noise = rng.standard_normal((PERTURBED_COPIES, *clean.shape), dtype=np.float32)
    pixels = np.concatenate([clean[None], clean + np.float32(PERTURBATION) * noise])
    captions, crossed = _generate(model, pixels.reshape(-1, *clean.shape[1:]), configuration)
    tokens = [[hypothesis.tokens for hypothesis in caption] for caption in captions]
    if any(tokens[i] != tokens[i % n] for i in range(n, len(tokens))):
        return None
    if any(abs(hypothesis.score) < LEAST_SCORE for hypothesis in chain(*captions[:n])):
        return None
    return Answer(Case(configuration, captions[:n]), sum(crossed[:n]))


def _generate(
    model: VisionEncoderDecoderModel, pixels: np.ndarray, configuration: Configuration
) -> tuple[list[list[Hypothesis]], list[bool]]:
    options = configuration.options
    prompt = torch.tensor([configuration.prompt] * len(pixels))
    with torch.no_grad():
        output = model.generate(
            torch.from_numpy(pixels),
            decoder_input_ids=prompt,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
            output_logits=True,
            **options,
        )
    eos = set(options["eos_token_id"])
    tokens = [_until_eos(row, eos) for row in output.sequences[:, prompt.shape[1] :].tolist()]
    if options["num_beams"] == 1:
        scores = _greedy_scores(output.logits, tokens, options["length_penalty"])
        crossed = [False] * len(tokens)
    else:
        scores = output.sequences_scores.tolist()
        crossed = [_changes_rank(row) for row in output.beam_indices.tolist()]
    per_image = options["num_return_sequences"]
    rows = [Hypothesis(*row) for row in zip(tokens, scores, strict=True)]
    starts = range(0, len(rows), per_image)
    return (
        [rows[i : i + per_image] for i in starts],
        [any(crossed[i : i + per_image]) for i in starts],
    )


def _until_eos(row: list[int], eos: set[int]) -> list[int]:
    # By the first EOS and not by the padding, which may be an EOS or a word.
    end = next((i + 1 for i, token in enumerate(row) if token in eos), len(row))
    return row[:end]


def _greedy_scores(
    logits: tuple[torch.Tensor, ...], tokens: list[list[int]], length_penalty: float
) -> list[float]:
    """generate() defines none: the beam search's formula over log-softmax of the raw logits."""
    log_probs = torch.stack(logits, dim=1).double().log_softmax(-1)  # [rows, steps, vocab]
    return [
        sum(log_probs[row, i, token].item() for i, token in enumerate(ids))
        / len(ids) ** length_penalty
        for row, ids in enumerate(tokens)
    ]


def _changes_rank(beam_indices: list[int]) -> bool:
    # The row that each step came from, -1 behind the end. At the first step all come from one.
    rows = [index for index in beam_indices if index >= 0][1:]
    return len(set(rows)) > 1
