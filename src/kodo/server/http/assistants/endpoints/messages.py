"""``/v1/threads/{id}/messages``: create, list, retrieve, update, delete."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.assistants import documents, request_translation
from kodo.server.http.assistants.documents import MESSAGE
from kodo.server.http.assistants.endpoints.assistants import PAGE
from kodo.server.http.bodies import json_response
from kodo.server.http.pagination import matching, page_of, query_of, wire_list
from kodo.server.http.retrying import retry_conflicts
from kodo.server.http.state import get_caller, get_state, json_body
from kodo.server.lifecycle.records import DocumentRow
from kodo.server.wire import assistants as wire


async def create(request: Request) -> Response:
    """``POST /v1/threads/{id}/messages``; refused while a run is active on the thread."""
    state, owner, thread_id = get_state(request), get_caller(request).owner, request.path_params["thread_id"]
    body = request_translation.parse_body(await json_body(request), wire.CreateMessage, state.service.tools)
    return json_response(await state.runs.add_message(owner, thread_id, body))


async def list_messages(request: Request) -> Response:
    """``GET /v1/threads/{id}/messages``; with ``run_id`` only those of one run."""
    store, owner = get_state(request).store, get_caller(request).owner
    query = query_of(request, (*PAGE, "run_id"))
    thread = await documents.get_document(store, documents.THREAD, owner, request.path_params["thread_id"])
    run_id = query.get("run_id")
    rows, more = await matching(
        lambda page: store.list_documents(MESSAGE, owner, page, parent=thread.id),
        page_of(query),
        lambda row: run_id in (None, _message(row).run_id),
    )
    return json_response(wire_list([msgspec.Raw(row.body) for row in rows], [row.id for row in rows], more))


async def retrieve(request: Request) -> Response:
    """``GET /v1/threads/{id}/messages/{id}``."""
    return json_response(msgspec.Raw((await _get_row(request)).body))


async def update(request: Request) -> Response:
    """``POST /v1/threads/{id}/messages/{id}``: its metadata."""
    body = request_translation.parse_body(await json_body(request), wire.NewMetadata)

    async def change() -> Any:
        row = await _get_row(request)
        value = documents.replace_metadata(_message(row), body)
        return await documents.update_document(get_state(request).store, row, value)

    return json_response(await retry_conflicts(change))


async def delete(request: Request) -> Response:
    """``DELETE /v1/threads/{id}/messages/{id}``: later runs do not see it. Refused while a run is active on the thread."""
    state = get_state(request)
    row = await _get_row(request)
    async with state.runs.idle_thread(row.owner, request.path_params["thread_id"]):
        await state.store.delete_item(
            row.owner, request.path_params["thread_id"], row.id, unless=documents.IDLE
        )
        await state.store.delete_document(MESSAGE, row.owner, row.id)
    return json_response(wire.Deleted(id=row.id, object="thread.message.deleted"))


async def _get_row(request: Request) -> DocumentRow:
    return await documents.get_document(
        get_state(request).store,
        MESSAGE,
        get_caller(request).owner,
        request.path_params["message_id"],
        parent=request.path_params["thread_id"],
    )


def _message(row: DocumentRow) -> wire.ThreadMessage:
    return msgspec.json.decode(row.body, type=wire.ThreadMessage)
