"""Which open issues are about the same thing, with a similarity of 0 to 1. Nothing is ever closed for it.

Only older issues are named, so two issues never name each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kodo.ci.forge import Issue
from kodo.ci.triage.bm25 import Bm25
from kodo.ci.triage.words import words_of


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A similar issue and how similar it is."""

    number: int
    title: str
    similarity: float


class DuplicateFinder:
    """An index of the open issues of a repository."""

    def __init__(self, issues: Iterable[Issue]) -> None:
        self._issues = [issue for issue in issues if issue.is_open]
        self._index = Bm25([_words(issue) for issue in self._issues])

    def similar(self, issue: Issue, limit: int, least: float = 0.0) -> list[Duplicate]:
        """The most similar older issues, best first, at most ``limit`` with a similarity of ``least`` or more."""
        words = _words(issue)
        most = self._index.own_score(words)
        if not most:
            return []
        found = [
            Duplicate(other.number, other.title, round(min(1.0, score / most), 3))
            for at, score in self._index.scores(words).items()
            if (other := self._issues[at]).number < issue.number
        ]
        found.sort(key=lambda item: (-item.similarity, item.number))
        return [item for item in found[:limit] if item.similarity >= least]


def _words(issue: Issue) -> Sequence[str]:
    return words_of(f"{issue.title}\n{issue.title}\n{issue.body}")
