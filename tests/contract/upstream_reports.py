"""Recorded streams in front of the upstream engine: what the tests of public reports have in common."""

from __future__ import annotations

from typing import Any

from tests.contract.engines import MAIL, WEATHER, Answered, answer, asking
from tests.standin.recorded import frames, recorded

from kodo.server.engines.upstream.engine import UpstreamEngine
from kodo.server.engines.upstream.target import TargetOptions
from kodo.server.lifecycle.ports import Sampling


def engine_at(url: str, **options: Any) -> UpstreamEngine:
    """An engine in front of one server."""
    given = {"name": "one", "model": "m", "profile": "generic", **options}
    return UpstreamEngine([TargetOptions(base_url=url, **given)])


async def hears(
    *chunks: dict[str, Any] | str,
    done: bool = True,
    pieces: int | None = None,
    stop: tuple[str, ...] = (),
    **options: Any,
) -> Answered:
    """What the engine makes of a stream."""
    prompt = asking("Go.", tools=(WEATHER, MAIL), sampling=Sampling(temperature=0, stop=stop))
    async with recorded(frames(*chunks, done=done), pieces=pieces) as server:
        engine = engine_at(server.url, **options)
        try:
            return await answer(engine, prompt)
        finally:
            await engine.stop()


def chunk(delta: dict[str, Any] | None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk."""
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


def call(name: str | None, arguments: Any, **more: Any) -> dict[str, Any]:
    """A delta of one call."""
    function = {"name": name, "arguments": arguments}
    return {
        "tool_calls": [
            {**more, "function": {key: value for key, value in function.items() if value is not None}}
        ]
    }


PARIS, TOKYO = '{"city": "Paris"}', '{"city": "Tokyo"}'
TWO = [("get_weather", PARIS), ("get_weather", TOKYO)]
USAGE = {"prompt_tokens": 9, "completion_tokens": 3}
