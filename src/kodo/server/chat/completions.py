"""``POST /v1/chat/completions``, and the stored ones: list, retrieve, update, delete, messages."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import UNSET, Struct
from starlette.requests import Request
from starlette.responses import Response

from kodo.lifecycle.errors import EngineFailed, KodoError, NotFound
from kodo.lifecycle.plan import Call
from kodo.lifecycle.records import DocumentRow
from kodo.lifecycle.run import Run
from kodo.lifecycle.service import Service
from kodo.server.chat import answer
from kodo.server.chat.request import chat_request, create_request, sampling
from kodo.server.errors import translate
from kodo.server.http import GONE, ClientGone, EventStream, json_response, or_gone
from kodo.server.limits import Ticket
from kodo.server.lists import page_of, query_of, wire_list
from kodo.server.state import State, caller, json_body, state
from kodo.wire import chat
from kodo.wire.decode import convert
from kodo.wire.request import Metadata

KIND = "chat.completion"
_encode = msgspec.json.Encoder().encode


async def create(request: Request) -> Response:
    """``POST /v1/chat/completions``."""
    here, who = state(request), caller(request)
    ticket = here.limits.admit(who)
    try:
        body = chat_request(await json_body(request))
        runs = await start(here.service, Call(owner=who.owner, streamed=bool(body.stream)), body)
    except ClientGone:
        ticket.close()
        return GONE
    except BaseException:
        ticket.close()
        raise
    if body.stream:
        return _streamed(here, who.owner, body, runs, ticket)
    try:
        for run in runs:
            await or_gone(request, run.wait())
        value = _whole(body, runs)
        if body.store:
            await _keep(here.service, who.owner, body, value)
        return json_response(value, headers=ticket.headers)
    except ClientGone:
        return GONE
    finally:
        await settle(here, runs, ticket)


async def answered(service: Service, call: Call, raw: Mapping[str, object]) -> chat.ChatCompletion:
    """A body to its whole answer, for those who have no HTTP: a batch.

    Raises:
        BadBody, KodoError: what the endpoint would answer as an error.
    """
    body = chat_request(raw)
    runs = await start(service, call, body)
    try:
        for run in runs:
            await run.wait()
        value = _whole(body, runs)
        if body.store:
            await _keep(service, call.owner, body, value)
        return value
    finally:
        for run in runs:
            await service.stop(run)


async def start(service: Service, call: Call, body: chat.ChatRequest) -> list[Run]:
    """One run for each of ``n`` answers; none is left where one cannot be started."""
    created = create_request(body)
    runs: list[Run] = []
    try:
        for index in range(body.n or 1):
            one = replace(call, sampling=sampling(body, index))
            runs.append(await service.create(one, created))
    except BaseException:
        await asyncio.gather(*(service.stop(run) for run in runs))
        raise
    return runs


async def settle(here: State, runs: Sequence[Run], ticket: Ticket) -> None:
    """Stop what still runs, and charge what was used."""
    for run in runs:
        await here.service.stop(run)
        ticket.charge(run.response.usage.total_tokens if run.response.usage is not None else 0)
    ticket.close()


def _whole(body: chat.ChatRequest, runs: Sequence[Run]) -> chat.ChatCompletion:
    return chat.ChatCompletion(
        id=f"chatcmpl-{secrets.token_hex(12)}",
        created=runs[0].response.created_at,
        model=body.model,
        choices=tuple(answer.choice(index, run.response) for index, run in enumerate(runs)),
        usage=answer.usage([run.response.usage for run in runs]),
        service_tier=runs[0].response.service_tier,
        metadata=dict(body.metadata) if body.metadata is not None else UNSET,
    )


# --- streams ---------------------------------------------------------------------------------------------------------


def _streamed(here: State, owner: str, body: chat.ChatRequest, runs: list[Run], ticket: Ticket) -> Response:
    completion_id = f"chatcmpl-{secrets.token_hex(12)}"
    with_usage = body.stream_options is not None and bool(body.stream_options.include_usage)

    def chunk(
        choices: tuple[chat.ChunkChoice, ...], usage: chat.CompletionUsage | None = None
    ) -> chat.ChatChunk:
        return chat.ChatChunk(
            id=completion_id,
            created=runs[0].response.created_at,
            model=body.model,
            choices=choices,
            usage=usage if with_usage else UNSET,
            service_tier=runs[0].response.service_tier,
        )

    async def chunks() -> AsyncIterator[list[chat.ChatChunk]]:
        async for choices in merged(runs):
            yield [chunk((choice,)) for choice in choices]
        if with_usage:
            yield [chunk((), answer.usage([run.response.usage for run in runs]))]
        if body.store:
            whole = msgspec.structs.replace(_whole(body, runs), id=completion_id)
            await _keep(here.service, owner, body, whole)

    async def finished() -> None:
        await settle(here, runs, ticket)

    return EventStream(
        chunks(),
        frame,
        headers=ticket.headers,
        finished=finished,
        on_error=error_frame,
        tail=b"data: [DONE]\n\n",
    )


def frame(chunk: Any) -> bytes:
    """A value as a frame: chat streams have no ``event`` line."""
    return b"data: " + _encode(chunk) + b"\n\n"


def error_frame(error: KodoError) -> bytes:
    """An error in the middle of a stream: the SDK raises it."""
    return b"data: " + _encode(translate(error)[1]) + b"\n\n"


async def merged(runs: Sequence[Run]) -> AsyncIterator[list[chat.ChunkChoice]]:
    """The chunks of all answers as they come. Raises the error of a run that failed."""
    if len(runs) == 1:
        async for choices in _choices(0, runs[0]):
            yield choices
        return
    queue: asyncio.Queue[list[chat.ChunkChoice] | None] = asyncio.Queue()

    async def pump(index: int, run: Run) -> None:
        try:
            async for choices in _choices(index, run):
                queue.put_nowait(choices)
        finally:
            queue.put_nowait(None)

    async with asyncio.TaskGroup() as group:
        for index, run in enumerate(runs):
            group.create_task(pump(index, run))
        left = len(runs)
        while left:
            found = await queue.get()
            if found is None:
                left -= 1
            else:
                yield found


async def _choices(index: int, run: Run) -> AsyncIterator[list[chat.ChunkChoice]]:
    chunks = answer.Chunks(index)
    async for batch in run.events():
        if found := [choice for event in batch for choice in chunks.of(event)]:
            yield found
    if run.response.status == "failed":
        raise run.error or EngineFailed("The answer broke off.")


# --- stored ones -----------------------------------------------------------------------------------------------------


class _Kept(Struct, frozen=True, kw_only=True):
    """What is stored: the answer, and the messages it answers."""

    completion: chat.ChatCompletion
    messages: list[dict[str, Any]]


class _Update(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    metadata: Metadata | None


async def _keep(service: Service, owner: str, body: chat.ChatRequest, value: chat.ChatCompletion) -> None:
    messages = [{"id": f"{value.id}-{index}", **message} for index, message in enumerate(body.messages)]
    row = DocumentRow(
        kind=KIND,
        id=value.id,
        owner=owner,
        created_at=service.clock.now(),
        body=_encode(_Kept(completion=value, messages=messages)),
    )
    await service.store.put_document(row)


async def _found(request: Request) -> tuple[DocumentRow, _Kept]:
    completion_id = request.path_params["completion_id"]
    row = await state(request).store.get_document(KIND, caller(request).owner, completion_id)
    if row is None:
        raise NotFound(
            f"Chat completion with id '{completion_id}' not found.",
            param="completion_id",
            code="completion_not_found",
        )
    return row, msgspec.json.decode(row.body, type=_Kept)


async def retrieve(request: Request) -> Response:
    """``GET /v1/chat/completions/{id}``."""
    return json_response((await _found(request))[1].completion)


async def update(request: Request) -> Response:
    """``POST /v1/chat/completions/{id}``: its metadata."""
    body: _Update = convert(await json_body(request), _Update)
    row, kept = await _found(request)
    value = msgspec.structs.replace(kept.completion, metadata=dict(body.metadata or {}))
    changed = _encode(msgspec.structs.replace(kept, completion=value))
    await state(request).store.update_document(
        msgspec.structs.replace(row, body=changed, version=row.version + 1)
    )
    return json_response(value)


async def delete(request: Request) -> Response:
    """``DELETE /v1/chat/completions/{id}``."""
    row, _ = await _found(request)
    await state(request).store.delete_document(KIND, row.owner, row.id)
    return json_response({"id": row.id, "object": "chat.completion.deleted", "deleted": True})


async def list_stored(request: Request) -> Response:
    """``GET /v1/chat/completions``: the stored ones, oldest first, by model and metadata."""
    query = query_of(request, ("after", "limit", "order", "model"), prefix="metadata[")
    page = page_of({"order": "asc", **query})
    rows, more = await state(request).store.list_documents(KIND, caller(request).owner, page)
    values = [msgspec.json.decode(row.body, type=_Kept).completion for row in rows]
    wanted = {
        name[len("metadata[") : -1]: value for name, value in query.items() if name.startswith("metadata[")
    }
    kept = [value for value in values if _matches(value, query.get("model"), wanted)]
    return json_response(wire_list(kept, [value.id for value in kept], more))


def _matches(value: chat.ChatCompletion, model: str | None, metadata: dict[str, str]) -> bool:
    given = value.metadata if isinstance(value.metadata, dict) else {}
    return model in (None, value.model) and metadata.items() <= given.items()


async def messages(request: Request) -> Response:
    """``GET /v1/chat/completions/{id}/messages``."""
    page = page_of(query_of(request, ("after", "limit", "order")))
    _, kept = await _found(request)
    found = kept.messages if page.order == "asc" else kept.messages[::-1]
    ids = [message["id"] for message in found]
    start = ids.index(page.after) + 1 if page.after in ids else 0
    shown = found[start : start + page.limit]
    return json_response(
        wire_list(shown, [message["id"] for message in shown], start + page.limit < len(found))
    )
