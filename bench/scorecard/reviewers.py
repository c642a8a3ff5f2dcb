"""kodo's own review as a contestant, with a model and without. Knows no truth and no score."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from bench.scorecard.cases import ReviewCase, SourceFile
from bench.scorecard.results import JOBS, SCORECARD, code_of, digest
from bench.scorecard.review_score import Remark, Reviewed
from bench.scorecard.revisions import after, before, on_the_comment, push_again
from kodo.jobs.report.model import EvidenceKind, Finding, ReviewReport
from kodo.jobs.review import ReviewOptions, review
from kodo.jobs.review.source import VersionsSource

if TYPE_CHECKING:
    from kodo.client.session import Session


_OWN = (SCORECARD / "reviewers.py", SCORECARD / "revisions.py")


class Reviewer(Protocol):
    """One contestant."""

    @property
    def session(self) -> Session | None:
        """The way to the model it asks; None where it asks none."""

    @property
    def name(self) -> str:
        """What the tables call it."""

    @property
    def version(self) -> str:
        """Differs where its options or its code differ."""

    def review(self, case: ReviewCase) -> Reviewed:
        """What it says of the two pushes of the case."""


class KodoReviewer:
    """kodo's own review; without a session, the same pipeline without the model."""

    def __init__(self, name: str, session: Session | None, options: ReviewOptions) -> None:
        self.name = name
        self.session = session
        self._options = options
        where = (session.settings.base_url or "local") if session else ""
        said = msgspec.json.encode(
            options, order="deterministic"
        ).decode()  # a set's repr differs from run to run
        self.version = digest(said, where, code_of(JOBS / "review", JOBS / "report", *_OWN))

    def review(self, case: ReviewCase) -> Reviewed:
        """Review both pushes of one case."""
        start = time.perf_counter()
        first = self._push(case.files)
        second = self._push(push_again(case.files))
        return Reviewed(
            case.name,
            _remarks(first),
            tuple(r for r in _remarks(second) if not on_the_comment(case.files, r.path, r.line)),
            first.state.value,
            time.perf_counter() - start,
            first.model.requests if first.model else 0,
            first.model.accepted if first.model else 0,
        )

    def _push(self, files: tuple[SourceFile, ...]) -> ReviewReport:
        return review(VersionsSource(before(files), after(files)), self._options, self.session)


def _remarks(report: ReviewReport) -> tuple[Remark, ...]:
    return tuple(_remark(finding) for finding in report.findings)


def _remark(finding: Finding) -> Remark:
    return Remark(
        finding.place.path,
        finding.place.line,
        finding.place.end_line,
        finding.category.value,
        finding.severity.value,
        finding.rule,
        fingerprint=finding.fingerprint,
        opinion=finding.evidence.kind is EvidenceKind.OPINION,
    )
