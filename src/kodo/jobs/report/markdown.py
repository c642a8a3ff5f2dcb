"""The report as Markdown, for a comment on a merge request or a job summary.

Text from the code stands in code fences longer than any run of backticks in it, and elsewhere escaped, so that it
cannot end its block, mention people or draw images.
"""

import re

from kodo.client.i18n import counted
from kodo.jobs.report.model import EvidenceKind, Finding, ReviewReport
from kodo.jobs.report.visible import make_visible
from kodo.jobs.report.words import checked_words, detail_text, run_line, word

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~])")
_ADDRESS = re.compile(r"(?i)\b(?:https?|ftp|mailto|xmpp)(?=:)|\bwww(?=\.)|\bgh(?=-\d)")
_ICONS = {"error": "🔴", "warning": "🟡", "info": "🔵"}


def render(report: ReviewReport) -> str:
    """The report as GitHub-flavoured Markdown."""
    report = make_visible(report)
    lang = report.lang
    lines = [f"## {word('title', lang)}: {word(report.state, lang)}", ""]
    if not report.findings:
        lines += [word("nothing", lang), ""] if report.state != "failed" else []
    for finding in report.findings:
        lines += _finding(finding, lang)
    if report.gaps:
        lines += [f"### {word('not reviewed', lang)}", ""]
        for item in report.gaps:
            where = f":{item.line}-{item.end_line}" if item.line else ""
            lines.append(f"- {code_span(item.path + where)}: {escaped(item.reason)}")
        lines.append("")
    if report.suppressed:
        lines += [f"### {word('suppressed', lang)}", ""]
        for silenced in report.suppressed:
            place = silenced.finding.place
            extra = f" ({word('suppressed here', lang)})" if silenced.in_change else ""
            lines.append(
                f"- {code_span(f'{place.path}:{place.line}')} {silenced.finding.rule}: {code_span(silenced.by)}{extra}"
            )
        lines.append("")
    if report.executed is not None:
        lines += [escaped(run_line(report.executed, lang)), ""]
        lines += [f"- {word('not run', lang)}: {escaped(what)}" for what in report.executed.not_run]
    lines += [escaped(note) for note in report.notes]
    found = counted(f"{len(report.findings)} {word('count', lang)}")
    lines.append(f"{found} · {len(report.reviewed)} {word('reviewed', lang)}")
    return "\n".join(lines).rstrip() + "\n"


def _finding(finding: Finding, lang: str) -> list[str]:
    place = finding.place
    kind = "" if finding.evidence.kind is EvidenceKind.RULE else f", {word(finding.evidence.kind, lang)}"
    lines = [
        f"### {_ICONS[finding.severity]} {code_span(f'{place.path}:{place.line}')} {word(finding.category, lang)}",
        "",
        f"{escaped(finding.message)} ({code_span(finding.rule)}{kind})",
        "",
    ]
    if finding.code:
        lines += [fenced(finding.code, place.path.rpartition(".")[2]), ""]
    if finding.evidence.kind is EvidenceKind.EXECUTION:
        lines += [fenced(detail_text(finding.evidence.detail, lang), ""), ""]
    if finding.fix:
        checked = checked_words(finding.fix.checked, lang)
        lines += [
            f"{word('fix', lang)} ({word('checked by', lang)}: {checked}):",
            "",
            fenced(finding.fix.text, "suggestion"),
            "",
        ]
    return lines


def escaped(text: str) -> str:
    """Text that Markdown shows as it is; ``@name`` is not turned into a mention, nor an address into a link."""
    plain = _SPECIAL.sub(r"\\\1", " ".join(text.split())).replace("@", "@\u2060")
    return _ADDRESS.sub("\\g<0>\u2060", plain)


def fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    safe = language if re.fullmatch(r"[A-Za-z0-9]*", language) else ""
    return f"{fence}{safe}\n{text.removesuffix(chr(10))}\n{fence}"


def code_span(text: str) -> str:
    """Text of one line in a code span whose ticks are more than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    ticks = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{ticks}{pad}{' '.join(text.split())}{pad}{ticks}"
