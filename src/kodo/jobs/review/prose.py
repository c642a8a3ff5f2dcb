"""A review of one piece of code as prose under five headings, for people who ask a library and not a pipeline."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kodo.client.errors import KodoError
from kodo.jobs.report.markdown import fenced
from kodo.jobs.report.model import Category, EvidenceKind, Finding, ReviewReport, State
from kodo.jobs.review.fixes import keeps_clean
from kodo.jobs.review.job import review
from kodo.jobs.review.languages import DISPLAY_NAMES, SUFFIXES
from kodo.jobs.review.options import ReviewOptions
from kodo.jobs.review.prompt_templates import prompt
from kodo.jobs.review.source import TextSource

if TYPE_CHECKING:
    from kodo.client.session import Session

_HEADINGS = {
    "en": ("Bugs", "Readability", "Performance", "Good practice", "Improved version"),
    "ja": ("バグ", "可読性", "パフォーマンス", "ベストプラクティス", "改善版"),
}
_SECTIONS = (
    frozenset({Category.BUG, Category.SECURITY}),
    frozenset({Category.READABILITY}),
    frozenset({Category.PERFORMANCE}),
    frozenset({Category.PRACTICE}),
)
_WORDS = {
    "en": (
        "No findings.",
        "line {line}",
        "opinion",
        "No change could be applied and verified automatically.",
        "Not reviewed",
    ),
    "ja": (
        "指摘はありません。",
        "{line} 行目",
        "意見",
        "自動で修正し、検証できる変更はありません。",
        "レビューできなかったもの",
    ),
}
_ROUNDS = 4
_FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def review_code(
    code: str,
    language: str = "Python",
    *,
    session: "Session | None" = None,
    options: ReviewOptions | None = None,
) -> str:
    """Review a piece of code; returns Markdown under five headings.

    They are bugs (with security), readability, performance, good practice and improved version. Without a session the analysers speak alone. The improved version
    holds the fixes that were tried: it parses, and the analysers say nothing of it that they did not say before.

    Raises ValueError for a language without an analyser.
    """
    options = options or ReviewOptions()
    suffix = _suffix(language)
    report = review(TextSource(code, f"code{suffix}"), options, session)
    headings, words = _HEADINGS[options.lang], _WORDS[options.lang]
    parts: list[str] = []
    for heading, categories in zip(headings[:4], _SECTIONS, strict=True):
        mine = [finding for finding in report.findings if finding.category in categories]
        parts += [
            f"## {heading}",
            _said(mine, words) or (words[0] if report.state is not State.FAILED else ""),
        ]
    parts.append(f"## {headings[4]}")
    better = _improved(code, suffix, report, options, session)
    parts.append(fenced(better, language.lower()) if better != code else words[3])
    if report.gaps or report.notes:
        rows = [f"- {item.path}: {item.reason}" for item in report.gaps] + [
            f"- {note}" for note in report.notes
        ]
        parts += [f"{words[4]}:", "\n".join(rows)] if report.gaps else ["\n".join(rows)]
    return "\n\n".join(parts) + "\n"


def _suffix(language: str) -> str:
    wanted = language.strip().lower()
    for name, suffix in SUFFIXES.items():
        if wanted in {name, DISPLAY_NAMES[name].lower(), suffix.lstrip(".")}:
            return suffix
    raise ValueError(
        f"language: no analyser for {language!r}; there are {', '.join(sorted({DISPLAY_NAMES[n] for n in SUFFIXES}))}"
    )


def _said(findings: Sequence[Finding], words: Sequence[str]) -> str:
    rows = []
    for finding in findings:
        opinion = f", {words[2]}" if finding.evidence.kind is EvidenceKind.OPINION else ""
        security = f"{finding.category}, " if finding.category is Category.SECURITY else ""
        rows.append(
            f"- {words[1].format(line=finding.place.line)} ({security}{finding.rule}{opinion}): {finding.message}"
        )
    return "\n".join(rows)


def _improved(
    code: str, suffix: str, report: ReviewReport, options: ReviewOptions, session: "Session | None"
) -> str:
    """The code with the fixes that hold together; with a capable model, its own version if that holds."""
    name = f"code{suffix}"
    if session is not None and options.size == "capable" and report.findings:
        known = "\n".join(f"- line {finding.place.line}: {finding.message}" for finding in report.findings)
        try:
            answer = session.respond(
                code, instructions=prompt("improve.md").format(known=known), model=options.model or None,
                max_output_tokens=max(512, options.window // 2), temperature=0.0, store=False, job="review",
            )  # fmt: skip  # one row of options
        except KodoError:
            pass  # the review itself has already said so in its notes
        else:
            block = _FENCE.search(answer.text)
            text = block[1] if block else answer.text
            if text.strip() and keeps_clean(name, code, text):
                return text
    for _ in range(_ROUNDS):
        better = _with_all(code, report.findings)
        if better == code or not keeps_clean(name, code, better):
            break
        code = better
        report = review(TextSource(code, name), options, None)
    return code


def _with_all(code: str, findings: Sequence[Finding]) -> str:
    """The code with every fix that does not touch the lines of another, from the last to the first."""
    lines = code.split("\n")
    below = len(lines) + 2
    for finding in sorted(
        (item for item in findings if item.fix),
        key=lambda item: item.fix.line if item.fix else 0,
        reverse=True,
    ):
        fix = finding.fix
        if fix is None or fix.end_line >= below or finding.evidence.kind is EvidenceKind.OPINION:
            continue
        lines[fix.line - 1 : fix.end_line] = fix.text.removesuffix("\n").split("\n") if fix.text else []
        below = fix.line
    return "\n".join(lines)
