"""Files and vector stores: what there is, how large, and what of it can be searched."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.responses import RedirectResponse, Response

from kodo.server.http.files.manager import EXPIRES, KIND, STORED
from kodo.server.lifecycle.retrieval.documents import STORE
from kodo.server.ui.context import PageRequest, not_found
from kodo.server.wire.files import FileObject

PAGE_SIZE: Final = 50
MAX_SHOWN_BYTES: Final = 64_000
"""Of a file's beginning, where it is text."""


async def show_list(page: PageRequest) -> Response:
    """``GET /ui/files``."""
    found = await page.context.activity.documents(
        KIND, page.viewer.owner, before=page.number("before"), limit=PAGE_SIZE + 1
    )
    files = [
        (row.owner, msgspec.json.decode(row.body, type=FileObject))
        for _, row in found[:PAGE_SIZE]
        if row.status in (STORED, EXPIRES)
    ]
    more = found[PAGE_SIZE - 1][0] if len(found) > PAGE_SIZE else None
    return page.render("files.html", "files", files=files, more=more)


async def show(page: PageRequest) -> Response:
    """``GET /ui/files/{id}``: what is known of a file, and its beginning."""
    owner = await _owner(page, KIND, page.path("file_id"))
    file = await page.state.files.get(owner, page.path("file_id"))
    text = None
    if page.viewer.show_prompts:
        data = b""
        _, chunks = await page.state.files.read(owner, file.id)
        async for chunk in chunks:
            data += chunk
            if len(data) >= MAX_SHOWN_BYTES:
                break
        text = None if b"\0" in data[:MAX_SHOWN_BYTES] else data[:MAX_SHOWN_BYTES].decode(errors="replace")
    return page.render(
        "file.html", "files", owner=owner, file=file, text=text, cut=file.bytes > MAX_SHOWN_BYTES
    )


async def delete(page: PageRequest) -> Response:
    """``POST /ui/files/{id}/delete``."""
    owner = await _owner(page, KIND, page.path("file_id"))
    await page.state.files.delete(owner, page.path("file_id"))
    return RedirectResponse("/ui/files", 303)


async def show_stores(page: PageRequest) -> Response:
    """``GET /ui/vector-stores``."""
    manager = page.state.vector_stores
    stores = []
    more = None
    if manager is not None:
        found = await page.context.activity.documents(
            STORE, page.viewer.owner, before=page.number("before"), limit=PAGE_SIZE + 1
        )
        stores = [(row.owner, await manager.get(row.owner, row.id)) for _, row in found[:PAGE_SIZE]]
        more = found[PAGE_SIZE - 1][0] if len(found) > PAGE_SIZE else None
    return page.render("stores.html", "stores", stores=stores, more=more)


async def show_store(page: PageRequest) -> Response:
    """``GET /ui/vector-stores/{id}``: a store and its files."""
    manager = page.state.vector_stores
    if manager is None:
        raise not_found("vector store")
    owner = await _owner(page, STORE, page.path("store_id"))
    store = await manager.get(owner, page.path("store_id"))
    return page.render(
        "store.html", "stores", owner=owner, store=store, files=await manager.files.all(owner, store.id)
    )


async def _owner(page: PageRequest, kind: str, document_id: str) -> str:
    """Whose object it is. Raises ``NotFound``, also for another project's."""
    row = await page.context.activity.find_document(kind, document_id)
    if row is None or not page.viewer.may_see(row.owner):
        raise not_found("object")
    return row.owner
