"""What the ledger says about a time: calls, tokens and dollars, summed by day, model, job or repository.

Only reads. Days are UTC days, as budgets count them.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from kodo.client.ledger import Ledger
from kodo.client.prices import from_nano

By = Literal["day", "model", "job", "repo"]

_COLUMN: dict[By, str] = {"day": "day", "model": "model", "job": "job", "repo": "repository"}
_ENDED_BADLY = "'failed', 'cancelled', 'cut', 'lost'"
_SPAN = re.compile(r"(\d+)([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 24 * 7}


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Sums over the calls of one day, model, job or repository (``key``)."""

    key: str
    calls: int
    failed: int
    """Calls that ended as failed, cancelled, cut or lost; their cost counts as well."""
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    usd: Decimal
    """US dollars charged."""
    list_usd: Decimal
    """The cost at list price, where it is known: for a local model, the amount saved."""

    def as_json(self) -> dict[str, str | int | float]:
        """The row for JSON, CSV and tables; dollars as floats."""
        return {**asdict(self), "usd": float(self.usd), "list_usd": float(self.list_usd)}


def usage_rows(ledger: Ledger, by: By, since: datetime | None) -> list[UsageRow]:
    """One row for each day, model, job or repository with calls since a moment, in the order of the key."""
    column = _COLUMN[by]
    found = ledger.query(
        f"SELECT {column}, count(*), sum(status IN ({_ENDED_BADLY})), sum(input_tokens), sum(cached_tokens),"  # noqa: S608 - both are constants of this module
        " sum(output_tokens), sum(reasoning_tokens), sum(cost_nano), sum(coalesce(list_nano, 0))"
        f" FROM calls WHERE started >= ? GROUP BY {column} ORDER BY {column}",
        (since.timestamp() if since else 0.0,),
    )
    return [_row(record) for record in found]


def total(rows: list[UsageRow], name: str) -> UsageRow:
    """The sum of all rows, under ``name``."""
    return UsageRow(
        name,
        sum(row.calls for row in rows),
        sum(row.failed for row in rows),
        sum(row.input_tokens for row in rows),
        sum(row.cached_tokens for row in rows),
        sum(row.output_tokens for row in rows),
        sum(row.reasoning_tokens for row in rows),
        sum((row.usd for row in rows), Decimal(0)),
        sum((row.list_usd for row in rows), Decimal(0)),
    )


def parse_since(text: str, now: datetime) -> datetime:
    """The moment that ``--since`` means: a date or time in ISO 8601 (UTC unless it says), or ``24h``, ``7d``, ``4w`` ago.

    Raises:
        ValueError: the text is not one of these.
    """
    if found := _SPAN.fullmatch(text):
        return now - timedelta(hours=int(found[1]) * _HOURS[found[2]])
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _row(record: tuple[object, ...]) -> UsageRow:
    key, *numbers = record
    calls, failed, given, cached, made, reasoning, nano, list_nano = (
        number if isinstance(number, int) else 0 for number in numbers
    )
    return UsageRow(
        str(key), calls, failed, given, cached, made, reasoning, from_nano(nano), from_nano(list_nano)
    )
