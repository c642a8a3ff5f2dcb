"""An answer's tokens at its limit, from chunks as the engine sends them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, cast

from kodo.server.engines.llama.decoding.answer import Answer
from kodo.server.engines.llama.decoding.prefill_pacer import PrefillPacer
from kodo.server.engines.llama.process.client import ChildClient, Chunk
from kodo.server.engines.llama.prompting.tokens import TokenCache
from kodo.server.lifecycle.ports import TextDelta


class _Stream:
    """A completion of given chunks."""

    def __init__(self, chunks: list[Chunk]) -> None:
        self._chunks = chunks

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        for chunk in self._chunks:
            yield chunk

    def close(self) -> None:
        """Nothing is open."""


class _Client:
    """An engine that gives one completion."""

    def __init__(self, *chunks: Chunk) -> None:
        self._chunks = list(chunks)

    def complete(self, body: dict[str, Any]) -> _Stream:
        del body
        return _Stream(self._chunks)


async def test_a_limit_inside_a_character_leaves_room_for_the_ending() -> None:
    """Its first bytes came without a chunk; those tokens were not taken, so the text can still be ended."""
    client = _Client(
        Chunk(content="a", tokens=(7,), tokens_predicted=1),
        Chunk(stop=True, stop_type="limit", tokens_predicted=4),
    )
    answer = Answer(
        cast("ChildClient", client),
        cast("TokenCache", None),
        {},
        (1, 2),
        max_tokens=4,
        pacer=PrefillPacer(),
        unread_tokens=0,
    )

    async def admits(delta: TextDelta) -> bool:
        return bool(delta.text)

    events = [event async for event in answer.write(grammar="g", admits=admits)]
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["a"]
    assert answer.ended == "refused"
    assert answer.tokens_left == 3
    assert answer.append((8, 9))
