"""Batches: how far they are, what became of them, and a way to cancel one."""

from __future__ import annotations

from typing import Final

from starlette.responses import RedirectResponse, Response

from kodo.server.http.batches.documents import KIND
from kodo.server.ui.context import PageRequest, not_found
from kodo.server.wire.batches import Batch

PAGE_SIZE: Final = 50
CANCELLABLE: Final = ("validating", "in_progress", "finalizing")
RUNNING: Final = (*CANCELLABLE, "cancelling")


async def show_list(page: PageRequest) -> Response:
    """``GET /ui/batches``; htmx asks for the rows alone while one is running."""
    found = await page.context.activity.documents(
        KIND, page.viewer.owner, before=page.number("before"), limit=PAGE_SIZE + 1
    )
    batches = [(row.owner, await page.state.batches.get(row.owner, row.id)) for _, row in found[:PAGE_SIZE]]
    return page.render(
        "batch_rows.html" if page.http.headers.get("hx-request") == "true" else "batches.html",
        "batches",
        batches=batches,
        more=found[PAGE_SIZE - 1][0] if len(found) > PAGE_SIZE else None,
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
    row = await page.context.activity.find_document(KIND, page.path("batch_id"))
    if row is None or not page.viewer.may_see(row.owner):
        raise not_found("batch")
    return row.owner, await page.state.batches.get(row.owner, row.id)
