"""Batches: how far they are, what became of them, and a way to cancel one."""

from __future__ import annotations

from typing import Final

from starlette.responses import RedirectResponse, Response

from kodo.server.http.batches.documents import KIND
from kodo.server.http.batches.worker import BATCH_STATUS
from kodo.server.ui.context import PageRequest
from kodo.server.wire.batches import Batch

RUNNING: Final = BATCH_STATUS.unfinished
CANCELLABLE: Final = tuple(status for status in RUNNING if BATCH_STATUS.allows(status, "cancelling"))


async def show_list(page: PageRequest) -> Response:
    """``GET /ui/batches``; htmx asks for the rows alone while one is running."""
    rows, more = await page.documents(KIND)
    batches = [(row.owner, await page.state.batches.get(row.owner, row.id)) for row in rows]
    return page.render(
        "batch_rows.html" if page.partial else "batches.html",
        "batches",
        batches=batches,
        more=more,
        running=any(batch.status in RUNNING for _, batch in batches),
    )


async def show(page: PageRequest) -> Response:
    """``GET /ui/batches/{id}``."""
    owner, batch = await _find(page)
    times = [
        (name, getattr(batch, name))
        for name in (
            "created_at",
            "in_progress_at",
            "finalizing_at",
            "completed_at",
            "failed_at",
            "expired_at",
            "cancelling_at",
            "cancelled_at",
            "expires_at",
        )
        if getattr(batch, name) is not None
    ]
    files = {
        "input": batch.input_file_id,
        "output": batch.output_file_id,
        "errors": batch.error_file_id,
    }
    return page.render(
        "batch.html",
        "batches",
        owner=owner,
        batch=batch,
        times=times,
        files={name: file for name, file in files.items() if file},
        running=batch.status in RUNNING,
        cancellable=batch.status in CANCELLABLE,
    )


async def cancel(page: PageRequest) -> Response:
    """``POST /ui/batches/{id}/cancel``."""
    owner, batch = await _find(page)
    await page.state.batches.cancel(owner, batch.id)
    return RedirectResponse(f"/ui/batches/{batch.id}", 303)


async def _find(page: PageRequest) -> tuple[str, Batch]:
    row = await page.document(KIND, page.path("batch_id"), "batch")
    return row.owner, await page.state.batches.get(row.owner, row.id)
