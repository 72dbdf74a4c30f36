"""The product's captions against transformers' generate() on freshly drawn models.

Runs where torch and transformers are installed. Another seed draws other models and configurations:

    BEAMCAP_PARITY_SEED=7 pytest tests/parity
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("onnx")

from export_reference import export, forms  # noqa: E402
from product import assert_agrees, load  # noqa: E402
from reference_models import DECODERS, ENCODERS, build  # noqa: E402
from reference_search import Liveliness, answer_many  # noqa: E402

SEED = int(os.environ.get("BEAMCAP_PARITY_SEED", "0"))
MODELS = 8
CASES_PER_MODEL = 63


@pytest.fixture(autouse=True)
def _quiet_and_single_threaded() -> None:
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)  # more only get in each other's way in a model this small


@pytest.mark.parametrize("index", range(MODELS))
def test_captions_are_those_of_generate(tmp_path: Path, index: int) -> None:
    rng = random.Random(f"{SEED}, {index}")
    decoder = list(DECODERS)[index % len(DECODERS)]
    encoder = rng.choice(list(ENCODERS))
    reference = build(encoder, decoder, rng.getrandbits(32), vocab_size=rng.randint(48, 200))
    liveliness = Liveliness()
    cases = answer_many(reference, rng, CASES_PER_MODEL, liveliness)
    print(f"seed {SEED}, {encoder}-{decoder}: {liveliness}")
    liveliness.check()
    names = forms(reference.model)
    for turn, form in enumerate(names):
        export(reference.model, tmp_path / form, form)
        model = load(tmp_path / form)
        for case in cases[turn :: len(names)]:
            assert_agrees(model, case)
