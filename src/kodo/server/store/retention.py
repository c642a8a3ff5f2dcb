"""Pruning and row counts, as SQL. Functions of a connection; writes belong in a transaction."""

# ruff: noqa: S608 - SQL is put together from constants of this package; values are always bound

from __future__ import annotations

from kodo.server.lifecycle.records import RetentionRule
from kodo.server.store import documents, responses
from kodo.server.store.sql import SqlConnection

MAX_OBJECTS = 100
"""Objects that one transaction prunes, so that other writers wait a few milliseconds at most."""
_TABLES = ("responses", "items", "log", "documents", "replays", "keys")


def expired_responses(connection: SqlConnection, before: float) -> list[tuple[str, str]]:
    """Owner and id of the responses that :func:`prune_responses` would delete."""
    return connection.execute(
        "SELECT owner, id FROM responses WHERE created_at < ? AND final = 1 AND gone = 0 ORDER BY seq DESC",
        (before,),
    ).fetchall()


def expired_documents(connection: SqlConnection, rule: RetentionRule) -> list[tuple[str, str]]:
    """Owner and id of the documents that a rule prunes."""
    if rule.statuses == ():
        return []
    which, values = _expired(rule)
    return connection.execute(
        f"SELECT owner, id FROM documents d WHERE {which} ORDER BY seq", values
    ).fetchall()


def _expired(rule: RetentionRule) -> tuple[str, tuple[object, ...]]:
    """The condition of a rule on a document ``d``, and its values."""
    statuses = rule.statuses or ()
    which = f" AND d.status IN ({', '.join('?' * len(statuses))})" if rule.statuses is not None else ""
    return (
        f"d.kind = ? AND d.created_at < ?{which} AND NOT EXISTS ("
        " SELECT 1 FROM documents inside"
        " WHERE inside.owner = d.owner AND inside.parent = d.id AND inside.created_at >= ?)"
    ), (rule.kind, rule.before, *statuses, rule.before)


def prune_responses(connection: SqlConnection, names: list[tuple[str, str]]) -> int:
    """Delete responses as their owners would; the number deleted."""
    return sum(responses.delete(connection, owner, id_) for owner, id_ in names)


def prune_documents(connection: SqlConnection, rule: RetentionRule, names: list[tuple[str, str]]) -> int:
    """Delete documents with everything inside them; the number deleted.

    The rule is asked again behind the lock on each: something may have been put into it since they were looked for.
    """
    which, values = _expired(rule)
    deleted = 0
    for owner, id_ in names:
        connection.execute(
            f"SELECT 1 FROM documents WHERE owner = ? AND id = ? AND kind = ? {connection.dialect.deleting}",
            (owner, id_, rule.kind),
        ).fetchone()
        still = connection.execute(
            f"SELECT 1 FROM documents d WHERE d.owner = ? AND d.id = ? AND {which}", (owner, id_, *values)
        ).fetchone()
        deleted += still is not None and documents.delete(connection, rule.kind, owner, id_)
    return deleted


def prune_replays(connection: SqlConnection, before: float) -> int:
    """Delete answers kept for idempotency keys claimed before a time; the number deleted."""
    return connection.execute(
        "DELETE FROM replays WHERE created_at < ? AND status IS NOT NULL", (before,)
    ).rowcount


def count(connection: SqlConnection) -> dict[str, int]:
    """Rows by table; deleted responses that children still need are counted apart."""
    counts = {
        table: int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in _TABLES
    }
    gone = int(connection.execute("SELECT count(*) FROM responses WHERE gone = 1").fetchone()[0])
    return {**counts, "responses": counts["responses"] - gone, "deleted_but_needed": gone}
