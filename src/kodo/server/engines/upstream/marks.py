"""Marks that are looked for in a text that comes in pieces, at any of which a mark may be cut."""

from __future__ import annotations

import re
from collections.abc import Iterable


class Marks:
    """Finds the first of several marks, and the beginning of one at the end of a text. Linear in the text's length."""

    def __init__(self, marks: Iterable[str]) -> None:
        longest_first = sorted(marks, key=len, reverse=True)
        self.pattern = re.compile("|".join(re.escape(mark) for mark in longest_first))
        self._first = re.compile("[" + re.escape("".join({mark[0] for mark in longest_first})) + "]")
        self._begun = frozenset(mark[:size] for mark in longest_first for size in range(1, len(mark)))
        self._longest = len(longest_first[0])

    def begun_at(self, text: str) -> int:
        """Where an end begins that may become a mark; the text's length: it has no such end."""
        starts = (found.start() for found in self._first.finditer(text, max(0, len(text) - self._longest)))
        return next((at for at in starts if text[at:] in self._begun), len(text))
