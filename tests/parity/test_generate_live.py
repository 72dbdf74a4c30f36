"""The product's captions against transformers' generate() on freshly drawn models.

Runs where torch and transformers are installed. Another seed draws other models and configurations:

    BEAMCAP_PARITY_SEED=7 pytest tests/parity/test_generate_live.py
"""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("onnx")

from cases import Case  # noqa: E402
from export_reference import export, forms  # noqa: E402
from product import Bites, Product  # noqa: E402
from reference_models import DECODERS, ENCODERS, build  # noqa: E402
from reference_search import Liveliness, answer_many  # noqa: E402

from beamcap.cpu import available_cores  # noqa: E402

SEED = int(os.environ.get("BEAMCAP_PARITY_SEED", "0"))
MODELS = 16
CASES_PER_MODEL = 126
LEAST_BITES = 5
"""Of each option, over all cases that are looked at for it: one in BITES_EVERY."""
BITES_EVERY = 4


class Answers(NamedTuple):
    """What generate() says of configurations for one model."""

    bundles: list[Path]
    """The model in all its forms."""
    cases: list[Case]
    liveliness: Liveliness
    name: str


def answer(folder: Path, index: int) -> Answers:
    """Draws the model and its configurations; runs in a process of its own."""
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)  # more only get in each other's way in a model this small
    rng = random.Random(f"{SEED}, {index}")
    decoder = list(DECODERS)[index % len(DECODERS)]
    encoder = rng.choice(list(ENCODERS))
    reference = build(encoder, decoder, rng.getrandbits(32), vocab_size=rng.randint(48, 200))
    liveliness = Liveliness()
    cases = answer_many(reference, rng, CASES_PER_MODEL, liveliness)
    bundles = [folder / form for form in forms(reference.model)]
    for bundle in bundles:
        export(reference.model, bundle, form=bundle.name)
    return Answers(bundles, cases, liveliness, f"{encoder}-{decoder}")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Future[Answers]]]:
    """By model; a core works on each, as generate() takes nearly all of the time."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(MODELS, available_cores()), mp_context=spawn) as pool:
        yield [
            pool.submit(answer, tmp_path_factory.mktemp("model"), index) for index in range(MODELS)
        ]
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def bites() -> Bites:
    return Bites()


@pytest.mark.parametrize("index", range(MODELS))
def test_captions_are_those_of_generate(
    answers: list[Future[Answers]], bites: Bites, index: int
) -> None:
    bundles, cases, liveliness, name = answers[index].result()
    print(f"seed {SEED}, {name}: {liveliness}")
    liveliness.check()
    for turn, bundle in enumerate(bundles):
        product = Product(bundle)
        for place, case in list(enumerate(cases))[turn :: len(bundles)]:
            product.assert_agrees(case)
            if place % BITES_EVERY == 0:
                bites.add(product, case)


def test_every_option_changes_captions(bites: Bites) -> None:
    print(bites.table())
    assert sum(bites.drawn.values()) > 0, "to be run after the other tests of this file"
    assert all(bites.bit[name] >= LEAST_BITES for name in bites.drawn), bites.table()
