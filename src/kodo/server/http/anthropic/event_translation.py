"""From the lifecycle's events to those of a streamed message."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kodo.server.http.anthropic.response_translation import (
    build_usage,
    message_id,
    signature_of,
    stop_reason,
)
from kodo.server.lifecycle.run import Run
from kodo.server.wire import anthropic as wire
from kodo.server.wire import events as ev
from kodo.server.wire.items import FunctionCall, Message, Reasoning

_encode = msgspec.json.Encoder().encode


class EventTranslator:
    """The events of one message. Blocks follow each other: one ends before the next begins."""

    def __init__(self, run: Run, *, shows_thinking: bool = True) -> None:
        self._run = run
        self._shows_thinking = shows_thinking
        self._index = -1
        self._open = False

    def translate(self, event: ev.StreamEvent) -> Iterator[wire.MessagesEvent]:
        """What an event adds; often nothing."""
        match event:
            case ev.ResponseCreated():
                yield self._start(event)
            case ev.ResponseInProgress():
                yield wire.Ping()
            case ev.OutputTextDelta() if event.delta:
                if not self._open:
                    yield self._begin(wire.MessageTextBlock(text=""))
                yield self._more(wire.MessageTextDelta(text=event.delta))
            case ev.OutputItemAdded(item=Reasoning()):
                yield self._begin(wire.ThinkingBlock(thinking="", signature=""))
            case ev.OutputItemAdded(item=FunctionCall() as item):
                yield self._begin(wire.ToolUseBlock(id=item.call_id, name=item.name, input={}))
            case ev.ReasoningSummaryTextDelta() if self._shows_thinking:
                yield self._more(wire.ThinkingDelta(thinking=event.delta))
            case ev.FunctionCallArgumentsDelta():
                yield self._more(wire.InputJsonDelta(partial_json=event.delta))
            case ev.OutputItemDone(item=Message() | FunctionCall() | Reasoning() as item):
                if isinstance(item, Reasoning):
                    yield self._more(wire.SignatureDelta(signature=signature_of(item)))
                if self._open:
                    self._open = False
                    yield wire.BlockStop(index=self._index)
            case ev.ResponseCompleted() | ev.ResponseIncomplete():
                yield wire.MessageDelta(
                    delta=wire.StopDelta(
                        stop_reason=stop_reason(self._run), stop_sequence=self._run.stop_sequence
                    ),
                    usage=build_usage(event.response.usage),
                )
                yield wire.MessageStop()

    def _start(self, event: ev.ResponseCreated) -> wire.MessageStart:
        """The prompt is counted by now; how much of it was cached is told at the end."""
        usage = wire.MessagesUsage(
            input_tokens=self._run.input_tokens, output_tokens=0, service_tier="standard"
        )
        message = wire.AnthropicMessage(
            id=message_id(event.response), model=event.response.model, usage=usage
        )
        return wire.MessageStart(message=message)

    def _begin(self, block: wire.Block) -> wire.BlockStart:
        self._index += 1
        self._open = True
        return wire.BlockStart(index=self._index, content_block=block)

    def _more(self, delta: wire.BlockDelta) -> wire.BlockDeltaEvent:
        return wire.BlockDeltaEvent(index=self._index, delta=delta)


def sse(event: wire.MessagesEvent) -> bytes:
    """An event as one Server-Sent-Events frame."""
    kind = str(type(event).__struct_config__.tag)
    return b"event: " + kind.encode() + b"\ndata: " + _encode(event) + b"\n\n"
