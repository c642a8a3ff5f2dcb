"""Recorded streams in front of the upstream engine: what the tests of public reports have in common."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.contract.engines import MAIL, WEATHER, Answered, answer, asking
from tests.standin.recorded import frames, recorded

from kodo.server.engines.upstream.engine import UpstreamEngine
from kodo.server.engines.upstream.target import TargetOptions
from kodo.server.lifecycle.errors import ServiceError
from kodo.server.lifecycle.ports import Prompt, Sampling


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
    """What the engine makes of a stream; the same where nobody reads the answer before its end."""
    prompt = asking("Go.", tools=(WEATHER, MAIL), sampling=Sampling(temperature=0, stop=stop))
    async with recorded(frames(*chunks, done=done), pieces=pieces) as server:
        streamed, whole = [
            await _outcome(server.url, msgspec.structs.replace(prompt, whole=whole), options)
            for whole in (False, True)
        ]
    if isinstance(streamed, ServiceError):
        assert (type(whole), str(whole)) == (type(streamed), str(streamed))
        raise streamed
    assert isinstance(whole, Answered)
    assert _content(whole) == _content(streamed)
    return streamed


def _content(answered: Answered) -> tuple[Any, ...]:
    """What was answered, without the ids that calls are given here."""
    calls = [(start.kind, start.namespace, start.name, given) for start, given in answered.calls]
    return answered.text, answered.reasoning, calls, answered.end


async def _outcome(url: str, prompt: Prompt, options: dict[str, Any]) -> Answered | ServiceError:
    """The answer of a fresh engine, which has learned nothing of the server yet."""
    engine = engine_at(url, **options)
    try:
        return await answer(engine, prompt)
    except ServiceError as error:
        return error
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
