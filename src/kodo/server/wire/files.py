"""``/v1/files`` and ``/v1/uploads`` as openai-python 3.54 has them: their objects, and the bodies that are JSON."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from kodo.server.wire.items import StrictWire, Wire

Purpose: TypeAlias = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
"""What a client may upload a file for."""
FilePurpose: TypeAlias = Literal[
    "assistants", "assistants_output", "batch", "batch_output", "fine-tune", "vision", "user_data", "evals"
]
FileName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=512)]


class ExpiresAfter(StrictWire, frozen=True, kw_only=True):
    """When a file expires: the number of seconds after its creation, from one hour to 30 days."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=3600, le=2_592_000)]


class FileObject(Wire, frozen=True, kw_only=True):
    """A file. Times are in seconds since the epoch."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None = None
    filename: str
    purpose: FilePurpose
    status: Literal["uploaded", "processed", "error"] = "processed"
    status_details: str | None = None


class FileForm(StrictWire, frozen=True, kw_only=True):
    """The fields that accompany the file in ``POST /v1/files``."""

    purpose: Purpose
    expires_after: ExpiresAfter | None = None


class Upload(Wire, frozen=True, kw_only=True):
    """A file that is uploaded in parts. ``bytes`` is the announced size. Times are in seconds since the epoch."""

    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: FilePurpose
    status: Literal["pending", "completed", "cancelled", "expired"] = "pending"
    file: FileObject | None = None


class UploadPart(Wire, frozen=True, kw_only=True):
    """A part of an upload. ``created_at`` is in seconds since the epoch."""

    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: int
    upload_id: str


class CreateUpload(StrictWire, frozen=True, kw_only=True):
    """The body that creates an upload. ``bytes`` is the size of the whole file."""

    bytes: Annotated[int, Meta(ge=1)]
    filename: FileName
    mime_type: Annotated[str, Meta(min_length=1, max_length=255)]
    purpose: Purpose
    expires_after: ExpiresAfter | None = None


class CompleteUpload(StrictWire, frozen=True, kw_only=True):
    """The parts in their order and, to have it checked, the MD5 of the whole file in hexadecimal."""

    part_ids: Annotated[list[str], Meta(min_length=1, max_length=10_000)]
    md5: Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{32}$")] | None = None
