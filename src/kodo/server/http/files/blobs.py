"""Stores bytes on disk by id; knows no owner, no filename and no HTTP.

Only the server's user can read the folder. Blobs are named by ids that this server created; the filename given by a
client never reaches the file system. A blob is written to a temporary file, and renamed once it is complete and synced.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from kodo.server.lifecycle.errors import StoreFailed

CHUNK_BYTES = 2**20
"""Bytes per read or write."""
_ID = re.compile(r"[a-z]+[-_][0-9a-f]+")


class BlobWriter:
    """A blob that is being written. ``size`` is the number of bytes so far."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._buffer = bytearray()
        self.size = 0

    async def write(self, data: bytes) -> None:
        """Append bytes; they are written to disk in pieces of :data:`CHUNK_BYTES` to bound memory. Raises
        ``StoreFailed``."""
        self.size += len(data)
        self._buffer += data
        if len(self._buffer) >= CHUNK_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write the buffer to the file.

        Raises:
            StoreFailed: writing failed.
        """
        chunk, self._buffer = bytes(self._buffer), bytearray()
        try:
            await asyncio.to_thread(self._file.write, chunk)
        except OSError as error:
            raise StoreFailed(f"The file could not be written: {error.strerror}.") from error


class BlobStore:
    """The blobs of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Create the folder with mode 0700, and delete unfinished blobs.

        Raises:
            StoreFailed: the folder cannot be used.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._folder.chmod(0o700)
            for leftover in self._folder.glob("*.part"):
                leftover.unlink()
        except OSError as error:
            raise StoreFailed(f"The folder for files cannot be used: {error.strerror}.") from error

    def path(self, blob_id: str) -> Path:
        """Return the path of a blob.

        Raises:
            ValueError: ``blob_id`` does not have the form of an id.
        """
        if not _ID.fullmatch(blob_id):
            raise ValueError("not an id")
        return self._folder / blob_id

    @contextlib.asynccontextmanager
    async def create(self, blob_id: str) -> AsyncIterator[BlobWriter]:
        """Create a blob; it exists, complete and synced, after the block, and not at all if the block raises. Raises
        ``StoreFailed``.
        """
        path = self.path(blob_id)
        part = path.with_name(f"{path.name}.part")
        try:
            file = await asyncio.to_thread(part.open, "wb")
        except OSError as error:
            raise StoreFailed(f"The file could not be written: {error.strerror}.") from error
        try:
            with file:
                writer = BlobWriter(file)
                yield writer
                await writer.flush()
                await asyncio.to_thread(_sync, file)
            await asyncio.to_thread(part.replace, path)
            await asyncio.to_thread(self.sync_folder)
        except OSError as error:
            raise StoreFailed(f"The file could not be written: {error.strerror}.") from error
        finally:
            part.unlink(missing_ok=True)

    def sync_folder(self) -> None:
        """Sync the folder, so that new names survive a power failure."""
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def link(self, blob_id: str, other_id: str) -> None:
        """Give a blob a second id; its bytes stay until both ids are deleted.

        Raises:
            OSError: it could neither be linked nor copied.
        """
        path, target = self.path(blob_id), self.path(other_id)
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(path)
        except PermissionError:  # some file systems have one name a file
            shutil.copyfile(path, target)

    def copy(self, blob_id: str, other_id: str) -> None:
        """Give the bytes of a blob, as they are now, to another id; nothing, where there is none. Raises ``OSError``."""
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(self.path(blob_id), self.path(other_id))
            self.path(other_id).chmod(0o600)

    def ids(self, prefix: str) -> list[str]:
        """Return the ids of this kind that are on disk. Raises ``OSError``."""
        return [path.name for path in self._folder.glob(f"{prefix}_*") if _ID.fullmatch(path.name)]

    async def read(self, blob_id: str) -> AsyncIterator[bytes]:
        """Return the bytes of a blob, in pieces. The file is open on return: a later deletion does not stop the reader.

        Raises:
            FileNotFoundError: no blob has this id.
        """
        file = await asyncio.to_thread(self.path(blob_id).open, "rb")

        async def chunks() -> AsyncIterator[bytes]:
            with file:
                while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                    yield chunk

        return chunks()

    def delete(self, blob_id: str) -> None:
        """Delete a blob, if it exists."""
        self.path(blob_id).unlink(missing_ok=True)


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
