"""Reports that ``kodo review`` and ``kodo tests`` keep in ``KODO_HOME/reports``: each a JSON file of its own."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.responses import Response

from kodo.server.ui.access import require_admin
from kodo.server.ui.context import PageRequest, not_found
from kodo.server.ui.formats import pretty
from kodo.server.wire.foreign_json import NotJson, read_json_as

FOLDER: Final = "reports"
MAX_LISTED: Final = 200
MAX_BYTES: Final = 8 * 2**20
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}-(review|tests)-[0-9a-f]{8}")


class KeptReport(msgspec.Struct, frozen=True):
    """A report as a command kept it: which job, when (seconds since the epoch), about what, and the report itself."""

    job: str
    made_at: float
    subject: str
    report: dict[str, Any]


_report = msgspec.json.Decoder(KeptReport)


@dataclass(frozen=True)
class ReportLine:
    """A report in the list. ``count``: findings, or kept tests."""

    name: str
    job: str
    made_at: float
    subject: str
    state: str
    count: int


async def show_list(page: PageRequest) -> Response:
    """``GET /ui/reports``."""
    require_admin(page.viewer)
    lines = await asyncio.to_thread(_lines, page.state.settings.home / FOLDER)
    return page.render("reports.html", "reports", lines=lines)


async def show(page: PageRequest) -> Response:
    """``GET /ui/reports/{name}``."""
    require_admin(page.viewer)
    name = page.path("name")
    if _NAME.fullmatch(name) is None:
        raise not_found("report")
    kept = await asyncio.to_thread(_read, page.state.settings.home / FOLDER / f"{name}.json")
    if kept is None:
        raise not_found("report")
    return page.render(
        "report.html",
        "reports",
        kept=kept,
        line=_line(name, kept),
        findings=_dicts(kept.report.get("findings")),
        tests=_dicts(kept.report.get("kept")),
        suspects=_dicts(kept.report.get("suspects")),
        text=kept.report.get("text") if isinstance(kept.report.get("text"), str) else "",
        raw=pretty(kept.report),
    )


def _lines(folder: Path) -> list[ReportLine]:
    names = sorted((file.stem for file in folder.glob("*.json") if _NAME.fullmatch(file.stem)), reverse=True)
    found = ((name, _read(folder / f"{name}.json")) for name in names[:MAX_LISTED])
    return [_line(name, kept) for name, kept in found if kept is not None]


def _read(file: Path) -> KeptReport | None:
    """The report; None where it is gone or was not written by a command of kodo's."""
    try:
        if file.stat().st_size > MAX_BYTES:
            return None
        return read_json_as(_report, file.read_bytes())
    except (OSError, NotJson):
        return None


def _line(name: str, kept: KeptReport) -> ReportLine:
    items = kept.report.get("findings" if kept.job == "review" else "kept")
    return ReportLine(
        name=name,
        job=kept.job,
        made_at=kept.made_at,
        subject=kept.subject,
        state=str(kept.report.get("state", "")),
        count=len(items) if isinstance(items, list) else int(items) if isinstance(items, int) else 0,
    )


def _dicts(value: object) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
