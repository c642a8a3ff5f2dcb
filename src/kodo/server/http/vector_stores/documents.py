"""Batches of files as documents of the store.

The search knows the other ones: :mod:`kodo.server.lifecycle.retrieval.documents`.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from kodo.server.wire.vector_stores import FileBatch

BATCH: Final = "vector_store.files_batch"


class StoredFileBatch(Struct, frozen=True, kw_only=True):
    """The document of a batch of files; its parent is the store."""

    batch: FileBatch
    cancelled: bool = False
