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
from transformers import EosTokenCriteria, StoppingCriteriaList, StopStringCriteria
from transformers.generation import GenerateBeamEncoderDecoderOutput, GenerateEncoderDecoderOutput

PERTURBED_COPIES = 4
PERTURBATION = 1e-5
"""Noise on the pixels (which span [-1, 1]): moves the logits some 30 times as far as the rounding
differences between PyTorch and ONNX Runtime do."""
SCORE_MARGIN = 1e-3
"""How far, relatively, that may move a score, so that rounding alone keeps well within 1e-4."""
LEAST_SCORE = 2e-3
"""Nearer to 0, unless it is 0, float32 has no 1e-4 of a score: its rounding is some 1e-7."""
IMPOSSIBLE = -1e8
"""A sum of log-probabilities below bears the -1e9 by which generate() marks what must not be."""


@dataclass
class Liveliness:
    """Whether some cases could tell a wrong search from a right one."""

    left_out: Counter[str] = field(default_factory=Counter)
    """Configurations that were drawn and tell nothing, by why; see Answer."""
    images: int = 0
    distinct: int = 0
    """Different captions, counted within each batch: at best one an image."""
    banned: int = 0
    """Images without a caption, as every continuation is banned."""
    ended: int = 0
    """Captions that end with an EOS."""
    beam_images: int = 0
    """Images searched with more than one beam."""
    crossed: int = 0
    """Those of them whose beams crossed; see Answer."""
    lengths: Counter[int] = field(default_factory=Counter)

    def add(self, case: Case, crossed: int) -> None:
        """Counts a case."""
        best = [caption[0].tokens for caption in case.captions if caption]
        eos = case.configuration.options["eos_token_id"]
        self.images += len(best)
        self.banned += len(case.captions) - len(best)
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
        assert len(self.lengths) >= 25, self


def answer_many(
    reference: ReferenceModel, rng: random.Random, count: int, liveliness: Liveliness
) -> list[Case]:
    """Draws `count` configurations that tell something, with their captions."""
    cases: list[Case] = []
    while len(cases) < count:
        found = answer(reference, draw(rng, reference.vocabulary))
        if isinstance(found, str):
            liveliness.left_out[found] += 1
            continue
        liveliness.add(*found)
        cases.append(found.case)
    return cases


class Answer(NamedTuple):
    """What generate() says of a configuration."""

    case: Case
    crossed: int
    """Images one of whose captions changed its rank among the beams on the way."""


def answer(reference: ReferenceModel, configuration: Configuration) -> Answer | str:
    """Searches the configuration's captions, or says why they tell nothing of the search.

    The batch holds every image once as it is and PERTURBED_COPIES times with a little noise. Where
    a copy gets other tokens, two candidates were so close that another library's arithmetic may as
    well swap them: the captions are fragile.
    """
    n = configuration.images
    clean = pixel_values(images(configuration))
    rng = np.random.default_rng(configuration.image_seed)
    noise = rng.standard_normal((PERTURBED_COPIES, *clean.shape), dtype=np.float32)
    pixels = np.concatenate([clean[None], clean + np.float32(PERTURBATION) * noise])
    output = _generate(reference, pixels.reshape(-1, *clean.shape[1:]), configuration)
    if any(_has_no_order(scores) for scores in output.scores):
        return "options overflow"
    if configuration.options["num_beams"] == 1:
        found = _read_greedy(reference, output, configuration)
    else:
        found = _read_beams(output, configuration)
    if any(not _is_near(found[i], found[i % n]) for i in range(n, len(found))):
        return "fragile"
    captions = [image.hypotheses for image in found[:n]]
    if any(0 < abs(hypothesis.score) < LEAST_SCORE for hypothesis in chain(*captions)):
        return "score nearly 0"
    return Answer(Case(configuration, captions), sum(image.crossed for image in found[:n]))


class _Found(NamedTuple):
    """What generate() says of an image."""

    hypotheses: list[Hypothesis]
    """Without the impossible ones, with which it fills up."""
    crossed: bool


def _generate(
    reference: ReferenceModel, pixels: np.ndarray, configuration: Configuration
) -> GenerateEncoderDecoderOutput | GenerateBeamEncoderDecoderOutput:
    with torch.no_grad():
        return reference.model.generate(
            torch.from_numpy(pixels),
            decoder_input_ids=torch.tensor([configuration.prompt] * len(pixels)),
            tokenizer=reference.tokenizer,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
            output_logits=True,
            **configuration.options,
        )


def _has_no_order(scores: torch.Tensor) -> bool:
    # Options may overflow float32. The product then has an error; generate() goes on.
    return bool(torch.isnan(scores).any() or torch.isposinf(scores).any())


def _is_near(image: _Found, other: _Found) -> bool:
    one, two = image.hypotheses, other.hypotheses
    return [found.tokens for found in one] == [found.tokens for found in two] and np.allclose(
        [found.score for found in one],
        [found.score for found in two],
        rtol=SCORE_MARGIN,
        atol=0,
        equal_nan=True,
    )


def _read_greedy(
    reference: ReferenceModel, output: GenerateEncoderDecoderOutput, configuration: Configuration
) -> list[_Found]:
    processed = torch.stack(output.scores, dim=1)  # [rows, steps, vocab]
    log_probs = _log_probs(output)
    found = []
    for row, length in enumerate(_lengths(reference, output.sequences, configuration)):
        begin = len(configuration.prompt)
        tokens = output.sequences[row, begin : begin + length]
        steps = torch.arange(length)
        of_tokens = log_probs[row, steps, tokens]
        # generate() defines no score: the beam search's formula over log-softmax of raw logits.
        score = of_tokens.sum().item() / length ** configuration.options["length_penalty"]
        possible = not torch.isneginf(processed[row, steps, tokens]).any()
        hypothesis = Hypothesis(tokens.tolist(), score, of_tokens.tolist())
        found.append(_Found([hypothesis] if possible else [], crossed=False))
    return found


def _read_beams(
    output: GenerateBeamEncoderDecoderOutput, configuration: Configuration
) -> list[_Found]:
    length_penalty = configuration.options["length_penalty"]
    per_image = configuration.options["num_return_sequences"]
    log_probs = _log_probs(output)
    scores = output.sequences_scores.tolist()
    found = []
    for first in range(0, len(scores), per_image):
        hypotheses, crossed = [], False
        for row in range(first, first + per_image):
            origin = output.beam_indices[
                row
            ]  # the row that each token came from, -1 behind the end
            origin = origin[origin >= 0]
            length = len(origin)
            if scores[row] < IMPOSSIBLE or scores[row] * length**length_penalty < IMPOSSIBLE:
                continue
            begin = len(configuration.prompt)
            tokens = output.sequences[row, begin : begin + length]
            of_tokens = log_probs[origin, torch.arange(length), tokens]
            hypotheses.append(Hypothesis(tokens.tolist(), scores[row], of_tokens.tolist()))
            crossed |= len(set(origin[1:].tolist())) > 1  # at the first step all come from one
        found.append(_Found(hypotheses, crossed))
    return found


def _log_probs(
    output: GenerateEncoderDecoderOutput | GenerateBeamEncoderDecoderOutput,
) -> torch.Tensor:
    """Of every token at every step, by the raw logits: [rows, steps, vocab]."""
    return torch.stack(output.logits, dim=1).double().log_softmax(-1)


def _lengths(
    reference: ReferenceModel, sequences: torch.Tensor, configuration: Configuration
) -> list[int]:
    """Generated tokens of greedy sequences. Not by the padding, which may be an EOS or a word."""
    options = configuration.options
    stops = StoppingCriteriaList([EosTokenCriteria(options["eos_token_id"])])
    if "stop_strings" in options:
        stops.append(StopStringCriteria(reference.tokenizer, options["stop_strings"]))
    begin, end = len(configuration.prompt), sequences.shape[1]
    lengths = torch.full((len(sequences),), end - begin)
    for stop in range(end, begin, -1):
        lengths[stops(sequences[:, :stop], None)] = stop - begin
    return lengths.tolist()
