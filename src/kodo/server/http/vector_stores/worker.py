"""Reads, cuts and indexes one file of a store; it resumes behind the chunks that are committed.

Its document holds its status, the index its chunks. A restart reads the file again, cuts it in the same way, and
continues with the first chunk that is missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from kodo.server.config import FileSearchSettings
from kodo.server.http.files.manager import FileManager
from kodo.server.http.vector_stores.reading import read_text
from kodo.server.lifecycle.blobs import BlobMissing
from kodo.server.lifecycle.errors import Conflict, InvalidRequest, NotFound, StoreFailed
from kodo.server.lifecycle.records import DocumentRow
from kodo.server.lifecycle.retrieval.documents import STORE, StoredFile, StoredStore
from kodo.server.lifecycle.retrieval.ports import SearchIndex, TextChunk, TextEmbedder, Unreadable
from kodo.server.lifecycle.retrieval.splitting import split_text, windows
from kodo.server.lifecycle.store_ports import ItemStore, SharedDocuments
from kodo.server.wire.vector_stores import LastError

logger = logging.getLogger(__name__)

GROUP: Final = 16
"""Chunks that are embedded and committed together."""
WINDOW: Final = 200
"""Tokens of a text that is embedded; a longer chunk's vector is the mean of its windows'."""
_RETRIES: Final = (1.0, 5.0, 30.0)
"""Pauses in seconds before a file whose work broke is taken up again; then it has failed."""
STORE_SECONDS: Final = 2.0
"""Pause before a store that took nothing is asked again."""
_DELETED: Final = LastError(code="server_error", message="The file was deleted before it was read.")


class SearchedDocuments(SharedDocuments, ItemStore, Protocol):
    """Stores and their files, which servers work on."""


@dataclass(frozen=True)
class IngestionContext:
    """What all workers share."""

    documents: SearchedDocuments
    index: SearchIndex
    embedder: TextEmbedder | None
    files: FileManager
    settings: FileSearchSettings


async def ingest(context: IngestionContext, row: DocumentRow) -> None:
    """Bring a file to its final status. A store that takes nothing is waited for."""
    failure: LastError | None = None
    pauses = iter(_RETRIES)
    while True:
        try:
            if failure is None:
                failure = await _attempt(context, row)
            if failure is not None:
                await _finish(context, row, status="failed", last_error=failure)
            return
        except StoreFailed as error:
            logger.warning("indexing %s waits for the store: %s", row.id, error.message)
            await asyncio.sleep(STORE_SECONDS)
        except Exception:
            logger.exception("indexing %s failed", row.id)
            pause = next(pauses, None)
            if pause is None:
                failure = LastError(code="server_error", message="The file could not be indexed.")
            else:
                await asyncio.sleep(pause)


async def _attempt(context: IngestionContext, row: DocumentRow) -> LastError | None:
    """Index a file; why it cannot be, if it cannot."""
    try:
        await _ingest(context, row)
    except Unreadable as unreadable:
        return unreadable.error if await _is_there(context, row) else _DELETED
    except NotFound:
        return _DELETED
    return None


async def _ingest(context: IngestionContext, row: DocumentRow) -> None:
    stored = msgspec.json.decode(row.body, type=StoredFile)
    file = stored.file
    source = await context.files.get(row.owner, file.id)
    if source.bytes > context.settings.max_file_bytes:
        limit = context.settings.max_file_bytes
        raise Unreadable(LastError(code="invalid_file", message=f"The file has more than {limit} bytes."))
    try:
        async with context.files.blobs.local(file.id) as path:
            text = await read_text(path, stored.filename, context.settings)
    except BlobMissing as error:
        raise NotFound(f"The file {file.id!r} was deleted.") from error
    embedder = await _embedder(context, row)
    await _index_attributes(context, row)
    done = await context.index.count_chunks(file.vector_store_id, file.id)
    sizes = file.chunking_strategy.static
    chunks = await asyncio.to_thread(
        lambda: list(split_text(text, sizes.max_chunk_size_tokens, sizes.chunk_overlap_tokens))
    )
    vectors = 0
    for start in range(done, len(chunks), GROUP):
        group = chunks[start : start + GROUP]
        if embedder is not None:
            group = await _embedded(embedder, group)
            vectors = len(group[0].vector or ())
        await context.index.add_chunks(file.vector_store_id, file.id, group, held=row)
    used = sum(len(chunk.text.encode()) + 4 * vectors for chunk in chunks)
    await _finish(context, row, status="completed", usage_bytes=used)


async def _is_there(context: IngestionContext, row: DocumentRow) -> bool:
    """Whether the file that a store's file is made from still exists."""
    try:
        await context.files.get(row.owner, msgspec.json.decode(row.body, type=StoredFile).file.id)
    except NotFound:
        return False
    return True


async def _index_attributes(context: IngestionContext, row: DocumentRow) -> None:
    """Put a file's attributes into the index: those it has now, which a client may have changed since ``row`` was read.
    Raises NotFound."""
    while True:
        current = await context.documents.get_document(row.kind, row.owner, row.id)
        if current is None:
            raise NotFound(f"The file {row.id!r} was taken out of its store.")
        file = msgspec.json.decode(current.body, type=StoredFile).file
        if not file.attributes:
            return
        changed = msgspec.structs.replace(current, version=current.version + 1)
        try:
            await context.index.set_attributes(
                file.vector_store_id, file.id, file.attributes, document=changed
            )
        except Conflict:
            continue
        return


async def _embedder(context: IngestionContext, row: DocumentRow) -> TextEmbedder | None:
    """The embedder, where it is the one that the store's vectors are of."""
    store = await context.documents.get_document(STORE, row.owner, row.parent or "")
    if store is None or context.embedder is None:
        return None
    named = msgspec.json.decode(store.body, type=StoredStore).embedder
    return context.embedder if named == context.embedder.identity else None


async def _embedded(embedder: TextEmbedder, chunks: Sequence[TextChunk]) -> list[TextChunk]:
    parts = [windows(chunk.text, WINDOW) for chunk in chunks]
    try:
        vectors = await embedder.embed([part for one in parts for part in one])
    except (
        InvalidRequest
    ):  # a text that the model cannot take: the words of these chunks are found all the same
        logger.warning("the embedder refused %d chunks", len(chunks))
        return list(chunks)
    found: list[TextChunk] = []
    first = 0
    for chunk, one in zip(chunks, parts, strict=True):
        found.append(msgspec.structs.replace(chunk, vector=_mean(vectors[first : first + len(one)])))
        first += len(one)
    return found


def _mean(vectors: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The mean of vectors, of length 1."""
    sums = [sum(column) for column in zip(*vectors, strict=True)]
    length = sum(value * value for value in sums) ** 0.5 or 1.0
    return tuple(value / length for value in sums)


async def _finish(context: IngestionContext, row: DocumentRow, **changes: Any) -> None:
    """Store the final status. A file that was changed meanwhile (its attributes) keeps the change."""
    while True:
        current = await context.documents.get_document(row.kind, row.owner, row.id)
        if current is None or current.status != "in_progress" or current.created_at != row.created_at:
            return  # taken out of its store meanwhile; it may have been added again
        stored = msgspec.json.decode(current.body, type=StoredFile)
        file = msgspec.structs.replace(stored.file, **changes)
        stored = msgspec.structs.replace(stored, file=file)
        final = msgspec.structs.replace(
            current, version=current.version + 1, status=file.status, body=msgspec.json.encode(stored)
        )
        try:
            await context.documents.update_document(final)
        except Conflict:
            continue
        except NotFound:
            return
        return
