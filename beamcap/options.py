"""How to caption: the generation options, under the names of transformers' GenerationConfig."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

_INTEGERS = {
    # name: least value allowed
    "num_beams": 1,
    "num_return_sequences": 1,
    "max_length": 1,
    "max_new_tokens": 1,
    "min_length": 0,
    "min_new_tokens": 0,
    "no_repeat_ngram_size": 0,
}

# What a generation_config.json may also hold, with every value under which the option does nothing.
# Any other value would change captions and is refused until it is honoured.
_NOT_YET_HONOURED: dict[str, tuple[Any, ...]] = {
    "bad_words_ids": (None, []),
    "begin_suppress_tokens": (None, []),
    "constraints": (None, []),
    "diversity_penalty": (None, 0.0),
    "do_sample": (None, False),
    "dola_layers": (None,),
    "encoder_no_repeat_ngram_size": (None, 0),
    "encoder_repetition_penalty": (None, 1.0),
    "exponential_decay_length_penalty": (None,),
    "force_words_ids": (None, []),
    "forced_bos_token_id": (None,),
    "forced_eos_token_id": (None,),
    "guidance_scale": (None, 1.0),
    "max_time": (None,),
    "num_beam_groups": (None, 1),
    "penalty_alpha": (None, 0.0),
    "remove_invalid_values": (None, False),
    "renormalize_logits": (None, False),
    "sequence_bias": (None, {}, []),
    "stop_strings": (None, []),
    "suppress_tokens": (None, []),
    "token_healing": (None, False),
    "use_mtp": (None, False),
    "watermarking_config": (None,),
}

_TOKENS_WHEN_NO_LENGTH_IS_SET = 20
_MOST = 2**31 - 1  # any number that the core can be given; its own limits are lower


@dataclass(frozen=True)
class GenerationOptions:
    """Options of the search; a field left at None takes the model's default, else the reference's.

    Names and meaning are those of transformers' `GenerationConfig`; docs/semantics.md gives the
    exact steps. Lengths count tokens.

    Raises:
        TypeError: a value of a wrong type.
        ValueError: a value out of its range; the message names the option and what is allowed.
    """

    num_beams: int | None = None
    """Beams of the search; 1 is greedy."""
    num_return_sequences: int | None = None
    """Captions returned an image, at most num_beams."""
    max_length: int | None = None
    """Longest sequence, start token and prompt included."""
    max_new_tokens: int | None = None
    """Longest caption, without start token and prompt; wins over max_length."""
    min_length: int | None = None
    """Shortest sequence, start token and prompt included."""
    min_new_tokens: int | None = None
    """Shortest caption, without start token and prompt; wins over min_length."""
    length_penalty: float | None = None
    """A hypothesis scores sum(log-probabilities) / (generated tokens)**length_penalty."""
    early_stopping: bool | Literal["never"] | None = None
    """True: stop at num_beams finished hypotheses. False: stop when a better one is unlikely.
    "never": stop when a better one is impossible."""
    repetition_penalty: float | None = None
    """Above 1 makes tokens that already occurred less likely; 1 is off."""
    no_repeat_ngram_size: int | None = None
    """No n-gram of this size occurs twice; 0 is off."""

    def __post_init__(self) -> None:
        for name, least in _INTEGERS.items():
            _check_integer(name, getattr(self, name), least)
        _check_number("length_penalty", self.length_penalty)
        _check_number("repetition_penalty", self.repetition_penalty)
        if self.repetition_penalty is not None and self.repetition_penalty <= 0:
            raise ValueError(
                f"repetition_penalty={self.repetition_penalty} is not allowed: it must be above 0 "
                "(1.0 is off)"
            )
        if self.early_stopping not in (None, True, False, "never"):
            raise ValueError(
                f'early_stopping={self.early_stopping!r} is not allowed: True, False or "never"'
            )
        self._check_together()

    def _check_together(self) -> None:
        if self.num_beams is None or self.num_return_sequences is None:
            return
        if self.num_return_sequences > self.num_beams:
            raise ValueError(
                f"num_return_sequences={self.num_return_sequences} is more than "
                f"num_beams={self.num_beams}: raise num_beams or ask for fewer captions"
            )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of all options."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def from_generation_config(cls, config: Mapping[str, Any]) -> GenerationOptions:
        """Reads the options of a generation_config.json; keys that no caption depends on pass.

        Raises:
            ValueError: the config sets an option that this version does not honour, or a bad value.
        """
        for name, neutral in _NOT_YET_HONOURED.items():
            if name in config and config[name] not in neutral:
                raise ValueError(
                    f"generation_config.json sets {name}={config[name]!r}, which this version of "
                    f"beamcap does not honour: the captions would differ. Remove {name} from the "
                    "file to caption without it"
                )
        return cls(**{name: config[name] for name in cls.names() if config.get(name) is not None})

    def over(self, defaults: GenerationOptions) -> GenerationOptions:
        """These options, with the unset ones taken from `defaults`.

        Raises:
            ValueError: a length set here has no effect, as `defaults` sets one that wins over it;
                or the merged options contradict each other.
        """
        for length, winner in (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens")):
            won = getattr(defaults, winner)
            if None not in (getattr(self, length), won) and getattr(self, winner) is None:
                raise ValueError(
                    f"{length}={getattr(self, length)} would have no effect: the model sets "
                    f"{winner}={won}, which wins over it; give {winner} instead"
                )
        merged = {
            name: getattr(defaults, name) if getattr(self, name) is None else getattr(self, name)
            for name in self.names()
        }
        return GenerationOptions(**merged)

    def search_arguments(self, prompt_length: int) -> dict[str, Any]:
        """The arguments of the core's search: every option set, lengths with the prompt included.

        Args:
            prompt_length: tokens fed before the first generated one, the start token included.

        Raises:
            ValueError: the options contradict each other or the prompt.
        """
        beams = {
            "num_beams": _value(self.num_beams, 1),
            "num_return_sequences": _value(self.num_return_sequences, 1),
        }
        GenerationOptions(**beams)  # checks the defaults together with what is set
        max_length = self._max_length(prompt_length)
        if max_length <= prompt_length:
            raise ValueError(
                f"max_length={max_length} leaves no token to generate: the start token and the "
                f"prompt already take {prompt_length}; raise it or set max_new_tokens"
            )
        # min_new_tokens replaces min_length even where it is 0, as in the reference.
        min_length = self.min_length if self.min_new_tokens is None else None
        return {
            **beams,
            "max_length": max_length,
            "min_length": _value(min_length, 0),
            "min_new_tokens": _value(self.min_new_tokens, 0),
            "length_penalty": _value(self.length_penalty, 1.0),
            "early_stopping": _value(self.early_stopping, False),
            "repetition_penalty": _value(self.repetition_penalty, 1.0),
            "no_repeat_ngram_size": _value(self.no_repeat_ngram_size, 0),
        }

    def _max_length(self, prompt_length: int) -> int:
        if self.max_new_tokens is not None:
            return prompt_length + self.max_new_tokens
        if self.max_length is not None:
            return self.max_length
        return prompt_length + _TOKENS_WHEN_NO_LENGTH_IS_SET


def _value(given: Any, default: Any) -> Any:
    return default if given is None else given


def _check_integer(name: str, value: object, least: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r} is not allowed: it must be an integer >= {least}")
    if value < least:
        raise ValueError(f"{name}={value} is not allowed: it must be >= {least}")
    if value > _MOST:
        raise ValueError(f"{name}={value} is not allowed: it must be <= {_MOST}")


def check_positive(name: str, value: int | None) -> None:
    """Raises ValueError for a setting that is neither unset nor an integer of at least 1."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{name}={value!r} is not allowed: it must be an integer >= 1")


def _check_number(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}={value!r} is not allowed: it must be a number")
    if abs(value) > sys.float_info.max or math.isnan(value):
        raise ValueError(f"{name}={value} is not allowed: it must be finite")
