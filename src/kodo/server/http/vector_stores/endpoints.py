"""``/v1/vector_stores``: stores, their files, batches of files, and searches."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.bodies import json_response
from kodo.server.http.pagination import page_of, query_of, wire_list
from kodo.server.http.state import get_caller, get_state, json_body, optional_json_body
from kodo.server.http.vector_stores.manager import VectorStoreManager
from kodo.server.lifecycle.errors import ServiceError
from kodo.server.wire.decode import BadBody, convert
from kodo.server.wire.vector_stores import (
    AddFile,
    CreateFileBatch,
    CreateVectorStore,
    DeletedStore,
    DeletedStoreFile,
    SearchRequest,
    UpdateFile,
    UpdateVectorStore,
)

WINDOW = ("after", "before", "limit", "order")
_STATUSES = ("in_progress", "completed", "failed", "cancelled")


async def create(request: Request) -> Response:
    """``POST /v1/vector_stores``."""
    body: CreateVectorStore = convert(await optional_json_body(request), CreateVectorStore)
    return json_response(await _manager(request).create(_owner(request), body))


async def list_stores(request: Request) -> Response:
    """``GET /v1/vector_stores``."""
    page = page_of(query_of(request, WINDOW))
    found, more = await _manager(request).list(_owner(request), page)
    return json_response(wire_list(found, [store.id for store in found], more))


async def retrieve(request: Request) -> Response:
    """``GET /v1/vector_stores/{id}``."""
    return json_response(await _manager(request).get(_owner(request), _store(request)))


async def update(request: Request) -> Response:
    """``POST /v1/vector_stores/{id}``."""
    body: UpdateVectorStore = convert(await json_body(request), UpdateVectorStore)
    return json_response(await _manager(request).update(_owner(request), _store(request), body))


async def delete(request: Request) -> Response:
    """``DELETE /v1/vector_stores/{id}``."""
    await _manager(request).delete(_owner(request), _store(request))
    return json_response(DeletedStore(id=_store(request)))


async def search(request: Request) -> Response:
    """``POST /v1/vector_stores/{id}/search``."""
    body: SearchRequest = convert(await json_body(request), SearchRequest)
    return json_response(await _manager(request).search(_owner(request), _store(request), body))


# --- files -----------------------------------------------------------------------------------------------------------


async def add_file(request: Request) -> Response:
    """``POST /v1/vector_stores/{id}/files``."""
    body: AddFile = convert(await json_body(request), AddFile)
    (file,) = await _manager(request).files.add(_owner(request), _store(request), [body])
    return json_response(file)


async def list_files(request: Request) -> Response:
    """``GET /v1/vector_stores/{id}/files``."""
    return await _files(request)


async def retrieve_file(request: Request) -> Response:
    """``GET /v1/vector_stores/{id}/files/{file_id}``."""
    files = _manager(request).files
    return json_response(await files.get(_owner(request), _store(request), request.path_params["file_id"]))


async def update_file(request: Request) -> Response:
    """``POST /v1/vector_stores/{id}/files/{file_id}``."""
    body: UpdateFile = convert(await json_body(request), UpdateFile)
    file_id = request.path_params["file_id"]
    files = _manager(request).files
    return json_response(
        await files.set_attributes(_owner(request), _store(request), file_id, body.attributes)
    )


async def delete_file(request: Request) -> Response:
    """``DELETE /v1/vector_stores/{id}/files/{file_id}``."""
    file_id = request.path_params["file_id"]
    await _manager(request).files.delete(_owner(request), _store(request), file_id)
    return json_response(DeletedStoreFile(id=file_id))


async def file_content(request: Request) -> Response:
    """``GET /v1/vector_stores/{id}/files/{file_id}/content``."""
    files = _manager(request).files
    return json_response(
        await files.content(_owner(request), _store(request), request.path_params["file_id"])
    )


# --- batches ---------------------------------------------------------------------------------------------------------


async def create_batch(request: Request) -> Response:
    """``POST /v1/vector_stores/{id}/file_batches``."""
    body: CreateFileBatch = convert(await json_body(request), CreateFileBatch)
    return json_response(await _manager(request).files.create_batch(_owner(request), _store(request), body))


async def retrieve_batch(request: Request) -> Response:
    """``GET /v1/vector_stores/{id}/file_batches/{batch_id}``."""
    files = _manager(request).files
    return json_response(await files.get_batch(_owner(request), _store(request), _batch(request)))


async def cancel_batch(request: Request) -> Response:
    """``POST /v1/vector_stores/{id}/file_batches/{batch_id}/cancel``."""
    files = _manager(request).files
    return json_response(await files.cancel_batch(_owner(request), _store(request), _batch(request)))


async def list_batch_files(request: Request) -> Response:
    """``GET /v1/vector_stores/{id}/file_batches/{batch_id}/files``."""
    await _manager(request).files.get_batch(_owner(request), _store(request), _batch(request))
    return await _files(request, _batch(request))


async def _files(request: Request, batch: str | None = None) -> Response:
    query = query_of(request, ("filter", *WINDOW))
    status = query.get("filter")
    if status is not None and status not in _STATUSES:
        raise BadBody(f"'filter' must be one of {', '.join(_STATUSES)}.", "filter", "invalid_value")
    files = _manager(request).files
    found, more = await files.list(_owner(request), _store(request), page_of(query), status, batch)
    return json_response(wire_list(found, [file.id for file in found], more))


def _manager(request: Request) -> VectorStoreManager:
    manager = get_state(request).vector_stores
    if manager is None:
        raise ServiceError("The store of this server has no index for vector stores.")
    return manager


def _owner(request: Request) -> str:
    return get_caller(request).owner


def _store(request: Request) -> str:
    return str(request.path_params["vector_store_id"])


def _batch(request: Request) -> str:
    return str(request.path_params["batch_id"])
