"""``/v1/files``: create, list, retrieve, content, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from kodo.server.http.bodies import json_response
from kodo.server.http.files.multipart import read_form
from kodo.server.http.pagination import page_of, query_of, wire_list
from kodo.server.http.state import get_caller, get_state
from kodo.server.wire.decode import BadBody, convert
from kodo.server.wire.files import FileForm

CONTAINER_FILE = "cfile_"
"""What the ids of files in containers begin with; clients of the Assistants API ask for them here."""
MAX_BYTES = 512 * 2**20
_MAX_LISTED = 10_000
_MAX_FILENAME = 512


async def create(request: Request) -> Response:
    """``POST /v1/files``: a form, streamed to disk."""
    files, owner = get_state(request).files, get_caller(request).owner
    async with files.create(owner) as pending:
        form = await read_form(request, pending.writer.write, file_field="file", limit=MAX_BYTES)
        options: FileForm = convert(_nest_fields(form.fields), FileForm)
        pending.filename = (form.filename or "file")[:_MAX_FILENAME]
        pending.purpose, pending.expires_after = options.purpose, options.expires_after
    return json_response(pending.file)


async def list_files(request: Request) -> Response:
    """``GET /v1/files``."""
    query = query_of(request, ("after", "limit", "order", "purpose"))
    page = page_of(query, default=_MAX_LISTED, max_limit=_MAX_LISTED)
    listed, more = await get_state(request).files.list(get_caller(request).owner, page, query.get("purpose"))
    return json_response(wire_list(listed, [file.id for file in listed], more))


async def retrieve(request: Request) -> Response:
    """``GET /v1/files/{id}``."""
    file_id, owner = request.path_params["file_id"], get_caller(request).owner
    containers = get_state(request).containers
    if containers is not None and file_id.startswith(CONTAINER_FILE):
        return json_response(await containers.files.find(owner, file_id))
    return json_response(await get_state(request).files.get(owner, file_id))


async def content(request: Request) -> Response:
    """``GET /v1/files/{id}/content``: the bytes, with headers that keep a browser from interpreting them."""
    file_id, owner = request.path_params["file_id"], get_caller(request).owner
    containers = get_state(request).containers
    if containers is not None and file_id.startswith(CONTAINER_FILE):
        size, chunks = await containers.files.read_any(owner, file_id)
    else:
        file, chunks = await get_state(request).files.read(owner, file_id)
        size = file.bytes
    headers = {
        "content-length": str(size),
        "content-disposition": "attachment",
        "x-content-type-options": "nosniff",
    }
    return StreamingResponse(chunks, headers=headers, media_type="application/octet-stream")


async def delete(request: Request) -> Response:
    """``DELETE /v1/files/{id}``: its text leaves the vector stores too."""
    file_id = request.path_params["file_id"]
    await get_state(request).delete_file(get_caller(request).owner, file_id)
    return json_response({"id": file_id, "object": "file", "deleted": True})


def _nest_fields(fields: Mapping[str, str]) -> dict[str, Any]:
    """Turn form fields such as ``expires_after[seconds]`` into nested objects."""
    result: dict[str, Any] = {}
    for name, text in fields.items():
        outer, opened, inner = name.partition("[")
        if not opened:
            result[name] = text
            continue
        value: Any = int(text) if text.isascii() and text.isdigit() else text
        within = result.setdefault(outer, {})
        if not isinstance(within, dict):
            raise BadBody(f"Duplicate parameter: '{outer}'.", outer, "invalid_value")
        within[inner.removesuffix("]")] = value
    return result
