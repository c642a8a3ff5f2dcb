"""Comments that suppress findings: ``# kodo: ignore[class or rule]``, ``# noqa``, ``# nosec``.

A comment suppresses findings on its line, or on the next line if it has a line to itself. What is suppressed is
listed in the report. A comment that the change under review itself adds suppresses nothing, unless the project allows
it: a change cannot switch off its own review. One that the change moves with its line is as old as the line. A syntax error and a bare ``kodo: ignore`` are beyond it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from kodo.jobs.job import Verified
from kodo.jobs.report.model import Finding, Suppressed
from kodo.jobs.review import python
from kodo.jobs.review.changes import ChangedFile
from kodo.jobs.review.verification import PlacedFinding

_KODO = re.compile(r"kodo:\s*ignore\[([^\]]+)\]", re.IGNORECASE)
_NOQA = re.compile(r"#\s*noqa\b(?:\s*:\s*([A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+)*))?", re.IGNORECASE)
_NOSEC = re.compile(r"#\s*nosec\b(?:\s*:?\s*(B[0-9]+(?:[\s,]+B[0-9]+)*))?", re.IGNORECASE)
Line = tuple[str, int]
"""The path and number of a line after the change."""
_COMMENT = re.compile(r"(#|//|/\*|--|;)(.*)$")


@dataclass(frozen=True, slots=True)
class SplitFindings:
    """Findings by what comments do to them; ``refused`` are comments that had no effect, as ``path:line``."""

    active: list[Verified[PlacedFinding]]
    suppressed: list[Suppressed]
    refused: list[str]


def split_suppressed(
    file: ChangedFile,
    items: Sequence[Verified[PlacedFinding]],
    moved: Set[Line] = frozenset(),
    *,
    allow_new: bool,
) -> SplitFindings:
    """Split findings into active ones and those that a comment suppresses.

    Args:
        moved: added lines that the change only moved (``moved_lines``); a comment on one counts for a finding on one.
        allow_new: whether a comment that the change adds may suppress a finding.
    """
    if not items:  # a tree has many files, and few with a finding
        return SplitFindings([], [], [])
    comments = _comments(file)
    active: list[Verified[PlacedFinding]] = []
    suppressed: list[Suppressed] = []
    refused: list[str] = []
    for item in items:
        finding = item.value.finding
        hit = _suppressing_comment(finding, comments, file)
        if hit is None or finding.rule == "syntax":
            active.append(item)
            continue
        line, by = hit
        new = {(file.path, at) for at in (line, finding.place.line) if at in file.added} - moved
        in_change = not file.whole and line in file.added and bool(new)
        if in_change and not allow_new:
            active.append(item)
            refused.append(f"{file.path}:{line}")
        else:
            suppressed.append(Suppressed(finding, by, in_change))
    return SplitFindings(active, suppressed, refused)


def moved_lines(files: Iterable[ChangedFile]) -> frozenset[Line]:
    """The added lines that the change took away elsewhere, in the same file or another; each removed line stands for one."""
    files = list(files)
    left = Counter(
        text.strip() for file in files for removal in file.removals for text in removal.lines if text.strip()
    )
    moved: set[Line] = set()
    for file in files:
        for number in sorted(file.added) if left and not file.whole else ():
            text = file.lines[number - 1].strip() if number <= len(file.lines) else ""
            if left[text]:
                left[text] -= 1
                moved.add((file.path, number))
    return frozenset(moved)


def _comments(file: ChangedFile) -> dict[int, str]:
    module = python.parse(file.after) if file.language == "python" else None
    if module is not None:
        return module.comments
    found: dict[int, str] = {}
    for number, line in enumerate(file.lines, 1):
        if ("kodo:" in line or "noqa" in line or "nosec" in line) and (match := _COMMENT.search(line)):
            found[number] = match[0]
    return found


def _suppressing_comment(
    finding: Finding, comments: dict[int, str], file: ChangedFile
) -> tuple[int, str] | None:
    """The line and text of the comment that suppresses a finding."""
    place = finding.place
    places = [place.line, place.end_line]
    above = place.line - 1
    if above in comments and file.lines[above - 1].strip().startswith(("#", "//", "/*", "--", ";")):
        places.append(above)
    for line in places:
        comment = comments.get(line, "")
        if any(_covers(match[1], finding) for match in _KODO.finditer(comment)):
            return line, comment.strip()
        if line == above:
            continue
        noqa = _NOQA.search(comment)
        if noqa and finding.evidence.source == "ruff" and _named(noqa[1], finding.rule):
            return line, comment.strip()
        nosec = _NOSEC.search(comment)
        if nosec and finding.category == "security" and _named(nosec[1], finding.rule.replace("S", "B")):
            return line, comment.strip()
    return None


def _covers(names: str, finding: Finding) -> bool:
    listed = {name.strip().lower() for name in names.split(",")}
    return bool(
        listed & {finding.category.value, finding.rule.lower(), finding.rule.lower().removeprefix("kodo/")}
    )


def _named(codes: str | None, rule: str) -> bool:
    """Whether a list of codes (or a bare comment) is about a rule; a code also stands for those it begins."""
    if codes is None:
        return True
    return any(rule.upper().startswith(code.upper()) for code in re.split(r"[\s,]+", codes) if code)
