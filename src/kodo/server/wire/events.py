"""The events of a streamed response: those of Open Responses 2026-04-24 that can occur here, and those of custom tools
from openai-python 3.54. Reasoning is streamed as summary text: the two contracts name the events of raw reasoning
differently (``response.reasoning.delta``, ``response.reasoning_text.delta``), those of summaries alike. ``sequence_number`` counts from 0 without a gap."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from kodo.server.wire.hosted_events import HostedEvent
from kodo.server.wire.items import Item, Logprob, OutputText, Part, SummaryText
from kodo.server.wire.response import Response


class Event(Struct, frozen=True, kw_only=True):
    """Base of the events; ``sequence_number`` is the position in the stream."""

    sequence_number: int


class _OfResponse(Event, frozen=True, kw_only=True):
    response: Response


class ResponseCreated(_OfResponse, frozen=True, kw_only=True, tag="response.created"):
    """The response was created, and stored if it is to be stored."""


class ResponseQueued(_OfResponse, frozen=True, kw_only=True, tag="response.queued"):
    """The response waits for its turn."""


class ResponseInProgress(_OfResponse, frozen=True, kw_only=True, tag="response.in_progress"):
    """The response is being generated. Sent again while nothing else happens, because clients' idle timers count
    events, not comments."""


class ResponseCompleted(_OfResponse, frozen=True, kw_only=True, tag="response.completed"):
    """The last event of a complete response."""


class ResponseIncomplete(_OfResponse, frozen=True, kw_only=True, tag="response.incomplete"):
    """The last event of a response that was cut off or (see ``response.status``) cancelled; the contract has no event
    of its own for cancellation."""


class ResponseFailed(_OfResponse, frozen=True, kw_only=True, tag="response.failed"):
    """The last event of a response that failed."""


class _OfOutput(Event, frozen=True, kw_only=True):
    output_index: int


class OutputItemAdded(_OfOutput, frozen=True, kw_only=True, tag="response.output_item.added"):
    """An output item begins."""

    item: Item


class OutputItemDone(_OfOutput, frozen=True, kw_only=True, tag="response.output_item.done"):
    """An output item is complete, or was cut off."""

    item: Item


class _OfItem(_OfOutput, frozen=True, kw_only=True):
    item_id: str


class _OfContent(_OfItem, frozen=True, kw_only=True):
    content_index: int


class ContentPartAdded(_OfContent, frozen=True, kw_only=True, tag="response.content_part.added"):
    """A content part of an item begins."""

    part: Part


class ContentPartDone(_OfContent, frozen=True, kw_only=True, tag="response.content_part.done"):
    """A content part of an item is complete."""

    part: OutputText


class OutputTextDelta(_OfContent, frozen=True, kw_only=True, tag="response.output_text.delta"):
    """Text added to a content part; always complete characters."""

    delta: str
    logprobs: tuple[Logprob, ...] = ()


class OutputTextDone(_OfContent, frozen=True, kw_only=True, tag="response.output_text.done"):
    """The complete text of a content part."""

    text: str
    logprobs: tuple[Logprob, ...] = ()


class _OfSummary(_OfItem, frozen=True, kw_only=True):
    summary_index: int


class ReasoningSummaryPartAdded(
    _OfSummary, frozen=True, kw_only=True, tag="response.reasoning_summary_part.added"
):
    """A part of the reasoning summary begins."""

    part: SummaryText


class ReasoningSummaryPartDone(
    _OfSummary, frozen=True, kw_only=True, tag="response.reasoning_summary_part.done"
):
    """A part of the reasoning summary is complete."""

    part: SummaryText


class ReasoningSummaryTextDelta(
    _OfSummary, frozen=True, kw_only=True, tag="response.reasoning_summary_text.delta"
):
    """Text added to the reasoning summary."""

    delta: str


class ReasoningSummaryTextDone(
    _OfSummary, frozen=True, kw_only=True, tag="response.reasoning_summary_text.done"
):
    """The complete text of a part of the reasoning summary."""

    text: str


class FunctionCallArgumentsDelta(
    _OfItem, frozen=True, kw_only=True, tag="response.function_call_arguments.delta"
):
    """Text added to the arguments of a function call."""

    delta: str


class FunctionCallArgumentsDone(
    _OfItem, frozen=True, kw_only=True, tag="response.function_call_arguments.done"
):
    """The complete arguments of a function call."""

    name: str
    arguments: str


class CustomToolCallInputDelta(
    _OfItem, frozen=True, kw_only=True, tag="response.custom_tool_call_input.delta"
):
    """Text added to the input of a call to a free-form tool."""

    delta: str


class CustomToolCallInputDone(_OfItem, frozen=True, kw_only=True, tag="response.custom_tool_call_input.done"):
    """The complete input of a call to a free-form tool."""

    input: str


class OutputTextAnnotationAdded(
    _OfContent, frozen=True, kw_only=True, tag="response.output_text.annotation.added"
):
    """A citation in a content part."""

    annotation_index: int
    annotation: dict[str, Any]


StreamEvent: TypeAlias = (
    ResponseCreated
    | ResponseQueued
    | ResponseInProgress
    | ResponseCompleted
    | ResponseIncomplete
    | ResponseFailed
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | OutputTextDelta
    | OutputTextDone
    | ReasoningSummaryPartAdded
    | ReasoningSummaryPartDone
    | ReasoningSummaryTextDelta
    | ReasoningSummaryTextDone
    | FunctionCallArgumentsDelta
    | FunctionCallArgumentsDone
    | CustomToolCallInputDelta
    | CustomToolCallInputDone
    | OutputTextAnnotationAdded
    | HostedEvent
)
TERMINAL = (ResponseCompleted, ResponseIncomplete, ResponseFailed)

_encode = msgspec.json.Encoder().encode


def event_type(event: StreamEvent) -> str:
    """Return the event's ``type``."""
    return str(type(event).__struct_config__.tag)


def sse(event: StreamEvent) -> bytes:
    """Encode an event as one Server-Sent-Events frame: an ``event`` and a ``data`` line and a blank line, ended by LF."""
    return b"event: " + event_type(event).encode() + b"\ndata: " + _encode(event) + b"\n\n"
