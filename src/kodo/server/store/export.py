"""Everything an owner has stored, as JSON lines, for a backup or on request.

Read in one snapshot and one row at a time, so that it neither disturbs a running server nor needs memory. Left out: keys,
idempotency replays, and the event logs, which say again what the responses say.
"""

# ruff: noqa: S608 - SQL is put together from constants of this package; values are always bound

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from kodo.server.store.sql import SqlConnection

_encoder = msgspec.json.Encoder()
_BATCH = 100


def lines(connection: SqlConnection, owner: str | None = None) -> Iterator[bytes]:
    """One JSON object a line, each with its ``object``: ``response`` or ``document``; of one owner, or of all.

    A response has its row (``request``, ``response``, …) and its ``input`` and ``output`` items, also where it was
    deleted and only a child's context keeps it (then ``deleted`` is true); a document its ``body`` and ``items``.
    The connection stands in a transaction that reads one and the same commit.
    """
    yield from _responses(connection, owner)
    yield from _documents(connection, owner)


def _responses(connection: SqlConnection, owner: str | None) -> Iterator[bytes]:
    for (
        seq,
        id_,
        holder,
        parent,
        status,
        created_at,
        conversation,
        background,
        gone,
        request,
        response,
    ) in _each(
        connection,
        "SELECT seq, id, owner, parent, status, created_at, conversation, background, gone, request, response "
        "FROM responses",
        owner,
    ):
        yield _line(
            {
                "object": "response",
                "id": id_,
                "owner": holder,
                "previous_response_id": parent,
                "conversation": conversation,
                "status": status,
                "created_at": created_at,
                "background": bool(background),
                "deleted": bool(gone),
                "request": _json(request),
                "response": _json(response),
                "input": _items(connection, "response = ? AND output = 0 ORDER BY seq", seq),
                "output": _items(connection, "response = ? AND output = 1 ORDER BY seq", seq),
            }
        )


def _documents(connection: SqlConnection, owner: str | None) -> Iterator[bytes]:
    for seq, kind, id_, holder, parent, created_at, version, status, body in _each(
        connection,
        "SELECT seq, kind, id, owner, parent, created_at, version, status, body FROM documents",
        owner,
    ):
        yield _line(
            {
                "object": "document",
                "kind": kind,
                "id": id_,
                "owner": holder,
                "parent": parent,
                "created_at": created_at,
                "version": version,
                "status": status,
                "body": _json(body),
                "items": _items(connection, "conversation = ? ORDER BY place", seq),
            }
        )


def _each(connection: SqlConnection, query: str, owner: str | None) -> Iterator[tuple[Any, ...]]:
    """Rows in order of creation, a few at a time."""
    last = -1
    which, values = ("", ()) if owner is None else (" AND owner = ?", (owner,))
    while True:
        rows = connection.execute(
            f"{query} WHERE seq > ?{which} ORDER BY seq LIMIT ?", (last, *values, _BATCH)
        ).fetchall()
        if not rows:
            return
        yield from rows
        last = rows[-1][0]


def _items(connection: SqlConnection, which: str, seq: int) -> list[Any]:
    return [
        _json(item.partition(b"\n")[0])
        for (item,) in connection.execute(f"SELECT item FROM items WHERE {which}", (seq,))
    ]


def _json(stored: bytes) -> Any:
    """A stored body as a value; the body of a deleted response is empty."""
    return msgspec.json.decode(stored) if stored else None


def _line(value: dict[str, Any]) -> bytes:
    return _encoder.encode(value) + b"\n"
