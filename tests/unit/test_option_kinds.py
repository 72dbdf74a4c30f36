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
    ("kind", "text", "says"),
    [
        (kinds.Integer(1), "many", "an integer"),
        (kinds.Integer(1), "2.5", "an integer"),
        (kinds.Number(), "high", "a number"),
        (kinds.Boolean(), "yes", "one of true, false"),
        (kinds.EarlyStopping(), "maybe", "one of true, false, never"),
        (kinds.Texts(), "['.']", "JSON"),
        (kinds.TokenIds(), "red", "token ids with commas between"),
        (kinds.TokenSequences(), "red", "JSON"),
        (kinds.TokenSequences(), "[" * 100_000, "JSON"),
        (kinds.SequenceBias(), "5=1.0", "JSON"),
        (kinds.Decay(), "10:1.1", "a start and a factor"),
    ],
    ids=lambda value: value[:9] if isinstance(value, str) else type(value).__name__,
)
def test_what_cannot_be_read_is_refused(kind: kinds.Kind, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"it must be .*{says}"):
        kind.parse(text)
