"""The report as SARIF 2.1.0 (OASIS standard, 2020): what code scanning services read.

Columns count Unicode code points, which ``columnKind`` says. Opinions have ``kind: review``, so that services do not
take them for failures; silenced and known findings are there with ``suppressions`` and ``baselineState``.
"""

from urllib.parse import quote

from kodo.jobs.report.model import EvidenceKind, Finding, Place, ReviewReport, Severity, State
from kodo.jobs.report.visible import json_text

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_SCORES = {Severity.ERROR: "8.0", Severity.WARNING: "5.0", Severity.INFO: "2.0"}
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render(report: ReviewReport) -> str:
    """One SARIF log with one run."""
    results = [_result(finding, "new") for finding in report.findings]
    results += [_result(finding, "unchanged") for finding in report.known]
    for silenced in report.suppressed:
        reason = {"kind": "inSource", "justification": silenced.by}
        results.append({**_result(silenced.finding, "new"), "suppressions": [reason]})
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "kodo", "version": report.kodo or "0", "rules": _rules(report)}},
                "columnKind": "unicodeCodePoints",
                "invocations": [_invocation(report)],
                "results": results,
            }
        ],
    }
    return json_text(log)


def _invocation(report: ReviewReport) -> dict[str, object]:
    notices = [
        {"level": "warning", "message": {"text": f"{item.path}: {item.reason}"}} for item in report.gaps
    ]
    notices += [{"level": "warning", "message": {"text": note}} for note in report.notes]
    done = report.state not in {State.FAILED, State.PARTIAL}
    return {
        "executionSuccessful": done,
        "toolExecutionNotifications": notices,
        "properties": {"state": report.state},
    }


def _rules(report: ReviewReport) -> list[dict[str, object]]:
    """One entry for each rule that occurs, in order of its name."""
    everything = (*report.findings, *report.known, *(item.finding for item in report.suppressed))
    first = {finding.rule: finding for finding in reversed(everything)}
    return [
        {
            "id": rule,
            "defaultConfiguration": {"level": _LEVELS[finding.severity]},
            "properties": {"tags": [finding.category], **_security(finding)},
        }
        for rule, finding in sorted(first.items())
    ]


def _security(finding: Finding) -> dict[str, str]:
    return {"security-severity": _SCORES[finding.severity]} if finding.category == "security" else {}


def _result(finding: Finding, baseline: str) -> dict[str, object]:
    opinion = finding.evidence.kind is EvidenceKind.OPINION
    result: dict[str, object] = {
        "ruleId": finding.rule,
        "message": {"text": finding.message},
        "locations": [_location(finding.place, finding.code)],
        "partialFingerprints": {"kodo/v1": finding.fingerprint},
        "baselineState": baseline,
        "properties": {
            "class": finding.category,
            "evidence": finding.evidence.kind,
            "source": finding.evidence.source,
            "detail": finding.evidence.detail,
        },
    }
    if opinion:  # the standard allows a kind other than "fail" only with level none
        result |= {"kind": "review", "level": "none"}
    else:
        result |= {"kind": "fail", "level": _LEVELS[finding.severity]}
    if finding.related:
        result["relatedLocations"] = [_location(place, "") for place in finding.related]
    if finding.fix:
        fix = finding.fix
        region = {"startLine": fix.line, "startColumn": 1, "endLine": fix.end_line + 1, "endColumn": 1}
        change = {
            "artifactLocation": _artifact(finding.place.path),
            "replacements": [{"deletedRegion": region, "insertedContent": {"text": fix.text}}],
        }
        result["fixes"] = [
            {"description": {"text": f"checked: {', '.join(fix.checked)}"}, "artifactChanges": [change]}
        ]
    return result


def _artifact(path: str) -> dict[str, str]:
    return {"uri": quote(path, safe="/.-_~")}


def _location(place: Place, code: str) -> dict[str, object]:
    region: dict[str, object] = {"startLine": place.line, "endLine": place.end_line}
    if place.column:
        region["startColumn"] = place.column
    if place.column and place.end_column:
        region["endColumn"] = place.end_column
    if code:
        region["snippet"] = {"text": code}
    return {"physicalLocation": {"artifactLocation": _artifact(place.path), "region": region}}
