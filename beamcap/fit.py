"""Whether a bundle's parts fit each other, and options the model: found before any work."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

from .bundle import Bundle
from .options import GenerationOptions

if TYPE_CHECKING:
    from ._core import Model
    from .preprocess import Preprocessor

_TOKEN_OPTIONS = ("forced_eos_token_id", "suppress_tokens", "begin_suppress_tokens")


def check_pixels(bundle: Bundle, model: Model, preprocessor: Preprocessor) -> None:
    """Raises ValueError where the preprocessor's images are not of the encoder's size."""
    made = (preprocessor.height, preprocessor.width)
    taken = model.pixel_shape[1:]
    if any(size not in (None, side) for size, side in zip(taken, made, strict=True)):
        raise ValueError(
            f"preprocessor_config.json makes images of {made[0]}x{made[1]}, but "
            f"{bundle.encoder.name} takes {taken[0]}x{taken[1]}"
        )


def check_tokens(bundle: Bundle, model: Model) -> None:
    """Raises ValueError where the configuration names a token that the decoder does not know."""
    tokens = (bundle.start_token_id, *bundle.eos_token_ids)
    _check_known(bundle, model, "generation_config.json", tokens)


def check_option_tokens(bundle: Bundle, model: Model, options: GenerationOptions) -> None:
    """Raises ValueError where an option names a token that the decoder does not know."""
    named: dict[str, Iterable[int]] = {
        "sequence_bias": chain(*(sequence for sequence, _ in options.value("sequence_bias"))),
        "bad_words_ids": chain(*options.value("bad_words_ids")),
        "forced_bos_token_id": [options.forced_bos_token_id or 0],
        **{name: options.value(name) for name in _TOKEN_OPTIONS},
    }
    for name, tokens in named.items():
        _check_known(bundle, model, name, tokens)


def _check_known(bundle: Bundle, model: Model, name: str, tokens: Iterable[int]) -> None:
    vocabulary = model.vocab_size
    highest = max(tokens, default=0)
    if vocabulary is not None and highest >= vocabulary:
        raise ValueError(
            f"{name} names the token {highest}, but {bundle.decoder.name} knows {vocabulary} tokens"
        )


def check_length(bundle: Bundle, max_length: int) -> None:
    """Raises ValueError for sequences longer than the decoder has positions for."""
    # The last token is only generated, never fed.
    positions = bundle.max_positions
    if positions is not None and max_length - 1 > positions:
        raise ValueError(
            f"a sequence of {max_length} tokens, prompt included, is longer than the "
            f"{positions + 1} that {bundle.name} can write: lower max_length or max_new_tokens"
        )


def warn_of_banned_eos(bundle: Bundle, options: GenerationOptions) -> None:
    """ViT-GPT2 and its like start with the EOS: processors that look back then see it."""
    if bundle.start_token_id not in bundle.eos_token_ids:
        return
    if (options.repetition_penalty or 1.0) != 1.0:
        effect = f"repetition_penalty={options.repetition_penalty} acts on EOS from step 1"
    elif options.no_repeat_ngram_size == 1:
        effect = "no_repeat_ngram_size=1 bans EOS for ever"
    else:
        return
    message = f"{bundle.name}: the start token is also an EOS, so {effect}, as in generate()"
    warnings.warn(message, UserWarning, stacklevel=5)
