"""A model's own defaults: the options in its generation_config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .options import OPTIONS, GenerationOptions

_CONSTRAINED = "it asks for a constrained beam search"
_GROUPS = "it asks for a search in groups of beams"
_ENCODER_TOKENS = "it is about the encoder's tokens, and an image has none"

# Every other value than these would change captions, or has no meaning for images.
_NOT_HONOURED: dict[str, tuple[tuple[Any, ...], str]] = {
    # name: (the values under which it does nothing, why it is not honoured)
    "constraints": ((None, []), _CONSTRAINED),
    "force_words_ids": ((None, []), _CONSTRAINED),
    "num_beam_groups": ((None, 1), _GROUPS),
    "diversity_penalty": ((None, 0.0), _GROUPS),
    "penalty_alpha": ((None, 0.0), "it asks for a contrastive search"),
    "dola_layers": ((None,), "it asks for decoding by contrasting layers"),
    "top_h": ((None,), "it asks for top-h sampling"),
    "guidance_scale": ((None, 1.0), "it asks for classifier-free guidance"),
    "watermarking_config": ((None,), "it asks for a watermark"),
    "max_time": ((None,), "captions would depend on the speed of the machine"),
    "token_healing": ((None, False), "it rewrites the prompt"),
    "use_mtp": ((None, False), "it asks for several tokens a step"),
    "encoder_no_repeat_ngram_size": ((None, 0), _ENCODER_TOKENS),
    "encoder_repetition_penalty": ((None, 1.0), _ENCODER_TOKENS),
}


def read_generation_config(config: Mapping[str, Any]) -> GenerationOptions:
    """Reads the options of a generation_config.json; keys that no caption depends on pass.

    Raises:
        TypeError: an option is of a wrong type.
        ValueError: the config sets an option that beamcap does not honour, or a bad value.
    """
    for name, (off, reason) in _NOT_HONOURED.items():
        if name in config and config[name] not in off:
            raise ValueError(
                f"generation_config.json sets {name}={config[name]!r}, which beamcap does not "
                f"honour: {reason}. Remove {name} from the file to caption without it"
            )
    given = {
        name: config[name]
        for name, option in OPTIONS.items()
        if not option.own and config.get(name) is not None
    }
    try:
        return GenerationOptions(**given)
    except (TypeError, ValueError) as error:
        raise type(error)(f"generation_config.json: {error}") from None
