"""``POST /v1/chat/completions``, and the stored ones: list, retrieve, update, delete, messages."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct
from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.bodies import json_response
from kodo.server.http.chat import pipeline, response_translation
from kodo.server.http.chat.request_translation import parse_request
from kodo.server.http.pagination import matching, page_of, query_of, wire_list
from kodo.server.http.state import get_caller, get_state, json_body
from kodo.server.lifecycle.errors import NotFound
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.records import DocumentRow
from kodo.server.lifecycle.run import Run
from kodo.server.lifecycle.service import Service
from kodo.server.wire import chat
from kodo.server.wire.decode import convert
from kodo.server.wire.request import Metadata

KIND = "chat.completion"
_encode = msgspec.json.Encoder().encode


async def create(request: Request) -> Response:
    """``POST /v1/chat/completions``."""
    return await pipeline.serve(_PIPELINE, request)


async def run_to_completion(service: Service, call: CallContext, raw: Mapping[str, object]) -> Any:
    """See :func:`kodo.server.http.chat.pipeline.run_to_completion`."""
    return await pipeline.run_to_completion(_PIPELINE, service, call, raw)


async def _build(
    service: Service, owner: str, body: chat.ChatRequest, runs: Sequence[Run]
) -> chat.ChatCompletion:
    value = _completion(_new_id(), body, runs)
    if body.store:
        await _store(service, owner, body, value)
    return value


async def _stream(
    service: Service, owner: str, body: chat.ChatRequest, runs: Sequence[Run]
) -> AsyncIterator[list[chat.ChatChunk]]:
    completion_id = _new_id()
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

    async for choices in pipeline.merge_chunks(runs):
        yield [chunk((choice,)) for choice in choices]
    if with_usage:
        yield [chunk((), response_translation.total_usage([run.response.usage for run in runs]))]
    if body.store:
        await _store(service, owner, body, _completion(completion_id, body, runs))


_PIPELINE = pipeline.Pipeline(parse=parse_request, to_chat=lambda body: [body], build=_build, stream=_stream)


def _new_id() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"


def _completion(completion_id: str, body: chat.ChatRequest, runs: Sequence[Run]) -> chat.ChatCompletion:
    return chat.ChatCompletion(
        id=completion_id,
        created=runs[0].response.created_at,
        model=body.model,
        choices=tuple(
            response_translation.build_choice(index, run.response) for index, run in enumerate(runs)
        ),
        usage=response_translation.total_usage([run.response.usage for run in runs]),
        service_tier=runs[0].response.service_tier,
        metadata=dict(body.metadata) if body.metadata is not None else UNSET,
    )


# --- stored ones -----------------------------------------------------------------------------------------------------


class StoredCompletion(Struct, frozen=True, kw_only=True):
    """What is stored: the answer, and the messages it answers."""

    completion: chat.ChatCompletion
    messages: list[dict[str, Any]]


class _Update(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    metadata: Metadata | None


async def _store(service: Service, owner: str, body: chat.ChatRequest, value: chat.ChatCompletion) -> None:
    messages = [{"id": f"{value.id}-{index}", **message} for index, message in enumerate(body.messages)]
    row = DocumentRow(
        kind=KIND,
        id=value.id,
        owner=owner,
        created_at=service.clock.now(),
        body=_encode(StoredCompletion(completion=value, messages=messages)),
    )
    await service.store.put_document(row)


async def _get_stored(request: Request) -> tuple[DocumentRow, StoredCompletion]:
    completion_id = request.path_params["completion_id"]
    row = await get_state(request).store.get_document(KIND, get_caller(request).owner, completion_id)
    if row is None:
        raise NotFound(
            f"Chat completion with id '{completion_id}' not found.",
            param="completion_id",
            code="completion_not_found",
        )
    return row, _decode(row)


def _decode(row: DocumentRow) -> StoredCompletion:
    return msgspec.json.decode(row.body, type=StoredCompletion)


async def retrieve(request: Request) -> Response:
    """``GET /v1/chat/completions/{id}``."""
    return json_response((await _get_stored(request))[1].completion)


async def update(request: Request) -> Response:
    """``POST /v1/chat/completions/{id}``: its metadata."""
    body: _Update = convert(await json_body(request), _Update)
    row, stored = await _get_stored(request)
    value = msgspec.structs.replace(stored.completion, metadata=dict(body.metadata or {}))
    changed = _encode(msgspec.structs.replace(stored, completion=value))
    await get_state(request).store.update_document(
        msgspec.structs.replace(row, body=changed, version=row.version + 1)
    )
    return json_response(value)


async def delete(request: Request) -> Response:
    """``DELETE /v1/chat/completions/{id}``."""
    row, _ = await _get_stored(request)
    await get_state(request).store.delete_document(KIND, row.owner, row.id)
    return json_response({"id": row.id, "object": "chat.completion.deleted", "deleted": True})


async def list_stored(request: Request) -> Response:
    """``GET /v1/chat/completions``: the stored ones, oldest first, by model and metadata."""
    query = query_of(request, ("after", "limit", "order", "model"), prefix="metadata[")
    store, owner, model = get_state(request).store, get_caller(request).owner, query.get("model")
    metadata = {
        name[len("metadata[") : -1]: value for name, value in query.items() if name.startswith("metadata[")
    }
    rows, more = await matching(
        lambda page: store.list_documents(KIND, owner, page),
        page_of({"order": "asc", **query}),
        lambda row: _matches(_decode(row).completion, model, metadata),
    )
    return json_response(wire_list([_decode(row).completion for row in rows], [row.id for row in rows], more))


def _matches(value: chat.ChatCompletion, model: str | None, metadata: dict[str, str]) -> bool:
    own_metadata = value.metadata if isinstance(value.metadata, dict) else {}
    return model in (None, value.model) and metadata.items() <= own_metadata.items()


async def messages(request: Request) -> Response:
    """``GET /v1/chat/completions/{id}/messages``."""
    page = page_of(query_of(request, ("after", "limit", "order")))
    _, stored = await _get_stored(request)
    ordered = stored.messages if page.order == "asc" else stored.messages[::-1]
    ids = [message["id"] for message in ordered]
    if page.after not in (None, *ids):
        raise NotFound(f"No message found with id '{page.after}'.", param="after", code="message_not_found")
    start = 0 if page.after is None else ids.index(page.after) + 1
    selected = ordered[start : start + page.limit]
    return json_response(
        wire_list(selected, [message["id"] for message in selected], start + page.limit < len(ordered))
    )
