"""What each token adds to a text, held against the reference's own reckoning for stop strings."""

from __future__ import annotations

import pytest
from tokenizer_kinds import KINDS
from tokenizers import Tokenizer

from beamcap.bundle import Bundle
from beamcap.stop_strings import StopStringMaker

transformers = pytest.importorskip("transformers")
pytest.importorskip("torch")

from transformers.generation.stopping_criteria import StopStringCriteria  # noqa: E402


@pytest.mark.parametrize("kind", [*KINDS, "beamcap-small"])
def test_token_texts_are_the_references(kind: str) -> None:
    if kind in KINDS:
        tokenizer = KINDS[kind]()
    else:
        tokenizer = Tokenizer.from_file(str(Bundle.find(kind).tokenizer))
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    mode = StopStringCriteria._get_stop_string_matching_mode(fast)
    texts, ids = StopStringCriteria.clean_tokenizer_vocab(fast, stop_string_matching_mode=mode)
    found = StopStringMaker(tokenizer).token_texts
    for text, token_id in zip(texts, ids, strict=True):
        expected = text if isinstance(text, bytes) else text.encode()
        assert found[token_id] == expected, tokenizer.id_to_token(token_id)
