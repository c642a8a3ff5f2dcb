"""After a crash: background responses continue from where they stopped, all others are ended as failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from itertools import islice

from kodo.server.lifecycle import event_log
from kodo.server.lifecycle.admission import Priority
from kodo.server.lifecycle.errors import NotFound, ServiceError, StoreFailed
from kodo.server.lifecycle.plan import CallContext, RequestPlan
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.records import ResponseRow
from kodo.server.lifecycle.row_codec import StoredRequest, decode_request, decode_response, response_at_start
from kodo.server.lifecycle.run import Run
from kodo.server.lifecycle.service import Service
from kodo.server.lifecycle.supervised import cancel, supervise

logger = logging.getLogger(__name__)


MAX_RESUMED = 64
"""Background responses that are resumed ahead of their turn in the engine; the others follow as these end."""
_PARALLEL = 64
"""How many are ended together: their writes share commits."""
_MAX_SETTLE_SECONDS = 2.0
"""How long somebody who asks for a response waits for its end to be stored."""


class Recovery:
    """The responses that a crash left unfinished: they are ended or resumed, a few at a time, while the server runs.

    However many there are, the start waits for none of them. One that is asked for meanwhile comes first.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._without_client: dict[str, ResponseRow] = {}
        """Those that had a client, which is gone: they are to be ended."""
        self._waiting: dict[str, ResponseRow] = {}
        """Background responses that are to be resumed."""
        self._begun: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._more = asyncio.Event()

    async def open(self) -> int:
        """Begin; return the number of responses that are or will be resumed."""
        await self.adopt()
        self._service.resume = self.ensure
        self._service.settle = self.settle
        self._task = supervise("the recovery of responses", self._work)
        return len(self._waiting)

    async def adopt(self) -> None:
        """Take what no server works on; where several share the store, what another one has left, and this one's that it was
        told it has not."""
        left = await self._service.in_hand.left(self._service.store.unfinished)
        rows = [row for row in left if row.id not in self._begun]
        self._waiting |= {row.id: row for row in rows if row.background}
        self._without_client |= {row.id: row for row in rows if not row.background}
        self._more.set()

    async def close(self) -> None:
        """Stop; the next start goes on."""
        await cancel(self._task)
        for task in list(self._begun.values()):
            await cancel(task)

    async def ensure(self, response_id: str) -> None:
        """Resume or end a response now, if it waits for that."""
        await self.settle(response_id)
        row = self._waiting.pop(response_id, None)
        if row is not None:
            self._begun[response_id] = asyncio.create_task(self._resume_one(row))
        if (task := self._begun.get(response_id)) is not None:
            await asyncio.shield(task)

    async def settle(self, response_id: str) -> None:
        """End a response now, if it waits for that. On a full disk, the wait is over before the end is stored."""
        task = self._end(response_id)
        if task is not None:
            await asyncio.wait((task,), timeout=_MAX_SETTLE_SECONDS)

    def _end(self, response_id: str) -> asyncio.Task[None] | None:
        row = self._without_client.pop(response_id, None)
        if row is not None:
            self._begun[response_id] = asyncio.create_task(self._end_one(row))
        return self._begun.get(response_id)

    async def _work(self) -> None:
        await self._resume_next()
        await self._end_next()
        if self._waiting or self._without_client:
            await asyncio.sleep(0.05)
        else:
            self._more.clear()
            await self._more.wait()

    async def _end_next(self) -> None:
        tasks = [self._end(response_id) for response_id in [*islice(self._without_client, _PARALLEL)]]
        await asyncio.gather(*(asyncio.shield(task) for task in tasks if task is not None))

    async def _resume_next(self) -> None:
        for response_id in list(self._waiting):
            if len(self._service.background) >= MAX_RESUMED:
                return
            await self.ensure(response_id)

    async def _end_one(self, row: ResponseRow) -> None:
        try:
            await _fail(self._service, row, _STOPPED)
        except StoreFailed:
            self._without_client[row.id] = row
            raise
        finally:
            self._begun.pop(row.id, None)

    async def _resume_one(self, row: ResponseRow) -> None:
        try:
            await _resume(self._service, row)
        except StoreFailed:  # a database that is away ends no work: it is taken up when that is back
            self._waiting[row.id] = row
            raise
        except ServiceError as error:
            logger.warning("response %s could not be resumed: %s", row.id, error)
            await _fail(self._service, row, error.message)
        finally:
            self._begun.pop(row.id, None)


_STOPPED = "The server stopped while this response was running."


async def _resume(service: Service, row: ResponseRow) -> None:
    """Run a queued response, or continue an interrupted one after its stored text, token for token.

    Where the engine cannot do that, the interrupted item is closed as incomplete and the answer begins anew.
    """
    stored = decode_request(row)
    backend = service.backend(stored.request.model)
    priority = Priority(stored.priority)
    plan = RequestPlan(
        response_id=row.id,
        call=CallContext(owner=row.owner, key_id=stored.key_id, priority=priority, sampling=stored.sampling),
        request=stored.request,
        backend=backend,
        priority=priority,
    )
    run = await _load_run(service, row, stored)
    begun_with = (ContextItem(item=item) for item in run.initial_response.output)
    history = tuple(await _context(service, row, stored))
    items = (*history, *begun_with)
    toolset = service.loops.toolset(plan)
    loop = service.loops.loop(run, plan, toolset, history=history, items=items)
    if loop is None:
        request = await toolset.turn_request(history)
        prepared, _ = await service.prompts.prepare(plan.call, request, backend, items)
    else:
        prepared = await loop.next_prompt()
    if event_log.events_so_far(run.entries) and not backend.card.continues:
        run.emit(event_log.Restarted())
    run.created()
    ended = service.background.take((row.owner, stored.key_id))
    service.start(run, plan, prepared, prior_usage=stored.prior_usage, ended=ended, loop=loop)


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
    stored = decode_request(row)
    run = await _load_run(service, row, stored)
    usage = stored.prior_usage + event_log.usage_so_far(run.entries, stored.input_tokens)
    if run.response.status == "queued":
        run.emit(event_log.Began())
    await run.end(
        event_log.Ended(status="failed", at=service.clock.now(), usage=usage, error=("server_error", message))
    )


async def _load_run(service: Service, row: ResponseRow, stored: StoredRequest) -> Run:
    """The run, rebuilt from its row and its log."""
    run = Run(
        row.owner,
        response_at_start(decode_response(row)),
        store=service.store,
        row=row,
        entries=[event_log.decode(data) for data in await service.store.read_log(row.id)],
        seal=service.seal_for(row.owner, stored.request),
        account=service.account(stored.key_id),
    )
    run.is_stored()
    return run
