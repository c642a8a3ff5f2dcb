"""The life of one run: turn after turn, each a response of the lifecycle, until it ends or waits for the client.

Its document says where it stands. What it tells is kept in memory, so that any number of readers can follow; the
status of a run, its whole messages and its finished steps are on disk before they are told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, Literal

import msgspec

from kodo.server.http.assistants import documents, request_translation
from kodo.server.http.assistants.documents import KeptRun
from kodo.server.http.assistants.event_translation import End, Told, Translator, ended_step, plus, run_usage
from kodo.server.lifecycle.admission import Priority
from kodo.server.lifecycle.context import drop_oldest, new_row
from kodo.server.lifecycle.errors import (
    EngineFailed,
    InvalidRequest,
    NotFound,
    Overloaded,
    ServiceError,
    StoreFailed,
)
from kodo.server.lifecycle.plan import CallContext
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.records import DocumentRow, ItemRow
from kodo.server.lifecycle.run import Run
from kodo.server.lifecycle.service import Service
from kodo.server.wire import assistants as wire
from kodo.server.wire import events as ev
from kodo.server.wire.decode import BadBody
from kodo.server.wire.items import FunctionCall, FunctionCallOutput
from kodo.server.wire.request import CreateResponse
from kodo.server.wire.response import Response

logger = logging.getLogger(__name__)

MOVES: Final[dict[wire.RunStatus, tuple[wire.RunStatus, ...]]] = {
    "queued": ("in_progress", "cancelling", "failed", "expired", "incomplete"),
    "in_progress": (
        "requires_action",
        "cancelling",
        "completed",
        "incomplete",
        "failed",
        "expired",
    ),
    "requires_action": ("queued", "cancelling", "expired"),
    "cancelling": ("cancelled",),
    "cancelled": (),
    "failed": (),
    "completed": (),
    "incomplete": (),
    "expired": (),
}
"""Which status may follow which."""
UNFINISHED: Final = tuple(status for status, following in MOVES.items() if following)
_STILL: Final = frozenset(
    f"thread.run.{status}"
    for status, following in MOVES.items()
    if not following or status == "requires_action"
)
"""Events that end a stream."""
_RETRY_SECONDS: Final = 1.0
"""Pause before an end that could not be stored is tried again."""


class Job:
    """A run that is not over. ``charge`` is told the tokens of each turn."""

    def __init__(
        self,
        service: Service,
        row: DocumentRow,
        *,
        priority: Priority = Priority.BACKGROUND,
        charge: Callable[[int], None] | None = None,
        told: Sequence[Told] = (),
    ) -> None:
        self._service = service
        self._row = row
        self._kept = msgspec.json.decode(row.body, type=KeptRun)
        self._priority = priority
        self._charge = charge
        self._told: list[Told] = [*told]
        self._news: set[asyncio.Event] = set()
        self._over = False
        self._writing = asyncio.Lock()
        self._answered = asyncio.Event()
        self._stopping: Literal["cancelled", "expired"] | None = None
        self._response: Run | None = None
        self._ended_steps: list[str] = []
        self._settled: dict[str, Any] = {}
        """What the last turn came to; stored with the end, or a crash between the two would have it made again."""
        if self.run.status == "cancelling":
            self._stopping = "cancelled"

    @property
    def owner(self) -> str:
        """Whose it is."""
        return self._row.owner

    @property
    def run(self) -> wire.ThreadRun:
        """The run as it stands."""
        return self._kept.run

    @property
    def position(self) -> int:
        """How much it has told so far."""
        return len(self._told)

    # --- for its clients ---

    async def follow(self, position: int) -> AsyncIterator[Sequence[Told]]:
        """What it tells from a position on, until it is over or waits for the client.

        Raises:
            EngineFailed: the server stops, or the thread is gone.
        """
        news = asyncio.Event()
        self._news.add(news)
        try:
            while True:
                news.clear()
                batch = self._told[position:]
                position += len(batch)
                if batch:
                    yield batch
                if any(name in _STILL for name, _ in batch):
                    return
                if position < len(self._told):
                    continue
                if self._over:
                    raise EngineFailed("The run stopped before it was over.")
                await news.wait()
        finally:
            self._news.discard(news)

    async def submit(self, outputs: Sequence[wire.ToolOutput]) -> wire.ThreadRun:
        """Take the outputs of all calls that it waits for, and go on.

        Raises:
            InvalidRequest: it waits for none, or for others.
            StoreFailed: they are not taken; they can be submitted again.
        """
        async with self._writing:
            kept = self._kept
            if kept.run.status != "requires_action" or self._stopping or kept.step is None:
                raise not_waiting(kept.run)
            given = {output.tool_call_id: output.output for output in outputs}
            expected = [
                row.context.item.call_id for row in kept.pending if isinstance(row.context.item, FunctionCall)
            ]
            if sorted(given) != sorted(expected) or len(outputs) != len(expected):
                raise InvalidRequest(
                    f"Expected tool outputs for call_ids {expected}, got {[o.tool_call_id for o in outputs]}.",
                    param="tool_outputs",
                )
            answers = [
                new_row(self._service.ids, FunctionCallOutput(call_id=call_id, output=given[call_id]))
                for call_id in expected
            ]
            # an earlier submission may have been stored in part
            await documents.clear_leftovers(self._service.store, self.owner, kept)
            rows = (*kept.pending, *answers)
            await self._service.store.append_items(self.owner, kept.run.thread_id, rows)
            name, step = ended_step(_with_outputs(kept.step, given), "completed", self._now(), None)
            await self._keep_step(step)
            run = msgspec.structs.replace(kept.run, status="queued", required_action=None)
            await self._write(
                run,
                items=(*kept.items, *(row.id for row in rows)),
                steps=(*kept.steps, step.id),
                pending=(),
                step=None,
            )
        self._tell((name, step), ("thread.run.queued", self.run))
        self._answered.set()
        return self.run

    async def cancel(self) -> wire.ThreadRun:
        """End it as cancelled; the answer is the run as it is being cancelled.

        Raises:
            InvalidRequest: it is over, or about to be.
        """
        async with self._writing:
            if self._stopping or "cancelling" not in MOVES[self.run.status]:
                raise not_cancellable(self.run)
            await self._write(msgspec.structs.replace(self.run, status="cancelling", required_action=None))
            self._stopping = "cancelled"
            run = self.run
        self._tell(("thread.run.cancelling", run))
        await self._stop()
        return run

    async def set_metadata(self, body: wire.NewMetadata) -> wire.ThreadRun:
        """New metadata."""
        async with self._writing:
            await self._write(documents.with_metadata(self.run, body))
        return self.run

    # --- its work ---

    async def drive(self) -> None:
        """Work until the end, which is stored then; or until it is cancelled, to be taken up at the next start."""
        expiring = asyncio.create_task(self._expire())
        try:
            end: End | None = None
            while end is None:
                if self.run.status == "requires_action" and not self._stopping:
                    await self._answered.wait()
                self._answered.clear()
                end = End(status=self._stopping) if self._stopping else await self._turn_or_failure()
            await self._finish(end)
        except NotFound:
            logger.info("run %s ended: its thread is gone", self.run.id)
        finally:
            expiring.cancel()
            self._over = True
            self._wake()

    async def _turn_or_failure(self) -> End | None:
        try:
            return await self._turn()
        except NotFound as error:
            if error.code == "model_not_found":
                return _failure("invalid_prompt", error.message)
            raise
        except (BadBody, InvalidRequest) as error:
            return _failure("invalid_prompt", error.message)
        except Overloaded as error:
            return _failure("rate_limit_exceeded", error.message)
        except ServiceError as error:
            return _failure("server_error", error.message)
        except Exception:
            logger.exception("run %s broke", self.run.id)
            return _failure("server_error", "The server had an internal error.")
        finally:
            if self._response is not None:
                await self._service.stop(self._response)
                self._response = None

    async def _turn(self) -> End | None:
        """One response. None: the run goes on, once it has its outputs."""
        run, spent = self.run, self._kept.spent
        most = None
        if run.max_completion_tokens is not None:
            most = run.max_completion_tokens - spent.completion_tokens
            if most < 1:
                return End(status="incomplete", limit="max_completion_tokens")
        request = request_translation.request(run, most=most, forced=not self._kept.called)
        context = await self._context(request)
        if context is None:
            return End(status="incomplete", limit="max_prompt_tokens")
        call = CallContext(
            owner=self.owner,
            priority=self._priority,
            streamed=self._priority is Priority.INTERACTIVE,
            local={run.thread_id: context},
        )
        response = self._response = await self._service.create(call, request)
        if self._stopping:
            await self._service.stop(response)
        translator = Translator(run, self._service.ids.new, self._now)
        async for batch in response.events():
            for event in batch:
                if isinstance(event, ev.ResponseInProgress):
                    await self._began()
                for told in translator.of(event):
                    await self._keep_and_tell(told)
        return await self._settle(response, translator)

    async def _context(self, request: CreateResponse) -> tuple[ContextItem, ...] | None:
        """What the model is shown of the thread. None: not even its last item fits ``max_prompt_tokens``."""
        run = self.run
        items = await self._service.store.all_items(self.owner, run.thread_id)
        place = documents.behind(items, self._kept.stands_on)
        before = tuple(items[:place])
        if run.truncation_strategy.last_messages is not None:
            before = request_translation.last_messages(before, run.truncation_strategy.last_messages)
        shown = (*before, *items[place:])
        if run.max_prompt_tokens is None:
            return shown
        room = run.max_prompt_tokens - self._kept.spent.prompt_tokens
        backend, call = self._service.backend(run.model), CallContext(owner=self.owner)
        while True:
            prepared, _ = await self._service.prompts.prepare(call, request, backend, shown)
            if prepared.input_tokens <= room:
                return shown
            shown, dropped = drop_oldest(
                prepared.prompt.items, prepared.item_tokens, prepared.input_tokens - room
            )
            if dropped == 0:
                return None

    async def _began(self) -> None:
        """The engine is at work; or still is, where nothing else was to be said for a while."""
        async with self._writing:
            if self.run.status == "queued":
                started = self.run.started_at or int(self._now())
                await self._write(msgspec.structs.replace(self.run, status="in_progress", started_at=started))
            run = self.run
        if run.status == "in_progress":
            self._tell(("thread.run.in_progress", run))

    async def _settle(self, response: Run, translator: Translator) -> End | None:
        """What a turn came to: its items join the thread, its tokens the run's; then the end, or the calls."""
        final = response.response
        usage = run_usage(final.usage)
        if self._charge is not None:
            self._charge(usage.total_tokens)
        rows = response.output_rows()
        calls = tuple(row for row in rows if isinstance(row.context.item, FunctionCall))
        said = tuple(row for row in rows if row not in calls)
        if said:
            await self._service.store.append_items(self.owner, self.run.thread_id, said)
        end = self._end_of(final, bool(calls))
        for told in translator.end(end, usage):
            await self._keep_and_tell(told)
        async with self._writing:
            kept = self._kept
            waits = end is None and translator.calls is not None
            if waits and translator.calls is not None:
                await self._keep_step(translator.calls)
            settled: dict[str, Any] = {
                "items": (*kept.items, *(row.id for row in said)),
                "steps": (*kept.steps, *self._ended_steps),
                "spent": plus(kept.spent, usage),
                "called": kept.called or bool(calls),
            }
            if end is not None:
                self._settled = settled
            else:
                run = _waiting(kept.run, calls) if waits and not self._stopping else kept.run
                waiting = {"pending": calls, "step": translator.calls} if waits else {}
                await self._write(run, **settled, **waiting)
            self._ended_steps.clear()
            run = self.run
        if run.status == "requires_action":
            self._tell(("thread.run.requires_action", run))
        return end

    def _end_of(self, final: Response, calls: bool) -> End | None:
        if self._stopping:
            return End(status=self._stopping)
        if final.status == "completed":
            return None if calls else End(status="completed")
        if final.status == "incomplete":
            reason = final.incomplete_details.reason if final.incomplete_details is not None else None
            filtered = reason == "content_filter"
            return End(
                status="incomplete", filtered=filtered, limit=None if filtered else "max_completion_tokens"
            )
        return _failure("server_error", final.error.message if final.error else "The answer broke off.")

    async def _finish(self, end: End) -> None:
        """The end, tried until it is stored; of a turn that could not be stored as a whole nothing stays."""
        now = int(self._now())
        while True:
            told: list[Told] = []
            try:
                if end.status == "failed":
                    kept = msgspec.structs.replace(self._kept, **self._settled)
                    await documents.clear_leftovers(self._service.store, self.owner, kept)
                async with self._writing:
                    if self.run.status == "cancelling":
                        end = End(status="cancelled")
                    if self._kept.step is not None and end.status in ("cancelled", "expired"):
                        told.append(ended_step(self._kept.step, end.status, now, None))
                        await self._keep_step(told[0][1])
                    run = _ended(self.run, end, self._settled.get("spent", self._kept.spent), now)
                    await self._write(run, **self._settled, pending=(), step=None)
            except StoreFailed as error:
                logger.error("the end of run %s could not be stored: %s", self.run.id, error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._tell(*told, (f"thread.run.{end.status}", run))
            return

    async def _expire(self) -> None:
        await asyncio.sleep(self._row.created_at + self._service.settings.run_seconds - self._now())
        if self._stopping is None:
            self._stopping = "expired"
            await self._stop()

    async def _stop(self) -> None:
        """Let the work see that it is to end."""
        self._answered.set()
        if self._response is not None:
            await self._service.stop(self._response)

    # --- keeping and telling ---

    async def _keep_and_tell(self, told: Told) -> None:
        """An event; what it says is whole is on disk first."""
        _, value = told
        if isinstance(value, wire.ThreadMessage) and value.status != "in_progress":
            row = documents.row_of(
                documents.MESSAGE, self.owner, value, parent=self.run.thread_id, at=self._now()
            )
            await self._service.store.put_document(row)
        elif isinstance(value, wire.RunStep) and value.status != "in_progress":
            await self._keep_step(value)
            self._ended_steps.append(value.id)
        self._tell(told)

    async def _keep_step(self, step: wire.RunStep) -> None:
        store = self._service.store
        row = await store.get_document(documents.STEP, self.owner, step.id)
        if row is not None:
            await documents.changed(store, row, step)
        else:
            run_id = self.run.id
            await store.put_document(
                documents.row_of(documents.STEP, self.owner, step, parent=run_id, at=self._now())
            )

    async def _write(self, run: wire.ThreadRun, **changes: Any) -> None:
        """The run's document. Only one at a time: hold ``_writing``."""
        if run.status != self.run.status and run.status not in MOVES[self.run.status]:
            raise ValueError(f"a run cannot go from {self.run.status} to {run.status}")
        kept = msgspec.structs.replace(self._kept, run=run, **changes)
        row = msgspec.structs.replace(
            self._row, version=self._row.version + 1, status=run.status, body=msgspec.json.encode(kept)
        )
        await self._service.store.update_document(row)
        self._row, self._kept = row, kept

    def _tell(self, *told: Told) -> None:
        self._told.extend(told)
        self._wake()

    def _wake(self) -> None:
        for news in self._news:
            news.set()

    def _now(self) -> float:
        return self._service.clock.now()


def _failure(code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"], message: str) -> End:
    return End(status="failed", error=wire.RunError(code=code, message=message))


def _waiting(run: wire.ThreadRun, calls: Sequence[ItemRow]) -> wire.ThreadRun:
    """A run that waits for the outputs of calls."""
    owed = tuple(
        wire.RequiredCall(
            id=row.context.item.call_id,
            function=wire.FunctionCalled(name=row.context.item.name, arguments=row.context.item.arguments),
        )
        for row in calls
        if isinstance(row.context.item, FunctionCall)
    )
    action = wire.RequiredAction(submit_tool_outputs=wire.RequiredCalls(tool_calls=owed))
    return msgspec.structs.replace(run, status="requires_action", required_action=action)


def _ended(run: wire.ThreadRun, end: End, usage: wire.RunUsage, now: int) -> wire.ThreadRun:
    """A run that is over."""
    stamp = {} if end.status in ("incomplete", "expired") else {f"{end.status}_at": now}
    return msgspec.structs.replace(
        run,
        status=end.status,
        required_action=None,
        expires_at=None,
        last_error=end.error,
        incomplete_details=wire.RunIncomplete(reason=end.limit) if end.status == "incomplete" else None,
        usage=usage,
        **stamp,
    )


def _with_outputs(step: wire.RunStep, outputs: dict[str, str]) -> wire.RunStep:
    if not isinstance(step.step_details, wire.ToolCallsStep):
        raise ValueError("only a step of calls has outputs")
    calls = tuple(
        msgspec.structs.replace(
            call, function=msgspec.structs.replace(call.function, output=outputs[call.id])
        )
        for call in step.step_details.tool_calls
    )
    return msgspec.structs.replace(step, step_details=wire.ToolCallsStep(tool_calls=calls))


def not_waiting(run: wire.ThreadRun) -> InvalidRequest:
    """A run that takes no outputs now."""
    return InvalidRequest(f"Runs in status '{run.status}' do not accept tool outputs.", param="run_id")


def not_cancellable(run: wire.ThreadRun) -> InvalidRequest:
    """A run that cannot be cancelled any more."""
    return InvalidRequest(f"Cannot cancel run with status '{run.status}'.", param="run_id")
