"""Which node is alive, and what it owns, as SQL. Functions of a connection; writes belong in a transaction.

A node has a row in ``nodes`` with a lease by the database's clock, and an epoch that is never given out again. A row that
somebody works on names that epoch. Whoever finds an expired lease deletes the node's row: every transaction of a node
begins by changing its row in ``writers``, which goes with it, so a node that was paused past its lease writes nothing.
"""

# ruff: noqa: S608 - SQL is put together from constants of this package; values are always bound

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kodo.server.lifecycle.records import ResponseRow
from kodo.server.store import responses
from kodo.server.store.sql import SqlConnection

TAKING_OVER: Final = 0x6B6F646F + 1
"""Number of the advisory lock under which rows change their owner."""
NOBODY: Final = 0
"""The epoch of a row that any node may take."""


def register(
    connection: SqlConnection,
    name: str,
    role: str,
    version: str,
    lease: float,
    slots: int,
    folder: str | None = None,
) -> int:
    """A new node that is alive for ``lease`` seconds; its epoch. ``folder``: the id of the folder of files that it sees."""
    found = connection.execute(
        "INSERT INTO nodes (name, role, version, folder, lease_until) "
        "VALUES (?, ?, ?, ?, clock_timestamp() + make_interval(secs => ?)) RETURNING epoch",
        (name, role, version, folder, lease),
    ).fetchone()
    epoch = int(found[0])
    connection.executemany(
        "INSERT INTO writers (epoch, slot) VALUES (?, ?)", [(epoch, slot) for slot in range(slots)]
    )
    return epoch


def renew(connection: SqlConnection, epoch: int, lease: float) -> bool:
    """Prolong a lease. False: another node has found it expired, and has taken what was this one's."""
    return bool(
        connection.execute(
            "UPDATE nodes SET lease_until = clock_timestamp() + make_interval(secs => ?) WHERE epoch = ?",
            (lease, epoch),
        ).rowcount
    )


def leave(connection: SqlConnection, epoch: int) -> None:
    """The node stops: the others may take what is left of its work."""
    if connection.execute("DELETE FROM nodes WHERE epoch = ?", (epoch,)).rowcount:
        _count_departure(connection)


def remove_expired(connection: SqlConnection, patience: float = 0.0) -> list[int]:
    """The epochs of nodes whose lease is over; they are no more. One that is in a transaction is left for the next time.

    ``patience``: seconds that the database must have been there for, as a session of that age shows: nobody can renew a lease
    while it is down or recovers, which the start of its first process does not tell.
    """
    removed: list[int] = []
    dead = connection.execute(
        "SELECT epoch FROM nodes WHERE lease_until < clock_timestamp() AND EXISTS (SELECT 1 FROM pg_stat_activity "
        "WHERE usename = current_user AND backend_start <= clock_timestamp() - make_interval(secs => ?))",
        (patience,),
    ).fetchall()
    for (epoch,) in dead:
        slots = connection.execute("SELECT slot FROM writers WHERE epoch = ?", (epoch,)).fetchall()
        free = connection.execute(
            "SELECT slot FROM writers WHERE epoch = ? FOR UPDATE SKIP LOCKED", (epoch,)
        ).fetchall()
        if len(free) == len(slots):
            gone = connection.execute(
                "DELETE FROM nodes WHERE epoch = ? AND lease_until < clock_timestamp() RETURNING epoch",
                (epoch,),
            ).fetchall()
            removed += [found for (found,) in gone]
    if removed:
        _count_departure(connection)
    return removed


def _count_departure(connection: SqlConnection) -> None:
    connection.execute(
        "DELETE FROM replays WHERE status IS NULL AND epoch <> ? AND NOT EXISTS "
        "(SELECT 1 FROM nodes n WHERE n.epoch = replays.epoch)",
        (NOBODY,),
    )
    connection.execute("UPDATE departures SET number = number + 1")


def departures(connection: SqlConnection) -> int:
    """A number that has grown if a node has gone since it was last read."""
    return int(connection.execute("SELECT number FROM departures").fetchone()[0])


def hand_over(connection: SqlConnection, epoch: int, table: str, id_: str) -> None:
    """Let any node take a row of ``responses`` or ``documents`` that this one has."""
    connection.execute(f"UPDATE {table} SET epoch = ? WHERE id = ? AND epoch = ?", (NOBODY, id_, epoch))
    if table == "documents":
        connection.execute("UPDATE departures SET number = number + 1")


def hand_over_all(
    connection: SqlConnection, epoch: int, kinds: Mapping[str, Sequence[str]], before: float
) -> int:
    """Let any node take what this one has of documents of these kinds in these states, and of background responses that were
    created before a time; their number."""
    given = connection.execute(
        "UPDATE responses SET epoch = ? WHERE epoch = ? AND background = 1 AND final = 0 AND gone = 0 AND created_at < ?",
        (NOBODY, epoch, before),
    ).rowcount
    for kind, statuses in kinds.items():
        given += connection.execute(
            "UPDATE documents SET epoch = ? WHERE epoch = ? AND kind = ? "
            f"AND status IN ({', '.join('?' * len(statuses))}) AND created_at < ?",
            (NOBODY, epoch, kind, *statuses, before),
        ).rowcount
    if given:
        connection.execute("UPDATE departures SET number = number + 1")
    return given


def adopt_responses(connection: SqlConnection, epoch: int, *, background: bool = True) -> None:
    """Take the unfinished responses that no living node has; without ``background``, only those whose client is gone."""
    connection.execute("SELECT pg_advisory_xact_lock(?)", (TAKING_OVER,))
    connection.execute(
        f"UPDATE responses SET epoch = ? WHERE {_unfinished(background)} "
        "AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.epoch = responses.epoch)",
        (epoch,),
    )


def own_responses(connection: SqlConnection, epoch: int, *, background: bool = True) -> list[ResponseRow]:
    """The unfinished responses of a node, oldest first; ``background`` as in :func:`adopt_responses`.

    Asked for behind the takeover, and not returned by it: where the answer to its COMMIT was lost, they are the node's too.
    """
    found = connection.execute(
        f"SELECT {responses.COLUMNS} FROM responses WHERE {_unfinished(background)} AND epoch = ? ORDER BY seq",
        (epoch,),
    )
    return [responses.row_of(row) for row in found]


def _unfinished(background: bool) -> str:
    return f"final = 0 AND gone = 0{'' if background else ' AND background = 0'}"


def adopt_documents(connection: SqlConnection, epoch: int, kind: str, statuses: Sequence[str]) -> None:
    """Take the documents in these states that no living node has."""
    connection.execute("SELECT pg_advisory_xact_lock(?)", (TAKING_OVER,))
    connection.execute(
        f"UPDATE documents SET epoch = ? WHERE kind = ? AND status IN ({', '.join('?' * len(statuses))}) "
        "AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.epoch = documents.epoch)",
        (epoch, kind, *statuses),
    )


def is_left(connection: SqlConnection) -> bool:
    """Whether there is work that any node may take: what a node that runs none accepted."""
    return bool(
        connection.execute(
            "SELECT EXISTS (SELECT 1 FROM responses WHERE epoch = ? AND final = 0)", (NOBODY,)
        ).fetchone()[0]
    )


def ask(connection: SqlConnection, table: str, id_: str, kind: str, body: bytes) -> int | None:
    """Leave a request for the node that owns a row of ``responses`` or ``documents``; its epoch, None: nobody does."""
    found = connection.execute(
        "INSERT INTO signals (epoch, kind, id, body) SELECT n.epoch, ?, ?, ? "
        f"FROM {table} t JOIN nodes n ON n.epoch = t.epoch WHERE t.id = ? RETURNING epoch",
        (kind, id_, body, id_),
    ).fetchall()
    return int(found[0][0]) if found else None


def take_requests(connection: SqlConnection, epoch: int) -> list[tuple[str, str, bytes]]:
    """What other nodes have asked of this one, oldest first: kind, id and body. Each is given out once."""
    taken = connection.execute(
        "DELETE FROM signals WHERE epoch = ? RETURNING seq, kind, id, body", (epoch,)
    ).fetchall()
    return [(kind, id_, body) for _, kind, id_, body in sorted(taken)]


def has_requests(connection: SqlConnection, epoch: int) -> bool:
    """Whether other nodes have asked anything of this one."""
    return bool(
        connection.execute("SELECT EXISTS (SELECT 1 FROM signals WHERE epoch = ?)", (epoch,)).fetchone()[0]
    )


def living(connection: SqlConnection) -> list[tuple[int, str, str, float, float]]:
    """Epoch, name, role, age and seconds left of the lease of each node."""
    return connection.execute(
        "SELECT epoch, name, role, extract(epoch FROM clock_timestamp() - started_at)::float8, "
        "extract(epoch FROM lease_until - clock_timestamp())::float8 FROM nodes WHERE role <> 'tool' ORDER BY epoch"
    ).fetchall()
