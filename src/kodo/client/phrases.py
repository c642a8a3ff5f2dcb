"""Sentences that are built in English deep in the program, said in Japanese by a table.

Whoever builds them does not know who will read them. The key of a row is the English as it is built, ``{}`` standing for what
is filled in; what is filled in is looked up too. ``{=}`` stands for somebody else's words, such as a server's, which stay as
they are. A text without a row stays as it is.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Self

_HOLE = re.compile(r"\{=?\}")
_QUOTED = "{=}"
_JOINED = ": "


class Phrases:
    """A table of English sentences and the same in Japanese.

    Raises:
        ValueError: a row has other holes on one side than on the other.
    """

    def __init__(self, rows: Mapping[str, str]) -> None:
        for english, japanese in rows.items():
            if _HOLE.findall(english) != _HOLE.findall(japanese):
                raise ValueError(f"row {english!r}: the languages have different holes")
        self.rows = dict(rows)
        holed = sorted(filter(_HOLE.search, rows), key=lambda row: len(_HOLE.sub("", row)), reverse=True)
        self._exact = {row: rows[row] for row in rows if not _HOLE.search(row)}
        self._patterns = [_Pattern.of_row(row, rows[row]) for row in holed]  # most words of their own first

    @classmethod
    def from_package(cls, package: str, name: str) -> Self:
        """The sentences of a table in TOML that is installed with a package."""
        return cls(read_table(package, name))

    def __or__(self, other: Phrases) -> Phrases:
        """The sentences of both; of a sentence that both have, the other's Japanese."""
        return Phrases(self.rows | other.rows)

    def in_japanese(self, text: str) -> str:
        """The sentence in Japanese: whole, else part by part where it has ``": "`` in it."""
        said: list[str] = []
        while (whole := self._whole(text)) is None:
            head, joined, tail = text.partition(_JOINED)
            if not joined:
                return "".join([*said, text])
            said += [self._exact.get(head) or self._part(head), joined]
            text = tail
        return "".join([*said, whole])

    def _whole(self, text: str) -> str | None:
        """A text that is a row, with what is filled in said in Japanese too; None for any other."""
        if text in self._exact:
            return self._exact[text]
        for pattern in self._patterns:
            if (found := pattern.match(text)) is not None:
                words = zip(pattern.holes, found, strict=True)
                return pattern.say([one if hole == _QUOTED else self.in_japanese(one) for hole, one in words])
        return None

    def _part(self, text: str) -> str:
        """A part of a text by a row with holes, else as it is."""
        for pattern in self._patterns:
            if (found := pattern.match(text)) is not None:
                return pattern.say(found)
        return text


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A row with holes: what stands between them in both languages."""

    holes: Sequence[str]
    english: Sequence[str]
    japanese: Sequence[str]

    @classmethod
    def of_row(cls, english: str, japanese: str) -> Self:
        return cls(_HOLE.findall(english), _HOLE.split(english), _HOLE.split(japanese))

    def match(self, text: str) -> list[str] | None:
        """What fills the holes, each as short as it can be and not empty; None where the text is not of this row.

        The first one stands for no more than a part, so that the parts in front of a row are looked up. In one pass over the
        text: a report may bring one that was made to take long.
        """
        first, *between, last = self.english
        if not text.startswith(first) or not text.endswith(last):
            return None
        at, end, found = len(first), len(text) - len(last), []
        for words in between:
            place = text.find(words, at + 1, end)
            if place < 0:
                return None
            found.append(text[at:place])
            at = place + len(words)
        if at >= end:
            return None
        found.append(text[at:end])
        with_next = text[len(first) : len(first) + len(found[0]) + 1]
        return None if _JOINED in with_next else found

    def say(self, found: Sequence[str]) -> str:
        """The row in Japanese with its holes filled."""
        first, *others = self.japanese
        return first + "".join(word + after for word, after in zip(found, others, strict=True))


def read_table(package: str, name: str) -> dict[str, str]:
    """The file ``name`` of a package: TOML whose every row is a text by its key."""
    table = tomllib.loads(files(package).joinpath(name).read_text(encoding="utf-8"))
    return {key: str(text) for key, text in table.items()}
