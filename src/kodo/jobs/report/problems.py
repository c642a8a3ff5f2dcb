"""The report as compiler messages, one a line: what the problem matchers of editors read (VS Code's ``$gcc``).

``path:line:column: severity: message [rule]``. An opinion is a note. A path or a message with line ends stays one line.
"""

from kodo.jobs.report.model import EvidenceKind, ReviewReport, Severity, State
from kodo.jobs.report.visible import make_visible

_WORDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def render(report: ReviewReport) -> str:
    """One line for each new finding, then for what was not reviewed."""
    report = make_visible(report)
    lines: list[str] = []
    for finding in report.findings:
        place = finding.place
        opinion = finding.evidence.kind is EvidenceKind.OPINION
        severity = "note" if opinion else _WORDS[finding.severity]
        message = " ".join(finding.message.split())
        lines.append(f"{place.path}:{place.line}:{place.column or 1}: {severity}: {message} [{finding.rule}]")
    lines += [f"{item.path}:{item.line or 1}:1: note: not reviewed: {item.reason}" for item in report.gaps]
    if report.state is State.FAILED:
        lines.append(f"kodo:1:1: error: {'; '.join(report.notes)} [failed]")
    return "".join(line + "\n" for line in lines)
