"""The playground: a form for a Responses call, whose answer is streamed. The call is the API's own in all but its address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
from starlette.responses import Response

from kodo.server.http.bodies import EventStream, read_body
from kodo.server.http.errors import translate
from kodo.server.http.responses.request_body import decode_request
from kodo.server.lifecycle.errors import ServiceError
from kodo.server.lifecycle.plan import CallContext
from kodo.server.ui.context import PageRequest
from kodo.server.wire.decode import BadBody, json_object
from kodo.server.wire.events import StreamEvent, sse

PARAMETERS: Final = {
    "numbers": (
        ("temperature", 0, 2, 0.1),
        ("top_p", 0, 1, 0.05),
        ("presence_penalty", -2, 2, 0.1),
        ("frequency_penalty", -2, 2, 0.1),
        ("max_output_tokens", 1, None, 1),
        ("max_tool_calls", 1, None, 1),
        ("top_logprobs", 0, 20, 1),
    ),
    "choices": (
        ("reasoning.effort", ("none", "minimal", "low", "medium", "high", "xhigh", "max")),
        ("reasoning.summary", ("auto", "concise", "detailed")),
        ("text.verbosity", ("low", "medium", "high")),
        ("truncation", ("auto", "disabled")),
        ("service_tier", ("auto", "default", "flex", "scale", "priority")),
        ("prompt_cache_retention", ("in_memory", "24h")),
        ("parallel_tool_calls", ("true", "false")),
        ("store", ("true", "false")),
        ("background", ("true", "false")),
    ),
    "texts": ("conversation", "user", "safety_identifier", "prompt_cache_key"),
    "json": ("tool_choice", "metadata", "include", "context_management", "prompt_cache_options"),
}
"""Parameters of ``POST /v1/responses`` besides those with a place of their own in the form: those of numbers with their
smallest and largest value and step, those with a choice, texts, and what is given as JSON. A test compares them with
:class:`kodo.server.wire.request.CreateResponse`."""


async def show(page: PageRequest) -> Response:
    """``GET /ui/playground``; ``?previous=`` continues a response."""
    previous = page.query.get("previous", "")[:64]
    return page.render(
        "playground.html",
        "playground",
        models=sorted(page.state.models),
        parameters=PARAMETERS,
        previous=previous,
        base_url=f"{page.http.url.scheme}://{page.http.url.netloc}/v1",
    )


async def run(page: PageRequest) -> Response:
    """``POST /ui/playground/run``: a body as ``/v1/responses`` takes it; its events, whatever ``stream`` says."""
    state, caller = page.state, page.viewer.caller
    try:
        raw = json_object(await read_body(page.http, state.settings.limits.body_bytes))
        raw.pop("stream", None)
        request = msgspec.structs.replace(decode_request(state.service, raw), stream=True)
        ticket = await state.limits.admit(caller)
        with ticket.starting():
            made = await state.service.create(
                CallContext(owner=page.viewer.project or caller.owner, key_id=caller.key_id, streamed=True)
                if page.viewer.admin
                else CallContext(owner=caller.owner, key_id=caller.key_id, streamed=True),
                request,
            )
    except (ServiceError, BadBody) as error:
        status, envelope = translate(error)
        return Response(msgspec.json.encode(envelope), status, media_type="application/json")

    if made.background:  # it goes on where the page is left
        ticket.close_after(made)

    async def finished() -> None:
        if not made.background:
            await ticket.finish(state.service, made)

    return EventStream(
        _while_allowed(page, made.events()), sse, headers={"cache-control": "no-store"}, finished=finished
    )


async def _while_allowed(
    page: PageRequest, batches: AsyncIterator[Sequence[StreamEvent]]
) -> AsyncIterator[Sequence[StreamEvent]]:
    """The events for as long as the viewer may see them."""
    async for batch in batches:
        if not await page.context.still_allows(page.viewer):
            return
        yield batch
