"""The report as rdjson, the Reviewdog Diagnostic Format: what reviewdog and tools like it read.

Its columns count bytes of UTF-8, from 1; ours count characters, so they are translated by the line's own text, and
left out where that is not in the report.
"""

from kodo.jobs.report.model import EvidenceKind, Finding, ReviewReport, Severity
from kodo.jobs.report.visible import json_text

_SEVERITIES = {Severity.ERROR: "ERROR", Severity.WARNING: "WARNING", Severity.INFO: "INFO"}


def render(report: ReviewReport) -> str:
    """The findings that are new, as one DiagnosticResult."""
    diagnostics = [_diagnostic(finding) for finding in report.findings]
    return json_text({"source": {"name": "kodo"}, "diagnostics": diagnostics})


def _diagnostic(finding: Finding) -> dict[str, object]:
    opinion = finding.evidence.kind is EvidenceKind.OPINION
    diagnostic: dict[str, object] = {
        "message": finding.message,
        "location": {"path": finding.place.path, "range": _range(finding)},
        "severity": "INFO" if opinion else _SEVERITIES[finding.severity],
        "code": {"value": finding.rule},
    }
    if finding.fix:
        fix = finding.fix
        replaced = {
            "start": {"line": fix.line, "column": 1},
            "end": {"line": fix.end_line + 1, "column": 1},
        }
        diagnostic["suggestions"] = [{"range": replaced, "text": fix.text}]
    return diagnostic


def _range(finding: Finding) -> dict[str, dict[str, int]]:
    place = finding.place
    lines = finding.code.split("\n") if finding.code else []
    start, end = {"line": place.line}, {"line": place.end_line}
    last = place.end_line - place.line
    if place.column and len(lines) > last:
        start["column"] = _bytes_before(lines[0], place.column)
        if place.end_column:
            end["column"] = _bytes_before(lines[last], place.end_column)
    return {"start": start, "end": end}


def _bytes_before(line: str, column: int) -> int:
    """The byte column, from 1, of a character column."""
    return len(line[: column - 1].encode("utf-8", errors="surrogatepass")) + 1
