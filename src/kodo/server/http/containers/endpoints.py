"""``/v1/containers``: containers and their files."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from kodo.server.http.bodies import json_response
from kodo.server.http.containers.manager import ContainerManager
from kodo.server.http.files.multipart import read_form
from kodo.server.http.pagination import page_of, query_of, wire_list
from kodo.server.http.state import get_caller, get_state, json_body
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.wire.containers import (
    AddContainerFile,
    ContainerFile,
    CreateContainer,
    DeletedContainer,
    DeletedContainerFile,
)
from kodo.server.wire.decode import BadBody, convert

PAGE = ("after", "limit", "order")


async def create(request: Request) -> Response:
    """``POST /v1/containers``."""
    body: CreateContainer = convert(await json_body(request), CreateContainer)
    return json_response(await _manager(request).create(_owner(request), body))


async def list_containers(request: Request) -> Response:
    """``GET /v1/containers``."""
    query = query_of(request, ("name", *PAGE))
    found, more = await _manager(request).list(_owner(request), page_of(query), query.get("name"))
    return json_response(wire_list(found, [container.id for container in found], more))


async def retrieve(request: Request) -> Response:
    """``GET /v1/containers/{id}``."""
    return json_response(await _manager(request).get(_owner(request), _container(request)))


async def delete(request: Request) -> Response:
    """``DELETE /v1/containers/{id}``."""
    await _manager(request).delete(_owner(request), _container(request))
    return json_response(DeletedContainer(id=_container(request)))


async def create_file(request: Request) -> Response:
    """``POST /v1/containers/{id}/files``: a form with the bytes, or JSON with a ``file_id``."""
    manager, owner, container_id = _manager(request), _owner(request), _container(request)
    await manager.usable(owner, container_id)
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        file = await _uploaded(request, manager)
    else:
        body: AddContainerFile = convert(await json_body(request), AddContainerFile)
        file = await manager.files.copy(owner, container_id, body.file_id, "file_id")
    await manager.touch(owner, container_id)
    return json_response(file)


async def list_files(request: Request) -> Response:
    """``GET /v1/containers/{id}/files``."""
    manager, owner, container_id = _manager(request), _owner(request), _container(request)
    page = page_of(query_of(request, PAGE))
    await manager.get(owner, container_id)
    found, more = await manager.files.list(owner, container_id, page)
    return json_response(wire_list(found, [file.id for file in found], more))


async def retrieve_file(request: Request) -> Response:
    """``GET /v1/containers/{id}/files/{file_id}``."""
    files = _manager(request).files
    return json_response(await files.get(_owner(request), _container(request), _file(request)))


async def file_content(request: Request) -> Response:
    """``GET /v1/containers/{id}/files/{file_id}/content``: the bytes, with headers that keep a browser from interpreting
    them."""
    files = _manager(request).files
    size, chunks = await files.read(_owner(request), _container(request), _file(request))
    headers = {
        "content-length": str(size),
        "content-disposition": "attachment",
        "x-content-type-options": "nosniff",
    }
    return StreamingResponse(chunks, headers=headers, media_type="application/octet-stream")


async def delete_file(request: Request) -> Response:
    """``DELETE /v1/containers/{id}/files/{file_id}``."""
    await _manager(request).files.delete(_owner(request), _container(request), _file(request))
    return json_response(DeletedContainerFile(id=_file(request)))


async def _uploaded(request: Request, manager: ContainerManager) -> ContainerFile:
    limit = get_state(request).settings.tools.code_interpreter.max_file_bytes
    async with manager.files.create(_owner(request), _container(request)) as pending:
        form = await read_form(request, pending.writer.write, file_field="file", limit=limit)
        for name in form.fields:
            raise BadBody(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
        pending.name = form.filename or ""
    if pending.stored is None:
        raise RuntimeError("a file that was received is not stored")
    return pending.stored.file


def _manager(request: Request) -> ContainerManager:
    manager = get_state(request).containers
    if manager is None:
        raise InvalidRequest(
            "This server has no containers: tools.code_interpreter.enabled is false.", code="unsupported_tool"
        )
    return manager


def _owner(request: Request) -> str:
    return get_caller(request).owner


def _container(request: Request) -> str:
    return str(request.path_params["container_id"])


def _file(request: Request) -> str:
    return str(request.path_params["file_id"])
