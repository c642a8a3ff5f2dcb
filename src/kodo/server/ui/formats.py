"""Numbers, times and texts as the pages show them. Everything is returned as text that is still to be escaped."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from kodo.server.wire.foreign_json import NotJson, read_json


def number(value: float | None) -> str:
    """``1,234``; an em dash for None."""
    return "—" if value is None else f"{value:,.0f}"


def short(value: float | None) -> str:
    """Three digits at most: ``1.23k``, ``45.6M``."""
    if value is None:
        return "—"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            scaled = value / limit
            digits = 0 if scaled >= 100 else 1 if scaled >= 10 else 2
            return f"{scaled:.{digits}f}{unit}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.1f}"


def seconds(value: float | None) -> str:
    """``0.4 ms``, ``12 ms``, ``3.4 s``, ``2 min 5 s``, ``3 h 20 min``."""
    if value is None:
        return "—"
    if 0 < value < 0.01:
        return f"{value * 1000:.1f} ms"
    if value < 0.9995:  # what would be rounded to the next unit is shown in that one
        return f"{value * 1000:.0f} ms"
    if value < 59.5:
        return f"{value:.1f} s" if value < 9.95 else f"{value:.0f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def dollars(value: float | None) -> str:
    """``$0.0012``, ``$12.30``."""
    if value is None:
        return "—"
    return f"${value:,.2f}" if value >= 1 or value == 0 else f"${value:.4f}"


def amount(value: float, unit: str) -> str:
    """``1,234`` tokens, or ``$0.12`` of the unit ``usd``."""
    return dollars(value) if unit == "usd" else number(value)


def percent(part: float, whole: float) -> str:
    """``12 %``; an em dash where there is no whole."""
    if not whole:
        return "—"
    share = 100 * part / whole
    return f"{share:.1f} %" if 0 < share < 10 else f"{share:.0f} %"


def size(value: float | None) -> str:
    """``12 kB``, ``3.4 MB``: powers of 1,000."""
    if value is None:
        return "—"
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= limit:
            return f"{value / limit:.1f} {unit}"
    return f"{value:.0f} B"


def moment(value: float | None) -> str:
    """``2026-11-29 09:12:03`` (UTC); a script shows it in the reader's own time."""
    return "—" if value is None else f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S}"


def iso(value: float) -> str:
    """The same as an ISO time, for programs."""
    return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")


def short_id(value: str) -> str:
    """``resp_1a2b3c4d…9f``: enough to tell ids apart."""
    return value if len(value) <= 22 else f"{value[:14]}…{value[-4:]}"


def pretty(value: Any) -> str:
    """JSON on several lines; text that holds JSON too."""
    if isinstance(value, str):
        try:
            value = read_json(value)
        except NotJson:
            return str(value)
    return json.dumps(value, indent=2, ensure_ascii=False)
