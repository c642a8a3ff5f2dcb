"""The bounds that job 2 reads an artifact by, and a report within them, so that a very large change is published in part and not refused."""

from __future__ import annotations

import msgspec

from kodo.ci.words import WORDS
from kodo.client.i18n import Lang
from kodo.jobs.report import jsonfile
from kodo.jobs.report.model import Executed, Finding, ReviewReport, State
from kodo.jobs.report.visible import make_visible

MAX_FILE_BYTES = 8_000_000
"""Of ``report.json``, unpacked."""
MAX_FINDINGS = 2_000
MAX_PATHS = 10_000
MAX_NOTES = 1_000
MAX_PATH, MAX_RULE, MAX_TEXT, MAX_BLOCK = 1_024, 120, 4_000, 20_000
"""Characters of a path, a rule's name, a text, and of code or what a tool said."""


def within_bounds(report: ReviewReport) -> ReviewReport:
    """The report with its worst findings, as many as fit, and its texts cut; a note counts what is left out, and it is partial then."""
    texts = _with_short_texts(make_visible(report))  # what makes a character visible is longer than it
    for most in (MAX_FINDINGS, 1_000, 500, 200, 100, 50, 20, 0):
        found = _with_findings(texts, most)
        if len(jsonfile.render(found).encode("utf-8")) <= MAX_FILE_BYTES:
            return found
    return msgspec.structs.replace(found, reviewed=(), unreviewed=found.gaps[:100])


def _with_findings(report: ReviewReport, most: int) -> ReviewReport:
    worst = sorted(report.findings, key=lambda item: -item.severity.weight)[:most]
    left = most - len(worst)
    known = report.known[:left]
    suppressed = report.suppressed[: left - len(known)]
    lost = len(report.findings) - len(worst)
    paths = max(0, len(report.reviewed) + len(report.unreviewed) - 2 * MAX_PATHS)
    notes = report.notes
    lang: Lang = "ja" if report.lang == "ja" else "en"
    if lost:
        notes = (WORDS.say(lang, "left_out", count=lost, all=len(report.findings)), *notes)
    if paths:
        notes = (WORDS.say(lang, "paths_left_out", count=paths), *notes)
    partial = bool(lost or paths) and report.state in (State.FINDINGS, State.CLEAN)
    return msgspec.structs.replace(
        report,
        state=State.PARTIAL if partial else report.state,
        findings=tuple(sorted(worst, key=lambda item: (item.place.path, item.place.line, item.rule))),
        known=known,
        suppressed=suppressed,
        unreviewed=report.unreviewed[:MAX_PATHS],
        reviewed=report.reviewed[:MAX_PATHS],
        notes=notes[:MAX_NOTES],
    )


def _with_short_texts(report: ReviewReport) -> ReviewReport:
    suppressed = [
        msgspec.structs.replace(item, finding=_short_finding(item.finding)) for item in report.suppressed
    ]
    return msgspec.structs.replace(
        report,
        source=_cut(report.source, MAX_TEXT),
        findings=tuple(map(_short_finding, report.findings)),
        known=tuple(map(_short_finding, report.known)),
        suppressed=tuple(suppressed),
        unreviewed=tuple(
            msgspec.structs.replace(item, reason=_cut(item.reason, MAX_TEXT)) for item in report.unreviewed
        ),
        notes=tuple(_cut(note, MAX_TEXT) for note in report.notes),
        executed=_short_executed(report.executed),
    )


def _short_finding(finding: Finding) -> Finding:
    fix = finding.fix if finding.fix is None or len(finding.fix.text) <= MAX_BLOCK else None
    evidence = msgspec.structs.replace(
        finding.evidence,
        source=_cut(finding.evidence.source, MAX_RULE),
        detail=_cut(finding.evidence.detail, MAX_BLOCK),
    )
    return msgspec.structs.replace(
        finding,
        message=_cut(finding.message, MAX_TEXT),
        definition=_cut(finding.definition, MAX_TEXT),
        code=_cut(finding.code, MAX_BLOCK),
        evidence=evidence,
        fix=fix,
    )


def _short_executed(executed: Executed | None) -> Executed | None:
    if executed is None:
        return None
    return msgspec.structs.replace(
        executed,
        functions=tuple(_cut(name, MAX_TEXT) for name in executed.functions),
        not_run=tuple(_cut(text, MAX_TEXT) for text in executed.not_run),
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
