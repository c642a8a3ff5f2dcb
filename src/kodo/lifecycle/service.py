"""The life of a response: create, run, continue after a crash, read, cancel, delete.

Every face of the server (Responses, Chat Completions, Batch, Realtime, Assistants, WebSocket) comes through here; the
engine is asked nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import msgspec

from kodo.config import Settings
from kodo.lifecycle import log, plan
from kodo.lifecycle.admission import Priority
from kodo.lifecycle.assemble import Assembler, engine_usage
from kodo.lifecycle.attachments import attached
from kodo.lifecycle.compact import NO_USAGE, Compacted, compact
from kodo.lifecycle.context import History, drop_oldest, history, plain, seal_reasoning, shown
from kodo.lifecycle.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    StoreFailed,
)
from kodo.lifecycle.generate import Generation, Observer
from kodo.lifecycle.plan import TRUNCATED, Backend, Call
from kodo.lifecycle.ports import (
    Clock,
    ContextItem,
    FileReader,
    Ids,
    Prepared,
    Sampling,
    Usage,
)
from kodo.lifecycle.records import ItemRow, Page, ResponseRow, Store
from kodo.lifecycle.run import Run
from kodo.lifecycle.sealing import Sealer
from kodo.wire.events import StreamEvent
from kodo.wire.items import Compaction, Message, Reasoning, text_of
from kodo.wire.request import CompactRequest, CreateResponse
from kodo.wire.response import CompactedResponse, Response, ResponseUsage

logger = logging.getLogger(__name__)

MOST_KNOWN = 4096
"""Responses whose contexts are remembered as plain."""


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
        self.files = files
        self._runs: dict[str, Run] = {}
        self._plain: OrderedDict[str, int] = OrderedDict()
        """By response: how many items of its context are known to be shown as they are, so that a turn looks only at
        what is new. A context never changes at its beginning."""
        self._closing = False

    # --- create ---

    async def create(self, call: Call, request: CreateResponse) -> Run:
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
        found = await self._history(call, request)
        compacted = await self._compact_if_long(call, request, backend, found)
        as_it_is = plain(found.items, self._plain.get(request.previous_response_id or "", 0))
        prepared, dropped = await self.prepare(
            call, request, backend, found.items if compacted is None else compacted.shown, plain=as_it_is
        )
        now = self.clock.now()
        skeleton = plan.skeleton(response_id, request, backend.card, now, background=background, store=store)
        if dropped:
            skeleton = msgspec.structs.replace(
                skeleton, metadata={**skeleton.metadata, TRUNCATED: str(dropped)}
            )
        if compacted is not None:
            skeleton = msgspec.structs.replace(skeleton, output=(compacted.item,))
        spent = Usage() if compacted is None else engine_usage(compacted.usage)
        row = None
        if store:
            row = ResponseRow(
                id=skeleton.id,
                owner=call.owner,
                status=skeleton.status,
                created_at=now,
                parent=request.previous_response_id,
                conversation=request.conversation,
                background=background,
                request=_stored_request(request, call, priority, spent, found),
                response=msgspec.json.encode(skeleton),
            )
        run = Run(call.owner, skeleton, store=self.store, row=row, seal=self.seal_for(call.owner, request))
        if background:
            run.emit(log.Queued())
        run.context = found.items
        if as_it_is and request.conversation is None:
            self._remember_plain(run.id, len(found.items))
        self.start(run, backend, prepared, request, call, priority, spent=spent)
        try:
            if row is not None:
                await self.store.create_response(row, found.own)
            else:
                await asyncio.sleep(0)  # the run begins: a task cancelled before that would never end it
        except BaseException:
            run.never_stored()
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

    async def prepare(
        self,
        call: Call,
        request: CreateResponse,
        backend: Backend,
        history: tuple[ContextItem, ...],
        *,
        plain: bool = False,
    ) -> tuple[Prepared, int]:
        """The prompt, counted and inside the window; and how many items were left out for that. ``plain``: the items are
        known to be shown as they are.

        Raises:
            ContextLengthExceeded: it does not fit, and ``truncation`` is not ``auto``.
        """
        card = backend.card
        items = history if plain else await self._shown(call.owner, backend, history)
        prompt = plan.prompt(call, request, backend, items)
        prepared = await backend.engine.prepare(prompt)
        room = min(request.max_output_tokens or card.max_output_tokens // 4, card.context_window // 4)
        dropped = 0
        while prepared.input_tokens >= card.context_window:
            if request.truncation != "auto":
                raise ContextLengthExceeded(window=card.context_window, needed=prepared.input_tokens + 1)
            excess = prepared.input_tokens - (card.context_window - room)
            kept, count = drop_oldest(prepared.prompt.items, prepared.item_tokens, excess)
            if count == 0:
                raise ContextLengthExceeded(window=card.context_window, needed=prepared.input_tokens + 1)
            dropped += count
            prepared = await backend.engine.prepare(msgspec.structs.replace(prompt, items=kept))
        return prepared, dropped

    def _check(self, request: CreateResponse, *, background: bool, store: bool) -> None:
        """What can be refused without looking anything up."""
        if self._closing:
            raise Overloaded("The server is shutting down.", retry_after=5.0)
        if background and not store:
            raise InvalidRequest("background needs store: a response is kept to be fetched.", param="store")
        if request.stream_options is not None and not request.stream:
            raise InvalidRequest("stream_options needs stream: true.", param="stream_options")

    async def _history(self, call: Call, request: CreateResponse | CompactRequest) -> History:
        found = await history(
            self.store,
            self.ids,
            call.owner,
            request.input,
            previous=request.previous_response_id,
            conversation=request.conversation if isinstance(request, CreateResponse) else None,
            local=call.local,
        )
        if not found.items and not request.instructions:
            raise InvalidRequest(
                "One of input, previous_response_id, conversation or instructions must give the model something.",
                param="input",
                code="missing_required_parameter",
            )
        return found

    async def count(self, call: Call, request: CreateResponse) -> int:
        """Input tokens of a request, by the engine's own tokenizer; nothing is run or stored."""
        backend = self.backend(request.model)
        found = await self._history(call, request)
        items = await self._shown(call.owner, backend, found.items)
        return (await backend.engine.prepare(plan.prompt(call, request, backend, items))).input_tokens

    async def compact(self, call: Call, request: CompactRequest) -> CompactedResponse:
        """``POST /v1/responses/compact``: a history as one item, which is taken back as input.

        Raises:
            NotFound, Conflict, InvalidRequest: the request's fault.
        """
        backend = self.backend(request.model)
        asked = CreateResponse(model=request.model, instructions=request.instructions)
        found = await self._history(call, request)
        if not found.items:
            raise InvalidRequest(
                "There is nothing to compact: give input or previous_response_id.", param="input"
            )
        done = await self._compact(call, asked, backend, found.items, backend.card.context_window // 4)
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
            return run.told
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
        return run.told

    async def stop(self, run: Run) -> None:
        """End a run as cancelled (its client went away, or asked for it), and wait until that is stored.

        Raises:
            StoreFailed: it is over, but could not be stored yet.
        """
        run.cancelled = True
        if run.task is not None and not run.ending:
            run.task.cancel()
        await run.over()

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

    def _remember_plain(self, response_id: str, count: int) -> None:
        self._plain[response_id] = count
        if len(self._plain) > MOST_KNOWN:
            self._plain.popitem(last=False)

    async def _shown(
        self, owner: str, backend: Backend, items: tuple[ContextItem, ...]
    ) -> tuple[ContextItem, ...]:
        images = "see" if backend.card.images else self.settings.images
        limit = self.settings.limits.body_bytes
        items = await attached(items, owner=owner, files=self.files, limit=limit)
        return shown(items, owner=owner, sealer=self.sealer, images=images)

    async def _compact_if_long(
        self, call: Call, request: CreateResponse, backend: Backend, found: History
    ) -> Compacted | None:
        """``context_management``: the context as one item, once it is over the threshold."""
        if not request.context_management:
            return None
        window = backend.card.context_window
        threshold = request.context_management[0].compact_threshold or window * 3 // 4
        items = await self._shown(call.owner, backend, found.items)
        prepared = await backend.engine.prepare(plan.prompt(call, request, backend, items))
        if prepared.input_tokens <= threshold:
            return None
        return await self._compact(call, request, backend, found.items, min(threshold, window) // 2)

    async def _compact(
        self,
        call: Call,
        request: CreateResponse,
        backend: Backend,
        items: tuple[ContextItem, ...],
        budget: int,
    ) -> Compacted:
        seen = await self._shown(call.owner, backend, items)
        prepared = await backend.engine.prepare(plan.prompt(call, request, backend, seen))

        async def summarise(asked: CreateResponse) -> tuple[str, ResponseUsage]:
            response = await (await self.create(Call(owner=call.owner, priority=call.priority), asked)).wait()
            text = "".join(text_of(item.content) for item in response.output if isinstance(item, Message))
            return text, response.usage or NO_USAGE

        return await compact(
            seen,
            prepared.item_tokens,
            item_id=self.ids.new("cmp"),
            model=backend.name,
            budget=budget,
            owner=call.owner,
            sealer=self.sealer,
            summarise=summarise,
        )

    def start(
        self,
        run: Run,
        backend: Backend,
        prepared: Prepared,
        request: CreateResponse,
        call: Call,
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
        stored = read_request(row)
        assembler = Assembler(unfolded(decode_response(row)), self.seal_for(row.owner, stored.request))
        events = assembler.start()
        for data in await self.store.read_log(row.id):
            events.extend(assembler.feed(log.decode(data)))
        return events


class StoredRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a restart needs to run a request again."""

    request: CreateResponse
    sampling: Sampling
    priority: int
    spent: Usage = Usage()
    """Tokens that went into it before it began: a compaction's summary."""
    stands_on: str | None = None
    """The last item of its conversation when it began; None: it was empty, or there is no conversation."""


def _stored_request(
    request: CreateResponse, call: Call, priority: Priority, spent: Usage, found: History
) -> bytes:
    stands_on = found.before[-1].item.id if request.conversation is not None and found.before else None
    return msgspec.json.encode(
        StoredRequest(
            request=msgspec.structs.replace(request, input=None, client_metadata=None),
            sampling=call.sampling,
            priority=priority,
            spent=spent,
            stands_on=stands_on,
        )
    )


def read_request(row: ResponseRow) -> StoredRequest:
    """The request behind a row."""
    return msgspec.json.decode(row.request, type=StoredRequest)


def decode_response(row: ResponseRow) -> Response:
    """The Response in a row. Raises ``StoreFailed``."""
    try:
        return msgspec.json.decode(row.response, type=Response)
    except msgspec.DecodeError as error:
        raise StoreFailed(f"Response '{row.id}' cannot be read.") from error


def unfolded(response: Response) -> Response:
    """A response as it was when its log began."""
    begins_with = tuple(item for item in response.output[:1] if isinstance(item, Compaction))
    return msgspec.structs.replace(
        response,
        status="queued" if response.background else "in_progress",
        output=begins_with,
        usage=None,
        completed_at=None,
        error=None,
        incomplete_details=None,
    )


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
