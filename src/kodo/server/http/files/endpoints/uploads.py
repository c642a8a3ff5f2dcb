"""``/v1/uploads``: create, parts, complete, cancel."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.bodies import json_response
from kodo.server.http.files.multipart import read_form
from kodo.server.http.state import get_caller, get_state, json_body
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.wire.decode import BadBody, convert
from kodo.server.wire.files import CompleteUpload, CreateUpload

MAX_BYTES = 8 * 2**30
MAX_PART_BYTES = 64 * 2**20


async def create(request: Request) -> Response:
    """``POST /v1/uploads``."""
    body: CreateUpload = convert(await json_body(request), CreateUpload)
    if body.bytes > MAX_BYTES:
        raise InvalidRequest(f"An upload may have at most {MAX_BYTES} bytes.", param="bytes")
    return json_response(await get_state(request).uploads.create(get_caller(request), body))


async def add_part(request: Request) -> Response:
    """``POST /v1/uploads/{id}/parts``: a form, streamed to disk."""
    uploads = get_state(request).uploads
    async with uploads.add_part(get_caller(request).owner, request.path_params["upload_id"]) as (
        value,
        writer,
    ):
        form = await read_form(request, writer.write, file_field="data", limit=MAX_PART_BYTES)
        for name in form.fields:
            raise BadBody(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    return json_response(value)


async def complete(request: Request) -> Response:
    """``POST /v1/uploads/{id}/complete``."""
    body: CompleteUpload = convert(await json_body(request), CompleteUpload)
    owner, upload_id = get_caller(request).owner, request.path_params["upload_id"]
    return json_response(await get_state(request).uploads.complete(owner, upload_id, body))


async def cancel(request: Request) -> Response:
    """``POST /v1/uploads/{id}/cancel``."""
    uploads = get_state(request).uploads
    return json_response(await uploads.cancel(get_caller(request).owner, request.path_params["upload_id"]))
