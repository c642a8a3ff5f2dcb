"""The report as GitLab Code Quality: a list of issues with fingerprints (docs.gitlab.com, Code Quality report format).

GitLab wants each fingerprint once. Opinions are ``info``, whatever their severity.
"""

from kodo.jobs.report.model import EvidenceKind, Finding, ReviewReport, Severity
from kodo.jobs.report.visible import json_text

_SEVERITIES = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.INFO: "info"}
_CATEGORIES = {"bug": "Bug Risk", "security": "Security", "performance": "Performance", "readability": "Clarity",
               "practice": "Style"}  # fmt: skip  # a table


def render(report: ReviewReport) -> str:
    """The findings that are new, as a JSON list."""
    issues = [_issue(finding) for finding in report.findings]
    return json_text(issues)


def _issue(finding: Finding) -> dict[str, object]:
    severity = _SEVERITIES[finding.severity]
    if finding.evidence.kind is EvidenceKind.OPINION:
        severity = "info"
    elif finding.severity is Severity.ERROR and finding.category == "security":
        severity = "critical"
    return {
        "type": "issue",
        "check_name": finding.rule,
        "description": finding.message,
        "categories": [_CATEGORIES[finding.category]],
        "severity": severity,
        "fingerprint": finding.fingerprint,
        "location": {
            "path": finding.place.path,
            "lines": {"begin": finding.place.line, "end": finding.place.end_line},
        },
    }
