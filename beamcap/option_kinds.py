"""What an option may hold: the check of a value in Python, and how a command line writes it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Protocol, TypeGuard, TypeVar

_MOST = 2**31 - 1  # any number that the core can be given; its own limits are lower
_MOST_TOKEN = 2**31 - 1  # some graphs take their tokens as int32
_TRUTHS = {"true": True, "false": False}
_TRUTHS_OR_NEVER: dict[str, bool | str] = {**_TRUTHS, "never": "never"}
_Value = TypeVar("_Value")


class Kind(Protocol):
    """A kind of value."""

    @property
    def metavar(self) -> str:
        """Stands for the value in --help."""

    def parse(self, text: str) -> Any:
        """A command line's text as a value that `check` takes or refuses.

        Raises:
            ValueError: the text cannot be such a value.
        """

    def check(self, value: object) -> Any:
        """The value as an option keeps it: immutable, of Python's own types.

        Raises:
            TypeError, ValueError: it is not allowed; the message says what is.
        """


@dataclass(frozen=True)
class Integer:
    """An integer of at least `least`."""

    least: int
    most: int = _MOST
    metavar: str = "N"

    def parse(self, text: str) -> int:
        return _read(int, text, "an integer")

    def check(self, value: object) -> int:
        if not _is_integer(value):
            raise TypeError(f"it must be an integer >= {self.least}")
        number = int(value)
        if number < self.least:
            raise ValueError(f"it must be >= {self.least}")
        if number > self.most:
            raise ValueError(f"it must be <= {self.most}")
        return number


@dataclass(frozen=True)
class Number:
    """A finite number in a range, which `above` and `below` do not belong to."""

    above: float = -math.inf
    least: float = -math.inf
    most: float = math.inf
    below: float = math.inf
    metavar: str = "X"

    def parse(self, text: str) -> float:
        return _read(float, text, "a number")

    def check(self, value: object) -> float:
        number = _finite(value)
        for holds, bound in (
            (number > self.above, f"above {self.above:g}"),
            (number >= self.least, f">= {self.least:g}"),
            (number <= self.most, f"<= {self.most:g}"),
            (number < self.below, f"below {self.below:g}"),
        ):
            if not holds:
                raise ValueError(f"it must be {bound}")
        return number


@dataclass(frozen=True)
class Boolean:
    """True or False."""

    metavar: str = "{true,false}"

    def parse(self, text: str) -> bool:
        return _one_of(_TRUTHS, text)

    def check(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise TypeError("it must be True or False")
        return value


@dataclass(frozen=True)
class EarlyStopping:
    """True, False or "never"."""

    metavar: str = "{true,false,never}"

    def parse(self, text: str) -> bool | str:
        return _one_of(_TRUTHS_OR_NEVER, text)

    def check(self, value: object) -> bool | str:
        if isinstance(value, bool) or (isinstance(value, str) and value == "never"):
            return value
        raise ValueError('it must be True, False or "never"')


@dataclass(frozen=True)
class Text:
    """Text that is not blank."""

    metavar: str = "TEXT"

    def parse(self, text: str) -> str:
        return text

    def check(self, value: object) -> str:
        if not isinstance(value, str):
            raise TypeError("it must be text")
        if not value.strip() or not _is_unicode(value):
            raise ValueError("it must be valid Unicode, and not blank")
        return value


@dataclass(frozen=True)
class Texts:
    """One text, or a list of them; none of them empty."""

    metavar: str = "TEXT|JSON"

    def parse(self, text: str) -> Any:
        return _json(text) if text.startswith("[") else text

    def check(self, value: object) -> tuple[str, ...]:
        texts = (value,) if isinstance(value, str) else _items(value, "text, or a list of texts")
        if not texts or not all(isinstance(text, str) and text for text in texts):
            raise ValueError("it must be text, or a list of texts, none of them empty")
        if not all(map(_is_unicode, texts)):
            raise ValueError("it must be valid Unicode")
        return texts


@dataclass(frozen=True)
class TokenIds:
    """A list of token ids, on a command line with commas; `single`: a lone id too, but no none."""

    single: bool = False
    metavar: str = "ID,..."

    def parse(self, text: str) -> Any:
        return _json_list(text, "token ids with commas between, such as 5,9")

    def check(self, value: object) -> tuple[int, ...]:
        if self.single and _is_integer(value):
            value = (value,)
        ids = _token_ids(value)
        if self.single and not ids:
            raise ValueError("it must name at least one token id")
        return ids


@dataclass(frozen=True)
class TokenSequences:
    """A list of sequences of token ids."""

    metavar: str = "JSON"

    def parse(self, text: str) -> Any:
        return _json(text)

    def check(self, value: object) -> tuple[tuple[int, ...], ...]:
        what = "a list of lists of token ids, such as [[5, 7], [9]]"
        sequences = tuple(_token_ids(sequence) for sequence in _items(value, what))
        if not sequences or not all(sequences):
            raise ValueError(f"it must be {what}, none of them empty")
        return sequences


@dataclass(frozen=True)
class SequenceBias:
    """Biases by sequence of token ids: pairs of both, or a mapping."""

    metavar: str = "JSON"

    def parse(self, text: str) -> Any:
        return _json(text)

    def check(self, value: object) -> tuple[tuple[tuple[int, ...], float], ...]:
        what = "a list of pairs of token ids and a bias, such as [[[5, 7], -2.5]]"
        pairs = value.items() if isinstance(value, Mapping) else _items(value, what)
        biases: dict[tuple[int, ...], float] = {}
        for pair in pairs:
            sequence, bias = _pair(pair, what)
            # A later bias of the same sequence replaces the earlier one, as in the reference.
            biases[_token_ids(sequence)] = -math.inf if bias == -math.inf else _finite(bias)
        if not biases or () in biases:
            raise ValueError(f"it must be {what}, none of them empty")
        return tuple(biases.items())


@dataclass(frozen=True)
class Decay:
    """When an exponential penalty starts, in generated tokens, and its factor."""

    metavar: str = "START,FACTOR"

    def parse(self, text: str) -> Any:
        return _json_list(text, "a start and a factor, such as 10,1.1")

    def check(self, value: object) -> tuple[int, float]:
        start, factor = _pair(value, "a pair of a start and a factor, such as (10, 1.1)")
        return Integer(-_MOST).check(start), Number().check(factor)


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError("it must be a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("it must be finite")
    return number


def _items(value: object, what: str) -> tuple[Any, ...]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise TypeError(f"it must be {what}")
    return tuple(value)


def _pair(value: object, what: str) -> tuple[Any, ...]:
    pair = _items(value, what)
    if len(pair) != 2:
        raise ValueError(f"it must be {what}")
    return pair


def _token_ids(value: object) -> tuple[int, ...]:
    what = "a list of token ids"
    ids = _items(value, what)
    for token in ids:
        if not _is_integer(token):
            raise TypeError(f"it must be {what}, integers from 0: {token!r} is none")
        if not 0 <= int(token) <= _MOST_TOKEN:
            raise ValueError(f"it must be {what}, integers from 0: {token} is none")
    return tuple(map(int, ids))


def _is_unicode(text: str) -> bool:
    """Whether it is without halves of surrogate pairs, as bytes of a command line may become."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _is_integer(value: object) -> TypeGuard[Integral]:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _json_list(text: str, what: str) -> Any:
    """A JSON list, whose brackets may be left out."""
    return _read(json.loads, text if text.lstrip().startswith("[") else f"[{text}]", what)


def _json(text: str) -> Any:
    return _read(json.loads, text, "a list as JSON writes it")


def _read(read: Callable[[str], _Value], text: str, what: str) -> _Value:
    try:
        return read(text)
    except (RecursionError, ValueError) as error:
        raise ValueError(f"it must be {what}") from error


def _one_of(values: Mapping[str, _Value], text: str) -> _Value:
    if text.lower() not in values:
        raise ValueError(f"it must be one of {', '.join(values)}")
    return values[text.lower()]
