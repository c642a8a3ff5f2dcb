"""Splits what a reasoning model writes into reasoning and answer, at ``<think>`` marks.

Knows text; the marks themselves are in no event's text, their ids are in the events around them.
"""

from __future__ import annotations

from collections.abc import Iterator

from kodo.server.engines.llama.prompting.reasoning import CLOSE_TAG, OPEN_TAG
from kodo.server.engines.stop_buffer import longest_partial_match
from kodo.server.lifecycle.ports import ReasoningDelta, TextDelta


class ReasoningSplitter:
    """Feed it deltas; it gives back reasoning and text. ``inside``: the prompt has opened the reasoning already."""

    def __init__(self, *, inside: bool = False, begun: bool = False) -> None:
        self._state = "inside" if inside else "outside" if begun else "start"
        self._text = ""
        self._tokens: tuple[int, ...] = ()
        self._trim = False
        self.tokens = 0
        """Tokens of reasoning so far."""

    @property
    def inside(self) -> bool:
        """Whether the reasoning has begun and not ended."""
        return self._state == "inside"

    def add(self, delta: TextDelta) -> Iterator[ReasoningDelta | TextDelta]:
        """The deltas whose kind is decided by now."""
        if self._state == "outside" and not self._trim:
            yield delta
            return
        self._text += delta.text
        self._tokens += delta.tokens
        if self._state == "start":
            words = self._text.lstrip()
            if words.startswith(OPEN_TAG):
                self._state, self._text = "inside", words[len(OPEN_TAG) :]
            elif OPEN_TAG.startswith(words):
                return  # may still become the mark
            else:
                self._state = "outside"
                yield self._take_pending(TextDelta)
                return
        if self._state == "inside":
            if not self.tokens:
                self._text = self._text.lstrip("\n")
            before, mark, after = self._text.partition(CLOSE_TAG)
            if mark:
                self._text = before.rstrip("\n")
                if self._text:
                    yield self._take_pending(ReasoningDelta)
                self._state, self._trim, self._text = "outside", True, after
            else:
                ready = len(before) - longest_partial_match(before, (CLOSE_TAG,))
                ready = len(before[:ready].rstrip("\n"))
                if ready:
                    held = before[ready:]
                    self._text = before[:ready]
                    yield self._take_pending(ReasoningDelta)
                    self._text = held
                return
        self._text = self._text.lstrip("\n")
        if self._text:
            self._trim = False
            yield self._take_pending(TextDelta)

    def close(self) -> None:
        """The reasoning was ended from outside: what follows is the answer."""
        self._state, self._trim = "outside", True

    def flush(self) -> Iterator[ReasoningDelta | TextDelta]:
        """The rest, at the end of the text."""
        if self._text or self._tokens:
            yield self._take_pending(ReasoningDelta if self._state == "inside" else TextDelta)

    def _take_pending(self, kind: type[ReasoningDelta] | type[TextDelta]) -> ReasoningDelta | TextDelta:
        event = kind(text=self._text, tokens=self._tokens)
        if kind is ReasoningDelta:
            self.tokens += len(self._tokens)
        self._text, self._tokens = "", ()
        return event
