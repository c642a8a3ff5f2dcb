"""Rows as aligned text, JSON or CSV. Knows nothing of what the rows mean."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Collection, Mapping, Sequence

Row = Mapping[str, str | int | float | None]
"""Column name to value, the same columns in every row."""


def width(text: str) -> int:
    """Columns that ``text`` takes in a terminal; East Asian wide and full-width characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def as_table(rows: Sequence[Row], titles: Mapping[str, str], left: Collection[str] | None = None) -> str:
    """Aligned columns under ``titles`` (column name to heading): those named in ``left`` (default: the first) left, the
    others right.
    """
    names = list(titles)
    left = names[:1] if left is None else left
    cells = [list(titles.values()), *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(width(line[column]) for line in cells) for column in range(len(names))]
    lines = []
    for line in cells:
        columns = [
            pad(text, wide, left=name in left) for name, text, wide in zip(names, line, widths, strict=True)
        ]
        lines.append("  ".join(columns).rstrip())
    return "\n".join(lines)


def pad(text: str, columns: int, *, left: bool = True) -> str:
    """A text with the spaces that it needs to take so many columns."""
    spaces = " " * (columns - width(text))
    return text + spaces if left else spaces + text


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
