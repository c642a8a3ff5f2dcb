"""Constrained text is brought to its end inside its budget.

Beside the engine, which holds the model to the grammar, a matcher of the same grammar follows the text. Before a piece of
it is taken, the shortest valid ending behind it is known to fit what would be left; a piece for which it does not is
refused, and the ending known from before is written instead. So a text that could end at its beginning always ends. A
string that goes round in a loop is refused in the same way, as are a word and a paragraph without end in it and items or
properties that come again and again, and so is what does not fit the grammar at all.

Knows text, bytes and numbers of tokens; knows nothing of the engine.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import llguidance

from kodo.server.engines.llama.constraints.json_position import JsonPosition
from kodo.server.engines.llama.constraints.shortest_ending import EndingSearch, ShortestValues
from kodo.server.engines.llama.decoding.loops import MAX_LOOP_TAIL, loop_length

MAX_NUMBER = 24
"""Characters of a number; behind them a model writes digits without end."""
MIN_STRING_LOOP = 40
"""Bytes of a loop inside a string."""
MIN_SHORT_STRING_ROUNDS = 6
"""Rounds of a loop of a few bytes inside a string: ``git-git-git-…``."""
MAX_WORD = 120
"""Bytes of ASCII without a space inside a string, as of a URL; behind them a small model goes on without end."""
MAX_PROSE = 300
"""Bytes of a string behind which a sentence's end is its end."""
MAX_FIGURES = 80
"""Bytes of a string's end that are digits and punctuation but for a letter here and there: years, versions, dates that go
on and on."""
MIN_LETTERS, MIN_WORD_LETTERS = 13, 30
"""Letters that these bytes have where they say something, and where they are one word; an UUID or a date fits into fewer
bytes."""
MIN_EQUAL_SENTENCES = 2
MIN_SENTENCES_LOOP = 48
"""Bytes of a sentence that is said twice."""
MIN_EQUAL_ITEMS = 2
"""Items or properties that are all the same: a second one says nothing."""
_WORD = re.compile(rb"[!-~]{%d}\Z" % (MAX_WORD + 1))
_SENTENCE = re.compile(r"(?:[.!?](?=\s|\\)|。|！|？)(?=.)".encode(), re.DOTALL)
_FIGURE = re.compile(rb"[0-9]")
_LETTER = re.compile(rb"[A-Za-z\x80-\xff]")
_MARKS = ",[{"
"""What every further item or property has, an empty one too."""


class Landing:
    """One text under a grammar. ``ending`` is the shortest ending of what was taken so far; None: none is known."""

    def __init__(
        self,
        matcher: llguidance.LLMatcher,
        shortest_values: ShortestValues | None,
        count_tokens: Callable[[str], Awaitable[int]],
        *,
        notice_loops: bool,
    ) -> None:
        self._matcher = matcher
        self._search = EndingSearch(matcher, shortest_values)
        self._count_tokens = count_tokens
        self._notice_loops = notice_loops and shortest_values is not None
        self._is_json = shortest_values is not None
        self._position = JsonPosition()
        self._tail = ""
        """The end of what was taken."""
        self.ending: bytes | None = self._search.shortest(self._position)
        self.is_broken = False
        """The last piece did not fit the grammar: the engine has lost it. It reports no error where that happens."""

    async def fits(self, tokens_left: int) -> bool:
        """Whether the ending of what was taken fits."""
        return self.ending is not None and await self._fits(self.ending, tokens_left)

    async def min_tokens(self) -> int | None:
        """Tokens of the shortest text; None where none is known."""
        return None if self.ending is None else await self._count_tokens(self.ending.decode())

    async def admits(self, text: str, tokens_left: int) -> bool:
        """Take a piece of text, if the shortest ending behind it fits ``tokens_left``; False, and nothing taken, if not.

        Where none is known, everything is taken; the text is checked once more at its end.
        """
        data = list(text.encode())
        taken = self._matcher.try_consume_tokens(data)
        self.is_broken = taken != len(data)
        if self.is_broken:
            self._matcher.rollback(taken)
            return self.ending is None
        position = self._position.after(bytes(data)) if self._is_json else self._position
        ending = self._kept_ending(bytes(data))
        if ending is None or not await self._fits(ending, tokens_left):
            ending = self._search.shortest(position) if self.ending is not None else None
        fits = ending is not None and await self._fits(ending, tokens_left)
        tail = (self._tail + text)[-MAX_LOOP_TAIL:]
        if self.ending is not None and (not fits or self._loops(position, tail)):
            self._matcher.rollback(len(data))
            return False
        self._position, self._tail, self.ending = position, tail, ending
        return True

    async def _fits(self, ending: bytes, tokens_left: int) -> bool:
        return len(ending) <= tokens_left or await self._count_tokens(ending.decode()) <= tokens_left

    def _kept_ending(self, data: bytes) -> bytes | None:
        """The ending known from before, or what is left of it, if it still is one."""
        before = self.ending
        if before is None:
            return None
        ending = before[len(data) :] if before.startswith(data) else before
        taken = self._matcher.try_consume_tokens(list(ending))
        still = taken == len(ending) and self._matcher.is_accepting()
        self._matcher.rollback(taken)
        return ending if still else None

    def _loops(self, position: JsonPosition, tail: str) -> bool:
        """Whether the string or number that is being written has no end in sight, or the values around it have none."""
        if not self._notice_loops:
            return False
        if not position.content:
            return loop_length(tail, min_rounds=MIN_EQUAL_ITEMS, marks=_MARKS) > 0
        if position.is_key:
            return False
        if position.in_scalar:
            return len(position.content) > MAX_NUMBER
        return _rambles(position.content) or _goes_round(position.content.decode(errors="ignore"))


def _rambles(content: bytes) -> bool:
    """Whether a string has a word or figures without end, or goes on behind a sentence although it is long already."""
    if len(content) > MAX_WORD and _WORD.search(content, len(content) - MAX_WORD - 1):
        return True
    end = content[-MAX_FIGURES:]
    if len(end) == MAX_FIGURES and _FIGURE.search(end):
        least = MIN_LETTERS if b" " in end else MIN_WORD_LETTERS
        if len(_LETTER.findall(end)) < least:
            return True
    return len(content) > MAX_PROSE and _SENTENCE.search(content, MAX_PROSE) is not None


def _goes_round(text: str) -> bool:
    """Whether a string repeats itself: a few words several times, or a sentence once."""
    if loop_length(text, min_loop=MIN_STRING_LOOP, min_short_rounds=MIN_SHORT_STRING_ROUNDS):
        return True
    size = loop_length(text, min_loop=MIN_SENTENCES_LOOP, min_rounds=MIN_EQUAL_SENTENCES)
    return size > 0 and _SENTENCE.search(text[-2 * size :].encode()) is not None
