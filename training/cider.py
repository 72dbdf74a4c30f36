"""CIDEr-D (Vedantam et al. 2015) as a reward per caption, over words and the end of it."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

ORDERS = 4
SIGMA = 6.0
END = "</s>"

Ngram = tuple[str, ...]


def words(caption: str, ended: bool = True) -> list[str]:
    """Lower-case words without punctuation; `ended` adds a word for the end of the caption."""
    found = re.findall(r"[a-z0-9]+|'[a-z]+", caption.lower())
    return [*found, END] if ended else found


def ngrams(tokens: list[str]) -> list[Counter[Ngram]]:
    """Counts of the n-grams of each order 1 .. 4."""
    return [
        Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
        for n in range(1, ORDERS + 1)
    ]


@dataclass
class Vector:
    """TF-IDF weights per order, their norms, and the length of the caption."""

    weights: list[dict[Ngram, float]]
    norms: list[float]
    length: int


class CiderD:
    """Document frequencies and reference vectors of a set of photos."""

    def __init__(self, corpus: list[list[str]]):
        """`corpus[i]`: the reference captions of photo i."""
        frequency: Counter[Ngram] = Counter()
        counted = [[ngrams(words(c)) for c in captions] for captions in corpus]
        for photo in counted:
            frequency.update({g for caption in photo for order in caption for g in order})
        total = math.log(len(corpus))
        self.idf = {g: total - math.log(n) for g, n in frequency.items()}
        self.unseen = total
        self.references = [[self._vector(caption) for caption in photo] for photo in counted]

    def _vector(self, counts: list[Counter[Ngram]]) -> Vector:
        weights = [{g: n * self.idf.get(g, self.unseen) for g, n in c.items()} for c in counts]
        norms = [math.sqrt(sum(w * w for w in order.values())) for order in weights]
        return Vector(weights, norms, sum(counts[0].values()))

    def score(self, photo: int, tokens: list[str]) -> float:
        """CIDEr-D of the words `tokens` (see `words`) for the photo with that index."""
        candidate = self._vector(ngrams(tokens))
        references = self.references[photo]
        return 10 / len(references) * sum(_similarity(candidate, r) for r in references)


def _similarity(candidate: Vector, reference: Vector) -> float:
    """Clipped cosine, averaged over the orders, times the penalty for another length."""
    total = 0.0
    for n in range(ORDERS):
        other = reference.weights[n]
        dot = 0.0
        for gram, weight in candidate.weights[n].items():
            there = other.get(gram)
            if there is not None:
                dot += min(weight, there) * there
        if dot:
            total += dot / (candidate.norms[n] * reference.norms[n])
    gap = candidate.length - reference.length
    return total / ORDERS * math.exp(-gap * gap / (2 * SIGMA * SIGMA))
