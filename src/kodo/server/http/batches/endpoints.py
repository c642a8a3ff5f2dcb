"""``/v1/batches``: create, retrieve, cancel, list."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.bodies import json_response
from kodo.server.http.pagination import page_of, query_of, wire_list
from kodo.server.http.state import get_caller, get_state, json_body
from kodo.server.wire.batches import CreateBatch
from kodo.server.wire.decode import convert


async def create(request: Request) -> Response:
    """``POST /v1/batches``."""
    body: CreateBatch = convert(await json_body(request), CreateBatch)
    caller = get_caller(request)
    return json_response(await get_state(request).batches.create(caller.owner, body, caller.key_id))


async def retrieve(request: Request) -> Response:
    """``GET /v1/batches/{id}``."""
    batches = get_state(request).batches
    return json_response(await batches.get(get_caller(request).owner, request.path_params["batch_id"]))


async def cancel(request: Request) -> Response:
    """``POST /v1/batches/{id}/cancel``."""
    batches = get_state(request).batches
    return json_response(await batches.cancel(get_caller(request).owner, request.path_params["batch_id"]))


async def list_batches(request: Request) -> Response:
    """``GET /v1/batches``."""
    page = page_of(query_of(request, ("after", "limit")))
    found, more = await get_state(request).batches.list(get_caller(request).owner, page)
    return json_response(wire_list(found, [batch.id for batch in found], more))
