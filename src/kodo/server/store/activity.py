"""Lines and sums of :mod:`kodo.server.lifecycle.activity`, as SQL. Functions of a connection; writes belong in a transaction.

:func:`begin`, :func:`finish` and :func:`forget` are called where :mod:`kodo.server.store.responses` writes a response.
"""

# ruff: noqa: S608 - SQL is put together from constants of this package; values are always bound

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from kodo.server.lifecycle.activity import (
    DAY,
    HOUR,
    MAX_SEARCHED,
    MINUTE,
    MINUTES_KEPT,
    TITLE_CHARS,
    WIDTHS,
    Activity,
    ActivityFilter,
    ActivitySums,
    FirstTokenCount,
    bucket_of,
)
from kodo.server.lifecycle.ports import Usage
from kodo.server.lifecycle.records import DocumentRow, ItemRow, ResponseRow, Timing
from kodo.server.lifecycle.status import FINAL, RESPONSE_STATUS
from kodo.server.store.sql import SQLITE, Dialect, SqlConnection
from kodo.server.wire.items import Message, text_of
from kodo.server.wire.response import ResponseUsage


class _Said(msgspec.Struct, frozen=True):
    """What is read of a stored Response."""

    model: str = ""
    usage: ResponseUsage | None = None


class _Asked(msgspec.Struct, frozen=True):
    """What is read of a stored request."""

    key_id: str | None = None


_Span: TypeAlias = tuple[int, int, str, str]
"""What a row of sums is for: width and start in seconds, owner, model."""


class Counted(NamedTuple):
    """What a response adds to the sums, in their order; ``bucket``: of its time to the first token."""

    spans: tuple[_Span, ...]
    values: tuple[float, ...]
    bucket: int | None


_WHOLE_ID = re.compile(r"resp_[0-9a-f]{48}")
"""As this server makes them; the index finds it at once on every database."""
_MAX_ROWS = 32
"""Rows of one statement: each number of rows is a statement of its own, which the connection remembers."""
_said = msgspec.json.Decoder(_Said)
_asked = msgspec.json.Decoder(_Asked)
_COLUMNS = (
    "seq, id, owner, key_id, created_at, model, status, background, parent, conversation, title, "
    "input, cached, output, reasoning, queued, first_token, total"
)
_SUMS = (
    "requests, failed, incomplete, cancelled, input, cached, output, reasoning, decode_tokens, decode_seconds"
)
_UNFINISHED = ", ".join(f"'{status}'" for status in sorted(RESPONSE_STATUS.unfinished))


# --- writes ----------------------------------------------------------------------------------------------------------


def begin(connection: SqlConnection, row: ResponseRow, inputs: Sequence[ItemRow]) -> None:
    """The line of a response that is stored for the first time; counted too, where it is over."""
    said, usage = _read(row)
    connection.execute(
        f"INSERT INTO activity ({_COLUMNS}) VALUES ((SELECT seq FROM responses WHERE id = ?), {', '.join('?' * 17)})",
        (
            row.id,
            row.id,
            row.owner,
            _key_id(row),
            row.created_at,
            said,
            row.status,
            int(row.background),
            row.parent,
            row.conversation,
            _title(inputs),
            usage.input,
            usage.cached,
            usage.output,
            usage.reasoning,
            row.timing.queued,
            row.timing.first_token,
            row.timing.total,
        ),
    )
    if row.status in FINAL:
        count(connection, row.owner, said, row.status, row.created_at, usage, row.timing)


def finish(connection: SqlConnection, row: ResponseRow) -> None:
    """The end of a response that has a line."""
    said, usage = _read(row)
    connection.execute(
        "UPDATE activity SET status = ?, input = ?, cached = ?, output = ?, reasoning = ?, "
        "queued = ?, first_token = ?, total = ? WHERE id = ?",
        (
            row.status,
            usage.input,
            usage.cached,
            usage.output,
            usage.reasoning,
            row.timing.queued,
            row.timing.first_token,
            row.timing.total,
            row.id,
        ),
    )
    count(connection, row.owner, said, row.status, row.created_at, usage, row.timing)


def forget(connection: SqlConnection, response_id: str) -> None:
    """A response was deleted: its line goes, the sums stay."""
    connection.execute("DELETE FROM activity WHERE id = ?", (response_id,))


def count(
    connection: SqlConnection,
    owner: str,
    model: str,
    status: str,
    created_at: float,
    usage: Usage,
    timing: Timing,
) -> None:
    """Add a response that is over to the sums of the time it began in; at the transaction's end, where it can wait."""
    decode_seconds = 0.0
    if timing.total is not None and timing.first_token is not None and usage.output > 1:
        decode_seconds = max(timing.total - timing.first_token, 0.0)
    values = (
        1,
        int(status == "failed"),
        int(status == "incomplete"),
        int(status == "cancelled"),
        usage.input,
        usage.cached,
        usage.output,
        usage.reasoning,
        usage.output - 1 if decode_seconds else 0,
        decode_seconds,
    )
    bucket = None if timing.first_token is None else bucket_of(timing.first_token)
    spans = tuple((width, int(created_at // width) * width, owner, model) for width in WIDTHS)
    counted = Counted(spans, values, bucket)
    if connection.put_off is None:
        add_up(connection, [counted])
    else:
        connection.put_off.append(counted)


def add_up(connection: SqlConnection, counted: Sequence[Counted]) -> None:
    """Add responses to the sums: those of one span in one row, however many they are."""
    sums: dict[_Span, list[float]] = {}
    first_tokens: Counter[tuple[_Span, int]] = Counter()
    for one in counted:
        for span in one.spans:
            row = sums.setdefault(span, [0] * len(one.values))
            row[:] = map(operator.add, row, one.values)
            if one.bucket is not None:
                first_tokens[span, one.bucket] += 1
    names, shard = _SUMS.split(", "), connection.dialect.shard
    added = ", ".join(f"{name} = activity_sums.{name} + excluded.{name}" for name in names)
    for rows in _chunks([(*span, *values) for span, values in sums.items()]):
        connection.execute(
            f"INSERT INTO activity_sums (width, start, owner, model, {_SUMS}) VALUES {_rows(len(rows), 14)} "
            f"ON CONFLICT (width, start, owner, model{shard}) DO UPDATE SET {added}",
            [value for row in rows for value in row],
        )
    for rows in _chunks([(*span, bucket, count) for (span, bucket), count in first_tokens.items()]):
        connection.execute(
            "INSERT INTO activity_first_tokens (width, start, owner, model, bucket, count) "
            f"VALUES {_rows(len(rows), 6)} ON CONFLICT (width, start, owner, model, bucket{shard}) "
            "DO UPDATE SET count = activity_first_tokens.count + excluded.count",
            [value for row in rows for value in row],
        )


def forget_minutes(connection: SqlConnection) -> None:
    """Delete the sums of minutes that nobody looks at any more; those of hours and days stay."""
    newest = "(SELECT coalesce(max(start), 0) FROM activity_sums WHERE width = ?)"
    for table in ("activity_first_tokens", "activity_sums"):
        connection.execute(
            f"DELETE FROM {table} WHERE width = ? AND start < {newest} - ?", (MINUTE, HOUR, MINUTES_KEPT)
        )


def _chunks(rows: list[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Rows in parts that one statement takes."""
    for start in range(0, len(rows), _MAX_ROWS):
        yield rows[start : start + _MAX_ROWS]


def _rows(count: int, columns: int) -> str:
    """The marks of so many rows of values."""
    return ", ".join([f"({', '.join('?' * columns)})"] * count)


def _read(row: ResponseRow) -> tuple[str, Usage]:
    """The model and the tokens of a stored Response; none of both where it cannot be read."""
    try:
        said = _said.decode(row.response)
    except msgspec.DecodeError:
        return "", Usage()
    if said.usage is None:
        return said.model, Usage()
    return said.model, Usage(
        input=said.usage.input_tokens,
        cached=said.usage.input_tokens_details.cached_tokens,
        output=said.usage.output_tokens,
        reasoning=said.usage.output_tokens_details.reasoning_tokens,
    )


def _key_id(row: ResponseRow) -> str | None:
    try:
        return _asked.decode(row.request).key_id
    except msgspec.DecodeError:
        return None


def _title(inputs: Sequence[ItemRow]) -> str:
    """The beginning of the last message's text, on one line."""
    for row in reversed(inputs):
        if isinstance(row.context.item, Message):
            text = text_of(row.context.item.content)[: 4 * TITLE_CHARS]
            return " ".join(text.split())[:TITLE_CHARS]
    return ""


# --- reads -----------------------------------------------------------------------------------------------------------


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
    return f"SELECT {_COLUMNS} FROM activity{where} ORDER BY seq DESC LIMIT ?", [*values, limit]


def activities(connection: SqlConnection, wanted: ActivityFilter, limit: int) -> list[Activity]:
    """A page of lines, the newest first."""
    query, values = select_activities(wanted, limit, connection.dialect)
    return [_line(found) for found in connection.execute(query, values)]


def activity(connection: SqlConnection, response_id: str) -> Activity | None:
    """One line."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM activity WHERE id = ?", (response_id,)).fetchone()
    return None if found is None else _line(found)


def children(connection: SqlConnection, response_id: str, limit: int) -> list[Activity]:
    """The lines of the responses that continue one."""
    query = f"SELECT {_COLUMNS} FROM activity WHERE parent = ? ORDER BY seq LIMIT ?"
    return [_line(found) for found in connection.execute(query, (response_id, limit))]


def select_sums(
    width: int, since: float, owner: str | None, step: int | None = None
) -> tuple[str, list[Any]]:
    """The query for sums by span and model, and its values. ``step``: spans of so many seconds instead."""
    summed = ", ".join(
        f"sum({name})" if name.endswith("seconds") else f"CAST(sum({name}) AS BIGINT)"
        for name in _SUMS.split(", ")
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


_DOCUMENT = "kind, id, owner, parent, created_at, version, status, body"


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
    query = f"SELECT seq, {_DOCUMENT} FROM documents WHERE {' AND '.join(clauses)} ORDER BY seq DESC LIMIT ?"
    return [(found[0], _document(found[1:])) for found in connection.execute(query, [*values, *more, limit])]


def find_document(
    connection: SqlConnection, kind: str, document_id: str, owners_: Sequence[str]
) -> DocumentRow | None:
    """A document of one of these owners, found by the index over owner, id and kind."""
    marks = ", ".join("?" * len(owners_))
    found = connection.execute(
        f"SELECT {_DOCUMENT} FROM documents WHERE owner IN ({marks}) AND id = ? AND kind = ?",
        (*owners_, document_id, kind),
    ).fetchone()
    return None if found is None else _document(found)


def _document(found: Sequence[Any]) -> DocumentRow:
    kind, id_, owner, parent, created_at, version, status, body = found
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
