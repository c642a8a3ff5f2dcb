"""An answer that nobody reads before its end is asked for in one piece, and as a stream where that is not to be had."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.contract.engines import Answered, answer, asking
from tests.contract.upstream_reports import USAGE, chunk, engine_at
from tests.standin.recorded import frames, recorded

from kodo.server.engines.upstream import answer_form
from kodo.server.lifecycle.errors import EngineUnavailable, InvalidRequest, ServiceError

WHOLE = json.dumps(
    {
        "choices": [{"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
).encode()
STREAM = frames(chunk({"content": "Yes."}), chunk({}, "stop", usage=USAGE))
ONLY_STREAMS = json.dumps({"error": {"message": "This model only supports stream mode."}}).encode()


async def _asked(url: str, *, whole: bool = True, times: int = 1) -> list[Answered | ServiceError]:
    """What one engine says to a prompt, asked so many times."""
    engine = engine_at(url)
    prompt = msgspec.structs.replace(asking("Go."), whole=whole)
    got: list[Answered | ServiceError] = []
    for _ in range(times):
        try:
            got.append(await answer(engine, prompt))
        except ServiceError as error:
            got.append(error)
    await engine.stop()
    return got


@pytest.mark.parametrize("whole", [True, False])
async def test_an_answer_is_asked_for_in_the_form_in_which_it_is_read(whole: bool) -> None:
    """One piece for a client that waits for all of it, without the options of streams; a stream for any other."""
    kind, body = ("application/json", WHOLE) if whole else ("text/event-stream", STREAM)
    async with recorded(body, content_type=kind) as server:
        (got,) = await _asked(server.url, whole=whole)
    assert isinstance(got, Answered)
    assert (got.text, got.end.reason, got.end.usage.output) == ("Yes.", "stop", 3)
    assert server.bodies[0]["stream"] is not whole
    assert ("stream_options" in server.bodies[0]) is not whole


@pytest.mark.parametrize("refusal", [(400, ONLY_STREAMS), (504, b"<title>504 Gateway Time-out</title>")])
async def test_what_is_refused_in_one_piece_is_asked_for_as_a_stream(refusal: tuple[int, bytes]) -> None:
    """By the server, or by a proxy that waits no longer: the same request again, and each one after it at once."""
    async with recorded(STREAM, STREAM, refusals=[refusal]) as server:
        got = await _asked(server.url, times=2)
    assert [one.text for one in got if isinstance(one, Answered)] == ["Yes.", "Yes."]
    assert [body["stream"] for body in server.bodies] == [False, True, True]


async def test_a_refusal_of_something_else_is_no_reason_to_stream() -> None:
    """It would be refused again: the error is the client's to see."""
    refusal = json.dumps({"error": {"message": "The temperature is too high."}}).encode()
    async with recorded(refusal, status=400, content_type="application/json") as server:
        (got,) = await _asked(server.url)
    assert isinstance(got, InvalidRequest)
    assert [body["stream"] for body in server.bodies] == [False]


@contextlib.asynccontextmanager
async def _cutting_server(seconds: float) -> AsyncIterator[tuple[str, list[bool]]]:
    """A server behind a proxy that ends a connection after so long without a byte; a stream has bytes."""
    asked: list[bool] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST"):
            size = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"content-length" in line)
            asked.append(json.loads(await reader.readexactly(size))["stream"])
            if asked[-1]:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + STREAM)
            else:
                await asyncio.sleep(seconds)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", asked
    finally:
        server.close()


async def test_a_connection_that_ends_in_silence_is_asked_for_a_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy that ends what is silent for long does not end a stream; a server that is gone at once is gone."""
    monkeypatch.setattr(answer_form, "SILENT_SECONDS", 0.2)
    async with _cutting_server(0.3) as (url, asked):
        (got,) = await _asked(url)
    assert isinstance(got, Answered)
    assert (got.text, asked) == ("Yes.", [False, True])
    async with _cutting_server(0.0) as (url, asked):
        (got,) = await _asked(url)
    assert isinstance(got, EngineUnavailable)
    assert asked == [False]
