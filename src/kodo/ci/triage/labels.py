"""Which of the repository's own labels an issue gets: keywords, and BM25 over the issues that have labels already.

The keywords decide; where they say nothing, the neighbours do, if they agree (mixing the two was worse on the tuning half
of the scorecard). The confidence is the share of the best label in all that speaks for any; below the policy's threshold nothing is given. Only a label that the repository has
can be given, and the text of an issue cannot name one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kodo.ci.forge import Issue
from kodo.ci.triage.bm25 import Bm25
from kodo.ci.triage.kinds import KEYWORDS, compiled, kind_of_label
from kodo.ci.triage.words import readable, words_of

NEIGHBOURS = 8
"""Labelled issues that vote."""
MIN_EVIDENCE = 1.5
"""Weight of keywords below which they say nothing."""
_FULL_EVIDENCE = 4.5
MIN_AGREEMENT = 0.75
"""The share of the neighbours' votes for one label below which they say nothing."""


@dataclass(frozen=True, slots=True)
class LabelChoice:
    """A label with the confidence in it, 0 to 1."""

    label: str
    confidence: float


class LabelClassifier:
    """Made once for a repository, used for any number of issues.

    Args:
        labels: the repository's labels.
        labelled: issues that people labelled.
        keywords: further words of labels, as the policy names them.
        excluded: labels that are never given.
    """

    def __init__(
        self,
        labels: Sequence[str],
        labelled: Sequence[Issue] = (),
        keywords: Mapping[str, Sequence[str]] | None = None,
        excluded: Sequence[str] = (),
    ) -> None:
        usable = [label for label in labels if label not in excluded and "," not in label]
        self._patterns = {label: compiled(_words_of_label(label, keywords or {})) for label in usable}
        self._patterns = {label: patterns for label, patterns in self._patterns.items() if patterns}
        taught = [issue for issue in labelled if set(issue.labels) & set(usable)]
        self._taught = [tuple(label for label in issue.labels if label in usable) for issue in taught]
        self._numbers = [issue.number for issue in taught]
        self._index = Bm25([words_of(f"{issue.title}\n{issue.title}\n{issue.body}") for issue in taught])

    def choose(self, issue: Issue) -> LabelChoice | None:
        """The best label; None where nothing speaks for any."""
        scores = self._scores(issue)
        total = sum(scores.values())
        if not total:
            return None
        best = max(scores, key=lambda label: (scores[label], label))
        share = scores[best] / total
        return LabelChoice(best, round(share * min(1.0, 0.4 + 0.6 * self._evidence(scores[best])), 3))

    def _evidence(self, score: float) -> float:
        return min(1.0, score / 0.6)

    def _scores(self, issue: Issue) -> dict[str, float]:
        """What speaks for each label: the keywords; where they say nothing, neighbours that agree."""
        by_words = self._keyword_scores(issue)
        if by_words:
            return by_words
        votes = self._neighbour_votes(issue)
        agreed = votes and max(votes.values()) >= MIN_AGREEMENT
        return votes if agreed else {}

    def _keyword_scores(self, issue: Issue) -> dict[str, float]:
        title, body = readable(issue.title), readable(issue.body)
        raw: dict[str, float] = {}
        for label, patterns in self._patterns.items():
            found = sum(
                weight * (2.0 if pattern.search(title) else 1.0)
                for pattern, weight in patterns
                if pattern.search(title) or pattern.search(body)
            )
            if found >= MIN_EVIDENCE:
                raw[label] = min(1.0, found / _FULL_EVIDENCE) * found
        most = max(raw.values(), default=0.0)
        return {label: score / max(most, _FULL_EVIDENCE) for label, score in raw.items()}

    def _neighbour_votes(self, issue: Issue) -> dict[str, float]:
        words = words_of(f"{issue.title}\n{issue.title}\n{issue.body}")
        scored = {
            at: score for at, score in self._index.scores(words).items() if self._numbers[at] != issue.number
        }
        nearest = sorted(scored, key=lambda at: -scored[at])[:NEIGHBOURS]
        votes: dict[str, float] = defaultdict(float)
        for at in nearest:
            for label in self._taught[at]:
                votes[label] += scored[at] / len(self._taught[at])
        total = sum(votes.values())
        return {label: score / total for label, score in votes.items()} if total else {}


def _words_of_label(label: str, more: Mapping[str, Sequence[str]]) -> dict[str, float]:
    kind = kind_of_label(label)
    words = dict(KEYWORDS[kind]) if kind is not None else {}
    return words | {word.lower(): 3.0 for word in more.get(label, ())}
