"""Finds the calls in the text of an answer, while it comes.

A server that runs without a parser for its model's calls sends them as the model wrote them. They are taken for calls only
where nothing else can be meant (docs/decisions/calls-as-text.md): a tool is offered under that name, the block ends the
answer, and it is not quoted or in a fence of code. What begins such a block is held back until that is known; all other
text is handed on at once, but for an end that may be the beginning of a mark, and white space in front of it.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from kodo.server.engines.upstream.call_block import Schemas, WrittenCall
from kodo.server.engines.upstream.marks import Marks
from kodo.server.engines.upstream.names import MAX_FUNCTION_NAME
from kodo.server.engines.upstream.written_calls import (
    FIRST_OF_BARE,
    MARKS,
    WORD_MARKS,
    bare_beginnings,
    may_be_calls,
    read_calls,
)

_MARKS: Final = Marks(MARKS)
_MAX_BEGINNING: Final = 4 * MAX_FUNCTION_NAME
"""Characters in which the beginning of calls without a mark stands, with the white space that a model may put there."""
_FENCE: Final = "```"
_QUOTES: Final = ("`", '"', "'")
_SPECIAL: Final = re.compile("[<\\[\\]`\"']")
MAX_BLANK: Final = 256
"""Characters of white space that are held back in front of a block that may follow: a model may write them without end."""
FIRST_LOOK: Final = 64
"""Characters of a block at which it is looked at first; then at twice as many each time."""


class TextCalls:
    """The text of one answer. ``schemas``: of the offered functions; ``bare``: whether a whole answer without any mark may
    be calls, which it is not where the client asked for JSON."""

    def __init__(self, schemas: Schemas, *, bare: bool = True) -> None:
        self._schemas = schemas
        self._bare = bare
        self._pending = ""
        self._holds = False
        """Whether ``_pending`` is a block that may become calls."""
        self._look_at = FIRST_LOOK
        self._begun = False
        """Whether text was handed on that is not white space."""
        self._fenced = False
        self._quote = False
        """Whether the text that was handed on ends with a quote."""

    def hands_on(self, text: str) -> bool:
        """Whether a text can be handed on as it is, without :meth:`feed`."""
        plain = self._begun and not self._pending and not self._quote
        return plain and not text[-1:].isspace() and _SPECIAL.search(text) is None

    def feed(self, text: str) -> str:
        """More text; what is certain to be text of the answer."""
        self._pending += text
        certain = ""
        while True:
            if self._holds:
                if len(self._pending) < self._look_at:
                    return certain
                if may_be_calls(self._pending, self._schemas):
                    self._look_at = 2 * len(self._pending)
                    return certain
                certain += self._pass_mark()
            at = self._find()
            if at is None:
                return certain + self._pass(len(self._pending) - self._uncertain())
            certain += self._pass(at)
            self._holds, self._look_at = True, FIRST_LOOK

    def let_go(self) -> str:
        """What was held back: something else than text follows, so it is no block of calls."""
        self._holds = False
        return self._pass(len(self._pending))

    def finish(self, *, complete: bool) -> tuple[str, tuple[WrittenCall, ...]]:
        """The rest at the end of the answer: text, or calls. ``complete``: the model ended it, and not a limit."""
        if self._holds and complete and (calls := read_calls(self._pending, self._schemas)):
            self._pending = ""
            return "", calls
        return self.let_go(), ()

    @functools.cached_property
    def _beginnings(self) -> tuple[str, ...]:
        """How calls without a mark begin; most answers do not need it."""
        return bare_beginnings(self._schemas)

    def _begins_bare(self, text: str) -> bool:
        """Whether the answer begins with this text, and with a character that calls without a mark begin with."""
        return self._bare and not self._begun and text.lstrip().startswith(FIRST_OF_BARE)

    def _find(self) -> int | None:
        """Where a block may begin, with the white space in front of it; None: nowhere."""
        text = self._pending
        if self._begins_bare(text) and _begun_of(text).startswith(self._beginnings):
            return 0
        for found in _MARKS.pattern.finditer(text):
            before = text[: found.start()]
            fenced = self._fenced ^ bool(before.count(_FENCE) % 2)
            words = before.rstrip()
            starts_line = "\n" in before[len(words) :] or not (words or self._begun)
            quoted = before.endswith(_QUOTES) or (self._quote and not before)
            if not (fenced or quoted or (found[0] in WORD_MARKS and not starts_line)):
                return len(words)
        return None

    def _uncertain(self) -> int:
        """Characters at the end that cannot be handed on yet."""
        text = self._pending
        if self._begins_bare(text):
            written = _begun_of(text)
            if any(begun.startswith(written) for begun in self._beginnings):
                return len(text)
        cut = _MARKS.begun_at(text)
        words = text[:cut].rstrip()
        if not words.endswith(_FENCE):
            words = words.rstrip("`")  # a fence may be sent in pieces
        return min(len(text) - len(words), len(text) - cut + MAX_BLANK)

    def _pass_mark(self) -> str:
        """Hand on the mark of a block that is none."""
        self._holds = False
        blank = len(self._pending) - len(self._pending.lstrip())
        return self._pass(blank + 1)

    def _pass(self, size: int) -> str:
        passed, self._pending = self._pending[:size], self._pending[size:]
        self._begun = self._begun or bool(passed.strip())
        self._fenced ^= bool(passed.count(_FENCE) % 2)
        self._quote = passed.endswith(_QUOTES) if passed else self._quote
        return passed


def _begun_of(text: str) -> str:
    """How a text begins, without white space."""
    return "".join(text.lstrip()[:_MAX_BEGINNING].split())
