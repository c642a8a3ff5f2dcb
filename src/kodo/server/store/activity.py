"""Lines and sums of :mod:`kodo.server.lifecycle.activity`, written as SQL. Functions of a connection, inside a transaction.

They are read by :mod:`kodo.server.store.activity_queries`. :func:`begin`, :func:`finish` and :func:`forget` are called where
:mod:`kodo.server.store.responses` writes a response.
"""

# ruff: noqa: S608 - SQL is put together from constants of this package; values are always bound

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from kodo.server.lifecycle.activity import (
    HOUR,
    MINUTE,
    MINUTES_KEPT,
    TITLE_CHARS,
    WIDTHS,
    bucket_of,
)
from kodo.server.lifecycle.ports import Usage
from kodo.server.lifecycle.records import ItemRow, ResponseRow, Timing
from kodo.server.lifecycle.status import FINAL
from kodo.server.store.sql import SqlConnection
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


_MAX_ROWS = 32
"""Rows of one statement: each number of rows is a statement of its own, which the connection remembers."""
_said = msgspec.json.Decoder(_Said)
_asked = msgspec.json.Decoder(_Asked)
COLUMNS: Final = (
    "seq, id, owner, key_id, created_at, model, status, background, parent, conversation, title, "
    "input, cached, output, reasoning, queued, first_token, total"
)
"""Of a line."""
SUMS: Final = (
    "requests, failed, incomplete, cancelled, input, cached, output, reasoning, decode_tokens, decode_seconds"
)
"""Columns of a row of sums, without those that say what it is for."""


def begin(connection: SqlConnection, row: ResponseRow, inputs: Sequence[ItemRow]) -> None:
    """The line of a response that is stored for the first time; counted too, where it is over."""
    said, usage = _read(row)
    connection.execute(
        f"INSERT INTO activity ({COLUMNS}) VALUES ((SELECT seq FROM responses WHERE id = ?), {', '.join('?' * 17)})",
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
    names, shard = SUMS.split(", "), connection.dialect.shard
    added = ", ".join(f"{name} = activity_sums.{name} + excluded.{name}" for name in names)
    for rows in _chunks([(*span, *values) for span, values in sums.items()]):
        connection.execute(
            f"INSERT INTO activity_sums (width, start, owner, model, {SUMS}) VALUES {_rows(len(rows), 14)} "
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
