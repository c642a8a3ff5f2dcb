"""From a candidate to `Verified` or `Rejected`: the one gate that every finding passes."""

from __future__ import annotations

from kodo.jobs.job import Rejected, Verified
from kodo.jobs.report.model import Category, Severity
from kodo.jobs.review.candidate import Candidate
from kodo.jobs.review.reading import read
from kodo.jobs.review.source import VersionsSource
from kodo.jobs.review.verification import verify

BEFORE = "a = 1\nb = 2\nc = 3\n"
AFTER = "a = 1\nb = 20\nc = 3\n"


def candidate(line: int) -> Candidate:
    """A candidate on a line of `AFTER`."""
    return Candidate(
        rule="model/bug",
        category=Category.BUG,
        severity=Severity.INFO,
        line=line,
        message="wrong",
        source="m",
    )


def judged(line: int) -> object:
    """The verdict on a candidate on that line."""
    file = read(VersionsSource({"m.py": BEFORE}, {"m.py": AFTER}), 1000).files[0]
    (result,) = verify(file, [candidate(line)], "en")
    return result


def test_a_candidate_on_a_touched_line_is_verified() -> None:
    """A candidate on a line of the change becomes a finding on that line, with the check it passed."""
    result = judged(2)
    assert isinstance(result, Verified)
    assert (result.value.finding.place.line, result.how) == (2, "placed on a line of the change")


def test_a_candidate_outside_of_the_change_is_rejected() -> None:
    """A candidate on a line that the change left alone is no finding; the rejection keeps its words."""
    assert judged(3) == Rejected("not in the change", "wrong")


def test_a_candidate_beyond_the_file_is_rejected() -> None:
    """A line that the file does not have rejects the candidate."""
    assert judged(9) == Rejected("no such line", "wrong")
