"""Captions as text and as token ids."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

PAD, BOS, EOS = 0, 1, 2
SPECIALS = ["<pad>", "<s>", "</s>"]


def clean(caption: str) -> str:
    """Lower case, no final full stop, no quotation marks, no blanks before punctuation."""
    text = re.sub(r'["`]|\'\'', " ", caption.lower())
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r" ([,.;:!?]|'s\b|n't\b)", r"\1", text)
    return text.strip(" .,;:")


def train_tokenizer(captions: list[str], size: int) -> Tokenizer:
    """Byte-level BPE of `size` tokens, specials first; decodes straight to clean text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    return tokenizer


def load_tokenizer(path: Path, captions: list[list[str]], size: int) -> Tokenizer:
    """The tokenizer at `path`, trained there first on the captions if it is missing."""
    if not path.exists():
        train_tokenizer([clean(c) for group in captions for c in group], size).save(str(path))
    return Tokenizer.from_file(str(path))


def encode(tokenizer: Tokenizer, captions: list[list[str]], longest: int) -> np.ndarray:
    """Captions -> ids int64 [photos, captions, longest + 1]: <s> tokens </s> <pad> ...

    A longer caption is cut without </s>, so that nothing learns to end there.
    """
    per_photo = min(len(group) for group in captions)
    ids = np.full((len(captions), per_photo, longest + 1), PAD, np.int64)
    for i, group in enumerate(captions):
        for j, caption in enumerate(group[:per_photo]):
            row = [BOS, *tokenizer.encode(clean(caption)).ids, EOS][: longest + 1]
            ids[i, j, : len(row)] = row
    return ids
