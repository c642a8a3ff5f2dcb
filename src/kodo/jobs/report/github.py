"""The report as GitHub Actions workflow commands, which become annotations on the lines of a pull request.

A command is one line; percent, carriage return and line feed are escaped, in properties also colon and comma
(GitHub's toolkit, ``command.ts``), so that text from the code cannot give a command of its own.
"""

from kodo.jobs.report.model import EvidenceKind, ReviewReport, Severity, State
from kodo.jobs.report.visible import make_visible

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def render(report: ReviewReport) -> str:
    """One command a line: the findings, then what was not reviewed."""
    report = make_visible(report)
    lines: list[str] = []
    for finding in report.findings:
        place = finding.place
        opinion = finding.evidence.kind is EvidenceKind.OPINION
        properties = {"file": place.path, "line": str(place.line), "endLine": str(place.end_line)}
        if place.column and place.line == place.end_line:
            properties["col"] = str(place.column)
            if place.end_column:
                properties["endColumn"] = str(place.end_column)
        properties["title"] = f"kodo {finding.category} {finding.rule}"
        lines.append(
            _command("notice" if opinion else _COMMANDS[finding.severity], properties, finding.message)
        )
    lines += [
        _command("warning", {"title": "kodo: not reviewed"}, f"{item.path}: {item.reason}")
        for item in report.gaps
    ]
    if report.state is State.FAILED:
        lines.append(_command("error", {"title": "kodo review failed"}, "; ".join(report.notes)))
    return "".join(line + "\n" for line in lines)


def _command(name: str, properties: dict[str, str], message: str) -> str:
    listed = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items())
    return f"::{name} {listed}::{_escaped(message, '')}"


def _escaped(text: str, more: str) -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
