"""``/v1/batches``: create, retrieve, cancel, list."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.bodies import json_response
from kodo.server.http.lists import page_of, query_of, wire_list
from kodo.server.http.state import caller, json_body, state
from kodo.server.wire.batches import CreateBatch
from kodo.server.wire.decode import convert


async def create(request: Request) -> Response:
    """``POST /v1/batches``."""
    body: CreateBatch = convert(await json_body(request), CreateBatch)
    return json_response(await state(request).batches.create(caller(request).owner, body))


async def retrieve(request: Request) -> Response:
    """``GET /v1/batches/{id}``."""
    batches = state(request).batches
    return json_response(await batches.get(caller(request).owner, request.path_params["batch_id"]))


async def cancel(request: Request) -> Response:
    """``POST /v1/batches/{id}/cancel``."""
    batches = state(request).batches
    return json_response(await batches.cancel(caller(request).owner, request.path_params["batch_id"]))


async def list_batches(request: Request) -> Response:
    """``GET /v1/batches``."""
    page = page_of(query_of(request, ("after", "limit")))
    found, more = await state(request).batches.list(caller(request).owner, page)
    return json_response(wire_list(found, [batch.id for batch in found], more))
