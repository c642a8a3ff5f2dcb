"""Containers and their files as documents of the store. A file's parent is its container; its bytes are a blob of its id."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from kodo.server.wire.containers import ContainerFile, ContainerObject

CONTAINER: Final = "container"
FILE: Final = "container.file"
ACTIVE: Final = "active"
EXPIRED: Final = "expired"
KEPT: Final = "kept"
"""The statuses of a container, and of a file."""


class StoredContainer(Struct, frozen=True, kw_only=True):
    """The document of a container."""

    container: ContainerObject


class StoredContainerFile(Struct, frozen=True, kw_only=True):
    """The document of a file. ``copied_from``: the file of ``/v1/files`` that it is a copy of."""

    file: ContainerFile
    copied_from: str | None = None
    changed: int = 0
    """Grows whenever its bytes change."""
