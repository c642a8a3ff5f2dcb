"""From the lifecycle's events to a run's: steps and messages, their beginnings, deltas and ends. No store, no socket.

The events of the run itself (``thread.run.*``) are told by whoever moves it from status to status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from kodo.server.http.errors import translate
from kodo.server.lifecycle.errors import ServiceError
from kodo.server.wire import assistants as wire
from kodo.server.wire import events as ev
from kodo.server.wire.items import FunctionCall, Message, text_of
from kodo.server.wire.response import ResponseUsage

Told: TypeAlias = tuple[str, Any]
"""An event's name and its data."""
MessageReason: TypeAlias = Literal[
    "content_filter", "max_tokens", "run_cancelled", "run_expired", "run_failed"
]

_encode = msgspec.json.Encoder().encode
DONE = b"event: done\ndata: [DONE]\n\n"


def frame(told: Told) -> bytes:
    """An event as one Server-Sent-Events frame."""
    return b"event: " + told[0].encode() + b"\ndata: " + _encode(told[1]) + b"\n\n"


def error_frame(error: ServiceError) -> bytes:
    """What breaks a stream off: the SDK raises it."""
    return b"event: error\ndata: " + _encode(translate(error)[1]) + b"\n\n"


class End(Struct, frozen=True, kw_only=True):
    """How a run ends."""

    status: Literal["completed", "incomplete", "failed", "cancelled", "expired"]
    limit: Literal["max_completion_tokens", "max_prompt_tokens"] | None = None
    filtered: bool = False
    error: wire.RunError | None = None

    @property
    def message_reason(self) -> MessageReason:
        """Why a message that was being said is not whole."""
        match self.status:
            case "cancelled":
                return "run_cancelled"
            case "expired":
                return "run_expired"
            case "failed":
                return "run_failed"
        return "content_filter" if self.filtered else "max_tokens"


def run_usage(usage: ResponseUsage | None) -> wire.RunUsage:
    """Tokens of a turn."""
    if usage is None:
        return wire.RunUsage()
    return wire.RunUsage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
    )


def plus(one: wire.RunUsage, two: wire.RunUsage) -> wire.RunUsage:
    """Tokens together."""
    return wire.RunUsage(
        prompt_tokens=one.prompt_tokens + two.prompt_tokens,
        completion_tokens=one.completion_tokens + two.completion_tokens,
        total_tokens=one.total_tokens + two.total_tokens,
    )


def ended_step(step: wire.RunStep, status: wire.StepStatus, now: float, error: wire.RunError | None) -> Told:
    """A step's end, and its event."""
    done = msgspec.structs.replace(
        step,
        status=status,
        usage=step.usage or wire.RunUsage(),
        last_error=error if status == "failed" else None,
        **{f"{status}_at": int(now)},
    )
    return f"thread.run.step.{status}", done


class Translator:
    """The events of one turn of a run. ``calls`` is the step of its function calls, once there is one.

    The tokens of the turn count for its last step: the engine does not count them apart.
    """

    def __init__(self, run: wire.ThreadRun, new_id: Callable[[str], str], now: Callable[[], float]) -> None:
        self._run = run
        self._new_id = new_id
        self._now = now
        self.calls: wire.RunStep | None = None
        self._speaking: wire.RunStep | None = None
        self._message: wire.ThreadMessage | None = None
        self._places: dict[str, int] = {}
        self._fresh = False

    def of(self, event: ev.StreamEvent) -> Iterator[Told]:
        """What an event becomes; nothing for reasoning, which this API does not show."""
        match event:
            case ev.OutputItemAdded(item=Message() as item):
                yield from self._end_speaking("completed", wire.RunUsage())
                yield from self._begin_message(item.id or "")
            case ev.OutputItemAdded(item=FunctionCall() as item):
                yield from self._end_speaking("completed", wire.RunUsage())
                yield from self._begin_call(item)
            case ev.OutputTextDelta():
                text: dict[str, Any] = {"value": event.delta}
                if self._fresh:
                    text["annotations"] = []
                self._fresh = False
                delta = {"content": [{"index": 0, "type": "text", "text": text}]}
                yield (
                    "thread.message.delta",
                    {"id": event.item_id, "object": "thread.message.delta", "delta": delta},
                )
            case ev.FunctionCallArgumentsDelta():
                yield self._call_delta(event.item_id, {"arguments": event.delta})
            case ev.OutputItemDone(item=Message() as item):
                yield from self._said(item)
            case ev.OutputItemDone(item=FunctionCall() as item):
                self._called(item)

    def end(self, end: End | None, usage: wire.RunUsage) -> Iterator[Told]:
        """What is still open comes to its end. None: the run goes on, it waits for the outputs of its calls."""
        if self.calls is not None:
            yield from self._end_speaking("completed", wire.RunUsage())
            self.calls = msgspec.structs.replace(self.calls, usage=usage)
        if end is None:
            return
        if self._message is not None:
            now = int(self._now())
            cut = wire.MessageIncomplete(reason=end.message_reason)
            message = msgspec.structs.replace(
                self._message, status="incomplete", incomplete_at=now, incomplete_details=cut
            )
            yield "thread.message.incomplete", message
        status: wire.StepStatus
        match end.status:
            case "completed" | "incomplete":
                status = "completed"
            case "failed" | "cancelled" | "expired":
                status = end.status
        yield from self._end_speaking(status, usage, end.error)
        if self.calls is not None:
            cut_status: wire.StepStatus = "failed" if status == "completed" else status
            yield ended_step(self.calls, cut_status, self._now(), end.error)

    # --- pieces ---

    def _begin(self, details: wire.MessageStep | wire.ToolCallsStep) -> wire.RunStep:
        return wire.RunStep(
            id=self._new_id("step"),
            created_at=int(self._now()),
            run_id=self._run.id,
            assistant_id=self._run.assistant_id,
            thread_id=self._run.thread_id,
            type="message_creation" if isinstance(details, wire.MessageStep) else "tool_calls",
            step_details=details,
        )

    def _begin_message(self, message_id: str) -> Iterator[Told]:
        creation = wire.MessageCreation(message_id=message_id)
        self._speaking = self._begin(wire.MessageStep(message_creation=creation))
        yield "thread.run.step.created", self._speaking
        yield "thread.run.step.in_progress", self._speaking
        self._fresh = True
        self._message = wire.ThreadMessage(
            id=message_id,
            created_at=int(self._now()),
            thread_id=self._run.thread_id,
            status="in_progress",
            role="assistant",
            content=(),
            assistant_id=self._run.assistant_id,
            run_id=self._run.id,
            metadata={},
        )
        yield "thread.message.created", self._message
        yield "thread.message.in_progress", self._message

    def _said(self, item: Message) -> Iterator[Told]:
        if self._message is None:
            raise ValueError("a message ended that never began")
        block = wire.TextBlock(text=wire.TextValue(value=text_of(item.content)))
        self._message = msgspec.structs.replace(self._message, content=(block,))
        if item.status == "completed":
            done = msgspec.structs.replace(self._message, status="completed", completed_at=int(self._now()))
            self._message = None
            yield "thread.message.completed", done

    def _end_speaking(
        self, status: wire.StepStatus, usage: wire.RunUsage, error: wire.RunError | None = None
    ) -> Iterator[Told]:
        if self._speaking is not None:
            step = msgspec.structs.replace(self._speaking, usage=usage)
            self._speaking = None
            yield ended_step(step, status, self._now(), error)

    def _begin_call(self, item: FunctionCall) -> Iterator[Told]:
        if self.calls is None:
            self.calls = self._begin(wire.ToolCallsStep(tool_calls=()))
            yield "thread.run.step.created", self.calls
            yield "thread.run.step.in_progress", self.calls
        item_id = item.id or ""
        self._places[item_id] = len(self._places)
        called = {"name": item.name, "arguments": "", "output": None}
        yield self._call_delta(item_id, called, call_id=item.call_id)

    def _call_delta(self, item_id: str, function: dict[str, Any], call_id: str | None = None) -> Told:
        if self.calls is None:
            raise ValueError("arguments came outside a call")
        call: dict[str, Any] = {"index": self._places[item_id], "type": "function", "function": function}
        if call_id is not None:
            call["id"] = call_id
        details = {"type": "tool_calls", "tool_calls": [call]}
        step = {"id": self.calls.id, "object": "thread.run.step.delta", "delta": {"step_details": details}}
        return "thread.run.step.delta", step

    def _called(self, item: FunctionCall) -> None:
        if self.calls is None or not isinstance(self.calls.step_details, wire.ToolCallsStep):
            raise ValueError("a call ended that never began")
        call = wire.FunctionToolCall(
            id=item.call_id, function=wire.FunctionCallOutput(name=item.name, arguments=item.arguments)
        )
        before = self.calls.step_details.tool_calls
        details = wire.ToolCallsStep(tool_calls=(*before, call))
        self.calls = msgspec.structs.replace(self.calls, step_details=details)
