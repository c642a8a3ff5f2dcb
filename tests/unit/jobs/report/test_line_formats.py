"""rdjson and compiler messages: columns in bytes, one line each, and what VS Code's matcher takes from them."""

from __future__ import annotations

import json
import re

import msgspec

from kodo.jobs.report import problems, rdjson
from kodo.jobs.report.model import (
    Category,
    Evidence,
    EvidenceKind,
    Finding,
    Fix,
    Place,
    ReviewReport,
    Severity,
    State,
    Unreviewed,
)

GCC = re.compile(
    r"^(?:In file included from )?(.*):(\d+):(\d+):\s+(?:fatal\s+)?(warning|error|note):\s+(.*)$"
)
"""The pattern of VS Code's $gcc matcher, near enough: file, line, column, severity, message."""

FINDING = Finding(
    fingerprint="ab12cd34",
    rule="B006",
    category=Category.BUG,
    severity=Severity.WARNING,
    place=Place("a b.py", 3, 3, 6, 8),
    message="two\nlines",
    evidence=Evidence(EvidenceKind.RULE, "ruff"),
    code="日本語 = x[0]",
    fix=Fix(3, 3, "y = 1\n", ("parses",)),
)
REPORT = ReviewReport(
    state=State.PARTIAL,
    source="x",
    findings=(FINDING, msgspec.structs.replace(FINDING, evidence=Evidence(EvidenceKind.OPINION, "model"))),
    unreviewed=(Unreviewed("x.rb", "no analyser", True),),
)


def test_rdjson_counts_bytes() -> None:
    """Reviewdog's columns are bytes of UTF-8: three letters of three bytes move them by six."""
    first, second = json.loads(rdjson.render(REPORT))["diagnostics"]
    assert first["location"]["range"] == {
        "start": {"line": 3, "column": 12},
        "end": {"line": 3, "column": 14},
    }
    assert first["suggestions"] == [
        {"range": {"start": {"line": 3, "column": 1}, "end": {"line": 4, "column": 1}}, "text": "y = 1\n"}
    ]
    assert (first["severity"], second["severity"]) == ("WARNING", "INFO")


def test_problems_match_vs_codes_pattern() -> None:
    """Every line is taken, with the severity that the editor shows; an opinion is a note."""
    found = [GCC.match(line) for line in problems.render(REPORT).splitlines()]
    assert all(found)
    groups = [match.groups() for match in found if match]
    assert groups[0] == ("a b.py", "3", "6", "warning", "two\\x0alines [B006]")
    assert [group[3] for group in groups] == ["warning", "note", "note"]
