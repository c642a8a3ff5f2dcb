"""The registry of runs: creates, retrieves and cancels them, and drives the unfinished ones, after a restart too."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from weakref import WeakValueDictionary

import msgspec

from kodo.server.http.assistants import documents, request_translation
from kodo.server.http.assistants.defaults import shown_thread, with_sampling
from kodo.server.http.assistants.documents import AskedSampling, StoredRun
from kodo.server.http.assistants.event_translation import RunEvent
from kodo.server.http.assistants.hosted_tools import RunResources, run_resources
from kodo.server.http.assistants.run_states import RUN_STATUS, not_accepting_outputs, not_cancellable
from kodo.server.http.assistants.worker import RunContext, RunWorker
from kodo.server.http.limits import Count
from kodo.server.lifecycle.admission import Priority
from kodo.server.lifecycle.errors import Conflict, EngineFailed, InvalidRequest, StoreFailed
from kodo.server.lifecycle.in_hand import InHand
from kodo.server.lifecycle.records import DocumentRow, Page
from kodo.server.wire import assistants as wire

logger = logging.getLogger(__name__)


CANCEL = "run.cancel"
"""The request to a run's owner that it end as cancelled."""
_CANCEL_POLL_SECONDS = 0.5
_CANCEL_TRIES = 120
_OVERDUE_SECONDS = 5.0
"""How long a start waits for the ends of runs that are overdue: a store that takes none must not stop it."""


class RunManager:
    """The runs of all projects, and the threads on which they are active."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._workers: dict[str, RunWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._followers: set[asyncio.Task[None]] = set()
        self._in_hand = InHand()
        self._active_runs: dict[tuple[str, str], str] = {}
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def open(self) -> None:
        """Resume the unfinished runs; an interrupted turn is repeated.

        A run whose time ran out while the server was down has expired before anybody can read it.
        """
        await self.adopt()
        overdue = [self._tasks[run_id] for run_id, worker in self._workers.items() if worker.overdue]
        if overdue:
            await asyncio.wait(overdue, timeout=_OVERDUE_SECONDS)

    async def adopt(self) -> None:
        """Take up the runs that a server which is gone has left, and this one's that nothing drives."""
        store = self._context.store
        for row in await self._in_hand.left(
            lambda: store.unfinished_documents(documents.RUN, RUN_STATUS.unfinished)
        ):
            self._start_worker(RunWorker(self._context, row, resumed=True))

    async def cancel_by_id(self, run_id: str, _: bytes = b"") -> None:
        """Cancel a run that is driven here, because another server asks for it."""
        if (worker := self._workers.get(run_id)) is not None:
            await worker.cancel()

    async def close(self) -> None:
        """Stop all workers; the next start resumes their runs."""
        tasks = [*self._tasks.values(), *self._followers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- threads ---

    @asynccontextmanager
    async def idle_thread(self, owner: str, thread_id: str) -> AsyncIterator[None]:
        """Hold a thread on which no run is active; no run of this server can begin inside the block.

        Another server's can: what the block changes of the thread is written with the condition ``documents.IDLE``.

        Raises:
            NotFound: it does not exist, or belongs to another owner.
            InvalidRequest: a run is active on it.
        """
        async with self._lock(owner, thread_id):
            await documents.get_document(self._context.store, documents.THREAD, owner, thread_id)
            await self._check_idle(owner, thread_id)
            try:
                yield
            except Conflict:
                await self._check_idle(owner, thread_id)
                raise

    async def create_thread(self, owner: str, body: wire.CreateThread) -> wire.Thread:
        """Create a thread with its initial messages."""
        now = self._context.clock.now()
        thread = wire.Thread(
            id=self._context.ids.new("thread"),
            created_at=int(now),
            metadata=dict(body.metadata or {}),
            tool_resources=body.tool_resources,
        )
        await self._context.store.put_document(
            documents.new_document(documents.THREAD, owner, thread, at=now)
        )
        await documents.build_messages(
            self._context.ids, self._context.clock.now(), owner, thread.id, body.messages
        ).add(self._context.store)
        return thread

    async def delete_thread(self, owner: str, thread_id: str) -> None:
        """Delete a thread with its messages and runs; stop a run that is active on it. Raises ``NotFound``."""
        store = self._context.store
        async with self._lock(owner, thread_id):
            await documents.get_document(store, documents.THREAD, owner, thread_id)
            task = self._tasks.get(self._active_runs.get((owner, thread_id), ""))
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await store.delete_document(documents.THREAD, owner, thread_id)

    async def _check_idle(self, owner: str, thread_id: str) -> None:
        """Refuse a thread whose newest run has not ended. Raises InvalidRequest."""
        rows, _ = await self._context.store.list_documents(
            documents.RUN, owner, Page(limit=1), parent=thread_id
        )
        for row in rows:
            if row.status in RUN_STATUS.unfinished:
                raise InvalidRequest(
                    f"Thread '{thread_id}' already has an active run '{row.id}'.",
                    param="thread_id",
                    code="thread_has_active_run",
                )

    # --- runs ---

    async def create(
        self,
        owner: str,
        body: wire.CreateRun | wire.CreateThreadAndRun,
        thread_id: str | None = None,
        *,
        count: Count,
        key_id: str | None = None,
    ) -> RunWorker:
        """Create a run on a thread, or on a new one (None). A streamed run has the priority of a waiting client; others
        are background work.

        Raises:
            NotFound: the thread, the assistant or the model does not exist.
            InvalidRequest: a run is active on the thread.
            BadBody: a tool, choice or format is invalid.
        """
        store = self._context.store
        row = await documents.get_document(store, documents.ASSISTANT, owner, body.assistant_id)
        assistant = msgspec.json.decode(row.body, type=wire.Assistant)
        now, lifetime = self._context.clock.now(), self._context.run_seconds
        resources = await self._resources(owner, body, assistant, thread_id)
        new = request_translation.build_run(
            body, assistant, thread_id or "thread", self._context.ids.new("run"), now, lifetime
        )
        request_translation.turn_request(
            new,
            max_output_tokens=None,
            allow_forced_call=True,
            resources=resources,
            hosted=self._context.service.tools,
        )
        asked = AskedSampling(temperature=new.temperature, top_p=new.top_p)
        self._context.service.backend(new.model)
        new = with_sampling(new, self._context.service.models)
        events: list[RunEvent] = []
        if thread_id is None:
            thread_body = getattr(body, "thread", None) or wire.CreateThread()
            thread = await self.create_thread(owner, thread_body)
            events.append(("thread.created", shown_thread(thread)))
            thread_id = thread.id
        async with self.idle_thread(owner, thread_id):
            messages = documents.build_messages(
                self._context.ids,
                self._context.clock.now(),
                owner,
                thread_id,
                getattr(body, "additional_messages", None) or (),
            )
            last = (
                messages.items[-1].id
                if messages.items
                else await documents.last_item_id(store, owner, thread_id)
            )
            new = msgspec.structs.replace(new, thread_id=thread_id)
            stored = StoredRun(
                run=new, asked_sampling=asked, last_item_at_start=last, key_id=key_id, resources=resources
            )
            run_row = DocumentRow(
                kind=documents.RUN,
                id=new.id,
                owner=owner,
                parent=thread_id,
                created_at=now,
                status=new.status,
                body=msgspec.json.encode(stored),
            )
            await self._put_run(messages, run_row)
            events += [("thread.run.created", new), ("thread.run.queued", new)]
            priority = Priority.INTERACTIVE if body.stream else Priority.BACKGROUND
            worker = RunWorker(self._context, run_row, priority=priority, count=count, events=events)
            self._start_worker(worker)
        return worker

    async def _put_run(self, messages: documents.NewMessages, run_row: DocumentRow) -> None:
        """Store a run with its messages: without the run, they would be there twice when it is created again."""
        self._in_hand.take(run_row.id)
        try:
            await messages.add(self._context.store, run_row)
        except BaseException:
            self._in_hand.release(run_row.id)
            raise

    async def _resources(
        self,
        owner: str,
        body: wire.CreateRun | wire.CreateThreadAndRun,
        assistant: wire.Assistant,
        thread_id: str | None,
    ) -> RunResources:
        """What the tools of a run work on."""
        if thread_id is not None:
            row = await documents.get_document(self._context.store, documents.THREAD, owner, thread_id)
            thread = msgspec.json.decode(row.body, type=wire.Thread)
            return run_resources(assistant.tool_resources, thread.tool_resources)
        if isinstance(body, wire.CreateRun):
            return run_resources(assistant.tool_resources)
        of_thread = None if body.thread is None else body.thread.tool_resources
        return run_resources(body.tool_resources or assistant.tool_resources, of_thread)

    def call_when_idle(self, worker: RunWorker, position: int, callback: Callable[[], None]) -> None:
        """Call a function once a run is over, or waits for its client."""

        async def follow() -> None:
            try:
                with suppress(EngineFailed):  # stopped before its end, which is as good as over
                    async for _ in worker.follow(position):
                        pass
            finally:
                callback()

        task = asyncio.create_task(follow())
        self._followers.add(task)
        task.add_done_callback(self._followers.discard)

    async def get(self, owner: str, thread_id: str, run_id: str) -> wire.ThreadRun:
        """Return the current state of a run. Raises ``NotFound``."""
        row = await documents.get_document(
            self._context.store, documents.RUN, owner, run_id, parent=thread_id
        )
        return self.current(row)

    def current(self, row: DocumentRow) -> wire.ThreadRun:
        """Return the run in a document; its current state if it has not ended."""
        run = msgspec.json.decode(row.body, type=StoredRun).run
        worker = self._workers.get(row.id)
        if worker is None:
            return run
        return msgspec.structs.replace(
            worker.run, metadata=run.metadata
        )  # another server may have changed them

    async def get_accepting_outputs(self, owner: str, thread_id: str, run_id: str) -> RunWorker:
        """Return the worker of a run that may accept tool outputs.

        Raises:
            NotFound: it does not exist.
            InvalidRequest: it has ended.
        """
        return await self._get_worker(owner, thread_id, run_id, not_accepting_outputs)

    async def cancel(self, owner: str, thread_id: str, run_id: str) -> wire.ThreadRun:
        """Cancel a run; the answer says ``cancelling``.

        Raises:
            NotFound: it does not exist.
            InvalidRequest: it has ended.
        """
        store = self._context.store
        if store.shared and run_id not in self._workers:
            before = await self.get(owner, thread_id, run_id)
            await self._cancel_elsewhere(owner, thread_id, run_id)
            run = await self.get(owner, thread_id, run_id)
            if before.status in RUN_STATUS.unfinished and run.status in ("cancelling", "cancelled"):
                return run
        return await (await self._get_worker(owner, thread_id, run_id, not_cancellable)).cancel()

    async def _cancel_elsewhere(self, owner: str, thread_id: str, run_id: str) -> None:
        """Have the server that drives a run cancel it, and wait until it is over or being cancelled."""
        store = self._context.store
        for _ in range(_CANCEL_TRIES):
            run = await self.get(owner, thread_id, run_id)
            if run_id in self._workers or run.status not in ("queued", "in_progress", "requires_action"):
                return
            told = asyncio.create_task(store.wait_for_news(run_id, _CANCEL_POLL_SECONDS))
            await store.ask_owner(CANCEL, run_id)
            await told
        raise StoreFailed("The server that drives this run does not answer; try again.")

    async def update(self, owner: str, thread_id: str, run_id: str, body: wire.NewMetadata) -> wire.ThreadRun:
        """Replace the metadata of a run. Raises ``NotFound``."""
        store = self._context.store
        row = await documents.get_document(store, documents.RUN, owner, run_id, parent=thread_id)
        worker = self._workers.get(run_id)
        if worker is not None:
            return await worker.set_metadata(body)
        stored = msgspec.json.decode(row.body, type=StoredRun)
        run = documents.replace_metadata(stored.run, body)
        await documents.update_document(store, row, msgspec.structs.replace(stored, run=run))
        return run

    # --- inside ---

    async def _get_worker(
        self, owner: str, thread_id: str, run_id: str, refusal: Callable[[wire.ThreadRun], InvalidRequest]
    ) -> RunWorker:
        """Return the worker of a run. Raises ``NotFound``, or the error that ``refusal`` builds if the run has no
        worker."""
        run = await self.get(owner, thread_id, run_id)
        worker = self._workers.get(run_id)
        if worker is not None:
            return worker
        if self._context.store.shared and run.status in RUN_STATUS.unfinished:
            raise InvalidRequest(
                f"Another server drives run '{run_id}'; its tools' outputs must be sent there.",
                param="run_id",
                code="run_on_another_server",
            )
        raise refusal(run)

    def _lock(self, owner: str, thread_id: str) -> asyncio.Lock:
        return self._locks.setdefault((owner, thread_id), asyncio.Lock())

    def _start_worker(self, worker: RunWorker) -> None:
        run_id, thread = worker.run.id, (worker.owner, worker.run.thread_id)
        self._in_hand.take(run_id)
        self._workers[run_id], self._active_runs[thread] = worker, run_id
        task = self._tasks[run_id] = asyncio.create_task(worker.execute(), name=run_id)

        def done(ended: asyncio.Task[None]) -> None:
            del self._workers[run_id], self._tasks[run_id]
            self._in_hand.release(run_id)
            if self._active_runs.get(thread) == run_id:
                del self._active_runs[thread]
            if not ended.cancelled() and (error := ended.exception()) is not None:
                logger.error("run %s failed unexpectedly", run_id, exc_info=error)

        task.add_done_callback(done)
