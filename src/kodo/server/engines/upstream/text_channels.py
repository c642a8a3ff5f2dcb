"""Text that holds more than the answer: ``<think>`` marks, and gpt-oss' channels.

Servers without a parser for a model send its marks as they were written. They are recognised at the beginning of the
text only, so that an answer about such marks stays whole. Sources: the templates of Qwen3 and DeepSeek, Gemini's
``<thought>``, Magistral's ``[THINK]``, Kimi's and Seed-OSS' templates, and OpenAI's Harmony format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

_THINK: Final = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
}
_CHANNEL, _START, _MESSAGE = "<|channel|>", "<|start|>", "<|message|>"
_CALL: Final = "to=functions."
"""A recipient right behind a role that the prompt has opened."""
_OPENERS: Final = (*_THINK, *_THINK.values(), _CHANNEL, _START, _CALL)
"""A closing mark, too: the thoughts before it were sent apart, or there are none."""
_HARMONY_ENDS: Final = ("<|end|>", "<|return|>", "<|call|>", _START, _CHANNEL)
_RECIPIENT = re.compile(r"to=(?:functions\.)?([\w.:-]+)")


class ChannelSegment(NamedTuple):
    """A piece of what the model wrote. ``call``: a call of the function named in ``text`` begins."""

    kind: Literal["text", "reasoning", "call", "arguments"]
    text: str


class TextChannels:
    """Splits the text of one answer."""

    def __init__(self) -> None:
        self._mode: Literal["start", "think", "plain", "harmony"] = "start"
        self._pending = ""
        self._close = ""
        self._trim = False
        self._channel: Literal["header", "reasoning", "text", "arguments", "between"] = "between"

    @property
    def is_plain(self) -> bool:
        """Whether all that follows is text: no marks are looked for any more."""
        return self._mode == "plain" and not self._trim

    def feed(self, text: str) -> list[ChannelSegment]:
        """What is certain so far."""
        if self.is_plain:
            return [ChannelSegment("text", text)] if text else []
        self._pending += text
        return list(self._split())

    def flush(self) -> list[ChannelSegment]:
        """The rest, at the end of the answer."""
        text, self._pending = self._pending, ""
        if not text:
            return []
        if self._mode == "think":
            return [ChannelSegment("reasoning", text)]
        if self._mode == "harmony":
            if self._channel in ("header", "between"):
                return []
            return [ChannelSegment("text" if self._channel == "text" else self._kind(), text)]
        return [ChannelSegment("text", text)]

    def _split(self) -> Iterator[ChannelSegment]:
        if self._mode == "start":
            text = self._pending.lstrip()
            opener = next((mark for mark in _OPENERS if text.startswith(mark)), None)
            if opener is None:
                if any(mark.startswith(text) for mark in _OPENERS):
                    return  # nothing but white space, or the beginning of a mark
                self._mode = "plain"
            elif opener in _THINK:
                self._mode, self._close = "think", _THINK[opener]
                self._pending = text[len(opener) :].lstrip("\n")
            elif opener in _THINK.values():
                self._mode, self._pending, self._trim = "plain", text[len(opener) :], True
            else:
                self._mode, self._pending = "harmony", text
        if self._mode == "think":
            before, closed, after = self._pending.partition(self._close)
            if closed:
                if before.rstrip():
                    yield ChannelSegment("reasoning", before.rstrip("\n"))
                self._mode, self._pending, self._trim = "plain", after, True
            else:
                yield from self._certain("reasoning", (self._close,))
        if self._mode == "plain":
            text = self._pending.lstrip("\n") if self._trim else self._pending
            self._pending = ""
            if text:
                self._trim = False
                yield ChannelSegment("text", text)
        if self._mode == "harmony":
            yield from self._harmony()

    def _harmony(self) -> Iterator[ChannelSegment]:
        while self._pending:
            if self._channel in ("between", "header"):
                header, found, rest = self._pending.partition(_MESSAGE)
                if not found:
                    return
                self._pending = rest
                recipient = _RECIPIENT.search(header)
                if recipient is not None and "to=assistant" not in header:
                    self._channel = "arguments"
                    yield ChannelSegment("call", recipient[1])
                else:
                    self._channel = "reasoning" if "analysis" in header else "text"
                continue
            position, mark = min(
                ((at, mark) for mark in _HARMONY_ENDS if (at := self._pending.find(mark)) >= 0),
                default=(-1, ""),
            )
            if position < 0:
                yield from self._certain(self._kind(), _HARMONY_ENDS)
                return
            if position:
                yield ChannelSegment(self._kind(), self._pending[:position])
            self._pending = self._pending[position + (len(mark) if mark not in (_START, _CHANNEL) else 0) :]
            self._channel = "between"

    def _kind(self) -> Literal["text", "reasoning", "arguments"]:
        return self._channel if self._channel in ("reasoning", "arguments") else "text"

    def _certain(
        self, kind: Literal["text", "reasoning", "arguments"], marks: tuple[str, ...]
    ) -> Iterator[ChannelSegment]:
        """All but an end that may be the beginning of a mark."""
        held = max(
            (
                size
                for mark in marks
                for size in range(1, min(len(mark), len(self._pending) + 1))
                if self._pending.endswith(mark[:size])
            ),
            default=0,
        )
        while kind == "reasoning" and self._pending[: len(self._pending) - held].endswith("\n"):
            held += 1  # line breaks in front of the mark are not the model's thoughts
        text, self._pending = (
            self._pending[: len(self._pending) - held],
            self._pending[len(self._pending) - held :],
        )
        if text:
            yield ChannelSegment(kind, text)
