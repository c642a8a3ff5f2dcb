"""The registry of runs: creates, retrieves and cancels them, and drives the unfinished ones, after a restart too.

A run that waits for its client is driven by nobody; this server takes it when it gets its outputs or is asked to cancel it, and ends
it when its time is up. So does every other server on the same store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from weakref import WeakValueDictionary

import msgspec

from kodo.server.http.assistants import documents, request_translation
from kodo.server.http.assistants.attachments import attaches_to_search
from kodo.server.http.assistants.defaults import shown_thread, with_sampling
from kodo.server.http.assistants.documents import AskedSampling, StoredRun
from kodo.server.http.assistants.event_translation import RunEvent
from kodo.server.http.assistants.hosted_tools import RunResources, run_resources
from kodo.server.http.assistants.run_states import (
    DRIVEN,
    RUN_STATUS,
    WAITING,
    not_accepting_outputs,
    not_cancellable,
)
from kodo.server.http.assistants.waiting import WaitingRun
from kodo.server.http.assistants.worker import RunContext, RunWorker
from kodo.server.http.limits import Count
from kodo.server.http.retrying import retry_conflicts
from kodo.server.lifecycle.admission import Priority
from kodo.server.lifecycle.errors import Conflict, EngineFailed, InvalidRequest, NotFound, StoreFailed
from kodo.server.lifecycle.in_hand import InHand
from kodo.server.lifecycle.records import DocumentRow, Page
from kodo.server.lifecycle.supervised import cancel, supervise_every
from kodo.server.wire import assistants as wire

logger = logging.getLogger(__name__)


CANCEL = "run.cancel"
"""The request to a run's owner that it end as cancelled."""
_CANCEL_POLL_SECONDS = 0.5
_CANCEL_TRIES = 120
_OVERDUE_SECONDS = 5.0
"""How long a start waits for the ends of runs that are overdue: a store that takes none must not stop it."""
EXPIRY_SECONDS = 1.0
"""Pause between two looks for runs that have waited too long."""


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
        self._expiring: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Resume the unfinished runs; an interrupted turn is repeated.

        A run whose time ran out while the server was down has expired before anybody can read it.
        """
        await self.adopt()
        overdue = [self._tasks[run_id] for run_id, worker in self._workers.items() if worker.overdue]
        waiting = asyncio.create_task(self._expire_waiting())
        await asyncio.wait((waiting, *overdue), timeout=_OVERDUE_SECONDS)
        await cancel(waiting)  # what has failed of it is tried again in a moment, and logged
        self._expiring = supervise_every("the expiry of runs that wait", EXPIRY_SECONDS, self._expire_waiting)

    async def _expire_waiting(self) -> None:
        """End the runs whose time ran out while they waited for their clients, whichever server drove them."""
        before = self._context.clock.now() - self._context.run_seconds
        rows = await self._context.store.documents_before(documents.RUN, (WAITING,), before)
        ends = await asyncio.gather(*(self._expire(row) for row in rows), return_exceptions=True)
        for end in ends:  # all were tried before one is an error
            if end is not None:
                raise end

    async def _expire(self, row: DocumentRow) -> None:
        with suppress(Conflict, NotFound):  # another server has ended or taken it, or its thread was deleted
            await WaitingRun(self._context, row).expire()

    async def adopt(self) -> None:
        """Take up the runs that a server which is gone has left, and this one's that nothing drives."""
        store = self._context.store
        for row in await self._in_hand.left(lambda: store.unfinished_documents(documents.RUN, DRIVEN)):
            self._start_worker(RunWorker(self._context, row, resumed=True))

    async def cancel_by_id(self, run_id: str, _: bytes = b"") -> None:
        """Cancel a run that is driven here, because another server asks for it."""
        if (worker := self._workers.get(run_id)) is not None:
            await worker.cancel()

    async def close(self) -> None:
        """Stop all workers; the next start resumes their runs."""
        await cancel(self._expiring)
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

    async def create_thread(self, owner: str, body: wire.CreateThread, param: str = "") -> wire.Thread:
        """Create a thread with its initial messages. ``param``: in front of the names of its fields, in errors."""
        now = self._context.clock.now()
        attached = self._context.attachments.attached(
            owner, body.tool_resources, body.messages, f"{param}messages[{{}}]."
        )
        async with attached as resources:
            thread = wire.Thread(
                id=self._context.ids.new("thread"),
                created_at=int(now),
                metadata=dict(body.metadata or {}),
                tool_resources=resources,
            )
            await self._context.store.put_document(
                documents.new_document(documents.THREAD, owner, thread, at=now)
            )
        await documents.build_messages(
            self._context.ids, self._context.clock.now(), owner, thread.id, body.messages
        ).add(self._context.store)
        return thread

    async def add_message(self, owner: str, thread_id: str, body: wire.CreateMessage) -> wire.ThreadMessage:
        """Add a message to a thread, with its files.

        Raises:
            NotFound: the thread or a file does not exist.
            InvalidRequest: a run is active on the thread, or a file cannot join it.
        """
        async with self.idle_thread(owner, thread_id):
            await self._attach(owner, thread_id, [body], "")
            new = documents.build_messages(
                self._context.ids, self._context.clock.now(), owner, thread_id, [body]
            )
            (message,) = await new.add(self._context.store)
        return message

    async def _attach(
        self, owner: str, thread_id: str, messages: Sequence[wire.CreateMessage], param: str
    ) -> wire.ToolResources | None:
        """Add the files of new messages to a thread; what its tools work on then."""

        async def change() -> wire.ToolResources | None:
            store = self._context.store
            row = await documents.get_document(store, documents.THREAD, owner, thread_id)
            thread = msgspec.json.decode(row.body, type=wire.Thread)
            known = thread.tool_resources
            async with self._context.attachments.attached(owner, known, messages, param) as resources:
                if resources != known:
                    thread = msgspec.structs.replace(thread, tool_resources=resources)
                    await documents.update_document(store, row, thread)
            return resources

        return await retry_conflicts(change)

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
        additional = getattr(body, "additional_messages", None) or ()
        thread_body = getattr(body, "thread", None) or wire.CreateThread()
        joining = (*additional, *(thread_body.messages if thread_id is None else ()))
        if attaches_to_search(joining) and not resources.vector_store_ids:
            resources = msgspec.structs.replace(resources, vector_store_ids=("vs_of_the_thread",))
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
            thread = await self.create_thread(owner, thread_body, "thread.")
            events.append(("thread.created", shown_thread(thread)))
            thread_id = thread.id
        async with self.idle_thread(owner, thread_id):
            of_thread = await self._attach(owner, thread_id, additional, "additional_messages[{}].")
            given = body.tool_resources if isinstance(body, wire.CreateThreadAndRun) else None
            resources = run_resources(given or assistant.tool_resources, of_thread)
            messages = documents.build_messages(
                self._context.ids, self._context.clock.now(), owner, thread_id, additional
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
        with self._becoming_ours(run_row.id):
            await messages.add(self._context.store, run_row)

    @contextmanager
    def _becoming_ours(self, run_id: str) -> Iterator[None]:
        """Store inside the block that a run is this server's; behind it a worker is started. If the block fails, and the store
        has it all the same, it is taken up as one that nobody drives."""
        self._in_hand.take(run_id)
        try:
            yield
        except BaseException:
            self._in_hand.release(run_id)
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

    def call_when_idle(self, worker: RunWorker, callback: Callable[[], None]) -> None:
        """Call a function once a run is over, or waits for its client."""

        async def follow() -> None:
            try:
                with suppress(EngineFailed):  # stopped before its end, which is as good as over
                    async for _ in worker.follow():
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
        worker = self._driver(row.id)
        if worker is None:
            return run
        return msgspec.structs.replace(worker.run, metadata=run.metadata)  # they are changed in the document

    async def submit(
        self, owner: str, thread_id: str, run_id: str, body: wire.SubmitToolOutputs, *, count: Count
    ) -> RunWorker:
        """Give a run the outputs of its calls, whichever server drove it before, and drive it from here.

        Raises:
            NotFound: it does not exist.
            InvalidRequest: it does not wait for these outputs.
            StoreFailed: the outputs were not accepted; they can be submitted again.
        """
        async with self._lock(owner, thread_id):
            return await retry_conflicts(lambda: self._submit(owner, thread_id, run_id, body, count))

    async def _submit(
        self, owner: str, thread_id: str, run_id: str, body: wire.SubmitToolOutputs, count: Count
    ) -> RunWorker:
        row = await self._settled(owner, thread_id, run_id)
        if row.status != WAITING:
            raise not_accepting_outputs(self.current(row))
        waiting = WaitingRun(self._context, row)
        if waiting.overdue:
            await waiting.expire()
            raise not_accepting_outputs(await self.get(owner, thread_id, run_id))
        with self._becoming_ours(run_id):
            try:
                taken, events = await waiting.submit(body.tool_outputs)
            except Conflict:
                if self._context.store.shared:
                    await self._check_takeable(row)
                raise
        priority = Priority.INTERACTIVE if body.stream else Priority.BACKGROUND
        worker = RunWorker(self._context, taken, priority=priority, count=count, events=events)
        self._start_worker(worker)
        return worker

    async def _check_takeable(self, row: DocumentRow) -> None:
        """Refuse a run that could not be taken although nobody has changed it: a server of an earlier version drives it while it
        waits. Raises InvalidRequest."""
        found = await self._context.store.get_document(documents.RUN, row.owner, row.id)
        if found is not None and found.version == row.version:
            raise InvalidRequest(
                f"A server of an earlier version drives run '{row.id}'; its tools' outputs must be sent there.",
                param="run_id",
                code="run_on_another_server",
            )

    async def cancel(self, owner: str, thread_id: str, run_id: str) -> wire.ThreadRun:
        """Cancel a run, whichever server drives it; the answer says ``cancelling``.

        Raises:
            NotFound: it does not exist.
            InvalidRequest: it has ended.
            StoreFailed: the server that drives it does not answer.
        """
        store = self._context.store
        for attempt in range(_CANCEL_TRIES):
            run = await self.get(owner, thread_id, run_id)
            cancelled: wire.ThreadRun | None = None
            if (worker := self._driver(run_id)) is not None:
                cancelled = await worker.cancel()
            elif run.status == WAITING:
                cancelled = await self._cancel_waiting(owner, thread_id, run_id)
            elif attempt and run.status in ("cancelling", "cancelled"):  # by the server that was asked
                cancelled = run
            elif run.status not in ("queued", "in_progress") or not store.shared:
                raise not_cancellable(run)
            if cancelled is not None:
                return cancelled
            if store.shared and worker is None:
                await self._ask_driver(run_id)
        raise StoreFailed("The server that drives this run does not answer; try again.")

    async def _ask_driver(self, run_id: str) -> None:
        """Ask the server that drives a run to cancel it, and wait for a moment."""
        store = self._context.store
        told = asyncio.create_task(store.wait_for_news(run_id, _CANCEL_POLL_SECONDS))
        await store.ask_owner(CANCEL, run_id)
        await told

    async def _cancel_waiting(self, owner: str, thread_id: str, run_id: str) -> wire.ThreadRun | None:
        """Cancel a run that waits for its client. None: it does not, or was changed at this moment."""
        async with self._lock(owner, thread_id):
            row = await self._settled(owner, thread_id, run_id)
            if row.status != WAITING:
                return None
            try:
                with self._becoming_ours(run_id):
                    taken = await WaitingRun(self._context, row).cancel()
            except Conflict:
                return None
            worker = RunWorker(self._context, taken)
            self._start_worker(worker)
            return worker.run

    async def update(self, owner: str, thread_id: str, run_id: str, body: wire.NewMetadata) -> wire.ThreadRun:
        """Replace the metadata of a run. Raises ``NotFound``."""
        store = self._context.store
        row = await documents.get_document(store, documents.RUN, owner, run_id, parent=thread_id)
        stored = msgspec.json.decode(row.body, type=StoredRun)
        run = documents.replace_metadata(stored.run, body)
        await documents.update_document(store, row, msgspec.structs.replace(stored, run=run))
        return run

    # --- inside ---

    def _driver(self, run_id: str) -> RunWorker | None:
        """The worker that drives a run here."""
        worker = self._workers.get(run_id)
        return None if worker is None or worker.gave_up else worker

    async def _settled(self, owner: str, thread_id: str, run_id: str) -> DocumentRow:
        """A run's document, once a worker that has just given it up here is gone. Raises ``NotFound``.

        Hold the lock of its thread.
        """
        store = self._context.store
        row = await documents.get_document(store, documents.RUN, owner, run_id, parent=thread_id)
        task = self._tasks.get(run_id)
        if row.status == WAITING and task is not None:
            await asyncio.wait((task,))
            row = await documents.get_document(store, documents.RUN, owner, run_id, parent=thread_id)
        return row

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
