"""The port of the bytes that do not belong into a database: files, parts of uploads, results of batches, files of containers.

A blob has an id that this server made, and no name, owner or type. It is written whole or not at all, never changed, and
replaced only as a whole; :class:`GrowingBlob` is the one that is not yet finished: the results of a batch that runs.

Adapters are in ``kodo.server.store.blobs``: a folder, and a bucket that speaks S3.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from kodo.server.lifecycle.sealing import Sealer

CHUNK_BYTES: Final = 2**20
"""About the bytes that a reader or writer has in memory at once."""
_ID: Final = re.compile(r"[a-z]+[-_][0-9a-f]+")


class BlobMissing(Exception):
    """No blob has this id: it never had, or was deleted."""


class BlobWriter(Protocol):
    """A blob that is being written."""

    @property
    def size(self) -> int:
        """Bytes so far."""

    async def write(self, data: bytes) -> None:
        """Append bytes; memory stays bounded. Raises ``StoreFailed``."""


class GrowingBlob(Protocol):
    """A file of lines that grows. One at a time has it open; calls follow one another."""

    @property
    def size(self) -> int:
        """Bytes so far."""

    def lines(self) -> AsyncIterator[bytes]:
        """The lines that are there, without a torn one at the end. Raises ``StoreFailed``."""

    async def append(self, data: bytes) -> None:
        """Append whole lines; they are stored when this returns.

        Raises:
            StoreFailed: writing failed. The lines may be there or not; only opening it anew goes on.
        """

    async def publish(self) -> None:
        """Make it a blob like any other, readable under its id. May be done again. Raises ``StoreFailed``."""

    async def close(self) -> None:
        """Let go of it."""


class BlobStore(Protocol):
    """The blobs of one kind. Every method raises ``StoreFailed`` where the place fails, and ``ValueError`` for what is no id."""

    async def prepare(self) -> None:
        """Make the place usable, and delete what writers that were killed have left.

        Raises:
            StoreFailed: it cannot be used; the message names the setting or the place.
        """

    def create(self, blob_id: str) -> AbstractAsyncContextManager[BlobWriter]:
        """Create a blob, or replace it: it is there, complete and safe from a crash, after the block, and nothing of it is
        if the block raises. ``StoreFailed`` may come at the end of the block too.
        """

    async def size(self, blob_id: str) -> int:
        """Its bytes. Raises ``BlobMissing``."""

    async def read(self, blob_id: str) -> AsyncIterator[bytes]:
        """Its bytes in pieces. A reader gets all of one version of it, or an error in the middle, never less.

        Raises:
            BlobMissing: also in the middle, where a deletion reaches readers that have begun.
        """

    def local(self, blob_id: str) -> AbstractAsyncContextManager[Path]:
        """A file on this machine with its bytes, to be read only, for as long as the block. Raises ``BlobMissing``."""

    async def copy(self, blob_id: str, other_id: str) -> None:
        """Give its bytes a second id; each is deleted alone. Raises ``BlobMissing``."""

    async def ids(self, prefix: str | None = None) -> list[str]:
        """The ids that begin with ``prefix_``; None: all."""

    async def growing_ids(self) -> list[str]:
        """The ids of what grows and is no blob yet."""

    async def delete(self, blob_id: str) -> None:
        """Delete it, if it is there, grown or not."""

    async def grow(self, blob_id: str) -> GrowingBlob:
        """Open a growing blob, new or as it was left."""

    async def copy_grown(self, blob_id: str, other_id: str) -> None:
        """Give what a growing blob holds now to another one; nothing, where there is none."""


@dataclass(frozen=True)
class SharedPlace:
    """Where everything is that servers of one database share and that is not in it."""

    name: str
    """For the operator: the folder, or the address of the bucket."""
    id: str | None
    """By which servers know that all of them have the same one. None: nobody shares it."""
    sealer: Sealer
    files: BlobStore
    containers: BlobStore


def check_id(blob_id: str) -> str:
    """The id as it is. Raises ``ValueError``: it does not have the form of one, and may not become a part of a path."""
    if not _ID.fullmatch(blob_id):
        raise ValueError("not an id")
    return blob_id


def is_id(name: str) -> bool:
    """Whether a name has the form of an id."""
    return _ID.fullmatch(name) is not None


async def read_whole(blobs: BlobStore, blob_id: str) -> bytes:
    """All bytes of a small blob. Raises ``BlobMissing`` and ``StoreFailed``."""
    return b"".join([chunk async for chunk in await blobs.read(blob_id)])
