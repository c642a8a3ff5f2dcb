"""The text of kodo's comments on a change: the one comment, and those on lines. Pure functions of values.

Text from the change stands in code spans and fences, or escaped: it cannot mention people, draw images, link, close a
hidden marker or begin a suggestion of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kodo import __version__
from kodo.ci.artifact import Artifact, RunInfo
from kodo.ci.marker import OpenFinding, ReviewMarker, finding_marker, named_marker, write_review_marker
from kodo.ci.words import WORDS
from kodo.client.i18n import Lang
from kodo.jobs.report.markdown import code_span, escaped, fenced
from kodo.jobs.report.model import EvidenceKind, Finding, State
from kodo.jobs.report.visible import one_line, visible
from kodo.jobs.report.words import checked_words, run_line, word

MAX_COMMENT_CHARACTERS = 65_000
"""GitHub refuses a comment of more than 65,536 characters."""
MAX_ROWS = 50
MAX_DETAILS = 10
MAX_LISTED = 20
_MAX_MESSAGE = 160
_TICKED = re.compile(r"`([^`\n]{1,200})`")
_ICONS = {"error": "🔴", "warning": "🟡", "info": "🔵"}


@dataclass(frozen=True, slots=True)
class CommentInput:
    """What the one comment tells: the run, what is open after it, and what a reader should know besides."""

    artifact: Artifact
    marker: ReviewMarker
    lang: Lang
    touched_pipeline: tuple[str, ...] = ()
    """Paths of the change that decide how it is reviewed."""
    unlisted: int = 0
    """Files of the change that the forge does not list."""


def as_open(finding: Finding) -> OpenFinding:
    """What the marker keeps of a finding."""
    message = one_line(finding.message)
    return OpenFinding(
        finding.fingerprint,
        finding.place.path,
        finding.place.line,
        finding.severity,
        finding.category,
        finding.rule,
        message if len(message) <= _MAX_MESSAGE else message[: _MAX_MESSAGE - 1] + "…",
        finding.evidence.kind is not EvidenceKind.OPINION,
    )


def headline(state: State, open_count: int, lang: Lang) -> str:
    """How it stands, in a few words."""
    if state in (State.FAILED, State.SKIPPED):
        return WORDS.say(lang, str(state))
    found = WORDS.say(lang, "clean") if open_count == 0 else WORDS.say(lang, "count", count=open_count)
    if open_count == 1:
        found = WORDS.say(lang, "one")
    return f"{found}, {WORDS.say(lang, 'partial')}" if state is State.PARTIAL else found


def render_comment(told: CommentInput) -> str:
    """The one comment, its marker first. Details are left out until it fits."""
    for details in (MAX_DETAILS, 3, 0):
        text = _comment(told, details)
        if len(text) <= MAX_COMMENT_CHARACTERS:
            return text
    return text[: MAX_COMMENT_CHARACTERS - 2].rsplit("\n", 1)[0] + "\n"


def _comment(told: CommentInput, details: int) -> str:
    report, run, lang = told.artifact.report, told.artifact.run, told.lang
    rows = told.marker.open
    lines = [
        write_review_marker(told.marker),
        f"## {WORDS.say(lang, 'title')}: {headline(report.state, len(rows), lang)}",
        "",
    ]
    if run.head and report.state not in (State.FAILED, State.SKIPPED):
        target = code_text(told.marker.target)
        lines.append(WORDS.say(lang, "intro", head=run.head[:10], target=target, base=run.base[:10]))
        if run.since:
            lines.append(WORDS.say(lang, "incremental", count=len(run.paths), since=run.since[:10]))
        elif run.not_incremental:
            lines.append(WORDS.say(lang, "full_again", reason=escaped(run.not_incremental)))
        lines.append("")
    if told.touched_pipeline:
        paths = ", ".join(code_span(path) for path in told.touched_pipeline[:5])
        lines += [f"⚠️ {WORDS.say(lang, 'pipeline', paths=paths)}", ""]
    if told.unlisted:
        lines += [f"⚠️ {WORDS.say(lang, 'unlisted', count=told.unlisted)}", ""]
    if report.state in (State.FAILED, State.SKIPPED):
        lines += [f"> {_bounded(escaped(note))}" for note in report.notes[:5]] + [""]
    if rows:
        lines += [*_table(rows, lang), ""]
    lines += _details(report.findings[:details], lang)
    if report.gaps:
        items = [
            f"- {code_span(item.path)}: {_bounded(escaped(item.reason))}" for item in report.gaps[:MAX_LISTED]
        ]
        lines += _folded(WORDS.say(lang, "gaps", count=len(report.gaps)), items)
    if report.executed is not None:
        names = [f"- {code_span(name)}" for name in report.executed.functions[:MAX_LISTED]]
        not_run = [
            f"- {word('not run', lang)}: {_bounded(escaped(text))}"
            for text in report.executed.not_run[:MAX_LISTED]
        ]
        head = escaped(run_line(report.executed, lang))
        lines += _folded(WORDS.say(lang, "executed"), [head, "", *names, *not_run])
    if report.notes and report.state not in (State.FAILED, State.SKIPPED):
        lines += _folded(
            WORDS.say(lang, "notes"), [f"- {_bounded(escaped(note))}" for note in report.notes[:MAX_LISTED]]
        )
    lines.append(f"<sub>{WORDS.say(lang, 'footer', version=__version__)}</sub>")
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[OpenFinding], lang: Lang) -> list[str]:
    heads = [WORDS.say(lang, key) for key in ("where", "what", "kind", "rule")]
    lines = [f"| | {' | '.join(heads)} |", "|---|---|---|---|---|"]
    for row in rows[:MAX_ROWS]:
        kind = word(row.category, lang) + ("" if row.counts else f" ({WORDS.say(lang, 'opinion')})")
        place = code_span(f"{row.path}:{row.line}").replace("|", "\\|")
        lines.append(
            f"| {_ICONS[row.severity]} | {place} | {prose(row.message)} | {kind} | {code_span(row.rule)} {code_span(row.fingerprint[:8])} |"
        )
    if len(rows) > MAX_ROWS:
        lines += ["", WORDS.say(lang, "more", count=len(rows) - MAX_ROWS)]
    return lines


def _details(findings: Sequence[Finding], lang: Lang) -> list[str]:
    lines: list[str] = []
    for finding in findings:
        if not finding.code and finding.evidence.kind is not EvidenceKind.EXECUTION:
            continue
        place = finding.place
        lines += [f"**{code_span(f'{place.path}:{place.line}')}** {prose(_bounded(finding.message))}", ""]
        lines += [*_evidence(finding), ""]
    return _folded(WORDS.say(lang, "details"), lines) if lines else []


def _evidence(finding: Finding) -> list[str]:
    blocks: list[str] = []
    if finding.code:
        suffix = finding.place.path.rpartition(".")[2]
        blocks.append(fenced(_block(finding.code), suffix if suffix.isalnum() and len(suffix) < 12 else ""))
    if finding.evidence.kind is EvidenceKind.EXECUTION and finding.evidence.detail:
        blocks.append(fenced(_block(finding.evidence.detail), ""))
    return blocks


def _folded(title: str, lines: Sequence[str]) -> list[str]:
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>", ""]


def render_line_comment(finding: Finding, lang: Lang, *, suggested: bool) -> str:
    """The comment on a finding's lines; ``suggested`` says that its fix follows as a suggestion."""
    notes = [code_span(finding.rule), code_span(finding.fingerprint[:8]), word(finding.category, lang)]
    if finding.evidence.kind is not EvidenceKind.RULE:
        notes.append(WORDS.say(lang, str(finding.evidence.kind)))
    lines = [
        finding_marker(finding.fingerprint),
        f"{_ICONS[finding.severity]} {prose(_bounded(finding.message))} ({', '.join(notes)})",
    ]
    if finding.evidence.kind is EvidenceKind.EXECUTION and finding.evidence.detail:
        lines += ["", fenced(_block(finding.evidence.detail), "")]
    if finding.fix is not None and suggested:
        lines += ["", WORDS.say(lang, "checked", how=checked_words(finding.fix.checked, lang))]
    return "\n".join(lines) + "\n"


def render_resolved(fingerprint: str, head: str, old_body: str, lang: Lang) -> str:
    """What a line comment becomes once its finding is gone: the old text folded, without a suggestion to apply."""
    first = old_body.split("\n", 2)[1] if "\n" in old_body else ""
    return "\n".join(
        [
            finding_marker(fingerprint, resolved=True),
            f"✅ {WORDS.say(lang, 'resolved', head=head[:10])}",
            "",
            f"> {first}",
            "",
        ]
    )


def render_tests(run: RunInfo, lang: Lang) -> str:
    """The comment with the tests that a command asked for."""
    lines = [named_marker("tests"), f"## {WORDS.say(lang, 'tests_title')}", ""]
    lines += (
        [WORDS.say(lang, "tests_intro", head=run.head[:10]), "", fenced(visible(run.tests), "python"), ""]
        if run.tests
        else []
    )
    lines += [f"- {_bounded(escaped(one_line(note)))}" for note in run.tests_notes]
    return "\n".join(lines).rstrip() + "\n"


def prose(text: str) -> str:
    """A message as Markdown: what stands between two backticks is a code span, everything else is escaped."""
    parts = _TICKED.split(text)
    return "".join(
        code_span(part).replace("|", "\\|") if at % 2 else escaped_part(part) for at, part in enumerate(parts)
    )


def escaped_part(text: str) -> str:
    """As ``escaped``, with the spaces at the ends kept as one each."""
    inner = escaped(text)
    if not inner:
        return " " if text else ""
    return f"{' ' if text[0].isspace() else ''}{inner}{' ' if text[-1].isspace() else ''}"


def code_text(text: str) -> str:
    """Text for the inside of a code span whose ticks are written by a template: no tick, no line end."""
    return one_line(text).replace("`", "'")


def _block(text: str) -> str:
    text = visible(text)
    return text if len(text) <= 3_000 else text[:3_000] + "\n…"


def _bounded(text: str) -> str:
    return text if len(text) <= 1_500 else text[:1_500].rstrip("\\") + "…"
