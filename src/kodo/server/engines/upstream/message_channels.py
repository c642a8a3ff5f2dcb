"""Messages that control tokens divide into channels: thoughts, the answer, and calls.

A server without a parser for such a model sends the tokens as text. They are no words of an answer, so they are left out
wherever they stand once the first one was seen; what no channel was opened for is the answer's. Calls are handed on with
their marks, for their reader. Sources: the models' chat templates, and vLLM's and SGLang's parsers of their thoughts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from kodo.server.engines.upstream.marks import Marks

Channel = Literal["reasoning", "text", "calls", "header"]
"""What follows a mark. ``header``: nothing of the message, if another mark follows soon."""
_MAX_HEADER: Final = 128
_CONTROL_END: Final = "|>"


class ChannelSegment(NamedTuple):
    """A piece of what the model wrote. ``call``: a call of the function named in ``text`` begins."""

    kind: Literal["text", "reasoning", "call", "arguments"]
    text: str


class MessageFormat:
    """The marks of one model's messages, and the channel that each opens.

    ``closing``: the mark that ends thoughts and nothing else. Thoughts stand before it, even if the prompt opened them.
    """

    def __init__(self, channels: Mapping[str, Channel], *, closing: str | None = None) -> None:
        self.channels = channels
        self.marks = Marks(channels)
        self.closing = closing


_KIMI_K3: Final = MessageFormat(
    {
        "<|open|>think<|sep|>": "reasoning",
        "<|close|>think<|sep|>": "text",
        "<|open|>response<|sep|>": "text",
        "<|close|>response<|sep|>": "text",
        "<|open|>tools<|sep|>": "calls",
        "<|close|>message<|sep|>": "text",
    },
    closing="<|close|>think<|sep|>",
)
_COMMAND: Final = MessageFormat(
    {
        "<|START_THINKING|>": "reasoning",
        "<|END_THINKING|>": "text",
        "<|START_RESPONSE|>": "text",
        "<|END_RESPONSE|>": "text",
        "<|START_TEXT|>": "text",
        "<|END_TEXT|>": "text",
        "<|START_ACTION|>": "calls",
    },
    closing="<|END_THINKING|>",
)
_INKLING: Final = MessageFormat(
    {
        "<|message_model|>": "header",
        "<|content_thinking|>": "reasoning",
        "<|content_text|>": "text",
        "<|content_invoke_tool_json|>": "calls",
        "<|end_message|>": "text",
        "<|content_model_end_sampling|>": "text",
    }
)
_GEMMA_4: Final = MessageFormat(
    {"<|channel>thought": "reasoning", "<channel|>": "text", "<|tool_call>": "calls"}, closing="<channel|>"
)
_APERTUS: Final = MessageFormat(
    {"<|inner_prefix|>": "reasoning", "<|inner_suffix|>": "text", "<|tools_prefix|>": "calls"},
    closing="<|inner_suffix|>",
)
_FORMATS: Final = (_KIMI_K3, _COMMAND, _INKLING, _GEMMA_4, _APERTUS)
FORMATS: Final[Mapping[str, MessageFormat]] = {mark: one for one in _FORMATS for mark in one.channels}
"""The format that a mark belongs to."""
CLOSINGS: Final = tuple(one.closing for one in _FORMATS if one.closing is not None)
_ENVELOPES: Final[Mapping[str, MessageFormat]] = {
    "ernie": MessageFormat({"<response>": "text", "</response>": "text"}),
    "hunyuan": MessageFormat({"<answer>": "text", "</answer>": "text"}),
}
"""Words around the answer behind the thoughts. Other models write them where they are asked to, so these are told by their
name."""


def envelope_of(model: str) -> MessageFormat | None:
    """The marks that a model of this name writes around its answer, if it does."""
    return next((marks for name, marks in _ENVELOPES.items() if name in model.lower()), None)


class MessageChannels:
    """Divides one message of a format. It begins in the answer."""

    def __init__(self, form: MessageFormat) -> None:
        self._channels, self._marks = form.channels, form.marks
        self._channel: Channel = "text"
        self._pending = ""
        self._header = 0
        """Characters of the mark at the beginning of what is pending, whose header follows."""
        self._begins = True
        """Whether nothing was said in this channel yet: line breaks behind a mark are nobody's."""

    def feed(self, text: str) -> Iterator[ChannelSegment]:
        """What is certain so far."""
        self._pending += text
        while self._channel != "calls" and (found := self._marks.pattern.search(self._pending, self._header)):
            if not self._header:
                yield from self._say(self._pending[: found.start()].rstrip("\n"))
            self._channel, self._begins = self._channels[found[0]], True
            self._header = len(found[0]) if self._channel == "header" else 0
            kept = self._channel in ("calls", "header")
            self._pending = self._pending[found.start() if kept else found.end() :]
        if self._header and len(self._pending) < _MAX_HEADER:
            return
        self._header = 0  # what is longer is no header
        certain = self._pending
        if self._channel != "calls":  # line breaks may stand in front of a mark
            certain = certain[: self._marks.begun_at(certain)].rstrip("\n")
        self._pending = self._pending[len(certain) :]
        yield from self._say(certain)

    def flush(self) -> Iterator[ChannelSegment]:
        """The rest, at the end of the message."""
        text, self._pending = self._pending, ""
        begun = text[self._marks.begun_at(text) :]
        if _CONTROL_END in begun:  # a control token of a mark that a limit cut
            text = text.removesuffix(begun)
        yield from self._say(text.rstrip("\n") if self._channel == "reasoning" else text)

    def _say(self, text: str) -> Iterator[ChannelSegment]:
        if self._begins:
            text = text.lstrip("\n")
        if text:
            self._begins = False
            yield ChannelSegment("reasoning" if self._channel == "reasoning" else "text", text)
