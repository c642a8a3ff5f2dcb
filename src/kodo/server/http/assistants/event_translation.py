"""Translates the lifecycle's events to a run's events of steps and messages. Knows no store and no socket.

Events of the run itself (``thread.run.*``) are published by the code that changes its status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from kodo.server.http.assistants import hosted_tools
from kodo.server.http.assistants.hosted_tools import HostedCallItem
from kodo.server.http.errors import translate
from kodo.server.lifecycle.errors import ServiceError
from kodo.server.wire import assistants as wire
from kodo.server.wire import events as ev
from kodo.server.wire.hosted_items import CodeInterpreterCall, FileSearchCall
from kodo.server.wire.items import FunctionCall, Message, OutputText, text_of
from kodo.server.wire.response import ResponseUsage

RunEvent: TypeAlias = tuple[str, Any]
"""An event's name and its data."""
MessageReason: TypeAlias = Literal[
    "content_filter", "max_tokens", "run_cancelled", "run_expired", "run_failed"
]

_encode = msgspec.json.Encoder().encode
_NOT_COMPLETED = wire.RunError(code="server_error", message="The call was not completed.")
DONE_FRAME = b"event: done\ndata: [DONE]\n\n"


def encode_event(event: RunEvent) -> bytes:
    """Encode an event as one Server-Sent-Events frame."""
    return b"event: " + event[0].encode() + b"\ndata: " + _encode(event[1]) + b"\n\n"


def encode_error(error: ServiceError) -> bytes:
    """Encode the error that ends a stream early; the SDK raises it."""
    return b"event: error\ndata: " + _encode(translate(error)[1]) + b"\n\n"


class RunEnd(Struct, frozen=True, kw_only=True):
    """The status with which a run ends, and why."""

    status: Literal["completed", "incomplete", "failed", "cancelled", "expired"]
    limit: Literal["max_completion_tokens", "max_prompt_tokens"] | None = None
    filtered: bool = False
    error: wire.RunError | None = None

    @property
    def message_reason(self) -> MessageReason:
        """Return why a message that was being written is incomplete."""
        match self.status:
            case "cancelled":
                return "run_cancelled"
            case "expired":
                return "run_expired"
            case "failed":
                return "run_failed"
        return "content_filter" if self.filtered else "max_tokens"


def run_usage(usage: ResponseUsage | None) -> wire.RunUsage:
    """Return the usage of a turn in this API's form."""
    if usage is None:
        return wire.RunUsage()
    return wire.RunUsage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
    )


def add_usage(left: wire.RunUsage, right: wire.RunUsage) -> wire.RunUsage:
    """Add two usages."""
    return wire.RunUsage(
        prompt_tokens=left.prompt_tokens + right.prompt_tokens,
        completion_tokens=left.completion_tokens + right.completion_tokens,
        total_tokens=left.total_tokens + right.total_tokens,
    )


def end_step(
    step: wire.RunStep, status: wire.StepStatus, now: float, error: wire.RunError | None
) -> RunEvent:
    """Return a step in its final status, and the event."""
    done = msgspec.structs.replace(
        step,
        status=status,
        usage=step.usage or wire.RunUsage(),
        last_error=error if status == "failed" else None,
        **{f"{status}_at": int(now)},
    )
    return f"thread.run.step.{status}", done


def _message_text(item: Message) -> wire.TextValue:
    """A message's text, with the marks of its citations."""
    if len(item.content) == 1 and isinstance(item.content[0], OutputText):
        return hosted_tools.cited_text(item.content[0])
    return wire.TextValue(value=text_of(item.content))


class RunEventTranslator:
    """Translates the events of one turn of a run. ``calls_step`` is the step of its function calls, if it has any.

    The tokens of the turn count for its last step, because the engine does not count them by step.
    """

    def __init__(self, run: wire.ThreadRun, new_id: Callable[[str], str], now: Callable[[], float]) -> None:
        self._run = run
        self._new_id = new_id
        self._now = now
        self.calls_step: wire.RunStep | None = None
        self._message_step: wire.RunStep | None = None
        self._message: wire.ThreadMessage | None = None
        self._call_indexes: dict[str, int] = {}
        self._hosted_steps: dict[str, wire.RunStep] = {}
        """Steps of tools that the server runs now, by the item's id."""
        self._cut_steps: list[wire.RunStep] = []
        """Those of tools that were stopped; they end as the run does."""
        self._citations = self._length = 0
        """Of the message that is being written: its citations, and the characters of its text with their marks."""
        self._text = ""
        self._marks: list[tuple[int, int]] = []
        """Its text without the marks, where they stand in it, and their lengths."""
        self._first_delta = False

    def translate(self, event: ev.StreamEvent) -> Iterator[RunEvent]:
        """Return the run events of an event; none for reasoning, which this API does not have."""
        match event:
            case ev.OutputItemAdded(item=Message() as item):
                yield from self._end_message_step("completed", wire.RunUsage())
                yield from self._begin_message(item.id or "")
            case ev.OutputItemAdded(item=FunctionCall() as item):
                yield from self._end_message_step("completed", wire.RunUsage())
                yield from self._begin_call(item)
            case ev.OutputItemAdded(item=FileSearchCall() | CodeInterpreterCall() as item):
                yield from self._end_message_step("completed", wire.RunUsage())
                yield from self._begin_hosted(item)
            case ev.OutputItemDone(item=FileSearchCall() | CodeInterpreterCall() as item):
                yield from self._end_hosted(item)
            case ev.OutputTextAnnotationAdded(annotation={"type": "file_citation"}):
                yield self._citation(event)
            case ev.OutputTextAnnotationAdded(annotation={"type": "container_file_citation"}):
                yield self._named_file(event)
            case ev.OutputTextDelta():
                self._text += event.delta
                yield self._text_delta(event.item_id, event.delta)
            case ev.FunctionCallArgumentsDelta():
                yield self._call_delta(event.item_id, {"arguments": event.delta})
            case ev.OutputItemDone(item=Message() as item):
                yield from self._complete_message(item)
            case ev.OutputItemDone(item=FunctionCall() as item):
                self._add_call(item)

    def finish(self, end: RunEnd | None, usage: wire.RunUsage) -> Iterator[RunEvent]:
        """End the open message and steps. ``None``: the run continues and waits for the outputs of its calls."""
        if self.calls_step is not None:
            yield from self._end_message_step("completed", wire.RunUsage())
            self.calls_step = msgspec.structs.replace(self.calls_step, usage=usage)
        yield from self._end_cut_steps(end)
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
        yield from self._end_message_step(status, usage, end.error)
        if self.calls_step is not None:
            cut_status: wire.StepStatus = "failed" if status == "completed" else status
            yield end_step(self.calls_step, cut_status, self._now(), end.error)

    # --- pieces ---

    def _text_delta(self, item_id: str, value: str, annotations: Sequence[dict[str, Any]] = ()) -> RunEvent:
        text: dict[str, Any] = {"value": value}
        if self._first_delta or annotations:
            text["annotations"] = list(annotations)
        self._first_delta = False
        self._length += len(value)
        delta = {"content": [{"index": 0, "type": "text", "text": text}]}
        return "thread.message.delta", {"id": item_id, "object": "thread.message.delta", "delta": delta}

    def _citation(self, event: ev.OutputTextAnnotationAdded) -> RunEvent:
        """A citation: its mark in the text, as clients of this API expect it."""
        mark = hosted_tools.marker(self._citations, event.annotation)
        made = hosted_tools.annotation(event.annotation, mark, self._length)
        number, self._citations = self._citations, self._citations + 1
        self._marks.append((len(self._text), len(mark)))
        return self._text_delta(event.item_id, mark, [{"index": number, **made}])

    def _named_file(self, event: ev.OutputTextAnnotationAdded) -> RunEvent:
        """A file of a container that the text names."""
        words = hosted_tools.text_of_place(self._text, event.annotation)
        made = hosted_tools.file_path(event.annotation, words, self._marks)
        number, self._citations = self._citations, self._citations + 1
        return self._text_delta(event.item_id, "", [{"index": number, **made}])

    def _begin_hosted(self, item: HostedCallItem) -> Iterator[RunEvent]:
        call = hosted_tools.step_call(item, self._run.tools)
        step = self._new_step(wire.ToolCallsStep(tool_calls=(call,)))
        self._hosted_steps[item.id or ""] = step
        yield "thread.run.step.created", step
        yield "thread.run.step.in_progress", step

    def _end_hosted(self, item: HostedCallItem) -> Iterator[RunEvent]:
        step = self._hosted_steps.pop(item.id or "")
        call = hosted_tools.step_call(item, self._run.tools)
        done = msgspec.structs.replace(step, step_details=wire.ToolCallsStep(tool_calls=(call,)))
        if item.status == "completed":
            yield end_step(done, "completed", self._now(), None)
        elif item.status == "failed":
            yield end_step(done, "failed", self._now(), _NOT_COMPLETED)
        else:
            self._cut_steps.append(done)

    def _end_cut_steps(self, end: RunEnd | None) -> Iterator[RunEvent]:
        status: wire.StepStatus = "failed"
        if end is not None and (end.status == "cancelled" or end.status == "expired"):
            status = end.status
        error = end.error if end is not None and end.error is not None else _NOT_COMPLETED
        for step in self._cut_steps:
            yield end_step(step, status, self._now(), error)
        self._cut_steps.clear()

    def _new_step(self, details: wire.MessageStep | wire.ToolCallsStep) -> wire.RunStep:
        return wire.RunStep(
            id=self._new_id("step"),
            created_at=int(self._now()),
            run_id=self._run.id,
            assistant_id=self._run.assistant_id,
            thread_id=self._run.thread_id,
            type="message_creation" if isinstance(details, wire.MessageStep) else "tool_calls",
            step_details=details,
        )

    def _begin_message(self, message_id: str) -> Iterator[RunEvent]:
        creation = wire.MessageCreation(message_id=message_id)
        self._message_step = self._new_step(wire.MessageStep(message_creation=creation))
        yield "thread.run.step.created", self._message_step
        yield "thread.run.step.in_progress", self._message_step
        self._first_delta = True
        self._citations = self._length = 0
        self._text, self._marks = "", []
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

    def _complete_message(self, item: Message) -> Iterator[RunEvent]:
        if self._message is None:
            raise ValueError("a message ended that never began")
        block = wire.TextBlock(text=_message_text(item))
        self._message = msgspec.structs.replace(self._message, content=(block,))
        if item.status == "completed":
            done = msgspec.structs.replace(self._message, status="completed", completed_at=int(self._now()))
            self._message = None
            yield "thread.message.completed", done

    def _end_message_step(
        self, status: wire.StepStatus, usage: wire.RunUsage, error: wire.RunError | None = None
    ) -> Iterator[RunEvent]:
        if self._message_step is not None:
            step = msgspec.structs.replace(self._message_step, usage=usage)
            self._message_step = None
            yield end_step(step, status, self._now(), error)

    def _begin_call(self, item: FunctionCall) -> Iterator[RunEvent]:
        if self.calls_step is None:
            self.calls_step = self._new_step(wire.ToolCallsStep(tool_calls=()))
            yield "thread.run.step.created", self.calls_step
            yield "thread.run.step.in_progress", self.calls_step
        item_id = item.id or ""
        self._call_indexes[item_id] = len(self._call_indexes)
        function = {"name": item.name, "arguments": "", "output": None}
        yield self._call_delta(item_id, function, call_id=item.call_id)

    def _call_delta(self, item_id: str, function: dict[str, Any], call_id: str | None = None) -> RunEvent:
        if self.calls_step is None:
            raise ValueError("arguments came outside a call")
        call: dict[str, Any] = {
            "index": self._call_indexes[item_id],
            "type": "function",
            "function": function,
        }
        if call_id is not None:
            call["id"] = call_id
        details = {"type": "tool_calls", "tool_calls": [call]}
        step = {
            "id": self.calls_step.id,
            "object": "thread.run.step.delta",
            "delta": {"step_details": details},
        }
        return "thread.run.step.delta", step

    def _add_call(self, item: FunctionCall) -> None:
        if self.calls_step is None or not isinstance(self.calls_step.step_details, wire.ToolCallsStep):
            raise ValueError("a call ended that never began")
        call = wire.FunctionToolCall(
            id=item.call_id, function=wire.FunctionCallWithOutput(name=item.name, arguments=item.arguments)
        )
        before = self.calls_step.step_details.tool_calls
        details = wire.ToolCallsStep(tool_calls=(*before, call))
        self.calls_step = msgspec.structs.replace(self.calls_step, step_details=details)
