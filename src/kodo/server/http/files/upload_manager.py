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

from kodo.server.http.files.documents import StoredPart, StoredUpload
from kodo.server.http.files.manager import SWEEP_SECONDS, FileManager
from kodo.server.http.files.upload_usage import PartUsage, UploadUsage
from kodo.server.http.keys import Caller
from kodo.server.lifecycle.blobs import BlobMissing, BlobWriter
from kodo.server.lifecycle.errors import Conflict, InvalidRequest, NotFound
from kodo.server.lifecycle.in_hand import InHand
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
    """Writes a part and counts its bytes towards what open uploads may hold."""

    def __init__(self, writer: BlobWriter, usage: PartUsage) -> None:
        self._writer = writer
        self._usage = usage

    async def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            Conflict, InvalidRequest, Overloaded, TooManyUploads: see :meth:`UploadUsage.receive`.
            StoreFailed: the disk is full, or writing failed.
        """
        self._usage.grow(len(data))
        await self._writer.write(data)


class UploadManager:
    """Creates, completes and cancels uploads, for the endpoints."""

    def __init__(
        self, store: DocumentStore, files: FileManager, clock: Clock, ids: Ids, usage: UploadUsage
    ) -> None:
        self._store = store
        self._files = files
        self._clock = clock
        self._ids = ids
        self._usage = usage
        self._sweeper: asyncio.Task[None] | None = None
        self._in_hand = InHand()
        """The parts that are being received, and the uploads that are being completed or ended."""

    async def open(self) -> None:
        """Clean up after a crash: delete incomplete parts, and make uploads whose completion was interrupted pending
        again. Count what the open ones hold."""
        await self.sweep()
        for row in await self._store.unfinished_documents(KIND, (PENDING,)):
            await self._count(row)
        self._sweeper = supervise_every("the deletion of expired uploads", SWEEP_SECONDS, self.sweep)

    async def close(self) -> None:
        """Stop the periodic deletion of expired uploads."""
        await cancel(self._sweeper)

    async def sweep(self) -> None:
        """End the uploads that have expired, and delete their parts; undo or finish what a crash, or a step that failed, has
        left half done."""
        for row in await self._left(PART, UPLOADING):
            await self._delete_part(row)
        for row in await self._left(KIND, COMPLETING):
            await self._update(row, status=PENDING)
        for row in await self._left(KIND, CLEARING):
            await self._delete_parts(row)
        for row in await self._store.unfinished_documents(KIND, (PENDING,)):
            if _decode(row).upload.expires_at <= self._clock.now():
                with contextlib.suppress(Conflict):  # completed or cancelled at this moment
                    await self._finish(row, "expired")

    async def create(self, caller: Caller, body: CreateUpload) -> Upload:
        """Create an upload that expires after :data:`UPLOAD_SECONDS`.

        Raises:
            Overloaded: too many are open in all.
            TooManyUploads: too many are open of this key.
        """
        now = self._clock.now()
        value = Upload(
            id=self._ids.new("upload"),
            bytes=body.bytes,
            created_at=int(now),
            expires_at=int(now) + UPLOAD_SECONDS,
            filename=body.filename,
            purpose=body.purpose,
        )
        stored = StoredUpload(upload=value, expires_after=body.expires_after, key_id=caller.key_id)
        row = DocumentRow(
            kind=KIND,
            id=value.id,
            owner=caller.owner,
            created_at=now,
            status=PENDING,
            body=msgspec.json.encode(stored),
        )
        self._usage.begin(value.id, (caller.owner, caller.key_id), body.bytes)
        try:
            await self._store.put_document(row)
        except BaseException:
            self._usage.end(value.id)
            raise
        return value

    @contextlib.asynccontextmanager
    async def add_part(self, owner: str, upload_id: str) -> AsyncIterator[tuple[UploadPart, _PartWriter]]:
        """Create a part, whose bytes are written inside the block; if the block raises, nothing is left.

        Raises:
            NotFound: the upload does not exist.
            Conflict: it is no longer pending.
            InvalidRequest: it has too many parts, or (raised by the writer) they have more bytes in total than were
                announced.
            Overloaded, TooManyUploads: open uploads hold too many bytes, in all or of this key.
            StoreFailed: the disk is full, or writing failed.
        """
        await self._count(await self._get_pending(owner, upload_id))
        counted = self._usage.begin_part(upload_id)
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
        self._in_hand.take(row.id)
        try:
            await self._store.put_document(row)
            async with self._files.blobs.create(value.id) as writer:
                yield value, _PartWriter(writer, counted)
            await self._get_pending(owner, upload_id)  # it may be over meanwhile
            body = msgspec.json.encode(StoredPart(part=value, size=writer.size))
            await self._store.update_document(
                msgspec.structs.replace(row, status=STORED, version=1, body=body)
            )
        except BaseException:
            counted.remove()
            await self._delete_part(row)
            raise
        finally:
            self._in_hand.release(row.id)

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
        self._in_hand.take(row.id)
        try:
            row = await self._update(row, status=COMPLETING)
            try:
                file = await self._concatenate(row, stored, body)
            except BaseException:
                await self._update(row, status=PENDING)
                raise
            return await self._finish(row, "completed", file)
        finally:
            self._in_hand.release(row.id)

    async def cancel(self, owner: str, upload_id: str) -> Upload:
        """Cancel an upload, and delete its parts. Raises ``NotFound`` and ``Conflict``."""
        return await self._finish(await self._get_pending(owner, upload_id), "cancelled")

    # --- inside ---

    async def _left(self, kind: str, status: str) -> Sequence[DocumentRow]:
        """The rows in a state that no request is about to change."""
        return await self._in_hand.left(lambda: self._store.unfinished_documents(kind, (status,)))

    async def _count(self, row: DocumentRow) -> None:
        """Count an open upload, and its stored parts, unless it is counted already."""
        if row.id not in self._usage:
            stored, sizes = _decode(row), await self._part_sizes(row)
            self._usage.restore(row.id, (row.owner, stored.key_id), stored.upload.bytes, sizes)

    async def _part_sizes(self, row: DocumentRow) -> list[int]:
        sizes: list[int] = []
        after = None
        while True:
            page = Page(limit=_PAGE, after=after)
            parts, more = await self._store.list_documents(PART, row.owner, page, parent=row.id)
            sizes += [_decode_part(part).size for part in parts if part.status == STORED]
            if not more:
                return sizes
            after = parts[-1].id

    async def _check(self, row: DocumentRow, upload: Upload, part_ids: Sequence[str]) -> None:
        if len(set(part_ids)) < len(part_ids):
            raise InvalidRequest("part_ids must not contain duplicates.", param="part_ids")
        size = 0
        for index, part_id in enumerate(part_ids):
            part = await self._store.get_document(PART, row.owner, part_id)
            if part is None or part.parent != row.id or part.status != STORED:
                raise _no_part(part_id, index)
            size += _decode_part(part).size
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
            for index, part_id in enumerate(body.part_ids):
                try:
                    chunks = await self._files.blobs.read(part_id)
                except BlobMissing:  # deleted this moment, with the upload
                    raise _no_part(part_id, index) from None
                async for chunk in chunks:
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
        stored = _decode(row)
        upload = msgspec.structs.replace(stored.upload, status=status, file=file)
        body = msgspec.json.encode(msgspec.structs.replace(stored, upload=upload))
        self._in_hand.take(row.id)
        try:
            ended = await self._update(row, status=CLEARING, body=body)
            self._usage.end(row.id)
            await self._delete_parts(ended)
        finally:
            self._in_hand.release(row.id)
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
        await self._files.blobs.delete(row.id)
        await self._store.delete_document(PART, row.owner, row.id)

    async def _update(self, row: DocumentRow, *, status: str, body: bytes | None = None) -> DocumentRow:
        changed = msgspec.structs.replace(
            row, status=status, version=row.version + 1, body=row.body if body is None else body
        )
        await self._store.update_document(changed)
        return changed


def _no_part(part_id: str, index: int) -> InvalidRequest:
    return InvalidRequest(f"This upload has no part '{part_id}'.", param=f"part_ids[{index}]")


def _decode(row: DocumentRow) -> StoredUpload:
    return msgspec.json.decode(row.body, type=StoredUpload)


def _decode_part(row: DocumentRow) -> StoredPart:
    return msgspec.json.decode(row.body, type=StoredPart)
