"""After a crash: background responses continue from where they stopped, all others are ended as failed."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from kodo.server.lifecycle import event_log
from kodo.server.lifecycle.admission import Priority
from kodo.server.lifecycle.errors import NotFound, ServiceError
from kodo.server.lifecycle.plan import CallContext, RequestPlan
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.records import ResponseRow
from kodo.server.lifecycle.row_codec import StoredRequest, decode_request, decode_response, response_at_start
from kodo.server.lifecycle.run import Run
from kodo.server.lifecycle.service import Service

logger = logging.getLogger(__name__)


async def recover(service: Service) -> int:
    """Continue or end the responses that a crash left unfinished. Returns the number continued."""
    resumed = 0
    for row in await service.store.unfinished():
        if not row.background:
            await _fail(service, row, "The server stopped while this response was running.")
            continue
        try:
            await _resume(service, row)
            resumed += 1
        except ServiceError as error:
            logger.warning("response %s could not be resumed: %s", row.id, error)
            await _fail(service, row, error.message)
    return resumed


async def _resume(service: Service, row: ResponseRow) -> None:
    """Run a queued response, or continue an interrupted one after its stored text, token for token.

    Where the engine cannot do that, the interrupted item is closed as incomplete and the answer begins anew.
    """
    stored = decode_request(row)
    backend = service.backend(stored.request.model)
    priority = Priority(stored.priority)
    plan = RequestPlan(
        response_id=row.id,
        call=CallContext(owner=row.owner, priority=priority, sampling=stored.sampling),
        request=stored.request,
        backend=backend,
        priority=priority,
    )
    run = await _load_run(service, row, stored)
    begun_with = (ContextItem(item=item) for item in run.initial_response.output)
    items = (*await _context(service, row, stored), *begun_with)
    prepared, _ = await service.prompts.prepare(plan.call, plan.request, backend, items)
    if event_log.events_so_far(run.entries) and not backend.card.continues:
        run.emit(event_log.Restarted())
    run.created()
    service.start(run, plan, prepared, prior_usage=stored.prior_usage)


async def _context(service: Service, row: ResponseRow, stored: StoredRequest) -> Sequence[ContextItem]:
    """Return the items that the response began with: those of its parents or its conversation, then its own.

    Parents' items stay stored while the response needs them, even if a parent is deleted. Items added to the
    conversation since the response began are left out, and so are items deleted from it.
    """
    if row.conversation is None:
        chain = await service.store.chain(row.owner, row.id)
        if chain is None:
            raise NotFound(
                "The response that this one continues no longer exists.", code="previous_response_not_found"
            )
        return chain
    own, _ = await service.store.response_items(row.owner, row.id)
    try:
        conversation = await service.store.all_items(row.owner, row.conversation)
    except NotFound:
        conversation = ()
    ids = [context.item.id for context in conversation]
    if stored.last_item_at_start is None:
        conversation = ()
    elif stored.last_item_at_start in ids:
        conversation = conversation[: ids.index(stored.last_item_at_start) + 1]
    return (*conversation, *(item.context for item in own))


async def _fail(service: Service, row: ResponseRow, message: str) -> None:
    """End a response that cannot be continued, so that it does not stay in progress forever."""
    run = await _load_run(service, row, decode_request(row))
    if run.response.status == "queued":
        run.emit(event_log.Began())
    await run.end(event_log.Ended(status="failed", at=service.clock.now(), error=("server_error", message)))


async def _load_run(service: Service, row: ResponseRow, stored: StoredRequest) -> Run:
    """The run, rebuilt from its row and its log."""
    return Run(
        row.owner,
        response_at_start(decode_response(row)),
        store=service.store,
        row=row,
        entries=[event_log.decode(data) for data in await service.store.read_log(row.id)],
        seal=service.seal_for(row.owner, stored.request),
    )
