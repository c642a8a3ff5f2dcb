"""What is being made at this moment, and the background responses that wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from kodo.server.lifecycle.activity import ActivityFilter
from kodo.server.lifecycle.run import Run
from kodo.server.ui.context import PageRequest

MAX_WAITING: Final = 50


@dataclass(frozen=True)
class RunningResponse:
    """A response that is being made. ``seconds`` since it was accepted; ``tokens`` of its prompt."""

    id: str
    model: str
    status: str
    owner: str
    background: bool
    stored: bool
    """Only what is stored has a page."""
    seconds: float
    tokens: int
    events: int


async def show(page: PageRequest) -> Response:
    """``GET /ui/live``; htmx asks for the tables alone."""
    now = page.state.clock.now()
    runs = [_running(run, now) for run in page.state.service.runs(page.viewer.owner)]
    waiting = [
        line
        for status in ("queued", "in_progress")
        for line in await page.context.activity.activities(
            ActivityFilter(owner=page.viewer.owner, status=status), MAX_WAITING
        )
        if line.background
    ]
    template = "live_tables.html" if page.partial else "live.html"
    return page.render(template, "live", runs=runs, waiting=waiting)


def _running(run: Run, now: float) -> RunningResponse:
    response = run.response
    return RunningResponse(
        id=run.id,
        model=response.model,
        status=response.status,
        owner=run.owner,
        background=run.background,
        stored=run.row is not None,
        seconds=max(now - response.created_at, 0.0),
        tokens=run.input_tokens,
        events=len(run.entries),
    )
