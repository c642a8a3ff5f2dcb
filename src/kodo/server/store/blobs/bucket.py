"""Blobs as objects of a bucket that speaks S3.

``<kind>/<id>`` is a blob. What grows is a row of objects, ``<kind>.growing/<id>/<first>-<last>``: each append is one of them,
and every :data:`MERGED` of them become one. Publishing puts all together to the blob and deletes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from kodo.server.lifecycle.blobs import BlobMissing, BlobStore, GrowingBlob, check_id, is_id
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store.blobs.s3 import PART_BYTES, S3Bucket, Taken

READ_BYTES: Final = 4 * 2**20
"""Of one request of a reader."""
MERGED: Final = 64
"""Appends that are put together to one object."""
FETCHED: Final = 8
"""Objects that are read at once where many are."""


class BucketWriter:
    """An object that is being written: small ones in one request, others in parts."""

    def __init__(self, bucket: S3Bucket, key: str) -> None:
        self._bucket = bucket
        self._key = key
        self._buffer = bytearray()
        self._parts: asyncio.Queue[bytes | _Broken | None] = asyncio.Queue(maxsize=1)
        self._upload: asyncio.Task[None] | None = None
        self.size = 0

    async def write(self, data: bytes) -> None:
        """See ``BlobWriter``."""
        self.size += len(data)
        self._buffer += data
        while len(self._buffer) >= PART_BYTES:
            part = bytes(memoryview(self._buffer)[:PART_BYTES])
            del self._buffer[:PART_BYTES]
            await self._send(part)

    async def finish(self) -> None:
        """Store what is left; the object is there when this returns. Raises StoreFailed."""
        if self._upload is None:
            await self._bucket.put(self._key, bytes(self._buffer))
            return
        if self._buffer:
            await self._send(bytes(self._buffer))
        await self._send(None)
        await asyncio.shield(self._upload)

    async def give_up(self) -> None:
        """Have the parts that were sent taken back; nothing of the object is there."""
        if self._upload is None:
            return
        with contextlib.suppress(StoreFailed):  # the upload has ended otherwise
            if not self._upload.done():
                await self._send(_Broken())
        await asyncio.gather(self._upload, return_exceptions=True)

    async def _send(self, part: bytes | _Broken | None) -> None:
        if self._upload is None:
            self._upload = asyncio.create_task(self._bucket.put_parts(self._key, self._sent()))
        put = asyncio.create_task(self._parts.put(part))
        await asyncio.wait({put, self._upload}, return_when=asyncio.FIRST_COMPLETED)
        if not put.done():
            put.cancel()
            await self._upload
            raise StoreFailed("The file store took only a part of the file.")

    async def _sent(self) -> AsyncIterator[bytes]:
        while (part := await self._parts.get()) is not None:
            if isinstance(part, _Broken):
                raise part
            yield part


class _Broken(Exception):
    """The writer gives up: the upload in parts is broken off."""


class BucketBlobs(BlobStore):
    """Blobs of one ``kind`` in a bucket. ``spool``: a folder of this machine for files that are read by a path."""

    def __init__(self, bucket: S3Bucket, kind: str, spool: Path) -> None:
        self._bucket = bucket
        self._kind = kind
        self._spool = spool

    async def prepare(self) -> None:
        """See ``BlobStore``: the bucket was looked at when the place was opened."""

    @contextlib.asynccontextmanager
    async def create(self, blob_id: str) -> AsyncIterator[BucketWriter]:
        """See ``BlobStore``."""
        writer = BucketWriter(self._bucket, self._key(blob_id))
        try:
            yield writer
            await writer.finish()
        except BaseException:
            await writer.give_up()
            raise

    async def size(self, blob_id: str) -> int:
        """See ``BlobStore``."""
        return (await self._bucket.head(self._key(blob_id)))[0]

    async def read(self, blob_id: str) -> AsyncIterator[bytes]:
        """See ``BlobStore``: piece by piece, each of the version that was there at the beginning."""
        key = self._key(blob_id)
        size, version = await self._bucket.head(key)

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, size, READ_BYTES):
                yield await self._bucket.get(key, start, min(start + READ_BYTES, size), version)

        return chunks()

    @contextlib.asynccontextmanager
    async def local(self, blob_id: str) -> AsyncIterator[Path]:
        """See ``BlobStore``: a copy, deleted at the end of the block."""
        chunks = await self.read(blob_id)
        with contextlib.ExitStack() as stack:
            with _spooled():
                file = stack.enter_context(tempfile.NamedTemporaryFile(dir=self._spool))
            async for chunk in chunks:
                with _spooled():
                    await asyncio.to_thread(_write, file, chunk)
            yield Path(file.name)

    async def copy(self, blob_id: str, other_id: str) -> None:
        """See ``BlobStore``: inside the bucket."""
        await self._bucket.copy(self._key(blob_id), self._key(other_id))

    async def ids(self, prefix: str | None = None) -> list[str]:
        """See ``BlobStore``."""
        begin = "" if prefix is None else f"{prefix}_"
        found = []
        async for key, _ in self._bucket.list(self._kind, f"{self._kind}/{begin}" if begin else None):
            name = key.rpartition("/")[2]
            if not name.startswith(begin):
                break
            if is_id(name):
                found.append(name)
        return found

    async def growing_ids(self) -> list[str]:
        """See ``BlobStore``."""
        found: dict[str, None] = {}
        async for key, _ in self._bucket.list(f"{self._kind}.growing"):
            found[key.split("/")[-2]] = None
        return [name for name in found if is_id(name)]

    async def delete(self, blob_id: str) -> None:
        """See ``BlobStore``."""
        await self._bucket.delete([self._key(blob_id), *(part.key for part in await self._grown(blob_id))])

    async def grow(self, blob_id: str) -> GrowingBlob:
        """See ``BlobStore``."""
        parts, covered = _of_use(await self._grown(blob_id))
        try:
            size, _ = await self._bucket.head(self._key(blob_id))
        except BlobMissing:
            await self._bucket.delete([part.key for part in covered])
        else:  # published, and its parts are not all deleted
            await self._bucket.delete([part.key for part in (*parts, *covered)])
            parts = [_Part(self._key(blob_id), size, 0, 0)]
        return GrowingObject(self, self._bucket, blob_id, self._folder(blob_id), parts)

    async def copy_grown(self, blob_id: str, other_id: str) -> None:
        """See ``BlobStore``."""
        parts, _ = _of_use(await self._grown(blob_id))
        folder = self._folder(other_id)
        with contextlib.suppress(BlobMissing):  # not published, most likely
            await self._bucket.copy(self._key(blob_id), _part_key(folder, 0, 0))
            return
        for part in parts:
            await self._bucket.copy(part.key, _part_key(folder, part.first, part.last))

    def _key(self, blob_id: str) -> str:
        return f"{self._kind}/{check_id(blob_id)}"

    def _folder(self, blob_id: str) -> str:
        return f"{self._kind}.growing/{check_id(blob_id)}"

    async def _grown(self, blob_id: str) -> list[_Part]:
        found = []
        async for key, size in self._bucket.list(self._folder(blob_id)):
            first, _, last = key.rpartition("/")[2].partition("-")
            if first.isdecimal() and last.isdecimal():
                found.append(_Part(key, size, int(first), int(last)))
        return found


def _write(file: IO[bytes], chunk: bytes) -> None:
    file.write(chunk)
    file.flush()


@contextlib.contextmanager
def _spooled() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreFailed(f"The file could not be written: {error.strerror}.") from error


@dataclass(frozen=True)
class _Part:
    """An object with the appends ``first`` to ``last``."""

    key: str
    size: int
    first: int
    last: int


def _part_key(folder: str, first: int, last: int) -> str:
    return f"{folder}/{first:08d}-{last:08d}"


def _of_use(found: list[_Part]) -> tuple[list[_Part], list[_Part]]:
    """The parts in order, and those that are in another one too."""
    parts: list[_Part] = []
    covered: list[_Part] = []
    for part in sorted(found, key=lambda part: (part.first, -part.last)):
        (covered if parts and part.last <= parts[-1].last else parts).append(part)
    return parts, covered


class GrowingObject(GrowingBlob):
    """A row of objects that becomes one.

    An append whose answer was lost may be stored later. Its number is then taken either by it or by what another one that
    opened the row has appended: whichever comes second is refused, so no line is there twice, and none that counted is lost.
    """

    def __init__(
        self, blobs: BucketBlobs, bucket: S3Bucket, blob_id: str, folder: str, parts: list[_Part]
    ) -> None:
        self._blobs = blobs
        self._bucket = bucket
        self._id = blob_id
        self._folder = folder
        self._parts = parts
        self._next = parts[-1].last + 1 if parts else 0

    @property
    def size(self) -> int:
        """See ``GrowingBlob``."""
        return sum(part.size for part in self._parts)

    async def lines(self) -> AsyncIterator[bytes]:
        """See ``GrowingBlob``."""
        rest = b""
        async for chunk in self._chunks(self._parts):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line + b"\n"

    async def append(self, data: bytes) -> None:
        """See ``GrowingBlob``."""
        key = _part_key(self._folder, self._next, self._next)
        try:
            await self._bucket.put(key, data, new=True)
        except Taken:
            raise StoreFailed("The results were written to by somebody else; they are read again.") from None
        self._parts.append(_Part(key, len(data), self._next, self._next))
        self._next += 1
        single = [
            part for part in self._parts if part.first == part.last and part.key.startswith(self._folder)
        ]
        if len(single) >= MERGED:
            await self._merge(single)

    async def publish(self) -> None:
        """See ``GrowingBlob``."""
        if [part.key for part in self._parts] == [self._blobs._key(self._id)]:
            return
        async with self._blobs.create(self._id) as writer:
            async for chunk in self._chunks(self._parts):
                await writer.write(chunk)
        grown, self._parts = self._parts, [_Part(self._blobs._key(self._id), self.size, 0, self._next - 1)]
        await self._bucket.delete([part.key for part in grown if part.key != self._parts[0].key])

    async def close(self) -> None:
        """See ``GrowingBlob``."""

    async def _merge(self, single: list[_Part]) -> None:
        """Put appends that follow one another together. Their objects go once the one that has them all is there."""
        first, last = single[0].first, single[-1].last
        data = b"".join([chunk async for chunk in self._chunks(single)])
        merged = _Part(_part_key(self._folder, first, last), len(data), first, last)
        await self._bucket.put(merged.key, data)
        self._parts = [*(part for part in self._parts if part not in single), merged]
        await self._bucket.delete([part.key for part in single])

    async def _chunks(self, parts: list[_Part]) -> AsyncIterator[bytes]:
        """The bytes of parts, in order; small ones are fetched together."""
        for start in range(0, len(parts), FETCHED):
            some = parts[start : start + FETCHED]
            if sum(part.size for part in some) <= PART_BYTES:
                for data in await asyncio.gather(
                    *(self._bucket.get(part.key, 0, part.size) for part in some)
                ):
                    yield data
                continue
            for part in some:
                for begin in range(0, part.size, READ_BYTES):
                    yield await self._bucket.get(part.key, begin, min(begin + READ_BYTES, part.size))
