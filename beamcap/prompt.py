"""The prompt: text that every caption begins with, as tokens."""

from __future__ import annotations

import json
from functools import cached_property

from tokenizers import Encoding, Tokenizer

_WORDS_SHOWN = 5


class Prompts:
    """Makes prompts into the tokens that a model's decoder is fed first."""

    def __init__(self, tokenizer: Tokenizer, start_token_id: int) -> None:
        self._tokenizer = tokenizer
        self._start_token_id = start_token_id

    def tokens(self, prompt: str | None) -> list[int]:
        """The start token, then the prompt without special tokens.

        As the reference does with decoder_input_ids, a prompt that begins with the start token gets
        no second one.

        Raises:
            ValueError: the tokenizer does not know all of the prompt.
        """
        if prompt is None:
            return [self._start_token_id]
        encoding = self._tokenizer.encode(prompt, add_special_tokens=False)
        unknown = self._unknown_words(prompt, encoding)
        if unknown:
            raise ValueError(
                f"prompt={prompt!r} has words that the model's tokenizer does not know: "
                f"{', '.join(map(repr, unknown[:_WORDS_SHOWN]))}; leave them out"
            )
        tokens: list[int] = encoding.ids
        if not tokens:
            raise ValueError(f"prompt={prompt!r} is nothing to the model's tokenizer: leave it out")
        return tokens if tokens[0] == self._start_token_id else [self._start_token_id, *tokens]

    def _unknown_words(self, prompt: str, encoding: Encoding) -> list[str]:
        """What no token stands for: made the unknown token, or dropped where there is no such.

        Not what the normalizer itself drops, such as accents and characters of no width.
        """
        left = list(prompt)
        for token, (begin, end) in zip(encoding.ids, encoding.offsets, strict=True):
            if token != self._unknown_token_id:
                left[begin:end] = " " * (end - begin)
        words = "".join(left).split()
        normalizer = self._tokenizer.normalizer
        if normalizer is None:
            return words
        return [word for word in words if normalizer.normalize_str(word).strip()]

    @cached_property
    def _unknown_token_id(self) -> int | None:
        model = json.loads(self._tokenizer.to_str())["model"]
        if model.get("unk_token") is not None:
            token: int | None = self._tokenizer.token_to_id(model["unk_token"])
            return token
        unigram: int | None = model.get("unk_id")
        return unigram
