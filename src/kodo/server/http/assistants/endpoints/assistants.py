"""``/v1/assistants``: create, retrieve, update, delete, list."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.assistants import documents, request_translation
from kodo.server.http.assistants.defaults import shown_assistant
from kodo.server.http.assistants.documents import ASSISTANT
from kodo.server.http.assistants.new_stores import created_stores
from kodo.server.http.bodies import json_response
from kodo.server.http.pagination import page_of, query_of, wire_list
from kodo.server.http.retrying import retry_conflicts
from kodo.server.http.state import get_caller, get_state, json_body
from kodo.server.lifecycle.records import DocumentRow
from kodo.server.wire import assistants as wire

PAGE = ("after", "before", "limit", "order")


async def create(request: Request) -> Response:
    """``POST /v1/assistants``."""
    state, owner = get_state(request), get_caller(request).owner
    body = request_translation.parse_body(await json_body(request), wire.CreateAssistant, state.service.tools)
    state.service.backend(body.model)
    now = state.clock.now()
    blank = wire.Assistant(id=state.ids.new("asst"), created_at=int(now), model=body.model, metadata={})
    async with created_stores(state.vector_stores, owner, body.tool_resources, "tool_resources") as resources:
        value = _apply(blank, msgspec.structs.replace(body, tool_resources=resources))
        await state.store.put_document(documents.new_document(ASSISTANT, owner, value, at=now))
    return json_response(shown_assistant(value, state.service.models))


async def retrieve(request: Request) -> Response:
    """``GET /v1/assistants/{id}``."""
    return json_response(_shown(request, await _get_row(request)))


async def update(request: Request) -> Response:
    """``POST /v1/assistants/{id}``."""
    state = get_state(request)
    body = request_translation.parse_body(await json_body(request), wire.UpdateAssistant, state.service.tools)

    async def change() -> Any:
        row = await _get_row(request)
        value = _apply(msgspec.json.decode(row.body, type=wire.Assistant), body)
        state.service.backend(value.model)
        return await documents.update_document(state.store, row, value)

    return json_response(shown_assistant(await retry_conflicts(change), state.service.models))


async def delete(request: Request) -> Response:
    """``DELETE /v1/assistants/{id}``; its active runs continue."""
    row = await _get_row(request)
    await get_state(request).store.delete_document(ASSISTANT, row.owner, row.id)
    return json_response(wire.Deleted(id=row.id, object="assistant.deleted"))


async def list_assistants(request: Request) -> Response:
    """``GET /v1/assistants``."""
    page = page_of(query_of(request, PAGE))
    rows, more = await get_state(request).store.list_documents(ASSISTANT, get_caller(request).owner, page)
    return json_response(wire_list([_shown(request, row) for row in rows], [row.id for row in rows], more))


async def _get_row(request: Request) -> DocumentRow:
    return await documents.get_document(
        get_state(request).store, ASSISTANT, get_caller(request).owner, request.path_params["assistant_id"]
    )


def _shown(request: Request, row: DocumentRow) -> wire.Assistant:
    value = msgspec.json.decode(row.body, type=wire.Assistant)
    return shown_assistant(value, get_state(request).service.models)


def _apply(value: wire.Assistant, body: wire.UpdateAssistant) -> wire.Assistant:
    """Return an assistant with the fields that a body sets."""
    changes = {name: new for name in body.__struct_fields__ if (new := getattr(body, name)) is not UNSET}
    if "metadata" in changes:
        changes["metadata"] = dict(changes["metadata"] or {})
    if "response_format" in changes:
        changes["response_format"] = changes["response_format"] or "auto"
    return msgspec.structs.replace(value, **changes)
