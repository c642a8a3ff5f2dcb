"""Documents, idempotency claims and keys, as SQL. Functions of a connection; writes belong in a transaction."""

# ruff: noqa: S608 - SQL is put together from constants of this package; values are always bound

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kodo.server.lifecycle.errors import Conflict, NotFound
from kodo.server.lifecycle.records import DocumentRow, KeyRow, Page, ReplayRow, Unless
from kodo.server.store import items, paging
from kodo.server.store.codec import pack_headers, unpack_headers
from kodo.server.store.sql import SqlConnection, returned

COLUMNS: Final = "kind, id, owner, parent, created_at, version, status, body"
_KEY_COLUMNS = (
    "id, name, project, hash, hint, created_at, revoked_at, "
    "requests_per_minute, tokens_per_minute, concurrent_requests, role, "
    "tokens_per_day, tokens_per_month, usd_per_day, usd_per_month"
)


def row_of(columns: Sequence[Any]) -> DocumentRow:
    """A document from its columns (:data:`COLUMNS`)."""
    kind, id_, owner, parent, created_at, version, status, body = columns
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


# --- documents -------------------------------------------------------------------------------------------------------


def get(connection: SqlConnection, kind: str, owner: str, document_id: str) -> DocumentRow | None:
    """The row, or None."""
    found = connection.execute(
        f"SELECT {COLUMNS} FROM documents WHERE owner = ? AND id = ? AND kind = ?",
        (owner, document_id, kind),
    ).fetchone()
    return None if found is None else row_of(found)


def is_held(connection: SqlConnection, row: DocumentRow) -> bool:
    """Whether this server still works on a document: it is the same one, in the same state; it stays until the transaction ends."""
    found = connection.execute(
        "SELECT 1 FROM documents WHERE owner = ? AND id = ? AND kind = ? AND created_at = ? AND status = ?"
        f"{connection.dialect.held_here} {connection.dialect.kept}",
        (row.owner, row.id, row.kind, row.created_at, row.status),
    ).fetchone()
    return found is not None


def list_page(
    connection: SqlConnection, kind: str, owner: str, parent: str | None, page: Page
) -> tuple[list[DocumentRow], bool]:
    """A window of the documents inside ``parent`` (None: those without a parent). NotFound: a cursor."""
    inside = "parent IS NULL" if parent is None else "parent = ?"
    which = f"owner = ? AND kind = ? AND {inside}"
    values = (owner, kind) if parent is None else (owner, kind, parent)

    def place(document_id: str) -> int | None:
        found = connection.execute(
            f"SELECT seq FROM documents WHERE {which} AND id = ?", (*values, document_id)
        ).fetchone()
        return None if found is None else int(found[0])

    rows, more = paging.select(
        connection,
        f"SELECT {COLUMNS} FROM documents WHERE {which}",
        values,
        page,
        key="seq",
        place=place,
    )
    return [row_of(row) for row in rows], more


def unfinished(
    connection: SqlConnection, kind: str, statuses: Sequence[str], epoch: int | None = None
) -> list[DocumentRow]:
    """Documents in these states, any owner, oldest first; ``epoch``: of that node, where the database knows nodes."""
    marks = ", ".join("?" * len(statuses))
    which, node = ("", ()) if epoch is None else (" AND epoch = ?", (epoch,))
    return [
        row_of(found)
        for found in connection.execute(
            f"SELECT {COLUMNS} FROM documents WHERE kind = ? AND status IN ({marks}){which} ORDER BY seq",
            (kind, *statuses, *node),
        )
    ]


def created_before(
    connection: SqlConnection, kind: str, statuses: Sequence[str], before: float
) -> list[DocumentRow]:
    """Documents in these states that are older than a time, any owner and whoever works on them, oldest first."""
    marks = ", ".join("?" * len(statuses))
    return [
        row_of(found)
        for found in connection.execute(
            f"SELECT {COLUMNS} FROM documents WHERE kind = ? AND status IN ({marks}) AND created_at < ? ORDER BY seq",
            (kind, *statuses, before),
        )
    ]


def put(connection: SqlConnection, row: DocumentRow) -> None:
    """A new row. Conflict: the id is taken."""
    put = connection.execute(
        f"INSERT INTO documents ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (owner, id, kind) DO NOTHING",
        (row.kind, row.id, row.owner, row.parent, row.created_at, row.version, row.status, row.body),
    )
    if not connection.changed(put):
        raise Conflict(f"A {row.kind} with the id {row.id!r} already exists.")


def check_unless(connection: SqlConnection, owner: str, container: str, unless: Unless | None) -> None:
    """Refuse a change of a container behind the lock on it, so that the changes of all servers follow one another.

    Conflict: a document inside it is in one of the states.
    """
    if unless is None:
        return
    marks = ", ".join("?" * len(unless.statuses))
    found = connection.execute(
        f"SELECT id FROM documents WHERE owner = ? AND kind = ? AND parent = ? AND status IN ({marks}) LIMIT 1",
        (owner, unless.kind, container, *unless.statuses),
    ).fetchone()
    if found is not None:
        raise Conflict(f"The {unless.kind} {found[0]!r} is active in {container!r}.")


def update(connection: SqlConnection, row: DocumentRow, *, release: bool = False) -> None:
    """Body and status, if the stored version is the one before; ``release``: this server works on it no more.

    NotFound, Conflict.
    """
    _replace(connection, row, connection.dialect.released if release else "", "")


def take(connection: SqlConnection, row: DocumentRow) -> None:
    """The same for a document that this server works on from now on. Conflict: another living server does, too."""
    _replace(connection, row, connection.dialect.taken, connection.dialect.held_by_no_other)


def _replace(connection: SqlConnection, row: DocumentRow, assignment: str, condition: str) -> None:
    changed = connection.execute(
        f"UPDATE documents SET version = ?, status = ?, body = ?{assignment} "
        f"WHERE owner = ? AND id = ? AND kind = ? AND version = ?{condition}",
        (row.version, row.status, row.body, row.owner, row.id, row.kind, row.version - 1),
    )
    if not connection.changed(changed):
        if get(connection, row.kind, row.owner, row.id) is None:
            raise NotFound(f"No {row.kind} has the id {row.id!r}.")
        raise Conflict(f"The {row.kind} {row.id!r} was changed by another request.")


def delete(connection: SqlConnection, kind: str, owner: str, document_id: str) -> bool:
    """The row, its items, and the documents inside it, with theirs."""
    root = connection.execute(
        f"SELECT seq FROM documents WHERE owner = ? AND id = ? AND kind = ? {connection.dialect.deleting}",
        (owner, document_id, kind),
    ).fetchone()
    if root is None:
        return False
    inside = connection.execute(
        "WITH RECURSIVE inside (seq, id) AS ("
        " SELECT seq, id FROM documents WHERE seq = ?"
        " UNION SELECT d.seq, d.id FROM inside JOIN documents d ON d.owner = ? AND d.parent = inside.id"
        ") SELECT seq FROM inside",
        (root[0], owner),
    ).fetchall()
    for (seq,) in inside:
        items.leave_conversation(connection, seq)
        connection.execute("DELETE FROM documents WHERE seq = ?", (seq,))
    return True


# --- idempotency -----------------------------------------------------------------------------------------------------


def claim(
    connection: SqlConnection, owner: str, key: str, row: ReplayRow, expired: float
) -> ReplayRow | None:
    """Return None if the key is claimed; else the row that holds it, if not older than ``expired``."""
    while not _put_replay(connection, owner, key, row, expired):
        found = connection.execute(
            f"SELECT digest, status, headers, body, created_at{connection.dialect.claimed_elsewhere}"
            " FROM replays WHERE owner = ? AND key = ?",
            (owner, key),
        ).fetchone()
        if found is not None:  # else it was released between the two statements
            digest, status, headers, body, created_at, *elsewhere = found
            return ReplayRow(
                elsewhere=status is None and any(elsewhere),
                digest=digest,
                status=status,
                headers=unpack_headers(headers),
                body=body,
                created_at=created_at,
            )
    return None


def settle(connection: SqlConnection, owner: str, key: str, row: ReplayRow | None) -> None:
    """Keep the answer of a claimed key, or (None) release the claim."""
    if row is None:
        connection.execute("DELETE FROM replays WHERE owner = ? AND key = ?", (owner, key))
    else:
        _put_replay(connection, owner, key, row)


def delete_open_claims(connection: SqlConnection) -> None:
    """Delete claims whose request ended with an earlier process."""
    connection.execute("DELETE FROM replays WHERE status IS NULL")


def _put_replay(
    connection: SqlConnection, owner: str, key: str, row: ReplayRow, expired: float | None = None
) -> bool:
    """Put the row in the place of any other; with ``expired``, of an older one only. False: there is a newer one."""
    only = "" if expired is None else " WHERE replays.created_at < ?"
    put = connection.execute(
        "INSERT INTO replays (owner, key, digest, status, headers, body, created_at) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (owner, key) DO UPDATE SET digest = excluded.digest, status = excluded.status, "
        "headers = excluded.headers, body = excluded.body, created_at = excluded.created_at"
        f"{connection.dialect.claimed_here}{only} RETURNING seq",
        (
            *(owner, key, row.digest, row.status, pack_headers(row.headers), row.body, row.created_at),
            *(() if expired is None else (expired,)),
        ),
    )
    return returned(put) is not None


# --- keys ------------------------------------------------------------------------------------------------------------


def keys(connection: SqlConnection) -> list[KeyRow]:
    """Every key, oldest first."""
    return [_key_of(row) for row in connection.execute(f"SELECT {_KEY_COLUMNS} FROM keys ORDER BY rowid")]


def has_keys(connection: SqlConnection) -> bool:
    """Whether there is any key, revoked ones included."""
    return connection.execute("SELECT 1 FROM keys LIMIT 1").fetchone() is not None


def key(connection: SqlConnection, key_id: str) -> KeyRow | None:
    """The key with an id."""
    row = connection.execute(f"SELECT {_KEY_COLUMNS} FROM keys WHERE id = ?", (key_id,)).fetchone()
    return None if row is None else _key_of(row)


def key_by_hash(connection: SqlConnection, hash_: bytes) -> KeyRow | None:
    """The key with a hash."""
    row = connection.execute(f"SELECT {_KEY_COLUMNS} FROM keys WHERE hash = ?", (hash_,)).fetchone()
    return None if row is None else _key_of(row)


def _key_of(columns: Sequence[Any]) -> KeyRow:
    return KeyRow(**dict(zip(_KEY_COLUMNS.split(", "), columns, strict=True)))


def put_key(connection: SqlConnection, row: KeyRow) -> None:
    """A new key, or another state of one."""
    names = _KEY_COLUMNS.split(", ")
    connection.execute(
        f"INSERT INTO keys ({_KEY_COLUMNS}) VALUES ({', '.join('?' * len(names))}) ON CONFLICT (id) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in names[1:]),
        [getattr(row, name) for name in names],
    )
