"""``POST /v1/messages`` and ``POST /v1/messages/count_tokens``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from kodo.server.http.anthropic.event_translation import EventTranslator, sse
from kodo.server.http.anthropic.request_translation import (
    ignored_parameters,
    parse_request,
    sampling,
    shows_thinking,
    skipped_tools,
    to_response_request,
)
from kodo.server.http.anthropic.response_translation import build_message
from kodo.server.http.anthropic.tool_results import check_tool_results
from kodo.server.http.bodies import EventStream, cancel_on_disconnect, in_turns, json_response
from kodo.server.http.errors import encode_error_event
from kodo.server.http.limits import Ticket
from kodo.server.http.responses.endpoints import SKIPPED
from kodo.server.http.state import State, get_caller, get_state, get_ticket, json_body
from kodo.server.lifecycle.errors import EngineFailed, ServiceError
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.run import Run
from kodo.server.wire.anthropic import CountTokensRequest, MessagesEvent, MessagesRequest, TokensCount
from kodo.server.wire.request import CreateResponse

IGNORED_PARAMETERS = "x-kodo-ignored-parameters"
"""Names the parameters that changed nothing, where any were sent."""


async def create(request: Request) -> Response:
    """``POST /v1/messages``."""
    state, caller = get_state(request), get_caller(request)
    ticket = get_ticket(request)
    with ticket.starting():
        raw = await json_body(request)
        body = parse_request(raw, MessagesRequest)
        call = CallContext(
            owner=caller.owner,
            key_id=caller.key_id,
            streamed=bool(body.stream),
            sampling=sampling(body),
            generate=body.max_tokens > 0,
            paired=False,
        )
        created = await _translated(body)
        check_tool_results(body.messages)
        run = await state.service.create(call, created)
    headers = {**ticket.headers, **_notes(request, state, raw, body)}
    if body.stream:
        events = _events(run, EventTranslator(run, shows_thinking=shows_thinking(body)))
        return _stream(request, state, run, ticket, headers, events)
    try:
        await cancel_on_disconnect(request, run.wait())
        return json_response(build_message(run, shows_thinking=shows_thinking(body)), headers=headers)
    finally:
        await ticket.finish(state.service, run)


async def count_tokens(request: Request) -> Response:
    """``POST /v1/messages/count_tokens``: nothing is run."""
    state, caller = get_state(request), get_caller(request)
    raw = await json_body(request)
    body = parse_request(raw, CountTokensRequest)
    call = CallContext(owner=caller.owner, paired=False)  # clients count single messages of a history
    count = await state.service.count(call, await _translated(body))
    return json_response(TokensCount(input_tokens=count), headers=_notes(request, state, raw, body))


async def _translated(body: CountTokensRequest) -> CreateResponse:
    return await in_turns(len(body.messages), partial(to_response_request, body))


def _notes(
    request: Request, state: State, raw: Mapping[str, Any], body: CountTokensRequest
) -> dict[str, str]:
    """What was left out of the request."""
    headers: dict[str, str] = {}
    ignored = ignored_parameters(raw)
    if raw.get("top_k") is not None and not state.service.backend(body.model).card.top_k:
        ignored.append("top_k")
    if ignored:
        named = ", ".join(name for name in ignored if name.isascii() and name.isprintable())
        headers[IGNORED_PARAMETERS] = named[:1000]
    if kinds := skipped_tools(body):
        state.metrics.skipped(("anthropic",) * len(kinds))
        headers[SKIPPED] = ", ".join(kind for kind in kinds if kind.isascii() and kind.isprintable())[:1000]
    return headers


def _stream(
    request: Request,
    state: State,
    run: Run,
    ticket: Ticket,
    headers: Mapping[str, str],
    events: AsyncIterator[list[MessagesEvent]],
) -> Response:
    def on_error(error: ServiceError) -> bytes:
        return encode_error_event(error, request.scope)

    finished = partial(ticket.finish, state.service, run)
    return EventStream(events, sse, headers=headers, finished=finished, on_error=on_error)


async def _events(run: Run, translator: EventTranslator) -> AsyncIterator[list[MessagesEvent]]:
    """The events of a message. Raises the error of a run that failed."""
    async for batch in run.events():
        if told := [one for event in batch for one in translator.translate(event)]:
            yield told
    if run.response.status == "failed":
        raise run.error or EngineFailed("The answer broke off.")
