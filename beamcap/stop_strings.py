"""Stop strings: what each token adds to a text, so that the core can tell where one is complete."""

from __future__ import annotations

import json
import re
from functools import cached_property, lru_cache
from typing import Any

from tokenizers import Tokenizer

from . import _core

_STEM = "abcdef"  # the reference's too: who cannot write it is refused there as well
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class StopStringMaker:
    """Makes the core's stop strings for one tokenizer, each set of them once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.make = lru_cache(maxsize=4)(self._make)

    def _make(self, stop_strings: tuple[str, ...]) -> _core.StopStrings:
        """The core's form of stop strings.

        Raises:
            ValueError: the tokenizer does not tell what its tokens add to a text, or no token can
                end any of the strings.
        """
        return _core.StopStrings(stop_strings, self.token_texts)

    @cached_property
    def token_texts(self) -> list[bytes]:
        """What each token adds to a text, by id: UTF-8, or the part of a character that it is.

        As in the reference: the bytes that a token stands for where the tokenizer has such tokens,
        else what its decoder writes for it behind others. Special tokens count like any other.
        """
        vocabulary = self._tokenizer.get_vocab()
        texts = [b""] * (1 + max(vocabulary.values()))
        kinds = _decoder_kinds(self._tokenizer)
        stem = self._stem()
        for token, token_id in vocabulary.items():
            of_bytes = _bytes_of(token, kinds)
            texts[token_id] = self._written(stem, token) if of_bytes is None else of_bytes
        return texts

    def _stem(self) -> list[str]:
        tokens: list[str] = self._tokenizer.encode(_STEM, add_special_tokens=False).tokens
        return tokens

    def _written(self, stem: list[str], token: str) -> bytes:
        decoder = self._tokenizer.decoder
        tokens = [*stem, token]
        text = " ".join(tokens) if decoder is None else decoder.decode(tokens)
        _, found, added = text.partition(_STEM)
        if not found:
            raise ValueError(
                "stop_strings cannot be honoured with this model: its tokenizer cannot write "
                f"{_STEM!r}, behind which it would show what each token adds to a text"
            )
        return added.encode()


def _bytes_of(token: str, kinds: set[str]) -> bytes | None:
    """The bytes that a token stands for, None if it is not of that sort."""
    if "ByteFallback" in kinds:
        byte = _BYTE_TOKEN.fullmatch(token)
        return byte and bytes.fromhex(byte[1])
    if "ByteLevel" in kinds and all(char in _BYTE_OF_CHAR for char in token):
        return bytes(_BYTE_OF_CHAR[char] for char in token)
    return None


def _decoder_kinds(tokenizer: Tokenizer) -> set[str]:
    """The types of the tokenizer's decoder and of all that it is composed of."""
    kinds = set()

    def note(part: dict[str, Any]) -> dict[str, Any]:
        kinds.add(part.get("type", ""))
        return part

    if tokenizer.decoder is not None:
        json.loads(tokenizer.decoder.__getstate__(), object_hook=note)
    return kinds


def _byte_characters() -> dict[str, int]:
    """The characters by which byte-level tokens write bytes: a printable byte is its own, the
    others are those from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    characters = {chr(byte): byte for byte in printable}
    characters.update({chr(256 + index): byte for index, byte in enumerate(others)})
    return characters


_BYTE_OF_CHAR = _byte_characters()
