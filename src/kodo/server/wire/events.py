"""The events of a streamed response: those of Open Responses 2026-04-24 that can occur here, and those of custom tools
from openai-python 3.54. Reasoning is streamed as summary text: the two contracts name the events of raw reasoning
differently (``response.reasoning.delta``, ``response.reasoning_text.delta``), those of summaries alike. ``sequence_number`` counts from 0 without a gap."""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec import Struct

from kodo.server.wire.items import Item, Logprob, OutputText, Part, SummaryText
from kodo.server.wire.response import Response


class Event(Struct, frozen=True, kw_only=True):
    """Base: every event has its place in the stream."""

    sequence_number: int


class _OfResponse(Event, frozen=True, kw_only=True):
    response: Response


class ResponseCreated(_OfResponse, frozen=True, kw_only=True, tag="response.created"):
    """The response exists (and is on disk, where it is stored)."""


class ResponseQueued(_OfResponse, frozen=True, kw_only=True, tag="response.queued"):
    """It waits for its turn."""


class ResponseInProgress(_OfResponse, frozen=True, kw_only=True, tag="response.in_progress"):
    """It runs. Repeated while nothing else happens: clients' idle timers count events, not comments."""


class ResponseCompleted(_OfResponse, frozen=True, kw_only=True, tag="response.completed"):
    """The last event of a whole answer."""


class ResponseIncomplete(_OfResponse, frozen=True, kw_only=True, tag="response.incomplete"):
    """The last event of an answer that was cut or (``response.status`` says so) cancelled: neither the spec nor the SDK
    knows an event of its own for that."""


class ResponseFailed(_OfResponse, frozen=True, kw_only=True, tag="response.failed"):
    """The last event of an answer that failed."""


class _OfOutput(Event, frozen=True, kw_only=True):
    output_index: int


class OutputItemAdded(_OfOutput, frozen=True, kw_only=True, tag="response.output_item.added"):
    """An item begins."""

    item: Item


class OutputItemDone(_OfOutput, frozen=True, kw_only=True, tag="response.output_item.done"):
    """An item is whole, or was cut."""

    item: Item


class _OfItem(_OfOutput, frozen=True, kw_only=True):
    item_id: str


class _OfContent(_OfItem, frozen=True, kw_only=True):
    content_index: int


class ContentPartAdded(_OfContent, frozen=True, kw_only=True, tag="response.content_part.added"):
    """A part of an item begins."""

    part: Part


class ContentPartDone(_OfContent, frozen=True, kw_only=True, tag="response.content_part.done"):
    """A part of an item is over."""

    part: OutputText


class OutputTextDelta(_OfContent, frozen=True, kw_only=True, tag="response.output_text.delta"):
    """More text: whole characters."""

    delta: str
    logprobs: tuple[Logprob, ...] = ()


class OutputTextDone(_OfContent, frozen=True, kw_only=True, tag="response.output_text.done"):
    """The whole text of a part."""

    text: str
    logprobs: tuple[Logprob, ...] = ()


class _OfSummary(_OfItem, frozen=True, kw_only=True):
    summary_index: int


class ReasoningSummaryPartAdded(
    _OfSummary, frozen=True, kw_only=True, tag="response.reasoning_summary_part.added"
):
    """A part of the summary begins."""

    part: SummaryText


class ReasoningSummaryPartDone(
    _OfSummary, frozen=True, kw_only=True, tag="response.reasoning_summary_part.done"
):
    """A part of the summary is over."""

    part: SummaryText


class ReasoningSummaryTextDelta(
    _OfSummary, frozen=True, kw_only=True, tag="response.reasoning_summary_text.delta"
):
    """More of the summary."""

    delta: str


class ReasoningSummaryTextDone(
    _OfSummary, frozen=True, kw_only=True, tag="response.reasoning_summary_text.done"
):
    """The whole summary part."""

    text: str


class FunctionCallArgumentsDelta(
    _OfItem, frozen=True, kw_only=True, tag="response.function_call_arguments.delta"
):
    """More of a call's arguments."""

    delta: str


class FunctionCallArgumentsDone(
    _OfItem, frozen=True, kw_only=True, tag="response.function_call_arguments.done"
):
    """The whole arguments."""

    name: str
    arguments: str


class CustomToolCallInputDelta(
    _OfItem, frozen=True, kw_only=True, tag="response.custom_tool_call_input.delta"
):
    """More of a free-form call's input."""

    delta: str


class CustomToolCallInputDone(_OfItem, frozen=True, kw_only=True, tag="response.custom_tool_call_input.done"):
    """The whole input."""

    input: str


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
)
TERMINAL = (ResponseCompleted, ResponseIncomplete, ResponseFailed)

_encode = msgspec.json.Encoder().encode


def event_type(event: StreamEvent) -> str:
    """The event's ``type``."""
    return str(type(event).__struct_config__.tag)


def sse(event: StreamEvent) -> bytes:
    """An event as one Server-Sent-Events frame: ``event`` and ``data`` lines, LF, a blank line."""
    return b"event: " + event_type(event).encode() + b"\ndata: " + _encode(event) + b"\n\n"
