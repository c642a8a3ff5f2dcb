"""Sentences that are built in English deep in the program, said in Japanese by a table.

Whoever builds them does not know who will read them. The key of a row is the English as it is built, ``{}`` standing for what
is filled in; what is filled in is looked up too. A text without a row stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_HOLE = "{}"
_JOINED = ": "


class Phrases:
    """A table of English sentences and the same in Japanese.

    Raises:
        ValueError: a row has more or fewer holes on one side.
    """

    def __init__(self, rows: Mapping[str, str]) -> None:
        for english, japanese in rows.items():
            if english.count(_HOLE) != japanese.count(_HOLE):
                raise ValueError(f"row {english!r}: the languages have different holes")
        holed = sorted(
            (row for row in rows if _HOLE in row), key=lambda row: len(row.replace(_HOLE, "")), reverse=True
        )
        self._exact = {row: rows[row] for row in rows if _HOLE not in row}
        self._patterns = [(_pattern(row), rows[row]) for row in holed]  # most words of their own first

    def in_japanese(self, text: str) -> str:
        """The sentence in Japanese: whole, else part by part where it has ``": "`` in it."""
        if text in self._exact:
            return self._exact[text]
        for pattern, translation in self._patterns:
            if match := pattern.fullmatch(text):
                return translation.format(*map(self.in_japanese, match.groups()))
        head, joined, tail = text.partition(_JOINED)
        return (
            f"{self._exact.get(head) or self._part(head)}{joined}{self.in_japanese(tail)}" if joined else text
        )

    def _part(self, text: str) -> str:
        """A part of a text by a row with holes, else as it is."""
        for pattern, translation in self._patterns:
            if match := pattern.fullmatch(text):
                return translation.format(*match.groups())
        return text


def _pattern(row: str) -> re.Pattern[str]:
    """A row with holes; the first one stands for no more than a part, so that the parts in front of a row are looked up."""
    first, *others = map(re.escape, row.split(_HOLE))
    return re.compile(f"{first}((?:(?!{_JOINED}).)+?)" + "(.+?)".join(others))
