"""The ledger of the commands on this machine: calls, tokens and cost by day, model, job or repository."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.responses import Response

from kodo.server.ui.access import require_admin
from kodo.server.ui.context import LedgerRow, PageRequest

GROUPS: Final = ("day", "model", "job", "repository")
SPANS: Final = {"7d": 7 * 86400, "30d": 30 * 86400, "all": None}


async def show(page: PageRequest) -> Response:
    """``GET /ui/ledger``."""
    require_admin(page.viewer)
    by = page.query.get("by", "day")
    by = by if by in GROUPS else "day"
    span = page.query.get("range", "30d")
    span = span if span in SPANS else "30d"
    seconds = SPANS[span]
    ledger = page.context.lent.ledger
    rows: list[LedgerRow] = []
    limits = []
    if ledger is not None:
        since = None if seconds is None else page.state.clock.now() - seconds
        rows = list(await asyncio.to_thread(ledger.rows, by, since))
        limits = list(await asyncio.to_thread(ledger.limits))
    if by == "day":
        rows.reverse()
    else:
        rows.sort(key=lambda row: (-row.list_cost, row.key))
    total = LedgerRow(
        key="",
        calls=sum(row.calls for row in rows),
        failed=sum(row.failed for row in rows),
        input_tokens=sum(row.input_tokens for row in rows),
        cached_tokens=sum(row.cached_tokens for row in rows),
        output_tokens=sum(row.output_tokens for row in rows),
        cost=sum(row.cost for row in rows),
        list_cost=sum(row.list_cost for row in rows),
    )
    return page.render(
        "ledger.html",
        "ledger",
        rows=rows,
        total=total,
        limits=limits,
        by=by,
        groups=GROUPS,
        span=span,
        spans=list(SPANS),
    )
