"""A response's log: what happened to it, in order. Its events and its final form are a pure fold of this.

Entries are the events of the engine, the steps of tools that the server runs, and marks of the lifecycle. They carry their times, so that folding the same
log twice gives the same events byte for byte, before and after a crash.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec

from kodo.server.lifecycle.ports import (
    CallDelta,
    CallStart,
    EngineEvent,
    Finished,
    Progress,
    ProviderFields,
    ReasoningDelta,
    Routed,
    TextDelta,
    Usage,
    Value,
)
from kodo.server.wire.hosted_events import HostedEvent
from kodo.server.wire.items import Item
from kodo.server.wire.response import Status


class Queued(Value, frozen=True, kw_only=True, tag="queued"):
    """The response waits for admission."""


class Began(Value, frozen=True, kw_only=True, tag="began"):
    """The response runs; repeated as a heartbeat while the engine has no output."""


class Restarted(Value, frozen=True, kw_only=True, tag="restarted"):
    """The answer begins anew: the engine that was interrupted cannot continue a partial one."""


class TurnEnded(Value, frozen=True, kw_only=True, tag="turn"):
    """The model's turn is over and called tools of this server, which run next. ``usage`` is this turn's."""

    usage: Usage
    tokens: tuple[int, ...] = ()


class StepBegan(Value, frozen=True, kw_only=True, tag="step"):
    """A call of a hosted tool is about to run; on disk before it does.

    ``call`` is its number among the calls of the turn, None for one that the tool itself makes before the first turn;
    ``entry`` the number of its entry in the request's tools; ``item`` how it is shown while it runs.
    """

    call: int | None
    call_id: str
    name: str
    arguments: str
    entry: int
    effect: str
    item: Item


class StepEvent(Value, frozen=True, kw_only=True, tag="step_event"):
    """An event of step number ``step`` of the response."""

    step: int
    event: HostedEvent


class StepEnded(Value, frozen=True, kw_only=True, tag="step_end"):
    """A step's result and its last events; the fields are those of :class:`~kodo.server.lifecycle.hosted.ports.Done`."""

    step: int
    item: Item
    output: str | None
    events: tuple[HostedEvent, ...] = ()
    more: tuple[Item, ...] = ()
    more_events: tuple[tuple[HostedEvent, ...], ...] = ()
    sources: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    usage: dict[str, int] = msgspec.field(default_factory=dict)


class Ended(Value, frozen=True, kw_only=True, tag="ended"):
    """The last entry. ``at`` in seconds since the epoch; ``reason`` of an incomplete answer; ``error`` (code, message)."""

    status: Status
    at: float
    usage: Usage | None = None
    reason: str | None = None
    error: tuple[str, str] | None = None
    tokens: tuple[int, ...] = ()


Said: TypeAlias = TextDelta | ReasoningDelta | CallStart | CallDelta | ProviderFields | Routed
Step: TypeAlias = TurnEnded | StepBegan | StepEvent | StepEnded
Entry: TypeAlias = Queued | Began | Restarted | Said | Step | Ended

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)


HOSTED_CALL: Final = "hosted"
"""The kind of a call that this server answers itself: no item of its own, the tool makes one."""


def encode(entry: Entry) -> bytes:
    """An entry for the store."""
    return _encoder.encode(entry)


def decode(data: bytes) -> Entry:
    """An entry from the store."""
    return _decoder.decode(data)


def as_said(event: EngineEvent) -> EngineEvent:
    """An event of the current turn as the engine said it."""
    if isinstance(event, CallStart) and event.kind == HOSTED_CALL:
        return msgspec.structs.replace(event, kind="function")
    return event


def called_client(entries: Sequence[Entry]) -> bool:
    """Whether the turn that a log ends with called a tool of the client's."""
    called = over = False
    for entry in entries:
        if isinstance(entry, Said) and over:
            called = over = False
        if isinstance(entry, TurnEnded):
            over = True
        elif isinstance(entry, Restarted):
            called = False
        elif isinstance(entry, CallStart) and entry.kind != HOSTED_CALL:
            called = True
    return called


def count_tokens(event: EngineEvent) -> int:
    """Tokens that an event of the engine says were generated."""
    return 0 if isinstance(event, Progress | ProviderFields | Routed | Finished) else len(event.tokens)


def usage_so_far(entries: Sequence[Entry], input_tokens: int) -> Usage:
    """What a response that has no end had used by its log: the turns that were over, and what the last one had said.

    ``input_tokens``: of its first prompt. That of a later turn is not known before the turn is over.
    """
    usage, prompt = Usage(), Usage(input=input_tokens)
    if not any(isinstance(entry, Began) for entry in entries):
        return usage
    for entry in entries:
        if isinstance(entry, TurnEnded):
            usage, prompt = usage + entry.usage, Usage()
    said = events_so_far(entries)
    return usage + Usage(
        input=prompt.input,
        output=sum(map(count_tokens, said)),
        reasoning=sum(count_tokens(event) for event in said if isinstance(event, ReasoningDelta)),
    )


def events_so_far(entries: Sequence[Entry]) -> list[EngineEvent]:
    """The engine's events of the current turn, since its last restart."""
    result: list[EngineEvent] = []
    for entry in entries:
        if isinstance(entry, Restarted | TurnEnded):
            result.clear()
        elif isinstance(entry, Said):
            result.append(entry)
    return result
