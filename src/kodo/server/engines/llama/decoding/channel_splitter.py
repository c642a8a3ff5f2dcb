"""Splits what a model of gpt-oss's kind writes into reasoning and answer, at its channel marks.

A message is ``<|channel|>NAME<|message|>BODY`` and ends with a mark; further messages of the same turn begin with
``<|start|>assistant``. The channel ``analysis`` is reasoning, every other one is the answer. Knows text; no mark is in any
event's text, their ids are in the events around them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from kodo.server.engines.llama.prompting.reasoning import CHANNEL, CHANNEL_MARKS, MESSAGE, START
from kodo.server.engines.stop_buffer import longest_partial_match
from kodo.server.lifecycle.ports import ReasoningDelta, TextDelta

_ANALYSIS = "analysis"


class ChannelSplitter:
    """Feed it deltas; it gives back reasoning and text. ``inside``: an interrupted answer was in its reasoning."""

    def __init__(self, *, inside: bool = False, begun: bool = False) -> None:
        self._state: Literal["between", "header", "analysis", "answer"] = (
            "analysis" if inside else "answer" if begun else "between"
        )
        self._text = ""
        self._tokens: tuple[int, ...] = ()
        self.tokens = 0
        """Tokens of reasoning so far."""

    @property
    def inside(self) -> bool:
        """Whether the reasoning has begun and not ended."""
        return self._state == "analysis"

    def add(self, delta: TextDelta) -> Iterator[ReasoningDelta | TextDelta]:
        """The deltas whose kind is decided by now."""
        if delta.logprobs and self._state == "answer" and not self._text and "<" not in delta.text:
            yield delta
            return
        self._text += delta.text
        self._tokens += delta.tokens
        while True:
            found = [(self._text.find(mark), mark) for mark in CHANNEL_MARKS if mark in self._text]
            if not found:
                break
            position, mark = min(found)
            before, self._text = self._text[:position], self._text[position + len(mark) :]
            rest, self._text = self._text, before
            yield from self._take()
            self._text = rest
            self._enter(mark, before)
        ready = len(self._text) - longest_partial_match(self._text, CHANNEL_MARKS)
        if ready and self._state != "header":
            held, self._text = self._text[ready:], self._text[:ready]
            yield from self._take()
            self._text = held

    def flush(self) -> Iterator[ReasoningDelta | TextDelta]:
        """The rest, at the end of the text."""
        if self._state != "header" and self._text:
            yield from self._take()
        elif self._tokens:
            yield (
                ReasoningDelta(text="", tokens=self._tokens)
                if self.inside
                else TextDelta(text="", tokens=self._tokens)
            )
            self._tokens = ()

    def close(self) -> None:
        """The reasoning was ended from outside: what follows is the answer."""
        self._state = "answer"

    def _enter(self, mark: str, before: str) -> None:
        """What begins behind a mark; ``before`` is the text in front of it."""
        if mark == CHANNEL:
            self._state = "header"
        elif mark == MESSAGE:
            self._state = "analysis" if before.strip().startswith(_ANALYSIS) else "answer"
        elif mark == START:
            self._state = "header"  # the role, up to the next mark
        else:
            self._state = "between"

    def _take(self) -> Iterator[ReasoningDelta | TextDelta]:
        """The pending text as an event; a header's text is in none."""
        text, self._text = self._text, ""
        if not text or self._state == "header":
            return
        tokens, self._tokens = self._tokens, ()
        if self._state == "analysis":
            self.tokens += len(tokens)
            yield ReasoningDelta(text=text, tokens=tokens)
        else:
            yield TextDelta(text=text, tokens=tokens)
