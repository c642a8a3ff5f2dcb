"""The first page: what was asked and answered, how fast, and what it cost. Reads sums, never single responses."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from starlette.responses import Response, StreamingResponse

from kodo.server.http.bodies import json_response
from kodo.server.lifecycle.activity import DAY, HOUR, MINUTE, ActivitySums, FirstTokenCount, upper_bound
from kodo.server.lifecycle.plan import Backend
from kodo.server.lifecycle.ports import HasTargets, TargetStats
from kodo.server.ui.context import PageRequest

LIVE_SECONDS: Final = 2.0
"""Between two messages with live numbers."""


@dataclass(frozen=True)
class Range:
    """A time that the overview can show: how long it is, the sums it reads, and how many seconds a point stands for."""

    name: str
    seconds: int
    width: int
    step: int


RANGES: Final = {
    each.name: each
    for each in (
        Range("1h", HOUR, MINUTE, MINUTE),
        Range("24h", DAY, HOUR, HOUR),
        Range("7d", 7 * DAY, HOUR, 3 * HOUR),
        Range("30d", 30 * DAY, DAY, DAY),
    )
}


@dataclass
class Totals:
    """Everything about a time, or about a point of a plot."""

    requests: int = 0
    failed: int = 0
    incomplete: int = 0
    cancelled: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0
    decode_tokens: int = 0
    decode_seconds: float = 0.0
    cost: float = 0.0
    list_cost: float = 0.0
    list_known: bool = False
    buckets: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, sums: ActivitySums) -> None:
        """Add sums; money is added apart."""
        self.requests += sums.requests
        self.failed += sums.failed
        self.incomplete += sums.incomplete
        self.cancelled += sums.cancelled
        self.input += sums.usage.input
        self.cached += sums.usage.cached
        self.output += sums.usage.output
        self.reasoning += sums.usage.reasoning
        self.decode_tokens += sums.decode_tokens
        self.decode_seconds += sums.decode_seconds

    @property
    def tokens_per_second(self) -> float | None:
        """Of one answer while it is written; None: none was timed."""
        return self.decode_tokens / self.decode_seconds if self.decode_seconds else None

    def first_token(self, share: float) -> float | None:
        """The time to the first token that this share of the answers stayed under, in seconds."""
        wanted, seen = share * sum(self.buckets.values()), 0
        for bucket, count in sorted(self.buckets.items()):
            seen += count
            if seen >= wanted:
                return upper_bound(bucket)
        return None


@dataclass(frozen=True)
class Period:
    """A range, with its totals, by model and point by point."""

    range: Range
    start: int
    total: Totals
    models: dict[str, Totals]
    points: list[Totals]


async def show(page: PageRequest) -> Response:
    """``GET /ui``."""
    period = await _period(page)
    backends = list(page.state.models.values()) if page.viewer.admin else []
    return page.render(
        "overview.html",
        "overview",
        period=period,
        ranges=list(RANGES),
        models=sorted(period.models.items(), key=lambda pair: -pair[1].requests),
        engines=[_engine(backend) for backend in _distinct(backends)],
        live=await _live_numbers(page),
    )


async def series(page: PageRequest) -> Response:
    """``GET /ui/overview/series``: the points of the plots."""
    period = await _period(page)
    points = period.points
    return json_response(
        {
            "times": [period.start + number * period.range.step for number in range(len(points))],
            "ok": [point.requests - point.failed for point in points],
            "failed": [point.failed for point in points],
            "uncached": [point.input - point.cached for point in points],
            "cached": [point.cached for point in points],
            "output": [point.output for point in points],
            "first_token_median": [point.first_token(0.5) for point in points],
            "first_token_95": [point.first_token(0.95) for point in points],
            "tokens_per_second": [point.tokens_per_second for point in points],
            "cost": [point.cost for point in points],
            "list_cost": [point.list_cost for point in points],
        }
    )


async def live(page: PageRequest) -> Response:
    """``GET /ui/overview/live``: the numbers of this moment, as events, until the server stops."""

    async def numbers() -> AsyncIterator[bytes]:
        waited = LIVE_SECONDS
        while not page.state.service.closing:
            if waited >= LIVE_SECONDS:
                if not await page.context.still_allows(page.viewer):
                    return
                yield b"data: " + msgspec.json.encode(await _live_numbers(page)) + b"\n\n"
                waited = 0.0
            await asyncio.sleep(0.25)
            waited += 0.25

    return StreamingResponse(numbers(), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _live_numbers(page: PageRequest) -> dict[str, Any]:
    """Running and waiting requests, and background responses that are not over."""
    runs = page.state.service.runs(page.viewer.owner)
    running = sum(run.response.status == "in_progress" for run in runs)
    numbers: dict[str, Any] = {
        "running": running,
        "waiting": len(runs) - running,
        "unfinished": await page.context.activity.unfinished_count(page.viewer.owner),
    }
    if page.viewer.admin:
        numbers["engines"] = {
            backend.name: {
                "running": backend.admission.running,
                "waiting": backend.admission.waiting,
                "ready": backend.engine.ready,
            }
            for backend in _distinct(page.state.models.values())
        }
    return numbers


@dataclass(frozen=True)
class EngineHealth:
    """An engine or the servers behind it, at this moment."""

    names: str
    kind: str
    model: str
    ready: bool
    running: int
    parallel: int
    waiting: int
    restarts: int
    targets: Sequence[TargetStats]


def _engine(backend: Backend) -> EngineHealth:
    engine = backend.engine
    return EngineHealth(
        names=backend.name,
        kind=backend.card.engine,
        model=backend.card.name,
        ready=engine.ready,
        running=backend.admission.running,
        parallel=backend.admission.parallel,
        waiting=backend.admission.waiting,
        restarts=engine.restarts,
        targets=engine.target_stats() if isinstance(engine, HasTargets) else (),
    )


def _distinct(backends: Iterable[Backend]) -> list[Backend]:
    """One backend for each engine; several names may stand for the same."""
    found: dict[int, Backend] = {}
    for backend in backends:
        found.setdefault(id(backend.engine), backend)
    return list(found.values())


async def _period(page: PageRequest) -> Period:
    wanted = RANGES.get(page.query.get("range", ""), RANGES["24h"])
    reader, owner = page.context.activity, page.viewer.owner
    end = (int(page.state.clock.now()) // wanted.step + 1) * wanted.step
    start = end - wanted.seconds
    sums, firsts = await asyncio.gather(
        reader.sums(wanted.width, start, owner, wanted.step),
        reader.first_tokens(wanted.width, start, owner, wanted.step),
    )
    period = Period(wanted, start, Totals(), {}, [Totals() for _ in range(wanted.seconds // wanted.step)])
    _fill(period, sums, firsts, page)
    return period


def _fill(
    period: Period, sums: Sequence[ActivitySums], firsts: Sequence[FirstTokenCount], page: PageRequest
) -> None:
    last = len(period.points) - 1
    for each in sums:
        point = period.points[min((each.start - period.start) // period.range.step, last)]
        model = period.models.setdefault(each.model, Totals())
        cost, listed = page.costs(each.model, each.usage)
        for totals in (period.total, model, point):
            totals.add(each)
            totals.cost += cost
            totals.list_cost += listed or 0.0
            totals.list_known |= listed is not None
    for first in firsts:
        point = period.points[min((first.start - period.start) // period.range.step, last)]
        for totals in (period.total, point):
            totals.buckets[first.bucket] += first.count
