"""``POST /v1/chat/completions``, and the stored ones: list, retrieve, update, delete, messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.bodies import json_response
from kodo.server.http.chat import pipeline, response_translation
from kodo.server.http.chat.documents import StoredCompletion
from kodo.server.http.chat.manager import CompletionManager
from kodo.server.http.chat.request_translation import parse_request
from kodo.server.http.pagination import page_of, query_of, wire_list
from kodo.server.http.random_ids import random_hex
from kodo.server.http.retrying import retry_conflicts
from kodo.server.http.state import get_caller, get_state, json_body
from kodo.server.lifecycle.errors import NotFound
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.run import Run
from kodo.server.lifecycle.service import Service
from kodo.server.wire import chat
from kodo.server.wire.decode import convert
from kodo.server.wire.items import StrictWire
from kodo.server.wire.request import Metadata
from kodo.server.wire.response import Response as WireResponse


async def create(request: Request) -> Response:
    """``POST /v1/chat/completions``."""
    return await pipeline.serve(_PIPELINE, request)


async def run_to_completion(
    completions: CompletionManager, service: Service, call: CallContext, raw: Mapping[str, object]
) -> Any:
    """See :func:`kodo.server.http.chat.pipeline.run_to_completion`."""
    return await pipeline.run_to_completion(_PIPELINE, completions, service, call, raw)


async def _build(
    completions: CompletionManager, owner: str, body: chat.ChatRequest, runs: Sequence[Run]
) -> chat.ChatCompletion:
    value = _completion(_new_id(), body, runs)
    if body.store:
        await completions.add(owner, _stored(value, body, runs[0].response), body.messages)
    return value


async def _stream(
    completions: CompletionManager, owner: str, body: chat.ChatRequest, runs: Sequence[Run]
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

    async for choices in pipeline.merge_chunks(runs, functions=body.functions is not None):
        yield [chunk((choice,)) for choice in choices]
    if with_usage:
        yield [chunk((), response_translation.total_usage([run.response.usage for run in runs]))]
    if body.store:
        value = _completion(completion_id, body, runs)
        await completions.add(owner, _stored(value, body, runs[0].response), body.messages)


_PIPELINE = pipeline.Pipeline(parse=parse_request, to_chat=lambda body: [body], build=_build, stream=_stream)


def _new_id() -> str:
    return f"chatcmpl-{random_hex(12)}"


def _completion(completion_id: str, body: chat.ChatRequest, runs: Sequence[Run]) -> chat.ChatCompletion:
    return chat.ChatCompletion(
        id=completion_id,
        created=runs[0].response.created_at,
        model=body.model,
        choices=tuple(
            response_translation.build_choice(index, run.response, functions=body.functions is not None)
            for index, run in enumerate(runs)
        ),
        usage=response_translation.total_usage([run.response.usage for run in runs]),
        service_tier=runs[0].response.service_tier,
        metadata=dict(body.metadata) if body.metadata is not None else UNSET,
    )


def _stored(
    value: chat.ChatCompletion, body: chat.ChatRequest, response: WireResponse
) -> chat.StoredChatCompletion:
    """A completion as it is stored; ``response``: the first of its answers, whose settings are those of all."""
    fields = {name: getattr(value, name) for name in value.__struct_fields__ if name != "metadata"}
    return chat.StoredChatCompletion(
        **fields,
        metadata=dict(body.metadata or {}),
        input_user=body.user,
        temperature=response.temperature,
        top_p=response.top_p,
        presence_penalty=response.presence_penalty,
        frequency_penalty=response.frequency_penalty,
        seed=body.seed,
        response_format=body.response_format,
        tools=body.tools,
        tool_choice=body.tool_choice,
    )


# --- stored ones -----------------------------------------------------------------------------------------------------


class _Update(StrictWire, frozen=True, kw_only=True):
    metadata: Metadata | None


async def _get_stored(request: Request) -> StoredCompletion:
    return await get_state(request).completions.get(
        get_caller(request).owner, request.path_params["completion_id"]
    )


async def retrieve(request: Request) -> Response:
    """``GET /v1/chat/completions/{id}``."""
    return json_response((await _get_stored(request)).completion)


async def update(request: Request) -> Response:
    """``POST /v1/chat/completions/{id}``: its metadata."""
    body: _Update = convert(await json_body(request), _Update)
    return json_response(
        await retry_conflicts(
            lambda: get_state(request).completions.set_metadata(
                get_caller(request).owner, request.path_params["completion_id"], dict(body.metadata or {})
            )
        )
    )


async def delete(request: Request) -> Response:
    """``DELETE /v1/chat/completions/{id}``."""
    completion_id = request.path_params["completion_id"]
    await get_state(request).completions.delete(get_caller(request).owner, completion_id)
    return json_response({"id": completion_id, "object": "chat.completion.deleted", "deleted": True})


async def list_stored(request: Request) -> Response:
    """``GET /v1/chat/completions``: the stored ones, oldest first, by model and metadata."""
    query = query_of(request, ("after", "limit", "order", "model"), prefix="metadata[")
    values, more = await get_state(request).completions.list(
        get_caller(request).owner,
        page_of({"order": "asc", **query}),
        model=query.get("model"),
        metadata={
            name[len("metadata[") : -1]: value
            for name, value in query.items()
            if name.startswith("metadata[")
        },
    )
    return json_response(wire_list(values, [value.id for value in values], more))


async def messages(request: Request) -> Response:
    """``GET /v1/chat/completions/{id}/messages``: in their order, unless the query says otherwise."""
    page = page_of({"order": "asc", **query_of(request, ("after", "limit", "order"))})
    stored = await _get_stored(request)
    ordered = stored.messages if page.order == "asc" else stored.messages[::-1]
    ids = [message["id"] for message in ordered]
    if page.after not in (None, *ids):
        raise NotFound(f"No message found with id '{page.after}'.", param="after", code="message_not_found")
    start = 0 if page.after is None else ids.index(page.after) + 1
    selected = ordered[start : start + page.limit]
    return json_response(
        wire_list(
            [_stored_message(message) for message in selected],
            [message["id"] for message in selected],
            start + page.limit < len(ordered),
        )
    )


def _stored_message(message: dict[str, Any]) -> dict[str, Any]:
    """A message as it is listed: its text is ``content``; what it was sent as, if as parts, ``content_parts``."""
    content = message.get("content")
    parts = content if isinstance(content, list) else None
    if parts is not None:
        content = "".join(part["text"] for part in parts if part.get("type") == "text") or None
    return {"name": None, "refusal": None, **message, "content": content, "content_parts": parts}
