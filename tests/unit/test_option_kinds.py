"""What a command line may write for each kind of option."""

from __future__ import annotations

from typing import Any

import pytest

from beamcap import option_kinds as kinds


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (kinds.Integer(1), "5", 5),
        (kinds.Number(), "-1.5", -1.5),
        (kinds.Boolean(), "True", True),
        (kinds.Boolean(), "false", False),
        (kinds.EarlyStopping(), "never", "never"),
        (kinds.EarlyStopping(), "true", True),
        (kinds.Text(), " a picture of", " a picture of"),
        (kinds.Texts(), " and", (" and",)),
        (kinds.Texts(), '[".", " and"]', (".", " and")),
        (kinds.TokenIds(), "5", (5,)),
        (kinds.TokenIds(), "5,7", (5, 7)),
        (kinds.TokenIds(), "[5, 7]", (5, 7)),
        (kinds.TokenIds(), "", ()),
        (kinds.TokenIds(single=True), "2", (2,)),
        (kinds.TokenSequences(), "[[5, 7], [9]]", ((5, 7), (9,))),
        (kinds.SequenceBias(), "[[[5, 7], -2.5]]", (((5, 7), -2.5),)),
        (kinds.Decay(), "10,1.1", (10, 1.1)),
        (kinds.Decay(), "[10, 1.1]", (10, 1.1)),
    ],
)
def test_a_text_is_read(kind: kinds.Kind, text: str, value: Any) -> None:
    assert kind.check(kind.parse(text)) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (kinds.Integer(1), "many"),
        (kinds.Integer(1), "2.5"),
        (kinds.Number(), "high"),
        (kinds.Boolean(), "yes"),
        (kinds.EarlyStopping(), "maybe"),
        (kinds.Texts(), "['.']"),
        (kinds.TokenIds(), "red"),
        (kinds.TokenSequences(), "red"),
        (kinds.SequenceBias(), "5=1.0"),
        (kinds.Decay(), "10:1.1"),
    ],
)
def test_what_cannot_be_read_is_refused(kind: kinds.Kind, text: str) -> None:
    with pytest.raises(ValueError):
        kind.parse(text)
