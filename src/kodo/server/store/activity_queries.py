"""Lines and sums of :mod:`kodo.server.lifecycle.activity`, and the documents that the dashboard shows, read as SQL. Functions of a
connection. A query that a test looks at by its plan is made by a function of its own, ``select_…``.
"""

# ruff: noqa: S608 - SQL is put together from constants of this package; values are always bound

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from kodo.server.lifecycle.activity import (
    DAY,
    MAX_SEARCHED,
    Activity,
    ActivityFilter,
    ActivitySums,
    FirstTokenCount,
)
from kodo.server.lifecycle.ports import Usage
from kodo.server.lifecycle.records import DocumentRow, Timing
from kodo.server.lifecycle.status import RESPONSE_STATUS
from kodo.server.store import documents as documents_sql
from kodo.server.store.activity import COLUMNS, SUMS
from kodo.server.store.sql import SQLITE, Dialect, SqlConnection

_WHOLE_ID = re.compile(r"resp_[0-9a-f]{48}")
"""As this server makes them; the index finds it at once on every database."""
_UNFINISHED = ", ".join(f"'{status}'" for status in sorted(RESPONSE_STATUS.unfinished))


def select_activities(wanted: ActivityFilter, limit: int, dialect: Dialect = SQLITE) -> tuple[str, list[Any]]:
    """The query for a page of lines, and its values."""
    clauses: list[str] = []
    values: list[Any] = []

    def add(clause: str, *more: Any) -> None:
        clauses.append(clause)
        values.extend(more)

    for column in ("owner", "status", "model"):
        value = getattr(wanted, column)
        if value is not None:
            add(f"{column} = ?", value)
    if wanted.since is not None:
        add("created_at >= ?", wanted.since)
    if wanted.until is not None:
        add("created_at < ?", wanted.until)
    if wanted.before is not None:
        add("seq < ?", wanted.before)
    if wanted.text is not None and _WHOLE_ID.fullmatch(wanted.text):
        add("id = ?", wanted.text)
    elif wanted.text is not None and wanted.text.startswith("resp_"):
        name = f"id{dialect.bytewise}"
        add(f"{name} >= ? AND {name} < ?", wanted.text, wanted.text + "\x7f")
    elif wanted.text is not None:
        add(f"title {dialect.like} ? ESCAPE '\\'", f"%{_escaped(wanted.text)}%")
        add("seq > (SELECT coalesce(max(seq), 0) FROM activity) - ?", MAX_SEARCHED)
    where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
    return f"SELECT {COLUMNS} FROM activity{where} ORDER BY seq DESC LIMIT ?", [*values, limit]


def activities(connection: SqlConnection, wanted: ActivityFilter, limit: int) -> list[Activity]:
    """A page of lines, the newest first."""
    query, values = select_activities(wanted, limit, connection.dialect)
    return [_line(found) for found in connection.execute(query, values)]


def activity(connection: SqlConnection, response_id: str) -> Activity | None:
    """One line."""
    found = connection.execute(f"SELECT {COLUMNS} FROM activity WHERE id = ?", (response_id,)).fetchone()
    return None if found is None else _line(found)


def children(connection: SqlConnection, response_id: str, limit: int) -> list[Activity]:
    """The lines of the responses that continue one."""
    query = f"SELECT {COLUMNS} FROM activity WHERE parent = ? ORDER BY seq LIMIT ?"
    return [_line(found) for found in connection.execute(query, (response_id, limit))]


def select_sums(
    width: int, since: float, owner: str | None, step: int | None = None
) -> tuple[str, list[Any]]:
    """The query for sums by span and model, and its values. ``step``: spans of so many seconds instead."""
    summed = ", ".join(
        f"sum({name})" if name.endswith("seconds") else f"CAST(sum({name}) AS BIGINT)"
        for name in SUMS.split(", ")
    )
    mine, values = ("", [width, since]) if owner is None else (" AND owner = ?", [width, since, owner])
    return (
        f"SELECT {_span(step)}, model, {summed} FROM activity_sums WHERE width = ? AND start >= ?{mine} "
        "GROUP BY 1, 2 ORDER BY 1, 2"
    ), values


def _span(step: int | None) -> str:
    """The beginning of the span that a row of sums is in."""
    return "start" if step is None else f"start / {step:d} * {step:d}"


def sums(
    connection: SqlConnection, width: int, since: float, owner: str | None, step: int | None = None
) -> list[ActivitySums]:
    """Sums by span and model."""
    return [
        ActivitySums(
            start=start,
            model=model,
            requests=requests,
            failed=failed,
            incomplete=incomplete,
            cancelled=cancelled,
            usage=Usage(input=given, cached=cached, output=made, reasoning=reasoning),
            decode_tokens=tokens,
            decode_seconds=seconds,
        )
        for (
            start,
            model,
            requests,
            failed,
            incomplete,
            cancelled,
            given,
            cached,
            made,
            reasoning,
            tokens,
            seconds,
        ) in connection.execute(*select_sums(width, since, owner, step))
    ]


def select_first_tokens(
    width: int, since: float, owner: str | None, step: int | None = None
) -> tuple[str, list[Any]]:
    """The query for counts of first tokens by span and bucket, and its values. ``step``: as for sums."""
    mine, values = ("", [width, since]) if owner is None else (" AND owner = ?", [width, since, owner])
    return (
        f"SELECT {_span(step)}, bucket, CAST(sum(count) AS BIGINT) FROM activity_first_tokens WHERE width = ? AND start >= ?{mine} "
        "GROUP BY 1, 2 ORDER BY 1, 2"
    ), values


def first_tokens(
    connection: SqlConnection, width: int, since: float, owner: str | None, step: int | None = None
) -> list[FirstTokenCount]:
    """Counts of first tokens by span and bucket."""
    return [
        FirstTokenCount(start=start, bucket=bucket, count=number)
        for start, bucket, number in connection.execute(*select_first_tokens(width, since, owner, step))
    ]


def unfinished_count(connection: SqlConnection, owner: str | None) -> int:
    """The number of lines that are not over."""
    mine, values = ("", []) if owner is None else (" AND owner = ?", [owner])
    query = f"SELECT count(*) FROM activity WHERE status IN ({_UNFINISHED}){mine}"
    return int(connection.execute(query, values).fetchone()[0])


def owners(connection: SqlConnection) -> list[str]:
    """Every owner of a line, a document or a key."""
    return [
        owner
        for (owner,) in connection.execute(
            "SELECT owner FROM activity_sums WHERE width = ? UNION SELECT owner FROM documents "
            "UNION SELECT project FROM keys ORDER BY 1",
            (DAY,),
        )
    ]


def models(connection: SqlConnection) -> list[str]:
    """Every model in the sums."""
    query = "SELECT DISTINCT model FROM activity_sums WHERE width = ? ORDER BY 1"
    return [model for (model,) in connection.execute(query, (DAY,))]


def documents(
    connection: SqlConnection, kind: str, owner: str | None, before: int | None, limit: int
) -> list[tuple[int, DocumentRow]]:
    """Documents without a parent, the newest first, with their numbers."""
    clauses, values = ["kind = ?", "parent IS NULL"], [kind]
    more: list[Any] = []
    if owner is not None:
        clauses.append("owner = ?")
        more.append(owner)
    if before is not None:
        clauses.append("seq < ?")
        more.append(before)
    query = f"SELECT seq, {documents_sql.COLUMNS} FROM documents WHERE {' AND '.join(clauses)} ORDER BY seq DESC LIMIT ?"
    return [
        (found[0], documents_sql.row_of(found[1:]))
        for found in connection.execute(query, [*values, *more, limit])
    ]


def find_document(
    connection: SqlConnection, kind: str, document_id: str, owners_: Sequence[str]
) -> DocumentRow | None:
    """A document of one of these owners, found by the index over owner, id and kind."""
    marks = ", ".join("?" * len(owners_))
    found = connection.execute(
        f"SELECT {documents_sql.COLUMNS} FROM documents WHERE owner IN ({marks}) AND id = ? AND kind = ?",
        (*owners_, document_id, kind),
    ).fetchone()
    return None if found is None else documents_sql.row_of(found)


def _line(found: Sequence[Any]) -> Activity:
    (
        seq,
        id_,
        owner,
        key_id,
        created_at,
        model,
        status,
        background,
        parent,
        conversation,
        title,
        given,
        cached,
        made,
        reasoning,
        queued,
        first_token,
        total,
    ) = found
    return Activity(
        seq=seq,
        id=id_,
        owner=owner,
        key_id=key_id,
        created_at=created_at,
        model=model,
        status=status,
        background=bool(background),
        parent=parent,
        conversation=conversation,
        title=title,
        usage=Usage(input=given, cached=cached, output=made, reasoning=reasoning),
        timing=Timing(queued=queued, first_token=first_token, total=total),
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
