"""The runs of all projects: begun, looked at, cancelled; the unfinished ones worked on, after a restart too."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import msgspec

from kodo.server.http.assistants import documents, request_translation
from kodo.server.http.assistants.documents import KeptRun
from kodo.server.http.assistants.event_translation import Told
from kodo.server.http.assistants.worker import UNFINISHED, Job, not_cancellable, not_waiting
from kodo.server.lifecycle.admission import Priority
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.records import DocumentRow
from kodo.server.lifecycle.service import Service
from kodo.server.wire import assistants as wire

logger = logging.getLogger(__name__)


class Runs:
    """What the endpoints do with runs, and the threads that these keep busy."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._busy: dict[tuple[str, str], str] = {}
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def open(self) -> None:
        """Take up what a stop or a crash left unfinished: a turn that was cut short is made again."""
        store = self.service.store
        for row in await store.unfinished_documents(documents.RUN, UNFINISHED):
            kept = msgspec.json.decode(row.body, type=KeptRun)
            await documents.clear_leftovers(store, row.owner, kept)
            self._start(Job(self.service, await self._taken_up(row, kept)))

    async def close(self) -> None:
        """Stop all work where it is; the next start goes on from there."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- threads ---

    @asynccontextmanager
    async def quiet(self, owner: str, thread_id: str) -> AsyncIterator[None]:
        """A thread on which no run is active, and none begins meanwhile.

        Raises:
            NotFound: it is not there, or not this owner's.
            InvalidRequest: a run is active on it.
        """
        async with self._lock(owner, thread_id):
            await documents.found(self.service.store, documents.THREAD, owner, thread_id)
            run_id = self._busy.get((owner, thread_id), "")
            job = self._jobs.get(run_id)
            if job is not None and job.run.status in UNFINISHED:
                raise InvalidRequest(
                    f"Thread '{thread_id}' already has an active run '{run_id}'.",
                    param="thread_id",
                    code="thread_has_active_run",
                )
            yield

    async def new_thread(self, owner: str, body: wire.CreateThread) -> wire.Thread:
        """A thread, and the messages that it begins with."""
        now = self.service.clock.now()
        thread = wire.Thread(
            id=self.service.ids.new("thread"), created_at=int(now), metadata=dict(body.metadata or {})
        )
        await self.service.store.put_document(documents.row_of(documents.THREAD, owner, thread, at=now))
        await documents.new_messages(self.service, owner, thread.id, body.messages).add(self.service.store)
        return thread

    async def delete_thread(self, owner: str, thread_id: str) -> None:
        """Delete a thread with all that is inside; a run that is active on it is stopped. NotFound: it is not there."""
        store = self.service.store
        async with self._lock(owner, thread_id):
            await documents.found(store, documents.THREAD, owner, thread_id)
            task = self._tasks.get(self._busy.get((owner, thread_id), ""))
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await store.delete_document(documents.THREAD, owner, thread_id)

    # --- runs ---

    async def create(
        self,
        owner: str,
        body: wire.CreateRun | wire.CreateThreadAndRun,
        thread_id: str | None = None,
        *,
        charge: Callable[[int], None],
    ) -> Job:
        """Begin a run on a thread, or on a new one (None). A run that is streamed has somebody who waits for it; others
        are background work.

        Raises:
            NotFound: there is no such thread, assistant or model.
            InvalidRequest: a run is active on the thread.
            BadBody: a tool, choice or format does not fit.
        """
        store = self.service.store
        row = await documents.found(store, documents.ASSISTANT, owner, body.assistant_id)
        assistant = msgspec.json.decode(row.body, type=wire.Assistant)
        now, lives = self.service.clock.now(), self.service.settings.run_seconds
        new = request_translation.new_run(
            body, assistant, thread_id or "thread", self.service.ids.new("run"), now, lives
        )
        request_translation.request(new, most=None, forced=True)
        self.service.backend(new.model)
        told: list[Told] = []
        if thread_id is None:
            given = getattr(body, "thread", None) or wire.CreateThread()
            thread = await self.new_thread(owner, given)
            told.append(("thread.created", thread))
            thread_id = thread.id
        async with self.quiet(owner, thread_id):
            more = documents.new_messages(
                self.service, owner, thread_id, getattr(body, "additional_messages", None) or ()
            )
            last = more.items[-1].id if more.items else await documents.last_item(store, owner, thread_id)
            new = msgspec.structs.replace(new, thread_id=thread_id)
            kept = KeptRun(run=new, stands_on=last)
            run_row = DocumentRow(
                kind=documents.RUN,
                id=new.id,
                owner=owner,
                parent=thread_id,
                created_at=now,
                status=new.status,
                body=msgspec.json.encode(kept),
            )
            await more.add(store, run_row)  # in one go: without the run, its messages would be there twice
            told += [("thread.run.created", new), ("thread.run.queued", new)]
            priority = Priority.INTERACTIVE if body.stream else Priority.BACKGROUND
            job = Job(self.service, run_row, priority=priority, charge=charge, told=told)
            self._start(job)
        return job

    async def get(self, owner: str, thread_id: str, run_id: str) -> wire.ThreadRun:
        """A run as it stands. NotFound: it is not there, or not this owner's."""
        row = await documents.found(self.service.store, documents.RUN, owner, run_id, parent=thread_id)
        return self.value(row)

    def value(self, row: DocumentRow) -> wire.ThreadRun:
        """The run in a document; as it stands, where it is not over."""
        job = self._jobs.get(row.id)
        return job.run if job is not None else msgspec.json.decode(row.body, type=KeptRun).run

    async def waiting(self, owner: str, thread_id: str, run_id: str) -> Job:
        """A run that may wait for outputs.

        Raises:
            NotFound: it is not there.
            InvalidRequest: it is over.
        """
        return await self._at_work(owner, thread_id, run_id, not_waiting)

    async def cancel(self, owner: str, thread_id: str, run_id: str) -> wire.ThreadRun:
        """Cancel a run; the answer says ``cancelling``.

        Raises:
            NotFound: it is not there.
            InvalidRequest: it is over.
        """
        return await (await self._at_work(owner, thread_id, run_id, not_cancellable)).cancel()

    async def update(self, owner: str, thread_id: str, run_id: str, body: wire.NewMetadata) -> wire.ThreadRun:
        """New metadata for a run. NotFound: it is not there."""
        store = self.service.store
        row = await documents.found(store, documents.RUN, owner, run_id, parent=thread_id)
        job = self._jobs.get(run_id)
        if job is not None:
            return await job.set_metadata(body)
        kept = msgspec.json.decode(row.body, type=KeptRun)
        run = documents.with_metadata(kept.run, body)
        await documents.changed(store, row, msgspec.structs.replace(kept, run=run))
        return run

    # --- inside ---

    async def _at_work(
        self, owner: str, thread_id: str, run_id: str, over: Callable[[wire.ThreadRun], InvalidRequest]
    ) -> Job:
        """A run's job. Raises NotFound; and what ``over`` makes of a run that has none any more."""
        run = await self.get(owner, thread_id, run_id)
        job = self._jobs.get(run_id)
        if job is None:
            raise over(run)
        return job

    def _lock(self, owner: str, thread_id: str) -> asyncio.Lock:
        return self._locks.setdefault((owner, thread_id), asyncio.Lock())

    async def _taken_up(self, row: DocumentRow, kept: KeptRun) -> DocumentRow:
        """The document of a run whose turn is made again."""
        if kept.run.status != "in_progress":
            return row
        queued = msgspec.structs.replace(kept, run=msgspec.structs.replace(kept.run, status="queued"))
        again = msgspec.structs.replace(
            row, status="queued", body=msgspec.json.encode(queued), version=row.version + 1
        )
        await self.service.store.update_document(again)
        return again

    def _start(self, job: Job) -> None:
        run_id, thread = job.run.id, (job.owner, job.run.thread_id)
        self._jobs[run_id], self._busy[thread] = job, run_id
        task = self._tasks[run_id] = asyncio.create_task(job.drive(), name=run_id)

        def done(ended: asyncio.Task[None]) -> None:
            del self._jobs[run_id], self._tasks[run_id]
            if self._busy.get(thread) == run_id:
                del self._busy[thread]
            if not ended.cancelled() and (error := ended.exception()) is not None:
                logger.error("run %s broke", run_id, exc_info=error)

        task.add_done_callback(done)
