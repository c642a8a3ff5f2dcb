"""The files of all projects: bytes as blobs, metadata as documents in the store.

A document is written before the bytes and deleted after them, each step durably, so that a crash at any moment leaves
neither orphaned bytes nor a record without its bytes: the document's status says which step was being done, and
:meth:`FileManager.open` completes or undoes it. An expired file is invisible to its owner from that moment, and deleted
soon after.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from kodo.server.http.pagination import matching
from kodo.server.lifecycle.blobs import BlobMissing, BlobStore, BlobWriter
from kodo.server.lifecycle.errors import Conflict, InvalidRequest, NotFound
from kodo.server.lifecycle.in_hand import InHand
from kodo.server.lifecycle.ports import Clock, Ids
from kodo.server.lifecycle.records import DocumentRow, Page
from kodo.server.lifecycle.store_ports import DocumentStore
from kodo.server.lifecycle.supervised import cancel, supervise_every
from kodo.server.wire.files import ExpiresAfter, FileObject, FilePurpose

KIND = "file"
UPLOADING: Final = "uploading"
STORED: Final = "kept"
EXPIRES: Final = "expires"
DELETING: Final = "deleting"
BATCH_FILE_SECONDS = 30 * 86400
"""Life of a file with the purpose ``batch`` that was given none, as in the hosted contract."""
SWEEP_SECONDS = 600.0


class PendingFile:
    """A file whose bytes are being received."""

    def __init__(self, writer: BlobWriter) -> None:
        self.writer = writer
        self.filename = ""
        self.purpose: FilePurpose = "user_data"
        self.expires_after: ExpiresAfter | None = None
        self.file: FileObject | None = None
        """The file, once it is there."""


class FileManager:
    """Creates, reads and deletes files, for the endpoints and for batches."""

    def __init__(self, store: DocumentStore, blobs: BlobStore, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._sweeper: asyncio.Task[None] | None = None
        self._in_hand = InHand()
        """The files whose bytes are being received."""
        self.blobs = blobs

    # --- start and stop ---

    async def open(self) -> None:
        """Clean up after a crash, and start deleting expired files. Raises ``StoreFailed``."""
        await self.blobs.prepare()
        await self.sweep()
        self._sweeper = supervise_every("the deletion of expired files", SWEEP_SECONDS, self.sweep)

    async def close(self) -> None:
        """Stop the periodic deletion of expired files."""
        await cancel(self._sweeper)

    async def sweep(self) -> int:
        """Delete the expired files, and what a crash or a step that failed has left of others; return the number of expired
        ones."""
        for row in await self._in_hand.left(
            lambda: self._store.unfinished_documents(KIND, (UPLOADING, DELETING))
        ):
            await self._remove(row)
        rows = await self._store.unfinished_documents(KIND, (EXPIRES,))
        expired = [row for row in rows if self._expired(row)]
        for row in expired:
            await self._remove(row)
        return len(expired)

    # --- what a file's owner does ---

    @contextlib.asynccontextmanager
    async def create(self, owner: str) -> AsyncIterator[PendingFile]:
        """Create a file: its bytes, name and purpose are set inside the block, and ``pending.file`` is the file after
        it. If the block raises, nothing is left.

        Raises:
            StoreFailed: the disk is full, or writing failed.
        """
        file_id = self.new_id()
        now = self._clock.now()
        row = DocumentRow(kind=KIND, id=file_id, owner=owner, created_at=now, status=UPLOADING, body=b"{}")
        self._in_hand.take(file_id)
        try:
            await self._store.put_document(row)
            try:
                async with self.blobs.create(file_id) as writer:
                    pending = PendingFile(writer)
                    yield pending
                pending.file = self._build(file_id, pending, now)
                await self._store.update_document(_stored_row(row, pending.file))
            except BaseException:
                await self._remove(row)
                raise
        finally:
            self._in_hand.release(file_id)

    async def adopt(
        self,
        owner: str,
        file_id: str,
        *,
        filename: str,
        purpose: FilePurpose,
        expires_after: ExpiresAfter | None,
    ) -> None:
        """Register bytes that are already stored under this id as a file. Idempotent."""
        size = await self.blobs.size(file_id)
        now = self._clock.now()
        file = FileObject(
            id=file_id,
            bytes=size,
            created_at=int(now),
            expires_at=None if expires_after is None else int(now) + expires_after.seconds,
            filename=filename,
            purpose=purpose,
        )
        row = DocumentRow(kind=KIND, id=file_id, owner=owner, created_at=now, version=-1, body=b"")
        with contextlib.suppress(Conflict):
            await self._store.put_document(_stored_row(row, file))

    async def get(self, owner: str, file_id: str) -> FileObject:
        """Return a file.

        Raises:
            NotFound: it does not exist, or belongs to another owner.
        """
        return _decode(await self._get_row(owner, file_id))

    async def read(self, owner: str, file_id: str) -> tuple[FileObject, AsyncIterator[bytes]]:
        """Return a file and its bytes, in pieces. Raises ``NotFound``."""
        file = await self.get(owner, file_id)
        try:
            return file, await self.blobs.read(file_id)
        except BlobMissing as error:  # deleted this moment, or by hand
            raise not_found(file_id) from error

    async def contents(self, owner: str, file_id: str, limit: int) -> tuple[str, bytes]:
        """See :class:`kodo.server.lifecycle.ports.FileReader`."""
        file, chunks = await self.read(owner, file_id)
        if file.bytes > limit:
            raise InvalidRequest(
                f"'{file.filename}' has {file.bytes} bytes; files in a prompt may have at most {limit}.",
                param="file_id",
                code="file_too_large",
            )
        return file.filename, b"".join([chunk async for chunk in chunks])

    async def list(self, owner: str, page: Page, purpose: str | None) -> tuple[Sequence[FileObject], bool]:
        """Return a page of an owner's files, with one purpose if it is given, and whether there are more.

        Raises:
            NotFound: the page's cursor does not exist.
        """
        rows, more = await matching(
            lambda window: self._store.list_documents(KIND, owner, window),
            page,
            lambda row: self._visible(row) and purpose in (None, _decode(row).purpose),
        )
        return [_decode(row) for row in rows], more

    async def delete(self, owner: str, file_id: str) -> None:
        """Delete a file and its bytes. Raises ``NotFound``."""
        await self._remove(await self._get_row(owner, file_id))

    def new_id(self) -> str:
        """Return a new file id (``file-<hex>``)."""
        return self._ids.new("file").replace("_", "-", 1)

    # --- inside ---

    def _build(self, file_id: str, pending: PendingFile, now: float) -> FileObject:
        seconds = pending.expires_after.seconds if pending.expires_after is not None else None
        if seconds is None and pending.purpose == "batch":
            seconds = BATCH_FILE_SECONDS
        return FileObject(
            id=file_id,
            bytes=pending.writer.size,
            created_at=int(now),
            expires_at=None if seconds is None else int(now) + seconds,
            filename=pending.filename,
            purpose=pending.purpose,
        )

    async def _get_row(self, owner: str, file_id: str) -> DocumentRow:
        row = await self._store.get_document(KIND, owner, file_id)
        if row is None or not self._visible(row):
            raise not_found(file_id)
        return row

    def _visible(self, row: DocumentRow) -> bool:
        return row.status in (STORED, EXPIRES) and not self._expired(row)

    def _expired(self, row: DocumentRow) -> bool:
        if row.status != EXPIRES:
            return False
        expires_at = _decode(row).expires_at
        return expires_at is not None and expires_at <= self._clock.now()

    async def _remove(self, row: DocumentRow) -> None:
        """Delete a file: mark its document, delete the bytes, then the document. Safe to run twice concurrently."""
        with contextlib.suppress(Conflict, NotFound):
            if row.status in (STORED, EXPIRES):
                deleting = msgspec.structs.replace(row, status=DELETING, version=row.version + 1)
                await self._store.update_document(deleting)
            await self.blobs.delete(row.id)
            await self._store.delete_document(KIND, row.owner, row.id)


def not_found(file_id: str) -> NotFound:
    """Build the error for a file that does not exist."""
    return NotFound(f"No such File object: '{file_id}'.", param="file_id", code="file_not_found")


def _decode(row: DocumentRow) -> FileObject:
    return msgspec.json.decode(row.body, type=FileObject)


def _stored_row(row: DocumentRow, file: FileObject) -> DocumentRow:
    status = STORED if file.expires_at is None else EXPIRES
    return msgspec.structs.replace(
        row, version=row.version + 1, status=status, body=msgspec.json.encode(file)
    )
