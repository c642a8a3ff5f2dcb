"""The life of a response: create, run, continue after a crash, read, cancel, delete.

Every face of the server (Responses, Chat Completions, Batch, Realtime, Assistants, WebSocket) comes through here; the
engine is asked nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import msgspec

from kodo.server.config import Settings
from kodo.server.lifecycle import event_log, plan
from kodo.server.lifecycle.admission import Priority
from kodo.server.lifecycle.assemble import Assembler, engine_usage
from kodo.server.lifecycle.compact import NO_USAGE
from kodo.server.lifecycle.context import seal_reasoning
from kodo.server.lifecycle.errors import (
    InvalidRequest,
    NotFound,
    Overloaded,
)
from kodo.server.lifecycle.generate import Generation, Observer
from kodo.server.lifecycle.plan import TRUNCATED, Backend, CallContext
from kodo.server.lifecycle.ports import (
    Clock,
    FileReader,
    Ids,
    Prepared,
    Usage,
)
from kodo.server.lifecycle.prompts import Prompts, Summarise
from kodo.server.lifecycle.records import ItemRow, Page, ResponseRow
from kodo.server.lifecycle.row_codec import decode_request, decode_response, encode_request, response_at_start
from kodo.server.lifecycle.run import Run
from kodo.server.lifecycle.sealing import Sealer
from kodo.server.lifecycle.store_ports import Store
from kodo.server.wire.events import StreamEvent
from kodo.server.wire.items import Message, Reasoning, text_of
from kodo.server.wire.request import CompactRequest, CreateResponse
from kodo.server.wire.response import CompactedResponse, Response, ResponseUsage

logger = logging.getLogger(__name__)


class Service:
    """The lifecycle over its ports. One per server."""

    def __init__(
        self,
        *,
        models: Mapping[str, Backend],
        store: Store,
        clock: Clock,
        ids: Ids,
        sealer: Sealer,
        settings: Settings,
        observer: Observer,
        files: FileReader,
    ) -> None:
        self.models = models
        self.store = store
        self.clock = clock
        self.ids = ids
        self.sealer = sealer
        self.settings = settings
        self.observer = observer
        self.prompts = Prompts(store=store, ids=ids, sealer=sealer, settings=settings, files=files)
        self._runs: dict[str, Run] = {}
        self._closing = False

    # --- create ---

    async def create(self, call: CallContext, request: CreateResponse) -> Run:
        """Start a response. Returns once nothing about the request can be refused any more; the run goes on by itself.

        Raises:
            NotFound, Conflict, InvalidRequest, ContextLengthExceeded: the request's fault.
            Overloaded, EngineUnavailable: no room, or no engine, now.
        """
        background = bool(request.background)
        store = request.store if request.store is not None else True
        response_id = self.ids.new("resp")
        call = plan.seeded(call, response_id)
        self._check(request, background=background, store=store)
        backend = self.backend(request.model)
        priority = plan.priority(call, request, background)
        backend.admission.check(priority)
        found = await self.prompts.history(call, request)
        compacted = await self.prompts.compact_if_long(call, request, backend, found, self._summarise(call))
        as_it_is = self.prompts.is_passthrough(request, found)
        prepared, dropped = await self.prompts.prepare(
            call,
            request,
            backend,
            found.items if compacted is None else compacted.items,
            passthrough=as_it_is,
        )
        now = self.clock.now()
        initial = plan.initial_response(
            response_id, request, backend.card, now, background=background, store=store
        )
        if dropped:
            initial = msgspec.structs.replace(initial, metadata={**initial.metadata, TRUNCATED: str(dropped)})
        if compacted is not None:
            initial = msgspec.structs.replace(initial, output=(compacted.item,))
        spent = Usage() if compacted is None else engine_usage(compacted.usage)
        row = None
        if store:
            row = ResponseRow(
                id=initial.id,
                owner=call.owner,
                status=initial.status,
                created_at=now,
                parent=request.previous_response_id,
                conversation=request.conversation,
                background=background,
                request=encode_request(request, call, priority, spent, found),
                response=msgspec.json.encode(initial),
            )
        run = Run(call.owner, initial, store=self.store, row=row, seal=self.seal_for(call.owner, request))
        if background:
            run.emit(event_log.Queued())
        run.context = found.items
        if as_it_is and request.conversation is None:
            self.prompts.remember_passthrough(run.id, len(found.items))
        self.start(run, backend, prepared, request, call, priority, spent=spent)
        try:
            if row is not None:
                await self.store.create_response(row, found.own)
            else:
                await asyncio.sleep(0)  # the run begins: a task cancelled before that would never end it
        except BaseException:
            run.discard()
            if run.task is not None and not run.ending:
                run.task.cancel()
            raise
        run.created()
        return run

    def backend(self, model: str) -> Backend:
        """What answers to a model's name.

        Raises:
            NotFound: ``model_not_found``.
        """
        backend = self.models.get(model)
        if backend is None:
            raise NotFound(
                f"The model '{model}' does not exist on this server. It has: {', '.join(sorted(self.models))}.",
                param="model",
                code="model_not_found",
            )
        return backend

    def _check(self, request: CreateResponse, *, background: bool, store: bool) -> None:
        """What can be refused without looking anything up."""
        if self._closing:
            raise Overloaded("The server is shutting down.", retry_after=5.0)
        if background and not store:
            raise InvalidRequest("background needs store: a response is kept to be fetched.", param="store")
        if request.stream_options is not None and not request.stream:
            raise InvalidRequest("stream_options needs stream: true.", param="stream_options")

    async def count(self, call: CallContext, request: CreateResponse) -> int:
        """Input tokens of a request, by the engine's own tokenizer; nothing is run or stored."""
        return await self.prompts.count(call, request, self.backend(request.model))

    async def compact(self, call: CallContext, request: CompactRequest) -> CompactedResponse:
        """``POST /v1/responses/compact``: a history as one item, which is taken back as input.

        Raises:
            NotFound, Conflict, InvalidRequest: the request's fault.
        """
        backend = self.backend(request.model)
        asked = CreateResponse(model=request.model, instructions=request.instructions)
        found = await self.prompts.history(call, request)
        if not found.items:
            raise InvalidRequest(
                "There is nothing to compact: give input or previous_response_id.", param="input"
            )
        budget = backend.card.context_window // 4
        done = await self.prompts.compact(call, asked, backend, found.items, budget, self._summarise(call))
        return CompactedResponse(
            id=self.ids.new("resp"), created_at=int(self.clock.now()), output=(done.item,), usage=done.usage
        )

    # --- read, cancel, delete ---

    async def get(self, owner: str, response_id: str) -> Response:
        """A stored response as it stands.

        Raises:
            NotFound: it is not there, or not this owner's.
        """
        if (run := self._live(owner, response_id)) is not None:
            return run.visible
        return decode_response(await self._row(owner, response_id))

    async def events(
        self, owner: str, response_id: str, after: int = -1
    ) -> AsyncIterator[Sequence[StreamEvent]]:
        """Its events behind a sequence number: the stored ones, then those to come. The NotFound comes at once."""
        run = self._live(owner, response_id)
        if run is not None:
            return run.events(after)
        row = await self._row(owner, response_id)
        events = await self._folded(row)
        return _once([event for event in events if event.sequence_number > after])

    async def cancel(self, owner: str, response_id: str) -> Response:
        """Cancel a background response; one that is over stays as it is.

        Raises:
            NotFound: it is not there.
            InvalidRequest: it is not a background response.
            StoreFailed: it is cancelled, but that could not be stored yet.
        """
        run = self._live(owner, response_id)
        if run is None:
            response = decode_response(await self._row(owner, response_id))
            if not response.background:
                raise _not_background(response_id)
            return response
        if not run.background:
            raise _not_background(response_id)
        await self.stop(run)
        return run.visible

    async def stop(self, run: Run) -> None:
        """End a run as cancelled (its client went away, or asked for it), and wait until that is stored.

        Raises:
            StoreFailed: it is over, but could not be stored yet.
        """
        run.cancelled = True
        if run.task is not None and not run.ending:
            run.task.cancel()
        await run.wait_until_done()

    async def delete(self, owner: str, response_id: str) -> None:
        """Delete a stored response; one that runs is cancelled first.

        Raises:
            NotFound: it is not there.
        """
        if (run := self._live(owner, response_id)) is not None:
            await self.stop(run)
        if not await self.store.delete_response(owner, response_id):
            raise _not_found(response_id)

    async def input_items(self, owner: str, response_id: str, page: Page) -> tuple[Sequence[ItemRow], bool]:
        """A page of the items a response was given itself (its parents' are theirs)."""
        await self._row(owner, response_id)
        return await self.store.list_items(owner, response_id, page)

    # --- start and stop of the server ---

    async def close(self, seconds: float) -> None:
        """Let requests in flight finish, for so many seconds; then fail them. Background work stops where it is and is
        taken up at the next start."""
        self._closing = True
        runs = list(self._runs.values())
        for run in runs:
            if run.background and run.task is not None and not run.ending:
                run.task.cancel()
        tasks = [run.task for run in runs if run.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- inside ---

    def _summarise(self, call: CallContext) -> Summarise:
        """How a history is summarised: by a response of its own."""

        async def summarise(asked: CreateResponse) -> tuple[str, ResponseUsage]:
            response = await (
                await self.create(CallContext(owner=call.owner, priority=call.priority), asked)
            ).wait()
            text = "".join(text_of(item.content) for item in response.output if isinstance(item, Message))
            return text, response.usage or NO_USAGE

        return summarise

    def start(
        self,
        run: Run,
        backend: Backend,
        prepared: Prepared,
        request: CreateResponse,
        call: CallContext,
        priority: Priority,
        *,
        spent: Usage | None = None,
    ) -> None:
        """Let a run go on by itself. ``spent``: tokens that went into it before."""
        generation = Generation(
            run=run,
            engine=backend.engine,
            admission=backend.admission,
            prepared=prepared,
            clock=self.clock,
            observer=self.observer,
            priority=priority,
            soft_limit=None
            if request.max_output_tokens is not None
            else backend.settings.default_output_tokens,
            max_calls=request.max_tool_calls,
            heartbeat=self.settings.heartbeat_seconds if call.streamed or run.background else None,
            generate=call.generate and not plan.prewarm(request),
            continues=backend.card.continues,
            closing=lambda: self._closing,
            spent=spent or Usage(),
        )
        self._runs[run.id] = run
        run.task = asyncio.create_task(generation.drive(), name=run.id)
        run.task.add_done_callback(lambda _: self._runs.pop(run.id, None))

    def _live(self, owner: str, response_id: str) -> Run | None:
        run = self._runs.get(response_id)
        return run if run is not None and run.owner == owner and run.row is not None else None

    async def _row(self, owner: str, response_id: str) -> ResponseRow:
        row = await self.store.get_response(owner, response_id)
        if row is None:
            raise _not_found(response_id)
        return row

    def seal_for(self, owner: str, request: CreateResponse) -> Callable[[Reasoning], Reasoning] | None:
        """How reasoning is sealed for a request that asks for it."""
        if "reasoning.encrypted_content" not in (request.include or ()):
            return None

        def seal(item: Reasoning) -> Reasoning:
            return seal_reasoning(item, owner=owner, sealer=self.sealer)

        return seal

    async def _folded(self, row: ResponseRow) -> list[StreamEvent]:
        stored = decode_request(row)
        assembler = Assembler(
            response_at_start(decode_response(row)), self.seal_for(row.owner, stored.request)
        )
        events = assembler.start()
        for data in await self.store.read_log(row.id):
            events.extend(assembler.feed(event_log.decode(data)))
        return events


async def _once(events: Sequence[StreamEvent]) -> AsyncIterator[Sequence[StreamEvent]]:
    if events:
        yield events


def _not_found(response_id: str) -> NotFound:
    return NotFound(
        f"Response with id '{response_id}' not found.", param="response_id", code="response_not_found"
    )


def _not_background(response_id: str) -> InvalidRequest:
    return InvalidRequest(
        f"Response '{response_id}' is not a background response; only those can be cancelled.",
        param="response_id",
    )
