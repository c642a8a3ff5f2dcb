"""What Chat Completions and the older Completions share: starting a run for each answer to a body, and building the
whole or streamed response from the runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.bodies import EventStream, cancel_on_disconnect, in_turns, json_response
from kodo.server.http.chat import response_translation
from kodo.server.http.chat.error_fields import rename_fields
from kodo.server.http.chat.manager import CompletionManager
from kodo.server.http.chat.request_translation import item_paths, sampling, to_response_request
from kodo.server.http.errors import translate
from kodo.server.http.limits import Ticket
from kodo.server.http.state import State, get_caller, get_state, get_ticket, json_body
from kodo.server.lifecycle.errors import EngineFailed, ServiceError, rename_param
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.run import Run
from kodo.server.lifecycle.service import Service
from kodo.server.wire import chat
from kodo.server.wire.legacy import LegacyRequest
from kodo.server.wire.request import CreateResponse

B = TypeVar("B", chat.ChatRequest, LegacyRequest)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Pipeline(Generic[B]):
    """What distinguishes the two endpoints."""

    parse: Callable[[Mapping[str, Any]], B]
    """A body, checked. Raises ``BadBody``."""
    to_chat: Callable[[B], Sequence[chat.ChatRequest]]
    """The chat requests that it comes to. Raises ``BadBody``."""
    build: Callable[[CompletionManager, str, B, Sequence[Run]], Awaitable[Any]]
    """The answer of an owner's runs that are over."""
    stream: Callable[[CompletionManager, str, B, Sequence[Run]], AsyncIterator[Sequence[Any]]]
    """The same as values of a stream."""
    input_field: str = "messages"
    """The field of the body that the messages were made from."""


async def serve(pipeline: Pipeline[B], request: Request) -> Response:
    """Handle a request to the endpoint of ``pipeline``: check it, start its runs, and return or stream their answers."""
    state, caller = get_state(request), get_caller(request)
    ticket = get_ticket(request)
    with ticket.starting():
        body = pipeline.parse(await json_body(request))
        call = CallContext(owner=caller.owner, key_id=caller.key_id, streamed=bool(body.stream))
        runs = await _start(state.service, call, pipeline.to_chat(body), pipeline.input_field)
    if body.stream:
        return _stream(state, pipeline.stream(state.completions, caller.owner, body, runs), runs, ticket)
    try:
        for run in runs:
            await cancel_on_disconnect(request, run.wait())
        return json_response(
            await pipeline.build(state.completions, caller.owner, body, runs), headers=ticket.headers
        )
    finally:
        await ticket.finish(state.service, *runs)


async def run_to_completion(
    pipeline: Pipeline[B],
    completions: CompletionManager,
    service: Service,
    call: CallContext,
    raw: Mapping[str, object],
) -> Any:
    """Return the complete response to a body, without HTTP; used by batches.

    Raises:
        BadBody, ServiceError: the error that the endpoint would send.
    """
    body = pipeline.parse(raw)
    runs = await _start(service, call, pipeline.to_chat(body), pipeline.input_field)
    try:
        for run in runs:
            await run.wait()
        return await pipeline.build(completions, call.owner, body, runs)
    finally:
        await service.stop(*runs)


async def _start(
    service: Service, call: CallContext, requests: Sequence[chat.ChatRequest], input_field: str
) -> list[Run]:
    """Start a run for each of the ``n`` answers to each request; if one cannot be started, the others are stopped."""
    translated = [
        (body, await in_turns(len(body.messages), partial(to_response_request, body, service.tools)))
        for body in requests
    ]
    planned = [
        (body, created, sampling(body, index)) for body, created in translated for index in range(body.n or 1)
    ]
    runs: list[Run] = []
    try:
        for body, created, sampling_params in planned:
            own = replace(call, sampling=sampling_params, paired=False)  # the translation has checked that
            runs.append(await _start_one(service, own, body, created, input_field))
    except BaseException:
        await service.stop(*runs)
        raise
    return runs


async def _start_one(
    service: Service, call: CallContext, body: chat.ChatRequest, created: CreateResponse, input_field: str
) -> Run:
    """Start a run of a translated body; errors name the body's own fields."""
    try:
        return await service.create(call, created)
    except ServiceError as error:
        rename_fields(error, body, item_paths(body.messages))
        if input_field != "messages" and (error.param or "").startswith("messages"):
            rename_param(error, input_field)
        raise


# --- streams ---------------------------------------------------------------------------------------------------------


def _stream(
    state: State, frames: AsyncIterator[Sequence[Any]], runs: Sequence[Run], ticket: Ticket
) -> Response:
    return EventStream(
        frames,
        _encode_frame,
        headers=ticket.headers,
        finished=partial(ticket.finish, state.service, *runs),
        on_error=_encode_error,
        tail=b"data: [DONE]\n\n",
    )


def _encode_frame(value: Any) -> bytes:
    """Encode a value as a frame; chat streams have no ``event`` line."""
    return b"data: " + _encode(value) + b"\n\n"


def _encode_error(error: ServiceError) -> bytes:
    """Encode an error in the middle of a stream; the SDK raises it."""
    return _encode_frame(translate(error)[1])


async def merge_chunks(
    runs: Sequence[Run], *, functions: bool = False
) -> AsyncIterator[list[chat.ChunkChoice]]:
    """Yield the chunks of all answers as they arrive; ``functions``: of a request with those in the place of tools. Raises the error of a run that failed."""
    if len(runs) == 1:
        async for choices in _chunk_choices(0, runs[0], functions):
            yield choices
        return
    queue: asyncio.Queue[list[chat.ChunkChoice] | asyncio.Task[None]] = asyncio.Queue()

    async def forward(index: int, run: Run) -> None:
        async for choices in _chunk_choices(index, run, functions):
            queue.put_nowait(choices)

    tasks = [asyncio.create_task(forward(index, run)) for index, run in enumerate(runs)]
    for task in tasks:
        task.add_done_callback(queue.put_nowait)
    open_streams = len(tasks)
    try:
        while open_streams:
            item = await queue.get()
            if isinstance(item, asyncio.Task):
                item.result()  # raises what ended it
                open_streams -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _chunk_choices(index: int, run: Run, functions: bool) -> AsyncIterator[list[chat.ChunkChoice]]:
    chunks = response_translation.ChunkTranslator(index, functions=functions)
    async for batch in run.events():
        if item := [choice for event in batch for choice in chunks.translate(event)]:
            yield item
    if run.response.status == "failed":
        raise run.error or EngineFailed("The answer ended unexpectedly.")
