"""Okapi BM25 over a few thousand short texts (S. Robertson and H. Zaragoza, 2009), with k1 = 1.2 and b = 0.75.

In Python, because the base installation has no numpy, which the libraries for it need, and a repository's issues are
scored in milliseconds.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

_K1, _B = 1.2, 0.75


class Bm25:
    """An index of texts, each given as its words."""

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        self._lengths = [len(words) for words in texts]
        self._mean = (sum(self._lengths) / len(texts)) if texts else 1.0
        self._postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for at, words in enumerate(texts):
            for word, count in Counter(words).items():
                self._postings[word].append((at, count))
        self._total = len(texts)

    def scores(self, words: Sequence[str]) -> dict[int, float]:
        """The score of each text that shares a word, by its place; a word counts once, however often it is asked."""
        scored: dict[int, float] = defaultdict(float)
        for word in dict.fromkeys(words):
            weight = self._weight(word)
            for at, count in self._postings.get(word, ()):
                scored[at] += weight * self._saturated(count, self._lengths[at])
        return scored

    def own_score(self, words: Sequence[str]) -> float:
        """What a text would score against itself: the most that another can reach, nearly."""
        return sum(
            self._weight(word) * self._saturated(count, len(words)) for word, count in Counter(words).items()
        )

    def _weight(self, word: str) -> float:
        having = len(self._postings.get(word, ()))
        return math.log(1 + (self._total - having + 0.5) / (having + 0.5))

    def _saturated(self, count: int, length: int) -> float:
        return count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * length / (self._mean or 1.0)))
