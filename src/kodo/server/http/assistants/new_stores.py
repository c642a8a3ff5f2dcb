"""Vector stores that the body of an assistant or a thread describes: created with it, and named in it by their ids."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from kodo.server.http.vector_stores.manager import VectorStoreManager
from kodo.server.lifecycle.errors import ServiceError, rename_param
from kodo.server.wire import assistants as wire
from kodo.server.wire.decode import BadBody
from kodo.server.wire.vector_stores import CreateVectorStore, StoreExpiry

THREAD_DAYS: Final = 7
"""A store that a thread brings along expires this many days after its last use."""


@asynccontextmanager
async def created_stores(
    manager: VectorStoreManager | None,
    owner: str,
    resources: wire.NewToolResources | UnsetType | None,
    param: str,
    *,
    days: int | None = None,
) -> AsyncIterator[wire.NewToolResources | UnsetType | None]:
    """The resources as they are kept, with the id of a created store in the place of its description. What is created is
    deleted if the block fails, for nobody has its id.

    Args:
        manager: None: the server has no index.
        param: the field of the body that has the resources.
        days: how long after its last use the store expires; None: never.

    Raises:
        BadBody: they have a store and a description of one.
        NotFound, InvalidRequest: as from the creation of a store; ``param`` is the field of this body.
    """
    search = resources.file_search if isinstance(resources, wire.NewToolResources) else None
    if not isinstance(search, wire.NewFileSearchResources) or not isinstance(search.vector_stores, tuple):
        yield resources
        return
    if not search.vector_stores:
        yield _naming(resources, search, search.vector_store_ids)
        return
    if search.vector_store_ids:
        raise BadBody(
            "Mutually exclusive parameters: 'vector_store_ids' and 'vector_stores'. Give only one of them.",
            f"{param}.file_search.vector_stores",
            "mutually_exclusive_parameters",
        )
    if manager is None:
        raise ServiceError("The store of this server has no index for vector stores.")
    (given,) = search.vector_stores
    body = CreateVectorStore(
        file_ids=given.file_ids,
        chunking_strategy=given.chunking_strategy,
        metadata=given.metadata,
        expires_after=None if days is None else StoreExpiry(anchor="last_active_at", days=days),
    )
    try:
        made = await manager.create(owner, body)
    except ServiceError as error:
        if error.param is not None:
            rename_param(error, f"{param}.file_search.vector_stores[0].{error.param}")
        raise
    try:
        yield _naming(resources, search, (made.id,))
    except BaseException:
        await manager.delete(owner, made.id)
        raise


def _naming(
    resources: wire.NewToolResources | UnsetType | None,
    search: wire.NewFileSearchResources,
    store_ids: tuple[str, ...],
) -> wire.NewToolResources | UnsetType | None:
    """The resources with the ids of stores, and no description of one."""
    named = msgspec.structs.replace(search, vector_store_ids=store_ids, vector_stores=UNSET)
    return msgspec.structs.replace(resources, file_search=named)  # type: ignore[type-var]  # it has a search
