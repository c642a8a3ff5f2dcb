"""Responses, their items and their log, as SQL. Functions of a connection; writes belong in a transaction.

This module does not know who calls it or when a transaction is committed.
"""

# ruff: noqa: S608 - SQL is put together from constants of this package; values are always bound

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from kodo.server.lifecycle.errors import Conflict
from kodo.server.lifecycle.ports import ContextItem
from kodo.server.lifecycle.records import ItemRow, ResponseRow
from kodo.server.lifecycle.status import FINAL
from kodo.server.store import activity, items, spending
from kodo.server.store.codec import pack_chunk, unpack_chunk, unpack_item
from kodo.server.store.sql import SqlConnection

COLUMNS: Final = "id, owner, status, created_at, parent, conversation, background, request, response"


def row_of(columns: Sequence[Any]) -> ResponseRow:
    """A response from its columns (:data:`COLUMNS`)."""
    id_, owner, status, created_at, parent, conversation, background, request, response = columns
    return ResponseRow(
        id=id_,
        owner=owner,
        status=status,
        created_at=created_at,
        parent=parent,
        conversation=conversation,
        background=bool(background),
        request=request,
        response=response,
    )


# --- reads -----------------------------------------------------------------------------------------------------------


def find(connection: SqlConnection, owner: str, response_id: str, lock: str = "") -> int | None:
    """The row number of a response, if it is there for this owner. ``lock``: see :mod:`kodo.server.store.sql`."""
    found = connection.execute(
        f"SELECT seq FROM responses WHERE id = ? AND owner = ? AND gone = 0 {lock}", (response_id, owner)
    ).fetchone()
    return None if found is None else int(found[0])


def get(connection: SqlConnection, owner: str, response_id: str) -> ResponseRow | None:
    """The row, or None."""
    found = connection.execute(
        f"SELECT {COLUMNS} FROM responses WHERE id = ? AND owner = ? AND gone = 0", (response_id, owner)
    ).fetchone()
    return None if found is None else row_of(found)


def unfinished(connection: SqlConnection) -> list[ResponseRow]:
    """Rows that are not final, oldest first."""
    return [
        row_of(found)
        for found in connection.execute(
            f"SELECT {COLUMNS} FROM responses WHERE final = 0 AND gone = 0 ORDER BY seq"
        )
    ]


def read_log(connection: SqlConnection, response_id: str, after: int) -> list[bytes]:
    """Log entries behind number ``after``."""
    entries: list[bytes] = []
    wanted = after + 1
    for first, chunk in connection.execute(
        "SELECT l.first, l.chunk FROM responses r JOIN log l ON l.response = r.seq "
        "WHERE r.id = ? AND r.gone = 0 AND l.first >= coalesce("
        "(SELECT max(first) FROM log WHERE response = r.seq AND first <= ?), 0) ORDER BY l.first",
        (response_id, wanted),
    ):
        entries += unpack_chunk(chunk)[max(wanted - first, 0) :]
    return entries


@dataclass(frozen=True, slots=True)
class Link:
    """A response as a part of a chain. ``parent_row`` is its parent's row number; None with a ``parent`` if that one was deleted or never stored."""

    seq: int
    id: str
    parent: str | None
    parent_row: int | None
    final: bool

    @property
    def broken(self) -> bool:
        """Whether the context cannot be had, because the parent was not there when this was stored."""
        return self.parent is not None and self.parent_row is None


def link(connection: SqlConnection, owner: str, response_id: str) -> Link | None:
    """One response's place in its chain, or None."""
    found = connection.execute(
        "SELECT seq, id, parent, parent_seq, final FROM responses WHERE id = ? AND owner = ? AND gone = 0",
        (response_id, owner),
    ).fetchone()
    return None if found is None else Link(*found)


_UP = """
    WITH RECURSIVE up (seq, id, parent, parent_row, final) AS (
        SELECT seq, id, parent, parent_seq, final FROM responses WHERE seq = ?
        UNION ALL
        SELECT r.seq, r.id, r.parent, r.parent_seq, r.final
        FROM up JOIN responses r ON r.seq = up.parent_row WHERE r.seq > ?
    )
"""


def ancestry(connection: SqlConnection, seq: int) -> list[Link]:
    """A response and its ancestors, the nearest first. A parent's row number is smaller, so there are no circles."""
    return [
        Link(*found)
        for found in connection.execute(
            f"{_UP} SELECT seq, id, parent, parent_row, final FROM up ORDER BY seq DESC", (seq, 0)
        )
    ]


def context_items(
    connection: SqlConnection, seq: int, *, below: int = 0
) -> tuple[tuple[ContextItem, ...], int]:
    """The items of a response and of its ancestors with a row number over ``below``, oldest first; and their bytes."""
    rows = connection.execute(
        f"{_UP} SELECT i.item, i.tokens FROM up JOIN items i ON i.response = up.seq ORDER BY up.seq, i.seq",
        (seq, below),
    ).fetchall()
    return tuple(unpack_item(item, tokens) for item, tokens in rows), sum(len(item) for item, _ in rows)


# --- writes ----------------------------------------------------------------------------------------------------------


def create(connection: SqlConnection, row: ResponseRow, inputs: Sequence[ItemRow]) -> None:
    """A new row and its input items. Conflict: the id is taken, or two items have the same one."""
    items.check_ids(inputs)
    created = connection.execute(
        f"INSERT INTO responses ({COLUMNS}, parent_seq, final) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, "
        f"(SELECT seq FROM responses WHERE id = ? AND owner = ? AND gone = 0 {connection.dialect.kept}), ?) "
        "ON CONFLICT (id) DO NOTHING",
        (
            row.id,
            row.owner,
            row.status,
            row.created_at,
            row.parent,
            row.conversation,
            int(row.background),
            row.request,
            row.response,
            row.parent,
            row.owner,
            int(row.status in FINAL),
        ),
    )
    if not connection.changed(created):
        raise Conflict(f"A response with the id {row.id!r} already exists.")
    items.insert(connection, row.owner, inputs, response=row.id)
    activity.begin(connection, row, inputs)
    if row.status in FINAL:
        _charge(connection, row)


def store(
    connection: SqlConnection,
    row: ResponseRow,
    inputs: Sequence[ItemRow],
    output: Sequence[ItemRow],
    log: tuple[int, Sequence[bytes]] | None,
) -> None:
    """A row that is final, its items and its log, and the items at its conversation's end. Conflict: as :func:`create`."""
    items.check_ids(output)
    create(connection, row, inputs)
    _add_output(connection, row, output)
    if log is not None:
        _begin_log(connection, row.id, *log)


def finish(
    connection: SqlConnection,
    row: ResponseRow,
    output: Sequence[ItemRow],
    log: tuple[int, Sequence[bytes]] | None,
) -> None:
    """The final row, its output, its last log entries, and its items at its conversation's end, if that still is."""
    items.check_ids(output)
    finished = connection.execute(
        "UPDATE responses SET status = ?, request = ?, response = ?, final = 1 "
        "WHERE id = ? AND owner = ? AND final = 0 AND gone = 0",
        (row.status, row.request, row.response, row.id, row.owner),
    )
    if connection.changed(finished):
        activity.finish(connection, row)
        _charge(connection, row)
        _add_output(connection, row, output)
        if log is not None:
            append_log(connection, row.id, *log)


def _charge(connection: SqlConnection, row: ResponseRow) -> None:
    if row.charge is not None:
        spending.add(connection, row.charge)


def _add_output(connection: SqlConnection, row: ResponseRow, output: Sequence[ItemRow]) -> None:
    items.insert(connection, row.owner, output, response=row.id, output=True)
    if row.conversation is not None:
        items.add_to_conversation(connection, row.owner, row.conversation, response=row.id)


def _begin_log(connection: SqlConnection, response_id: str, first: int, entries: Sequence[bytes]) -> None:
    """The log of a row that this transaction has made: there is nothing that it could stand behind."""
    if first:
        raise ValueError(f"log entry {first} of {response_id} leaves a gap before it")
    if entries:
        connection.execute(
            "INSERT INTO log (response, first, next, chunk) VALUES ((SELECT seq FROM responses WHERE id = ?), 0, ?, ?)",
            (response_id, len(entries), pack_chunk(entries)),
        )


def append_log(connection: SqlConnection, response_id: str, first: int, entries: Sequence[bytes]) -> None:
    """Entries from number ``first`` on; those that are there stay. ValueError: there would be a gap."""
    if entries:  # as nearly always: they stand right behind those that are there
        added = connection.execute(
            "INSERT INTO log (response, first, next, chunk) SELECT r.seq, ?, ?, ? FROM responses r "
            "WHERE r.id = ? AND r.gone = 0 AND "
            "coalesce((SELECT next FROM log WHERE response = r.seq ORDER BY first DESC LIMIT 1), 0) = ?",
            (first, first + len(entries), pack_chunk(entries), response_id, first),
        )
        if connection.changed(added):
            return
    found = connection.execute(
        "SELECT seq, (SELECT next FROM log WHERE response = r.seq ORDER BY first DESC LIMIT 1) "
        f"FROM responses r WHERE id = ? AND gone = 0 {connection.dialect.kept}",
        (response_id,),
    ).fetchone()
    if found is None:
        return
    seq, start = found[0], found[1] or 0
    if first > start:
        raise ValueError(f"log entry {first} of {response_id} leaves a gap behind {start - 1}")
    fresh = entries[start - first :]
    if fresh:
        connection.execute(
            "INSERT INTO log (response, first, next, chunk) VALUES (?, ?, ?, ?)",
            (seq, start, start + len(fresh), pack_chunk(fresh)),
        )


def delete(connection: SqlConnection, owner: str, response_id: str) -> bool:
    """Delete a response; its items stay while a child needs them."""
    seq = find(connection, owner, response_id, connection.dialect.deleting)
    if seq is None:
        return False
    activity.forget(connection, response_id)
    connection.execute("DELETE FROM log WHERE response = ?", (seq,))
    if _has_children(connection, seq):
        connection.execute(
            "UPDATE responses SET gone = 1, request = ?, response = ? WHERE seq = ?", (b"", b"", seq)
        )
    else:
        _remove(connection, seq)
    return True


def _has_children(connection: SqlConnection, seq: int) -> bool:
    return (
        connection.execute("SELECT 1 FROM responses WHERE parent_seq = ? LIMIT 1", (seq,)).fetchone()
        is not None
    )


def _remove(connection: SqlConnection, seq: int) -> None:
    """Remove a row without children, then each deleted ancestor whose last child has gone with it."""
    while True:
        parent_row = connection.execute("SELECT parent_seq FROM responses WHERE seq = ?", (seq,)).fetchone()[
            0
        ]
        items.leave_response(connection, seq)
        connection.execute("DELETE FROM responses WHERE seq = ?", (seq,))
        if parent_row is None:
            return
        parent = connection.execute(
            f"SELECT gone FROM responses WHERE seq = ? {connection.dialect.deleting}", (parent_row,)
        ).fetchone()
        if parent is None or not parent[0] or _has_children(connection, parent_row):
            return
        seq = parent_row
