"""Neither the size of a batch nor the order of its images changes a caption or its score."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cases import BUNDLES, Hypothesis
from configurations import Configuration, images, pixel_values
from product import Product, assert_same

SCORE_TOLERANCE = 1e-6
"""The scores are bit-equal with ONNX Runtime 1.32 on x86-64; another processor's kernels may go by
the number of rows."""


def configuration(folder: Path, num_beams: int) -> Configuration:
    """64 images, searched from the bundle's start token to its EOS."""
    config = json.loads((folder / "generation_config.json").read_text())
    options = {
        "num_beams": num_beams,
        "num_return_sequences": num_beams,
        "eos_token_id": [config["eos_token_id"]],
    }
    prompt = [config["decoder_start_token_id"]]
    return Configuration(image_seed=5, images=64, prompt=prompt, options=options)


@pytest.mark.parametrize("num_beams", [1, 4])
@pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.name)
def test_captions_do_not_depend_on_the_batch(folder: Path, num_beams: int) -> None:
    product = Product(folder, intra_op_threads=2)
    search = configuration(folder, num_beams)
    pixels = pixel_values(images(search))

    def captions_by(batch: int, order: np.ndarray) -> list[list[Hypothesis]]:
        shuffled = pixels[order]
        found = [
            hypotheses
            for start in range(0, len(pixels), batch)
            for hypotheses in product.caption(shuffled[start : start + batch], search)
        ]
        return [found[i] for i in np.argsort(order)]

    in_order = np.arange(len(pixels))
    together = captions_by(64, in_order)
    assert len({tuple(hypotheses[0].tokens) for hypotheses in together}) > 16
    for batch in (1, 3, 8):
        assert_same(captions_by(batch, in_order), together, SCORE_TOLERANCE)
    for batch in (8, 64):
        order = np.random.default_rng(batch).permutation(len(pixels))
        assert_same(captions_by(batch, order), together, SCORE_TOLERANCE)
