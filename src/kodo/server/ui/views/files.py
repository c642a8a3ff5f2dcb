"""Files and vector stores: what there is, how large, and what of it can be searched."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.responses import RedirectResponse, Response

from kodo.server.http.files.manager import EXPIRES, KIND, STORED
from kodo.server.lifecycle.retrieval.documents import STORE
from kodo.server.ui.context import PageRequest, not_found
from kodo.server.wire.files import FileObject

MAX_SHOWN_BYTES: Final = 64_000
"""Of a file's beginning, where it is text."""


async def show_list(page: PageRequest) -> Response:
    """``GET /ui/files``."""
    rows, more = await page.documents(KIND)
    files = [
        (row.owner, msgspec.json.decode(row.body, type=FileObject))
        for row in rows
        if row.status in (STORED, EXPIRES)
    ]
    return page.render("files.html", "files", files=files, more=more)


async def show(page: PageRequest) -> Response:
    """``GET /ui/files/{id}``: what is known of a file, and its beginning."""
    owner = (await page.document(KIND, page.path("file_id"), "file")).owner
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
    owner = (await page.document(KIND, page.path("file_id"), "file")).owner
    await page.state.delete_file(owner, page.path("file_id"))
    return RedirectResponse("/ui/files", 303)


async def show_stores(page: PageRequest) -> Response:
    """``GET /ui/vector-stores``."""
    manager = page.state.vector_stores
    stores, more = [], None
    if manager is not None:
        rows, more = await page.documents(STORE)
        stores = [(row.owner, await manager.get(row.owner, row.id)) for row in rows]
    return page.render("stores.html", "stores", stores=stores, more=more)


async def show_store(page: PageRequest) -> Response:
    """``GET /ui/vector-stores/{id}``: a store and its files."""
    manager = page.state.vector_stores
    if manager is None:
        raise not_found("vector store")
    owner = (await page.document(STORE, page.path("store_id"), "vector store")).owner
    store = await manager.get(owner, page.path("store_id"))
    return page.render(
        "store.html", "stores", owner=owner, store=store, files=await manager.files.all(owner, store.id)
    )
