"""``/v1/threads``: create, retrieve, update, delete."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.assistants import documents, request_translation
from kodo.server.http.assistants.defaults import shown_thread
from kodo.server.http.assistants.new_stores import THREAD_DAYS, created_stores
from kodo.server.http.bodies import json_response
from kodo.server.http.retrying import retry_conflicts
from kodo.server.http.state import get_caller, get_state, json_body, optional_json_body
from kodo.server.lifecycle.records import DocumentRow
from kodo.server.wire import assistants as wire


async def create(request: Request) -> Response:
    """``POST /v1/threads``."""
    state, owner = get_state(request), get_caller(request).owner
    body = request_translation.parse_body(
        await optional_json_body(request), wire.CreateThread, state.service.tools
    )
    async with created_stores(
        state.vector_stores, owner, body.tool_resources, "tool_resources", days=THREAD_DAYS
    ) as resources:
        body = msgspec.structs.replace(body, tool_resources=resources)
        return json_response(shown_thread(await state.runs.create_thread(owner, body)))


async def retrieve(request: Request) -> Response:
    """``GET /v1/threads/{id}``."""
    return json_response(shown_thread(_thread(await _get_row(request))))


async def update(request: Request) -> Response:
    """``POST /v1/threads/{id}``: its metadata, and what tools work on."""
    body = request_translation.parse_body(
        await json_body(request), wire.UpdateThread, get_state(request).service.tools
    )

    async def change() -> Any:
        row = await _get_row(request)
        new = wire.NewMetadata(metadata=body.metadata)
        value = documents.replace_metadata(_thread(row), new)
        if body.tool_resources is not msgspec.UNSET:
            value = msgspec.structs.replace(value, tool_resources=body.tool_resources)
        return await documents.update_document(get_state(request).store, row, value)

    return json_response(shown_thread(await retry_conflicts(change)))


async def delete(request: Request) -> Response:
    """``DELETE /v1/threads/{id}``, with its messages and runs."""
    thread_id = request.path_params["thread_id"]
    await get_state(request).runs.delete_thread(get_caller(request).owner, thread_id)
    return json_response(wire.Deleted(id=thread_id, object="thread.deleted"))


def _thread(row: DocumentRow) -> wire.Thread:
    return msgspec.json.decode(row.body, type=wire.Thread)


async def _get_row(request: Request) -> DocumentRow:
    return await documents.get_document(
        get_state(request).store,
        documents.THREAD,
        get_caller(request).owner,
        request.path_params["thread_id"],
    )
