"""How to caption: the generation options, under the names of transformers' GenerationConfig."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from .option_kinds import (
    Boolean,
    Decay,
    EarlyStopping,
    Integer,
    Kind,
    Number,
    SequenceBias,
    Text,
    Texts,
    TokenIds,
    TokenSequences,
)

_TOKENS_WHEN_NO_LENGTH_IS_SET = 20
_MOST_SEED = 2**63 - 1

# What the core is given under another name, or not at all.
_NOT_PASSED_ON = {"max_new_tokens", "forced_eos_token_id", "stop_strings"}


@dataclass(frozen=True)
class Option:
    """One of the options: what it may be, what it does, and where it comes from."""

    kind: Kind
    help: str
    """In a few words, for --help."""
    default: Any
    """In effect where neither the call nor the model sets it."""
    off: Any
    """With this value it does nothing."""
    sampling: bool
    """Whether it acts with do_sample only."""
    own: bool
    """beamcap's, not a field of transformers' GenerationConfig; no model sets it."""


def _option(
    kind: Kind,
    help: str,
    default: Any = None,
    *,
    off: Any = None,
    sampling: bool = False,
    own: bool = False,
) -> Any:
    off = default if off is None else off
    return field(default=None, metadata={"option": Option(kind, help, default, off, sampling, own)})


@dataclass(frozen=True)
class GenerationOptions:
    """Options of the search; a field left at None takes the model's default, else the reference's.

    Names and meaning are those of transformers' `GenerationConfig`; docs/semantics.md gives the
    exact steps. Lengths count tokens. Lists are kept as tuples: options are hashable.

    Raises:
        TypeError: a value of a wrong type.
        ValueError: a value out of its range, or values that contradict each other; the message
            names the option and what is allowed.
    """

    num_beams: int | None = _option(Integer(1), "beams of the search; 1 is no beam search", 1)
    num_return_sequences: int | None = _option(
        Integer(1), "captions for each image; without do_sample at most num_beams", 1
    )
    max_length: int | None = _option(
        Integer(1), "most tokens, with the start token and the prompt; default: 20 new ones"
    )
    max_new_tokens: int | None = _option(
        Integer(1), "most tokens of the caption itself; wins over max_length"
    )
    min_length: int | None = _option(
        Integer(0), "fewest tokens, with the start token and the prompt", 0
    )
    min_new_tokens: int | None = _option(
        Integer(0), "fewest tokens of the caption itself; wins over min_length"
    )
    length_penalty: float | None = _option(
        Number(), "scores are divided by length**X: above 0 favours long captions", 1.0
    )
    early_stopping: bool | Literal["never"] | None = _option(
        EarlyStopping(),
        "when a beam search ends: at num_beams captions, by a heuristic, when none can be better",
        False,
    )
    repetition_penalty: float | None = _option(
        Number(above=0), "above 1 makes tokens that occurred less likely; 1 is off", 1.0
    )
    no_repeat_ngram_size: int | None = _option(
        Integer(0), "no N tokens in a row occur twice; 0 is off", 0
    )
    sequence_bias: (
        Sequence[tuple[Sequence[int], float]] | Mapping[tuple[int, ...], float] | None
    ) = _option(
        SequenceBias(),
        "added to the score of the last token of a sequence where the others stand before it, as "
        "[[[5, 7], -2.5]]",
        (),
    )
    bad_words_ids: Sequence[Sequence[int]] | None = _option(
        TokenSequences(), "sequences of tokens that never occur, as [[5, 7], [9]]", ()
    )
    forced_bos_token_id: int | None = _option(
        Integer(0, metavar="ID"), "the first token after the start token; not with a prompt"
    )
    forced_eos_token_id: int | Sequence[int] | None = _option(
        TokenIds(single=True), "one of these ends a caption that reaches the longest length", ()
    )
    exponential_decay_length_penalty: tuple[int, float] | None = _option(
        Decay(), "after START generated tokens the EOS grows likelier by FACTOR a token"
    )
    suppress_tokens: Sequence[int] | None = _option(TokenIds(), "tokens that never occur", ())
    begin_suppress_tokens: Sequence[int] | None = _option(
        TokenIds(), "tokens that do not begin a caption", ()
    )
    remove_invalid_values: bool | None = _option(
        Boolean(), "take NaN and infinite logits for numbers, instead of failing the image", False
    )
    renormalize_logits: bool | None = _option(
        Boolean(), "make the scores log-probabilities again after all that changed them", False
    )
    stop_strings: str | Sequence[str] | None = _option(
        Texts(), "a caption ends with the token that completes such a text", ()
    )

    do_sample: bool | None = _option(
        Boolean(), "draw tokens by their probability, instead of taking the likeliest", False
    )
    temperature: float | None = _option(
        Number(above=0), "divides the logits: below 1 makes draws safer", 1.0, sampling=True
    )
    top_k: int | None = _option(
        Integer(0), "draw from the N likeliest tokens; 0 is off", 50, off=0, sampling=True
    )
    top_p: float | None = _option(
        Number(least=0, most=1),
        "draw from the likeliest tokens that together have probability X; 1 is off",
        1.0,
        sampling=True,
    )
    min_p: float | None = _option(
        Number(least=0, most=1),
        "draw from tokens at least X times as likely as the likeliest; 0 is off",
        0.0,
        sampling=True,
    )
    typical_p: float | None = _option(
        Number(above=0, most=1),
        "draw from the most typical tokens that together have probability X; 1 is off",
        1.0,
        sampling=True,
    )
    epsilon_cutoff: float | None = _option(
        Number(least=0, below=1),
        "draw from tokens of at least probability X; 0 is off",
        0.0,
        sampling=True,
    )
    eta_cutoff: float | None = _option(
        Number(least=0, below=1),
        "as epsilon_cutoff, with a bound that follows the entropy; 0 is off",
        0.0,
        sampling=True,
    )

    seed: int | None = _option(
        Integer(0, _MOST_SEED),
        "of sampling; a caption depends on it and on its image's key alone",
        0,
        sampling=True,
        own=True,
    )
    prompt: str | None = _option(Text(), "how every caption begins", own=True)
    strip_prompt: bool | None = _option(
        Boolean(), "leave the prompt out of the captions", False, own=True
    )
    output_token_log_probs: bool | None = _option(
        Boolean(), "give the log-probability of every token", False, own=True
    )

    def __post_init__(self) -> None:
        for name, option in OPTIONS.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _checked(name, option.kind, value))
        self._check_together()

    def _check_together(self) -> None:
        sequences, beams = self.num_return_sequences, self.num_beams
        # Sampling without beams returns as many as it draws; do_sample may still come.
        drawn = beams == 1 and self.do_sample is not False
        if sequences is not None and beams is not None and sequences > beams and not drawn:
            raise ValueError(
                f"num_return_sequences={sequences} is more than num_beams={beams}: raise num_beams "
                "or ask for fewer captions"
            )
        if self.strip_prompt and not self.prompt:
            raise ValueError("strip_prompt=True has no effect without a prompt: give one")
        for name in ("forced_bos_token_id", "forced_eos_token_id"):
            forced = _as_ids(getattr(self, name))
            if forced and set(forced) <= set(self.suppress_tokens or ()):
                raise ValueError(
                    f"{name}={getattr(self, name)} is among suppress_tokens: what is forced cannot "
                    "be suppressed; to prevent an early EOS use min_new_tokens"
                )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of all options."""
        return tuple(OPTIONS)

    def value(self, name: str) -> Any:
        """What is in effect: the option as it is set, else the reference's default."""
        given = getattr(self, name)
        return OPTIONS[name].default if given is None else given

    def over(self, defaults: GenerationOptions) -> GenerationOptions:
        """These options, with the unset ones taken from `defaults`.

        Raises:
            ValueError: an option set here has no effect, or the merged ones contradict each other.
        """
        merged = GenerationOptions(
            **{
                name: getattr(defaults, name)
                if getattr(self, name) is None
                else getattr(self, name)
                for name in self.names()
            }
        )
        self._check_lengths_count(defaults)
        self._check_effect(merged)
        return merged

    def _check_lengths_count(self, defaults: GenerationOptions) -> None:
        for length, winner in (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens")):
            won = getattr(defaults, winner)
            if None not in (getattr(self, length), won) and getattr(self, winner) is None:
                raise ValueError(
                    f"{length}={getattr(self, length)} would have no effect: the model sets "
                    f"{winner}={won}, which wins over it; give {winner} instead"
                )

    def _check_effect(self, merged: GenerationOptions) -> None:
        for name, option in OPTIONS.items():
            given = getattr(self, name)
            if option.sampling and not merged.do_sample and given not in (None, option.off):
                raise ValueError(
                    f"{name}={given} has no effect without do_sample=True: set both, or neither"
                )
        if self.early_stopping and merged.value("num_beams") == 1:
            raise ValueError(
                f"early_stopping={self.early_stopping} has no effect with num_beams=1: set both, "
                "or neither"
            )
        if self.forced_bos_token_id is not None and merged.prompt:
            raise ValueError(
                f"forced_bos_token_id={self.forced_bos_token_id} has no effect with a prompt: "
                "give one of them"
            )

    def search_arguments(self, prompt_length: int) -> dict[str, Any]:
        """The arguments of the core's search: every option set, lengths with the prompt included.

        Only stop_strings are not among them: the core takes them with the texts of all tokens.

        Args:
            prompt_length: tokens fed before the first generated one, the start token included.

        Raises:
            ValueError: the options contradict each other or the prompt.
        """
        arguments = {
            name: option.off if option.sampling and not self.do_sample else self.value(name)
            for name, option in OPTIONS.items()
            if not option.own and name not in _NOT_PASSED_ON
        }
        together = ("num_beams", "num_return_sequences", "do_sample")
        GenerationOptions(**{name: arguments[name] for name in together})  # now with defaults
        return {
            **arguments,
            "max_length": self._max_length(prompt_length),
            # min_new_tokens replaces it even where it is 0, as in the reference.
            "min_length": self.value("min_length") if self.min_new_tokens is None else 0,
            "min_new_tokens": self.min_new_tokens or 0,
            "forced_eos_token_ids": self.value("forced_eos_token_id"),
        }

    def _max_length(self, prompt_length: int) -> int:
        if self.max_new_tokens is not None:
            return prompt_length + self.max_new_tokens
        if self.max_length is None:
            return prompt_length + _TOKENS_WHEN_NO_LENGTH_IS_SET
        if self.max_length <= prompt_length:
            raise ValueError(
                f"max_length={self.max_length} leaves no token to generate: the start token and "
                f"the prompt already take {prompt_length}; raise it or set max_new_tokens"
            )
        return self.max_length


OPTIONS: Mapping[str, Option] = {
    each.name: each.metadata["option"] for each in fields(GenerationOptions)
}
"""All options by name."""


def check_positive(name: str, value: int | None) -> None:
    """Raises ValueError for a setting that is neither unset nor an integer of at least 1."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{name}={value!r} is not allowed: it must be an integer >= 1")


def _checked(name: str, kind: Kind, value: object) -> Any:
    try:
        return kind.check(value)
    except (TypeError, ValueError) as error:
        shown = reprlib.repr(value)
        raise type(error)(f"{name}={shown} is not allowed: {error}") from None


def _as_ids(given: Any) -> tuple[int, ...]:
    return (given,) if isinstance(given, int) else tuple(given or ())
