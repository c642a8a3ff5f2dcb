"""Batches as documents of the store."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from kodo.server.wire.batches import Batch
from kodo.server.wire.files import ExpiresAfter

KIND: Final = "batch"


class StoredBatch(Struct, frozen=True, kw_only=True):
    """The document of a batch."""

    batch: Batch
    output: str
    errors: str
    """Ids of the files it will hand over, known from the start."""
    key_id: str | None = None
    """The key that it was created with; its limits hold for every line."""
    expires_after: ExpiresAfter | None = None
    """Life of these files."""
