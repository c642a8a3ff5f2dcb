"""Texts into chunks of tokens that overlap, cut at paragraphs, lines or sentences where possible.

Tokens are counted without a model, so that chunks are the same under every embedder: a word counts one for each four
characters begun, a Chinese, Japanese or Korean character and a mark of punctuation one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate

from kodo.server.lifecycle.retrieval.ports import TextChunk

_PIECES = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{1,4}|\s+|."
)
_ENDS = (
    re.compile(r"\n\s*\n"),
    re.compile(r"\n"),
    re.compile(r"(?<=[.!?])\s+|(?<=[。！？])"),
    re.compile(r"\s+"),
)
"""Where to cut, the best place first."""


def count_tokens(text: str) -> int:
    """An estimate of a text's tokens."""
    return sum(not piece.isspace() for piece in _PIECES.findall(text))


def split_text(text: str, size: int, overlap: int) -> Iterator[TextChunk]:
    """The chunks of a text, of at most ``size`` tokens; each begins with up to ``overlap`` tokens of the one before it."""
    pieces = [match.span() for match in _PIECES.finditer(text)]
    weights = (not text[begin:end].isspace() for begin, end in pieces)
    totals = [0, *accumulate(weights)]
    first, covered, number = 0, 0, 0
    while first < len(pieces):
        last = _last(totals, first, size)
        begin, end = pieces[first][0], pieces[last - 1][1]
        if last < len(pieces):
            end = _cut(text, begin, end)
            while last > first + 1 and pieces[last - 1][1] > end:
                last -= 1
            end = pieces[last - 1][1]
        if text[begin:end].strip():
            yield TextChunk(number=number, text=text[begin:end], start=max(0, covered - begin))
            number += 1
            covered = end
        if last >= len(pieces):
            return
        back = last
        while back > first + 1 and totals[last] - totals[back - 1] <= min(overlap, size // 2):
            back -= 1
        first = back if back > first else last


def _last(totals: list[int], first: int, size: int) -> int:
    """The number behind the last piece of a chunk."""
    last = first + 1
    while last < len(totals) - 1 and totals[last + 1] - totals[first] <= size:
        last += 1
    return last


def _cut(text: str, begin: int, end: int) -> int:
    """The best place to end a chunk, in its last third."""
    least = begin + (end - begin) * 2 // 3
    for pattern in _ENDS:
        places = [match.end() for match in pattern.finditer(text, least, end)]
        if places:
            return places[-1]
    return end


def windows(text: str, size: int) -> list[str]:
    """A chunk in parts that an embedder can read, at least one."""
    return [chunk.text for chunk in split_text(text, size, 0)] or [text]
