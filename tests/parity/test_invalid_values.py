"""remove_invalid_values against transformers' generate(), on models whose logits hold NaN and inf.

Greedy alone: in beam search a NaN makes all of the row's log-probabilities NaN, so all tie.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("onnx")

from configurations import draw, images, pixel_values  # noqa: E402
from export_reference import export  # noqa: E402
from product import Product  # noqa: E402
from reference_models import POISONED, build, poison  # noqa: E402
from reference_search import answer  # noqa: E402

CONFIGURATIONS = 30


@pytest.mark.parametrize("decoder", ["gpt2", "bart"])
def test_captions_are_those_of_generate(tmp_path: Path, decoder: str) -> None:
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    rng = random.Random(decoder)
    reference = build("vit", decoder, seed=6)
    poison(reference.model)
    export(reference.model, tmp_path, "plain")
    product = Product(tmp_path)
    compared = poisoned = 0
    for _ in range(CONFIGURATIONS):
        configuration = draw(rng, reference.vocabulary)
        greedy = {"num_beams": 1, "num_return_sequences": 1, "remove_invalid_values": True}
        configuration = configuration._replace(options=configuration.options | greedy)
        found = answer(reference, configuration)
        if isinstance(found, str):
            continue
        captions = product.caption(pixel_values(images(configuration)), configuration)
        tokens = [[caption.tokens for caption in image] for image in captions]
        assert tokens == [[c.tokens for c in image] for image in found.case.captions], configuration
        compared += len(tokens)
        poisoned += sum(POISONED in caption for image in tokens for caption in image)
    assert compared > CONFIGURATIONS
    assert 0.2 * compared < poisoned
