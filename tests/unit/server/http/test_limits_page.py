"""docs/reference/limits.md lists every limit that has a setting, and no other."""

from __future__ import annotations

import re

from tests.paths import REPOSITORY

from kodo.server.config import LimitSettings, Settings


def test_the_page_has_every_setting() -> None:
    """Both ways, for ``[limits]``; other settings that it names exist."""
    text = (REPOSITORY / "docs" / "reference" / "limits.md").read_text()
    named = set(re.findall(r"`limits\.([a-z_]+)`", text))
    assert named == set(LimitSettings.model_fields)
    rows = [line.split("|")[2].strip() for line in text.splitlines() if line.startswith("| ")]
    others = {row.strip("`") for row in rows if row.startswith("`") and "." not in row}
    assert others <= set(Settings.model_fields)
    assert "connection_seconds" in others
