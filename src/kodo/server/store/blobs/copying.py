"""Copies what is in one place of files to another, empty one, and reads it again there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from kodo.server.lifecycle.blobs import BlobMissing, BlobStore
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.store.blobs.folder import FolderBlobs

if TYPE_CHECKING:
    from kodo.server.store.blobs.s3 import S3Bucket

KINDS: Final = ("files", "containers")
SEAL: Final = "seal.key"


class BlobDigest(msgspec.Struct, frozen=True):
    """What was copied of a kind."""

    count: int
    bytes: int
    sha256: str
    """Of the hashes of all, in the order of their ids."""


@dataclass(frozen=True)
class CopySide:
    """A place as source or destination of a copy: nothing is made in it by looking."""

    name: str
    blobs: dict[str, BlobStore]
    folder: Path | None = None
    bucket: S3Bucket | None = None

    async def seal(self) -> bytes | None:
        """The key of sealed values; None: there is none. Raises StoreFailed."""
        if self.bucket is not None:
            with contextlib.suppress(BlobMissing):
                return await self.bucket.get_whole(SEAL)
            return None
        try:
            return await asyncio.to_thread((self._home() / SEAL).read_bytes)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreFailed(f"{self._home() / SEAL} cannot be read: {error.strerror}.") from error

    async def put_seal(self, key: bytes) -> None:
        """Store the key of sealed values where there is none. Raises StoreFailed."""
        if self.bucket is not None:
            await self.bucket.put(SEAL, key)
            return
        try:
            await asyncio.to_thread(_write_new, self._home() / SEAL, key)
        except OSError as error:
            raise StoreFailed(f"{self._home() / SEAL} cannot be written: {error.strerror}.") from error

    def _home(self) -> Path:
        return self.folder or Path()


def folder_side(folder: Path) -> CopySide:
    """A folder with ``files``, ``containers`` and ``seal.key``. Raises StoreFailed: there is none."""
    if not folder.is_dir():
        raise StoreFailed(f"The folder {folder} is not there.")
    return CopySide(str(folder), {kind: FolderBlobs(folder / kind) for kind in KINDS}, folder=folder)


async def copy_blobs(source: CopySide, destination: CopySide) -> dict[str, BlobDigest]:
    """Copy all blobs and the key of sealed values; what was copied of each kind, checked on both sides.

    Raises:
        StoreFailed: the destination has blobs or another key, or one of them failed. What was copied before stays: empty the
            destination before the next attempt.
    """
    key, there = await source.seal(), await destination.seal()
    if there is not None and there != key:
        raise StoreFailed(f"{destination.name} has another {SEAL}: it is in use, or was.")
    for kind in KINDS:
        await destination.blobs[kind].prepare()
        if await destination.blobs[kind].ids() or await destination.blobs[kind].growing_ids():
            raise StoreFailed(f"{destination.name} has {kind} already.")
    if key is not None and there is None:
        await destination.put_seal(key)
    return {kind: await _copy_kind(source.blobs[kind], destination.blobs[kind]) for kind in KINDS}


async def _copy_kind(source: BlobStore, destination: BlobStore) -> BlobDigest:
    blobs = await source.ids()
    growing = set(await source.growing_ids()) - set(blobs)
    total, digests = 0, hashlib.sha256()
    for blob_id in sorted({*blobs, *growing}):
        chunks = (await source.grow(blob_id)).lines() if blob_id in growing else await source.read(blob_id)
        wanted = hashlib.sha256()
        async with destination.create(blob_id) as writer:
            async for chunk in chunks:
                await asyncio.to_thread(wanted.update, chunk)
                await writer.write(chunk)
        if await _hash(await destination.read(blob_id)) != wanted.digest():
            raise StoreFailed(f"{blob_id} is not on the other side what it was.")
        total += writer.size
        digests.update(wanted.digest())
    return BlobDigest(count=len(blobs) + len(growing), bytes=total, sha256=digests.hexdigest())


async def _hash(chunks: AsyncIterator[bytes]) -> bytes:
    found = hashlib.sha256()
    async for chunk in chunks:
        await asyncio.to_thread(found.update, chunk)
    return found.digest()


def _write_new(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
