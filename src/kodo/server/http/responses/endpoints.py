"""``/v1/responses``: create, retrieve, resume, cancel, delete, input items, input tokens."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.bodies import EventStream, cancel_on_disconnect, json_response
from kodo.server.http.limits import Ticket
from kodo.server.http.pagination import includes_of, page_of, query_of, switch, whole_number, wire_list
from kodo.server.http.responses.request_body import decode_request
from kodo.server.http.state import State, get_caller, get_state, get_ticket, json_body
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.run import Run
from kodo.server.lifecycle.service import Service
from kodo.server.wire import response as wire
from kodo.server.wire.decode import BadBody, compact_request, skipped_tools, without_refused
from kodo.server.wire.events import sse
from kodo.server.wire.request import COUNT_REFUSED
from kodo.server.wire.response import InputTokens

SKIPPED = "x-kodo-skipped-tools"
"""Names the types of tool that were left out, where any were."""
UNENFORCED = "x-kodo-unenforced-keywords"
"""Names the keywords of tool schemas that a model is not held to, where there are any."""

_BETA = "beta"
"""A query that ``client.beta.responses`` of openai-python sends with every call; it is the same API."""


async def run_to_completion(service: Service, call: CallContext, raw: Mapping[str, object]) -> wire.Response:
    """Return the complete response to a body, without HTTP; used by batches.

    Raises:
        BadBody, ServiceError: the error that the endpoint would send.
    """
    run = await service.create(call, decode_request(service, raw))
    try:
        return await run.wait()
    finally:
        await service.stop(run)


async def create(request: Request) -> Response:
    """``POST /v1/responses``."""
    state, caller = get_state(request), get_caller(request)
    ticket = get_ticket(request)
    with ticket.starting():
        raw = await json_body(request)
        body = decode_request(state.service, raw)
        call = CallContext(
            owner=caller.owner,
            key_id=caller.key_id,
            streamed=bool(body.stream) or bool(body.background),
        )
        run = await state.service.create(call, body)
    skipped_headers = {**_skipped_headers(state, raw), **_unenforced_headers(run)}
    if body.stream:
        return _stream(state, run, ticket, skipped_headers)
    if body.background:
        ticket.close_after(run)  # the key's limit on concurrent requests counts what runs in the background
        return json_response(run.initial_response, headers={**ticket.headers, **skipped_headers})
    try:
        response = await cancel_on_disconnect(request, run.wait())
    finally:
        await ticket.finish(state.service, run)
    return json_response(response, headers={**ticket.headers, **skipped_headers})


def _skipped_headers(state: State, raw: Mapping[str, object]) -> dict[str, str]:
    """Build the header that names the types of skipped tools; a header, because strict clients ignore it."""
    kinds = skipped_tools(raw, state.service.tools)
    state.metrics.skipped(kinds)
    return {SKIPPED: ", ".join(kinds)} if kinds else {}


def _unenforced_headers(run: Run) -> dict[str, str]:
    """The note about keywords of tool schemas that are not enforced."""
    return {UNENFORCED: ", ".join(run.unenforced)} if run.unenforced else {}


def _stream(state: State, run: Run, ticket: Ticket, skipped_headers: Mapping[str, str]) -> Response:
    async def finished() -> None:
        if not run.background:
            await ticket.finish(state.service, run)

    if run.background:
        ticket.close_after(run)
    return EventStream(run.events(), sse, headers={**ticket.headers, **skipped_headers}, finished=finished)


async def retrieve(request: Request) -> Response:
    """``GET /v1/responses/{id}``; with ``stream=true`` its events after ``starting_after``."""
    state, owner = get_state(request), get_caller(request).owner
    response_id = request.path_params["response_id"]
    known = {"stream", "starting_after", "include", "include[]", "include_obfuscation", _BETA}
    query = query_of(request, known)
    includes_of(request)
    if switch(query, "include_obfuscation"):
        raise BadBody("Obfuscation is not supported.", "include_obfuscation", "unsupported_parameter")
    if not switch(query, "stream"):
        if "starting_after" in query:
            raise BadBody("starting_after requires stream=true.", "starting_after", "invalid_value")
        return json_response(await state.service.get(owner, response_id))
    after = whole_number(query.get("starting_after", "-1"), "starting_after", -1, 2**53)
    events = await state.service.events(owner, response_id, after)

    async def finished() -> None:
        """Do nothing: a response continues when a reader disconnects."""

    return EventStream(events, sse, headers={}, finished=finished)


async def cancel(request: Request) -> Response:
    """``POST /v1/responses/{id}/cancel``."""
    service = get_state(request).service
    return json_response(await service.cancel(get_caller(request).owner, request.path_params["response_id"]))


async def delete(request: Request) -> Response:
    """``DELETE /v1/responses/{id}``."""
    response_id = request.path_params["response_id"]
    await get_state(request).service.delete(get_caller(request).owner, response_id)
    return json_response({"id": response_id, "object": "response", "deleted": True})


async def input_items(request: Request) -> Response:
    """``GET /v1/responses/{id}/input_items``."""
    query = query_of(request, {"after", "before", "limit", "order", "include", "include[]", _BETA})
    includes_of(request)
    rows, more = await get_state(request).service.input_items(
        get_caller(request).owner, request.path_params["response_id"], page_of(query)
    )
    return json_response(wire_list([row.context.item for row in rows], [row.id for row in rows], more))


async def compact(request: Request) -> Response:
    """``POST /v1/responses/compact``."""
    state, caller = get_state(request), get_caller(request)
    ticket = get_ticket(request)
    try:
        body = compact_request(await json_body(request))
        value = await cancel_on_disconnect(
            request,
            state.service.compact(CallContext(owner=caller.owner, key_id=caller.key_id), body),
        )
        ticket.count(value.usage)
    finally:
        ticket.close()
    return json_response(value, headers=ticket.headers)


async def input_tokens(request: Request) -> Response:
    """``POST /v1/responses/input_tokens``: counts only; nothing is run or stored."""
    state, caller = get_state(request), get_caller(request)
    raw = without_refused(await json_body(request), COUNT_REFUSED)
    if raw.get("model") is None:
        raw["model"] = next(iter(state.models))
    body = decode_request(state.service, raw)
    count = await state.service.count(CallContext(owner=caller.owner), body)
    return json_response(InputTokens(input_tokens=count), headers=_skipped_headers(state, raw))
