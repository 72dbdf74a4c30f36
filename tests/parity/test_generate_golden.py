"""The product's captions against those that transformers' generate() gave for stored bundles."""

from __future__ import annotations

from pathlib import Path

import pytest
from cases import BUNDLES, CASES, read_cases
from configurations import PROCESSORS
from product import Product


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.name)
def test_captions_are_those_of_generate(folder: Path) -> None:
    product = Product(folder)
    for case in read_cases(folder / CASES):
        product.assert_agrees(case)


def test_the_golden_set_is_whole() -> None:
    cases = [
        case.configuration.options for folder in BUNDLES for case in read_cases(folder / CASES)
    ]
    assert len(BUNDLES) == 4
    assert len(cases) >= 500
    assert {options["num_beams"] for options in cases} == {1, 2, 3, 4, 5}
    assert {options["early_stopping"] for options in cases} == {True, False, "never"}
    assert all(sum(name in options for options in cases) >= 20 for name in PROCESSORS)
