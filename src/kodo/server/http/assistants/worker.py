"""One run while a server drives it: turn after turn, each a response of the lifecycle, until it ends or waits for the client.

A run that waits is given up, and is the next worker's once somebody takes it (``waiting.py``). Its document holds its state. Its
events are kept in memory, so that any number of readers can follow; the status of a run, its completed messages and its finished
steps are on disk before their events are published.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from kodo.server.http.assistants import documents, request_translation
from kodo.server.http.assistants.attachments import Attachments
from kodo.server.http.assistants.documents import StoredRun, ThreadStore
from kodo.server.http.assistants.event_translation import (
    RunEnd,
    RunEvent,
    RunEventTranslator,
    add_usage,
    end_step,
    run_usage,
)
from kodo.server.http.assistants.hosted_tools import without_content
from kodo.server.http.assistants.run_states import (
    RUN_STATUS,
    WAITING,
    ended_run,
    failed_end,
    not_cancellable,
    requiring_action,
)
from kodo.server.http.limits import Count
from kodo.server.lifecycle.admission import Priority
from kodo.server.lifecycle.broadcast import Broadcast
from kodo.server.lifecycle.context import drop_oldest
from kodo.server.lifecycle.errors import (
    Conflict,
    EngineFailed,
    InvalidRequest,
    NotFound,
    Overloaded,
    ServiceError,
    StoreFailed,
)
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.ports import Clock, ContextItem, Ids
from kodo.server.lifecycle.records import DocumentRow, ItemRow
from kodo.server.lifecycle.run import Run
from kodo.server.lifecycle.service import Service
from kodo.server.wire import assistants as wire
from kodo.server.wire import events as ev
from kodo.server.wire.decode import BadBody
from kodo.server.wire.items import FunctionCall
from kodo.server.wire.request import CreateResponse
from kodo.server.wire.response import Response

logger = logging.getLogger(__name__)

_STREAM_ENDS: Final = frozenset(f"thread.run.{status}" for status in (*RUN_STATUS.final, WAITING))
"""Events that end a stream."""
_INDEX_SECONDS: Final = 60.0
"""A turn waits a minute for the thread's files to be indexed, as the hosted API did."""
_RETRY_SECONDS: Final = 1.0
"""Pause before an end that could not be stored is tried again."""


class RunTaken(Exception):
    """This worker has the run no more: it has given it up, and others may have taken it."""


@dataclass(frozen=True)
class RunContext:
    """What a worker needs: the ports and the lifetime of runs."""

    service: Service
    store: ThreadStore
    clock: Clock
    ids: Ids
    run_seconds: float
    """Life of a run; one that is not over by then expires."""
    attachments: Attachments
    allows: Callable[[str, str | None], Awaitable[bool]]
    """Whether work of an owner, accepted from a key, may still run."""


class RunWorker:
    """Drives one run, until it ends or waits for its client. ``count`` is called with what each turn used."""

    def __init__(
        self,
        context: RunContext,
        row: DocumentRow,
        *,
        priority: Priority = Priority.BACKGROUND,
        count: Count | None = None,
        events: Sequence[RunEvent] = (),
        resumed: bool = False,
    ) -> None:
        """``resumed``: an earlier process, or another server, may have been in the middle of a turn."""
        self._context = context
        self._service = context.service
        self._store = context.store
        self._document = row
        self._stored = msgspec.json.decode(row.body, type=StoredRun)
        self._priority = priority
        self._count = count
        self._broadcast = Broadcast(events)
        self._resumed = resumed
        self._write_lock = asyncio.Lock()
        self._requested_end: Literal["cancelled", "expired"] | None = None
        self._interrupted = asyncio.Event()
        self._live_response: Run | None = None
        self._ended_steps: list[str] = []
        self._turn_result: dict[str, Any] = {}
        """What the last turn came to; stored with the end, or a crash between the two would have it made again."""
        if self.run.status == "cancelling":
            self._requested_end = "cancelled"

    @property
    def owner(self) -> str:
        """The owner of the run."""
        return self._document.owner

    @property
    def run(self) -> wire.ThreadRun:
        """The current state of the run."""
        return self._stored.run

    @property
    def overdue(self) -> bool:
        """Whether the run's time is up."""
        return self._seconds_left() <= 0

    @property
    def gave_up(self) -> bool:
        """Whether the run waits for its client, so that any server may take it."""
        return self.run.status == WAITING

    # --- for its clients ---

    async def follow(self) -> AsyncIterator[Sequence[RunEvent]]:
        """Yield the events, until the run ends or waits for the client.

        Raises:
            EngineFailed: the server stops, or the thread was deleted.
        """
        async for batch in self._broadcast.follow():
            yield batch
            if any(name in _STREAM_ENDS for name, _ in batch):
                return
        raise EngineFailed("The run stopped before it finished.")

    async def cancel(self) -> wire.ThreadRun | None:
        """Cancel the run; return it with the status ``cancelling``. None: it has been given up.

        Raises:
            InvalidRequest: it has ended or is ending.
        """
        async with self._write_lock:
            if self.gave_up:
                return None
            if self._requested_end or not RUN_STATUS.allows(self.run.status, "cancelling"):
                raise not_cancellable(self.run)
            cancelling = msgspec.structs.replace(self.run, status="cancelling", required_action=None)
            try:
                await self._update_stored(cancelling)
            except RunTaken:
                return None
            self._requested_end = "cancelled"
            run = self.run
        self._broadcast.publish(("thread.run.cancelling", run))
        await self._interrupt()
        return run

    # --- its work ---

    async def execute(self) -> None:
        """Drive the run until it ends or waits for its client. If this task is cancelled, the next start resumes the run."""
        expiring = asyncio.create_task(self._expire_at_deadline())
        try:
            if self._resumed:
                await self._undo_interrupted_turn()
            end: RunEnd | None = None
            while end is None and not self.gave_up:
                end = RunEnd(status=self._requested_end) if self._requested_end else await self._run_turn()
            if end is not None:
                await self._finish(end)
        except RunTaken:
            logger.info("run %s goes on elsewhere", self.run.id)
        except NotFound:
            logger.info("run %s ended: its thread was deleted", self.run.id)
        finally:
            expiring.cancel()
            self._broadcast.close()

    async def _undo_interrupted_turn(self) -> None:
        """Delete what a turn that was interrupted has left, and queue the run again; retry until the store takes it.

        Raises:
            NotFound: the thread was deleted.
        """
        while True:
            try:
                async with self._write_lock:
                    await documents.delete_leftovers(self._store, self.owner, self._stored)
                    if self.run.status == "in_progress":
                        queued = msgspec.structs.replace(self.run, status="queued")
                        await self._store_document(msgspec.structs.replace(self._stored, run=queued))
            except StoreFailed as error:
                logger.error("run %s could not be taken up again yet: %s", self.run.id, error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            return

    async def _run_turn(self) -> RunEnd | None:
        try:
            return await self._generate_turn()
        except (BadBody, InvalidRequest, NotFound) as error:  # of a thread that is gone, no end can be stored
            return failed_end("invalid_prompt", error.message)
        except Overloaded as error:
            return failed_end("rate_limit_exceeded", error.message)
        except ServiceError as error:
            return failed_end("server_error", error.message)
        except RunTaken:
            raise
        except Exception:
            logger.exception("run %s failed unexpectedly", self.run.id)
            return failed_end("server_error", "The server had an internal error.")
        finally:
            if self._live_response is not None:
                await self._service.stop(self._live_response)
                self._live_response = None

    async def _generate_turn(self) -> RunEnd | None:
        """Generate one response. Returns None if the run continues after the outputs of its calls."""
        run, spent = self.run, self._stored.spent
        if not await self._context.allows(self.owner, self._stored.key_id):
            return failed_end("server_error", "The API key of this run was revoked.")
        max_output_tokens = None
        if run.max_completion_tokens is not None:
            max_output_tokens = run.max_completion_tokens - spent.completion_tokens
            if max_output_tokens < 1:
                return RunEnd(status="incomplete", limit="max_completion_tokens")
        request = request_translation.turn_request(
            self._stored.asked,
            max_output_tokens=max_output_tokens,
            allow_forced_call=not self._stored.called,
            resources=self._stored.resources,
            hosted=self._service.tools,
        )
        await self._await_index()
        context = await self._thread_context(request)
        if context is None:
            return RunEnd(status="incomplete", limit="max_prompt_tokens")
        call = CallContext(
            owner=self.owner,
            key_id=self._stored.key_id,
            priority=self._priority,
            streamed=self._priority is Priority.INTERACTIVE,
            local={run.thread_id: context},
            paired=False,  # a run that expired leaves calls in its thread
        )
        response = self._live_response = await self._service.create(call, request)
        if self._requested_end:
            await self._service.stop(response)
        translator = RunEventTranslator(run, self._context.ids.new, self._now)
        async for batch in response.events():
            for event in batch:
                if isinstance(event, ev.ResponseInProgress):
                    await self._mark_in_progress()
                for run_event in translator.translate(event):
                    await self._store_and_publish(run_event)
        return await self._store_turn(response, translator)

    async def _await_index(self) -> None:
        """Wait for files that were attached to the thread a moment ago: a search would not find them."""
        if not any(isinstance(tool, wire.AssistantFileSearch) for tool in self.run.tools):
            return
        row = await documents.get_document(self._store, documents.THREAD, self.owner, self.run.thread_id)
        resources = msgspec.json.decode(row.body, type=wire.Thread).tool_resources
        indexed = asyncio.create_task(self._context.attachments.wait_until_indexed(self.owner, resources))
        ended = asyncio.create_task(self._interrupted.wait())
        try:
            waited = (indexed, ended)
            await asyncio.wait(waited, timeout=_INDEX_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if indexed.done():
                indexed.result()  # raises what the store did
        finally:
            indexed.cancel()
            ended.cancel()

    async def _thread_context(self, request: CreateResponse) -> tuple[ContextItem, ...] | None:
        """Return the part of the thread that the model receives; None if not even its last item fits
        ``max_prompt_tokens``."""
        run = self.run
        items = await self._store.all_items(self.owner, run.thread_id)
        start = documents.index_after(items, self._stored.last_item_at_start)
        history = tuple(items[:start])
        if run.truncation_strategy.last_messages is not None:
            history = request_translation.keep_last_messages(history, run.truncation_strategy.last_messages)
        context = (*history, *items[start:])
        if run.max_prompt_tokens is None:
            return context
        budget = run.max_prompt_tokens - self._stored.spent.prompt_tokens
        backend, call = self._service.backend(run.model), CallContext(owner=self.owner)
        while True:
            prepared, _ = await self._service.prompts.prepare(call, request, backend, context)
            if prepared.input_tokens <= budget:
                return context
            context, dropped = drop_oldest(
                prepared.prompt.items, prepared.item_tokens, prepared.input_tokens - budget
            )
            if dropped == 0:
                return None

    async def _mark_in_progress(self) -> None:
        """Report that the engine is working; repeated while nothing else is reported."""
        async with self._write_lock:
            if self.run.status == "queued":
                started = self.run.started_at or int(self._now())
                await self._update_stored(
                    msgspec.structs.replace(self.run, status="in_progress", started_at=started)
                )
            run = self.run
        if run.status == "in_progress":
            self._broadcast.publish(("thread.run.in_progress", run))

    async def _store_turn(self, response: Run, translator: RunEventTranslator) -> RunEnd | None:
        """Store the result of a turn: its items in the thread, its tokens in the run; then the end, or the required
        calls."""
        final = response.response
        usage = run_usage(final.usage)
        if self._count is not None:
            self._count(final.usage)
        rows = response.output_rows()
        calls = tuple(row for row in rows if isinstance(row.context.item, FunctionCall))
        message_rows = tuple(row for row in rows if row not in calls)
        if message_rows:
            await self._store.append_items(self.owner, self.run.thread_id, message_rows)
        end = self._end_after(final, bool(calls))
        for run_event in translator.finish(end, usage):
            await self._store_and_publish(run_event)
        stored = self._stored
        turn_result: dict[str, Any] = {
            "items": (*stored.items, *(row.id for row in message_rows)),
            "steps": (*stored.steps, *self._ended_steps),
            "spent": add_usage(stored.spent, usage),
            "called": stored.called or bool(calls),
        }
        self._ended_steps.clear()
        if end is not None:
            self._turn_result = turn_result
        elif translator.calls_step is not None:
            await self._store_step(translator.calls_step)
            await self._give_up(calls, translator.calls_step, **turn_result)
        else:
            async with self._write_lock:
                await self._update_stored(self.run, **turn_result)
        return end

    async def _give_up(self, calls: tuple[ItemRow, ...], step: wire.RunStep, **turn_result: Any) -> None:
        """Store that the run waits for the outputs of its calls, which ends this worker's part in it; not if it is to end.

        Retried until the store takes it: a write that was called failed may have been kept, and then the run may be another
        server's already.
        """
        while not self.gave_up:
            try:
                async with self._write_lock:
                    run = self.run if self._requested_end else requiring_action(self.run, calls)
                    await self._update_stored(run, pending=calls, step=step, **turn_result)
                break
            except StoreFailed as error:
                logger.error("that run %s waits could not be stored: %s", self.run.id, error)
                await asyncio.sleep(_RETRY_SECONDS)
        if self.gave_up:
            self._broadcast.publish(("thread.run.requires_action", self.run))

    def _end_after(self, final: Response, calls: bool) -> RunEnd | None:
        if self._requested_end:
            return RunEnd(status=self._requested_end)
        if final.status == "completed":
            return None if calls else RunEnd(status="completed")
        if final.status == "incomplete":
            reason = final.incomplete_details.reason if final.incomplete_details is not None else None
            filtered = reason == "content_filter"
            return RunEnd(
                status="incomplete", filtered=filtered, limit=None if filtered else "max_completion_tokens"
            )
        return failed_end(
            "server_error", final.error.message if final.error else "The answer ended unexpectedly."
        )

    async def _finish(self, end: RunEnd) -> None:
        """Store the end, and retry until that succeeds; a turn that could not be stored completely is deleted."""
        now = int(self._now())
        while True:
            events: list[RunEvent] = []
            try:
                if end.status == "failed":
                    stored = msgspec.structs.replace(self._stored, **self._turn_result)
                    await documents.delete_leftovers(self._store, self.owner, stored)
                async with self._write_lock:
                    if self.run.status == "cancelling":
                        end = RunEnd(status="cancelled")
                    if self._stored.step is not None and end.status in ("cancelled", "expired"):
                        events.append(end_step(self._stored.step, end.status, now, None))
                        await self._store_step(events[0][1])
                    run = ended_run(self.run, end, self._turn_result.get("spent", self._stored.spent), now)
                    await self._update_stored(run, **self._turn_result, pending=(), step=None)
                    run = self.run
            except StoreFailed as error:
                logger.error("the end of run %s could not be stored: %s", self.run.id, error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._broadcast.publish(*events, (f"thread.run.{end.status}", run))
            return

    async def _expire_at_deadline(self) -> None:
        await asyncio.sleep(self._seconds_left())
        if self._requested_end is None:
            self._requested_end = "expired"
            await self._interrupt()

    def _seconds_left(self) -> float:
        return self._document.created_at + self._context.run_seconds - self._now()

    async def _interrupt(self) -> None:
        """Tell the turn that it must end."""
        self._interrupted.set()
        if self._live_response is not None:
            await self._service.stop(self._live_response)

    # --- keeping and telling ---

    async def _store_and_publish(self, run_event: RunEvent) -> None:
        """Publish an event, after storing the object that it reports as complete."""
        _, value = run_event
        if isinstance(value, wire.ThreadMessage) and value.status != "in_progress":
            row = documents.new_document(
                documents.MESSAGE, self.owner, value, parent=self.run.thread_id, at=self._now()
            )
            await self._store.append_items(self.owner, self.run.thread_id, (), [row])
        elif isinstance(value, wire.RunStep) and value.status != "in_progress":
            await self._store_step(value)
            self._ended_steps.append(value.id)
            run_event = (run_event[0], without_content(value))
        self._broadcast.publish(run_event)

    async def _store_step(self, step: wire.RunStep) -> None:
        store = self._store
        row = await store.get_document(documents.STEP, self.owner, step.id)
        if row is not None:
            await documents.update_document(store, row, step)
        else:
            run_id = self.run.id
            new = documents.new_document(documents.STEP, self.owner, step, parent=run_id, at=self._now())
            await store.append_items(self.owner, run_id, (), [new])

    async def _update_stored(self, run: wire.ThreadRun, **changes: Any) -> None:
        """Update the run's document. Hold ``_write_lock``."""
        if run.status != self.run.status:
            RUN_STATUS.transition(self.run.status, run.status)
        await self._store_document(msgspec.structs.replace(self._stored, run=run, **changes))

    async def _store_document(self, stored: StoredRun) -> None:
        """Replace the run's document. Hold ``_write_lock``.

        Nobody else changes it while it is driven, but a client its metadata, at any server: those are kept.

        Raises:
            RunTaken: it was given up before, so that another worker may drive it, or have brought it to its end.
        """
        while True:
            row = msgspec.structs.replace(
                self._document,
                version=self._document.version + 1,
                status=stored.run.status,
                body=msgspec.json.encode(stored),
            )
            try:
                await self._store.update_document(row, release=stored.run.status == WAITING)
            except Conflict:
                self._document = await documents.get_document(
                    self._store, documents.RUN, self.owner, self._document.id
                )
                found = msgspec.json.decode(self._document.body, type=StoredRun)
                if found.takes != stored.takes:
                    raise RunTaken from None
                if found.run.status == WAITING:  # given up by a write that was called failed
                    self._stored = found
                    if stored.run.status != WAITING:
                        raise RunTaken from None
                    return
                run = msgspec.structs.replace(stored.run, metadata=found.run.metadata)
                stored = msgspec.structs.replace(stored, run=run)
                continue
            self._document, self._stored = row, stored
            return

    def _now(self) -> float:
        return self._context.clock.now()
