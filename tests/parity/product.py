"""The product's answer to a configuration, and its comparison with the reference's."""

from __future__ import annotations

import math
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cases import Case, Hypothesis
from configurations import Configuration, images, pixel_values

from beamcap import GenerationOptions, _core
from beamcap.bundle import Bundle
from beamcap.ort_library import load_onnxruntime

SCORE_TOLERANCE = 1e-4


def load(folder: Path, intra_op_threads: int = 1) -> _core.Model:
    """Loads the graphs of a bundle."""
    load_onnxruntime()
    bundle = Bundle.find(folder)
    later = None if bundle.decoder_with_past is None else str(bundle.decoder_with_past)
    return _core.Model(
        str(bundle.encoder), str(bundle.decoder), later, intra_op_threads=intra_op_threads
    )


def caption(
    model: _core.Model, pixels: npt.NDArray[np.float32], configuration: Configuration
) -> list[list[Hypothesis]]:
    """Captions pixels [N, 3, H, W] as the configuration says: num_return_sequences an image."""
    named = dict(configuration.options)
    eos_token_ids = named.pop("eos_token_id")
    arguments = GenerationOptions(**named).search_arguments(len(configuration.prompt))
    options = _core.Options(**arguments, eos_token_ids=eos_token_ids)
    results = model.generate(pixels, configuration.prompt, options).results
    assert not any(result.error for result in results)
    return [
        [Hypothesis(list(found.tokens), found.score) for found in result.hypotheses]
        for result in results
    ]


def assert_agrees(model: _core.Model, case: Case) -> None:
    """The product's captions of a case are the reference's."""
    configuration, expected = case
    found = caption(model, pixel_values(images(configuration)), configuration)
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


def _tokens(captions: list[list[Hypothesis]]) -> list[list[list[int]]]:
    return [[hypothesis.tokens for hypothesis in hypotheses] for hypotheses in captions]
