"""Text that holds more than the answer: ``<think>`` marks, gpt-oss' channels, and those of other models' messages.

Servers without a parser for a model send its marks as they were written. They are recognised at the beginning of the
text only, so that an answer about such marks stays whole. Sources: the templates of Qwen3 and DeepSeek, Gemini's
``<thought>``, Magistral's ``[THINK]``, the templates of Kimi, Seed-OSS, LongCat, MiniMax-M3, Hy3, K2 Horizon and Solar, and
OpenAI's Harmony format.

Some templates (DeepSeek-R1's, those of Qwen3's thinking models) open the thoughts in the prompt: the text begins with them,
and only a closing mark tells. Where that may be, the text waits for the mark or the end of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from kodo.server.engines.upstream.message_channels import (
    CLOSINGS,
    FORMATS,
    ChannelSegment,
    MessageChannels,
    MessageFormat,
)

_THINK: Final = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<longcat_think>": "</longcat_think>",
    "<mm:think>": "</mm:think>",
    "<think:opensource>": "</think:opensource>",
    "<ifm|think>": "</ifm|think>",
    "<ifm|think_fast>": "</ifm|think_fast>",
    "<ifm|think_faster>": "</ifm|think_faster>",
    "<|think:start|>": "<|think:end|>",
}
_CHANNEL, _START, _MESSAGE = "<|channel|>", "<|start|>", "<|message|>"
_CALL: Final = "to=functions."
"""A recipient right behind a role that the prompt has opened."""
_OPENERS: Final = (*_THINK, *_THINK.values(), *FORMATS, _CHANNEL, _START, _CALL)
"""A closing mark, too: the thoughts before it were sent apart, or there are none."""
_OPENER: Final = re.compile("|".join(re.escape(mark) for mark in _OPENERS))
_BEGINNINGS: Final = frozenset(mark[:size] for mark in _OPENERS for size in range(len(mark)))
"""Texts that may become one of them; the empty one, too."""
_HARMONY_ENDS: Final = ("<|end|>", "<|return|>", "<|call|>", _START, _CHANNEL)
_RECIPIENT = re.compile(r"to=(?:functions\.)?([\w.:-]+)")
_CLOSERS: Final = (*_THINK.values(), *CLOSINGS)
_CLOSE: Final = re.compile("|".join(re.escape(mark) for mark in _CLOSERS))
_MAX_CLOSE: Final = max(len(mark) for mark in _CLOSERS)
_FENCE: Final = "```"
_QUOTED_BEFORE: Final = (" ", "\t", "`", '"', "'", "(")
_QUOTED_BEHIND: Final = (" ", "\t", "`", '"', "'", ")", ".", ",", ";", ":", "!", "?")
"""A mark that is written about stands in a sentence. A model's own follows its last thought, and nothing is on its line
but, with some models, the answer."""
_THINKING_NAMES: Final = re.compile(
    r"(?i)(?:^|[-_./: ])(?:r1|qwq|thinking|think|reasoner|reasoning|kimi-?k3|step-?3|minimax-?m2|solar-open2)(?:$|[-_.:@ ])"
)


def may_open_thoughts(model: str) -> bool:
    """Whether a model's name is one of those whose templates open the thoughts in the prompt."""
    return _THINKING_NAMES.search(model) is not None


class TextChannels:
    """Splits the text of one answer. ``waits``: thoughts may come first that no mark opens; ``envelope``: what may stand
    around the text behind thoughts."""

    def __init__(self, *, waits: bool = False, envelope: MessageFormat | None = None) -> None:
        self._mode: Literal["start", "unopened", "think", "plain", "harmony", "message"] = "start"
        self._envelope = envelope
        self._message: MessageChannels | None = None
        self._waits = waits
        self._waiting: list[str] = []
        """The text so far, in the mode ``unopened``."""
        self._tail = ""
        """Its end."""
        self._looked = 0
        """How much of it has no mark that closes the thoughts: each is judged once, however many are written about."""
        self.unopened = False
        """Whether thoughts were closed that no mark had opened."""
        self._pending = ""
        self._close = ""
        self._trim = False
        self._channel: Literal["header", "reasoning", "text", "arguments", "between"] = "between"

    @property
    def is_plain(self) -> bool:
        """Whether all that follows is text: no marks are looked for any more."""
        return self._mode == "plain" and not self._trim

    @property
    def holds(self) -> bool:
        """Whether a text is held back."""
        return bool(self._waiting)

    def feed(self, text: str) -> list[ChannelSegment]:
        """What is certain so far."""
        if self.is_plain:
            return [ChannelSegment("text", text)] if text else []
        if self._message is not None:
            return list(self._message.feed(text))
        if self._mode == "unopened":
            return list(self._wait(text))
        self._pending += text
        return list(self._split())

    def stop_waiting(self) -> list[ChannelSegment]:
        """The server sends thoughts apart: what waited is text."""
        self._waits = False
        if self._mode != "unopened":
            return []
        self._mode = "plain"
        text = "".join(self._waiting)
        self._waiting = []
        return [ChannelSegment("text", text)]

    def flush(self, *, cut_in_thought: bool = False) -> list[ChannelSegment]:
        """The rest, at the end of the answer. ``cut_in_thought``: text that waits is a thought that a limit cut."""
        if self._mode == "unopened":
            segments = [*self._look(ended=True), *self.stop_waiting()]
            kept = not self.unopened and cut_in_thought
            return [ChannelSegment("reasoning", one.text) for one in segments] if kept else segments
        if self._message is not None:
            return list(self._message.flush())
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
            yield from self._begin()
        if self._mode == "think":
            yield from self._think()
        if self._mode == "message" and self._message is None and self._envelope is not None:
            yield from self._divide(self._envelope, self._pending)
        if self._mode == "plain":
            text = self._pending.lstrip("\n") if self._trim else self._pending
            self._pending = ""
            if text:
                self._trim = False
                yield ChannelSegment("text", text)
        if self._mode == "harmony":
            yield from self._harmony()

    def _begin(self) -> Iterator[ChannelSegment]:
        """Look at the beginning of the text: it says what the rest is."""
        text = self._pending.lstrip()
        found = _OPENER.match(text)
        opener = None if found is None else found[0]
        if opener is None:
            if text in _BEGINNINGS:
                return  # nothing but white space, or the beginning of a mark
            if self._waits:
                self._mode, text, self._pending = "unopened", self._pending, ""
                yield from self._wait(text)
                return
            self._mode = "plain"
        elif opener in _THINK:
            self._mode, self._close, self._trim = "think", _THINK[opener], True
            self._pending = text[len(opener) :]
        elif opener in _THINK.values():
            self._answer(text[len(opener) :])
        elif opener in FORMATS:
            yield from self._divide(FORMATS[opener], text)
        else:
            self._mode, self._pending = "harmony", text

    def _think(self) -> Iterator[ChannelSegment]:
        """Thoughts, up to the mark that closes them."""
        if self._trim:  # line breaks behind the mark are not the model's thoughts
            self._pending = self._pending.lstrip("\n")
            self._trim = not self._pending
        before, closed, after = self._pending.partition(self._close)
        if closed:
            if before.rstrip():
                yield ChannelSegment("reasoning", before.rstrip("\n"))
            self._answer(after)
        else:
            yield from self._certain("reasoning", (self._close,))

    def _wait(self, text: str) -> Iterator[ChannelSegment]:
        """More text of which it is not known whether it is thoughts."""
        self._waiting.append(text)
        self._tail += text
        if _CLOSE.search(self._tail):
            yield from self._look(ended=False)
        self._tail = self._tail[-_MAX_CLOSE:]

    def _look(self, *, ended: bool) -> Iterator[ChannelSegment]:
        """Split the text at the mark that closes the thoughts, if it is there."""
        text = "".join(self._waiting)
        self._waiting = [text]
        for found in _CLOSE.finditer(text, self._looked):
            thoughts, behind = text[: found.start()], text[found.end() :]
            if not behind and not ended:
                return  # what follows the mark says whether it is one
            if (
                thoughts.count(_FENCE) % 2
                or thoughts.endswith(_QUOTED_BEFORE)
                or behind.startswith(_QUOTED_BEHIND)
                or any(opener in thoughts for opener, close in _THINK.items() if close == found[0])
            ):
                self._looked = found.end()
                continue
            self._waiting = []
            self.unopened = True
            if thoughts.strip():
                yield ChannelSegment("reasoning", thoughts.strip("\n"))
            if found[0] in FORMATS:
                yield from self._divide(FORMATS[found[0]], behind)
                return
            self._answer(behind)
            yield from self._split()
            return

    def _answer(self, text: str) -> None:
        """Thoughts are over: the answer begins with this text."""
        self._mode = "plain" if self._envelope is None else "message"
        self._pending, self._trim = text, True

    def _divide(self, form: MessageFormat, text: str) -> Iterator[ChannelSegment]:
        """What begins with this text is a message of this format."""
        self._mode, self._pending = "message", ""
        self._message = MessageChannels(form)
        yield from self._message.feed(text)

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
