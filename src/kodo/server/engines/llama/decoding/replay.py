"""Taking up an answer that was written under a grammar: it is repeated from its seed, and what the client already has is left out.

A grammar cannot be entered in the middle, so ids alone do not carry such an answer on. Sampling repeats itself for the
same prompt and seed (and at temperature 0), so the repetition says the same; if it does not, that is an error, never a
second version of the answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence

import msgspec

from kodo.server.lifecycle.errors import EngineFailed
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
)


async def replay(
    events: AsyncGenerator[EngineEvent, None], earlier: Sequence[EngineEvent]
) -> AsyncGenerator[EngineEvent, None]:
    """The events that follow the ``earlier`` ones.

    Raises:
        EngineFailed: the repetition says something else.
    """
    expected = deque(_merged(earlier))
    async for event in events:
        if not expected or isinstance(event, Progress | ProviderFields | Routed):
            yield event
        elif isinstance(event, CallStart):
            before = expected.popleft()
            if not isinstance(before, CallStart) or (before.name, before.kind) != (event.name, event.kind):
                raise _diverged()
        elif isinstance(event, Finished):
            raise _diverged()
        else:
            before = expected[0]
            if type(before) is not type(event) or not isinstance(
                before, TextDelta | ReasoningDelta | CallDelta
            ):
                raise _diverged()
            if before.text.startswith(event.text):
                rest = before.text[len(event.text) :]
                if rest:
                    expected[0] = msgspec.structs.replace(before, text=rest)
                else:
                    expected.popleft()
            elif event.text.startswith(before.text):
                expected.popleft()
                yield msgspec.structs.replace(event, text=event.text[len(before.text) :])
            else:
                raise _diverged()


def _merged(earlier: Sequence[EngineEvent]) -> list[EngineEvent]:
    """Deltas of a kind that follow each other as one; those without text left out."""
    merged: list[EngineEvent] = []
    for event in earlier:
        last = merged[-1] if merged else None
        if isinstance(event, CallStart):
            merged.append(event)
        elif isinstance(event, TextDelta | ReasoningDelta | CallDelta):
            if isinstance(last, TextDelta | ReasoningDelta | CallDelta) and type(last) is type(event):
                merged[-1] = msgspec.structs.replace(last, text=last.text + event.text)
            elif event.text:
                merged.append(event)
    return merged


def _diverged() -> EngineFailed:
    return EngineFailed("The interrupted answer could not be taken up again.")
