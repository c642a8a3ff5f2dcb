"""Driving one run: acquire a lease, record the engine's events, yield when preempted, end exactly once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from msgspec.structs import replace

from kodo.server.lifecycle import event_log, genai, tracing
from kodo.server.lifecycle.admission import Lease
from kodo.server.lifecycle.errors import EngineFailed, ServiceError
from kodo.server.lifecycle.hosted.steps import StepObserver, ToolLoop
from kodo.server.lifecycle.plan import RequestPlan
from kodo.server.lifecycle.ports import (
    CallStart,
    Clock,
    EngineEvent,
    Finished,
    Prepared,
    Progress,
    ProviderFields,
    ReasoningDelta,
    Routed,
    TextDelta,
    Usage,
)
from kodo.server.lifecycle.records import Timing
from kodo.server.lifecycle.run import Run
from kodo.server.lifecycle.soft_landing import SoftLanding
from kodo.server.lifecycle.trace_content import content_of
from kodo.server.wire.response import Status
from kodo.server.wire.tools import TextFormat

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Successive attempts to continue a background response when the engine fails without any output."""


class Observer(StepObserver, Protocol):
    """Receives measurements: the server's metrics."""

    def first_token(self, model: str, seconds: float) -> None:
        """Time from the request to the first token."""

    def ended(self, model: str, status: str, usage: Usage) -> None:
        """A response ended."""

    def unenforced(self, keywords: Sequence[str]) -> None:
        """A request began whose tools have these keywords, which are not enforced."""


class Generation:
    """The generation of one response by an engine."""

    def __init__(
        self,
        run: Run,
        plan: RequestPlan,
        prepared: Prepared,
        *,
        clock: Clock,
        observer: Observer,
        heartbeat: float,
        closing: Callable[[], bool],
        prior_usage: Usage,
        allowed: Callable[[], Awaitable[bool]],
        loop: ToolLoop | None,
    ) -> None:
        """The generation of a planned response.

        Args:
            heartbeat: seconds of silence after which one is emitted, where somebody listens.
            closing: whether the server shuts down.
            prior_usage: tokens that went into this response before it began (a compaction's summary).
            allowed: whether a background response may still run; its key may be revoked.
            loop: the tools that this server runs; None: the request has none, and one turn is all.
        """
        self.run = run
        self.prepared = prepared
        self.loop = loop
        self.prior_usage = prior_usage
        """Also that of its earlier turns."""
        self._plan = plan
        self._backend = plan.backend
        self._clock = clock
        self._observer = observer
        self._heartbeat = heartbeat if plan.call.streamed or run.background else None
        self._closing = closing
        self._allowed = allowed
        self._soft_limit = plan.soft_limit
        """The server's own cap in tokens; None: the client set its own."""
        self._generates = plan.generates
        self._continues = plan.backend.card.continues
        self._events_so_far: list[EngineEvent] = []
        self._usage = Usage()
        self._has_output = False
        self._contended = False
        self._landing: SoftLanding | None = None
        self._is_free_text = True
        self._began = False
        self._started = 0.0
        self._timing = Timing()

    async def drive(self) -> None:
        """Run to the end, in a span. Never raises: any failure becomes the end of the response."""
        self.run.begun = True
        if not tracing.is_on():
            await self._drive()
            return
        model = self.run.response.model
        asked = {
            genai.OPERATION: genai.CHAT,
            genai.PROVIDER: genai.KODO,
            genai.REQUEST_MODEL: model,
            genai.RESPONSE_ID: self.run.id,
            genai.OWNER: self.run.owner,
        }
        with tracing.span(f"{genai.CHAT} {model}", asked):
            await self._drive()
            tracing.add_content(lambda mask: content_of(self.run.response, self.run.context, mask))

    async def _drive(self) -> None:
        self._started = self._clock.now()
        self._begin_turn(event_log.events_so_far(self.run.entries))
        for entry in self.run.entries:
            if isinstance(entry, event_log.TurnEnded):
                self.prior_usage += entry.usage
        heartbeats = asyncio.create_task(self._send_heartbeats()) if self._heartbeat is not None else None
        end: event_log.Ended | None
        try:
            end = await self._run_turns()
        except asyncio.CancelledError:
            end = self._interrupted()
        except ServiceError as error:
            end = self._failed(error)
        except Exception:  # the last line of defence: a bug must end the response, not leave it hanging
            logger.exception("response %s failed unexpectedly", self.run.id)
            end = self._failed(EngineFailed("The server had an internal error."))
        finally:
            if heartbeats is not None:
                heartbeats.cancel()
        if end is None:
            await self.run.abandon()
            return
        if self.run.response.status == "queued" and end.status not in ("cancelled", "failed"):
            self.run.emit(event_log.Began())
        if end.usage is not None:
            end = replace(end, usage=self.prior_usage + end.usage)
        self.run.timing = replace(self._timing, total=end.at - self._started)
        if tracing.is_on():
            try:
                self._trace(end)
            except Exception:  # whoever waits for the response gets it all the same
                logger.exception("response %s could not be traced", self.run.id)
        await self.run.end(end)
        self._observer.ended(self.run.response.model, end.status, end.usage or Usage())

    def _trace(self, end: event_log.Ended) -> None:
        """What became of the response, for its span; and the parts of its time, as spans that are over."""
        queued, first, total = self._timing.queued, self._timing.first_token, end.at - self._started
        usage = end.usage or Usage()
        failed = {} if end.status != "failed" else {genai.ERROR_TYPE: _error_type(self.run.error)}
        counts = {genai.INPUT_TOKENS: usage.input, genai.OUTPUT_TOKENS: usage.output}
        tracing.add({genai.STATUS: end.status, **counts, **failed})
        taken_up = self._started + (total if queued is None else queued)
        tracing.record(genai.QUEUE, self._started, taken_up)
        if queued is not None:
            spoke = self._started + (total if first is None else first)
            read = {genai.INPUT_TOKENS: usage.input, genai.CACHED_TOKENS: usage.cached}
            tracing.record(genai.PREFILL, taken_up, spoke, read)
            if first is not None:
                made = {genai.OUTPUT_TOKENS: usage.output, genai.STATUS: end.status}
                tracing.record(genai.DECODE, spoke, end.at, made)

    def _begin_turn(self, said: Sequence[EngineEvent]) -> None:
        """Begin a turn of the model, or continue the one that it has ``said`` something of."""
        self._events_so_far = list(said)
        self._landing = None if self._soft_limit is None else SoftLanding(self._soft_limit)
        self._is_free_text = isinstance(self.prepared.prompt.format, TextFormat)
        for event in self._events_so_far:
            self._follow(event)
        self._usage = Usage(
            input=self.prepared.input_tokens,
            output=sum(event_log.count_tokens(event) for event in self._events_so_far),
            reasoning=sum(
                event_log.count_tokens(event)
                for event in self._events_so_far
                if isinstance(event, ReasoningDelta)
            ),
        )

    async def _run_turns(self) -> event_log.Ended:
        """Turns of the model, and between them the tools that this server runs."""
        loop = self.loop
        if loop is None:
            return await self._run_turn()
        if self.run.background and not await self._allowed():
            return self._ended("cancelled")
        self._begin()
        loop.used = self.prepared.input_tokens
        if await loop.open():
            await self._next_turn(loop)
        is_over = self.run.steps.between and self.run.steps.turns > 0  # a crash fell between two turns
        while True:
            if not is_over:
                end = await self._run_turn()
                if end.status != "completed" or not self._has_hosted_calls():
                    return end
                self.run.emit(event_log.TurnEnded(usage=self._usage, tokens=end.tokens))
                self.prior_usage += self._usage
            is_over = False
            loop.used = self.prepared.input_tokens + self._usage.output
            self._usage = Usage()
            if not await loop.run_calls():
                return self._ended("completed")
            if self.run.background and self._closing():
                raise asyncio.CancelledError("The server shuts down; the next turn is for its next start.")
            await self._next_turn(loop)

    async def _next_turn(self, loop: ToolLoop) -> None:
        self.prepared = await loop.next_prompt()
        self._begin_turn(())

    def _has_hosted_calls(self) -> bool:
        """Whether this turn called tools of this server's."""
        return any(
            isinstance(event, CallStart) and event.kind == event_log.HOSTED_CALL
            for event in self._events_so_far
        )

    async def _run_turn(self) -> event_log.Ended:
        """One turn of the model."""
        attempts = 0
        while True:
            lease = await self._backend.admission.acquire(self.run.owner, self._plan.priority)
            try:
                if self.run.background and not await self._allowed():
                    return self._ended("cancelled")
                self._begin()
                before = len(self._events_so_far)
                end = await self._run_once(lease)
            except EngineFailed:
                # A crash of the engine does not end background work: it continues from the recorded events.
                attempts = attempts + 1 if len(self._events_so_far) == before else 1
                if not self.run.background or attempts > MAX_ATTEMPTS:
                    raise
                if self._events_so_far and not self._continues:
                    self._restart()
                continue
            finally:
                self._contended |= lease.contended
                self._backend.admission.release(lease)
            if end is not None:
                return end

    def _begin(self) -> None:
        """Say that the response runs, once in this process."""
        if not self._began:
            self.run.emit(event_log.Began())
            self._began = True
            self._timing = replace(self._timing, queued=self._clock.now() - self._started)

    def _restart(self) -> None:
        self.run.emit(event_log.Restarted())
        self._events_so_far.clear()
        self._usage = Usage(input=self.prepared.input_tokens)

    async def _run_once(self, lease: Lease) -> event_log.Ended | None:
        """Generate under one lease. Returns None if preempted by a more urgent request."""
        calls = sum(isinstance(event, CallStart) for event in self._events_so_far)
        most = self._plan.request.max_tool_calls if self.loop is None else self.loop.calls_left()
        allowed = most if self.prepared.prompt.parallel_tool_calls else 1
        said = tuple(map(event_log.as_said, self._events_so_far))
        limit = None if self._generates else 1
        async with aclosing(
            self._backend.engine.generate(self.prepared, events_so_far=said, limit=limit)
        ) as events:
            async for event in events:
                if isinstance(event, Progress):
                    self._usage = replace(self._usage, input=event.total, cached=event.cached)
                elif isinstance(event, Finished):
                    return self._finished(event)
                elif self._generates:
                    if isinstance(event, CallStart):
                        if allowed is not None and calls >= allowed:
                            return self._ended("completed")
                        calls += 1
                    end = self._end_before(event, lease)
                    if end is not None:
                        return end
                    self._record(self._marked(event))
                    end = self._end_at_soft_limit(lease)
                    if end is not None:
                        return end
                if lease.preempted and (self._continues or not self._events_so_far):
                    return None  # an engine that would have to begin anew keeps its place
        raise EngineFailed("The engine stopped without finishing the answer.")

    def _marked(self, event: EngineEvent) -> EngineEvent:
        """A call that is this server's to answer, with the kind that says so; other events as they are."""
        if self.loop is None or not isinstance(event, CallStart):
            return event
        is_plain = event.kind == "function" and event.namespace is None
        hosted = is_plain and self.loop.is_hosted(event.name)
        return replace(event, kind=event_log.HOSTED_CALL) if hosted else event

    def _record(self, event: EngineEvent) -> None:
        if isinstance(event, ProviderFields | Routed):
            if isinstance(event, ProviderFields):
                self._events_so_far.append(event)
            self.run.emit(event)
            return
        if not self._has_output:
            self._has_output = True
            seconds = self._clock.now() - self._started
            self._timing = replace(self._timing, first_token=seconds)
            self._observer.first_token(self.run.response.model, seconds)
        usage, tokens = self._usage, event_log.count_tokens(event)
        if isinstance(event, ReasoningDelta):
            self._usage = replace(usage, output=usage.output + tokens, reasoning=usage.reasoning + tokens)
        else:
            self._usage = replace(usage, output=usage.output + tokens)
        self._events_so_far.append(event)
        self._follow(event)
        if not isinstance(event, Progress | Finished):
            self.run.emit(event)

    def _follow(self, event: EngineEvent) -> None:
        """Keep in mind where the text stands."""
        if isinstance(event, TextDelta) and self._landing is not None:
            self._landing.add(event.text)
        elif isinstance(event, CallStart):
            self._is_free_text = False

    def _end_at_soft_limit(self, lease: Lease) -> event_log.Ended | None:
        """The end of an answer that has reached the server's own cap, where it can end; None: it continues.

        Free text ends as a whole one. Text under a grammar is left to an engine that brings it to its end, else cut.
        """
        if self._landing is None or not self._is_capped(lease):
            return None
        if not self._is_free_text:
            cut = (
                not self._backend.card.lands
                and self._soft_limit is not None
                and self._said >= self._soft_limit
            )
            return self._ended("incomplete", reason="max_output_tokens") if cut else None
        return self._land(self._landing) if self._landing.ends(self._said) else None

    def _end_before(self, event: EngineEvent, lease: Lease) -> event_log.Ended | None:
        """The same, where it is the next event that shows it; that one is left out."""
        landing = self._landing
        if landing is None or not isinstance(event, TextDelta) or not self._is_free_text:
            return None
        ends = self._is_capped(lease) and landing.ends_before(event.text, self._said)
        return self._land(landing) if ends else None

    @property
    def _said(self) -> int:
        """Tokens that count for the server's own cap: those of the answer, not of the reasoning before it."""
        return self._usage.output - self._usage.reasoning

    def _is_capped(self, lease: Lease) -> bool:
        return self._backend.always_capped or self._contended or lease.contended

    def _land(self, landing: SoftLanding) -> event_log.Ended:
        if landing.closing:
            self._record(TextDelta(text=landing.closing))
        return self._ended("completed")

    # --- ends ---

    def _finished(self, event: Finished) -> event_log.Ended:
        self._usage = event.usage
        self.run.stop_sequence = event.stop_sequence
        if not self._generates:
            self._usage = replace(event.usage, output=0, reasoning=0)
            return self._ended("completed")
        if not self._events_so_far:
            self.run.emit(TextDelta(text=""))  # an empty answer is a message without text, not nothing
        if event.reason == "stop":
            return self._ended("completed", tokens=event.tokens)
        reason = "max_output_tokens" if event.reason == "length" else event.reason
        return self._ended("incomplete", reason=reason, tokens=event.tokens)

    def _ended(
        self, status: Status, reason: str | None = None, tokens: tuple[int, ...] = ()
    ) -> event_log.Ended:
        return event_log.Ended(
            status=status,
            at=self._clock.now(),
            usage=self._usage,
            reason=reason,
            tokens=tokens,
        )

    def _failed(self, error: ServiceError) -> event_log.Ended:
        self.run.error = error
        return event_log.Ended(
            status="failed", at=self._clock.now(), usage=self._usage, error=("server_error", error.message)
        )

    def _interrupted(self) -> event_log.Ended | None:
        """The end after a cancellation by the client or a shutdown; None for background work, which is left for the next start."""
        if self.run.cancelled:
            return self._ended("cancelled")
        if self.run.background and self._closing():
            return None
        return self._failed(EngineFailed("The server stopped before the answer was complete."))

    async def _send_heartbeats(self) -> None:
        """Emit an event during silence: SSE comments do not reset the idle timer of every client."""
        if self._heartbeat is None:
            return
        seen = -1
        while True:
            await asyncio.sleep(self._heartbeat)
            now = len(self.run.entries)
            if now == seen and self.run.response.status == "in_progress":
                self.run.emit(event_log.Began())
                now += 1
            seen = now


def _error_type(error: ServiceError | None) -> str:
    """What kind of error it was, of few kinds: the API's code, else the class."""
    return (error.code if error is not None else None) or type(error or ServiceError).__name__
