"""``/v1/conversations``: create, retrieve, update, delete, and their items."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.bodies import json_response
from kodo.server.http.conversations.documents import KIND
from kodo.server.http.pagination import includes_of, page_of, query_of, wire_list
from kodo.server.http.retrying import retry_conflicts
from kodo.server.http.state import get_caller, get_state, json_body, optional_json_body
from kodo.server.lifecycle.context import new_row
from kodo.server.lifecycle.errors import InvalidRequest, NotFound
from kodo.server.lifecycle.records import DocumentRow, ItemRow
from kodo.server.wire import decode
from kodo.server.wire.conversations import Conversation, ConversationRequest, ConversationUpdate, ItemsRequest
from kodo.server.wire.items import CompactionTrigger, ItemReference

_INCLUDE = {"include", "include[]"}
_MAX_ITEMS = 20
"""Items in one call, as in the hosted contract."""


async def create(request: Request) -> Response:
    """``POST /v1/conversations``."""
    state, owner = get_state(request), get_caller(request).owner
    body: ConversationRequest = decode.convert(await optional_json_body(request), ConversationRequest)
    rows = _rows(state.ids, body.items or [])
    now = state.clock.now()
    value = Conversation(id=state.ids.new("conv"), created_at=int(now), metadata=dict(body.metadata or {}))
    await state.store.put_document(
        DocumentRow(kind=KIND, id=value.id, owner=owner, created_at=now, body=msgspec.json.encode(value))
    )
    if rows:
        try:
            await state.store.append_items(owner, value.id, rows)
        except BaseException:  # nobody has its id
            await state.store.delete_document(KIND, owner, value.id)
            raise
    return json_response(value)


async def retrieve(request: Request) -> Response:
    """``GET /v1/conversations/{id}``."""
    return json_response(msgspec.Raw((await _get_row(request)).body))


async def update(request: Request) -> Response:
    """``POST /v1/conversations/{id}``: its metadata."""
    body: ConversationUpdate = decode.convert(await json_body(request), ConversationUpdate)

    async def change() -> Conversation:
        row = await _get_row(request)
        value = msgspec.structs.replace(
            msgspec.json.decode(row.body, type=Conversation), metadata=dict(body.metadata or {})
        )
        await get_state(request).store.update_document(
            msgspec.structs.replace(row, body=msgspec.json.encode(value), version=row.version + 1)
        )
        return value

    return json_response(await retry_conflicts(change))


async def delete(request: Request) -> Response:
    """``DELETE /v1/conversations/{id}``, with its items."""
    row = await _get_row(request)
    await get_state(request).store.delete_document(KIND, row.owner, row.id)
    return json_response({"id": row.id, "object": "conversation.deleted", "deleted": True})


async def create_items(request: Request) -> Response:
    """``POST /v1/conversations/{id}/items``: appends all items or none."""
    query_of(request, _INCLUDE)
    includes_of(request)
    body: ItemsRequest = decode.convert(await json_body(request), ItemsRequest)
    row = await _get_row(request)
    rows = _rows(get_state(request).ids, body.items)
    await get_state(request).store.append_items(row.owner, row.id, rows)
    return _item_list(rows, more=False)


async def list_items(request: Request) -> Response:
    """``GET /v1/conversations/{id}/items``."""
    page = page_of(query_of(request, {"after", "limit", "order", *_INCLUDE}))
    includes_of(request)
    row = await _get_row(request)
    rows, more = await get_state(request).store.list_items(row.owner, row.id, page)
    return _item_list(list(rows), more=more)


async def retrieve_item(request: Request) -> Response:
    """``GET /v1/conversations/{id}/items/{item_id}``."""
    query_of(request, _INCLUDE)
    includes_of(request)
    row = await _get_row(request)
    item_id = request.path_params["item_id"]
    item_row = await get_state(request).store.get_item(row.owner, row.id, item_id)
    if item_row is None:
        raise _item_not_found(item_id)
    return json_response(item_row.context.item)


async def delete_item(request: Request) -> Response:
    """``DELETE /v1/conversations/{id}/items/{item_id}``; the answer is the conversation."""
    row = await _get_row(request)
    item_id = request.path_params["item_id"]
    if not await get_state(request).store.delete_item(row.owner, row.id, item_id):
        raise _item_not_found(item_id)
    return json_response(msgspec.Raw(row.body))


async def _get_row(request: Request) -> DocumentRow:
    conversation_id = request.path_params["conversation_id"]
    row = await get_state(request).store.get_document(KIND, get_caller(request).owner, conversation_id)
    if row is None:
        raise NotFound(
            f"Conversation with id '{conversation_id}' not found.",
            param="conversation_id",
            code="conversation_not_found",
        )
    return row


def _rows(ids: Any, raw: list[Any]) -> list[ItemRow]:
    if len(raw) > _MAX_ITEMS:
        raise InvalidRequest(
            f"At most {_MAX_ITEMS} items can be added at once.", param="items", code="array_above_max_length"
        )
    rows = []
    for index, item in enumerate(decode.items(raw, "items")):
        if isinstance(item, ItemReference):
            raise InvalidRequest(
                "An item reference cannot be stored; send the item itself.", param=f"items[{index}].type"
            )
        if isinstance(item, CompactionTrigger):
            raise InvalidRequest(
                "A compaction_trigger belongs to the input of a response.", param=f"items[{index}].type"
            )
        rows.append(new_row(ids, item))
    return rows


def _item_list(rows: list[ItemRow], *, more: bool) -> Response:
    return json_response(wire_list([row.context.item for row in rows], [row.id for row in rows], more))


def _item_not_found(item_id: str) -> NotFound:
    return NotFound(f"Item with id '{item_id}' not found.", param="item_id", code="item_not_found")
