"""Captions that go round in circles."""

from __future__ import annotations

from collections import Counter

_LONGEST_RUN = 8
_PHRASE = 3


def is_repetitive(caption: str) -> bool:
    """Whether a caption loops; docs/semantics.md defines it. Words are what white space separates,
    without regard to case."""
    words = caption.casefold().split()
    return _repeats_at_once(words) or _is_mostly_repeated(words)


def _repeats_at_once(words: list[str]) -> bool:
    """Whether a run of up to _LONGEST_RUN words is followed by itself."""
    for length in range(1, _LONGEST_RUN + 1):
        matching = 0
        for word, earlier in zip(words[length:], words, strict=False):
            matching = matching + 1 if word == earlier else 0
            if matching == length:
                return True
    return False


def _is_mostly_repeated(words: list[str]) -> bool:
    """Whether more than half of the words are in phrases of _PHRASE words that occur again."""
    phrases = [tuple(words[at : at + _PHRASE]) for at in range(len(words) - _PHRASE + 1)]
    times = Counter(phrases)
    repeated = {
        at + offset
        for at, phrase in enumerate(phrases)
        if times[phrase] > 1
        for offset in range(_PHRASE)
    }
    return 2 * len(repeated) > len(words)
