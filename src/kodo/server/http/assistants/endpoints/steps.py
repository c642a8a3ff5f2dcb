"""``/v1/threads/{id}/runs/{id}/steps``: list, retrieve."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.assistants import documents
from kodo.server.http.assistants.endpoints.assistants import PAGE
from kodo.server.http.assistants.endpoints.runs import INCLUDE
from kodo.server.http.bodies import json_response
from kodo.server.http.pagination import page_of, query_of, wire_list
from kodo.server.http.state import get_caller, get_state
from kodo.server.lifecycle.records import DocumentRow


async def list_steps(request: Request) -> Response:
    """``GET /v1/threads/{id}/runs/{id}/steps``."""
    page = page_of(query_of(request, (*PAGE, *INCLUDE)))
    run = await _run(request)
    rows, more = await get_state(request).store.list_documents(documents.STEP, run.owner, page, parent=run.id)
    return json_response(wire_list([msgspec.Raw(row.body) for row in rows], [row.id for row in rows], more))


async def retrieve(request: Request) -> Response:
    """``GET /v1/threads/{id}/runs/{id}/steps/{id}``."""
    query_of(request, INCLUDE)
    run = await _run(request)
    row = await documents.get_document(
        get_state(request).store, documents.STEP, run.owner, request.path_params["step_id"], parent=run.id
    )
    return json_response(msgspec.Raw(row.body))


async def _run(request: Request) -> DocumentRow:
    path = request.path_params
    return await documents.get_document(
        get_state(request).store,
        documents.RUN,
        get_caller(request).owner,
        path["run_id"],
        parent=path["thread_id"],
    )
