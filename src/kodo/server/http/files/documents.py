"""The stored rows of uploads and their parts. A file's row is its wire object."""

from __future__ import annotations

from msgspec import Struct

from kodo.server.wire.files import ExpiresAfter, Upload, UploadPart


class StoredUpload(Struct, frozen=True, kw_only=True):
    """The document of an upload, with the expiry of the file that it becomes, and the key that it counts for."""

    upload: Upload
    expires_after: ExpiresAfter | None
    key_id: str | None = None


class StoredPart(Struct, frozen=True, kw_only=True):
    """The document of a part, with its size in bytes."""

    part: UploadPart
    size: int
