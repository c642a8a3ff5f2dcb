"""Every store, made and opened, and the rows that tests put into them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.contract.memory_store import MemoryStore
from tests.postgres_server import shared_server

from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.records import DocumentRow, ItemRow, Page, ReplayRow, ResponseRow
from kodo.server.lifecycle.store_ports import Store
from kodo.server.store.postgres.store import PostgresStore
from kodo.server.store.sqlite import SqliteStore
from kodo.server.wire.items import InputText, Message, OutputText

STORES: dict[str, Callable[[Path], Store]] = {
    "sqlite": SqliteStore,
    "memory": lambda home: MemoryStore(),
    "postgres": lambda home: PostgresStore(shared_server().new_database()),
}
ASCENDING = Page(order="asc", limit=100)


def said(id_: str, text: str = "hello", tokens: tuple[int, ...] | None = None) -> ItemRow:
    """Something the user said."""
    message = Message(id=id_, role="user", content=(InputText(text=text),))
    return ItemRow(id=id_, context=ContextItem(item=message, tokens=tokens))


def answered(id_: str, text: str = "hi", tokens: tuple[int, ...] | None = (7, 8, 4_000_000_000)) -> ItemRow:
    """Something the model said."""
    message = Message(id=id_, role="assistant", content=(OutputText(text=text),))
    return ItemRow(id=id_, context=ContextItem(item=message, tokens=tokens))


def response(
    id_: str,
    *,
    owner: str = "ada",
    status: str = "in_progress",
    created_at: float = 1000.5,
    parent: str | None = None,
    conversation: str | None = None,
    background: bool = False,
    body: bytes = b"{}",
) -> ResponseRow:
    """A response row."""
    return ResponseRow(
        id=id_,
        owner=owner,
        status=status,
        created_at=created_at,
        parent=parent,
        conversation=conversation,
        background=background,
        request=b'{"model":"m"}',
        response=body,
    )


def document(
    id_: str,
    *,
    kind: str = "conversation",
    owner: str = "ada",
    parent: str | None = None,
    created_at: float = 1000.5,
    version: int = 0,
    status: str | None = None,
    body: bytes = b"{}",
) -> DocumentRow:
    """A document row."""
    return DocumentRow(
        kind=kind,
        id=id_,
        owner=owner,
        parent=parent,
        created_at=created_at,
        version=version,
        status=status,
        body=body,
    )


def replay(digest: bytes = b"d", status: int | None = None, created_at: float = 1000.5) -> ReplayRow:
    """A claim, or with a status, an answer."""
    return ReplayRow(
        digest=digest, status=status, headers=(("a", "1"), ("a", "2")), body=b"x", created_at=created_at
    )


async def turn(
    store: Store, id_: str, parent: str | None = None, *, owner: str = "ada", **more: object
) -> None:
    """A whole finished response: one item in (``<id>-in``), one out (``<id>-out``)."""
    row = response(id_, parent=parent, owner=owner, **more)  # type: ignore[arg-type]  # names of response()
    await store.create_response(row, [said(f"{id_}-in", id_)])
    await store.finish_response(
        response(id_, parent=parent, owner=owner, status="completed", **more),  # type: ignore[arg-type]
        [answered(f"{id_}-out", id_)],
    )


async def context_ids(store: Store, response_id: str, owner: str = "ada") -> list[str] | None:
    """The ids of a chain's items."""
    chain = await store.chain(owner, response_id)
    return None if chain is None else [str(context.item.id) for context in chain]


async def item_ids(store: Store, container: str, owner: str = "ada") -> list[str]:
    """The ids of a container's listed items, oldest first."""
    rows, _ = await store.list_items(owner, container, ASCENDING)
    return [row.id for row in rows]
