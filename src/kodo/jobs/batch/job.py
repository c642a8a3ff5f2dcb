"""The batch job: every request of a file answered once, many at a time, in constant memory.

Requests are read as places come free, so that the input is never in memory; a result is on disk before the next
request is taken. Whatever ends a run (Ctrl-C, a budget, ``kill -9``), the same call again does what is missing:
requests with a result are skipped, failed ones are tried again. An answer that was on its way when the process was
killed is asked again, which a server with idempotency keys could tell and others bill; it is still one result.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from kodo.client.answer import Answer
from kodo.client.async_session import AsyncSession
from kodo.client.errors import (
    AuthenticationFailedError,
    CallError,
    CallTimeoutError,
    KodoError,
    QuotaExhaustedError,
    RateLimitedError,
    ServerFailedError,
    UnreachableError,
)
from kodo.client.request_plan import guess_tokens, texts
from kodo.client.throttle import Slot, Throttle
from kodo.jobs.batch.lines import RequestLine, ResultLine, read_requests, scan_input
from kodo.jobs.batch.outcome import answered, failed
from kodo.jobs.batch.progress import Progress
from kodo.jobs.batch.results import ResultFile

GIVE_UP_AFTER = 20
"""A run stops after this many requests in a row without an answer: the fault is the server's, not the requests'."""

_HOPELESS = (AuthenticationFailedError, QuotaExhaustedError)
_SERVER_GONE = (UnreachableError, CallTimeoutError, ServerFailedError, RateLimitedError)
_ASSUMED_OUTPUT_TOKENS = 256
"""What a request without ``max_output_tokens`` counts against tokens a minute until its usage is known."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How hard a run may press the server. Limits per minute hold over every 60 seconds; None means unlimited."""

    concurrency: int = 64
    """Requests in flight at most; how many there are is found out (``kodo.client.throttle``)."""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class BatchReport:
    """How a run ended."""

    progress: Progress
    errors: Path
    """The requests that failed in this run, in the result format; there only if there are any."""
    stopped_by: KodoError | None = None
    """What ended the run early: a budget, a key, a server that is gone. None if it completed, or was asked to stop."""

    interrupted: bool = False
    """Whether ``stop`` ended it before its end."""

    @property
    def complete(self) -> bool:
        """Whether every request has its result."""
        return self.progress.before + self.progress.succeeded == self.progress.total


def errors_path(out: Path) -> Path:
    """Where a run with this output notes the requests that failed."""
    return out.with_name(f"{out.name}.errors.jsonl")


async def run_batch(
    session: AsyncSession,
    source: Path,
    out: Path,
    *,
    limits: BatchLimits | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    stop: asyncio.Event | None = None,
) -> BatchReport:
    """Answer every request of ``source`` that has no result in ``out``, and append the results there.

    When ``stop`` is set, no further request is sent and those in flight are waited for. Cancelling the task drops
    those in flight.

    Raises BatchInputError before anything is sent if a line cannot be used, OutputInUseError if another run writes
    to ``out``, and OSError if a file cannot be read or written. Errors of calls are in the report.
    """
    limits = limits or BatchLimits()
    model = session.settings.model
    total = (await asyncio.to_thread(scan_input, source, model)).requests
    with ResultFile(out) as results, ErrorFile(errors_path(out)) as errors:
        before = await asyncio.to_thread(count_done, source, model, results)
        throttle = Throttle(
            maximum=limits.concurrency,
            requests_per_minute=limits.requests_per_minute,
            tokens_per_minute=limits.tokens_per_minute,
        )
        run = _Run(session, results, errors, throttle, stop or asyncio.Event(), on_progress)
        run.progress = Progress(total=total, before=before)
        pending = (line for _, line in read_requests(source, model) if line.custom_id not in results)
        await run.all(pending, min(limits.concurrency, max(1, total - before)))
        results.sync()
        left = run.progress.total - run.progress.done
        return BatchReport(run.progress, errors.path, run.stopped_by, left > 0 and run.stopped_by is None)


def count_done(source: Path, model: str, results: ResultFile) -> int:
    """How many requests of the input have a result; the output may hold results of other inputs as well."""
    return sum(line.custom_id in results for _, line in read_requests(source, model)) if results.found else 0


class ErrorFile:
    """The requests that failed in one run: a file made anew each time, and removed again if there was none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> ErrorFile:
        self._file = self.path.open("wb", buffering=0)
        return self

    def add(self, line: ResultLine) -> None:
        """Append a failure."""
        self._file.write(msgspec.json.encode(line) + b"\n")

    def __exit__(self, *_: object) -> None:
        empty = self._file.tell() == 0
        self._file.close()
        if empty:
            self.path.unlink(missing_ok=True)


@dataclass
class _Run:
    """The state of one run. Everything happens in one event loop."""

    session: AsyncSession
    results: ResultFile
    errors: ErrorFile
    throttle: Throttle
    stop: asyncio.Event
    on_progress: Callable[[Progress], None]
    progress: Progress = field(default_factory=lambda: Progress(0, 0))
    stopped_by: KodoError | None = None
    _unanswered: int = 0
    _began: float = field(default_factory=time.monotonic)

    async def all(self, pending: Iterator[RequestLine], workers: int) -> None:
        """Work through the requests."""
        with self.session.listening(self.throttle.on_retry):
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(workers):
                        group.create_task(self._work(pending))
            except ExceptionGroup as several:  # a full disk, an input that changed: the first one says it all
                raise several.exceptions[0] from several

    async def _work(self, pending: Iterator[RequestLine]) -> None:
        while not self.stop.is_set() and (line := next(pending, None)) is not None:
            async with self.throttle.slot(_around(line)) as slot:
                if not self.stop.is_set():
                    await self._one(line, slot)

    async def _one(self, line: RequestLine, slot: Slot) -> None:
        """Ask one request and keep what came of it."""
        body: dict[str, Any] = {name: value for name, value in line.body.items() if name != "input"}
        try:
            answer = await self.session.respond(line.body["input"], extra=body)
        except CallError as error:
            self._failed(line, error)
            return
        except KodoError as error:  # nothing was sent: a budget, a price, no server
            self._end(error)
            return
        slot.used(answer.usage.total_tokens if answer.usage_known else None)
        self.results.add(answered(line.custom_id, answer))
        self._unanswered = 0
        self._count(answer)

    def _failed(self, line: RequestLine, error: CallError) -> None:
        self.errors.add(failed(line.custom_id, error))
        self._unanswered = self._unanswered + 1 if isinstance(error, _SERVER_GONE) else 0
        self._notify(replace(self.progress, failed=self.progress.failed + 1))
        if isinstance(error, _HOPELESS) or self._unanswered >= GIVE_UP_AFTER:
            self._end(error)

    def _count(self, answer: Answer) -> None:
        now = self.progress
        self._notify(
            replace(
                now,
                succeeded=now.succeeded + 1,
                usage=now.usage + answer.usage,
                usd=now.usd + answer.usd,
                list_usd=now.list_usd + (answer.cost.list_usd or Decimal(0)),
            )
        )

    def _notify(self, progress: Progress) -> None:
        self.progress = replace(
            progress, in_flight=self.throttle.in_flight - 1, seconds=time.monotonic() - self._began
        )
        self.on_progress(self.progress)

    def _end(self, error: KodoError) -> None:
        """Take no further request; those in flight are waited for. The first reason is the one reported."""
        self.stopped_by = self.stopped_by or error
        self.stop.set()


def _around(line: RequestLine) -> int:
    """About how many tokens a request will use."""
    cap = line.body.get("max_output_tokens")
    return sum(map(guess_tokens, texts(line.body))) + (
        cap if isinstance(cap, int) else _ASSUMED_OUTPUT_TOKENS
    )
