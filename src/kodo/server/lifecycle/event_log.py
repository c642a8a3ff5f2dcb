"""A response's log: what happened to it, in order. Its events and its final form are a pure fold of this.

Entries are the events of the engine and four marks of the lifecycle. They carry their times, so that folding the same
log twice gives the same events byte for byte, before and after a crash.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from kodo.server.lifecycle.ports import (
    CallDelta,
    CallStart,
    EngineEvent,
    ProviderFields,
    ReasoningDelta,
    Routed,
    TextDelta,
    Usage,
    Value,
)
from kodo.server.wire.response import Status


class Queued(Value, frozen=True, kw_only=True, tag="queued"):
    """The response waits for admission."""


class Began(Value, frozen=True, kw_only=True, tag="began"):
    """The response runs; repeated as a heartbeat while the engine has no output."""


class Restarted(Value, frozen=True, kw_only=True, tag="restarted"):
    """The answer begins anew: the engine that was interrupted cannot continue a partial one."""


class Ended(Value, frozen=True, kw_only=True, tag="ended"):
    """The last entry. ``at`` in seconds since the epoch; ``reason`` of an incomplete answer; ``error`` (code, message)."""

    status: Status
    at: float
    usage: Usage | None = None
    reason: str | None = None
    error: tuple[str, str] | None = None
    tokens: tuple[int, ...] = ()


Said: TypeAlias = TextDelta | ReasoningDelta | CallStart | CallDelta | ProviderFields | Routed
Entry: TypeAlias = Queued | Began | Restarted | Said | Ended

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)


def encode(entry: Entry) -> bytes:
    """An entry for the store."""
    return _encoder.encode(entry)


def decode(data: bytes) -> Entry:
    """An entry from the store."""
    return _decoder.decode(data)


def events_so_far(entries: Sequence[Entry]) -> list[EngineEvent]:
    """The engine's events since the last restart."""
    result: list[EngineEvent] = []
    for entry in entries:
        if isinstance(entry, Restarted):
            result.clear()
        elif isinstance(entry, Said):
            result.append(entry)
    return result
