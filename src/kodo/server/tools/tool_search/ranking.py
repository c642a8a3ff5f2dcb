"""BM25 over the names and descriptions of tools, for words of Latin scripts and for Japanese.

Words are split at case and underscores and folded; a run of Chinese, Japanese or Korean characters counts as its
pairs of characters, because it has no spaces. Source of the formula: Robertson and Zaragoza, 2009, k1 = 1.2, b = 0.75.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

K1 = 1.2
B = 0.75
_PIECES = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af々ー]+|[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+"
)
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af々ー]+")
_COMMON = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "can",
        "do",
        "for",
        "from",
        "i",
        "in",
        "is",
        "it",
        "me",
        "my",
        "of",
        "on",
        "or",
        "the",
        "this",
        "to",
        "what",
        "with",
        "you",
    ]
)
"""Words that say nothing about what a tool does."""


def terms(text: str) -> list[str]:
    """The terms of a text."""
    found: list[str] = []
    for piece in _PIECES.findall(unicodedata.normalize("NFKC", text)):
        if _CJK.fullmatch(piece) and len(piece) > 1:
            found += [piece[index : index + 2] for index in range(len(piece) - 1)]
        elif (word := piece.casefold()) not in _COMMON:
            found.append(_stem(word))
    return found


def _stem(word: str) -> str:
    """A word without the ending of a plural."""
    return (
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
    )


def rank(query: str, documents: Sequence[str]) -> list[tuple[int, float]]:
    """The documents that share a term with the query, best first, with their scores."""
    wanted = set(terms(query))
    counts = [Counter(terms(document)) for document in documents]
    lengths = [counter.total() for counter in counts]
    mean = sum(lengths) / len(lengths) if lengths else 0.0
    scores: list[tuple[int, float]] = []
    weights = {}
    for term in wanted:
        having = sum(term in counter for counter in counts)
        weights[term] = math.log(1 + (len(counts) - having + 0.5) / (having + 0.5))
    for index, (counter, length) in enumerate(zip(counts, lengths, strict=True)):
        score = sum(
            weights[term]
            * counter[term]
            * (K1 + 1)
            / (counter[term] + K1 * (1 - B + B * length / (mean or 1)))
            for term in wanted
            if counter[term]
        )
        if score > 0:
            scores.append((index, score))
    return sorted(scores, key=lambda pair: (-pair[1], pair[0]))
