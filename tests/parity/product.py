"""The product's answer to a configuration, and its comparison with the reference's."""

from __future__ import annotations

import math
from itertools import chain
from pathlib import Path

from cases import Case, Hypothesis
from configurations import Configuration, images, pixel_values

from beamcap import GenerationOptions, _core
from beamcap.bundle import Bundle
from beamcap.ort_library import load_onnxruntime

SCORE_TOLERANCE = 1e-4


def load(folder: Path) -> _core.Model:
    """Loads the graphs of a bundle."""
    load_onnxruntime()
    bundle = Bundle.find(folder)
    later = None if bundle.decoder_with_past is None else str(bundle.decoder_with_past)
    return _core.Model(str(bundle.encoder), str(bundle.decoder), later, intra_op_threads=1)


def search(model: _core.Model, configuration: Configuration) -> list[list[Hypothesis]]:
    """Captions the configuration's images: num_return_sequences an image, best first."""
    named = dict(configuration.options)
    eos_token_ids = named.pop("eos_token_id")
    arguments = GenerationOptions(**named).search_arguments(len(configuration.prompt))
    options = _core.Options(**arguments, eos_token_ids=eos_token_ids)
    pixels = pixel_values(images(configuration))
    results = model.generate(pixels, configuration.prompt, options).results
    assert not any(result.error for result in results)
    return [
        [Hypothesis(list(found.tokens), found.score) for found in result.hypotheses]
        for result in results
    ]


def assert_agrees(model: _core.Model, case: Case) -> None:
    """Tokens equal, scores within SCORE_TOLERANCE relative."""
    found = search(model, case.configuration)
    assert _tokens(found) == _tokens(case.captions), case.configuration
    for got, expected in zip(chain(*found), chain(*case.captions), strict=True):
        assert math.isclose(got.score, expected.score, rel_tol=SCORE_TOLERANCE), (
            case.configuration,
            got,
            expected,
        )


def _tokens(captions: list[list[Hypothesis]]) -> list[list[list[int]]]:
    return [[hypothesis.tokens for hypothesis in caption] for caption in captions]
