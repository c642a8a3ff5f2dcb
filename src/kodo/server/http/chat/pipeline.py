"""What Chat Completions and its older sibling have in common: from a body to runs, and from these to a whole or streamed
answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.bodies import EventStream, cancel_on_disconnect, json_response
from kodo.server.http.chat import response_translation
from kodo.server.http.chat.request_translation import create_request, sampling
from kodo.server.http.errors import translate
from kodo.server.http.limits import Ticket
from kodo.server.http.state import State, get_caller, get_state, json_body
from kodo.server.lifecycle.errors import EngineFailed, ServiceError
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.run import Run
from kodo.server.lifecycle.service import Service
from kodo.server.wire import chat
from kodo.server.wire.legacy import LegacyRequest

B = TypeVar("B", chat.ChatRequest, LegacyRequest)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Family(Generic[B]):
    """What sets two endpoints apart."""

    parse: Callable[[Mapping[str, Any]], B]
    """A body, checked. Raises ``BadBody``."""
    requests: Callable[[B], Sequence[chat.ChatRequest]]
    """The chat requests that it comes to. Raises ``BadBody``."""
    whole: Callable[[Service, str, B, Sequence[Run]], Awaitable[Any]]
    """The answer of an owner's runs that are over."""
    frames: Callable[[Service, str, B, Sequence[Run]], AsyncIterator[Sequence[Any]]]
    """The same as values of a stream."""


async def serve(family: Family[B], request: Request) -> Response:
    """The endpoint."""
    state, caller = get_state(request), get_caller(request)
    ticket = state.limits.admit(caller)
    with ticket.starting():
        body = family.parse(await json_body(request))
        call = CallContext(owner=caller.owner, streamed=bool(body.stream))
        runs = await _start(state.service, call, family.requests(body))
    if body.stream:
        return _streamed(state, family.frames(state.service, caller.owner, body, runs), runs, ticket)
    try:
        for run in runs:
            await cancel_on_disconnect(request, run.wait())
        return json_response(
            await family.whole(state.service, caller.owner, body, runs), headers=ticket.headers
        )
    finally:
        await _settle(state, runs, ticket)


async def answered(family: Family[B], service: Service, call: CallContext, raw: Mapping[str, object]) -> Any:
    """A body to its whole answer, for those who have no HTTP: a batch.

    Raises:
        BadBody, ServiceError: what the endpoint would answer as an error.
    """
    body = family.parse(raw)
    runs = await _start(service, call, family.requests(body))
    try:
        for run in runs:
            await run.wait()
        return await family.whole(service, call.owner, body, runs)
    finally:
        for run in runs:
            await service.stop(run)


async def _start(service: Service, call: CallContext, requests: Sequence[chat.ChatRequest]) -> list[Run]:
    """One run for each of the ``n`` answers to each request; none is left where one cannot be started."""
    asked = [
        (created, sampling(body, index))
        for body, created in [(body, create_request(body)) for body in requests]
        for index in range(body.n or 1)
    ]
    runs: list[Run] = []
    try:
        for created, how in asked:
            run = await service.create(replace(call, sampling=how), created)
            runs.append(run)
    except BaseException:
        await asyncio.gather(*(service.stop(run) for run in runs))
        raise
    return runs


async def _settle(state: State, runs: Sequence[Run], ticket: Ticket) -> None:
    """Stop what still runs, and charge what was used."""
    for run in runs:
        await state.service.stop(run)
        ticket.charge(run.response.usage.total_tokens if run.response.usage is not None else 0)
    ticket.close()


# --- streams ---------------------------------------------------------------------------------------------------------


def _streamed(
    state: State, frames: AsyncIterator[Sequence[Any]], runs: Sequence[Run], ticket: Ticket
) -> Response:
    async def finished() -> None:
        await _settle(state, runs, ticket)

    return EventStream(
        frames,
        _frame,
        headers=ticket.headers,
        finished=finished,
        on_error=_error_frame,
        tail=b"data: [DONE]\n\n",
    )


def _frame(value: Any) -> bytes:
    """A value as a frame: chat streams have no ``event`` line."""
    return b"data: " + _encode(value) + b"\n\n"


def _error_frame(error: ServiceError) -> bytes:
    """An error in the middle of a stream: the SDK raises it."""
    return _frame(translate(error)[1])


async def merged(runs: Sequence[Run]) -> AsyncIterator[list[chat.ChunkChoice]]:
    """The chunks of all answers as they come. Raises the error of a run that failed."""
    if len(runs) == 1:
        async for choices in _choices(0, runs[0]):
            yield choices
        return
    queue: asyncio.Queue[list[chat.ChunkChoice] | asyncio.Task[None]] = asyncio.Queue()

    async def pump(index: int, run: Run) -> None:
        async for choices in _choices(index, run):
            queue.put_nowait(choices)

    pumps = [asyncio.create_task(pump(index, run)) for index, run in enumerate(runs)]
    for task in pumps:
        task.add_done_callback(queue.put_nowait)
    left = len(pumps)
    try:
        while left:
            found = await queue.get()
            if isinstance(found, asyncio.Task):
                found.result()  # raises what ended it
                left -= 1
            else:
                yield found
    finally:
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _choices(index: int, run: Run) -> AsyncIterator[list[chat.ChunkChoice]]:
    chunks = response_translation.Chunks(index)
    async for batch in run.events():
        if found := [choice for event in batch for choice in chunks.of(event)]:
            yield found
    if run.response.status == "failed":
        raise run.error or EngineFailed("The answer broke off.")
