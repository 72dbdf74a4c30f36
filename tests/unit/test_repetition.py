"""Captions that go round in circles, and captions that only sound like it."""

from __future__ import annotations

import pytest

from beamcap.repetition import is_repetitive


@pytest.mark.parametrize(
    "caption",
    [
        "a dog dog",
        "A dog a dog runs through the long grass of a garden",
        "a man in a red shirt and and a hat",
        "two dogs run on the grass run on the grass near a fence in the evening sun",
        "one two three four five six seven eight one two three four five six seven eight",
        "a young boy in a red shirt is standing in a red shirt",
        "of a dog and of a dog or of a dog",
    ],
)
def test_a_loop(caption: str) -> None:
    assert is_repetitive(caption)


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "a",
        "a dog",
        "a dog and a dog",
        "a man in a red shirt and a woman in a red hat",
        "a black dog and a white dog run in a field",
        # Half of the words are no more than half.
        "a b c d e f a b c x y z",
    ],
)
def test_no_loop(caption: str) -> None:
    assert not is_repetitive(caption)


def test_a_caption_as_long_as_any_model_writes_is_no_burden() -> None:
    assert not is_repetitive(" ".join(map(str, range(100_000))))
