"""``kodo review``: what is wrong with a change, with evidence.

The public names: ``review``, ``review_code``, the sources, the options and the report.
"""

from kodo.jobs.report.model import Category, Finding, ReviewReport, Severity, State
from kodo.jobs.review.job import review
from kodo.jobs.review.options import ReviewOptions
from kodo.jobs.review.prose import review_code
from kodo.jobs.review.source import (
    BaseSource,
    CommitSource,
    DiffSource,
    PathsSource,
    PendingSource,
    ReviewSource,
    StagedSource,
    TextSource,
    VersionsSource,
)

__all__ = [
    "BaseSource",
    "Category",
    "CommitSource",
    "DiffSource",
    "Finding",
    "PathsSource",
    "PendingSource",
    "ReviewOptions",
    "ReviewReport",
    "ReviewSource",
    "Severity",
    "StagedSource",
    "State",
    "TextSource",
    "VersionsSource",
    "review",
    "review_code",
]
