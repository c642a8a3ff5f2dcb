"""A bucket as the place that servers share: its id and the key of sealed values beside the blobs."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kodo.server.lifecycle.blobs import BlobMissing, SharedPlace
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.sealing import Sealer, new_key
from kodo.server.store.blobs.bucket import BucketBlobs
from kodo.server.store.blobs.copying import SEAL
from kodo.server.store.blobs.s3 import S3Bucket, Taken
from kodo.server.store.blobs.shared_folder import ID

PROBE: Final = "doctor"


async def open_bucket(bucket: S3Bucket, spool: Path) -> SharedPlace:
    """Look at a bucket and make what is missing in it.

    Raises:
        StoreFailed: it cannot be used; the message names the setting.
    """
    await asyncio.to_thread(_empty, spool)
    try:
        found = await _get_or_make(bucket, ID, lambda: secrets.token_hex(16).encode())
        await _check_conditions(bucket)
        sealer = Sealer.of(await _get_or_make(bucket, SEAL, new_key), f"{bucket.url}/{SEAL}")
    except StoreFailed as error:
        raise StoreFailed(f"Setting files ({bucket.place}): {error.message}") from None
    return SharedPlace(
        name=bucket.place,
        id=found.decode(errors="replace"),
        sealer=sealer,
        files=BucketBlobs(bucket, "files", spool),
        containers=BucketBlobs(bucket, "containers", spool),
    )


def _empty(spool: Path) -> None:
    """Delete the copies of a server that was killed."""
    try:
        shutil.rmtree(spool, ignore_errors=True)
        spool.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreFailed(f"The folder {spool} cannot be used: {error.strerror}.") from error


async def read_id(bucket: S3Bucket) -> str | None:
    """The id of a bucket; None: no server has used it yet. Raises StoreFailed."""
    try:
        return (await bucket.get_whole(ID)).decode(errors="replace")
    except BlobMissing:
        return None


async def probe(bucket: S3Bucket) -> None:
    """Write, read and delete an object. Raises StoreFailed."""
    key = f"{PROBE}-{secrets.token_hex(8)}"
    try:
        await bucket.put(key, b"kodo doctor")
        await bucket.get_whole(key)
        await bucket.delete([key])
    except BlobMissing:
        raise StoreFailed("The file store lost what it had just taken.") from None


async def _get_or_make(bucket: S3Bucket, key: str, make: Callable[[], bytes]) -> bytes:
    """A small object, which is made if it is not there; of several servers that make it at once, all get the same."""
    with contextlib.suppress(BlobMissing):
        return await bucket.get_whole(key)
    with contextlib.suppress(Taken):  # another server was faster
        await bucket.put(key, make(), new=True)
    try:
        return await bucket.get_whole(key)
    except BlobMissing:
        raise StoreFailed("The file store lost what it had just taken.") from None


async def _check_conditions(bucket: S3Bucket) -> None:
    """Results of batches rest on an object not being replaced by one that comes late."""
    try:
        await bucket.put(ID, await bucket.get_whole(ID), new=True)
    except Taken:
        return
    except BlobMissing:
        raise StoreFailed("The file store lost what it had just taken.") from None
    raise StoreFailed("The file store ignores 'If-None-Match: *', which kodo needs.")
