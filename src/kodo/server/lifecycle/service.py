"""The life of a response: create, run, continue after a crash, read, cancel, delete.

Every API family of the server (Responses, Chat Completions, Batch, Realtime, Assistants, WebSocket) comes through here;
no other module asks an engine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final

from kodo.server.config import Settings
from kodo.server.lifecycle import event_log
from kodo.server.lifecycle.background import BackgroundQueue
from kodo.server.lifecycle.charging import KeyAccount, KeyBudgets
from kodo.server.lifecycle.compact import NO_USAGE
from kodo.server.lifecycle.context import seal_reasoning
from kodo.server.lifecycle.errors import (
    InvalidRequest,
    NotFound,
    Overloaded,
)
from kodo.server.lifecycle.generate import Generation, Observer
from kodo.server.lifecycle.hosted.ports import HostedTool
from kodo.server.lifecycle.hosted.steps import ToolLoop
from kodo.server.lifecycle.in_hand import InHand
from kodo.server.lifecycle.plan import Backend, CallContext, RequestPlan
from kodo.server.lifecycle.ports import (
    Clock,
    FileReader,
    Ids,
    Prepared,
    ProviderState,
    Usage,
)
from kodo.server.lifecycle.prompt_builder import PromptBuilder, nothing_to_compact
from kodo.server.lifecycle.records import ItemRow, Page, ResponseRow
from kodo.server.lifecycle.remote import RemoteRuns, SharedHistory, still_there
from kodo.server.lifecycle.response_fold import ResponseFold, engine_usage
from kodo.server.lifecycle.row_codec import decode_request, decode_response, initial_row, response_at_start
from kodo.server.lifecycle.run import Run
from kodo.server.lifecycle.sealing import Sealer
from kodo.server.lifecycle.supervised import cancel
from kodo.server.lifecycle.tool_loops import ToolLoops
from kodo.server.wire.events import StreamEvent
from kodo.server.wire.items import Message, Reasoning, text_of
from kodo.server.wire.request import CompactRequest, CreateResponse
from kodo.server.wire.response import CompactedResponse, Response, ResponseUsage
from kodo.server.wire.tools import RequestTool

logger = logging.getLogger(__name__)
END_SECONDS: Final = 5.0
"""How long a response that the server ends when it stops may take to be stored."""


class Service:
    """The lifecycle over its ports. One per server."""

    def __init__(
        self,
        *,
        models: Mapping[str, Backend],
        store: SharedHistory,
        clock: Clock,
        ids: Ids,
        sealer: Sealer,
        settings: Settings,
        observer: Observer,
        files: FileReader,
        allows: Callable[[str, str | None], Awaitable[bool]],
        budgets: KeyBudgets,
        tools: Mapping[str, HostedTool] | None = None,
        always: tuple[RequestTool, ...] = (),
    ) -> None:
        self.models = models
        self.tools = tools or {}
        """Tools that this server runs, by the type of their entries in a request."""
        self.always = always
        """Entries that are added to every request to the Responses API."""
        self.store = store
        self.clock = clock
        self.ids = ids
        self.sealer = sealer
        self.settings = settings
        self.observer = observer
        self.prompts = PromptBuilder(
            store=store, ids=ids, sealer=sealer, settings=settings, files=files, summarise=self._summarise
        )
        self.loops = ToolLoops(self.tools, self.prompts, settings.tools, observer)
        self.allows = allows
        """Whether background work of an owner, accepted from a key, may still run."""
        self.budgets = budgets
        self.background = BackgroundQueue(settings.limits.background, settings.limits.background_per_key)
        self.resume: Callable[[str], Awaitable[None]] = _nothing_to_resume
        """Takes a response up again that a crash left and that still waits for it; see ``recovery``."""
        self.settle: Callable[[str], Awaitable[None]] = _nothing_to_resume
        """Ends a response whose client was lost in a crash, if that is still to be done."""
        self._runs: dict[str, Run] = {}
        self.in_hand = InHand()
        """The responses that are made here."""
        self._remote = RemoteRuns(store, self.seal_for, self._runs.__contains__)
        self._relays: set[asyncio.Task[None]] = set()
        self._closing = False

    # --- create ---

    async def create(self, call: CallContext, request: CreateResponse) -> Run:
        """Start a response. Returns once the request is accepted and stored; the run continues in a task of its own.

        Raises:
            NotFound, Conflict, InvalidRequest, ContextLengthExceeded: the request's fault.
            Overloaded, EngineUnavailable: no room, or no engine, now.
        """
        self._check(request)
        give_back = self.background.reserve((call.owner, call.key_id)) if request.background else None
        try:
            return await self._create(call, request, give_back)
        except BaseException:
            if give_back is not None:
                give_back()
            raise

    async def _create(
        self, call: CallContext, request: CreateResponse, give_back: Callable[[], None] | None
    ) -> Run:
        plan = RequestPlan.of(self.ids.new("resp"), call, request, self.backend(request.model))
        plan.backend.admission.check(plan.priority)
        toolset = self.loops.toolset(plan)
        built = await self.prompts.build(plan, toolset)
        now = self.clock.now()
        initial = plan.initial_response(
            now,
            compaction=built.compaction,
            dropped=built.dropped,
            min_output_tokens=built.prepared.min_output_tokens,
        )
        tokens = built.prepared.input_tokens
        row = (
            initial_row(plan, initial, now, built.history, built.prior_usage, tokens) if plan.store else None
        )
        run = Run(
            call.owner,
            initial,
            store=self.store,
            row=row,
            seal=self.seal_for(call.owner, request),
            context=built.history.items,
            input_tokens=tokens,
            unenforced=built.prepared.unenforced,
            account=self.account(call.key_id),
        )
        self.observer.unenforced(built.prepared.unenforced)
        if plan.background:
            run.emit(event_log.Queued())
            if self.settings.role == "api":
                await self._hand_over(run, built.history.own, give_back)
                return run
        loop = self.loops.loop(run, plan, toolset, history=built.history.items, items=built.items)
        self.start(run, plan, built.prepared, prior_usage=built.prior_usage, ended=give_back, loop=loop)
        await self._store(run, built.history.own, at_end=plan.stored_at_end and loop is None)
        return run

    def backend(self, model: str) -> Backend:
        """The backend of a model name.

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

    def _check(self, request: CreateResponse) -> None:
        """Refuse what can be refused without a look-up."""
        if self._closing:
            raise Overloaded("The server is shutting down.", retry_after=5.0)
        if request.background and request.store is False:
            raise InvalidRequest("background requires store: the response is retrieved later.", param="store")
        if request.stream_options is not None and not request.stream:
            raise InvalidRequest("stream_options requires stream: true.", param="stream_options")

    async def count(self, call: CallContext, request: CreateResponse) -> int:
        """Input tokens of a request, by the engine's tokenizer; nothing is run or stored."""
        backend = self.backend(request.model)
        toolset = self.loops.toolset(RequestPlan.of(self.ids.new("resp"), call, request, backend))
        return await self.prompts.count(call, request, backend, toolset)

    async def compact(self, call: CallContext, request: CompactRequest) -> CompactedResponse:
        """``POST /v1/responses/compact``: a history as one item, which is taken back as input.

        Raises:
            NotFound, Conflict, InvalidRequest: the request's fault.
        """
        backend = self.backend(request.model)
        inner = CreateResponse(model=request.model, instructions=request.instructions)
        history = await self.prompts.history(call, request)
        if not history.items:
            raise nothing_to_compact()
        budget = backend.card.context_window // 4
        done = await self.prompts.compact(call, inner, backend, history.items, budget)
        await self.charge(call, request.model, engine_usage(done.usage))
        return CompactedResponse(
            id=self.ids.new("resp"), created_at=int(self.clock.now()), output=(done.item,), usage=done.usage
        )

    # --- charge ---

    def account(self, key_id: str | None) -> KeyAccount | None:
        """Whom a response that was asked for with a key is charged to; None: nobody, there was no key."""
        return None if key_id is None else KeyAccount(key_id, self.budgets)

    async def charge(self, call: CallContext, model: str, usage: Usage) -> None:
        """Charge what a call has used that is no response."""
        account = self.account(call.key_id)
        if account is not None:
            await account.charge(model, usage, self.clock.now())

    # --- read, cancel, delete ---

    async def get(self, owner: str, response_id: str) -> Response:
        """A stored response as it stands.

        Raises:
            NotFound: it is not there, or not this owner's.
        """
        if (run := self._live(owner, response_id)) is not None:
            return run.visible
        await self.settle(response_id)
        row = await self._row(owner, response_id)
        return await self._remote.current(row) if self._remote.has(row) else decode_response(row)

    async def events(
        self, owner: str, response_id: str, after: int = -1
    ) -> AsyncIterator[Sequence[StreamEvent]]:
        """The events of a response after a sequence number: the stored ones, then those to come.

        Raises:
            NotFound: it is not there; raised by the call, not by the iterator.
        """
        await self.resume(response_id)
        run = self._live(owner, response_id)
        if run is not None:
            return run.events(after)
        row = await self._row(owner, response_id)
        if self._remote.has(row):
            return self._remote.events(row, after)
        events = await self._folded(row)
        return _once([event for event in events if event.sequence_number > after])

    async def cancel(self, owner: str, response_id: str) -> Response:
        """Cancel a background response; one that is over stays as it is.

        Raises:
            NotFound: it is not there.
            InvalidRequest: it is not a background response.
            StoreFailed: it is cancelled, but that could not be stored yet.
        """
        await self.resume(response_id)
        run = self._live(owner, response_id)
        if run is None:
            row = await self._row(owner, response_id)
            if not row.background:
                raise _not_background(response_id)
            if self._remote.has(row):
                row = still_there(await self._stop_elsewhere(row), response_id)
            return decode_response(row)
        if not run.background:
            raise _not_background(response_id)
        await self.stop(run)
        return run.visible

    async def stop(self, *runs: Run) -> None:
        """End runs as cancelled (their client went away, or asked for it), and wait until that is stored. All of them are
        told before any is waited for, also where the caller is cancelled meanwhile.

        Raises:
            StoreFailed: one is over, but could not be stored yet.
        """
        for run in runs:
            run.cancelled = True
            run.cancel()
        for run in runs:
            await run.wait_until_done()

    async def stop_by_id(self, response_id: str, _: bytes = b"") -> None:
        """End a response that runs here, because another server asks for it."""
        await self.resume(response_id)
        if (run := self._runs.get(response_id)) is not None:
            await self.stop(run)

    async def _stop_elsewhere(self, row: ResponseRow) -> ResponseRow | None:
        async def stop_here() -> bool:
            await self.resume(row.id)
            run = self._live(row.owner, row.id)
            if run is not None:
                await self.stop(run)
            return run is not None

        return await self._remote.stop(row, stop_here)

    async def delete(self, owner: str, response_id: str) -> None:
        """Delete a stored response; one that runs is cancelled first.

        Raises:
            NotFound: it is not there.
        """
        await self.resume(response_id)
        if (run := self._live(owner, response_id)) is not None:
            await self.stop(run)
        elif (row := await self.store.get_response(owner, response_id)) is not None and self._remote.has(row):
            await self._stop_elsewhere(row)
        if not await self.store.delete_response(owner, response_id):
            raise _not_found(response_id)

    async def input_items(self, owner: str, response_id: str, page: Page) -> tuple[Sequence[ItemRow], bool]:
        """A page of the items a response was given itself (its parents' are theirs)."""
        await self._row(owner, response_id)
        return await self.store.list_items(owner, response_id, page)

    def runs(self, owner: str | None) -> Sequence[Run]:
        """The responses that are being made, the oldest first; of one owner, or (None) of all."""
        return [run for run in self._runs.values() if owner is None or run.owner == owner]

    # --- start and stop of the server ---

    @property
    def closing(self) -> bool:
        """Whether the server is about to stop."""
        return self._closing

    async def close(self, seconds: float) -> None:
        """Let requests in flight finish for ``seconds``, then fail them. Background work stops where it is, or
        behind the call of a tool that may change something, and continues at the next start."""
        self._closing = True
        runs = list(self._runs.values())
        for run in runs:
            if run.background and not run.steps.is_writing:
                run.cancel()
        tasks = [run.task for run in runs if run.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            while (
                late
            ):  # again: a run that is ended stores its end, and waits for a store that takes nothing any more
                for task in late:
                    task.cancel()
                _, late = await asyncio.wait(late, timeout=END_SECONDS)
        for relay in list(self._relays):
            await cancel(relay)

    # --- inside ---

    async def _hand_over(self, run: Run, items: Sequence[ItemRow], ended: Callable[[], None] | None) -> None:
        """Store a background response for a worker, and follow what becomes of it."""
        row = run.row
        if row is None:
            raise ValueError("a background response is stored")
        await self.store.create_response(row, items)
        await self.store.append_log(run.id, 0, [event_log.encode(entry) for entry in run.entries])
        run.discard()  # from now on, it is written elsewhere
        run.created()
        run.task = asyncio.create_task(self._relay(run, row), name=f"relay of {run.id}")
        self._relays.add(run.task)
        run.task.add_done_callback(self._relays.discard)
        if ended is not None:
            run.task.add_done_callback(lambda _: ended())
        await self.store.hand_over("response", run.id)

    async def _relay(self, run: Run, row: ResponseRow) -> None:
        run.begun = True
        try:
            async for entries in self._remote.entries(row, behind=len(run.entries)):
                run.replay(entries)
        finally:
            run.close()

    async def _summarise(self, call: CallContext, request: CreateResponse) -> tuple[str, ResponseUsage]:
        """Run a request for a summary as a response of its own: the text and the usage."""
        run = await self.create(CallContext(owner=call.owner, priority=call.priority), request)
        response = await run.wait()
        text = "".join(text_of(item.content) for item in response.output if isinstance(item, Message))
        return text, response.usage or NO_USAGE

    def start(
        self,
        run: Run,
        plan: RequestPlan,
        prepared: Prepared,
        *,
        prior_usage: Usage,
        ended: Callable[[], None] | None = None,
        loop: ToolLoop | None = None,
    ) -> None:
        """Start the task of a run. ``prior_usage``: tokens that went into it before; ``ended`` is called at its end."""
        generation = Generation(
            run,
            plan,
            prepared,
            clock=self.clock,
            observer=self.observer,
            heartbeat=self.settings.heartbeat_seconds,
            closing=lambda: self._closing,
            prior_usage=prior_usage,
            allowed=partial(self.allows, plan.call.owner, plan.call.key_id),
            loop=loop,
        )
        self._runs[run.id] = run
        self.in_hand.take(run.id)
        run.task = asyncio.create_task(generation.drive(), name=run.id)

        def is_over(_: asyncio.Task[None]) -> None:
            self._runs.pop(run.id, None)
            self.in_hand.release(run.id)
            if ended is not None:
                ended()

        run.task.add_done_callback(is_over)

    async def _store(self, run: Run, items: Sequence[ItemRow], *, at_end: bool) -> None:
        """Store the row and the input items of a run that has started, then publish its first events.

        ``at_end``: they are stored with the end of the run.
        """
        if at_end:
            run.defer(items)
        try:
            if run.row is not None and not at_end:
                await self.store.create_response(run.row, items)
        except BaseException:
            run.discard()
            run.cancel()
            raise
        run.created()

    def _live(self, owner: str, response_id: str) -> Run | None:
        run = self._runs.get(response_id)
        return run if run is not None and run.owner == owner and run.row is not None else None

    async def _row(self, owner: str, response_id: str) -> ResponseRow:
        row = await self.store.get_response(owner, response_id)
        if row is None:
            raise _not_found(response_id)
        return row

    def seal_for(
        self, owner: str, request: CreateResponse
    ) -> Callable[[Reasoning, ProviderState | None], Reasoning] | None:
        """How reasoning is sealed for a request that asks for it."""
        if "reasoning.encrypted_content" not in (request.include or ()):
            return None

        def seal(item: Reasoning, provider: ProviderState | None) -> Reasoning:
            return seal_reasoning(item, provider, owner=owner, sealer=self.sealer)

        return seal

    async def _folded(self, row: ResponseRow) -> list[StreamEvent]:
        stored = decode_request(row)
        fold = ResponseFold(response_at_start(decode_response(row)), self.seal_for(row.owner, stored.request))
        events = fold.start()
        for data in await self.store.read_log(row.id):
            events.extend(fold.feed(event_log.decode(data)))
        return events


async def _nothing_to_resume(response_id: str) -> None:
    """There was no crash."""


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
