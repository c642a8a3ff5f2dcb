"""What keys have spent, by the day, as SQL. Functions of a connection; writes belong in a transaction.

A stored response is charged where :mod:`kodo.server.store.responses` writes its end. Each writing connection to PostgreSQL
adds to rows of its own: writers of one busy key do not wait for one another.
"""

# ruff: noqa: S608 - SQL is put together from constants of this package; values are always bound

from __future__ import annotations

from kodo.server.lifecycle.records import KeyCharge, KeySpending
from kodo.server.store.sql import SqlConnection


def add(connection: SqlConnection, charge: KeyCharge) -> None:
    """Add a charge; one whose id was added before is left out. Its id is kept as an idempotency key is, and pruned with them."""
    if charge.id:
        kept = connection.execute(
            "INSERT INTO replays (owner, key, created_at, digest, status, headers, body) VALUES (?, ?, ?, ?, 200, ?, ?) "
            "ON CONFLICT (owner, key) DO NOTHING",
            (charge.key_id, charge.id, charge.at, b"", b"", b""),
        )
        if not connection.changed(kept):
            return
    connection.execute(
        "INSERT INTO key_spending (key_id, day, tokens, nano_usd) VALUES (?, ?, ?, ?) "
        f"ON CONFLICT (key_id, day{connection.dialect.shard}) DO UPDATE SET "
        "tokens = key_spending.tokens + excluded.tokens, nano_usd = key_spending.nano_usd + excluded.nano_usd",
        (charge.key_id, charge.day, charge.spending.tokens, charge.spending.nano_usd),
    )


def read(connection: SqlConnection, key_id: str, since: int) -> dict[int, KeySpending]:
    """What a key has spent by the day, from a day on."""
    query = (  # whole numbers: PostgreSQL's own sums are decimal ones, whose reading takes longer than the query
        "SELECT day, CAST(sum(tokens) AS BIGINT), CAST(sum(nano_usd) AS BIGINT) FROM key_spending "
        "WHERE key_id = ? AND day >= ? GROUP BY day"
    )
    return {
        day: KeySpending(tokens, nano_usd)
        for day, tokens, nano_usd in connection.execute(query, (key_id, since))
    }
