"""Small tokenizers, one for each way of writing tokens that a captioning model may have."""

from __future__ import annotations

from collections.abc import Callable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

_LETTERS = [*"abcdefinoprstu", "."]


def byte_level() -> Tokenizer:
    """As GPT-2's: the tokens of "ü" are its two bytes; <s> is special."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, "an", "Ġan", "Ġand", "nd", "Ã¼"]
    merges = [("a", "n"), ("Ġ", "an"), ("n", "d"), ("Ġan", "d"), ("Ã", "¼")]
    tokenizer = Tokenizer(models.BPE(_numbered(tokens), merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>"])
    return tokenizer


def byte_fallback() -> Tokenizer:
    """As Llama's: pieces with a mark for the space, and bytes for what no piece has."""
    tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *_LETTERS, "▁an"]
    merges = [("▁", "a"), ("▁a", "n")]
    vocabulary = _numbered([*tokens, "▁a"])
    model = models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return tokenizer


def wordpiece() -> Tokenizer:
    """As BERT's: a token that continues a word begins with ##."""
    tokens = ["[UNK]", "a", *(f"##{letter}" for letter in _LETTERS), "and", "##nd", ".", "don", "'"]
    tokenizer = Tokenizer(models.WordPiece(_numbered(tokens), unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["[CLS]"])
    return tokenizer


def unigram() -> Tokenizer:
    """As T5's: pieces, of which those that begin a word carry a mark."""
    tokens = ["<unk>", "▁", *_LETTERS, "▁an", "an", "nd", "ü"]
    tokenizer = Tokenizer(models.Unigram([(token, -1.0) for token in tokens], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def without_decoder() -> Tokenizer:
    """Whole words, which are written with a space between them."""
    tokenizer = Tokenizer(models.WordLevel(_numbered(["[UNK]", "abcdef", "and", "a"]), "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


KINDS: dict[str, Callable[[], Tokenizer]] = {
    make.__name__: make for make in (byte_level, byte_fallback, wordpiece, unigram, without_decoder)
}


def _numbered(tokens: list[str]) -> dict[str, int]:
    return {token: index for index, token in enumerate(tokens)}
