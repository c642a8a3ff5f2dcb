"""Whether a text goes round in a loop: its end is the same words again and again.

Knows characters; knows nothing of tokens or grammars.
"""

from __future__ import annotations

import re

from kodo.server.lifecycle.soft_landing import SoftLanding

MIN_LOOP = 60
"""Bytes of a loop in UTF-8, all its rounds together, at least: a model takes as many steps for one Japanese letter as for
a short word."""
MIN_ROUNDS = 3
MAX_ROUND = 400
"""Characters of one round at most."""
MAX_LOOP_TAIL = MAX_ROUND * MIN_ROUNDS
"""Characters of a text's end that are looked at."""
MIN_SHORT_ROUNDS = 12
"""Rounds of fewer than ``_SHORT`` bytes: rules, dots and indents repeat in good text too."""
_SHORT = 8
MIN_COUNTED_ROUNDS = 16
MIN_COUNTED_LETTERS = 8
"""Rounds that differ in their numbers alone, and the letters that each has: ``252. 1 pear is 1 piece of fruit.`` A table of
numbers has fewer letters, and FizzBuzz up to 200 fewer rounds."""
_NUMBER = re.compile(r"\d+")


def loop_length(
    text: str,
    *,
    min_loop: int = MIN_LOOP,
    min_rounds: int = MIN_ROUNDS,
    min_short_rounds: int = MIN_SHORT_ROUNDS,
    marks: str = "",
) -> int:
    """Characters of one round of the loop that a text ends with; 0 where it ends with none.

    A round has a word, or one of the ``marks``: of others there may be any number. ``min_loop``: bytes of all rounds;
    ``min_short_rounds``: of rounds of fewer than eight bytes.
    """
    tail = text[-MAX_LOOP_TAIL:]
    for size in range(1, min(MAX_ROUND, len(tail) // min_rounds) + 1):
        if tail[-1] != tail[-1 - size]:
            continue
        unit = tail[-size:]
        length = len(unit.encode(errors="replace"))
        rounds = max(min_rounds if length >= _SHORT else min_short_rounds, -(-min_loop // length))
        if len(tail) < rounds * size:
            continue
        if not any(_is_word(character) or character in marks for character in unit):
            continue
        if tail.endswith(unit * rounds):
            return size
    return 0


def counted_loop_length(text: str) -> int:
    """Characters of one round, each number taken as one, of a loop whose rounds differ in their numbers alone; 0: there is none."""
    masked = _NUMBER.sub("0", text[-MAX_LOOP_TAIL:])
    if "0" not in masked:
        return 0
    size = loop_length(masked, min_rounds=MIN_COUNTED_ROUNDS, min_short_rounds=MIN_COUNTED_ROUNDS)
    letters = sum(character.isalpha() for character in masked[len(masked) - size :])
    return size if letters >= MIN_COUNTED_LETTERS else 0


def _is_word(character: str) -> bool:
    """Whether a character says something: a letter, a digit, an emoji or a pictogram; rules and dots do not."""
    return character.isalnum() or character >= "\U0001f000" or "\u2600" <= character <= "\u27bf"


class LoopFollower:
    """Follows a free text, and ends one that goes round in a loop: behind a sentence or line in it, else a round later."""

    def __init__(self, written: str = "") -> None:
        self._tail = ""
        self._landing = SoftLanding(1)
        self._add(written)
        self._round = 0
        """Characters of a round of the loop; 0: the text is in none."""
        self._is_counted = False
        """Whether the rounds differ in their numbers."""
        self._left = 0
        """Characters that may still be written."""

    @property
    def closing(self) -> str:
        """What must still be written for the text to be whole."""
        return self._landing.closing

    def add(self, text: str) -> bool:
        """Take a piece of the text; whether it ends behind it."""
        self._add(text)
        self._left -= len(text)
        if not self._round:
            self._round = self._left = loop_length(self._tail)
        if not self._round:
            self._round = self._left = counted_loop_length(self._tail)
            self._is_counted = self._round > 0
        if not self._round:
            return False
        if self._is_counted:
            return self._landing.is_finished or self._left <= 0
        coming = self._tail[-self._round]  # the loop says what is next
        return self._landing.is_finished or self._landing.is_finished_before(coming) or self._left <= 0

    def _add(self, text: str) -> None:
        self._tail = (self._tail + text)[-MAX_LOOP_TAIL:]
        self._landing.add(text)
