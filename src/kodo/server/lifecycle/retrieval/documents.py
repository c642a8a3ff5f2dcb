"""Vector stores and their files as documents of the store."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from kodo.server.wire.vector_stores import VectorStore, VectorStoreFile

STORE: Final = "vector_store"
FILE: Final = "vector_store.file"
KEPT: Final = "kept"
EXPIRES: Final = "expires"
EXPIRED: Final = "expired"
"""Statuses of a store's document."""


class StoredStore(Struct, frozen=True, kw_only=True):
    """The document of a store. ``embedder``: the identity of what made its vectors; None: it has none."""

    store: VectorStore
    embedder: str | None = None


class StoredFile(Struct, frozen=True, kw_only=True):
    """The document of a file in a store; its id is :func:`file_row_id`, its parent the store."""

    file: VectorStoreFile
    filename: str
    batch: str | None = None


def file_row_id(store_id: str, file_id: str) -> str:
    """The id of the document of a file in a store: a file may be in several."""
    return f"{store_id}:{file_id}"
