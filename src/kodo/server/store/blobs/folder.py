"""Blobs as files of a folder, which several servers may share over NFS or the like.

Only the servers' user can read it. Files are named by ids that a server made; the filename given by a client never
reaches the file system. A blob is written to a temporary file, and renamed once it is complete and synced.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO, Final

from kodo.server.lifecycle.blobs import CHUNK_BYTES, BlobMissing, BlobStore, GrowingBlob, check_id, is_id
from kodo.server.lifecycle.errors import StoreFailed

STALE_SECONDS: Final = 86400.0
"""Age of an unfinished file of which no server is thought to be still writing it, where others write there too."""
_BLOCK: Final = 2**16


class FolderWriter:
    """A file that is being written. ``size`` is the number of bytes so far."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._buffer = bytearray()
        self.size = 0

    async def write(self, data: bytes) -> None:
        """See ``BlobWriter``."""
        self.size += len(data)
        self._buffer += data
        if len(self._buffer) >= CHUNK_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write the buffer to the file. Raises ``StoreFailed``."""
        chunk, self._buffer = bytes(self._buffer), bytearray()
        with _written():
            await asyncio.to_thread(self._file.write, chunk)


class FolderBlobs(BlobStore):
    """The blobs of one folder. ``alone``: no other server uses it."""

    def __init__(self, folder: Path, *, alone: bool = True) -> None:
        self._folder = folder
        self._alone = alone

    async def prepare(self) -> None:
        """Create the folder with mode 0700, and delete unfinished files: of this server alone all, else those that are old.

        Raises:
            StoreFailed: the folder cannot be used.
        """
        try:
            await asyncio.to_thread(self._prepare)
        except OSError as error:
            raise StoreFailed(f"The folder for files cannot be used: {error.strerror}.") from error

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder.chmod(0o700)
        for leftover in self._folder.glob("*.part"):
            with contextlib.suppress(FileNotFoundError):  # another server has just finished it
                if self._alone or leftover.stat().st_mtime < time.time() - STALE_SECONDS:
                    leftover.unlink()

    def path(self, blob_id: str) -> Path:
        """Where a blob is. Raises ``ValueError``: it is no id."""
        return self._folder / check_id(blob_id)

    @contextlib.asynccontextmanager
    async def create(self, blob_id: str) -> AsyncIterator[FolderWriter]:
        """See ``BlobStore``."""
        path = self.path(blob_id)
        part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        with _written():
            file = await asyncio.to_thread(part.open, "wb")
        try:
            with file:
                writer = FolderWriter(file)
                yield writer
                await writer.flush()
                with _written():
                    await asyncio.to_thread(_sync, file)
            with _written():
                await asyncio.to_thread(part.replace, path)
                await asyncio.to_thread(self._sync_folder)
        finally:
            part.unlink(missing_ok=True)

    async def size(self, blob_id: str) -> int:
        """See ``BlobStore``."""
        with _read():
            return (await asyncio.to_thread(self.path(blob_id).stat)).st_size

    async def read(self, blob_id: str) -> AsyncIterator[bytes]:
        """See ``BlobStore``. The file is open on return: a later deletion does not stop the reader."""
        with _read():
            file = await asyncio.to_thread(self.path(blob_id).open, "rb")

        async def chunks() -> AsyncIterator[bytes]:
            with file:
                while True:
                    with _read():
                        chunk = await asyncio.to_thread(file.read, CHUNK_BYTES)
                    if not chunk:
                        return
                    yield chunk

        return chunks()

    @contextlib.asynccontextmanager
    async def local(self, blob_id: str) -> AsyncIterator[Path]:
        """See ``BlobStore``: the file itself."""
        path = self.path(blob_id)
        with _read():
            await asyncio.to_thread(path.stat)
        yield path

    async def copy(self, blob_id: str, other_id: str) -> None:
        """See ``BlobStore``: a hard link, where the file system has them."""
        await asyncio.to_thread(self._link, self.path(blob_id), self.path(other_id))

    def _link(self, path: Path, target: Path) -> None:
        with _written():
            target.unlink(missing_ok=True)
            try:
                target.hardlink_to(path)
            except FileNotFoundError:
                raise BlobMissing(path.name) from None
            except OSError:  # some file systems have one name a file
                _copy(path, target)

    async def ids(self, prefix: str | None = None) -> list[str]:
        """See ``BlobStore``."""
        pattern = "*" if prefix is None else f"{prefix}_*"
        with _read():
            found = await asyncio.to_thread(lambda: list(self._folder.glob(pattern)))
        return [path.name for path in found if is_id(path.name)]

    async def growing_ids(self) -> list[str]:
        """See ``BlobStore``: here they are blobs from the beginning."""
        return []

    async def delete(self, blob_id: str) -> None:
        """See ``BlobStore``."""
        with _written():
            await asyncio.to_thread(self.path(blob_id).unlink, missing_ok=True)

    async def grow(self, blob_id: str) -> GrowingBlob:
        """See ``BlobStore``."""
        path = self.path(blob_id)
        with _written():
            return GrowingFile(path, await asyncio.to_thread(_open_for_append, path))

    async def copy_grown(self, blob_id: str, other_id: str) -> None:
        """See ``BlobStore``."""
        path, target = self.path(blob_id), self.path(other_id)
        with _written(), contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(_copy, path, target)

    def _sync_folder(self) -> None:
        """So that new names survive a power failure."""
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class GrowingFile(GrowingBlob):
    """A file that is appended to and synced. A blob from the beginning, as far as it goes."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

    @property
    def size(self) -> int:
        """See ``GrowingBlob``."""
        return self._size

    async def lines(self) -> AsyncIterator[bytes]:
        """See ``GrowingBlob``."""
        with _read():
            file = await asyncio.to_thread(self._path.open, "rb")
        with file:
            while True:
                with _read():
                    lines = await asyncio.to_thread(file.readlines, _BLOCK)
                if not lines:
                    return
                for line in lines:
                    yield line

    async def append(self, data: bytes) -> None:
        """See ``GrowingBlob``."""
        with _written():
            await asyncio.to_thread(self._append, data)
        self._size += len(data)

    def _append(self, data: bytes) -> None:
        self._file.write(data)
        _sync(self._file)

    async def publish(self) -> None:
        """See ``GrowingBlob``: it is one already."""

    async def close(self) -> None:
        """See ``GrowingBlob``."""
        with _written():
            await asyncio.to_thread(self._file.close)


@contextlib.contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreFailed(f"The file could not be written: {error.strerror}.") from error


@contextlib.contextmanager
def _read() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BlobMissing(Path(error.filename or "").name) from None
    except OSError as error:
        raise StoreFailed(f"The file cannot be read: {error.strerror}.") from error


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _copy(path: Path, target: Path) -> None:
    shutil.copyfile(path, target)
    target.chmod(0o600)


def _open_for_append(path: Path) -> IO[bytes]:
    """Open a file for appending, and truncate a torn line at its end."""
    path.touch(mode=0o600)
    file = path.open("r+b")
    end = size = os.fstat(file.fileno()).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        newline = os.pread(file.fileno(), end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        file.truncate(end)
    file.seek(end)
    return file
