"""The files of containers: documents of the store, bytes as blobs. They stay readable when the container has expired.

A document is written after its bytes; bytes without a document are deleted at the next start
of a server that is alone.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import PurePosixPath
from typing import Final, Protocol

import msgspec

from kodo.server.config import CodeInterpreterSettings
from kodo.server.http.containers.documents import FILE, KEPT, StoredContainerFile
from kodo.server.http.files.manager import FileManager, not_found
from kodo.server.lifecycle.blobs import BlobMissing, BlobStore, BlobWriter, read_whole
from kodo.server.lifecycle.errors import Conflict, InvalidRequest, NotFound
from kodo.server.lifecycle.ports import Clock, Ids
from kodo.server.lifecycle.records import DocumentRow, Page
from kodo.server.lifecycle.store_ports import ItemStore, SharedDocuments
from kodo.server.wire.containers import FOLDER, ContainerFile
from kodo.server.wire.files import FileObject

MAX_NAME: Final = 255
"""Bytes of a file's name."""
_MAX_SUFFIX: Final = 32
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, ends of lines, and what turns the direction of writing. All other characters are a name's own:
spaces of every width, and the joiners that emoji are put together with, which Python calls unprintable."""
PREFIX: Final = "cfile"
"""Of the ids of these files."""


class PendingContainerFile:
    """A file whose bytes are being received; ``name`` is set before the end."""

    def __init__(self, writer: BlobWriter) -> None:
        self.writer = writer
        self.name = ""
        self.stored: StoredContainerFile | None = None


class ContainerStore(SharedDocuments, ItemStore, Protocol):
    """Documents, put into a container only while that is there."""


class ContainerFiles:
    """Creates, reads and deletes the files of containers. The container itself is the caller's to check."""

    def __init__(
        self,
        store: ContainerStore,
        blobs: BlobStore,
        files: FileManager,
        settings: CodeInterpreterSettings,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._files = files
        self._settings = settings
        self._clock = clock
        self._ids = ids

    async def open(self) -> None:
        """Delete bytes that no document names, unless another server may be about to name them. Raises ``StoreFailed``."""
        await self._blobs.prepare()
        if self._store.shared:
            return
        known = {row.id for row in await self._store.unfinished_documents(FILE, (KEPT,))}
        for file_id in set(await self._blobs.ids(PREFIX)) - known:
            await self._blobs.delete(file_id)

    # --- what a client does ---

    async def get(self, owner: str, container_id: str, file_id: str) -> ContainerFile:
        """A file. Raises NotFound."""
        return _decode(await self._row(owner, container_id, file_id)).file

    async def list(self, owner: str, container_id: str, page: Page) -> tuple[Sequence[ContainerFile], bool]:
        """A page of files, and whether more follow. Raises NotFound: the cursor."""
        rows, more = await self._store.list_documents(FILE, owner, page, parent=container_id)
        return [_decode(row).file for row in rows], more

    async def read(self, owner: str, container_id: str, file_id: str) -> tuple[int, AsyncIterator[bytes]]:
        """The size of a file and its bytes, in pieces. Raises NotFound, StoreFailed."""
        await self._row(owner, container_id, file_id)
        return await self._open(file_id)

    async def _open(self, file_id: str) -> tuple[int, AsyncIterator[bytes]]:
        try:
            return await self._blobs.size(file_id), await self._blobs.read(file_id)
        except (BlobMissing, ValueError) as error:
            raise file_not_found(file_id) from error

    async def find(self, owner: str, file_id: str) -> FileObject:
        """A file of any container as one of ``/v1/files``, for clients of the Assistants API. Raises NotFound."""
        row = await self._store.get_document(FILE, owner, file_id)
        if row is None:
            raise not_found(file_id)
        file = _decode(row).file
        return FileObject(
            id=file.id,
            bytes=file.bytes,
            created_at=file.created_at,
            filename=PurePosixPath(file.path).name,
            purpose="assistants_output",
        )

    async def read_any(self, owner: str, file_id: str) -> tuple[int, AsyncIterator[bytes]]:
        """The bytes of :meth:`find`. Raises NotFound, StoreFailed."""
        await self.find(owner, file_id)
        return await self._open(file_id)

    @asynccontextmanager
    async def create(self, owner: str, container_id: str) -> AsyncIterator[PendingContainerFile]:
        """Create a file of the client's: its bytes and name are set inside the block; ``pending.stored`` is the file after it.

        Raises:
            InvalidRequest: there are too many files, or the name is none.
            StoreFailed: the disk is full, or writing failed.
        """
        there = await self.all(owner, container_id)
        file_id = self._ids.new(PREFIX)
        async with self._unless_it_fails(file_id):
            async with self._blobs.create(file_id) as writer:
                pending = PendingContainerFile(writer)
                yield pending
                self._check_room(there, writer.size)
            path = f"{FOLDER}/{base_name(pending.name)}"
            pending.stored = await self._put(owner, container_id, file_id, path, writer.size, "user", None)
        await self._replace(owner, container_id, there, path)

    async def copy(self, owner: str, container_id: str, source_id: str, param: str) -> ContainerFile:
        """Copy a file of ``/v1/files`` into a container.

        Raises:
            NotFound: it does not exist; ``param`` names the field.
            InvalidRequest: it is too large, or there are too many.
        """
        source = await self.find_source(owner, source_id, param)
        there = await self.all(owner, container_id)
        file_id = self._ids.new(PREFIX)
        path = f"{FOLDER}/{base_name(source.filename)}"
        self._check_room(there, source.bytes, param)
        _, chunks = await self._files.read(owner, source_id)
        async with self._unless_it_fails(file_id):
            async with self._blobs.create(file_id) as writer:
                async for chunk in chunks:
                    await writer.write(chunk)
            stored = await self._put(owner, container_id, file_id, path, writer.size, "user", source_id)
        await self._replace(owner, container_id, there, path)
        return stored.file

    async def find_source(self, owner: str, source_id: str, param: str) -> _Source:
        """Name and size of a file of ``/v1/files``. Raises NotFound, InvalidRequest with this ``param``."""
        try:
            found = await self._files.get(owner, source_id)
        except NotFound as error:
            error.param = param
            raise
        if found.bytes > self._settings.max_file_bytes:
            raise InvalidRequest(
                f"'{found.filename}' has {found.bytes} bytes; files in a container may have at most "
                f"{self._settings.max_file_bytes}.",
                param=param,
                code="file_too_large",
            )
        return _Source(filename=found.filename, bytes=found.bytes)

    async def delete(self, owner: str, container_id: str, file_id: str) -> None:
        """Delete a file. Raises NotFound."""
        await self._row(owner, container_id, file_id)
        await self._remove(owner, file_id)

    # --- what the container does ---

    async def all(self, owner: str, container_id: str) -> Sequence[StoredContainerFile]:
        """All files of a container, oldest first."""
        found: list[StoredContainerFile] = []
        after, more = None, True
        while more:
            page = Page(order="asc", limit=100, after=after)
            rows, more = await self._store.list_documents(FILE, owner, page, parent=container_id)
            found += map(_decode, rows)
            after = rows[-1].id if rows else None
        return found

    async def bytes_of(self, file_id: str) -> bytes:
        """The bytes of a file. Raises BlobMissing."""
        return await read_whole(self._blobs, file_id)

    async def save(
        self, owner: str, container_id: str, path: str, data: bytes, before: StoredContainerFile | None
    ) -> StoredContainerFile:
        """Keep a file that the code made, or changed: then its id stays."""
        if before is None:
            file_id = self._ids.new(PREFIX)
            async with self._unless_it_fails(file_id):
                async with self._blobs.create(file_id) as writer:
                    await writer.write(data)
                return await self._put(owner, container_id, file_id, path, len(data), "assistant", None)
        file_id = before.file.id
        async with self._blobs.create(file_id) as writer:
            await writer.write(data)
        while True:
            row = await self._store.get_document(FILE, owner, file_id)
            if row is None:  # deleted at this moment
                await self._blobs.delete(file_id)
                return before
            stored = _decode(row)
            changed = msgspec.structs.replace(
                stored,
                file=msgspec.structs.replace(stored.file, bytes=len(data)),
                changed=stored.changed + 1,
            )
            row = msgspec.structs.replace(row, version=row.version + 1, body=msgspec.json.encode(changed))
            with contextlib.suppress(Conflict, NotFound):
                await self._store.update_document(row)
                return changed

    async def delete_all(self, owner: str, files: Sequence[StoredContainerFile]) -> None:
        """Delete files that are gone from the container, or whose container is."""
        for stored in files:
            await self._remove(owner, stored.file.id)

    # --- inside ---

    @asynccontextmanager
    async def _unless_it_fails(self, file_id: str) -> AsyncIterator[None]:
        """Bytes that are written inside the block are deleted again if it raises: no document names them."""
        try:
            yield
        except BaseException:
            await self._blobs.delete(file_id)
            raise

    async def _row(self, owner: str, container_id: str, file_id: str) -> DocumentRow:
        row = await self._store.get_document(FILE, owner, file_id)
        if row is None or row.parent != container_id:
            raise file_not_found(file_id)
        return row

    async def _put(
        self,
        owner: str,
        container_id: str,
        file_id: str,
        path: str,
        size: int,
        source: str,
        copied_from: str | None,
    ) -> StoredContainerFile:
        now = self._clock.now()
        file = ContainerFile(
            id=file_id,
            created_at=int(now),
            container_id=container_id,
            path=path,
            bytes=size,
            source="user" if source == "user" else "assistant",
        )
        stored = StoredContainerFile(file=file, copied_from=copied_from)
        row = DocumentRow(
            kind=FILE,
            id=file_id,
            owner=owner,
            parent=container_id,
            created_at=now,
            status=KEPT,
            body=msgspec.json.encode(stored),
        )
        try:
            await self._store.append_items(owner, container_id, (), [row])
        except NotFound:
            raise container_not_found(container_id) from None
        return stored

    async def _replace(
        self, owner: str, container_id: str, there: Sequence[StoredContainerFile], path: str
    ) -> None:
        """Delete what had a new file's path before."""
        await self.delete_all(owner, [stored for stored in there if stored.file.path == path])

    async def _remove(self, owner: str, file_id: str) -> None:
        """The bytes first: where that fails, the document still names them, and it can be tried again."""
        await self._blobs.delete(file_id)
        await self._store.delete_document(FILE, owner, file_id)

    def _check_room(
        self, there: Sequence[StoredContainerFile], size: int, param: str | None = "file"
    ) -> None:
        if len(there) >= self._settings.max_files:
            raise InvalidRequest(
                f"The number of files in a container is limited to {self._settings.max_files}.", param=param
            )
        if sum(stored.file.bytes for stored in there) + size > self._settings.disk_bytes:
            raise InvalidRequest(
                f"The files of a container may have at most {self._settings.disk_bytes} bytes.", param=param
            )


class _Source(msgspec.Struct, frozen=True, kw_only=True):
    filename: str
    bytes: int


def base_name(name: str) -> str:
    """The last part of a file's name as a client gives it, so that :func:`is_name` holds; cut in front of its suffix if it
    is too long. Raises InvalidRequest: there is none."""
    last = _UNSAFE.sub("_", PurePosixPath(name.replace("\\", "/")).name)
    if last in ("", ".", ".."):
        raise InvalidRequest("A file must have a name.", param="file")
    data = last.encode(errors="replace")
    suffix = PurePosixPath(last).suffix.encode(errors="replace")
    kept = suffix if len(suffix) <= _MAX_SUFFIX else b""
    if len(data) > MAX_NAME:
        data = data[: MAX_NAME - len(kept)].decode(errors="ignore").encode() + kept
    return data.decode()


def is_name(part: str) -> bool:
    """Whether a part of a path is one that a file of a container can have."""
    return (
        part not in ("", ".", "..")
        and _UNSAFE.search(part) is None
        and len(part.encode(errors="replace")) <= MAX_NAME
    )


def container_not_found(container_id: str) -> NotFound:
    """The error for a container that is not there."""
    return NotFound(
        f"No such Container object: '{container_id}'.", param="container_id", code="container_not_found"
    )


def file_not_found(file_id: str) -> NotFound:
    """The error for a file that is not in the container."""
    return NotFound(
        f"No such file in this container: '{file_id}'.", param="file_id", code="container_file_not_found"
    )


def _decode(row: DocumentRow) -> StoredContainerFile:
    return msgspec.json.decode(row.body, type=StoredContainerFile)
