"""Texts as terms for the search by words: folded words, and pairs of characters for scripts without spaces.

FTS5's own tokenizers find no Japanese word of two characters; its ``unicode61`` splits what this module puts out at
spaces only. Words of identifiers are found whole and in parts (``max_output_tokens``: also ``output``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

MAX_TERMS: Final = 64
"""Different terms of a query; more are left out."""
_CJK = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af々〆ー"
_RUNS = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+")
_IS_CJK = re.compile(rf"[{_CJK}]")
_CASES = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_COMMON: Final = frozenset(
    [
        "a",
        "about",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "can",
        "do",
        "does",
        "for",
        "from",
        "has",
        "have",
        "how",
        "i",
        "if",
        "in",
        "is",
        "it",
        "its",
        "me",
        "my",
        "not",
        "of",
        "on",
        "or",
        "say",
        "says",
        "that",
        "the",
        "their",
        "there",
        "these",
        "they",
        "this",
        "those",
        "to",
        "was",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "you",
        "your",
        "tell",
        "file",
        "files",
        "document",
        "documents",
    ]
)
"""Words of questions that say nothing about what is looked for."""
_KANA_ONLY = re.compile(r"[\u3041-\u309fー]{2}")


def folded(text: str) -> str:
    """A text in one form of width and case."""
    return unicodedata.normalize("NFKC", text).casefold()


def _terms(text: str) -> Iterator[str]:
    for run in _RUNS.findall(unicodedata.normalize("NFKC", text)):
        if _IS_CJK.match(run):
            yield from (run[i : i + 2] for i in range(len(run) - 1)) if len(run) > 1 else (run,)
            continue
        word = run.casefold()
        yield _stem(word)
        parts = _CASES.split(run)
        if len(parts) > 1:
            yield from (_stem(part.casefold()) for part in parts)


def _stem(word: str) -> str:
    """A word without the ending of a plural."""
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def index_text(text: str) -> str:
    """A text's terms, separated by spaces, for the index."""
    return " ".join(_terms(text))


def query_terms(text: str, limit: int | None = MAX_TERMS) -> list[str]:
    """The terms of a query, each once: without common words, and without pairs of hiragana (particles and endings) where
    others are left."""
    found = list(dict.fromkeys(_terms(text)))
    kept = [term for term in found if term not in _COMMON and not _KANA_ONLY.fullmatch(term)]
    return (kept or found)[:limit]
