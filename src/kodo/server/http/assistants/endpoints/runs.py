"""``/v1/threads/{id}/runs``: create (on a new thread too), retrieve, update, list, cancel, submit tool outputs."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.assistants import documents, request_translation
from kodo.server.http.assistants.endpoints.assistants import PAGE
from kodo.server.http.assistants.event_translation import DONE_FRAME, encode_error, encode_event
from kodo.server.http.assistants.new_stores import THREAD_DAYS, created_stores
from kodo.server.http.assistants.worker import RunWorker
from kodo.server.http.bodies import EventStream, json_response
from kodo.server.http.limits import Ticket
from kodo.server.http.pagination import page_of, query_of, wire_list
from kodo.server.http.retrying import retry_conflicts
from kodo.server.http.state import State, get_caller, get_state, get_ticket, json_body
from kodo.server.wire import assistants as wire

INCLUDE = ("include", "include[]")
"""Asks for the texts of file searches in steps. In the events of a run they are left out."""

POLL_MS = "200"
"""How soon the SDK's polling helpers are told to ask again, in milliseconds: the way is short here."""


async def create(request: Request) -> Response:
    """``POST /v1/threads/{id}/runs``."""
    return await _create(request, wire.CreateRun, request.path_params["thread_id"])


async def create_with_thread(request: Request) -> Response:
    """``POST /v1/threads/runs``."""
    return await _create(request, wire.CreateThreadAndRun, None)


async def _create(
    request: Request, kind: type[wire.CreateRun] | type[wire.CreateThreadAndRun], thread_id: str | None
) -> Response:
    state, caller = get_state(request), get_caller(request)
    ticket = get_ticket(request)
    with ticket.starting():
        query_of(request, INCLUDE)
        body = request_translation.parse_body(await json_body(request), kind, state.service.tools)
        thread = body.thread if isinstance(body, wire.CreateThreadAndRun) else None
        given = None if thread is None else thread.tool_resources
        async with created_stores(
            state.vector_stores, caller.owner, given, "thread.tool_resources", days=THREAD_DAYS
        ) as resources:
            if thread is not None:
                thread = msgspec.structs.replace(thread, tool_resources=resources)
                body = msgspec.structs.replace(body, thread=thread)
            worker = await state.runs.create(
                caller.owner, body, thread_id, count=ticket.count, key_id=caller.key_id
            )
    return _respond(state, worker, ticket, stream=bool(body.stream))


async def submit_tool_outputs(request: Request) -> Response:
    """``POST /v1/threads/{id}/runs/{id}/submit_tool_outputs``."""
    state, caller, path = get_state(request), get_caller(request), request.path_params
    ticket = get_ticket(request)
    with ticket.starting():
        body = request_translation.parse_body(await json_body(request), wire.SubmitToolOutputs)
        worker = await state.runs.submit(
            caller.owner, path["thread_id"], path["run_id"], body, count=ticket.count
        )
    return _respond(state, worker, ticket, stream=bool(body.stream))


def _respond(state: State, worker: RunWorker, ticket: Ticket, *, stream: bool) -> Response:
    """Return the run, or stream its events.

    The run continues if the reader disconnects, and its ticket is closed when it is over or waits for the client.
    """
    ticket.detached = True
    state.runs.call_when_idle(worker, ticket.close)
    if not stream:
        return json_response(worker.run, headers=ticket.headers)

    async def finished() -> None:
        """A reader that disconnects changes nothing."""

    return EventStream(
        worker.follow(),
        encode_event,
        headers=ticket.headers,
        finished=finished,
        on_error=encode_error,
        tail=DONE_FRAME,
    )


async def retrieve(request: Request) -> Response:
    """``GET /v1/threads/{id}/runs/{id}``."""
    path = request.path_params
    run = await get_state(request).runs.get(get_caller(request).owner, path["thread_id"], path["run_id"])
    return json_response(run, headers={"openai-poll-after-ms": POLL_MS})


async def update(request: Request) -> Response:
    """``POST /v1/threads/{id}/runs/{id}``: its metadata."""
    body = request_translation.parse_body(await json_body(request), wire.NewMetadata)
    path, runs = request.path_params, get_state(request).runs
    return json_response(
        await retry_conflicts(
            lambda: runs.update(get_caller(request).owner, path["thread_id"], path["run_id"], body)
        )
    )


async def cancel(request: Request) -> Response:
    """``POST /v1/threads/{id}/runs/{id}/cancel``."""
    path, runs = request.path_params, get_state(request).runs
    return json_response(await runs.cancel(get_caller(request).owner, path["thread_id"], path["run_id"]))


async def list_runs(request: Request) -> Response:
    """``GET /v1/threads/{id}/runs``."""
    state, owner = get_state(request), get_caller(request).owner
    page = page_of(query_of(request, PAGE))
    thread = await documents.get_document(
        state.store, documents.THREAD, owner, request.path_params["thread_id"]
    )
    rows, more = await state.store.list_documents(documents.RUN, owner, page, parent=thread.id)
    return json_response(wire_list([state.runs.current(row) for row in rows], [row.id for row in rows], more))
