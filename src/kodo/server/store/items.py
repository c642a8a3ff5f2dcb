"""Items as SQL: those of responses, those of conversations, and those that are both. Functions of a connection.

An item is one row even where it belongs to both; the row is deleted when it belongs to neither.
"""

# ruff: noqa: S608 - SQL is put together from constants of this package; values are always bound

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kodo.server.lifecycle.errors import Conflict, NotFound
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.records import ItemRow, Page
from kodo.server.store import paging
from kodo.server.store.codec import pack_item, unpack_item
from kodo.server.store.sql import SqlConnection

_MAX_IDS = 500
"""Ids that one statement looks for."""


def check_ids(rows: Sequence[ItemRow]) -> None:
    """Check that ids are unique.

    Raises:
        Conflict: two items have the same id.
    """
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            raise Conflict(f"Two items have the id {row.id!r}.")
        seen.add(row.id)


def container_not_found(container: str) -> NotFound:
    """The error for a container that does not exist or belongs to another owner."""
    return NotFound(f"No object with the id {container!r} can contain items.")


def _rows(found: Iterable[Sequence[Any]]) -> list[ItemRow]:
    return [ItemRow(id=id_, context=unpack_item(item, tokens)) for id_, item, tokens in found]


# --- reads -----------------------------------------------------------------------------------------------------------


def items_of_response(connection: SqlConnection, seq: int, *, output: bool) -> list[ItemRow]:
    """A response's input or output items."""
    return _rows(
        connection.execute(
            "SELECT id, item, tokens FROM items WHERE response = ? AND output = ? ORDER BY seq",
            (seq, int(output)),
        )
    )


@dataclass(frozen=True, slots=True)
class Container:
    """A document that holds items: its row number, and how many items were ever taken out of it."""

    seq: int
    removals: int


def get_container(connection: SqlConnection, owner: str, container: str) -> Container:
    """The conversation of this id. NotFound: it is not there."""
    found = connection.execute(
        "SELECT seq, removals FROM documents WHERE owner = ? AND id = ? ORDER BY seq LIMIT 1",
        (owner, container),
    ).fetchone()
    if found is None:
        raise container_not_found(container)
    return Container(*found)


def of_conversation(
    connection: SqlConnection, seq: int, *, behind: int = -1
) -> tuple[tuple[ContextItem, ...], int, int]:
    """A conversation's items behind a place, oldest first; their bytes; and the place of the last one."""
    rows = connection.execute(
        "SELECT place, item, tokens FROM items WHERE conversation = ? AND place > ? ORDER BY place",
        (seq, behind),
    ).fetchall()
    return (
        tuple(unpack_item(item, tokens) for _, item, tokens in rows),
        sum(len(item) for _, item, _ in rows),
        rows[-1][0] if rows else behind,
    )


def list_page(
    connection: SqlConnection, owner: str, container: str, page: Page
) -> tuple[list[ItemRow], bool]:
    """A window of a response's input items or of a conversation's items. NotFound: the container, or a cursor."""
    side, key, seq = _side(connection, owner, container)

    def place(item_id: str) -> int | None:
        found = connection.execute(
            f"SELECT {key} FROM items WHERE owner = ? AND id = ? AND {side}", (owner, item_id, seq)
        ).fetchone()
        return None if found is None else int(found[0])

    rows, more = paging.select(
        connection, f"SELECT id, item, tokens FROM items WHERE {side}", (seq,), page, key=key, place=place
    )
    return _rows(rows), more


def get(connection: SqlConnection, owner: str, container: str | None, item_id: str) -> ItemRow | None:
    """One item; with no container, the owner's newest of this id that a conversation or an undeleted response has."""
    query = "SELECT i.id, i.item, i.tokens FROM items i WHERE i.owner = ? AND i.id = ?"
    values: tuple[Any, ...] = (owner, item_id)
    if container is None:
        query += (
            " AND (i.conversation IS NOT NULL"
            " OR EXISTS (SELECT 1 FROM responses r WHERE r.seq = i.response AND r.gone = 0))"
        )
    else:
        try:
            side, _, seq = _side(connection, owner, container)
        except NotFound:
            return None
        query, values = f"{query} AND {side}", (*values, seq)
    rows = _rows(connection.execute(f"{query} ORDER BY i.seq DESC LIMIT 1", values))
    return rows[0] if rows else None


def _side(connection: SqlConnection, owner: str, container: str) -> tuple[str, str, int]:
    """How to find a container's items: a condition, the column that orders them, and the container's row number."""
    found = connection.execute(
        "SELECT seq FROM responses WHERE id = ? AND owner = ? AND gone = 0", (container, owner)
    ).fetchone()
    if found is not None:
        return "response = ? AND output = 0", "seq", int(found[0])
    seq = _conversation(connection, owner, container)
    if seq is None:
        raise container_not_found(container)
    return "conversation = ?", "place", seq


def _conversation(connection: SqlConnection, owner: str, container: str, lock: str = "") -> int | None:
    """Its row number; with ``lock``, the writers of one conversation follow one another."""
    found = connection.execute(
        f"SELECT seq FROM documents WHERE owner = ? AND id = ? ORDER BY seq LIMIT 1 {lock}",
        (owner, container),
    ).fetchone()
    return None if found is None else int(found[0])


# --- writes ----------------------------------------------------------------------------------------------------------


def insert(
    connection: SqlConnection,
    owner: str,
    rows: Sequence[ItemRow],
    *,
    response: str | None = None,
    output: bool = False,
    conversation: int | None = None,
    place: int | None = None,
) -> None:
    """New rows in order; ``response``: the id of theirs; ``place``: of the first one in its conversation."""
    connection.executemany(
        "INSERT INTO items (owner, id, response, output, conversation, place, item, tokens) "
        "VALUES (?, ?, (SELECT seq FROM responses WHERE id = ?), ?, ?, ?, ?, ?)",
        [
            (
                owner,
                row.id,
                response,
                int(output),
                conversation,
                None if place is None else place + number,
                *pack_item(row.context),
            )
            for number, row in enumerate(rows)
        ],
    )


def append(connection: SqlConnection, owner: str, container: str, rows: Sequence[ItemRow]) -> None:
    """Items at a conversation's end. NotFound: it is not there. Conflict: an id is in it already."""
    check_ids(rows)
    seq = _conversation(connection, owner, container, connection.dialect.locked)
    if seq is None:
        raise container_not_found(container)
    if not rows:
        return
    held = _held(connection, owner, seq, [row.id for row in rows])
    for row in rows:
        if row.id in held:
            raise Conflict(f"The item {row.id!r} is already in {container!r}.")
    insert(connection, owner, rows, conversation=seq, place=_end(connection, seq))


def add_to_conversation(connection: SqlConnection, owner: str, container: str, *, response: str) -> None:
    """A response's items at its conversation's end, without those that are in it already; nothing, if it is gone."""
    seq = _conversation(connection, owner, container, connection.dialect.locked)
    if seq is None:
        return
    place = _end(connection, seq)
    own = connection.execute(
        "SELECT seq, id FROM items WHERE response = (SELECT seq FROM responses WHERE id = ?) ORDER BY seq",
        (response,),
    ).fetchall()
    held = _held(connection, owner, seq, [id_ for _, id_ in own])
    placed: list[tuple[int, int, int]] = []
    for item, id_ in own:
        if id_ not in held:
            held.add(id_)
            placed.append((seq, place + len(placed), item))
    connection.executemany("UPDATE items SET conversation = ?, place = ? WHERE seq = ?", placed)


def delete(connection: SqlConnection, owner: str, container: str, item_id: str) -> bool:
    """Take one item out of a conversation."""
    seq = _conversation(connection, owner, container, connection.dialect.locked)
    if seq is None or not _held(connection, owner, seq, [item_id]):
        return False
    _leave_conversation(connection, "conversation = ? AND owner = ? AND id = ?", (seq, owner, item_id))
    connection.execute("UPDATE documents SET removals = removals + 1 WHERE seq = ?", (seq,))
    return True


def leave_response(connection: SqlConnection, response: int) -> None:
    """Detach the items of a deleted response; those in no conversation are deleted."""
    connection.execute("DELETE FROM items WHERE response = ? AND conversation IS NULL", (response,))
    connection.execute("UPDATE items SET response = NULL WHERE response = ?", (response,))


def leave_conversation(connection: SqlConnection, conversation: int) -> None:
    """Detach the items of a deleted conversation; those of no response are deleted."""
    _leave_conversation(connection, "conversation = ?", (conversation,))


def _leave_conversation(connection: SqlConnection, which: str, values: tuple[Any, ...]) -> None:
    connection.execute(f"DELETE FROM items WHERE {which} AND response IS NULL", values)
    connection.execute(f"UPDATE items SET conversation = NULL, place = NULL WHERE {which}", values)


def _held(connection: SqlConnection, owner: str, conversation: int, ids: Sequence[str]) -> set[str]:
    """Those of the ids that a conversation has."""
    found: set[str] = set()
    for start in range(0, len(ids), _MAX_IDS):
        some = ids[start : start + _MAX_IDS]
        marks = ", ".join("?" * len(some))
        found |= {
            id_
            for (id_,) in connection.execute(
                f"SELECT id FROM items WHERE owner = ? AND id IN ({marks}) AND conversation = ?",
                (owner, *some, conversation),
            )
        }
    return found


def _end(connection: SqlConnection, conversation: int) -> int:
    last = connection.execute(
        "SELECT max(place) FROM items WHERE conversation = ?", (conversation,)
    ).fetchone()[0]
    return 0 if last is None else int(last) + 1
