"""``/v1/threads/{id}/runs/{id}/steps``: list, retrieve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.assistants import documents
from kodo.server.http.assistants.endpoints.assistants import PAGE
from kodo.server.http.assistants.endpoints.runs import INCLUDE
from kodo.server.http.assistants.hosted_tools import CONTENT, without_content
from kodo.server.http.bodies import json_response
from kodo.server.http.pagination import includes_of, page_of, query_of, wire_list
from kodo.server.http.state import get_caller, get_state
from kodo.server.lifecycle.records import DocumentRow
from kodo.server.wire import assistants as wire

_Includes: TypeAlias = tuple[Literal["step_details.tool_calls[*].file_search.results[*].content"], ...]


async def list_steps(request: Request) -> Response:
    """``GET /v1/threads/{id}/runs/{id}/steps``."""
    query = query_of(request, (*PAGE, *INCLUDE))
    page = page_of(query)
    includes_of(request, _Includes)
    run = await _run(request)
    rows, more = await get_state(request).store.list_documents(documents.STEP, run.owner, page, parent=run.id)
    return json_response(wire_list([_step(row, query) for row in rows], [row.id for row in rows], more))


async def retrieve(request: Request) -> Response:
    """``GET /v1/threads/{id}/runs/{id}/steps/{id}``."""
    query = query_of(request, INCLUDE)
    includes_of(request, _Includes)
    run = await _run(request)
    row = await documents.get_document(
        get_state(request).store, documents.STEP, run.owner, request.path_params["step_id"], parent=run.id
    )
    return json_response(_step(row, query))


def _step(row: DocumentRow, query: Mapping[str, str]) -> wire.RunStep | msgspec.Raw:
    """A step, with the texts of its results where they are asked for."""
    if CONTENT in query.values():
        return msgspec.Raw(row.body)
    return without_content(msgspec.json.decode(row.body, type=wire.RunStep))


async def _run(request: Request) -> DocumentRow:
    path = request.path_params
    return await documents.get_document(
        get_state(request).store,
        documents.RUN,
        get_caller(request).owner,
        path["run_id"],
        parent=path["thread_id"],
    )
