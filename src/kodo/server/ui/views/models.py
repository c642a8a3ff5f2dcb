"""Models: those that answer, those that are on the disk, and one that is being fetched."""

from __future__ import annotations

import asyncio

from starlette.responses import RedirectResponse, Response

from kodo.server.config import DEFAULT_CONTEXT
from kodo.server.http import admin
from kodo.server.lifecycle.errors import ServiceError
from kodo.server.ui.access import require_admin
from kodo.server.ui.context import PageRequest


async def show(page: PageRequest) -> Response:
    """``GET /ui/models``; htmx asks for the progress alone.

    Raises:
        ServiceError: a local model cannot be read; the message says which, and what to do.
    """
    require_admin(page.viewer)
    pull = page.context.pulls.last
    if page.partial:
        return page.render("model_pull.html", "models", pull=pull)
    home = page.state.settings.home
    memory = await asyncio.to_thread(admin.available_memory)
    try:
        local = await asyncio.to_thread(admin.list_models, home)
    except admin.WeightsError as error:
        raise ServiceError(str(error)) from error
    return page.render(
        "models.html",
        "models",
        backends=list(page.state.models.values()),
        local=local,
        catalogue=[
            (entry, entry.fits(memory, DEFAULT_CONTEXT), entry.memory(DEFAULT_CONTEXT))
            for entry in admin.catalogue_entries()
        ],
        pull=pull,
    )


async def pull(page: PageRequest) -> Response:
    """``POST /ui/models/pull``: a name of the catalogue."""
    require_admin(page.viewer)
    wanted = (await page.form()).get("source", "")
    if any(wanted == entry.name for entry in admin.catalogue_entries()):
        page.context.pulls.start(page.state.settings.home, wanted)
    return RedirectResponse("/ui/models", 303)
