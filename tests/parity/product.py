"""The product's answer to a configuration, and its comparison with the reference's."""

from __future__ import annotations

import math
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cases import Case, Hypothesis
from configurations import Configuration, images, pixel_values
from tokenizers import Tokenizer

from beamcap import GenerationOptions, _core
from beamcap.bundle import Bundle
from beamcap.ort_library import load_onnxruntime
from beamcap.stop_strings import StopStringMaker

SCORE_TOLERANCE = 1e-4


class Product:
    """A bundle, searched below the Captioner: from pixels to tokens, with any prompt."""

    def __init__(self, folder: Path, intra_op_threads: int = 1) -> None:
        load_onnxruntime()
        bundle = Bundle.find(folder)
        later = None if bundle.decoder_with_past is None else str(bundle.decoder_with_past)
        self._model = _core.Model(
            str(bundle.encoder), str(bundle.decoder), later, intra_op_threads=intra_op_threads
        )
        self._stop_strings = StopStringMaker(Tokenizer.from_file(str(bundle.tokenizer)))

    def results(
        self, pixels: npt.NDArray[np.float32], configuration: Configuration
    ) -> list[_core.ImageResult]:
        """Searches captions of pixels [N, 3, H, W] as the configuration says."""
        named = dict(configuration.options)
        eos_token_ids = named.pop("eos_token_id")
        options = GenerationOptions(**named)
        strings = options.value("stop_strings")
        core = _core.Options(
            **options.search_arguments(len(configuration.prompt)),
            eos_token_ids=eos_token_ids,
            stop_strings=self._stop_strings.make(strings) if strings else None,
        )
        return self._model.generate(pixels, configuration.prompt, core).results

    def caption(
        self, pixels: npt.NDArray[np.float32], configuration: Configuration
    ) -> list[list[Hypothesis]]:
        """The hypotheses alone: none for an image that has an error."""
        return [
            [
                Hypothesis(list(found.tokens), found.score, list(found.token_log_probs))
                for found in result.hypotheses
            ]
            for result in self.results(pixels, configuration)
        ]

    def assert_agrees(self, case: Case) -> None:
        """The captions of a case are the reference's."""
        configuration, expected = case
        found = self.caption(pixel_values(images(configuration)), configuration)
        assert_same(found, expected, SCORE_TOLERANCE, configuration)


def assert_same(
    found: list[list[Hypothesis]],
    expected: list[list[Hypothesis]],
    tolerance: float,
    configuration: Configuration | None = None,
) -> None:
    """Tokens equal, scores within `tolerance` relative; `configuration` is for the message."""
    assert _tokens(found) == _tokens(expected), configuration
    for got, wanted in zip(chain(*found), chain(*expected), strict=True):
        assert math.isclose(got.score, wanted.score, rel_tol=tolerance), (
            configuration,
            got,
            wanted,
        )
        if wanted.log_probs is not None:
            # A log-probability may be nearly 0, where float32 has no digits to compare.
            assert np.allclose(got.log_probs, wanted.log_probs, rtol=tolerance, atol=tolerance), (
                configuration,
                got,
                wanted,
            )


class Bites:
    """How often an option changes captions: a test in which it never does tests nothing of it."""

    def __init__(self) -> None:
        self.drawn: Counter[str] = Counter()
        self.bit: Counter[str] = Counter()

    def add(self, product: Product, case: Case) -> None:
        """Counts a case's options, each by the best captions without it."""
        configuration, expected = case
        pixels = pixel_values(images(configuration))
        for name in configuration.options.keys() - {"eos_token_id", "num_return_sequences"}:
            self.drawn[name] += 1
            found = product.caption(pixels, _without(configuration, name))
            self.bit[name] += _best(found) != _best(expected)

    def table(self) -> str:
        """An option a line."""
        return "\n".join(
            f"{name:34}changes {self.bit[name]:4} of {drawn:4} = {self.bit[name] / drawn:4.0%}"
            for name, drawn in self.drawn.most_common()
        )


def _without(configuration: Configuration, name: str) -> Configuration:
    options = dict(configuration.options)
    # Without num_beams there is but one caption.
    for gone in (name, "num_return_sequences"):
        options.pop(gone, None)
    return configuration._replace(options=options)


def _best(captions: list[list[Hypothesis]]) -> list[list[list[int]]]:
    return [tokens[:1] for tokens in _tokens(captions)]


def _tokens(captions: list[list[Hypothesis]]) -> list[list[list[int]]]:
    return [[hypothesis.tokens for hypothesis in hypotheses] for hypotheses in captions]
