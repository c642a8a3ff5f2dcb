"""Files that are uploaded in parts: each part is a blob; completing the upload concatenates them in the client's order.

As with files, a document records each step before it is done, and :meth:`UploadManager.open` cleans up after a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from kodo.server.http.files.blobs import BlobWriter
from kodo.server.http.files.documents import StoredPart, StoredUpload
from kodo.server.http.files.manager import SWEEP_SECONDS, FileManager
from kodo.server.lifecycle.errors import Conflict, InvalidRequest, NotFound
from kodo.server.lifecycle.ports import Clock, Ids
from kodo.server.lifecycle.records import DocumentRow, Page
from kodo.server.lifecycle.store_ports import DocumentStore
from kodo.server.lifecycle.supervised import cancel, supervise_every
from kodo.server.wire.files import CompleteUpload, CreateUpload, FileObject, Upload, UploadPart

KIND = "upload"
PART = "upload.part"
UPLOAD_SECONDS = 3600
"""Life of an upload that is not completed, as in the hosted contract."""
PENDING: Final = "pending"
COMPLETING: Final = "completing"
CLEARING: Final = "clearing"
FINISHED: Final = "over"
UPLOADING: Final = "uploading"
STORED: Final = "kept"
_PAGE = 100
FinalStatus: TypeAlias = Literal["completed", "cancelled", "expired"]


class _PartWriter:
    """Writes a part and counts its bytes towards the upload. ``counted`` is the number of bytes so far."""

    def __init__(self, writer: BlobWriter, received: dict[str, int], upload: Upload) -> None:
        self._writer = writer
        self._received = received
        self._upload = upload
        self.counted = 0

    async def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            InvalidRequest: the parts would have more bytes than were announced.
            StoreFailed: the disk is full, or writing failed.
        """
        upload = self._upload
        received = self._received.get(upload.id, 0) + len(data)
        if received > upload.bytes:
            raise InvalidRequest(
                f"The parts have more than the {upload.bytes} bytes that were announced.",
                param="data",
                code="bytes_mismatch",
            )
        self._received[upload.id] = received
        self.counted += len(data)
        await self._writer.write(data)


class UploadManager:
    """Creates, completes and cancels uploads, for the endpoints."""

    def __init__(self, store: DocumentStore, files: FileManager, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._files = files
        self._clock = clock
        self._ids = ids
        self._received: dict[str, int] = {}
        """Bytes of each upload's parts, those included that are being received; counted when they are first needed."""
        self._sweeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Clean up after a crash: delete incomplete parts, and make uploads whose completion was interrupted pending
        again."""
        for row in await self._store.unfinished_documents(PART, (UPLOADING,)):
            await self._delete_part(row)
        for row in await self._store.unfinished_documents(KIND, (COMPLETING,)):
            await self._update(row, status=PENDING)
        for row in await self._store.unfinished_documents(KIND, (CLEARING,)):
            await self._delete_parts(row)
        await self.sweep()
        self._sweeper = supervise_every("the deletion of expired uploads", SWEEP_SECONDS, self.sweep)

    async def close(self) -> None:
        """Stop the periodic deletion of expired uploads."""
        await cancel(self._sweeper)

    async def sweep(self) -> None:
        """End the uploads that have expired, and delete their parts."""
        for row in await self._store.unfinished_documents(KIND, (PENDING,)):
            if _decode(row).upload.expires_at <= self._clock.now():
                with contextlib.suppress(Conflict):  # completed or cancelled at this moment
                    await self._finish(row, "expired")

    async def create(self, owner: str, body: CreateUpload) -> Upload:
        """Create an upload that expires after :data:`UPLOAD_SECONDS`."""
        now = self._clock.now()
        value = Upload(
            id=self._ids.new("upload"),
            bytes=body.bytes,
            created_at=int(now),
            expires_at=int(now) + UPLOAD_SECONDS,
            filename=body.filename,
            purpose=body.purpose,
        )
        stored = StoredUpload(upload=value, expires_after=body.expires_after)
        await self._store.put_document(
            DocumentRow(
                kind=KIND,
                id=value.id,
                owner=owner,
                created_at=now,
                status=PENDING,
                body=msgspec.json.encode(stored),
            )
        )
        return value

    @contextlib.asynccontextmanager
    async def add_part(self, owner: str, upload_id: str) -> AsyncIterator[tuple[UploadPart, _PartWriter]]:
        """Create a part, whose bytes are written inside the block; if the block raises, nothing is left.

        Raises:
            NotFound: the upload does not exist.
            Conflict: it is no longer pending.
            InvalidRequest: the parts have more bytes in total than were announced; raised by the writer.
            StoreFailed: the disk is full, or writing failed.
        """
        upload = _decode(await self._get_pending(owner, upload_id)).upload
        if upload_id not in self._received:
            self._received.setdefault(upload_id, await self._stored_bytes(owner, upload_id))
        now = self._clock.now()
        value = UploadPart(id=self._ids.new("part"), created_at=int(now), upload_id=upload_id)
        row = DocumentRow(
            kind=PART,
            id=value.id,
            owner=owner,
            parent=upload_id,
            created_at=now,
            status=UPLOADING,
            body=b"{}",
        )
        await self._store.put_document(row)
        counted: _PartWriter | None = None
        try:
            async with self._files.blobs.create(value.id) as writer:
                counted = _PartWriter(writer, self._received, upload)
                yield value, counted
            await self._get_pending(owner, upload_id)  # it may be over meanwhile
            body = msgspec.json.encode(StoredPart(part=value, size=writer.size))
            await self._store.update_document(
                msgspec.structs.replace(row, status=STORED, version=1, body=body)
            )
        except BaseException:
            if counted is not None and upload_id in self._received:
                self._received[upload_id] -= counted.counted
            await self._delete_part(row)
            raise

    async def complete(self, owner: str, upload_id: str, body: CompleteUpload) -> Upload:
        """Concatenate the named parts, in that order, to a file.

        Raises:
            NotFound: the upload does not exist.
            Conflict: it is no longer pending, or is being completed.
            InvalidRequest: a part is unknown or named twice, or the bytes differ from the announced size or MD5.
        """
        row = await self._get_pending(owner, upload_id)
        stored = _decode(row)
        await self._check(row, stored.upload, body.part_ids)
        row = await self._update(row, status=COMPLETING)
        try:
            file = await self._concatenate(row, stored, body)
        except BaseException:
            await self._update(row, status=PENDING)
            raise
        return await self._finish(row, "completed", file)

    async def cancel(self, owner: str, upload_id: str) -> Upload:
        """Cancel an upload, and delete its parts. Raises ``NotFound`` and ``Conflict``."""
        return await self._finish(await self._get_pending(owner, upload_id), "cancelled")

    # --- inside ---

    async def _stored_bytes(self, owner: str, upload_id: str) -> int:
        size, after = 0, None
        while True:
            parts, more = await self._store.list_documents(
                PART, owner, Page(limit=_PAGE, after=after), parent=upload_id
            )
            size += sum(
                msgspec.json.decode(part.body, type=StoredPart).size
                for part in parts
                if part.status == STORED
            )
            if not more:
                return size
            after = parts[-1].id

    async def _check(self, row: DocumentRow, upload: Upload, part_ids: Sequence[str]) -> None:
        if len(set(part_ids)) < len(part_ids):
            raise InvalidRequest("part_ids must not contain duplicates.", param="part_ids")
        size = 0
        for index, part_id in enumerate(part_ids):
            part = await self._store.get_document(PART, row.owner, part_id)
            if part is None or part.parent != row.id or part.status != STORED:
                raise InvalidRequest(f"This upload has no part '{part_id}'.", param=f"part_ids[{index}]")
            size += msgspec.json.decode(part.body, type=StoredPart).size
        if size != upload.bytes:
            raise InvalidRequest(
                f"The parts have {size} bytes in total, but {upload.bytes} were announced.",
                param="part_ids",
                code="bytes_mismatch",
            )

    async def _concatenate(
        self, row: DocumentRow, stored: StoredUpload, body: CompleteUpload
    ) -> FileObject | None:
        digest = hashlib.md5(usedforsecurity=False)
        async with self._files.create(row.owner) as pending:
            pending.filename, pending.purpose = stored.upload.filename, stored.upload.purpose
            pending.expires_after = stored.expires_after
            for part_id in body.part_ids:
                async for chunk in await self._files.blobs.read(part_id):
                    await asyncio.to_thread(digest.update, chunk)
                    await pending.writer.write(chunk)
            if body.md5 is not None and digest.hexdigest() != body.md5.lower():
                raise InvalidRequest("The MD5 of the file does not match.", param="md5", code="md5_mismatch")
        return pending.file

    async def _get_pending(self, owner: str, upload_id: str) -> DocumentRow:
        row = await self._store.get_document(KIND, owner, upload_id)
        if row is None:
            raise NotFound(
                f"No such Upload object: '{upload_id}'.", param="upload_id", code="upload_not_found"
            )
        upload = _decode(row).upload
        if row.status == PENDING and upload.expires_at <= self._clock.now():
            upload = await self._finish(row, "expired")
        if row.status != PENDING or upload.status != "pending":
            word = upload.status if row.status != COMPLETING else "being completed"
            raise Conflict(f"The upload is {word}.", param="upload_id", code="upload_not_pending")
        return row

    async def _finish(self, row: DocumentRow, status: FinalStatus, file: FileObject | None = None) -> Upload:
        self._received.pop(row.id, None)
        stored = _decode(row)
        upload = msgspec.structs.replace(stored.upload, status=status, file=file)
        body = msgspec.json.encode(msgspec.structs.replace(stored, upload=upload))
        await self._delete_parts(await self._update(row, status=CLEARING, body=body))
        return upload

    async def _delete_parts(self, row: DocumentRow) -> None:
        """Delete the parts of an upload that has ended."""
        while True:
            parts, more = await self._store.list_documents(PART, row.owner, Page(limit=_PAGE), parent=row.id)
            for part in parts:
                await self._delete_part(part)
            if not more:
                break
        await self._update(row, status=FINISHED)

    async def _delete_part(self, row: DocumentRow) -> None:
        await asyncio.to_thread(self._files.blobs.delete, row.id)
        await self._store.delete_document(PART, row.owner, row.id)

    async def _update(self, row: DocumentRow, *, status: str, body: bytes | None = None) -> DocumentRow:
        changed = msgspec.structs.replace(
            row, status=status, version=row.version + 1, body=row.body if body is None else body
        )
        await self._store.update_document(changed)
        return changed


def _decode(row: DocumentRow) -> StoredUpload:
    return msgspec.json.decode(row.body, type=StoredUpload)
