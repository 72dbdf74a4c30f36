"""What each token adds to a text, for tokenizers of every sort."""

from __future__ import annotations

import pytest
from tokenizer_kinds import KINDS
from tokenizers import Tokenizer, models

from beamcap.stop_strings import StopStringMaker


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("byte_level", {"Ġand": b" and", "Ã": b"\xc3", "Ã¼": "ü".encode(), "<s>": b"<s>"}),
        ("byte_fallback", {"▁an": b" an", "a": b"a", "<0xC3>": b"\xc3", "<0x41>": b"A"}),
        ("wordpiece", {"##nd": b"nd", "and": b" and", ".": b".", "[CLS]": b" [CLS]"}),
        ("unigram", {"▁an": b" an", "nd": b"nd", "ü": "ü".encode(), "▁": b" "}),
        ("without_decoder", {"and": b" and", "a": b" a"}),
    ],
)
def test_what_a_token_adds_to_a_text(kind: str, texts: dict[str, bytes]) -> None:
    tokenizer = KINDS[kind]()
    found = StopStringMaker(tokenizer).token_texts
    assert {token: found[tokenizer.token_to_id(token)] for token in texts} == texts
    assert len(found) == tokenizer.get_vocab_size()


def test_a_number_without_a_token_adds_nothing() -> None:
    tokenizer = Tokenizer(models.WordLevel({"abcdef": 0, "a": 3}, "abcdef"))
    assert StopStringMaker(tokenizer).token_texts == [b" abcdef", b"", b"", b" a"]


def test_a_tokenizer_that_does_not_tell_is_refused() -> None:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, "[UNK]"))
    with pytest.raises(ValueError, match="stop_strings cannot be honoured with this model"):
        StopStringMaker(tokenizer).make((".",))


def test_strings_that_no_token_can_end_are_refused() -> None:
    with pytest.raises(ValueError, match="stop_strings"):
        StopStringMaker(KINDS["unigram"]()).make(("☃",))


def test_the_same_strings_are_made_once() -> None:
    maker = StopStringMaker(KINDS["wordpiece"]())
    assert maker.make((".", "and")) is maker.make((".", "and"))
