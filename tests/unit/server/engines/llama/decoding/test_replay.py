"""An answer repeated from its seed."""

from __future__ import annotations

import pytest

from kodo.server.engines.llama.decoding.replay import replay
from kodo.server.lifecycle.errors import EngineFailed
from kodo.server.lifecycle.ports import EngineEvent, Finished, TextDelta, Usage


async def test_a_repetition_that_says_something_else_is_an_error() -> None:
    """Never a second version of an answer."""

    async def events(*texts: str) -> object:
        for text in texts:
            yield TextDelta(text=text)
        yield Finished(reason="stop", usage=Usage())

    said: list[EngineEvent] = [TextDelta(text="ab"), TextDelta(text="c")]
    rest = [event async for event in replay(events("a", "bcd", "e"), said)]  # type: ignore[arg-type]  # a plain generator will do
    assert [getattr(event, "text", "") for event in rest] == ["d", "e", ""]
    for other in (("a", "x"), ("ab",)):
        with pytest.raises(EngineFailed):
            [event async for event in replay(events(*other), said)]  # type: ignore[arg-type]  # as above
