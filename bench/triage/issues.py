"""Reading the hand-written issues: ``tuning.txt`` and ``aside.txt``, a line each: language, label, the line it repeats, title, body."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kodo.ci.forge import Issue

LABELS = ("bug", "enhancement", "documentation", "question", "performance", "security")


@dataclass(frozen=True)
class WrittenIssue:
    """One line: the issue, its right label ("" for none), and the number of the issue that it repeats (0 for none)."""

    issue: Issue
    lang: str
    label: str
    repeats: int

    @property
    def labelled(self) -> Issue:
        """The issue as a repository has it once a person has labelled it."""
        labels = (self.label,) if self.label else ()
        return Issue(
            number=self.issue.number, title=self.issue.title, body=self.issue.body, author="x", labels=labels
        )


def read_issues(name: str, first_number: int = 1) -> list[WrittenIssue]:
    """The issues of one half, numbered from ``first_number``."""
    found = []
    lines = Path(__file__).with_name(f"{name}.txt").read_text("utf-8").splitlines()
    for at, line in enumerate(lines):
        lang, label, repeats, title, body = line.split("|", 4)
        issue = Issue(number=first_number + at, title=title, body=body, author="x")
        again = int(repeats) + first_number - 1 if repeats else 0
        found.append(WrittenIssue(issue, lang, "" if label == "none" else label, again))
    return found
