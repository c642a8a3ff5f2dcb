"""Deltas that arrived together as one: what they say is the same, and nothing else changes."""

from __future__ import annotations

from kodo.server.engines.upstream.merging import merge_deltas
from kodo.server.lifecycle.ports import (
    CallDelta,
    CallStart,
    EngineEvent,
    ProviderFields,
    ProviderState,
    ReasoningDelta,
    TextDelta,
)
from kodo.server.wire.items import Logprob


def test_each_run_of_deltas_is_one_and_the_rest_stays_in_place() -> None:
    """Kinds are kept apart, the log probabilities of all tokens stay, calls and server's fields split runs."""
    one, two = (Logprob(token=text, logprob=-1.0, bytes=(), top_logprobs=()) for text in "ab")
    state = ProviderFields(state=ProviderState(origin="o", fields={}))
    start = CallStart(call_id="c", name="f")
    events: list[EngineEvent] = [
        ReasoningDelta(text="H"),
        ReasoningDelta(text="m"),
        state,
        TextDelta(text="a", logprobs=(one,)),
        TextDelta(text="b", logprobs=(two,)),
        start,
        CallDelta(text="{"),
        CallDelta(text="}"),
        start,
        CallDelta(text="{}"),
    ]
    assert merge_deltas(events) == [
        ReasoningDelta(text="Hm"),
        state,
        TextDelta(text="ab", logprobs=(one, two)),
        start,
        CallDelta(text="{}"),
        start,
        CallDelta(text="{}"),
    ]
