"""Prompts as tokens, with tokenizers of every sort."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from beamcap.prompt import Prompts

START = 0


def wordpiece() -> Tokenizer:
    vocabulary = ["<s>", "[UNK]", "a", "picture", "of", "cafe", "##s"]
    model = models.WordPiece({token: i for i, token in enumerate(vocabulary)}, unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def unigram() -> Tokenizer:
    scores = [("<s>", 0.0), ("<unk>", -9.0), ("▁a", -1.0), ("▁picture", -1.0), ("s", -1.0)]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=1))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


def bytes_of_pairs() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<s>"])
    return tokenizer


def characters_without_unknown() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE({"<s>": 0, "a": 1, "s": 2}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def test_without_a_prompt_there_is_the_start_token() -> None:
    assert Prompts(wordpiece(), START).tokens(None) == [START]


def test_a_prompt_follows_the_start_token_without_special_tokens() -> None:
    tokenizer = wordpiece()
    assert Prompts(tokenizer, START).tokens("A picture of Cafés") == [START, 2, 3, 4, 5, 6]
    assert Prompts(unigram(), START).tokens("a pictures") == [START, 2, 3, 4]
    assert len(Prompts(bytes_of_pairs(), START).tokens("ü ☃")) == 1 + 2 + 1 + 3
    assert Prompts(characters_without_unknown(), START).tokens("as s") == [START, 1, 2, 2]


def test_a_prompt_that_begins_with_the_start_token_gets_no_second_one() -> None:
    tokens = Prompts(bytes_of_pairs(), START).tokens("<s>a")
    assert tokens[0] == START and len(tokens) == 2 and tokens[1] != START


def test_what_the_normalizer_drops_is_not_unknown() -> None:
    accent_of_its_own, no_width = "\u0301", "\u200b"
    prompts = Prompts(wordpiece(), START)
    assert prompts.tokens(f"cafe{accent_of_its_own} {no_width}of") == [START, 5, 4]
    with pytest.raises(ValueError, match="is nothing to the model's tokenizer"):
        prompts.tokens(no_width)


@pytest.mark.parametrize(
    ("tokenizer", "prompt", "unknown"),
    [
        (wordpiece(), "a zebra of a picture", "'zebra'"),
        (wordpiece(), "a ☃ or ☃s", "'☃', 'or', '☃s'"),
        (unigram(), "a zap", "'zap'"),
        # Without an unknown token, the tokenizer drops what it does not know.
        (characters_without_unknown(), "sas ü a☃", "'ü', '☃'"),
        (characters_without_unknown(), "☃", "'☃'"),
    ],
    ids=["wordpiece", "wordpieces", "unigram", "dropped", "all dropped"],
)
def test_what_the_tokenizer_does_not_know_is_refused_by_name(
    tokenizer: Tokenizer, prompt: str, unknown: str
) -> None:
    with pytest.raises(ValueError, match=f"prompt=.*does not know: {unknown}"):
        Prompts(tokenizer, START).tokens(prompt)
