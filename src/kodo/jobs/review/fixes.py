"""Fixes that were tried: applied to a copy, parsed, analysed again, and run against the tests if there are any.

A fix is shown only if the copy parses, the finding disappears, and no analyser reports anything new. It must stay
inside a few lines that the change touches.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from kodo.jobs.execution.time_limit import Deadline
from kodo.jobs.job import Verified
from kodo.jobs.report.model import Finding, Fix
from kodo.jobs.review.analysis import run_analysers
from kodo.jobs.review.candidate import Candidate, Edit, Subject
from kodo.jobs.review.changes import ChangedFile, split_lines
from kodo.jobs.review.languages import language_of
from kodo.jobs.review.verification import PlacedFinding, without_duplicates

MAX_FIX_LINES = 20
MAX_FIXES = 500
"""Fixes that one review tries."""
MAX_FIX_CHARACTERS = 20_000_000
"""Characters of the files that it tries them on, each file once for each fix."""
Tester = Callable[[Mapping[str, str]], bool]
"""Whether the project's tests pass with these texts in place of the files of those paths."""


@dataclass
class FixBudget:
    """How much one review may try: each fix is a whole file that is analysed again. Mutable, because it counts."""

    deadline: Deadline
    tries: int = MAX_FIXES
    characters: int = MAX_FIX_CHARACTERS
    left_out: int = 0

    def take(self, size: int) -> bool:
        """Whether a fix of a file of ``size`` characters may be tried."""
        if self.deadline.up or not self.tries or size > self.characters:
            self.left_out += 1
            return False
        self.tries -= 1
        self.characters -= size
        return True


def with_fixes(
    file: ChangedFile,
    items: Sequence[Verified[PlacedFinding]],
    reported: Sequence[Candidate],
    target: str,
    tester: Tester | None,
    budget: FixBudget,
) -> list[Finding]:
    """The findings of a file, those with a fix that holds carrying it. ``reported`` holds what the analysers reported before the fix."""
    findings = [item.value.finding for item in items]
    fixable = _fixable(file, items, budget)
    if not fixable:
        return findings
    subjects = [Subject(file.path, file.language, text) for _, text in fixable]
    results = run_analysers(subjects, target, budget.deadline).values()
    known = Counter(candidate.rule for candidate in without_duplicates(reported))
    for at, (index, text) in enumerate(fixable):
        remaining = without_duplicates(
            [candidate for outcome in results for candidate in outcome.candidates.get(at, [])]
        )
        rules = Counter(candidate.rule for candidate in remaining)
        candidate = items[index].value.candidate
        solved = candidate.source not in {"ruff", "kodo"} or rules[candidate.rule] < known[candidate.rule]
        if not solved or rules - known or any(at in outcome.failures for outcome in results):
            continue
        checked = ["parses", "analysers"]
        if tester is not None:
            if not tester({file.path: text}):
                continue
            checked.append("tests")
        fix = _fix(file, text, tuple(checked))
        if fix is not None:
            findings[index] = msgspec.structs.replace(findings[index], fix=fix)
    return findings


def _fixable(
    file: ChangedFile, items: Sequence[Verified[PlacedFinding]], budget: FixBudget
) -> list[tuple[int, str]]:
    """The findings that have a fix and may try it, by index, with the file's text after it."""
    return [
        (index, text)
        for index, item in enumerate(items)
        if item.value.candidate.edits
        and budget.take(len(file.after))
        and (text := applied(file, item.value.candidate.edits))
    ]


def keeps_clean(path: str, old: str, new: str) -> bool:
    """Whether a new text parses and no analyser reports anything new."""
    language = language_of(path)
    results = run_analysers([Subject(path, language, old), Subject(path, language, new)]).values()
    if any(1 in outcome.failures for outcome in results):
        return False
    was, now = (
        Counter(
            candidate.rule
            for candidate in without_duplicates(
                [d for outcome in results for d in outcome.candidates.get(at, [])]
            )
        )
        for at in (0, 1)
    )
    return not now - was and not now["syntax"]


def applied(file: ChangedFile, edits: Sequence[Edit]) -> str | None:
    """The file's text after the edits; None without edits, or if they overlap or they change nothing."""
    if not edits:
        return None
    lines = file.after.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)

    def offset(line: int, column: int) -> int:
        return min(starts[min(line, len(starts)) - 1] + column - 1, len(file.after))

    spans = sorted(
        (offset(edit.line, edit.column), offset(edit.end_line, edit.end_column), edit.text) for edit in edits
    )
    text, end = "", 0
    for start, stop, new in spans:
        if start < end or stop < start:
            return None
        text += file.after[end:start] + new
        end = stop
    text += file.after[end:]
    return text if text != file.after else None


def _fix(file: ChangedFile, text: str, checked: tuple[str, ...]) -> Fix | None:
    """The lines in which two texts differ as one replacement, if it is short and in the change."""
    old, new = file.lines, split_lines(text)
    top = 0
    while top < min(len(old), len(new)) and old[top] == new[top]:
        top += 1
    bottom = 0
    while bottom < min(len(old), len(new)) - top and old[-1 - bottom] == new[-1 - bottom]:
        bottom += 1
    if top + bottom >= len(old):  # lines are only put in: take the line before with them
        if top == 0:
            return None
        top -= 1
    first, last = top + 1, len(old) - bottom
    replacement = "".join(line + "\n" for line in new[top : len(new) - bottom])
    if last - first >= MAX_FIX_LINES or not file.touches(first, last):
        return None
    return Fix(first, last, replacement, checked)
