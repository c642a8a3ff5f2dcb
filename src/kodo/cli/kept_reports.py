"""Reports of ``kodo review`` and ``kodo tests``, kept in ``KODO_HOME/reports`` for the dashboard to show.

One JSON file each: ``{"job", "made_at", "subject", "report"}``. They are for this user only, as all of ``KODO_HOME``, and the
oldest ones go.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from kodo.home import kodo_home

KEPT: Final = 200


def keep_report(job: Literal["review", "tests"], subject: str, report: object) -> Path | None:
    """Keep a report; where it went. None: the disk did not take it, which is no reason to fail the job."""
    folder = kodo_home() / "reports"
    now = datetime.now(UTC)
    path = folder / f"{now:%Y%m%dT%H%M%S}-{job}-{secrets.token_hex(4)}.json"
    data = msgspec.json.encode(
        {"job": job, "made_at": now.timestamp(), "subject": subject[:300], "report": report}
    )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        for old in sorted(folder.glob("*.json"))[:-KEPT]:
            with contextlib.suppress(FileNotFoundError):
                old.unlink()
    except OSError:
        return None
    return path
