"""Where the settings want blobs. A bucket needs a package that an installation may not have, so it is imported here."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from kodo.server.config import Settings
from kodo.server.lifecycle.blobs import BlobStore, SharedPlace
from kodo.server.lifecycle.errors import StoreFailed
from kodo.server.lifecycle.sealing import Sealer
from kodo.server.store.blobs.copying import KINDS, SEAL, BlobDigest, CopySide, copy_blobs, folder_side
from kodo.server.store.blobs.folder import FolderBlobs
from kodo.server.store.blobs.shared_folder import make_id, read_id

if TYPE_CHECKING:
    from kodo.server.store.blobs.s3 import S3Bucket

SPOOL: Final = "spool"
"""The folder in a server's home with copies of blobs that are read by a path."""


class PlaceReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the place of files is like."""

    name: str
    id: str | None
    """By which servers know the place; None: no server has used it yet."""
    problem: str | None
    """Why it cannot be written; None: it can."""


async def open_place(settings: Settings) -> SharedPlace:
    """The place that the settings name, made where it is missing.

    Raises:
        StoreFailed: it cannot be used, or the package for it is not installed.
    """
    if settings.files is None:
        return await asyncio.to_thread(_open_folder, settings)
    bucket = _bucket(settings, settings.files)
    from kodo.server.store.blobs.place import open_bucket

    return await open_bucket(bucket, settings.home / SPOOL)


async def inspect_place(settings: Settings) -> PlaceReport:
    """Look at the place that the settings name, and write to it. Raises StoreFailed: a folder is not there, or a package."""
    if settings.files is None:
        folder = settings.shared
        return PlaceReport(name=str(folder), id=read_id(folder), problem=_write_probe(folder))
    bucket = _bucket(settings, settings.files)
    from kodo.server.store.blobs import place

    found = None
    try:
        found = await place.read_id(bucket)
        await place.probe(bucket)
    except StoreFailed as error:
        return PlaceReport(name=bucket.place, id=found, problem=error.message)
    return PlaceReport(name=bucket.place, id=found, problem=None)


async def copy_place(
    source: str | None, destination: str | None, settings: Settings
) -> dict[str, BlobDigest]:
    """Copy all files of a place to another, empty one. Each is ``s3://bucket/prefix``, reached by the settings of ``s3``, or a folder;
    None: what the settings name.

    Raises:
        StoreFailed: see :func:`kodo.server.store.blobs.copying.copy_blobs`.
    """
    with tempfile.TemporaryDirectory(prefix="kodo-copy-") as spool:
        sides = [_side(word, settings, Path(spool)) for word in (source, destination)]
        return await copy_blobs(*sides)


def _side(word: str | None, settings: Settings, spool: Path) -> CopySide:
    url = settings.files if word is None else word
    if url is None or not url.startswith("s3://"):
        return folder_side(settings.shared if url is None else Path(url))
    bucket = _bucket(settings, url)
    from kodo.server.store.blobs.bucket import BucketBlobs

    blobs: dict[str, BlobStore] = {kind: BucketBlobs(bucket, kind, spool) for kind in KINDS}
    return CopySide(bucket.place, blobs, bucket=bucket)


def _open_folder(settings: Settings) -> SharedPlace:
    folder = settings.shared
    several = settings.database_url is not None
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreFailed(f"The shared folder cannot be used: {error.strerror}.") from error
    return SharedPlace(
        name=str(folder),
        id=make_id(folder) if several else None,
        sealer=Sealer.at(folder / SEAL),
        files=FolderBlobs(folder / "files", alone=not several),
        containers=FolderBlobs((folder if several else settings.home) / "containers", alone=not several),
    )


def _write_probe(folder: Path) -> str | None:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"kodo doctor")
            file.flush()
    except OSError as error:
        return error.strerror
    return None


def _bucket(settings: Settings, url: str) -> S3Bucket:
    with _needing_s3():
        from kodo.server.store.blobs.s3 import S3Bucket
    return S3Bucket(url, settings.s3)


@contextlib.contextmanager
def _needing_s3() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "obstore":
            raise
        raise StoreFailed(
            "The setting files names a bucket, which needs kodo's 's3' extra: pip install '.[s3]' in kodo's repository."
        ) from error
