"""Answers in the words of what was found: the sentences of the best source that share most words with the question.

A model that is too small to answer from passages copies pieces of them, of the wrong one as often as of the right one. So the
words decide, as they do about its tools: these sentences, each with its source's mark, are what it may choose from.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.retrieval.terms import query_terms
from kodo.server.wire.items import InputText, Message

MAX_QUESTION_CHARS: Final = 4096
MAX_QUOTES: Final = 3
"""Sentences to choose from."""
CLOSE: Final = 0.8
"""Part of the best sentence's score that another one needs."""
MAX_CHARS: Final = 300
"""Characters of a quote; a longer sentence is cut."""
RANK_WEIGHT: Final = 0.5
"""What being found one place later takes from a source: a part of all words of the question, halved with each place."""
MIN_TERMS: Final = 3
"""Different terms of a sentence; a line of code that has fewer says nothing."""
_LONG: Final = 40
"""Terms at which a sentence's score is halved."""
_ITEM: Final = re.compile(r"^\s*(?:[-*+>]|\d+[.)]|\.\.)\s+")
_HEADING: Final = re.compile(r"\s*#+\s|^\s*[-=~^\"'*]{4,}\s*$")
_FENCE: Final = re.compile(r"\s*(?:```|~~~)")
_APART: Final = re.compile(r"\s*\||\s{4,}\S")
"""Lines of tables and of indented code: each for itself."""
_NOTE: Final = re.compile(r"\s*\{#[^}\n]*\}")
_ENDS: Final = re.compile(r"(?<=[.!?])[\"')\]]*\s+|(?<=[。！？])")
_WIDE: Final = re.compile(r"[\u2e80-\uffff]")


def answer_quotes(
    question: str, sources: Mapping[str, dict[str, Any]], tokens: int | None
) -> tuple[str, ...]:
    """The texts that can answer a question from sources, best first; none where no source has a word of it.

    Args:
        question: the user's.
        sources: by their marks, best first; those with ``evidence`` count.
        tokens: of the answer at most; None: no limit.
    """
    terms = query_terms(question)
    evidence = {
        mark: one["evidence"] for mark, one in sources.items() if isinstance(one.get("evidence"), str)
    }
    mark = _best(terms, evidence)
    if mark is None:
        return ()
    found = _sentences(evidence[mark])
    scores = _scores(terms, found)
    most = max(scores, default=0.0)
    ranked = sorted((-score, place) for place, score in enumerate(scores) if score and score >= CLOSE * most)
    quotes = (_quoted(found[place : place + 2], tokens) for _, place in ranked[:MAX_QUOTES])
    return tuple(dict.fromkeys(f"{quote}{mark}" for quote in quotes if quote))


def last_question(items: Sequence[ContextItem]) -> str:
    """The text of the user's last message."""
    for context in reversed(items):
        if isinstance(context.item, Message) and context.item.role == "user":
            parts = (part.text for part in context.item.content if isinstance(part, InputText))
            return " ".join(parts).strip()[:MAX_QUESTION_CHARS]
    return ""


def _best(terms: Sequence[str], evidence: Mapping[str, str]) -> str | None:
    """The mark of the source that has most of the question's words; one that was found later needs more of them."""
    held = {mark: set(query_terms(text, limit=None)) for mark, text in evidence.items()}
    spread = Counter(term for words in held.values() for term in words)
    weights = {term: math.log(1 + len(held) / spread[term]) for term in terms if spread[term]}
    whole = sum(weights.values())
    best: tuple[float, str] | None = None
    for rank, (mark, words) in enumerate(held.items()):
        share = sum(weight for term, weight in weights.items() if term in words) / (whole or 1)
        score = share + RANK_WEIGHT / 2**rank
        if share and (best is None or score > best[0]):
            best = score, mark
    return None if best is None else best[1]


def _scores(terms: Sequence[str], sentences: Sequence[str]) -> list[float]:
    """What each sentence has of the question: rare words count more, long sentences less."""
    held = [query_terms(sentence, limit=None) for sentence in sentences]
    spread = Counter(term for words in held for term in words)
    weights = {term: math.log(1 + len(held) / spread[term]) for term in terms if spread[term]}
    return [sum(weights.get(term, 0.0) for term in words) / (1 + len(words) / _LONG) for words in held]


def _sentences(text: str) -> list[str]:
    """The sentences of a text, in its order, without headings where there is anything else."""
    lines = [_NOTE.sub("", line) for line in text.splitlines() if not _FENCE.match(line)]
    kept = [line for line, behind in itertools.pairwise([*lines, ""]) if not _is_heading(line, behind)]
    found = list(_parts(kept)) or list(_parts(lines))
    return [one for one in found if len(query_terms(one, limit=None)) >= MIN_TERMS] or found


def _is_heading(line: str, behind: str) -> bool:
    underline = re.fullmatch(r"\s*[-=~^\"'*]{4,}\s*", behind)
    return bool(_HEADING.match(line) or (line.strip() and underline))


def _parts(lines: Sequence[str]) -> Iterator[str]:
    paragraph = ""
    for line in [*lines, ""]:
        begins = not line.strip() or _ITEM.match(line) or _APART.match(line)
        if begins:
            yield from _split(paragraph)
            paragraph = ""
        if line.strip():
            gap = "" if not paragraph or _WIDE.match(paragraph[-1]) else " "
            paragraph += gap + (_ITEM.sub("", line, count=1)).strip()


def _split(paragraph: str) -> Iterator[str]:
    for part in _ENDS.split(paragraph):
        sentence = " ".join(part.split())
        if sum(letter.isalpha() for letter in sentence) > 3:
            yield sentence


def _quoted(sentences: Sequence[str], tokens: int | None) -> str:
    """A sentence, and the one behind it where it fits: a sentence often asks for the next."""
    first = sentences[0]
    both = ("" if _WIDE.match(first[-1]) else " ").join(sentences)
    return both if _cut(both, tokens) == both else _cut(first, tokens)


def _cut(sentence: str, tokens: int | None) -> str:
    """As much of a sentence as fits; a character of a wide script counts as three tokens, of others three are one."""
    room = math.inf if tokens is None else tokens - 8
    used = 0.0
    for place, letter in enumerate(sentence):
        used += 3 if _WIDE.match(letter) else 1 / 3
        if used > room or place >= MAX_CHARS:
            return f"{sentence[:place].rstrip()}…" if place else ""
    return sentence
