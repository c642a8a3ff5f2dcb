"""Rows as aligned text, JSON or CSV. Knows nothing of what the rows mean."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Mapping, Sequence

Row = Mapping[str, str | int | float | None]
"""Column name to value, the same columns in every row."""


def width(text: str) -> int:
    """Columns that ``text`` takes in a terminal; East Asian wide and full-width characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def as_table(rows: Sequence[Row], titles: Mapping[str, str]) -> str:
    """Aligned columns under ``titles`` (column name to heading): the first left, the others right."""
    cells = [list(titles.values()), *([_cell(row[name]) for name in titles] for row in rows)]
    widths = [max(width(line[column]) for line in cells) for column in range(len(titles))]
    lines = []
    for line in cells:
        padded = [" " * (wide - width(text)) for text, wide in zip(line, widths, strict=True)]
        columns = [line[0] + padded[0], *(pad + text for pad, text in zip(padded[1:], line[1:], strict=True))]
        lines.append("  ".join(columns).rstrip())
    return "\n".join(lines)


def as_json(value: object) -> str:
    """Indented JSON, Japanese readable."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def as_csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """RFC 4180 with a header line, without the last line end."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().rstrip("\n")


def _cell(value: str | int | float | None) -> str:
    match value:
        case None:
            return "-"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.6f}"
        case str():
            return value
